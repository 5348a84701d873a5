"""Which orders matter: those that can be reached before a pulse and can still reach a readout after it.

Sets of orders k >= 0 are the bits of Python integers, one set for each component (F_k, F_-k, Z_k) and plane (in phase
with the pulse, in quadrature with it). Reachability follows from shifts and phase steps alone, so pruning is exact.
"""

from dataclasses import dataclass, replace
from math import gcd

from ..sequence.events import Linear
from .train import F_MINUS, F_PLUS, Z_ZERO, Read, Train

Sets = list[list[int]]  # [plane][component]
BOTH = (0, 1)


def _nothing() -> Sets:
    return [[0, 0, 0] for _ in BOTH]


def _shifted(up: int, down: int, shift: int) -> tuple[int, int]:
    """Sets of F_k and F_-k after dephasing by `shift` >= 0: F_-k with k <= shift cross to F_(shift - k)."""
    crossing = sum(1 << (shift - k) for k in range(shift + 1) if down >> k & 1)
    return up << shift | crossing, down >> shift


def _unshifted(up: int, down: int, shift: int) -> tuple[int, int]:
    """Sets of F_k and F_-k that end in the given ones."""
    crossing = sum(1 << (shift - k) for k in range(shift + 1) if up >> k & 1)
    return up >> shift, down << shift | crossing


def _turned(sets: Sets, quarter: int | None) -> Sets:
    """Transverse sets after a phase step of `quarter` times 90 degrees, or any (None)."""
    if quarter is None:
        both = [sets[0][c] | sets[1][c] for c in BOTH]
        return [[*both, sets[plane][Z_ZERO]] for plane in BOTH]
    return [[*sets[plane ^ (quarter & 1)][:2], sets[plane][Z_ZERO]] for plane in BOTH]


def _shift_sets(sets: Sets, shift: int, back: bool) -> None:
    move = _unshifted if back else _shifted
    for plane in sets:
        if shift >= 0:
            plane[F_PLUS], plane[F_MINUS] = move(plane[F_PLUS], plane[F_MINUS], shift)
        else:
            plane[F_MINUS], plane[F_PLUS] = move(plane[F_MINUS], plane[F_PLUS], -shift)


def _forward(
    train: Train, quarters: list[int | None], limit: int | None, boundary: int
) -> tuple[list[list[int]], list[int]]:
    """For each pulse: for each plane, the orders that it can find occupied; those that are transverse there."""
    highest = sum(abs(step.shift) for step in train.steps)
    mask = (1 << limit) - 1 if limit and limit <= highest else -1
    sets = _nothing()
    sets[1][Z_ZERO] = 1  # equilibrium: W = -2i Z_0 is in quadrature
    if boundary == 3:
        sets = [[1, 1, plane[Z_ZERO]] for plane in sets]
    reached, transverse = [], []
    for step, quarter in zip(train.steps, quarters, strict=True):
        if step.spoiled:
            sets = [[0, 0, plane[Z_ZERO] & 1] for plane in sets]
        sets = _turned(sets, quarter)
        _shift_sets(sets, step.shift, back=False)
        transverse.append((sets[0][F_PLUS] | sets[0][F_MINUS] | sets[1][F_PLUS] | sets[1][F_MINUS]) & mask)
        if train.durations[step.duration] != Linear():
            sets[1][Z_ZERO] |= 1  # recovery
        orders = [(plane[0] | plane[1] | plane[2]) & mask for plane in sets]
        reached.append(orders)
        sets = [[order] * 3 for order in orders]
    return reached, transverse


def _backward(
    reads: list[list[Read]], train: Train, quarters: list[int | None], reached: list[list[int]]
) -> list[list[int]]:
    """For each pulse and plane, the occupied orders that something read later depends on."""
    needed: list[list[int]] = []
    sets = _nothing()  # what is needed just after the pulse
    for n in range(len(train.steps) - 1, -1, -1):
        step = train.steps[n]
        for read in reads[n]:
            for plane in BOTH if read.component != Z_ZERO else (1,):
                sets[plane][read.component] |= 1 << read.order
                if read.order == 0 and read.component != Z_ZERO:
                    sets[plane][F_MINUS] |= 1
        orders = [(plane[0] | plane[1] | plane[2]) & reach for plane, reach in zip(sets, reached[n], strict=True)]
        needed.append(orders)
        sets = [[order] * 3 for order in orders]
        _shift_sets(sets, step.shift, back=True)
        sets = _turned(sets, quarters[n])
        if step.spoiled:
            sets = [[0, 0, plane[Z_ZERO] & 1] for plane in sets]
    return needed[::-1]


@dataclass
class Reach:
    """What must be computed: orders offsets[n], offsets[n] + stride, ... (counts[n] of them) at pulse n.

    `planes` is 2 where the problem is complex; otherwise `plane[n]` is the one plane that matters at pulse n.
    """

    stride: int
    offsets: list[int]
    counts: list[int]
    planes: int
    plane: list[int]
    zero: list[bool]  # whether order 0 in quadrature matters at the pulse: Z_0 recovers into it


def find_reach(
    train: Train,
    reads: list[list[Read]],
    quarters: list[int | None],
    limit: int | None,
    boundary: int = 0,
    force_complex: bool = False,
) -> Reach:
    """Prune a train to what `reads` (for each pulse, its readouts) depend on.

    `quarters` holds the phase steps in units of 90 degrees, None where they are anything else; `limit` keeps orders
    below it only; `boundary` says what is there at the start (see `Train.boundary`), 0 that it is equilibrium.
    """
    unit = gcd(*(step.shift for step in train.steps), *(read.order for group in reads for read in group))
    if unit > 1:  # as where several gradients follow each pulse
        steps = [replace(step, shift=step.shift // unit) for step in train.steps]
        looks = [[replace(read, order=read.order // unit) for read in group] for group in reads]
        fewer = replace(train, steps=steps)
        found = find_reach(fewer, looks, quarters, limit and -(-limit // unit), boundary, force_complex)
        return replace(found, stride=unit * found.stride, offsets=[unit * offset for offset in found.offsets])
    reached, transverse = _forward(train, quarters, limit, boundary)
    needed = _backward(reads, train, quarters, reached)
    together = [pair[0] | pair[1] for pair in needed]
    # A step that is not whole mixes the planes of what it turns, even where only one of them counts on either side.
    mixing = (
        quarter is None and crossing & orders
        for quarter, crossing, orders in zip(quarters, transverse, together, strict=True)
    )
    planes = 2 if force_complex or any(pair[0] and pair[1] for pair in needed) or any(mixing) else 1
    stride = 0
    for orders in together:
        if orders:
            first = (orders & -orders).bit_length() - 1
            stride = gcd(stride, 2 * first)
            rest = orders >> first
            while rest & (rest - 1):  # the distances from the first order
                rest &= rest - 1
                stride = gcd(stride, (rest & -rest).bit_length() - 1)
                if stride == 1:
                    break
    stride = stride or 1
    offsets, counts, plane = [], [], []
    current = 1
    for pair, orders in zip(needed, together, strict=True):
        offsets.append(((orders & -orders).bit_length() - 1) % stride if orders else 0)
        counts.append((orders.bit_length() - 1 - offsets[-1]) // stride + 1 if orders else 1)
        current = current if not orders or planes == 2 else (0 if pair[0] else 1)
        plane.append(current)
    return Reach(stride, offsets, counts, planes, plane, [bool(pair[1] & 1) for pair in needed])


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
