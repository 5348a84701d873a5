"""Magnetic resonance fingerprinting: a train of varying flip angles and repetition times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import (
    FLIP,
    FRACTION,
    INTERVAL,
    PHASE,
    TIME,
    Array,
    checked,
    count,
    flag,
    pulse_count,
    scalar,
    shown,
    vector,
)
from .events import Event, Inversion, Pulse, Readout, Shift, Spoil, Wait, t2_preparation
from .sequence import Family, each


def per_pulse(name: str, value: npt.ArrayLike, n: int, **limits: object) -> Array:
    """A number, or one per pulse.

    Raises
    ------
    ValueError
        If it has another shape, or is out of range.
    """
    array = checked(name, value, **limits)
    if array.shape not in ((), (n,)):
        raise ValueError(f"{name}={shown(value)} has shape {array.shape}; a number or one per pulse, ({n},), is needed")
    return array


class MRF(Family):
    """Fingerprinting: preparation, then pulses each followed by a readout.

    Unbalanced (FISP) by default: a gradient of one cycle ends each repetition. An inversion, a wait TI and, if asked
    for, a T2 preparation come first.

    Parameters
    ----------
    flip : array_like, shape (pulses,)
        Flip angles, degrees.
    TR : float or array_like, shape (pulses,)
        From each pulse to the next, ms.
    TI : float
        From the inversion to what follows it, ms.
    phases : float or array_like, shape (pulses,)
        RF phases, degrees; the receiver follows.
    TE : float
        From pulse to readout, ms; at most the shortest TR.
    inversion : float or None
        Its efficiency, a fraction, which the tissue's `inv_efficiency` scales (0 saturates); None leaves it out, and
        then there is no TI.
    T2prep : float or None
        Duration of a T2 preparation, ms; None leaves it out.
    balanced : bool
        No gradients: balanced SSFP.
    repetitions : int
        How often the whole is played; the last time is read.
    steady : bool
        Whether it is played until the steady state.

    Raises
    ------
    TypeError, ValueError
        If an argument is not real, not finite, of the wrong shape or out of range.

    Examples
    --------
    >>> import epgnumba
    >>> train = MRF([10, 20, 30], TR=12, TI=20)
    >>> epgnumba.simulate(train, T1=1000, T2=100).imag.round(4)
    array([0.1668, 0.3155, 0.4189])
    """

    def __init__(
        self,
        flip: npt.ArrayLike,
        TR: npt.ArrayLike,
        TI: float = 0.0,
        phases: npt.ArrayLike = 0.0,
        TE: float = 0.0,
        inversion: float | None = 1.0,
        T2prep: float | None = None,
        balanced: bool = False,
        repetitions: int = 1,
        steady: bool = False,
    ) -> None:
        flips = vector("flip", flip, **FLIP)
        repetition = per_pulse("TR", TR, flips.size, **INTERVAL)
        echo = scalar("TE", TE, **TIME)
        if echo > np.min(repetition):
            raise ValueError(f"TE={echo:g} ms is longer than the shortest TR, {np.min(repetition):g} ms")
        delay = scalar("TI", TI, **TIME)
        if inversion is None and delay:
            raise ValueError(
                f"TI={delay:g} ms is not allowed with inversion=None: there is nothing that it comes after"
            )
        parameters = {
            "flip": flips,
            "TR": repetition,
            "TI": np.asarray(delay),
            "phases": per_pulse("phases", phases, flips.size, **PHASE),
            "TE": np.asarray(echo),
        }
        options: dict[str, Any] = {
            "balanced": flag("balanced", balanced),
            "repetitions": count("repetitions", repetitions),
            "steady": flag("steady", steady),
        }
        often = options["repetitions"]
        pulse_count(f"flip times repetitions={shown(often)}" if often > 1 else "flip", flips.size * often)
        for name, value, limits in (("inversion", inversion, FRACTION), ("T2prep", T2prep, TIME)):
            if value is None:
                options[name] = None
            else:
                parameters[name] = np.asarray(scalar(name, value, **limits))
        super().__init__(parameters, options, options["steady"])

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        head: list[Event] = [Inversion(p.inversion), Wait(p.TI)] if hasattr(p, "inversion") else []
        if hasattr(p, "T2prep"):
            head += [Spoil(), *t2_preparation(p.T2prep)]
        train: list[Event] = []
        reads: list[Event] = []
        for n, flip in enumerate(p.flip):
            phase = each(p.phases, n)
            pulse: list[Event] = [Pulse(flip, phase), Wait(p.TE)]
            rest: list[Event] = [Wait(each(p.TR, n) - p.TE), *([] if options["balanced"] else [Shift(1)])]
            train += [*pulse, *rest]
            reads += [*pulse, Readout(phase), *rest]
        return (head + train) * int(options["repetitions"] - 1) + head + reads
