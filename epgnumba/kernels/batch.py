"""Voxels through a program: load lanes, find the steady state, play, write signals and Jacobians, gather gradients.

A unit is as many neighbouring voxels as there are lanes; it is played once for each position of the slice profile.
Every voxel meets the same instructions whatever its neighbours, and sums over voxels are kept per group of units, so
results do not depend on threads or chunks.
"""

from . import columns as col
from .columns import EQUILIBRIUM, M0, VECTOR
from .ensemble import play_ensemble, pull_ensemble
from .jit import at, entry, keep_out_of_line, kernel, unfused
from .lanes import call_loop
from .part import Call, clear, group_bars, load, play, rewind, same_flips, select_all, unload
from .rounding import hide_amplitude_rounding, hide_rounding
from .steady import play_to_start, rewind_to_start, set_start

__all__ = ["Call", "amplitude_batch", "gradient_batch", "pull_batch", "signal_batch"]


@kernel
def clean_up(player):
    """Zero a room that has held what is not finite: padding that the next call meets must count for nothing.

    Only single voxels, whose orders share vectors with padding, can meet it.
    """
    sizes = player.sizes
    if sizes[col.LANES] > 1:
        return
    total = 0 * player.scratch[EQUILIBRIUM]
    for k in range((sizes[col.TANGENTS] + 1) * sizes[col.PLANES] * sizes[col.N_OUT]):
        total += 0 * player.amplitudes[k]
    if total != 0:  # as NaN is
        clear(at(player.room, sizes[col.SPACE_AT]), (sizes[col.TANGENTS] + 1) * sizes[col.ARENA])
        clear(at(player.room, sizes[col.ADJOINT_AT]), (sizes[col.TANGENTS] + 1) * sizes[col.PAIR_ARENA])


@kernel
def play_block(signal, end, given, voxel, fresh, keep, repeats):
    """Load one block and play it: its amplitudes, and with `keep` all that `pull_block` needs.

    `repeats` is None where the program starts from equilibrium: Numba then leaves out what finds steady states.
    """
    flips = fresh or not same_flips(signal, given, voxel)
    load(signal, given, voxel, 1 if flips else 0)
    if repeats is not None:
        if flips:
            load(end, given, voxel, 2)
        if signal.sizes[col.MEMBERS] > 0:
            play_ensemble(signal, end, given)
            return
        play_to_start(signal, end, given)
    else:
        set_start(signal, signal.boundary, 0)
    signal.scratch[EQUILIBRIUM] = 1
    play(signal, given, signal.sizes[col.BOUNDARY_AT], 1 if keep else 0, -1)


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
                player.scratch[j] = 1 if k >= 0 and codes[k] == M0 else given.tissue[M0 * given.stride + voxel + j]
            first = (given.sets[k] if k >= 0 else 0) * planes * n_out * VECTOR
            out, start, stride = at(signal, 0), target * n_out, n_out
            if k >= 0:
                stride = sizes[col.N_CODES] * n_out
                out, start = at(jacobian, 0), target * stride + k * n_out
            scales, factor = at(player.scratch, 0), at(factors, 0)
            places = first, first + n_out * VECTOR
            call_loop(sizes[col.WRITE], (amplitudes, *places, scales, factor, out, start, stride, n_out // 4))
    for j in range(count):
        for k in range(-1, sizes[col.N_CODES]):
            i = given.sets[k] if k >= 0 else 0
            scale = weight if k >= 0 and codes[k] == M0 else weight * given.tissue[M0 * given.stride + voxel + j]
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
    sizes, amplitudes, amplitude_bars, codes = player.sizes, player.amplitudes, player.amplitude_bars, given.codes
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    weight = 1 / sizes[col.N_POSITIONS]
    clear(amplitude_bars, (sizes[col.TANGENTS] + 1) * planes * n_out * lanes)
    for j in range(count):
        m0 = given.tissue[M0 * given.stride + voxel + j]
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
                    amplitude_bars[a] += scale * along
                    bars.factors[o] += scale * across * amplitudes[a]
                    if by_m0:
                        tissue_bar[M0, voxel + j] += weight * along * amplitudes[a]


@kernel
def pull_block(signal, end, given, voxel, bars, end_bars, tissue_bar, timing, turning, repeats):
    """Derivatives of one block, after `play_block` with `keep` and those with respect to its amplitudes."""
    if repeats is not None and signal.sizes[col.MEMBERS] > 0:
        pull_ensemble(signal, end, given, bars, end_bars, timing, turning)
    else:
        rewind(signal, given, bars, signal.sizes[col.BOUNDARY_AT], timing, turning)
        if repeats is not None:
            rewind_to_start(signal, end, given, bars, end_bars, timing, turning)
    unload(signal, given, bars, tissue_bar, voxel)
    clean_up(signal)


@entry("signals and tissue derivatives")
def signal_batch(call, room, signal, jacobian, first, last, repeats):
    """Signal and Jacobian of voxels `first` to `last` (whole units)."""
    lanes, positions = call.sizes[col.LANES], call.sizes[col.N_POSITIONS]
    for position in range(positions):
        given, own, end = select_all(call, room, position)
        for voxel in range(first, last, lanes):
            play_block(own, end, given, voxel, voxel == first, False, repeats)
            count = min(lanes, call.n_voxels - voxel)
            write_block(own, given, position, voxel, voxel, count, signal, jacobian)
            if position == positions - 1:
                hide_rounding(own, given, voxel, voxel, count, signal, jacobian)
            clean_up(own)


@entry("bounds and design criteria")
def amplitude_batch(call, room, amplitudes, first, last, repeats):
    """Bare amplitudes (voxel, set, plane, output), averaged over the slice: before M0 and the outputs' factors."""
    lanes, positions = call.sizes[col.LANES], call.sizes[col.N_POSITIONS]
    planes, n_out, weight = call.sizes[col.PLANES], call.sizes[col.N_OUT], 1 / positions
    for position in range(positions):
        given, own, end = select_all(call, room, position)
        for voxel in range(first, last, lanes):
            play_block(own, end, given, voxel, voxel == first, False, repeats)
            count = min(lanes, call.n_voxels - voxel)
            for j in range(count):
                for i in range(amplitudes.shape[1] * planes):
                    for o in range(n_out):
                        value = weight * own.amplitudes[(i * n_out + o) * lanes + j]
                        amplitudes[voxel + j, i // planes, i % planes, o] += value
            if position == positions - 1:
                hide_amplitude_rounding(own, given, voxel, count, amplitudes)
            clean_up(own)


@entry("gradients")
def gradient_batch(call, room, signal_bar, jacobian_bar, sums, lane, tissue_bar, first, last, timing, turning, repeats):
    """Derivatives, given those with respect to the results, of voxels `first` to `last` (whole groups).

    Sums over voxels go to a row of `sums` for each part, group and slice position; `lane` is a thread's room for
    derivatives that belong to a lane. `tissue_bar` takes those with respect to rates (and B1, ..., M0).
    """
    lanes, positions = call.sizes[col.LANES], call.sizes[col.N_POSITIONS]
    for voxel in range(first, last, lanes):
        count = min(lanes, call.n_voxels - voxel)
        for position in range(positions):
            given, own, end = select_all(call, room, position)
            bars, end_bars = group_bars(call, own, sums, lane, voxel, position)
            play_block(own, end, given, voxel, True, True, repeats)
            load_bars(own, given, voxel, voxel, count, signal_bar, jacobian_bar, tissue_bar, bars)
            pull_block(own, end, given, voxel, bars, end_bars, tissue_bar, timing, turning, repeats)


@kernel
def load_amplitude_bars(player, voxel, count, bar):
    """Derivatives with respect to a block's amplitudes, from those with respect to their average over the slice."""
    sizes, amplitude_bars = player.sizes, player.amplitude_bars
    lanes, planes, n_out = sizes[col.LANES], sizes[col.PLANES], sizes[col.N_OUT]
    weight = 1 / sizes[col.N_POSITIONS]
    clear(amplitude_bars, (sizes[col.TANGENTS] + 1) * planes * n_out * lanes)
    for j in range(count):
        for i in range((sizes[col.TANGENTS] + 1) * planes):
            for o in range(n_out):
                amplitude_bars[(i * n_out + o) * lanes + j] = weight * bar[voxel + j, i // planes, i % planes, o]


@entry("gradients of design criteria")
def pull_batch(call, room, bar, sums, lane, tissue_bar, first, last, timing, turning, repeats):
    """`gradient_batch`, given the derivatives with respect to bare amplitudes (see `amplitude_batch`).

    All in planar reals, so that complex arithmetic with an imaginary step gives second derivatives.
    """
    lanes, positions = call.sizes[col.LANES], call.sizes[col.N_POSITIONS]
    for voxel in range(first, last, lanes):
        count = min(lanes, call.n_voxels - voxel)
        for position in range(positions):
            given, own, end = select_all(call, room, position)
            bars, end_bars = group_bars(call, own, sums, lane, voxel, position)
            play_block(own, end, given, voxel, True, True, repeats)
            load_amplitude_bars(own, voxel, count, bar)
            pull_block(own, end, given, voxel, bars, end_bars, tissue_bar, timing, turning, repeats)
