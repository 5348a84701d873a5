"""Play a program forward: a voxel a thread (or a few of them), its states in registers, tangents in the same sweep.

The states of a pulse are (P, M, W) a row. What the kernels write is a column a voxel or thread, so that neighbouring
threads write side by side.
"""

import math

import numpy as np

from ..algebra import Interval
from ..columns import B1, INVERSION, M0, N_RATES, OMEGA, R1, R2, READ_COMPONENT, READ_OFFSET, READ_OUT
from ..exponents import OUT_OF_PHASE, T, before_pulses, before_readouts, by_order
from ..readouts import Readout
from . import columns as col
from .columns import COMPONENTS
from .jit import block_threads, cuda, helper, launched, turn, unrolled
from .rows import arrive, clear, get_row, neighbours, restore, save
from .source import Source
from .tangents import HALF_PI, make_loads, make_turns

N_MOMENTS = OUT_OF_PHASE + 1
PULSE = "c, s, e1, e2, tc, ts, nominal, moments, dephasing, rates, seeds"
READOUT = "e1, e2, oc, os, moments, dephasing, rates, seeds"


def pulse_numbers(source):
    """What a pulse and the interval before it depend on, by the names of `PULSE`; and the order of row j."""
    shape = source.shape
    angle = ("tc", "ts") if shape.planes == 2 else None
    order = source.row("order + stride * _real(j)") if by_order(shape) else None
    return source.numbers(before_pulses(shape), ("c", "s"), angle, "nominal"), order


def read_numbers(source):
    """What a readout of F_0 depends on, by the names of `READOUT`."""
    angle = ("oc", "os") if source.shape.planes == 2 and source.shape.precesses else None
    return source.numbers(before_readouts(source.shape), angle=angle)


def sets_of(source, text):
    """Row j of all sets, by the place of each component."""
    shape = source.shape
    return [
        [[source.row(text.format(i, plane, c)) for c in range(COMPONENTS)] for plane in range(shape.planes)]
        for i in range(len(shape.kinds) + 1)
    ]


def write_sets(source, text, sets):
    for i, planes in enumerate(sets):
        for plane, components in enumerate(planes):
            for c, number in enumerate(components):
                source.write(text.format(i, plane, c), number)


def write_pulse(shape, rotation):
    """Functions for an interval and the pulse that ends it: what rows share, and a row from arrival to departure."""
    source = Source(shape, rotation)
    numbers, order = pulse_numbers(source)
    write_sets(source, "x[{}, {}, {}, j]", Interval(shape, numbers).play(sets_of(source, "t[{}, {}, {}]"), order))
    return source.shared(PULSE), source.each("x, t, j, order, stride")


def write_read(shape, rotation):
    """A function from F_0 just after a pulse (set, plane) to amplitudes, in place."""
    source = Source(shape, rotation, by_rows=False)
    sets = [[source.row(f"f[{i}, {plane}]") for plane in range(shape.planes)] for i in range(len(shape.kinds) + 1)]
    for i, planes in enumerate(Readout(shape, read_numbers(source)).read(sets)):
        for plane, number in enumerate(planes):
            source.write(f"f[{i}, {plane}]", number)
    return source.each(f"f, {READOUT}")


def make_play(shape, taped, codes, sets):
    """The kernel for a `Shape`.

    `taped`: keep what a reverse sweep needs, and write bare amplitudes (set and plane, output, voxel). Otherwise write
    the signal and the Jacobian; `codes` are the derivatives wanted and `sets` the state sets that they come from.
    """
    real, planes, kinds, _, precesses, n_rows, lanes = shape
    n_sets, last_lane, n_codes, threads = len(kinds) + 1, lanes - 1, len(codes), block_threads(lanes)
    state_rows, width = n_sets * planes * COMPONENTS * n_rows, col.step_width(shape)
    chunk = col.chunk_of(n_rows)
    kinds, codes, sets = (-1, *kinds), (*codes, -1), (*sets, 0)
    zero, half, one, two, half_pi = real(0), real(0.5), real(1), real(2), real(HALF_PI)
    cos_sin, rotation = make_turns(real)
    load_rates, load_moments, first_order, load_read_moments = make_loads(shape)
    prepare, pulse_row = write_pulse(shape, rotation)
    read_f = write_read(shape, rotation)

    @helper
    def fetch(x, t, carry, above, j, moving):
        """Row j of what arrives; P may come from a row below and M from a row above, where they have not moved yet."""
        for i in range(n_sets):
            for plane in range(planes):
                t[i, plane, 2] = x[i, plane, 2, j]
                if moving:
                    t[i, plane, 0] = carry[i, plane]
                    carry[i, plane] = x[i, plane, 0, j]
                    t[i, plane, 1] = x[i, plane, 1, j + 1] if j + 1 < n_rows else above[i, plane]
                else:
                    t[i, plane, 0] = x[i, plane, 0, j]
                    t[i, plane, 1] = x[i, plane, 1, j]

    @helper
    def one_row(q, first, x, t, carry, above, order, stride, shared, moving):
        fetch(x, t, carry, above, first + q, moving)
        pulse_row(x, t, first + q, order, stride, shared)

    some_rows = unrolled(one_row, chunk)

    @helper
    def rows_if_any(k, rows, x, t, carry, above, order, stride, shared, moving):
        if rows > k * chunk:
            some_rows(k * chunk, x, t, carry, above, order, stride, shared, moving)

    pulse_rows = unrolled(rows_if_any, n_rows // chunk)

    @helper
    def invert(x, seeds, efficiency, flip, e1, time, scale):
        """Z_0 through decay and inversion; nothing else is left. What arrives stays in the first component."""
        plane = planes - 1
        before = x[0, plane, 2, 0]
        arriving = e1 * before + scale * (one - e1)
        for i in range(n_sets - 1, -1, -1):
            w = e1 * x[i, plane, 2, 0] if i > 0 else arriving
            if kinds[i] == R1:
                w += e1 * time * seeds[i] * (scale - before)
            for p in range(planes):
                for c in range(3):
                    for j in range(n_rows):
                        x[i, p, c, j] = zero
            x[i, plane, 0, 0] = w  # for the tape
            x[i, plane, 2, 0] = -flip * efficiency * w
            if kinds[i] == INVERSION:
                x[i, plane, 2, 0] -= flip * seeds[i] * arriving

    @helper
    def forget_arriving(x):
        for i in range(n_sets):
            x[i, planes - 1, 0, 0] = zero

    @helper
    def recover(x, seeds, c, s, e1, time, nominal, scale):
        """Add to order zero what Z_0 gains before the pulse, through the pulse."""
        for i in range(n_sets):
            odd, w = zero, zero
            if i == 0 or kinds[i] == R1:
                gain = scale * (one - e1) if i == 0 else scale * time * seeds[i] * e1
                odd, w = half * (s * gain), c * gain
            if kinds[i] == B1:
                gain = nominal * seeds[i] * scale * (one - e1)
                odd, w = half * c * gain, -s * gain
            x[i, planes - 1, 0, 0] += odd
            x[i, planes - 1, 1, 0] -= odd
            x[i, planes - 1, 2, 0] += w

    @helper
    def read_z(x, seeds, amplitude, e, time, equilibrium):
        """Amplitudes (set, plane) of Z_0 after `time`, which leaves e of what is not at equilibrium."""
        for i in range(n_sets):
            value, gain = x[i, planes - 1, 2, 0], one - e if i == 0 else zero
            if kinds[i] == R1:
                value -= time * seeds[i] * x[0, planes - 1, 2, 0]
                gain = e * time * seeds[i]
            amplitude[i, 0] = zero
            amplitude[i, planes - 1] = equilibrium * gain - half * e * value

    @helper
    def fetch_f(x, amplitude, component, row, quadrature):
        """F_0 (set, plane) from a row of P, or of M: F_-k is its conjugate."""
        negated = component == 1 and (planes == 2 or quadrature == 1)
        for i in range(n_sets):
            for plane in range(planes):
                value = get_row(x, i, plane, component, row)
                amplitude[i, plane] = value
                if plane == planes - 1:
                    amplitude[i, plane] = -value if negated else value

    @helper
    def write(amplitude, out, m0, weight, factors, signal, jacobian, voxel, accumulate):
        """Amplitudes, times M0 and the output's factor, into the results."""
        fr, fi = factors[out, 0], factors[out, 1]
        for k in range(-1, n_codes):
            i = sets[k] if k >= 0 else 0
            scale = weight * m0
            if k >= 0 and codes[k] == M0:
                scale = weight
            re, im = scale * amplitude[i, 0], zero
            if planes == 2:
                im = scale * amplitude[i, planes - 1]
            total_re, total_im = re * fr - im * fi, re * fi + im * fr
            if k < 0:
                if accumulate:
                    total_re += signal[out, voxel, 0]
                    total_im += signal[out, voxel, 1]
                signal[out, voxel, 0] = total_re
                signal[out, voxel, 1] = total_im
            else:
                if accumulate:
                    total_re += jacobian[k, out, voxel, 0]
                    total_im += jacobian[k, out, voxel, 1]
                jacobian[k, out, voxel, 0] = total_re
                jacobian[k, out, voxel, 1] = total_im

    @helper
    def record(x, tape, place, lane, rows):
        """Put the rows of a pulse on the tape: constant distances, so that addresses take no arithmetic."""
        for k in range(n_rows // chunk):
            if rows > lane * n_rows + k * chunk:
                for q in range(chunk):
                    for i in range(n_sets):
                        for plane in range(planes):
                            for c in range(3):
                                row = (((k * chunk + q) * n_sets + i) * planes + plane) * 3 + c
                                tape[place + np.uint64(row * threads)] = x[i, plane, c, k * chunk + q]

    @launched
    def play(
        steps, reads, durations, flips, turns, factors, tissue, start, state, saved, tape, signal, jacobian, first,
        last, n_voxels, offset, tape_rows, profile, weight, equilibrium, accumulate, keep, dephasing, stride
    ):  # fmt: skip
        thread = cuda.grid(1)
        lane = thread % lanes
        voxel = thread // lanes
        present = voxel < n_voxels
        voxel = min(voxel, n_voxels - 1)
        state_place = np.uint64(cuda.blockIdx.x) * np.uint64(state_rows * threads) + np.uint64(cuda.threadIdx.x)
        tape_place = np.uint64(cuda.blockIdx.x) * np.uint64(tape_rows * threads) + np.uint64(cuda.threadIdx.x)
        x = cuda.local.array((n_sets, planes, COMPONENTS, n_rows), real)
        t = cuda.local.array((n_sets, planes, COMPONENTS), real)  # a row as it arrives
        carry = cuda.local.array((n_sets, planes), real)
        above = cuda.local.array((n_sets, planes), real)
        rates = cuda.local.array(N_RATES, real)
        seeds = cuda.local.array(n_sets, real)
        moments = cuda.local.array(N_MOMENTS, real)
        read_moments = cuda.local.array(N_MOMENTS, real)
        amplitude = cuda.local.array((n_sets, planes), real)
        load_rates(rates, seeds, tissue, voxel, profile)
        m0 = tissue[M0, voxel]
        scale = -two * equilibrium
        if first > 0:
            restore(x, state, state_place, threads)
        else:
            clear(x, zero)
            if lane == 0:
                for i in range(n_sets):
                    x[i, planes - 1, 2, 0] = -two * start[0, i, voxel]
                    if planes == 2 and start.shape[0] == 3:
                        x[i, 0, 0, 0] = start[1, i, voxel]
                        x[i, 0, 1, 0] = start[1, i, voxel]
                        x[i, planes - 1, 0, 0] = start[2, i, voxel]
                        x[i, planes - 1, 1, 0] = -start[2, i, voxel]
        duration, e1, e2, oc, os = -1, one, one, one, zero
        for n in range(first, last):
            step = n * width
            moving = arrive(x, steps, step, one, zero, lane, last_lane)
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                moments[T] = durations[duration]
                e1, e2 = math.exp(-moments[T] * rates[R1]), math.exp(-moments[T] * rates[R2])
                if planes == 2 and precesses:
                    oc, os = rotation(moments[T] * rates[OMEGA])
            if steps[step + col.INVERT]:
                if lane == 0:
                    invert(x, seeds, rates[INVERSION], flips[n], e1, moments[T], scale)
                else:
                    clear(x, zero)
            else:
                c, s = cos_sin(flips[n] * rates[B1])
                tc, ts = one, zero
                if planes == 2:
                    tc, ts = turns[n, 0], turns[n, 1]
                    if precesses:
                        tc, ts = turn(oc, os, tc, ts)
                load_moments(moments, durations, steps, step)
                nominal, rows = flips[n] * half_pi, steps[step + col.ROWS]
                shared = prepare(c, s, e1, e2, tc, ts, nominal, moments, dephasing, rates, seeds)
                order = first_order(steps, step, stride, lane)
                if moving:
                    fold, sign = steps[step + col.FOLD], -one if steps[step + col.QUADRATURE] else one
                    for i in range(n_sets):
                        for plane in range(planes):
                            carry[i, plane], above[i, plane] = neighbours(
                                x, i, plane, fold, sign, zero, lane, last_lane
                            )
                    pulse_rows(rows, x, t, carry, above, order, stride, shared, True)
                else:
                    pulse_rows(rows, x, t, carry, above, order, stride, shared, False)
                if steps[step + col.RECOVERY] and lane == 0:
                    recover(x, seeds, c, s, e1, moments[T], nominal, scale)
            if keep:
                before = np.uint64(steps[step + col.TAPE] - steps[first * width + col.TAPE])
                place = tape_place + before * np.uint64(n_sets * planes * 3 * threads)
                record(x, tape, place, lane, steps[step + col.ROWS])
            if steps[step + col.INVERT] and lane == 0:
                forget_arriving(x)
            for r in range(steps[step + col.READ_BEGIN], steps[step + col.READ_END]):
                component, row, out = reads[r, READ_COMPONENT], reads[r, READ_OFFSET], reads[r, READ_OUT]
                own = row // n_rows
                if lane == own and present:
                    load_read_moments(read_moments, durations, reads, r)
                    time = read_moments[T]
                    e = math.exp(-time * (rates[R1] if component == 2 else rates[R2]))
                    if component == 2:
                        read_z(x, seeds, amplitude, e, time, equilibrium)
                    else:
                        turning = one, zero
                        if planes == 2 and precesses:
                            turning = rotation(time * rates[OMEGA])
                        fetch_f(x, amplitude, component, row - own * n_rows, steps[step + col.QUADRATURE])
                        read_f(amplitude, e, e, turning[0], turning[1], read_moments, dephasing, rates, seeds)
                    if taped:
                        for i in range(n_sets):
                            for plane in range(planes):
                                signal[i * planes + plane, out, voxel] = amplitude[i, plane]
                    else:
                        write(amplitude, out, m0, weight, factors, signal, jacobian, offset + voxel, accumulate)
        if taped and last * width < steps.shape[0]:
            save(x, saved, state_place, threads)

    return play
