"""Derivatives by off-resonance or a phase that are nothing but rounding, told from those that are something.

A derivative that vanishes, of a spin echo say, is made of contributions that cancel, and what is left of them is their
rounding. A bound would take it for a sensitivity. `program.rounding` says how large nothing may look, beside M0 and
beside the signal; what is nowhere larger than either is set to zero, at all readouts.
"""

import numpy as np

from . import columns as col
from .columns import EARLIEST, EQUILIBRIUM, FIELD, FRACTION_B, OF_STATES, OF_STATES_BY_PHASE, OMEGA, R2, R2_B, SHIFT_B
from .jit import kernel


@kernel
def first_limit(code):
    """Which limits tell a derivative from rounding; -1 where none do."""
    if code in (OMEGA, SHIFT_B):
        return OF_STATES
    return OF_STATES_BY_PHASE if code >= FIELD and (code - FIELD) % 2 == 1 else -1


@kernel
def largest_nothing(player, given, j, m0, signal, first):
    """How large nothing may look in lane j, where the largest signal is as given."""
    lanes = player.sizes[col.LANES]
    slowest = player.rates[R2 * lanes + j].real
    if player.rates[FRACTION_B * lanes + j] != 0:  # zero where there is no second pool
        slowest = min(slowest, player.rates[R2_B * lanes + j].real)
    decay = np.exp(-given.rounding[EARLIEST].real * slowest)
    return min(given.rounding[first].real * decay * abs(m0), given.rounding[first + 1].real * signal)


@kernel
def hide_rounding(player, given, voxel, target, count, signal, jacobian):
    """Zero the derivatives of `count` voxels of the results from `target` on that are nothing but rounding."""
    n_out = player.sizes[col.N_OUT]
    for k in range(player.sizes[col.N_CODES]):
        first = first_limit(given.codes[k])
        if first < 0:
            continue
        for j in range(count):
            size = largest = 0 * player.scratch[EQUILIBRIUM]
            for o in range(n_out):
                s, value = signal[target + j, o], jacobian[target + j, k, o]
                size = max(size, max(abs(s.real), abs(s.imag)))
                largest = max(largest, max(abs(value.real), abs(value.imag)))
            m0 = given.tissue[col.M0 * given.stride + voxel + j]
            if largest <= largest_nothing(player, given, j, m0, size, first):
                for o in range(n_out):
                    jacobian[target + j, k, o] = 0


@kernel
def hide_amplitude_rounding(player, given, voxel, count, amplitudes):
    """The same in bare amplitudes (voxel, set, plane, output); what a complex step adds to them stays."""
    for i in range(1, amplitudes.shape[1]):
        first = first_limit(player.kinds[i - 1])
        if first < 0:
            continue
        for j in range(voxel, voxel + count):
            size = largest = 0 * player.scratch[EQUILIBRIUM].real
            for plane in range(amplitudes.shape[2]):
                for o in range(amplitudes.shape[3]):
                    size = max(size, abs(amplitudes[j, 0, plane, o].real))
                    largest = max(largest, abs(amplitudes[j, i, plane, o].real))
            if largest <= largest_nothing(player, given, j - voxel, 1, size, first):
                for plane in range(amplitudes.shape[2]):
                    for o in range(amplitudes.shape[3]):
                        amplitudes[j, i, plane, o] -= amplitudes[j, i, plane, o].real
