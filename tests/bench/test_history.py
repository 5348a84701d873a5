"""What was called before changes no bit: everything in random orders in one process, against a fresh one each."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from calls import CALLS, digest

import epgnumba

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fresh processes are forks")


def fresh(names, *options, **environment):
    """Digests of calls, each from a process of its own."""
    command = [sys.executable, Path(__file__).with_name("fresh.py"), *options]
    environment = {**os.environ, **environment}
    run = subprocess.run(command, input=json.dumps(names), capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def expected():
    return dict(zip(CALLS, fresh(list(CALLS)), strict=True))


def culprit(name, before, expected):
    """The one call before that is enough to change this one, if it is one."""
    found = fresh([[earlier, name] for earlier in before])
    return [earlier for earlier, value in zip(before, found, strict=True) if value != expected]


def test_calls_are_calls(expected):
    """No digest is an error's text, and different sequences differ."""
    assert all(len(value) == 64 for value in expected.values()), [v for v in expected.values() if len(v) != 64][:3]
    assert len(set(expected.values())) > 0.85 * len(expected)


def test_compiled_and_loaded_code_are_one(expected, tmp_path):
    """Whether a call compiles its kernel, or finds it on disk, changes no bit."""
    cold = fresh(["FSE: signal"], "cold", EPGNUMBA_CACHE_DIR=str(tmp_path))
    assert any(tmp_path.rglob("*.nbc"))
    assert cold == [expected["FSE: signal"]]


@pytest.mark.parametrize("seed", [0, 1])
def test_everything_in_random_order(seed, expected):
    rng, names, before = np.random.default_rng(seed), list(CALLS), []
    try:
        for k in rng.permutation(len(names)):
            if rng.uniform() < 0.1:
                epgnumba.set_num_threads(int(rng.integers(1, 4)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = digest(names[k])
            if found != expected[names[k]]:
                pytest.fail(f"{names[k]!r} differs after {culprit(names[k], before, expected[names[k]]) or before}")
            before.append(names[k])
    finally:
        epgnumba.set_num_threads(None)
