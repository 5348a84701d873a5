"""Jobs on a device: of arrays that lie there, and of host arrays moved there in chunks."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..kernels import columns as cpu
from ..kernels.load import SCALES, TIMES
from ..program.program import Program
from ..slice_profile import WHOLE, SliceProfile
from .home import Home, NumbaHome, Scratch
from .player import Bars, Player
from .structure import Structure, compiled, kernels, structure_of
from .sums import DeviceSums

Array = npt.NDArray[Any]
Mapped = tuple[Array, int]  # an array, and its axis for voxels

SHARE = 0.5  # of the free memory that scratch may take
FEWEST = 1 << 10  # voxels: a chunk that is smaller leaves most of a device idle
MOST = 1 << 20  # voxels: a chunk that is larger gains nothing
STAGED = 1 << 28  # bytes that are copied at a time


class _Job:
    """What jobs on a device have in common.

    Parameters
    ----------
    program : Program
        What is played.
    entries : sequence of ndarray
        Its numbers, as `Expressions.evaluate` gives them (degrees, ms).
    profile : SliceProfile
        Flip angles across the slice.
    codes : tuple of int
        Derivatives wanted.
    real : type
        Precision.
    n_voxels : int
        Voxels.
    """

    def __init__(
        self, program: Program, entries: Sequence[Array], profile: SliceProfile, codes: tuple[int, ...],
        real: type[np.floating], n_voxels: int,
    ) -> None:  # fmt: skip
        self.program, self.codes, self.real, self.n_voxels = program, codes, real, n_voxels
        self.entries, self.profile = entries, profile
        self.scales = program.unscaled if profile is WHOLE else profile.scales(program.kinds)

    def structure(self, backward: bool) -> Structure:
        """What is asked of the device for a signal, or for a gradient.

        Raises
        ------
        ValueError
            If too many orders are kept.
        """
        return structure_of(self.program, self.codes, self.real, backward)

    def _chunk(self, home: Scratch, bytes_a_voxel: int, chunk: int | None) -> int:
        """How many voxels to take at once."""
        if chunk is not None:
            return max(min(chunk, self.n_voxels), 1)
        room = int(SHARE * home.free_memory()) // max(bytes_a_voxel, 1)
        return int(min(self.n_voxels, MOST, max(room, 1)))

    def _in_chunks(self, player: Player, chunk: int, bytes_a_voxel: int, work: Callable[[int, int], None]) -> None:
        """Call ``work(first, count)`` over all voxels; smaller chunks once memory runs out.

        Raises
        ------
        MemoryError
            If there is no room for a chunk worth the name, saying what would fit.
        """
        first = 0
        while first < self.n_voxels:
            count = min(chunk, self.n_voxels - first)
            try:
                work(first, count)
            except MemoryError as error:
                player.release()
                if chunk <= min(FEWEST, self.n_voxels):
                    raise MemoryError(out_of_memory(count, bytes_a_voxel, player.home)) from error
                chunk = max(chunk // 2, 1)
                continue
            first += count


def out_of_memory(count: int, bytes_a_voxel: int, home: Scratch) -> str:
    free = home.free_memory()
    return (
        f"{count} voxels take {count * bytes_a_voxel / 2**20:.0f} MiB on the device, of which {free / 2**20:.0f} MiB "
        f"are free: {max(int(SHARE * free) // max(bytes_a_voxel, 1), 0)} voxels would fit"
    )


class Resident(Protocol):
    """Tissue on a device (see `tissue.DeviceTissue`)."""

    home: Home
    size: int

    def rows(self) -> list[Any]:
        """For each row of the tissue table a flat array, as `numba.cuda` knows it."""


class DeviceJob(_Job):
    """A job whose maps lie on a device, and whose results stay there.

    Parameters
    ----------
    tissue : DeviceTissue
        The maps.
    chunk : int, optional
        Voxels at a time; as many as memory allows by default.
    """

    def __init__(
        self, program: Program, entries: Sequence[Array], tissue: Resident, profile: SliceProfile,
        codes: tuple[int, ...], real: type[np.floating], chunk: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(program, entries, profile, codes, real, tissue.size)
        self._tissue, self._home, self._wanted = tissue, tissue.home, chunk

    def _table(self, player: Player, first: int, count: int) -> Any:
        """The tissue table of a chunk."""
        player.begin(count)
        table = player.scratch(cpu.N_TISSUE, count)
        for row, array in enumerate(self._tissue.rows()):
            fill, _ = compiled("maps", self.real, np.dtype(array.dtype).type)
            scale = self.real(SCALES.get(row, 1))
            player.launch(fill, count, array, row, row in TIMES, scale, table, first, count)
        return table

    def signals(self) -> tuple[Any, Any]:
        """Signal (voxel, output) and Jacobian (voxel, derivative, output); voxels lie side by side in memory."""
        home, n_out = self._home, self.program.n_out
        with kernels().runtime.on_device(home.index):
            structure = self.structure(backward=False)
            player = Player(structure, self.entries, self.scales, home)
            signal = home.empty((n_out, self.n_voxels, 2), self.real)
            jacobian = home.empty((len(self.codes), n_out, self.n_voxels, 2), self.real)
            views = home.view(signal), home.view(jacobian) if self.codes else None
            if not structure.parts[0].complete:
                for array in views[: len(self.codes) + 1]:
                    player.clear(array)
            size = structure.signal_bytes()
            self._in_chunks(
                player, self._chunk(home, size, self._wanted), size,
                lambda first, count: player.signals(self._table(player, first, count), count, *views, first),
            )  # fmt: skip
        return home.complex(signal, (1, 0)), home.complex(jacobian, (2, 0, 1))

    def gradient(self, signal_bar: Any, jacobian_bar: Any, timing: bool, turning: bool) -> DeviceSums:
        """Derivatives, given those by signal (voxel, output) and Jacobian (voxel, derivative, output)."""
        home = self._home
        with kernels().runtime.on_device(home.index):
            structure = self.structure(backward=True)
            player = Player(structure, self.entries, self.scales, home)
            given = home.pairs(signal_bar, (1, 0), self.real)
            slopes = home.pairs(jacobian_bar, (1, 2, 0), self.real) if self.codes else None
            views = home.view(given), home.view(slopes) if self.codes else None
            tissue = home.empty((cpu.N_TISSUE, self.n_voxels), self.real)
            bars = Bars(player, *views, home.view(tissue))
            size = structure.gradient_bytes()
            self._in_chunks(
                player, self._chunk(home, size, self._wanted), size,
                lambda first, count: player.gradient(
                    self._table(player, first, count), count, bars, first, timing, turning
                ),
            )  # fmt: skip
            sums = DeviceSums(self, tissue)
            sums.total += bars.collect(home)
        return sums


class _Slot:
    """One of two places that chunks take in turns: while one computes, the other copies.

    Parameters
    ----------
    job : HostJob
        Whose chunks they are.
    chunk : int
        Voxels at a time.
    structure : Structure
        What is played.
    inputs, outputs : sequence of (ndarray, int)
        Host arrays of all voxels, and their axis for them.
    """

    def __init__(
        self, job: "HostJob", chunk: int, structure: Structure, inputs: Sequence[Mapped], outputs: Sequence[Mapped]
    ) -> None:
        self.home = NumbaHome(job.index)
        self.player = Player(structure, job.entries, job.scales, self.home)
        self.inputs = [self._place(array, axis, chunk) for array, axis in inputs]
        self.outputs = [self._place(array, axis, chunk) for array, axis in outputs]
        self.bars: Bars | None = None
        self._hosts, self._pending = (inputs, outputs), (0, 0)

    def _place(self, array: Array, axis: int, chunk: int) -> tuple[Any, Any]:
        """Room for a chunk on the device, and what it is copied from or to."""
        shape = (*array.shape[:axis], chunk, *array.shape[axis + 1 :])
        return self.home.empty(shape, array.dtype), kernels().runtime.pinned(shape, array.dtype)

    def start(self, first: int, count: int, compute: Callable[["_Slot", int], None]) -> None:
        """Send a chunk, compute, and send for the results; all but the first copy goes on by itself."""
        runtime = kernels().runtime
        for (host, axis), (device, staged) in zip(self._hosts[0], self.inputs, strict=True):
            _part(staged, axis, 0, count)[...] = _part(host, axis, first, count)
            runtime.send(staged, device, self.home.stream)
        compute(self, count)
        for device, staged in self.outputs:
            runtime.download(device, staged, self.home.stream)
        self._pending = first, count

    def collect(self) -> None:
        """Wait for the chunk under way, and put its results where they belong."""
        first, count = self._pending
        kernels().runtime.finish(self.home.stream)
        for (host, axis), (_, staged) in zip(self._hosts[1], self.outputs, strict=True):
            _part(host, axis, first, count)[...] = _part(staged, axis, 0, count)
        self._pending = 0, 0


def _part(array: Array, axis: int, first: int, count: int) -> Array:
    """Some voxels of an array."""
    return array[(slice(None),) * axis + (slice(first, first + count),)]


class HostJob(_Job):
    """A job on host arrays, moved to a device in chunks and back, copies beside computation.

    Parameters
    ----------
    table : ndarray, shape (N_TISSUE, voxels)
        Rates, ..., M0 (see `Tissue.table`).
    index : int
        Number of the device.
    chunk : int, optional
        Voxels at a time; as many as memory allows by default.
    """

    def __init__(
        self, program: Program, entries: Sequence[Array], table: Array, profile: SliceProfile, codes: tuple[int, ...],
        index: int, chunk: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(program, entries, profile, codes, table.dtype.type, table.shape[1])
        self._table, self.index, self._wanted = table, index, chunk

    def _run(
        self,
        structure: Structure,
        scratch: int,
        inputs: Sequence[Mapped],
        outputs: Sequence[Mapped],
        compute: Callable[[_Slot, int], None],
        retire: Callable[[_Slot], None] = lambda slot: None,
    ) -> None:
        """All voxels through two slots in turns; `retire` is called for each when it is done.

        Raises
        ------
        MemoryError
            If there is no room for a chunk worth the name, saying what would fit.
        """
        copied = sum(array.nbytes for array, _ in (*inputs, *outputs)) // self.n_voxels
        home = NumbaHome(self.index)
        chunk = self._chunk(home, 2 * (scratch + copied), self._wanted)
        if self._wanted is None:
            chunk = max(min(chunk, STAGED // copied), 1)

        def make() -> _Slot:
            return _Slot(self, chunk, structure, inputs, outputs)

        first = 0
        while first < self.n_voxels:
            first, failure = self._in_turns(first, chunk, make, compute, retire)
            if failure is not None:  # the slots are gone: their memory is what smaller ones will take
                if chunk <= min(FEWEST, self.n_voxels):
                    raise MemoryError(out_of_memory(chunk, scratch + copied, home)) from failure
                chunk = max(chunk // 2, 1)

    def _in_turns(
        self,
        first: int,
        chunk: int,
        make: Callable[[], _Slot],
        compute: Callable[[_Slot, int], None],
        retire: Callable[[_Slot], None],
    ) -> tuple[int, MemoryError | None]:
        """Voxels from `first` on through two slots, to the end or until memory runs out; how far, and that error."""
        slots: list[_Slot] = []
        failure = None
        try:
            for _ in range(min(2, -(-(self.n_voxels - first) // chunk))):
                slots.append(make())
            while first < self.n_voxels:
                slots[0].collect()
                count = min(chunk, self.n_voxels - first)
                slots[0].start(first, count, compute)
                first += count
                slots = slots[::-1]
        except MemoryError as error:
            failure = error.with_traceback(None)  # which would keep the slots
        finally:  # results, also of chunks before an interrupt; and nothing writes to memory that is about to go
            for slot in slots:
                slot.collect()
        for slot in slots:
            retire(slot)
        return first, failure

    def signals(self) -> tuple[Array, Array]:
        """Signal (voxel, output) and Jacobian (voxel, derivative, output); voxels lie side by side in memory."""
        n_out = self.program.n_out
        signal = np.empty((n_out, self.n_voxels, 2), self.real)
        jacobian = np.empty((len(self.codes), n_out, self.n_voxels, 2), self.real)
        outputs = [(signal, 1), (jacobian, 2)] if self.codes else [(signal, 1)]

        structure = self.structure(backward=False)

        def compute(slot: _Slot, count: int) -> None:
            slot.player.begin(count)
            signal, jacobian = (*(device for device, _ in slot.outputs), None)[:2]
            if not structure.parts[0].complete:
                for array, _ in slot.outputs:
                    slot.player.clear(array)
            slot.player.signals(slot.inputs[0][0], count, signal, jacobian, 0)

        with kernels().runtime.on_device(self.index):
            self._run(structure, structure.signal_bytes(), [(self._table, 1)], outputs, compute)
        kind = np.result_type(self.real, np.complex64)
        pair = signal.view(kind)[..., 0], jacobian.view(kind)[..., 0]
        return pair[0].T, pair[1].transpose(2, 0, 1)

    def gradient(self, signal_bar: Array, jacobian_bar: Array, timing: bool, turning: bool) -> DeviceSums:
        """Derivatives, given those by signal (voxel, output) and Jacobian (voxel, derivative, output)."""
        pairs = [_pairs(signal_bar.T, self.real)]
        if self.codes:
            pairs.append(_pairs(jacobian_bar.transpose(1, 2, 0), self.real))
        inputs = [(self._table, 1), *((pair, pair.ndim - 2) for pair in pairs)]
        tissue = np.zeros((cpu.N_TISSUE, self.n_voxels), self.real)

        def compute(slot: _Slot, count: int) -> None:
            slot.player.begin(count)
            table, given, slopes = (*(device for device, _ in slot.inputs), None)[:3]
            if slot.bars is None:
                slot.bars = Bars(slot.player, given, slopes, slot.outputs[0][0])
            slot.player.gradient(table, count, slot.bars, 0, timing, turning)

        def retire(slot: _Slot) -> None:
            if slot.bars is not None:
                sums.total += slot.bars.collect(slot.home)

        sums = DeviceSums(self, tissue)
        structure = self.structure(backward=True)
        with kernels().runtime.on_device(self.index):
            self._run(structure, structure.gradient_bytes(), inputs, [(tissue, 1)], compute, retire)
        return sums


def _pairs(array: Array, real: type[np.floating]) -> Array:
    """Complex numbers as pairs of real ones, one after another."""
    kind = np.result_type(real, np.complex64)
    dense = np.ascontiguousarray(array, kind)
    return dense.view(real).reshape(*dense.shape, 2)
