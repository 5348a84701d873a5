"""A compiled sequence: pruned tables for the kernels, values for a call, and gradients back to the parameters."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels import columns as col
from ..kernels.shape import count_components
from ..sequence.events import Linear, linear
from ..sequence.sequence import Sequence
from . import steady
from .expressions import Entries, Expressions, LinearMap, flatten, make_room, unit_phase
from .out_of_phase import mark_out_of_phase
from .reach import Frame, Reach, find_frame, find_reach
from .steady import ANY, Ensemble, Tissues, Way
from .train import Read, Train, write_train

ComplexArray = npt.NDArray[np.complex128]


class _Recent:
    """The most recently made values by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `key`, made if it is not there."""
        value = self._values.get(key)
        if value is None:
            value = make()
            for oldest in list(self._values)[: max(len(self._values) - self._size + 1, 0)]:
                self._values.pop(oldest, None)
            self._values[key] = value
        return value


@dataclass
class Part:
    """A pruned program for one set of outputs; `boundary` as `Train.boundary`, 0 if it starts from equilibrium."""

    train: Train
    reads: list[list[Read]]
    reach: Reach
    frame: Frame
    boundary: int
    components: int = 3  # of a row

    def __post_init__(self) -> None:
        self._factors = _Recent(4)
        reads = sorted((read.out, n) for n, group in enumerate(self.reads) for read in group)
        # the pulse that each output follows; of a real program, whether it is in quadrature with that pulse
        self.factor_step = np.array([n for _, n in reads], np.int64)
        self.quadrature = np.array([self.reach.planes == 1 and self.reach.plane[n] == 1 for _, n in reads], np.int64)
        real = self.reach.planes == 1
        signs = [
            sign if real and not step.invert else 1
            for sign, step in zip(self.frame.signs, self.train.steps, strict=True)
        ]
        self.signs = np.asarray(signs, np.float64)
        # Durations, by index, in which there are transverse states: before pulses, and before readouts.
        between = [step.duration for step in self.train.steps[1:] if not step.spoiled]
        if self.boundary == 3:
            between += [self.train.end, self.train.steps[0].duration]
        self.between = np.array(between, np.int64)
        self.after = np.array(sorted({read.duration for group in self.reads for read in group}))

    def turns(self, phases: npt.NDArray[np.inexact], advance: npt.NDArray[np.inexact]) -> npt.NDArray[np.inexact]:
        """How far the states turn before each pulse to be in its frame, degrees; then from the last frame to phase 0.

        A repetition starts in the frame of phase zero, which `advance` moves from one to the next.
        """
        return np.concatenate([-advance - phases[:1], phases[:-1] - phases[1:], phases[-1:]])

    def factors(self, phases: Array, receivers: Array) -> ComplexArray:
        """What turns the kernels' amplitudes into signals."""

        def make() -> ComplexArray:
            step, quadrature = self.factor_step, np.array([1, 1j])[self.quadrature]
            return np.asarray(quadrature * self.signs[step] * unit_phase(phases[step] - receivers))

        return cast("ComplexArray", self._factors.get((phases.tobytes(), receivers.tobytes()), make))


@dataclass
class Program:
    """A sequence's structure, compiled.

    Attributes
    ----------
    signal : Part
        What the readouts depend on.
    end : Part or None
        What the end of a repetition depends on, if the steady state is solved for.
    expressions : Expressions
        From the sequence's parameters to flips, phases, durations, receiver phases, advance.
    precesses : bool
        Whether there is off-resonance.
    duration_counts : ndarray
        How often each duration lies in one repetition.
    ensemble : Ensemble or None
        What the steady state is the mean of, if it is that.
    terms : tuple of int
        Rates that there are of those that are not always there.
    kinds : tuple of str
        Of each pulse its kind; an inversion has none.
    dephasing : float
        Of an order, radians per um; 0 where unused.
    powers : ndarray
        Of each pulse 1 over the root of its duration (ms), what saturates a bound pool; 0 where unused.
    """

    signal: Part
    end: Part | None
    expressions: Expressions
    precesses: bool
    duration_counts: Array
    ensemble: Ensemble | None = None
    terms: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    dephasing: float = 0.0
    powers: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def parts(self) -> list[Part]:
        return [self.signal, self.end] if self.end else [self.signal]

    @cached_property
    def unscaled(self) -> Array:
        """What flip angles are multiplied by where there is no slice profile."""
        return np.ones((1, len(self.kinds)))

    @cached_property
    def bound(self) -> bool:
        """Whether there is a bound pool."""
        return col.FRACTION in self.terms

    @property
    def n_out(self) -> int:
        return self.signal.train.n_out


def _write(sequence: Sequence, terms: tuple[int, ...], count: int = 1) -> tuple[Train, Expressions, LinearMap]:
    with_moments = not {col.DIFFUSION, col.VELOCITY}.isdisjoint(terms)
    train = write_train(steady.repeated(sequence, count), with_moments)
    if col.R2_PRIME in terms:
        mark_out_of_phase(train, (train.boundary or 0) if sequence.steady and count == 1 else 0)
    sizes = {name: int(value.size) for name, value in sequence.parameters.items()}
    reads = sorted((read for step in train.steps for read in step.reads), key=lambda read: read.out)
    groups = [
        [step.flip for step in train.steps],
        [step.phase for step in train.steps],
        train.times,
        [read.phase for read in reads],
        [linear(sequence.advance[0])],
    ]
    return train, Expressions(groups, sizes, [step.invert for step in train.steps]), LinearMap(train.waits, sizes)


GAMMA = 2.6752218708e-4  # radians per um of a gradient's area in mT ms/m (CODATA 2022, protons)

_trains = _Recent(64)
_programs = _Recent(64)
_steps = _Recent(64)
_ensembles = _Recent(8)


def _phase_steps(phases: Array) -> tuple[bytes, bytes | None]:
    """Steps of the RF phase in units of 90 degrees, modulo 4, and which are whole (None: all)."""
    steps = (phases[1:] - phases[:-1]) / 90
    whole = np.rint(steps)
    exact = whole == steps
    quarters = (whole % 4 * exact).astype(np.int8).tobytes()  # the same for all steps that are not whole
    return quarters, None if exact.all() else exact.tobytes()


def _quarters(steps: tuple[bytes, bytes | None]) -> list[int | None]:
    """The same as numbers, None where a step is not whole; the first pulse has none before it."""
    quarters, exact = steps
    return [0, *(q if exact is None or exact[n] else None for n, q in enumerate(quarters))]


def _read_scanner(sequence: Sequence, terms: tuple[int, ...]) -> tuple[float, tuple[tuple[str, float], ...]]:
    """What terms take of the scanner: the dephasing of an order, and durations of pulses by their kind ("": of all).

    Raises
    ------
    ValueError
        If the sequence does not say it.
    """
    dephasing, durations = 0.0, {"": np.inf}
    if not {col.DIFFUSION, col.VELOCITY}.isdisjoint(terms):
        if sequence.gradient_area is None:
            raise ValueError(
                "D and velocity depend on how much the gradients dephase, which this sequence does not say: use "
                "sequence.on_scanner(gradient_area=...), the area (mT ms/m) of a gradient that dephases by one order"
            )
        dephasing = GAMMA * sequence.gradient_area
    if col.FRACTION in terms:
        if sequence.rf_duration is None:
            raise ValueError(
                "bound_fraction: a bound pool is saturated by pulses, the more the shorter they are, which this "
                "sequence does not say: use sequence.on_scanner(rf_duration=...), in ms"
            )
        given = sequence.rf_duration
        durations = dict(given) if isinstance(given, Mapping) else {"": given}
    return dephasing, tuple(durations.items())


def _powers(durations: tuple[tuple[str, float], ...], kinds: tuple[str, ...]) -> Array:
    """`Program.powers`.

    Raises
    ------
    ValueError
        If the duration of some kind of pulse is not given, or that of a kind that there is not.
    """
    known, played = dict(durations), {kind for kind in kinds if kind}
    if "" in known:
        known = dict.fromkeys(played, known[""])
    if missing := sorted(played - set(known)):
        raise ValueError(f"rf_duration says nothing of {missing[0]!r}, a kind of pulse that this sequence has")
    if unknown := sorted(set(known) - played):
        raise ValueError(f"rf_duration: {unknown[0]!r} is no kind of pulse of this sequence; it has {sorted(played)}")
    return np.array([known[kind] ** -0.5 if kind else 0.0 for kind in kinds])


def _compile(
    train: Train,
    expressions: Expressions,
    quarters: list[int | None],
    free_phases: bool,
    precesses: bool,
    solve: bool,
    way: Way,
    ensemble: Ensemble | None,
    terms: tuple[int, ...],
    scanner: tuple[float, tuple[tuple[str, float], ...]],
) -> Program:
    boundary = (train.boundary or 0) if solve else 0
    force_complex = free_phases or precesses or boundary == 3
    if force_complex:
        quarters = [None] * len(quarters)

    components = count_components(terms)

    def part(reads: list[list[Read]], force_complex: bool) -> Part:
        last = max(n for n, group in enumerate(reads) if group) + 1  # what comes after has no effect
        kept = replace(train, steps=train.steps[:last])
        reach = find_reach(kept, reads[:last], quarters[:last], way.nstates, boundary, force_complex)
        return Part(kept, reads[:last], reach, find_frame(quarters[:last]), boundary, components)

    read = [[step.reads for step in train.steps]]
    if solve:
        read.append([*([] for _ in train.steps[:-1]), train.end_reads(components)])
    parts = [part(reads, force_complex) for reads in read]
    if len({each.reach.planes for each in parts}) > 1:  # a repetition has one kind of state
        parts = [part(reads, True) for reads in read]
    places = [*(step.duration for step in train.steps), train.end]
    counts = np.bincount(places, minlength=len(train.times)) / way.repetitions
    kinds = tuple(step.kind for step in train.steps)
    dephasing, durations = scanner
    return Program(
        parts[0], parts[1] if solve else None, expressions, precesses, counts, ensemble, terms, kinds, dephasing,
        _powers(durations, kinds),
    )  # fmt: skip


def _check_durations(expressions: list[Linear], values: npt.NDArray[np.inexact]) -> None:
    """Refuse negative durations; a hair below zero is rounding.

    Raises
    ------
    ValueError
        Naming the lowest.
    """
    if values.size and np.minimum.reduce(values) < -1e-9:
        lowest = int(np.argmin(values))
        raise ValueError(f"a duration is negative: {expressions[lowest]} = {values[lowest]:g} ms")


def compile_program(
    sequence: Sequence,
    nstates: int | None = None,
    free_phases: bool = False,
    precesses: bool = False,
    tissues: Tissues = ANY,
    terms: tuple[int, ...] = (),
) -> tuple[Program, Entries]:
    """The program of a sequence, from a cache if its structure has been met, and the entries of its tables.

    Parameters
    ----------
    sequence : Sequence
        What to compile.
    nstates : int, optional
        Keep orders below it only; all of them by default.
    free_phases : bool
        Whether RF phases will be differentiated. Then the problem is complex even where their values make it real.
    precesses : bool
        Whether there is off-resonance.
    tissues : Tissues
        What the way to a steady state that cannot be solved for depends on.
    terms : tuple of int
        Rates that there are of those that are not always there.

    Returns
    -------
    Program
    Entries
        The numbers that it plays.

    Raises
    ------
    ValueError
        If a sequence has nothing to read, a negative duration, or no steady state.
    """
    key = nstates, free_phases, precesses, tissues, terms
    known: dict[Hashable, tuple[Program, Entries]] = sequence.compiled
    found = known.get(key)
    if found is None:
        found = _compile_anew(sequence, *key)
        make_room(known)[key] = found
    return found


def _compile_anew(
    sequence: Sequence,
    nstates: int | None,
    free_phases: bool,
    precesses: bool,
    tissues: Tissues,
    terms: tuple[int, ...],
) -> tuple[Program, Entries]:
    """`compile_program`, for a sequence that has not been compiled for such a call."""
    parameters = sequence.parameters
    structure: Hashable = sequence.structure
    scanner = _read_scanner(sequence, terms)
    if terms:
        structure = structure, terms, scanner
    once, expressions, waits = _trains.get(structure, lambda: _write(sequence, terms))
    train = once
    x = flatten(parameters)
    entries = expressions.evaluate(x)
    _check_durations(train.durations, entries[2][: len(train.durations)])
    _check_durations(train.waits, waits.values(x))
    solve = sequence.steady and train.boundary is not None
    way = steady.Way(nstates)
    if sequence.steady:
        steady.check_period(sequence, train, entries[2])
        if not solve:
            way = steady.choose(sequence, train, entries[2], tissues, nstates)
    ensemble = None
    if way.members:
        train, ensemble = _ensembles.get((structure, way), lambda: steady.find_ensemble(once, way.members))
    elif way.repetitions > 1:
        structure = structure, way.repetitions
        train, expressions, _ = _trains.get(structure, lambda: _write(sequence, terms, way.repetitions))
        entries = expressions.evaluate(x)
    free_phases = free_phases or precesses or not {col.VELOCITY, col.SHIFT_B}.isdisjoint(terms)
    steps = None if free_phases else _steps.get(entries[1].tobytes(), lambda: _phase_steps(entries[1]))
    solve = solve or ensemble is not None

    def make() -> Program:
        quarters = [0, *[None] * (len(train.steps) - 1)] if steps is None else _quarters(steps)
        return _compile(train, expressions, quarters, free_phases, precesses, solve, way, ensemble, terms, scanner)

    return _programs.get((structure, steps, way, precesses), make), entries
