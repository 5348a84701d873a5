"""Memory to work in, and for large results."""

import sys
import threading
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

LARGE, KEPT = 1 << 20, 1 << 26  # bytes


class Pool:
    """Memory of large results that nobody holds any more, to be used again.

    A fresh array costs as much as what is written into it: the system hands out its pages one by one, and clears them.
    At most KEPT bytes are kept; a buffer is free when nothing but the pool refers to it.
    """

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of undefined contents."""
        size = prod(shape) * np.dtype(dtype).itemsize
        if not LARGE <= size <= KEPT:
            return np.empty(shape, dtype)
        with self._lock:
            for place in range(len(self._buffers)):
                # the list, and the argument of getrefcount
                if sys.getrefcount(self._buffers[place]) == 2 and size <= self._buffers[place].size <= 2 * size:
                    return np.ndarray(shape, dtype, self._buffers[place])
            buffer = np.empty(size, np.uint8)
            self._buffers.insert(0, buffer)
            while sum(kept.size for kept in self._buffers) > KEPT:
                self._buffers.pop()
        return np.ndarray(shape, dtype, buffer)


results = Pool()


def aligned(count: int, dtype: npt.DTypeLike) -> npt.NDArray[np.inexact]:
    """Zeros that begin on a cache line: vectors then never straddle two."""
    kind = np.dtype(dtype)
    extra = 64 // kind.itemsize
    raw = np.zeros(count + extra, kind)
    skip = (-raw.ctypes.data % 64) // kind.itemsize
    return raw[skip : skip + count]
