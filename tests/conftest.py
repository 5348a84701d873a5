"""How tests are run; reference numbers, and random problems.

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
from problems import CASES, Problem

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


@pytest.fixture(params=CASES, scope="session")
def problem(request):
    return Problem(7, **CASES[request.param])
