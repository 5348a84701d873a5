"""When things happen: the pulses and readouts of a sequence with their values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..checks import Array
from .events import Inversion, Pulse, Readout, Shift, Value, Wait, linear
from .sequence import Sequence


def number(value: Value, parameters: Mapping[str, Array]) -> float:
    """What a number or expression stands for.

    Examples
    --------
    >>> from epgnumba.sequence import Linear
    >>> number(Linear.of("TE") * 0.5 + 1.0, {"TE": np.array(8.0)})
    5.0
    """
    expression = linear(value)
    terms = (factor * float(np.ravel(parameters[name])[index]) for name, index, factor in expression.terms)
    return expression.constant + sum(terms)


@dataclass
class Timeline:
    """One repetition: times in ms from its start, angles in degrees.

    Attributes
    ----------
    pulses, flips, phases : ndarray, shape (pulses,)
        Times, flip angles and phases of the pulses.
    inversions, readouts : ndarray
        Times of inversions and readouts.
    duration : float
    """

    pulses: Array
    flips: Array
    phases: Array
    inversions: Array
    readouts: Array
    duration: float

    @property
    def end(self) -> float:
        """Time of the last pulse, inversion or readout, ms: what a repetition ends with may be long, and dead."""
        return float(
            max((times[-1] for times in (self.pulses, self.inversions, self.readouts) if times.size), default=0.0)
        )


def timeline(sequence: Sequence) -> Timeline:
    """Pulses and readouts of a sequence.

    Examples
    --------
    >>> import epgnumba
    >>> when = timeline(epgnumba.FSE([120.0, 90.0], ESP=10))
    >>> when.pulses, when.readouts
    (array([ 0.,  5., 15.]), array([10., 20.]))
    """
    parameters, now = sequence.parameters, 0.0
    pulses: list[tuple[float, float, float]] = []
    inversions, readouts = [], []
    for event in sequence.events():
        if isinstance(event, (Wait, Shift)):
            now += number(event.duration, parameters)
        elif isinstance(event, Pulse):
            pulses.append((now, number(event.flip, parameters), number(event.phase, parameters)))
        elif isinstance(event, Inversion):
            inversions.append(now)
        elif isinstance(event, Readout):
            readouts.append(now)
    table = np.array(pulses, np.float64).reshape(-1, 3)
    when, flips, phases = table.T
    return Timeline(when, flips, phases, np.array(inversions), np.array(readouts), now)
