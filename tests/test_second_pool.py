"""A second free pool, against a plain two-pool EPG that exponentiates matrices, isochromats, and known limits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import expm
from test_bound_pool import random_events
from test_terms import slope

from epgnumba import simulate
from epgnumba.sequence import EventSequence, Inversion, Pulse, Readout, Shift, Spoil, Wait

PAIR = {"T1": 900.0, "T2": 70.0, "fraction_b": 0.2, "exchange_b": 12.0, "T1_b": 500.0, "T2_b": 20.0}
SHIFTED = {**PAIR, "shift_b": 17.0}
AREA = 100.0  # mT ms/m
Q = 2.6752218708e-4 * AREA  # radians per um


def generators(T1, T2, fraction_b=0.0, exchange_b=0.0, T1_b=500.0, T2_b=20.0, shift_b=0.0, B0=0.0):
    """Of F_k and Z_k of both pools (1/ms), as McConnell wrote them: loss, gain, relaxation, frequency."""
    there, back = exchange_b / 1000 * fraction_b, exchange_b / 1000 * (1 - fraction_b)
    exchange = np.array([[-there, back], [there, -back]])
    turn = 2j * np.pi / 1000 * np.array([B0, B0 + shift_b])
    return exchange + np.diag(turn - 1 / np.array([T2, T2_b])), exchange - np.diag([1 / T1, 1 / T1_b])


def plain(events, B1=1.0, D=0.0, inv_efficiency=1.0, M0=1.0, **pools):
    """F_0 at every readout: dictionaries by order of either sign, pairs of pools by matrix exponentials."""
    of_f, of_z = generators(**pools)
    rest = np.array([1 - pools.get("fraction_b", 0.0), pools.get("fraction_b", 0.0)])
    f, z, result = {0: np.zeros(2, complex)}, {0: rest.astype(complex)}, []
    nothing = np.zeros(2)
    for event in events:
        if isinstance(event, Pulse):
            angle, phase = B1 * np.deg2rad(event.flip), np.exp(1j * np.deg2rad(event.phase))
            c, s, new_f, new_z = np.cos(angle), np.sin(angle), {}, {}
            for k in {*f, *z} | {-k for k in (*f, *z)}:
                p, m, w = f.get(k, nothing), np.conj(f.get(-k, nothing)), z.get(k, nothing)
                new_f[k] = (1 + c) / 2 * p + phase**2 * (1 - c) / 2 * m - 1j * phase * s * w
                new_z[k] = -0.5j / phase * s * p + 0.5j * phase * s * m + c * w
            f, z = new_f, new_z
        elif isinstance(event, (Wait, Shift)):
            time, moved = event.duration, getattr(event, "orders", 0)
            e, r = expm(of_f * time), expm(of_z * time)
            f = {
                k + moved: np.exp(-D * Q**2 * time * (k**2 + k * moved + moved**2 / 3)) * (e @ x) for k, x in f.items()
            }
            z = {k: np.exp(-D * Q**2 * k**2 * time) * (r @ x) for k, x in z.items()}
            z[0] = z.get(0, nothing) + rest - r @ rest
        elif isinstance(event, Spoil):
            f, z = {0: np.zeros(2, complex)}, {0: z.get(0, nothing)}
        elif isinstance(event, Inversion):
            f, z = {0: np.zeros(2, complex)}, {0: -event.efficiency * inv_efficiency * z.get(0, nothing)}
        elif isinstance(event, Readout):
            result.append(M0 * f.get(0, nothing).sum() * np.exp(-1j * np.deg2rad(event.phase)))
    return np.array(result)


def as_sequence(events, **options):
    return EventSequence(lambda p: events, **options).on_scanner(gradient_area=AREA)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_signals_of_a_plain_epg(seed, real):
    events = random_events(np.random.default_rng(seed), real)
    extra = {"B1": 0.93, "M0": 1.3, "inv_efficiency": 0.9, **({} if real else {"B0": 7.0, "D": 1.2})}
    for pools in (PAIR, SHIFTED):
        given = {**pools, **extra}
        assert_allclose(simulate(as_sequence(events), **given), plain(events, **given), rtol=0, atol=1e-13)
        fractions = np.linspace(0, 0.6, 18)
        expected = [plain(events, **{**given, "fraction_b": f}) for f in fractions]
        many = {**given, "fraction_b": fractions}
        assert_allclose(simulate(as_sequence(events), **many), expected, rtol=0, atol=1e-13)
        assert_allclose(simulate(as_sequence(events), **many, dtype="float32"), expected, rtol=0, atol=3e-6)
