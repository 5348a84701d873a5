"""The Cramer-Rao lower bound of a Jacobian tensor."""

from __future__ import annotations

from typing import Any, Literal

import torch

from ..calls import uncompiled
from ..checks import NOISE, WEIGHT, check_range, in_words, numeric_array, real_array, shown
from ..design.bound import check_bound, rounding_limit
from ..kernels.columns import FAINTEST


def _all(inside: torch.Tensor) -> bool:
    """Whether all of them are true, or nobody can tell, as they are being batched or recorded."""
    try:
        return bool(inside.all())
    except RuntimeError:
        return True


def _checked(name: str, value: Any, **limits: Any) -> Any:
    """A tensor, or an array of what is none, within limits: numbers are not made tensors while these are recorded.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
    """
    if not isinstance(value, torch.Tensor):
        return check_range(name, real_array(name, value), **limits)
    if value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} is {value.dtype}; real numbers are needed")
    given = value.detach().to(torch.float64)
    low, high = limits["minimum"], limits["maximum"]
    if not _all((given >= low) & (given <= high)):
        raise ValueError(f"{name}={shown(given.tolist())} is not allowed: it must be {in_words(**limits)}")
    return value


def _slopes(jac: Any) -> torch.Tensor:
    """The Jacobian, in numbers of floating point."""
    if not isinstance(jac, torch.Tensor):
        return torch.as_tensor(numeric_array("jac", jac) * 1.0)
    if jac.dtype == torch.bool:
        raise TypeError(f"jac is {jac.dtype}; numbers are needed")
    if not _all(torch.isfinite(jac.detach())):
        raise ValueError("jac is not finite")
    return jac if jac.is_floating_point() or jac.is_complex() else jac.to(torch.float64)


@uncompiled
def crlb(
    jac: torch.Tensor,
    weights: torch.Tensor | float | None = None,
    noise: torch.Tensor | float = 1.0,
    singular: Literal["inf", "raise"] = "inf",
) -> torch.Tensor:
    """`epgnumba.crlb` on tensors, differentiable: the same arguments and errors.

    Where the Fisher matrix is singular the bound is inf and its gradient zero.

    Raises
    ------
    TypeError, ValueError
        As `epgnumba.crlb`. What is batched or recorded has no values yet, and is checked for shapes alone.

    Examples
    --------
    >>> import torch
    >>> crlb(torch.tensor([[3.0, 4.0]], dtype=torch.complex128), noise=10.0)
    tensor([4.], dtype=torch.float64)
    """
    jac = _slopes(jac)
    given = None if weights is None else _checked("weights", weights, **WEIGHT)
    deviation = _checked("noise", noise, **NOISE)
    shape = None if given is None else tuple(given.shape)
    check_bound(tuple(jac.shape), jac.is_complex(), shape, tuple(deviation.shape), singular)
    noise = torch.as_tensor(deviation, dtype=jac.real.dtype, device=jac.device)
    fisher = (jac @ jac.mH).real if jac.is_complex() else jac @ jac.mT
    squares = fisher.diagonal(dim1=-2, dim2=-1)
    visible = squares.detach() > FAINTEST
    safe = torch.where(visible, squares, torch.ones_like(squares)).sqrt()  # chosen first: sqrt has no slope at zero
    correlation = fisher / (safe[..., :, None] * safe[..., None, :])
    limit = rounding_limit(jac.shape[-2], jac.shape[-1], torch.finfo(correlation.dtype).eps)
    usable = visible.all(-1) & torch.isfinite(correlation.detach()).all(-1).all(-1)
    unit = torch.eye(jac.shape[-2], dtype=correlation.dtype, device=jac.device)
    trusted = torch.where(usable[..., None, None], correlation, unit)
    eigenvalues = torch.linalg.eigvalsh(trusted.detach())
    inverses = torch.where(eigenvalues > 0, eigenvalues, torch.inf).reciprocal()
    usable = usable & (eigenvalues.amin(-1) > 0) & (inverses.sum(-1) * limit < 1)  # as `design.bound.is_regular`
    if singular == "raise" and not bool(usable.all()):
        raise ValueError("the Fisher matrix is singular to working precision: the unknowns cannot be told apart")
    trusted = torch.where(usable[..., None, None], correlation, unit)
    variance = torch.linalg.inv(trusted).diagonal(dim1=-2, dim2=-1) / safe**2 * noise[..., None] ** 2
    bound = torch.where(usable[..., None], variance, torch.full_like(variance, torch.inf))
    if given is None:
        return bound
    weights = torch.as_tensor(given, dtype=bound.dtype, device=bound.device)
    # An unknown of weight zero is a nuisance: it counts in the matrix, not in the sum, infinite or not.
    return torch.where(weights == 0, torch.zeros_like(bound), weights * bound).sum(-1)
