"""One-call forms, with torchsim's names, arguments and units. Each says which sequence and tissue it stands for."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .calls import Call, Numeric, acquisitions, map_names, one_call, same, total_field
from .checks import RELAXATION, count, flag
from .problem import Diff, Precision
from .sequence import BSSFP, FSE, MP2RAGE, MPRAGE, MRF, SPGR, MPnRAGE, Sequence


@one_call
def fse_sim(
    flip: Numeric,
    ESP: Numeric,
    T1: Numeric,
    T2: Numeric,
    phases: Numeric = 0.0,
    TR: Numeric = np.inf,
    exc_flip: Numeric = 90.0,
    exc_phase: Numeric = 90.0,
    diff: Diff = None,
    slice_prof: Numeric = 1.0,
    B1: Numeric = 1.0,
    M0: Numeric = 1.0,
    nstates: int | None = None,
    dtype: Precision = np.float64,
    B0: Numeric = 0.0,
    check_nstates: bool = False,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> Call:
    """Fast spin echo by extended phase graphs, with exact derivatives.

    If any argument is a torch tensor, `epgnumba.torch.fse_sim` is called and tensors come back.

    Parameters
    ----------
    flip : array_like, shape (echoes,)
        Refocusing flip angles, degrees.
    ESP : float
        Echo spacing, ms.
    T1, T2 : array_like
        Relaxation times, ms; T1 may be inf. All tissue maps broadcast.
    phases : float or array_like, shape (echoes,)
        Phases of the refocusing pulses, degrees; each echo is demodulated by that of its pulse.
    TR : float
        Repetition time, ms. If finite, the signal is that of the exact steady state, the train ending ideally spoiled;
        inf starts the train from equilibrium.
    exc_flip, exc_phase : float
        Excitation flip angle and phase, degrees.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, T2, B1, B0, M0.
    slice_prof : float or array_like, shape (positions,)
        Flip angle across the slice, as a fraction of the nominal one; the signal is the mean over positions.
    B1 : array_like
        Transmit field, as a fraction of the nominal flip angle.
    M0 : array_like
        Equilibrium magnetisation.
    B0 : array_like
        Off-resonance, Hz.
    check_nstates : bool
        Whether to compare with all orders kept, and warn if a signal or derivative changes at some readout by more
        than 1e-3 of its root mean square.
    nstates : int, optional
        Keep configuration orders below it only, in units of one crusher (two per echo). By default all that matter are
        kept, and the result is exact.
    dtype : float64 or float32
        Precision of the computation.
    device : str, optional
        "cuda" or "cuda:1" to compute there; see `epgnumba.simulate`.
    mask : array_like of bool, optional
        Where to simulate; results are zero outside, whatever maps hold there.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, echoes)
    jacobian : ndarray, complex, shape (*tissue, len(diff), echoes)
        Only with `diff`; per ms (T1, T2), per Hz (B0) or per unit. Without the axis for parameters if `diff` is
        a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    References
    ----------
    M. Weigel, "Extended phase graphs", JMRI 41 (2015) 266-295.

    Examples
    --------
    >>> signal = fse_sim([120.0] * 3, ESP=10, T1=1000, T2=100)
    >>> signal.real.round(8)
    array([0.67862806, 0.79647385, 0.6369146 ])
    >>> signal, dT2 = fse_sim([120.0] * 3, ESP=10, T1=1000, T2=[80, 100], diff="T2")
    >>> dT2.shape
    (2, 3)
    """
    return Call(
        FSE,
        {"flip": flip, "ESP": ESP, "phases": phases, "TR": TR, "exc_flip": exc_flip, "exc_phase": exc_phase},
        {"T1": T1, "T2": T2, "B1": B1, "M0": M0, "B0": B0},
        map_names(diff, same("T1", "T2", "B1", "B0", "M0")),
        {
            "slice_prof": slice_prof,
            "nstates": nstates,
            "dtype": dtype,
            "check_nstates": check_nstates,
            "device": device,
            "mask": mask,
        },
    )


@one_call
def mrf_sim(
    flip: Numeric,
    TR: Numeric,
    T1: Numeric,
    T2: Numeric,
    diff: Diff = None,
    B1: Numeric = 1.0,
    inv_efficiency: Numeric = 1.0,
    M0: Numeric = 1.0,
    TI: Numeric = 0.0,
    nstates: int | None = None,
    nreps: int = 1,
    phases: Numeric = 0.0,
    TE: Numeric = 0.0,
    inversion: Numeric | None = 1.0,
    T2prep: Numeric | None = None,
    balanced: bool = False,
    steady: bool = False,
    B0: Numeric = 0.0,
    slice_prof: Numeric = 1.0,
    dtype: Precision = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> Call:
    """Fingerprinting: an inversion, then a train of pulses, each followed by a readout (`epgnumba.sequence.MRF`).

    Parameters
    ----------
    flip : array_like, shape (pulses,)
        Flip angles, degrees.
    TR : float or array_like, shape (pulses,)
        From each pulse to the next, ms.
    T1, T2 : array_like
        Relaxation times, ms. All tissue maps broadcast.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, T2, B1, B0, inv_efficiency, M0.
    B1, inv_efficiency, M0, B0 : array_like
        Transmit field and efficiency of the inversion (fractions of the nominal), equilibrium magnetisation,
        off-resonance (Hz).
    TI : float
        From the inversion to what follows it, ms.
    nreps : int
        How often the whole is played; the last time is read.
    phases, TE, inversion, T2prep, balanced, steady
        As for `epgnumba.sequence.MRF`.
    slice_prof, nstates, dtype, check_nstates, device, mask
        As for `fse_sim`.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, pulses)
    jacobian : ndarray, complex, shape (*tissue, len(diff), pulses)
        Only with `diff`. Without the axis for parameters if `diff` is a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    References
    ----------
    Y. Jiang et al., "MR fingerprinting using fast imaging with steady state precession (FISP) with spiral readout", MRM
    74 (2015) 1621.

    Examples
    --------
    >>> mrf_sim([10, 20, 30], TR=12, T1=1000, T2=100, TI=20).imag.round(4)
    array([0.1668, 0.3155, 0.4189])
    """
    prepared = {"inversion": inversion, "T2prep": T2prep}
    left_out = {name: None for name, value in prepared.items() if value is None}
    parameters = {"flip": flip, "TR": TR, "TI": TI, "phases": phases, "TE": TE, **prepared}
    return Call(
        MRF,
        {name: value for name, value in parameters.items() if name not in left_out},
        {"T1": T1, "T2": T2, "B1": B1, "M0": M0, "B0": B0, "inv_efficiency": inv_efficiency},
        diff,
        {
            "slice_prof": slice_prof,
            "nstates": nstates,
            "dtype": dtype,
            "check_nstates": check_nstates,
            "device": device,
            "mask": mask,
        },
        {"balanced": balanced, "repetitions": count("nreps", nreps), "steady": steady, **left_out},
        {"repetitions=": "nreps="},
    )


@one_call
def bssfp_sim(
    flip: Numeric,
    TE: Numeric,
    TR: Numeric,
    T1: Numeric,
    T2: Numeric,
    diff: Diff = None,
    phase_inc: Numeric = 180.0,
    B0: Numeric = 0.0,
    chemshift: Numeric | None = None,
    M0: Numeric = 1.0,
    B1: Numeric = 1.0,
    transient: bool = False,
    slice_prof: Numeric = 1.0,
    dtype: Precision = np.float64,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> list[Call]:
    """Balanced SSFP in its steady state, exact off resonance too (`epgnumba.sequence.BSSFP`).

    Vectors of `flip`, `TE`, `TR` and `phase_inc` (of one length) are separate acquisitions; the last axis of the result
    is theirs. With `transient` the flips are those of one train instead, from equilibrium, each read.

    Parameters
    ----------
    flip, TE, TR : float or array_like
        Flip angle (degrees), echo and repetition time (ms).
    T1, T2 : array_like
        Relaxation times, ms. All tissue maps broadcast.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, T2, B1, B0, M0.
    phase_inc : float or array_like
        RF phase from one pulse to the next, degrees; the receiver follows.
    B0 : array_like
        Off-resonance, Hz.
    chemshift : array_like, optional
        Added to it, Hz.
    M0, B1 : array_like
        Equilibrium magnetisation; transmit field as a fraction of the nominal flip angle.
    transient : bool
        See above.
    slice_prof, dtype, device, mask
        As for `fse_sim`.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, acquisitions)
    jacobian : ndarray, complex, shape (*tissue, len(diff), acquisitions)
        Only with `diff`. Without the axis for parameters if `diff` is a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> abs(bssfp_sim([30, 60], TE=2.5, TR=5, T1=1000, T2=100, phase_inc=180)).round(4)
    array([0.1559, 0.1332])
    """
    values = {"flip": flip, "TE": TE, "TR": TR, "phase_inc": phase_inc}
    tissue = {"T1": T1, "T2": T2, "B1": B1, "M0": M0, "B0": total_field(B0, chemshift)}
    options = {"slice_prof": slice_prof, "dtype": dtype, "device": device, "mask": mask}
    named = map_names(diff, same("T1", "T2", "B1", "B0", "M0"))
    trains = [values] if flag("transient", transient) else acquisitions(values)
    names = {} if chemshift is None else {"B0": "B0 + chemshift"}
    return [Call(BSSFP, train, tissue, named, options, {"steady": not transient}, names) for train in trains]


@one_call
def spgr_sim(
    flip: Numeric,
    TE: Numeric,
    TR: Numeric,
    T1: Numeric,
    T2star: Numeric,
    diff: Diff = None,
    B0: Numeric = 0.0,
    chemshift: Numeric | None = None,
    M0: Numeric = 1.0,
    B1: Numeric = 1.0,
    spoiling: Literal["ideal", "rf"] = "ideal",
    increment: Numeric | None = None,
    nstates: int | None = None,
    slice_prof: Numeric = 1.0,
    dtype: Precision = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> list[Call]:
    """Spoiled gradient echo in its steady state (`epgnumba.sequence.SPGR`).

    Vectors of `flip` and `TR` (of one length) are separate acquisitions, a vector `TE` several echoes of each; the last
    axis of the result holds all echoes of the first, then of the second, ....

    Parameters
    ----------
    flip, TE, TR : float or array_like
        Flip angle (degrees), echo times and repetition time (ms).
    T1, T2star : array_like
        Relaxation times, ms; with ``spoiling='rf'`` T2star is the T2 of the echoes. All tissue maps broadcast.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, T2star, B1, B0, M0.
    B0 : array_like
        Off-resonance, Hz.
    chemshift : array_like, optional
        Added to it, Hz.
    M0, B1 : array_like
        Equilibrium magnetisation; transmit field as a fraction of the nominal flip angle.
    spoiling, increment
        As for `epgnumba.sequence.SPGR`.
    slice_prof, nstates, dtype, check_nstates, device, mask
        As for `fse_sim`.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, acquisitions * echoes)
    jacobian : ndarray, complex, shape (*tissue, len(diff), acquisitions * echoes)
        Only with `diff`. Without the axis for parameters if `diff` is a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> spgr_sim([5, 15], TE=5, TR=20, T1=1000, T2star=50).imag.round(4)
    array([-0.0664, -0.0872])
    """
    tissue = {"T1": T1, "T2": T2star, "B1": B1, "M0": M0, "B0": total_field(B0, chemshift)}
    options = {
        "slice_prof": slice_prof,
        "nstates": nstates,
        "dtype": dtype,
        "check_nstates": check_nstates,
        "device": device,
        "mask": mask,
    }
    named = map_names(diff, {**same("T1", "B1", "B0", "M0"), "T2star": "T2"})
    rf = {} if increment is None else {"increment": increment}
    names = {"T2": "T2star"} | ({} if chemshift is None else {"B0": "B0 + chemshift"})
    return [
        Call(SPGR, {**one, "TE": TE, **rf}, tissue, named, options, {"spoiling": spoiling}, names)
        for one in acquisitions({"flip": flip, "TR": TR})
    ]


def _inversion_call(
    family: type[Sequence],
    parameters: dict[str, Any],
    shape: dict[str, Any],
    tissue: dict[str, Any],
    diff: Diff,
    slice_prof: Numeric,
    dtype: Precision,
    device: str | None,
    mask: npt.ArrayLike | None,
) -> Call:
    """A call of a sequence whose shots are spoiled at once, so that no T2 is asked for."""
    named = map_names(diff, same("T1", "B1", "inv_efficiency", "M0"))
    return Call(
        family,
        parameters,
        {**tissue, "T2": RELAXATION["minimum"]},
        named,
        {"slice_prof": slice_prof, "dtype": dtype, "device": device, "mask": mask},
        shape,
    )


@one_call
def mprage_sim(
    TI: Numeric,
    flip: Numeric,
    TRspgr: Numeric,
    nshots: int | npt.ArrayLike,
    T1: Numeric,
    diff: Diff = None,
    inv_efficiency: Numeric = 1.0,
    M0: Numeric = 1.0,
    TR: Numeric = np.inf,
    B1: Numeric = 1.0,
    slice_prof: Numeric = 1.0,
    dtype: Precision = np.float64,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> Call:
    """MPRAGE, read at the shot that samples the centre of k-space (`epgnumba.sequence.MPRAGE`).

    Parameters
    ----------
    TI : float
        From the inversion to the shot that is read, ms.
    flip : float
        Flip angle, degrees.
    TRspgr : float
        From shot to shot, ms.
    nshots : int or (int, int)
        Number of shots; or those before the one that is read, and the rest.
    T1 : array_like
        Longitudinal relaxation time, ms. All tissue maps broadcast.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, B1, inv_efficiency, M0.
    inv_efficiency, M0, B1 : array_like
        Efficiency of the inversion, equilibrium magnetisation, transmit field.
    TR : float
        From inversion to inversion, ms; inf starts from equilibrium.
    slice_prof, dtype, device, mask
        As for `fse_sim`.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, 1)
    jacobian : ndarray, complex, shape (*tissue, len(diff), 1)
        Only with `diff`. Without the axis for parameters if `diff` is a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> mprage_sim(900, flip=8, TRspgr=8, nshots=(50, 50), T1=[800, 1400], TR=2000).imag.round(4)
    array([[-0.0472],
           [-0.022 ]])
    """
    return _inversion_call(
        MPRAGE,
        {"TI": TI, "flip": flip, "TRspgr": TRspgr, "TR": TR},
        {"nshots": nshots},
        {"T1": T1, "B1": B1, "M0": M0, "inv_efficiency": inv_efficiency},
        diff,
        slice_prof,
        dtype,
        device,
        mask,
    )


@one_call
def mp2rage_sim(
    TI: Numeric,
    flip: Numeric,
    TRspgr: Numeric,
    TRmp2rage: Numeric,
    nshots: int | npt.ArrayLike,
    T1: Numeric,
    diff: Diff = None,
    inv_efficiency: Numeric = 1.0,
    M0: Numeric = 1.0,
    B1: Numeric = 1.0,
    slice_prof: Numeric = 1.0,
    dtype: Precision = np.float64,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> Call:
    """MP2RAGE: both blocks, each read at the centre of k-space (`epgnumba.sequence.MP2RAGE`).

    Parameters
    ----------
    TI : array_like, shape (2,)
        From the inversion to the shots that are read, ms.
    flip : float or array_like, shape (2,)
        Flip angle of each block, degrees.
    TRspgr, TRmp2rage : float
        From shot to shot, and from inversion to inversion, ms; TRmp2rage=inf starts from equilibrium.
    nshots : int or (int, int)
        Number of shots of a block; or those before the one that is read, and the rest.
    T1 : array_like
        Longitudinal relaxation time, ms. All tissue maps broadcast.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, B1, inv_efficiency, M0.
    inv_efficiency, M0, B1 : array_like
        Efficiency of the inversion, equilibrium magnetisation, transmit field.
    slice_prof, dtype, device, mask
        As for `fse_sim`.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, 2)
    jacobian : ndarray, complex, shape (*tissue, len(diff), 2)
        Only with `diff`. Without the axis for parameters if `diff` is a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> mp2rage_sim([800, 2200], flip=[4, 5], TRspgr=6, TRmp2rage=5000, nshots=(60, 60), T1=1000).imag.round(4)
    array([-0.0085, -0.0564])
    """
    return _inversion_call(
        MP2RAGE,
        {"TI": TI, "flip": flip, "TRspgr": TRspgr, "TRmp2rage": TRmp2rage},
        {"nshots": nshots},
        {"T1": T1, "B1": B1, "M0": M0, "inv_efficiency": inv_efficiency},
        diff,
        slice_prof,
        dtype,
        device,
        mask,
    )


@one_call
def mpnrage_sim(
    nshots: int,
    flip: Numeric,
    TR: Numeric,
    T1: Numeric,
    diff: Diff = None,
    B1: Numeric = 1.0,
    inv_efficiency: Numeric = 1.0,
    M0: Numeric = 1.0,
    TI: Numeric = 0.0,
    delay: Numeric = np.inf,
    slice_prof: Numeric = 1.0,
    dtype: Precision = np.float64,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> Call:
    """MPnRAGE: an inversion, then spoiled shots, every one of which is read (`epgnumba.sequence.MPnRAGE`).

    Parameters
    ----------
    nshots : int
        Number of shots.
    flip, TR : float or array_like, shape (nshots,)
        Flip angles (degrees) and times from shot to shot (ms).
    T1 : array_like
        Longitudinal relaxation time, ms. All tissue maps broadcast.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, B1, inv_efficiency, M0.
    B1, inv_efficiency, M0 : array_like
        Transmit field, efficiency of the inversion, equilibrium magnetisation.
    TI : float
        From the inversion to the first shot, ms.
    delay : float
        From the end of the last shot to the next inversion, ms; inf starts from equilibrium.
    slice_prof, dtype, device, mask
        As for `fse_sim`.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, nshots)
    jacobian : ndarray, complex, shape (*tissue, len(diff), nshots)
        Only with `diff`. Without the axis for parameters if `diff` is a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> mpnrage_sim(3, flip=5, TR=500, T1=1000).imag.round(4)
    array([ 0.0872,  0.0184, -0.0232])
    """
    return _inversion_call(
        MPnRAGE,
        {"flip": flip, "TR": TR, "TI": TI, "delay": delay},
        {"nshots": nshots},
        {"T1": T1, "B1": B1, "M0": M0, "inv_efficiency": inv_efficiency},
        diff,
        slice_prof,
        dtype,
        device,
        mask,
    )
