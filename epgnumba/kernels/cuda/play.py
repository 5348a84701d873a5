"""Play a program forward: a voxel a thread (or a few of them), its states in registers, tangents in the same sweep.

The states of a pulse are (P, M, W) a row. What the kernels write is a column a voxel or thread, so that neighbouring
threads write side by side.
"""

import math

import numpy as np
from numba import cuda

from ..columns import B1, INVERSION, M0, OMEGA, R1, R2
from . import columns as col
from .jit import block_threads, coefficients, helper, launched, pulse, turn
from .rows import arrive, clear, get_row, neighbours, restore, save
from .tangents import HALF_PI, make_tangents


def make_play(shape, taped, codes, sets):
    """The kernel for a `Shape`.

    `taped`: keep what a reverse sweep needs, and write bare amplitudes (set and plane, output, voxel). Otherwise write
    the signal and the Jacobian; `codes` are the derivatives wanted and `sets` the state sets that they come from.
    """
    real, planes, precesses, kinds, n_rows, lanes = shape
    n_sets, last_lane, n_codes, threads = len(kinds) + 1, lanes - 1, len(codes), block_threads(lanes)
    state_rows = n_sets * planes * 3 * n_rows
    chunk = col.chunk_of(n_rows)
    kinds, codes, sets = (-1, *kinds), (*codes, -1), (*sets, 0)
    zero, half, one, two, half_pi = real(0), real(0.5), real(1), real(2), real(HALF_PI)
    cos_sin, rotation, load_seeds = make_tangents(real, kinds)

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
    def add_seeds(t, seeds, time):
        """What tangents gain in decay and precession before a pulse."""
        for i in range(1, n_sets):
            g = time * seeds[i]
            for plane in range(planes):
                if kinds[i] == R1:
                    t[i, plane, 2] -= g * t[0, plane, 2]
                if kinds[i] == R2:
                    t[i, plane, 0] -= g * t[0, plane, 0]
                    t[i, plane, 1] -= g * t[0, plane, 1]
            if planes == 2 and kinds[i] == OMEGA:
                t[i, 0, 0] -= g * t[0, planes - 1, 0]
                t[i, planes - 1, 0] += g * t[0, 0, 0]
                t[i, 0, 1] += g * t[0, planes - 1, 1]
                t[i, planes - 1, 1] -= g * t[0, 0, 1]

    @helper
    def pulse_row(j, x, t, carry, above, seeds, time, g_flip, ca, cb, cc, cd, ce, tc, ts, turned, moving):
        """Row j of all sets through what is before a pulse, and the pulse."""
        fetch(x, t, carry, above, j, moving)
        add_seeds(t, seeds, time)
        for i in range(n_sets):
            if planes == 2 and turned:
                t[i, 0, 0], t[i, planes - 1, 0] = turn(t[i, 0, 0], t[i, planes - 1, 0], tc, ts)
                t[i, 0, 1], t[i, planes - 1, 1] = turn(t[i, 0, 1], t[i, planes - 1, 1], tc, -ts)
            for plane in range(planes):
                p, m, w = pulse(t[i, plane, 0], t[i, plane, 1], t[i, plane, 2], ca, cb, cc, cd, ce)
                x[i, plane, 0, j] = p
                x[i, plane, 1, j] = m
                x[i, plane, 2, j] = w
                if kinds[i] == B1:
                    add_flip(x, i, plane, j, g_flip * seeds[i])

    @helper
    def add_flip(x, i, plane, j, g):
        """What a change g of the flip angle does to row j of tangent i."""
        odd = half * x[0, plane, 2, j]
        x[i, plane, 0, j] += g * odd
        x[i, plane, 1, j] -= g * odd
        x[i, plane, 2, j] += g * (x[0, plane, 1, j] - x[0, plane, 0, j])

    @helper
    def pulse_rows(x, t, carry, above, seeds, rows, time, g_flip, ca, cb, cc, cd, ce, tc, ts, turned, moving):
        """All rows of a pulse, some at a time as long as there are any."""
        for k in range(n_rows // chunk):
            if rows > k * chunk:
                for q in range(chunk):
                    j = k * chunk + q
                    pulse_row(j, x, t, carry, above, seeds, time, g_flip, ca, cb, cc, cd, ce, tc, ts, turned, moving)

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
    def recover(x, seeds, c, s, e1, time, scale):
        """Add to order zero what Z_0 gains before the pulse, through the pulse."""
        for i in range(n_sets):
            gain = scale * (one - e1)
            if i > 0:
                gain = scale * time * seeds[i] * e1
            if i == 0 or kinds[i] == R1:
                odd = half * (s * gain)
                x[i, planes - 1, 0, 0] += odd
                x[i, planes - 1, 1, 0] -= odd
                x[i, planes - 1, 2, 0] += c * gain

    @helper
    def read(x, seeds, amplitude, component, row, quadrature, r1, r2, omega, time, equilibrium):
        """Amplitudes (set, plane) of a readout `time` after the pulse."""
        e = math.exp(-time * (r1 if component == 2 else r2))
        for i in range(n_sets):
            for plane in range(planes):
                if component == 2:
                    amplitude[i, plane] = zero
                    if plane == planes - 1:
                        value = get_row(x, i, plane, component, row)
                        gain = one - e if i == 0 else zero
                        if kinds[i] == R1:
                            value -= time * seeds[i] * get_row(x, 0, plane, component, row)
                            gain = e * time * seeds[i]
                        amplitude[i, plane] = equilibrium * gain - half * e * value
                else:
                    value = get_row(x, i, plane, component, row)
                    if kinds[i] == R2:
                        value -= time * seeds[i] * get_row(x, 0, plane, component, row)
                    amplitude[i, plane] = e * value
                    if component == 1 and (plane == 1 or (planes == 1 and quadrature == 1)):
                        amplitude[i, plane] = -amplitude[i, plane]  # F_-k is the conjugate of M
        if planes == 2 and precesses and component != 2:
            c, s = rotation(time * omega)
            for i in range(n_sets):
                amplitude[i, 0], amplitude[i, 1] = turn(amplitude[i, 0], amplitude[i, 1], c, s)
            for i in range(1, n_sets):
                if kinds[i] == OMEGA:
                    amplitude[i, 0] -= time * seeds[i] * amplitude[0, 1]
                    amplitude[i, 1] += time * seeds[i] * amplitude[0, 0]

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
        last, n_voxels, offset, tape_rows, profile, weight, equilibrium, accumulate, keep
    ):  # fmt: skip
        thread = cuda.grid(1)
        lane = thread % lanes
        voxel = thread // lanes
        present = voxel < n_voxels
        voxel = min(voxel, n_voxels - 1)
        state_place = np.uint64(cuda.blockIdx.x) * np.uint64(state_rows * threads) + np.uint64(cuda.threadIdx.x)
        tape_place = np.uint64(cuda.blockIdx.x) * np.uint64(tape_rows * threads) + np.uint64(cuda.threadIdx.x)
        x = cuda.local.array((n_sets, planes, 3, n_rows), real)
        t = cuda.local.array((n_sets, planes, 3), real)  # a row as it arrives
        carry = cuda.local.array((n_sets, planes), real)
        above = cuda.local.array((n_sets, planes), real)
        seeds = cuda.local.array(n_sets, real)
        amplitude = cuda.local.array((n_sets, planes), real)
        r1, r2, b1 = tissue[R1, voxel], tissue[R2, voxel], tissue[B1, voxel] * profile
        omega, efficiency, m0 = tissue[OMEGA, voxel], tissue[INVERSION, voxel], tissue[M0, voxel]
        load_seeds(seeds, r1, r2, profile)
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
        duration, time, e1, e2 = -1, zero, one, one
        for n in range(first, last):
            step = n * col.N_STEP
            moving = arrive(x, steps, step, one, zero, lane, last_lane)
            if steps[step + col.DURATION] != duration:
                duration = steps[step + col.DURATION]
                time = durations[duration]
                e1, e2 = math.exp(-time * r1), math.exp(-time * r2)
            if steps[step + col.INVERT]:
                if lane == 0:
                    invert(x, seeds, efficiency, flips[n], e1, time, scale)
                else:
                    clear(x, zero)
            else:
                flip = flips[n] * b1
                c, s = cos_sin(flip)
                ca, cb, cc, cd, ce = coefficients(c, s, e1, e2, half)
                tc, ts, turned = one, zero, False
                if planes == 2:
                    tc, ts = turns[n, 0], turns[n, 1]
                    if precesses:
                        oc, os = rotation(time * omega)
                        tc, ts = turn(oc, os, tc, ts)
                    turned = precesses or tc != one or ts != zero
                g_flip, rows = flips[n] * half_pi, steps[step + col.ROWS]
                if moving:
                    fold, sign = steps[step + col.FOLD], -one if steps[step + col.QUADRATURE] else one
                    for i in range(n_sets):
                        for plane in range(planes):
                            carry[i, plane], above[i, plane] = neighbours(
                                x, i, plane, fold, sign, zero, lane, last_lane
                            )
                    pulse_rows(x, t, carry, above, seeds, rows, time, g_flip, ca, cb, cc, cd, ce, tc, ts, turned, True)
                else:
                    pulse_rows(x, t, carry, above, seeds, rows, time, g_flip, ca, cb, cc, cd, ce, tc, ts, turned, False)
                if steps[step + col.RECOVERY] and lane == 0:
                    recover(x, seeds, c, s, e1, time, scale)
                    # the flip seeds of what has been gained
                    for i in range(1, n_sets):
                        if kinds[i] == B1:
                            gain = g_flip * seeds[i] * scale * (one - e1)
                            x[i, planes - 1, 0, 0] += half * c * gain
                            x[i, planes - 1, 1, 0] -= half * c * gain
                            x[i, planes - 1, 2, 0] -= s * gain
            if keep:
                before = np.uint64(steps[step + col.TAPE] - steps[first * col.N_STEP + col.TAPE])
                place = tape_place + before * np.uint64(n_sets * planes * 3 * threads)
                record(x, tape, place, lane, steps[step + col.ROWS])
            if steps[step + col.INVERT] and lane == 0:
                forget_arriving(x)
            for r in range(steps[step + col.READ_BEGIN], steps[step + col.READ_END]):
                component, row, out = reads[r, 0], reads[r, 1], reads[r, 3]
                own = row // n_rows
                if lane == own and present:
                    read(
                        x, seeds, amplitude, component, row - own * n_rows, steps[step + col.QUADRATURE], r1, r2, omega,
                        durations[reads[r, 2]], equilibrium
                    )  # fmt: skip
                    if taped:
                        for i in range(n_sets):
                            for plane in range(planes):
                                signal[i * planes + plane, out, voxel] = amplitude[i, plane]
                    else:
                        write(amplitude, out, m0, weight, factors, signal, jacobian, offset + voxel, accumulate)
        if taped and last * col.N_STEP < steps.shape[0]:
            save(x, saved, state_place, threads)

    return play
