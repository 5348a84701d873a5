"""Launching kernels: a program bound to the values, tissue and derivatives of a call.

Room is kept per thread and reused, so that a second call of the same kind allocates little.
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels.columns import DIFFUSION, GROUP, VECTOR
from ..program.expressions import Entries, make_room, unit_phase
from ..program.program import Part, Program
from ..program.rounding import rounding_limits
from ..slice_profile import WHOLE, SliceProfile
from . import memory
from .layout import tables_of
from .plan import Plan, tangent_kinds
from .sums import Gathered, GradientSums
from .threads import is_small, spread

LANES = 16
COMPLEX = {kind: np.result_type(kind, np.complex64) for kind in "fdFD"}
FEW_VOXELS = 2  # up to here a voxel at a time, its orders side by side, is quicker than a vector of voxels

_local = threading.local()
_NONE = np.zeros(0)


@cache
def batch() -> Any:
    """The kernels' entry points: importing them imports Numba, which takes half a second."""
    from ..kernels import batch as module

    return module


@cache
def bounds() -> Any:
    """The entry point for Cramer-Rao bounds."""
    from ..kernels import crlb as module

    return module


@cache
def fits() -> Any:
    """The entry points for least squares."""
    from ..kernels import fit as module

    return module


@cache
def matches() -> Any:
    """The entry points for matching."""
    from ..kernels import match as module

    return module


def bind_turns(
    part: Part, phases: npt.NDArray[np.inexact], advance: npt.NDArray[np.inexact]
) -> npt.NDArray[np.inexact]:
    """Cosine and sine of a part's phase steps."""
    steps = part.turns(phases[: len(part.signs)], advance)
    phasor = unit_phase(steps.real)
    # A complex step makes cosine and sine complex: to first order, which is all it asks for.
    extra = np.deg2rad(1) * (steps - steps.real)
    return np.stack([phasor.real - phasor.imag * extra, phasor.imag + phasor.real * extra], 1).ravel()


def whole_blocks(table: npt.NDArray[np.inexact], lanes: int) -> npt.NDArray[np.inexact]:
    """A table of voxels, filled up to whole blocks of lanes with the last one."""
    missing = -table.shape[1] % lanes
    return np.pad(table, ((0, 0), (0, missing)), "edge") if missing else table


class AnyJob(Protocol):
    """What verbs ask of a job, wherever it runs."""

    program: Program
    n_voxels: int

    def signals(self) -> tuple[Any, Any]:
        """Signal (voxel, output) and Jacobian (voxel, derivative, output)."""

    def gradient(self, signal_bar: Any, jacobian_bar: Any, timing: bool, turning: bool) -> Gathered:
        """Derivatives, given those with respect to both; without `timing` or `turning`, not by those."""


class Job:
    """A program with the values, tissue and derivatives of one call.

    Parameters
    ----------
    program : Program
        What to play.
    entries : Entries
        Its flips, phases, durations, receiver phases, advance, as `Expressions.evaluate` gives them (degrees, ms).
    table : ndarray, shape (N_TISSUE, voxels)
        Rates, ..., M0 (see `Tissue.table`); its type is that of the computation.
    profile : SliceProfile
        Flip angles across the slice.
    codes : tuple of int
        Derivatives, as rows of `table`.
    """

    def __init__(
        self,
        program: Program,
        entries: Entries,
        table: npt.NDArray[np.inexact],
        profile: SliceProfile,
        codes: tuple[int, ...],
    ) -> None:
        self.program, self.dtype, self.codes = program, table.dtype, codes
        self.n_voxels = table.shape[1]
        self.lanes = 1 if self.n_voxels <= FEW_VOXELS else LANES
        self.tangents = tangent_kinds(codes)
        self.profile, self.repeats = profile, 1 if program.end else None  # see `kernels.batch.play_block`
        self.scales = program.unscaled if profile is WHOLE else profile.scales(program.kinds)
        self._table = whole_blocks(table, self.lanes)
        self._sums: GradientSums | None = None
        self.plan = self._plan()
        self.set_values(entries)

    def _plan(self) -> Plan:
        """Where everything lies; kept with the program, since it is the same for all calls of a kind."""
        key = self.lanes, self.codes, len(self.scales)
        plans = self.program.__dict__.setdefault("plans", {})
        if key not in plans:
            plans[key] = Plan(self.program, *key)
        return cast(Plan, plans[key])

    def set_values(self, entries: Entries) -> None:
        """Give the program other numbers."""
        self._prepared: tuple[Any, tuple[Any, ...]] | None = None
        self.flips = entries[0]
        values, factors = self._bound(entries)
        self._chunk = self._find_chunk(entries[2])
        tables, sizes = tables_of(self.program, self.lanes).flat, self.plan.addressed(self.dtype, self._chunk)
        self.call = batch().Call(tables, sizes, values, self._table, factors, self.n_voxels)
        if self._sums is not None:  # who has gone back will again, and other values may take other sizes
            self._backward()

    def own_values(self) -> None:
        """Let values be changed in place: until now other jobs may have had the same."""
        self.call = self.call._replace(values=self.call.values.copy())

    def _bound(self, entries: Entries) -> tuple[npt.NDArray[np.inexact], npt.NDArray[np.complex128]]:
        """Values and factors that entries come to; kept with them, since a sequence is played again and again."""
        key = id(self.program), self.dtype.char, self.tangents, None if self.profile is WHOLE else self.scales.tobytes()
        kept = entries.bound.get(key)
        if kept is None:  # holding the program, whose number would be another's otherwise
            kept = self._bind(entries), self.program
            make_room(entries.bound)[key] = kept
        bound: tuple[npt.NDArray[np.inexact], npt.NDArray[np.complex128]] = kept[0]
        return bound

    def _find_chunk(self, times: npt.NDArray[np.inexact]) -> int:
        """How many rows take their factors from the one before: not so many that rounding counts.

        But one where diffusion is so strong that the first of them might vanish, and one that follows not: over an
        interval no order that a gradient passes through is left less than exp(-D q^2 S2) of.
        """
        few, most = (16, 60.0) if self.dtype in (np.float32, np.complex64) else (32, 600.0)
        if DIFFUSION not in self.program.terms:
            return few
        moments = times[len(self.program.signal.train.durations) :].real
        strongest = self._table[DIFFUSION].real.max(initial=0.0) * abs(moments).max(initial=0.0)
        return few if strongest * self.program.dephasing**2 < most else 1

    def _bind(self, entries: Entries) -> tuple[npt.NDArray[np.inexact], npt.NDArray[np.complex128]]:
        flips, phases, durations, receivers, advance = entries
        program = self.program
        limits = rounding_limits(program, durations.real, self.tangents, self.dtype)
        shared = [durations, limits, np.array([program.dephasing])]
        turns = [bind_turns(part, phases, advance) if part.reach.planes == 2 else _NONE for part in program.parts]
        factors = program.signal.factors(phases.real, receivers.real)
        pieces = []
        for scales in self.scales:
            pieces += shared
            for part, turn in zip(program.parts, turns, strict=True):
                n = len(part.signs)
                nominal = part.signs * flips[:n] / 90
                pieces += [scales[:n] * nominal, program.powers[:n] * nominal if program.bound else _NONE, turn]
        if program.ensemble:
            pieces.append(np.stack([program.ensemble.turns.real, program.ensemble.turns.imag], 2).ravel())
        pieces.append(np.zeros(VECTOR))  # vectors of flips and durations may reach beyond their last
        values = np.concatenate(pieces).astype(self.dtype, copy=False)
        return values, np.concatenate([factors] * len(self.scales))

    def __getstate__(self) -> dict[str, Any]:
        """Room to work in is not copied: a copy makes its own."""
        return {**self.__dict__, "_sums": None, "_prepared": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.call = self.call._replace(sizes=self.plan.addressed(self.dtype, self._chunk))  # those of this process

    def _backward(self) -> None:
        """Have the loops of reverse sweeps at hand: their addresses are written into the sizes of the call."""
        self.plan.addressed(self.dtype, self._chunk, "backward")

    @property
    def factors(self) -> npt.NDArray[np.complex128]:
        """What turns amplitudes into signals, by output."""
        return cast("npt.NDArray[np.complex128]", self.call.factors[: self.program.n_out])

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
            lambda first, last: run(self.call, self.room(), amplitudes, first, last, self.repeats),
            self.n_voxels, self.lanes, self.plan.cost,
        )  # fmt: skip
        return amplitudes

    def signals(self, out: npt.NDArray[Any] | None = None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Signal (voxel, output), in `out` if it is given, and Jacobian (voxel, derivative, output)."""
        dtype = COMPLEX[self.dtype.char]
        signal = memory.results.array((self.n_voxels, self.program.n_out), dtype) if out is None else out
        jacobian = memory.results.array((self.n_voxels, len(self.codes), self.program.n_out), dtype)
        run = batch().signal_batch
        spread(
            lambda first, last: run(self.call, self.room(), signal, jacobian, first, last, self.repeats),
            self.n_voxels, self.lanes, self.plan.cost,
        )  # fmt: skip
        return signal, jacobian

    def play(
        self, table: npt.NDArray[np.inexact], count: int, signal: npt.NDArray[Any], jacobian: npt.NDArray[Any]
    ) -> None:
        """Signal and Jacobian of the first `count` voxels of another table, whole blocks of lanes, in this thread."""
        call = self.call._replace(tissue=table, n_voxels=count)
        batch().signal_batch(call, self.room(), signal, jacobian, 0, count, self.repeats)

    def gradient(
        self, signal_bar: npt.NDArray[Any], jacobian_bar: npt.NDArray[Any], timing: bool, turning: bool
    ) -> GradientSums:
        """Derivatives with respect to the program's entries, the tissue's rates and the slice profile."""
        self._backward()
        sums = GradientSums(self)
        run = batch().gradient_batch

        def work(first: int, last: int) -> None:
            bars = sums.rows, self.lane(), sums.tissue_rows
            run(self.call, self.room(), signal_bar, jacobian_bar, *bars, first, last, timing, turning, self.repeats)

        spread(work, self.n_voxels, GROUP * self.lanes, 4 * self.plan.cost)
        return sums

    def pull(self, amplitudes_bar: npt.NDArray[np.inexact], timing: bool, turning: bool) -> GradientSums:
        """`gradient`, given the derivatives by bare amplitudes; in complex arithmetic for a complex job."""
        self._backward()
        sums, given = GradientSums(self), np.ascontiguousarray(amplitudes_bar)
        run = batch().pull_batch

        def work(first: int, last: int) -> None:
            bars = sums.rows, self.lane(), sums.tissue_rows
            run(self.call, self.room(), given, *bars, first, last, timing, turning, self.repeats)

        spread(work, self.n_voxels, GROUP * self.lanes, 4 * self.plan.cost)
        return sums

    def bound(self, weights: Array, variance: float, timing: bool, turning: bool) -> tuple[Array, GradientSums]:
        """Weighted Cramer-Rao bounds, one per voxel, and the derivatives of their sum.

        Both are overwritten by the next call: an objective is called thousands of times, and reads them at once.
        """
        sums = self._cleared_sums()
        run, step = bounds().crlb_batch, GROUP * self.lanes

        def arguments() -> tuple[Any, ...]:
            bars = sums.rows, self.lane(), sums.tissue_rows
            return self.call, self.room(), weights, variance, sums.values, self.unit(), *bars

        if self.n_voxels > step and not is_small(self.n_voxels, 4 * self.plan.cost):
            spread(
                lambda *span: run(*arguments(), *span, timing, turning, self.repeats),
                self.n_voxels,
                step,
                4 * self.plan.cost,
            )
        else:  # the same arguments again, as long as this thread calls and only flips have changed
            key = threading.get_ident(), id(weights), variance
            if self._prepared is None or self._prepared[0] != key:
                self._prepared = key, arguments()
            run(*self._prepared[1], 0, self.n_voxels, timing, turning, self.repeats)
        return sums.values, sums

    def _cleared_sums(self) -> GradientSums:
        """Zeroed tables for sums over voxels; an objective that is called again uses them again."""
        if self._sums is None:
            self._backward()
            self._sums = GradientSums(self)
        else:
            self._sums.clear()
        return self._sums
