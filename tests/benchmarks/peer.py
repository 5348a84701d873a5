"""The same work by blochsim, each in the way that is quickest there: float32, tensors, a simulator that is kept."""

import blochsim
import numpy as np
import torch
import work
from blochsim.sequence import rf_definition

SINGLE = torch.float32


def _maps(maps):
    return {name: torch.tensor(values, dtype=SINGLE) for name, values in zip(("T1", "T2"), maps, strict=True)}


def bound(simulator, flips, diff, **fixed):
    """Gradient of the trace of the bound with respect to flip angles."""
    angles = torch.tensor(flips, dtype=SINGLE, requires_grad=True)

    def call():
        angles.grad = None
        _, slopes = simulator.jacobian(diff, flip=angles, **fixed)
        fisher = (slopes[:, None] * slopes[None].conj()).real.sum(-1)
        torch.linalg.inv(fisher).diagonal().sum().backward()

    return call


def _train(states):
    """Played once: by default a train is played twice."""
    return blochsim.simulators.FSESimulator(ESP=work.ESP, states=states, repetitions=1)


def train_bound():
    return bound(_train(10), work.FLIP, ("T2",), T1=work.T1, T2=work.T2)


def train_batch(states, *diff):
    def make():
        simulator, given = _train(states), {"flip": torch.tensor(work.FLIP, dtype=SINGLE), **_maps(work.MAPS)}
        return (lambda: simulator.jacobian(diff, **given)) if diff else (lambda: simulator.simulate(**given))

    return make


def _fingerprint(states, **scanner):
    trains = {"flip": torch.tensor(work.MRF_FLIP, dtype=SINGLE), "TR": torch.tensor(work.MRF_TR, dtype=SINGLE)}
    return blochsim.simulators.MRFSimulator(**trains, states=states, **scanner)


def fingerprint_batch(states, scanner=None, **tissue):
    def make():
        simulator, maps = _fingerprint(states, **(scanner or {})), {**_maps(work.MRF_MAPS), **tissue}
        return lambda: simulator.jacobian(("T1", "T2"), **maps)

    return make


# A cycle over a voxel; a rectangular pulse of 1 ms. Rates of exchange there are in Hz.
GRADIENT = {"crusher_dephasing_rad": 2 * np.pi, "voxel_size_m": 1e-3}
PULSE = {"pulse": rf_definition(np.ones(100), dwell_s=1e-5)}
POOL = {f"bound_{there}": work.POOL[here] for there, here in work.POOL_NAMES.items()}


def fingerprint_bound():
    simulator = blochsim.simulators.MRFSimulator(TR=torch.tensor(work.MRF_TR, dtype=SINGLE), states=20)
    return bound(simulator, work.MRF_FLIP, ("T1", "T2"), T1=work.T1, T2=work.T2)


def fingerprint_call():
    flip, TR = np.asarray(work.MRF_FLIP), np.asarray(work.MRF_TR)
    return lambda: blochsim.mrf_sim(flip, TR, work.T1, work.T2)


# For each piece of our work, how many states the peer keeps (or what it leaves out), and its call.
PEER = {
    "CRLB and gradient, one tissue": [("10 states", train_bound)],
    "CRLB and gradient, torch": [("10 states", train_bound)],
    "one voxel, fse_sim": [("10 states", lambda: lambda: blochsim.fse_sim(work.FLIP, work.ESP, work.T1, work.T2))],
    "10,000 voxels, signal": [("10 states", train_batch(10)), ("64 states", train_batch(64))],
    "10,000 voxels, signal and dT2": [
        ("10 states", train_batch(10, "T2")),
        ("64 states", train_batch(64, "T2")),
    ],
    "fingerprint, 1000 voxels, signal, dT1, dT2, 10 states": [("10 states", fingerprint_batch(10))],
    "fingerprint, 1000 voxels, signal, dT1, dT2, 20 states": [("20 states", fingerprint_batch(20))],
    "fingerprint, 1000 voxels, signal, dT1, dT2, diffusion": [("10 states", fingerprint_batch(10, GRADIENT, D=work.D))],
    "fingerprint, 1000 voxels, signal, dT1, dT2, bound pool": [("10 states", fingerprint_batch(10, PULSE, **POOL))],
    "fingerprint, CRLB and gradient, 20 states": [("20 states, flips only", fingerprint_bound)],
    "fingerprint, one voxel, mrf_sim": [("10 states", fingerprint_call)],
}
