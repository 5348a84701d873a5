"""What a kind of call asks of a device, but for numbers; and the kernels that are made for it."""

from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..engine.layout import boundary_numbers
from ..engine.plan import state_sets, tangent_kinds
from ..kernels import columns as cpu
from ..kernels.cuda.columns import Shape
from ..kernels.exponents import by_order
from ..kernels.pools import exchange_lines
from ..program.program import Program
from . import tables
from .home import Scratch
from .tables import Division, PartTables, divide, highest_row, lower

Array = npt.NDArray[Any]


@cache
def kernels() -> Any:
    """The package of the CUDA kernels; importing its modules imports `numba.cuda`."""
    from ..kernels import cuda
    from ..kernels.cuda import jit, play, pools, rewind, runtime, steady, voxels  # noqa: F401

    return cuda


def compiled(name: str, *key: Any) -> Any:
    """A kernel, or a few, made once for each key."""
    return _compiled(name, key)


@cache
def _compiled(name: str, key: tuple[Any, ...]) -> Any:
    return getattr(getattr(kernels(), name, kernels().voxels), f"make_{name}")(*key)


class Structure:
    """What a program and a kind of call ask of the device, but for numbers: kept with the program.

    Parameters
    ----------
    program : Program
        What is played.
    codes : tuple of int
        Derivatives wanted, M0 among them.
    real : type
        Precision.
    registers : int
        That a thread's states may fill.
    """

    def __init__(self, program: Program, codes: tuple[int, ...], real: type[np.floating], registers: int) -> None:
        self.program, self.codes, self.real = program, codes, real
        self.kinds, self.sets = tangent_kinds(codes), tuple(state_sets(codes))
        self.planes = program.signal.reach.planes
        itemsize = np.dtype(real).itemsize
        shape = Shape(real, self.planes, self.kinds, program.terms, program.precesses, 0, 0)
        self.n_sets, unit = shape.n_sets, shape.numbers * itemsize
        if by_order(shape) or shape.pools > 1:
            registers = registers * 2 // 3  # what decays and turns each order, or exchange, takes the rest
        self.n_exchange = exchange_lines(shape)[-1] * len(program.signal.train.durations)
        self.division: Division = divide(highest_row(program), unit, registers)
        self.shape = shape._replace(rows=self.division.rows, lanes=self.division.lanes)
        self.parts: list[PartTables] = [lower(part, self.shape, unit) for part in program.parts]
        self.state_rows = shape.numbers * self.division.rows
        rows = max(rows for part in self.parts for *_, rows in part.segments)
        if self.division.lanes > 1:  # going back, all lanes look at as many rows as there can be
            rows += self.division.rows
        self.tape_rows = rows * shape.numbers
        self.most_segments = max(len(part.segments) for part in self.parts)
        self._uploads: dict[int, list[tuple[Any, Any]]] = {}

    @property
    def boundary(self) -> int:
        """Numbers that say where a repetition starts, as `kernels.columns.BOUNDARY`."""
        return boundary_numbers(self.program.end) if self.program.end else 0

    @property
    def outputs(self) -> int:
        """Amplitudes of a reverse sweep; behind them F_0 of both free pools after each readout's pulse, and Z_0."""
        count = self.program.n_out
        return int(3 * count + self.shape.pools if self.shape.second else count)

    @property
    def end_outputs(self) -> int:
        """What is read at the end of a repetition; behind that the same."""
        count = len(self.program.end.factor_step) if self.program.end else 0
        return int(count + self.shape.pools + (2 * count if self.shape.second else 0))

    def uploaded(self, home: Scratch) -> list[tuple[Any, Any]]:
        """Steps and readouts of each part on the device."""
        if home.index not in self._uploads:
            upload = kernels().runtime.upload
            uploads = [
                (upload(part.steps, home.stream), upload(_never_empty(part.reads), home.stream)) for part in self.parts
            ]
            kernels().runtime.finish(home.stream)  # other streams will read them
            self._uploads[home.index] = uploads
        return self._uploads[home.index]

    def signal_bytes(self) -> int:
        """Scratch of a voxel for a signal."""
        numbers = cpu.N_TISSUE + self.n_exchange + self.n_sets * max(self.boundary, 1)
        numbers += (self.boundary + 1) * self.n_sets * self.planes * self.end_outputs
        return int(numbers * np.dtype(self.real).itemsize)

    def gradient_bytes(self) -> int:
        """Scratch of a voxel for a gradient."""
        lanes, program = self.division.lanes, self.program
        a_thread = self.tape_rows + (self.most_segments + 1) * self.state_rows + cpu.N_RATES + self.n_sets
        a_thread += sum((2 + program.bound) * len(part.signs) + 1 for part in program.parts)
        a_thread += program.expressions.lengths[2] + self.n_exchange
        amplitudes = self.n_sets * self.planes * (self.outputs + program.n_out)
        a_voxel = amplitudes + program.n_out + 2 * cpu.N_TISSUE + self.n_exchange
        extra = 2 * (self.boundary + 1) * self.n_sets * self.planes * self.end_outputs
        extra += 4 * self.n_sets * self.boundary
        return int((a_thread * lanes + a_voxel + extra) * np.dtype(self.real).itemsize)


def _never_empty(table: Array) -> Array:
    return table if table.size else np.zeros((1, *table.shape[1:]), table.dtype)


def structure_of(program: Program, codes: tuple[int, ...], real: type[np.floating], backward: bool) -> Structure:
    """The structure of a kind of call; kept with the program."""
    known = program.__dict__.setdefault("structures", {})
    key = codes, real, tables.BACKWARD if backward else tables.FORWARD
    if key not in known:
        known[key] = Structure(program, *key)
    return cast(Structure, known[key])
