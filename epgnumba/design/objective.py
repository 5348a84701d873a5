"""Bounds of a protocol as a function that scipy minimises, without torch in the path."""

from __future__ import annotations

import threading
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from .. import checks, engine, transmit
from ..arguments import takes
from ..checks import FLIP, Array, check_range, real_array, scalar, shown
from ..derivatives import STEP, pull_back
from ..kernels.columns import M0 as M0_CODE
from ..problem import POOLS, read_diff, read_problem
from ..program.expressions import unflatten
from ..sequence.sequence import Sequence
from ..slice_profile import Given as Profile
from ..tissue import Tissue
from ..tissue_parameters import Maps
from .bound import crlb
from .criteria import Criterion, worst_case
from .variables import Spec, Variables

if TYPE_CHECKING:
    from typing_extensions import Unpack


class CRLBObjective:
    """Cramer-Rao bounds of a protocol, as one number with its exact gradient.

    Call it with the design variables, joined in the order of `variables`; it returns (value, gradient), for
    ``scipy.optimize.minimize(objective, objective.x0, jac=True, hessp=objective.hessp)``. One call plays every tissue
    forward and backward; its cost does not depend on the number of variables.

    Parameters
    ----------
    sequence : Sequence
        The protocol to start from; parameters that are not variables keep its values.
    T1, T2, **given : array_like
        Tissues (and field errors), as for `simulate`: any number of them, in any shapes that broadcast.
    unknowns : str or tuple of str
        What is estimated together: any tissue parameters (see docs/maps.md). No more than there are samples, of which
        complex ones count twice unless the signal keeps to a line of the complex plane.
    weights : array_like, shape (unknowns,) or (*tissue, unknowns), optional
        Weights of the bounds, 1 by default; 0 makes an unknown a nuisance.
    relative : bool
        Whether weights are of relative precision: divided by the square of the unknown's value.
    tissue_weights : array_like, optional
        Weights of the tissues, broadcast to their shape, 1 by default.
    noise : float
        Standard deviation of the noise in real and imaginary part, of one coil; several coils combined for best SNR
        count as one with this noise over the root sum of squares of their sensitivities.
    variables : tuple of str, or mapping of str to `Free`, `Shared`, `BSpline`, `PiecewiseLinear`
        Parameters of the sequence to design, and how.
    criterion : 'A', 'D' or 'E'
        Of the unknowns that have weight: the sum of their weighted bounds; the determinant of the weighted bounds'
        matrix, to the power of one over its size; its largest eigenvalue.
    over : 'mean' or 'worst'
        Over tissues: the weighted sum, or the largest weighted value, smoothed to a p-norm (see `worst` for the true
        one).
    sharpness : float, optional
        The p of that norm; only for 'worst', and there 20 by default.
    data : 'complex' or 'magnitude'
        What is measured; magnitudes at high SNR.
    per_time : bool
        Whether values are multiplied by the duration of a repetition (ms): precision for a given total time.
    slice_prof, nstates
        As for `simulate`.
    singular : 'inf' or 'raise'
        What a Fisher matrix that is singular to working precision gives: the value inf, to whose gradient that tissue
        adds nothing, or an error.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import numpy as np, epgnumba
    >>> train = epgnumba.FSE(np.full(96, 60.0), ESP=5)
    >>> objective = CRLBObjective(train, T1=1000, T2=100, unknowns="T2")
    >>> value, gradient = objective(objective.x0)
    >>> round(value, 6), gradient[:3].round(6)
    (7197.580283, array([-149.754873,   -7.101488,   40.504699]))
    """

    @takes(Maps)
    def __init__(
        self,
        sequence: Sequence,
        T1: npt.ArrayLike,
        T2: npt.ArrayLike,
        *,
        unknowns: str | tuple[str, ...] | list[str] = "T2",
        weights: npt.ArrayLike | None = None,
        relative: bool = False,
        tissue_weights: npt.ArrayLike = 1.0,
        noise: float = 1.0,
        variables: Spec = ("flip",),
        criterion: Literal["A", "D", "E"] = "A",
        over: Literal["mean", "worst"] = "mean",
        sharpness: float | None = None,
        data: Literal["complex", "magnitude"] = "complex",
        per_time: bool = False,
        slice_prof: Profile = 1.0,
        nstates: int | None = None,
        singular: Literal["inf", "raise"] = "inf",
        **given: Unpack[Maps],
    ) -> None:
        if unknowns is None:
            raise TypeError("unknowns=None is not allowed: it must be a name or a tuple of names")
        read_diff(unknowns, "unknowns", transmit.rows_with(given.get("B1")))
        problem = read_problem(sequence, T1, T2, diff=unknowns, slice_prof=slice_prof, nstates=nstates, **given)
        checks.choice("singular", singular, ("inf", "raise"))
        checks.choice("criterion", criterion, ("A", "D", "E"))
        checks.choice("over", over, ("mean", "worst"))
        checks.choice("data", data, ("complex", "magnitude"))
        empty = [name for name, value in problem.tissue.maps.items() if 0 in value.shape]
        if empty:
            raise ValueError(f"{empty[0]} holds no tissue to design for; at least one is needed")
        self.unknowns = tuple(problem.names[code] for code in problem.codes)
        for fraction, others in POOLS.items():
            of_pool = [name for name in self.unknowns if name in others]
            if of_pool and not problem.tissue.has(fraction):
                raise ValueError(
                    f"unknowns: {of_pool[0]} cannot be told where {fraction} is 0, as it is in all tissues"
                )
        self.map = Variables(sequence.parameters, variables)
        self._lock = threading.RLock()  # the buffers are one objective's: calls from several threads take turns
        self._problem, self._singular, self._per_time = problem, singular, checks.flag("per_time", per_time)
        if sharpness is not None and over == "mean":
            raise ValueError(f"sharpness={shown(sharpness)} is not allowed with over='mean', which has none")
        self._over = over
        self._sharpness = scalar("sharpness", 20.0 if sharpness is None else sharpness, minimum=1.0)
        self._variance = scalar("noise", noise, **checks.NOISE) ** 2
        each, self._tissue_weights = self._read_weights(weights, tissue_weights, relative)
        each = each * (self._tissue_weights > 0)[:, None]  # so that nothing is asked of what does not count
        table = problem.host_tissue.table()
        self._criterion = Criterion(criterion, data == "magnitude", each, self._variance, problem.codes, table[M0_CODE])
        # One kernel does all of the plain case; the others go through planar amplitudes.
        self._plain = (criterion, over, data, self._per_time) == ("A", "mean", "complex", False)
        self._weights = np.ascontiguousarray(each * self._tissue_weights[:, None])
        if not self._weights.any():
            raise ValueError("weights and tissue_weights are not allowed: all of them are zero together")
        names = problem.cpu_job().program.expressions
        for name in self.map.names:
            if name not in names.names:
                raise ValueError(f"variables: {name!r} is not allowed: no event of this sequence depends on it")
        self._turning = not names.phase_names.isdisjoint(self.map.names)
        self._timing = self._per_time or not names.time_names.isdisjoint(self.map.names)
        self._job = problem.cpu_job(self._turning)
        self._check_samples(data)
        self._flips: engine.Flips | None = None
        if self.map.gather and not self._timing and not problem.profile.waves:
            index, scale = self.map.gather
            simple = self._job.program.expressions.flips_of(index)
            if simple:
                factors = simple[1] * scale
                self._flips = engine.Flips(self._job, simple[0], factors)
                self._safe = (FLIP["maximum"] / max(abs(factors).max(), scale.max())) ** 2

    def _check_samples(self, data: str) -> None:
        """Refuse more unknowns than are measured: whatever the variables, they could not be told apart."""
        numbers = self._job.program.signal.reach.planes if data == "complex" else 1
        if len(self.unknowns) > self.readouts * numbers:
            raise ValueError(
                f"unknowns={self.unknowns} are not allowed: {len(self.unknowns)} cannot be told apart by "
                f"{self.readouts} readout{'s' * (self.readouts > 1)} of "
                f"{('one real number', 'two real numbers')[numbers - 1]}"
            )

    def _read_weights(
        self, weights: npt.ArrayLike | None, tissue_weights: npt.ArrayLike, relative: bool
    ) -> tuple[Array, Array]:
        """Weights per voxel and unknown, and per voxel."""
        shape = self._problem.tissue.shape
        full = (*shape, len(self.unknowns))
        each = np.ones(()) if weights is None else real_array("weights", weights)
        tissues = check_range("tissue_weights", real_array("tissue_weights", tissue_weights), **checks.WEIGHT)
        check_range("weights", each, **checks.WEIGHT)
        try:
            if each.ndim and each.shape[-1] != full[-1]:
                raise ValueError
            spread, tissues = np.broadcast_to(each, full), np.broadcast_to(tissues, shape)
        except ValueError:
            raise ValueError(
                f"weights {each.shape} and tissue_weights {tissues.shape} must broadcast to {full} and {shape}"
            ) from None
        if checks.flag("relative", relative):
            maps = [np.broadcast_to(self._problem.tissue.maps[name], shape) for name in self.unknowns]
            values = np.stack(maps, -1)
            if (((values == 0) | np.isinf(values)) & (spread > 0)).any():
                raise ValueError("relative=True is not allowed: an unknown is zero or infinite in some tissue")
            spread = spread / np.where(values == 0, 1, values) ** 2
        return np.array(spread).reshape(-1, full[-1]), np.array(tissues).reshape(-1)

    @property
    def x0(self) -> Array:
        """The variables of the sequence it started from, or those that come closest to it."""
        return self.map.x0.copy()

    @property
    def start(self) -> Sequence:
        """The sequence it started from."""
        return self._problem.sequence

    def sequence(self, x: npt.ArrayLike) -> Sequence:
        """The sequence with design variables `x`."""
        values = unflatten(np.asarray(self.map.expand(self.read(x))[:-1], np.float64), self.start.parameters)
        return self.start.replace(**{name: values[name] for name in self.map.names})

    def signal(self, x: npt.ArrayLike) -> npt.NDArray[np.complex128]:
        """Signal of each tissue with design variables `x`; shape (*tissue, readouts)."""
        with self._lock:
            signal = self._at(self.read(x)).signals()[0]
        return signal.reshape(*self._problem.tissue.shape, signal.shape[-1])

    def pull_signal(self, x: npt.ArrayLike, where: tuple[int, ...], signal_bar: npt.NDArray[np.complex128]) -> Array:
        """Derivatives by the design variables, from those by the signal of the tissue at `where` (see `vjp`)."""
        sequence, tissue = self.sequence(x), self._problem.tissue
        maps = {name: np.broadcast_to(value, tissue.shape)[where] for name, value in tissue.maps.items()}
        problem = replace(self._problem, sequence=sequence, tissue=Tissue(**maps), codes=())
        bars = pull_back(problem, signal_bar, None, self.map.names)
        full = {name: bars.get(name, np.zeros(value.shape)) for name, value in sequence.parameters.items()}
        return np.asarray(self.map.pull_back(np.concatenate([value.ravel() for value in full.values()])))

    @property
    def readouts(self) -> int:
        """How many readouts its sequence has."""
        return self._job.program.n_out

    @property
    def flip_names(self) -> frozenset[str]:
        """Parameters of its sequence that hold flip angles."""
        return self._job.program.expressions.flip_names

    @property
    def updates(self) -> float:
        """State updates that one play of all tissues takes."""
        return float(self._job.plan.cost * self._job.n_voxels)

    def duration_map(self) -> tuple[Array, float]:
        """The duration of one repetition (ms) as ``row @ x + constant``."""
        program = self._job.program
        groups = [np.zeros(length) for length in program.expressions.lengths]
        groups[2] = program.duration_counts
        row = np.asarray(self.map.pull_back(program.expressions.pull_back(groups)))
        now = program.duration_counts @ program.expressions.evaluate(self.map.expand(self.x0))[2]
        return row, float(now - row @ self.x0)

    def bounds(self, x: npt.ArrayLike) -> Array:
        """Bound of each unknown in each tissue, unweighted; shape (*tissue, unknowns)."""
        bound: Array = crlb(self._seen(x), noise=np.sqrt(self._variance), singular=self._singular)
        return bound.reshape(*self._problem.tissue.shape, len(self.unknowns))

    def alone(self, x: npt.ArrayLike) -> Array:
        """Bound of each unknown if all others were known; zero in tissues without weight; shape as `bounds`."""
        bound = crlb(self._seen(x)[:, :, None], noise=np.sqrt(self._variance))[..., 0]
        counted = (self._tissue_weights > 0)[:, None]
        return np.where(counted, bound, 0.0).reshape(*self._problem.tissue.shape, len(self.unknowns))

    def _seen(self, x: npt.ArrayLike) -> Array:
        """Derivatives of what is measured (tissue, unknown, samples)."""
        with self._lock:
            amplitudes = self._at(self.read(x)).amplitudes()
        return np.asarray(self._criterion.seen(amplitudes))

    def values(self, x: npt.ArrayLike) -> Array:
        """The criterion in each tissue, with its weight; shape (*tissue,)."""
        with self._lock:
            job = self._at(self.read(x))
            values, _ = self._criterion.evaluate(job.amplitudes())
            values = values * self._tissue_weights * self._duration(job)
        return np.asarray(values).reshape(self._problem.tissue.shape)

    def worst(self, x: npt.ArrayLike) -> float:
        """The largest of `values`: what ``over='worst'`` is a smooth bound of."""
        return float(self.values(x).max())

    def __repr__(self) -> str:
        told = f"bounds on {', '.join(self.unknowns)}, of {len(self.x0)} variables ({', '.join(self.map.names)})"
        return f"<CRLBObjective: {told} for tissues {self._problem.tissue.shape}>"

    def __call__(self, x: npt.ArrayLike) -> tuple[float, Array]:
        """Value and gradient.

        Raises
        ------
        ValueError
            If `x` has the wrong shape, is not finite, or is not a valid protocol; or as `singular` says.
        """
        with self._lock:
            given = self.read(x)
            if not self._plain:
                value, gradient = self._evaluate(self._at(given))
                return float(value.real), np.asarray(gradient.real)
            job = self._at(given)
            values, sums = job.bound(self._weights, self._variance, self._timing, self._turning)
            total = float(values.sum() if values.size > 1 else values[0])
            if total == np.inf:
                self._refuse_singular(values)
            return total, self._flips.gradient(sums) if self._flips else np.asarray(self._gradient(job, sums).real)

    def hessp(self, x: npt.ArrayLike, p: npt.ArrayLike) -> Array:
        """The Hessian times a vector, exact: the gradient in complex arithmetic, a step of 1e-30 i along `p`.

        Raises
        ------
        ValueError
            As for a call; and if `p` has the wrong shape or is not finite.
        """
        given, along = self.read(x), self.read(p, "p")
        size = float(abs(along).max(initial=0.0)) or 1.0
        stepped = given + 1j * STEP / size * along
        with self._lock:
            real = self._at(given)  # the program, for these values
            entries = real.program.expressions.evaluate(self.map.expand(stepped))
            table = self._problem.host_tissue.table(np.complex128)
            profile, codes = self._problem.profile, self._problem.codes
            _, gradient = self._evaluate(engine.Job(real.program, entries, table, profile, codes))
        return np.asarray(gradient.imag / STEP * size)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def _evaluate(self, job: engine.Job) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Value and gradient through planar amplitudes, analytic in the job's values."""
        amplitudes = job.amplitudes()
        values, bars = self._criterion.evaluate(amplitudes)
        self._refuse_singular(values.real)
        weighted = values * self._tissue_weights
        if self._over == "worst":
            value, slope = worst_case(weighted, self._sharpness)
            each = slope * self._tissue_weights
        else:
            value, each = weighted.sum(), self._tissue_weights
        duration = self._duration(job)
        sums = job.pull(each[:, None, None, None] * bars * duration, self._timing, self._turning)
        gradient = self._gradient(job, sums)
        if self._per_time:
            program = job.program
            empty = [np.zeros(length) for length in program.expressions.lengths]
            empty[2] = program.duration_counts
            gradient = gradient + value * self.map.pull_back(program.expressions.pull_back(empty))
        return np.asarray(value * duration), gradient

    def _gradient(self, job: engine.Job, sums: engine.GradientSums) -> npt.NDArray[Any]:
        entries = sums.entries(self._timing, self._turning)
        return self.map.pull_back(job.program.expressions.pull_back(entries))

    def _duration(self, job: engine.Job) -> Any:
        """What values are multiplied by."""
        if not self._per_time:
            return 1.0
        durations = job.call.values[: len(job.program.duration_counts)]
        return job.program.duration_counts @ durations

    def _refuse_singular(self, values: Array) -> None:
        if self._singular == "raise" and not np.isfinite(values).all():
            worst = tuple(map(int, np.unravel_index(int(np.argmax(values)), self._problem.tissue.shape or (1,))))
            raise ValueError(
                f"the Fisher matrix of tissue {worst} is singular to working precision: "
                "the protocol cannot tell the unknowns apart"
            )

    def read(self, x: npt.ArrayLike, name: str = "x") -> Array:
        """`x` as an array, checked."""
        given = x if type(x) is np.ndarray and x.dtype == np.float64 else real_array(name, x)
        if given.shape != (self.map.count,):
            raise ValueError(f"{name} has shape {given.shape}; ({self.map.count},) is needed")
        if not isfinite(np.add.reduce(given)):  # as it is where any of them is not
            raise ValueError(f"{name}={shown(x)} is not finite")
        return given

    def _at(self, x: Array) -> engine.Job:
        """The job, with the design variables set."""
        if self._flips:
            if x @ x > self._safe:  # some flip may be beyond its range: let the sequence tell
                self.sequence(x)
            self._flips.set(self._job, x)
            return self._job
        # The sequence has limits of its own, and durations say how often it is repeated.
        changed = replace(self._problem, sequence=self.sequence(x))
        program, entries = changed.compile(
            changed.sequence, self._turning, self._job.program.precesses, self._job.program.terms
        )
        if program is not self._job.program:
            self._job = changed.cpu_job(self._turning)
        self._job.set_values(entries)
        return self._job
