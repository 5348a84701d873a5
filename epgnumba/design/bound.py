"""The Cramer-Rao lower bound of a Jacobian."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from ..calls import has_tensor, uncompiled
from ..checks import NOISE, WEIGHT, Array, check_range, choice, numeric_array, real_array
from ..kernels.columns import FAINTEST
from ..labels import PARAMETER, READOUT, is_labelled, read_labels
from ..names import knows_names


def check_bound(
    jac: tuple[int, ...], complex_samples: bool, weights: tuple[int, ...] | None, noise: tuple[int, ...], singular: str
) -> None:
    """Refuse what is wrong with the shapes of a bound's arguments.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    if len(jac) < 2 or 0 in jac:
        raise ValueError(f"jac has shape {jac}; (..., unknowns, samples) is needed, none of them zero")
    if jac[-2] > jac[-1] * (1 + complex_samples):
        raise ValueError(
            f"jac has shape {jac}, of more unknowns ({jac[-2]}) than {'twice the ' * complex_samples}samples "
            f"({jac[-1]}): the bound is infinite; are its axes, (..., unknowns, samples), swapped?"
        )
    if weights is not None and weights not in ((), (jac[-2],)):
        raise ValueError(f"weights has shape {weights}; a number or one per unknown, ({jac[-2]},), is needed")
    try:
        together = np.broadcast_shapes(noise, jac[:-2])
    except ValueError:
        raise ValueError(f"noise has shape {noise}; it must broadcast to {jac[:-2]}") from None
    if noise and noise[-1] == jac[-1] > 1 and together != jac[:-2]:
        raise ValueError(
            f"noise has shape {noise}, an entry for each sample, where it broadcasts to the axes before the unknowns, "
            f"{jac[:-2]}; of samples with noise of their own give jac / noise"
        )
    choice("singular", singular, ("inf", "raise"))


@uncompiled
@knows_names
def crlb(
    jac: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    noise: npt.ArrayLike = 1.0,
    singular: Literal["inf", "raise"] = "inf",
) -> Array | Any:
    """Cramer-Rao lower bound on the variance of each unknown, from the Jacobian of the signal.

    The Fisher matrix of complex samples with independent noise of standard deviation `noise` in real and imaginary part
    is Re(J J^H) / noise^2; the bound is the diagonal of its inverse. A tensor is handled by `epgnumba.torch.crlb`.

    Parameters
    ----------
    jac : array_like, shape (..., unknowns, samples)
        Derivatives of the signal; real or complex. No more unknowns than samples, of which complex ones count twice.
    weights : array_like, shape (unknowns,), optional
        If given, the weighted sum over unknowns is returned; weight 0 makes an unknown a nuisance.
    noise : float or array_like
        Standard deviation of the noise; broadcasts against the leading axes of `jac`.
    singular : 'inf' or 'raise'
        What a Fisher matrix that is singular to working precision gives: an infinite bound, or an error.

    Returns
    -------
    ndarray, shape (..., unknowns), or (...) with weights
        Bounds, in the squared units of the unknowns. Of a DataArray with dimensions "parameter" (not needed for one
        unknown) and "readout", a DataArray without "readout".

    Raises
    ------
    TypeError, ValueError
        If types, shapes or values are not allowed; with ``singular='raise'``, if the matrix is singular.

    References
    ----------
    S. M. Kay, "Fundamentals of statistical signal processing: estimation theory" (1993), ch. 3.

    Examples
    --------
    >>> crlb([[3.0, 4.0]], noise=10.0)
    array([4.])
    >>> crlb([[1.0, 1.0], [2.0, 2.0]])
    array([inf, inf])
    """
    if is_labelled(jac) or is_labelled(noise):
        return _labelled_crlb(jac, weights, noise, singular)
    if has_tensor((jac, weights, noise)):
        from ..torch import crlb as on_tensors

        tensors: tuple[Any, Any, Any] = (jac, weights, noise)
        return on_tensors(*tensors, singular)
    slopes = numeric_array("jac", jac)
    given = None if weights is None else check_range("weights", real_array("weights", weights), **WEIGHT)
    deviation = check_range("noise", real_array("noise", noise), **NOISE)
    shape = None if given is None else given.shape
    check_bound(slopes.shape, slopes.dtype.kind == "c", shape, deviation.shape, singular)
    single = slopes.dtype in (np.float32, np.complex64)
    slopes = slopes.astype(np.complex128 if slopes.dtype.kind == "c" else np.float64)
    fisher = (slopes @ np.conj(np.swapaxes(slopes, -1, -2))).real
    epsilon = float(np.finfo(np.float32 if single else np.float64).eps)
    limit = rounding_limit(slopes.shape[-2], slopes.shape[-1], epsilon)
    bound = _invert_diagonal(fisher, limit, singular) * deviation[..., None] ** 2
    if given is None:
        return bound
    with np.errstate(invalid="ignore"):  # 0 times inf: a nuisance does not count, infinite or not
        return np.where(given == 0, 0.0, given * bound).sum(axis=-1)


def _labelled_crlb(jac: Any, weights: npt.ArrayLike | None, noise: Any, singular: Literal["inf", "raise"]) -> Any:
    """`crlb` of a DataArray, whose dimensions say which is which; without one for parameters there is one unknown."""
    if not is_labelled(jac) or READOUT not in jac.dims:
        raise ValueError(f"jac has no dimension {READOUT!r} by name, as it needs beside names or as a DataArray")
    single = PARAMETER not in jac.dims
    slopes = jac.transpose(..., READOUT) if single else jac.transpose(..., PARAMETER, READOUT)
    voxels = slopes.isel({READOUT: 0} if single else {READOUT: 0, PARAMETER: 0}, drop=True)
    labels = read_labels({"jac": voxels, "noise": noise})
    assert labels is not None, "jac has names"
    if set(labels.like.dims) != set(voxels.dims):
        raise ValueError(f"noise has dimensions {noise.dims}; it must broadcast to {voxels.dims}")
    array = slopes.values[..., None, :] if single else slopes.values
    bound = crlb(array, weights, labels.values("noise") if "noise" in labels.given else noise, singular)
    if weights is not None:
        return labels.named(bound)
    if single:
        return labels.named(bound[..., 0])
    return slopes.isel({READOUT: 0}, drop=True).copy(data=bound)


def rounding_limit(unknowns: int, samples: int, epsilon: float) -> float:
    """What rounding makes of an eigenvalue of a scaled Fisher matrix that is zero."""
    return 4 * unknowns * samples * epsilon


def is_regular(eigenvalues: Array, limit: float) -> npt.NDArray[np.bool_]:
    """Whether matrices of unit diagonal have an inverse to working precision, by their eigenvalues (..., unknowns).

    They have if the trace of the inverse is below one over `limit`, the rounding of the sums that made them: bounds and
    objectives all ask this, some of them of the inverse itself.
    """
    smallest = eigenvalues.min(axis=-1)
    inverse = 1 / np.where(eigenvalues > 0, eigenvalues, np.inf)
    return np.asarray((smallest > 0) & (inverse.sum(axis=-1) * limit < 1))


def _invert_diagonal(fisher: Array, limit: float, singular: str) -> Array:
    """Diagonal of the inverse, inf where there is none.

    The matrix is scaled to unit diagonal, so that the verdict does not depend on units (see `is_regular`).
    """
    scale = np.sqrt(np.diagonal(fisher, axis1=-2, axis2=-1))
    visible = scale**2 > FAINTEST
    safe = np.where(visible, scale, 1.0)
    correlation = fisher / (safe[..., :, None] * safe[..., None, :])
    size = fisher.shape[-1]
    usable = visible.all(axis=-1) & np.isfinite(correlation).all(axis=(-1, -2))
    trusted = np.where(usable[..., None, None], correlation, np.eye(size))
    usable &= is_regular(np.linalg.eigvalsh(trusted), limit)
    if singular == "raise" and not usable.all():
        raise ValueError("the Fisher matrix is singular to working precision: the unknowns cannot be told apart")
    trusted = np.where(usable[..., None, None], correlation, np.eye(size))
    inverse = np.diagonal(np.linalg.inv(trusted), axis1=-2, axis2=-1)
    return cast("Array", np.where(usable[..., None], inverse / safe**2, np.inf))
