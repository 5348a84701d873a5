"""RF spoiling with diffusion, as published; and Bloch and Torrey's equation on the side of the sign of the order."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import epgnumba
from epgnumba.sequence import Pulse, Readout, Shift

LOBES = {-70: 1.0, 305: 2.0, 264: 3.3}  # orders of 0.04 mT ms/m, and ms: -2.8, 6.1, 3.2 mT/m
ORDER = 0.04e-6 * 2 * np.pi * 42.58  # radians per um
GAMMA = 2.6752218708e-4  # radians per um and mT ms/m
TR, LASTS = 5.0, sum(LOBES.values())  # ms; what relaxes and what diffuses differ there
T1, T2, D, FLIP = 1500.0, 500.0, 3.0, 10.0


def spoiled(pulses, increment):
    for n in range(pulses):
        phase = n * (n - 1) / 2 * increment
        yield [Pulse(FLIP, phase), [Readout(phase)] * (n == pulses - 1)]
        yield [Shift(orders, time) for orders, time in LOBES.items()]


def naive(pulses, increment):
    """|F_0| after the last pulse, all orders in arrays, with one b-factor for F_k and F_-k."""
    k = np.arange(-pulses, pulses + 1)  # in TRs' worth of gradient
    F, Z = np.zeros((2, len(k)), complex)
    Z[pulses] = 1.0
    steps = np.array(list(LOBES)) * ORDER
    moved = np.cumsum([0.0, *steps])
    total = moved[-1]
    b_z = (k * total) ** 2 * LASTS
    middle = sum(
        time * ((abs(k) * total + a) ** 2 + (abs(k) * total + a) * step + step**2 / 3)
        for a, step, time in zip(moved[:-1], steps, LOBES.values(), strict=True)
    )
    a = np.deg2rad(FLIP)
    for n in range(pulses):
        turn = np.exp(1j * np.deg2rad(n * (n - 1) / 2 * increment))
        mirror, before = np.conj(F[::-1]), F
        F = np.cos(a / 2) ** 2 * F + turn**2 * np.sin(a / 2) ** 2 * mirror - 1j * turn * np.sin(a) * Z
        Z = -0.5j * np.conj(turn) * np.sin(a) * before + 0.5j * turn * np.sin(a) * mirror + np.cos(a) * Z
        found = abs(F[pulses])
        F, Z = F * np.exp(-TR / T2 - D * middle), Z * np.exp(-TR / T1 - D * b_z)
        Z[pulses] += 1 - np.exp(-TR / T1)
        F = np.concatenate([[0], F[:-1]])
    return found


@pytest.mark.parametrize(
    ("increment", "one_factor", "signed"), [(108, 0.03359094, 0.03373692), (117, 0.03010508, 0.03009487)]
)
def test_rf_spoiling_with_diffusion(increment, one_factor, signed):
    """mriphysics' EPG-isochromat prints what comes of one b-factor; with the sign of k counted it is another number."""
    np.testing.assert_allclose(naive(1500, increment), one_factor, atol=5e-9)
    train = epgnumba.EventSequence(lambda p: spoiled(1500, increment)).on_scanner(gradient_area=ORDER / GAMMA)
    found = epgnumba.simulate(train, T1=T1 * LASTS / TR, T2=T2 * LASTS / TR, D=D)
    np.testing.assert_allclose(abs(found), [signed], atol=5e-9)


DERIVATIVE = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])  # eighth order


def bloch_torrey(flips, lobes, order, points=192):
    """Signal after the last pulse, from magnetisation on a grid in space over one period of an order.

    Transverse magnetisation is exp(i w x) m(x), w being what gradients have dephased; m and M_z are periodic.
    """
    step = 2 * np.pi / order / points
    gradient = sum(
        c / step * np.roll(np.eye(points), j - 4, axis=1) for j, c in enumerate(DERIVATIVE)
    )  # of numbers on the grid
    x = np.arange(points) * step
    m, z = np.zeros(points, complex), np.ones(points)
    for n, flip in enumerate(flips):
        a, phase = np.deg2rad(flip), np.exp(1j * np.deg2rad(50.0 * n))
        m, z = (
            np.cos(a / 2) ** 2 * m + phase**2 * np.sin(a / 2) ** 2 * np.conj(m) - 1j * phase * np.sin(a) * z,
            (-1j * np.conj(phase) * np.sin(a) * m).real + np.cos(a) * z,
        )
        for orders, time in lobes.items() if n < len(flips) - 1 else ():
            rate = orders * order / time

            def slope(t, y, rate=rate):
                m, z = y[:points], y[points:].real
                first = gradient @ m + 1j * rate * t * m
                second = gradient @ first + 1j * rate * t * first
                return np.concatenate([D * second - m / T2, D * (gradient @ (gradient @ z)) - (z - 1) / T1])

            end = solve_ivp(slope, (0, time), np.concatenate([m, z]), rtol=1e-9, atol=1e-11, method="DOP853").y[:, -1]
            m, z = end[:points] * np.exp(1j * orders * order * x), end[points:].real
    return m.mean()


def test_the_sign_of_the_order_counts():
    """Bloch and Torrey's equation, integrated in space, of lobes that do not balance: unlike one b-factor for both."""
    flips, lobes, order = [60.0, 100.0, 80.0, 120.0], {-1: 2.0, 2: 3.0}, 0.06

    def build(p):
        for n, flip in enumerate(flips):
            yield [Pulse(flip, 50.0 * n), [Readout()] * (n == len(flips) - 1)]
            yield [Shift(orders, time) for orders, time in lobes.items()]

    train = epgnumba.EventSequence(build).on_scanner(gradient_area=order / GAMMA)
    expected = bloch_torrey(flips, lobes, order)
    np.testing.assert_allclose(epgnumba.simulate(train, T1=T1, T2=T2, D=D), [expected], atol=1e-7)
