"""Play a program forward over one block of lanes: signal amplitudes and, in the same sweep, their tangents.

The state sets (0 the states, 1... the tangents) lie one after another in `space`, ARENA numbers each. A set begins with
zeros (what a pulse reads where nothing can be), then room for its turned components, then its blocks. Every tangent is
a set of seeds, the derivatives of R1 = 1/T1, R2 = 1/T2 and B1 that it stands for, so that it is one more run of the
same passes.
"""

from collections import namedtuple

from . import columns as col
from .columns import B1, FLIPPING, R1, R2, RELAXING, VECTOR
from .jit import at, kernel, paste_in
from .passes import fill_zero, fill_zero_vectors, flip_pass, fold_rows, negate, pulse_pass, relax_pass, turn_pass
from .physics import coefficients

HALF_PI = 1.5707963267948966

# A part of a program at work. From Python it comes with arrays whose first axis is the part (`batch.select` makes of it
# what the kernels see: plain pointers to one part's rows, which cost nothing to pass and hold no references).
Player = namedtuple(
    "Player",
    [
        "steps",  # tables of integers, row after row, see `columns`
        "reads",
        "segments",
        "sizes",
        "durations",  # ms
        "flips",  # quarter turns, signed for the frame
        "turns",  # for each pulse VECTOR each of cosine, sine, -sine of the phase step before it
        "rates",  # VECTOR each of R1, R2, B1
        "decay",  # for each duration VECTOR of e1, VECTOR of e2
        "trig",  # for each pulse VECTOR each of cosine, sine of its flip angle
        "seeds",  # for each tangent VECTOR of dR1, dR2, dB1
        "kinds",  # for each tangent, whether it is RELAXING, whether FLIPPING
        "scratch",  # coefficients (5 VECTOR), then a pulse's seeds (2 VECTOR)
        "half",  # 0.5, in the precision at hand
        "equilibrium",  # one number: Z_0 that recovery aims at, 1 or (for the homogeneous part of a map) 0
        "space",
        "amplitudes",  # (set, plane, output, lane)
        "adjoint",
        "amplitudes_bar",
        "z",  # Z_0, per set and lane: where the train starts, then what the fixed point takes (see `batch`)
    ],
)
SEEDS = 5 * VECTOR  # where a pulse's seeds begin in `scratch`


@kernel
def row(table, n, width):
    """Row `n` of a table."""
    paste_in()
    return at(table, n * width)


@kernel
def load_coefficients(player, n):
    """Coefficients of pulse `n` with the decay before it."""
    paste_in()
    duration = row(player.steps, n, col.N_STEP)[col.DURATION]
    decay, trig, co = row(player.decay, duration, 2 * VECTOR), row(player.trig, n, 2 * VECTOR), player.scratch
    for j in range(VECTOR):
        co[j], co[VECTOR + j], co[2 * VECTOR + j], co[3 * VECTOR + j], co[4 * VECTOR + j] = coefficients(
            trig[j], trig[VECTOR + j], decay[j], decay[VECTOR + j], player.half
        )


@kernel
def load_decay_seeds(player, i, time):
    """d log e1 and d log e2 of tangent `i` (from 1) over `time`."""
    paste_in()
    seeds, scratch = player.seeds, player.scratch
    for j in range(VECTOR):
        scratch[SEEDS + j] = -time * seeds[(3 * i - 3 + R1) * VECTOR + j]
        scratch[SEEDS + VECTOR + j] = -time * seeds[(3 * i - 3 + R2) * VECTOR + j]


@kernel
def load_flip_seeds(player, i, flip):
    """Derivative of the flip angle (nominally `flip` quarter turns) along tangent `i` (from 1), in radians."""
    paste_in()
    seeds, scratch = player.seeds, player.scratch
    for j in range(VECTOR):
        scratch[SEEDS + j] = flip * HALF_PI * seeds[(3 * i - 3 + B1) * VECTOR + j]


@kernel
def start_block(player, offset, z):
    """Z_0 = z (one number per set and lane), nothing else, in the block that starts at `offset`."""
    sizes, space, step = player.sizes, player.space, player.steps
    size, planes = step[col.SRC_SIZE], sizes[col.PLANES]
    for i in range(sizes[col.TANGENTS] + 1):
        base = i * sizes[col.ARENA] + offset
        fill_zero(at(space, base - step[col.SRC_LOW]), 3 * planes * size)
        w = base + (3 * planes - 1) * size  # W = -2i Z: in quadrature
        for j in range(sizes[col.LANES]):
            space[w + j] = -2 * z[i * VECTOR + j]


@kernel
def recover(player, n, i, dst):
    """Add to row 0 what Z_0 gains before the pulse (in quadrature), through the pulse."""
    sizes, space, trig, decay = player.sizes, player.space, player.trig, player.decay
    step = row(player.steps, n, col.N_STEP)
    size, duration = step[col.DST_SIZE], step[col.DURATION]
    time = player.durations[duration]
    p = i * sizes[col.ARENA] + dst + 3 * (sizes[col.PLANES] - 1) * size
    for j in range(sizes[col.LANES]):
        e1 = decay[2 * duration * VECTOR + j]
        gain = 1 - e1
        if i > 0:
            gain = e1 * time * player.seeds[(3 * i - 3 + R1) * VECTOR + j]
        gain = -2 * player.equilibrium[0] * gain
        odd = player.half * (trig[(2 * n + 1) * VECTOR + j] * gain)
        space[p + j] += odd
        space[p + size + j] -= odd
        space[p + 2 * size + j] += trig[2 * n * VECTOR + j] * gain


@kernel
def is_turned(player, n):
    """Whether transverse states arrive at pulse `n` and its frame is not that of the pulse before."""
    paste_in()
    turns, step = player.turns, row(player.steps, n, col.N_STEP)
    turned = turns[3 * n * VECTOR] != 1 or turns[(3 * n + 1) * VECTOR] != 0
    return player.sizes[col.PLANES] == 2 and step[col.NO_F] == 0 and turned


@kernel
def turn_source(player, n, i, src):
    """Copy the transverse components before pulse `n` into the room for turned ones, in the frame of that pulse."""
    step, space, turns = row(player.steps, n, col.N_STEP), player.space, player.turns
    size, room_size = step[col.SRC_SIZE], player.sizes[col.ROOM_SIZE]
    base = i * player.sizes[col.ARENA]
    room = base + player.sizes[col.ROOM]
    cosine = 3 * n * VECTOR
    for c in range(2):
        re = base + src + c * size + step[col.SHIFT_P + c]
        turn_pass(
            at(space, re),
            at(space, re + 3 * size),
            at(space, room + c * room_size),
            at(space, room + (2 + c) * room_size),
            at(turns, cosine),
            at(turns, cosine + (1 + c) * VECTOR),
            step[col.VECTORS],
        )


@kernel
def arrivals(player, n, plane, src):
    """Where a plane of the P, M and W that meet pulse `n` lies in a set, whose block before it is at `src`."""
    paste_in()
    step = row(player.steps, n, col.N_STEP)
    size = step[col.SRC_SIZE]
    base = src + 3 * plane * size
    p = base + step[col.SHIFT_P]
    m = base + size + step[col.SHIFT_M]
    w = base + 2 * size + step[col.SHIFT_W]
    if step[col.NO_F]:
        p = 0
        m = 0
    if step[col.NO_W]:
        w = 0
    return p, m, w


@kernel
def turned_arrivals(player, n, plane, src):
    """`arrivals`, with the transverse components where they are in the frame of pulse `n`."""
    paste_in()
    p, m, w = arrivals(player, n, plane, src)
    if is_turned(player, n):
        room_size = player.sizes[col.ROOM_SIZE]
        p = player.sizes[col.ROOM] + 2 * plane * room_size
        m = p + room_size
    return p, m, w


@kernel
def read_out(player, n, dst):
    """Amplitudes of the readouts that follow pulse `n`."""
    paste_in()
    step, sizes = row(player.steps, n, col.N_STEP), player.sizes
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    for r in range(step[col.READ_BEGIN], step[col.READ_END]):
        read = row(player.reads, r, col.N_READ)
        component, duration = read[col.READ_COMPONENT], read[col.READ_DURATION]
        rate = R1 if component == 2 else R2
        time = player.durations[duration]
        e = row(player.decay, 2 * duration + rate, VECTOR)
        for plane in range(planes):
            quadrature = plane if planes == 2 else step[col.PLANE]
            scale = 1 - 2 * quadrature * (component == 1)  # F_-k is the conjugate of M
            offset = dst + (3 * plane + component) * step[col.DST_SIZE] + read[col.READ_OFFSET]
            x = at(player.space, offset)
            out = row(player.amplitudes, plane * n_out + read[col.READ_OUT], lanes)
            for j in range(lanes):
                out[j] = scale * e[j] * x[j]
            for i in range(1, sizes[col.TANGENTS] + 1):
                t = at(player.space, offset + i * sizes[col.ARENA])
                seed = row(player.seeds, 3 * i - 3 + rate, VECTOR)
                out = row(player.amplitudes, (i * planes + plane) * n_out + read[col.READ_OUT], lanes)
                for j in range(lanes):
                    out[j] = scale * e[j] * (t[j] - time * seed[j] * x[j])
        if component == 2:
            read_z_zero(player, read, time)


@kernel
def read_z_zero(player, read, time):
    """From decayed W to Z_0 = -W/2 and what it has gained; in quadrature only."""
    sizes, half, equilibrium = player.sizes, player.half, player.equilibrium[0]
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    e = row(player.decay, 2 * read[col.READ_DURATION] + R1, VECTOR)
    for i in range(sizes[col.TANGENTS] + 1):
        out = row(player.amplitudes, (i * planes + planes - 1) * n_out + read[col.READ_OUT], lanes)
        seed = row(player.seeds, 3 * max(i - 1, 0) + R1, VECTOR)
        for j in range(lanes):
            gain = 1 - e[j] if i == 0 else e[j] * time * seed[j]
            out[j] = equilibrium * gain - half * out[j]


@kernel
def finish_block(player, n, dst):
    """After the readouts: the change of frame, and the padding that the next pulse will look into."""
    paste_in()
    step, sizes, space = row(player.steps, n, col.N_STEP), player.sizes, player.space
    lanes, planes = sizes[col.LANES], sizes[col.PLANES]
    size, rows = step[col.DST_SIZE], step[col.ROWS]
    fold, into_m = step[col.FOLD_ROWS], step[col.FOLD_INTO_M]
    for i in range(sizes[col.TANGENTS] + 1):
        for plane in range(planes):
            p = i * sizes[col.ARENA] + dst + 3 * plane * size
            if step[col.SWAP] > 0:
                negate(at(space, p + (step[col.SWAP] - 1) * size), rows)
            for c in range(3):
                fill_zero_vectors(at(space, p + c * size + rows), step[col.FILL_P + c])
            end = p + into_m * size - fold * lanes
            fill_zero(at(space, end - step[col.FILL_LOW]), step[col.FILL_LOW])
            quadrature = plane if planes == 2 else step[col.NEXT_PLANE]
            source = p + (1 - into_m) * size + step[col.FOLD_FROM]
            fold_rows(at(space, source), at(space, end), fold, lanes, 1 - 2 * quadrature)


@kernel
def play_pulse(player, n, src, dst):
    """States and tangents through one pulse and the decay before it."""
    paste_in()
    step, sizes, space, scratch = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.scratch
    time = player.durations[step[col.DURATION]]
    vectors, size = step[col.VECTORS], step[col.DST_SIZE]
    planes = sizes[col.PLANES]
    co, g = at(scratch, 0), at(scratch, SEEDS)
    load_coefficients(player, n)
    for i in range(sizes[col.TANGENTS] + 1):
        if is_turned(player, n):
            turn_source(player, n, i, src)
        relaxing = i > 0 and player.kinds[2 * i - 2 + RELAXING] == 1
        flipping = i > 0 and player.kinds[2 * i - 2 + FLIPPING] == 1
        t = i * sizes[col.ARENA]
        if relaxing:
            load_decay_seeds(player, i, time)
        for plane in range(planes):
            p, m, w = turned_arrivals(player, n, plane, src)
            tp, tm, tw = at(space, t + p), at(space, t + m), at(space, t + w)
            d = t + dst + 3 * plane * size
            dp, dm, dw = at(space, d), at(space, d + size), at(space, d + 2 * size)
            if relaxing:
                relax_pass(at(space, p), at(space, m), at(space, w), tp, tm, tw, dp, dm, dw, co, g, vectors)
            else:
                pulse_pass(tp, tm, tw, dp, dm, dw, co, vectors)
        if step[col.RECOVERY] and (i == 0 or relaxing):
            recover(player, n, i, dst)
        if flipping:
            load_flip_seeds(player, i, player.flips[n])
            for plane in range(planes):
                x = dst + 3 * plane * size
                xp, xm, xw = at(space, x), at(space, x + size), at(space, x + 2 * size)
                dp, dm, dw = at(space, t + x), at(space, t + x + size), at(space, t + x + 2 * size)
                flip_pass(xp, xm, xw, dp, dm, dw, g, player.half, vectors)


@kernel
def copy_block(player, n, source, target):
    """Copy the block before step `n` between its places in a set."""
    sizes, space, step = player.sizes, player.space, row(player.steps, n, col.N_STEP)
    count = 3 * sizes[col.PLANES] * step[col.SRC_SIZE]
    for i in range(sizes[col.TANGENTS] + 1):
        base = i * sizes[col.ARENA] - step[col.SRC_LOW]
        for k in range(count):
            space[base + target + k] = space[base + source + k]


@kernel
def play(player, z, keep, only):
    """Play a part from Z_0 = z; `keep` records what a reverse sweep needs. Or replay segment `only` >= 0 onto the tape.

    A train of one segment is recorded whole, on the tape. A longer one leaves a checkpoint at the start of each
    segment; otherwise two blocks alternate.
    """
    sizes = player.sizes
    count = sizes[col.N_SEGMENTS]
    record = only >= 0 or (keep and count == 1)
    if only < 0:
        start_block(player, sizes[col.TAPE] if record else sizes[col.PAIR], z)
    for k in range(max(only, 0), only + 1 if only >= 0 else count):
        segment = row(player.segments, k, col.N_SEGMENT)
        begin, checkpoint = segment[col.SEGMENT_BEGIN], segment[col.SEGMENT_CHECKPOINT]
        if count > 1 and (keep or only >= 0):
            first = row(player.steps, begin, col.N_STEP)
            source = checkpoint if only >= 0 else first[col.SRC_PAIR]
            target = first[col.SRC_TAPE] if only >= 0 else checkpoint
            copy_block(player, begin, source, target)
        for n in range(begin, segment[col.SEGMENT_END]):
            step = row(player.steps, n, col.N_STEP)
            src = step[col.SRC_TAPE] if record else step[col.SRC_PAIR]
            dst = step[col.DST_TAPE] if record else step[col.DST_PAIR]
            play_pulse(player, n, src, dst)
            read_out(player, n, dst)
            finish_block(player, n, dst)
