"""Maps from data: least squares on the exact Jacobian, many voxels at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import checks, engine
from ..arguments import takes
from ..checks import Array, shown
from ..notice import progress_bar
from ..sequence import Sequence
from ..tissue import Tissue
from ..tissue_parameters import NAMES, TISSUE, Maps
from .question import Question, plan, read_bounds, read_data, read_known, read_weights
from .result import Fit, Status
from .starts import Starts, check_sight, check_twins

if TYPE_CHECKING:
    from typing_extensions import Unpack

BLOCK = 1024  # voxels that are played together, while they are in work
CACHED = 1 << 21  # bytes of their signals and Jacobians
CHUNK = 2e8 / 20  # state updates of one play of a block: twenty take a fraction of a second
DAMPING = 1e-3  # at the start, relative to the diagonal of the normal matrix
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
    slice_prof: npt.ArrayLike = 1.0,
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
        Where to fit; broadcasts to the voxels.
    slice_prof, nstates
        As for `simulate`.
    max_iterations : int
        How often a voxel's signal is played at most.
    tolerance : float
        Relative step of the unknowns to stop at.
    progress : bool
        Whether to show a progress bar.
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
    job = plan(sequence, tissue, limits, found, options).cpu_job()
    if job.program.n_out != readouts:
        raise ValueError(
            f"data has shape {array.shape}: {readouts} readouts along the last axis, where the sequence has "
            f"{job.program.n_out}"
        )
    question = Question(
        sequence, names, found, limits, columns, kind, read_weights(weights, readouts), options, job
    )  # fmt: skip
    _check_count(question)
    most = checks.count("max_iterations", max_iterations)
    accuracy = checks.scalar("tolerance", tolerance, positive=True, maximum=1e-2)
    checks.flag("progress", progress)
    given_start = None if start is None else _read_start(start, question, inside)
    if tissue.size:
        samples = _samples(tissue, names)
        check_sight(question, samples)
        if start is None and found:
            check_twins(question, {name: values[0] for name, values in samples.items()})
    packed = question.packed(_faintest(question, noise is not None), accuracy, most)
    return _Fitting(question, packed, array, inside, tissue, deviation, given_start).run(progress)


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


class _Fitting:
    """Voxels at work: in blocks, on all threads, each block until none of its voxels is left."""

    def __init__(
        self, question: Question, packed: Any, data: npt.NDArray[Any], inside: npt.NDArray[np.bool_], tissue: Tissue,
        noise: Array, start: dict[str, Array] | None,
    ) -> None:  # fmt: skip
        self._question, self._packed, self._inside, self._noise = question, packed, inside, noise
        self._data = data.reshape(-1, data.shape[-1])
        self._places = np.flatnonzero(inside)
        self._table = tissue.table()
        self._m0 = self._table[NAMES.index("M0")].copy()
        if question.m0_columns:
            self._table[NAMES.index("M0")] = 1
        self._start, self._starts = start, None
        if start is None and question.found and self._places.size:
            self._starts = Starts(question, tissue)
        count, columns = self._places.size, question.columns
        self.values, self.left = np.full((count, columns), np.nan), np.full(count, np.nan)
        self.status, self.steps = np.zeros(count, np.int8), np.zeros(count, np.int32)
        self.covariance = np.full((count, columns, columns), np.nan)

    def run(self, progress: bool) -> Fit:
        """The result."""
        cost = self._question.job.plan.cost
        lanes = engine.LANES
        row = 16 * self._data.shape[1] * (1 + len(self._question.found))
        size = max(lanes, int(min(BLOCK, CACHED / row, CHUNK / cost)) // lanes * lanes)
        with progress_bar(progress, total=self._places.size, desc="fit", unit=" voxels", unit_scale=True) as bar:

            def work(first: int, last: int) -> None:
                for begin in range(first, last, size):
                    end = min(begin + size, last)
                    self._fit_block(slice(begin, end))
                    bar.update(end - begin)

            engine.spread(work, self._places.size, size, 20 * cost)
        return self._result()

    def _fit_block(self, voxels: slice) -> None:
        """From the best start, then from others where there are any: what leaves least is kept."""
        data = self._data[self._places[voxels]].astype(np.complex128)
        for number, values in enumerate(self._starting(data, voxels)):
            which = np.flatnonzero(np.isfinite(values).all(axis=1)) if number else np.arange(len(data))
            if not which.size:
                break
            work, covariance = self._descend(data[which], values[which], voxels.start + which)
            ended = (work.status == Status.CONVERGED) | (work.status == Status.AT_BOUND)
            at = voxels.start + which
            before = (self.status[at] == Status.CONVERGED) | (self.status[at] == Status.AT_BOUND)
            better = ended & ~(before & (self.left[at] <= work.left)) if number else np.full(which.size, True)
            at = at[better]
            self.values[at], self.left[at] = work.values[better], work.left[better]
            self.covariance[at], self.status[at] = covariance[better], work.status[better]
            self.steps[voxels.start + which] += work.steps

    def _starting(self, data: npt.NDArray[np.complex128], voxels: slice) -> list[Array]:
        """Values (voxel, unknown) to start from, the best first; NaN where there are no more."""
        names = self._question.found
        if self._start is not None:
            return [np.stack([self._start[name][voxels] for name in names], 1)]
        if not self._starts:
            return [np.zeros((len(data), 0))]
        places = self._starts.match(data, self._m0[voxels], voxels)
        values = np.stack([*self._starts.values.values()], 1)
        first, *others = (np.where(place[:, None] < 0, np.nan, values[place]) for place in places.T)
        return [np.where(np.isnan(first), values[len(values) // 2], first), *others]

    def _descend(self, data: npt.NDArray[np.complex128], start: Array, places: npt.NDArray[np.intp]) -> Any:
        """Voxels at work until none is left; how they ended, and their covariance."""
        question, packed, fits = self._question, self._packed, engine.fits()
        count, readouts, columns = len(data), data.shape[1], question.columns
        padded = np.append(places, np.repeat(places[-1], -count % engine.LANES))
        table = np.take(self._table, padded, axis=1)
        trial = np.zeros((count, columns))
        trial[:, : len(question.found)] = start
        for k, name in enumerate(question.found):
            table[packed.rows[k], :count] = TISSUE[name].rate.value(start[:, k])
            table[packed.rows[k], count:] = table[packed.rows[k], count - 1]
        square = columns, columns
        work = fits.Work(
            data, np.zeros((count, columns)), trial, np.zeros((count, columns)), np.zeros((count, *square)),
            np.zeros((count, *square)), np.zeros((count, *square)), np.full(count, np.inf), np.zeros(count),
            np.full(count, DAMPING), np.full(count, 2.0), self._noise[places], np.zeros(count, np.int32),
            np.zeros(count, np.int8), np.arange(count), table,
        )  # fmt: skip
        rooms = fits.Rooms(
            np.zeros(columns), np.zeros(square), np.zeros(square), np.zeros(columns, np.complex128), np.zeros(columns),
            np.zeros(columns, np.int64), np.zeros(square), np.zeros(columns), np.zeros(square), np.zeros(square),
        )  # fmt: skip
        signal = np.empty((count, readouts), np.complex128)
        jacobian = np.empty((count, len(question.found), readouts), np.complex128)
        covariance = np.full((count, *square), np.nan)
        while count:
            question.job.play(table, count, signal, jacobian)
            count = fits.step_batch(packed, work, signal, jacobian, covariance, rooms, count)
        return work, covariance

    def _result(self) -> Fit:
        """In the shape of the data, NaN where there is no answer."""
        question, shape = self._question, self._inside.shape
        bad = (self.status != Status.CONVERGED) & (self.status != Status.AT_BOUND)
        self.values[bad], self.left[bad], self.covariance[bad] = np.nan, np.nan, np.nan
        m0 = self.values[:, len(question.found) :]
        fitted = dict(zip(question.found, self.values.T, strict=False))
        if question.m0_columns:
            fitted["M0"] = m0[:, 0] + 1j * m0[:, 1] if question.m0_columns == 2 else m0[:, 0]

        def spread(array: npt.NDArray[Any], empty: Any) -> npt.NDArray[Any]:
            full = np.full((*shape, *array.shape[1:]), empty, array.dtype)
            full[self._inside] = array
            return full

        order = self._order()
        return Fit(
            question.unknowns,
            {name: spread(fitted[name], np.nan) for name in question.unknowns},
            spread(np.sqrt(self.left), np.nan),
            spread(self.status, Status.OUTSIDE),
            spread(self.steps, 0),
            spread(self.covariance[:, order][:, :, order], np.nan),
        )

    def _order(self) -> list[int]:
        """Columns of the covariance in the order of the unknowns."""
        q, order = len(self._question.found), []
        for name in self._question.unknowns:
            order += [q, q + 1][: self._question.m0_columns] if name == "M0" else [self._question.found.index(name)]
        return order
