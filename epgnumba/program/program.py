"""A compiled sequence: pruned tables for the kernels, values for a call, and gradients back to the parameters."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels import columns as col
from ..sequence.events import Linear
from ..sequence.sequence import Sequence
from .plan import TAPE_LIMIT, Frame, IntTable, Layout, find_frame, lay_out
from .reach import Reach, find_reach
from .score import Read, Score, write_score

ComplexArray = npt.NDArray[np.complex128]

_ONE = np.ones(1)


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
            for oldest in list(self._values)[: len(self._values) - self._size + 1]:
                self._values.pop(oldest, None)
            self._values[key] = value
        return value


def unit_phase(degrees: Array) -> ComplexArray:
    """exp(i angle), exact at multiples of 90 degrees."""
    quarters = np.rint(degrees / 90)
    rest = np.exp(1j * np.deg2rad(degrees - 90 * quarters))
    return np.asarray(rest * np.array([1, 1j, -1, -1j])[quarters.astype(np.int64) % 4])


class Expressions:
    """Every number that events refer to, as one sparse linear map of the flattened parameters.

    The entries are flips, phases, durations and receiver phases, in this order. The parameters are extended by a one,
    to which constants refer.
    """

    def __init__(self, groups: list[list[Linear]], sizes: Mapping[str, int]) -> None:
        self.lengths = [len(group) for group in groups]
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
        self.n_parameters = sum(sizes.values())
        entries, sources, factors = [], [], []
        for entry, expression in enumerate(e for group in groups for e in group):
            for name, index, factor in expression.terms:
                entries.append(entry)
                sources.append(int(starts[name]) + index)
                factors.append(factor)
            if expression.constant or not expression.terms:
                entries.append(entry)
                sources.append(self.n_parameters)
                factors.append(expression.constant)
        self._entries = np.asarray(entries, np.int64)
        self._sources = np.asarray(sources, np.int64)
        self._factors = np.asarray(factors, np.float64)
        # Where every entry has exactly one term the map is a gather, which is much the quickest.
        self._plain = entries == list(range(sum(self.lengths)))

    def evaluate(self, x: npt.NDArray[np.inexact]) -> list[npt.NDArray[np.inexact]]:
        """Entries, by group, for parameters `x` (with the one at the end)."""
        values = self._factors * x[self._sources]
        if not self._plain:
            table = np.zeros(sum(self.lengths), values.dtype)
            np.add.at(table, self._entries, values)
            values = table
        parts: list[npt.NDArray[np.inexact]] = []
        start = 0
        for length in self.lengths:
            parts.append(values[start : start + length])
            start += length
        return parts

    def flips_of(self, parameters: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Array] | None:
        """Flips that are each a factor times one of these parameters, in their order; None if it is not as simple."""
        if not self._plain:
            return None
        entries = [np.flatnonzero(self._sources == parameter) for parameter in parameters]
        if any(len(found) != 1 or found[0] >= self.lengths[0] for found in entries):
            return None
        chosen = np.concatenate(entries)
        return chosen, self._factors[chosen]

    def pull_back(self, groups: list[Array]) -> Array:
        """Derivatives with respect to the parameters, from those with respect to the entries."""
        bars = np.concatenate(groups)
        summed = np.bincount(self._sources, self._factors * bars[self._entries], self.n_parameters + 1)
        return cast(Array, summed[: self.n_parameters])


@dataclass
class Part:
    """A pruned program for one set of outputs."""

    score: Score
    reads: list[list[Read]]
    reach: Reach
    frame: Frame

    def __post_init__(self) -> None:
        self._layouts: dict[tuple[int, int], Layout] = {}
        self._factors = _Recent(4)
        n_steps = len(self.score.beats)
        self.signs = np.asarray(self.frame.signs if self.reach.planes == 1 else [1] * n_steps, np.float64)

    def layout(self, lanes: int, tape_limit: int = TAPE_LIMIT) -> Layout:
        """Tables for `lanes` lanes; built once."""
        key = lanes, tape_limit
        if key not in self._layouts:
            self._layouts[key] = lay_out(self.score, self.reads, self.reach, self.frame, lanes, tape_limit)
        return self._layouts[key]

    def turns(self, phases: npt.NDArray[np.inexact]) -> npt.NDArray[np.inexact]:
        """Phase steps before each pulse, degrees: how far the states turn to be in its frame."""
        return np.concatenate([phases[:1] * 0, phases[:-1] - phases[1:]])

    def factors(self, phases: Array, receivers: Array) -> ComplexArray:
        """What turns the kernels' amplitudes into signals."""
        layout = self.layout(1)

        def make() -> ComplexArray:
            step = layout.factor_step
            quadrature = np.array([1, 1j])[layout.quadrature]
            return np.asarray(quadrature * self.signs[step] * unit_phase(phases[step] - receivers))

        return cast(ComplexArray, self._factors.get((phases.tobytes(), receivers.tobytes()), make))


@dataclass
class Tables:
    """The tables of a program's parts, stacked: the first index is the part. See `kernels.columns`."""

    steps: IntTable
    reads: IntTable
    segments: IntTable
    sizes: IntTable
    n_amplitudes: int  # of one set, all parts
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
        What Z_0 at the end depends on, if the sequence repeats.
    expressions : Expressions
        From the sequence's parameters to flips, phases, durations, receiver phases.
    """

    signal: Part
    end: Part | None
    expressions: Expressions

    def __post_init__(self) -> None:
        self._tables: dict[tuple[int, int], Tables] = {}

    @property
    def parts(self) -> list[Part]:
        return [self.signal, self.end] if self.end else [self.signal]

    @property
    def n_out(self) -> int:
        return self.signal.score.n_out

    def tables(self, lanes: int, tape_limit: int = TAPE_LIMIT) -> Tables:
        """Tables for `lanes` lanes; built once."""
        key = lanes, tape_limit
        if key not in self._tables:
            layouts = [part.layout(lanes, tape_limit) for part in self.parts]
            self._tables[key] = _stack(layouts, [part.reach.planes for part in self.parts], lanes)
        return self._tables[key]


def _stack(layouts: list[Layout], planes: list[int], lanes: int) -> Tables:
    def stacked(tables: list[IntTable]) -> IntTable:
        stack = np.zeros((len(tables), max(map(len, tables)), tables[0].shape[1]), np.int64)
        for part, table in zip(stack, tables, strict=True):
            part[: len(table)] = table
        return stack

    arena, pair_arena = max(at.arena for at in layouts), max(at.pair_arena for at in layouts)
    sizes = np.zeros((len(layouts), col.N_SIZE), np.int64)
    for row, layout, n_planes in zip(sizes, layouts, planes, strict=True):
        row[col.N_STEPS], row[col.N_SEGMENTS] = len(layout.steps), len(layout.segments)
        row[col.LANES], row[col.PLANES], row[col.N_OUT] = lanes, n_planes, len(layout.factor_step)
        row[col.PAIR], row[col.TAPE], row[col.ROOM], row[col.ROOM_SIZE] = (
            layout.pair,
            layout.tape,
            layout.room,
            layout.room_size,
        )
        row[col.ARENA], row[col.PAIR_ARENA] = arena, pair_arena
    per_set = sizes[:, col.PLANES] * sizes[:, col.N_OUT] * lanes
    updates = sum(layout.updates * (1 + part) * n for part, (layout, n) in enumerate(zip(layouts, planes, strict=True)))
    return Tables(
        stacked([layout.steps for layout in layouts]),
        stacked([layout.reads for layout in layouts]),
        stacked([layout.segments for layout in layouts]),
        sizes,
        int(per_set.sum()),
        updates // lanes,
        arena,
        pair_arena,
    )


def flatten(parameters: Mapping[str, npt.NDArray[np.inexact]]) -> npt.NDArray[np.inexact]:
    """Parameters as one vector, followed by a one (for constants)."""
    return np.concatenate([*(value.ravel() for value in parameters.values()), _ONE])


def unflatten(x: Array, parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Inverse of `flatten`, in the shapes of `parameters`."""
    result, start = {}, 0
    for name, value in parameters.items():
        result[name] = x[start : start + value.size].reshape(value.shape)
        start += value.size
    return result


def _write(sequence: Sequence) -> tuple[Score, Expressions]:
    score = write_score(sequence.events())
    sizes = {name: int(value.size) for name, value in sequence.parameters.items()}
    reads = sorted((read for beat in score.beats for read in beat.reads), key=lambda read: read.out)
    groups = [
        [beat.flip for beat in score.beats],
        [beat.phase for beat in score.beats],
        score.durations,
        [read.phase for read in reads],
    ]
    return score, Expressions(groups, sizes)


_scores = _Recent(64)
_programs = _Recent(64)
_steps = _Recent(64)


def _phase_steps(phases: Array) -> tuple[bytes, bytes | None]:
    """Steps of the RF phase in units of 90 degrees, modulo 4, and which are whole (None: all)."""
    steps = (phases[1:] - phases[:-1]) / 90
    whole = np.rint(steps)
    quarters = (whole % 4).astype(np.int8).tobytes()
    exact = whole == steps
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
    steady: bool,
) -> Program:
    def part(reads: list[list[Read]]) -> Part:
        last = max(n for n, group in enumerate(reads) if group) + 1  # what comes after has no effect
        kept = replace(score, beats=score.beats[:last])
        reach = find_reach(kept, reads[:last], quarters[:last], nstates, free_phases)
        return Part(kept, reads[:last], reach, find_frame(quarters[:last]))

    end = None
    if steady:
        if not score.end_spoiled:
            raise ValueError("a sequence that repeats must end with a spoiler")
        end = part([*([] for _ in score.beats[:-1]), [score.end]])
    return Program(part([beat.reads for beat in score.beats]), end, expressions)


def compile_program(
    sequence: Sequence, nstates: int | None = None, free_phases: bool = False
) -> tuple[Program, list[Array]]:
    """The program of a sequence, from a cache if its structure has been met, and the entries of its tables.

    Parameters
    ----------
    sequence : Sequence
        What to compile.
    nstates : int, optional
        Keep orders below it only; all of them by default.
    free_phases : bool
        Whether RF phases will be differentiated. Then the problem is complex even where their values make it real.

    Returns
    -------
    Program
    list of ndarray
        Flips, phases, durations and receiver phases, in degrees and ms.
    """
    structure = type(sequence), sequence.steady, sequence.structure
    score, expressions = _scores.get(structure, lambda: _write(sequence))
    entries = expressions.evaluate(flatten(sequence.parameters))
    steps = None if free_phases else _steps.get(entries[1].tobytes(), lambda: _phase_steps(entries[1]))

    def make() -> Program:
        quarters = [0, *[None] * (len(score.beats) - 1)] if steps is None else _quarters(steps)
        return _compile(score, expressions, quarters, nstates, free_phases, sequence.steady)

    return _programs.get((structure, steps, nstates), make), entries
