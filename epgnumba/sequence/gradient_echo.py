"""Gradient echoes that repeat: spoiled, balanced, and double-echo steady state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..checks import FLIP, INTERVAL, PHASE, PHASE_STEP, TIME, checked, choice, flag, pulse_count, scalar, shown, vector
from .events import Event, Pulse, Readout, Shift, Spoil, Value, Wait
from .sequence import Family, settling


def _check_order(TE: npt.NDArray[np.float64], TR: float) -> None:
    """Echo times must rise, and fit in the repetition."""
    if (np.diff(TE) < 0).any():
        raise ValueError(f"TE={shown(TE.tolist())} ms must rise")
    if TE[-1] > TR:
        raise ValueError(f"TE={TE[-1]:g} ms is longer than TR={TR:g} ms")


class SPGR(Family):
    """Spoiled gradient echo in its steady state, with one or more echoes.

    Parameters
    ----------
    flip : float
        Flip angle, degrees.
    TE : float or array_like, shape (echoes,)
        Echo times, ms, rising.
    TR : float
        Repetition time, ms.
    spoiling : 'ideal' or 'rf'
        'ideal': nothing transverse outlives a repetition; exact (Ernst, Rev Sci Instrum 37 (1966) 93). 'rf': a gradient
        of one cycle and an RF phase that grows quadratically (Zur et al., MRM 21 (1991) 251); repeated until
        `tolerance` of the start is left.
    increment : float, optional
        Step of the RF phase increment, degrees; only for 'rf', and there 117 by default.
    tolerance : float, optional
        See `spoiling`; only for 'rf', and there 1e-8 by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    Examples
    --------
    >>> import epgnumba
    >>> epgnumba.simulate(SPGR(15, TE=[5, 10], TR=20), T1=1000, T2=50).imag.round(5)
    array([-0.08717, -0.07887])
    """

    def __init__(
        self,
        flip: float,
        TE: npt.ArrayLike,
        TR: float,
        spoiling: Literal["ideal", "rf"] = "ideal",
        increment: float | None = None,
        tolerance: float | None = None,
    ) -> None:
        if choice("spoiling", spoiling, ("ideal", "rf")) == "ideal":
            for name, value in (("increment", increment), ("tolerance", tolerance)):
                if value is not None:
                    raise ValueError(f"{name}={shown(value)} is not allowed with spoiling='ideal', which has none")
        echoes = checked("TE", TE, **TIME)
        repetition = scalar("TR", TR, **INTERVAL)
        if echoes.ndim:
            vector("TE", TE)
        _check_order(np.atleast_1d(echoes), repetition)
        parameters = {
            "flip": np.asarray(scalar("flip", flip, **FLIP)),
            "TE": echoes,
            "TR": np.asarray(repetition),
        }
        options: dict[str, str | float] = {"spoiling": spoiling}
        if spoiling == "rf":
            parameters["increment"] = np.asarray(
                scalar("increment", 117.0 if increment is None else increment, **PHASE_STEP)
            )
            options["tolerance"] = settling(1e-8 if tolerance is None else tolerance)
        super().__init__(parameters, options, True)

    @staticmethod
    def cycle(p: Any, options: Mapping[str, Any]) -> tuple[Value, Value]:
        return (p.increment, p.increment) if options["spoiling"] == "rf" else (0.0, 0.0)

    @property
    def tolerance(self) -> float:
        return float(self._options.get("tolerance", super().tolerance))

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = [Pulse(p.flip)]
        last: Value = 0.0
        for TE in p.TE if isinstance(p.TE, tuple) else (p.TE,):
            events += [Wait(TE - last), Readout()]
            last = TE
        return [*events, Wait(p.TR - last), Spoil() if options["spoiling"] == "ideal" else Shift(1)]


class BSSFP(Family):
    """Balanced steady-state free precession: its steady state, or the way there.

    Parameters
    ----------
    flip : float or array_like, shape (pulses,)
        Flip angle, degrees; of several pulses, each is read.
    TE, TR : float
        Echo and repetition time, ms.
    phase_inc : float
        RF phase from one pulse to the next, degrees; the receiver follows.
    steady : bool
        Whether the pulses repeat until the steady state (exact, off resonance too); else they start from equilibrium.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    References
    ----------
    R. Freeman, H. D. W. Hill, "Phase and intensity anomalies in Fourier transform NMR", J Magn Reson 4 (1971) 366.

    Examples
    --------
    >>> import epgnumba
    >>> abs(epgnumba.simulate(BSSFP(60, TE=2.5, TR=5), T1=1000, T2=100)).round(4)
    array([0.1332])
    """

    def __init__(
        self, flip: npt.ArrayLike, TE: float, TR: float, phase_inc: float = 180.0, steady: bool = True
    ) -> None:
        flips = checked("flip", flip, **FLIP)
        if flips.ndim:
            vector("flip", flip)
            pulse_count("flip", flips.size)
        echo, repetition = scalar("TE", TE, **TIME), scalar("TR", TR, **INTERVAL)
        _check_order(np.array([echo]), repetition)
        parameters = {
            "flip": flips,
            "TE": np.asarray(echo),
            "TR": np.asarray(repetition),
            "phase_inc": np.asarray(scalar("phase_inc", phase_inc, **PHASE)),
        }
        super().__init__(parameters, {"steady": flag("steady", steady)}, bool(steady))

    @staticmethod
    def cycle(p: Any, options: Mapping[str, Any]) -> tuple[Value, Value]:
        return p.phase_inc * float(len(p.flip) if isinstance(p.flip, tuple) else 1), 0.0

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        for n, flip in enumerate(p.flip if isinstance(p.flip, tuple) else (p.flip,)):
            phase = p.phase_inc * float(n)
            events += [Pulse(flip, phase), Wait(p.TE), Readout(phase), Wait(p.TR - p.TE)]
        return events


class DESS(Family):
    """Double-echo steady state: the FID after each pulse, and the echo before the next.

    Parameters
    ----------
    flip : float
        Flip angle, degrees.
    TE : float
        From the pulse to the first readout, and from the second readout to the next pulse, ms.
    TR : float
        Repetition time, ms, at least twice TE.
    tolerance : float
        What is left of the start where the steady state is found by repeating (see `Sequence.steady`).

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    References
    ----------
    H. Bruder et al., "A new steady-state imaging sequence for simultaneous acquisition of two MR images with clearly
    different contrasts", MRM 7 (1988) 35.

    Examples
    --------
    >>> import epgnumba
    >>> abs(epgnumba.simulate(DESS(30, TE=5, TR=20), T1=1000, T2=50, nstates=20)).round(4)
    array([0.0848, 0.0413])
    """

    def __init__(self, flip: float, TE: float, TR: float, tolerance: float = 1e-8) -> None:
        echo, repetition = scalar("TE", TE, **TIME), scalar("TR", TR, **INTERVAL)
        if repetition < 2 * echo:
            raise ValueError(f"TR={repetition:g} ms is shorter than twice TE={echo:g} ms")
        parameters = {
            "flip": np.asarray(scalar("flip", flip, **FLIP)),
            "TE": np.asarray(echo),
            "TR": np.asarray(repetition),
        }
        super().__init__(parameters, {"tolerance": settling(tolerance)}, True)

    @property
    def tolerance(self) -> float:
        return float(self._options["tolerance"])

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        return [
            Pulse(p.flip), Wait(p.TE), Readout(), Shift(1), Wait(p.TR - 2 * p.TE), Readout(), Wait(p.TE)
        ]  # fmt: skip
