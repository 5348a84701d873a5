"""From a pruned score to the tables that the kernels play, for a given number of lanes.

Rows are orders: row j at pulse n is order offset_n + stride j. Where the states of one pulse meet the next is a matter
of row offsets only; nothing moves in memory. `columns` says what each entry means.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..kernels import columns as col
from ..kernels.columns import VECTOR
from .reach import Reach
from .score import F_MINUS, Z_ZERO, Read, Score

IntTable = npt.NDArray[np.int64]

TAPE_LIMIT = 1 << 19  # numbers on one set's tape beyond which the train is played in checkpointed segments


def _up(count: int) -> int:
    """`count` rounded up to whole vectors."""
    vectors: int = -(-count // VECTOR)
    return vectors * int(VECTOR)


@dataclass
class Frame:
    """Frames of a real program: sign of each flip, whether the frame turns by 90 degrees before it."""

    signs: list[int]
    quarter: list[int]


def find_frame(quarters: list[int | None]) -> Frame:
    """Absorb half turns of the RF phase in the sign of the flip, so that frames differ by 0 or +90 degrees only."""
    signs, steps = [1], [0]
    for quarter in quarters[1:]:
        total = (quarter or 0) % 4
        half_turn = total >= 2
        signs.append(-signs[-1] if half_turn else signs[-1])
        steps.append(total % 2)
    return Frame(signs, steps)


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
    factor_step: IntTable  # the pulse that each output follows
    quadrature: IntTable  # real programs: 1 for outputs in quadrature with that pulse

    @property
    def updates(self) -> int:
        """State updates (orders times pulses) in one play."""
        return int(self.steps[:, col.ROWS].sum())


def _fill_steps(
    score: Score, reach: Reach, frame: Frame, lanes: int, starts_full: bool
) -> tuple[IntTable, list[_Block]]:
    """Everything about the steps but where their blocks lie."""
    n_steps, stride, complex_ = len(score.beats), reach.stride, reach.planes == 2
    steps = np.zeros((n_steps, col.N_STEP), np.int64)
    blocks = [_Block(lanes)] + [_Block(rows * lanes) for rows in reach.counts]
    offset, plane = 0, 1  # of the block before: equilibrium
    for n, beat in enumerate(score.beats):
        step, block = steps[n], blocks[n]
        rows = reach.counts[n] * lanes
        ahead = reach.offsets[n] - offset - beat.shift, reach.offsets[n] - offset + beat.shift
        if complex_:
            no_f, no_w = any(a % stride for a in ahead), reach.offsets[n] != offset
        else:
            quarter = frame.quarter[n]
            no_f = any(a % stride for a in ahead) or (plane == reach.plane[n]) != (quarter == 0)
            no_w = reach.offsets[n] != offset or plane != reach.plane[n]
        no_f = no_f or beat.spoiled or (n == 0 and not starts_full)
        shifts = [0 if no_f else a // stride * lanes for a in ahead]
        step[col.ROWS], step[col.VECTORS] = rows, _up(rows) // VECTOR
        step[col.SHIFT_P], step[col.SHIFT_M], step[col.SHIFT_W] = *shifts, 0
        step[col.NO_F], step[col.NO_W] = no_f, no_w
        step[col.PLANE], step[col.DURATION] = reach.plane[n], beat.duration
        step[col.INVERT] = beat.invert
        step[col.MOMENT_1], step[col.MOMENT_2] = score.moment_places(beat.moments)
        step[col.ORDER] = reach.offsets[n]
        step[col.RECOVERY] = reach.zero[n] and reach.offsets[n] == 0
        block.low = _up(-min(*shifts, 0))
        block.top = max(_up(block.rows), *(_up(s + _up(rows)) for s in (*shifts, 0))) + VECTOR
        if n:
            _fill_padding(steps[n - 1], step, beat.shift, offset, stride, block.rows, lanes)
            if not complex_ and frame.quarter[n] and not no_f:
                steps[n - 1, col.SWAP] = 2 if plane == 1 else 1
        step[col.NEXT_PLANE] = reach.plane[n]
        offset, plane = reach.offsets[n], reach.plane[n]
    blocks[-1].top = _up(blocks[-1].rows) + VECTOR
    return steps, blocks


def _fill_padding(
    before: IntTable, step: IntTable, shift: int, offset: int, stride: int, rows: int, lanes: int
) -> None:
    """What the next pulse finds around the `rows` elements of the block between two pulses.

    Above, zeros. Below, what has crossed zero from the other component: row -1 is order offset - stride, that is, the
    complex conjugate of order stride - offset there.
    """
    before[col.NEXT_PLANE] = step[col.PLANE]
    for c in range(3):
        absent = step[col.NO_W] if c == 2 else step[col.NO_F]
        before[col.FILL_P + c] = 0 if absent else max(0, step[col.SHIFT_P + c] + step[col.ROWS] - rows)
    below = -min(step[col.SHIFT_P], step[col.SHIFT_M], 0) // lanes
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


def lay_out(
    score: Score,
    reads: list[list[Read]],
    reach: Reach,
    frame: Frame,
    lanes: int,
    tape_limit: int = TAPE_LIMIT,
    starts_full: bool = False,
    components: int = 3,
) -> Layout:
    """Tables for `lanes` lanes side by side; `starts_full`: there may be transverse states before the first pulse.

    `components`: of a block, 4 with a bound pool.
    """
    steps, blocks = _fill_steps(score, reach, frame, lanes, starts_full)
    n_steps = len(steps)
    per_block = [components * reach.planes * block.size() for block in blocks]
    zeros = max(VECTOR * int(steps[:, col.VECTORS].max()), VECTOR)
    pair = 6 * zeros  # the zeros that pulses read where nothing arrives, and room for what adjoints write there
    largest = max(per_block)
    pair_arena = pair + 2 * largest
    cuts = _segments(per_block[1:], tape_limit)
    segments = np.zeros((len(cuts), col.N_SEGMENT), np.int64)
    tape_top = pair_arena
    for k, (begin, end) in enumerate(zip(cuts, [*cuts[1:], n_steps], strict=True)):
        position = pair_arena
        for n in range(begin, end):
            steps[n, col.SRC_TAPE] = position + blocks[n].low
            position += per_block[n]
            steps[n, col.DST_TAPE] = position + blocks[n + 1].low
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
        steps[n, col.SRC_PAIR], steps[n, col.DST_PAIR] = slot[0] + source.low, slot[1] + target.low
        steps[n, col.SRC_SIZE], steps[n, col.DST_SIZE] = source.size(), target.size()
        steps[n, col.SRC_ROWS], steps[n, col.SRC_VECTORS] = source.rows, _up(source.rows) // VECTOR
        steps[n, col.SRC_LOW], steps[n, col.DST_LOW] = source.low, target.low
    table, factor_step, quadrature = _fill_reads(steps, score, reads, reach, lanes)
    return Layout(
        steps, table, segments, pair + blocks[0].low, pair_arena + blocks[0].low, zeros, arena, pair_arena,
        factor_step, quadrature,
    )  # fmt: skip


def _fill_reads(
    steps: IntTable, score: Score, reads: list[list[Read]], reach: Reach, lanes: int
) -> tuple[IntTable, IntTable, IntTable]:
    """The table of readouts; one that no state can reach is left out, and its output stays zero."""
    n_out = sum(map(len, reads))
    rows: list[list[int]] = []
    factor_step, quadrature = np.zeros(n_out, np.int64), np.zeros(n_out, np.int64)
    for n, group in enumerate(reads):
        steps[n, col.READ_BEGIN] = len(rows)
        for read in group:
            factor_step[read.out], quadrature[read.out] = n, reach.planes == 1 and reach.plane[n] == 1
            row, off = divmod(read.order - reach.offsets[n], reach.stride)
            wrong_plane = read.component == Z_ZERO and reach.planes == 1 and reach.plane[n] == 0
            if off or not 0 <= row < reach.counts[n] or wrong_plane:
                continue
            component = 3 if read.bound else {Z_ZERO: 2, F_MINUS: 1}.get(read.component, 0)
            out_of_phase = len(score.durations) + len(score.moments) + read.out_of_phase
            rows.append(
                [component, row * lanes, read.duration, read.out, *score.moment_places(read.moments), out_of_phase]
            )
        steps[n, col.READ_END] = len(rows)
    return np.asarray(rows, np.int64).reshape(-1, col.N_READ), factor_step, quadrature
