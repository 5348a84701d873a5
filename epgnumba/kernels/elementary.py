"""Sine, cosine and exponential function as straight-line arithmetic, which goes over vectors; analytic where needed."""

from math import factorial

from .lanes import blended, floor, is_complex, joined, nearest, root, scaled, stepped, where
from .pools import Dual, Planar
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


SERIES = _series(5, 11)  # for u below 1 in magnitude


def hyperbolic(x, u, product):
    """The functions of `pools.hyperbolic`, of vectors, where x + sqrt(u) <= 0; of complex ones in real part."""
    if isinstance(x, Planar):
        return _of_complex(x, u)
    if is_complex(x):  # to first order in the step
        parts = chained(*(Dual(number.real, number.imag) for number in (x, u, product)), hyperbolic)
        return [joined(part.value, part.slope) for part in parts]
    values = hyperbolic_by(x, u, product, lambda x: exp(x, LOWEST), root, where, blended)
    return [values[0] - 1, *values]


def hyperbolic_by(x, u, product, exp, root, where, blended):
    """e^x cosh(s), sinh(s)/s and so on, of whatever has + - * / <, by functions of it."""
    small, scale = u < 1.0, exp(x)

    def beyond():
        far = where(small, 0 * u + 1, u)
        s = root(far)
        up, down = exp(product / (x - s)), exp(x - s)
        return _recurred(0.5 * (up + down), 0.5 * (up - down) / s, lambda value: value / far)

    return blended(small, [scale * value for value in _summed(u, 0 * u)], beyond)


def _of_complex(x, u):
    if is_complex(x.re):
        both = (Dual(Planar(z.re.real, z.im.real), Planar(z.re.imag, z.im.imag)) for z in (x, u))
        parts = chained(*both, None, hyperbolic)
        return [Planar(joined(f.value.re, f.slope.re), joined(f.value.im, f.slope.im)) for f in parts]
    return complex_hyperbolic_by(x, u, lambda x: exp(x, LOWEST), rotation, root, where, blended, magnitude)


def complex_hyperbolic_by(x, u, exp, rotation, root, where, blended, magnitude):
    """`hyperbolic_by` of complex numbers, less one in place of the first."""

    def exponential(z):
        cosine, sine = rotation(z.im)
        return Planar(cosine, sine) * exp(z.re)

    square = u.re * u.re + u.im * u.im
    small = square < 1.0

    def beyond():
        far = Planar(where(small, 0 * square + 1, u.re), where(small, 0 * square, u.im))
        squared = where(small, 0 * square + 1, square)
        size = root(squared)
        s = _complex_root(far, size, root, where, magnitude)
        up, down = (exponential(x + way) for way in (s, -s))
        inverse = Planar(s.re / size, -s.im / size)
        divided = Planar(far.re / squared, -far.im / squared).__mul__
        return _parts(_recurred((up + down) * 0.5, (up - down) * inverse * 0.5, divided))

    scale, nothing = exponential(x), Planar(0 * square, 0 * square)
    parts = blended(small, _parts(value * scale for value in _summed(u, nothing)), beyond)
    values = [Planar(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    return [values[0] + -1.0, *values]


def _parts(numbers):
    """Real parts and imaginary ones, in turn."""
    return [part for x in numbers for part in (x.re, x.im)]


def _recurred(cosh, sinh, divided):
    """From the first two functions all: the recurrence of the spherical Bessel functions, `divided` by u."""
    values = [cosh, sinh]
    while len(values) < len(SERIES):
        j = len(values) - 1
        values.append(divided(values[-2] - values[-1] * (2 * j - 1)))
    return values


def _summed(u, nothing):
    """Their Taylor series in u."""
    for row in SERIES:
        value = nothing + row[-1]
        for coefficient in row[-2::-1]:
            value = u * value + coefficient
        yield value


def _complex_root(u, size, root, where, magnitude):
    """A square root, none of whose parts is a difference of what is nearly equal; `size` is |u|."""
    larger = root(0.5 * (size + magnitude(u.re)))
    smaller = 0.5 * u.im / larger
    left = u.re < 0.0
    return Planar(where(left, smaller, larger), where(left, larger, smaller))
