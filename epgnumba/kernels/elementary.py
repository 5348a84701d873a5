"""Sine, cosine and exponential function as straight-line arithmetic, which goes over vectors; analytic where needed."""

from math import factorial

from .lanes import floor, is_complex, joined, nearest, root, scaled, stepped, where
from .pools import Dual
from .pools import hyperbolic as chained

HALF_PI = 1.5707963267948966
LOWEST = -707.0  # what decays further is zero for all that follows
LOG2_E = 1.4426950408889634


def sin_cos_turns(x, quarters, floor=floor, where=where):
    """Sine and cosine of an angle of `x` quarter turns, `quarters` being x rounded to a whole number.

    Exact at every whole quarter, so that a 90 degree pulse leaves nothing behind; straight-line arithmetic, so that it
    vectorises; analytic in x. Taylor series, summed to below one ulp of double precision for |x - quarters| <= 1/2.
    """
    r = (x - quarters) * 1.5707963267948966
    r2 = r * r
    s = 1 / 6227020800 - r2 * (1 / 1307674368000)
    s = -1 / 39916800 + r2 * s
    s = 1 / 362880 + r2 * s
    s = -1 / 5040 + r2 * s
    s = 1 / 120 + r2 * s
    s = -1 / 6 + r2 * s
    s = r + r * (r2 * s)
    c = -1 / 87178291200 + r2 * (1 / 20922789888000)
    c = 1 / 479001600 + r2 * c
    c = -1 / 3628800 + r2 * c
    c = 1 / 40320 + r2 * c
    c = -1 / 720 + r2 * c
    c = 1 / 24 + r2 * c
    c = -1 / 2 + r2 * c
    c = 1 + r2 * c
    half = quarters * 0.5  # an odd number of quarters exchanges the two; signs follow from the quadrant
    odd = half != floor(half)
    sine, cosine = where(odd, c, s), where(odd, s, c)
    quadrant = quarters - 4 * floor(quarters * 0.25)
    sine = where(quadrant >= 2, -sine, sine)
    cosine = where((quadrant == 1) | (quadrant == 2), -cosine, cosine)
    return sine, cosine


def exp_reduced(x, k):
    """exp(x) / 2^k, `k` being x / log 2 rounded to a whole number. Taylor series, good to an ulp or two."""
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10  # log 2 in two parts
    e = 1 / 479001600 + r * (1 / 6227020800)
    e = 1 / 39916800 + r * e
    e = 1 / 3628800 + r * e
    e = 1 / 362880 + r * e
    e = 1 / 40320 + r * e
    e = 1 / 5040 + r * e
    e = 1 / 720 + r * e
    e = 1 / 120 + r * e
    e = 1 / 24 + r * e
    e = 1 / 6 + r * e
    e = 1 / 2 + r * e
    return 1 + (r + r * (r * e))


def sin_cos(x):
    """Sine and cosine of an angle of `x` quarter turns."""
    return sin_cos_turns(x, nearest(x))


def magnitude(x):
    """|x|, of a complex step with its sign."""
    return where(x.real < 0.0, -x, x)


def sign(x):
    """-1 or 1."""
    return where(x.real < 0.0, 0 * x.real - 1, 0 * x.real + 1)


def rotation(x):
    """Cosine and sine of an angle, radians."""
    s, c = sin_cos(x * (1 / HALF_PI))
    return c, s


def exp(x, lowest):
    """exp(x) for x <= 0, of a complex step to first order; what is below `lowest` is taken for it."""
    y = where(x.real < lowest, lowest, x.real)
    k = where(y == y, nearest(y * LOG2_E), 0.0)  # what is no number stays so
    return stepped(scaled(exp_reduced(y, k), k), x)


def _series(count, terms):
    """Taylor coefficients of cosh(s), sinh(s)/s, ... in u = s^2: each twice the derivative of the one before."""
    rows = [[1 / factorial(2 * n) for n in range(terms + count)]]
    while len(rows) < count:
        rows.append([2 * (n + 1) * c for n, c in enumerate(rows[-1][1:])])
    return [row[:terms] for row in rows]


SERIES = _series(5, 11)  # for u below 1


def hyperbolic(x, u, product):
    """The functions of `pools.hyperbolic`, of vectors, where x + sqrt(u) <= 0."""
    if is_complex(x):  # to first order in the step
        parts = chained(*(Dual(number.real, number.imag) for number in (x, u, product)), hyperbolic)
        return [joined(part.value, part.slope) for part in parts]
    cosh, *others = hyperbolic_by(x, u, product, lambda x: exp(x, LOWEST), root, where)
    return [cosh - 1, *others]


def hyperbolic_by(x, u, product, exp, root, where):
    """e^x cosh(s), sinh(s)/s and so on, of whatever has + - * / <, by functions of it."""
    small = u < 1.0
    far = where(small, 0 * u + 1, u)
    s = root(far)
    scale, up, down = exp(x), exp(product / (x - s)), exp(x - s)
    beyond = [0.5 * (up + down), 0.5 * (up - down) / s]
    while len(beyond) < len(SERIES):  # recurrence of the spherical Bessel functions
        j = len(beyond) - 1
        beyond.append((beyond[-2] - (2 * j - 1) * beyond[-1]) / far)
    near = []
    for row in SERIES:
        value = 0 * u + row[-1]
        for coefficient in row[-2::-1]:
            value = coefficient + u * value
        near.append(scale * value)
    return [where(small, a, b) for a, b in zip(near, beyond, strict=True)]
