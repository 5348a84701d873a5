"""A compiled sequence: pruned tables for the kernels, values for a call, and gradients back to the parameters."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from math import ceil, log
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels import columns as col
from ..sequence.events import Event, Linear, Pulse, Readout, linear
from ..sequence.sequence import Sequence
from . import plan
from .expressions import Entries, Expressions, LinearMap, flatten, make_room
from .plan import Frame, IntTable, Layout, find_frame, lay_out
from .reach import Reach, find_reach
from .score import Read, Score, write_score

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


def unit_phase(degrees: Array) -> ComplexArray:
    """exp(i angle), exact at multiples of 90 degrees."""
    quarters = np.rint(degrees / 90)
    rest = np.exp(1j * np.deg2rad(degrees - 90 * quarters))
    return np.asarray(rest * np.array([1, 1j, -1, -1j])[quarters.astype(np.int64) % 4])


@dataclass
class Part:
    """A pruned program for one set of outputs; `boundary` as `Score.boundary`, 0 if it starts from equilibrium."""

    score: Score
    reads: list[list[Read]]
    reach: Reach
    frame: Frame
    boundary: int

    def __post_init__(self) -> None:
        self._layouts: dict[tuple[int, int], Layout] = {}
        self._factors = _Recent(4)
        real = self.reach.planes == 1
        signs = [
            sign if real and not beat.invert else 1
            for sign, beat in zip(self.frame.signs, self.score.beats, strict=True)
        ]
        self.signs = np.asarray(signs, np.float64)
        # Durations, by index, in which there are transverse states: before pulses, and before readouts.
        full = range(0 if self.boundary == 3 else 1, len(self.score.beats))
        between = [self.score.beats[n].duration for n in full if not self.score.beats[n].spoiled]
        self.between = np.array(between, np.int64)
        self.after = np.array(sorted({read.duration for group in self.reads for read in group}))

    def layout(self, lanes: int, tape_limit: int | None = None) -> Layout:
        """Tables for `lanes` lanes; built once."""
        tape_limit = plan.TAPE_LIMIT if tape_limit is None else tape_limit
        key = lanes, tape_limit
        if key not in self._layouts:
            self._layouts[key] = lay_out(
                self.score, self.reads, self.reach, self.frame, lanes, tape_limit, self.boundary == 3
            )
        return self._layouts[key]

    def turns(self, phases: npt.NDArray[np.inexact], advance: npt.NDArray[np.inexact]) -> npt.NDArray[np.inexact]:
        """How far the states turn before each pulse to be in its frame, degrees; then from the last frame to phase 0.

        A repetition starts in the frame of phase zero, which `advance` moves from one to the next.
        """
        return np.concatenate([-advance - phases[:1], phases[:-1] - phases[1:], phases[-1:]])

    def factors(self, phases: Array, receivers: Array) -> ComplexArray:
        """What turns the kernels' amplitudes into signals."""

        def make() -> ComplexArray:
            layout = self.layout(1)
            step = layout.factor_step
            quadrature = np.array([1, 1j])[layout.quadrature]
            return np.asarray(quadrature * self.signs[step] * unit_phase(phases[step] - receivers))

        return cast("ComplexArray", self._factors.get((phases.tobytes(), receivers.tobytes()), make))


@dataclass
class Tables:
    """The tables of a program's parts, one after another, and their sizes (a row a part). See `kernels.columns`."""

    flat: IntTable
    sizes: IntTable
    updates: int  # state updates of one play of everything a call plays
    arena: int
    pair_arena: int


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
    """

    signal: Part
    end: Part | None
    expressions: Expressions
    precesses: bool
    duration_counts: Array

    def __post_init__(self) -> None:
        self._tables: dict[tuple[int, int], Tables] = {}

    @property
    def parts(self) -> list[Part]:
        return [self.signal, self.end] if self.end else [self.signal]

    @property
    def n_out(self) -> int:
        return self.signal.score.n_out

    def tables(self, lanes: int, tape_limit: int | None = None) -> Tables:
        """Tables for `lanes` lanes; built once."""
        tape_limit = plan.TAPE_LIMIT if tape_limit is None else tape_limit
        key = lanes, tape_limit
        if key not in self._tables:
            layouts = [part.layout(lanes, tape_limit) for part in self.parts]
            self._tables[key] = _join(layouts, self, lanes)
        return self._tables[key]


def _join(layouts: list[Layout], program: Program, lanes: int) -> Tables:
    arena, pair_arena = max(at.arena for at in layouts), max(at.pair_arena for at in layouts)
    sizes = np.zeros((len(layouts), col.N_SIZE), np.int64)
    chunks: list[IntTable] = []
    filled = updates = 0
    for row, layout, part in zip(sizes, layouts, program.parts, strict=True):
        planes = part.reach.planes
        row[col.N_STEPS], row[col.N_SEGMENTS] = len(layout.steps), len(layout.segments)
        row[col.LANES], row[col.PLANES], row[col.N_OUT] = lanes, planes, len(layout.factor_step)
        row[col.PRECESSES] = program.precesses
        row[col.BOUNDARY] = program.end.boundary if program.end else 0
        row[col.PAIR], row[col.TAPE], row[col.ROOM] = layout.pair, layout.tape, layout.room
        row[col.ARENA], row[col.PAIR_ARENA] = arena, pair_arena
        row[col.N_DURATIONS] = program.expressions.lengths[2]
        places = col.STEPS_AT, col.READS_AT, col.SEGMENTS_AT
        for place, table in zip(places, (layout.steps, layout.reads, layout.segments), strict=True):
            row[place] = filled
            chunks.append(table.ravel())
            filled += table.size
        updates += layout.updates * planes * (1 if part is program.signal else 1 + part.boundary)
    return Tables(np.concatenate(chunks), sizes, updates // lanes, arena, pair_arena)


def _repeated(sequence: Sequence, count: int) -> list[Event]:
    """Events of `count` repetitions, of which only the last is read."""
    once = sequence.events()
    if count == 1:
        return once
    step, growth = map(linear, sequence.advance)
    events: list[Event] = []
    for n in range(count):
        phase = n * step + n * (n - 1) / 2 * growth
        for event in once:
            if isinstance(event, Pulse):
                events.append(Pulse(event.flip, event.phase + phase))
            elif not isinstance(event, Readout):
                events.append(event)
            elif n == count - 1:
                events.append(Readout(event.phase + phase))
    return events


def _write(sequence: Sequence, count: int = 1) -> tuple[Score, Expressions, LinearMap]:
    score = write_score(_repeated(sequence, count))
    sizes = {name: int(value.size) for name, value in sequence.parameters.items()}
    reads = sorted((read for beat in score.beats for read in beat.reads), key=lambda read: read.out)
    groups = [
        [beat.flip for beat in score.beats],
        [beat.phase for beat in score.beats],
        score.durations,
        [read.phase for read in reads],
        [linear(sequence.advance[0])],
    ]
    return score, Expressions(groups, sizes, [beat.invert for beat in score.beats]), LinearMap(score.waits, sizes)


MOST_REPEATED = 50_000  # in a sequence that is repeated to its steady state

_scores = _Recent(64)
_programs = _Recent(64)
_steps = _Recent(64)


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


def _compile(
    score: Score,
    expressions: Expressions,
    quarters: list[int | None],
    nstates: int | None,
    free_phases: bool,
    precesses: bool,
    solve: bool,
    count: int,
) -> Program:
    boundary = (score.boundary or 0) if solve else 0
    force_complex = free_phases or precesses or boundary == 3
    if force_complex:
        quarters = [None] * len(quarters)

    def part(reads: list[list[Read]], force_complex: bool) -> Part:
        last = max(n for n, group in enumerate(reads) if group) + 1  # what comes after has no effect
        kept = replace(score, beats=score.beats[:last])
        reach = find_reach(kept, reads[:last], quarters[:last], nstates, boundary, force_complex)
        return Part(kept, reads[:last], reach, find_frame(quarters[:last]), boundary)

    read = [[beat.reads for beat in score.beats]]
    if solve:
        read.append([*([] for _ in score.beats[:-1]), score.end_reads()])
    parts = [part(reads, force_complex) for reads in read]
    if len({each.reach.planes for each in parts}) > 1:  # a repetition has one kind of state
        parts = [part(reads, True) for reads in read]
    places = [*(beat.duration for beat in score.beats), score.end]
    counts = np.bincount(places, minlength=len(score.durations)) / count
    return Program(parts[0], parts[1] if solve else None, expressions, precesses, counts)


def _count_repetitions(score: Score, durations: npt.NDArray[np.inexact], longest: float, tolerance: float) -> int:
    """Repetitions after which what is left of the start is below `tolerance`: all of it decays at least with T1.

    Rounded up to two binary digits after the leading one, so that few programs are made.

    Raises
    ------
    ValueError
        If the steady state is never reached.
    """
    if not np.isfinite(longest):
        raise ValueError(f"no steady state: the sequence must be repeated to reach it, and T1 reaches {longest:g} ms")
    count = ceil(-log(tolerance) * longest / _period(score, durations)) + 1
    if count * len(score.beats) > MOST_REPEATED:
        raise ValueError(
            f"the steady state takes {count} repetitions ({count * len(score.beats)} pulses, at most {MOST_REPEATED} "
            f"are played): T1 reaches {longest:g} ms; leave such tissue out, or raise tolerance={tolerance:g}"
        )
    unit = 1 << max(count.bit_length() - 3, 0)
    return -(-count // unit) * unit


def _period(score: Score, durations: npt.NDArray[np.inexact]) -> float:
    return float(sum(durations[beat.duration].real for beat in score.beats) + durations[score.end].real)


def _check_period(sequence: Sequence, score: Score, durations: npt.NDArray[np.inexact]) -> None:
    """Refuse what has no steady state.

    Raises
    ------
    ValueError
        If a repetition takes no time, or RF phases grow in a way that never settles.
    """
    if not _period(score, durations) > 0:
        raise ValueError("no steady state: a repetition takes no time")
    if linear(sequence.advance[1]) != Linear() and score.boundary != 1:
        _check_growth(score)


def _check_growth(score: Score) -> None:
    """Refuse RF phases that grow where no steady state comes of it.

    Each repetition turns the spins by more than the one before. A gradient between repetitions makes up for that: it
    turns them by an angle that grows with their place, so that every repetition finds the pattern of the last one moved
    by the same step. Then whatever is an average over places is steady: F_0 at the pulses, and at readouts of F_0. What
    a gradient within the repetition does depends on the place, and so would move.

    Raises
    ------
    ValueError
        If no gradient lies between repetitions, or one lies within them.
    """
    first, *rest = score.beats
    growing = "no steady state: RF phases grow from repetition to repetition, but"
    if first.shift + score.end_shift == 0:
        raise ValueError(f"{growing} no gradient is left over between the last pulse and the next first one")
    if any(beat.shift and not beat.spoiled for beat in rest):
        raise ValueError(f"{growing} a gradient lies between pulses of one repetition; it must lie after the last")
    if any(read.order for beat in score.beats for read in beat.reads):
        raise ValueError(f"{growing} a readout lies behind a gradient; readouts must come before it")


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
    longest: float = 1.0,
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
    longest : float
        Longest T1 (ms): how often a steady state that cannot be solved for is repeated.

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
    key = nstates, free_phases, precesses, longest
    known: dict[Hashable, tuple[Program, Entries]] = sequence.compiled
    found = known.get(key)
    if found is None:
        found = _compile_anew(sequence, *key)
        make_room(known)[key] = found
    return found


def _compile_anew(
    sequence: Sequence, nstates: int | None, free_phases: bool, precesses: bool, longest: float
) -> tuple[Program, Entries]:
    """`compile_program`, for a sequence that has not been compiled for such a call."""
    parameters = sequence.parameters
    structure = sequence.structure
    score, expressions, waits = _scores.get(structure, lambda: _write(sequence))
    x = flatten(parameters)
    entries = expressions.evaluate(x)
    _check_durations(score.durations, entries[2])
    _check_durations(score.waits, waits.values(x))
    solve = sequence.steady and score.boundary is not None
    count = 1
    if sequence.steady:
        _check_period(sequence, score, entries[2])
    if sequence.steady and not solve:
        count = _count_repetitions(score, entries[2], longest, sequence.tolerance)
        structure = structure, count
        score, expressions, _ = _scores.get(structure, lambda: _write(sequence, count))
        entries = expressions.evaluate(x)
    free_phases = free_phases or precesses
    steps = None if free_phases else _steps.get(entries[1].tobytes(), lambda: _phase_steps(entries[1]))

    def make() -> Program:
        quarters = [0, *[None] * (len(score.beats) - 1)] if steps is None else _quarters(steps)
        return _compile(score, expressions, quarters, nstates, free_phases, precesses, solve, count)

    return _programs.get((structure, steps, nstates, precesses), make), entries
