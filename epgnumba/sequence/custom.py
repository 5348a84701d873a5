"""Sequences of a user's own, from a function that writes their events."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from copy import copy
from typing import Any

import numpy.typing as npt

from ..checks import PHASE_STEP, Array, check_range, flag, real_array, scalar, shown
from ..names import hint
from ..tissue_parameters import NAMES
from .events import Event, Linear, Shift, Value, linear
from .sequence import Family, settling
from .written import Events, Ranges, check_effort, flat

SETTLED = 1e-8  # what may be left of the start, unless a caller says otherwise


class EventSequence(Family):
    """A sequence written as events.

    Parameters
    ----------
    build : callable
        Called with one argument, whose attributes are the parameters: a vector is a tuple of symbols, a number a
        symbol. Symbols add, subtract, and multiply with numbers, vectors entry by entry; they have no values to tell.
        It returns or yields events, nested as it likes. Which events there are must not depend on anything else that
        changes.
    steady : bool
        Whether the events repeat until the steady state (see `Sequence.steady`); else they start from equilibrium.
    advance, growth : float or str
        Degrees that each repetition adds to all RF and receiver phases, and by how much more each next one does
        (quadratic RF spoiling has both the same); a number, or the name of a parameter. Only with `steady`.
    balanced : bool
        Whether gradients must sum to zero over the events; checked.
    tolerance : float
        What may be left of the start where a steady state is found by repeating.
    **parameters : float or array_like
        Numbers and vectors by name: degrees, ms, or what `build` makes of them. All can be differentiated and designed.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not finite, has more than one axis, or gives an event a number out of range; if an event is
        none, there are too many, or `balanced` does not hold.

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
        tolerance: float = SETTLED,
        **parameters: npt.ArrayLike,
    ) -> None:
        if not callable(build):
            raise TypeError(f"build={shown(build)} is not callable")
        limit = settling(tolerance)
        taken = sorted({*NAMES, "slice_prof"} & set(parameters))
        if taken:
            raise ValueError(f"parameters {taken} are not allowed: these names are the tissue's")
        values = {name: self._read(name, value) for name, value in parameters.items()}
        options: dict[str, Any] = {
            "build": build, "steady": flag("steady", steady), "advance": advance, "growth": growth,
            "balanced": flag("balanced", balanced), "tolerance": limit,
        }  # fmt: skip
        if not options["steady"] and limit != SETTLED:
            raise ValueError(f"tolerance={limit:g} is not allowed with steady=False: nothing is repeated")
        super().__init__(values, options, options["steady"])
        self._advance = self._phase("advance", advance), self._phase("growth", growth)
        self._written = Events(tuple(self.write(self.symbols(), options)))
        self._check_names()
        self._ranges = Ranges(self._written.events, {name: value.size for name, value in values.items()})
        self._check_values()
        check_effort(self._written.events)
        shapes = tuple((name, value.shape) for name, value in values.items())
        self._structure = type(self), self._steady, shapes, *map(linear, self._advance), self._written
        total = sum(event.orders for event in self._written.events if isinstance(event, Shift))
        if balanced and total:
            raise ValueError(f"balanced=True, but the gradients sum to {total} cycles; a balanced sequence needs zero")

    @staticmethod
    def _read(name: str, value: npt.ArrayLike) -> Array:
        array = check_range(name, real_array(name, value))
        if array.ndim > 1 or array.size == 0:
            raise ValueError(f"{name} has shape {array.shape}; a number or a non-empty vector is needed")
        return array

    def _phase(self, name: str, value: float | str) -> Value:
        if isinstance(value, str):
            if value not in self._parameters or self._parameters[value].ndim:
                raise ValueError(
                    f"{name}={shown(value)} is not a number among the parameters, {list(self._parameters)}"
                )
            symbol: Value = Linear.of(value)
        else:
            symbol = scalar(name, value, **PHASE_STEP)
        if not self._steady and linear(symbol) != Linear():
            raise ValueError(f"{name}={shown(value)} is not allowed with steady=False: nothing is repeated")
        return symbol

    def _check_names(self) -> None:
        """Parameters that no event refers to are almost surely a mistake."""
        used = {name for event in self._written.events for name in _names(event)}
        used |= {name for value in self._advance for name in _names_in(value)}
        idle = [name for name in self._parameters if name not in used]
        if idle:
            told = hint(idle[0], [*self._options, *(name for name in self._parameters if name in used)])
            raise ValueError(f"no event refers to the parameters {idle}{told}")

    def replace(self, **parameters: npt.ArrayLike) -> EventSequence:
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
        same._check_values()
        return same

    def _check_values(self) -> None:
        """What the parameters' values make of the events, and of the phase from one repetition to the next."""
        self._ranges.check(self._parameters, self._steady)
        for name in ("advance", "growth"):
            value = self._options[name]
            if isinstance(value, str):
                check_range(f"{name}={value!r}: {value}", self._parameters[value], **PHASE_STEP)

    @property
    def structure(self) -> Hashable:
        return self._structure

    @property
    def compiled(self) -> dict[Hashable, Any]:
        """Kept: the events were written when it was made."""
        return self._compiled if type(self).structure is EventSequence.structure else {}

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
        return list(flat(options["build"](p)))


def _names_in(value: Any) -> list[str]:
    return [name for name, _, _ in value.terms] if isinstance(value, Linear) else []


def _names(event: Event) -> list[str]:
    return [name for value in vars(event).values() for name in _names_in(value)]
