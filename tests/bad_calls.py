"""Bad calls of one-call forms and the package's own sequences: what is called, the error, the name in its message."""

import numpy as np

import epgnumba
from epgnumba import EventSequence, jacobian, simulate, vjp
from epgnumba import sequence as seq
from epgnumba.sequence import Inversion, Linear, Pulse, Readout, Shift

T, V = TypeError, ValueError
TRAIN = seq.FSE([120.0, 90.0], 8.0)
TISSUE = {"T1": 900.0, "T2": 70.0}
read = [Pulse(30.0), Readout()]
fse, mrf, bssfp, spgr = epgnumba.fse_sim, epgnumba.mrf_sim, epgnumba.bssfp_sim, epgnumba.spgr_sim


def own(*events, **options):
    return EventSequence(lambda p: events, **options)


CALLS = {
    # percent, swapped and mixed-up numbers
    "inversion in percent": (lambda: seq.MRF([9.0], 9.0, inversion=95), V, "inversion"),
    "inversion a hair above": (lambda: seq.MRF([9.0], 9.0, inversion=1.01), V, "inversion"),
    "inversion in percent, one call": (lambda: mrf([9.0], 9.0, **TISSUE, inversion=95), V, "inversion"),
    "inversion replaced in percent": (lambda: seq.MRF([9.0], 9.0).replace(inversion=95), V, "inversion"),
    "inv_efficiency in percent": (lambda: simulate(TRAIN, **TISSUE, inv_efficiency=95), V, "inv_efficiency"),
    "inv_efficiency below zero": (lambda: simulate(TRAIN, **TISSUE, inv_efficiency=-0.1), V, "inv_efficiency"),
    "inv_efficiency, one of a map": (
        lambda: epgnumba.mprage_sim(90, 8, 8, 8, 900, inv_efficiency=[0.9, 90.0]), V, "inv_efficiency[1]",
    ),
    "Inversion in percent": (lambda: Inversion(95.0), V, "efficiency"),
    "Inversion below zero": (lambda: Inversion(-1.0), V, "efficiency"),
    "Inversion of a parameter in percent": (
        lambda: EventSequence(lambda p: [Inversion(p.f), *read], f=95.0), V, "f",
    ),
    "Inversion of an expression": (lambda: EventSequence(lambda p: [Inversion(2 * p.f), *read], f=0.6), V, "f"),
    "Inversion of an entry, replaced": (
        lambda: EventSequence(lambda p: [[Inversion(f), *read] for f in p.f], f=[0.9, 0.8]).replace(f=[1, 80.0]),
        V, "f",
    ),
    "B1 in percent": (lambda: simulate(TRAIN, **TISSUE, B1=95), V, "B1"),
    "slice_prof in percent": (lambda: simulate(TRAIN, **TISSUE, slice_prof=[50, 95]), V, "slice_prof"),
    "T2 that vanishes": (lambda: simulate(TRAIN, T1=900.0, T2=1e-200), V, "T2"),
    "T1 that vanishes": (lambda: simulate(TRAIN, T1=1e-200, T2=50.0), V, "T1"),
    "T2 that is infinite": (lambda: simulate(TRAIN, T1=900.0, T2=np.inf), V, "T2"),
    "T1 beyond its range": (lambda: simulate(TRAIN, T1=1e20, T2=50.0), V, "T1"),
    "T1 of integers, zero": (lambda: simulate(TRAIN, T1=np.array([900, 0]), T2=50.0), V, "T1"),
    "turns in single precision": (lambda: fse([90.0], 400, 900, 80, B0=1e6, dtype="float32"), V, "B0"),
    # shapes
    "maps that do not broadcast": (lambda: simulate(TRAIN, T1=[900.0] * 3, T2=[70.0] * 2), V, "T1"),
    "T2star that does not broadcast": (lambda: spgr(9, 2, 9, [900.0] * 3, [70.0] * 2), V, "T2star"),
    "chemshift that does not broadcast": (
        lambda: bssfp(9, 2, 9, **TISSUE, B0=np.ones(3), chemshift=np.ones(2)), V, "chemshift",
    ),
    "flip empty": (lambda: fse([], 8, **TISSUE), V, "flip"),
    "flip a number": (lambda: fse(60.0, 8, **TISSUE), V, "flip"),
    "flip a table": (lambda: fse([[60.0]], 8, **TISSUE), V, "flip"),
    "phases of another length": (lambda: fse([60.0], 8, **TISSUE, phases=[0.0, 90.0]), V, "phases"),
    "slice_prof empty": (lambda: simulate(TRAIN, **TISSUE, slice_prof=[]), V, "slice_prof"),
    "slice_prof a table": (lambda: simulate(TRAIN, **TISSUE, slice_prof=[[1.0]]), V, "slice_prof"),
    "ESP a vector": (lambda: fse([60.0], [8.0, 9.0], **TISSUE), V, "ESP"),
    "TI of MP2RAGE too short": (lambda: seq.MP2RAGE([800], 4, 6, 5000, 60), V, "TI"),
    "flip of MP2RAGE too long": (lambda: seq.MP2RAGE([800, 2200], [4, 5, 6], 6, 5000, 60), V, "flip"),
    "flip of a stimulated echo": (lambda: seq.StimulatedEcho(20, 100, [90.0, 90.0]), V, "flip"),
    "TR of another length": (lambda: mrf([9.0, 8.0], [9.0] * 3, **TISSUE), V, "TR"),
    "TE empty": (lambda: seq.SPGR(9, [], 9), V, "TE"),
    "acquisitions of different lengths": (lambda: bssfp([9, 8], 2, [9, 8, 7], **TISSUE), V, "flip"),
    "no acquisition": (lambda: bssfp([], 2, 9, **TISSUE), V, "flip"),
    "flip a table of acquisitions": (lambda: spgr([[9.0]], 2, 9, 900, 50), V, "flip"),
    "acquisitions ragged": (lambda: spgr([[9.0], [1.0, 2.0]], 2, 9, 900, 50), V, "flip"),
    "10,001 acquisitions": (lambda: bssfp(np.ones(10_001), 2, 9, **TISSUE), V, "flip"),
    "flip of acquisitions a parameter": (lambda: bssfp(Linear.of("a"), 2, 9, **TISSUE), T, "flip"),
    "nshots of three": (lambda: seq.MPRAGE(900, 8, 8, (1, 2, 3)), T, "nshots"),
    "nshots none that is read": (lambda: seq.MPRAGE(900, 8, 8, (9, 0)), V, "nshots"),
    # times that do not fit
    "TE with an axis too many": (lambda: spgr(9, [[[2.0]]], 9, 900, 50), V, "TE"),
    "TE beyond TR, SPGR": (lambda: spgr(9, 20, 9, 900, 50), V, "TE"),
    "TE beyond TR, bSSFP": (lambda: bssfp(9, 20, 9, **TISSUE), V, "TE"),
    "TE beyond the shortest TR": (lambda: mrf([9.0, 9.0], [9.0, 3.0], **TISSUE, TE=5), V, "TE"),
    "TE beyond TR, Look-Locker": (lambda: seq.LookLocker(3, 8, 9, TE=20), V, "TE"),
    "TE beyond half TR": (lambda: seq.DESS(9, 6, 9), V, "TE"),
    "TE falling": (lambda: seq.SPGR(9, [5, 2], 9), V, "TE"),
    "TR shorter than the train": (lambda: fse([60.0] * 3, 8, **TISSUE, TR=20), V, "TR"),
    "TI before its shots": (lambda: epgnumba.mprage_sim(10, 8, 8, 80, 900), V, "TI"),
    "TR before its shots": (lambda: epgnumba.mprage_sim(900, 8, 8, 80, 900, TR=910), V, "TR"),
    "TRspgr that leaves no TI": (lambda: seq.MPRAGE(90, 8, 1e9, 8), V, "TRspgr"),
    "TRspgr that leaves no TI[0]": (lambda: seq.MP2RAGE([80, 300], 8, 1e9, 900, 8), V, "TRspgr"),
    "TI out of order": (lambda: epgnumba.mp2rage_sim([2200, 800], 4, 6, 5000, 60, 900), V, "TI"),
    "TRmp2rage too short": (lambda: epgnumba.mp2rage_sim([800, 2200], 4, 6, 2300, 60, 900), V, "TRmp2rage"),
    "TR zero": (lambda: bssfp(9, 0, 0, **TISSUE), V, "TR"),
    "TR negative": (lambda: seq.MPnRAGE(3, 9, -9), V, "TR"),
    "delay negative": (lambda: seq.MPnRAGE(3, 9, 9, delay=-1), V, "delay"),
    "T2prep negative": (lambda: mrf([9.0], 9.0, **TISSUE, T2prep=-1), V, "T2prep"),
    "TM negative": (lambda: seq.StimulatedEcho(20, -1), V, "TM"),
    # words and names
    "spoiling misspelt": (lambda: spgr(9, 2, 9, 900, 50, spoiling="RF"), V, "spoiling"),
    "spoiling an array": (lambda: seq.SPGR(9, 2, 9, spoiling=np.array(["rf", "rf"])), V, "spoiling"),
    "spoiling None": (lambda: seq.SPGR(9, 2, 9, spoiling=None), V, "spoiling"),
    "diff unknown": (lambda: fse([60.0], 8, **TISSUE, diff="T3"), V, "diff"),
    "diff empty": (lambda: fse([60.0], 8, **TISSUE, diff=()), V, "diff"),
    "diff an empty word": (lambda: jacobian(TRAIN, **TISSUE, diff=""), V, "diff"),
    "diff twice": (lambda: jacobian(TRAIN, **TISSUE, diff=("T1", "T1")), V, "diff"),
    "diff a set": (lambda: jacobian(TRAIN, **TISSUE, diff={"T1"}), T, "diff"),
    "diff a number": (lambda: jacobian(TRAIN, **TISSUE, diff=1), T, "diff"),
    "diff None": (lambda: jacobian(TRAIN, **TISSUE, diff=None), T, "diff"),
    "diff of numbers": (lambda: jacobian(TRAIN, **TISSUE, diff=(1, 2)), T, "diff"),
    "diff in another form's name": (lambda: spgr(9, 2, 9, 900, 50, diff="T2"), V, "diff"),
    "diff a sequence parameter": (lambda: fse([60.0], 8, **TISSUE, diff="flip"), V, "diff"),
    "dtype None": (lambda: simulate(TRAIN, **TISSUE, dtype=None), V, "dtype"),
    "dtype int": (lambda: simulate(TRAIN, **TISSUE, dtype=int), V, "dtype"),
    "dtype complex": (lambda: simulate(TRAIN, **TISSUE, dtype=np.complex128), V, "dtype"),
    "dtype half": (lambda: simulate(TRAIN, **TISSUE, dtype=np.float16), V, "dtype"),
    "dtype misspelt": (lambda: simulate(TRAIN, **TISSUE, dtype="floaty"), V, "dtype"),
    "device misspelt": (lambda: simulate(TRAIN, **TISSUE, device="gpu"), V, "device"),
    "device an array": (lambda: simulate(TRAIN, **TISSUE, device=np.ones(2)), V, "device"),
    "device a number": (lambda: simulate(TRAIN, **TISSUE, device=0), V, "device"),
    "argument misspelt": (lambda: fse([60.0], 8, **TISSUE, b1=1.0), T, "b1"),
    "argument of a sequence misspelt": (lambda: seq.FSE([60.0], 8, phase=0.0), T, "phase"),
    "parameter misspelt": (lambda: TRAIN.replace(flips=[1.0]), V, "flips"),
    "option replaced": (lambda: seq.MRF([9.0], 9.0).replace(steady=True), V, "steady"),
    # what would be ignored
    "increment without RF spoiling": (lambda: seq.SPGR(9, 2, 9, increment=50), V, "increment"),
    "increment without RF spoiling, one call": (lambda: spgr(9, 2, 9, 900, 50, increment=117.0), V, "increment"),
    "tolerance without RF spoiling": (lambda: seq.SPGR(9, 2, 9, tolerance=1e-3), V, "tolerance"),
    "TI without inversion": (lambda: seq.MRF([9.0], 9.0, TI=20, inversion=None), V, "TI"),
    "TI without inversion, one call": (lambda: mrf([9.0], 9.0, **TISSUE, TI=20, inversion=None), V, "TI"),
    "advance without steady": (lambda: own(*read, advance=90.0), V, "advance"),
    "growth without steady": (
        lambda: EventSequence(lambda p: [Pulse(p.g), Readout()], growth="g", g=50.0), V, "growth",
    ),
    # sequences
    "a sequence's name": (lambda: simulate("FSE", **TISSUE), T, "sequence"),
    "a sequence's class": (lambda: simulate(seq.FSE, **TISSUE), T, "sequence"),
    "sequences": (lambda: simulate([TRAIN, TRAIN], **TISSUE), T, "sequence"),
    "no sequence": (lambda: vjp(None, **TISSUE), T, "sequence"),
    "events in place of a sequence": (lambda: jacobian(TRAIN.events(), **TISSUE, diff="T2"), T, "sequence"),
    "20,000 echoes": (lambda: fse(np.full(20_000, 60.0), 5, **TISSUE), V, "flip"),
    "20,000 pulses": (lambda: mrf(np.full(20_000, 10.0), 5, **TISSUE), V, "flip"),
    "10^30 shots": (lambda: seq.MPRAGE(900, 8, 8, (1e30, 1)), V, "nshots"),
    "20,000 pulses of one's own": (
        lambda: own(*[Pulse(30.0), Shift(1), Readout()] * 20_000), V, "build",
    ),
    # masks
    "a masked T2": (lambda: simulate(TRAIN, 900, np.ma.masked_equal([70.0, 0.0], 0)), T, "T2"),
    "a list of masked T2": (lambda: simulate(TRAIN, 900, [np.ma.masked_equal([70.0, 0.0], 0)] * 2), T, "T2"),
    "masked deeper": (lambda: simulate(TRAIN, 900, [[np.ma.masked_equal([70.0, 0.0], 0)]] * 2), T, "T2"),
    "masked among tuples": (lambda: simulate(TRAIN, ([900.0], np.ma.masked_equal([9.0], 9.0)), 70), T, "T1"),
    "masked flips": (lambda: bssfp([np.ma.array(9.0), np.ma.array(9.0)], 2, 9, **TISSUE), T, "flip"),
}  # fmt: skip
