"""Play a program backward: every derivative of a scalar in one sweep over what `play` has put on the tape.

Adjoints lie in registers as the states did. The tape holds what has arrived at each pulse, and what decays of it until
it meets the pulse is worked out again.
"""

import numpy as np

from .. import columns as cpu
from ..algebra import W
from ..columns import N_RATES, R2_PRIME
from ..exponents import OUT_OF_PHASE, S1, S2, T, by_order
from ..pools import exchange_lines
from . import columns as col
from .jit import block_threads, cuda, find_thread, helper, launched, place_of, select, unrolled
from .rows import add_row, clear, leave, set_aside
from .source import FLIP, N_BARS, N_MOMENTS, POWER, TURN
from .tangents import is_longitudinal, make_loads, make_order_zero, make_rates, make_turns
from .written import write_gather, write_undo, write_uninvert, write_unread, write_unread_z, write_unrecover


def make_rewind(shape, timing, turning):
    """The kernel for a `Shape`. `timing`, `turning`: gather derivatives by rates and durations, or by phases, too."""
    real, planes, kinds, terms, _, n_rows, lanes = shape
    n_sets, last_lane, threads, n_exchange = shape.n_sets, lanes - 1, block_threads(lanes), exchange_lines(shape)[-1]
    components, bound, pools, apart, fraction = shape.components, shape.bound, shape.pools, shape.apart, shape.fraction
    free = shape.free
    n_kinds, numbers_a_row = len(kinds), shape.numbers
    n_moments, n_bars = N_MOMENTS + n_exchange, N_BARS + n_exchange
    state_rows, width, last_plane = numbers_a_row * n_rows, col.step_width(shape), planes - 1
    turning, ordered, out_of_phase = turning and planes == 2, bool(by_order(shape)), R2_PRIME in terms
    zero, one, two = real(0), real(1), real(2)
    _, rotation = make_turns(real)
    load_rates = make_rates(real, kinds, terms)
    load_duration, load_pulse, load_order, load_readout = make_loads(shape)
    take_w, _ = make_order_zero(shape)
    prepare, undo, counts = write_undo(shape, rotation, timing, turning)
    gather, n_sums = write_gather(shape, counts, timing, turning), counts[1]
    unread_f, unread_z = write_unread(shape, rotation, timing), write_unread_z(shape, timing)
    unrecover, uninvert = write_unrecover(shape, timing), write_uninvert(shape, timing)

    @helper
    def give_f(b, f, component, row, quadrature):
        """Add adjoints of F_0 (set, plane, free pool) to a row of P, or of M."""
        negated = component == 1 and (planes == 2 or quadrature == 1)
        for i in range(n_sets):
            for plane in range(planes):
                for k in range(free):
                    value = f[i, plane, k]
                    if plane == last_plane:
                        value = select(negated, -value, value)
                    add_row(b, i, plane, 3 * k, 1 if component == 1 else 0, row, value, zero)

    @helper
    def give_start(b, start_bar, voxel, rate_bars):
        """What the adjoint says of the start of the train."""
        for i in range(n_sets):
            start_bar[0, i, voxel] = -two * b[i, last_plane, W, 0]
            for k in range(free):
                if planes == 2 and start_bar.shape[0] > 3 * k + 2:
                    start_bar[3 * k + 1, i, voxel] = b[i, 0, 3 * k, 0] + b[i, 0, 3 * k + 1, 0]
                    start_bar[3 * k + 2, i, voxel] = b[i, last_plane, 3 * k, 0] - b[i, last_plane, 3 * k + 1, 0]
            if pools > 1 and start_bar.shape[0] > 1:
                start_bar[3 if start_bar.shape[0] > 2 else 1, i, voxel] = -two * b[i, last_plane, W + apart, 0]
        if pools > 1 and start_bar.shape[0] == 1:  # seeds of a fraction are constant
            rate_bars[fraction] += two * (b[0, last_plane, W, 0] - b[0, last_plane, W + apart, 0])

    @helper
    def look(x, j, tape, place, inside):
        """Row j of what arrived. Lanes branch together: those without it look where all of them do, and take zero."""
        row = place
        if lanes > 1:
            row = select(inside, place, place - np.uint64(cuda.threadIdx.x))
        for i in range(n_sets):
            for plane in range(planes):
                for c in range(components):
                    number = ((j * n_sets + i) * planes + plane) * components + c
                    x[i, plane, c] = select(inside, tape[row + np.uint64(number * threads)], zero)

    @helper
    def undo_row(j, b, x, sums, tape, place, lane, rows, order, stride, shared):
        """Row j of the adjoints back through a pulse, and what is before it; rows beyond the pulse's are left alone."""
        inside = lane * n_rows + j < rows
        if lanes > 1 or inside:
            look(x, j, tape, place, inside)
            undo(j, b, x, sums, order, stride, shared)

    undo_rows = unrolled(undo_row, n_rows)

    @helper
    def give_moments(duration_bars, exchange_bars, moment_bars, duration, first, second, thread):
        """Derivatives by the numbers of a duration."""
        if timing:
            duration_bars[duration, thread] += moment_bars[T]
            if ordered:
                duration_bars[first, thread] += moment_bars[S1]
                duration_bars[second, thread] += moment_bars[S2]
            for k in range(n_exchange):
                exchange_bars[duration * n_exchange + k, thread] += moment_bars[N_BARS + k]

    @launched
    def rewind(
        steps, reads, durations, flips, powers, turns, tissue, exchange, state, tape, amplitudes, bars, flip_bars,
        power_bars, turn_bars, duration_bars, exchange_bars, voxel_bars, start_bar, first, last, n_voxels, tape_rows,
        equilibrium, fresh, dephasing, stride
    ):  # fmt: skip
        thread, lane, voxel, present = find_thread(lanes, n_voxels)
        state_place, tape_place = place_of(state_rows, threads), place_of(tape_rows, threads)
        b = cuda.local.array((n_sets, planes, components, n_rows), real)
        x = cuda.local.array((n_sets, planes, components), real)
        f = cuda.local.array((n_sets, planes, free), real)
        seeds = cuda.local.array(n_sets, real)
        w = cuda.local.array((n_sets, pools), real)
        left = cuda.local.array((n_sets, pools), real)
        sums = cuda.local.array(n_sums, real)
        rates = cuda.local.array(N_RATES, real)
        moments = cuda.local.array(n_moments, real)
        read_moments = cuda.local.array(n_moments, real)
        rate_bars = cuda.local.array(N_RATES, real)
        seed_bars = cuda.local.array(n_sets, real)
        moment_bars = cuda.local.array(n_bars, real)
        load_rates(rates, seeds, tissue, voxel)
        for rate in range(N_RATES):
            rate_bars[rate] = zero
        for i in range(n_sets):
            seed_bars[i] = zero
        if fresh:
            clear(b, zero)
        else:
            set_aside(b, state, state_place, threads, True)
        duration, decay, constants = -1, (one, one, one, zero), (equilibrium, dephasing)
        for n in range(last - 1, first - 1, -1):
            step = n * width
            rows = steps[step + col.ROWS]
            before = np.uint64(steps[step + col.TAPE] - steps[first * width + col.TAPE])
            place = tape_place + before * np.uint64(numbers_a_row * threads)
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                decay = load_duration(moments, durations, exchange, duration, voxel, rates)
            numbers = load_pulse(n, moments, durations, steps, step, flips, powers, turns, rates, decay, constants)
            order = load_order(steps, step, stride, lane)
            for r in range(steps[step + col.READ_BEGIN], steps[step + col.READ_END]):
                component, row, out = reads[r, cpu.READ_COMPONENT], reads[r, cpu.READ_OFFSET], reads[r, cpu.READ_OUT]
                own = row // n_rows
                if lane == own:
                    read = load_readout(read_moments, durations, exchange, reads, r, component, voxel, rates, constants)
                    for k in range(n_bars):
                        moment_bars[k] = zero
                    if is_longitudinal(component):
                        for i in range(n_sets):
                            for k in range(pools):  # behind the amplitudes
                                w[i, k] = amplitudes[i * planes + last_plane, amplitudes.shape[1] - pools + k, voxel]
                        unread_z(
                            b, w, component, bars, out, voxel, read, read_moments, rates, seeds, rate_bars, seed_bars,
                            moment_bars
                        )  # fmt: skip
                    else:
                        unread_f(
                            f, component, bars, amplitudes, out, voxel, read, read_moments, rates, seeds, rate_bars,
                            seed_bars, moment_bars
                        )  # fmt: skip
                        give_f(b, f, component, row - own * n_rows, steps[step + col.QUADRATURE])
                    if present:
                        give_moments(
                            duration_bars, exchange_bars, moment_bars, reads[r, cpu.READ_DURATION],
                            reads[r, cpu.READ_MOMENT_1], reads[r, cpu.READ_MOMENT_2], thread
                        )  # fmt: skip
                        if timing and out_of_phase:
                            duration_bars[reads[r, cpu.READ_OUT_OF_PHASE], thread] += moment_bars[OUT_OF_PHASE]
            for k in range(n_bars):
                moment_bars[k] = zero
            for k in range(n_sums):
                sums[k] = zero
            if lane == 0 and steps[step + col.RECOVERY]:
                unrecover(b, sums, numbers, moments, rates, seeds, rate_bars, seed_bars, moment_bars)
            if steps[step + col.INVERT]:
                take_w(b, left)
            shared = prepare(numbers, moments, rates, seeds)
            undo_rows(b, x, sums, tape, place, lane, rows, order, stride, shared)
            gather(sums, numbers, moments, rates, seeds, rate_bars, seed_bars, moment_bars)
            if steps[step + col.INVERT] and lane == 0:
                look(x, 0, tape, place, True)
                for i in range(n_sets):
                    for k in range(pools):
                        w[i, k] = x[i, last_plane, W + apart * k]
                uninvert(b, w, left, numbers, moments, rates, seeds, rate_bars, seed_bars, moment_bars)
            if present:
                flip_bars[n, thread] += moment_bars[FLIP]
                if bound:
                    power_bars[n, thread] += moment_bars[POWER]
                if turning:
                    turn_bars[n, thread] += moment_bars[TURN]
                moment_1, moment_2 = 0, 0
                if ordered:
                    moment_1, moment_2 = steps[step + col.MOMENT_1], steps[step + col.MOMENT_2]
                give_moments(duration_bars, exchange_bars, moment_bars, duration, moment_1, moment_2, thread)
            leave(b, steps, step, one, zero, lane, last_lane)
        if present:
            if first == 0 and lane == 0:
                give_start(b, start_bar, voxel, rate_bars)
            for rate in range(N_RATES):
                voxel_bars[rate, thread] += rate_bars[rate]
            for i in range(n_kinds):
                voxel_bars[N_RATES + i, thread] += seed_bars[i]
        if first > 0:
            set_aside(b, state, state_place, threads, False)

    return rewind
