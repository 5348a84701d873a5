"""This package beside blochsim, in one run; writes docs/speed.md.

    pip install -c constraints.txt -e ".[bench]" && python tests/benchmarks/compare.py

The two take turns, and medians and their ratio are printed: machines are shared, and single times mean little.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import blochsim
import numpy as np
import torch
import work
from numba import njit

import epgnumba
from epgnumba.engine import set_num_threads

ROOT = Path(__file__).parent.parent.parent


def seconds(call, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def settled(call, repeats):
    """Times of a call that is warm, other threads asleep: a peer's keep a processor busy for a while after its call."""
    time.sleep(0.3)
    call()
    return seconds(call, repeats)


def in_turns(ours, theirs, rounds=5):
    """Median times of the two, played in turns."""
    ours(), theirs()
    inner = max(3, min(200, int(0.05 / seconds(ours, 1)[0])))
    a, b = [], []
    for _ in range(rounds):
        a += settled(ours, inner)
        b += settled(theirs, 2)
    return np.median(a), np.median(b)


def peer():
    """The same work, each in the way that is quickest there: float32, tensors, a simulator that is kept."""
    flip = torch.full((work.N,), 60.0)
    T1, T2 = (torch.tensor(m, dtype=torch.float32) for m in work.MAPS)

    def bound(states):
        simulator = blochsim.simulators.FSESimulator(ESP=work.ESP, states=states)
        angles = flip.clone().requires_grad_()

        def call():
            angles.grad = None
            _, slope = simulator.jacobian("T2", flip=angles, T1=work.T1, T2=work.T2)
            (1 / slope.abs().square().sum()).backward()

        return call

    def batch(states, **diff):
        return lambda: blochsim.fse_sim(flip=flip, ESP=work.ESP, T1=T1, T2=T2, states=states, **diff)

    def single():
        return lambda: blochsim.fse_sim(flip=work.FLIP, ESP=work.ESP, T1=work.T1, T2=work.T2)

    return {
        "CRLB and gradient, one tissue": [("10 states", bound(10))],
        "CRLB and gradient, torch": [("10 states", bound(10))],
        "one voxel, fse_sim": [("10 states", single())],
        "10,000 voxels, signal": [("10 states", batch(10)), ("64 states", batch(64))],
        "10,000 voxels, signal and dT2": [("10 states", batch(10, diff="T2")), ("64 states", batch(64, diff="T2"))],
    }


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
    updates = compile_program(epgnumba.FSE(work.FLIP, work.ESP))[0].signal.layout(1).updates
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
    from epgnumba.verbs import read_problem

    job = read_problem(epgnumba.FSE(work.FLIP, work.ESP), work.T1, work.T2, diff="T2").job()
    player, lane = job.reversible()
    sums = engine.GradientSums(job, 1)
    bars, weights, values = sums.bars(lane), np.ones((1, 1)), np.empty(1)
    run, signal = engine.bounds().crlb_batch, engine.batch().signal_batch
    out = np.empty((1, work.N), complex), np.empty((1, 1, work.N), complex)
    forward = job.player()

    def both():
        run(player, job.call, weights, 1.0, values, lane.unit, bars, sums.tissue, 0, 1, False, False)

    both()
    return np.median(settled(both, 500)), np.median(settled(lambda: signal(forward, job.call, *out, 0, 1), 500))


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
        tables = compile_program(epgnumba.FSE(np.full(n, 60.0), 5))[0].tables(epgnumba.engine.LANES)
        rows.append((n, 2 * 8e-6 * tables.pair_arena, 2 * 8e-6 * (tables.arena + tables.pair_arena)))
    return rows


def main():
    lines = [
        "# Speed",
        "",
        f"{platform.machine()}, {os.cpu_count()} processors, shared; Python {platform.python_version()}.",
    ]
    lines += ["Medians of calls taken in turns with blochsim 0.0.14 (float32; here float64, all states). Written by"]
    lines += [
        "`tests/benchmarks/compare.py`.",
        "",
        "| 96 echoes | here | blochsim | its states | ratio |",
        "|---|---|---|---|---|",
    ]
    for name, variants in peer().items():
        ours = work.OURS[name]()
        for label, theirs in variants:
            a, b = in_turns(ours, theirs)
            lines.append(f"| {name} | {text(a)} | {text(b)} | {label} | {b / a:.0f} |")
            print(lines[-1], flush=True)
    lines += ["", "| 96 echoes, here only | time |", "|---|---|"]
    for name in work.OURS:
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
