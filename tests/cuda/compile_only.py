"""Compile the CUDA kernels for some architecture without a device, and print what the compilers say of them as JSON.

A process of its own: the simulator replaces the compiler for good.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba.cuda.dispatcher
import numpy as np
from numba.cuda import compile_ptx, types

from epgnumba.gpu.tables import BACKWARD, FORWARD, divide
from epgnumba.kernels.columns import B1, M0, OMEGA, R1, R2
from epgnumba.kernels.cuda.jit import Shape
from epgnumba.kernels.cuda.play import make_play
from epgnumba.kernels.cuda.rewind import make_rewind
from epgnumba.kernels.cuda.steady import make_steady
from epgnumba.kernels.cuda.voxels import make_maps, make_sums, make_voxels

# name: kernel, precision, planes, tangents, orders
CASES = {
    "signal, 20 orders": ("play", np.float32, 1, (), 20),
    "signal, 48 orders": ("play", np.float32, 1, (), 48),
    "two derivatives, 20 orders": ("play", np.float32, 1, (R1, R2), 20),
    "one derivative, 48 orders, double": ("play", np.float64, 1, (R2,), 48),
    "off resonance, B1 and B0, 20 orders": ("play", np.float32, 2, (B1, OMEGA), 20),
    "for the tape, one derivative, 48 orders": ("taped", np.float32, 1, (R2,), 48),
    "backward, one derivative, 48 orders": ("rewind", np.float32, 1, (R2,), 48),
    "backward, one derivative, 48 orders, double": ("rewind", np.float64, 1, (R2,), 48),
    "backward, off resonance, 20 orders": ("rewind", np.float32, 2, (R2, OMEGA), 20),
    "steady state": ("find_start", np.float32, 2, (R2,), 1),
    "steady state, backward": ("unfind_start", np.float32, 2, (R2,), 1),
    "bars": ("load_bars", np.float32, 2, (R2,), 1),
    "tissue": ("gather_tissue", np.float32, 2, (R2,), 1),
    "maps": ("fill_row", np.float32, 2, (), 1),
    "range": ("find_range", np.float32, 2, (), 1),
    "sums": ("sum_rows", np.float32, 2, (), 1),
}
INT, LONG, FLAG = types.int32, types.int64, types.boolean


def kernel_of(kind, real, planes, kinds, highest):
    """A kernel and the types of its arguments, for the division among threads that a call would choose."""
    registers = FORWARD if kind == "play" else BACKWARD
    division = divide(highest, planes, len(kinds) + 1, np.dtype(real).itemsize, registers)
    shape = Shape(real, planes, planes == 2, kinds, division.rows, division.lanes)
    codes, sets = (*kinds, M0), (*range(1, len(kinds) + 1), 0)
    f = types.float32 if real is np.float32 else types.float64
    table, flat, two, three, four = types.int32[:, ::1], f[::1], f[:, ::1], f[:, :, ::1], f[:, :, :, ::1]
    program = types.int32[::1], table, flat, flat, two
    if kind in ("play", "taped"):
        kernel = make_play(shape, kind == "taped", *(((), ()) if kind == "taped" else (codes, sets)))
        arrays = (*program, two, two, three, flat, flat, flat, three, four)
        return division, kernel, (*arrays, *(LONG,) * 5, f, f, f, FLAG, FLAG)
    if kind == "rewind":
        arrays = (*program, two, flat, flat, three, three, two, two, two, two, three)
        return division, make_rewind(shape, True, True), (*arrays, *(LONG,) * 4, f, f, FLAG)
    find, unfind = make_steady(real, 3, len(kinds) + 1, planes)
    load, gather = make_voxels(real, kinds, planes, 1, codes, sets)
    fill, extent = make_maps(real, np.float32)
    small = {
        "find_start": (find, (four, flat, three, LONG)),
        "unfind_start": (unfind, (four, flat, three, three, four, flat, LONG)),
        "load_bars": (load, (three, four, three, two, two, f, three, two, two, LONG, LONG, FLAG)),
        "gather_tissue": (gather, (two, two, f, flat, two, LONG, LONG)),
        "fill_row": (fill, (flat, LONG, two, LONG, LONG)),
        "find_range": (extent, (flat, two)),
        "sum_rows": (make_sums(real)[0], (two, flat, LONG)),
    }
    return division, *small[kind]


def find_ptxas():
    """The assembler, of the packages or of the system."""
    places = (str(path) for root in sys.path for path in Path(root).glob("nvidia/*/bin/ptxas"))
    return next(places, None) or shutil.which("ptxas")


def assemble(ptx, architecture):
    """Registers, bytes of spilling stores, and bytes of local memory."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        command = [find_ptxas(), f"-arch={architecture}", "-v", str(source), "-o", str(Path(folder) / "kernel.cubin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", said)
    return int(re.search(r"Used (\d+) registers", said)[1]), int(found[2]), int(found[1])


def main(capability):
    # Device functions ask for the current device; one that answers with its capability is enough to compile.
    stand_in = type("StandIn", (), {"compute_capability": capability})
    numba.cuda.dispatcher.get_current_device = lambda: stand_in
    report = {}
    for name, case in CASES.items():
        division, kernel, arguments = kernel_of(*case)
        started = time.perf_counter()
        ptx, _ = compile_ptx(kernel.py_func, types.void(*arguments), cc=capability)
        registers, spilled, stack = assemble(ptx, "sm_{}{}".format(*capability)) if find_ptxas() else (0, 0, 0)
        report[name] = {
            "single": case[1] is np.float32,
            "rows": division.rows,
            "lanes": division.lanes,
            "doubles": ptx.count(".f64"),
            "local": len(re.findall(r"__local_depot", ptx)),
            "registers": registers,
            "spilled": spilled,
            "stack": stack,
            "seconds": round(time.perf_counter() - started, 1),
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main((int(sys.argv[1][:-1]), int(sys.argv[1][-1])))
