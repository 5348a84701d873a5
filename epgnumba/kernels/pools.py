"""A pool of bound protons beside the free one: exchange over an interval, and saturation by pulses.

After Malik et al., MRM 80 (2018) 767. The bound pool has no transverse states, only a Z_k beside each of the free
pool's (component C, which is -2i Z_k as W is). Free and bound magnetisation, fractions 1 - f and f of all, obey

    d/dt (Z, Z_b) = A (Z - 1 + f, Z_b - f)   A = [[-R1 - k f, k (1 - f)], [k f, -R1b - k (1 - f)]]

so that over a time t they become E (Z, Z_b) + (I - E) (1 - f, f), E = exp(A t). With m half of A's trace and q^2 its
discriminant, E = e^(mt) (cosh(qt) I + t sinh(qt)/(qt) (A - m I)), and both functions are entire in u = (qt)^2, so that
equal pools are no special case. A pulse of angle a and duration tau multiplies Z_b by exp(-pi G a^2 / tau), G being the
lineshape at its frequency.

Derivatives, second ones too, come of the same functions by dual numbers.
"""

from itertools import pairwise

from .algebra import added
from .columns import B1, EXCHANGE, FRACTION, N_EXCHANGE, R1, R1_BOUND, SATURATION, TIME

RATES = R1, FRACTION, EXCHANGE, R1_BOUND  # what exchange depends on, and time


def count_exchange(shape):
    """Numbers of exchange over a duration, with what they change by along tangents."""
    return N_EXCHANGE * (1 + sum(kind in RATES for kind in shape.kinds)) if shape.bound else 0


class Dual:
    """A number and its derivative in one direction; both may be vectors, or dual themselves."""

    def __init__(self, value, slope):
        self.value, self.slope = value, slope

    def __add__(self, other):
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    def __mul__(self, other):
        if isinstance(other, Dual):
            return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)
        return Dual(self.value * other, self.slope * other)

    def __neg__(self):
        return Dual(-self.value, -self.slope)

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


def hyperbolic(x, u, product, functions):
    """e^x cosh(s) - 1 and e^x sinh(s)/s, s being the root of u; then functions of which each is twice the derivative by
    u of the one before. `functions` calculates them for vectors; `product` is (x + s)(x - s), for precision only.
    """
    if not isinstance(x, Dual):
        return functions(x, u, product)
    first, *others = hyperbolic(x.value, u.value, product.value, functions)
    dx, du = x.slope, u.slope * 0.5
    slopes = [f * dx + following * du for f, following in pairwise([first + 1, *others])]
    return [Dual(f, slope) for f, slope in zip([first, *others], slopes, strict=False)]


def exchange(given, functions):
    """E and gain over an interval, from rates and time by code: six numbers."""
    r1, f, k, r1b, t = (given[code] for code in (*RATES, TIME))
    there, back = k * f, k * (1 - f)  # from free to bound, and back
    a, d = -(r1 + there), -(r1b + back)
    mean, half = (a + d) * 0.5 * t, (a - d) * 0.5 * t
    b, c = back * t, there * t
    product = (r1 * r1b + r1 * back + r1b * there) * t * t  # whose terms have one sign
    less, sinh, *_ = hyperbolic(mean, half * half + b * c, product, functions)
    ww, wc, cw, cc = less + sinh * half, sinh * b, sinh * c, less - sinh * half  # of E - I, which may be small
    free = 1 - f
    return ww + 1, wc, cw, cc + 1, -(ww * free + wc * f), -(cw * free + cc * f)


def saturation(given, functions):
    """Logarithm of what a pulse leaves of the bound pool, from its nominal angle (by TIME), B1 and lineshape."""
    angle = given[B1] * given[TIME]
    return (-(given[SATURATION] * angle * angle),)


def value_and_slopes(function, given, seeds, functions=None):
    """What a function of rates gives, and for each tangent how that changes; `seeds`: (rate, seed) by tangent."""
    slopes = {}
    for i, (rate, seed) in seeds.items():
        moved = {code: Dual(x, seed if code == rate else 0 * x) for code, x in given.items()}
        slopes[i] = [x.slope for x in function(moved, functions)]
    return function(given, functions), slopes


def pull_back(function, given, seeds, bars, slope_bars, functions=None):
    """Derivatives by rates, and by seeds, given those by what `value_and_slopes` returns."""
    by_rate, by_seed = {}, {}

    def along(direction, rates):
        return {code: Dual(x, 0 * x + 1 if code == direction else 0 * x) for code, x in rates.items()}

    for direction in given:
        moved = function(along(direction, given), functions)
        by_rate[direction] = added(bar * x.slope for bar, x in zip(bars, moved, strict=True))
        for i, (rate, seed) in seeds.items():
            if rate == direction:
                by_seed[i] = added(bar * x.slope for bar, x in zip(slope_bars[i], moved, strict=True))
            twice = {code: Dual(x, Dual(seed if code == rate else 0 * x.value, 0 * x.value))
                     for code, x in along(direction, given).items()}  # fmt: skip
            second = added(
                bar * x.slope.slope for bar, x in zip(slope_bars[i], function(twice, functions), strict=True)
            )
            by_rate[direction] = by_rate[direction] + second
    return by_rate, by_seed
