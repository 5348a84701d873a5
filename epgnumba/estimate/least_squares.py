"""Maps from data: least squares on the exact Jacobian, many voxels at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import checks, engine
from ..arguments import takes
from ..checks import Array, shown
from ..sequence import Sequence
from ..slice_profile import Given as Profile
from ..tissue import Tissue
from ..tissue_parameters import NAMES, Maps
from .question import Question, plan, read_bounds, read_data, read_known, read_weights
from .result import Fit
from .starts import check_sight
from .twins import check_twins
from .voxels import Fitting

if TYPE_CHECKING:
    from typing_extensions import Unpack

MOST_ITERATIONS = 1_000_000_000
SAMPLES = 16  # voxels, with whose known maps it is looked whether the unknowns can be told at all
SIGNIFICANCE = 1e-4  # of a signal: how often noise alone would be taken for one


@takes(Maps)
def fit(
    sequence: Sequence,
    data: npt.ArrayLike,
    unknowns: str | tuple[str, ...] | list[str] = ("M0", "T2"),
    *,
    T1: npt.ArrayLike | None = None,
    T2: npt.ArrayLike | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    start: Mapping[str, npt.ArrayLike] | None = None,
    noise: npt.ArrayLike | None = None,
    magnitude: bool | None = None,
    complex_M0: bool = False,
    weights: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    slice_prof: Profile = 1.0,
    nstates: int | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-8,
    progress: bool = False,
    **given: Unpack[Maps],
) -> Fit:
    """Fit tissue parameters to data, voxel by voxel: non-linear least squares within bounds.

    Levenberg-Marquardt steps on the exact Jacobian, M0 eliminated by variable projection. Each voxel has a damping of
    its own, starts from the closest of a few hundred signals over the bounds, and depends on no other voxel. One that
    has no answer is NaN, and its status says why.

    Parameters
    ----------
    sequence : Sequence
        What was played.
    data : array_like, shape (*voxels, readouts)
        What was measured: complex numbers, or real ones, which are magnitudes. May hold NaN, in voxels that have no
        answer then.
    unknowns : str or tuple of str
        Tissue parameters to fit. Those that are not among them are known: T1 and T2 must be given, others have
        defaults (docs/maps.md).
    T1, T2 : array_like, optional
        Relaxation times that are known, ms. All maps broadcast to the voxels.
    bounds : mapping of str to (float, float), optional
        Lowest and highest value of an unknown. By default T1 in [10, 10000] ms, T2 in [1, 5000] ms, B1 in [0.4, 1.6],
        inv_efficiency in [0.5, 1], and M0 anywhere (of magnitudes: not below zero); of all others they must be given.
    start : mapping of str to array_like, optional
        Where to start, for all unknowns but M0; by default it is looked for.
    noise : float or array_like, optional
        Standard deviation of the noise in real and imaginary part; broadcasts to the voxels. The covariance is that of
        this noise, or else of the residual's. Magnitudes are compared with their mean in this noise (Rician), or else
        with the signal's magnitude, which noise exceeds: T2 is then too long where the signal has decayed to a few
        times the noise.
    magnitude : bool, optional
        Whether data are magnitudes; by default real ones are.
    complex_M0 : bool
        Whether M0 is complex, so that data may have any phase; else it is real.
    weights : array_like, shape (readouts,), optional
        Of the squares: inverse variances relative to that of `noise`, averages say; 0 leaves a readout out.
    mask : array_like of bool, optional
        Where to fit; broadcasts to the voxels. Outside maps may hold anything, and results are NaN.
    slice_prof, nstates
        As for `simulate`.
    max_iterations : int
        How often a voxel's signal is played at most.
    tolerance : float
        Relative step of the unknowns to stop at.
    progress : bool
        Whether to show a progress bar.
    B1 : array_like
        Transmit field, as a fraction of the nominal flip angle, the same for all kinds of pulses. 1 by default.
    **given
        Other maps that are known.

    Returns
    -------
    Fit

    Raises
    ------
    TypeError, ValueError
        Before anything runs: naming the argument, its value and what is allowed; if the sequence cannot see an unknown,
        or not tell the unknowns apart.

    Examples
    --------
    >>> import epgnumba
    >>> from epgnumba.estimate import fit
    >>> train = epgnumba.FSE([150.0] * 16, ESP=10)
    >>> data = abs(epgnumba.simulate(train, T1=1000, T2=[50, 90], M0=[3, 2]))
    >>> found = fit(train, data, ("M0", "T2"), T1=1000)
    >>> found.maps["T2"].round(6), found.maps["M0"].round(6)
    (array([50., 90.]), array([3., 2.]))
    """
    checks.needed("sequence", sequence, Sequence)
    names = checks.read_names("unknowns", unknowns, NAMES)
    array, is_magnitude = read_data(data, magnitude)
    shape, readouts = array.shape[:-1], array.shape[-1]
    maps = {name: value for name, value in {"T1": T1, "T2": T2, **given}.items() if value is not None}
    limits = read_bounds(bounds, names, is_magnitude)
    columns = _m0_columns(names, checks.flag("complex_M0", complex_M0), is_magnitude, bounds)
    tissue, inside = read_known(maps, names, shape, mask)
    deviation = _read_noise(noise, inside)
    kinds = engine.fits()
    kind = kinds.COMPLEX if not is_magnitude else kinds.MAGNITUDE if noise is None else kinds.RICIAN
    found = tuple(name for name in names if name != "M0")
    options = {"slice_prof": slice_prof, "nstates": nstates}
    problem = plan(sequence, tissue, limits, found, options)
    job = problem.cpu_job()
    if job.program.n_out != readouts:
        raise ValueError(
            f"data has shape {array.shape}: {readouts} readouts along the last axis, where the sequence has "
            f"{job.program.n_out}"
        )
    counted, bare = read_weights(weights, readouts), replace(problem, codes=()).cpu_job()
    question = Question(sequence, names, found, limits, columns, kind, counted, options, job, bare)
    _check_count(question)
    most = checks.count("max_iterations", max_iterations, most=MOST_ITERATIONS)
    accuracy = checks.scalar("tolerance", tolerance, positive=True, maximum=1e-2)
    checks.flag("progress", progress)
    given_start = None if start is None else _read_start(start, question, inside)
    if tissue.size:
        samples = _samples(tissue, names)
        check_sight(question, samples)
        if start is None and found:
            check_twins(question, {name: values[0] for name, values in samples.items()})
    packed = question.packed(_faintest(question, noise is not None), accuracy, most)
    return Fitting(question, packed, array, inside, tissue, deviation, given_start).run(progress)


def _m0_columns(names: tuple[str, ...], is_complex: bool, magnitude: bool, bounds: Any) -> int:
    """Numbers that M0 takes."""
    if not is_complex:
        return int("M0" in names)
    if "M0" not in names:
        raise ValueError(f"complex_M0=True is not allowed: M0 is none of the unknowns {names}")
    if magnitude:
        raise ValueError("complex_M0=True is not allowed: magnitudes leave no phase of M0")
    if bounds is not None and "M0" in bounds:
        raise ValueError("bounds['M0'] is not allowed with complex_M0=True")
    return 2


def _read_noise(noise: Any, inside: npt.NDArray[np.bool_]) -> Array:
    """Standard deviation of each voxel inside; 0: not known."""
    if noise is None:
        return np.zeros(np.count_nonzero(inside))
    array = checks.real_array("noise", noise)
    try:
        full = np.broadcast_to(array, inside.shape)
    except ValueError:
        raise ValueError(
            f"noise has shape {array.shape}; it must broadcast to the data's voxels, {inside.shape}"
        ) from None
    if array.ndim == 0:
        checks.check_range("noise", array, **checks.NOISE)
    return checks.check_range("noise, inside the mask,", full[inside], **checks.NOISE)


def _check_count(question: Question) -> None:
    """Refuse more unknowns than are measured."""
    used = int((question.weights > 0).sum())
    planes = 1 if question.kind != engine.fits().COMPLEX else question.job.program.signal.reach.planes
    if question.columns > used * (2 if question.m0_columns == 2 else planes):
        raise ValueError(
            f"unknowns={question.unknowns} are not allowed: {question.columns} numbers cannot be told from {used} "
            f"readout{'s' * (used != 1)}"
        )


def _read_start(start: Any, question: Question, inside: npt.NDArray[np.bool_]) -> dict[str, Array]:
    """Given starts of each voxel inside."""
    checks.needed("start", start, Mapping)
    if set(start) != set(question.found):
        raise ValueError(
            f"start={shown(start)} is not allowed: values of all of {question.found} are needed, no others"
        )
    found = {}
    for name, value in start.items():
        array, (low, high) = checks.real_array(f"start[{name!r}]", value), question.bounds[name]
        try:
            full = np.broadcast_to(array, inside.shape)[inside]
        except ValueError:
            raise ValueError(
                f"start[{name!r}] has shape {array.shape}; it must broadcast to the data's voxels, {inside.shape}"
            ) from None
        found[name] = checks.check_range(f"start[{name!r}], inside the mask,", full, minimum=low, maximum=high)
    return found


def _samples(tissue: Tissue, unknowns: tuple[str, ...]) -> dict[str, Array]:
    """What is known, of a few voxels spread over all."""
    assert tissue.mask is not None, "it was given"
    places = np.flatnonzero(tissue.mask)
    places = places[:: max(1, -(-places.size // SAMPLES))]
    return {
        name: np.broadcast_to(array, tissue.shape).ravel()[places]
        for name, array in tissue.maps.items()
        if name not in ("M0", *unknowns)
    }


def _faintest(question: Question, known: bool) -> float:
    """Which energy, over the noise's or the residual's, tells a signal from noise (see `kernels.fit.is_dark`)."""
    from scipy.stats import chi2, f

    if question.kind == engine.fits().RICIAN:
        return float(chi2.isf(SIGNIFICANCE, 2 * question.samples))
    if known:
        return float(chi2.isf(SIGNIFICANCE, question.columns))
    spare = question.samples - question.columns
    return float(f.isf(SIGNIFICANCE, question.columns, spare) * question.columns / spare) if spare > 0 else 0.0
