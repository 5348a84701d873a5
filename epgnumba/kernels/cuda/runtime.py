"""The device from the host's side: everything of `numba.cuda` that is called, not compiled."""

import contextlib
import warnings

import numpy as np

from .jit import SIMULATED, cuda

# A small batch is a small grid: nothing to tell users of this package, who have chosen neither.
warnings.filterwarnings("ignore", message="Grid size .* will likely result in GPU under-utilization")


def is_available():
    """Whether there is a device to run on."""
    return SIMULATED or cuda.is_available()


def device_count():
    return 1 if SIMULATED else len(cuda.gpus)


def device_names():
    """Of all devices that can be seen."""
    names = [getattr(cuda.gpus[index], "name", "simulated") for index in range(device_count())]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def on_device(index):
    """A context in which device `index` is the current one.

    A thread without any keeps the device's afterwards: arrays that die later must find one to be freed in.
    """
    if SIMULATED:
        return contextlib.nullcontext()
    if cuda.gpus.current is None:
        cuda.current_context(index)
    return cuda.gpus[index]


def launch(kernel, blocks, threads, stream, *arguments):
    with _named_memory_error():  # local memory is allocated at a launch
        kernel[blocks, threads, stream](*arguments)


def new_stream():
    return cuda.stream()


def outside_stream(pointer):
    """A stream that another library has made."""
    return cuda.external_stream(pointer) if pointer else cuda.legacy_default_stream()


def empty(shape, dtype, stream):
    """An array on the device.

    Raises
    ------
    MemoryError
        If there is no room.
    """
    with _named_memory_error():
        return cuda.device_array(shape, dtype, stream=stream)


@contextlib.contextmanager
def _named_memory_error():
    """The driver's errors have no common base, and are known by their text."""
    try:
        yield
    except Exception as error:
        if "OUT_OF_MEMORY" not in str(error).upper().replace(" ", "_"):
            raise
        raise MemoryError(str(error)) from error


def upload(array, stream):
    with _named_memory_error():
        return cuda.to_device(np.ascontiguousarray(array), stream=stream)


def send(array, device, stream):
    """Copy host memory to an array that is there."""
    device.copy_to_device(array, stream=stream)


def download(array, out, stream):
    array.copy_to_host(out, stream=stream)


def finish(stream):
    """Wait until all work on a stream is done."""
    stream.synchronize()


def synchronize():
    """Wait until all work on the device is done."""
    cuda.synchronize()


def pinned(shape, dtype):
    """Host memory that copies at full speed while kernels run.

    Raises
    ------
    MemoryError
        If there is no room.
    """
    with _named_memory_error():
        return np.empty(shape, dtype) if SIMULATED else cuda.pinned_array(shape, dtype)


def view(array):
    """Another library's device array: the same memory. Its stream is waited for by whoever works on another."""
    if SIMULATED:
        from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

        return FakeCUDAArray(np.asarray(array))
    return cuda.as_cuda_array(array, sync=False)


def free_memory():
    """Bytes that may be used."""
    return 1 << 30 if SIMULATED else int(cuda.current_context().get_memory_info().free)
