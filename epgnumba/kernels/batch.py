"""Voxels through a program: load lanes, find the steady state, play, write signals and Jacobians, gather gradients.

A unit is as many neighbouring voxels as there are lanes; it is played once for each position of the slice profile.
Every voxel meets the same instructions whatever its neighbours, and sums over voxels are kept per group of units, so
results do not depend on threads or chunks.
"""

from collections import namedtuple

import numpy as np

from . import columns as col
from .columns import B1, END, R1, R2, SIGNAL, VECTOR
from .forward import Player, play
from .jit import at, entry, kernel
from .passes import fill_zero
from .physics import sin_cos_turns
from .reverse import Bars, rewind

__all__ = ["Bars", "Call", "Player", "amplitude_batch", "gradient_batch", "signal_batch"]

M0 = 3  # the fourth row of the tissue table; the others are R1, R2, B1. Also the codes of the derivatives.
GROUP = 8  # units whose gradients are summed before they are written

# What a call plays: tissue (4, voxels), slice profile, codes of the derivatives and the state set of each (0 for M0,
# which is none), complex factor of each output, whether the sequence repeats.
Call = namedtuple("Call", "tissue profile codes sets factors steady")


@kernel
def load_rates(player, call, scale, voxel):
    """Rates, decay factors and seeds of one block; B1 is `scale` times the tissue's."""
    tissue, rates, decay, seeds, durations = call.tissue, player.rates, player.decay, player.seeds, player.durations
    lanes, last = player.sizes[SIGNAL, col.LANES], tissue.shape[1] - 1
    for j in range(VECTOR):
        v = min(voxel + j % lanes, last)
        rates[R1 * VECTOR + j] = tissue[R1, v]
        rates[R2 * VECTOR + j] = tissue[R2, v]
    for d in range(len(durations)):
        for rate in range(2):
            e = (2 * d + rate) * VECTOR
            for j in range(lanes):
                decay[e + j] = np.exp(-durations[d] * tissue[rate, min(voxel + j, last)])
            for j in range(lanes, VECTOR):
                decay[e + j] = decay[e + j - lanes]
    for k in range(len(call.codes)):
        i, code = call.sets[k], call.codes[k]
        if i > 0:
            for rate in range(3):
                for j in range(VECTOR):
                    r = rates[rate * VECTOR + j]  # dR1/dT1 = -R1^2
                    slope = scale if rate == B1 else -r * r
                    seeds[(3 * i - 3 + rate) * VECTOR + j] = slope if rate == code else 0 * slope


@kernel
def load_angles(player, call, scale, voxel, fresh):
    """Cosine and sine of every pulse; nothing to do where B1 is that of the block before."""
    tissue, rates, trig, flips, sizes = call.tissue, player.rates, player.trig, player.flips, player.sizes
    lanes, last = sizes[SIGNAL, col.LANES], tissue.shape[1] - 1
    changed = fresh
    for j in range(VECTOR):
        before = rates[B1 * VECTOR + j]
        rates[B1 * VECTOR + j] = tissue[B1, min(voxel + j % lanes, last)] * scale
        changed = changed or rates[B1 * VECTOR + j] != before
    if not changed:
        return
    for part in range(2 if call.steady else 1):
        for n in range(sizes[part, col.N_STEPS]):
            for j in range(VECTOR):
                x = flips[part, n] * rates[B1 * VECTOR + j]
                s, c = sin_cos_turns(x, np.floor(x.real + 0.5))
                trig[part, 2 * n * VECTOR + j] = c
                trig[part, (2 * n + 1) * VECTOR + j] = s


@kernel
def set_z(z, value):
    """The same Z_0 in every lane, no tangents."""
    for k in range(len(z)):
        z[k] = value if k < VECTOR else 0 * value


@kernel
def read_z(player, z):
    """Z_0 at the end of the repetition, per set and lane, after the END part was played."""
    sizes = player.sizes
    planes, lanes = sizes[END, col.PLANES], sizes[END, col.LANES]
    for i in range(len(z) // VECTOR):
        amplitude = sizes[END, col.AMPLITUDES] + (i * planes + planes - 1) * lanes
        for j in range(lanes):
            z[i * VECTOR + j] = player.amplitudes[amplitude + j]


@kernel
def fixed_point(z, a, b, lanes):
    """Z_0 = a Z_0 + b, with tangents."""
    for j in range(lanes):
        z[j] = b[j] / (1 - a[j])
    for i in range(1, len(z) // VECTOR):
        for k in range(i * VECTOR, i * VECTOR + lanes):
            j = k - i * VECTOR
            z[k] = (a[k] * z[j] + b[k]) / (1 - a[j])


@kernel
def fixed_point_adjoint(z, a, z_bar, a_bar, b_bar, lanes):
    """Adjoint of `fixed_point`."""
    for j in range(lanes):
        rest = 1 - a[j]
        total = z_bar[j]
        a_bar[j] = 0
        for i in range(1, len(z) // VECTOR):
            k = i * VECTOR + j
            b_bar[k] = z_bar[k] / rest
            a_bar[k] = b_bar[k] * z[j]
            total += b_bar[k] * a[k]
            a_bar[j] += b_bar[k] * z[k]
        b_bar[j] = total / rest
        a_bar[j] += b_bar[j] * z[j]


@kernel
def play_block(player, call, position, voxel, fresh, keep):
    """Load one block and play it: its amplitudes, and with `keep` all that `pull_block` needs.

    A sequence that repeats is first played for Z_0 at its end, which is a Z_0 + b, from 1 without recovery (a) and from
    0 with it (b); the train then starts from the fixed point.
    """
    load_angles(player, call, call.profile[position], voxel, fresh)
    load_rates(player, call, call.profile[position], voxel)
    z = player.z
    for stage in range(0 if call.steady else 2, 3):
        part = END if stage < 2 else SIGNAL
        player.equilibrium[0] = min(stage, 1)
        start = z[0] if stage == 2 else z[1 + stage]
        set_z(start, 1 if stage != 1 else 0)
        if stage == 2 and call.steady:
            fixed_point(start, z[1], z[2], player.sizes[SIGNAL, col.LANES])
        play(player, part, start, keep, -1)
        if stage < 2:
            read_z(player, start)


@kernel
def write_block(player, call, voxel, target, count, signal, jacobian):
    """Add a block's amplitudes, times M0 and the outputs' factors, to `count` voxels of the results from `target` on."""
    sizes, amplitudes, factors, codes = player.sizes, player.amplitudes, call.factors, call.codes
    lanes, planes, n_out = sizes[SIGNAL, col.LANES], sizes[SIGNAL, col.PLANES], sizes[SIGNAL, col.N_OUT]
    weight = 1 / len(call.profile)
    for j in range(count):
        for k in range(-1, len(codes)):
            i = call.sets[k] if k >= 0 else 0
            scale = weight if k >= 0 and codes[k] == M0 else weight * call.tissue[M0, voxel + j]
            start = i * planes * n_out * lanes + j
            for o in range(n_out):
                value = scale * amplitudes[start + o * lanes] * factors[o]
                if planes == 2:
                    other = scale * amplitudes[start + (n_out + o) * lanes] * factors[o]
                    value += complex(-other.imag, other.real)
                if k < 0:
                    signal[target + j, o] += value
                else:
                    jacobian[target + j, k, o] += value


@kernel
def load_bars(player, call, voxel, target, count, signal_bar, jacobian_bar, tissue_bar, bars, group):
    """Derivatives of the scalar with respect to a block's amplitudes, from those with respect to the results."""
    sizes, amplitudes, amplitudes_bar, codes = player.sizes, player.amplitudes, player.amplitudes_bar, call.codes
    lanes, planes, n_out = sizes[SIGNAL, col.LANES], sizes[SIGNAL, col.PLANES], sizes[SIGNAL, col.N_OUT]
    weight = 1 / len(call.profile)
    fill_zero(at(amplitudes_bar, 0), (sizes[SIGNAL, col.TANGENTS] + 1) * planes * n_out * lanes)
    for j in range(count):
        m0 = call.tissue[M0, voxel + j]
        for k in range(-1, len(codes)):
            i = call.sets[k] if k >= 0 else 0
            by_m0 = k < 0 or codes[k] != M0
            scale = weight * m0 if by_m0 else weight
            for o in range(n_out):
                bar = signal_bar[target + j, o] if k < 0 else jacobian_bar[target + j, k, o]
                factor = call.factors[o]
                in_phase = bar.real * factor.real + bar.imag * factor.imag
                quadrature = bar.imag * factor.real - bar.real * factor.imag
                for plane in range(planes):
                    along = in_phase if plane == 0 else quadrature
                    across = quadrature if plane == 0 else -in_phase
                    a = ((i * planes + plane) * n_out + o) * lanes + j
                    amplitudes_bar[a] += scale * along
                    bars.factors[group, o] += scale * across * amplitudes[a]
                    if by_m0:
                        tissue_bar[M0, voxel + j] += weight * along * amplitudes[a]


@kernel
def gather_tissue(player, call, position, voxel, count, bars, group, tissue_bar):
    """From rates to the tissue's own parameters, and to the slice profile."""
    rates, rates_bar, seeds_bar, codes = player.rates, bars.rates, bars.seeds, call.codes
    lanes, scale = player.sizes[SIGNAL, col.LANES], call.profile[position]
    for j in range(VECTOR):
        lane = j % lanes
        if lane >= count:
            continue
        b1_bar = rates_bar[B1 * VECTOR + j]
        bars.profile[group, position] += call.tissue[B1, voxel + lane] * b1_bar
        tissue_bar[B1, voxel + lane] += scale * b1_bar
        for rate in range(2):
            r, r_bar = rates[rate * VECTOR + j], rates_bar[rate * VECTOR + j]
            for k in range(len(codes)):
                if codes[k] == rate:
                    r_bar -= 2 * r * seeds_bar[(3 * call.sets[k] - 3 + rate) * VECTOR + j]
            tissue_bar[rate, voxel + lane] -= r * r * r_bar
        for k in range(len(codes)):
            if codes[k] == B1:
                bars.profile[group, position] += seeds_bar[(3 * call.sets[k] - 3 + B1) * VECTOR + j]
    fill_zero(at(rates_bar, 0), 3 * VECTOR)
    fill_zero(at(seeds_bar, 0), len(seeds_bar))


@kernel
def load_end_bars(player, bar):
    """Derivatives of the scalar with respect to the amplitudes of the END part."""
    sizes, amplitudes_bar = player.sizes, player.amplitudes_bar
    planes, lanes = sizes[END, col.PLANES], sizes[END, col.LANES]
    for i in range(sizes[END, col.TANGENTS] + 1):
        for plane in range(planes):
            for j in range(lanes):
                out = sizes[END, col.AMPLITUDES] + (i * planes + plane) * lanes + j
                amplitudes_bar[out] = bar[i * VECTOR + j] if plane == planes - 1 else 0 * bar[j]


@kernel
def pull_block(player, call, bars, group, keep, timing, turning):
    """Derivatives of one block, after `play_block` with `keep` and `load_bars`."""
    z = player.z
    for stage in range(3 if call.steady else 1):
        part = SIGNAL if stage == 0 else END
        if stage > 0:  # undo the two plays that the fixed point came from
            start = z[5]
            player.equilibrium[0] = stage - 1
            set_z(start, 2 - stage)
            play(player, part, start, keep, -1)
            load_end_bars(player, z[2 + stage])
        rewind(player, part, bars, group, timing, turning)
        if stage == 0 and call.steady:
            fixed_point_adjoint(z[0], z[1], bars.z, z[3], z[4], player.sizes[SIGNAL, col.LANES])


@entry
def signal_batch(player, call, signal, jacobian, first, last):
    """Signal and Jacobian of voxels `first` to `last` (whole units); adds to zeroed results."""
    lanes = player.sizes[SIGNAL, col.LANES]
    n_voxels = call.tissue.shape[1]
    for position in range(len(call.profile)):
        for voxel in range(first, last, lanes):
            play_block(player, call, position, voxel, voxel == first, False)
            write_block(player, call, voxel, voxel, min(lanes, n_voxels - voxel), signal, jacobian)


@entry
def amplitude_batch(player, call, amplitudes, first, last):
    """Bare amplitudes (voxel, set, plane, output), averaged over the slice: before M0 and the outputs' factors."""
    lanes, planes, n_out = (
        player.sizes[SIGNAL, col.LANES],
        player.sizes[SIGNAL, col.PLANES],
        player.sizes[SIGNAL, col.N_OUT],
    )
    weight = 1 / len(call.profile)
    for position in range(len(call.profile)):
        for voxel in range(first, last, lanes):
            play_block(player, call, position, voxel, voxel == first, False)
            for j in range(min(lanes, call.tissue.shape[1] - voxel)):
                for i in range(amplitudes.shape[1] * planes):
                    for o in range(n_out):
                        value = weight * player.amplitudes[(i * n_out + o) * lanes + j]
                        amplitudes[voxel + j, i // planes, i % planes, o] += value


@entry
def gradient_batch(player, call, signal_bar, jacobian_bar, bars, tissue_bar, first, last, timing, turning):
    """Derivatives, given those with respect to the results, of voxels `first` to `last` (whole groups).

    Sums over voxels go to row g of each table in `bars`, g the group.
    """
    lanes = player.sizes[SIGNAL, col.LANES]
    for voxel in range(first, last, lanes):
        group = voxel // (GROUP * lanes)
        count = min(lanes, call.tissue.shape[1] - voxel)
        for position in range(len(call.profile)):
            play_block(player, call, position, voxel, True, True)
            load_bars(player, call, voxel, voxel, count, signal_bar, jacobian_bar, tissue_bar, bars, group)
            pull_block(player, call, bars, group, True, timing, turning)
            gather_tissue(player, call, position, voxel, count, bars, group, tissue_bar)
