"""Play a program backward: every derivative of a scalar in one sweep over what `play` has put on the tape.

Adjoints lie in registers as the states did. With R the rotation of a pulse and D the decay (and turn) before it, a
tangent's states after the pulse are R D (t + seeds of the states) + recovery + flip seeds of the states. Undoing R on
what the tape holds gives D(...), whose pairing with R^T of the adjoint is the derivative with respect to the logarithm
of the decay, and (with i between) to the angle of the turn: the states before the pulse need not be read again.
"""

import math

import numpy as np
from numba import cuda

from ..columns import B1, INVERSION, N_RATES, OMEGA, R1, R2
from . import columns as col
from .jit import block_threads, helper, launched, pulse_adjoint, select, turn, unrolled
from .rows import add_row, clear, leave, restore, save
from .tangents import HALF_PI, make_tangents

# What a pulse's rows sum up: derivatives by the flip angle, by its seeds, by the logarithms of both decay factors, by
# the angle of the turn before it, and (of decay's seeds) by the time since the pulse before.
FLIP, SEEDED, LOG_1, LOG_2, ANGLE, TIME = range(6)
N_SUMS = 6


def make_rewind(shape, timing, turning):
    """The kernel for a `Shape`. `timing`, `turning`: gather derivatives by rates and durations, or by phases, too."""
    real, planes, precesses, kinds, n_rows, lanes = shape
    n_sets, last_lane = len(kinds) + 1, lanes - 1
    n_rates, n_sums, threads = N_RATES + 1, N_SUMS, block_threads(lanes)
    state_rows = n_sets * planes * 3 * n_rows
    kinds = (-1, *kinds)
    zero, half, one, two, half_pi = real(0), real(0.5), real(1), real(2), real(HALF_PI)
    cos_sin, rotation, load_seeds = make_tangents(real, kinds)
    angles = planes == 2 and (turning or (precesses and timing))

    @helper
    def unread(b, seeds, rate_bars, seed_bars, amplitudes, bars, out, voxel, component, row, quadrature, rates, time):
        """Adjoint of a readout; returns the derivative with respect to its time."""
        time_bar = zero
        rate = R1 if component == 2 else R2
        own = select(component == 2, rates[R1], rates[R2])
        e = math.exp(-time * own)
        scale = e
        if component == 1 and planes == 1 and quadrature == 1:
            scale = -e
        if component == 2:
            scale = -half * e
        first = planes - 1 if component == 2 else 0
        if timing:
            log_bar = zero
            for plane in range(planes):
                if plane >= first:
                    decayed = amplitudes[plane, out, voxel]  # what scales with the decay factor
                    if component == 2:
                        decayed -= rates[N_RATES]
                    log_bar += bars[plane, out, voxel] * decayed
                    for i in range(1, n_sets):
                        a = i * planes + plane
                        log_bar += bars[a, out, voxel] * amplitudes[a, out, voxel]
                        if kinds[i] == rate:
                            seed_bar = bars[a, out, voxel] * decayed
                            seed_bars[i] -= time * seed_bar
                            time_bar -= seeds[i] * seed_bar
            rate_bars[R1] -= select(component == 2, time * log_bar, zero)
            rate_bars[R2] -= select(component == 2, zero, time * log_bar)
            time_bar -= own * log_bar
        c, s = one, zero
        if planes == 2 and precesses and component != 2:
            c, s = rotation(time * rates[OMEGA])
            if timing:
                angle_bar = zero
                for i in range(n_sets):
                    re, im = 2 * i, 2 * i + 1
                    b_re, b_im = bars[re, out, voxel], bars[im, out, voxel]
                    angle_bar += b_im * amplitudes[re, out, voxel] - b_re * amplitudes[im, out, voxel]
                    if kinds[i] == OMEGA:
                        seed_bar = b_im * amplitudes[0, out, voxel] - b_re * amplitudes[1, out, voxel]
                        seed_bars[i] += time * seed_bar
                        time_bar += seeds[i] * seed_bar
                rate_bars[OMEGA] += time * angle_bar
                time_bar += rates[OMEGA] * angle_bar
        for i in range(n_sets):
            re = bars[i * planes, out, voxel]
            im = zero
            if planes == 2:
                im = bars[i * planes + planes - 1, out, voxel]
            if i == 0 and planes == 2 and precesses and component != 2:
                for k in range(1, n_sets):
                    if kinds[k] == OMEGA:
                        re += time * seeds[k] * bars[2 * k + 1, out, voxel]
                        im -= time * seeds[k] * bars[2 * k, out, voxel]
            if planes == 2:
                re, im = turn(re, im, c, -s)
                if component == 1:
                    im = -im
                if component == 2:
                    re = zero
            add_reading(b, i, component, row, scale * re, scale * im)
            if i > 0 and kinds[i] == rate:
                add_reading(b, 0, component, row, -time * seeds[i] * scale * re, -time * seeds[i] * scale * im)
        return time_bar

    @helper
    def add_reading(b, i, component, row, re, im):
        """Add to a row of a component in both planes."""
        add_row(b, i, 0, component, row, re, zero)
        if planes == 2:
            add_row(b, i, planes - 1, component, row, im, zero)

    @helper
    def uninvert(b, seeds, arriving, rate_bars, seed_bars, rates, flip, e1, time):
        """Adjoint of an inversion and the decay before it; derivatives by its efficiency, and by its time.

        `arriving` is overwritten.
        """
        plane, scale = planes - 1, -two * rates[N_RATES]
        flip_bar, time_bar, log_bar = zero, zero, zero
        bar = b[0, plane, 2, 0]
        total = bar * arriving[0]
        bar = -flip * rates[INVERSION] * bar
        for i in range(1, n_sets):
            own = b[i, plane, 2, 0]
            total += own * arriving[i]
            if kinds[i] == INVERSION:
                seed_bars[i] -= flip * own * arriving[0]
                flip_bar -= seeds[i] * own * arriving[0] / half_pi
                bar -= flip * seeds[i] * own
        rate_bars[INVERSION] -= flip * total
        flip_bar -= rates[INVERSION] * total / half_pi
        log_bar += bar * (arriving[0] - scale)
        for i in range(1, n_sets):
            own = -flip * rates[INVERSION] * b[i, plane, 2, 0]
            log_bar += own * arriving[i]
            if kinds[i] == R1:
                seed_bars[i] -= time * own * (arriving[0] - scale)
                time_bar -= seeds[i] * own * (arriving[0] - scale)
                bar -= time * seeds[i] * own
            arriving[i] = e1 * own
        bar *= e1
        rate_bars[R1] -= time * log_bar
        time_bar -= rates[R1] * log_bar
        clear(b, zero)
        b[0, plane, 2, 0] = bar
        for i in range(1, n_sets):
            b[i, plane, 2, 0] = arriving[i]
        return flip_bar, time_bar

    @helper
    def turning_pair(b, x, i, k, j):
        """The pairing of i times set k with the adjoint of set i: M turns the other way."""
        p = b[i, planes - 1, 0, j] * x[k, 0, 0] - b[i, 0, 0, j] * x[k, planes - 1, 0]
        m = b[i, planes - 1, 1, j] * x[k, 0, 1] - b[i, 0, 1, j] * x[k, planes - 1, 1]
        return p - m

    @helper
    def undecay(b, seeds, j, e1, e2, time, tc, ts):
        """Adjoint of decay, of the turn, and of the seeds that come before them, on a row."""
        for i in range(n_sets):
            for plane in range(planes):
                b[i, plane, 0, j] *= e2
                b[i, plane, 1, j] *= e2
                b[i, plane, 2, j] *= e1
            if planes == 2:
                b[i, 0, 0, j], b[i, planes - 1, 0, j] = turn(b[i, 0, 0, j], b[i, planes - 1, 0, j], tc, -ts)
                b[i, 0, 1, j], b[i, planes - 1, 1, j] = turn(b[i, 0, 1, j], b[i, planes - 1, 1, j], tc, ts)
        for i in range(1, n_sets):
            g = time * seeds[i]
            for plane in range(planes):
                if kinds[i] == R1:
                    b[0, plane, 2, j] -= g * b[i, plane, 2, j]
                if kinds[i] == R2:
                    b[0, plane, 0, j] -= g * b[i, plane, 0, j]
                    b[0, plane, 1, j] -= g * b[i, plane, 1, j]
            if planes == 2 and kinds[i] == OMEGA:
                b[0, 0, 0, j] += g * b[i, planes - 1, 0, j]
                b[0, planes - 1, 0, j] -= g * b[i, 0, 0, j]
                b[0, 0, 1, j] -= g * b[i, planes - 1, 1, j]
                b[0, planes - 1, 1, j] += g * b[i, 0, 1, j]

    @helper
    def give_start(b, start_bar, voxel):
        """What the adjoint says of the start of the train."""
        for i in range(n_sets):
            start_bar[0, i, voxel] = -two * b[i, planes - 1, 2, 0]
            if planes == 2 and start_bar.shape[0] == 3:
                start_bar[1, i, voxel] = b[i, 0, 0, 0] + b[i, 0, 1, 0]
                start_bar[2, i, voxel] = b[i, planes - 1, 0, 0] - b[i, planes - 1, 1, 0]

    @helper
    def undo_flip(j, plane, b, x, seeds, seed_bars, sums, g_flip):
        """Derivatives by the flip angle and its seeds, from a row after the pulse; takes off x what the seeds added."""
        gp, gw = half * x[0, plane, 2], x[0, plane, 1] - x[0, plane, 0]
        for i in range(n_sets):
            odd = half * (b[i, plane, 0, j] - b[i, plane, 1, j])
            sums[FLIP] += odd * x[i, plane, 2] + b[i, plane, 2, j] * (x[i, plane, 1] - x[i, plane, 0])
        for i in range(1, n_sets):
            if kinds[i] == B1:
                g = g_flip * seeds[i]
                odd = b[i, plane, 0, j] - b[i, plane, 1, j]
                seed_bar = odd * gp + b[i, plane, 2, j] * gw
                seed_bars[i] += g_flip * seed_bar
                sums[SEEDED] += seeds[i] * seed_bar
                b[0, plane, 0, j] -= g * b[i, plane, 2, j]
                b[0, plane, 1, j] += g * b[i, plane, 2, j]
                b[0, plane, 2, j] += g * (half * odd)
                x[i, plane, 0] -= g * gp
                x[i, plane, 1] += g * gp
                x[i, plane, 2] -= g * gw

    @helper
    def undo_rotation(j, plane, b, x, c, s):
        """Adjoints and states of a row back through the rotation."""
        for i in range(n_sets):
            p, m, w = pulse_adjoint(
                b[i, plane, 0, j], b[i, plane, 1, j], b[i, plane, 2, j], half * c, half * s, c, s, half
            )
            b[i, plane, 0, j] = p
            b[i, plane, 1, j] = m
            b[i, plane, 2, j] = w
            if timing or angles:
                even, odd = x[i, plane, 0] + x[i, plane, 1], x[i, plane, 0] - x[i, plane, 1]
                before = c * odd - s * x[i, plane, 2]
                x[i, plane, 2] = c * x[i, plane, 2] + s * odd
                x[i, plane, 0] = half * (even + before)
                x[i, plane, 1] = half * (even - before)

    @helper
    def pair_decay(j, plane, b, x, seeds, seed_bars, sums, time):
        """Pair a row of the adjoints with the states between decay and pulse."""
        for i in range(n_sets):
            sums[LOG_1] += b[i, plane, 2, j] * x[i, plane, 2]
            sums[LOG_2] += b[i, plane, 0, j] * x[i, plane, 0] + b[i, plane, 1, j] * x[i, plane, 1]
            seed_bar = zero
            if kinds[i] == R1:
                seed_bar = b[i, plane, 2, j] * x[0, plane, 2]
            if kinds[i] == R2:
                seed_bar = b[i, plane, 0, j] * x[0, plane, 0] + b[i, plane, 1, j] * x[0, plane, 1]
            if kinds[i] == R1 or kinds[i] == R2:
                seed_bars[i] -= time * seed_bar
                sums[TIME] -= seeds[i] * seed_bar

    @helper
    def undo_row(
        j, b, x, seeds, seed_bars, sums, tape, place, lane, rows, c, s, e1, e2, time, tc, ts, g_flip,
        gained
    ):  # fmt: skip
        """Row j of the adjoints back through a pulse, and what is before it; rows beyond the pulse's are left alone."""
        inside = lane * n_rows + j < rows
        if lanes > 1 or inside:
            row = place
            if lanes > 1:  # lanes branch together: those without a row look where all of them do, and take zero
                row = select(inside, place, place - np.uint64(cuda.threadIdx.x))
            for i in range(n_sets):
                for plane in range(planes):
                    for component in range(3):
                        number = ((j * n_sets + i) * planes + plane) * 3 + component
                        value = tape[row + np.uint64(number * threads)]
                        x[i, plane, component] = select(inside, value, zero)
            for plane in range(planes):
                undo_flip(j, plane, b, x, seeds, seed_bars, sums, g_flip)
                undo_rotation(j, plane, b, x, c, s)
                if timing and plane == planes - 1 and lane + j == 0:
                    x[0, plane, 2] -= gained
                if timing:
                    pair_decay(j, plane, b, x, seeds, seed_bars, sums, time)
            if angles:
                for i in range(n_sets):
                    sums[ANGLE] += turning_pair(b, x, i, i, j)
                    if timing and kinds[i] == OMEGA:
                        seed_bar = turning_pair(b, x, i, 0, j)
                        seed_bars[i] += time * seed_bar
                        sums[TIME] += seeds[i] * seed_bar
            undecay(b, seeds, j, e1, e2, time, tc, ts)

    undo_rows = unrolled(undo_row, n_rows)

    @launched
    def rewind(
        steps, reads, durations, flips, turns, tissue, state, tape, amplitudes, bars, flip_bars, turn_bars,
        duration_bars, voxel_bars, start_bar, first, last, n_voxels, tape_rows, profile, equilibrium, fresh
    ):  # fmt: skip
        thread = cuda.grid(1)
        lane = thread % lanes
        voxel = thread // lanes
        present = voxel < n_voxels
        voxel = min(voxel, n_voxels - 1)
        thread = min(thread, n_voxels * lanes - lanes + lane)
        state_place = np.uint64(cuda.blockIdx.x) * np.uint64(state_rows * threads) + np.uint64(cuda.threadIdx.x)
        tape_place = np.uint64(cuda.blockIdx.x) * np.uint64(tape_rows * threads) + np.uint64(cuda.threadIdx.x)
        b = cuda.local.array((n_sets, planes, 3, n_rows), real)
        x = cuda.local.array((n_sets, planes, 3), real)
        seeds = cuda.local.array(n_sets, real)
        arriving = cuda.local.array(n_sets, real)
        sums = cuda.local.array(n_sums, real)
        seed_bars = cuda.local.array(n_sets, real)
        rate_bars = cuda.local.array(N_RATES, real)
        rates = cuda.local.array(n_rates, real)  # and the Z_0 that recovery aims at
        for rate in range(N_RATES):
            rates[rate] = tissue[rate, voxel]
            rate_bars[rate] = zero
        rates[B1] *= profile
        rates[N_RATES] = equilibrium
        scale = -two * equilibrium
        for i in range(n_sets):
            seed_bars[i] = zero
        load_seeds(seeds, rates[R1], rates[R2], profile)
        if fresh:
            clear(b, zero)
        else:
            restore(b, state, state_place, threads)
        duration, time, e1, e2 = -1, zero, one, one
        for n in range(last - 1, first - 1, -1):
            step = n * col.N_STEP
            for r in range(steps[step + col.READ_BEGIN], steps[step + col.READ_END]):
                component, row, out = reads[r, 0], reads[r, 1], reads[r, 3]
                own = row // n_rows
                if lane == own:
                    time_bar = unread(
                        b, seeds, rate_bars, seed_bars, amplitudes, bars, out, voxel, component, row - own * n_rows,
                        steps[step + col.QUADRATURE], rates, durations[reads[r, 2]]
                    )  # fmt: skip
                    if timing and present:
                        duration_bars[reads[r, 2], thread] += time_bar
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                time = durations[duration]
                e1, e2 = math.exp(-time * rates[R1]), math.exp(-time * rates[R2])
            before = np.uint64(steps[step + col.TAPE] - steps[first * col.N_STEP + col.TAPE])
            place = tape_place + before * np.uint64(n_sets * planes * 3 * threads)
            flip_bar, time_bar, angle_bar = zero, zero, zero
            if steps[step + col.INVERT]:
                if lane == 0:
                    for i in range(n_sets):
                        arriving[i] = tape[place + np.uint64((i * planes + planes - 1) * 3 * threads)]
                    flip_bar, time_bar = uninvert(b, seeds, arriving, rate_bars, seed_bars, rates, flips[n], e1, time)
                else:
                    clear(b, zero)
            else:
                quarters = flips[n] * rates[B1]
                c, s = cos_sin(quarters)
                tc, ts = one, zero
                if planes == 2:
                    tc, ts = turns[n, 0], turns[n, 1]
                    if precesses:
                        oc, os = rotation(time * rates[OMEGA])
                        tc, ts = turn(oc, os, tc, ts)
                gained = scale if steps[step + col.RECOVERY] else zero
                g_flip = flips[n] * half_pi
                for k in range(n_sums):
                    sums[k] = zero
                undo_rows(
                    b, x, seeds, seed_bars, sums, tape, place, lane,
                    steps[step + col.ROWS], c, s, e1, e2, time, tc, ts, g_flip, gained
                )  # fmt: skip
                flip_bar, angle_bar, time_bar = sums[FLIP], sums[ANGLE], sums[TIME]
                if timing:
                    rate_bars[R1] -= time * sums[LOG_1]
                    rate_bars[R2] -= time * sums[LOG_2]
                    time_bar -= rates[R1] * sums[LOG_1] + rates[R2] * sums[LOG_2]
                if precesses and timing:
                    rate_bars[OMEGA] += time * angle_bar
                    time_bar += rates[OMEGA] * angle_bar
                rate_bars[B1] += g_flip * flip_bar
                flip_bar = rates[B1] * flip_bar + sums[SEEDED]
            if present:
                flip_bars[n, thread] += flip_bar
                if turning and planes == 2:
                    turn_bars[n, thread] += angle_bar
                if timing:
                    duration_bars[duration, thread] += time_bar
            leave(b, steps, step, one, zero, lane, last_lane)
        if present:
            for rate in range(N_RATES):
                voxel_bars[rate, thread] += rate_bars[rate]
            for i in range(1, n_sets):
                voxel_bars[N_RATES + i - 1, thread] += seed_bars[i]
            if first == 0 and lane == 0:
                give_start(b, start_bar, voxel)
        if first > 0:
            save(b, state, state_place, threads)

    return rewind
