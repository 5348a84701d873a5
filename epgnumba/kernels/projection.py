"""Signals along a few directions: multiplied as soon as they are played, while they lie in cache."""

import numpy as np

from . import columns as col
from .batch import clean_up, play_block
from .columns import M0, QUAD, VECTOR
from .jit import at, entry, keep_out_of_line, kernel
from .lanes import call_loop
from .part import select_all


@kernel
def gather(player, given, position, sums):
    """A position of the slice profile: the first sets the sums, the others add."""
    sizes, amplitudes = player.sizes, player.amplitudes
    weight = 1 / sizes[col.N_POSITIONS]
    for k in range(sizes[col.PLANES] * sizes[col.N_OUT] * sizes[col.LANES]):
        value = weight * amplitudes[k]
        sums[k] = value if position == 0 else sums[k] + value


@kernel
def take_magnitudes(player, samples):
    """Lengths in place of what is in phase."""
    sizes = player.sizes
    count = sizes[col.N_OUT] * sizes[col.LANES]
    for k in range(count):
        other = samples[count + k] if sizes[col.PLANES] > 1 else 0 * samples[k]
        samples[k] = np.sqrt(samples[k] * samples[k] + other * other)


@kernel
def multiply(samples, weights, products, count, quads):
    """`results.project` of a voxel alone."""
    square = 0 * samples[0]
    for s in range(count):
        square += samples[s] * samples[s]
    products[quads * QUAD] = square
    for quad in range(quads):
        for k in range(QUAD):
            total = 0 * samples[0]
            for s in range(count):
                total += samples[s] * weights[(quad * count + s) * QUAD + k]
            products[quad * QUAD + k] = total


@kernel
def write_products(given, products, lanes, quads, voxel, count, magnitude, along, coefficients, norms, losses):
    """A block's products, of signals of unit length, and the lengths that they had, with what directions lack."""
    keep_out_of_line()
    for j in range(count):
        m0 = given.tissue[M0 * given.stride + voxel + j]
        size = abs(m0)
        square, kept = products[quads * QUAD * lanes + j], 0 * products[j]
        for c in range(coefficients.shape[1]):
            kept += products[c * lanes + j] * products[c * lanes + j]
        length = np.sqrt(kept if along else square)
        norms[voxel + j] = size * length
        nothing = norms[voxel + j] == 0
        losses[voxel + j] = 0 if nothing else np.sqrt(max(1 - kept / square, 0 * kept))
        scale = 0 * m0 if nothing else (size if magnitude else m0) / size / length
        for c in range(coefficients.shape[1]):
            coefficients[voxel + j, c] = scale * products[c * lanes + j]


@entry("compressed signals")
def projection_batch(
    call, room, project, weights, products, sums, magnitude, along, coefficients, norms, losses, first, last, repeats
):
    """Coefficients (voxel, direction), lengths, and parts of unit length that directions lack.

    `weights` (quad, sample, direction of the quad) are those of bare amplitudes, or of magnitudes. Coefficients are
    those of signals of unit length; or with `along` of what directions keep of them, whose lengths are given then.
    Slice positions are played in turn, into `sums`: a length takes all of them.
    """
    lanes, positions = call.sizes[col.LANES], call.sizes[col.N_POSITIONS]
    quads, count = weights.shape[0], weights.shape[1]
    for voxel in range(first, last, lanes):
        for position in range(positions):
            given, own, end = select_all(call, room, position)
            play_block(own, end, given, voxel, voxel == first or positions > 1, False, repeats)
            samples = own.amplitudes
            if positions > 1:
                samples = at(sums, 0)
                gather(own, given, position, samples)
            if position == positions - 1:
                if magnitude:
                    take_magnitudes(own, samples)
                if lanes == VECTOR:
                    call_loop(project, (samples, at(weights, 0), at(products, 0), count, quads))
                else:
                    multiply(samples, at(weights, 0), at(products, 0), count, quads)
                many = min(lanes, call.n_voxels - voxel)
                results = coefficients, norms, losses
                write_products(given, at(products, 0), lanes, quads, voxel, many, magnitude, along, *results)
            clean_up(own)
