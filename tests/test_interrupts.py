"""Ctrl-C in a long call: it stops long before its end, and what comes later is as if it had not been."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from long_calls import CALLS
from numba.core import config

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="kernels in plain Python are interrupted anywhere")


@pytest.mark.parametrize("name", [*CALLS, "optimize"])
def test_a_long_call_stops(name):
    if name == "tensors":
        pytest.importorskip("torch")
    environment = {**os.environ, "EPGNUMBA_NUM_THREADS": "2", "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "long_calls.py", name],
        capture_output=True, text=True, env=environment, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["interrupted", "True", "True"]
