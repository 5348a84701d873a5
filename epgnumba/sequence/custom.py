"""Sequences of a user's own, from a function that writes their events."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import copy
from typing import Any, get_args

import numpy.typing as npt

from ..checks import Array, check_range, real_array, scalar, shown
from .events import Event, Linear, Shift, Value, linear
from .sequence import NAMES, Family, settling


class _Events:
    """A tuple of events whose hash is taken once."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events
        self._hash = hash(events)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return _Events, (self.events,)  # hashes of text differ between processes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Events) and (self.events is other.events or self.events == other.events)


def _flat(events: Any) -> Iterable[Event]:
    if isinstance(events, get_args(Event)):
        yield events
        return
    if not isinstance(events, Iterable) or isinstance(events, str):
        raise TypeError(f"{shown(events)} is not an event; allowed are Pulse, Wait, Shift, Readout, Spoil, Inversion")
    for event in events:
        yield from _flat(event)


class EventSequence(Family):
    """A sequence written as events.

    Parameters
    ----------
    build : callable
        Called with one argument, whose attributes are the parameters: a vector is a tuple of symbols, a number a
        symbol. Symbols add, subtract, and multiply with numbers. It returns or yields events, nested as it likes. Which
        events there are must not depend on anything else that changes.
    steady : bool
        Whether the events repeat until the steady state (see `Sequence.steady`); else they start from equilibrium.
    advance, growth : float or str
        Degrees that each repetition adds to all RF and receiver phases, and by how much more each next one does
        (quadratic RF spoiling has both the same); a number, or the name of a parameter.
    balanced : bool
        Whether gradients must sum to zero over the events; checked.
    tolerance : float
        What may be left of the start where a steady state is found by repeating.
    **parameters : float or array_like
        Numbers and vectors by name: degrees, ms, or what `build` makes of them. All can be differentiated and designed.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not finite or has more than one axis, an event is none, or `balanced` does not hold.

    Examples
    --------
    >>> import epgnumba
    >>> from epgnumba.sequence import Inversion, Pulse, Readout, Spoil, Wait
    >>> def inversion_recovery(p):
    ...     for TI in p.TI:
    ...         yield [Inversion(), Wait(TI), Pulse(90), Readout(), Spoil(), Wait(p.TR - TI)]
    >>> recovery = EventSequence(inversion_recovery, TI=[100, 1000], TR=3000, steady=True)
    >>> abs(epgnumba.simulate(recovery, T1=1000, T2=100)).round(4)
    array([0.6872, 0.2845])
    """

    def __init__(
        self,
        build: Callable[[Any], Any],
        *,
        steady: bool = False,
        advance: float | str = 0.0,
        growth: float | str = 0.0,
        balanced: bool = False,
        tolerance: float = 1e-8,
        **parameters: npt.ArrayLike,
    ) -> None:
        if not callable(build):
            raise TypeError(f"build={shown(build)} is not callable")
        limit = settling(tolerance)
        taken = sorted({*NAMES, "slice_prof"} & set(parameters))
        if taken:
            raise ValueError(f"parameters {taken} are not allowed: these names are the tissue's")
        values = {name: self._read(name, value) for name, value in parameters.items()}
        options = {
            "build": build, "steady": bool(steady), "advance": advance, "growth": growth, "balanced": bool(balanced),
            "tolerance": limit,
        }  # fmt: skip
        super().__init__(values, options, bool(steady))
        self._advance = self._phase("advance", advance), self._phase("growth", growth)
        self._written = _Events(tuple(self.write(self.symbols(), options)))
        for event in self._written.events:
            for value in () if isinstance(event, Shift) else vars(event).values():
                linear(value)  # refuses what is not a number or linear in parameters
        self._check_names()
        shapes = tuple((name, value.shape) for name, value in values.items())
        self._structure = type(self), bool(steady), shapes, self._advance, self._written
        total = sum(event.orders for event in self._written.events if isinstance(event, Shift))
        if balanced and total:
            raise ValueError(f"the gradients sum to {total} cycles; a balanced sequence needs zero")

    @staticmethod
    def _read(name: str, value: npt.ArrayLike) -> Array:
        array = check_range(name, real_array(name, value))
        if array.ndim > 1 or array.size == 0:
            raise ValueError(f"{name} has shape {array.shape}; a number or a non-empty vector is needed")
        return array

    def _phase(self, name: str, value: float | str) -> Value:
        if isinstance(value, str):
            if value not in self._parameters or self._parameters[value].ndim:
                raise ValueError(f"{name}={value!r} is not a number among the parameters, {list(self._parameters)}")
            return Linear.of(value)
        return scalar(name, value, unit="degrees")

    def _check_names(self) -> None:
        """Parameters that no event refers to are almost surely a mistake."""
        used = {name for event in self._written.events for name in _names(event)}
        used |= {name for value in self._advance for name in _names_in(value)}
        idle = [name for name in self._parameters if name not in used]
        if idle:
            raise ValueError(f"no event refers to the parameters {idle}")

    def replace(self, **parameters: npt.ArrayLike) -> Any:
        values = {name: self._read(name, value) for name, value in parameters.items()}
        if any(
            name not in self._parameters or value.shape != self._parameters[name].shape
            for name, value in values.items()
        ):
            return super().replace(**parameters)
        same = copy(self)  # the events are the same, and need not be written again
        for value in values.values():
            value.setflags(write=False)
        same._parameters = {**self._parameters, **values}
        return same

    @property
    def structure(self) -> Hashable:
        return self._structure

    @property
    def advance(self) -> tuple[Value, Value]:
        return self._advance

    @property
    def tolerance(self) -> float:
        return float(self._options["tolerance"])

    def events(self) -> list[Event]:
        return list(self._written.events)

    @staticmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        return list(_flat(options["build"](p)))


def _names_in(value: Any) -> list[str]:
    return [name for name, _, _ in value.terms] if isinstance(value, Linear) else []


def _names(event: Event) -> list[str]:
    return [name for value in vars(event).values() for name in _names_in(value)]
