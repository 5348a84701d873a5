"""What calls launch, compiled for several architectures, which takes no device: types, registers, no spills."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="the compiler is part of numba-cuda")
PTXAS = next((str(path) for root in sys.path for path in Path(root).glob("nvidia/*/bin/ptxas")), None)
if PTXAS is None:
    pytest.skip("the toolkit's assembler is missing; cuda-toolkit[nvcc] brings it", allow_module_level=True)
ALL = {
    *("play", "rewind", "find_start", "unfind_start", "load_bars", "gather_tissue"),
    *("find_exchange", "unfind_exchange"),
    *("sum_rows", "fill_zero", "fill_unit", "fill_row", "find_range", "clear_voxels", "hide_rounding"),
}
# The most common architecture compiles everything that is launched, the others what takes most of the time.
CHOSEN = {"80": (), "75": ("fingerprint, two derivatives",), "90": ("96 echoes, gradient of a bound",)}


@pytest.fixture(scope="module", params=CHOSEN)
def report(request):
    """What the compilers say, for a compute capability."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}
    script = Path(__file__).with_name("compile_only.py")
    command = [sys.executable, str(script), PTXAS, request.param, *CHOSEN[request.param]]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    kernels = json.loads(run.stdout.splitlines()[-1])
    print(f"\nsm_{request.param}")
    for one in kernels:
        kind = f"{one['kernel']}, {'single' if one['single'] else 'double'}, {one['rows']} x {one['lanes']}"
        memory = f"{one['registers']} registers, {one['spilled']} bytes spilled"
        print(f"{one['call']:40s}{kind:32s}{memory}, {one['seconds']} s")
    return kernels


def test_every_kernel_was_launched(report):
    found = {one["kernel"] for one in report}
    assert found == ALL if len(report) > 30 else {"play"} <= found < ALL


def test_no_double_precision_in_single(report):
    assert [one for one in report if one["single"] and one["doubles"]] == []
    assert any(one["single"] for one in report)
    assert all(one["doubles"] for one in report if not one["single"] and one["kernel"] in ("play", "rewind"))


def test_states_lie_in_registers(report):
    assert [one for one in report if one["local"] or one["spilled"] > 128] == []
    assert all(16 < one["registers"] <= 255 for one in report if one["kernel"] in ("play", "rewind"))


LAUNCH = """
import time
from numba import cuda
from numba.cuda.dispatcher import CUDADispatcher
from epgnumba import notice
notice.LONG = 0.1
class Compiled:
    def launch(self, *_):
        print("launched")
def compile_slowly(self, signature):
    time.sleep(0.3)
    self.add_overload(kernel := Compiled(), signature)
    return kernel
CUDADispatcher.compile = compile_slowly
from epgnumba.kernels.cuda.jit import launched
@launched
def kernel(x):
    pass
for _ in range(2):
    kernel[1, 1](2.0)
    time.sleep(0.3)
"""


def test_compiling_for_a_device_is_told():
    """Once, when a kernel is launched for the first time; the compiler, which asks for a device, is played."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "EPGNUMBA_QUIET": ""}
    command = [sys.executable, "-W", "ignore", "-c", LAUNCH]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["launched", "launched"]
    (line,) = run.stderr.splitlines()
    assert "compiling for a CUDA device" in line
