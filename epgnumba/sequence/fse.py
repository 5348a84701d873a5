"""Spin echo trains: fast (turbo) spin echo, multi-echo spin echo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import FLIP, INTERVAL, PHASE, checked, count, pulse_count, scalar, shown, vector
from .events import Event, Pulse, Readout, Shift, Spoil, Wait
from .sequence import Family, each


class FSE(Family):
    """A fast spin echo train: excitation, then refocusing pulses with an echo after each.

    Crushers dephase by one cycle on either side of each refocusing pulse. With a finite `TR` the train repeats, ends
    spoiled, and the signal is that of the exact steady state; with ``TR=inf`` it starts from equilibrium.

    Parameters
    ----------
    flip : array_like, shape (echoes,)
        Refocusing flip angles, degrees.
    ESP : float
        Echo spacing, ms.
    phases : float or array_like, shape (echoes,)
        Phases of the refocusing pulses, degrees.
    TR : float
        Repetition time, ms, at least ``echoes * ESP``; inf for a single train.
    exc_flip, exc_phase : float
        Excitation flip angle and phase, degrees.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    Examples
    --------
    >>> train = FSE([180.0] * 4, ESP=10)
    >>> len(train.events())
    25
    """

    def __init__(
        self,
        flip: npt.ArrayLike,
        ESP: float,
        phases: npt.ArrayLike = 0.0,
        TR: float = np.inf,
        exc_flip: float = 90.0,
        exc_phase: float = 90.0,
    ) -> None:
        flips = vector("flip", flip, **FLIP)
        pulse_count("flip", flips.size)
        spacing = scalar("ESP", ESP, **INTERVAL)
        phase = checked("phases", phases, **PHASE)
        if phase.shape not in ((), flips.shape):
            raise ValueError(
                f"phases={shown(phases)} has shape {phase.shape}; a number or one per echo, {flips.shape}, is needed"
            )
        repetition = scalar("TR", TR, **INTERVAL, infinite=True)
        length = flips.size * spacing
        if repetition < length * (1 - 1e-12):
            raise ValueError(f"TR={repetition:g} ms is shorter than the train of {flips.size} echoes, {length:g} ms")
        parameters = {
            "flip": flips,
            "ESP": np.asarray(spacing),
            "phases": phase,
            "TR": np.asarray(repetition),
            "exc_flip": np.asarray(scalar("exc_flip", exc_flip, **FLIP)),
            "exc_phase": np.asarray(scalar("exc_phase", exc_phase, **PHASE)),
        }
        super().__init__(parameters, steady=repetition < np.inf)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        half = Wait(p.ESP / 2)
        events: list[Event] = [Pulse(p.exc_flip, p.exc_phase)]
        for n, flip in enumerate(p.flip):
            refocus = Pulse(flip, each(p.phases, n), "refocusing")
            events += [half, Shift(1), refocus, Shift(1), half, Readout(refocus.phase)]
        if options["steady"]:
            events += [Wait(p.TR - len(p.flip) * p.ESP), Spoil()]
        return events


class MultiSpinEcho(Family):
    """A spin echo read several times: `FSE` with one refocusing flip angle for all pulses.

    Parameters
    ----------
    echoes : int
        Number of echoes.
    ESP : float
        Echo spacing, ms.
    flip : float
        Refocusing flip angle, degrees.
    phase, exc_flip, exc_phase : float
        Refocusing phase, excitation flip angle and phase, degrees.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    Examples
    --------
    >>> import epgnumba
    >>> train = MultiSpinEcho(echoes=3, ESP=10)
    >>> epgnumba.simulate(train, T1=1000, T2=50).real.round(4)
    array([0.8187, 0.6703, 0.5488])
    """

    def __init__(
        self,
        echoes: int,
        ESP: float,
        flip: float = 180.0,
        phase: float = 0.0,
        exc_flip: float = 90.0,
        exc_phase: float = 90.0,
    ) -> None:
        parameters = {
            "flip": np.asarray(scalar("flip", flip, **FLIP)),
            "phase": np.asarray(scalar("phase", phase, **PHASE)),
            "exc_flip": np.asarray(scalar("exc_flip", exc_flip, **FLIP)),
            "exc_phase": np.asarray(scalar("exc_phase", exc_phase, **PHASE)),
            "ESP": np.asarray(scalar("ESP", ESP, **INTERVAL)),
        }
        super().__init__(parameters, {"echoes": pulse_count("echoes", count("echoes", echoes))})

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        half, refocus = Wait(p.ESP / 2), Pulse(p.flip, p.phase, "refocusing")
        echo = [half, Shift(1), refocus, Shift(1), half, Readout(p.phase)]
        return [Pulse(p.exc_flip, p.exc_phase), *(echo * options["echoes"])]
