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
    turned_arrivals,
)
from .jit import at, kernel
from .passes import (
    decay_dot_pass,
    fill_zero,
    flip_pull_pass,
    negate,
    pull_pass,
    relax_pull_pass,
    turn_dot_pass,
    turn_pass,
    unfold_rows,
)

# Derivatives gathered.
Bars = namedtuple(
    "Bars",
    [
        "flips",  # (part, group, pulse), per radian of the signed flip
        "turns",  # (part, group, pulse), per radian
        "durations",  # (group, duration)
        "factors",  # (group, output): the phase of each output, per radian
        "profile",  # (group, slice position)
        "rates",  # VECTOR each of R1, R2, B1
        "seeds",  # for each tangent VECTOR of its seeds
        "z",  # starting Z_0, per set and lane
        "sums",  # scratch: flip (VECTOR), its seed (VECTOR), log e1 and log e2 (2 VECTOR)
    ],
)
FLIP_SUM, SEED_SUM, LOG_SUM = 0, VECTOR, 2 * VECTOR


@kernel
def unfinish_block(player, part, n):
    """Adjoint of `forward.finish_block`; the recorded states go back to the frame of their own pulse."""
    steps, sizes, space, adjoint = player.steps, player.sizes, player.space, player.adjoint
    lanes, planes = sizes[part, col.LANES], sizes[part, col.PLANES]
    size, rows = steps[part, n, col.DST_SIZE], steps[part, n, col.ROWS]
    fold, into_m = steps[part, n, col.FOLD_ROWS], steps[part, n, col.FOLD_INTO_M]
    for i in range(sizes[part, col.TANGENTS] + 1):
        for plane in range(planes):
            p = i * sizes[part, col.PAIR_ARENA] + steps[part, n, col.DST_PAIR] + 3 * plane * size
            low = p + into_m * size - fold * lanes
            source = p + (1 - into_m) * size + steps[part, n, col.FOLD_FROM]
            quadrature = plane if planes == 2 else steps[part, n, col.NEXT_PLANE]
            unfold_rows(at(adjoint, source), at(adjoint, low), fold, lanes, 1 - 2 * quadrature)
            if steps[part, n, col.SWAP] > 0:
                c = (steps[part, n, col.SWAP] - 1) * size
                negate(at(adjoint, p + c), rows)
                negate(at(space, i * sizes[part, col.ARENA] + steps[part, n, col.DST_TAPE] + c), rows)


@kernel
def gather_decay(player, bars, group, i, rate, duration, log_bar, j):
    """Derivative with respect to log e1 or log e2 (`rate`: R1 or R2) of lane j, or to what tangent `i` > 0 adds to it."""
    time = player.durations[duration]
    if i == 0:
        bars.rates[rate * VECTOR + j] -= time * log_bar
        bars.durations[group, duration] -= player.rates[rate * VECTOR + j] * log_bar
    else:
        k = (3 * i - 3 + rate) * VECTOR + j
        bars.seeds[k] -= time * log_bar
        bars.durations[group, duration] -= player.seeds[k] * log_bar


@kernel
def unread(player, part, n, bars, group, timing):
    """Adjoint of `forward.read_out`."""
    steps, reads, sizes, decay, seeds = player.steps, player.reads, player.sizes, player.decay, player.seeds
    adjoint, amplitudes, amplitudes_bar = player.adjoint, player.amplitudes, player.amplitudes_bar
    lanes, planes, n_out = sizes[part, col.LANES], sizes[part, col.PLANES], sizes[part, col.N_OUT]
    base, size = steps[part, n, col.DST_PAIR], steps[part, n, col.DST_SIZE]
    for r in range(steps[part, n, col.READ_BEGIN], steps[part, n, col.READ_END]):
        component, duration = reads[part, r, col.READ_COMPONENT], reads[part, r, col.READ_DURATION]
        time = player.durations[duration]
        longitudinal = component == 2
        rate = R1 if longitudinal else R2
        for plane in range(planes - 1 if longitudinal else 0, planes):
            quadrature = plane if planes == 2 else steps[part, n, col.PLANE]
            x = base + (3 * plane + component) * size + reads[part, r, col.READ_OFFSET]
            first = sizes[part, col.AMPLITUDES] + (plane * n_out + reads[part, r, col.READ_OUT]) * lanes
            sign = 1 - 2 * quadrature * (component == 1)
            for j in range(lanes):
                e = decay[(2 * duration + rate) * VECTOR + j]
                scale = -player.half * e if longitudinal else sign * e
                decayed = amplitudes[first + j]  # what scales with the decay factor
                if longitudinal:
                    decayed -= player.equilibrium[0]
                log_bar = amplitudes_bar[first + j] * decayed
                adjoint[x + j] += scale * amplitudes_bar[first + j]
                for i in range(1, sizes[part, col.TANGENTS] + 1):
                    out = first + i * planes * n_out * lanes + j
                    bar = amplitudes_bar[out]
                    adjoint[x + j] -= time * seeds[(3 * i - 3 + rate) * VECTOR + j] * scale * bar
                    adjoint[x + i * sizes[part, col.PAIR_ARENA] + j] += scale * bar
                    if timing:
                        log_bar += bar * amplitudes[out]
                        gather_decay(player, bars, group, i, rate, duration, bar * decayed, j)
                if timing:
                    gather_decay(player, bars, group, 0, rate, duration, log_bar, j)


@kernel
def unrecover(player, part, n, i, bars, group):
    """Adjoint of `forward.recover` for one set: only the rates and durations gain by it."""
    sizes, adjoint, trig = player.sizes, player.adjoint, player.trig
    size, duration = player.steps[part, n, col.DST_SIZE], player.steps[part, n, col.DURATION]
    time = player.durations[duration]
    p = i * sizes[part, col.PAIR_ARENA] + player.steps[part, n, col.DST_PAIR] + 3 * (sizes[part, col.PLANES] - 1) * size
    for j in range(sizes[part, col.LANES]):
        odd = player.half * (adjoint[p + j] - adjoint[p + size + j])
        w = adjoint[p + 2 * size + j]
        gain_bar = trig[part, (2 * n + 1) * VECTOR + j] * odd + trig[part, 2 * n * VECTOR + j] * w
        log_bar = 2 * player.equilibrium[0] * player.decay[2 * duration * VECTOR + j] * gain_bar
        gather_decay(player, bars, group, i, R1, duration, log_bar, j)
        if i > 0:
            seed = -time * player.seeds[(3 * i - 3 + R1) * VECTOR + j]
            gather_decay(player, bars, group, 0, R1, duration, seed * log_bar, j)


@kernel
def clear_around(player, part, n, component, start):
    """Zero what a pulse's adjoint did not write in a component of the block before it (row 0 at `start`)."""
    steps, adjoint = player.steps, player.adjoint
    low = steps[part, n, col.SRC_LOW]
    top = steps[part, n, col.SRC_ROWS] + steps[part, n, col.SRC_HIGH]
    begin, end = steps[part, n, col.SHIFT_P + component], steps[part, n, col.ROWS]
    end += begin
    if (component == 2 and steps[part, n, col.NO_W]) or (component < 2 and steps[part, n, col.NO_F]):
        begin, end = -low, -low
    fill_zero(at(adjoint, start - low), low + begin)
    fill_zero(at(adjoint, start + end), top - end)


@kernel
def pull_pulse(player, part, n, i, bars):
    """Adjoint set `i` through pulse `n`, into the block before it."""
    steps, sizes, space, adjoint = player.steps, player.sizes, player.space, player.adjoint
    turns, planes, vectors = player.turns, sizes[part, col.PLANES], steps[part, n, col.VECTORS]
    src, size, src_size = steps[part, n, col.SRC_PAIR], steps[part, n, col.DST_SIZE], steps[part, n, col.SRC_SIZE]
    a, room, room_size = i * sizes[part, col.PAIR_ARENA], sizes[part, col.ROOM], sizes[part, col.ROOM_SIZE]
    co, flip_sum = at(player.scratch, 0), at(bars.sums, FLIP_SUM)
    for plane in range(planes):
        x = i * sizes[part, col.ARENA] + steps[part, n, col.DST_TAPE] + 3 * plane * size
        d = a + steps[part, n, col.DST_PAIR] + 3 * plane * size
        p, m, w = turned_arrivals(player, part, n, plane, src)
        if steps[part, n, col.NO_F]:
            m = room  # somewhere to write what nobody will read
        xp, xm, xw = at(space, x), at(space, x + size), at(space, x + 2 * size)
        dp, dm, dw = at(adjoint, d), at(adjoint, d + size), at(adjoint, d + 2 * size)
        ap, am, aw = at(adjoint, a + p), at(adjoint, a + m), at(adjoint, a + w)
        pull_pass(xp, xm, xw, dp, dm, dw, ap, am, aw, co, player.half, flip_sum, vectors)
    if is_turned(player, part, n):
        cosine = part * turns.shape[1] + 3 * n * VECTOR
        for c in range(2):
            re = a + src + c * src_size + steps[part, n, col.SHIFT_P + c]
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
        clear_around(player, part, n, k % 3, a + src + k * src_size)


@kernel
def decay_dot(player, part, n, x_set, bar_set, bars, group):
    """Derivatives with respect to decay, from pairing states (or a tangent) with adjoints before pulse `n`."""
    steps, sizes, space, adjoint, sums = player.steps, player.sizes, player.space, player.adjoint, bars.sums
    x, b = x_set * sizes[part, col.ARENA], bar_set * sizes[part, col.PAIR_ARENA]
    fill_zero(at(sums, LOG_SUM), 2 * VECTOR)
    for plane in range(sizes[part, col.PLANES]):
        p, m, w = arrivals(player, part, n, plane, steps[part, n, col.SRC_TAPE])
        bp, bm, bw = arrivals(player, part, n, plane, steps[part, n, col.SRC_PAIR])
        xp, xm, xw = at(space, x + p), at(space, x + m), at(space, x + w)
        ap, am, aw = at(adjoint, b + bp), at(adjoint, b + bm), at(adjoint, b + bw)
        decay_dot_pass(xp, xm, xw, ap, am, aw, at(sums, LOG_SUM), steps[part, n, col.VECTORS])
    i = 0 if x_set == bar_set else bar_set  # a tangent's adjoint on the states is about its seeds
    for rate in range(2):
        for j in range(VECTOR):
            log_bar = sums[LOG_SUM + rate * VECTOR + j]
            gather_decay(player, bars, group, i, rate, steps[part, n, col.DURATION], log_bar, j)


@kernel
def turn_dot(player, part, n, bars, group):
    """Derivative with respect to the phase step before pulse `n`."""
    steps, sizes, space, adjoint, sums = player.steps, player.sizes, player.space, player.adjoint, bars.sums
    size = steps[part, n, col.SRC_SIZE]
    fill_zero(at(sums, SEED_SUM), VECTOR)
    for i in range(sizes[part, col.TANGENTS] + 1):
        for c in range(2):
            shift = c * size + steps[part, n, col.SHIFT_P + c]
            x = i * sizes[part, col.ARENA] + steps[part, n, col.SRC_TAPE] + shift
            b = i * sizes[part, col.PAIR_ARENA] + steps[part, n, col.SRC_PAIR] + shift
            re, im = c * 3 * size, (1 - c) * 3 * size  # P turns one way, M the other
            xre, xim, bre, bim = at(space, x + re), at(space, x + im), at(adjoint, b + re), at(adjoint, b + im)
            turn_dot_pass(xre, xim, bre, bim, at(sums, SEED_SUM), steps[part, n, col.VECTORS])
    for j in range(VECTOR):
        bars.turns[part, group, n] += sums[SEED_SUM + j]


@kernel
def unflip(player, part, n, i, bars, group):
    """Adjoint of the flip seeds of tangent `i` at pulse `n`."""
    steps, sizes, space, adjoint, sums = player.steps, player.sizes, player.space, player.adjoint, bars.sums
    size, vectors = steps[part, n, col.DST_SIZE], steps[part, n, col.VECTORS]
    g, flip_sum, seed_sum = at(player.scratch, SEEDS), at(sums, FLIP_SUM), at(sums, SEED_SUM)
    load_flip_seeds(player, i, player.flips[part, n])
    fill_zero(seed_sum, VECTOR)
    for plane in range(sizes[part, col.PLANES]):
        x = steps[part, n, col.DST_TAPE] + 3 * plane * size
        d = steps[part, n, col.DST_PAIR] + 3 * plane * size
        t = d + i * sizes[part, col.PAIR_ARENA]
        xp, xm, xw = at(space, x), at(space, x + size), at(space, x + 2 * size)
        tp, tm, tw = at(adjoint, t), at(adjoint, t + size), at(adjoint, t + 2 * size)
        dp, dm, dw = at(adjoint, d), at(adjoint, d + size), at(adjoint, d + 2 * size)
        flip_pull_pass(xp, xm, xw, tp, tm, tw, dp, dm, dw, g, player.half, flip_sum, seed_sum, vectors)
    for j in range(VECTOR):
        k = (3 * i - 3 + B1) * VECTOR + j
        bars.seeds[k] += player.flips[part, n] * HALF_PI * sums[SEED_SUM + j]
        bars.flips[part, group, n] += player.seeds[k] * sums[SEED_SUM + j]


@kernel
def relax_pull(player, part, n, i):
    """Adjoint of the decay seeds of tangent `i` at pulse `n`, for the states."""
    steps, adjoint = player.steps, player.adjoint
    load_decay_seeds(player, i, player.durations[steps[part, n, col.DURATION]])
    t = i * player.sizes[part, col.PAIR_ARENA]
    for plane in range(player.sizes[part, col.PLANES]):
        p, m, w = arrivals(player, part, n, plane, steps[part, n, col.SRC_PAIR])
        if steps[part, n, col.NO_F]:
            m = player.sizes[part, col.ROOM]
        tp, tm, tw = at(adjoint, t + p), at(adjoint, t + m), at(adjoint, t + w)
        g = at(player.scratch, SEEDS)
        relax_pull_pass(
            tp, tm, tw, at(adjoint, p), at(adjoint, m), at(adjoint, w), g, steps[part, n, col.VECTORS]
        )


@kernel
def rewind_pulse(player, part, n, bars, group, timing, turning):
    """Undo pulse `n`; `timing`, `turning`: gather those derivatives as well."""
    steps, sizes, kinds, sums = player.steps, player.sizes, player.kinds, bars.sums
    tangents = sizes[part, col.TANGENTS]
    load_coefficients(player, part, n)
    fill_zero(at(sums, FLIP_SUM), VECTOR)
    unfinish_block(player, part, n)
    unread(player, part, n, bars, group, timing)
    for i in range(1, tangents + 1):
        if kinds[i - 1, FLIPPING]:
            unflip(player, part, n, i, bars, group)
    for i in range(tangents + 1):
        if timing and steps[part, n, col.RECOVERY]:
            unrecover(player, part, n, i, bars, group)
        pull_pulse(player, part, n, i, bars)
    for i in range(1, tangents + 1):
        if kinds[i - 1, RELAXING]:
            relax_pull(player, part, n, i)
    if timing:
        for i in range(2 * tangents + 1):  # each set with its own adjoint; then the states with each tangent's
            paired = i if i <= tangents else i - tangents
            if i <= tangents or kinds[paired - 1, RELAXING]:
                decay_dot(player, part, n, i if i <= tangents else 0, paired, bars, group)
    if turning and sizes[part, col.PLANES] == 2 and not steps[part, n, col.NO_F]:
        turn_dot(player, part, n, bars, group)
    for j in range(VECTOR):
        flip_bar = sums[FLIP_SUM + j]
        bars.flips[part, group, n] += player.rates[B1 * VECTOR + j] * flip_bar
        bars.rates[B1 * VECTOR + j] += player.flips[part, n] * HALF_PI * flip_bar


@kernel
def rewind(player, part, bars, group, timing, turning):
    """Undo a part after a `play` that kept its states; adds to `bars` and sets the derivative of the starting Z_0."""
    steps, sizes, segments, adjoint = player.steps, player.sizes, player.segments, player.adjoint
    arena, planes = sizes[part, col.PAIR_ARENA], sizes[part, col.PLANES]
    last = sizes[part, col.N_STEPS] - 1
    for i in range(sizes[part, col.TANGENTS] + 1):
        start = i * arena + steps[part, last, col.DST_PAIR] - steps[part, last, col.DST_LOW]
        fill_zero(at(adjoint, start), 3 * planes * steps[part, last, col.DST_SIZE])
    for k in range(sizes[part, col.N_SEGMENTS] - 1, -1, -1):
        begin, end = segments[part, k, col.SEGMENT_BEGIN], segments[part, k, col.SEGMENT_END]
        if sizes[part, col.N_SEGMENTS] > 1:
            play(player, part, bars.z, True, k)
        for n in range(end - 1, begin - 1, -1):
            rewind_pulse(player, part, n, bars, group, timing, turning)
    w = sizes[part, col.PAIR] + (3 * planes - 1) * steps[part, 0, col.SRC_SIZE]
    for i in range(sizes[part, col.TANGENTS] + 1):
        for j in range(sizes[part, col.LANES]):
            bars.z[i * VECTOR + j] = -2 * adjoint[i * arena + w + j]
