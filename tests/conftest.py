"""Shared helpers: reference numbers, random problems, a scalar of signal and Jacobian to differentiate.

Random cases are the same at every run; ever new ones, by the thousand, are played by

    python -m pytest tests/bench --hypothesis-profile=long
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import epgnumba

ALL = ("T1", "T2", "B1", "M0")
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "bench")]  # for tests in folders
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("short", max_examples=60, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=SLOW, print_blob=True)


def pytest_configure(config):
    """CUDA kernels run in the simulator, unless tests for a device are asked for; figures open no windows."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("short")
    wanted = config.getoption("markexpr")
    if "gpu" not in wanted or "not gpu" in wanted:
        os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")


@pytest.fixture(scope="session")
def reference():
    """Numbers of an independent double-precision EPG, all states kept; derivatives by central differences."""

    def numbers(value):
        if isinstance(value, dict) and set(value) == {"re", "im"}:
            return np.array(value["re"]) + 1j * np.array(value["im"])
        return {key: numbers(inner) for key, inner in value.items()} if isinstance(value, dict) else value

    return numbers(json.loads((Path(__file__).parent / "reference.json").read_text()))


class Problem:
    """A random train on random tissue, as plain arguments, and a random real scalar of its signal and Jacobian."""

    def __init__(
        self, seed, n_echoes=6, tissue=(3, 2), TR=np.inf, phases="random", positions=0, diff=ALL, nstates=None
    ):
        rng = np.random.default_rng(seed)
        self.diff, self.nstates = diff, nstates
        self.train = {
            "flip": rng.uniform(20, 180, n_echoes),
            "ESP": 7.3,
            "phases": rng.uniform(-180, 180, n_echoes) if phases == "random" else phases,
            "TR": TR,
            "exc_flip": 82.0,
            "exc_phase": 37.0 if phases == "random" else 90.0,
        }
        self.tissue = {
            "T1": rng.uniform(300, 1500, tissue),
            "T2": rng.uniform(30, 150, tissue[-1:]),
            "B1": rng.uniform(0.7, 1.2, (*tissue[:-1], 1)),
            "M0": rng.uniform(0.5, 2, tissue),
            "slice_prof": rng.uniform(0.4, 1, positions) if positions else np.array(1.0),
        }
        self.values = {**self.train, **self.tissue}
        signal, jacobian = self.run()
        self.signal_bar, self.jacobian_bar = (
            rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in (signal, jacobian)
        )
        scale = abs(jacobian).max(axis=(*range(jacobian.ndim - 2), -1), keepdims=True)
        self.jacobian_bar /= np.where(scale > 0, scale, 1)

    def run(self, **changes):
        values = {**self.values, **changes}
        train = epgnumba.FSE(**{name: values[name] for name in self.train})
        tissue = {name: values[name] for name in self.tissue}
        return epgnumba.jacobian(train, **tissue, diff=self.diff, nstates=self.nstates)

    def scalar(self, **changes):
        """Re <bar, signal> + Re <bar, jacobian>."""
        signal, jacobian = self.run(**changes)
        return np.vdot(self.signal_bar, signal).real + np.vdot(self.jacobian_bar, jacobian).real

    def gradient(self, wanted=None):
        return epgnumba.vjp(
            epgnumba.FSE(**self.train),
            **self.tissue,
            signal_bar=self.signal_bar,
            jacobian_bar=self.jacobian_bar,
            diff=self.diff,
            nstates=self.nstates,
            wanted=wanted,
        )

    def varied(self):
        """Names of everything that can be differentiated."""
        return [name for name, value in self.values.items() if np.isfinite(value).all()]


CASES = {
    "one echo": {"n_echoes": 1},
    "cpmg": {"phases": 0.0},
    "cp": {"phases": 90.0},
    "phases": {},
    "steady": {"TR": 200.0, "phases": 0.0},
    "steady phases": {"TR": 120.0},
    "slice": {"TR": 150.0, "positions": 3},
    "truncated": {"n_echoes": 8, "nstates": 5},
    "many voxels": {"tissue": (5, 9), "phases": 0.0},
    "one voxel": {"tissue": (1,), "TR": 90.0},
}


@pytest.fixture(params=CASES, scope="session")
def problem(request):
    return Problem(7, **CASES[request.param])
