"""Batch runs on Dask and on Slurm: a worker or a task is killed in the middle, and nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("zarr", minversion="3")
pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

from batch_runs import call, described, environment, same  # noqa: E402

from epgnumba.batch import Store, commands, open_results  # noqa: E402

TAIL = '[dictionary]\nrank = 4\n[output]\npath = "{}.zarr"\n[engine]\nshard_rows = 1024\n'
LONG = {"count": 150, "pulses": 120}
EXAMPLES = Path(__file__).parents[1] / "examples"


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)
    return found


def marks(path):
    return len(list((path / ".done").glob("[0-9]*.json")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run, in one process and without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    assert call("dictionary", described(folder, TAIL.format("whole"), **LONG)) == 0
    return folder / "whole.zarr"


def test_workers_of_dask_that_are_started_here(tmp_path, whole):
    run = described(tmp_path, TAIL.format("out") + 'kind = "dask"\nworkers = 2\n', **LONG)
    told = subprocess.run(
        [sys.executable, "-m", "epgnumba", "dictionary", run], env=environment(), capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    assert same(tmp_path / "out.zarr", whole)


def test_a_worker_of_dask_that_is_killed(tmp_path, whole):
    run = described(tmp_path, TAIL.format("out"), **LONG)
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    address = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", file]
    started = [subprocess.Popen([*dask, "scheduler", "--port", "0", *address], **quiet)]
    try:
        until(file.exists)
        until(lambda: json.loads(file.read_text() or "{}").get("address"))
        for _ in range(2):
            started.append(subprocess.Popen([*dask, "worker", "--no-nanny", "--nthreads", "1", *address], **quiet))
        command = [sys.executable, "-m", "epgnumba", "dictionary", run, "--scheduler", file]
        running = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
        until(lambda: marks(tmp_path / "out.zarr") >= 4)
        started[1].send_signal(signal.SIGKILL)
        assert marks(tmp_path / "out.zarr") < Store(tmp_path / "out.zarr").shards
        told = running.communicate(timeout=120)[1]
        assert running.returncode == 0, told
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert same(tmp_path / "out.zarr", whole)


def test_processes_that_start_together_compile_once(tmp_path, whole):
    run = described(tmp_path, TAIL.format("out"), **LONG)
    assert call("dictionary", run, "--prepare") == 0
    cold = {**environment(), "EPGNUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "epgnumba", "dictionary", run, "--array-count", "4", "--workers", "1"]
    running = [
        subprocess.Popen([*command, "--array-index", str(n)], env=cold, stderr=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    told = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, told
    assert sum("is compiling" in one for one in told) == 1, told
    assert call("dictionary", run, "--finish") == 0
    assert same(tmp_path / "out.zarr", whole)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment in which a Slurm of one node is found, with `epgnumba` and `dask` as commands."""
    lacking = [name for name in ("slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if lacking or os.getuid() != 0:
        pytest.skip(f"{', '.join(lacking) or 'root'} is not there: apt-get install slurm-wlm")
    folder = tmp_path_factory.mktemp("slurm")
    commands_ = folder / "bin"
    commands_.mkdir()
    for name in ("epgnumba", "dask"):
        (commands_ / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n')
        (commands_ / name).chmod(0o755)
    started = subprocess.run(
        [Path(__file__).with_name("slurm_node.sh"), folder, "3"], capture_output=True, text=True, timeout=60
    )
    assert started.returncode == 0, started.stderr
    found = {
        **environment(), "SLURM_CONF": started.stdout.strip(), "PATH": f"{commands_}:{os.environ['PATH']}",
    }  # fmt: skip
    yield found
    subprocess.run(["scancel", "--user", "root"], env=found, check=True)
    for name in ("slurmd", "slurmctld"):
        process = psutil.Process(int((folder / f"{name}.pid").read_text()))
        process.terminate()
        process.wait(20)


def jobs(environment):
    return subprocess.run(["squeue", "-h"], env=environment, capture_output=True, text=True, check=True).stdout


def test_a_job_array_of_which_a_task_is_killed(tmp_path, slurm, whole):
    run = described(tmp_path, TAIL.format("out"), **LONG)
    store = tmp_path / "out.zarr"
    submit = [EXAMPLES / "slurm_array.sh", "dictionary", run, "2"]
    subprocess.run(submit, env=slurm, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    until(lambda: marks(store) >= 4)
    own = {str(run), "--array-index", "0"}
    until(lambda: [one for one in psutil.process_iter(["cmdline"]) if own <= {*(one.info["cmdline"] or ())}])[0].kill()
    until(lambda: not jobs(slurm))
    assert 4 <= marks(store) < Store(store).shards
    assert call("dictionary", run, "--finish") == commands.INCOMPLETE
    before = {path.name: path.stat().st_mtime_ns for path in (store / ".done").iterdir()}
    subprocess.run(submit, env=slurm, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    until(lambda: not jobs(slurm))
    assert all((store / ".done" / name).stat().st_mtime_ns == then for name, then in before.items())
    assert open_results(store, flat=True).attrs["complete"]
    assert same(store, whole)


def test_workers_of_dask_that_slurm_starts(tmp_path, slurm, whole):
    run = described(tmp_path, TAIL.format("out"), **LONG)
    submit = ["sbatch", "--wait", "--ntasks=2", EXAMPLES / "slurm_dask.sh", "dictionary", run]
    told = subprocess.run(submit, env=slurm, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr + "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert same(tmp_path / "out.zarr", whole)
