"""Play a program forward over one block of lanes: signal amplitudes and, in the same sweep, their tangents.

The state sets (0 the states, 1... the tangents) lie one after another in `space`, ARENA numbers each. A set begins with
zeros (what a pulse reads where nothing can be), then room for its turned components, then its blocks. Every tangent is
a set of seeds, the derivatives of R1 = 1/T1, R2 = 1/T2 and B1 that it stands for, so that it is one more run of the
same passes.
"""

from collections import namedtuple

from . import columns as col
from .columns import B1, FLIPPING, R1, R2, RELAXING, VECTOR
from .jit import at, kernel
from .passes import fill_zero, flip_pass, fold_rows, negate, pulse_pass, relax_pass, turn_pass
from .physics import coefficients

HALF_PI = 1.5707963267948966

# A program at work. The first index of a table is the part (SIGNAL, END).
Player = namedtuple(
    "Player",
    [
        "steps",  # tables of integers, see `columns`
        "reads",
        "segments",
        "sizes",
        "durations",  # ms
        "flips",  # (part, pulse): quarter turns, signed for the frame
        "turns",  # (part, 3 VECTOR to a pulse): cosine, sine, -sine of the phase step before it
        "rates",  # VECTOR each of R1, R2, B1
        "decay",  # for each duration VECTOR of e1, VECTOR of e2
        "trig",  # (part, 2 VECTOR to a pulse): cosine, sine of the flip angle
        "seeds",  # for each tangent VECTOR of dR1, dR2, dB1
        "kinds",  # (tangent, kind): whether it has seeds of that kind
        "scratch",  # coefficients (5 VECTOR), then a pulse's seeds (2 VECTOR)
        "half",  # 0.5, in the precision at hand
        "equilibrium",  # (1,): Z_0 that recovery aims at, 1 or (for the homogeneous part of a map) 0
        "space",
        "amplitudes",  # for each part (set, plane, output, lane)
        "adjoint",
        "amplitudes_bar",
        "z",  # (use, set and lane): starting Z_0; further rows for the fixed point
    ],
)
SEEDS = 5 * VECTOR  # where a pulse's seeds begin in `scratch`


@kernel
def load_coefficients(player, part, n):
    """Coefficients of pulse `n` with the decay before it."""
    decay, trig, scratch = player.decay, player.trig, player.scratch
    duration = player.steps[part, n, col.DURATION]
    for j in range(VECTOR):
        values = coefficients(
            trig[part, 2 * n * VECTOR + j],
            trig[part, (2 * n + 1) * VECTOR + j],
            decay[2 * duration * VECTOR + j],
            decay[(2 * duration + 1) * VECTOR + j],
            player.half,
        )
        for i in range(5):
            scratch[i * VECTOR + j] = values[i]


@kernel
def load_decay_seeds(player, i, time):
    """d log e1 and d log e2 of tangent `i` (from 1) over `time`."""
    seeds, scratch = player.seeds, player.scratch
    for j in range(VECTOR):
        scratch[SEEDS + j] = -time * seeds[(3 * i - 3 + R1) * VECTOR + j]
        scratch[SEEDS + VECTOR + j] = -time * seeds[(3 * i - 3 + R2) * VECTOR + j]


@kernel
def load_flip_seeds(player, i, flip):
    """Derivative of the flip angle (nominally `flip` quarter turns) along tangent `i` (from 1), in radians."""
    seeds, scratch = player.seeds, player.scratch
    for j in range(VECTOR):
        scratch[SEEDS + j] = flip * HALF_PI * seeds[(3 * i - 3 + B1) * VECTOR + j]


@kernel
def start_block(player, part, offset, z):
    """Z_0 = z (one number per set and lane), nothing else, in the block that starts at `offset`."""
    sizes, space = player.sizes, player.space
    size, planes = player.steps[part, 0, col.SRC_SIZE], sizes[part, col.PLANES]
    for i in range(sizes[part, col.TANGENTS] + 1):
        base = i * sizes[part, col.ARENA] + offset
        fill_zero(at(space, base - player.steps[part, 0, col.SRC_LOW]), 3 * planes * size)
        w = base + (3 * planes - 1) * size  # W = -2i Z: in quadrature
        for j in range(sizes[part, col.LANES]):
            space[w + j] = -2 * z[i * VECTOR + j]


@kernel
def recover(player, part, n, i, dst):
    """Add to row 0 what Z_0 gains before the pulse (in quadrature), through the pulse."""
    sizes, space, trig, decay = player.sizes, player.space, player.trig, player.decay
    size, duration = player.steps[part, n, col.DST_SIZE], player.steps[part, n, col.DURATION]
    time = player.durations[duration]
    p = i * sizes[part, col.ARENA] + dst + 3 * (sizes[part, col.PLANES] - 1) * size
    for j in range(sizes[part, col.LANES]):
        e1 = decay[2 * duration * VECTOR + j]
        gain = 1 - e1
        if i > 0:
            gain = e1 * time * player.seeds[(3 * i - 3 + R1) * VECTOR + j]
        gain = -2 * player.equilibrium[0] * gain
        odd = player.half * (trig[part, (2 * n + 1) * VECTOR + j] * gain)
        space[p + j] += odd
        space[p + size + j] -= odd
        space[p + 2 * size + j] += trig[part, 2 * n * VECTOR + j] * gain


@kernel
def is_turned(player, part, n):
    """Whether transverse states arrive at pulse `n` and its frame is not that of the pulse before."""
    return (
        player.sizes[part, col.PLANES] == 2
        and player.steps[part, n, col.NO_F] == 0
        and player.turns[part, 3 * n * VECTOR] != 1
    )


@kernel
def turn_source(player, part, n, i, src):
    """Copy the transverse components before pulse `n` into the room for turned ones, in the frame of that pulse."""
    steps, space, turns = player.steps, player.space, player.turns
    size, room_size = steps[part, n, col.SRC_SIZE], player.sizes[part, col.ROOM_SIZE]
    base = i * player.sizes[part, col.ARENA]
    room = base + player.sizes[part, col.ROOM]
    cosine = part * turns.shape[1] + 3 * n * VECTOR
    for c in range(2):
        re = base + src + c * size + steps[part, n, col.SHIFT_P + c]
        turn_pass(
            at(space, re),
            at(space, re + 3 * size),
            at(space, room + c * room_size),
            at(space, room + (2 + c) * room_size),
            at(turns, cosine),
            at(turns, cosine + (1 + c) * VECTOR),
            steps[part, n, col.VECTORS],
        )


@kernel
def arrivals(player, part, n, plane, src):
    """Where a plane of the P, M and W that meet pulse `n` lies in a set, whose block before it is at `src`."""
    steps = player.steps
    size = steps[part, n, col.SRC_SIZE]
    base = src + 3 * plane * size
    p = base + steps[part, n, col.SHIFT_P]
    m = base + size + steps[part, n, col.SHIFT_M]
    w = base + 2 * size + steps[part, n, col.SHIFT_W]
    if steps[part, n, col.NO_F]:
        p = 0
        m = 0
    if steps[part, n, col.NO_W]:
        w = 0
    return p, m, w


@kernel
def turned_arrivals(player, part, n, plane, src):
    """`arrivals`, with the transverse components where they are in the frame of pulse `n`."""
    p, m, w = arrivals(player, part, n, plane, src)
    if is_turned(player, part, n):
        room_size = player.sizes[part, col.ROOM_SIZE]
        p = player.sizes[part, col.ROOM] + 2 * plane * room_size
        m = p + room_size
    return p, m, w


@kernel
def read_out(player, part, n, dst):
    """Amplitudes of the readouts that follow pulse `n`."""
    steps, reads, sizes, decay, seeds = player.steps, player.reads, player.sizes, player.decay, player.seeds
    space, amplitudes = player.space, player.amplitudes
    lanes, planes, n_out = sizes[part, col.LANES], sizes[part, col.PLANES], sizes[part, col.N_OUT]
    for r in range(steps[part, n, col.READ_BEGIN], steps[part, n, col.READ_END]):
        component, duration = reads[part, r, col.READ_COMPONENT], reads[part, r, col.READ_DURATION]
        time = player.durations[duration]
        longitudinal = component == 2
        rate = R1 if longitudinal else R2
        for i in range(sizes[part, col.TANGENTS] + 1):
            for plane in range(planes):
                quadrature = plane if planes == 2 else steps[part, n, col.PLANE]
                x = dst + (3 * plane + component) * steps[part, n, col.DST_SIZE] + reads[part, r, col.READ_OFFSET]
                t = x + i * sizes[part, col.ARENA]
                out = (i * planes + plane) * n_out + reads[part, r, col.READ_OUT]
                out = sizes[part, col.AMPLITUDES] + out * lanes
                sign = 1 - 2 * quadrature * (component == 1)  # F_-k is the conjugate of M
                for j in range(lanes):
                    e = decay[(2 * duration + rate) * VECTOR + j]
                    value = space[t + j]
                    seed = 0 * e
                    if i > 0:
                        seed = -time * seeds[(3 * i - 3 + rate) * VECTOR + j]
                        value += seed * space[x + j]
                    value *= e
                    if longitudinal:  # Z = -W/2, and its recovery
                        gain = 1 - e if i == 0 else -e * seed
                        value = player.equilibrium[0] * gain - player.half * value
                    amplitudes[out + j] = sign * value


@kernel
def finish_block(player, part, n, dst):
    """After the readouts: the change of frame, and the padding that the next pulse will look into."""
    steps, sizes, space = player.steps, player.sizes, player.space
    lanes, planes = sizes[part, col.LANES], sizes[part, col.PLANES]
    size, rows = steps[part, n, col.DST_SIZE], steps[part, n, col.ROWS]
    fold, into_m = steps[part, n, col.FOLD_ROWS], steps[part, n, col.FOLD_INTO_M]
    for i in range(sizes[part, col.TANGENTS] + 1):
        for plane in range(planes):
            p = i * sizes[part, col.ARENA] + dst + 3 * plane * size
            if steps[part, n, col.SWAP] > 0:
                negate(at(space, p + (steps[part, n, col.SWAP] - 1) * size), rows)
            for c in range(3):
                fill_zero(at(space, p + c * size + rows), steps[part, n, col.DST_HIGH])
            low = p + into_m * size - steps[part, n, col.DST_LOW]
            end = p + into_m * size - fold * lanes
            fill_zero(at(space, low), end - low)
            quadrature = plane if planes == 2 else steps[part, n, col.NEXT_PLANE]
            source = p + (1 - into_m) * size + steps[part, n, col.FOLD_FROM]
            fold_rows(at(space, source), at(space, end), fold, lanes, 1 - 2 * quadrature)


@kernel
def play_pulse(player, part, n, src, dst):
    """States and tangents through one pulse and the decay before it."""
    steps, sizes, space, scratch = player.steps, player.sizes, player.space, player.scratch
    time = player.durations[steps[part, n, col.DURATION]]
    vectors, size = steps[part, n, col.VECTORS], steps[part, n, col.DST_SIZE]
    planes = sizes[part, col.PLANES]
    co, g = at(scratch, 0), at(scratch, SEEDS)
    load_coefficients(player, part, n)
    for i in range(sizes[part, col.TANGENTS] + 1):
        if is_turned(player, part, n):
            turn_source(player, part, n, i, src)
        relaxing = i > 0 and player.kinds[i - 1, RELAXING] == 1
        flipping = i > 0 and player.kinds[i - 1, FLIPPING] == 1
        t = i * sizes[part, col.ARENA]
        if relaxing:
            load_decay_seeds(player, i, time)
        for plane in range(planes):
            p, m, w = turned_arrivals(player, part, n, plane, src)
            tp, tm, tw = at(space, t + p), at(space, t + m), at(space, t + w)
            d = t + dst + 3 * plane * size
            dp, dm, dw = at(space, d), at(space, d + size), at(space, d + 2 * size)
            if relaxing:
                relax_pass(at(space, p), at(space, m), at(space, w), tp, tm, tw, dp, dm, dw, co, g, vectors)
            else:
                pulse_pass(tp, tm, tw, dp, dm, dw, co, vectors)
        if steps[part, n, col.RECOVERY] and (i == 0 or relaxing):
            recover(player, part, n, i, dst)
        if flipping:
            load_flip_seeds(player, i, player.flips[part, n])
            for plane in range(planes):
                x = dst + 3 * plane * size
                xp, xm, xw = at(space, x), at(space, x + size), at(space, x + 2 * size)
                dp, dm, dw = at(space, t + x), at(space, t + x + size), at(space, t + x + 2 * size)
                flip_pass(xp, xm, xw, dp, dm, dw, g, player.half, vectors)


@kernel
def copy_block(player, part, n, source, target):
    """Copy the block before step `n` between its places in a set."""
    sizes, space = player.sizes, player.space
    count = 3 * sizes[part, col.PLANES] * player.steps[part, n, col.SRC_SIZE]
    for i in range(sizes[part, col.TANGENTS] + 1):
        base = i * sizes[part, col.ARENA] - player.steps[part, n, col.SRC_LOW]
        for k in range(count):
            space[base + target + k] = space[base + source + k]


@kernel
def play(player, part, z, keep, only):
    """Play a part from Z_0 = z; `keep` records what a reverse sweep needs. Or replay segment `only` >= 0 onto the tape.

    A train of one segment is recorded whole, on the tape. A longer one leaves a checkpoint at the start of each
    segment; otherwise two blocks alternate.
    """
    steps, sizes, segments = player.steps, player.sizes, player.segments
    count = sizes[part, col.N_SEGMENTS]
    record = only >= 0 or (keep and count == 1)
    if only < 0:
        start_block(player, part, sizes[part, col.TAPE] if record else sizes[part, col.PAIR], z)
    for k in range(max(only, 0), only + 1 if only >= 0 else count):
        begin = segments[part, k, col.SEGMENT_BEGIN]
        checkpoint = segments[part, k, col.SEGMENT_CHECKPOINT]
        if count > 1 and (keep or only >= 0):
            source = checkpoint if only >= 0 else steps[part, begin, col.SRC_PAIR]
            target = steps[part, begin, col.SRC_TAPE] if only >= 0 else checkpoint
            copy_block(player, part, begin, source, target)
        for n in range(begin, segments[part, k, col.SEGMENT_END]):
            src = steps[part, n, col.SRC_TAPE] if record else steps[part, n, col.SRC_PAIR]
            dst = steps[part, n, col.DST_TAPE] if record else steps[part, n, col.DST_PAIR]
            play_pulse(player, part, n, src, dst)
            read_out(player, part, n, dst)
            finish_block(player, part, n, dst)
