"""One of each sequence, with whatever its family can do."""

import numpy as np

from epgnumba import sequence as seq
from epgnumba.sequence import Inversion, Pulse, Readout, Shift, Spoil, Wait

RNG = np.random.default_rng(5)


def random_flips(n):
    return RNG.uniform(15, 110, n)


def random_phases(n):
    return RNG.uniform(-180, 180, n)


def spoiled_recovery(p):
    """A user's own: parameters shared, scaled, and in linear functions of each other."""
    yield [Inversion(p.efficiency), Wait(p.TI)]
    for n, flip in enumerate(p.flip):
        yield Pulse(flip, p.phase)
        yield [Wait(p.TE / 2), Shift(2), Pulse(2 * p.flip[0], p.phase + 90), Shift(1), Wait(p.TE / 2), Shift(-n)]
        yield [Readout(p.phase), Wait(p.TR - p.TE)]


def alternating(p):
    """Balanced, with two repetition times."""
    for n, TR in enumerate(p.TR):
        yield [Pulse(p.flip, 30.0 * n), Wait(TR / 2), Shift(1), Shift(-1), Readout(30.0 * n), Wait(TR / 2)]


FAMILIES = {
    "FSE": seq.FSE(random_flips(5), 7.0, random_phases(5), exc_phase=20.0),
    "FSE, steady": seq.FSE(random_flips(4), 7.0, TR=200.0),
    "multi-echo spin echo": seq.MultiSpinEcho(5, 9.0, 140.0),
    "stimulated echo": seq.StimulatedEcho(14.0, 30.0, random_flips(3), random_phases(3)),
    "hyperecho": seq.Hyperecho(random_flips(3), 6.0, random_phases(3), refocus=170.0),
    "MRF": seq.MRF(random_flips(9), 10 + random_flips(9) / 20, TI=15.0, TE=2.0, inversion=0.97),
    "MRF, phases, twice": seq.MRF(random_flips(5), 11.0, 12.0, random_phases(5), 3.0, 0.9, repetitions=2),
    "MRF, steady": seq.MRF(random_flips(5), 11.0, TI=12.0, phases=random_phases(5), inversion=0.8, steady=True),
    "MRF, balanced, T2 prepared": seq.MRF(random_flips(5), 9.0, TE=4.5, inversion=None, T2prep=40.0, balanced=True),
    "bSSFP": seq.BSSFP(40.0, 2.5, 6.0, phase_inc=150.0),
    "bSSFP, transient": seq.BSSFP(random_flips(5), 2.5, 6.0, steady=False),
    "SPGR": seq.SPGR(20.0, [2.0, 5.0, 9.0], 60.0),
    "SPGR, one echo": seq.SPGR(20.0, 2.0, 60.0),
    "SPGR, RF spoiled": seq.SPGR(20.0, 2.0, 60.0, "rf"),
    "DESS": seq.DESS(35.0, 4.0, 60.0, tolerance=1e-14),
    "MPRAGE": seq.MPRAGE(90.0, 9.0, 7.0, (4, 3)),
    "MPRAGE, steady": seq.MPRAGE(90.0, 9.0, 7.0, 8, TR=300.0),
    "MP2RAGE": seq.MP2RAGE([50.0, 180.0], [6.0, 9.0], 8.0, 400.0, 8),
    "MPnRAGE": seq.MPnRAGE(5, random_flips(5) / 6, 30.0 + random_flips(5) / 9, TI=11.0),
    "MPnRAGE, steady": seq.MPnRAGE(4, 8.0, 30.0, delay=80.0),
    "Look-Locker": seq.LookLocker(4, 12.0, 40.0, TI=10.0, TE=3.0, delay=50.0),
    "own": seq.EventSequence(
        spoiled_recovery, efficiency=0.95, TI=20.0, flip=random_flips(4), phase=25.0, TE=8.0, TR=20.0
    ),
    "own, steady": seq.EventSequence(
        spoiled_recovery, steady=True, efficiency=0.95, TI=20.0, flip=random_flips(3), phase=25.0, TE=8.0, TR=20.0
    ),
    "own, balanced": seq.EventSequence(
        alternating, steady=True, balanced=True, advance="step", flip=35.0, TR=[5.0, 8.0], step=70.0
    ),
}
REPEATED = ("SPGR, RF spoiled", "DESS")  # on a device, their steady state is found by playing them again and again

__all__ = ["FAMILIES", "REPEATED", "Spoil"]
