r"""The one definition of the physics: plain functions of scalars, used by every kernel on every device.

In the frame of a pulse, with P = F_k, M = conj(F_-k) and W = -2i Z_k, put d = P - M and s = P + M. A pulse of flip a
leaves s alone and rotates the pair (d, W) by the plain angle a (from Weigel, JMRI 41 (2015) 266, eq. 18):

    d' = cos a d + sin a W        W' = cos a W - sin a d

Decay before the pulse scales d and s by e2 = exp(-t/T2) and W by e1 = exp(-t/T1). Both fold into five coefficients.
The matrix is real: a complex state is two independent planes, mixed only by phases.
"""

__all__ = ["coefficients", "generator", "pulse", "pulse_adjoint", "turn"]


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
