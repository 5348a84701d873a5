"""Launching kernels: room to work in, threads, chunks.

A `Job` binds a program to a call: values, tissue, derivatives wanted. Room is kept per thread and reused, so that a
second call of the same kind allocates little.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import prod
from multiprocessing import parent_process
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .checks import Array
from .kernels import columns as col
from .kernels.columns import GROUP, HALF, N_SUMS, SCRATCH, VECTOR
from .program.program import Part, Program, sum_at, unit_phase

LANES = 16
DEGREE = float(np.pi / 180)
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


class _Pool:
    """Memory of large results that nobody holds any more, to be used again.

    A fresh array costs as much as what is written into it: the system hands out its pages one by one, and clears them.
    At most KEPT bytes are kept; a buffer is free when nothing but the pool refers to it.
    """

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of undefined contents."""
        size = prod(shape) * np.dtype(dtype).itemsize
        if not LARGE <= size <= KEPT:
            return np.empty(shape, dtype)
        with self._lock:
            for place in range(len(self._buffers)):
                # the list, and the argument of getrefcount
                if sys.getrefcount(self._buffers[place]) == 2 and size <= self._buffers[place].size <= 2 * size:
                    return np.ndarray(shape, dtype, self._buffers[place])
            buffer = np.empty(size, np.uint8)
            self._buffers.insert(0, buffer)
            while sum(kept.size for kept in self._buffers) > KEPT:
                self._buffers.pop()
        return np.ndarray(shape, dtype, buffer)


LARGE, KEPT = 1 << 20, 1 << 26
_pool_of_results = _Pool()


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


def warm_up() -> None:
    """Compile the kernels, or load them from disk, before they are needed: half a minute if it has never been done.

    A call compiles what it needs by itself; before a batch of processes starts, one call of this saves each the wait.

    Examples
    --------
    >>> warm_up()
    """
    from .design import CRLBObjective
    from .sequence import FSE
    from .verbs import jacobian, vjp

    train = FSE([60.0], 5.0)
    jacobian(train, 1000.0, 100.0, diff="T2")
    vjp(train, 1000.0, 100.0, signal_bar=[1.0])
    objective = CRLBObjective(train, 1000.0, 100.0)
    objective(objective.x0)


@cache
def bounds() -> Any:
    """The entry point for Cramer-Rao bounds."""
    from .kernels import crlb as module

    return module


def _bind_turns(
    part: Part, phases: npt.NDArray[np.inexact], advance: npt.NDArray[np.inexact]
) -> npt.NDArray[np.inexact]:
    """Cosine and sine of a part's phase steps."""
    steps = part.turns(phases[: len(part.signs)], advance)
    phasor = unit_phase(steps.real)
    # A complex step makes cosine and sine complex: to first order, which is all it asks for.
    extra = np.deg2rad(1) * (steps - steps.real)
    return np.stack([phasor.real - phasor.imag * extra, phasor.imag + phasor.real * extra], 1).ravel()


class Job:
    """A program with the values, tissue and derivatives of one call.

    Parameters
    ----------
    program : Program
        What to play.
    entries : sequence of ndarray
        Its flips, phases, durations, receiver phases, advance, as `Expressions.evaluate` gives them (degrees, ms).
    table : ndarray, shape (N_TISSUE, voxels)
        Rates, ..., M0 (see `Tissue.table`); its type is that of the computation.
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
        self.tangents = tuple(code for code in codes if code != col.M0)
        self._table, self._profile = table, profile
        self._sums: GradientSums | None = None
        self.plan = self._plan()
        self.set_values(entries)

    def _plan(self) -> "_Plan":
        """Where everything lies; kept with the program, since it is the same for all calls of a kind."""
        key = self.lanes, self.codes, len(self._profile)
        plans = self.program.__dict__.setdefault("plans", {})
        if key not in plans:
            plans[key] = _Plan(self)
        return cast("_Plan", plans[key])

    def set_values(self, entries: Sequence[npt.NDArray[np.inexact]]) -> None:
        """Give the program other numbers."""
        self._prepared: tuple[Any, tuple[Any, ...]] | None = None
        flips, phases, durations, receivers, advance = entries
        pieces = [durations, self._profile]
        for part in self.program.parts:
            pieces.append(part.signs * flips[: len(part.signs)] / 90)
            if part.reach.planes == 2:
                pieces.append(_bind_turns(part, phases, advance))
        values = np.concatenate(pieces).astype(self.dtype, copy=False)
        factors = self.program.signal.factors(phases.real, receivers.real)
        self.call = batch().Call(
            self.program.tables(self.lanes).flat, self.plan.sizes, values, self._table, factors, self.n_voxels
        )

    def __getstate__(self) -> dict[str, Any]:
        """Room to work in is not copied: a copy makes its own."""
        return {**self.__dict__, "_sums": None, "_prepared": None}

    @property
    def n_groups(self) -> int:
        return int(-(-self.n_voxels // (GROUP * self.lanes)))

    def room(self) -> npt.NDArray[np.inexact]:
        """This thread's room to play in."""
        return cast("npt.NDArray[np.inexact]", self._room("play", lambda: self.plan.room(self.dtype)))

    def lane(self) -> Array:
        """This thread's room for derivatives that belong to a lane."""
        kind = np.complex128 if self.dtype == np.complex128 else np.float64
        return cast("Array", self._room("lane", lambda: self.plan.lane(kind)))

    def unit(self) -> tuple[npt.NDArray[Any], ...]:
        """This thread's room for results of a unit of voxels."""
        return cast("tuple[npt.NDArray[Any], ...]", self._room("unit", self.plan.unit))

    def _room(self, use: str, make: Callable[[], Any]) -> Any:
        """This thread's room for a use, made when first asked for; the last few kinds are kept."""
        known: dict[Any, Any] = _local.__dict__.setdefault("rooms", {})
        key = use, id(self.plan), self.dtype.char
        found = known.get(key)
        if found is None or found[0] is not self.plan:
            while len(known) >= 8:
                known.pop(next(iter(known)))
            found = known[key] = (self.plan, make())
        return found[1]

    def amplitudes(self) -> npt.NDArray[np.inexact]:
        """Bare amplitudes (voxel, set, plane, output)."""
        shape = self.n_voxels, 1 + len(self.tangents), self.program.signal.reach.planes, self.program.n_out
        amplitudes = np.zeros(shape, self.dtype)
        run = batch().amplitude_batch
        spread(
            lambda first, last: run(self.call, self.room(), amplitudes, first, last),
            self.n_voxels, self.lanes, self.plan.cost,
        )  # fmt: skip
        return amplitudes

    def signals(self, dtype: npt.DTypeLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Signal (voxel, output) and Jacobian (voxel, derivative, output)."""
        signal = _pool_of_results.array((self.n_voxels, self.program.n_out), dtype)
        jacobian = _pool_of_results.array((self.n_voxels, len(self.codes), self.program.n_out), dtype)
        run = batch().signal_batch
        spread(
            lambda first, last: run(self.call, self.room(), signal, jacobian, first, last),
            self.n_voxels, self.lanes, self.plan.cost,
        )  # fmt: skip
        return signal, jacobian

    def gradient(
        self, signal_bar: npt.NDArray[Any], jacobian_bar: npt.NDArray[Any], timing: bool, turning: bool
    ) -> "GradientSums":
        """Derivatives with respect to the program's entries, the tissue's rates and the slice profile."""
        sums = GradientSums(self)
        run = batch().gradient_batch

        def work(first: int, last: int) -> None:
            bars = sums.rows, self.lane(), sums.tissue
            run(self.call, self.room(), signal_bar, jacobian_bar, *bars, first, last, timing, turning)

        spread(work, self.n_voxels, GROUP * self.lanes, 4 * self.plan.cost)
        return sums

    def pull(self, amplitudes_bar: npt.NDArray[np.inexact], timing: bool, turning: bool) -> "GradientSums":
        """`gradient`, given the derivatives by bare amplitudes; in complex arithmetic for a complex job."""
        sums = GradientSums(self)
        run = batch().pull_batch

        def work(first: int, last: int) -> None:
            bars = sums.rows, self.lane(), sums.tissue
            run(self.call, self.room(), amplitudes_bar, *bars, first, last, timing, turning)

        spread(work, self.n_voxels, GROUP * self.lanes, 4 * self.plan.cost)
        return sums

    def bound(self, weights: Array, variance: float, timing: bool, turning: bool) -> tuple[Array, "GradientSums"]:
        """Weighted Cramer-Rao bounds, one per voxel, and the derivatives of their sum.

        Both are overwritten by the next call: an objective is called thousands of times, and reads them at once.
        """
        sums = self._cleared_sums()
        run, step = bounds().crlb_batch, GROUP * self.lanes

        def arguments() -> tuple[Any, ...]:
            bars = sums.rows, self.lane(), sums.tissue
            return self.call, self.room(), weights, variance, sums.values, self.unit(), *bars

        if self.n_voxels > step and not is_small(self.n_voxels, 4 * self.plan.cost):
            spread(lambda *span: run(*arguments(), *span, timing, turning), self.n_voxels, step, 4 * self.plan.cost)
        else:  # the same arguments again, as long as this thread calls and only flips have changed
            key = threading.get_ident(), id(weights), variance
            if self._prepared is None or self._prepared[0] != key:
                self._prepared = key, arguments()
            run(*self._prepared[1], 0, self.n_voxels, timing, turning)
        return sums.values, sums

    def _cleared_sums(self) -> "GradientSums":
        """Zeroed tables for sums over voxels; an objective that is called again uses them again."""
        if self._sums is None:
            self._sums = GradientSums(self)
        else:
            self._sums.clear()
        return self._sums


class _Plan:
    """Where everything that kernels read and write lies, for one kind of call of a program.

    `sizes` holds a row for each part (see `kernels.columns`), then codes, state sets and kinds of the derivatives.
    """

    def __init__(self, job: Job) -> None:
        program, codes, tangents = job.program, job.codes, job.tangents
        parts = len(program.parts)
        # state updates per voxel, all sets and slice positions
        self.cost = program.tables(job.lanes).updates * (1 + len(tangents)) * len(job._profile)
        self._sets, self._codes, self._lanes = len(tangents) + 1, len(codes), job.lanes
        self._n_out, self.n_positions = program.n_out, len(job._profile)
        sizes = program.tables(job.lanes).sizes.copy()
        sizes[:, col.TANGENTS], sizes[:, col.N_CODES] = len(tangents), len(codes)
        sizes[:, col.N_POSITIONS] = self.n_positions
        self.n_durations = int(sizes[0, col.N_DURATIONS])
        tail = [*codes, *(0 if code == col.M0 else 1 + tangents.index(code) for code in codes), *tangents]
        for place, start in ((col.CODES_AT, 0), (col.SETS_AT, len(codes)), (col.KINDS_AT, 2 * len(codes))):
            sizes[:, place] = parts * col.N_SIZE + start
        sizes[:, col.PROFILE_AT] = self.n_durations
        self.flips_at = self._place_values(program, sizes)
        self._room_size = self._place_room(program, sizes)
        self.width = self._place_sums(program, sizes)
        self._scratch = int(sizes[0, col.SCRATCH_AT])
        self.sizes = np.concatenate([sizes.ravel(), np.array(tail, np.int64)])

    def _place_values(self, program: Program, sizes: npt.NDArray[np.int64]) -> list[int]:
        """Durations, slice profile, then flips and turns of each part."""
        filled, flips_at = self.n_durations + self.n_positions, []
        for row, part in zip(sizes, program.parts, strict=True):
            row[col.FLIPS_AT] = filled
            flips_at.append(filled)
            filled += len(part.signs)
            row[col.TURNS_AT] = filled
            filled += 2 * (len(part.signs) + 1) if part.reach.planes == 2 else 0
        return flips_at

    def _place_room(self, program: Program, sizes: npt.NDArray[np.int64]) -> int:
        """A thread's room: what parts share, what each has, then the states and, last, adjoints; its length."""
        lines, sets = 0, self._sets  # of VECTOR numbers
        edge = int(sizes[0, col.BOUNDARY])
        shared = {
            col.RATES_AT: col.N_RATES,
            col.SEEDS_AT: col.N_RATES * (sets - 1),
            col.DECAY_AT: col.N_DECAY * self.n_durations,
            col.SCRATCH_AT: SCRATCH,
            col.BOUNDARY_AT: max(2 * edge * (edge + 2), 1) * sets,
        }
        for place, count in shared.items():
            sizes[:, place] = lines * VECTOR
            lines += count
        for row, part in zip(sizes, program.parts, strict=True):
            amplitudes = -(-sets * part.reach.planes * int(row[col.N_OUT]) * self._lanes // VECTOR)
            counts = {col.TRIG_AT: 2 * len(part.signs), col.AMPLITUDES_AT: amplitudes}
            for place, count in {**counts, col.AMPLITUDES_BAR_AT: amplitudes}.items():
                row[place] = lines * VECTOR
                lines += count
        sets_size = sets * int(sizes[0, col.ARENA])
        sizes[:, col.SPACE_AT], sizes[:, col.ADJOINT_AT] = lines * VECTOR, lines * VECTOR + sets_size
        return int(lines * VECTOR + sets_size + sets * sizes[0, col.PAIR_ARENA])

    def _place_sums(self, program: Program, sizes: npt.NDArray[np.int64]) -> int:
        """A row of gathered derivatives; its length."""
        n_steps = max(len(part.signs) for part in program.parts)
        filled = 0
        for place, count in (
            (col.FLIP_SUMS_AT, n_steps),
            (col.TURN_SUMS_AT, n_steps + 1),
            (col.DURATION_SUMS_AT, self.n_durations),
            (col.FACTOR_SUMS_AT, self._n_out),
            (col.PROFILE_SUMS_AT, self.n_positions),
        ):
            sizes[:, place] = filled
            filled += count
        sizes[:, col.SUMS_WIDTH] = filled
        return filled

    def room(self, dtype: npt.DTypeLike) -> npt.NDArray[np.inexact]:
        """Room for one thread to play in. What only a reverse sweep needs takes no memory until there is one."""
        room = aligned(self._room_size, dtype)
        room[self._scratch + HALF] = 0.5
        return room

    def lane(self, kind: npt.DTypeLike) -> npt.NDArray[np.inexact]:
        """Room of one thread for derivatives that belong to a lane (see `kernels.batch.select_bars`)."""
        rows = N_SUMS + col.N_RATES * self._sets + 3 * self._sets
        return cast("Array", aligned(rows * VECTOR, kind))

    def unit(self) -> tuple[npt.NDArray[Any], ...]:
        """Room of one thread for a unit of voxels: results, derivatives with respect to them, Fisher matrices."""
        signal, jacobian = (self._lanes, self._n_out), (self._lanes, self._codes, self._n_out)
        results = (np.zeros(shape, np.complex128) for shape in (signal, jacobian, signal, jacobian))
        return (*results, np.zeros((self._codes, self._codes)), np.zeros((self._codes, self._codes)))


class GradientSums:
    """Derivatives summed over groups of voxels: the order of the sum does not depend on threads."""

    def __init__(self, job: Job) -> None:
        self._plan, self._program, self._parts = job.plan, job.program, len(job.program.parts)
        rows = self._parts * job.n_groups * job.plan.width
        tissue = col.N_TISSUE * job.n_voxels
        kind = np.complex128 if job.dtype == np.complex128 else np.float64
        self._all = np.zeros(rows + tissue + job.n_voxels, kind)
        self.rows = self._all[:rows]
        self.tissue = self._all[rows : rows + tissue].reshape(col.N_TISSUE, job.n_voxels)
        self.values = self._all[rows + tissue :]

    def clear(self) -> None:
        self._all.fill(0)

    def _columns(self, place: int, count: int) -> Array:
        """Sums over groups, a row a part, of what begins at a place in the groups' rows."""
        start = int(self._plan.sizes[place])
        table = self.rows.reshape(self._parts, -1, self._plan.width)[:, :, start : start + count]
        return cast("Array", table[:, 0] if table.shape[1] == 1 else table.sum(axis=1))

    def flip_entries(self) -> Array:
        """Sums by flip angle, per degree."""
        parts = self._program.parts
        flips = np.zeros(self._program.expressions.lengths[0], self.rows.dtype)
        table = self._columns(col.FLIP_SUMS_AT, max(len(part.signs) for part in parts))
        for part, sums in zip(parts, table, strict=True):
            flips[: len(part.signs)] += part.signs * sums[: len(part.signs)]
        return np.asarray(flips * DEGREE)

    def flip_sums(self, part: int, where: slice | npt.NDArray[np.int64]) -> Array:
        """Sums over groups by some flip angles of a part, per radian of the signed flip."""
        table = self.rows.reshape(self._parts, -1, self._plan.width)[part]
        return cast("Array", table[0, where] if len(table) == 1 else table[:, where].sum(axis=0))

    def profile(self) -> Array:
        """Sums by slice position."""
        return cast("Array", self._columns(col.PROFILE_SUMS_AT, self._plan.n_positions).sum(axis=0))

    def entries(self, timing: bool = True, turning: bool = True) -> list[Array]:
        """Sums by entry: flips, phases, durations, receiver phases, advance (per degree, per ms).

        Without `timing` those by duration are zero, without `turning` those by phase.
        """
        program = self._program
        lengths = program.expressions.lengths
        durations = self._columns(col.DURATION_SUMS_AT, lengths[2]).sum(axis=0) if timing else np.zeros(lengths[2])
        if not turning:
            return [self.flip_entries(), np.zeros(lengths[1]), durations, np.zeros(lengths[3]), np.zeros(1)]
        factors = self._columns(col.FACTOR_SUMS_AT, program.n_out).sum(axis=0)
        phases = sum_at(program.signal.layout(1).factor_step, factors, lengths[1])
        advance = 0 * factors.sum()
        table = self._columns(col.TURN_SUMS_AT, max(len(part.signs) for part in program.parts) + 1)
        for part, turns in zip(program.parts, table, strict=True):
            if part.reach.planes == 2:
                n = len(part.signs)
                phases[:n] -= turns[:n]  # of the step from the phase before to this one, counted backwards
                phases[: n - 1] += turns[1:n]
                phases[n - 1] += turns[n]
                advance -= turns[0]
        return [self.flip_entries(), phases * DEGREE, durations, factors * -DEGREE, np.array([advance * DEGREE])]


class Flips:
    """Flip angles that are each a factor times a variable: to set, and to differentiate with respect to.

    An optimiser does both thousands of times, and nothing else.

    Parameters
    ----------
    job : Job
        Whose flips they are.
    entries : ndarray of int
        Which of the program's flips.
    factors : ndarray
        Degrees per unit of each variable.
    """

    def __init__(self, job: Job, entries: npt.NDArray[np.int64], factors: Array) -> None:
        self._size = len(entries)
        self._places = []
        for part, start in zip(job.program.parts, job.plan.flips_at, strict=True):
            played = np.flatnonzero(entries < len(part.signs))
            chosen, scale = entries[played], part.signs[entries[played]] * factors[played]
            self._places.append(
                (_stretch(played), _stretch(start + chosen), _stretch(chosen), scale / 90, scale * DEGREE)
            )

    def set(self, job: Job, x: Array) -> None:
        """Give them their values."""
        for played, where, _, scale, _ in self._places:
            job.call.values[where] = scale * x[played]

    def gradient(self, sums: GradientSums) -> Array:
        """Derivatives with respect to the variables."""
        if len(self._places) == 1 and len(self._places[0][-1]) == self._size:
            _, _, chosen, _, scale = self._places[0]
            return scale * sums.flip_sums(0, chosen)
        gradient = np.zeros(self._size)
        for part, (played, _, chosen, _, scale) in enumerate(self._places):
            gradient[played] += scale * sums.flip_sums(part, chosen)
        return gradient


def _stretch(index: npt.NDArray[np.int64]) -> slice | npt.NDArray[np.int64]:
    """An index as a slice, if it is one: a view takes no time."""
    if len(index) and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index
