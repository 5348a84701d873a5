"""A torch cost as a function that scipy minimises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from ..checks import shown, vector


def scipy_objective(
    cost: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype = torch.float64
) -> Callable[[npt.ArrayLike], tuple[float, npt.NDArray[np.float64]]]:
    """Value and gradient of a torch cost, for ``scipy.optimize.minimize(..., jac=True)``.

    Parameters
    ----------
    cost : callable
        From a one-dimensional tensor to a real scalar tensor.
    dtype : torch.dtype
        Type of the tensor that it is called with.

    Returns
    -------
    callable
        From an array to (value, gradient).

    Raises
    ------
    TypeError, ValueError
        If `cost` is not callable, or `dtype` not of floating point. When called, if the argument is no finite vector,
        the cost is not a real scalar, or does not depend on its argument.

    Examples
    --------
    >>> objective = scipy_objective(lambda x: (x**2).sum())
    >>> objective([1.0, 2.0])
    (5.0, array([2., 4.]))
    """
    if not callable(cost):
        raise TypeError(f"cost={shown(cost)} is not callable")
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"dtype={shown(dtype)} is not allowed: a floating-point type of torch is needed")

    def objective(x: npt.ArrayLike) -> tuple[float, npt.NDArray[np.float64]]:
        variable = torch.tensor(vector("x", x), dtype=dtype, requires_grad=True)
        value = cost(variable)
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"cost returned {type(value).__name__}; a real scalar tensor is needed")
        if value.numel() != 1 or value.is_complex():
            raise ValueError(f"cost returned {value.dtype} of shape {tuple(value.shape)}; a real scalar is needed")
        if not value.requires_grad:
            raise ValueError("cost does not depend on its argument, or the gradient was lost on the way")
        (gradient,) = torch.autograd.grad(value, variable, allow_unused=True)
        if gradient is None:
            raise ValueError("cost does not depend on its argument, or the gradient was lost on the way")
        return float(value.detach()), gradient.detach().to(torch.float64).numpy()

    return objective
