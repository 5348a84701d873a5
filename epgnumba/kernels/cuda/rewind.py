"""Play a program backward: every derivative of a scalar in one sweep over what `play` has put on the tape.

Adjoints lie in registers as the states did. With R the rotation of a pulse and E all decay and turning before it, a
tangent's states after the pulse are R E (t + seeds of the states) + recovery + flip seeds of the states. Undoing R on
what the tape holds gives E(...), whose pairing with R^T of the adjoint is the derivative by an exponent of E: states
before the pulse need not be read again.
"""

import numpy as np

from .. import columns as cpu
from ..algebra import HALF_PI
from ..columns import INVERSION, N_RATES, R1, R2_PRIME
from ..exponents import OUT_OF_PHASE, S1, S2, T, by_order
from . import columns as col
from .columns import COMPONENTS
from .jit import block_threads, cuda, helper, launched, select, unrolled
from .rows import add_row, clear, leave, restore, save
from .tangents import make_loads, make_turns
from .written import (
    FLIP,
    N_BARS,
    N_MOMENTS,
    TURN,
    write_gather,
    write_undo,
    write_unread,
    write_unread_z,
)  # fmt: skip


def make_rewind(shape, timing, turning):
    """The kernel for a `Shape`. `timing`, `turning`: gather derivatives by rates and durations, or by phases, too."""
    real, planes, kinds, _, _, n_rows, lanes = shape
    n_sets, last_lane, threads = len(kinds) + 1, lanes - 1, block_threads(lanes)
    state_rows, width, last_plane = n_sets * planes * COMPONENTS * n_rows, col.step_width(shape), planes - 1
    turning, ordered, out_of_phase = turning and planes == 2, bool(by_order(shape)), R2_PRIME in shape.terms
    zero, one, two, half_pi = real(0), real(1), real(2), real(HALF_PI)
    _, rotation = make_turns(real)
    load_rates, decay, angles, load_moments, load_readout = make_loads(shape)
    prepare, undo, n_sums = write_undo(shape, rotation, timing or turning)
    gather = write_gather(shape, timing, turning)
    unread_f, unread_z = write_unread(shape, rotation, timing), write_unread_z(shape, timing)
    kinds = (-1, *kinds)

    @helper
    def take_w(w, tape, place, c):
        """What a component of order zero holds on the tape, in quadrature."""
        for i in range(n_sets):
            w[i] = tape[place + np.uint64(((i * planes + last_plane) * COMPONENTS + c) * threads)]

    @helper
    def give_f(b, f, component, row, quadrature):
        """Add adjoints of F_0 (set, plane) to a row of P, or of M."""
        negated = component == 1 and (planes == 2 or quadrature == 1)
        for i in range(n_sets):
            for plane in range(planes):
                value = f[i, plane]
                if plane == last_plane:
                    value = select(negated, -value, value)
                add_row(b, i, plane, component, row, value, zero)

    @helper
    def uninvert(b, seeds, arriving, rate_bars, seed_bars, moment_bars, rates, flip, e1, time, scale):
        """Adjoint of an inversion and the decay before it, of which W `arriving` is left; that is overwritten."""
        bar = b[0, last_plane, 2, 0]
        total = bar * arriving[0]
        bar = -flip * rates[INVERSION] * bar
        for i in range(1, n_sets):
            own = b[i, last_plane, 2, 0]
            total += own * arriving[i]
            if kinds[i] == INVERSION:
                seed_bars[i] -= flip * own * arriving[0]
                moment_bars[FLIP] -= seeds[i] * own * arriving[0] / half_pi
                bar -= flip * seeds[i] * own
        rate_bars[INVERSION] -= flip * total
        moment_bars[FLIP] -= rates[INVERSION] * total / half_pi
        log_bar = bar * (arriving[0] - scale)
        for i in range(1, n_sets):
            own = -flip * rates[INVERSION] * b[i, last_plane, 2, 0]
            log_bar += own * arriving[i]
            if kinds[i] == R1:
                seed_bars[i] -= time * own * (arriving[0] - scale)
                moment_bars[T] -= seeds[i] * own * (arriving[0] - scale)
                bar -= time * seeds[i] * own
            arriving[i] = e1 * own
        rate_bars[R1] -= time * log_bar
        moment_bars[T] -= rates[R1] * log_bar
        clear(b, zero)
        b[0, last_plane, 2, 0] = e1 * bar
        for i in range(1, n_sets):
            b[i, last_plane, 2, 0] = arriving[i]

    @helper
    def give_start(b, start_bar, voxel):
        """What the adjoint says of the start of the train."""
        for i in range(n_sets):
            start_bar[0, i, voxel] = -two * b[i, last_plane, 2, 0]
            if planes == 2 and start_bar.shape[0] == 3:
                start_bar[1, i, voxel] = b[i, 0, 0, 0] + b[i, 0, 1, 0]
                start_bar[2, i, voxel] = b[i, last_plane, 0, 0] - b[i, last_plane, 1, 0]

    @helper
    def undo_row(j, b, x, sums, tape, place, lane, rows, gained, order, stride, shared):
        """Row j of the adjoints back through a pulse, and what is before it; rows beyond the pulse's are left alone."""
        inside = lane * n_rows + j < rows
        if lanes > 1 or inside:
            row = place
            if lanes > 1:  # lanes branch together: those without a row look where all of them do, and take zero
                row = select(inside, place, place - np.uint64(cuda.threadIdx.x))
            for i in range(n_sets):
                for plane in range(planes):
                    for component in range(COMPONENTS):
                        number = ((j * n_sets + i) * planes + plane) * COMPONENTS + component
                        value = tape[row + np.uint64(number * threads)]
                        x[i, plane, component] = select(inside, value, zero)
            undo(j, b, x, sums, lane, gained, order, stride, shared)

    undo_rows = unrolled(undo_row, n_rows)

    @launched
    def rewind(
        steps, reads, durations, flips, turns, tissue, state, tape, amplitudes, bars, flip_bars, turn_bars,
        duration_bars, voxel_bars, start_bar, first, last, n_voxels, tape_rows, profile, equilibrium, fresh, dephasing,
        stride
    ):  # fmt: skip
        thread = cuda.grid(1)
        lane = thread % lanes
        voxel = thread // lanes
        present = voxel < n_voxels
        voxel = min(voxel, n_voxels - 1)
        thread = min(thread, n_voxels * lanes - lanes + lane)
        state_place = np.uint64(cuda.blockIdx.x) * np.uint64(state_rows * threads) + np.uint64(cuda.threadIdx.x)
        tape_place = np.uint64(cuda.blockIdx.x) * np.uint64(tape_rows * threads) + np.uint64(cuda.threadIdx.x)
        b = cuda.local.array((n_sets, planes, COMPONENTS, n_rows), real)
        x = cuda.local.array((n_sets, planes, COMPONENTS), real)
        f = cuda.local.array((n_sets, planes), real)
        seeds = cuda.local.array(n_sets, real)
        w = cuda.local.array(n_sets, real)
        sums = cuda.local.array(n_sums, real)
        rates = cuda.local.array(N_RATES, real)
        moments = cuda.local.array(N_MOMENTS, real)
        read_moments = cuda.local.array(N_MOMENTS, real)
        rate_bars = cuda.local.array(N_RATES, real)
        seed_bars = cuda.local.array(n_sets, real)
        moment_bars = cuda.local.array(N_BARS, real)
        load_rates(rates, seeds, tissue, voxel, profile)
        for rate in range(N_RATES):
            rate_bars[rate] = zero
        for i in range(n_sets):
            seed_bars[i] = zero
        if fresh:
            clear(b, zero)
        else:
            restore(b, state, state_place, threads)
        duration, e1, e2, oc, os = -1, one, one, one, zero
        for n in range(last - 1, first - 1, -1):
            step = n * width
            before = np.uint64(steps[step + col.TAPE] - steps[first * width + col.TAPE])
            place = tape_place + before * np.uint64(n_sets * planes * COMPONENTS * threads)
            for r in range(steps[step + col.READ_BEGIN], steps[step + col.READ_END]):
                component, row, out = reads[r, cpu.READ_COMPONENT], reads[r, cpu.READ_OFFSET], reads[r, cpu.READ_OUT]
                own = row // n_rows
                if lane == own:
                    e, rc, rs = load_readout(read_moments, durations, reads, r, component, rates)
                    for k in range(N_MOMENTS):
                        moment_bars[k] = zero
                    if component == 2:
                        take_w(w, tape, place, 2)
                        unread_z(
                            b, w, bars, out, voxel, e, read_moments, equilibrium, rates, seeds, rate_bars, seed_bars,
                            moment_bars
                        )  # fmt: skip
                    else:
                        unread_f(
                            f, bars, amplitudes, out, voxel, e, rc, rs, read_moments, dephasing, rates, seeds,
                            rate_bars, seed_bars, moment_bars
                        )  # fmt: skip
                        give_f(b, f, component, row - own * n_rows, steps[step + col.QUADRATURE])
                    if timing and present:
                        duration_bars[reads[r, cpu.READ_DURATION], thread] += moment_bars[T]
                        if ordered:
                            duration_bars[reads[r, cpu.READ_MOMENT_1], thread] += moment_bars[S1]
                            duration_bars[reads[r, cpu.READ_MOMENT_2], thread] += moment_bars[S2]
                        if out_of_phase:
                            at = reads[r, cpu.READ_OUT_OF_PHASE]
                            way = -one if durations[at] < zero else one
                            duration_bars[at, thread] += way * moment_bars[OUT_OF_PHASE]
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                moments[T] = durations[duration]
                e1, e2, oc, os = decay(rates, moments[T])
            for k in range(N_BARS):
                moment_bars[k] = zero
            if steps[step + col.INVERT]:
                if lane == 0:
                    take_w(w, tape, place, 0)
                    uninvert(
                        b, seeds, w, rate_bars, seed_bars, moment_bars, rates, flips[n], e1, moments[T],
                        -two * equilibrium
                    )  # fmt: skip
                else:
                    clear(b, zero)
            else:
                c, s, tc, ts, nominal = angles(n, flips, turns, rates, oc, os)
                order = load_moments(moments, durations, steps, step, stride, lane)
                shared = prepare(c, s, e1, e2, tc, ts, nominal, moments, dephasing, rates, seeds)
                for k in range(n_sums):
                    sums[k] = zero
                gained = -two * equilibrium if steps[step + col.RECOVERY] else zero
                undo_rows(b, x, sums, tape, place, lane, steps[step + col.ROWS], gained, order, stride, shared)
                gather(sums, nominal, moments, dephasing, rates, seeds, rate_bars, seed_bars, moment_bars)
            if present:
                flip_bars[n, thread] += moment_bars[FLIP]
                if turning:
                    turn_bars[n, thread] += moment_bars[TURN]
                if timing:
                    duration_bars[duration, thread] += moment_bars[T]
                    if ordered:
                        duration_bars[steps[step + col.MOMENT_1], thread] += moment_bars[S1]
                        duration_bars[steps[step + col.MOMENT_2], thread] += moment_bars[S2]
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
