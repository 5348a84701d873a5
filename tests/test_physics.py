"""The one definition of the physics, as plain Python: it needs no compiler."""

import numpy as np
import pytest
from naive import rf

from epgnumba.kernels import elementary, physics


def random_states(seed=0):
    return np.random.default_rng(seed).normal(size=3)


def pulse(states, flip, e1=1.0, e2=1.0):
    a = np.deg2rad(flip)
    return np.array(physics.pulse(*states, *physics.coefficients(np.cos(a), np.sin(a), e1, e2, 0.5)))


@pytest.mark.parametrize("flip", [0.0, 33.0, 90.0, 180.0, -200.0])
def test_pulse_is_weigels_matrix(flip):
    for column in np.eye(3):
        p, m, z = rf(flip, 0.0) @ column
        start = np.array([column[0], column[1], -2j * column[2]])
        np.testing.assert_allclose(pulse(start, flip), [p, m, -2j * z], atol=1e-15)


def test_rotations_compose_and_conserve():
    x = random_states()
    np.testing.assert_allclose(pulse(pulse(x, 40.0), 75.0), pulse(x, 115.0), atol=1e-15)

    def power(states):
        return states[0] ** 2 + states[1] ** 2 + states[2] ** 2 / 2

    assert power(pulse(x, 123.0)) == pytest.approx(power(x), rel=1e-14)


def test_adjoint_is_the_transpose():
    x, y = random_states(1), random_states(2)
    co = physics.coefficients(np.cos(1.1), np.sin(1.1), 0.9, 0.7, 0.5)
    assert np.dot(y, physics.pulse(*x, *co)) == pytest.approx(np.dot(physics.pulse_adjoint(*y, *co), x), rel=1e-14)


def test_generator_is_the_derivative():
    x, h = random_states(3), 1e-6
    slope = (pulse(x, 50 + np.rad2deg(h)) - pulse(x, 50 - np.rad2deg(h))) / (2 * h)
    np.testing.assert_allclose(physics.generator(*pulse(x, 50.0), 0.5), slope, atol=1e-9)


def test_turn():
    z = (1 - 2j) * np.exp(0.3j)
    assert physics.turn(1.0, -2.0, np.cos(0.3), np.sin(0.3)) == pytest.approx((z.real, z.imag))


def test_sine_and_cosine():
    for x in np.concatenate([np.linspace(-9, 9, 2001), [0.5, -0.5, 1.5, 2.5]]):
        s, c = elementary.sin_cos_turns(x, np.floor(x + 0.5))
        assert abs(s - np.sin(x * np.pi / 2)) < 3e-15
        assert abs(c - np.cos(x * np.pi / 2)) < 3e-15
    for quarters in range(-8, 9):
        s, c = elementary.sin_cos_turns(float(quarters), float(quarters))
        assert (s, c) == [(0, 1), (1, 0), (0, -1), (-1, 0)][quarters % 4]
