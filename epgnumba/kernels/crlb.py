"""Cramer-Rao bounds of a batch and their gradient, in one call: play, bound, play backward."""

import numpy as np

from . import columns as col
from .batch import load_bars, play_block, pull_block, write_block
from .columns import FAINTEST
from .jit import entry, kernel
from .part import group_bars, select_all
from .rounding import hide_rounding


@kernel
def fisher_matrix(jacobian, j, fisher):
    """Re(J J^H) of lane j."""
    n = fisher.shape[0]
    for a in range(n):
        for b in range(a + 1):
            total = 0.0
            for o in range(jacobian.shape[2]):
                left, right = jacobian[j, a, o], jacobian[j, b, o]
                total += left.real * right.real + left.imag * right.imag
            fisher[a, b] = total
            fisher[b, a] = total


@kernel
def invert(fisher, inverse, limit):
    """Inverse of a symmetric positive matrix by Cholesky's factors of its scaling to unit diagonal.

    False, and nothing useful in `inverse`, if the sum of the scaled inverse's diagonal, which is that of the inverse
    eigenvalues, is not below 1 / `limit`. A pivot that is not above `limit` says so before.
    """
    n = fisher.shape[0]
    for a in range(n):
        if not fisher[a, a] > FAINTEST or not np.isfinite(fisher[a, a]):
            return False
    for a in range(n):  # the lower triangle of `inverse` holds the factor, then its inverse
        for b in range(a + 1):
            total = fisher[a, b] / np.sqrt(fisher[a, a] * fisher[b, b])
            for c in range(b):
                total -= inverse[a, c] * inverse[b, c]
            if a > b:
                inverse[a, b] = total / inverse[b, b]
            elif total > limit:
                inverse[a, a] = np.sqrt(total)
            else:
                return False
    for b in range(n):
        inverse[b, b] = 1 / inverse[b, b]
        for a in range(b + 1, n):
            total = 0.0
            for c in range(b, a):
                total -= inverse[a, c] * inverse[c, b]
            inverse[a, b] = total / inverse[a, a]
    trace = 0.0
    for a in range(n):
        for b in range(a + 1):
            total = 0.0
            for c in range(a, n):
                total += inverse[c, a] * inverse[c, b]
            inverse[b, a] = total / np.sqrt(fisher[a, a] * fisher[b, b])
        trace += inverse[a, a] * fisher[a, a]
    if not trace * limit < 1:
        return False
    for a in range(n):
        for b in range(a):
            inverse[a, b] = inverse[b, a]
    return True


@kernel
def seed_bound(jacobian, jacobian_bar, j, weights, variance, fisher, inverse):
    """Weighted bound of lane j and its derivative with respect to the Jacobian, -2 V W V J / variance.

    V, the inverse of the Fisher matrix, is `variance` times `inverse`. An infinite bound has derivative zero.
    """
    n, n_out = fisher.shape[0], jacobian.shape[2]
    fisher_matrix(jacobian, j, fisher)
    for a in range(n):
        for o in range(n_out):
            jacobian_bar[j, a, o] = 0
    total = 0.0
    for a in range(n):
        total += weights[a]
    if total == 0:  # a tissue that does not count, whatever can be told about it
        return 0.0
    if not invert(fisher, inverse, 4 * n * n_out * 2.220446049250313e-16):
        return np.inf
    value = 0.0
    for a in range(n):
        value += weights[a] * inverse[a, a]
    for a in range(n):
        for b in range(n):
            total = 0.0
            for c in range(n):
                total += inverse[a, c] * weights[c] * inverse[c, b]
            for o in range(n_out):
                jacobian_bar[j, a, o] -= 2 * variance * total * jacobian[j, b, o]
    return variance * value


@entry("bounds and their gradients")
def crlb_batch(
    call, room, weights, variance, values, unit, sums, lane, tissue_bar, first, last, timing, turning, repeats
):
    """Bounds of voxels `first` to `last` (whole groups) and the derivatives of their sum.

    `weights` (voxel, unknown) includes those of the tissues; `unit` is (signal, jacobian, signal_bar, jacobian_bar,
    fisher, inverse) for one unit of voxels. See `batch.gradient_batch` for the rest.
    """
    signal, jacobian, signal_bar, jacobian_bar, fisher, inverse = unit
    lanes, positions = call.sizes[col.LANES], call.sizes[col.N_POSITIONS]
    for voxel in range(first, last, lanes):
        count = min(lanes, call.n_voxels - voxel)
        given, own, end = select_all(call, room, 0)
        for position in range(positions):
            if position > 0:
                given, own, end = select_all(call, room, position)
            play_block(own, end, given, voxel, positions > 1 or voxel == first, True, repeats)
            write_block(own, given, position, voxel, 0, count, signal, jacobian)
        hide_rounding(own, given, voxel, 0, count, signal, jacobian)
        for j in range(count):
            values[voxel + j] = seed_bound(jacobian, jacobian_bar, j, weights[voxel + j], variance, fisher, inverse)
        for position in range(positions):
            bars, end_bars = group_bars(call, own, sums, lane, voxel, position)
            if positions > 1:
                given, own, end = select_all(call, room, position)
                play_block(own, end, given, voxel, True, True, repeats)
            load_bars(own, given, voxel, 0, count, signal_bar, jacobian_bar, tissue_bar, bars)
            pull_block(own, end, given, voxel, bars, end_bars, tissue_bar, timing, turning, repeats)
