"""The kernels as compiled for several architectures, which takes no device: types, registers, no spills."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="the compiler is part of numba-cuda")
pytest.importorskip("nvidia.cuda_nvcc", reason="the toolkit's compiler comes with numba-cuda[cu12]")


@pytest.fixture(scope="module", params=["70", "80", "90"])
def report(request):
    """What the compilers say, for a compute capability."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}
    script = Path(__file__).with_name("compile_only.py")
    run = subprocess.run([sys.executable, str(script), request.param], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    kernels = json.loads(run.stdout.splitlines()[-1])
    print(f"\nsm_{request.param}")
    for name, one in kernels.items():
        shape = f"{one['rows']} x {one['lanes']}"
        print(f"{name:45s} {shape:8s} {one['registers']:4d} registers {one['spilled']:5d} spilled {one['seconds']} s")
    return kernels


def test_no_double_precision_in_single(report):
    assert {name: one["doubles"] for name, one in report.items() if one["single"] and one["doubles"]} == {}
    assert any(one["doubles"] for one in report.values() if not one["single"])  # it would be seen


def test_states_lie_in_registers(report):
    big = {name: one for name, one in report.items() if one["rows"] > 1}
    assert {name: one["local"] for name, one in big.items() if one["local"]} == {}
    assert {name: one["spilled"] for name, one in big.items() if one["spilled"] > 128} == {}
    assert all(16 < one["registers"] <= 255 for one in big.values())
