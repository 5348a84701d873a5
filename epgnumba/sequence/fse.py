"""Fast (turbo) spin echo."""

import numpy as np
import numpy.typing as npt

from ..checks import Array, checked, scalar, shown, vector
from .events import Event, Linear, Pulse, Readout, Shift, Spoil, Wait
from .sequence import Sequence


class FSE(Sequence):
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
        flips = vector("flip", flip, unit="degrees")
        spacing = scalar("ESP", ESP, positive=True, unit="ms")
        phase = checked("phases", phases, unit="degrees")
        if phase.shape not in ((), flips.shape):
            raise ValueError(
                f"phases={shown(phases)} has shape {phase.shape}; a number or one per echo, {flips.shape}, is needed"
            )
        repetition = scalar("TR", TR, positive=True, infinite=True, unit="ms")
        length = flips.size * spacing
        if repetition < length * (1 - 1e-12):
            raise ValueError(f"TR={repetition:g} ms is shorter than the train of {flips.size} echoes, {length:g} ms")
        self._parameters: dict[str, Array] = {
            "flip": flips,
            "ESP": np.asarray(spacing),
            "phases": phase,
            "TR": np.asarray(repetition),
            "exc_flip": np.asarray(scalar("exc_flip", exc_flip, unit="degrees")),
            "exc_phase": np.asarray(scalar("exc_phase", exc_phase, unit="degrees")),
        }
        for value in self._parameters.values():
            value.setflags(write=False)
        self._steady = bool(np.isfinite(repetition))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={shown(value.tolist())}" for name, value in self._parameters.items())
        return f"FSE({values})"

    @property
    def parameters(self) -> dict[str, Array]:
        return self._parameters

    @property
    def steady(self) -> bool:
        return self._steady

    @property
    def structure(self) -> tuple[str, int, int, bool]:
        return ("FSE", self._parameters["flip"].size, self._parameters["phases"].ndim, self._steady)

    def events(self) -> list[Event]:
        n_echoes, each = self._parameters["flip"].size, self._parameters["phases"].ndim
        spacing = Linear.of("ESP")
        half = Wait(spacing / 2)
        events: list[Event] = [Pulse(Linear.of("exc_flip"), Linear.of("exc_phase"))]
        for n in range(n_echoes):
            refocus = Pulse(Linear.of("flip", n), Linear.of("phases", n if each else 0))
            events += [half, Shift(1), refocus, Shift(1), half, Readout(refocus.phase)]
        if self._steady:
            events += [Wait(Linear.of("TR") - n_echoes * spacing), Spoil()]
        return events

    def replace(self, **parameters: npt.ArrayLike) -> "FSE":
        unknown = set(parameters) - set(self._parameters)
        if unknown:
            raise ValueError(f"unknown parameter {sorted(unknown)}; FSE has {list(self._parameters)}")
        return FSE(**{**self._parameters, **parameters})  # type: ignore[arg-type]
