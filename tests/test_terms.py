"""Diffusion, flow and T2': against a plain EPG that follows each event, against closed forms, and isochromats."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import epgnumba
from epgnumba import FSE, EventSequence, jacobian, simulate, vjp
from epgnumba.sequence import Pulse, Readout, Shift, Spoil, Wait

GAMMA = 2.6752218708e-4  # radians per um and mT ms/m
AREA = 150.0


def plain(events, T1, T2, D=0.0, velocity=0.0, B0=0.0, area=AREA):
    """F_0 at every readout; states are dictionaries by signed order, and everything happens event by event."""
    q, omega = GAMMA * area, 2 * np.pi * B0 / 1000
    f, z = {0: 0j}, {0: 1 + 0j}
    result = []

    def pass_time(time, orders):
        nonlocal f, z
        moved = {}
        for k, value in f.items():
            first = time * (k + orders / 2)
            second = time * (k * k + k * orders + orders**2 / 3)
            moved[k + orders] = value * np.exp(
                -time / T2 - D * q**2 * second + 1j * (omega * time - velocity * q * first)
            )
        f = moved
        z = {k: value * np.exp(-time / T1 - D * (k * q) ** 2 * time - 1j * velocity * k * q * time)
             for k, value in z.items()}  # fmt: skip
        z[0] = z.get(0, 0) + 1 - np.exp(-time / T1)

    for event in events:
        if isinstance(event, Pulse):
            a, phase = np.deg2rad(event.flip), np.exp(1j * np.deg2rad(event.phase))
            orders = {*f, *z} | {-k for k in (*f, *z)}
            plus, minus, along = {}, {}, {}
            for k in orders:
                p, m, l = f.get(k, 0), np.conj(f.get(-k, 0)), z.get(k, 0)
                plus[k] = np.cos(a / 2) ** 2 * p + phase**2 * np.sin(a / 2) ** 2 * m - 1j * phase * np.sin(a) * l
                along[k] = (
                    -0.5j * np.conj(phase) * np.sin(a) * p + 0.5j * phase * np.sin(a) * m + np.cos(a) * l
                )
            f, z = plus, along
        elif isinstance(event, Wait):
            pass_time(event.duration, 0)
        elif isinstance(event, Shift):
            pass_time(event.duration, event.orders)
        elif isinstance(event, Spoil):
            f, z = {0: 0j}, {0: z.get(0, 0)}
        elif isinstance(event, Readout):
            result.append(f.get(0, 0) * np.exp(-1j * np.deg2rad(event.phase)))
    return np.array(result)


def random_events(rng, real=False):
    """Pulses with waits and gradients between them, instant or not, before and behind the readouts."""
    events = []
    for _ in range(5):
        phase = float(rng.choice([0, 90, 180])) if real else float(rng.uniform(0, 360))
        events.append(Pulse(float(rng.uniform(20, 160)), phase))
        for _ in range(rng.integers(2, 5)):
            kind = rng.integers(3)
            if kind == 0:
                events.append(Wait(float(rng.uniform(1, 20))))
            elif kind == 1:
                events.append(Shift(int(rng.integers(-2, 3)), float(rng.choice([0.0, 3.0, 7.5]))))
            else:
                events.append(Readout(float(rng.uniform(0, 360))))
    return [*events, Readout()]


def as_sequence(events, steady=False):
    return EventSequence(lambda p: events, steady=steady).on_scanner(gradient_area=AREA)


TERMS = {
    "D": {"D": 1.7},
    "velocity": {"velocity": 3.0},
    "both": {"D": 0.9, "velocity": -2.0},
    "with B0": {"D": 0.9, "velocity": -2.0, "B0": 11.0},
}


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_signals_of_a_plain_epg(terms, real, seed):
    events = random_events(np.random.default_rng(seed), real)
    expected = plain(events, 700.0, 60.0, **terms)
    assert_allclose(simulate(as_sequence(events), 700.0, 60.0, **terms), expected, rtol=0, atol=1e-13)
    many = {"T1": np.linspace(400, 900, 19), "T2": np.linspace(40, 90, 19)}
    expected = [plain(events, T1, T2, **terms) for T1, T2 in zip(*many.values(), strict=True)]
    assert_allclose(simulate(as_sequence(events), **many, **terms), expected, rtol=0, atol=1e-13)
    single = simulate(as_sequence(events), **many, **terms, dtype="float32")
    assert_allclose(single, expected, rtol=0, atol=3e-6)
