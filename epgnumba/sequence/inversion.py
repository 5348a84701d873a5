"""Inversion-recovery gradient echoes: MPRAGE, MP2RAGE, MPnRAGE, Look-Locker.

Each inversion is followed by spoiled shots (a pulse, a readout at its end, an ideal crusher), so that the signals do
not depend on T2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import FLIP, INTERVAL, TIME, Array, count, pulse_count, real_array, scalar, shown, vector
from .events import Event, Inversion, Pulse, Readout, Spoil, Value, Wait
from .fingerprint import per_pulse
from .sequence import Family, each


def _shots(nshots: int | npt.ArrayLike) -> tuple[int, int]:
    """Shots before, and from, the one that is read: (before, after), or half of the total each."""
    given = real_array("nshots", nshots)
    if given.shape not in ((), (2,)) or not (np.isfinite(given).all() and (given == np.rint(given)).all()):
        raise TypeError(f"nshots={shown(nshots)} is not allowed: it must be a whole number or two, (before, after)")
    pulse_count("nshots", int(abs(given).sum()))
    before, after = (int(given) // 2, int(given) - int(given) // 2) if given.ndim == 0 else map(int, given)
    if before < 0 or after < 1:
        raise ValueError(f"nshots={shown(nshots)} is not allowed: at least one shot, the one that is read, is needed")
    return before, after


def _block(flip: Value, TR: Value, before: int, after: int) -> list[Event]:
    """Spoiled shots, of which one is read."""
    shot: list[Event] = [Pulse(flip), Spoil(), Wait(TR)]
    return [*(shot * before), Pulse(flip), Readout(), Spoil(), Wait(TR), *(shot * (after - 1))]


def _repetition(name: str, value: float, needed: float) -> tuple[Array, bool]:
    """How long a repetition takes, and whether there is another."""
    time = scalar(name, value, **INTERVAL, infinite=True)
    if time < needed * (1 - 1e-12):
        raise ValueError(f"{name}={time:g} ms is too short: inversion, TI and shots take {needed:g} ms")
    return np.asarray(time), time < np.inf


class MPRAGE(Family):
    """Magnetisation-prepared gradient echo, read at the shot that samples the centre of k-space.

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

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range; if TI or TR is too short.

    References
    ----------
    J. P. Mugler, J. R. Brookeman, "Three-dimensional magnetization-prepared rapid gradient-echo imaging (3D MP RAGE)",
    MRM 15 (1990) 152.

    Examples
    --------
    >>> import epgnumba
    >>> epgnumba.simulate(MPRAGE(900, flip=8, TRspgr=8, nshots=(50, 50), TR=2000), T1=[800, 1400], T2=80).imag.round(4)
    array([[-0.0472],
           [-0.022 ]])
    """

    def __init__(self, TI: float, flip: float, TRspgr: float, nshots: int | npt.ArrayLike, TR: float = np.inf) -> None:
        before, after = _shots(nshots)
        inversion, shot = scalar("TI", TI, **TIME), scalar("TRspgr", TRspgr, **INTERVAL)
        if inversion < before * shot * (1 - 1e-12):
            raise ValueError(
                f"TI={inversion:g} ms is too short: the {before} shots of TRspgr={shot:g} ms before it take longer"
            )
        repetition, steady = _repetition("TR", TR, inversion + after * shot)
        parameters = {
            "TI": np.asarray(inversion),
            "flip": np.asarray(scalar("flip", flip, **FLIP)),
            "TRspgr": np.asarray(shot),
            "TR": repetition,
        }
        super().__init__(parameters, {"nshots": (before, after)}, steady)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        before, after = options["nshots"]
        start: list[Event] = [Inversion(), Wait(p.TI - float(before) * p.TRspgr)]
        end: list[Event] = [Wait(p.TR - p.TI - float(after) * p.TRspgr)] if options["steady"] else []
        return [*start, *_block(p.flip, p.TRspgr, before, after), *end]


class MP2RAGE(Family):
    """Two gradient-echo blocks after each inversion, each read at the centre of k-space.

    Parameters
    ----------
    TI : array_like, shape (2,)
        From the inversion to the shots that are read, ms.
    flip : float or array_like, shape (2,)
        Flip angle of each block, degrees.
    TRspgr : float
        From shot to shot, ms.
    TRmp2rage : float
        From inversion to inversion, ms: the signal is that of the steady state; inf starts from equilibrium.
    nshots : int or (int, int)
        Number of shots of a block; or those before the one that is read, and the rest.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range; if a time is too short.

    References
    ----------
    J. P. Marques et al., "MP2RAGE, a self bias-field corrected sequence for improved segmentation and T1-mapping at
    high field", NeuroImage 49 (2010) 1271.

    Examples
    --------
    >>> import epgnumba
    >>> train = MP2RAGE([800, 2200], flip=[4, 5], TRspgr=6, TRmp2rage=5000, nshots=(60, 60))
    >>> epgnumba.simulate(train, T1=1000, T2=80).imag.round(4)
    array([-0.0085, -0.0564])
    """

    def __init__(
        self, TI: npt.ArrayLike, flip: npt.ArrayLike, TRspgr: float, TRmp2rage: float, nshots: int | npt.ArrayLike
    ) -> None:
        before, after = _shots(nshots)
        times = vector("TI", TI, length=2, **TIME)
        flips = per_pulse("flip", flip, 2, **FLIP)
        shot = scalar("TRspgr", TRspgr, **INTERVAL)
        gap = (before + after) * shot
        if times[0] < before * shot * (1 - 1e-12):
            raise ValueError(
                f"TI[0]={times[0]:g} ms is too short: the {before} shots of TRspgr={shot:g} ms before it take longer"
            )
        if times[1] - times[0] < gap * (1 - 1e-12):
            raise ValueError(
                f"TI[1]={times[1]:g} ms is too short: it must be {gap:g} ms, the shots of TRspgr={shot:g} ms, after "
                f"TI[0]={times[0]:g} ms"
            )
        repetition, steady = _repetition("TRmp2rage", TRmp2rage, times[1] + after * shot)
        parameters = {"TI": times, "flip": flips, "TRspgr": np.asarray(shot), "TRmp2rage": repetition}
        super().__init__(parameters, {"nshots": (before, after)}, steady)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        before, after = options["nshots"]
        total = float(before + after) * p.TRspgr
        blocks = [_block(each(p.flip, n), p.TRspgr, before, after) for n in range(2)]
        events = [Inversion(), Wait(p.TI[0] - float(before) * p.TRspgr), *blocks[0], Wait(p.TI[1] - p.TI[0] - total)]
        end = [Wait(p.TRmp2rage - p.TI[1] - float(after) * p.TRspgr)] if options["steady"] else []
        return [*events, *blocks[1], *end]


class MPnRAGE(Family):
    """An inversion, then spoiled gradient echoes, every one of which is read.

    Parameters
    ----------
    nshots : int
        Number of shots.
    flip : float or array_like, shape (nshots,)
        Flip angles, degrees.
    TR : float or array_like, shape (nshots,)
        From shot to shot, ms.
    TI : float
        From the inversion to the first shot, ms.
    delay : float
        From the end of the last shot to the next inversion, ms; inf starts from equilibrium.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    References
    ----------
    S. Kecskemeti et al., "MPnRAGE: a technique to simultaneously acquire hundreds of differently contrasted MPRAGE
    images with applications to quantitative T1 mapping", MRM 75 (2016) 1040.

    Examples
    --------
    >>> import epgnumba
    >>> epgnumba.simulate(MPnRAGE(3, flip=5, TR=500), T1=1000, T2=80).imag.round(4)
    array([ 0.0872,  0.0184, -0.0232])
    """

    def __init__(
        self, nshots: int, flip: npt.ArrayLike, TR: npt.ArrayLike, TI: float = 0.0, delay: float = np.inf
    ) -> None:
        shots = pulse_count("nshots", count("nshots", nshots))
        flips = per_pulse("flip", flip, shots, **FLIP)
        rest = scalar("delay", delay, **TIME, infinite=True)
        parameters = {
            "flip": flips,
            "TR": per_pulse("TR", TR, shots, **INTERVAL),
            "TI": np.asarray(scalar("TI", TI, **TIME)),
            "delay": np.asarray(rest),
        }
        super().__init__(parameters, {"nshots": shots}, rest < np.inf)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = [Inversion(), Wait(p.TI)]
        for n in range(options["nshots"]):
            events += [Pulse(each(p.flip, n)), Readout(), Spoil(), Wait(each(p.TR, n))]
        return [*events, Wait(p.delay)] if options["steady"] else events


class LookLocker(Family):
    """Look-Locker inversion recovery: equal pulses at equal distances after an inversion, each read after TE.

    Parameters
    ----------
    pulses : int
        Number of pulses.
    flip : float
        Flip angle, degrees.
    TR : float
        From pulse to pulse, ms.
    TI : float
        From the inversion to the first pulse, ms.
    TE : float
        From pulse to readout, ms.
    delay : float
        From the end of the last TR to the next inversion, ms; inf starts from equilibrium.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    References
    ----------
    D. C. Look, D. R. Locker, "Time saving in measurement of NMR and EPR relaxation times", Rev Sci Instrum 41 (1970)
    250.

    Examples
    --------
    >>> import epgnumba
    >>> epgnumba.simulate(LookLocker(3, flip=5, TR=500), T1=1000, T2=80).imag.round(4)
    array([ 0.0872,  0.0184, -0.0232])
    """

    def __init__(
        self, pulses: int, flip: float, TR: float, TI: float = 0.0, TE: float = 0.0, delay: float = np.inf
    ) -> None:
        repetition, echo = scalar("TR", TR, **INTERVAL), scalar("TE", TE, **TIME)
        if echo > repetition:
            raise ValueError(f"TE={echo:g} ms is longer than TR={repetition:g} ms")
        rest = scalar("delay", delay, **TIME, infinite=True)
        parameters = {
            "flip": np.asarray(scalar("flip", flip, **FLIP)),
            "TR": np.asarray(repetition),
            "TI": np.asarray(scalar("TI", TI, **TIME)),
            "TE": np.asarray(echo),
            "delay": np.asarray(rest),
        }
        super().__init__(parameters, {"pulses": pulse_count("pulses", count("pulses", pulses))}, rest < np.inf)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        shot = [Pulse(p.flip), Wait(p.TE), Readout(), Spoil(), Wait(p.TR - p.TE)]
        events = [Inversion(), Wait(p.TI), *(shot * options["pulses"])]
        return [*events, Wait(p.delay)] if options["steady"] else events
