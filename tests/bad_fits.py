"""Bad calls of fits, dictionaries and verifications: what is called, the error, the name in its message."""

import numpy as np
from bad_calls import TRAIN, T, V

from epgnumba.design import verify
from epgnumba.estimate import Dictionary, fit
from epgnumba.plot import plot_verification
from epgnumba.sequence import EventSequence, Linear, Pulse, Readout

DATA = np.array([[0.9, 0.8], [0.7, 0.6], [0.8, 0.5]])
SPREAD = EventSequence(lambda p: [Pulse(30.0), Readout(), Pulse(30.0), Readout()])


def fitted(data=DATA, unknowns=("M0", "T2"), sequence=TRAIN, **options):
    return fit(sequence, data, unknowns, **{"T1": 900.0, **options})


def verified(**options):
    return verify(TRAIN, **{"T1": 900.0, "T2": 70.0, "noise": 0.1, **options})


def atoms(**options):
    return Dictionary(TRAIN, **{"T1": 900.0, "T2": [50.0, 70.0], **options})


def masked(value):
    return np.ma.masked_equal(value, 0.6)


FITS = {
    "fit, no sequence": (lambda: fit("FSE", DATA, T1=900.0), T, "sequence"),
    # data
    "fit, data of another length": (lambda: fitted(np.ones((3, 5))), V, "data"),
    "fit, data transposed": (lambda: fitted(np.ones((2, 3))), V, "data"),
    "fit, data a number": (lambda: fitted(1.0), V, "data"),
    "fit, data without readouts": (lambda: fitted(np.ones((3, 0))), V, "data"),
    "fit, data of text": (lambda: fitted([["a", "b"]]), T, "data"),
    "fit, data of booleans": (lambda: fitted(DATA > 0), T, "data"),
    "fit, data masked": (lambda: fitted(masked(DATA)), T, "data"),
    "fit, data ragged": (lambda: fitted([[1.0], [1.0, 2.0]]), V, "data"),
    "fit, data a parameter": (lambda: fitted(Linear.of("a")), T, "data"),
    "fit, magnitudes below zero": (lambda: fitted(-DATA), V, "data"),
    "fit, complex data for magnitudes": (lambda: fitted(DATA + 0j, magnitude=True), T, "data"),
    "fit, real data for complex ones": (lambda: fitted(magnitude=False), T, "data"),
    "fit, magnitude a word": (lambda: fitted(magnitude="yes"), T, "magnitude"),
    # unknowns
    "fit, unknown that there is none": (lambda: fitted(unknowns=("M0", "T3")), V, "unknowns"),
    "fit, unknowns empty": (lambda: fitted(unknowns=()), V, "unknowns"),
    "fit, unknowns None": (lambda: fitted(unknowns=None), T, "unknowns"),
    "fit, unknowns twice": (lambda: fitted(unknowns=("T2", "T2")), V, "unknowns"),
    "fit, unknown of the sequence": (lambda: fitted(unknowns=("M0", "flip")), V, "unknowns"),
    "fit, more unknowns than readouts": (lambda: fitted(unknowns=("M0", "T1", "T2"), T1=None), V, "unknowns"),
    "fit, more unknowns than readouts that count": (lambda: fitted(weights=[1.0, 0.0]), V, "unknowns"),
    "fit, more unknowns than real numbers": (lambda: fitted(DATA + 0j, ("M0", "T2", "B1")), V, "unknowns"),
    "fit, unknown that needs a gradient area": (lambda: fitted(unknowns="D", T2=70.0, bounds={"D": (0, 3)}), V, "D"),
    "fit, complex M0 of magnitudes": (lambda: fitted(complex_M0=True), V, "complex_M0"),
    "fit, complex M0 that is known": (lambda: fitted(DATA + 0j, "T2", complex_M0=True), V, "complex_M0"),
    "fit, complex M0 a word": (lambda: fitted(DATA + 0j, complex_M0="yes"), T, "complex_M0"),
    # maps
    "fit, T1 missing": (lambda: fit(TRAIN, DATA), V, "T1"),
    "fit, T2 missing": (lambda: fitted(unknowns="M0"), V, "T2"),
    "fit, a map of an unknown": (lambda: fitted(T2=70.0), V, "T2"),
    "fit, M0 known and unknown": (lambda: fitted(M0=2.0), V, "M0"),
    "fit, a map of another shape": (lambda: fitted(B1=np.ones(2)), V, "B1"),
    "fit, a map of more dimensions": (lambda: fitted(B1=np.ones((4, 3))), V, "B1"),
    "fit, a map out of range": (lambda: fitted(B1=[1.0, 95.0, 1.0]), V, "B1"),
    "fit, a map with NaN": (lambda: fitted(T1=[900.0, np.nan, 900.0]), V, "T1"),
    "fit, a map that is complex": (lambda: fitted(B1=1j), T, "B1"),
    "fit, a map misspelt": (lambda: fitted(b1=1.0), T, "b1"),
    "fit, an argument misspelt": (lambda: fitted(bound={}), T, "bound"),
    "fit, mask of numbers": (lambda: fitted(mask=[1, 0, 1]), T, "mask"),
    "fit, mask of another shape": (lambda: fitted(mask=[True, False]), V, "mask"),
    # bounds
    "fit, bounds a pair": (lambda: fitted(bounds=(1, 2)), T, "bounds"),
    "fit, bounds of what is known": (lambda: fitted(bounds={"T1": (1, 2)}), V, "bounds"),
    "fit, bounds with NaN": (lambda: fitted(bounds={"T2": (1, np.nan)}), V, "bounds['T2'][1]"),
    "fit, bounds with inf": (lambda: fitted(bounds={"T2": (1, np.inf)}), V, "bounds['T2'][1]"),
    "fit, bounds below zero": (lambda: fitted(bounds={"T2": (-1, 100)}), V, "bounds['T2'][0]"),
    "fit, bounds upside down": (lambda: fitted(bounds={"T2": (200, 100)}), V, "bounds['T2']"),
    "fit, bounds the same": (lambda: fitted(bounds={"T2": (100, 100)}), V, "bounds['T2']"),
    "fit, bounds of three numbers": (lambda: fitted(bounds={"T2": (1, 2, 3)}), V, "bounds['T2']"),
    "fit, bounds a number": (lambda: fitted(bounds={"T2": 3.0}), V, "bounds['T2']"),
    "fit, bounds of text": (lambda: fitted(bounds={"T2": ("a", "b")}), T, "bounds['T2']"),
    "fit, bounds of B1 in percent": (
        lambda: fitted(DATA + 0j, ("M0", "B1"), T2=70.0, bounds={"B1": (50, 150)}), V, "bounds['B1'][0]",
    ),
    "fit, bounds of B0 missing": (lambda: fitted(DATA + 0j, ("M0", "B0"), SPREAD, T2=70.0), V, "B0"),
    "fit, bounds of M0 below zero": (lambda: fitted(bounds={"M0": (-1, 1)}), V, "bounds['M0']"),
    "fit, bounds of M0 with NaN": (lambda: fitted(bounds={"M0": (0, np.nan)}), V, "bounds['M0'][1]"),
    "fit, bounds of a complex M0": (
        lambda: fitted(DATA + 0j, complex_M0=True, bounds={"M0": (0, 1)}), V, "bounds['M0']",
    ),
    # start
    "fit, start a number": (lambda: fitted(start=70.0), T, "start"),
    "fit, start of M0": (lambda: fitted(start={"T2": 70.0, "M0": 1.0}), V, "start"),
    "fit, start of too few": (lambda: fitted(unknowns=("T2", "B1"), start={"T2": 70.0}), V, "start"),
    "fit, start beyond bounds": (lambda: fitted(start={"T2": 7e3}), V, "start['T2']"),
    "fit, start NaN": (lambda: fitted(start={"T2": [70.0, np.nan, 70.0]}), V, "start['T2']"),
    "fit, start of another shape": (lambda: fitted(start={"T2": [70.0, 80.0]}), V, "start['T2']"),
    # noise, weights, options
    "fit, noise zero": (lambda: fitted(noise=0.0), V, "noise"),
    "fit, noise below zero": (lambda: fitted(noise=-1.0), V, "noise"),
    "fit, noise NaN": (lambda: fitted(noise=[1.0, np.nan, 1.0]), V, "noise"),
    "fit, noise of another shape": (lambda: fitted(noise=[1.0, 1.0]), V, "noise"),
    "fit, noise of text": (lambda: fitted(noise="a"), T, "noise"),
    "fit, weights of another length": (lambda: fitted(weights=[1.0, 1.0, 1.0]), V, "weights"),
    "fit, weights all zero": (lambda: fitted(weights=[0.0, 0.0]), V, "weights"),
    "fit, weights below zero": (lambda: fitted(weights=[1.0, -1.0]), V, "weights"),
    "fit, weights NaN": (lambda: fitted(weights=[1.0, np.nan]), V, "weights"),
    "fit, slice_prof in percent": (lambda: fitted(slice_prof=[50, 95]), V, "slice_prof"),
    "fit, nstates zero": (lambda: fitted(nstates=0), V, "nstates"),
    "fit, max_iterations zero": (lambda: fitted(max_iterations=0), V, "max_iterations"),
    "fit, max_iterations a fraction": (lambda: fitted(max_iterations=2.5), T, "max_iterations"),
    "fit, tolerance zero": (lambda: fitted(tolerance=0.0), V, "tolerance"),
    "fit, tolerance coarse": (lambda: fitted(tolerance=0.5), V, "tolerance"),
    "fit, progress a word": (lambda: fitted(progress="yes"), T, "progress"),
    # dictionaries, before they are made
    "dictionary of no sequence": (lambda: Dictionary("FSE", 900.0, 70.0), T, "sequence"),
    "dictionary of M0": (lambda: atoms(M0=2.0), V, "M0"),
    "dictionary of nothing": (lambda: atoms(T2=[]), V, "T2"),
    "dictionary of shapes": (lambda: atoms(T1=[900.0] * 3), V, "T1"),
    "dictionary of percent": (lambda: atoms(B1=95), V, "B1"),
    "dictionary, a map misspelt": (lambda: atoms(b1=0.9), T, "b1"),
    "dictionary of rank and energy": (lambda: atoms(rank=1, energy=0.9), V, "rank"),
    "dictionary of rank zero": (lambda: atoms(rank=0), V, "rank"),
    "dictionary of energy in percent": (lambda: atoms(energy=99), V, "energy"),
    "dictionary of energy zero": (lambda: atoms(energy=0), V, "energy"),
    "dictionary of integers": (lambda: atoms(dtype=int), V, "dtype"),
    "dictionary, magnitude a word": (lambda: atoms(magnitude="yes"), T, "magnitude"),
    "dictionary, slice_prof in percent": (lambda: atoms(slice_prof=[50, 95]), V, "slice_prof"),
    "dictionary, nstates zero": (lambda: atoms(nstates=0), V, "nstates"),
    "grid of a table": (lambda: Dictionary.grid(TRAIN, T1=900.0, T2=[[50.0, 70.0]]), V, "T2"),
    "grid of T2 longer than T1": (lambda: Dictionary.grid(TRAIN, T1=50.0, T2=[60.0, 70.0]), V, "T2"),
    # verifications
    "verify no sequence": (lambda: verify("FSE", 900.0, 70.0, noise=0.1), T, "sequence"),
    "verify without noise": (lambda: verified(noise=None), T, "noise"),
    "verify noise zero": (lambda: verified(noise=0.0), V, "noise"),
    "verify few draws": (lambda: verified(draws=10), V, "draws"),
    "verify a fraction of draws": (lambda: verified(draws=1e4), T, "draws"),
    "verify, seed of half": (lambda: verified(seed=0.5), T, "seed"),
    "verify, seed below zero": (lambda: verified(seed=-1), V, "seed"),
    "verify real data": (lambda: verified(data="real"), V, "data"),
    "verify in percent": (lambda: verified(confidence=95), V, "confidence"),
    "verify nothing unknown": (lambda: verified(unknowns=()), V, "unknowns"),
    "verify unknowns None": (lambda: verified(unknowns=None), T, "unknowns"),
    "verify beyond bounds": (lambda: verified(bounds={"T2": (80, 100)}), V, "T2"),
    "verify on a bound": (lambda: verified(bounds={"T2": (70, 100)}), V, "T2"),
    "verify bounds of what is known": (lambda: verified(bounds={"T1": (800, 1000)}), V, "bounds"),
    "verify no tissue": (lambda: verified(T2=[]), V, "T2"),
    "verify, a map misspelt": (lambda: verified(b1=0.9), T, "b1"),
    "verify, progress a word": (lambda: verified(progress="yes"), T, "progress"),
    "plot of no verification": (lambda: plot_verification(None), T, "verification"),
}  # fmt: skip
