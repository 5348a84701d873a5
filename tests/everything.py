"""One call of everything that users call, after `warm_up`: how many kernels there are then, and at the end."""

import itertools

import numpy as np
import torch
from calls import CALLS, KINDS
from families import FAMILIES

import epgnumba
import epgnumba.torch as bridge
from epgnumba.design import limits, optimize
from epgnumba.estimate import Dictionary, fit
from epgnumba.kernels import batch, crlb, match
from epgnumba.kernels import fit as least_squares
from epgnumba.problem import read_problem


def count():
    """Kernels that this process has, compiled or loaded."""
    entries = (batch.signal_batch, batch.amplitude_batch, batch.gradient_batch, batch.pull_batch, crlb.crlb_batch)
    entries += (least_squares.step_batch, match.start_batch, match.best_batch)
    return sum(len(entry.overloads) for entry in entries)


def designs():
    maps = {"T1": np.full((3, 2), 900.0, order="F"), "T2": 80.0}
    for sequence, data in itertools.product(FAMILIES.values(), ("complex", "magnitude")):
        used = read_problem(sequence, 900.0, 80.0).job().program.expressions.names
        names = tuple(name for name in used if np.isfinite(sequence.parameters[name]).all())
        for options in ({}, {"criterion": "D"}, {"criterion": "E"}, {"over": "worst"}, {"per_time": True}):
            objective = epgnumba.CRLBObjective(sequence, **maps, unknowns="M0", variables=names, data=data, **options)
            x = objective.x0
            x.flags.writeable = False
            for use in (objective, objective.bounds, objective.values, objective.alone, objective.signal):
                use(x)
            objective.hessp(x, x)
    train = epgnumba.FSE([60.0] * 8, 5.0)
    objective = epgnumba.CRLBObjective(train, 1000.0, 80.0, unknowns=("M0", "T2"))
    for extra in ([], [limits.flip_power(objective, 60.0)]):
        optimize(objective, [limits.bounds(objective, flip=(20, 150)), *extra], starts=1, progress=False)


def orders_in_memory():
    """Cotangents as they may come: Fortran's order, backwards, read-only, single, real."""
    for dtype, voxels in itertools.product(("float32", "float64"), (1, 3, 40)):
        maps = {"T1": np.full(voxels, 900.0), "T2": np.full(voxels, 80.0)}
        for sequence in FAMILIES.values():
            signal, slopes = epgnumba.jacobian(sequence, **maps, diff=("T1", "T2"), dtype=dtype)
            for change in (np.asfortranarray, np.flip, np.real, np.complex64, lambda x: np.broadcast_to(1.0, x.shape)):
                bars = {"signal_bar": change(signal), "jacobian_bar": change(slopes)}
                epgnumba.vjp(sequence, **maps, **bars, diff=("T1", "T2"), dtype=dtype)


def fits():
    """Data as they may come: of any type and order, read-only, one voxel and many; unknowns of every kind."""
    train = epgnumba.FSE([150.0] * 8, 5.0)
    signal = epgnumba.simulate(train, 900.0, np.linspace(50, 90, 40))
    for change in (np.asfortranarray, np.flip, np.complex64, lambda x: np.broadcast_to(x[3], x.shape), lambda x: x[0]):
        data = change(signal)
        for dtype in ("float32", "float64"):
            atoms = Dictionary.grid(train, T1=900.0, T2=[50.0, 70.0], rank=2, dtype=dtype)
            atoms.refine(data, atoms.match(data, complex_M0=True), complex_M0=True)
            Dictionary.grid(train, T1=900.0, T2=[50.0, 70.0], dtype=dtype, magnitude=True).match(abs(data))
        given = {"T1": np.broadcast_to(900.0, data.shape[:-1]), "weights": np.ones(8)}
        given["weights"].flags.writeable = False
        for names in ("M0", "T2", ("M0", "T2"), ("T2", "M0", "B1")):
            bounds = {"B1": (0.5, 1.1)} if "B1" in names else None
            known = {} if "T2" in names else {"T2": 70.0}
            fit(train, data, names, bounds=bounds, **given, **known)
            fit(train, abs(data), names, bounds=bounds, noise=0.1, **given, **known)


def tensors():
    for kind, dtype in itertools.product((torch.float32, torch.float64), ("float32", "float64")):
        flip = torch.tensor([60.0, 50.0, 70.0], dtype=kind, requires_grad=True)
        times = torch.full((2, 3), 900.0, dtype=kind)

        def cost(flip, times=times, dtype=dtype):
            signal, slopes = bridge.fse_sim(flip, 5.0, times, 80.0, diff=("T2", "B0"), dtype=dtype)
            return signal.abs().sum() + slopes.abs().square().sum()

        cost(flip).backward()
        given = flip.detach()
        torch.func.hessian(cost)(given)
        torch.func.jvp(cost, (given,), (given,))
        torch.func.vmap(torch.func.grad(cost))(torch.stack([given, given], 1).T)
        bridge.mrf_sim(flip, 12.0, times, 80.0, TI=20.0).abs().sum().backward()
        bridge.bssfp_sim(given, 2.5, 5.0, times, 80.0, B0=times / 30)
        bridge.spgr_sim(given, 2.5, 5.0, times, 50.0)
        bridge.mprage_sim(900.0, 8.0, 8.0, (5, 5), times)
        bridge.mp2rage_sim([800.0, 2200.0], [4.0, 5.0], 6.0, 5000.0, 60, times)
        bridge.mpnrage_sim(3, 5.0, 500.0, times)


def play():
    epgnumba.warm_up(progress=False)
    before = count()
    for name, call in CALLS.items():
        if name.partition(": ")[2] in KINDS or "objective" in name:
            call()
    for call in (designs, orders_in_memory, fits, tensors):
        call()
    print(f"{before} kernels, then {count()}")
