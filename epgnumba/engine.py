"""Launching kernels: room to work in, threads, chunks.

A `Job` binds a program to a call: values, tissue, derivatives wanted. Room is kept per thread and reused, so that a
second call of the same kind allocates little.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from math import prod
from multiprocessing import parent_process
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import Array
from .kernels import columns as col
from .kernels.columns import GROUP, VECTOR
from .program.program import Part, Program, unit_phase

LANES = 16
DEGREE = float(np.pi / 180)
M0 = 3  # code of the one derivative that needs no tangent
FEW_VOXELS = 2  # up to here a voxel at a time, its orders side by side, is quicker than a vector of voxels
SMALL = 2e5  # state updates that are done before another thread has woken up
CHUNK_UPDATES = 2e8  # state updates (times sets) between looks at the keyboard: a fraction of a second

_local = threading.local()
_threads: int | None = None
_pool: tuple[int, int, ThreadPoolExecutor] | None = None


def set_num_threads(count: int | None) -> None:
    """Number of threads that batches use; None for the default.

    The default is the number of processors this process may use, or 1 in a worker process of `multiprocessing`, so
    that many workers do not fight over them. The environment variable EPGNUMBA_NUM_THREADS overrides it.

    Examples
    --------
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    from . import checks

    global _threads
    _threads = None if count is None else checks.count("count", count)


def get_num_threads() -> int:
    """Number of threads that batches use (see `set_num_threads`)."""
    if _threads is not None:
        return _threads
    stated = os.environ.get("EPGNUMBA_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    if parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _executor(threads: int) -> ThreadPoolExecutor:
    """The pool of this process (a forked child must not use its parent's)."""
    global _pool
    if _pool is None or _pool[:2] != (os.getpid(), threads):
        _pool = (os.getpid(), threads, ThreadPoolExecutor(threads, thread_name_prefix="epgnumba"))
    return _pool[2]


def is_small(total: int, cost: float) -> bool:
    """Whether work is not worth a second thread."""
    return cost * total < SMALL


def spread(work: Callable[[int, int], Any], total: int, step: int, cost: float) -> None:
    """Call ``work(first, last)`` over [0, total) in multiples of `step`, on all threads where it is worth it.

    `cost` is the number of state updates per unit of `total`. Interrupting stops after the chunks in flight.
    """
    if total <= step or is_small(total, cost):
        work(0, total)
        return
    threads = get_num_threads()
    chunk = max(step, min(total / (4 * threads), CHUNK_UPDATES / cost))
    chunk = int(-(-chunk // step) * step)
    starts = iter(range(0, total, chunk))
    lock, stopped = threading.Lock(), threading.Event()

    def worker() -> None:
        while not stopped.is_set():
            with lock:
                first = next(starts, None)
            if first is None:
                return
            work(first, min(first + chunk, total))

    futures = [_executor(threads).submit(worker) for _ in range(threads)]
    try:
        for future in futures:
            future.result()
    finally:
        stopped.set()
        for future in futures:
            future.exception()  # wait: they write into arrays that the caller is about to let go


def aligned(count: int, dtype: npt.DTypeLike) -> npt.NDArray[np.inexact]:
    """Zeros that begin on a cache line: vectors then never straddle two."""
    kind = np.dtype(dtype)
    extra = 64 // kind.itemsize
    raw = np.zeros(count + extra, kind)
    skip = (-raw.ctypes.data % 64) // kind.itemsize
    return raw[skip : skip + count]


@cache
def batch() -> Any:
    """The kernels' entry points: importing them imports Numba, which takes half a second."""
    from .kernels import batch as module

    return module


@cache
def bounds() -> Any:
    """The entry point for Cramer-Rao bounds."""
    from .kernels import crlb as module

    return module


def _bind_part(
    part: Part, flips: npt.NDArray[np.inexact], phases: npt.NDArray[np.inexact]
) -> tuple[npt.NDArray[np.inexact], npt.NDArray[np.inexact]]:
    """Flips (quarter turns, signed) and turns (cosine, sine, -sine) of a part, from flips and phases in degrees."""
    n_steps = len(part.score.beats)
    signed = part.signs * flips[:n_steps] / 90
    if part.reach.planes == 1:
        return signed, _NO_TURNS
    steps = part.turns(phases[:n_steps])
    phasor = unit_phase(steps.real)
    # A complex step makes cosine and sine complex: to first order, which is all it asks for.
    extra = np.deg2rad(1) * (steps - steps.real)
    cosine = phasor.real - phasor.imag * extra
    sine = phasor.imag + phasor.real * extra
    return signed, np.repeat(np.stack([cosine, sine, -sine], 1).ravel(), VECTOR)


_NO_TURNS = np.ones(3 * VECTOR)


def _stack(rows: list[npt.NDArray[np.inexact]], dtype: npt.DTypeLike) -> npt.NDArray[np.inexact]:
    if len(rows) == 1:
        return rows[0].astype(dtype, copy=False)[None]
    stack = np.ones((len(rows), max(map(len, rows))), dtype)
    for target, row in zip(stack, rows, strict=True):
        target[: len(row)] = row
    return stack


class Job:
    """A program with the values, tissue and derivatives of one call.

    Parameters
    ----------
    program : Program
        What to play.
    entries : sequence of ndarray
        Its flips, phases, durations, receiver phases, as `Expressions.evaluate` gives them (degrees, ms).
    table : ndarray, shape (4, voxels)
        Rates, B1 and M0 (see `Tissue.table`); its type is that of the computation.
    profile : ndarray
        Slice profile.
    codes : tuple of int
        Derivatives, as rows of `table`.
    """

    def __init__(
        self,
        program: Program,
        entries: Sequence[npt.NDArray[np.inexact]],
        table: npt.NDArray[np.inexact],
        profile: npt.NDArray[np.inexact],
        codes: tuple[int, ...],
    ) -> None:
        self.program, self.dtype, self.codes = program, table.dtype, codes
        self.n_voxels = table.shape[1]
        self.lanes = 1 if self.n_voxels <= FEW_VOXELS else LANES
        self.tangents = tuple(code for code in codes if code != M0)
        self._table, self._profile = table, profile
        sets = [0 if code == M0 else 1 + self.tangents.index(code) for code in codes]
        self._codes = np.array(codes, np.int64), np.array(sets, np.int64)
        self._sums: GradientSums | None = None
        self.set_values(entries)

    def set_values(self, entries: Sequence[npt.NDArray[np.inexact]]) -> None:
        """Give the program other numbers."""
        self._prepared: tuple[Any, tuple[Any, ...]] | None = None
        flips, phases, durations, receivers = entries
        bound = [_bind_part(part, flips, phases) for part in self.program.parts]
        self.values = (
            durations.astype(self.dtype, copy=False),
            _stack([flips for flips, _ in bound], self.dtype),
            _stack([turns for _, turns in bound], self.dtype),
        )
        factors = self.program.signal.factors(phases.real, receivers.real)
        self.call = batch().Call(self._table, self._profile, *self._codes, factors, self.n_voxels)

    def set_flips(self, entries: npt.NDArray[np.int64], flips: Array) -> None:
        """Change some of the flips (degrees) and nothing else: what an optimiser does, thousands of times."""
        for part, values in zip(self.program.parts, self.values[1], strict=True):
            if len(part.signs) == self.program.expressions.lengths[0]:
                values[entries] = part.signs[entries] * flips / 90
            else:
                played = entries < len(part.signs)
                values[entries[played]] = part.signs[entries[played]] * flips[played] / 90

    def __getstate__(self) -> dict[str, Any]:
        """Room to work in is not copied: a copy makes its own."""
        return {**self.__dict__, "_sums": None, "_prepared": None}

    @property
    def _groups(self) -> int:
        return int(-(-self.n_voxels // (GROUP * self.lanes)))

    @cached_property
    def cost(self) -> float:
        """State updates per voxel, all sets and slice positions."""
        return self.program.tables(self.lanes).updates * (1 + len(self.tangents)) * len(self._profile)

    def player(self) -> Any:
        """What the kernels play, in this thread's room."""
        durations, flips, turns = self.values
        room = self._room("signal", self._make_room)
        return batch().Player(*room[:4], durations, flips, turns, *room[7:])

    def reversible(self) -> tuple[Any, "_LaneBars"]:
        """The same with room for a reverse sweep, and room for what it gathers in a lane."""
        durations, flips, turns = self.values
        room, bars = self._room("gradient", lambda: (self._make_room(keep=True), _LaneBars(self)))
        return batch().Player(*room[:4], durations, flips, turns, *room[7:]), bars

    def _room(self, use: str, make: Callable[[], Any]) -> Any:
        """This thread's room for a use, made when first asked for; the last few kinds are kept."""
        known: dict[Any, Any] = _local.__dict__.setdefault("rooms", {})
        tables = self.program.tables(self.lanes)
        key = (use, id(tables), self.codes, self.dtype.char, len(self._profile))
        found = known.get(key)
        if found is None or found[0] is not tables:
            while len(known) >= 8:
                known.pop(next(iter(known)))
            found = known[key] = (tables, make())
        return found[1]

    def amplitudes(self) -> npt.NDArray[np.inexact]:
        """Bare amplitudes (voxel, set, plane, output)."""
        shape = self.n_voxels, 1 + len(self.tangents), self.program.signal.reach.planes, self.program.n_out
        amplitudes = np.zeros(shape, self.dtype)
        run = batch().amplitude_batch

        def work(first: int, last: int) -> None:
            run(self.player(), self.call, amplitudes, first, last)

        spread(work, self.n_voxels, self.lanes, self.cost)
        return amplitudes

    def signals(self, dtype: npt.DTypeLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Signal (voxel, output) and Jacobian (voxel, derivative, output)."""
        signal = np.empty((self.n_voxels, self.program.n_out), dtype)
        jacobian = np.empty((self.n_voxels, len(self.codes), self.program.n_out), dtype)
        run = batch().signal_batch

        def work(first: int, last: int) -> None:
            run(self.player(), self.call, signal, jacobian, first, last)

        spread(work, self.n_voxels, self.lanes, self.cost)
        return signal, jacobian

    def gradient(
        self, signal_bar: npt.NDArray[Any], jacobian_bar: npt.NDArray[Any], timing: bool, turning: bool
    ) -> tuple[list[Array], Array, Array]:
        """Derivatives with respect to the program's entries, the tissue's maps and the slice profile."""
        sums = GradientSums(self, self._groups)
        run = batch().gradient_batch

        def work(first: int, last: int) -> None:
            player, lane = self.reversible()
            bars = sums.bars(lane)
            run(player, self.call, signal_bar, jacobian_bar, bars, sums.tissue, first, last, timing, turning)

        spread(work, self.n_voxels, GROUP * self.lanes, 4 * self.cost)
        return sums.entries(self.program), sums.tissue, sums.profile.sum(axis=0)

    def bound(self, weights: Array, variance: float, timing: bool, turning: bool) -> tuple[Array, "GradientSums"]:
        """Weighted Cramer-Rao bounds, one per voxel, and the derivatives of their sum.

        Both are overwritten by the next call: an objective is called thousands of times, and reads them at once.
        """
        sums = self._cleared_sums()
        run, step = bounds().crlb_batch, GROUP * self.lanes

        def arguments() -> tuple[Any, ...]:
            player, lane = self.reversible()
            return player, self.call, weights, variance, sums.values, lane.unit, sums.bars(lane), sums.tissue

        if self.n_voxels > step and not is_small(self.n_voxels, 4 * self.cost):
            spread(lambda *span: run(*arguments(), *span, timing, turning), self.n_voxels, step, 4 * self.cost)
        else:  # the same arguments again, as long as this thread calls and only flips have changed
            key = threading.get_ident(), id(weights), variance
            if self._prepared is None or self._prepared[0] != key:
                self._prepared = key, arguments()
            run(*self._prepared[1], 0, self.n_voxels, timing, turning)
        return sums.values, sums

    def _cleared_sums(self) -> "GradientSums":
        """Zeroed tables for sums over voxels; an objective that is called again uses them again."""
        if self._sums is None:
            self._sums = GradientSums(self, self._groups)
        else:
            self._sums.clear()
        return self._sums

    def _make_room(self, keep: bool = False) -> Any:
        tables = self.program.tables(self.lanes)
        sets, dtype = len(self.tangents) + 1, self.dtype
        sizes = tables.sizes.copy()
        sizes[:, col.TANGENTS] = sets - 1
        sizes[1:, col.AMPLITUDES] = sets * (tables.n_amplitudes - self.lanes * sizes[1:, col.PLANES])
        arena = tables.arena if keep else tables.pair_arena
        sizes[:, col.ARENA] = arena
        sizes[:, col.N_DURATIONS], sizes[:, col.N_SETS_Z] = len(self.values[0]), sets * VECTOR
        sizes[:, col.N_POSITIONS], sizes[:, col.N_CODES] = len(self.call.profile), len(self.codes)
        sizes[:, col.REPEATS] = len(tables.sizes) - 1
        parts, n_steps = tables.steps.shape[:2]
        durations, flips, turns = self.values

        def rows(count: int) -> npt.NDArray[np.inexact]:
            return aligned(count * VECTOR, dtype)

        kinds = np.array([(code in (col.R1, col.R2), code == col.B1) for code in self.tangents], np.int64)
        n_amplitudes = sets * tables.n_amplitudes
        return batch().Player(
            tables.steps, tables.reads, tables.segments, sizes, durations, flips, turns,
            rows(3), rows(2 * len(durations)), rows(parts * n_steps * 2).reshape(parts, -1), rows(3 * (sets - 1)),
            kinds.reshape(-1, 2), rows(7), dtype.type(0.5), np.ones(1, dtype),
            aligned(sets * arena, dtype), aligned(n_amplitudes, dtype),
            aligned(sets * tables.pair_arena if keep else 0, dtype), aligned(n_amplitudes if keep else 0, dtype),
            np.zeros((6, sets * VECTOR), dtype),
        )  # fmt: skip


class _LaneBars:
    """Room of one thread for derivatives that belong to a lane, and for a unit of voxels' results and their bars."""

    def __init__(self, job: Job) -> None:
        n = len(job.tangents)
        self.rows = tuple(aligned(count * VECTOR, np.float64) for count in (3, 3 * n, 1 + n, 4))
        lanes, codes, n_out = job.lanes, len(job.codes), job.program.n_out
        shapes = (lanes, n_out), (lanes, codes, n_out), (lanes, n_out), (lanes, codes, n_out)
        self.unit = (
            *(np.zeros(shape, np.complex128) for shape in shapes), np.zeros((codes, codes)), np.zeros((codes, codes))
        )  # fmt: skip


class GradientSums:
    """Derivatives summed over groups of voxels, one row a group: the order of the sum does not depend on threads."""

    def __init__(self, job: Job, n_groups: int) -> None:
        parts, n_steps = job.program.tables(job.lanes).steps.shape[:2]
        widths = len(job.values[0]), job.program.n_out, len(job.call.profile)
        tables = [(n_groups, width) for width in widths]
        shapes = [(parts, n_groups, n_steps)] * 2 + tables + [(4, job.n_voxels), (job.n_voxels,)]
        self._all = np.zeros(sum(map(prod, shapes)))
        views, start = [], 0
        for shape in shapes:
            views.append(self._all[start : start + prod(shape)].reshape(shape))
            start += prod(shape)
        self.flips, self.turns, self.durations, self.factors, self.profile, self.tissue, self.values = views

    def clear(self) -> None:
        self._all.fill(0)

    def bars(self, lane: _LaneBars) -> Any:
        """The kernels' `Bars`: these tables, and a thread's own room for what belongs to a lane."""
        return batch().Bars(self.flips, self.turns, self.durations, self.factors, self.profile, *lane.rows)

    def flip_entries(self, program: Program) -> Array:
        """Sums by flip angle, per degree."""
        if len(program.parts) == 1 and self.flips.shape[1:] == (1, program.expressions.lengths[0]):
            return np.asarray(self.flips[0, 0] * program.signal.signs * DEGREE)  # what a single tissue takes
        flips = np.zeros(program.expressions.lengths[0])
        for part, sums in zip(program.parts, self.flips, strict=True):
            n = len(part.signs)
            flips[:n] += part.signs * sums.sum(axis=0)[:n]
        return np.asarray(flips * DEGREE)

    def entries(self, program: Program) -> list[Array]:
        """Sums by entry: flips, phases, durations, receiver phases (per degree, per ms)."""
        lengths = program.expressions.lengths
        phases = np.zeros(lengths[1])
        factors = self.factors.sum(axis=0)
        for part, turn_sums in zip(program.parts, self.turns, strict=True):
            if part.reach.planes == 2:
                n = len(part.score.beats)
                turns = turn_sums.sum(axis=0)[:n]  # of the step from the phase before to this one, counted backwards
                phases[:n] -= turns
                phases[: n - 1] += turns[1:]
        phases += np.bincount(program.signal.layout(1).factor_step, factors, lengths[1])
        return [self.flip_entries(program), phases * DEGREE, self.durations.sum(axis=0), factors * -DEGREE]
