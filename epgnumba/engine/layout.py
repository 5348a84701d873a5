"""Where the states of a pruned pulse train lie in memory: the tables that the kernels play, for some lanes.

Rows are orders: row j at pulse n is order offset_n + stride j. Where the states of one pulse meet the next is a matter
of row offsets only; nothing moves in memory. `columns` says what each entry means.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..kernels import columns as col
from ..kernels.columns import VECTOR
from ..program.program import Part, Program
from ..program.reach import Frame, Reach
from ..program.train import F_MINUS, Z_ZERO, Read, Train

IntTable = npt.NDArray[np.int64]

TAPE_LIMIT = 1 << 19  # numbers on one set's tape beyond which the train is played in checkpointed segments


def _up(count: int) -> int:
    """`count` rounded up to whole vectors."""
    vectors: int = -(-count // VECTOR)
    return vectors * int(VECTOR)


@dataclass
class _Block:
    """Rows of the states after one pulse (or at the start), and the padding that the next pulse looks into."""

    rows: int
    low: int = 0
    top: int = 0  # elements from row 0 up

    def size(self) -> int:
        return self.low + self.top


@dataclass
class Layout:
    """The tables, and the offsets that the kernels need besides."""

    steps: IntTable
    reads: IntTable
    segments: IntTable
    pair: int
    tape: int
    room: int
    arena: int
    pair_arena: int

    @property
    def updates(self) -> int:
        """State updates (orders times pulses) in one play."""
        return int(self.steps[:, col.ROWS].sum())


def _fill_steps(
    train: Train, reach: Reach, frame: Frame, lanes: int, starts_full: bool
) -> tuple[IntTable, list[_Block]]:
    """Everything about the steps but where their blocks lie."""
    n_steps, stride, complex_ = len(train.steps), reach.stride, reach.planes == 2
    table = np.zeros((n_steps, col.N_STEP), np.int64)
    blocks = [_Block(lanes)] + [_Block(rows * lanes) for rows in reach.counts]
    offset, plane = 0, 1  # of the block before: equilibrium
    for n, step in enumerate(train.steps):
        entry, block = table[n], blocks[n]
        rows = reach.counts[n] * lanes
        ahead = reach.offsets[n] - offset - step.shift, reach.offsets[n] - offset + step.shift
        if complex_:
            no_f, no_w = any(a % stride for a in ahead), reach.offsets[n] != offset
        else:
            quarter = frame.quarter[n]
            no_f = any(a % stride for a in ahead) or (plane == reach.plane[n]) != (quarter == 0)
            no_w = reach.offsets[n] != offset or plane != reach.plane[n]
        no_f = no_f or step.spoiled or (n == 0 and not starts_full)
        shifts = [0 if no_f else a // stride * lanes for a in ahead]
        entry[col.ROWS], entry[col.VECTORS] = rows, _up(rows) // VECTOR
        entry[col.SHIFT_P], entry[col.SHIFT_M], entry[col.SHIFT_W] = *shifts, 0
        entry[col.NO_F], entry[col.NO_W] = no_f, no_w
        entry[col.PLANE], entry[col.DURATION] = reach.plane[n], step.duration
        entry[col.INVERT] = step.invert
        entry[col.MOMENT_1], entry[col.MOMENT_2] = train.moment_places(step.moments)
        entry[col.ORDER] = reach.offsets[n]
        entry[col.KIND] = step.number
        entry[col.RECOVERY] = reach.zero[n] and reach.offsets[n] == 0
        block.low = _up(-min(*shifts, 0))
        block.top = max(_up(block.rows), *(_up(s + _up(rows)) for s in (*shifts, 0))) + VECTOR
        if n:
            _fill_padding(table[n - 1], entry, step.shift, offset, stride, block.rows, lanes)
            if not complex_ and frame.quarter[n] and not no_f:
                table[n - 1, col.SWAP] = 2 if plane == 1 else 1
        entry[col.NEXT_PLANE] = reach.plane[n]
        offset, plane = reach.offsets[n], reach.plane[n]
    blocks[-1].top = _up(blocks[-1].rows) + VECTOR
    return table, blocks


def _fill_padding(
    before: IntTable, entry: IntTable, shift: int, offset: int, stride: int, rows: int, lanes: int
) -> None:
    """What the next pulse finds around the `rows` elements of the block between two pulses.

    Above, zeros. Below, what has crossed zero from the other component: row -1 is order offset - stride, that is, the
    complex conjugate of order stride - offset there.
    """
    before[col.NEXT_PLANE] = entry[col.PLANE]
    for c in range(3):
        absent = entry[col.NO_W] if c == 2 else entry[col.NO_F]
        before[col.FILL_P + c] = 0 if absent else max(0, entry[col.SHIFT_P + c] + entry[col.ROWS] - rows)
    below = -min(entry[col.SHIFT_P], entry[col.SHIFT_M], 0) // lanes
    first = 1 - 2 * offset // stride
    before[col.FOLD_INTO_M] = int(shift < 0)
    before[col.FOLD_FROM] = first * lanes
    before[col.FOLD_ROWS] = max(0, min(below, rows // lanes - first))
    before[col.FILL_LOW] = (below - before[col.FOLD_ROWS]) * lanes


def _segments(sizes: list[int], limit: int) -> list[int]:
    """Where to cut a train so that the tape of a segment and the checkpoints are bounded: first step of each."""
    total = sum(sizes)
    if total <= limit:
        return [0]
    target = max(max(sizes), int(np.sqrt(total * max(sizes))))
    cuts, filled = [0], 0
    for n, size in enumerate(sizes):
        if filled + size > target and filled:
            cuts.append(n)
            filled = 0
        filled += size
    return cuts


def lay_out(part: Part, lanes: int, tape_limit: int) -> Layout:
    """Tables of a part for `lanes` lanes side by side."""
    train, reads, reach = part.train, part.reads, part.reach
    table, blocks = _fill_steps(train, reach, part.frame, lanes, part.boundary == 3)
    n_steps = len(table)
    per_block = [part.components * reach.planes * block.size() for block in blocks]
    zeros = max(VECTOR * int(table[:, col.VECTORS].max()), VECTOR)
    pair = 6 * zeros  # the zeros that pulses read where nothing arrives, and room for what adjoints write there
    largest = max(per_block)
    pair_arena = pair + 2 * largest
    cuts = _segments(per_block[1:], tape_limit)
    segments = np.zeros((len(cuts), col.N_SEGMENT), np.int64)
    tape_top = pair_arena
    for k, (begin, end) in enumerate(zip(cuts, [*cuts[1:], n_steps], strict=True)):
        position = pair_arena
        for n in range(begin, end):
            table[n, col.SRC_TAPE] = position + blocks[n].low
            position += per_block[n]
            table[n, col.DST_TAPE] = position + blocks[n + 1].low
        tape_top = max(tape_top, position + per_block[end])
        segments[k, col.SEGMENT_BEGIN], segments[k, col.SEGMENT_END] = begin, end
    arena = tape_top
    if len(cuts) > 1:
        for k, begin in enumerate(cuts):
            segments[k, col.SEGMENT_CHECKPOINT] = arena + blocks[begin].low
            arena += per_block[begin]
    for n in range(n_steps):
        source, target = blocks[n], blocks[n + 1]
        slot = [pair + (n & 1) * largest, pair + (1 - (n & 1)) * largest]
        table[n, col.SRC_PAIR], table[n, col.DST_PAIR] = slot[0] + source.low, slot[1] + target.low
        table[n, col.SRC_SIZE], table[n, col.DST_SIZE] = source.size(), target.size()
        table[n, col.SRC_ROWS], table[n, col.SRC_VECTORS] = source.rows, _up(source.rows) // VECTOR
        table[n, col.SRC_LOW], table[n, col.DST_LOW] = source.low, target.low
    read_table = _fill_reads(table, train, reads, reach, lanes)
    return Layout(
        table, read_table, segments, pair + blocks[0].low, pair_arena + blocks[0].low, zeros, arena, pair_arena
    )  # fmt: skip


def _fill_reads(table: IntTable, train: Train, reads: list[list[Read]], reach: Reach, lanes: int) -> IntTable:
    """The table of readouts; one that no state can reach is left out, and its output stays zero."""
    rows: list[list[int]] = []
    for n, group in enumerate(reads):
        table[n, col.READ_BEGIN] = len(rows)
        for read in group:
            row, off = divmod(read.order - reach.offsets[n], reach.stride)
            wrong_plane = read.component == Z_ZERO and reach.planes == 1 and reach.plane[n] == 0
            if off or not 0 <= row < reach.counts[n] or wrong_plane:
                continue
            component = {Z_ZERO: 2, F_MINUS: 1}.get(read.component, 0)
            if read.pool is not None:  # see READ_COMPONENT
                component = read.pool + (2 if read.component == Z_ZERO else 4)
            out_of_phase = len(train.durations) + len(train.moments) + read.out_of_phase
            rows.append(
                [component, row * lanes, read.duration, read.out, *train.moment_places(read.moments), out_of_phase]
            )
        table[n, col.READ_END] = len(rows)
    return np.asarray(rows, np.int64).reshape(-1, col.N_READ)


@dataclass
class Tables:
    """The tables of a program's parts, one after another, and their sizes (a row a part). See `kernels.columns`."""

    flat: IntTable
    sizes: IntTable
    updates: int  # state updates of one play of everything a call plays
    arena: int
    pair_arena: int


def boundary_numbers(end: Part) -> int:
    """Numbers that say where a repetition starts: Z_0, or Z_0 and both parts of F_0, of every pool that has it."""
    return {3: end.boundary, 4: end.boundary + 1, 6: 2 * end.boundary}[end.components]


def _join(layouts: list[Layout], program: Program, lanes: int) -> Tables:
    """The tables of all parts."""
    arena, pair_arena = max(at.arena for at in layouts), max(at.pair_arena for at in layouts)
    sizes = np.zeros((len(layouts), col.N_SIZE), np.int64)
    chunks: list[IntTable] = []
    filled = updates = 0
    for row, layout, part in zip(sizes, layouts, program.parts, strict=True):
        planes = part.reach.planes
        row[col.N_STEPS], row[col.N_SEGMENTS] = len(layout.steps), len(layout.segments)
        row[col.LANES], row[col.PLANES], row[col.N_OUT] = lanes, planes, len(part.factor_step)
        row[col.PRECESSES] = program.precesses
        row[col.BOUNDARY] = boundary_numbers(program.end) if program.end else 0
        row[col.PAIR], row[col.TAPE], row[col.ROOM] = layout.pair, layout.tape, layout.room
        row[col.ARENA], row[col.PAIR_ARENA] = arena, pair_arena
        row[col.N_DURATIONS], row[col.STRIDE] = len(part.train.durations), part.reach.stride
        places = col.STEPS_AT, col.READS_AT, col.SEGMENTS_AT
        for place, table in zip(places, (layout.steps, layout.reads, layout.segments), strict=True):
            row[place] = filled
            chunks.append(table.ravel())
            filled += table.size
        updates += layout.updates * planes * (1 if part is program.signal else 1 + boundary_numbers(part))
    return Tables(np.concatenate(chunks), sizes, updates // lanes, arena, pair_arena)


def layout_of(part: Part, lanes: int, tape_limit: int | None = None) -> Layout:
    """Tables of a part; made once."""
    known: dict[tuple[int, int], Layout] = part.__dict__.setdefault("layouts", {})
    key = lanes, TAPE_LIMIT if tape_limit is None else tape_limit
    if key not in known:
        known[key] = lay_out(part, *key)
    return known[key]


def tables_of(program: Program, lanes: int, tape_limit: int | None = None) -> Tables:
    """Tables of a program; made once."""
    known: dict[tuple[int, int], Tables] = program.__dict__.setdefault("tables", {})
    key = lanes, TAPE_LIMIT if tape_limit is None else tape_limit
    if key not in known:
        known[key] = _join([layout_of(part, *key) for part in program.parts], program, lanes)
    return known[key]
