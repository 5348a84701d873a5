r"""The one definition of the physics: plain functions of scalars, used by every kernel on every device.

In the frame of a pulse, with P = F_k, M = conj(F_-k) and W = -2i Z_k, put d = P - M and s = P + M. A pulse of flip a
leaves s alone and rotates the pair (d, W) by the plain angle a (from Weigel, JMRI 41 (2015) 266, eq. 18):

    d' = cos a d + sin a W        W' = cos a W - sin a d

Decay before the pulse scales d and s by e2 = exp(-t/T2) and W by e1 = exp(-t/T1). Both fold into five coefficients.
The matrix is real: a complex state is two independent planes, mixed only by phases.
"""

import numpy as np

__all__ = ["coefficients", "exp_reduced", "generator", "pulse", "pulse_adjoint", "sin_cos_turns", "turn"]


def coefficients(c, s, e1, e2, half):
    """Coefficients (a, b, c, d, e) of decay and pulse; `half` is 0.5 in the caller's precision."""
    return half * (c * e2), half * (s * e1), c * e1, s * e2, half * e2


def pulse(p, m, w, ca, cb, cc, cd, ce):
    """Decay, then rotate: states (P, M, W) after the pulse."""
    d = p - m
    even = ce * (p + m)
    odd = ca * d + cb * w
    return even + odd, even - odd, cc * w - cd * d


def pulse_adjoint(p, m, w, ca, cb, cc, cd, ce):
    """Transpose of `pulse`."""
    even = ce * (p + m)
    odd = p - m
    d = ca * odd - cd * w
    return even + d, even - d, cb * odd + cc * w


def generator(p, m, w, half):
    """Derivative of the states after a pulse with respect to its flip angle (in radians)."""
    odd = half * w
    return odd, -odd, m - p


def turn(re, im, c, s):
    """Multiply (re + i im) by (c + i s)."""
    return c * re - s * im, s * re + c * im


def sin_cos_turns(x, quarters):
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
    odd = half != np.floor(half)
    sine, cosine = (c if odd else s), (s if odd else c)
    quadrant = quarters - 4 * np.floor(quarters * 0.25)
    sine = -sine if quadrant >= 2 else sine
    cosine = -cosine if (quadrant == 1) | (quadrant == 2) else cosine
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
