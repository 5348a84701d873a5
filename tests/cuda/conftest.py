"""What the CUDA simulator lacks."""

import sys
import threading

import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def one_array_for_all_threads():
    """A shared array is the first thread's that asks: in the simulator two that ask at once may get one each."""
    from epgnumba.kernels.cuda.jit import SIMULATED

    if not SIMULATED:
        yield
        return
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    lock = threading.Lock()

    def array(self, shape, dtype):
        caller = sys._getframe(1)
        place = caller.f_code.co_filename, caller.f_lineno
        with lock:
            if place not in self._allocations:
                self._allocations[place] = np.empty(shape, dtype)
            return self._allocations[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeCUDAShared, "array", array)
        yield
