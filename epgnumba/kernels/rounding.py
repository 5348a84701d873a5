"""Derivatives that are nothing but rounding, told from those that are something.

A derivative that vanishes, of a spin echo by off-resonance say, is made of contributions that cancel, and what is left
of them is their rounding. A bound would take it for a sensitivity. A derivative that is nowhere larger than a few
roundings of what it is made of is set to zero, at all readouts. `program.rounding` says what that is, voxels apart:
the numbers here are how long after a pulse the first readout comes (ms), then one factor for each tangent.
"""

import numpy as np

from . import columns as col
from .columns import R2, VECTOR
from .jit import kernel


@kernel
def rounding_level(player, given, i, j):
    """How large what is nothing may look in tangent `i` (from 1) of lane j, for M0 = 1."""
    kind = player.kinds[i - 1]
    decay = np.exp(-given.rounding[0] * player.rates[R2 * VECTOR + j])
    rate = player.rates[kind * VECTOR + j]
    return given.rounding[i] * decay * (rate * rate if kind <= R2 else 1 + 0 * rate)


@kernel
def hide_rounding(player, given, voxel, target, count, jacobian):
    """Zero the derivatives of `count` voxels of the results from `target` on that are nothing but rounding."""
    n_out = player.sizes[col.N_OUT]
    for j in range(count):
        m0 = given.tissue[col.M0 * given.n_voxels + voxel + j]
        for k in range(player.sizes[col.N_CODES]):
            i = given.sets[k]
            if i > 0:
                limit = m0 * rounding_level(player, given, i, j)
                limit *= limit
                largest = 0 * limit
                for o in range(n_out):
                    value = jacobian[target + j, k, o]
                    largest = max(largest, value.real * value.real + value.imag * value.imag)
                if largest <= limit:
                    for o in range(n_out):
                        jacobian[target + j, k, o] = 0


@kernel
def hide_amplitude_rounding(player, given, voxel, count, amplitudes):
    """The same in bare amplitudes (voxel, set, plane, output); what a complex step adds to them stays."""
    for j in range(count):
        for i in range(1, amplitudes.shape[1]):
            limit, largest = rounding_level(player, given, i, j).real, 0 * player.half.real
            for plane in range(amplitudes.shape[2]):
                for o in range(amplitudes.shape[3]):
                    largest = max(largest, abs(amplitudes[voxel + j, i, plane, o].real))
            if largest <= limit:
                for plane in range(amplitudes.shape[2]):
                    for o in range(amplitudes.shape[3]):
                        amplitudes[voxel + j, i, plane, o] -= amplitudes[voxel + j, i, plane, o].real
