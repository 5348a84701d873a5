"""The Cramer-Rao lower bound of a Jacobian tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from ..calls import uncompiled
from ..design.bound import check_bound, rounding_limit
from ..kernels.columns import FAINTEST


def _all(values: Any, allowed: Callable[[Any], Any]) -> bool:
    """Whether all of them are allowed; numbers are not made tensors for it, as those are being recorded or batched."""
    given = values if isinstance(values, torch.Tensor) else np.asarray(values)
    return bool(allowed(given).all())


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
    ValueError
        As `epgnumba.crlb`.

    Examples
    --------
    >>> import torch
    >>> crlb(torch.tensor([[3.0, 4.0]], dtype=torch.complex128), noise=10.0)
    tensor([4.], dtype=torch.float64)
    """
    jac = torch.as_tensor(jac)
    if not (jac.is_floating_point() or jac.is_complex()):
        jac = jac.to(torch.float64)
    if weights is not None and not _all(weights, lambda given: given >= 0):
        raise ValueError(f"weights={torch.as_tensor(weights).tolist()} is not allowed: it must be at least 0")
    check_bound(tuple(jac.shape), None if weights is None else tuple(torch.as_tensor(weights).shape), singular)
    if not _all(noise, lambda given: (given > 0) & (given < np.inf)):
        raise ValueError(f"noise={torch.as_tensor(noise).tolist()} is not allowed: it must be positive and finite")
    noise = torch.as_tensor(noise, dtype=jac.real.dtype, device=jac.device)
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
    if weights is None:
        return bound
    weights = torch.as_tensor(weights, dtype=bound.dtype, device=bound.device)
    # An unknown of weight zero is a nuisance: it counts in the matrix, not in the sum, infinite or not.
    return torch.where(weights == 0, torch.zeros_like(bound), weights * bound).sum(-1)
