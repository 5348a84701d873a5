"""Whether a protocol's Cramer-Rao bound is reached: noise, fits, and what they scatter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from .. import checks
from ..arguments import takes
from ..checks import Array
from ..notice import progress_bar
from ..problem import read_diff, read_problem
from ..sequence import Sequence
from ..slice_profile import Given as Profile
from ..tissue import Tissue
from ..tissue_parameters import NAMES, Maps
from .bound import is_regular, rounding_limit

if TYPE_CHECKING:
    from typing_extensions import Unpack

MOST = 100_000_000  # draws, of some bytes each
FEWEST = 100  # draws: of fewer, no spread of a variance is told


@dataclass
class Verification:
    """What fits of noisy signals scatter, beside the bound.

    Arrays begin with the shape of the tissues; unknowns come in their order.

    Attributes
    ----------
    unknowns : tuple of str
    truth : ndarray, shape (*tissue, unknowns)
    bound : ndarray, shape (*tissue, unknowns, unknowns)
        The Cramer-Rao bound of the covariance: the inverse of the Fisher matrix.
    estimates : ndarray, shape (*tissue, draws, unknowns)
        NaN where a fit failed.
    failed, at_bound : ndarray of int, shape (*tissue,)
        How many draws have no estimate; and how many lie on a bound that the fit was given.
    bias, bias_interval : ndarray, shape (*tissue, unknowns), (*tissue, unknowns, 2)
        Mean error, and its confidence interval.
    covariance : ndarray, shape (*tissue, unknowns, unknowns)
        Of the estimates.
    ratio, ratio_interval : ndarray, shape (*tissue, unknowns), (*tissue, unknowns, 2)
        Variance over its bound, and the confidence interval of that.
    confidence : float
    """

    unknowns: tuple[str, ...]
    truth: Array
    bound: Array
    estimates: Array
    failed: npt.NDArray[np.int64]
    at_bound: npt.NDArray[np.int64]
    bias: Array
    bias_interval: Array
    covariance: Array
    ratio: Array
    ratio_interval: Array
    confidence: float

    @property
    def unbiased(self) -> npt.NDArray[np.bool_]:
        """Whether zero lies in the interval of the bias; (*tissue, unknowns)."""
        low, high = np.moveaxis(self.bias_interval, -1, 0)
        return np.asarray((low <= 0) & (high >= 0))

    @property
    def efficient(self) -> npt.NDArray[np.bool_]:
        """Whether one lies in the interval of the ratio; (*tissue, unknowns)."""
        low, high = np.moveaxis(self.ratio_interval, -1, 0)
        return np.asarray((low <= 1) & (high >= 1))

    def __str__(self) -> str:
        lines = []
        for place in np.ndindex(self.failed.shape):
            where = f"tissue {place}: " if place else ""
            ends = f"{self.failed[place]} failed, {self.at_bound[place]} at a bound"
            lines.append(f"{where}{self.estimates.shape[-2]} draws, {ends}")
            for k, name in enumerate(self.unknowns):
                at = (*place, k)
                bias, ratio = self.bias_interval[at], self.ratio_interval[at]
                lines.append(
                    f"{name} {self.truth[at]:.6g}: bias {self.bias[at]:+.3g} [{bias[0]:+.3g}, {bias[1]:+.3g}], "
                    f"std {np.sqrt(self.covariance[(*at, k)]):.4g}, bound {np.sqrt(self.bound[(*at, k)]):.4g}, "
                    f"variance over bound {self.ratio[at]:.3f} [{ratio[0]:.3f}, {ratio[1]:.3f}]"
                )
        return "\n".join(lines)


@takes(Maps)
def verify(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    *,
    unknowns: str | tuple[str, ...] | list[str] = ("M0", "T2"),
    noise: float,
    draws: int = 20_000,
    seed: int = 0,
    data: Literal["complex", "magnitude"] = "complex",
    bounds: Mapping[str, tuple[float, float]] | None = None,
    confidence: float = 0.99,
    slice_prof: Profile = 1.0,
    nstates: int | None = None,
    progress: bool = False,
    **given: Unpack[Maps],
) -> Verification:
    """Fit a protocol's signals with noise added, again and again, and compare with the Cramer-Rao bound.

    The bound holds for unbiased estimates, and least squares reach it while the signal is linear over their scatter.
    Where the noise is larger, estimates become biased and the ratio leaves one (docs/estimation.md).

    Parameters
    ----------
    sequence : Sequence
        The protocol.
    T1, T2, **given : array_like
        Tissues, as for `simulate`.
    unknowns : str or tuple of str
        What is fitted together; all else is known.
    noise : float
        Standard deviation of the noise in real and imaginary part.
    draws : int
        How often noise is drawn, for each tissue; at least 100.
    seed : int
        Of the noise; the same draws for the same seed.
    data : 'complex' or 'magnitude'
        What is measured. Of magnitudes the bound is that of high SNR.
    bounds : mapping of str to (float, float), optional
        As for `epgnumba.estimate.fit`.
    confidence : float
        Of intervals.
    slice_prof, nstates
        As for `simulate`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Verification

    Raises
    ------
    TypeError, ValueError
        Before anything runs: naming the argument, its value and what is allowed; if a tissue lies outside of the
        bounds, or the protocol cannot tell the unknowns of a tissue.

    Examples
    --------
    >>> import epgnumba
    >>> from epgnumba.design import verify
    >>> train = epgnumba.FSE([150.0] * 16, ESP=10)
    >>> found = verify(train, T1=1000, T2=80, unknowns=("M0", "T2"), noise=0.005, draws=5000)
    >>> found.unbiased, found.efficient
    (array([ True,  True]), array([ True,  True]))
    """
    if unknowns is None:
        raise TypeError("unknowns=None is not allowed: it must be a name or a tuple of names")
    names = tuple(NAMES[code] for code in read_diff(unknowns, "unknowns"))
    problem = read_problem(sequence, T1, T2, diff=names, slice_prof=slice_prof, nstates=nstates, **given)
    tissue = problem.host_tissue
    if not tissue.size:
        raise ValueError("T1, T2 and other maps hold no tissue; at least one is needed")
    deviation = checks.scalar("noise", noise, **checks.NOISE)
    count = checks.count("draws", draws, most=MOST)
    if count < FEWEST:
        raise ValueError(f"draws={count} is not allowed: it must be at least {FEWEST}")
    root = checks.seed("seed", seed)
    magnitude = checks.choice("data", data, ("complex", "magnitude")) == "magnitude"
    level = checks.scalar("confidence", confidence, minimum=0.5, maximum=1 - 1e-9)
    checks.flag("progress", progress)
    _check_inside(tissue, names, bounds, magnitude)
    signals, slopes = problem.job().signals()
    limits = _bounds_of(signals, slopes, names, magnitude) * deviation**2
    maps = {name: np.broadcast_to(array, tissue.shape).ravel() for name, array in tissue.maps.items()}
    options = {"bounds": bounds, "slice_prof": slice_prof, "nstates": nstates, "noise": deviation}
    runs = []
    with progress_bar(progress, total=len(signals), desc="verify", unit=" tissues") as bar:
        for place, signal in enumerate(signals):
            known = {name: array[place] for name, array in maps.items() if name not in names}
            rng = np.random.default_rng([root, place])
            runs.append(_drawn(sequence, signal, rng, count, deviation, names, magnitude, known, options))
            bar.update()
    truth = np.stack([maps[name] for name in names], -1)
    return _compared(tissue.shape, names, truth, limits, runs, level)


def _check_inside(tissue: Tissue, names: tuple[str, ...], bounds: Any, magnitude: bool) -> None:
    """Refuse tissues that a fit would not find, being outside of its bounds."""
    from ..estimate.question import read_bounds

    for name, (low, high) in read_bounds(bounds, names, magnitude).items():
        array = tissue.maps[name]
        if array.size and not ((array > low) & (array < high)).all():
            raise ValueError(
                f"{name} is not allowed: between {array.min():g} and {array.max():g}, it does not keep inside of the "
                f"bounds of the fit, ({low:g}, {high:g}); give others in bounds={{{name!r}: (lowest, highest)}}"
            )


def _bounds_of(
    signals: npt.NDArray[np.complexfloating], slopes: npt.NDArray[np.complexfloating], names: tuple[str, ...],
    magnitude: bool,
) -> Array:  # fmt: skip
    """Inverses of the Fisher matrices, for a noise of one.

    Raises
    ------
    ValueError
        If there is none.
    """
    seen = slopes
    if magnitude:
        sizes = abs(signals)[:, None]
        seen = (slopes * np.conj(signals)[:, None]).real / np.where(sizes == 0, 1, sizes)
    fisher = (seen @ np.conj(np.swapaxes(seen, 1, 2))).real
    scale = np.sqrt(np.diagonal(fisher, axis1=1, axis2=2))
    both = scale[:, :, None] * scale[:, None, :]
    unit = np.divide(fisher, both, out=np.zeros_like(fisher), where=both > 0)
    limit = rounding_limit(len(names), seen.shape[-1], float(np.finfo(float).eps))
    if not (is_regular(np.linalg.eigvalsh(unit), limit) & (scale > 0).all(axis=1)).all():
        raise ValueError(f"unknowns={names} are not allowed: the protocol cannot tell them apart in some tissue")
    return np.asarray(np.linalg.inv(unit) / both)


def _drawn(
    sequence: Sequence, signal: npt.NDArray[np.complexfloating], rng: np.random.Generator, count: int, noise: float,
    names: tuple[str, ...], magnitude: bool, known: Mapping[str, Any], options: Mapping[str, Any],
) -> tuple[Array, int]:  # fmt: skip
    """Estimates (draw, unknown) of one tissue, and how many lie on a bound."""
    from ..estimate import Status, fit

    shape = (count, signal.size)
    drawn = signal + noise * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    found = fit(sequence, abs(drawn) if magnitude else drawn, names, **known, **options)
    at_bound = int((found.status == Status.AT_BOUND).sum())
    return np.stack([found.maps[name] for name in names], -1), at_bound


def _compared(
    shape: tuple[int, ...], names: tuple[str, ...], truth: Array, limits: Array, runs: list[tuple[Array, int]],
    level: float,
) -> Verification:  # fmt: skip
    """Moments of the estimates that there are, and their intervals."""
    from scipy.stats import norm

    width, p = float(norm.isf((1 - level) / 2)), len(names)
    estimates = np.array([run[0] for run in runs])
    fine = np.isfinite(estimates).all(axis=-1)
    bias, half, ratio = (np.full((len(runs), p), np.nan) for _ in range(3))
    ratio_ends, covariance = np.full((len(runs), p, 2), np.nan), np.full((len(runs), p, p), np.nan)
    for place, kept in enumerate(fine):
        count = int(kept.sum())
        if count < 2:
            continue
        errors = estimates[place, kept] - truth[place]
        bias[place] = errors.mean(axis=0)
        centred = errors - bias[place]
        covariance[place] = centred.T @ centred / (count - 1)
        variance = np.diagonal(covariance[place])
        half[place] = width * np.sqrt(variance / count)
        ratio[place] = variance / np.diagonal(limits[place])
        # A variance's own deviation, whatever the distribution, and on a scale on which it is nearer to normal.
        spread = np.sqrt(np.maximum((centred**4).mean(axis=0) / variance**2 - 1, 0) / count)
        ratio_ends[place] = ratio[place][:, None] * np.exp(np.outer(spread, [-width, width]))
    at_bound = np.array([run[1] for run in runs], np.int64)
    return Verification(
        names,
        truth.reshape(*shape, p),
        limits.reshape(*shape, p, p),
        estimates.reshape(*shape, *estimates.shape[1:]),
        (~fine).sum(axis=1).reshape(shape),
        at_bound.reshape(shape),
        bias.reshape(*shape, p),
        np.stack([bias - half, bias + half], -1).reshape(*shape, p, 2),
        covariance.reshape(*shape, p, p),
        ratio.reshape(*shape, p),
        ratio_ends.reshape(*shape, p, 2),
        level,
    )
