"""What two pools exchange over an interval, for value, tangents and adjoints; see `algebra` for what sets are."""

from typing import NamedTuple

from .physics import turn


class Mixing(NamedTuple):
    """What two pools exchange over an interval.

    Attributes
    ----------
    pairs : tuple of tuple
        Components of the first and the second pool, and whether they go with the matrix (1) or its conjugate (-1).
    matrix : tuple
        From both before the interval to both after it, row by row; each entry a tuple of its parts, real and imaginary,
        or of itself where it is real.
    slopes : dict
        For tangents on which that depends, how it changes.
    """

    pairs: tuple
    matrix: tuple
    slopes: dict

    @property
    def parts(self):
        return len(self.matrix[0])

    def turned(self, c, s):
        """The same and a turn behind it."""

        def turn_all(matrix):
            return tuple(turn(*entry, c, s) for entry in matrix)

        return self._replace(matrix=turn_all(self.matrix), slopes={i: turn_all(m) for i, m in self.slopes.items()})


def added(numbers):
    """Their sum; None if there are none."""
    first, *rest = [*numbers] or [None]
    return sum(rest, first)


def _times(entry, x, way):
    """A number in each plane, times an entry of a `Mixing`."""
    if len(entry) == 1:
        return [entry[0] * value for value in x]
    re, im = entry
    return turn(*x, re, im if way > 0 else -im)


def mixed(mixing, matrix, planes, x, way=1, added=False):
    """Planes, with both pools as a matrix of a `Mixing` makes them of those of x; `added` to their own.

    Its adjoint, with -1 for the way.
    """
    aa, ab, ba, bb = matrix
    rows = ((aa, ab), (ba, bb)) if way > 0 else ((aa, ba), (ab, bb))
    result = [[*plane] for plane in planes]
    for a, b, turning in mixing.pairs:
        both = [[plane[c] for plane in x] for c in (a, b)]
        for c, row in zip((a, b), rows, strict=True):
            first, second = (_times(entry, values, way * turning) for entry, values in zip(row, both, strict=True))
            for plane, p, q in zip(result, first, second, strict=True):
                plane[c] = plane[c] + (p + q) if added else p + q
    return result


def exchanged(mixings, sets):
    """Sets after exchange, one by one."""

    def exchange():
        states = None
        for i, planes in enumerate(sets):
            states = states or planes
            for mixing in mixings:
                planes = mixed(mixing, mixing.matrix, planes, planes)
                if i in mixing.slopes:
                    planes = mixed(mixing, mixing.slopes[i], planes, states, added=True)
            yield planes

    return exchange() if mixings else sets


def unexchanged(mixings, bars):
    """Adjoint of `exchanged`."""
    for mixing in mixings:
        pulled = [mixed(mixing, mixing.matrix, planes, planes, -1) for planes in bars]
        for i, slopes in mixing.slopes.items():
            pulled[0] = mixed(mixing, slopes, pulled[0], bars[i], -1, added=True)
        bars = pulled
    return bars


def mixing_pairings(mixing, sets, bars):
    """Derivatives by the parts of the entries of an exchange, then by those of its slopes along tangents.

    `sets` are those before exchange, `bars` adjoints of those after it.
    """

    def pairs(x, bar):
        entries = [(i, j) for i in range(2) for j in range(2)]
        parts = [(i, j, part) for i, j in entries for part in range(mixing.parts)]
        return [
            added(_by_part(x, pair[j], bar, pair[i], part * pair[2]) for pair in mixing.pairs) for i, j, part in parts
        ]

    own = [added(each) for each in zip(*(pairs(x, bar) for x, bar in zip(sets, bars, strict=True)), strict=True)]
    return own + [value for i in mixing.slopes for value in pairs(sets[0], bars[i])]


def _by_part(x, c, bar, r, way):
    """Derivative by the real part (way 0), or by the imaginary one, of what multiplies component c and adds to r."""
    if not way:
        return added(b[r] * a[c] for a, b in zip(x, bar, strict=True))
    value = bar[1][r] * x[0][c] - bar[0][r] * x[1][c]
    return value if way > 0 else -value
