"""From amplitudes to rows of results."""

from .columns import VECTOR
from .lanes import loop, rounded, scatter


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
