"""Pulses that turn each voxel in its own way: about whatever axis, by transmit fields, or by waveforms.

P = X + i Y and M = X - i Y, where X, Y and Z are the coefficients of order k of the magnetisation's real components; W
is -2i Z. A rotation is a real matrix that acts on (X, Y, Z). It couples the planes of P, M and W, so that problems with
such pulses are complex.

How a rotation R changes with what it depends on is told by a vector w, dR = [w] R, where [w] is the cross product by
w: with it nothing is singular, whatever the angle is (see `turned_pulse`).
"""

from .mixing import added


def dot(a, b):
    return added(x * y for x, y in zip(a, b, strict=True))


def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def scaled(a, x):
    return [x * one for one in a]


def summed(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def product(matrix, a):
    return [dot(row, a) for row in matrix]


def transposed(matrix):
    return [list(row) for row in zip(*matrix, strict=True)]


def about_z(matrix, c, s):
    """A rotation whose axis is turned about z by an angle of that cosine and sine: Z R Z^T."""
    rows = [[c * x - s * y, s * x + c * y, z] for x, y, z in matrix]
    first, second, third = rows
    return [
        [c * x - s * y for x, y in zip(first, second, strict=True)],
        [s * x + c * y for x, y in zip(first, second, strict=True)],
        third,
    ]


def vector_about_z(a, c, s):
    """A vector turned about z."""
    return [c * a[0] - s * a[1], s * a[0] + c * a[1], a[2]]


def _lifted(planes, first):
    """Twice X, Y and Z of a pool, in two planes."""
    (p, m, w), (pi, mi, wi) = (plane[first : first + 3] for plane in planes)
    return [p + m, pi - mi, -wi], [pi + mi, m - p, w]


def _lowered(a, b):
    """P, M and W of what `_lifted` gives, in two planes; X and Y by half."""
    return [a[0] - b[1], a[0] + b[1], b[2]], [b[0] + a[1], b[0] - a[1], -a[2]]


def _acted(planes, act):
    """What an action on lifted vectors makes of each pool of a set; of it nothing else."""
    parts = [_lowered(*map(act, _lifted(planes, first))) for first in _firsts(planes)]
    return [[x for part in parts for x in part[plane]] for plane in range(2)]


def _firsts(planes):
    return range(0, len(planes[0]) - 2, 3)


def folded(matrix, e1, e2, half):
    """A rotation and the decay before it, for `rotated`; transposed for its adjoint."""
    rows = [[x * e2, y * e2, z * e1] for x, y, z in matrix]
    return [scaled(row, half) if k < 2 else row for k, row in enumerate(rows)]


def rotated(planes, matrix):
    """P, M and W of each free pool after a folded rotation."""
    return _acted(planes, lambda a: product(matrix, a))


def spun(planes, spin, half):
    """Their change [w] x by a vector w."""

    def act(a):
        x, y, z = cross(spin, a)
        return [half * x, half * y, z]

    return _acted(planes, act)


def unspun(planes, spin, half):
    """Adjoint of `spun`."""
    return _acted(planes, lambda a: cross([half * a[0], half * a[1], a[2]], spin))


def spin_pairing(states, bars, half):
    """Derivative by w, where the states after a pulse change by [w] x and `bars` are their adjoints."""
    terms = []
    for first in _firsts(states):
        for x, bar in zip(_lifted(states, first), _lifted(bars, first), strict=True):
            terms.append(cross(x, [half * bar[0], half * bar[1], bar[2]]))
    return [added(each) for each in zip(*terms, strict=True)]


def of_quaternion(w, x, y, z):
    """The matrix of a rotation."""
    return [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]


def spin_of(q, slope):
    """The vector w by which a rotation changes, of its quaternion and the derivative of that: 2 dq q*."""
    (w, *v), (dw, *dv) = q, slope
    return [2 * (w * b - dw * a + c) for a, b, c in zip(v, dv, cross(v, dv), strict=True)]
