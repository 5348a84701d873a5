"""This package beside blochsim, in one run; writes docs/speed.md.

    pip install -c constraints.txt -e ".[bench]" && python tests/benchmarks/compare.py

Each lives in a process of its own, and they take turns: machines are shared, so that single times mean little, and in
one process the peer's threads and freed memory slow us down.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import work
from numba import njit

import epgnumba
from epgnumba.engine import set_num_threads
from epgnumba.engine.layout import layout_of, tables_of

ROOT = Path(__file__).parent.parent.parent


def seconds(call, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def settled(call, repeats):
    """Times of a call that is warm, other threads asleep."""
    time.sleep(0.3)
    call()
    return seconds(call, repeats)


def serve(ours, connection):
    """In a process of its own: time what is asked for."""
    if ours:
        set_num_threads(os.cpu_count())  # a child process would keep to one
        calls = {name: {"": make} for name, make in work.OURS.items()}
    else:
        from peer import PEER

        calls = {name: dict(variants) for name, variants in PEER.items()}
        connection.send({name: list(variants) for name, variants in calls.items()})
    made = {}
    while (asked := connection.recv()) is not None:
        name, label, repeats = asked
        if (name, label) not in made:
            made.clear()
            made[name, label] = calls[name][label]()
            made[name, label]()
        connection.send(settled(made[name, label], repeats))


class Server:
    """A process that times one side's calls."""

    def __init__(self, ours):
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(ours, other))
        self._process.start()
        if not ours:
            self.variants = self._connection.recv()

    def seconds(self, name, label, repeats):
        self._connection.send((name, label, repeats))
        return self._connection.recv()

    def close(self):
        self._connection.send(None)
        self._process.join()


def in_turns(ours, theirs, name, label, rounds=5):
    """Median times of the two, played in turns."""
    inner = max(3, min(200, int(0.05 / ours.seconds(name, "", 1)[0])))
    theirs.seconds(name, label, 1)
    a, b = [], []
    for _ in range(rounds):
        a += ours.seconds(name, "", inner)
        b += theirs.seconds(name, label, 2)
    return np.median(a), np.median(b)


def text(t):
    return f"{t * 1e6:.0f} us" if t < 1e-3 else f"{t * 1e3:.1f} ms" if t < 1 else f"{t:.2f} s"


@njit(fastmath=True)
def multiply_add(x, rounds):
    """Sixty-four independent chains of fused multiply-adds on what stays in registers."""
    for _ in range(rounds):
        for j in range(64):
            x[j] = x[j] * 0.999999 + 1e-9


def peak():
    """Operations per second of one thread, in double precision."""
    x = np.ones(64)
    multiply_add(x, 10)
    rounds = 2_000_000
    return 2 * 64 * rounds / min(seconds(lambda: multiply_add(x, rounds), 7))


def efficiency():
    """Fraction of the arithmetic peak that the batched kernel reaches on one thread: 12 operations an update."""
    from epgnumba.program import compile_program

    set_num_threads(1)
    updates = layout_of(compile_program(epgnumba.FSE(work.FLIP, work.ESP))[0].signal, 1).updates
    rows = []
    for name, operations in (("signal", 12), ("signal and dT2", 12 + 18)):
        call = work.OURS[f"10,000 voxels, {name}"]()
        call()
        best = np.median(settled(call, 15))
        rows.append((name, best, 10_000 * updates * operations / best))
    set_num_threads(None)
    return rows


def kernels():
    """One tissue, no Python: CRLB value and gradient, and signal and Jacobian."""
    from epgnumba import engine
    from epgnumba.problem import read_problem

    job = read_problem(epgnumba.FSE(work.FLIP, work.ESP), work.T1, work.T2, diff="T2").job()
    sums = engine.GradientSums(job)
    run, signal, room = engine.bounds().crlb_batch, engine.batch().signal_batch, job.room()
    given = np.ones((1, 1)), 1.0, sums.values, job.unit(), sums.rows, job.lane(), sums.tissue
    out = np.empty((1, work.N), complex), np.empty((1, 1, work.N), complex)

    def both():
        run(job.call, room, *given, 0, 1, False, False)

    both()
    return np.median(settled(both, 500)), np.median(settled(lambda: signal(job.call, room, *out, 0, 1), 500))


def threads():
    call = work.OURS["10,000 voxels, signal and dT2"]()
    call()
    times = {}
    for count in (1, 2):
        set_num_threads(count)
        times[count] = np.median(settled(call, 25))
    set_num_threads(None)
    return times


def first_calls():
    """A process of its own: importing, and the demo's computations without and with the code on disk."""
    imported = (
        "import time; t = time.perf_counter(); import epgnumba; print(time.perf_counter() - t)",
        "import time, torch; t = time.perf_counter()\n"
        "import epgnumba.demo as d; d.measure(); print(time.perf_counter() - t)",
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "EPGNUMBA_CACHE_DIR": folder}

        def run(code):
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
            )
            return float(done.stdout)

        return {
            "`import epgnumba`": np.median([run(imported[0]) for _ in range(5)]),
            "demo's computations, nothing compiled yet": run(imported[1]),
            "demo's computations, code on disk": np.median([run(imported[1]) for _ in range(3)]),
        }


def memory():
    """Room that a thread keeps for a batch with one derivative, in MB: forward, and for a reverse sweep."""
    from epgnumba.program import compile_program

    rows = []
    for n in (96, 400, 1600):
        tables = tables_of(compile_program(epgnumba.FSE(np.full(n, 60.0), 5))[0], epgnumba.engine.LANES)
        rows.append((n, 2 * 8e-6 * tables.pair_arena, 2 * 8e-6 * (tables.arena + tables.pair_arena)))
    return rows


def main():
    lines = [
        "# Speed",
        "",
        f"{platform.machine()}, {os.cpu_count()} processors, shared; Python {platform.python_version()}. "
        f"{time.strftime('%B %Y')}.",
    ]
    lines += [
        "Medians of calls taken in turns with blochsim 0.0.14 (float32; here float64, all states unless said).",
        "Written by `tests/benchmarks/compare.py`.",
        "",
        "Trains have 96 echoes, fingerprints 880 pulses.",
        "",
        "| work | here | blochsim | its states | ratio |",
        "|---|---|---|---|---|",
    ]
    ours, theirs = Server(True), Server(False)
    for name, labels in theirs.variants.items():
        for label in labels:
            a, b = in_turns(ours, theirs, name, label)
            lines.append(f"| {name} | {text(a)} | {text(b)} | {label} | {b / a:.0f} |")
            print(lines[-1], flush=True)
    ours.close()
    theirs.close()
    lines += ["", "| here only | time |", "|---|---|"]
    for name in sorted(work.OURS, key=lambda name: "torch" in name):  # what imports torch comes last
        call = work.OURS[name]()
        call()
        lines.append(f"| {name} | {text(np.median(settled(call, 200 if 'voxels' not in name else 15)))} |")
    both, one = work.OURS["CRLB and gradient, one tissue"](), work.OURS["one voxel, signal and dT2, train reused"]()
    a, b = np.median(settled(both, 500)), np.median(settled(one, 500))
    lines += [
        "",
        f"Value and gradient take {a / b:.2f} times as long as a call for signal and Jacobian (which allocates).",
    ]
    a, b = kernels()
    lines += [
        f"In the kernels alone: {text(a)} for both, {text(b)} for signal and Jacobian, {a / b:.2f} times as long."
    ]
    top = peak()
    lines += [
        "",
        f"Arithmetic peak of one thread, measured with chains of multiply-adds: {top * 1e-9:.0f} Gflop/s.",
        "",
    ]
    lines += ["| 10,000 voxels, one thread | time | Gflop/s | of the peak |", "|---|---|---|---|"]
    lines += [f"| {n} | {text(t)} | {f * 1e-9:.1f} | {f / top:.0%} |" for n, t, f in efficiency()]
    pair = threads()
    lines += ["", f"Two threads: {text(pair[1])} becomes {text(pair[2])}, {pair[1] / pair[2]:.2f} times as fast."]
    lines += ["", "| a process of its own, torch already imported | time |", "|---|---|"]
    lines += [f"| {name} | {text(t)} |" for name, t in first_calls().items()]
    lines += ["", "| room per thread, one derivative | forward | reverse |", "|---|---|---|"]
    lines += [f"| {n} echoes | {a:.2f} MB | {b:.2f} MB |" for n, a, b in memory()]
    report = "\n".join(lines) + "\n"
    (ROOT / "docs" / "speed.md").write_text(report)
    print(report)


if __name__ == "__main__":
    main()
