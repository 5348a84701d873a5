"""Echoes of several pulses: stimulated echo, hyperecho."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import FLIP, INTERVAL, PHASE, TIME, pulse_count, scalar, vector
from .events import Event, Pulse, Readout, Shift, Wait
from .fingerprint import per_pulse
from .sequence import Family, each


class StimulatedEcho(Family):
    """Three pulses and the stimulated echo, everything else crushed.

    Parameters
    ----------
    TE : float
        Echo time, ms: twice from the first to the second pulse.
    TM : float
        Mixing time, ms: from the second to the third pulse.
    flip : array_like, shape (3,)
        Flip angles, degrees.
    phases : float or array_like, shape (3,)
        RF phases, degrees.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    References
    ----------
    E. L. Hahn, "Spin echoes", Phys Rev 80 (1950) 580.

    Examples
    --------
    >>> import epgnumba
    >>> abs(epgnumba.simulate(StimulatedEcho(TE=20, TM=100), T1=1000, T2=100)).round(4)  # exp(-TM/T1 - TE/T2) / 2
    array([0.3704])
    """

    def __init__(
        self, TE: float, TM: float, flip: npt.ArrayLike = (90.0, 90.0, 90.0), phases: npt.ArrayLike = 0.0
    ) -> None:
        parameters = {
            "TE": np.asarray(scalar("TE", TE, **INTERVAL)),
            "TM": np.asarray(scalar("TM", TM, **TIME)),
            "flip": vector("flip", flip, length=3, **FLIP),
            "phases": per_pulse("phases", phases, 3, **PHASE),
        }
        super().__init__(parameters)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        first, second, third = (Pulse(p.flip[n], each(p.phases, n)) for n in range(3))
        half: list[Event] = [Shift(1), Wait(p.TE / 2)]
        # The crusher of the mixing time differs from the others, so that no other pathway comes back to zero.
        return [first, *half, second, Shift(4), Wait(p.TM), third, *half, Readout()]


class Hyperecho(Family):
    """Pulses, a refocusing pulse, and the same pulses undone: the last echo is full, whatever they were.

    The second half has flips and phases of the first, reversed in order and sign. An echo follows every pulse.

    Parameters
    ----------
    flip : array_like, shape (n,)
        Flip angles of the first half, degrees.
    ESP : float
        Distance of the pulses, ms.
    phases : float or array_like, shape (n,)
        Their phases, degrees.
    exc_flip, exc_phase, refocus : float
        Flip angle and phase of the excitation; flip angle of the refocusing pulse (phase 0), degrees.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    References
    ----------
    J. Hennig, K. Scheffler, "Hyperechoes", MRM 46 (2001) 6.

    Examples
    --------
    >>> import epgnumba
    >>> train = Hyperecho([30, 70, 110], ESP=5, phases=[10, 80, 200])
    >>> echoes = epgnumba.simulate(train, T1=1e9, T2=1e9)
    >>> abs(echoes[[0, 3, 6]]).round(6)
    array([0.066987, 0.18425 , 1.      ])
    """

    def __init__(
        self,
        flip: npt.ArrayLike,
        ESP: float,
        phases: npt.ArrayLike = 0.0,
        exc_flip: float = 90.0,
        exc_phase: float = 90.0,
        refocus: float = 180.0,
    ) -> None:
        flips = vector("flip", flip, **FLIP)
        pulse_count("flip, there and back,", 2 * flips.size)
        parameters = {
            "flip": flips,
            "ESP": np.asarray(scalar("ESP", ESP, **INTERVAL)),
            "phases": per_pulse("phases", phases, flips.size, **PHASE),
            "exc_flip": np.asarray(scalar("exc_flip", exc_flip, **FLIP)),
            "exc_phase": np.asarray(scalar("exc_phase", exc_phase, **PHASE)),
            "refocus": np.asarray(scalar("refocus", refocus, **FLIP)),
        }
        super().__init__(parameters)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        half: list[Event] = [Wait(p.ESP / 2), Shift(1)]
        first = [Pulse(flip, each(p.phases, n), "refocusing") for n, flip in enumerate(p.flip)]
        second = [Pulse(-1.0 * pulse.flip, -1.0 * pulse.phase, "refocusing") for pulse in reversed(first)]
        events: list[Event] = [Pulse(p.exc_flip, p.exc_phase)]
        for pulse in [*first, Pulse(p.refocus, kind="refocusing"), *second]:
            events += [*half, pulse, *half, Readout()]
        return events
