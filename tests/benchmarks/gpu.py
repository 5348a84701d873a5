"""The work that a CUDA device is for, beside the device's own limits, measured in the same run.

    python tests/benchmarks/gpu.py [--scale 0.1] [--peer]

Writes docs/cuda-speed.md. A limit is what arithmetic alone takes at the device's measured rate of multiply-adds, or
what the bytes take at its measured bandwidth, whichever is longer. `--peer`: torchsim on the same device, if installed.
"""

import argparse
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numba import cuda
from numba.core import config

from epgnumba import FSE
from epgnumba.engine.layout import layout_of
from epgnumba.gpu import DeviceJob, choose
from epgnumba.gpu.home import NumbaHome
from epgnumba.gpu.structure import kernels
from epgnumba.problem import read_problem
from epgnumba.sequence import MRF

REPEATS = 7
CHAIN, LINKS, BLOCKS, THREADS = 8, 4096, 2048, 256
PAGE = Path(__file__).parents[2] / "docs" / "cuda-speed.md"


class Arrays(NumbaHome):
    """Maps and results as arrays of `numba.cuda`: what stays on the device, without another library."""

    def dense(self, array, shape):
        return array

    def complex(self, array, order):
        return array

    def pairs(self, array, order, dtype):
        return array


def median_time(call, finish):
    """Median seconds of a call, after two to compile and to settle."""
    times = []
    for k in range(REPEATS + 2):
        started = time.perf_counter()
        call()
        finish()
        if k > 1:
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def measure_arithmetic(real):
    """Multiply-adds a second: chains that depend on themselves alone, enough of them to hide how long each takes."""
    blocks, threads = (1, 2) if config.ENABLE_CUDASIM else (BLOCKS, THREADS)

    @cuda.jit
    def chains(out, factor):
        x = cuda.local.array(CHAIN, real)
        for k in range(CHAIN):
            x[k] = real(k)
        for _ in range(LINKS):
            for k in range(CHAIN):
                x[k] = x[k] * factor + factor
        total = real(0)
        for k in range(CHAIN):
            total += x[k]
        out[cuda.grid(1)] = total

    out = cuda.device_array(blocks * threads, real)
    seconds = median_time(lambda: chains[blocks, threads](out, real(0.5)), cuda.synchronize)
    return blocks * threads * LINKS * CHAIN / seconds


def measure_bandwidth(size):
    """Bytes a second that can be read and written, half of them each."""
    source, target = (cuda.to_device(np.zeros(size // 8)) for _ in range(2))
    return 2 * size / median_time(lambda: target.copy_to_device(source), cuda.synchronize)


def make_job(sequence, count, diff, real, nstates=None):
    """A job whose maps lie on the device."""
    rng = np.random.default_rng(0)
    T1, T2, one = rng.uniform(500, 2000, count), rng.uniform(30, 200, count), np.ones(1)
    problem = read_problem(sequence, 1000.0, 100.0, diff=diff, nstates=nstates, dtype=real)
    program, entries = problem.compile(sequence, False, False)
    home = Arrays(0)
    rows = [cuda.to_device(values.astype(real)) for values in (T1, T2, one, 0 * one, one, one)]
    tissue = SimpleNamespace(home=home, size=count, rows=lambda: rows)
    return DeviceJob(program, entries, tissue, problem.profile.astype(real), problem.codes, real)


def signal_work(sequence, count, diff, real, nstates=None):
    """A call, multiply-adds at least, bytes at least."""
    job = make_job(sequence, count, diff, real, nstates)
    updates = layout_of(job.program.signal, 1).updates * count
    # 8 of a state; a tangent's own 8, and what R1 (one) or R2 (two) add
    instructions = updates * (8 * (1 + len(job.codes)) + sum(1 + code for code in job.codes))
    results = job.program.n_out * (1 + len(job.codes)) * count * 2 * np.dtype(real).itemsize
    return lambda: job.signals(), instructions, results


def gradient_work(sequence, count, diff, real):
    """The same of a reverse sweep: 16 an update and set besides, and the tape written and read."""
    job = make_job(sequence, count, diff, real)
    shape = job.program.n_out, count, 2
    bars = cuda.to_device(np.ones(shape, real)), cuda.to_device(np.ones((len(job.codes), *shape), real))
    updates, sets = layout_of(job.program.signal, 1).updates * count, 1 + len(job.codes)
    tape = 2 * 3 * updates * sets * np.dtype(real).itemsize
    return lambda: job.gradient(*bars, False, False), updates * (8 + 16) * sets, tape


def cases(scale):
    def size(count):
        return max(int(scale * count), 1)

    flips, TR = 10 + 50 * np.sin(np.linspace(0, 9, 1000)) ** 2, 12 + np.random.default_rng(1).uniform(size=1000)
    fingerprint, echoes = MRF(flips, TR, TI=20.0), FSE(np.full(96, 60.0), 5.0)
    million, tissues, single, double = size(1e6), size(1e5), np.float32, np.float64
    fewer = min(million, int(0.7 * kernels().runtime.free_memory() / (3 * 1000 * 8)))  # results lie on the device
    return {
        f"fingerprint of 1000 pulses, 20 states, {fewer:,} atoms, signal": signal_work(
            fingerprint, fewer, None, single, 20
        ),
        f"the same with dT1, dT2, {fewer:,} atoms": signal_work(fingerprint, fewer, ("T1", "T2"), single, 20),
        f"96 echoes, all states, {million:,} voxels, signal": signal_work(echoes, million, None, single),
        f"96 echoes, gradient of a bound on T2, {tissues:,} tissues, single": gradient_work(
            echoes, tissues, "T2", single
        ),
        f"96 echoes, gradient of a bound on T2, {tissues:,} tissues, double": gradient_work(
            echoes, tissues, "T2", double
        ),
    }


def peer_time(scale):
    """torchsim's train of 96 echoes on the same device, signal only: it keeps 10 states by default."""
    import torch
    import torchsim

    count = max(int(scale * 1e6), 1)
    T1, T2 = (torch.rand(count, device="cuda") * width + low for width, low in ((1500, 500), (170, 30)))
    flip = torch.full((96,), 60.0, device="cuda")
    return median_time(lambda: torchsim.fse_sim(flip, ESP=5.0, T1=T1, T2=T2), torch.cuda.synchronize)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the voxels")
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    choose.read_device("cuda")  # says what is missing
    name = "CUDA simulator" if config.ENABLE_CUDASIM else cuda.get_current_device().name
    name = name.decode() if isinstance(name, bytes) else name
    rates = {real: measure_arithmetic(real) for real in (np.float32, np.float64)}
    bandwidth = measure_bandwidth(int(2**30 * min(options.scale, 1)) // 8 * 8)
    lines = [
        f"# Speed on a CUDA device\n\n{name}. Written by `tests/benchmarks/gpu.py`; medians of {REPEATS} calls.\n",
        f"Measured in the same run: {rates[np.float32] / 1e12:.2f} T multiply-adds a second in single precision, "
        f"{rates[np.float64] / 1e12:.2f} T in double; {bandwidth / 1e12:.2f} TB/s.\n",
        "| work | time | arithmetic alone | bytes alone | of the limit |\n|---|---|---|---|---|",
    ]
    for label, (call, instructions, moved) in cases(options.scale).items():
        seconds = median_time(call, lambda: kernels().runtime.synchronize())
        alone = instructions / rates[np.float64 if "double" in label else np.float32], moved / bandwidth
        fraction = max(alone) / seconds
        lines.append(
            f"| {label} | {1e3 * seconds:.1f} ms | {1e3 * alone[0]:.1f} | {1e3 * alone[1]:.1f} | {fraction:.0%} |"
        )
        print(lines[-1], flush=True)
    if options.peer:
        lines.append(f"\ntorchsim, 96 echoes, signal, 10 states: {1e3 * peer_time(options.scale):.1f} ms")
    text = "\n".join(lines) + "\n"
    print(text)
    if not config.ENABLE_CUDASIM:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
