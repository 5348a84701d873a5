"""Magnitudes of complex numbers with Gaussian noise: their mean, its slope, and their variance (S. O. Rice, 1944).

With A the magnitude without noise and s the noise in real and imaginary part, t = (A / 2s)^2, the mean is
s sqrt(pi/2) exp(-t) [(1 + 2t) I_0(t) + 2t I_1(t)], and its slope by A sqrt(pi/8) (A/s) exp(-t) [I_0(t) + I_1(t)].
"""

import numpy as np

from .jit import kernel

FAR = 20.0  # of t: from here on asymptotic series have terms below rounding, exp(-2t)
CLEAR = 1e3  # A / s from which on the variance is that of the noise, to six digits


@kernel
def scaled_bessel(t):
    """exp(-t) I_0(t) and exp(-t) I_1(t), for t >= 0: power series, whose terms are all positive, or asymptotic ones."""
    if t < FAR:
        term0, term1 = 1.0, t / 2
        sum0, sum1 = term0, term1
        k = 1
        while term0 > 1e-17 * sum0:
            term0 *= t * t / (4 * k * k)
            term1 *= t * t / (4 * k * (k + 1))
            sum0 += term0
            sum1 += term1
            k += 1
        scale = np.exp(-t)
    else:
        term0 = term1 = sum0 = sum1 = 1.0
        k = 1
        while abs(term1) > 1e-17 and k < t:
            term0 *= (2 * k - 1) ** 2 / (8 * k * t)
            term1 *= ((2 * k - 1) ** 2 - 4) / (8 * k * t)
            sum0 += term0
            sum1 += term1
            k += 1
        scale = 1 / np.sqrt(2 * np.pi * t)
    return scale * sum0, scale * sum1


@kernel
def rician(size, noise):
    """Mean of a noisy magnitude, its slope by the one without noise, and its variance."""
    ratio = size / noise
    if ratio > CLEAR:
        return size + noise / (2 * ratio), 1 - 0.5 / ratio**2, noise * noise
    t = ratio * ratio / 4
    i0, i1 = scaled_bessel(t)
    mean = noise * np.sqrt(np.pi / 2) * ((1 + 2 * t) * i0 + 2 * t * i1)
    slope = np.sqrt(np.pi / 8) * ratio * (i0 + i1)
    return mean, slope, 2 * noise * noise + size * size - mean * mean
