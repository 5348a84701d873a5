"""What happens to the states of a row: the interval before a pulse and the pulse, for value, tangents and adjoints.

A row is an order k; a set holds, for each plane, the components (P, M, W) of that row (see `physics`; those of a second
pool behind them, see `pools`), each a number or a vector of them. Set 0 holds the states, the others the tangents that
go along with them. Over an interval P and M decay by e2 = exp(-R2 t), W by e1 = exp(-R1 t), and P turns by an
angle, M the other way; all that is folded into five coefficients and the turn. What depends on the order multiplies the
row before (`exponents`). A tangent gains what its rate's change makes of the states: its *seed*, the derivative of the
rate, times the derivative of the exponent.

These functions take whatever has + - *: a CPU gives them vectors, a CUDA device numbers.
"""

from typing import Any, NamedTuple

from .columns import B1
from .exponents import ORDER, before_pulses, by_order
from .mixing import added, exchanged, mixing_pairings, unexchanged
from .physics import coefficients, generator, pulse, pulse_adjoint, turn

HALF_PI = 1.5707963267948966
HALF = 0.5
P, M, W, C = range(4)  # C: that of a bound pool


def like(shape):
    """For each component of a row whether it is P, M or W of its pool."""
    return (P, M, W, W) if shape.bound else (P, M, W) * (shape.components // 3)


def triples(plane):
    """P, M and W of each free pool."""
    return [plane[first : first + 3] for first in range(0, len(plane) - 2, 3)]


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
    mixings : tuple of Mixing
        What two pools exchange.
    saturation : tuple or None
        What a pulse leaves of a bound pool, and, for tangents on which that depends, how its logarithm changes.
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
    mixings: tuple = ()
    saturation: Any = None


class Interval:
    """An interval and the pulse that ends it, of a `Shape`."""

    def __init__(self, shape, numbers):
        self.shape, self.numbers = shape, numbers
        self.five = coefficients(*numbers.trig, *numbers.decay, HALF)
        self.flip = {i: numbers.nominal * numbers.seeds[i] for i, kind in enumerate(shape.kinds, 1) if kind == B1}
        # The turn into the frame of the pulse, which an exchange that turns by itself takes in.
        taken_in = any(mixing.parts == 2 for mixing in numbers.mixings)
        self.angle = None if taken_in else numbers.angle
        self.mixings = [mixing.turned(*numbers.angle) if mixing.parts == 2 else mixing for mixing in numbers.mixings]

    def play(self, sets, k, factors=None):
        """Sets after the pulse, from those before the interval; `k`: their order, `factors`: what multiplies that.

        One set after the other where two pools are so many numbers that registers would not hold all: `sets` may be an
        iterator, and so is what is returned.
        """
        return self.pulse(self.pass_time(sets, k, factors))

    def pass_time(self, sets, k, factors=None):
        """Sets that meet the pulse, from those before the interval."""
        met = exchanged(self.mixings, self._arriving(sets, k, factors))
        return self._together(turned(planes, *self.angle) for planes in met) if self.angle else met

    def _together(self, sets):
        return sets if self.numbers.mixings else [*sets]

    def _arriving(self, sets, k, factors):
        """Sets after all that acts between pulses on each pool alike."""
        factors = factors or self.factors(k)

        def arrive():
            first = None
            for i, planes in enumerate(sets):
                planes = factors.multiply(planes)
                first = first or planes
                yield self._seeded(first, planes, i, k) if i else planes

        return self._together(arrive())

    def unpass_time(self, bars, k, factors=None):
        """Adjoints of sets before the interval, from those of sets that meet the pulse."""
        factors = factors or self.factors(k)
        if self.angle:
            bars = _turned_back(bars, *self.angle)
        bars = unexchanged(self.mixings, bars)
        for i in range(1, len(bars)):
            bars[0] = self._seeded(bars[i], bars[0], i, k, -1)
        return [factors.multiply(planes, -1) for planes in bars]

    def exchange_pairings(self, sets, met, k, factors=None):
        """`mixing_pairings` of all exchange, from sets before the interval and adjoints of what meets the pulse."""
        sets, bars = [*self._arriving(sets, k, factors)], met
        if self.numbers.angle:
            bars = _turned_back(met, *self.numbers.angle)
        return [value for mixing in self.numbers.mixings for value in mixing_pairings(mixing, sets, bars)]

    def pulse(self, sets):
        """Sets that leave the pulse, from those that meet it."""
        rotated = self._together([self._rotated(plane, pulse) for plane in planes] for planes in sets)
        slopes = self.numbers.saturation[1] if self.numbers.saturation else {}

        def change():
            first = None
            for i, planes in enumerate(rotated):
                first = first or planes
                if i in self.flip:
                    g = self.flip[i]
                    planes = [
                        [*(t + g * x for t, x in zip(plane, moved, strict=False)), *plane[len(moved) :]]
                        for plane, moved in zip(planes, generated(first), strict=True)
                    ]
                if i in slopes:
                    planes = [[*plane[:C], plane[C] + slopes[i] * x[C]] for plane, x in zip(planes, first, strict=True)]
                yield planes

        return self._together(change())

    def unpulse(self, bars):
        """Adjoint of `pulse`.

        A tangent of B1 gains g G x of the states x after the pulse, G being the generator; so the states' adjoint gains
        g G^T t of that tangent's adjoint t.
        """
        own = bars[0]
        for i, g in self.flip.items():
            own = [
                [x for (a, b, c), (tp, tm, tw) in zip(triples(plane), triples(tangent), strict=True)
                 for x in (a - g * tw, b + g * tw, c + g * HALF * (tp - tm))] + bound_of(plane)
                for plane, tangent in zip(own, bars[i], strict=True)
            ]  # fmt: skip
        for i, slope in self.numbers.saturation[1].items() if self.numbers.saturation else ():
            own = [[*plane[:C], plane[C] + slope * t[C]] for plane, t in zip(own, bars[i], strict=True)]
        return [[self._rotated(plane, pulse_adjoint) for plane in planes] for planes in (own, *bars[1:])]

    def _rotated(self, plane, rotate):
        free = [x for triple in triples(plane) for x in rotate(*triple, *self.five)]
        return free + [self.numbers.saturation[0] * x for x in bound_of(plane)]

    def _slopes(self, rate, k, difference=0, stride=None):
        """Derivatives by a rate of the exponents of P, M and W, and whether they are imaginary; None where zero.

        Or their first or second difference between orders a stride apart.
        """
        parts = [
            (e, differences(e.weights, k, difference, stride)) for e in before_pulses(self.shape) if e.rate == rate
        ]
        slopes = [
            added(weighted(w[c], self.numbers.moments[e.moment, e.scale]) for e, w in parts if w[c] is not None)
            for c in (P, M, W)
        ]
        return slopes, any(e.imaginary for e, _ in parts)

    def _seeded(self, states, tangent, i, k, way=1):
        """What arrives of tangent `i`: its own, and what its rate's change makes of the states; or its adjoint."""
        slopes, imaginary = self._slopes(self.shape.kinds[i - 1], k)
        gains = [None if slope is None else self.numbers.seeds[i] * slope for slope in slopes]
        gains = [gains[c] for c in like(self.shape)]
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

    def _exponents(self, k, difference=0, stride=None):
        """What depends on the order, by component: exponents of decays, and angles; or differences of these."""
        decays, angles = {}, {}
        for rate in dict.fromkeys(e.rate for e in by_order(self.shape)):
            slopes, imaginary = self._slopes(rate, k, difference, stride)
            sums = angles if imaginary else decays
            for c, slope in enumerate(slopes):
                if slope is not None:
                    own = self.numbers.rates[rate] * slope
                    sums[c] = sums[c] + own if c in sums else own
        return decays, angles

    def _factors_of(self, decays, angles):
        exp, rotation = self.numbers.exp, self.numbers.rotation
        turns = {c: rotation(x) for c, x in angles.items()}
        return Factors(like(self.shape), {c: exp(x) for c, x in decays.items()}, turns)

    def factors(self, k):
        """What a set is multiplied by for its order."""
        return self._factors_of(*self._exponents(k))

    def growth(self, k, stride):
        """What makes the factors of order k + stride of those of k, and what that grows by in turn.

        Exponents are polynomials of the order, of second degree: so that f(k + s) = f(k) g(k) and g(k + s) = g(k) h.
        """
        steps, bends = (self._exponents(k, difference, stride) for difference in (1, 2))
        return self._factors_of(*steps), self._factors_of(*bends)


def differences(weights, k, difference, stride):
    """Weights of order k; or their first or second difference between orders a stride apart: of whole numbers, exact.

    They are polynomials of second degree, so that the second is the same for all orders, and where it is the same for
    P, M and W compilers see that it is.
    """
    return [_differed(w, k, stride, difference) for w in weights(ORDER)] if difference else weights(k)


def _differed(weight, k, stride, difference):
    *_, linear, square = (0, 0, 0) if weight is None or isinstance(weight, int) else (*weight.coefficients, 0)[:3]
    steps = (linear, stride), (square, (k + k + stride) * stride)
    bends = ((2 * square, stride * stride),)
    return added(weighted(weight, x) for weight, x in (steps if difference == 1 else bends) if weight)


class Factors:
    """What multiplies the rows of a set: decays, and turns as cosine and sine, by component (P, M or W).

    Attributes
    ----------
    numbers : list
        All of them.
    """

    def __init__(self, kinds, decays, turns):
        self._kinds, self._decays, self._turns = kinds, decays, turns
        self.numbers = [*decays.values(), *(x for pair in turns.values() for x in pair)]

    def holding(self, numbers):
        """The same with other numbers."""
        count = len(self._decays)
        turns = zip(numbers[count::2], numbers[count + 1 :: 2], strict=True)
        return Factors(
            self._kinds, dict(zip(self._decays, numbers, strict=False)), dict(zip(self._turns, turns, strict=True))
        )

    def times(self, other):
        """Both, one after the other; `other` may lack some."""
        decays = {c: x * other._decays[c] if c in other._decays else x for c, x in self._decays.items()}
        turns = {c: turn(*x, *other._turns[c]) if c in other._turns else x for c, x in self._turns.items()}
        return Factors(self._kinds, decays, turns)

    def multiply(self, planes, way=1):
        """A set by them; or, with -1 for the way, the adjoint."""
        decays = self._decays
        planes = [
            [x * decays[c] if c in decays else x for c, x in zip(self._kinds, plane, strict=True)] for plane in planes
        ]
        for c, kind in enumerate(self._kinds) if self._turns else ():
            cosine, sine = self._turns[kind]
            planes[0][c], planes[1][c] = turn(planes[0][c], planes[1][c], cosine, sine if way > 0 else -sine)
        return planes


def weighted(weight, x):
    """x times a weight, which mostly is 1 or -1."""
    if isinstance(weight, int) and abs(weight) == 1:
        return x if weight > 0 else -x
    return x * weight


def turned(planes, c, s):
    """Both planes, turned: P turns one way, M the other."""
    re, im = ([*plane] for plane in planes)
    for first in range(0, len(re) - 2, 3):
        for place, way in ((first + P, s), (first + M, -s)):
            re[place], im[place] = turn(re[place], im[place], c, way)
    return [re, im]


def _turned_back(bars, c, s):
    """Adjoint of the turn of all sets."""
    return [turned(planes, c, -s) for planes in bars]


def bound_of(plane):
    """What belongs to no free pool."""
    return [*plane[len(plane) // 3 * 3 :]]


def generated(planes):
    """What the generator of rotations makes of a set: the derivative of its P, M and W by the flip angle."""
    return [[x for triple in triples(plane) for x in generator(*triple, HALF)] for plane in planes]


def paired(planes, others):
    """The inner product of two sets, as far as both have components."""
    return added(x * y for one, other in zip(planes, others, strict=True) for x, y in zip(one, other, strict=False))


def exponent_pairing(exponent, kinds, states, bars, k):
    """Derivative by an exponent's rate times moment: states, weighted, with adjoints of what they become.

    `kinds`: see `like`.
    """
    pairs = []
    weights = exponent.weights(k)
    for c, kind in enumerate(kinds):
        weight = weights[kind]
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
    both, kinds = list(zip(states, bars, strict=True)), like(shape)
    own = [added(exponent_pairing(e, kinds, x, bar, k) for x, bar in both) for e in before_pulses(shape)]
    return own + [exponent_pairing(e, kinds, states[0], bars[i], k) for e, i in seeded(shape)]


def seeded(shape):
    """Exponents, each with a tangent of its rate."""
    return [(e, i) for e in before_pulses(shape) for i, kind in enumerate(shape.kinds, 1) if kind == e.rate]
