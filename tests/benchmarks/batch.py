"""A dictionary of a million atoms, streamed to disk: beside what its kernels alone take, in the same run.

    python tests/benchmarks/batch.py [--scale 0.1] [--folder FOLDER]

Writes docs/batch-speed.md. A fingerprint of 500 pulses at 20 states, compressed to rank 20, in single and in double
precision; wall times are those of the machine as it is, seconds of processor time tell a busy one.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import epgnumba
from epgnumba.batch import make_plan
from epgnumba.batch.engines import run_shard, run_shards
from epgnumba.batch.share import one_thread_each

PAGE = Path(__file__).parents[2] / "docs" / "batch-speed.md"
ATOMS = (250, 250, 16)
RUN = """
[sequence]
family = "MRF"
flip = {{ start = 5, stop = 70, count = 500 }}
TR = 12.0
TI = 20.0
[tissue]
T1 = {{ start = 500, stop = 3000, count = {} , spacing = "log" }}
T2 = {{ start = 10, stop = 300, count = {}, spacing = "log" }}
B1 = {{ start = 0.8, stop = 1.2, count = {} }}
[options]
nstates = 20
dtype = "{}"
[dictionary]
rank = 20
[output]
path = "{}.zarr"
[engine]
memory = "2 GB"
"""


def clocked(call):
    """Seconds by the clock, and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def kernels(plan, workers):
    """What the kernels alone take: signals of all atoms, in memory that is used again."""
    step = plan.work.block * 64
    out = np.empty((step, plan.work.readouts), plan.work.dtype)
    options = {name: plan.work.run["options"][name] for name in ("nstates", "dtype")}

    def play():
        for first in range(0, plan.rows.count, step):
            part = {name: array[first : first + step] for name, array in plan.rows.values.items()}
            epgnumba.simulate(plan.work.sequence, out=out[: len(part["T1"])], **part, **options)

    epgnumba.set_num_threads(workers)
    play()
    taken = min(clocked(play) for _ in range(3))
    epgnumba.set_num_threads(None)
    return taken


def measure_overhead(folder, file, block):
    """Seconds of a shard of one block that are not those of its work: what is read, encoded, written and marked."""
    small = folder / "small.toml"
    small.write_text(file.read_text().replace(f"{file.stem}.zarr", "small.zarr") + f"shard_rows = {block}\n")
    store = make_plan("dictionary", small, 1).store()
    with one_thread_each():
        path, rows = str(store.path), store.rows_of(1)
        values, place = store.values(rows), store.place(rows)
        run_shard(path, 0)
        whole = [clocked(lambda shard=shard: run_shard(path, shard))[0] for shard in range(1, 42)]
        work = [clocked(lambda: store.work.compute(values, place))[0] for _ in range(41)]
    return float(np.median(whole) - np.median(work))


def measure(folder, dtype, workers, scale):
    """One run: seconds to make the store, of the shards, of the kernels; of a shard without work, and of memory."""
    counts = (max(2, round(ATOMS[0] * scale)), *ATOMS[1:])
    file = folder / f"{dtype}-{workers}.toml"
    file.write_text(RUN.format(*counts, dtype, file.stem))
    plan = make_plan("dictionary", file, workers)
    alone = kernels(plan, workers)
    store = None

    def make():
        nonlocal store
        store = plan.store()

    made = clocked(make)
    shards = list(range(store.shards))
    run = clocked(lambda: run_shards(store, shards, kind="local", workers=workers, memory=plan.allowed))
    overhead = measure_overhead(folder, file, plan.work.block)
    size = sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "atoms": plan.rows.count, "made": made, "run": run, "alone": alone, "size": size / 1e6, "overhead": overhead,
        "peak": peak,
    }  # fmt: skip


def row(dtype, workers, found):
    run, alone = found["run"], found["alone"]
    return (
        f"| {dtype}, {workers} worker{'s' * (workers > 1)} | {found['atoms']:,} | {found['made'][0]:.1f} s |"
        f" {run[0]:.2f} s | {alone[0]:.2f} s | {run[0] / alone[0]:.2f} | {run[1] / alone[1]:.2f} |"
        f" {found['peak']:.2f} GB |"
        f" {found['size']:.0f} MB | {1e3 * found['overhead']:.1f} ms |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("DTYPE", "WORKERS"), help="this one alone, in this process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.one:
            dtype, workers = options.one[0], int(options.one[1])
            print(row(dtype, workers, measure(Path(folder), dtype, workers, options.scale)))
            return
    lines = [
        "# Speed of batch runs", "",
        f"{platform.machine()}, {os.cpu_count()} processors, shared; Python {platform.python_version()}.",
        "Written by `tests/benchmarks/batch.py`: a dictionary of a fingerprint of 500 pulses at 20 states, compressed",
        "to rank 20 and streamed to disk, beside its kernels alone, which leave signals in memory. The basis is made",
        "with the store. The last column is what a shard of one block costs beside its work.", "",
        "| | atoms | store made | run | kernels alone | ratio | ratio of processor time | memory | on disk | a shard |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for dtype in ("float32", "float64"):
        for workers in (1, 2):
            command = [sys.executable, __file__, "--scale", str(options.scale), "--one", dtype, str(workers)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            lines.append(told)
            print(told, flush=True)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
