"""Where everything that a call reads and writes lies."""

from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels import columns as col
from ..kernels.columns import N_ROUNDING, ONE, SCRATCH, VECTOR
from ..kernels.pools import exchange_lines
from ..kernels.shape import LOOPS, Shape, count_angles
from ..program.program import Program
from .layout import tables_of
from .memory import aligned


@cache
def tangent_kinds(codes: tuple[int, ...]) -> tuple[int, ...]:
    """The rate that each tangent changes; in one order whatever that of the derivatives, so that code is shared."""
    return tuple(sorted(code for code in codes if code != col.M0))


def state_sets(codes: tuple[int, ...]) -> list[int]:
    """For each derivative the state set that holds it; that by M0 has none, and takes that of the states."""
    tangents = tangent_kinds(codes)
    return [0 if code == col.M0 else 1 + tangents.index(code) for code in codes]


def _vectors(count: int) -> int:
    """Vectors that `count` numbers fill."""
    return -(-count // int(VECTOR))


def _lines(count: int, lanes: int) -> int:
    """Lines of a table of `count`; those of one lane are filled by vectors."""
    return count if lanes > 1 else _vectors(count) * int(VECTOR)


class Plan:
    """Where everything that kernels read and write lies, for one kind of call of a program.

    Parameters
    ----------
    program : Program
        What is played.
    lanes : int
        Voxels side by side.
    codes : tuple of int
        Derivatives wanted, M0 among them.
    n_positions : int
        Of the slice profile.
    wave_terms : int
        Terms of the series of waveforms, if there are any.

    Attributes
    ----------
    sizes : ndarray of int
        A row for each part (see `kernels.columns`), then codes, state sets and kinds of the derivatives.
    """

    def __init__(
        self, program: Program, lanes: int, codes: tuple[int, ...], n_positions: int, wave_terms: int = 0
    ) -> None:
        tangents = tangent_kinds(codes)
        parts = len(program.parts)
        # state updates per voxel, all sets and slice positions
        updates = program.ensemble.cost if program.ensemble else tables_of(program, lanes).updates
        self.cost = updates * (1 + len(tangents)) * n_positions
        self._sets, self._codes, self._lanes = len(tangents) + 1, len(codes), lanes
        self._n_out, self.n_positions = program.n_out, n_positions
        sizes = tables_of(program, lanes).sizes.copy()
        sizes[:, col.TANGENTS], sizes[:, col.N_CODES] = len(tangents), len(codes)
        sizes[:, col.N_POSITIONS] = self.n_positions
        self.n_durations = program.expressions.lengths[2]  # with moments
        self._terms, self._kinds = program.terms, tangents
        sizes[:, col.INVERTS] = any(program.expressions.inverts)
        sizes[:, col.FIELDS] = program.n_rates - col.N_RATES
        sizes[:, col.WAVE_TERMS] = wave_terms
        tail: list[int] = []
        orders, order_of = (ensemble.orders, ensemble.order_of) if (ensemble := program.ensemble) else ([], [])
        for place, numbers in (
            (col.CODES_AT, codes), (col.SETS_AT, state_sets(codes)), (col.KINDS_AT, tangents),
            (col.ORDERS_AT, orders), (col.ORDER_OF_AT, order_of),
        ):  # fmt: skip
            sizes[:, place] = parts * col.N_SIZE + len(tail)
            tail += numbers
        self._turns = np.shape(ensemble.turns) if ensemble else (0, 0)
        sizes[:, col.MEMBERS], sizes[:, col.MEMBER_WIDTH] = self._turns
        sizes[:, col.N_ORDERS] = len(orders)
        sizes[:, col.ROUNDING_AT] = self.n_durations
        sizes[:, col.DEPHASING_AT] = self.n_durations + N_ROUNDING
        self.flips_at, self.powers_at = self._place_values(program, sizes)
        self._room_size = self._place_room(program, sizes)
        self.width = self._place_sums(program, sizes)
        self._scratch = int(sizes[0, col.SCRATCH_AT])
        self._planes = [int(planes) for planes in sizes[:, col.PLANES]]
        self._addressed: dict[tuple[str, int, str], npt.NDArray[np.int64]] = {}
        self.sizes = np.concatenate([sizes.ravel(), np.array(tail, np.int64)])

    def addressed(self, dtype: npt.DTypeLike, chunk: int = 1, group: str = "forward") -> npt.NDArray[np.int64]:
        """`sizes`, with CHUNK and the addresses that a group of compiled loops has in this process."""
        kind = np.dtype(dtype)
        if (kind.char, chunk, "") not in self._addressed:
            sizes = self._addressed[kind.char, chunk, ""] = self.sizes.copy()
            sizes[: len(self._planes) * col.N_SIZE].reshape(-1, col.N_SIZE)[:, col.CHUNK] = chunk
        sizes = self._addressed[kind.char, chunk, ""]
        if (kind.char, chunk, group) not in self._addressed:
            from ..kernels.lanes import addresses

            first = col.LOAD if group == "forward" else col.REWIND
            for part, planes in enumerate(self._planes):
                start = part * col.N_SIZE + first
                shape = Shape(planes, self._kinds, self._lanes, self._terms)
                sizes[start : start + len(LOOPS[group])] = addresses(shape, kind.type, group)
            self._addressed[kind.char, chunk, group] = sizes
        return sizes

    def __getstate__(self) -> dict[str, Any]:
        """Addresses are those of a process."""
        return {**self.__dict__, "_addressed": {}}

    def _place_values(self, program: Program, sizes: npt.NDArray[np.int64]) -> tuple[list[int], list[int]]:
        """Of each position durations, rounding, dephasing, parts' flips, powers and turns; then an ensemble's turns."""
        filled, flips_at, powers_at = self.n_durations + N_ROUNDING + 1, [], []
        for row, part in zip(sizes, program.parts, strict=True):
            row[col.FLIPS_AT] = filled
            flips_at.append(filled)
            filled += len(part.signs)
            row[col.POWERS_AT] = filled
            powers_at.append(filled)
            filled += len(part.signs) if program.bound else 0
            row[col.TURNS_AT] = filled
            filled += 2 * (len(part.signs) + 1) if part.reach.planes == 2 else 0
        sizes[:, col.WAVES_AT] = filled
        terms = int(sizes[0, col.WAVE_TERMS])
        filled += len(program.pulse_kinds) * (4 * terms + 1) if terms else 0
        sizes[:, col.VALUES_STRIDE], sizes[:, col.MEMBERS_AT] = filled, filled * self.n_positions
        self.values_stride = filled
        return flips_at, powers_at

    def _place_room(self, program: Program, sizes: npt.NDArray[np.int64]) -> int:
        """A thread's room: what parts share, what each has, then the states and, last, adjoints; its length."""
        lines, sets = 0, self._sets  # of VECTOR numbers
        edge = int(sizes[0, col.BOUNDARY])
        lanes = self._lanes
        decays = _lines(int(sizes[0, col.N_DURATIONS]), lanes)
        sizes[:, col.DECAY_LINES] = decays
        shape, n_rates = Shape(1, self._kinds, lanes, self._terms), program.n_rates
        pools = exchange_lines(shape)[-1] * decays
        sizes[:, col.SEED_BARS_AT] = n_rates * lanes
        sizes[:, col.START_BARS_AT] = (n_rates + sets - 1) * lanes
        sizes[:, col.POOL_BARS_AT] = (n_rates + sets - 1) * lanes + max(edge, 1) * sets * VECTOR
        self._lane_size = int(sizes[0, col.POOL_BARS_AT]) + pools * lanes
        shared = {
            col.RATES_AT: _vectors(n_rates * lanes),
            col.SEEDS_AT: _vectors((sets - 1) * lanes),
            col.DECAY_AT: _vectors(col.N_DECAY * decays * lanes),
            col.POOLS_AT: _vectors(pools * lanes),
            col.SCRATCH_AT: SCRATCH,
            col.BOUNDARY_AT: max(2 * edge * (edge + 2), 1) * sets + edge * (edge + 1),
        }
        if program.ensemble:
            n_orders, n_steps = len(program.ensemble.orders), len(program.parts[-1].signs)
            if self._turns[1] > 1 + n_orders:  # else phase steps are those of all members
                shared[col.TURNED_AT] = -(-2 * (n_steps + 1) // VECTOR)
            shared[col.MEAN_AT] = -(-sets * 2 * self._n_out * self._lanes // VECTOR)
            shared[col.STARTS_AT] = 4 * n_orders * edge * sets
        for place, count in shared.items():
            sizes[:, place] = lines * VECTOR
            lines += count
        for row, part in zip(sizes, program.parts, strict=True):
            amplitudes = _vectors(sets * part.reach.planes * int(row[col.N_OUT]) * lanes)
            row[col.TRIG_LINES] = _lines(len(part.signs), lanes)
            angles = _vectors(count_angles(shape) * int(row[col.TRIG_LINES]) * lanes)
            counts = {col.TRIG_AT: angles, col.AMPLITUDES_AT: amplitudes}
            for place, count in {**counts, col.AMPLITUDES_BAR_AT: amplitudes}.items():
                row[place] = lines * VECTOR
                lines += count
        sets_size = sets * int(sizes[0, col.ARENA])
        sizes[:, col.SPACE_AT], sizes[:, col.ADJOINT_AT] = lines * VECTOR, lines * VECTOR + sets_size
        return int(lines * VECTOR + sets_size + sets * sizes[0, col.PAIR_ARENA])

    def _place_sums(self, program: Program, sizes: npt.NDArray[np.int64]) -> int:
        """A row of gathered derivatives, those at a position; its length."""
        n_steps = max(len(part.signs) for part in program.parts)
        filled = 0
        for place, count in (
            (col.FLIP_SUMS_AT, n_steps),
            (col.POWER_SUMS_AT, n_steps if program.bound else 0),
            (col.TURN_SUMS_AT, n_steps + 1),
            (col.DURATION_SUMS_AT, self.n_durations),
            (col.FACTOR_SUMS_AT, self._n_out),
        ):
            sizes[:, place] = filled
            filled += count
        sizes[:, col.SUMS_WIDTH] = filled
        return filled

    def room(self, dtype: npt.DTypeLike) -> npt.NDArray[np.inexact]:
        """Room for one thread to play in. What only a reverse sweep needs takes no memory until there is one."""
        room = aligned(self._room_size, dtype)
        room[self._scratch + ONE] = 1
        return room

    def lane(self, kind: npt.DTypeLike) -> npt.NDArray[np.inexact]:
        """Room of one thread for derivatives that belong to a lane (see `kernels.reverse.Bars`)."""
        return cast("Array", aligned(self._lane_size, kind))

    def unit(self) -> tuple[npt.NDArray[Any], ...]:
        """Room of one thread for a unit of voxels: results, derivatives with respect to them, Fisher matrices."""
        signal, jacobian = (self._lanes, self._n_out), (self._lanes, self._codes, self._n_out)
        results = (np.zeros(shape, np.complex128) for shape in (signal, jacobian, signal, jacobian))
        return (*results, np.zeros((self._codes, self._codes)), np.zeros((self._codes, self._codes)))
