"""What of a program a device plays, and how a voxel's states are divided among its threads."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..engine.layout import layout_of
from ..kernels import columns as cpu
from ..kernels.cuda import columns as col
from ..program.program import Part, Program

IntTable = npt.NDArray[np.int32]

# Registers of 32 bits, of 255, that a thread's states may fill: forward, and backward, where it holds more besides.
FORWARD, BACKWARD = 150, 120
LANES = 32  # of a warp: no more threads can exchange orders without memory between them
LOCAL = 16 * 1024  # bytes of states a thread at most; beyond registers they lie in local memory, of all threads at once
TAPE = 256 * 1024  # bytes of tape a thread; a longer train is recorded in segments


@dataclass
class Division:
    """How many rows a thread holds, and how many neighbouring threads share a voxel."""

    rows: int
    lanes: int


def divide(highest: int, row: int, registers: int) -> Division:
    """The fewest threads a voxel that hold its rows, of so many bytes, in registers.

    Raises
    ------
    ValueError
        If even local memory cannot hold them.
    """
    lanes = 1
    while lanes < LANES and -(-highest // lanes) * row > 4 * registers and highest > lanes:
        lanes *= 2
    rows = -(-highest // lanes)
    if lanes == 1 and rows > col.CHUNK:
        rows = -(-rows // col.CHUNK) * col.CHUNK
    if rows * row > LOCAL:
        most = LOCAL // row * LANES
        raise ValueError(
            f"the sequence keeps {highest} orders; with these derivatives a device holds {most}: set nstates"
        )
    return Division(rows, lanes)


@dataclass
class PartTables:
    """Tables of a part; `segments` are stretches of steps whose tape fits, and the rows on it."""

    steps: IntTable
    reads: IntTable
    segments: list[tuple[int, int, int]]
    complete: bool  # whether every output is read


def _find_keep(steps: npt.NDArray[np.int64]) -> list[int]:
    """For each pulse the rows of the one before that may be kept, where it would find others in place of zeros.

    A pulse acts on whole groups of rows, and leaves alone those beyond: what lies above the rows that the program
    counts is zero only if no state has ever been there.
    """
    keep, filled, rows = [], 1, 1  # rows that may hold something
    for step in steps:
        p, m = int(step[cpu.SHIFT_P]), int(step[cpu.SHIFT_M])
        below = max(-min(p, m), 0)
        reach = max(0 if step[cpu.NO_W] else step[cpu.ROWS], step[cpu.ROWS] + max(p, m, 0), below + 1)
        cut = filled > rows and reach > rows
        keep.append(rows if cut else 0)
        filled = (rows if cut else filled) + below
        rows = int(step[cpu.ROWS])
        filled = max(filled, rows)
    return keep


def _segments(stored: list[int], unit: int) -> list[tuple[int, int, int]]:
    """First and last step, and rows on the tape, of stretches of about the square root of the whole."""
    total = sum(stored)
    target = total if total * unit <= TAPE else max(int(np.sqrt(total * max(stored))), max(stored))
    cuts: list[tuple[int, int, int]] = []
    begin, filled = 0, 0
    for n, rows in enumerate(stored):
        if filled and filled + rows > target:
            cuts.append((begin, n, filled))
            begin, filled = n, 0
        filled += rows
    return [*cuts, (begin, len(stored), filled)]


# Columns that are those of the CPU's tables.
COPIED = (
    *("ROWS", "SHIFT_P", "SHIFT_M", "NO_F", "NO_W", "DURATION", "RECOVERY", "READ_BEGIN", "READ_END", "INVERT"),
    *("ORDER", "MOMENT_1", "MOMENT_2"),
)


def lower(part: Part, shape: col.Shape, unit: int) -> PartTables:
    """Tables of a part, from those that the CPU plays in one lane; `unit`: bytes on the tape per row."""
    layout = layout_of(part, 1)
    steps = layout.steps
    table = np.zeros((len(steps), col.step_width(shape)), np.int32)
    for name in COPIED:
        if (target := getattr(col, name)) < table.shape[1]:
            table[:, target] = steps[:, getattr(cpu, name)]
    table[1:, col.FOLD] = steps[:-1, cpu.FOLD_FROM]
    table[1:, col.FLIPPED] = steps[:-1, cpu.SWAP]
    table[:, col.QUADRATURE] = (part.reach.planes == 1) * steps[:, cpu.PLANE]
    table[:, col.KEEP] = _find_keep(steps)
    chunk = col.chunk_of(shape.rows)
    stored = np.minimum(-(-steps[:, cpu.ROWS] // chunk) * chunk, shape.rows)
    table[1:, col.TAPE] = np.cumsum(stored)[:-1]
    reads = np.ascontiguousarray(layout.reads, np.int32)
    return PartTables(table.ravel(), reads, _segments(stored.tolist(), unit), len(reads) == len(part.factor_step))


def sum_cuts(program: Program, n_positions: int) -> npt.NDArray[np.int64]:
    """Where sums over voxels begin, and the last ends: by output, duration; of each part by flips, powers, turns."""
    pulses = np.array([len(part.signs) for part in program.parts])
    counts = [program.n_out, program.expressions.lengths[2]]
    return np.cumsum([0, *counts, *n_positions * pulses, *program.bound * pulses, *pulses + 1])


def highest_row(program: Program) -> int:
    """The most rows of any pulse."""
    return max(max(part.reach.counts) for part in program.parts)
