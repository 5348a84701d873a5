"""Play a program backward over one block of lanes: every derivative of a scalar in one sweep.

The scalar depends on the amplitudes and on their tangents; `amplitudes_bar` holds its derivatives with respect to both.
Adjoints mirror the states: one set for the states, one for each tangent, in two alternating blocks of `adjoint`.
A pulse is undone in the order: padding, readouts, recovery, then the pulse with its seeds and the interval before it.
"""

from . import columns as col
from .columns import B1, EQUILIBRIUM, FLIP_SUM, INVERSION, N_RATES, OMEGA, R1, R2, SEED_SUM, VECTOR
from .forward import arrivals, decay_row, flip_of, is_kind, play, row, seed_row
from .gather import dot, gather_angle, gather_decay, gather_decay_before, gather_turn
from .jit import at, keep_out_of_line, kernel, paste_in
from .lanes import call_rows
from .passes import (
    fill_zero,
    fill_zero_vectors,
    negate,
    unfold_rows,
    unread_pass,
    unread_tangent_pass,
)
from .physics import turn
from .rows import HALF_PI


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
        e = at(decay_row(player, duration), rate * VECTOR)
        first = planes - 1 if component == 2 else 0
        if timing:
            for plane in range(first, planes):
                unread_decay(player, plane, read, rate, bars)
        if sizes[col.PRECESSES] and component != 2:
            unturn_reading(player, read, time, bars, timing)
        for plane in range(first, planes):
            quadrature = plane if planes == 2 else step[col.PLANE]
            scale = player.half + player.half
            if component == 1:  # F_-k is the conjugate of M
                scale *= 1 - 2 * quadrature
            if component == 2:  # Z = -W/2
                scale = -player.half
            offset = step[col.DST_PAIR] + (3 * plane + component) * step[col.DST_SIZE] + read[col.READ_OFFSET]
            x, bar = at(player.adjoint, offset), row(player.amplitudes_bar, plane * n_out + read[col.READ_OUT], lanes)
            unread_pass(x, e, bar, scale, lanes)
            for i in range(1, sizes[col.TANGENTS] + 1):
                t = at(player.adjoint, offset + i * sizes[col.PAIR_ARENA])
                seed = seed_row(player, i, rate)
                bar = row(player.amplitudes_bar, (i * planes + plane) * n_out + read[col.READ_OUT], lanes)
                unread_tangent_pass(x, t, e, seed, bar, scale, time, lanes)


@kernel
def unread_decay(player, plane, read, rate, bars):
    """What a readout adds to the derivatives with respect to the decay before it."""
    sizes, duration = player.sizes, read[col.READ_DURATION]
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    first = (plane * n_out + read[col.READ_OUT]) * lanes
    for j in range(lanes):
        decayed = player.amplitudes[first + j]  # what scales with the decay factor
        if rate == R1:
            decayed -= player.scratch[EQUILIBRIUM]
        log_bar = player.amplitudes_bar[first + j] * decayed
        for i in range(1, sizes[col.TANGENTS] + 1):
            out = first + i * planes * n_out * lanes + j
            log_bar += player.amplitudes_bar[out] * player.amplitudes[out]
            gather_decay(player, bars, i, rate, duration, player.amplitudes_bar[out] * decayed, j)
        gather_decay(player, bars, 0, rate, duration, log_bar, j)


@kernel
def unturn_reading(player, read, time, bars, timing):
    """Adjoint of `forward.turn_reading`."""
    sizes, amplitudes, amplitudes_bar = player.sizes, player.amplitudes, player.amplitudes_bar
    lanes, n_out, out, duration = sizes[col.LANES], sizes[col.N_OUT], read[col.READ_OUT], read[col.READ_DURATION]
    e = decay_row(player, duration)
    x_re, x_im = row(amplitudes, out, lanes), row(amplitudes, n_out + out, lanes)
    xb_re, xb_im = row(amplitudes_bar, out, lanes), row(amplitudes_bar, n_out + out, lanes)
    for i in range(sizes[col.TANGENTS], -1, -1):
        re, im = row(amplitudes, 2 * i * n_out + out, lanes), row(amplitudes, (2 * i + 1) * n_out + out, lanes)
        b_re, b_im = (
            row(amplitudes_bar, 2 * i * n_out + out, lanes), row(amplitudes_bar, (2 * i + 1) * n_out + out, lanes)
        )  # fmt: skip
        if is_kind(player, i, OMEGA):
            seed = seed_row(player, i, OMEGA)
            for j in range(lanes):
                if timing:
                    gather_angle(player, bars, i, duration, b_im[j] * x_re[j] - b_re[j] * x_im[j], j)
                    # counted again below, with what is about to be added to the states' own
                    gather_angle(player, bars, 0, duration, b_im[j] * re[j] - b_re[j] * im[j], j)
                    gather_angle(player, bars, 0, duration, time * seed[j] * (b_re[j] * x_re[j] + b_im[j] * x_im[j]), j)
                xb_re[j] += time * seed[j] * b_im[j]
                xb_im[j] -= time * seed[j] * b_re[j]
        elif timing:
            for j in range(lanes):
                gather_angle(player, bars, 0, duration, b_im[j] * re[j] - b_re[j] * im[j], j)
        for j in range(lanes):
            b_re[j], b_im[j] = turn(b_re[j], b_im[j], e[2 * VECTOR + j], -e[3 * VECTOR + j])


@kernel
def unrecover(player, n, i, bars):
    """Adjoint of `forward.recover` for the states, or a tangent of R1: only the rates and durations gain by it."""
    step, sizes, adjoint, trig = row(player.steps, n, col.N_STEP), player.sizes, player.adjoint, player.trig
    size, duration = step[col.DST_SIZE], step[col.DURATION]
    time, e = player.durations[duration], decay_row(player, duration)
    first = step[col.DST_PAIR] + 3 * (sizes[col.PLANES] - 1) * size
    p = first + i * sizes[col.PAIR_ARENA]
    for j in range(sizes[col.LANES]):
        odd = player.half * (adjoint[p + j] - adjoint[p + size + j])
        w = adjoint[p + 2 * size + j]
        if i == 0:  # what a tangent of the flip angle gains from the states
            for k in range(1, sizes[col.TANGENTS] + 1):
                if is_kind(player, k, B1):
                    t = first + k * sizes[col.PAIR_ARENA]
                    seed = HALF_PI * flip_of(player, n)[0] * seed_row(player, k, B1)[j]
                    odd -= seed * adjoint[t + 2 * size + j]
                    w += seed * player.half * (adjoint[t + j] - adjoint[t + size + j])
        gain_bar = trig[(2 * n + 1) * VECTOR + j] * odd + trig[2 * n * VECTOR + j] * w
        log_bar = 2 * player.scratch[EQUILIBRIUM] * e[j] * gain_bar
        gather_decay(player, bars, i, R1, duration, log_bar, j)
        if i > 0:
            seed = -time * player.seeds[(N_RATES * (i - 1) + R1) * VECTOR + j]
            gather_decay(player, bars, 0, R1, duration, seed * log_bar, j)


@kernel
def uninvert(player, n, bars):
    """Derivatives with respect to the efficiency of inversion `n`, and what its seeds add to the states' adjoint."""
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    w_row, duration = 3 * sizes[col.PLANES] - 1, step[col.DURATION]
    time, e, efficiency = player.durations[duration], decay_row(player, duration), player.flips[n]
    before = at(space, step[col.SRC_TAPE] + w_row * step[col.SRC_SIZE])
    bar_before = at(adjoint, step[col.SRC_PAIR] + w_row * step[col.SRC_SIZE])
    bar_after = at(adjoint, step[col.DST_PAIR] + w_row * step[col.DST_SIZE])
    scale = -2 * player.scratch[EQUILIBRIUM]
    for j in range(sizes[col.LANES]):
        arriving = e[j] * before[j] + scale * (1 - e[j])
        total = bar_after[j] * arriving
        for i in range(1, sizes[col.TANGENTS] + 1):
            bar = bar_after[i * sizes[col.PAIR_ARENA] + j]
            tangent = e[j] * before[i * sizes[col.ARENA] + j]
            if is_kind(player, i, R1):
                tangent += e[j] * time * seed_row(player, i, R1)[j] * (scale - before[j])
            total += bar * tangent
            if is_kind(player, i, INVERSION):
                k = (N_RATES * (i - 1) + INVERSION) * VECTOR + j
                bars.seeds[k] -= efficiency * bar * arriving
                bars.flips[n] -= player.seeds[k] * bar * arriving / HALF_PI
                extra = -efficiency * player.seeds[k] * bar
                bar_before[j] += e[j] * extra
                gather_decay(player, bars, 0, R1, duration, -scale * e[j] * extra, j)
        bars.rates[INVERSION * VECTOR + j] -= efficiency * total
        bars.flips[n] -= player.rates[INVERSION * VECTOR + j] * total / HALF_PI


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
def departures(player, n, plane):
    """`forward.arrivals` in a set of adjoints; what nobody will read goes to places of its own."""
    paste_in()
    step, room = row(player.steps, n, col.N_STEP), player.sizes[col.ROOM]
    p, m, w = arrivals(player, n, plane, step[col.SRC_PAIR])
    if step[col.NO_F]:
        m = room
    if step[col.NO_W]:
        w = (2 + plane) * room  # ROOM is as long as the zeros below it
    return p, m, w


@kernel
def pull_pulse(player, n, bars):
    """Adjoints of all sets through pulse `n` and the interval before it, into the block before it."""
    paste_in()
    step, sizes = row(player.steps, n, col.N_STEP), player.sizes
    duration, arena = step[col.DURATION], sizes[col.PAIR_ARENA]
    p, m, w = departures(player, n, 0)
    q, o, z = departures(player, n, sizes[col.PLANES] - 1)
    arguments = (
        player.space, player.adjoint, row(player.trig, n, 2 * VECTOR), decay_row(player, duration), player.seeds,
        at(player.durations, duration), flip_of(player, n), at(player.turns, 2 * n), at(bars.sums, FLIP_SUM),
        step[col.DST_TAPE], step[col.DST_PAIR], step[col.DST_SIZE], sizes[col.ARENA], p, m, w, q, o, z, arena,
        step[col.VECTORS],
    )  # fmt: skip
    call_rows(sizes[col.REWIND_ROWS], arguments)
    for i in range(sizes[col.TANGENTS] + 1):
        for k in range(3 * sizes[col.PLANES]):
            clear_around(player, n, k % 3, i * arena + step[col.SRC_PAIR] + k * step[col.SRC_SIZE])


@kernel
def gather_flip(player, n, bars):
    """Derivatives with respect to the flip angle of pulse `n`, and to the seed of a tangent of B1."""
    sums, nominal = bars.sums, player.flips[n]
    for j in range(VECTOR):
        bars.rates[B1 * VECTOR + j] += nominal * HALF_PI * sums[FLIP_SUM + j]
    bars.flips[n] += dot(at(player.rates, B1 * VECTOR), at(sums, FLIP_SUM))
    for i in range(1, player.sizes[col.TANGENTS] + 1):
        if is_kind(player, i, B1):
            for j in range(VECTOR):
                k = (N_RATES * (i - 1) + B1) * VECTOR + j
                bars.seeds[k] += nominal * HALF_PI * sums[SEED_SUM + j]
                bars.flips[n] += player.seeds[k] * sums[SEED_SUM + j]


@kernel
def rewind_pulse(player, n, bars, timing, turning):
    """Undo pulse `n`; `timing`, `turning`: gather those derivatives as well."""
    paste_in()
    step = row(player.steps, n, col.N_STEP)
    fill_zero(at(bars.sums, FLIP_SUM), 2 * VECTOR)
    unfinish_block(player, n)
    unread(player, n, bars, timing)
    if timing and step[col.RECOVERY]:
        for i in range(player.sizes[col.TANGENTS], -1, -1):
            if i == 0 or is_kind(player, i, R1):
                unrecover(player, n, i, bars)
    pull_pulse(player, n, bars)
    if step[col.INVERT]:
        uninvert(player, n, bars)
    else:
        gather_flip(player, n, bars)
    if timing:
        gather_decay_before(player, n, bars)
    turned = turning or (timing and player.sizes[col.PRECESSES])
    if player.sizes[col.PLANES] == 2 and turned and not step[col.NO_F]:
        gather_turn(player, n, bars, timing)


@kernel
def rewind(player, bars, timing, turning):
    """Undo a part after a `play` that kept its states; adds to `bars` and sets the derivatives of its start."""
    keep_out_of_line()
    sizes, adjoint = player.sizes, player.adjoint
    arena, planes = sizes[col.PAIR_ARENA], sizes[col.PLANES]
    last = row(player.steps, sizes[col.N_STEPS] - 1, col.N_STEP)
    for i in range(sizes[col.TANGENTS] + 1):
        start = i * arena + last[col.DST_PAIR] - last[col.DST_LOW]
        fill_zero(at(adjoint, start), 3 * planes * last[col.DST_SIZE])
    for k in range(sizes[col.N_SEGMENTS] - 1, -1, -1):
        segment = row(player.segments, k, col.N_SEGMENT)
        if sizes[col.N_SEGMENTS] > 1:
            play(player, bars.start, True, k)
        for n in range(segment[col.SEGMENT_END] - 1, segment[col.SEGMENT_BEGIN] - 1, -1):
            rewind_pulse(player, n, bars, timing, turning)
    size, width = player.steps[col.SRC_SIZE], (sizes[col.TANGENTS] + 1) * VECTOR
    for i in range(sizes[col.TANGENTS] + 1):
        x = at(adjoint, i * arena + sizes[col.PAIR])
        for j in range(sizes[col.LANES]):
            bars.start[i * VECTOR + j] = -2 * x[(3 * planes - 1) * size + j]
            if sizes[col.BOUNDARY] == 3:
                bars.start[width + i * VECTOR + j] = x[j] + x[size + j]
                bars.start[2 * width + i * VECTOR + j] = x[3 * size + j] - x[4 * size + j]
