"""One-call forms, with torchsim's names, arguments and units. Each says which sequence and tissue it stands for.

Other maps, and options, are in `help`, as ``help(epgnumba.fse_sim)``: they are those of `arguments`, for all forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from .arguments import Form, PlayingForm
from .calls import Call, Numeric, acquisitions, one_call, total_field, with_echoes
from .checks import RELAXATION, count, flag
from .problem import Diff
from .sequence import BSSFP, FSE, MP2RAGE, MPRAGE, MRF, SPGR, MPnRAGE

if TYPE_CHECKING:
    from typing_extensions import Unpack

DEPHASED = "D", "velocity", "gradient_area"  # nothing to sequences in which no gradient dephases what is read
UNREAD = "T2", "B0", "T2prime", "T2_b", "shift_b"  # nor these where F_0 is read at once and crushed
UNREAD_T2 = RELAXATION["minimum"]  # of sequences whose shots are spoiled at once, so that no T2 is asked for


@one_call(Form, without=("inv_efficiency", "T2prime"))
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
    **given: Unpack[Form],
) -> Call:
    """Fast spin echo by extended phase graphs (`epgnumba.sequence.FSE`). Readouts are echoes.

    Parameters
    ----------
    flip : array_like, shape (echoes,)
        Refocusing flip angles, degrees.
    ESP : float
        Echo spacing, ms.
    phases : float or array_like, shape (echoes,)
        Phases of the refocusing pulses, degrees; each echo is demodulated by that of its pulse.
    TR : float
        Repetition time, ms. If finite, the signal is that of the exact steady state, the train ending ideally spoiled;
        inf starts the train from equilibrium.
    exc_flip, exc_phase : float
        Excitation flip angle and phase, degrees.
    **given
        Other maps, and options.

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
    parameters = {"flip": flip, "ESP": ESP, "phases": phases, "TR": TR, "exc_flip": exc_flip, "exc_phase": exc_phase}
    return Call(FSE, parameters, {"T1": T1, "T2": T2, **given}, diff)


@one_call(Form)
def mrf_sim(
    flip: Numeric,
    TR: Numeric,
    T1: Numeric,
    T2: Numeric,
    diff: Diff = None,
    *,
    TI: Numeric = 0.0,
    nreps: int = 1,
    phases: Numeric = 0.0,
    TE: Numeric = 0.0,
    inversion: Numeric | None = 1.0,
    T2prep: Numeric | None = None,
    balanced: bool = False,
    steady: bool = False,
    **given: Unpack[Form],
) -> Call:
    """Fingerprinting: an inversion, then a train of pulses, each followed by a readout (`epgnumba.sequence.MRF`).

    Parameters
    ----------
    flip : array_like, shape (pulses,)
        Flip angles, degrees.
    TR : float or array_like, shape (pulses,)
        From each pulse to the next, ms.
    TI : float
        From the inversion to what follows it, ms.
    nreps : int
        How often the whole is played; the last time is read.
    phases, TE, inversion, T2prep, balanced, steady
        As for `epgnumba.sequence.MRF`.
    **given
        Other maps, and options.

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
        {"T1": T1, "T2": T2, **given},
        diff,
        {"balanced": balanced, "repetitions": count("nreps", nreps), "steady": steady, **left_out},
        {"repetitions=": "nreps="},
    )


@one_call(PlayingForm, without=("inv_efficiency", *DEPHASED))
def bssfp_sim(
    flip: Numeric,
    TE: Numeric,
    TR: Numeric,
    T1: Numeric,
    T2: Numeric,
    diff: Diff = None,
    phase_inc: Numeric = 180.0,
    *,
    chemshift: Numeric | None = None,
    transient: bool = False,
    **given: Unpack[PlayingForm],
) -> list[Call]:
    """Balanced SSFP in its steady state, exact off resonance too (`epgnumba.sequence.BSSFP`).

    Vectors of `flip`, `TE`, `TR` and `phase_inc` (of one length) are separate acquisitions, one readout each. With
    `transient` the flips are those of one train instead, from equilibrium, each read.

    Parameters
    ----------
    flip, TE, TR : float or array_like
        Flip angle (degrees), echo and repetition time (ms).
    phase_inc : float or array_like
        RF phase from one pulse to the next, degrees; the receiver follows.
    chemshift : array_like, optional
        Added to B0, Hz.
    transient : bool
        See above.
    **given
        Other maps, and options.

    Examples
    --------
    >>> abs(bssfp_sim([30, 60], TE=2.5, TR=5, T1=1000, T2=100, phase_inc=180)).round(4)
    array([0.1559, 0.1332])
    """
    values = {"flip": flip, "TE": TE, "TR": TR, "phase_inc": phase_inc}
    shifted, names = total_field(given, chemshift)
    trains = [values] if flag("transient", transient) else acquisitions(values)
    tissue = {"T1": T1, "T2": T2, **given, **shifted}
    return [Call(BSSFP, train, tissue, diff, {"steady": not transient}, names) for train in trains]


@one_call(Form, without=("inv_efficiency", "T2prime"), names={"T2": "T2star"})
def spgr_sim(
    flip: Numeric,
    TE: Numeric,
    TR: Numeric,
    T1: Numeric,
    T2star: Numeric,
    diff: Diff = None,
    *,
    chemshift: Numeric | None = None,
    spoiling: Literal["ideal", "rf"] = "ideal",
    increment: Numeric | None = None,
    **given: Unpack[Form],
) -> list[Call]:
    """Spoiled gradient echo in its steady state (`epgnumba.sequence.SPGR`).

    Vectors of `flip`, `TE` and `TR` (of one length) are separate acquisitions, paired entry by entry. Where `flip` and
    `TR` are numbers, a vector `TE` has the echoes of the one acquisition; a table has a row of echoes for each
    acquisition, or one row for all: readouts are all echoes of the first, then of the second, ....

    Parameters
    ----------
    flip, TE, TR : float or array_like
        Flip angle (degrees), echo times and repetition time (ms); `TE` of shape (), (acquisitions,), (1, echoes) or
        (acquisitions, echoes).
    T2star : array_like
        Effective transverse relaxation time, ms; with ``spoiling='rf'`` the T2 of the echoes.
    chemshift : array_like, optional
        Added to B0, Hz.
    spoiling, increment
        As for `epgnumba.sequence.SPGR`.
    **given
        Other maps, and options.

    Examples
    --------
    >>> spgr_sim([5, 15], TE=5, TR=20, T1=1000, T2star=50).imag.round(4)
    array([-0.0664, -0.0872])
    >>> spgr_sim([5, 15], TE=[5, 10], TR=20, T1=1000, T2star=50).shape, spgr_sim(5, [5, 10], 20, 1000, 50).shape
    ((2,), (2,))
    >>> spgr_sim([5, 15], TE=[[5, 10, 15]], TR=20, T1=1000, T2star=50).shape
    (6,)
    """
    shifted, names = total_field(given, chemshift)
    tissue = {"T1": T1, "T2": T2star, **given, **shifted}
    rf = {} if increment is None else {"increment": increment}
    return [
        Call(SPGR, {**one, **rf}, tissue, diff, {"spoiling": spoiling}, names)
        for one in with_echoes({"flip": flip, "TR": TR}, "TE", TE)
    ]


@one_call(PlayingForm, without=(*UNREAD, *DEPHASED))
def mprage_sim(
    TI: Numeric,
    flip: Numeric,
    TRspgr: Numeric,
    nshots: int | npt.ArrayLike,
    T1: Numeric,
    diff: Diff = None,
    *,
    TR: Numeric = np.inf,
    **given: Unpack[PlayingForm],
) -> Call:
    """MPRAGE, read once, at the shot that samples the centre of k-space (`epgnumba.sequence.MPRAGE`).

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
    TR : float
        From inversion to inversion, ms; inf starts from equilibrium.
    **given
        Other maps, and options.

    Examples
    --------
    >>> mprage_sim(900, flip=8, TRspgr=8, nshots=(50, 50), T1=[800, 1400], TR=2000).imag.round(4)
    array([[-0.0472],
           [-0.022 ]])
    """
    parameters = {"TI": TI, "flip": flip, "TRspgr": TRspgr, "TR": TR}
    return Call(MPRAGE, parameters, {"T1": T1, "T2": UNREAD_T2, **given}, diff, {"nshots": nshots})


@one_call(PlayingForm, without=(*UNREAD, *DEPHASED))
def mp2rage_sim(
    TI: Numeric,
    flip: Numeric,
    TRspgr: Numeric,
    TRmp2rage: Numeric,
    nshots: int | npt.ArrayLike,
    T1: Numeric,
    diff: Diff = None,
    **given: Unpack[PlayingForm],
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
    **given
        Other maps, and options.

    Examples
    --------
    >>> mp2rage_sim([800, 2200], flip=[4, 5], TRspgr=6, TRmp2rage=5000, nshots=(60, 60), T1=1000).imag.round(4)
    array([-0.0085, -0.0564])
    """
    parameters = {"TI": TI, "flip": flip, "TRspgr": TRspgr, "TRmp2rage": TRmp2rage}
    return Call(MP2RAGE, parameters, {"T1": T1, "T2": UNREAD_T2, **given}, diff, {"nshots": nshots})


@one_call(PlayingForm, without=(*UNREAD, *DEPHASED))
def mpnrage_sim(
    nshots: int,
    flip: Numeric,
    TR: Numeric,
    T1: Numeric,
    diff: Diff = None,
    *,
    TI: Numeric = 0.0,
    delay: Numeric = np.inf,
    **given: Unpack[PlayingForm],
) -> Call:
    """MPnRAGE: an inversion, then spoiled shots, every one of which is read (`epgnumba.sequence.MPnRAGE`).

    Parameters
    ----------
    nshots : int
        Number of shots.
    flip, TR : float or array_like, shape (nshots,)
        Flip angles (degrees) and times from shot to shot (ms).
    TI : float
        From the inversion to the first shot, ms.
    delay : float
        From the end of the last shot to the next inversion, ms; inf starts from equilibrium.
    **given
        Other maps, and options.

    Examples
    --------
    >>> mpnrage_sim(3, flip=5, TR=500, T1=1000).imag.round(4)
    array([ 0.0872,  0.0184, -0.0232])
    """
    parameters = {"flip": flip, "TR": TR, "TI": TI, "delay": delay}
    return Call(MPnRAGE, parameters, {"T1": T1, "T2": UNREAD_T2, **given}, diff, {"nshots": nshots})
