"""Fits: against known maps, scipy, the Cramer-Rao bound, and each other in any order."""

import threading
import time

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

import epgnumba
from epgnumba import engine
from epgnumba.estimate import Fit, Status, fit, least_squares
from epgnumba.sequence import DESS, MRF, EventSequence, Pulse, Readout, Shift, Wait

TRAIN = epgnumba.FSE([150.0] * 24, ESP=9)
PRINT = MRF(20 + 30 * np.sin(np.arange(60) / 9), TR=12, TI=20)
BELOW = {"B1": (0.5, 1.1)}


def noisy(signal, noise, seed=0):
    rng = np.random.default_rng(seed)
    return signal + noise * (rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape))


def maps_of(count, seed=0, **ranges):
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(*ends, count) for name, ends in ranges.items()}


def spin_echo_trains(p):
    """A spin echo, whose gradients diffusion attenuates."""
    for ramp in (2.0, 8.0, 20.0):
        yield [Pulse(90, 90), Shift(1, ramp), Wait(4), Pulse(180), Shift(1, ramp), Wait(4), Readout()]


DIFFUSION = EventSequence(spin_echo_trains).on_scanner(gradient_area=300.0)

RECOVERED = {
    "T2": (TRAIN, ("T2",), {"T2": (20, 200)}, {"T1": 900.0}, {}),
    "T2, M0": (TRAIN, ("T2", "M0"), {"T2": (20, 200), "M0": (-3, 3)}, {"T1": 900.0}, {}),
    "T2, M0, B1": (TRAIN, ("M0", "B1", "T2"), {"T2": (20, 200), "B1": (0.6, 1.0), "M0": (1e3, 1e5)}, {"T1": 900.0}, {}),
    "T1, T2": (PRINT, ("T1", "T2"), {"T1": (400, 2000), "T2": (30, 150)}, {"B1": 0.9}, {}),
    "T1, T2, B1, M0": (
        PRINT, ("T1", "T2", "B1", "M0"), {"T1": (400, 2000), "T2": (30, 150), "B1": (0.7, 1.2), "M0": (1, 2)}, {}, {},
    ),
    "B0, M0": (
        epgnumba.sequence.SPGR(15.0, TR=20.0, TE=[2.0, 4.0, 7.0]), ("B0", "M0"), {"B0": (-60, 60), "M0": (1, 2)},
        {"T1": 900.0, "T2": 40.0}, {"bounds": {"B0": (-90, 90)}},
    ),
    "T2, slice profile": (
        TRAIN, ("T2", "M0"), {"T2": (20, 200), "M0": (1, 2)}, {"T1": 900.0}, {"slice_prof": [0.5, 0.8, 1.0]},
    ),
    "T2, truncated": (TRAIN, ("T2", "M0"), {"T2": (20, 200), "M0": (1, 2)}, {"T1": 900.0}, {"nstates": 6}),
    "T1 of a steady state": (
        epgnumba.FSE([140.0] * 8, 10, TR=900), ("M0", "T1", "T2"), {"T1": (300, 1500), "T2": (30, 150), "M0": (1, 2)},
        {}, {},
    ),
    "T2 of a mean over angles": (
        DESS(30.0, TR=20.0, TE=5.0), ("M0", "T2"), {"T2": (30, 150), "M0": (1, 2)}, {"T1": 900.0},
        {"bounds": {"T2": (10, 300)}},
    ),
    "D": (DIFFUSION, ("D", "M0"), {"D": (0.3, 2.5), "M0": (1, 2)}, {"T1": 900.0, "T2": 70.0}, {"bounds": {"D": (0, 4)}}),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["real M0", "complex M0", "magnitude"])
@pytest.mark.parametrize("name", RECOVERED)
def test_noiseless_maps_are_recovered(name, kind):
    sequence, unknowns, ranges, known, options = RECOVERED[name]
    if kind != "real M0" and "M0" not in unknowns:
        pytest.skip("M0 is known")
    if kind == "magnitude" and "B0" in unknowns:
        pytest.skip("magnitudes do not see B0")
    if kind == "magnitude" and len(unknowns) == 4:
        pytest.skip("an inverted signal's magnitude has a kink at zero, and a local minimum for every place of it")
    truth = maps_of((7, 5), **ranges)
    playing = {name: options[name] for name in ("slice_prof", "nstates") if name in options}
    data = epgnumba.simulate(sequence, **known, **truth, **playing)
    limits = {"bounds": BELOW} if "B1" in unknowns and sequence is TRAIN else {}
    if kind == "complex M0":
        turn = np.exp(1j * np.arange(35).reshape(7, 5))
        data, truth["M0"] = data * turn[..., None], truth["M0"] * turn
    if kind == "magnitude":
        data, truth["M0"] = abs(data), abs(truth["M0"])
    found = fit(sequence, data, unknowns, **{**limits, **options}, **known, complex_M0=kind == "complex M0")
    assert (found.status == Status.CONVERGED).all()
    for unknown in unknowns:
        size = np.maximum(abs(truth[unknown]), 1.0)
        assert np.max(abs(found.maps[unknown] - truth[unknown]) / size) < 1e-8, unknown
    assert np.max(found.residual / np.linalg.norm(data, axis=-1)) < 1e-8


def residuals(sequence, data, kind, noise, known, names, weights):
    """What scipy is given: nothing of the package but `simulate`."""
    root = np.sqrt(weights)

    def function(x):
        signal = epgnumba.simulate(sequence, **known, **dict(zip(names, x, strict=True)))
        if kind == "complex":
            rest = root * (data - signal)
            return np.concatenate([rest.real, rest.imag])
        size = abs(signal)
        if kind == "rician":
            level = noise / root
            size = level * np.sqrt(np.pi / 2) * special.eval_laguerre(0.5, -(size**2) / (2 * level**2))
        return root * (data - size)

    return function


@pytest.mark.parametrize("kind", ["complex", "magnitude", "rician"])
def test_scipy_agrees_voxel_by_voxel(kind):
    noise, names = 0.02, ("M0", "T2", "B1")
    truth = maps_of(12, **{"M0": (1, 2), "T2": (30, 150), "B1": (0.65, 0.95)})
    data = noisy(epgnumba.simulate(TRAIN, 900.0, **truth), noise)
    data = data if kind == "complex" else abs(data)
    weights = np.linspace(0.5, 2, 24)
    given = {"noise": noise} if kind == "rician" else {}
    found = fit(TRAIN, data, names, T1=900.0, bounds=BELOW, weights=weights, **given)
    for v in range(12):
        function = residuals(TRAIN, data[v], kind, noise, {"T1": 900.0}, names, weights)
        answer, start = ([maps[name][v] for name in names] for maps in (found.maps, truth))
        tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "jac": "3-point", "x_scale": start}
        within = ([0, 1, 0.5], [np.inf, 5000, 1.1])
        runs = [optimize.least_squares(function, x, bounds=within, **tight) for x in (start, np.multiply(answer, 0.99))]
        best = min(runs, key=lambda run: run.cost)
        assert found.residual[v] ** 2 == pytest.approx(2 * best.cost, rel=1e-9)
        assert answer == pytest.approx(best.x, rel=3e-5)
        if kind != "rician":
            samples = 48 if kind == "complex" else 24
            covariance = np.linalg.inv(best.jac.T @ best.jac) * 2 * best.cost / (samples - 3)
            assert found.covariance[v] == pytest.approx(covariance, rel=1e-3)
