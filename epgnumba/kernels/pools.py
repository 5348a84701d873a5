"""Two pools of protons in exchange: what becomes of them over an interval, and the saturation of a bound one by pulses.

After Malik et al., MRM 80 (2018) 767. Of all protons a fraction f is in the second pool, which has states beside those
of the first in every row. Their longitudinal magnetisation obeys

    d/dt (Z, Z_b) = A (Z - 1 + f, Z_b - f)   A = [[-R1 - k f, k (1 - f)], [k f, -R1b - k (1 - f)]]

so that over a time t they become E (Z, Z_b) + (I - E) (1 - f, f), E = exp(A t). F_k does likewise, resting at nothing,
with R2 and R2b - i w in place of R1 and R1b, w being the shift of the second pool; M, a conjugate, goes with E
conjugated. A second free pool has all that; a bound one has no transverse states, only a Z_k. With m half of A's trace
and q^2 its discriminant, E = e^(mt) (cosh(qt) I + t sinh(qt)/(qt) (A - m I)), and both functions are entire in
u = (qt)^2, so that equal pools are no special case. A pulse rotates free pools alike; one of angle a and duration tau
multiplies Z_b of a bound one by exp(-pi G a^2 / tau), G being the lineshape at its frequency.

Derivatives, second ones too, come of the same functions by dual numbers.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from .algebra import M, P, W, added
from .columns import (
    B1,
    EXCHANGE,
    EXCHANGE_B,
    FRACTION,
    FRACTION_B,
    R1,
    R1_B,
    R1_BOUND,
    R2,
    R2_B,
    SATURATION,
    SHIFT_B,
    TIME,
)  # fmt: skip


def is_nothing(x):
    """Whether something is known to be zero: the whole number, not a vector that may be."""
    return isinstance(x, int) and x == 0


def plus(a, b):
    return b if is_nothing(a) else a if is_nothing(b) else a + b


def times(a, b):
    return 0 if is_nothing(a) or is_nothing(b) else a * b


class Dual:
    """A number and its derivative in one direction; both may be vectors, or dual themselves. 0 is no derivative."""

    def __init__(self, value, slope):
        self.value, self.slope = value, slope

    def __add__(self, other):
        if isinstance(other, Dual):
            return Dual(self.value + other.value, plus(self.slope, other.slope))
        return Dual(self.value + other, self.slope)

    def __mul__(self, other):
        if isinstance(other, Dual):
            slope = plus(times(self.value, other.slope), times(self.slope, other.value))
            return Dual(self.value * other.value, slope)
        return Dual(self.value * other, times(self.slope, other))

    def __neg__(self):
        return Dual(-self.value, -self.slope)

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


class Planar:
    """A complex number, of two real ones, which may be vectors, or dual. It stands left of a real one."""

    def __init__(self, re, im):
        self.re, self.im = re, im

    def __add__(self, other):
        if isinstance(other, Planar):
            return Planar(self.re + other.re, self.im + other.im)
        return Planar(self.re + other, self.im)

    def __mul__(self, other):
        if isinstance(other, Planar):
            return Planar(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)
        return Planar(self.re * other, self.im * other)

    def __neg__(self):
        return Planar(-self.re, -self.im)

    def __sub__(self, other):
        return self + -other

    def split(self):
        """A value and a slope, each complex, of dual parts."""
        return Dual(Planar(self.re.value, self.im.value), Planar(self.re.slope, self.im.slope))


def hyperbolic(x, u, product, functions):
    """e^x cosh(s) - 1, s being the root of u; e^x times cosh(s) and sinh(s)/s; then functions of which each is twice
    the derivative by u of the one before. `functions` calculates them for vectors; `product` is (x + s)(x - s), for
    precision only.
    """
    if isinstance(x, Planar) and isinstance(x.re, Dual):
        return [Planar(Dual(f.value.re, f.slope.re), Dual(f.value.im, f.slope.im))
                for f in hyperbolic(x.split(), u.split(), product, functions)]  # fmt: skip
    if not isinstance(x, Dual):
        return functions(x, u, product)
    less, *values = hyperbolic(x.value, u.value, product.value if isinstance(product, Dual) else product, functions)
    dx, du = x.slope, times(u.slope, 0.5)
    slopes = [plus(times(f, dx), times(following, du)) for f, following in pairwise(values)]
    return [Dual(less, slopes[0]), *(Dual(f, slope) for f, slope in zip(values, slopes, strict=False))]


def exponential(a, b, c, d, product, functions):
    """exp of the matrix ((a, b), (c, d)), of which d may be complex; its diagonal, less one. `product`: a d - b c."""
    mean, half = (d + a) * 0.5, (d - a) * 0.5
    less, cosh, sinh, *_ = hyperbolic(mean, half * half + b * c, product, functions)
    across = sinh * half
    return (cosh - across, sinh * b, sinh * c, cosh + across), (less - across, less + across)


def longitudinal(given, functions):
    """E over an interval, then what it gains, from R1, fraction, exchange, R1 of the second pool, time: six numbers."""
    r1, f, k, r1b, t = given.values()
    there, back = k * f, k * (1 - f)  # from the first pool to the second, and back
    product = (r1 * r1b + r1 * back + r1b * there) * t * t  # whose terms have one sign
    entries, (lost, lost_b) = exponential(-(r1 + there) * t, back * t, there * t, -(r1b + back) * t, product, functions)
    _, ab, ba, _ = entries
    free = 1 - f
    return *entries, -(lost * free + ab * f), -(ba * free + lost_b * f)


def transverse(given, functions):
    """The same of F_k, which gains nothing: four numbers; with a shift before the time eight, real parts and imaginary
    ones in turn.
    """
    r2, f, k, r2b, *shift, t = given.values()
    there, back = k * f, k * (1 - f)
    second, product = -(r2b + back) * t, (r2 * r2b + r2 * back + r2b * there) * t * t
    if shift:
        second, product = Planar(second, shift[0] * t), None
    entries, _ = exponential(-(r2 + there) * t, back * t, there * t, second, product, functions)
    return tuple(part for x in entries for part in (x.re, x.im)) if shift else entries


class Exchange(NamedTuple):
    """What two pools exchange over an interval.

    Attributes
    ----------
    pairs : tuple of tuple
        Components of the first and the second pool, and whether they go with E (1) or its conjugate (-1).
    rates : tuple of int
        What it depends on besides time.
    numbers : callable
        Its numbers, from rates and time by code, in that order: entries of E first.
    parts : int
        Of an entry: 2 if it is complex.
    count : int
        Of its numbers.
    """

    pairs: tuple
    rates: tuple
    numbers: Callable
    parts: int
    count: int


def exchanges(shape):
    """Those of a shape, the longitudinal one first."""
    if shape.bound:
        return (Exchange(((W, W + 1, 1),), (R1, FRACTION, EXCHANGE, R1_BOUND), longitudinal, 1, 6),)
    if not shape.second:
        return ()
    both, shift = (FRACTION_B, EXCHANGE_B), (SHIFT_B,) if SHIFT_B in shape.terms else ()
    parts, pairs = 1 + len(shift), ((P, 3 + P, 1), (M, 3 + M, -1))
    return (
        Exchange(((W, 3 + W, 1),), (R1, *both, R1_B), longitudinal, 1, 6),
        Exchange(pairs, (R2, *both, R2_B, *shift), transverse, parts, 4 * parts),
    )


def of_kinds(kinds, rates):
    """Tangents, by the rates that they change, of some rates."""
    return [i for i, kind in enumerate(kinds, 1) if kind in rates]


def exchange_lines(shape):
    """For each exchange where its numbers begin, those of tangents behind its own; then how many there are of all."""
    starts = [0]
    for each in exchanges(shape):
        starts.append(starts[-1] + each.count * (1 + len(of_kinds(shape.kinds, each.rates))))
    return starts


def calculated_once(functions):
    """The same functions, for calls that differ in slopes alone."""
    known = []

    def call(x, u, product):
        if not known:
            known.append(functions(x, u, product))
        return known[0]

    return call


def saturation(given, functions):
    """Logarithm of what a pulse leaves of the bound pool, from its nominal angle (by TIME), B1 and lineshape."""
    angle = given[B1] * given[TIME]
    return (-(given[SATURATION] * angle * angle),)


def value_and_slopes(function, given, seeds, functions=None):
    """What a function of rates gives, and for each tangent how that changes; `seeds`: (rate, seed) by tangent."""
    slopes = {}
    for i, (rate, seed) in seeds.items():
        moved = {code: Dual(x, seed if code == rate else 0) for code, x in given.items()}
        slopes[i] = [x.slope for x in function(moved, functions)]
    return function(given, functions), slopes


def pull_back(function, given, seeds, bars, slope_bars, functions=None):
    """Derivatives by rates, and by seeds, given those by what `value_and_slopes` returns."""
    by_rate, by_seed = {}, {}

    def along(direction):
        return {code: Dual(x, int(code == direction)) for code, x in given.items()}

    for direction in given:
        moved = function(along(direction), functions)
        by_rate[direction] = added(bar * x.slope for bar, x in zip(bars, moved, strict=True))
        for i, (rate, seed) in seeds.items():
            if rate == direction:
                by_seed[i] = added(bar * x.slope for bar, x in zip(slope_bars[i], moved, strict=True))
            twice = {code: Dual(x, Dual(seed, 0) if code == rate else 0) for code, x in along(direction).items()}
            slopes = [x.slope for x in function(twice, functions)]
            second = added(bar * x.slope for bar, x in zip(slope_bars[i], slopes, strict=True) if isinstance(x, Dual))
            by_rate[direction] = plus(by_rate[direction], 0 if second is None else second)
    return by_rate, by_seed
