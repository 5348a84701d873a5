"""Voxels through a program: load lanes, find the steady state, play, write signals and Jacobians, gather gradients.

A unit is as many neighbouring voxels as there are lanes; it is played once for each position of the slice profile.
Every voxel meets the same instructions whatever its neighbours, and sums over voxels are kept per group of units, so
results do not depend on threads or chunks.
"""

from collections import namedtuple

import numpy as np

from . import columns as col
from .columns import (
    B1,
    END,
    EQUILIBRIUM,
    GROUP,
    HALF,
    HZ,
    INVERSION,
    M0,
    N_DECAY,
    N_RATES,
    N_SUMS,
    OMEGA,
    R2,
    SIGNAL,
    VECTOR,
)
from .ensemble import play_ensemble, pull_ensemble
from .forward import Player, play
from .gather import Bars
from .jit import at, decay_factor, entry, keep_out_of_line, kernel, pasted, unfused
from .lanes import call_rows
from .passes import fill_zero
from .physics import sin_cos_turns
from .reverse import rewind
from .rounding import hide_amplitude_rounding, hide_rounding
from .rows import HALF_PI
from .steady import play_to_start, rewind_to_start, set_start

__all__ = ["Call", "amplitude_batch", "gradient_batch", "pull_batch", "signal_batch"]

# What a call plays: tables of integers, sizes (a row for each part, then codes, sets and kinds), values (flips and what
# else the program refers to), tissue (one number per row and voxel), complex factors of the outputs, voxels.
# Few arrays with much in each: every one that Python passes costs 0.1 us.
Call = namedtuple("Call", "tables sizes values tissue factors n_voxels")


@kernel
def select(call, room, part):
    """Pointers to what one part of a program plays, in the room of a thread."""
    sizes = at(call.sizes, part * col.N_SIZE)
    scratch = at(room, sizes[col.SCRATCH_AT])
    return Player(
        at(call.tables, sizes[col.STEPS_AT]),
        at(call.tables, sizes[col.READS_AT]),
        at(call.tables, sizes[col.SEGMENTS_AT]),
        sizes,
        at(call.sizes, sizes[col.KINDS_AT]),
        at(call.values, sizes[col.DURATIONS_AT]),
        at(call.values, sizes[col.FLIPS_AT]),
        at(room, sizes[col.TURNED_AT]) if sizes[col.TURNED_AT] > 0 else at(call.values, sizes[col.TURNS_AT]),
        at(room, sizes[col.RATES_AT]),
        at(room, sizes[col.DECAY_AT]),
        at(room, sizes[col.TRIG_AT]),
        at(room, sizes[col.SEEDS_AT]),
        scratch,
        scratch[HALF],
        at(room, sizes[col.SPACE_AT]),
        at(room, sizes[col.AMPLITUDES_AT]),
        at(room, sizes[col.ADJOINT_AT]),
        at(room, sizes[col.AMPLITUDES_BAR_AT]),
        at(room, sizes[col.BOUNDARY_AT]),
    )


@kernel
def last_part(call):
    """END, where the sequence repeats and there is one; else SIGNAL again."""
    return END if call.sizes[col.BOUNDARY] > 0 else SIGNAL


# The same of a call that kernels see, with what it needs of the sizes; and of an ensemble (see `ensemble`) its members,
# the gradients before readouts, which of those an output has, phase steps, mean amplitudes and mean starts.
Given = namedtuple(
    "Given", "profile rounding codes sets tissue factors n_voxels members orders order_of phases mean starts"
)


@kernel
def select_call(call, room):
    """Pointers to what all parts share."""
    sizes = call.sizes
    return Given(
        at(call.values, sizes[col.PROFILE_AT]),
        at(call.values, sizes[col.ROUNDING_AT]),
        at(sizes, sizes[col.CODES_AT]),
        at(sizes, sizes[col.SETS_AT]),
        at(call.tissue, 0),
        at(call.factors, 0),
        call.n_voxels,
        at(call.values, sizes[col.MEMBERS_AT]),
        at(sizes, sizes[col.ORDERS_AT]),
        at(sizes, sizes[col.ORDER_OF_AT]),
        at(call.values, at(sizes, last_part(call) * col.N_SIZE)[col.TURNS_AT]),
        at(room, sizes[col.MEAN_AT]),
        at(room, sizes[col.STARTS_AT]),
    )


@kernel
def select_bars(player, sums, lane, part, group, n_groups):
    """Pointers to the derivatives of one part and group of voxels; `lane` is a thread's own."""
    sizes = player.sizes
    base, tangents = (part * n_groups + group) * sizes[col.SUMS_WIDTH], sizes[col.TANGENTS]
    rates = N_SUMS * VECTOR
    seeds = rates + N_RATES * VECTOR
    return Bars(
        at(sums, base + sizes[col.FLIP_SUMS_AT]),
        at(sums, base + sizes[col.TURN_SUMS_AT]),
        at(sums, base + sizes[col.DURATION_SUMS_AT]),
        at(sums, base + sizes[col.FACTOR_SUMS_AT]),
        at(sums, base + sizes[col.PROFILE_SUMS_AT]),
        at(lane, rates),
        at(lane, seeds),
        at(lane, seeds + N_RATES * VECTOR * tangents),
        at(lane, 0),
    )


@kernel
def group_bars(call, player, sums, lane, voxel):
    """Pointers to the derivatives of the group that a voxel lies in, for both parts."""
    unit = GROUP * player.sizes[col.LANES]
    group, n_groups = voxel // unit, -(-call.n_voxels // unit)
    return (
        select_bars(player, sums, lane, SIGNAL, group, n_groups),
        select_bars(player, sums, lane, last_part(call), group, n_groups),
    )


@kernel
def load_rates(player, given, scale, voxel):
    """Rates of one block and their seeds; B1 is `scale` times the tissue's. Whether flip angles are new."""
    keep_out_of_line()
    rates, sizes, last = player.rates, player.sizes, given.n_voxels - 1
    lanes = sizes[col.LANES]
    changed = False
    for rate in range(N_RATES):
        tissue = at(given.tissue, rate * given.n_voxels)
        for j in range(VECTOR):
            value = tissue[min(voxel + j % lanes, last)]
            if rate == B1:
                value *= scale
            if rate in (B1, INVERSION):
                changed = changed or rates[rate * VECTOR + j] != value
            rates[rate * VECTOR + j] = value
    for k in range(sizes[col.N_CODES]):
        i, code = given.sets[k], given.codes[k]
        if i > 0:
            for rate in range(N_RATES):
                for j in range(VECTOR):
                    r = rates[rate * VECTOR + j]  # dR1/dT1 = -R1^2
                    slope = -r * r
                    if rate == B1:
                        slope = scale
                    elif rate == OMEGA:
                        slope = HZ + 0 * r
                    elif rate == INVERSION:
                        slope = 1 + 0 * r
                    player.seeds[(N_RATES * (i - 1) + rate) * VECTOR + j] = slope if rate == code else 0 * slope
    return changed


@kernel
def load_decay(player):
    """Decay factors and precession over every duration."""
    keep_out_of_line()
    rates, durations, sizes = player.rates, player.durations, player.sizes
    n_durations = sizes[col.N_DURATIONS]
    for first in range(0, n_durations, 1 if sizes[col.LANES] > 1 else VECTOR):
        for rate in range(2):
            e = at(player.decay, (first * N_DECAY + rate) * VECTOR)
            if sizes[col.LANES] > 1:
                for j in range(VECTOR):
                    e[j] = decay_factor(-durations[first] * rates[rate * VECTOR + j])
            else:  # a vector of durations at a time, then copies of each
                values = player.scratch
                for j in range(VECTOR):
                    time = durations[min(first + j, n_durations - 1)]
                    values[j] = decay_factor(-time * rates[rate * VECTOR])
                for d in range(min(VECTOR, n_durations - first)):
                    for j in range(VECTOR):
                        e[d * N_DECAY * VECTOR + j] = values[d]
    if sizes[col.PLANES] == 2:
        for d in range(n_durations):
            e = at(player.decay, (d * N_DECAY + 2) * VECTOR)
            for j in range(VECTOR):
                e[j], e[VECTOR + j] = 1, 0
                if sizes[col.PRECESSES]:
                    x = durations[d] * rates[OMEGA * VECTOR + j] / HALF_PI
                    s, c = sin_cos_turns(x, np.floor(x.real + 0.5))
                    e[j] = c
                    e[VECTOR + j] = s


@kernel
def load_angles(player):
    """Cosine and sine of every pulse of a part; of an inversion, what it makes of Z_0."""
    keep_out_of_line()
    rates, trig, flips, sizes = player.rates, player.trig, player.flips, player.sizes
    n_steps = sizes[col.N_STEPS]
    for first in range(0, n_steps, 1 if sizes[col.LANES] > 1 else VECTOR):
        if sizes[col.LANES] > 1:
            for j in range(VECTOR):
                x = flips[first] * rates[B1 * VECTOR + j]
                s, c = sin_cos_turns(x, np.floor(x.real + 0.5))
                trig[2 * first * VECTOR + j] = c
                trig[(2 * first + 1) * VECTOR + j] = s
        else:  # a vector of pulses at a time, then copies of each
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
    for n in range(n_steps):
        if player.steps[n * col.N_STEP + col.INVERT]:
            for j in range(VECTOR):
                trig[2 * n * VECTOR + j] = -flips[n] * rates[INVERSION * VECTOR + j]
                trig[(2 * n + 1) * VECTOR + j] = 0


@kernel
def clean_up(player):
    """Zero a room that has held what is not finite: padding that the next call meets must count for nothing.

    Only single voxels, whose orders share vectors with padding, can meet it.
    """
    sizes = player.sizes
    if sizes[col.LANES] > 1:
        return
    total = 0 * player.half
    for k in range((sizes[col.TANGENTS] + 1) * sizes[col.PLANES] * sizes[col.N_OUT]):
        total += 0 * player.amplitudes[k]
    if total != 0:  # as NaN is
        fill_zero(player.space, (sizes[col.TANGENTS] + 1) * sizes[col.ARENA])
        fill_zero(player.adjoint, (sizes[col.TANGENTS] + 1) * sizes[col.PAIR_ARENA])


@pasted
def play_block(signal, end, given, position, voxel, fresh, keep):
    """Load one block and play it: its amplitudes, and with `keep` all that `pull_block` needs."""
    repeats = signal.sizes[col.BOUNDARY] > 0
    changed = load_rates(signal, given, given.profile[position], voxel)
    load_decay(signal)
    if changed or fresh:
        load_angles(signal)
        if repeats:
            load_angles(end)
    if signal.sizes[col.MEMBERS] > 0:
        play_ensemble(signal, end, given)
        return
    if repeats:
        play_to_start(signal, end)
    else:
        set_start(signal, signal.boundary, 0)
    signal.scratch[EQUILIBRIUM] = 1
    play(signal, signal.boundary, keep, -1)


@unfused
def write_block(player, given, position, voxel, target, count, signal, jacobian):
    """A block's amplitudes, times M0 and the outputs' factors, into `count` voxels of the results from `target` on.

    The first position of the slice profile sets them, the others add.
    """
    keep_out_of_line()
    sizes, amplitudes, factors, codes = player.sizes, player.amplitudes, given.factors, given.codes
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    weight, written = 1 / sizes[col.N_POSITIONS], 0  # outputs
    if sizes[col.N_POSITIONS] == 1 and count == VECTOR and n_out >= 4:
        written = n_out // 4 * 4
        for k in range(-1, sizes[col.N_CODES]):
            for j in range(VECTOR):
                player.scratch[j] = 1 if k >= 0 and codes[k] == M0 else given.tissue[M0 * given.n_voxels + voxel + j]
            first = (given.sets[k] if k >= 0 else 0) * planes * n_out * VECTOR
            out, start, stride = at(signal, 0), target * n_out, n_out
            if k >= 0:
                stride = sizes[col.N_CODES] * n_out
                out, start = at(jacobian, 0), target * stride + k * n_out
            scales, factor = at(player.scratch, 0), at(factors, 0)
            arguments = amplitudes, first, first + n_out * VECTOR, scales, factor, out, start, stride, n_out // 4
            call_rows(sizes[col.WRITE_ROWS], arguments)
    for j in range(count):
        for k in range(-1, sizes[col.N_CODES]):
            i = given.sets[k] if k >= 0 else 0
            scale = weight if k >= 0 and codes[k] == M0 else weight * given.tissue[M0 * given.n_voxels + voxel + j]
            first = i * planes * n_out * lanes + j
            second = first + (planes - 1) * n_out * lanes
            both = planes - 1
            for o in range(written, n_out):
                re, im = scale * amplitudes[first + o * lanes], both * scale * amplitudes[second + o * lanes]
                factor = factors[o]
                value = complex(re * factor.real - im * factor.imag, re * factor.imag + im * factor.real)
                if k < 0:
                    signal[target + j, o] = value if position == 0 else signal[target + j, o] + value
                else:
                    jacobian[target + j, k, o] = value if position == 0 else jacobian[target + j, k, o] + value


@kernel
def load_bars(player, given, voxel, target, count, signal_bar, jacobian_bar, tissue_bar, bars):
    """Derivatives of the scalar with respect to a block's amplitudes, from those with respect to the results."""
    keep_out_of_line()
    sizes, amplitudes, amplitudes_bar, codes = player.sizes, player.amplitudes, player.amplitudes_bar, given.codes
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    weight = 1 / sizes[col.N_POSITIONS]
    fill_zero(amplitudes_bar, (sizes[col.TANGENTS] + 1) * planes * n_out * lanes)
    for j in range(count):
        m0 = given.tissue[M0 * given.n_voxels + voxel + j]
        for k in range(-1, sizes[col.N_CODES]):
            i = given.sets[k] if k >= 0 else 0
            by_m0 = k < 0 or codes[k] != M0
            scale = weight * m0 if by_m0 else weight
            for o in range(n_out):
                bar = signal_bar[target + j, o] if k < 0 else jacobian_bar[target + j, k, o]
                factor = given.factors[o]
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
def gather_tissue(player, given, position, voxel, count, bars, tissue_bar):
    """From a block's rates to those of the voxels, and to the slice profile."""
    keep_out_of_line()
    sizes, rates = player.sizes, player.rates
    lanes, scale = sizes[col.LANES], given.profile[position]
    for j in range(VECTOR):
        lane = j % lanes
        if lane >= count:
            continue
        bars.profile[position] += given.tissue[B1 * given.n_voxels + voxel + lane] * bars.rates[B1 * VECTOR + j]
        for rate in range(N_RATES):
            bar = bars.rates[rate * VECTOR + j]
            if rate == B1:
                bar *= scale
            tissue_bar[rate, voxel + lane] += bar
        for k in range(sizes[col.N_CODES]):
            code = given.codes[k]
            if code < M0:
                bar = bars.seeds[(N_RATES * (given.sets[k] - 1) + code) * VECTOR + j]
                if code <= R2:
                    tissue_bar[code, voxel + lane] -= 2 * rates[code * VECTOR + j] * bar
                elif code == B1:
                    bars.profile[position] += bar
    fill_zero(bars.rates, N_RATES * VECTOR)
    fill_zero(bars.seeds, N_RATES * sizes[col.TANGENTS] * VECTOR)


@pasted
def pull_block(signal, end, given, position, voxel, count, bars, end_bars, tissue_bar, timing, turning):
    """Derivatives of one block, after `play_block` with `keep` and those with respect to its amplitudes."""
    if signal.sizes[col.MEMBERS] > 0:
        pull_ensemble(signal, end, given, bars, end_bars, timing, turning)
    else:
        rewind(signal, bars, timing, turning)
        if signal.sizes[col.BOUNDARY]:
            rewind_to_start(signal, end, bars, end_bars, timing, turning)
    gather_tissue(signal, given, position, voxel, count, bars, tissue_bar)
    clean_up(signal)


@entry("signals and tissue derivatives")
def signal_batch(call, room, signal, jacobian, first, last):
    """Signal and Jacobian of voxels `first` to `last` (whole units)."""
    given = select_call(call, room)
    own, end = select(call, room, SIGNAL), select(call, room, last_part(call))
    lanes = own.sizes[col.LANES]
    for position in range(own.sizes[col.N_POSITIONS]):
        for voxel in range(first, last, lanes):
            play_block(own, end, given, position, voxel, voxel == first, False)
            count = min(lanes, call.n_voxels - voxel)
            write_block(own, given, position, voxel, voxel, count, signal, jacobian)
            if position == own.sizes[col.N_POSITIONS] - 1:
                hide_rounding(own, given, voxel, voxel, count, signal, jacobian)
            clean_up(own)


@entry("bounds and design criteria")
def amplitude_batch(call, room, amplitudes, first, last):
    """Bare amplitudes (voxel, set, plane, output), averaged over the slice: before M0 and the outputs' factors."""
    given = select_call(call, room)
    own, end = select(call, room, SIGNAL), select(call, room, last_part(call))
    lanes, planes, n_out = own.sizes[col.LANES], own.sizes[col.PLANES], own.sizes[col.N_OUT]
    weight = 1 / own.sizes[col.N_POSITIONS]
    for position in range(own.sizes[col.N_POSITIONS]):
        for voxel in range(first, last, lanes):
            play_block(own, end, given, position, voxel, voxel == first, False)
            count = min(lanes, call.n_voxels - voxel)
            for j in range(count):
                for i in range(amplitudes.shape[1] * planes):
                    for o in range(n_out):
                        value = weight * own.amplitudes[(i * n_out + o) * lanes + j]
                        amplitudes[voxel + j, i // planes, i % planes, o] += value
            if position == own.sizes[col.N_POSITIONS] - 1:
                hide_amplitude_rounding(own, given, voxel, count, amplitudes)
            clean_up(own)


@entry("gradients")
def gradient_batch(call, room, signal_bar, jacobian_bar, sums, lane, tissue_bar, first, last, timing, turning):
    """Derivatives, given those with respect to the results, of voxels `first` to `last` (whole groups).

    Sums over voxels go to row g of each part's table in `sums`, g the group; `lane` is a thread's room for derivatives
    that belong to a lane. `tissue_bar` takes those with respect to rates (and B1, ..., M0).
    """
    given = select_call(call, room)
    own, end = select(call, room, SIGNAL), select(call, room, last_part(call))
    lanes = own.sizes[col.LANES]
    for voxel in range(first, last, lanes):
        bars, end_bars = group_bars(call, own, sums, lane, voxel)
        count = min(lanes, call.n_voxels - voxel)
        for position in range(own.sizes[col.N_POSITIONS]):
            play_block(own, end, given, position, voxel, True, True)
            load_bars(own, given, voxel, voxel, count, signal_bar, jacobian_bar, tissue_bar, bars)
            pull_block(own, end, given, position, voxel, count, bars, end_bars, tissue_bar, timing, turning)


@kernel
def load_amplitude_bars(player, voxel, count, bar):
    """Derivatives with respect to a block's amplitudes, from those with respect to their average over the slice."""
    sizes, amplitudes_bar = player.sizes, player.amplitudes_bar
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    weight = 1 / sizes[col.N_POSITIONS]
    fill_zero(amplitudes_bar, (sizes[col.TANGENTS] + 1) * planes * n_out * lanes)
    for j in range(count):
        for i in range((sizes[col.TANGENTS] + 1) * planes):
            for o in range(n_out):
                amplitudes_bar[(i * n_out + o) * lanes + j] = weight * bar[voxel + j, i // planes, i % planes, o]


@entry("gradients of design criteria")
def pull_batch(call, room, bar, sums, lane, tissue_bar, first, last, timing, turning):
    """`gradient_batch`, given the derivatives with respect to bare amplitudes (see `amplitude_batch`).

    All in planar reals, so that complex arithmetic with an imaginary step gives second derivatives.
    """
    given = select_call(call, room)
    own, end = select(call, room, SIGNAL), select(call, room, last_part(call))
    lanes = own.sizes[col.LANES]
    for voxel in range(first, last, lanes):
        bars, end_bars = group_bars(call, own, sums, lane, voxel)
        count = min(lanes, call.n_voxels - voxel)
        for position in range(own.sizes[col.N_POSITIONS]):
            play_block(own, end, given, position, voxel, True, True)
            load_amplitude_bars(own, voxel, count, bar)
            pull_block(own, end, given, position, voxel, count, bars, end_bars, tissue_bar, timing, turning)
