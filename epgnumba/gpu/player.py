"""A program at work on a device: kernels launched in the order that a signal or a gradient takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.job import bind_turns
from ..kernels import columns as cpu
from ..program.rounding import rounding_limits
from .home import Scratch
from .structure import Structure, compiled, kernels
from .tables import sum_cuts

Array = npt.NDArray[Any]


class Player:
    """A program bound to the numbers of a call, on a device.

    Parameters
    ----------
    structure : Structure
        What is played.
    entries : sequence of ndarray
        Flips, phases, durations, receiver phases, advance, as `Expressions.evaluate` gives them.
    scales : ndarray, shape (positions, pulses)
        What multiplies flip angles across the slice.
    home : Scratch
        Where scratch is allocated, and the stream.
    """

    def __init__(self, structure: Structure, entries: Sequence[Array], scales: Array, home: Scratch) -> None:
        self.structure, self.home, self.real = structure, home, structure.real
        self.n_positions = len(scales)
        self._tables = structure.uploaded(home)
        self._upload(entries, scales)
        self._runtime = kernels().runtime
        self._sum, self._fill, self._fill_unit, self._clear_voxels = compiled("sums", self.real)
        self._placeholders: dict[int, Any] = {}
        self._exchange: Any = None  # of the chunk at hand, see `kernels.cuda.pools`
        self._pool: dict[tuple[int, ...], list[Any]] = {}
        self._taken: dict[tuple[int, ...], int] = {}
        self._count = -1
        self._threads = kernels().jit.block_threads(structure.division.lanes)

    def _upload(self, entries: Sequence[Array], scales: Array) -> None:
        """Durations, factors, what rounding is told by; of each part flips by position, powers and turns; in one go."""
        flips, phases, durations, receivers, advance = entries
        program = self.structure.program
        factors = program.signal.factors(phases.real, receivers.real)
        limits = rounding_limits(program, durations, self.structure.kinds, self.real)
        pieces: list[Array] = [durations, np.stack([factors.real, factors.imag], 1).ravel(), limits]
        for part in program.parts:
            n = len(part.signs)
            nominal = part.signs * flips[:n] / 90
            powers = program.powers[:n] * nominal if program.bound else np.zeros(1)
            turns = bind_turns(part, phases, advance) if self.structure.planes == 2 else np.array([1.0, 0.0])
            pieces += [(scales[:, :n] * nominal).ravel(), powers, turns]
        flat = kernels().runtime.upload(np.concatenate(pieces).astype(self.real), self.home.stream)
        cuts = np.cumsum([0, *(len(piece) for piece in pieces)])
        slices = [flat[int(a) : int(b)] for a, b in pairwise(cuts)]
        self._durations, self._factors, self._rounding = slices[0], slices[1].reshape(-1, 2), slices[2]
        self._values = []
        for flips, powers, turns in zip(*(slices[k::3] for k in range(3, 6)), strict=True):
            self._values.append((flips.reshape(self.n_positions, -1), powers, turns.reshape(-1, 2)))

    def _values_at(self, part: int, position: int) -> tuple[Any, Any, Any]:
        """Flips, powers and turns of a part at a position."""
        flips, powers, turns = self._values[part]
        return flips[position], powers, turns

    # Scratch

    def begin(self, count: int) -> None:
        """Begin another chunk: scratch of the last is free again, and the same if it has as many voxels."""
        if count != self._count:
            self.release()
        self._count, self._taken = count, {}

    def release(self) -> None:
        """Give scratch back."""
        self._pool, self._taken, self._count = {}, {}, -1

    def scratch(self, *shape: int) -> Any:
        """An array on the device, for this stream and chunk."""
        kept, taken = self._pool.setdefault(shape, []), self._taken.get(shape, 0)
        if taken == len(kept):
            kept.append(self.home.empty(shape, self.real))
        self._taken[shape] = taken + 1
        return self.home.view(kept[taken])

    def zeros(self, *shape: int) -> Any:
        array = self.scratch(*shape)
        self.clear(array)
        return array

    def clear(self, array: Any) -> None:
        """Fill with zeros."""
        flat = array.reshape(-1) if array.ndim > 1 else array
        self.launch(self._fill, flat.shape[0], flat)

    def launch(self, kernel: Any, count: int, *arguments: Any) -> None:
        """A kernel on `count` threads."""
        threads = self._threads
        kernels().runtime.launch(kernel, -(-count // threads), threads, self.home.stream, *arguments)

    # Forward

    def _play(
        self,
        part: int,
        table: Any,
        start: Any,
        position: int,
        count: int,
        *,
        results: tuple[Any, Any, int] | None = None,
        amplitudes: Any = None,
        state: Any = None,
        saved: Any = None,
        tape: Any = None,
        steps: tuple[int, int] | None = None,
        equilibrium: float = 1.0,
    ) -> None:
        """Launch `play` on some steps of a part: into `results` (signal, Jacobian, first voxel) or `amplitudes`."""
        structure = self.structure
        codes, sets = ((), ()) if results is None else (structure.codes, structure.sets)
        kernel = compiled("play", structure.shape, results is None, codes, sets)
        first, last = steps or (0, len(structure.program.parts[part].signs))
        signal, jacobian, offset = results or (amplitudes, self.nothing(4), 0)
        none = self.nothing(1)
        self.launch(
            kernel, count * structure.division.lanes, *self._tables[part], self._durations,
            *self._values_at(part, position), self._factors, table, self._exchange, start,
            none if state is None else state, none if saved is None else saved, none if tape is None else tape, signal,
            jacobian, first, last, count, offset, structure.tape_rows, self.real(1 / self.n_positions),
            self.real(equilibrium), position > 0, tape is not None, *self._geometry(part),
        )  # fmt: skip

    def _geometry(self, part: int) -> tuple[Any, ...]:
        """Dephasing of an order, and orders from a row to the next."""
        program = self.structure.program
        return self.real(program.dephasing), self.real(program.parts[part].reach.stride)

    def nothing(self, ndim: int) -> Any:
        """In place of an array that is not used."""
        if ndim not in self._placeholders:
            self._placeholders[ndim] = self.home.view(self.home.empty((1,) * ndim, self.real))
        return self._placeholders[ndim]

    def _set_unit(self, start: Any, number: int, count: int) -> None:
        """The unit vector `number` for the states, nothing for tangents; nothing at all if there is no such number."""
        self.launch(self._fill_unit, count, start, number, count)

    def _find_exchange(self, table: Any, count: int) -> None:
        """Numbers of exchange over every duration, if there is a second pool."""
        self._exchange = self.nothing(2)
        if self.structure.n_exchange:
            self._exchange = self.scratch(self.structure.n_exchange, count)
            find, _ = compiled("pools", self.structure.shape)
            self.launch(find, count, table, self._durations, self._exchange, count)

    def _find_start(self, table: Any, position: int, count: int) -> tuple[Any, Any]:
        """Where the train starts (number, set, voxel), and how repetitions end (see `kernels.cuda.steady`)."""
        structure, size = self.structure, self.structure.boundary
        start = self.scratch(max(size, 1), structure.n_sets, count)
        if not size:
            self._set_unit(start, 0, count)
            return start, None
        ends = self.zeros(size + 1, structure.n_sets * structure.planes, structure.end_outputs, count)
        for column in range(size + 1):
            self._set_unit(start, column, count)
            self._play(1, table, start, position, count, amplitudes=ends[column], equilibrium=float(column == size))
        find, _ = compiled("steady", self.real, size, structure.n_sets, structure.planes)
        self.launch(find, count, ends, self._last_turn(), start, count)
        return start, ends

    def _last_turn(self) -> Any:
        """From the last frame of a repetition to phase zero."""
        turns = self._values[1][2]
        return turns[turns.shape[0] - 1]

    def signals(self, table: Any, count: int, signal: Any, jacobian: Any, offset: int) -> None:
        """Signal (output, voxel, re and im) and Jacobian (derivative, output, voxel, re and im) from `offset` on.

        The Jacobian is None where no derivatives are wanted.
        """
        results = signal, self.nothing(4) if jacobian is None else jacobian, offset
        self._find_exchange(table, count)
        kept = dict(self._taken)
        for position in range(self.n_positions):
            self._taken = dict(kept)  # what a position took is free for the next
            start, _ = self._find_start(table, position, count)
            self._play(0, table, start, position, count, results=results)
        for k, code in enumerate(self.structure.codes):
            if code in (cpu.OMEGA, cpu.SHIFT_B):
                hide = compiled("rounding", self.real, k)
                self.launch(hide, count, signal, jacobian, table, self._rounding, offset, count)

    # Backward

    def gradient(self, table: Any, count: int, bars: "Bars", offset: int, timing: bool, turning: bool) -> None:
        """Add the derivatives of `count` voxels, from `offset` on, to those in `bars`."""
        structure, program = self.structure, self.structure.program
        threads = count * structure.division.lanes
        padded = -(-threads // self._threads) * self._threads
        rows = structure.n_sets * structure.planes
        amplitudes = self.zeros(rows, structure.outputs, count)
        amplitude_bars = self.scratch(rows, program.n_out, count)
        factor_bars = self.zeros(program.n_out, count)
        duration_bars = self.zeros(program.expressions.lengths[2], threads)
        exchanges = structure.n_exchange if timing else 0
        room = _Room(
            checkpoints=self.scratch(structure.most_segments, structure.state_rows * padded),
            adjoint=self.scratch(structure.state_rows * padded),
            tape=self.scratch(structure.tape_rows * padded),
            voxel_bars=self.scratch(cpu.N_RATES + structure.n_sets, threads),
            duration_bars=duration_bars,
            exchange_bars=self.scratch(exchanges, threads) if exchanges else self.nothing(2),
            flip_bars=[self.scratch(len(part.signs), threads) for part in program.parts],
            power_bars=[
                self.zeros(len(part.signs), threads) if program.bound else self.nothing(2) for part in program.parts
            ],
            turn_bars=[self.zeros(len(part.signs) if turning else 1, threads) for part in program.parts],
        )
        load, gather = compiled(
            "voxels", self.real, structure.kinds, structure.planes, structure.division.lanes, structure.codes,
            structure.sets,
        )  # fmt: skip
        start_bar = self.scratch(max(structure.boundary, 1), structure.n_sets, count)
        phase_bars, weight = self.zeros(1, count), self.real(1 / self.n_positions)
        # Sums are added to `bars` last, when there is no memory left to ask for: what fails can be tried again.
        own = self.zeros(*bars.sums.shape)
        factors, durations, flips, powers, turns = bars.cut(own)
        self.launch(self._clear_voxels, count, bars.tissue, offset, count)
        self._find_exchange(table, count)
        kept = dict(self._taken)
        for position in range(self.n_positions):
            self._taken = dict(kept)  # what a position took is free for the next
            self.clear(room.voxel_bars)
            self.clear(room.exchange_bars)
            for table_of_flips in room.flip_bars:
                self.clear(table_of_flips)
            start, ends = self._find_start(table, position, count)
            self._record(0, table, start, position, count, amplitudes, room, 1.0)
            self.launch(
                load, count, bars.signal, bars.jacobian, amplitudes, self._factors, table, weight, amplitude_bars,
                factor_bars, bars.tissue, offset, count, turning,
            )  # fmt: skip
            self._rewind(
                0, table, position, count, amplitudes, amplitude_bars, start_bar, room, 1.0, timing, turning, start
            )
            if structure.boundary:
                self._rewind_ends(table, start, start_bar, ends, position, count, room, phase_bars[0], timing, turning)
            if exchanges:
                _, unfind = compiled("pools", structure.shape)
                self.launch(
                    unfind, threads, table, self._durations, room.exchange_bars, room.voxel_bars, duration_bars, count
                )
            self.launch(gather, count, room.voxel_bars, table, bars.tissue, offset, count)
            for part, table_of_flips in enumerate(room.flip_bars):
                n = table_of_flips.shape[0]
                self._add(table_of_flips, flips[part][position * n : (position + 1) * n], threads)
        if turning and structure.boundary:
            n = len(program.parts[1].signs)
            self._add(phase_bars, turns[1][n : n + 1], count)
        self._add(factor_bars, factors, count)
        if timing:
            self._add(duration_bars, durations, threads)
        for part in range(len(program.parts)):
            if program.bound:
                self._add(room.power_bars[part], powers[part], threads)
            if turning and structure.planes == 2:
                self._add(room.turn_bars[part], turns[part][: len(program.parts[part].signs)], threads)
        self._add(own.reshape(-1, 1), bars.sums, 1)

    def _add(self, table: Any, sums: Any, count: int) -> None:
        """Sums over the columns of a table."""
        threads = kernels().voxels.SUM_THREADS
        kernels().runtime.launch(self._sum, table.shape[0], threads, self.home.stream, table, sums, count)

    def _record(
        self, part: int, table: Any, start: Any, position: int, count: int, amplitudes: Any, room: "_Room",
        equilibrium: float,
    ) -> None:  # fmt: skip
        """Play a part: onto the tape if it fits, otherwise leaving a checkpoint before each segment."""
        segments = self.structure.parts[part].segments
        for k, (first, last, _) in enumerate(segments):
            whole = len(segments) == 1
            self._play(
                part, table, start, position, count, amplitudes=amplitudes, state=room.checkpoints[k],
                saved=None if k + 1 == len(segments) else room.checkpoints[k + 1], tape=room.tape if whole else None,
                steps=(first, last), equilibrium=equilibrium,
            )  # fmt: skip

    def _rewind(
        self, part: int, table: Any, position: int, count: int, amplitudes: Any, amplitude_bars: Any, start_bar: Any,
        room: "_Room", equilibrium: float, timing: bool, turning: bool, start: Any,
    ) -> None:  # fmt: skip
        """Undo a part after `_record`, segment by segment, each played again if there are several."""
        structure = self.structure
        segments = structure.parts[part].segments
        kernel = compiled("rewind", structure.shape, timing, turning)
        for k in range(len(segments) - 1, -1, -1):
            first, last, _ = segments[k]
            if len(segments) > 1:
                self._play(
                    part, table, start, position, count, amplitudes=amplitudes, state=room.checkpoints[k],
                    saved=room.checkpoints[min(k + 1, len(segments) - 1)], tape=room.tape, steps=(first, last),
                    equilibrium=equilibrium,
                )  # fmt: skip
            self.launch(
                kernel, count * structure.division.lanes, *self._tables[part], self._durations,
                *self._values_at(part, position), table, self._exchange, room.adjoint, room.tape, amplitudes,
                amplitude_bars, room.flip_bars[part], room.power_bars[part], room.turn_bars[part], room.duration_bars,
                room.exchange_bars, room.voxel_bars, start_bar, first, last, count, structure.tape_rows,
                self.real(equilibrium), k + 1 == len(segments), *self._geometry(part),
            )  # fmt: skip

    def _rewind_ends(
        self, table: Any, start: Any, start_bar: Any, ends: Any, position: int, count: int, room: "_Room",
        phase_bar: Any, timing: bool, turning: bool,
    ) -> None:  # fmt: skip
        """From the derivative by the start to that by everything a repetition's end depends on."""
        structure, size = self.structure, self.structure.boundary
        ends_bar = self.zeros(*ends.shape)
        _, unfind = compiled("steady", self.real, size, structure.n_sets, structure.planes)
        self.launch(unfind, count, ends, self._last_turn(), start, start_bar, ends_bar, phase_bar, count)
        again = self.scratch(*start.shape)
        for column in range(size + 1):
            equilibrium = float(column == size)
            self._set_unit(again, column, count)
            self._record(1, table, again, position, count, ends[column], room, equilibrium)
            self._rewind(
                1, table, position, count, ends[column], ends_bar[column], start_bar, room, equilibrium, timing,
                turning, again,
            )  # fmt: skip


class Bars:
    """Derivatives that a gradient starts from, and the sums that it ends with, on the device.

    Parameters
    ----------
    player : Player
        Whose they are.
    signal, jacobian : array
        Derivatives by (output, voxel, re and im) and (derivative, output, voxel, re and im), None if there are none.
    tissue : array, shape (N_TISSUE, voxels)
        Derivatives by row of the tissue table; a gradient sets those of its voxels.
    """

    def __init__(self, player: Player, signal: Any, jacobian: Any, tissue: Any) -> None:
        program = player.structure.program
        self.signal, self.jacobian = signal, player.nothing(4) if jacobian is None else jacobian
        self.tissue = tissue
        self._cuts, self._parts = sum_cuts(program, player.n_positions), len(program.parts)
        self._owner = player.home.empty((int(self._cuts[-1]),), player.real)
        self.sums = player.home.view(self._owner)
        player.clear(self.sums)

    def cut(self, sums: Any) -> tuple[Any, Any, list[Any], list[Any], list[Any]]:
        """Sums by output, by duration; of each part by flips (position after position), powers and turns."""
        factors, durations, *rest = (sums[int(a) : int(b)] for a, b in pairwise(self._cuts))
        n = self._parts
        return factors, durations, rest[:n], rest[n : 2 * n], rest[2 * n :]

    def collect(self, home: Scratch) -> Array:
        """The sums, on the host."""
        host = np.empty(self.sums.shape, self.sums.dtype)
        kernels().runtime.download(self.sums, host, home.stream)
        kernels().runtime.finish(home.stream)
        return host


@dataclass
class _Room:
    """Scratch of a gradient."""

    checkpoints: Any
    adjoint: Any
    tape: Any
    voxel_bars: Any
    duration_bars: Any
    exchange_bars: Any
    flip_bars: list[Any]
    power_bars: list[Any]
    turn_bars: list[Any]
