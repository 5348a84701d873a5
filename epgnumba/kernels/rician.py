"""Magnitudes of complex numbers with Gaussian noise: their mean, its slope, and their variance (S. O. Rice, 1944).

With A the magnitude without noise and s the noise in real and imaginary part, t = (A / 2s)^2, the mean is
s sqrt(pi/2) exp(-t) [(1 + 2t) I_0(t) + 2t I_1(t)], and its slope by A sqrt(pi/8) (A/s) exp(-t) [I_0(t) + I_1(t)].
Where the noise is small, the mean is A times the sum of (-1/2)_k^2 (2 s^2 / A^2)^k / k!.
"""

import numpy as np

from .jit import kernel

FAR = 9.0  # A / s from which on the series in s / A has terms below rounding
CLEAR = 1e3  # A / s from which on the variance is that of the noise, to six digits


@kernel
def near_rician(ratio):
    """Mean and slope, for a noise of one, by the power series of the Bessel functions, whose terms are all positive."""
    t = ratio * ratio / 4
    q, term0, term1 = t * t / 4, 1.0, t / 2
    sum0, sum1 = term0, term1
    k = 1.0
    while term0 > 1e-17 * sum0:
        term0 *= q / (k * k)
        term1 *= q / (k * (k + 1))
        sum0 += term0
        sum1 += term1
        k += 1
    scale = np.exp(-t)
    mean = np.sqrt(np.pi / 2) * scale * ((1 + 2 * t) * sum0 + 2 * t * sum1)
    return mean, np.sqrt(np.pi / 8) * ratio * scale * (sum0 + sum1)


@kernel
def far_rician(ratio):
    """The same by the series in the noise."""
    x = 2 / (ratio * ratio)
    term = total = slope = k = 1.0
    while abs(term) > 1e-17 and k < 40:
        term *= (k - 1.5) ** 2 * x / k
        total += term
        slope += (1 - 2 * k) * term
        k += 1
    return ratio * total, slope


@kernel
def rician(size, noise):
    """Mean of a noisy magnitude, its slope by the one without noise, and its variance."""
    ratio = size / noise
    mean, slope = far_rician(ratio) if ratio > FAR else near_rician(ratio)
    variance = 2 + ratio * ratio - mean * mean if ratio < CLEAR else 1.0
    return noise * mean, slope, noise * noise * variance
