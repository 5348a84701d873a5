"""What is timed: each entry makes a function of no arguments.

A train of 96 echoes, a fingerprint of 880 pulses, and a few steady states.
"""

import sys
from functools import cache
from itertools import cycle
from pathlib import Path

import numpy as np

import epgnumba
from epgnumba import FSE, CRLBObjective, bssfp_sim, fse_sim, jacobian, mrf_sim, simulate
from epgnumba.design import verify
from epgnumba.estimate import Dictionary, fit
from epgnumba.sequence import DESS, MRF, SPGR

sys.path.insert(0, str(Path(__file__).parent.parent))

N, ESP, T1, T2 = 96, 5.0, 1000.0, 100.0
FLIP = np.full(N, 60.0)
RANDOM = np.random.default_rng(0)
MAPS = RANDOM.uniform(500, 2000, 10_000), RANDOM.uniform(30, 200, 10_000)
MRF_FLIP = np.concatenate([np.linspace(5, 60, 300), np.linspace(60, 2, 300), np.full(280, 2.0)])
MRF_TR = 12 + 2 * RANDOM.uniform(size=880)
MRF_MAPS = tuple(m[:1000] for m in MAPS)
D = 1.0
POOL = {"bound_fraction": 0.12, "exchange": 30.0, "T1_bound": 1000.0}
POOL_NAMES = {"fraction": "bound_fraction", "exchange": "exchange", "T1": "T1_bound"}  # of ours, by the peer's


def objective():
    call = CRLBObjective(FSE(FLIP, ESP), T1, T2, unknowns="T2")
    x = call.x0
    return lambda: call(x)


def torch_bound():
    import torch

    import epgnumba.torch as bridge

    flip = torch.full((N,), 60.0, dtype=torch.float64, requires_grad=True)

    def call():
        flip.grad = None
        _, slope = bridge.fse_sim(flip, ESP, T1, T2, diff="T2")
        (1 / slope.abs().square().sum()).backward()

    return call


def gradient(variables):
    """Value and gradient with respect to some parameters."""
    call = CRLBObjective(FSE(FLIP, ESP), T1, T2, unknowns="T2", variables=variables)
    x = call.x0
    return lambda: call(x)


def tissues():
    T2s, B1 = np.linspace(40, 160, 64), np.linspace(0.8, 1.2, 5)[:, None]
    call = CRLBObjective(FSE(FLIP, ESP), T1, T2s, B1=B1, unknowns=("M0", "T2"), weights=[0, 1])
    x = call.x0
    return lambda: call(x)


def fingerprint(nstates, **options):
    """Signal and two derivatives of 1000 voxels."""
    return lambda: lambda: mrf_sim(MRF_FLIP, MRF_TR, *MRF_MAPS, diff=("T1", "T2"), nstates=nstates, **options)


def fingerprint_bound(nstates):
    def make():
        weights = {"unknowns": ("T1", "T2"), "weights": [1 / T1**2, 1 / T2**2]}
        call = CRLBObjective(MRF(MRF_FLIP, MRF_TR), T1, T2, variables=("flip", "TR"), nstates=nstates, **weights)
        x = call.x0
        return lambda: call(x)

    return make


def steady(sequence, nstates=None):
    return lambda: lambda: simulate(sequence, *MRF_MAPS, nstates=nstates)


def fit_of(count, unknowns, **options):
    """Noisy signals of 32 echoes."""

    def make():
        train = FSE(np.full(32, 150.0), 10)
        T2, B1 = RANDOM.uniform(30, 200, count), RANDOM.uniform(0.6, 1, count)
        signal = simulate(train, 1000, T2, B1=B1)
        data = signal + 0.01 * (RANDOM.normal(size=signal.shape) + 1j * RANDOM.normal(size=signal.shape))
        data = abs(data) if "noise" in options else data
        return lambda: fit(train, data, unknowns, T1=1000, bounds={"B1": (0.5, 1.1)}, **options)

    return make


def draws():
    """20,000 draws of 96 echoes."""
    train = FSE(np.full(N, 150.0), ESP)
    return lambda: verify(train, T1, T2, noise=0.01)


@cache
def dictionary():
    """100,000 atoms of rank 20, and 20,000 voxels of a fingerprint."""
    train = MRF(20 + 30 * np.sin(np.arange(200) / 9), TR=12, TI=20)
    grid = {"T1": np.geomspace(200, 3000, 400), "T2": np.geomspace(20, 150, 250)}
    atoms = Dictionary.grid(train, **grid, rank=20, nstates=10, dtype="float32")
    return atoms, simulate(train, RANDOM.uniform(300, 2500, 20_000), RANDOM.uniform(25, 140, 20_000))


def match():
    atoms, data = dictionary()
    return lambda: atoms.match(data)


def products():
    """What a match cannot do without, in the same blocks."""
    from epgnumba.estimate.dictionary import ATOMS, VOXELS

    atoms, data = dictionary()
    columns = np.ones((atoms.rank, VOXELS), np.float32)
    room = np.empty((ATOMS, VOXELS), np.float32)

    def call():
        for _ in range(0, len(data), VOXELS):
            for first in range(0, len(atoms), ATOMS):
                rows = atoms.atoms[first : first + ATOMS]
                np.matmul(rows, columns, out=room[: len(rows)])

    return call


def published_design():
    """100 flips and 100 TRs to convergence, limits and all."""
    from test_optimization import lee

    from epgnumba.design import optimize

    objective, within = lee()
    return lambda: optimize(objective, within, starts=1, progress=False)


def power_limited_design():
    from test_optimization import tamir

    from epgnumba.design import optimize

    objective, within = tamir()
    return lambda: optimize(objective, within, starts=1, progress=False)


OURS = {
    "CRLB and gradient, one tissue": objective,
    "CRLB and gradient, 320 tissues": tissues,
    "CRLB and gradient, exc_flip only": lambda: gradient(("exc_flip",)),
    "CRLB and gradient, all of flips, phases, ESP": lambda: gradient(
        ("flip", "phases", "exc_flip", "exc_phase", "ESP")
    ),
    "CRLB and gradient, torch": torch_bound,
    "one voxel, fse_sim": lambda: lambda: fse_sim(FLIP, ESP, T1, T2),
    "one voxel, fse_sim, other flips at every call": lambda: (lambda flips: lambda: fse_sim(next(flips), ESP, T1, T2))(
        cycle([FLIP - degrees for degrees in range(40)])
    ),
    "one voxel, signal and dT2, train reused": lambda: (lambda train: lambda: jacobian(train, T1, T2, diff="T2"))(
        FSE(FLIP, ESP)
    ),
    "10,000 voxels, signal": lambda: (lambda train: lambda: simulate(train, *MAPS))(FSE(FLIP, ESP)),
    "10,000 voxels, signal and dT2": lambda: (lambda train: lambda: jacobian(train, *MAPS, diff="T2"))(FSE(FLIP, ESP)),
    "10,000 voxels, signal, float32": lambda: (lambda train: lambda: simulate(train, *MAPS, dtype=np.float32))(
        FSE(FLIP, ESP)
    ),
    "10,000 voxels, signal, random phases": lambda: (lambda train: lambda: simulate(train, *MAPS))(
        FSE(FLIP, ESP, phases=RANDOM.uniform(0, 360, N))
    ),
    "10,000 voxels, signal, off resonance": lambda: (lambda train: lambda: simulate(train, *MAPS, B0=20.0))(
        FSE(FLIP, ESP)
    ),
    "10,000 voxels, bSSFP steady state, off resonance": lambda: lambda: bssfp_sim(40, 2.5, 5, *MAPS, B0=20.0),
    "fingerprint, 1000 voxels, signal, dT1, dT2, 10 states": fingerprint(10),
    "fingerprint, 1000 voxels, signal, dT1, dT2, 20 states": fingerprint(20),
    "fingerprint, 1000 voxels, signal, dT1, dT2, all states": fingerprint(None),
    "fingerprint, 1000 voxels, signal, dT1, dT2, 10 states, random phases": fingerprint(
        10, phases=RANDOM.uniform(0, 360, 880)
    ),
    "fingerprint, 1000 voxels, signal, dT1, dT2, diffusion": fingerprint(10, D=D, gradient_area=23.487),
    "fingerprint, 1000 voxels, signal, dT1, dT2, bound pool": fingerprint(10, **POOL, rf_duration=1.0),
    "fingerprint, CRLB and gradient, 20 states": fingerprint_bound(20),
    "fingerprint, CRLB and gradient, all states": fingerprint_bound(None),
    "fingerprint, one voxel, mrf_sim": lambda: lambda: mrf_sim(MRF_FLIP, MRF_TR, T1, T2),
    "design of 100 flips and 100 TRs, one start (published: 236 s)": published_design,
    "design of 32 flips under a power limit, one start": power_limited_design,
    "fit of M0, T2 and B1, 100,000 voxels of 32 echoes": fit_of(100_000, ("M0", "T2", "B1")),
    "fit of M0, T2 and B1, 100,000 voxels, magnitudes with noise": fit_of(100_000, ("M0", "T2", "B1"), noise=0.01),
    "20,000 Monte Carlo fits of 96 echoes": draws,
    "match of 20,000 voxels to 100,000 atoms of rank 20": match,
    "the same, products of matrices alone": products,
    "1000 voxels, DESS steady state": steady(DESS(30, 5, 20)),
    "1000 voxels, DESS steady state, 20 states": steady(DESS(30, 5, 20), 20),
    "1000 voxels, RF-spoiled steady state, 20 states": steady(SPGR(15, 5, 20, "rf"), 20),
}


def packed_instructions(kinds):
    """Packed arithmetic instructions in the loops over rows of a real problem with tangents of these rates."""
    from epgnumba.kernels.lanes import Shape, compiled

    assembly = compiled(Shape(1, kinds), np.float64)[0].get_asm_str()
    packed = ("vmulpd", "vaddpd", "vsubpd", "vfmadd", "vfmsub", "mulpd", "addpd", "subpd")
    return sum(line.strip().startswith(packed) and "sd" not in line.split()[0] for line in assembly.splitlines())


__all__ = ["OURS", "epgnumba", "packed_instructions"]
