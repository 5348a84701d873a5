"""Means of noisy magnitudes, by Bessel functions, against quadrature of Rice's density."""

import numpy as np
import pytest
from numba.core import config
from scipy import integrate, stats

if not config.DISABLE_JIT:
    pytest.skip("needs NUMBA_DISABLE_JIT=1", allow_module_level=True)

from epgnumba.kernels.rician import rician

NOISE = 0.7


@pytest.mark.parametrize("size", [0.0, 1e-9, 0.3, 1.0, 5.0, 6.2, 6.31, 40.0, 699.0, 701.0])
def test_a_noisy_magnitude(size):
    mean, _, variance = rician(size, NOISE)
    exact = stats.rice(size / NOISE, scale=NOISE) if size < 20 else None
    if exact is None:  # its density overflows; the next terms of the series in noise over size are below rounding
        assert mean == pytest.approx(size + NOISE**2 / (2 * size) + NOISE**4 / (8 * size**3), rel=1e-8)
        assert variance == pytest.approx(NOISE**2 - NOISE**4 / (2 * size**2), rel=1e-3)
        return
    low, high = max(0.0, size - 12 * NOISE), size + 12 * NOISE
    first, second = (
        integrate.quad(lambda x, n=n: x**n * exact.pdf(x), low, high, limit=500, epsabs=1e-12)[0] for n in (1, 2)
    )
    assert mean == pytest.approx(first, rel=1e-10)
    assert variance == pytest.approx(second - first**2, rel=1e-8)


@pytest.mark.parametrize("size", np.geomspace(1e-3, 2e3, 30))
def test_its_slope(size):
    step = 1e-4 * max(size, NOISE)
    above, below = rician(size + step, NOISE)[0], rician(abs(size - step), NOISE)[0]
    assert rician(size, NOISE)[1] == pytest.approx((above - below) / (2 * step), abs=1e-7)
