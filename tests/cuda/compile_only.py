"""Compile, without a device, the kernels that calls launch, and print what the compilers say of them as JSON.

    python compile_only.py PTXAS 80 [call ...]

Calls run as they would, but their arrays are NumPy's and what they launch is written down. A process of its own: the
simulator replaces the compiler for good.
"""

import contextlib
import inspect
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba.cuda.dispatcher
import numpy as np
from numba.cuda import compile_ptx, types
from numba.cuda.typing.typeof import typeof

import epgnumba
from epgnumba import gpu
from epgnumba import sequence as seq
from epgnumba.kernels.cuda import runtime

MAPS = {"T1": np.array([900.0, 1000.0]), "T2": np.array([80.0, 90.0])}
ECHOES, FINGERPRINT = seq.FSE(np.full(96, 60.0), 5.0), seq.MRF(np.full(60, 30.0), np.full(60, 12.0), TI=20.0)
BALANCED = seq.BSSFP(40.0, 2.5, 6.0)
GRADIENT_ECHO = seq.DESS(30.0, TE=4.0, TR=200.0, tolerance=1e-2).on_scanner(gradient_area=50.0)


def signal(sequence, **options):
    epgnumba.simulate(sequence, **MAPS, **options)


def slopes(sequence, **options):
    epgnumba.jacobian(sequence, **MAPS, **options)


def backward(sequence, shape, wanted=None, **options):
    bars = {"signal_bar": np.ones((2, *shape[1:])), "jacobian_bar": np.ones((2, *shape))}
    epgnumba.vjp(sequence, **MAPS, **bars, wanted=wanted, **options)


CALLS = {
    "fingerprint": lambda **how: signal(FINGERPRINT, nstates=20, **how),
    "fingerprint, two derivatives": lambda **how: slopes(FINGERPRINT, nstates=20, diff=("T1", "T2"), **how),
    "96 echoes": lambda **how: signal(ECHOES, **how),
    "96 echoes, one derivative": lambda **how: slopes(ECHOES, diff=("T2",), **how),
    "96 echoes, gradient of a bound": lambda **how: backward(ECHOES, (1, 96), ("flip",), diff=("T2",), **how),
    "96 echoes, every gradient": lambda **how: backward(ECHOES, (1, 96), diff=("B1",), **how),
    "steady, off resonance": lambda **how: slopes(BALANCED, B0=7.0, diff=("T2", "B0"), **how),
    "steady, off resonance, every gradient": lambda **how: backward(BALANCED, (2, 1), B0=7.0, diff=("T2", "B0"), **how),
    "diffusion, every gradient": lambda **how: backward(
        FINGERPRINT.on_scanner(gradient_area=50.0), (1, 60), nstates=20, D=1.0, diff=("D",), **how
    ),
    "diffusion, flow and dephasing": lambda **how: backward(
        GRADIENT_ECHO, (3, 2), D=1.0, velocity=2.0, T2prime=30.0, diff=("D", "velocity", "T2prime"), **how
    ),
    "bound pool, two derivatives": lambda **how: slopes(
        FINGERPRINT.on_scanner(rf_duration=1.0), nstates=20, bound_fraction=0.1, diff=("T1", "bound_fraction"), **how
    ),
    "bound pool, every gradient": lambda **how: backward(
        FINGERPRINT.on_scanner(rf_duration=1.0), (1, 60), nstates=20, bound_fraction=0.1, diff=("exchange",), **how
    ),
    "steady with a bound pool, off resonance": lambda **how: backward(
        BALANCED.on_scanner(rf_duration=1.0), (3, 1), bound_fraction=0.1, B0=7.0, diff=("T1", "B1", "lineshape"), **how
    ),
    "second pool, every gradient": lambda **how: backward(
        FINGERPRINT, (1, 60), nstates=20, fraction_b=0.1, T2_b=20.0, diff=("T2_b",), **how
    ),
    "steady with a second pool, shifted": lambda **how: backward(
        BALANCED, (1, 1), fraction_b=0.1, T2_b=20.0, shift_b=17.0, diff=("shift_b",), **how
    ),
    "inversion, spoiled": lambda **how: backward(
        seq.MPRAGE(90.0, 9.0, 7.0, 8, TR=300.0), (1, 1), diff=("inv_efficiency",), **how
    ),
}


def record(launched):
    """Put NumPy in the place of the device, and write down what is launched: kernel and types of its arguments."""

    def launch(kernel, blocks, threads, stream, *arguments):
        launched.setdefault((kernel, tuple(typeof(x) for x in arguments)), threads)

    replaced = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "on_device": lambda index: contextlib.nullcontext(),
        "launch": launch,
        "new_stream": lambda: None,
        "empty": lambda shape, dtype, stream: np.zeros(shape, dtype),
        "upload": lambda array, stream: np.ascontiguousarray(array),
        "send": lambda array, device, stream: None,
        "download": lambda array, out, stream: out.fill(0),
        "finish": lambda stream: None,
        "pinned": np.zeros,
        "free_memory": lambda: 1 << 30,
    }
    for name, function in replaced.items():
        assert hasattr(runtime, name)
        setattr(runtime, name, function)


class ArraysThere:
    """A home of arrays that lie on the device, with NumPy's in their place."""

    index, stream = 0, None
    empty = staticmethod(np.zeros)
    zeros = staticmethod(np.zeros)
    to_host = view = staticmethod(lambda array: array)
    free_memory = staticmethod(lambda: 1 << 30)

    def dense(self, array, shape):
        return np.ascontiguousarray(np.broadcast_to(array, shape)).ravel()

    def complex(self, array, order):
        return (array[..., 0] + 1j * array[..., 1]).transpose(order)

    def pairs(self, array, order, dtype):
        return np.stack([array.real, array.imag], -1).transpose(*order, len(order)).astype(dtype).copy()


def arrays_there(**how):
    """A call whose maps lie on the device."""
    find_home, library, place = gpu.find_home, gpu.choose.library, gpu.choose.place
    gpu.find_home = lambda maps: ArraysThere()
    gpu.choose.library = lambda value: "cupy" if np.ndim(value) else None
    gpu.choose.place = lambda value: ("cupy", 0)
    for kind in (np.float32, np.float64):
        maps = {name: values.astype(kind) for name, values in MAPS.items()}
        epgnumba.jacobian(FINGERPRINT, **maps, nstates=20, diff=("T1", "T2"), **how)
    gpu.find_home, gpu.choose.library, gpu.choose.place = find_home, library, place


CALLS["fingerprint, arrays there"] = arrays_there


def assemble(ptxas, ptx, architecture):
    """Registers, bytes of spilling stores, and bytes of local memory."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        command = [ptxas, f"-arch={architecture}", "-v", str(source), "-o", str(Path(folder) / "kernel.cubin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", said)
    return int(re.search(r"Used (\d+) registers", said)[1]), int(found[2]), int(found[1])


def main(ptxas, capability, names):
    # Device functions ask for the current device; one that answers with its capability is enough to compile.
    stand_in = type("StandIn", (), {"compute_capability": capability})
    numba.cuda.dispatcher.get_current_device = lambda: stand_in
    launched = {}
    record(launched)
    report, seen = [], set()
    for dtype in (np.float32, np.float64):
        for name in names or CALLS:
            CALLS[name](device="cuda", dtype=dtype)
            for kernel, arguments in launched.keys() - seen:
                seen.add((kernel, arguments))
                started = time.perf_counter()
                ptx, _ = compile_ptx(kernel.py_func, types.void(*arguments), cc=capability)
                registers, spilled, stack = assemble(ptxas, ptx, "sm_{}{}".format(*capability))
                shape = inspect.getclosurevars(kernel.py_func).nonlocals
                report.append(
                    {
                        "call": name,
                        "kernel": kernel.py_func.__name__,
                        # maps may be double where the computation is single: they are read, no more
                        "single": not any("float64" in str(kind) for kind in arguments),
                        "rows": shape.get("n_rows", 1),
                        "lanes": shape.get("lanes", 1),
                        "doubles": ptx.count(".f64"),
                        "local": ptx.count(".local "),
                        "registers": registers,
                        "spilled": spilled,
                        "stack": stack,
                        "seconds": round(time.perf_counter() - started, 1),
                    }
                )
    print(json.dumps(report))


if __name__ == "__main__":
    ptxas, capability, *names = sys.argv[1:]
    main(ptxas, (int(capability[:-1]), int(capability[-1])), names)
