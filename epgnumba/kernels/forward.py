"""Play a program forward over one block of lanes: signal amplitudes and, in the same sweep, their tangents.

The state sets (0 the states, 1... the tangents) lie one after another in `space`, ARENA numbers each. A set begins with
zeros (what a pulse reads where nothing can be), then its blocks. Every tangent is a set of seeds, the derivatives of
the rates that it stands for; `rows` takes all sets through a pulse together.
"""

from collections import namedtuple

from . import columns as col
from .columns import B1, EQUILIBRIUM, INVERSION, N_DECAY, N_RATES, OMEGA, R1, R2, VECTOR, ZERO
from .jit import at, keep_out_of_line, kernel, paste_in
from .lanes import call_rows
from .passes import (
    fill_zero,
    fill_zero_vectors,
    fold_rows,
    negate,
    read_pass,
    read_tangent_pass,
    recover_flipped_pass,
    recover_pass,
    recover_tangent_pass,
)
from .physics import turn
from .rows import HALF_PI

# A part of a program at work: pointers, which cost nothing to pass and hold no references (see `batch.select`).
Player = namedtuple(
    "Player",
    [
        "steps",  # tables of integers, row after row, see `columns`
        "reads",
        "segments",
        "sizes",
        "kinds",  # for each tangent the row of the rates that it changes
        "durations",  # ms
        "flips",  # for each pulse quarter turns, signed for the frame; for each inversion its efficiency
        "turns",  # for each pulse cosine and sine of the phase step before it; then of the last phase
        "rates",  # VECTOR each of R1, R2, B1, OMEGA, INVERSION
        "decay",  # for each duration VECTOR each of e1, e2, cosine, sine
        "trig",  # for each pulse VECTOR each of cosine, sine of its flip angle
        "seeds",  # for each tangent VECTOR each of its rates' derivatives
        "scratch",  # what a pulse needs, see `columns`
        "half",  # 0.5, in the precision at hand
        "space",
        "amplitudes",  # (set, plane, output, lane)
        "adjoint",
        "amplitudes_bar",
        "boundary",  # where a repetition starts and ends, see `steady`
    ],
)


@kernel
def row(table, n, width):
    """Row `n` of a table."""
    paste_in()
    return at(table, n * width)


@kernel
def decay_row(player, duration):
    """Decay factors and precession of all lanes over a duration."""
    paste_in()
    return at(player.decay, duration * (N_DECAY * VECTOR))


@kernel
def seed_row(player, i, rate):
    """Derivatives of a rate along tangent `i` (from 1)."""
    paste_in()
    return at(player.seeds, (N_RATES * (i - 1) + rate) * VECTOR)


@kernel
def is_relaxing(player, i):
    """Whether a set is a tangent on which decay depends."""
    paste_in()
    return i > 0 and player.kinds[max(i - 1, 0)] <= R2


@kernel
def is_kind(player, i, rate):
    """Whether a set is the tangent of a certain rate."""
    paste_in()
    return i > 0 and player.kinds[max(i - 1, 0)] == rate


@kernel
def start_block(player, offset, start):
    """Nothing but Z_0 and, where it repeats, F_0 (rows of `start`, one number per set and lane) in the first block."""
    sizes, space, step = player.sizes, player.space, player.steps
    size, planes, lanes = step[col.SRC_SIZE], sizes[col.PLANES], sizes[col.LANES]
    width = (sizes[col.TANGENTS] + 1) * VECTOR
    for i in range(sizes[col.TANGENTS] + 1):
        base = i * sizes[col.ARENA] + offset
        fill_zero(at(space, base - step[col.SRC_LOW]), 3 * planes * size)
        w = base + (3 * planes - 1) * size  # W = -2i Z: in quadrature
        for j in range(lanes):
            space[w + j] = -2 * start[i * VECTOR + j]
            if sizes[col.BOUNDARY] == 3:
                re, im = start[width + i * VECTOR + j], start[2 * width + i * VECTOR + j]
                space[base + j] = re
                space[base + size + j] = re
                space[base + 3 * size + j] = im
                space[base + 4 * size + j] = -im


@kernel
def flip_of(player, n):
    """Pointer to the flip angle of pulse `n`; to zero if it is an inversion, which has none."""
    paste_in()
    if row(player.steps, n, col.N_STEP)[col.INVERT]:
        return at(player.scratch, ZERO)
    return at(player.flips, n)


@kernel
def recover(player, n, i, dst):
    """Add to row 0 what Z_0 gains before the pulse (in quadrature), through the pulse."""
    sizes, space, half = player.sizes, player.space, player.half
    step, trig = row(player.steps, n, col.N_STEP), row(player.trig, n, 2 * VECTOR)
    size, duration = step[col.DST_SIZE], step[col.DURATION]
    e, time = decay_row(player, duration), player.durations[duration]
    scale = -2 * player.scratch[EQUILIBRIUM]
    p = i * sizes[col.ARENA] + dst + 3 * (sizes[col.PLANES] - 1) * size
    xp, xm, xw = at(space, p), at(space, p + size), at(space, p + 2 * size)
    c, s = at(trig, 0), at(trig, VECTOR)
    if i == 0:
        recover_pass(xp, xm, xw, c, s, e, scale, half, sizes[col.LANES])
    elif is_kind(player, i, B1):
        seed, nominal = seed_row(player, i, B1), HALF_PI * flip_of(player, n)[0]
        recover_flipped_pass(xp, xm, xw, c, s, e, seed, scale, nominal, half, sizes[col.LANES])
    else:
        recover_tangent_pass(xp, xm, xw, c, s, e, seed_row(player, i, R1), scale * time, half, sizes[col.LANES])


@kernel
def invert_seeds(player, n, i, src, dst):
    """What a change of efficiency along tangent `i` (from 1) does to Z_0 in inversion `n`."""
    sizes, space = player.sizes, player.space
    step, seed = row(player.steps, n, col.N_STEP), seed_row(player, i, INVERSION)
    w_row = 3 * sizes[col.PLANES] - 1
    e = decay_row(player, step[col.DURATION])
    before, after = at(space, src + w_row * step[col.SRC_SIZE]), at(space, dst + w_row * step[col.DST_SIZE])
    tangent = at(after, i * sizes[col.ARENA])
    for j in range(sizes[col.LANES]):
        arriving = e[j] * before[j] - 2 * player.scratch[EQUILIBRIUM] * (1 - e[j])
        tangent[j] -= player.flips[n] * seed[j] * arriving


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
        e = at(decay_row(player, duration), rate * VECTOR)
        for plane in range(planes):
            quadrature = plane if planes == 2 else step[col.PLANE]
            scale = 1 - 2 * quadrature * (component == 1)  # F_-k is the conjugate of M
            offset = dst + (3 * plane + component) * step[col.DST_SIZE] + read[col.READ_OFFSET]
            x = at(player.space, offset)
            out = row(player.amplitudes, plane * n_out + read[col.READ_OUT], lanes)
            read_pass(x, e, out, scale, lanes)
            for i in range(1, sizes[col.TANGENTS] + 1):
                t = at(player.space, offset + i * sizes[col.ARENA])
                seed = seed_row(player, i, rate)
                out = row(player.amplitudes, (i * planes + plane) * n_out + read[col.READ_OUT], lanes)
                read_tangent_pass(x, t, e, seed, out, scale, time, lanes)
        if component == 2:
            read_z_zero(player, read, time)
        elif sizes[col.PRECESSES]:
            turn_reading(player, read, time)


@kernel
def read_z_zero(player, read, time):
    """From decayed W to Z_0 = -W/2 and what it has gained; in quadrature only."""
    sizes, half, equilibrium = player.sizes, player.half, player.scratch[EQUILIBRIUM]
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    e = decay_row(player, read[col.READ_DURATION])
    for i in range(sizes[col.TANGENTS] + 1):
        out = row(player.amplitudes, (i * planes + planes - 1) * n_out + read[col.READ_OUT], lanes)
        seed = seed_row(player, max(i, 1), R1)
        for j in range(lanes):
            gain = 1 - e[j] if i == 0 else e[j] * time * seed[j]
            out[j] = equilibrium * gain - half * out[j]


@kernel
def turn_reading(player, read, time):
    """Precession between the pulse and a readout."""
    sizes, amplitudes = player.sizes, player.amplitudes
    lanes, n_out, out = sizes[col.LANES], sizes[col.N_OUT], read[col.READ_OUT]
    e = decay_row(player, read[col.READ_DURATION])
    for i in range(sizes[col.TANGENTS] + 1):
        re, im = row(amplitudes, 2 * i * n_out + out, lanes), row(amplitudes, (2 * i + 1) * n_out + out, lanes)
        for j in range(lanes):
            re[j], im[j] = turn(re[j], im[j], e[2 * VECTOR + j], e[3 * VECTOR + j])
        if is_kind(player, i, OMEGA):
            xre, xim = row(amplitudes, out, lanes), row(amplitudes, n_out + out, lanes)
            seed = seed_row(player, i, OMEGA)
            for j in range(lanes):
                re[j] -= time * seed[j] * xim[j]
                im[j] += time * seed[j] * xre[j]


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
    """States and tangents through one pulse and the interval before it."""
    paste_in()
    step, sizes = row(player.steps, n, col.N_STEP), player.sizes
    duration = step[col.DURATION]
    p, m, w = arrivals(player, n, 0, src)
    q, o, z = arrivals(player, n, sizes[col.PLANES] - 1, src)
    arguments = (
        player.space, row(player.trig, n, 2 * VECTOR), decay_row(player, duration), player.seeds,
        at(player.durations, duration), flip_of(player, n), at(player.turns, 2 * n), p, m, w, q, o, z,
        dst, step[col.DST_SIZE], sizes[col.ARENA], step[col.VECTORS],
    )  # fmt: skip
    call_rows(sizes[col.PLAY_ROWS], arguments)
    for i in range(sizes[col.TANGENTS] + 1):
        if step[col.RECOVERY] and (i == 0 or is_kind(player, i, R1) or is_kind(player, i, B1)):
            recover(player, n, i, dst)
        if step[col.INVERT] and is_kind(player, i, INVERSION):
            invert_seeds(player, n, i, src, dst)


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
def play(player, start, keep, only):
    """Play a part from `start`; `keep` records what a reverse sweep needs. Or replay segment `only` >= 0 onto the tape.

    A train of one segment is recorded whole, on the tape. A longer one leaves a checkpoint at the start of each
    segment; otherwise two blocks alternate.
    """
    keep_out_of_line()
    sizes = player.sizes
    count = sizes[col.N_SEGMENTS]
    record = only >= 0 or (keep and count == 1)
    if only < 0:
        start_block(player, sizes[col.TAPE] if record else sizes[col.PAIR], start)
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
