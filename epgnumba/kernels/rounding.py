"""Derivatives that are nothing but rounding, told from those that are something.

A derivative that vanishes, of a spin echo by off-resonance say, is made of contributions that cancel, and what is left
of them is their rounding. A bound would take it for a sensitivity. Contributions are as large as a state times a change
of what each interval does to it: time between pulses times the change of a rate, or a flip angle. A state is as large as
M0 at most, and at a readout has decayed since the pulse before. Rounding errors add up like a random walk, so that the
intervals count as the root of their sum of squares (`TIME`, `ANGLE`). A derivative that is nowhere larger than a few
roundings of that is set to zero, at all readouts.
"""

import numpy as np

from . import columns as col
from .columns import ANGLE, B1, EARLIEST, EPSILON, INVERSION, R2, TIME, VECTOR
from .forward import seed_row
from .jit import kernel

FEW = 8  # roundings; spin echoes by off-resonance, of 1 to 800 pulses in either precision, came to 0.7 at most


@kernel
def rounding_level(player, given, i, j):
    """How large what is nothing may look in tangent `i` (from 1) of lane j, for M0 = 1."""
    rate, size = player.kinds[i - 1], given.rounding[TIME]
    slope = abs(seed_row(player, i, rate)[j])
    if rate == B1:  # whose seeds hold the slice profile at one position
        size, slope = given.rounding[ANGLE], 1 + 0 * slope
    if rate == INVERSION:
        size = 1 + 0 * size
    state = np.exp(-given.rounding[EARLIEST] * player.rates[R2 * VECTOR + j])
    return FEW * player.scratch[EPSILON] * size * slope * state


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
