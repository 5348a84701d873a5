"""A dictionary of a million atoms, streamed to disk: beside what its kernels alone take, in the same run.

    python tests/benchmarks/batch.py [--scale 0.1] [--rounds 7] [--folder FOLDER]

Writes docs/batch-speed.md. A fingerprint of 500 pulses at 20 states, compressed to rank 20, in single and in double
precision; wall times are those of the machine as it is, the ratio of processor time counts where it is busy.
"""

import argparse
import os
import platform
import resource
import shutil
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
from epgnumba.batch.store import MARKS

PAGE = Path(__file__).parents[2] / "docs" / "batch-speed.md"
ATOMS = (250, 250, 16)
WORKERS = (1, 2)
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


def kernels(plan, workers, out):
    """A call of the kernels alone: signals of all atoms, in memory that is used again."""
    step = len(out)
    options = {name: plan.work.run["options"][name] for name in ("nstates", "dtype")}

    def play():
        epgnumba.set_num_threads(workers)
        for first in range(0, plan.rows.count, step):
            part = {name: array[first : first + step] for name, array in plan.rows.values.items()}
            epgnumba.simulate(plan.work.sequence, out=out[: len(part["T1"])], **part, **options)
        epgnumba.set_num_threads(None)

    return play


def shards_of(plan, workers):
    """The store of a plan, the time to make it, a call that computes all of its shards, and one that forgets them."""
    found = []
    made = clocked(lambda: found.append(plan.store()))
    store = found[0]

    def run():
        run_shards(store, list(range(store.shards)), kind="local", workers=workers, memory=plan.allowed)

    def forget():
        for folder in (MARKS, *(f"{variable.name}/c" for variable in store.work.variables)):
            shutil.rmtree(store.path / folder, ignore_errors=True)

    return store, made, run, forget


def measure_overhead(folder, file, block):
    """Seconds of a shard of one block that are not those of its work: what is read, encoded, written and marked."""
    small = folder / "small.toml"
    small.write_text(file.read_text().replace(f"{file.stem}.zarr", "small.zarr") + f"shard_rows = {block}\n")
    store = make_plan("dictionary", small, 1).store()
    with one_thread_each():
        path, rows = str(store.path), store.rows_of(1)
        values, place = store.values(rows), store.place(rows)
        run_shard(path, 0)
        whole, work = zip(*(
            (clocked(lambda shard=shard: run_shard(path, shard))[0],
             clocked(lambda: store.work.compute(values, place))[0])
            for shard in range(1, min(store.shards, 82))
        ), strict=True)  # fmt: skip
    return float(np.median(whole) - np.median(work))


def measure(folder, dtype, scale, rounds):
    """Of each number of workers: seconds to make the store, of the shards, of the kernels; of a shard without work.

    Runs and kernels take turns, so that a machine that is busy now and then is so for all of them.
    """
    counts = (max(2, round(ATOMS[0] * scale)), *ATOMS[1:])
    found, calls, out = {}, {}, None
    for workers in WORKERS:
        file = folder / f"{dtype}-{workers}.toml"
        file.write_text(RUN.format(*counts, dtype, file.stem))
        plan = make_plan("dictionary", file, workers)
        store, made, run, forget = shards_of(plan, workers)
        out = np.empty((plan.work.block * 64, plan.work.readouts), plan.work.dtype) if out is None else out
        found[workers] = {"atoms": plan.rows.count, "made": made, "path": store.path, "plan": plan, "file": file}
        found[workers]["forget"] = forget
        calls[workers, "alone"], calls[workers, "run"] = kernels(plan, workers, out), run
    taken = {key: [] for key in calls}
    for _ in range(rounds + 1):
        for (workers, what), call in calls.items():
            found[workers]["forget"]()
            taken[workers, what].append(clocked(call))
    for (workers, what), times in taken.items():
        found[workers][what] = np.median(times[1:], axis=0)  # without the first, which meets memory that is new
    for one in found.values():
        one["size"] = sum(path.stat().st_size for path in one["path"].rglob("*") if path.is_file()) / 1e6
        one["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    first = found[WORKERS[0]]
    overhead = measure_overhead(folder, first["file"], first["plan"].work.block)
    return {workers: {**one, "overhead": overhead} for workers, one in found.items()}


def row(dtype, workers, found):
    run, alone = found["run"], found["alone"]
    return (
        f"| {dtype}, {workers} worker{'s' * (workers > 1)} | {found['atoms']:,} | {found['made'][0]:.1f} s |"
        f" {run[0]:.2f} s | {alone[0]:.2f} s | {run[0] / alone[0]:.2f} | {run[1] / alone[1]:.2f} |"
        f" {found['peak']:.2f} GB | {found['size']:.0f} MB | {1e3 * found['overhead']:.1f} ms |"
    )


def scaling(dtype, found):
    """How much quicker the most workers are."""
    one, many = (found[workers] for workers in (WORKERS[0], WORKERS[-1]))
    run, alone = (one[what][0] / many[what][0] for what in ("run", "alone"))
    return f"- {dtype}: {run:.2f} times (kernels alone {alone:.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", metavar="DTYPE", help="this one alone, in this process")
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = measure(Path(folder), options.one, options.scale, options.rounds)
        print(*(row(options.one, workers, one) for workers, one in found.items()), sep="\n")
        print(scaling(options.one, found))
        return
    lines = [
        "# Speed of batch runs", "",
        f"{platform.machine()}, {os.cpu_count()} processors, shared; Python {platform.python_version()}.",
        "Written by `tests/benchmarks/batch.py`: a dictionary of a fingerprint of 500 pulses at 20 states, compressed",
        "to rank 20 and streamed to disk, beside its kernels alone, which leave signals in memory. Medians of",
        f"{options.rounds} runs and {options.rounds} times the kernels, in turns. The basis is made with the store. The"
        " last column is what a",
        "shard of one block costs beside its work.", "",
        "| | atoms | store made | run | kernels alone | ratio | ratio of processor time | memory | on disk | a shard |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    scalings = []
    for dtype in ("float32", "float64"):
        command = [sys.executable, __file__, "--scale", str(options.scale), "--rounds", str(options.rounds)]
        command += ["--one", dtype, *(["--folder", str(options.folder)] if options.folder else [])]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(told, flush=True)
        *rows, last = told.splitlines()
        lines += rows
        scalings.append(last)
    lines += ["", f"From one worker to {WORKERS[-1]}:", "", *scalings]
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
