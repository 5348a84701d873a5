"""What happens to the states of a row: the interval before a pulse and the pulse, for value, tangents and adjoints.

A row is an order k; a set holds, for each plane, the components (P, M, W) of that row (see `physics`), each a number
or a vector of them. Set 0 holds the states, the others the tangents that go along with them. An interval of time t
multiplies P and M by e2 = exp(-R2 t), W by e1 = exp(-R1 t), turns P by an angle and M the other way; all that is folded
into five coefficients and the turn. A tangent gains what its rate's change makes of the states: its *seed* (derivative
of the rate) times the derivative of the exponent, which for R1 and R2 is -t, and for off-resonance i t.

These functions take whatever has + - *; a CPU gives them vectors, a CUDA device numbers.
"""

from .columns import B1, OMEGA, R1, R2
from .physics import coefficients, generator, pulse, pulse_adjoint, turn

HALF_PI = 1.5707963267948966
HALF = 0.5
COMPONENTS = 3
P, M, W = range(COMPONENTS)


class Interval:
    """An interval and the pulse that ends it.

    Parameters
    ----------
    shape : Shape
        What there is.
    trig : tuple
        Cosine and sine of the flip angle.
    decay : tuple
        e1, e2.
    angle : tuple or None
        Cosine and sine of the turn into the frame of the pulse; of complex problems.
    seeds : dict
        For each tangent (from 1) its seed.
    time : number
        Its length, ms.
    nominal : number
        Nominal flip angle, radians.
    """

    def __init__(self, shape, trig, decay, angle, seeds, time, nominal):
        self.shape, self.angle = shape, angle
        self.five = coefficients(*trig, *decay, HALF)
        self.decay, self.swing, self.flip = {}, {}, {}
        for i, kind in enumerate(shape.kinds, 1):
            if kind in (R1, R2):
                self.decay[i] = kind, -time * seeds[i]
            elif kind == OMEGA:
                self.swing[i] = time * seeds[i]
            elif kind == B1:
                self.flip[i] = nominal * seeds[i]

    def play(self, sets):
        """Sets after the pulse, from those that arrive."""
        after = []
        for i, planes in enumerate(sets):
            met = self._seeded(sets[0], planes, i)
            if self.angle:
                met = turned(met, *self.angle)
            after.append([pulse(*components, *self.five) for components in met])
        for i, g in self.flip.items():
            after[i] = [
                [t + g * x for t, x in zip(*pair, strict=True)]
                for pair in zip(after[i], generated(after[0]), strict=True)
            ]
        return after

    def rewind(self, bars):
        """Adjoints of what arrives, from those of what leaves (of which the states' are changed in place).

        A tangent of B1 gains g G x of the states x after the pulse, G being the generator; so the states' adjoint gains
        g G^T t of that tangent's adjoint t.
        """
        for i, g in self.flip.items():
            bars[0] = [
                [a - g * tw, b + g * tw, c + g * HALF * (tp - tm)]
                for (a, b, c), (tp, tm, tw) in zip(bars[0], bars[i], strict=True)
            ]
        pulled = [[pulse_adjoint(*components, *self.five) for components in planes] for planes in bars]
        if self.angle:
            c, s = self.angle
            pulled = [turned(planes, c, -s) for planes in pulled]
        for i in range(1, len(pulled)):
            pulled[0] = self._seeded_adjoint(pulled[0], pulled[i], i)
        return pulled

    def _seeded(self, states, tangent, i):
        """What arrives of tangent `i`: its own, and what decay and precession make of the states."""
        if i in self.decay:
            rate, g = self.decay[i]
            if rate == R1:
                return [[p, m, w + g * x[W]] for (p, m, w), x in zip(tangent, states, strict=True)]
            return [[p + g * x[P], m + g * x[M], w] for (p, m, w), x in zip(tangent, states, strict=True)]
        if i in self.swing:
            g = self.swing[i]
            (p, m, w), (pi, mi, wi) = tangent
            (xp, xm, _), (xpi, xmi, _) = states
            return [[p - g * xpi, m + g * xmi, w], [pi + g * xp, mi - g * xm, wi]]
        return tangent

    def _seeded_adjoint(self, states, tangent, i):
        """Adjoint of `_seeded` for the states."""
        if i in self.decay:
            return self._seeded(tangent, states, i)  # symmetric
        if i in self.swing:
            g = self.swing[i]
            (p, m, w), (pi, mi, wi) = states
            (tp, tm, _), (tpi, tmi, _) = tangent
            return [[p + g * tpi, m - g * tmi, w], [pi - g * tp, mi + g * tm, wi]]
        return states


def turned(planes, c, s):
    """Both planes, turned: P turns one way, M the other."""
    (p, m, w), (pi, mi, wi) = planes
    p, pi = turn(p, pi, c, s)
    m, mi = turn(m, mi, c, -s)
    return [[p, m, w], [pi, mi, wi]]


def generated(planes):
    """What the generator of rotations makes of a set: its derivative by the flip angle."""
    return [generator(*components, HALF) for components in planes]


def added(numbers):
    """Their sum."""
    first, *rest = numbers
    return sum(rest, first)


def paired(planes, others, components=range(COMPONENTS)):
    """The inner product of two sets in some of their components."""
    return added(one[c] * other[c] for one, other in zip(planes, others, strict=True) for c in components)


def crossed(states, bars):
    """The pairing of i times a set with another: what a turn by a small angle is worth."""
    (p, m, _), (pi, mi, _) = states
    (bp, bm, _), (bpi, bmi, _) = bars
    return (bpi * p - bp * pi) + (bm * mi - bmi * m)


# What the derivatives by rates and durations are made of, by kind of tangent: pairings of states and adjoints.
ALONG = {R1: lambda x, b: paired(x, b, (W,)), R2: lambda x, b: paired(x, b, (P, M)), OMEGA: crossed}


def exponents(shape):
    """Rates in the exponents of an interval: of these there are pairings."""
    return (R1, R2) if shape.planes == 1 else (R1, R2, OMEGA)


def pairings(shape, states, bars):
    """Derivatives by the exponents of an interval, given what arrives and the adjoint of that.

    For each of `exponents`, of all sets with their own adjoints; then, for each tangent of such a rate, of the states
    with that tangent's: what its seed is worth.
    """
    both = list(zip(states, bars, strict=True))
    own = [added(ALONG[rate](x, bar) for x, bar in both) for rate in exponents(shape)]
    return own + [ALONG[kind](states[0], bars[i]) for i, kind in seeded(shape)]


def seeded(shape):
    """Tangents of the rates in the exponents, with their kinds."""
    return [(i, kind) for i, kind in enumerate(shape.kinds, 1) if kind in exponents(shape)]


# How an exponent grows with time for a unit of its rate (for off-resonance, the angle).
GROWTH = {R1: -1, R2: -1, OMEGA: 1}
