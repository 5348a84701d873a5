"""A design objective inside torch."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..calls import uncompiled
from ..checks import Array, needed
from ..design.objective import CRLBObjective
from .functions import THIRD, TWICE_FORWARD, apply, loop
from .tracing import record, recorder

Tensor = torch.Tensor


def _plain(x: Tensor) -> Array:
    return np.asarray(x.detach().cpu().numpy(), np.float64)


def _beside(array: npt.ArrayLike, x: Tensor) -> Tensor:
    return torch.from_numpy(np.array(array, np.float64)).to(x)


class _Value(torch.autograd.Function):
    """(objective, x) -> value and gradient: going back takes the second, which is then differentiated in its turn."""

    @staticmethod
    def forward(objective: CRLBObjective, x: Tensor) -> tuple[Tensor, ...]:
        mode = recorder()
        if mode is not None:
            return record(mode, _Value, lambda: (objective,), (x,))
        value, gradient = objective(_plain(x))
        return _beside(value, x), _beside(gradient, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.objective, x = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, output[1])
        ctx.save_for_forward(x, output[1])

    @staticmethod
    @uncompiled
    def backward(ctx: Any, bar: Tensor | None, gradient_bar: Tensor | None) -> tuple[None, Tensor | None]:
        x, gradient = ctx.saved_tensors
        first = None if bar is None else bar * gradient
        if gradient_bar is None:
            return None, first
        second = apply(_Curved, ctx.objective, x, gradient_bar)[0]
        return None, second if first is None else first + second

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: Tensor) -> tuple[Tensor, Tensor]:
        x, gradient = ctx.saved_tensors
        return gradient @ tangent, apply(_Curved, ctx.objective, x, tangent)[0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return loop(_Value.apply, info, in_dims, values)


class _Curved(torch.autograd.Function):
    """(objective, x, p) -> the Hessian at x times p, in a tuple."""

    @staticmethod
    def forward(objective: CRLBObjective, x: Tensor, p: Tensor) -> tuple[Tensor, ...]:
        mode = recorder()
        if mode is not None:
            return record(mode, _Curved, lambda: (objective,), (x, p))
        return (_beside(objective.hessp(_plain(x), _plain(p)), x),)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    @uncompiled
    def backward(ctx: Any, bar: Tensor) -> tuple[None, None, None]:
        raise NotImplementedError(THIRD)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor]:
        raise NotImplementedError(TWICE_FORWARD)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return loop(_Curved.apply, info, in_dims, values)


class CRLBModule(torch.nn.Module):
    """A `CRLBObjective` as a module: from design variables to the value, twice differentiable, in every mode.

    Parameters
    ----------
    objective : CRLBObjective
        What it computes. The kernels run on the CPU, in double precision.

    Examples
    --------
    >>> import epgnumba
    >>> module = CRLBModule(epgnumba.CRLBObjective(epgnumba.FSE([60.0] * 4, ESP=8), 1000, 80))
    >>> flip = torch.full((4,), 60.0, dtype=torch.float64, requires_grad=True)
    >>> module(flip).backward()
    >>> flip.grad.shape
    torch.Size([4])
    >>> torch.func.hessian(module)(flip.detach()).shape
    torch.Size([4, 4])
    """

    def __init__(self, objective: CRLBObjective) -> None:
        needed("objective", objective, CRLBObjective)
        super().__init__()
        self.objective = objective

    @uncompiled
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Value of the objective at `x`, shape (variables,).

        Raises
        ------
        TypeError, ValueError
            If `x` is no tensor of floating point; or as the objective says.
        """
        needed("x", x, torch.Tensor)
        if not x.is_floating_point():
            raise TypeError(f"x is {x.dtype}; a tensor of floating point is needed")
        return apply(_Value, self.objective, x)[0]
