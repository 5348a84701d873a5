"""Voxels through a program: load lanes, find the steady state, play, write signals and Jacobians, gather gradients.

A unit is as many neighbouring voxels as there are lanes; it is played once for each position of the slice profile.
Every voxel meets the same instructions whatever its neighbours, and sums over voxels are kept per group of units, so
results do not depend on threads or chunks.
"""

from collections import namedtuple

import numpy as np

from . import columns as col
from .columns import B1, GROUP, SIGNAL, VECTOR
from .forward import Player, play
from .jit import at, entry, kernel
from .passes import fill_zero
from .physics import sin_cos_turns
from .reverse import Bars, rewind

__all__ = ["Bars", "Call", "Player", "amplitude_batch", "gradient_batch", "signal_batch"]

M0 = 3  # the fourth row of the tissue table; the others are R1, R2, B1. Also the codes of the derivatives.

# What a call plays: tissue (4 rows of one number per voxel), slice profile, codes of the derivatives and the state set
# of each (0 for M0, which is none), complex factor of each output, number of voxels.
Call = namedtuple("Call", "tissue profile codes sets factors n_voxels")


@kernel
def select(player, part):
    """Pointers to what one part of a program plays: see `forward.Player`."""
    sizes = at(player.sizes, part * col.N_SIZE)
    return Player(
        at(player.steps, part * player.steps.shape[1] * col.N_STEP),
        at(player.reads, part * player.reads.shape[1] * col.N_READ),
        at(player.segments, part * player.segments.shape[1] * col.N_SEGMENT),
        sizes,
        at(player.durations, 0),
        at(player.flips, part * player.flips.shape[1]),
        at(player.turns, part * player.turns.shape[1]),
        at(player.rates, 0),
        at(player.decay, 0),
        at(player.trig, part * player.trig.shape[1]),
        at(player.seeds, 0),
        at(player.kinds, 0),
        at(player.scratch, 0),
        player.half,
        at(player.equilibrium, 0),
        at(player.space, 0),
        at(player.amplitudes, sizes[col.AMPLITUDES]),
        at(player.adjoint, 0),
        at(player.amplitudes_bar, sizes[col.AMPLITUDES]),
        at(player.z, 0),
    )


@kernel
def select_call(call):
    """The same for a call."""
    return Call(
        at(call.tissue, 0), at(call.profile, 0), at(call.codes, 0), at(call.sets, 0), at(call.factors, 0), call.n_voxels
    )


@kernel
def select_bars(bars, part, group):
    """Pointers to the derivatives of one part and group of voxels."""
    groups = bars.flips.shape[1]
    return Bars(
        at(bars.flips, (part * groups + group) * bars.flips.shape[2]),
        at(bars.turns, (part * groups + group) * bars.turns.shape[2]),
        at(bars.durations, group * bars.durations.shape[1]),
        at(bars.factors, group * bars.factors.shape[1]),
        at(bars.profile, group * bars.profile.shape[1]),
        at(bars.rates, 0),
        at(bars.seeds, 0),
        at(bars.z, 0),
        at(bars.sums, 0),
    )


@kernel
def load_rates(player, call, scale, voxel):
    """Rates, decay factors and seeds of one block; B1 is `scale` times the tissue's."""
    rates, decay, seeds, durations, sizes = player.rates, player.decay, player.seeds, player.durations, player.sizes
    lanes, last = sizes[col.LANES], call.n_voxels - 1
    for rate in range(2):
        tissue = at(call.tissue, rate * call.n_voxels)
        for j in range(VECTOR):
            rates[rate * VECTOR + j] = tissue[min(voxel + j % lanes, last)]
    for d in range(sizes[col.N_DURATIONS]):
        for rate in range(2):
            e = (2 * d + rate) * VECTOR
            for j in range(lanes):
                decay[e + j] = np.exp(-durations[d] * rates[rate * VECTOR + j])
            for j in range(lanes, VECTOR):
                decay[e + j] = decay[e + j - lanes]
    for k in range(sizes[col.N_CODES]):
        i, code = call.sets[k], call.codes[k]
        if i > 0:
            for rate in range(3):
                for j in range(VECTOR):
                    r = rates[rate * VECTOR + j]  # dR1/dT1 = -R1^2
                    slope = scale if rate == B1 else -r * r
                    seeds[(3 * i - 3 + rate) * VECTOR + j] = slope if rate == code else 0 * slope


@kernel
def load_b1(player, call, scale, voxel, fresh):
    """B1 of one block; whether it is any other than that of the block before."""
    rates, lanes, last = player.rates, player.sizes[col.LANES], call.n_voxels - 1
    tissue = at(call.tissue, B1 * call.n_voxels)
    changed = fresh
    for j in range(VECTOR):
        before = rates[B1 * VECTOR + j]
        rates[B1 * VECTOR + j] = tissue[min(voxel + j % lanes, last)] * scale
        changed = changed or rates[B1 * VECTOR + j] != before
    return changed


@kernel
def load_angles(player):
    """Cosine and sine of every pulse of a part."""
    rates, trig, flips, sizes = player.rates, player.trig, player.flips, player.sizes
    n_steps = sizes[col.N_STEPS]
    if sizes[col.LANES] > 1:
        for n in range(n_steps):
            flip = flips[n]
            for j in range(VECTOR):
                x = flip * rates[B1 * VECTOR + j]
                s, c = sin_cos_turns(x, np.floor(x.real + 0.5))
                trig[2 * n * VECTOR + j] = c
                trig[(2 * n + 1) * VECTOR + j] = s
        return
    for first in range(0, n_steps, VECTOR):  # one lane: a vector of pulses at a time, then copies of each
        cosines, sines = player.scratch, at(player.scratch, VECTOR)
        for j in range(VECTOR):
            x = flips[min(first + j, n_steps - 1)] * rates[B1 * VECTOR]
            s, c = sin_cos_turns(x, np.floor(x.real + 0.5))
            cosines[j] = c
            sines[j] = s
        for n in range(first, min(first + VECTOR, n_steps)):
            c, s = cosines[n - first], sines[n - first]
            for j in range(VECTOR):
                trig[2 * n * VECTOR + j] = c
                trig[(2 * n + 1) * VECTOR + j] = s


# Rows of `Player.z`: where the train starts; the two ends of the repetition; their derivatives; scratch.
Z_START, Z_A, Z_B, Z_A_BAR, Z_B_BAR, Z_AGAIN = range(6)


@kernel
def z_row(player, k):
    return at(player.z, k * player.sizes[col.N_SETS_Z])


@kernel
def set_z(z, value, count):
    """The same Z_0 in every lane, no tangents."""
    for k in range(count):
        z[k] = value if k < VECTOR else 0


@kernel
def read_z(end, z):
    """Z_0 at the end of the repetition, per set and lane, after the END part was played."""
    planes, lanes = end.sizes[col.PLANES], end.sizes[col.LANES]
    for i in range(end.sizes[col.TANGENTS] + 1):
        for j in range(lanes):
            z[i * VECTOR + j] = end.amplitudes[(i * planes + planes - 1) * lanes + j]


@kernel
def fixed_point(player):
    """Z_0 = a Z_0 + b, with tangents; equilibrium where a repetition changes nothing."""
    z, a, b = z_row(player, Z_START), z_row(player, Z_A), z_row(player, Z_B)
    for j in range(player.sizes[col.LANES]):
        if a[j] == 1:
            a[j], b[j] = 0 * a[j], a[j]
        z[j] = b[j] / (1 - a[j])
        for i in range(1, player.sizes[col.TANGENTS] + 1):
            k = i * VECTOR + j
            z[k] = (a[k] * z[j] + b[k]) / (1 - a[j])


@kernel
def fixed_point_adjoint(player, z_bar):
    """Adjoint of `fixed_point`."""
    z, a = z_row(player, Z_START), z_row(player, Z_A)
    a_bar, b_bar = z_row(player, Z_A_BAR), z_row(player, Z_B_BAR)
    for j in range(player.sizes[col.LANES]):
        rest = 1 - a[j]
        total = z_bar[j]
        a_bar[j] = 0
        for i in range(1, player.sizes[col.TANGENTS] + 1):
            k = i * VECTOR + j
            b_bar[k] = z_bar[k] / rest
            a_bar[k] = b_bar[k] * z[j]
            total += b_bar[k] * a[k]
            a_bar[j] += b_bar[k] * z[k]
        b_bar[j] = total / rest
        a_bar[j] += b_bar[j] * z[j]


@kernel
def play_block(signal, end, call, position, voxel, fresh, keep):
    """Load one block and play it: its amplitudes, and with `keep` all that `pull_block` needs.

    A sequence that repeats is first played for Z_0 at its end, which is a Z_0 + b, from 1 without recovery (a) and from
    0 with it (b); the train then starts from the fixed point.
    """
    scale = call.profile[position]
    repeats = signal.sizes[col.REPEATS] == 1
    changed = load_b1(signal, call, scale, voxel, fresh)
    load_rates(signal, call, scale, voxel)
    for stage in range(0 if repeats else 2, 3):
        player = end if stage < 2 else signal
        if changed and stage != 1:
            load_angles(player)
        player.equilibrium[0] = min(stage, 1)
        start = z_row(player, Z_START if stage == 2 else Z_A + stage)
        set_z(start, 0 if stage == 1 else 1, player.sizes[col.N_SETS_Z])
        if stage == 2 and repeats:
            fixed_point(player)
        play(player, start, keep, -1)
        if stage < 2:
            read_z(player, start)


@kernel
def write_block(player, call, position, voxel, target, count, signal, jacobian):
    """A block's amplitudes, times M0 and the outputs' factors, into `count` voxels of the results from `target` on.

    The first position of the slice profile sets them, the others add.
    """
    sizes, amplitudes, factors, codes = player.sizes, player.amplitudes, call.factors, call.codes
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    weight = 1 / sizes[col.N_POSITIONS]
    for j in range(count):
        for k in range(-1, sizes[col.N_CODES]):
            i = call.sets[k] if k >= 0 else 0
            scale = weight if k >= 0 and codes[k] == M0 else weight * call.tissue[M0 * call.n_voxels + voxel + j]
            first = i * planes * n_out * lanes + j
            second = first + (planes - 1) * n_out * lanes
            both = planes - 1
            for o in range(n_out):
                re, im = scale * amplitudes[first + o * lanes], both * scale * amplitudes[second + o * lanes]
                factor = factors[o]
                value = complex(re * factor.real - im * factor.imag, re * factor.imag + im * factor.real)
                if k < 0:
                    signal[target + j, o] = value if position == 0 else signal[target + j, o] + value
                else:
                    jacobian[target + j, k, o] = value if position == 0 else jacobian[target + j, k, o] + value


@kernel
def load_bars(player, call, voxel, target, count, signal_bar, jacobian_bar, tissue_bar, bars):
    """Derivatives of the scalar with respect to a block's amplitudes, from those with respect to the results."""
    sizes, amplitudes, amplitudes_bar, codes = player.sizes, player.amplitudes, player.amplitudes_bar, call.codes
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    weight = 1 / sizes[col.N_POSITIONS]
    fill_zero(amplitudes_bar, (sizes[col.TANGENTS] + 1) * planes * n_out * lanes)
    for j in range(count):
        m0 = call.tissue[M0 * call.n_voxels + voxel + j]
        for k in range(-1, sizes[col.N_CODES]):
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
                    bars.factors[o] += scale * across * amplitudes[a]
                    if by_m0:
                        tissue_bar[M0, voxel + j] += weight * along * amplitudes[a]


@kernel
def gather_tissue(player, call, position, voxel, count, bars, tissue_bar):
    """From rates to the tissue's own parameters, and to the slice profile."""
    rates, sizes = player.rates, player.sizes
    lanes, scale, n_codes = sizes[col.LANES], call.profile[position], sizes[col.N_CODES]
    for j in range(VECTOR):
        lane = j % lanes
        if lane >= count:
            continue
        b1_bar = bars.rates[B1 * VECTOR + j]
        bars.profile[position] += call.tissue[B1 * call.n_voxels + voxel + lane] * b1_bar
        tissue_bar[B1, voxel + lane] += scale * b1_bar
        for rate in range(2):
            r, r_bar = rates[rate * VECTOR + j], bars.rates[rate * VECTOR + j]
            for k in range(n_codes):
                if call.codes[k] == rate:
                    r_bar -= 2 * r * bars.seeds[(3 * call.sets[k] - 3 + rate) * VECTOR + j]
            tissue_bar[rate, voxel + lane] -= r * r * r_bar
        for k in range(n_codes):
            if call.codes[k] == B1:
                bars.profile[position] += bars.seeds[(3 * call.sets[k] - 3 + B1) * VECTOR + j]
    fill_zero(bars.rates, 3 * VECTOR)
    fill_zero(bars.seeds, 3 * sizes[col.TANGENTS] * VECTOR)


@kernel
def load_end_bars(end, bar):
    """Derivatives of the scalar with respect to the amplitudes of the END part."""
    planes, lanes = end.sizes[col.PLANES], end.sizes[col.LANES]
    for i in range(end.sizes[col.TANGENTS] + 1):
        for plane in range(planes):
            for j in range(lanes):
                value = bar[i * VECTOR + j] if plane == planes - 1 else 0 * bar[j]
                end.amplitudes_bar[(i * planes + plane) * lanes + j] = value


@kernel
def pull_block(signal, end, bars, end_bars, keep, timing, turning):
    """Derivatives of one block, after `play_block` with `keep` and `load_bars`."""
    repeats = signal.sizes[col.REPEATS] == 1
    for stage in range(3 if repeats else 1):
        player = signal if stage == 0 else end
        if stage > 0:  # undo the two plays that the fixed point came from
            start = z_row(player, Z_AGAIN)
            player.equilibrium[0] = stage - 1
            set_z(start, 2 - stage, player.sizes[col.N_SETS_Z])
            play(player, start, keep, -1)
            load_end_bars(player, z_row(player, Z_A_BAR + stage - 1))
        rewind(player, bars if stage == 0 else end_bars, timing, turning)
        if stage == 0 and repeats:
            fixed_point_adjoint(player, bars.z)


@entry
def signal_batch(player, call, signal, jacobian, first, last):
    """Signal and Jacobian of voxels `first` to `last` (whole units)."""
    own, end, call = select(player, SIGNAL), select(player, len(player.sizes) - 1), select_call(call)
    lanes = own.sizes[col.LANES]
    for position in range(own.sizes[col.N_POSITIONS]):
        for voxel in range(first, last, lanes):
            play_block(own, end, call, position, voxel, voxel == first, False)
            write_block(own, call, position, voxel, voxel, min(lanes, call.n_voxels - voxel), signal, jacobian)


@entry
def amplitude_batch(player, call, amplitudes, first, last):
    """Bare amplitudes (voxel, set, plane, output), averaged over the slice: before M0 and the outputs' factors."""
    own, end, call = select(player, SIGNAL), select(player, len(player.sizes) - 1), select_call(call)
    lanes, planes, n_out = own.sizes[col.LANES], own.sizes[col.PLANES], own.sizes[col.N_OUT]
    weight = 1 / own.sizes[col.N_POSITIONS]
    for position in range(own.sizes[col.N_POSITIONS]):
        for voxel in range(first, last, lanes):
            play_block(own, end, call, position, voxel, voxel == first, False)
            for j in range(min(lanes, call.n_voxels - voxel)):
                for i in range(amplitudes.shape[1] * planes):
                    for o in range(n_out):
                        value = weight * own.amplitudes[(i * n_out + o) * lanes + j]
                        amplitudes[voxel + j, i // planes, i % planes, o] += value


@entry
def gradient_batch(player, call, signal_bar, jacobian_bar, bars, tissue_bar, first, last, timing, turning):
    """Derivatives, given those with respect to the results, of voxels `first` to `last` (whole groups).

    Sums over voxels go to row g of each table in `bars`, g the group.
    """
    parts = len(player.sizes)
    own, end, call = select(player, SIGNAL), select(player, parts - 1), select_call(call)
    lanes = own.sizes[col.LANES]
    for voxel in range(first, last, lanes):
        group = voxel // (GROUP * lanes)
        own_bars, end_bars = select_bars(bars, SIGNAL, group), select_bars(bars, parts - 1, group)
        count = min(lanes, call.n_voxels - voxel)
        for position in range(own.sizes[col.N_POSITIONS]):
            play_block(own, end, call, position, voxel, True, True)
            load_bars(own, call, voxel, voxel, count, signal_bar, jacobian_bar, tissue_bar, own_bars)
            pull_block(own, end, own_bars, end_bars, True, timing, turning)
            gather_tissue(own, call, position, voxel, count, own_bars, tissue_bar)
