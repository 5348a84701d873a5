"""Play a program backward over one block of lanes: every derivative of a scalar in one sweep.

The scalar depends on the amplitudes and on their tangents; `amplitudes_bar` holds its derivatives with respect to both.
Adjoints mirror the states: one set for the states, one for each tangent, in two alternating blocks of `adjoint`.
A pulse is undone in the order: padding, readouts, flip seeds, recovery, the pulse itself, phases, decay seeds.
"""

from collections import namedtuple

from . import columns as col
from .columns import B1, FLIPPING, R1, R2, RELAXING, VECTOR
from .forward import (
    HALF_PI,
    SEEDS,
    arrivals,
    is_turned,
    load_coefficients,
    load_decay_seeds,
    load_flip_seeds,
    play,
    row,
    turned_arrivals,
)
from .jit import at, kernel, paste_in
from .passes import (
    decay_dot_pass,
    fill_zero,
    fill_zero_vectors,
    flip_pull_pass,
    negate,
    pull_pass,
    pull_relaxed_pass,
    relax_pull_pass,
    turn_dot_pass,
    turn_pass,
    unfold_rows,
)

# Derivatives gathered. From Python it comes with arrays whose first axes are the part and the group of voxels (the
# group alone, after the third); the kernels see pointers to one row of each.
Bars = namedtuple(
    "Bars",
    [
        "flips",  # per pulse, radians of the signed flip
        "turns",  # per pulse, radians of the phase step before it
        "durations",  # per duration, ms
        "factors",  # per output, radians of its phase
        "profile",  # per slice position
        "rates",  # VECTOR each of R1, R2, B1
        "seeds",  # for each tangent VECTOR of its seeds
        "z",  # starting Z_0, per set and lane
        "sums",  # scratch: flip (VECTOR), its seed (VECTOR), log e1 and log e2 (2 VECTOR)
    ],
)
FLIP_SUM, SEED_SUM, LOG_SUM = 0, VECTOR, 2 * VECTOR


@kernel
def unfinish_block(player, n):
    """Adjoint of `forward.finish_block`; the recorded states go back to the frame of their own pulse."""
    paste_in()
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    lanes, planes = sizes[col.LANES], sizes[col.PLANES]
    size, rows = step[col.DST_SIZE], step[col.ROWS]
    fold, into_m = step[col.FOLD_ROWS], step[col.FOLD_INTO_M]
    for i in range(sizes[col.TANGENTS] + 1):
        for plane in range(planes):
            p = i * sizes[col.PAIR_ARENA] + step[col.DST_PAIR] + 3 * plane * size
            low = p + into_m * size - fold * lanes
            source = p + (1 - into_m) * size + step[col.FOLD_FROM]
            quadrature = plane if planes == 2 else step[col.NEXT_PLANE]
            unfold_rows(at(adjoint, source), at(adjoint, low), fold, lanes, 1 - 2 * quadrature)
            if step[col.SWAP] > 0:
                c = (step[col.SWAP] - 1) * size
                negate(at(adjoint, p + c), rows)
                negate(at(space, i * sizes[col.ARENA] + step[col.DST_TAPE] + c), rows)


@kernel
def gather_decay(player, bars, i, rate, duration, log_bar, j):
    """Derivative with respect to log e1 or log e2 (`rate`: R1 or R2) in lane j, or to what tangent `i` > 0 adds."""
    time = player.durations[duration]
    if i == 0:
        bars.rates[rate * VECTOR + j] -= time * log_bar
        bars.durations[duration] -= player.rates[rate * VECTOR + j] * log_bar
    else:
        k = (3 * i - 3 + rate) * VECTOR + j
        bars.seeds[k] -= time * log_bar
        bars.durations[duration] -= player.seeds[k] * log_bar


@kernel
def unread(player, n, bars, timing):
    """Adjoint of `forward.read_out`."""
    paste_in()
    step, sizes = row(player.steps, n, col.N_STEP), player.sizes
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    for r in range(step[col.READ_BEGIN], step[col.READ_END]):
        read = row(player.reads, r, col.N_READ)
        component, duration = read[col.READ_COMPONENT], read[col.READ_DURATION]
        rate = R1 if component == 2 else R2
        time = player.durations[duration]
        e = row(player.decay, 2 * duration + rate, VECTOR)
        for plane in range(planes - 1 if component == 2 else 0, planes):
            quadrature = plane if planes == 2 else step[col.PLANE]
            scale = player.half + player.half
            if component == 1:  # F_-k is the conjugate of M
                scale *= 1 - 2 * quadrature
            if component == 2:  # Z = -W/2
                scale = -player.half
            offset = step[col.DST_PAIR] + (3 * plane + component) * step[col.DST_SIZE] + read[col.READ_OFFSET]
            x, bar = at(player.adjoint, offset), row(player.amplitudes_bar, plane * n_out + read[col.READ_OUT], lanes)
            for j in range(lanes):
                x[j] += scale * e[j] * bar[j]
            for i in range(1, sizes[col.TANGENTS] + 1):
                t = at(player.adjoint, offset + i * sizes[col.PAIR_ARENA])
                seed = row(player.seeds, 3 * i - 3 + rate, VECTOR)
                bar = row(player.amplitudes_bar, (i * planes + plane) * n_out + read[col.READ_OUT], lanes)
                for j in range(lanes):
                    x[j] -= time * seed[j] * (scale * e[j] * bar[j])
                    t[j] += scale * e[j] * bar[j]
            if timing:
                unread_decay(player, plane, read, rate, bars)


@kernel
def unread_decay(player, plane, read, rate, bars):
    """What a readout adds to the derivatives with respect to the decay before it."""
    sizes, duration = player.sizes, read[col.READ_DURATION]
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    first = (plane * n_out + read[col.READ_OUT]) * lanes
    for j in range(lanes):
        decayed = player.amplitudes[first + j]  # what scales with the decay factor
        if rate == R1:
            decayed -= player.equilibrium[0]
        log_bar = player.amplitudes_bar[first + j] * decayed
        for i in range(1, sizes[col.TANGENTS] + 1):
            out = first + i * planes * n_out * lanes + j
            log_bar += player.amplitudes_bar[out] * player.amplitudes[out]
            gather_decay(player, bars, i, rate, duration, player.amplitudes_bar[out] * decayed, j)
        gather_decay(player, bars, 0, rate, duration, log_bar, j)


@kernel
def unrecover(player, n, i, bars):
    """Adjoint of `forward.recover` for one set: only the rates and durations gain by it."""
    step, sizes, adjoint, trig = row(player.steps, n, col.N_STEP), player.sizes, player.adjoint, player.trig
    size, duration = step[col.DST_SIZE], step[col.DURATION]
    time = player.durations[duration]
    p = i * sizes[col.PAIR_ARENA] + step[col.DST_PAIR] + 3 * (sizes[col.PLANES] - 1) * size
    for j in range(sizes[col.LANES]):
        odd = player.half * (adjoint[p + j] - adjoint[p + size + j])
        w = adjoint[p + 2 * size + j]
        gain_bar = trig[(2 * n + 1) * VECTOR + j] * odd + trig[2 * n * VECTOR + j] * w
        log_bar = 2 * player.equilibrium[0] * player.decay[2 * duration * VECTOR + j] * gain_bar
        gather_decay(player, bars, i, R1, duration, log_bar, j)
        if i > 0:
            seed = -time * player.seeds[(3 * i - 3 + R1) * VECTOR + j]
            gather_decay(player, bars, 0, R1, duration, seed * log_bar, j)


@kernel
def clear_around(player, n, component, start):
    """Zero what a pulse's adjoint did not write in a component of the block before it (row 0 at `start`).

    Adjoints are zero from the last row to the end of its vector, so that what the states hold there never counts.
    """
    paste_in()
    step, adjoint = row(player.steps, n, col.N_STEP), player.adjoint
    begin = step[col.SHIFT_P + component]
    end = min(begin + step[col.ROWS], step[col.SRC_ROWS])
    if (component == 2 and step[col.NO_W]) or (component < 2 and step[col.NO_F]):
        begin, end = 0, 0
    fill_zero(at(adjoint, start), begin)
    fill_zero_vectors(at(adjoint, start + end), step[col.SRC_VECTORS] * VECTOR - end)


@kernel
def pull_pulse(player, n, i, relaxing, bars):
    """Adjoint set `i` through pulse `n`, into the block before it.

    The states' (i = 0) come last and take the decay seeds of tangent `relaxing` along, if that is not 0.
    """
    paste_in()
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    turns, planes, vectors = player.turns, sizes[col.PLANES], step[col.VECTORS]
    src, size, src_size = step[col.SRC_PAIR], step[col.DST_SIZE], step[col.SRC_SIZE]
    a, room, room_size = i * sizes[col.PAIR_ARENA], sizes[col.ROOM], sizes[col.ROOM_SIZE]
    co, flip_sum = at(player.scratch, 0), at(bars.sums, FLIP_SUM)
    for plane in range(planes):
        x = i * sizes[col.ARENA] + step[col.DST_TAPE] + 3 * plane * size
        d = a + step[col.DST_PAIR] + 3 * plane * size
        p, m, w = turned_arrivals(player, n, plane, src)
        if step[col.NO_F]:
            m = room  # somewhere to write what nobody will read
        xp, xm, xw = at(space, x), at(space, x + size), at(space, x + 2 * size)
        dp, dm, dw = at(adjoint, d), at(adjoint, d + size), at(adjoint, d + 2 * size)
        ap, am, aw = at(adjoint, a + p), at(adjoint, a + m), at(adjoint, a + w)
        if i == 0 and relaxing > 0:
            t, g = relaxing * sizes[col.PAIR_ARENA], at(player.scratch, SEEDS)
            tp, tm, tw = at(adjoint, t + p), at(adjoint, t + m), at(adjoint, t + w)
            pull_relaxed_pass(xp, xm, xw, dp, dm, dw, tp, tm, tw, ap, am, aw, co, g, player.half, flip_sum, vectors)
        else:
            pull_pass(xp, xm, xw, dp, dm, dw, ap, am, aw, co, player.half, flip_sum, vectors)
    if is_turned(player, n):
        cosine = 3 * n * VECTOR
        for c in range(2):
            re = a + src + c * src_size + step[col.SHIFT_P + c]
            turn_pass(
                at(adjoint, a + room + c * room_size),
                at(adjoint, a + room + (2 + c) * room_size),
                at(adjoint, re),
                at(adjoint, re + 3 * src_size),
                at(turns, cosine),
                at(turns, cosine + (2 - c) * VECTOR),
                vectors,
            )
    for k in range(3 * planes):
        clear_around(player, n, k % 3, a + src + k * src_size)


@kernel
def decay_dot(player, n, x_set, bar_set, bars):
    """Derivatives with respect to decay, from pairing states (or a tangent) with adjoints before pulse `n`."""
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    sums = bars.sums
    x, b = x_set * sizes[col.ARENA], bar_set * sizes[col.PAIR_ARENA]
    fill_zero(at(sums, LOG_SUM), 2 * VECTOR)
    for plane in range(sizes[col.PLANES]):
        p, m, w = arrivals(player, n, plane, step[col.SRC_TAPE])
        bp, bm, bw = arrivals(player, n, plane, step[col.SRC_PAIR])
        xp, xm, xw = at(space, x + p), at(space, x + m), at(space, x + w)
        ap, am, aw = at(adjoint, b + bp), at(adjoint, b + bm), at(adjoint, b + bw)
        decay_dot_pass(xp, xm, xw, ap, am, aw, at(sums, LOG_SUM), step[col.VECTORS])
    i = 0 if x_set == bar_set else bar_set  # a tangent's adjoint on the states is about its seeds
    for rate in range(2):
        for j in range(VECTOR):
            log_bar = sums[LOG_SUM + rate * VECTOR + j]
            gather_decay(player, bars, i, rate, step[col.DURATION], log_bar, j)


@kernel
def turn_dot(player, n, bars):
    """Derivative with respect to the phase step before pulse `n`."""
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    sums = bars.sums
    size = step[col.SRC_SIZE]
    fill_zero(at(sums, SEED_SUM), VECTOR)
    for i in range(sizes[col.TANGENTS] + 1):
        for c in range(2):
            shift = c * size + step[col.SHIFT_P + c]
            x = i * sizes[col.ARENA] + step[col.SRC_TAPE] + shift
            b = i * sizes[col.PAIR_ARENA] + step[col.SRC_PAIR] + shift
            re, im = c * 3 * size, (1 - c) * 3 * size  # P turns one way, M the other
            xre, xim, bre, bim = at(space, x + re), at(space, x + im), at(adjoint, b + re), at(adjoint, b + im)
            turn_dot_pass(xre, xim, bre, bim, at(sums, SEED_SUM), step[col.VECTORS])
    for j in range(VECTOR):
        bars.turns[n] += sums[SEED_SUM + j]


@kernel
def unflip(player, n, i, bars):
    """Adjoint of the flip seeds of tangent `i` at pulse `n`."""
    paste_in()
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    sums = bars.sums
    size, vectors = step[col.DST_SIZE], step[col.VECTORS]
    g, flip_sum, seed_sum = at(player.scratch, SEEDS), at(sums, FLIP_SUM), at(sums, SEED_SUM)
    load_flip_seeds(player, i, player.flips[n])
    fill_zero(seed_sum, VECTOR)
    for plane in range(sizes[col.PLANES]):
        x = step[col.DST_TAPE] + 3 * plane * size
        d = step[col.DST_PAIR] + 3 * plane * size
        t = d + i * sizes[col.PAIR_ARENA]
        xp, xm, xw = at(space, x), at(space, x + size), at(space, x + 2 * size)
        tp, tm, tw = at(adjoint, t), at(adjoint, t + size), at(adjoint, t + 2 * size)
        dp, dm, dw = at(adjoint, d), at(adjoint, d + size), at(adjoint, d + 2 * size)
        flip_pull_pass(xp, xm, xw, tp, tm, tw, dp, dm, dw, g, player.half, flip_sum, seed_sum, vectors)
    for j in range(VECTOR):
        k = (3 * i - 3 + B1) * VECTOR + j
        bars.seeds[k] += player.flips[n] * HALF_PI * sums[SEED_SUM + j]
        bars.flips[n] += player.seeds[k] * sums[SEED_SUM + j]


@kernel
def relax_pull(player, n, i):
    """Adjoint of the decay seeds of tangent `i` at pulse `n`, for the states."""
    paste_in()
    step, adjoint = row(player.steps, n, col.N_STEP), player.adjoint
    load_decay_seeds(player, i, player.durations[step[col.DURATION]])
    t = i * player.sizes[col.PAIR_ARENA]
    for plane in range(player.sizes[col.PLANES]):
        p, m, w = arrivals(player, n, plane, step[col.SRC_PAIR])
        if step[col.NO_F]:
            m = player.sizes[col.ROOM]
        tp, tm, tw = at(adjoint, t + p), at(adjoint, t + m), at(adjoint, t + w)
        g = at(player.scratch, SEEDS)
        relax_pull_pass(tp, tm, tw, at(adjoint, p), at(adjoint, m), at(adjoint, w), g, step[col.VECTORS])


@kernel
def dot(a, b):
    """Inner product of two vectors, in four sums that do not wait for each other."""
    s0, s1, s2, s3 = a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]
    for j in range(4, VECTOR, 4):
        s0 += a[j] * b[j]
        s1 += a[j + 1] * b[j + 1]
        s2 += a[j + 2] * b[j + 2]
        s3 += a[j + 3] * b[j + 3]
    return (s0 + s1) + (s2 + s3)


@kernel
def rewind_pulse(player, n, bars, timing, turning):
    """Undo pulse `n`; `timing`, `turning`: gather those derivatives as well."""
    paste_in()
    step, sizes, kinds, sums = row(player.steps, n, col.N_STEP), player.sizes, player.kinds, bars.sums
    tangents = sizes[col.TANGENTS]
    load_coefficients(player, n)
    fill_zero(at(sums, FLIP_SUM), VECTOR)
    unfinish_block(player, n)
    unread(player, n, bars, timing)
    for i in range(1, tangents + 1):
        if kinds[2 * i - 2 + FLIPPING]:
            unflip(player, n, i, bars)
    first = 0
    for i in range(tangents, 0, -1):
        if kinds[2 * i - 2 + RELAXING]:
            first = i
    for i in range(tangents, -1, -1):
        if timing and step[col.RECOVERY]:
            unrecover(player, n, i, bars)
        if i == 0 and first > 0:
            load_decay_seeds(player, first, player.durations[step[col.DURATION]])
        pull_pulse(player, n, i, first, bars)
    for i in range(first + 1, tangents + 1):
        if kinds[2 * i - 2 + RELAXING]:
            relax_pull(player, n, i)
    if timing:
        for i in range(2 * tangents + 1):  # each set with its own adjoint; then the states with each tangent's
            paired = i if i <= tangents else i - tangents
            if i <= tangents or kinds[2 * paired - 2 + RELAXING]:
                decay_dot(player, n, i if i <= tangents else 0, paired, bars)
    if turning and sizes[col.PLANES] == 2 and not step[col.NO_F]:
        turn_dot(player, n, bars)
    flip = player.flips[n] * HALF_PI
    for j in range(VECTOR):
        bars.rates[B1 * VECTOR + j] += flip * sums[FLIP_SUM + j]
    bars.flips[n] += dot(at(player.rates, B1 * VECTOR), at(sums, FLIP_SUM))


@kernel
def rewind(player, bars, timing, turning):
    """Undo a part after a `play` that kept its states; adds to `bars` and sets the derivative of the starting Z_0."""
    sizes, adjoint = player.sizes, player.adjoint
    arena, planes = sizes[col.PAIR_ARENA], sizes[col.PLANES]
    last = row(player.steps, sizes[col.N_STEPS] - 1, col.N_STEP)
    for i in range(sizes[col.TANGENTS] + 1):
        start = i * arena + last[col.DST_PAIR] - last[col.DST_LOW]
        fill_zero(at(adjoint, start), 3 * planes * last[col.DST_SIZE])
    for k in range(sizes[col.N_SEGMENTS] - 1, -1, -1):
        segment = row(player.segments, k, col.N_SEGMENT)
        if sizes[col.N_SEGMENTS] > 1:
            play(player, bars.z, True, k)
        for n in range(segment[col.SEGMENT_END] - 1, segment[col.SEGMENT_BEGIN] - 1, -1):
            rewind_pulse(player, n, bars, timing, turning)
    w = sizes[col.PAIR] + (3 * planes - 1) * player.steps[col.SRC_SIZE]
    for i in range(sizes[col.TANGENTS] + 1):
        for j in range(sizes[col.LANES]):
            bars.z[i * VECTOR + j] = -2 * adjoint[i * arena + w + j]
