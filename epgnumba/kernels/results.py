"""From amplitudes to rows of results."""

from .columns import QUAD, VECTOR
from .lanes import loop, repeat, rounded, scatter


def write(shape, room, first, second, scale, factors, out, start, stride, fours):
    """Amplitudes of a vector of voxels, times `scale` and the outputs' factors, into a row of results for each voxel.

    Amplitudes (in phase from `first` on, in quadrature from `second`) lie output by output, results `stride` outputs
    apart voxel by voxel, from `start` on; four outputs are turned into each other at a time. Each operation is
    rounded in double precision, as for a voxel alone, which has the same bits.
    """

    def body(o):
        columns = []
        for k in range(4):
            fr, fi = factors.spread((o + k) * 2), factors.spread((o + k) * 2 + 1)
            re = rounded(scale[0]) * rounded(room[first + (o + k) * VECTOR])
            if shape.planes == 1:
                columns += [re * fr, re * fi]
            else:
                im = rounded(scale[0]) * rounded(room[second + (o + k) * VECTOR])
                columns += [re * fr - im * fi, re * fi + im * fr]
        scatter(out, (start + o) * 2, stride * 2, columns)

    loop(fours, body, step=4)


def project(shape, samples, weights, products, count, quads):
    """Products of a vector of voxels' samples with directions, and, behind them, sums of squares.

    Of every direction sums go over samples in their order, so that a voxel's do not depend on others. Weights lie by
    quads of directions, sample by sample. In single precision eight directions at a time, and as many registers as in
    double precision with four: enough for multiply-adds that wait for nothing.
    """
    zero = samples.count(0)

    def columns(quad, width, *squares):
        def body(s, *sums):
            x = samples[s * VECTOR]
            found = [
                sums[QUAD * q + k] + x * weights.spread(((quad + q) * count + s) * QUAD + k)
                for q in range(width)
                for k in range(QUAD)
            ]
            return (*found, *(square + x * x for square in sums[len(found) :]))

        *found, last = loop(count, body, *[zero] * (QUAD * width), *squares, step=1)
        for k, vector in enumerate([*found, last][: QUAD * width]):
            products[(quad * QUAD + k) * VECTOR] = vector
        return last

    products[quads * QUAD * VECTOR] = columns(0, 1, zero)
    at_once = 2 if samples.itemsize == 4 else 1
    rest = quads - 1
    repeat(rest // at_once, lambda k: columns(k * at_once + 1, at_once))
    if at_once > 1:
        repeat(rest - rest // at_once * at_once, lambda k: columns(quads - 1 + k, 1))
