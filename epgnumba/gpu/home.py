"""Where a call's arrays lie: what allocates them, and in which order work on them runs."""

from typing import Any, Protocol

import numpy.typing as npt

from ..checks import shown


class Scratch(Protocol):
    """Memory on a device, and a stream to work on it.

    Attributes
    ----------
    index : int
        Number of the device.
    stream : object
        A stream of `numba.cuda`.
    """

    index: int
    stream: Any

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array on the device; MemoryError if there is no room."""

    def view(self, array: Any) -> Any:
        """The same memory, as `numba.cuda` knows it."""

    def free_memory(self) -> int:
        """Bytes that may be used."""


class Home(Scratch, Protocol):
    """Arrays of one library on one device; its stream is the caller's."""

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """Zeros of a complex type."""

    def dense(self, array: Any, shape: tuple[int, ...]) -> Any:
        """An array of numbers of floating point, broadcast, its elements one after another."""

    def complex(self, array: Any, order: tuple[int, ...]) -> Any:
        """An array of pairs as one of complex numbers, its axes in another order."""

    def pairs(self, array: Any, order: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """The inverse of `complex`, elements one after another."""

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """A copy in host memory."""


class NumbaHome:
    """Arrays of `numba.cuda` itself: scratch for what comes from host memory."""

    def __init__(self, index: int, stream: Any = None) -> None:
        from ..kernels.cuda import runtime

        self.index, self._runtime = index, runtime
        self.stream = runtime.new_stream() if stream is None else stream

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        return self._runtime.empty(shape, dtype, self.stream)

    def view(self, array: Any) -> Any:
        return array

    def free_memory(self) -> int:
        return int(self._runtime.free_memory())


class CuPyHome:
    """Arrays of CuPy on one device, and the stream that is current there."""

    def __init__(self, index: int) -> None:
        import cupy

        from ..kernels.cuda import runtime

        self.index, self._cupy, self._runtime = index, cupy, runtime
        with runtime.on_device(index), cupy.cuda.Device(index):
            self.stream = runtime.outside_stream(cupy.cuda.get_current_stream().ptr)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        try:
            with self._cupy.cuda.Device(self.index):
                return self._cupy.empty(shape, dtype)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        with self._cupy.cuda.Device(self.index):
            return self._cupy.zeros(shape, dtype)

    def view(self, array: Any) -> Any:
        return self._runtime.view(array)

    def dense(self, array: Any, shape: tuple[int, ...]) -> Any:
        if array.dtype.kind not in "iuf":
            raise TypeError(f"{shown(array.dtype)} is not allowed: real numbers are needed")
        if array.dtype.kind != "f" or array.dtype.itemsize < 4:
            array = array.astype("float64")
        return self._cupy.ascontiguousarray(self._cupy.broadcast_to(array, shape)).reshape(-1)

    def complex(self, array: Any, order: tuple[int, ...]) -> Any:
        kind = "complex128" if array.dtype.itemsize == 8 else "complex64"
        return array.view(kind)[..., 0].transpose(order)

    def pairs(self, array: Any, order: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        kind = "complex128" if self._cupy.dtype(dtype).itemsize == 8 else "complex64"
        dense = self._cupy.ascontiguousarray(array.transpose(order), dtype=kind)
        return dense.view(dtype).reshape(*dense.shape, 2)

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        host: npt.NDArray[Any] = self._cupy.asnumpy(array)
        return host

    def free_memory(self) -> int:
        pool = self._cupy.get_default_memory_pool()
        return int(self._runtime.free_memory()) + int(pool.free_bytes())
