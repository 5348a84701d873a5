"""Play a program forward: a voxel a thread (or a few of them), its states in registers, tangents in the same sweep.

The states of a pulse are (P, M, W) a row, and those of a second pool besides. What the kernels write is a column
a voxel or thread, so that neighbouring threads write side by side.
"""

import numpy as np

from ..algebra import W
from ..columns import M0, N_RATES, READ_COMPONENT, READ_OFFSET, READ_OUT
from ..pools import exchange_lines
from . import columns as col
from .jit import block_threads, cuda, find_thread, helper, launched, place_of, unrolled
from .rows import arrive, clear, get_row, neighbours, set_aside
from .source import N_MOMENTS
from .tangents import is_longitudinal, make_loads, make_order_zero, make_rates, make_turns
from .written import f_seen_at, write_pulse, write_read, write_read_z


def make_play(shape, taped, codes, sets):
    """The kernel for a `Shape`.

    `taped`: keep what a reverse sweep needs, and write bare amplitudes (set and plane, output, voxel); behind them,
    where Z_0 is read, W after the pulse, and where there are two free pools F_0 of both. Otherwise write the signal and
    the Jacobian; `codes` are the derivatives wanted and `sets` the state sets that they come from.
    """
    real, planes, kinds, terms, _, n_rows, lanes = shape
    n_sets, last_lane, n_codes, threads = shape.n_sets, lanes - 1, len(codes), block_threads(lanes)
    components, free, pools, apart, fraction = shape.components, shape.free, shape.pools, shape.apart, shape.fraction
    f_seen = f_seen_at(shape)
    n_moments = N_MOMENTS + exchange_lines(shape)[-1]
    numbers_a_row = shape.numbers
    state_rows, width, last_plane = numbers_a_row * n_rows, col.step_width(shape), planes - 1
    chunk = col.chunk_of(n_rows)
    codes, sets, kinds = (*codes, -1), (*sets, 0), (-1, *kinds)
    zero, one, two = real(0), real(1), real(2)
    _, rotation = make_turns(real)
    load_rates = make_rates(real, shape.kinds, terms)
    load_duration, load_pulse, load_order, load_readout = make_loads(shape)
    take_w, finish = make_order_zero(shape)
    prepare, pulse_row = write_pulse(shape, rotation)
    read_f, read_z = write_read(shape, rotation), write_read_z(shape)

    @helper
    def begin(x, start, voxel, rates):
        """Nothing but Z_0 and, where it repeats, F_0; Z_0 of a second pool, which from equilibrium has its fraction."""
        for i in range(n_sets):
            x[i, last_plane, W, 0] = -two * start[0, i, voxel]
            for k in range(free):
                if planes == 2 and start.shape[0] > 3 * k + 2:
                    re, im = start[3 * k + 1, i, voxel], start[3 * k + 2, i, voxel]
                    x[i, 0, 3 * k, 0] = re
                    x[i, 0, 3 * k + 1, 0] = re
                    x[i, last_plane, 3 * k, 0] = im
                    x[i, last_plane, 3 * k + 1, 0] = -im
            if pools > 1 and start.shape[0] > 1:
                x[i, last_plane, W + apart, 0] = -two * start[3 if start.shape[0] > 2 else 1, i, voxel]
            elif pools > 1:
                share = rates[fraction] if i == 0 else (one if kinds[i] == fraction else zero)
                x[i, last_plane, W, 0] += two * share
                x[i, last_plane, W + apart, 0] = -two * share

    @helper
    def fetch(x, t, carry, above, j, moving):
        """Row j of what arrives; P may come from a row below and M from a row above, where they have not moved yet."""
        for i in range(n_sets):
            for plane in range(planes):
                for c in range(components):
                    t[i, plane, c] = x[i, plane, c, j]
                if moving:
                    for k in range(free):
                        t[i, plane, 3 * k] = carry[i, plane, k]
                        carry[i, plane, k] = x[i, plane, 3 * k, j]
                        t[i, plane, 3 * k + 1] = x[i, plane, 3 * k + 1, j + 1] if j + 1 < n_rows else above[i, plane, k]

    @helper
    def record(t, j, tape, place):
        """Put a row that arrives on the tape: constant distances, so that addresses take no arithmetic."""
        for i in range(n_sets):
            for plane in range(planes):
                for c in range(components):
                    number = ((j * n_sets + i) * planes + plane) * components + c
                    tape[place + np.uint64(number * threads)] = t[i, plane, c]

    @helper
    def one_row(q, first, x, t, carry, above, order, stride, shared, moving, kept, tape, place):
        fetch(x, t, carry, above, first + q, moving)
        if taped and kept:
            record(t, first + q, tape, place)
        pulse_row(x, t, first + q, order, stride, shared)

    some_rows = unrolled(one_row, chunk)

    @helper
    def rows_if_any(k, rows, x, t, carry, above, order, stride, shared, moving, kept, tape, place):
        if rows > k * chunk:
            some_rows(k * chunk, x, t, carry, above, order, stride, shared, moving, kept > k * chunk, tape, place)

    pulse_rows = unrolled(rows_if_any, n_rows // chunk)

    @helper
    def fetch_f(x, f, component, row, quadrature):
        """F_0 (set, plane, free pool) from a row of P, or of M: F_-k is its conjugate."""
        negated = component == 1 and (planes == 2 or quadrature == 1)
        for i in range(n_sets):
            for plane in range(planes):
                for k in range(free):
                    value = get_row(x, i, plane, 3 * k, 1 if component == 1 else 0, row)
                    f[i, plane, k] = value
                    if plane == last_plane:
                        f[i, plane, k] = -value if negated else value

    @helper
    def write(f, out, m0, weight, factors, signal, jacobian, voxel, accumulate):
        """Amplitudes, times M0 and the output's factor, into the results."""
        fr, fi = factors[out, 0], factors[out, 1]
        for k in range(-1, n_codes):
            i = sets[k] if k >= 0 else 0
            scale = weight * m0
            if k >= 0 and codes[k] == M0:
                scale = weight
            re, im = scale * f[i, 0, 0], zero
            if planes == 2:
                im = scale * f[i, last_plane, 0]
            total_re, total_im = re * fr - im * fi, re * fi + im * fr
            results = signal if k < 0 else jacobian[k]
            if accumulate:
                total_re += results[out, voxel, 0]
                total_im += results[out, voxel, 1]
            results[out, voxel, 0] = total_re
            results[out, voxel, 1] = total_im

    @launched
    def play(
        steps, reads, durations, flips, powers, turns, factors, tissue, exchange, start, state, saved, tape, signal,
        jacobian, first, last, n_voxels, offset, tape_rows, weight, equilibrium, accumulate, keep, dephasing, stride
    ):  # fmt: skip
        _, lane, voxel, present = find_thread(lanes, n_voxels)
        state_place, tape_place = place_of(state_rows, threads), place_of(tape_rows, threads)
        x = cuda.local.array((n_sets, planes, components, n_rows), real)
        t = cuda.local.array((n_sets, planes, components), real)  # a row as it arrives
        carry = cuda.local.array((n_sets, planes, free), real)
        above = cuda.local.array((n_sets, planes, free), real)
        rates = cuda.local.array(N_RATES, real)
        seeds = cuda.local.array(n_sets, real)
        w = cuda.local.array((n_sets, pools), real)
        f = cuda.local.array((n_sets, planes, free), real)  # what is read, and its amplitudes
        moments = cuda.local.array(n_moments, real)
        read_moments = cuda.local.array(n_moments, real)
        load_rates(rates, seeds, tissue, voxel)
        m0, constants = tissue[M0, voxel], (equilibrium, dephasing)
        if first > 0:
            set_aside(x, state, state_place, threads, True)
        else:
            clear(x, zero)
            if lane == 0:
                begin(x, start, voxel, rates)
        duration, decay = -1, (one, one, one, zero)
        for n in range(first, last):
            step = n * width
            rows = steps[step + col.ROWS]
            moving = arrive(x, steps, step, one, zero, lane, last_lane)
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                decay = load_duration(moments, durations, exchange, duration, voxel, rates)
            numbers = load_pulse(n, moments, durations, steps, step, flips, powers, turns, rates, decay, constants)
            order = load_order(steps, step, stride, lane)
            shared = prepare(numbers, moments, rates, seeds)
            before = np.uint64(steps[step + col.TAPE] - steps[first * width + col.TAPE])
            place = tape_place + before * np.uint64(numbers_a_row * threads)
            kept = rows - lane * n_rows if keep else 0
            if steps[step + col.INVERT]:
                take_w(x, w)
            if moving:
                fold, sign = steps[step + col.FOLD], -one if steps[step + col.QUADRATURE] else one
                for i in range(n_sets):
                    for plane in range(planes):
                        for k in range(free):
                            carry[i, plane, k], above[i, plane, k] = neighbours(
                                x, i, plane, 3 * k, fold, sign, zero, lane, last_lane
                            )
                pulse_rows(rows, x, t, carry, above, order, stride, shared, True, kept, tape, place)
            else:
                pulse_rows(rows, x, t, carry, above, order, stride, shared, False, kept, tape, place)
            if lane == 0:
                finish(x, w, steps, step, numbers, moments, rates, seeds)
            for r in range(steps[step + col.READ_BEGIN], steps[step + col.READ_END]):
                component, row, out = reads[r, READ_COMPONENT], reads[r, READ_OFFSET], reads[r, READ_OUT]
                own = row // n_rows
                if lane == own and present:
                    read = load_readout(read_moments, durations, exchange, reads, r, component, voxel, rates, constants)
                    if is_longitudinal(component):
                        take_w(x, w)
                        if taped:
                            for i in range(n_sets):
                                for k in range(pools):  # behind the amplitudes
                                    signal[i * planes + last_plane, signal.shape[1] - pools + k, voxel] = w[i, k]
                        read_z(f, w, component, read, read_moments, rates, seeds)
                    else:
                        fetch_f(x, f, component, row - own * n_rows, steps[step + col.QUADRATURE])
                        if taped and free > 1:
                            for i in range(n_sets):
                                for plane in range(planes):
                                    for k in range(free):
                                        place = signal.shape[1] - f_seen - k - 2 * out
                                        signal[i * planes + plane, place, voxel] = f[i, plane, k]
                        read_f(f, component, read, read_moments, rates, seeds)
                    if taped:
                        for i in range(n_sets):
                            for plane in range(planes):
                                signal[i * planes + plane, out, voxel] = f[i, plane, 0]
                    else:
                        write(f, out, m0, weight, factors, signal, jacobian, offset + voxel, accumulate)
        if taped and last * width < steps.shape[0]:
            set_aside(x, saved, state_place, threads, False)

    return play
