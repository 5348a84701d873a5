"""Play a program forward: a voxel a thread (or a few of them), its states in registers, tangents in the same sweep.

The states of a pulse are (P, M, W) a row. What the kernels write is a column a voxel or thread, so that neighbouring
threads write side by side.
"""

import numpy as np

from ..columns import M0, N_RATES, READ_COMPONENT, READ_OFFSET, READ_OUT
from ..exponents import T
from . import columns as col
from .columns import COMPONENTS
from .jit import block_threads, cuda, helper, launched, unrolled
from .rows import arrive, clear, get_row, neighbours, restore, save
from .tangents import make_loads, make_turns
from .written import N_MOMENTS, write_invert, write_pulse, write_read, write_read_z, write_recover


def make_play(shape, taped, codes, sets):
    """The kernel for a `Shape`.

    `taped`: keep what a reverse sweep needs, and write bare amplitudes (set and plane, output, voxel). Otherwise write
    the signal and the Jacobian; `codes` are the derivatives wanted and `sets` the state sets that they come from.
    """
    real, planes, kinds, _, _, n_rows, lanes = shape
    n_sets, last_lane, n_codes, threads = len(kinds) + 1, lanes - 1, len(codes), block_threads(lanes)
    state_rows, width, last_plane = n_sets * planes * COMPONENTS * n_rows, col.step_width(shape), planes - 1
    chunk = col.chunk_of(n_rows)
    codes, sets = (*codes, -1), (*sets, 0)
    zero, one, two = real(0), real(1), real(2)
    _, rotation = make_turns(real)
    load_rates, decay, angles, load_moments, load_readout = make_loads(shape)
    prepare, pulse_row = write_pulse(shape, rotation)
    read_f, read_z = write_read(shape, rotation), write_read_z(shape)
    recover, invert = write_recover(shape), write_invert(shape)

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
    def take_w(x, w):
        """W of order zero."""
        for i in range(n_sets):
            w[i] = x[i, last_plane, 2, 0]

    @helper
    def forget_arriving(x):
        for i in range(n_sets):
            x[i, last_plane, 0, 0] = zero

    @helper
    def fetch_f(x, f, component, row, quadrature):
        """F_0 (set, plane) from a row of P, or of M: F_-k is its conjugate."""
        negated = component == 1 and (planes == 2 or quadrature == 1)
        for i in range(n_sets):
            for plane in range(planes):
                value = get_row(x, i, plane, component, row)
                f[i, plane] = value
                if plane == last_plane:
                    f[i, plane] = -value if negated else value

    @helper
    def write(f, out, m0, weight, factors, signal, jacobian, voxel, accumulate):
        """Amplitudes, times M0 and the output's factor, into the results."""
        fr, fi = factors[out, 0], factors[out, 1]
        for k in range(-1, n_codes):
            i = sets[k] if k >= 0 else 0
            scale = weight * m0
            if k >= 0 and codes[k] == M0:
                scale = weight
            re, im = scale * f[i, 0], zero
            if planes == 2:
                im = scale * f[i, last_plane]
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
        w = cuda.local.array(n_sets, real)
        f = cuda.local.array((n_sets, planes), real)  # what is read, and its amplitudes
        moments = cuda.local.array(N_MOMENTS, real)
        read_moments = cuda.local.array(N_MOMENTS, real)
        load_rates(rates, seeds, tissue, voxel, profile)
        m0 = tissue[M0, voxel]
        if first > 0:
            restore(x, state, state_place, threads)
        else:
            clear(x, zero)
            if lane == 0:
                for i in range(n_sets):
                    x[i, last_plane, 2, 0] = -two * start[0, i, voxel]
                    if planes == 2 and start.shape[0] == 3:
                        x[i, 0, 0, 0] = start[1, i, voxel]
                        x[i, 0, 1, 0] = start[1, i, voxel]
                        x[i, last_plane, 0, 0] = start[2, i, voxel]
                        x[i, last_plane, 1, 0] = -start[2, i, voxel]
        duration, e1, e2, oc, os = -1, one, one, one, zero
        for n in range(first, last):
            step = n * width
            moving = arrive(x, steps, step, one, zero, lane, last_lane)
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                moments[T] = durations[duration]
                e1, e2, oc, os = decay(rates, moments[T])
            if steps[step + col.INVERT]:
                take_w(x, w)
                clear(x, zero)
                if lane == 0:
                    invert(x, w, flips[n], e1, moments, equilibrium, rates, seeds)
            else:
                c, s, tc, ts, nominal = angles(n, flips, turns, rates, oc, os)
                order, rows = load_moments(moments, durations, steps, step, stride, lane), steps[step + col.ROWS]
                shared = prepare(c, s, e1, e2, tc, ts, nominal, moments, dephasing, rates, seeds)
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
                    recover(x, c, s, nominal, e2, e1, moments, equilibrium, rates, seeds)
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
                    e, rc, rs = load_readout(read_moments, durations, reads, r, component, rates)
                    if component == 2:
                        take_w(x, w)
                        read_z(f, w, e, read_moments, equilibrium, rates, seeds)
                    else:
                        fetch_f(x, f, component, row - own * n_rows, steps[step + col.QUADRATURE])
                        read_f(f, e, rc, rs, read_moments, dephasing, rates, seeds)
                    if taped:
                        for i in range(n_sets):
                            for plane in range(planes):
                                signal[i * planes + plane, out, voxel] = f[i, plane]
                    else:
                        write(f, out, m0, weight, factors, signal, jacobian, offset + voxel, accumulate)
        if taped and last * width < steps.shape[0]:
            save(x, saved, state_place, threads)

    return play
