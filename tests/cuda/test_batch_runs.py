"""Batch runs whose workers play on a device, in the CUDA simulator, against those of the CPU."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the CUDA simulator is part of numba-cuda")
pytest.importorskip("zarr", minversion="3")
pytest.importorskip("xarray")

from batch_runs import call, environment, same

from epgnumba.batch import open_results
from epgnumba.kernels.cuda.jit import SIMULATED

pytestmark = pytest.mark.skipif(not SIMULATED, reason="a device is used instead of the simulator (pytest -m gpu)")
RUN = """
[sequence]
family = "MRF"
flip = [20, 40, 60, 30, 50]
TR = 10.0
TI = 20.0
phases = {phases}
[tissue]
T1 = [300, 800]
T2 = [30, 50, 90]
B0 = {B0}
[options]
device = {device}
{tail}
[output]
path = "{name}.zarr"
"""
KINDS = {
    "signals": ("simulate", "", 0.0, 0.0),
    "derivatives": ("simulate", 'diff = ["T2"]', 0.0, 0.0),
    "kept whole": ("dictionary", "", 0.0, 0.0),
    "real coefficients": ("dictionary", "[dictionary]\nrank = 2", 30.0, 0.0),
    "complex coefficients": ("dictionary", "[dictionary]\nrank = 2", 0.0, 7.0),
}


def run(folder, kind, name, device, *arguments):
    command, tail, phases, field = KINDS[kind]
    file = folder / f"{name}.toml"
    told = RUN.format(name=name, device=device, tail=tail, phases=phases, B0=field)
    file.write_text(told if device else told.replace("device = ", ""))
    assert call(command, file, *arguments) == 0
    return folder / f"{name}.zarr"


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_writes_what_the_cpu_does(tmp_path, kind):
    cpu, device = (open_results(run(tmp_path, kind, name, device)) for name, device in (("cpu", ""), ("gpu", '"cuda"')))
    assert list(cpu.variables) == list(device.variables)
    for name in cpu.variables:
        assert cpu[name].dtype == device[name].dtype
        if name == "residual":  # a root of what rounding leaves
            np.testing.assert_allclose(device[name].values ** 2, cpu[name].values ** 2, atol=1e-13)
        elif name not in ("basis", "coefficients"):
            np.testing.assert_allclose(device[name].values, cpu[name].values, rtol=0, atol=1e-13)
    if "basis" in cpu:  # whose directions have no sign
        products = [found.coefficients.values @ found.basis.values for found in (cpu, device)]
        np.testing.assert_allclose(*products, rtol=0, atol=1e-12)


def test_workers_of_dask_play_on_the_device(tmp_path):
    pytest.importorskip("distributed")
    alone = run(tmp_path, "real coefficients", "alone", '"cuda"')
    text = (tmp_path / "alone.toml").read_text().replace("alone.zarr", "shared.zarr")
    (tmp_path / "shared.toml").write_text(text + '[engine]\nkind = "dask"\nworkers = 1\n')
    command = [sys.executable, "-m", "epgnumba", "dictionary", tmp_path / "shared.toml"]
    told = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr
    assert same(alone, tmp_path / "shared.zarr")
