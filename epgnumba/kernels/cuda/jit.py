"""Decorators of CUDA kernels, and what the simulator lacks.

Kernels take `cuda` from here, and the host's side from `runtime`: nothing else knows which package compiles.

States lie in registers: arrays of `cuda.local`, whose indices are constants once loops of constant length are unrolled,
which NVVM does by itself. So every length is a constant of the kernel, and a kernel is made for each `Shape`; and what
is chosen at run time is chosen among values (`select`), never among places: a branch of which both sides end in the
same load or store becomes one with a variable address, and the array then lies in memory.
"""

import inspect

import numpy as np
from numba import cuda
from numba.core import config
from numba.cuda.extending import register_jitable

from ...notice import compiling

SIMULATED = bool(config.ENABLE_CUDASIM)
if SIMULATED:
    floor = {np.float32: np.floor, np.float64: np.floor}
else:
    from numba.cuda import libdevice

    floor = {np.float32: libdevice.floorf, np.float64: libdevice.floor}

THREADS = 128  # of a block


def block_threads(lanes):
    """Threads of a block whose voxels share `lanes` of them; few in the simulator, where each is one of Python's."""
    return 2 * lanes if SIMULATED else THREADS


helper = register_jitable(forceinline=True)
on_device = cuda.jit(device=True) if SIMULATED else helper  # of what asks which thread it is


@on_device
def find_thread(lanes, n_voxels):
    """Thread, its lane and voxel, and whether that is there; those beyond the last do as it does, and write nothing."""
    thread = cuda.grid(1)
    lane, present = thread % lanes, thread // lanes < n_voxels
    thread = min(thread, n_voxels * lanes - lanes + lane)
    return thread, lane, thread // lanes, present


@on_device
def place_of(numbers, threads):
    """Where a thread's numbers begin, of so many each: block by block, the threads side by side."""
    return np.uint64(cuda.blockIdx.x) * np.uint64(numbers * threads) + np.uint64(cuda.threadIdx.x)


def launched(function):
    """A kernel that the host launches."""
    kernel = cuda.jit(function)
    if not SIMULATED:
        compile_kernel = kernel.compile

        def compile_told(signature):
            with compiling("a CUDA device", lambda: "each process does so, once for each kind of call"):
                return compile_kernel(signature)

        kernel.compile = compile_told
    return kernel


LONGEST = 64  # calls in a row that are worth their code


def unrolled(function, count):
    """A function that calls `function(k, ...)` for k = 0, 1, ...: a loop too long for NVVM to unroll by itself."""
    names = ", ".join(list(inspect.signature(function).parameters)[1:])
    lines = [f"    function({k}, {names})" for k in range(count)]
    if count > LONGEST:  # the states lie in memory anyway
        lines = [f"    for k in range({count}):", f"        function(k, {names})"]
    scope = {"function": function}
    exec("\n".join([f"def each({names}):", *lines]), scope)
    return helper(scope["each"])


if SIMULATED:

    def select(condition, a, b):
        """`a` if a condition holds, else `b`."""
        return a if condition else b

    @on_device
    def _exchanged(value, step):
        """What the thread `step` further on has for `value`."""
        values = cuda.shared.array(1024, np.float64)
        mine = cuda.threadIdx.x
        values[mine] = value
        cuda.syncthreads()
        other = values[min(max(mine + step, 0), cuda.blockDim.x - 1)]
        cuda.syncthreads()
        return type(value)(other)

    def from_above(value):
        """What the next lane has for `value`."""
        return _exchanged(value, 1)

    def from_below(value):
        """What the lane before has for `value`."""
        return _exchanged(value, -1)

else:

    @helper
    def select(condition, a, b):
        """`a` if a condition holds, else `b`: both are there, so that no branch chooses an address."""
        return cuda.selp(condition, a, b)

    @helper
    def from_above(value):
        """What the next lane has for `value`."""
        return cuda.shfl_down_sync(0xFFFFFFFF, value, 1)

    @helper
    def from_below(value):
        """What the lane before has for `value`."""
        return cuda.shfl_up_sync(0xFFFFFFFF, value, 1)
