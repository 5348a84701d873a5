"""A design objective inside torch."""

from typing import Any

import numpy as np
import torch

from ..calls import uncompiled
from ..design.objective import CRLBObjective


class _Value(torch.autograd.Function):
    """(objective, x) -> value; the gradient comes with it."""

    @staticmethod
    def forward(ctx: Any, objective: CRLBObjective, x: torch.Tensor) -> torch.Tensor:
        value, gradient = objective(np.asarray(x.detach().cpu().numpy(), np.float64))
        ctx.save_for_backward(torch.from_numpy(np.array(gradient)).to(x))
        return x.new_tensor(value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, bar: torch.Tensor) -> tuple[None, torch.Tensor]:
        (gradient,) = ctx.saved_tensors
        return None, bar * gradient


class CRLBModule(torch.nn.Module):
    """A `CRLBObjective` as a module: from design variables to the value, differentiable once.

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
    """

    def __init__(self, objective: CRLBObjective) -> None:
        super().__init__()
        self.objective = objective

    @uncompiled
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Value of the objective at `x`, shape (variables,)."""
        value: torch.Tensor = _Value.apply(self.objective, x)  # type: ignore[no-untyped-call]
        return value
