"""Calls of everything, by name: each returns arrays, and must return the same bits whatever was called before."""

import hashlib
from importlib.util import find_spec

import numpy as np
from families import FAMILIES

import epgnumba
from epgnumba import CRLBObjective, EventSequence
from epgnumba import sequence as seq
from epgnumba.sequence import Inversion, Pulse, Readout, Shift, Wait

TISSUE = {"T1": 130.0, "T2": 40.0, "B1": 0.93, "inv_efficiency": 0.8, "M0": 1.3}
DIFF = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")


def maps(count):
    return {**TISSUE, "T1": np.linspace(90, 150, count), "T2": np.linspace(50, 20, count)}


def bars(sequence, tissue, **options):
    """Every derivative of a fixed scalar of signal and Jacobian."""
    signal, jacobian = epgnumba.jacobian(sequence, **tissue, diff=("T2", "B1"), **options)
    shape = np.arange(jacobian.size).reshape(jacobian.shape)
    given = {"signal_bar": np.exp(1j * shape[..., 0, :]), "jacobian_bar": np.exp(2j * shape)}
    pulled = epgnumba.vjp(sequence, **tissue, diff=("T2", "B1"), **given, **options)
    return (signal, jacobian, *pulled.values())


def objective(sequence, **options):
    found = CRLBObjective(sequence, T1=[120.0, 90.0], T2=[40.0, 30.0], unknowns=("M0", "T2"), **options)
    x = found.x0
    value, gradient = found(x)
    return value, gradient.copy(), found.bounds(x), found.hessp(x, np.ones_like(x))


KINDS = {
    "signal": lambda s: (epgnumba.simulate(s, **TISSUE),),
    "slopes, off resonance": lambda s: epgnumba.jacobian(s, **TISSUE, B0=7.0, diff=DIFF),
    "gradient": lambda s: bars(s, TISSUE),
    "three voxels": lambda s: epgnumba.jacobian(s, **maps(3), diff=("T2",)),
    "forty voxels, off resonance": lambda s: bars(s, {**maps(40), "B0": np.linspace(-9, 9, 40)}),
    "single precision": lambda s: epgnumba.jacobian(s, **maps(20), diff="T1", dtype="float32"),
    "truncated": lambda s: epgnumba.jacobian(s, **TISSUE, diff=("T1", "B1"), nstates=2),
    "across a slice": lambda s: bars(s, TISSUE, slice_prof=[0.4, 1.0, 0.9]),
}


def fingerprints():
    """Parameters of one shape each, under different names."""
    options = {"inverted": {"TI": 20.0}, "prepared": {"inversion": None, "T2prep": 40.0}}
    options["both"] = {"inversion": 0.9, "T2prep": 30.0, "TI": 20.0}
    options["neither"] = {"inversion": None}
    for name, chosen in options.items():
        for more in ({}, {"steady": True}, {"balanced": True}, {"repetitions": 2}):
            yield f"fingerprint, {name}, {', '.join(more)}", seq.MRF([10.0, 20.0, 30.0], 12.0, **chosen, **more)


def look_alikes():
    """The same shapes, names or events, but not all three."""

    def one(p):
        return [Pulse(p.a), Wait(p.b), Readout(), Shift(1), Pulse(p.a), Wait(p.b), Readout(), Wait(30.0)]

    def other(p):
        return [Pulse(p.b), Wait(p.a), Readout(), Shift(1), Pulse(p.b), Wait(p.a), Readout(), Wait(30.0)]

    def inverted(p):
        return [Inversion(), *one(p)]

    for build in (one, other, inverted):
        for order in ("ab", "ba"):
            for steady in (False, True):
                values = {name: 20.0 + 5 * (name == "a") for name in order}
                yield f"{build.__name__}, {order}, {steady}", EventSequence(build, steady=steady, **values)
    yield "one, advancing", EventSequence(one, steady=True, advance=90.0, a=25.0, b=20.0)
    yield "one, loosely", EventSequence(one, steady=True, tolerance=1e-3, a=25.0, b=20.0)


def tensors():
    import torch

    import epgnumba.torch as bridge

    flip = torch.tensor([60.0, 90.0, 70.0], dtype=torch.float64, requires_grad=True)
    _, slopes = bridge.fse_sim(flip, ESP=8.0, T1=[130.0, 90.0], T2=40.0, diff=("T2", "B0"), B0=3.0)
    bridge.crlb(slopes).sum().backward()
    return slopes.detach().numpy(), flip.grad.numpy()


def _calls():
    for name, sequence in FAMILIES.items():
        for kind, call in KINDS.items():
            yield f"{name}: {kind}", lambda call=call, sequence=sequence: call(sequence)
    for name, sequence in (*fingerprints(), *look_alikes()):
        for kind in ("signal", "slopes, off resonance"):
            yield f"{name}: {kind}", lambda call=KINDS[kind], sequence=sequence: call(sequence)
    train = seq.FSE([60.0, 90.0, 70.0, 80.0], 8.0)
    for options in (
        {}, {"criterion": "D"}, {"data": "magnitude"}, {"over": "worst"}, {"slice_prof": [0.5, 1.0]}, {"nstates": 3},
        {"per_time": True, "variables": ("ESP", "flip")}, {"variables": ("phases", "flip")}, {"weights": [0.0, 1.0]},
        {"B0": 4.0},
    ):  # fmt: skip
        yield f"objective: {options}", lambda options=options: objective(train, **options)
        yield f"objective, steady: {options}", lambda options=options: objective(train.replace(TR=90.0), **options)
    if find_spec("torch"):
        yield "tensors", tensors
    yield "orders", lambda: (epgnumba.find_nstates(seq.FSE([100.0] * 20, 8.0), 300.0, 60.0).nstates,)


CALLS = dict(_calls())


def digest(name):
    """What a call returns: a digest of the bits, shapes and types of its arrays."""
    found = hashlib.sha256()
    for value in CALLS[name]():
        array = np.ascontiguousarray(value)
        found.update(f"{array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
