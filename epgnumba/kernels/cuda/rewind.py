"""Play a program backward: every derivative of a scalar in one sweep over what `play` has put on the tape.

Adjoints lie in registers as the states did. With R the rotation of a pulse and E all decay and turning before it, a
tangent's states after the pulse are R E (t + seeds of the states) + recovery + flip seeds of the states. Undoing R on
what the tape holds gives E(...), whose pairing with R^T of the adjoint is the derivative by an exponent of E: states
before the pulse need not be read again.
"""

import math

import numpy as np

from .. import columns as cpu
from ..algebra import Interval, W, added, generated, paired, pairings, seeded
from ..columns import B1, INVERSION, N_RATES, OMEGA, R1, R2, R2_PRIME
from ..exponents import OUT_OF_PHASE, S1, S2, T, before_pulses, by_order
from ..readouts import Readout
from . import columns as col
from .columns import COMPONENTS
from .jit import block_threads, cuda, helper, launched, select, turn, unrolled
from .play import PULSE, READOUT, pulse_numbers, read_numbers, sets_of, write_sets
from .rows import add_row, clear, leave, restore, save
from .source import Source
from .tangents import HALF_PI, make_loads, make_turns

# Derivatives by numbers of a pulse: by its moments, its flip angle (radians), and the phase step before it.
FLIP = OUT_OF_PHASE + 1
TURN, N_BARS = FLIP + 1, FLIP + 2
BARS = "rate_bars, seed_bars, moment_bars"


def flip_tangents(shape):
    return [i for i, kind in enumerate(shape.kinds, 1) if kind == B1]


def pulse_keys(shape):
    """What `algebra.pairings` gives derivatives by: exponents, and their change along tangents."""
    return [(e, 0) for e in before_pulses(shape)] + seeded(shape)


def write_undo(shape, rotation, gathering):
    """Functions that undo a pulse and the interval before it, and add a row's share to sums.

    The sums are derivatives by the flip angle, by its seeds and, if these are gathered, by exponents.
    """
    source = Source(shape, rotation)
    numbers, order = pulse_numbers(source)
    states, bars = sets_of(source, "x[{}, {}, {}]"), sets_of(source, "b[{}, {}, {}, j]")
    interval = Interval(shape, numbers._replace(decay=(1, 1)))
    sums = [added(paired(bar, generated(x)) for bar, x in zip(bars, states, strict=True))]
    sums += [paired(bars[i], generated(states[0])) for i in flip_tangents(shape)]
    before, bars = interval.undo_pulse(states), interval.unpulse(bars)
    if gathering:
        z = before[0][-1]
        z[W] = z[W] - source.row("select(lane == 0 and j == 0, gained, _real(0))")
        sums += pairings(shape, before, bars, order)
    e1, e2 = numbers.decay
    bars = [[[p * e2, m * e2, w * e1] for p, m, w in planes] for planes in bars]
    write_sets(source, "b[{}, {}, {}, j]", interval.unpass_time(bars, order))
    for n, number in enumerate(sums):
        source.add(f"sums[{n}]", number)
    return source.shared(PULSE), source.each("j, b, x, sums, lane, gained, order, stride"), len(sums)


def write_gather(shape, timing, turning):
    """A function from the sums of a pulse to derivatives by rates, seeds and numbers of the pulse."""
    source = Source(shape, None, by_rows=False)
    nominal, flipped = source.note("nominal"), flip_tangents(shape)
    for n, i in enumerate([0, *flipped]):
        value = source.note(f"sums[{n}]")
        source.add(f"seed_bars[{i}]" if i else f"rate_bars[{B1}]", nominal * value)
        source.add(f"moment_bars[{FLIP}]", source.note(f"seeds[{i}]" if i else f"rates[{B1}]") * value)
    first = 1 + len(flipped)
    found = [(e, i, source.note(f"sums[{n}]")) for n, (e, i) in enumerate(pulse_keys(shape), first)]
    if turning:
        source.add(f"moment_bars[{TURN}]", added(value for e, i, value in found if (e.rate, i) == (OMEGA, 0)))
    if timing:
        source.gather([key for key in found if key[0].rate != OMEGA or shape.precesses])
    return source.each(f"sums, nominal, moments, dephasing, rates, seeds, {BARS}")


def write_unread(shape, rotation, timing):
    """A function from the adjoints of a readout's amplitudes to those of F_0 (set, plane) just after the pulse."""
    source = Source(shape, rotation, by_rows=False)
    places = [[f"[{i * shape.planes + plane}, out, voxel]" for plane in range(shape.planes)]
              for i in range(len(shape.kinds) + 1)]  # fmt: skip
    bars, values = ([[source.row(name + at) for at in planes] for planes in places] for name in ("bars", "amplitudes"))
    readout = Readout(shape, read_numbers(source))
    if timing:
        source.gather([key for key in readout.pairings(values, bars) if key[0].rate != OMEGA or shape.precesses])
    for i, planes in enumerate(readout.unread(bars)):
        for plane, number in enumerate(planes):
            source.write(f"f[{i}, {plane}]", number)
    return source.each(f"f, bars, amplitudes, out, voxel, {READOUT}, {BARS}")


def make_rewind(shape, timing, turning):
    """The kernel for a `Shape`. `timing`, `turning`: gather derivatives by rates and durations, or by phases, too."""
    real, planes, kinds, _, precesses, n_rows, lanes = shape
    n_sets, last_lane, threads = len(kinds) + 1, lanes - 1, block_threads(lanes)
    state_rows, width = n_sets * planes * COMPONENTS * n_rows, col.step_width(shape)
    turning = turning and planes == 2
    zero, half, one, two, half_pi = real(0), real(0.5), real(1), real(2), real(HALF_PI)
    cos_sin, rotation = make_turns(real)
    load_rates, load_moments, first_order, load_read_moments = make_loads(shape)
    prepare, undo, n_sums = write_undo(shape, rotation, timing or turning)
    gather, unread_f = write_gather(shape, timing, turning), write_unread(shape, rotation, timing)
    kinds, ordered, out_of_phase = (-1, *kinds), bool(by_order(shape)), R2_PRIME in shape.terms

    @helper
    def unread_z(
        b, bars, amplitudes, out, voxel, e, time, equilibrium, rates, seeds, rate_bars, seed_bars, moment_bars
    ):
        """Adjoint of a readout of Z_0."""
        own = bars[planes - 1, out, voxel]
        decayed = amplitudes[planes - 1, out, voxel] - equilibrium  # what scales with the decay factor
        log_bar = own * decayed
        for i in range(1, n_sets):
            bar = bars[i * planes + planes - 1, out, voxel]
            log_bar += bar * amplitudes[i * planes + planes - 1, out, voxel]
            if kinds[i] == R1:
                own -= time * seeds[i] * bar
                if timing:
                    seed_bars[i] -= time * bar * decayed
                    moment_bars[T] -= seeds[i] * bar * decayed
            b[i, planes - 1, 2, 0] -= half * e * bar
        b[0, planes - 1, 2, 0] -= half * e * own
        if timing:
            rate_bars[R1] -= time * log_bar
            moment_bars[T] -= rates[R1] * log_bar

    @helper
    def give_f(b, f, component, row, quadrature):
        """Add adjoints of F_0 (set, plane) to a row of P, or of M."""
        negated = component == 1 and (planes == 2 or quadrature == 1)
        for i in range(n_sets):
            for plane in range(planes):
                value = f[i, plane]
                if plane == planes - 1:
                    value = select(negated, -value, value)
                add_row(b, i, plane, component, row, value, zero)

    @helper
    def uninvert(b, seeds, arriving, rate_bars, seed_bars, moment_bars, rates, flip, e1, time, scale):
        """Adjoint of an inversion and the decay before it, of which Z_0 `arriving` is left; that is overwritten."""
        plane = planes - 1
        bar = b[0, plane, 2, 0]
        total = bar * arriving[0]
        bar = -flip * rates[INVERSION] * bar
        for i in range(1, n_sets):
            own = b[i, plane, 2, 0]
            total += own * arriving[i]
            if kinds[i] == INVERSION:
                seed_bars[i] -= flip * own * arriving[0]
                moment_bars[FLIP] -= seeds[i] * own * arriving[0] / half_pi
                bar -= flip * seeds[i] * own
        rate_bars[INVERSION] -= flip * total
        moment_bars[FLIP] -= rates[INVERSION] * total / half_pi
        log_bar = bar * (arriving[0] - scale)
        for i in range(1, n_sets):
            own = -flip * rates[INVERSION] * b[i, plane, 2, 0]
            log_bar += own * arriving[i]
            if kinds[i] == R1:
                seed_bars[i] -= time * own * (arriving[0] - scale)
                moment_bars[T] -= seeds[i] * own * (arriving[0] - scale)
                bar -= time * seeds[i] * own
            arriving[i] = e1 * own
        rate_bars[R1] -= time * log_bar
        moment_bars[T] -= rates[R1] * log_bar
        clear(b, zero)
        b[0, plane, 2, 0] = e1 * bar
        for i in range(1, n_sets):
            b[i, plane, 2, 0] = arriving[i]

    @helper
    def give_start(b, start_bar, voxel):
        """What the adjoint says of the start of the train."""
        for i in range(n_sets):
            start_bar[0, i, voxel] = -two * b[i, planes - 1, 2, 0]
            if planes == 2 and start_bar.shape[0] == 3:
                start_bar[1, i, voxel] = b[i, 0, 0, 0] + b[i, 0, 1, 0]
                start_bar[2, i, voxel] = b[i, planes - 1, 0, 0] - b[i, planes - 1, 1, 0]

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
        arriving = cuda.local.array(n_sets, real)
        sums = cuda.local.array(n_sums, real)
        rates = cuda.local.array(N_RATES, real)
        moments = cuda.local.array(FLIP, real)
        read_moments = cuda.local.array(FLIP, real)
        rate_bars = cuda.local.array(N_RATES, real)
        seed_bars = cuda.local.array(n_sets, real)
        moment_bars = cuda.local.array(N_BARS, real)
        load_rates(rates, seeds, tissue, voxel, profile)
        scale = -two * equilibrium
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
            for r in range(steps[step + col.READ_BEGIN], steps[step + col.READ_END]):
                component, row, out = reads[r, cpu.READ_COMPONENT], reads[r, cpu.READ_OFFSET], reads[r, cpu.READ_OUT]
                own = row // n_rows
                if lane == own:
                    load_read_moments(read_moments, durations, reads, r)
                    for k in range(FLIP):
                        moment_bars[k] = zero
                    time = read_moments[T]
                    e = math.exp(-time * (rates[R1] if component == 2 else rates[R2]))
                    if component == 2:
                        unread_z(
                            b, bars, amplitudes, out, voxel, e, time, equilibrium, rates, seeds, rate_bars, seed_bars,
                            moment_bars
                        )  # fmt: skip
                    else:
                        turning_c, turning_s = one, zero
                        if planes == 2 and precesses:
                            turning_c, turning_s = rotation(time * rates[OMEGA])
                        unread_f(
                            f, bars, amplitudes, out, voxel, e, e, turning_c, turning_s, read_moments, dephasing,
                            rates, seeds, rate_bars, seed_bars, moment_bars
                        )  # fmt: skip
                        give_f(b, f, component, row - own * n_rows, steps[step + col.QUADRATURE])
                    if timing and present:
                        duration_bars[reads[r, cpu.READ_DURATION], thread] += moment_bars[T]
                        if ordered:
                            duration_bars[reads[r, cpu.READ_MOMENT_1], thread] += moment_bars[S1]
                            duration_bars[reads[r, cpu.READ_MOMENT_2], thread] += moment_bars[S2]
                        if out_of_phase:
                            place = reads[r, cpu.READ_OUT_OF_PHASE]
                            way = -one if durations[place] < zero else one
                            duration_bars[place, thread] += way * moment_bars[OUT_OF_PHASE]
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                moments[T] = durations[duration]
                e1, e2 = math.exp(-moments[T] * rates[R1]), math.exp(-moments[T] * rates[R2])
                if planes == 2 and precesses:
                    oc, os = rotation(moments[T] * rates[OMEGA])
            before = np.uint64(steps[step + col.TAPE] - steps[first * width + col.TAPE])
            place = tape_place + before * np.uint64(n_sets * planes * COMPONENTS * threads)
            for k in range(N_BARS):
                moment_bars[k] = zero
            if steps[step + col.INVERT]:
                if lane == 0:
                    for i in range(n_sets):
                        arriving[i] = tape[place + np.uint64((i * planes + planes - 1) * COMPONENTS * threads)]
                    uninvert(
                        b, seeds, arriving, rate_bars, seed_bars, moment_bars, rates, flips[n], e1, moments[T], scale
                    )  # fmt: skip
                else:
                    clear(b, zero)
            else:
                c, s = cos_sin(flips[n] * rates[B1])
                tc, ts = one, zero
                if planes == 2:
                    tc, ts = turns[n, 0], turns[n, 1]
                    if precesses:
                        tc, ts = turn(oc, os, tc, ts)
                load_moments(moments, durations, steps, step)
                nominal = flips[n] * half_pi
                shared = prepare(c, s, e1, e2, tc, ts, nominal, moments, dephasing, rates, seeds)
                for k in range(n_sums):
                    sums[k] = zero
                undo_rows(
                    b, x, sums, tape, place, lane, steps[step + col.ROWS],
                    scale if steps[step + col.RECOVERY] else zero, first_order(steps, step, stride, lane), stride,
                    shared
                )  # fmt: skip
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
