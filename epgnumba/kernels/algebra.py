"""What happens to the states of a row: the interval before a pulse and the pulse, for value, tangents and adjoints.

A row is an order k; a set holds, for each plane, the components (P, M, W) of that row (see `physics`; C besides where
there is a bound pool, see `pools`), each a number or a vector of them. Set 0 holds the states, the others the tangents
that go along with them. Over an interval P and M decay by e2 = exp(-R2 t), W by e1 = exp(-R1 t), and P turns by an
angle, M the other way; all that is folded into five coefficients and the turn. What depends on the order multiplies the
row before (`exponents`). A tangent gains what its rate's change makes of the states: its *seed*, the derivative of the
rate, times the derivative of the exponent.

These functions take whatever has + - *: a CPU gives them vectors, a CUDA device numbers.
"""

from typing import Any, NamedTuple

from .columns import B1
from .exponents import before_pulses, by_order
from .physics import coefficients, generator, pulse, pulse_adjoint, turn

HALF_PI = 1.5707963267948966
HALF = 0.5
P, M, W, C = range(4)
LIKE = P, M, W, W  # the component whose exponents each has


class Numbers(NamedTuple):
    """What an interval and the pulse that ends it depend on.

    Attributes
    ----------
    trig, decay : tuple
        Cosine and sine of the flip angle; e1 and e2.
    angle : tuple or None
        Cosine and sine of the turn into the frame of the pulse, of a complex problem.
    nominal : number
        Nominal flip angle, radians.
    seeds : dict
        For each tangent (from 1) its seed.
    rates : dict
        Those that act by order, by code.
    moments : dict
        Time of the interval (ms) and moments of dephasing, see `exponents`; by moment and power of the scale.
    exp, rotation : callable
        exp(x) of x <= 0; cosine and sine of an angle.
    pools : Pools or None
        Of a problem with a bound pool.
    """

    trig: tuple
    decay: tuple
    angle: Any
    nominal: Any
    seeds: dict
    rates: dict
    moments: dict
    exp: Any
    rotation: Any
    pools: Any = None


class Pools(NamedTuple):
    """What a bound pool adds.

    Attributes
    ----------
    exchange : tuple
        From W and C before an interval to W, then C, after it, row by row.
    exchange_slopes : dict
        For tangents on which that depends, how it changes.
    saturation : number
        What a pulse leaves of C.
    saturation_slopes : dict
        For tangents on which that depends, how its logarithm changes.
    """

    exchange: tuple
    exchange_slopes: dict
    saturation: Any
    saturation_slopes: dict


class Interval:
    """An interval and the pulse that ends it, of a `Shape`."""

    def __init__(self, shape, numbers):
        self.shape, self.numbers = shape, numbers
        self.five = coefficients(*numbers.trig, *numbers.decay, HALF)
        self.flip = {i: numbers.nominal * numbers.seeds[i] for i, kind in enumerate(shape.kinds, 1) if kind == B1}

    def play(self, sets, k):
        """Sets after the pulse, from those before the interval; `k`: their order."""
        return self.pulse(self.pass_time(sets, k))

    def pass_time(self, sets, k):
        """Sets that meet the pulse."""
        multiply, pools = self._factors(k), self.numbers.pools
        arriving = [multiply(planes, 1) for planes in sets]
        met = []
        for i, planes in enumerate(arriving):
            planes = self._seeded(arriving[0], planes, i, k) if i else planes
            if pools:
                planes = [mixed(plane, plane, pools.exchange) for plane in planes]
                if i in pools.exchange_slopes:
                    planes = [
                        mixed(plane, x, pools.exchange_slopes[i], added=True)
                        for plane, x in zip(planes, arriving[0], strict=True)
                    ]
            met.append(turned(planes, *self.numbers.angle) if self.numbers.angle else planes)
        return met

    def unpass_time(self, bars, k):
        """Adjoint of `pass_time`."""
        multiply, pools = self._factors(k), self.numbers.pools
        if self.numbers.angle:
            c, s = self.numbers.angle
            bars = [turned(planes, c, -s) for planes in bars]
        if pools:
            pulled = [[mixed(plane, plane, transposed(pools.exchange)) for plane in planes] for planes in bars]
            for i, slopes in pools.exchange_slopes.items():
                pulled[0] = [
                    mixed(plane, bar, transposed(slopes), added=True)
                    for plane, bar in zip(pulled[0], bars[i], strict=True)
                ]
            bars = pulled
        for i in range(1, len(bars)):
            bars[0] = self._seeded(bars[i], bars[0], i, k, -1)
        return [multiply(planes, -1) for planes in bars]

    def exchange_pairings(self, sets, met, k, tangents):
        """Derivatives by the numbers of exchange, then by their slopes along some tangents.

        `sets` are those before the interval, `met` the adjoints of what meets the pulse.
        """
        multiply = self._factors(k)
        sets = [multiply(planes, 1) for planes in sets]
        sets = [self._seeded(sets[0], planes, i, k) if i else planes for i, planes in enumerate(sets)]

        def pairs(x, bar):
            return [added(b[i] * a[j] for a, b in zip(x, bar, strict=True)) for i in (W, C) for j in (W, C)]

        own = [added(each) for each in zip(*(pairs(x, bar) for x, bar in zip(sets, met, strict=True)), strict=True)]
        return own + [value for i in tangents for value in pairs(sets[0], met[i])]

    def pulse(self, sets):
        """Sets that leave the pulse, from those that meet it."""
        pools = self.numbers.pools
        after = [[self._rotated(plane, pulse) for plane in planes] for planes in sets]
        for i, g in self.flip.items():
            after[i] = [
                [*(t + g * x for t, x in zip(plane, change, strict=False)), *plane[C:]]
                for plane, change in zip(after[i], generated(after[0]), strict=True)
            ]
        for i, slope in pools.saturation_slopes.items() if pools else ():
            after[i] = [[*plane[:C], plane[C] + slope * x[C]] for plane, x in zip(after[i], after[0], strict=True)]
        return after

    def unpulse(self, bars):
        """Adjoint of `pulse`.

        A tangent of B1 gains g G x of the states x after the pulse, G being the generator; so the states' adjoint gains
        g G^T t of that tangent's adjoint t.
        """
        own, pools = bars[0], self.numbers.pools
        for i, g in self.flip.items():
            own = [
                [a - g * tw, b + g * tw, c + g * HALF * (tp - tm), *bound]
                for (a, b, c, *bound), (tp, tm, tw, *_) in zip(own, bars[i], strict=True)
            ]
        for i, slope in pools.saturation_slopes.items() if pools else ():
            own = [[*plane[:C], plane[C] + slope * t[C]] for plane, t in zip(own, bars[i], strict=True)]
        return [[self._rotated(plane, pulse_adjoint) for plane in planes] for planes in (own, *bars[1:])]

    def _rotated(self, plane, rotate):
        p, m, w, *bound = plane
        return [*rotate(p, m, w, *self.five), *(self.numbers.pools.saturation * x for x in bound)]

    def _slopes(self, rate, k):
        """Derivatives by a rate of the exponents of P, M and W, and whether they are imaginary; None where zero."""
        parts = [(e, e.weights(k)) for e in before_pulses(self.shape) if e.rate == rate]
        slopes = [
            added(weighted(w[c], self.numbers.moments[e.moment, e.scale]) for e, w in parts if w[c] is not None)
            for c in (P, M, W)
        ]
        return slopes, any(e.imaginary for e, _ in parts)

    def _seeded(self, states, tangent, i, k, way=1):
        """What arrives of tangent `i`: its own, and what its rate's change makes of the states; or its adjoint."""
        slopes, imaginary = self._slopes(self.shape.kinds[i - 1], k)
        gains = [None if slope is None else self.numbers.seeds[i] * slope for slope in slopes]
        gains = [gains[LIKE[c]] for c in range(self.shape.components)]
        if not imaginary:
            return [
                [t if g is None else t + g * x for t, x, g in zip(*planes, gains, strict=True)]
                for planes in zip(tangent, states, strict=True)
            ]
        (re, im), (x_re, x_im) = tangent, states
        turning = [None if g is None else g if way > 0 else -g for g in gains]
        return [
            [t if g is None else t - g * x for t, x, g in zip(re, x_im, turning, strict=True)],
            [t if g is None else t + g * x for t, x, g in zip(im, x_re, turning, strict=True)],
        ]

    def _factors(self, k):
        """What multiplies a set by what depends on the order; or, with -1 for the way, its adjoint."""
        decays, angles = {}, {}
        for rate in dict.fromkeys(e.rate for e in by_order(self.shape)):
            slopes, imaginary = self._slopes(rate, k)
            sums = angles if imaginary else decays
            for c, slope in enumerate(slopes):
                if slope is not None:
                    own = self.numbers.rates[rate] * slope
                    sums[c] = sums[c] + own if c in sums else own
        decays = {c: self.numbers.exp(x) for c, x in decays.items()}
        angles = {c: self.numbers.rotation(x) for c, x in angles.items()}

        def apply(planes, way):
            planes = [
                [x * decays[LIKE[c]] if LIKE[c] in decays else x for c, x in enumerate(plane)] for plane in planes
            ]
            for c in range(self.shape.components) if angles else ():
                cosine, sine = angles[LIKE[c]]
                planes[0][c], planes[1][c] = turn(planes[0][c], planes[1][c], cosine, sine if way > 0 else -sine)
            return planes

        return apply


def weighted(weight, x):
    """x times a weight, which mostly is 1 or -1."""
    if isinstance(weight, int) and abs(weight) == 1:
        return x if weight > 0 else -x
    return x * weight


def turned(planes, c, s):
    """Both planes, turned: P turns one way, M the other."""
    (p, m, *rest), (pi, mi, *resti) = planes
    p, pi = turn(p, pi, c, s)
    m, mi = turn(m, mi, c, -s)
    return [[p, m, *rest], [pi, mi, *resti]]


def mixed(plane, x, matrix, added=False):
    """A plane with W and C as a matrix makes them of those of x; `added` to its own."""
    ww, wc, cw, cc = matrix
    w, c = ww * x[W] + wc * x[C], cw * x[W] + cc * x[C]
    return [plane[P], plane[M], plane[W] + w, plane[C] + c] if added else [plane[P], plane[M], w, c]


def transposed(matrix):
    ww, wc, cw, cc = matrix
    return ww, cw, wc, cc


def generated(planes):
    """What the generator of rotations makes of a set: the derivative of its P, M and W by the flip angle."""
    return [generator(*plane[:C], HALF) for plane in planes]


def added(numbers):
    """Their sum; None if there are none."""
    first, *rest = [*numbers] or [None]
    return sum(rest, first)


def paired(planes, others):
    """The inner product of two sets, as far as both have components."""
    return added(x * y for one, other in zip(planes, others, strict=True) for x, y in zip(one, other, strict=False))


def exponent_pairing(exponent, states, bars, k):
    """Derivative by an exponent's rate times moment: states, weighted, with adjoints of what they become."""
    pairs = []
    weights = exponent.weights(k)
    for c in range(len(states[0])):
        weight = weights[LIKE[c]]
        if weight is None:
            continue
        if exponent.imaginary:
            (x, xi), (b, bi) = ((planes[0][c], planes[1][c]) for planes in (states, bars))
            value = bi * x - b * xi
        else:
            value = added(x[c] * b[c] for x, b in zip(states, bars, strict=True))
        pairs.append(weighted(weight, value))
    return added(pairs)


def pairings(shape, states, bars, k):
    """Derivatives by the exponents of an interval, given what arrives and the adjoint of that.

    For each exponent, of all sets with their own adjoints; then, for each tangent of its rate, of the states with that
    tangent's: what its seed is worth.
    """
    both = list(zip(states, bars, strict=True))
    own = [added(exponent_pairing(e, x, bar, k) for x, bar in both) for e in before_pulses(shape)]
    return own + [exponent_pairing(e, states[0], bars[i], k) for e, i in seeded(shape)]


def seeded(shape):
    """Exponents, each with a tangent of its rate."""
    return [(e, i) for e in before_pulses(shape) for i, kind in enumerate(shape.kinds, 1) if kind == e.rate]
