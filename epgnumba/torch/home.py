"""CUDA tensors as the arrays that kernels work on."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

REAL = {"f": torch.float32, "d": torch.float64}
COMPLEX = {"f": torch.complex64, "d": torch.complex128, "F": torch.complex64, "D": torch.complex128}


class TorchHome:
    """Tensors on one device and torch's current stream there (see `gpu.home.Home`)."""

    def __init__(self, index: int) -> None:
        from ..kernels.cuda import runtime

        self.index, self.device, self._runtime = index, torch.device("cuda", index), runtime
        with runtime.on_device(index):
            self.stream = runtime.outside_stream(torch.cuda.current_stream(self.device).cuda_stream)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> torch.Tensor:
        try:
            return torch.empty(shape, dtype=REAL[np.dtype(dtype).char], device=self.device)
        except torch.cuda.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> torch.Tensor:
        return torch.zeros(shape, dtype=COMPLEX[np.dtype(dtype).char], device=self.device)

    def view(self, array: torch.Tensor) -> Any:
        return self._runtime.view(array)

    def dense(self, array: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        if array.is_complex() or array.dtype == torch.bool:
            raise TypeError(f"{array.dtype} is not allowed: real numbers are needed")
        if array.dtype not in REAL.values():
            array = array.to(torch.float64)
        return array.broadcast_to(shape).contiguous().reshape(-1)

    def complex(self, array: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
        return torch.view_as_complex(array).permute(order)

    def pairs(self, array: torch.Tensor, order: tuple[int, ...], dtype: npt.DTypeLike) -> torch.Tensor:
        dense = array.resolve_conj().resolve_neg().to(COMPLEX[np.dtype(dtype).char]).permute(order).contiguous()
        return torch.view_as_real(dense)

    def to_host(self, array: torch.Tensor) -> npt.NDArray[Any]:
        host: npt.NDArray[Any] = array.cpu().numpy()
        return host

    def free_memory(self) -> int:
        unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(self._runtime.free_memory()) + int(unused)
