"""What is timed: each entry makes a function of no arguments. One train of 96 echoes throughout."""

import numpy as np

import epgnumba
from epgnumba import FSE, CRLBObjective, fse_sim, jacobian, simulate

N, ESP, T1, T2 = 96, 5.0, 1000.0, 100.0
FLIP = np.full(N, 60.0)
RANDOM = np.random.default_rng(0)
MAPS = RANDOM.uniform(500, 2000, 10_000), RANDOM.uniform(30, 200, 10_000)


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
    call = CRLBObjective(FSE(FLIP, ESP), T1, T2s, B1, unknowns=("M0", "T2"), weights=[0, 1])
    x = call.x0
    return lambda: call(x)


OURS = {
    "CRLB and gradient, one tissue": objective,
    "CRLB and gradient, 320 tissues": tissues,
    "CRLB and gradient, exc_flip only": lambda: gradient(("exc_flip",)),
    "CRLB and gradient, all of flips, phases, ESP": lambda: gradient(
        ("flip", "phases", "exc_flip", "exc_phase", "ESP")
    ),
    "CRLB and gradient, torch": torch_bound,
    "one voxel, fse_sim": lambda: lambda: fse_sim(FLIP, ESP, T1, T2),
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
}


def packed_instructions(name):
    """Packed arithmetic instructions in a compiled pass."""
    from epgnumba.kernels import passes

    fse_sim(FLIP, ESP, T1, T2, diff=("T1", "B1"))
    (assembly,) = getattr(passes, name).inspect_asm().values()
    packed = ("vmulpd", "vaddpd", "vsubpd", "vfmadd", "vfmsub", "mulpd", "addpd", "subpd")
    return sum(line.strip().startswith(packed) and "sd" not in line.split()[0] for line in assembly.splitlines())


__all__ = ["OURS", "epgnumba", "packed_instructions"]
