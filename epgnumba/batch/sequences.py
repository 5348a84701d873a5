"""Sequences by name and plain numbers, so that a run's description holds all that is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import sequence as rooms
from ..arguments import refuse_unknown
from ..checks import shown
from ..sequence import EventSequence, Inversion, Pulse, Readout, Sequence, Shift, Spoil, Wait
from ..sequence.sequence import Family
from .description import values

FAMILIES = {
    name: family
    for name in rooms.__all__
    if isinstance(family := getattr(rooms, name), type) and issubclass(family, Family) and family is not EventSequence
}
EVENTS = {event.__name__: event for event in (Pulse, Wait, Shift, Readout, Inversion, Spoil)}
_NONE = "none"  # TOML has no word for it


def resolve(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table `sequence` of a description with all numbers in it, however they were written.

    Raises
    ------
    ValueError, TypeError
        Naming the key.
    """
    given = dict(table)
    scanner = given.pop("scanner", {})
    if not isinstance(scanner, dict):
        raise ValueError(f"sequence.scanner={shown(scanner)} is not allowed: a table is needed")
    if "pulseq" in given:
        from ..files.pulseq import read_events

        path = given.pop("pulseq")
        if given:
            raise ValueError(f"sequence.{next(iter(given))} is not allowed beside sequence.pulseq, which says it all")
        if not isinstance(path, str):
            raise ValueError(f"sequence.pulseq={shown(path)} is not allowed: the path of a .seq file is needed")
        return {"family": "events", "events": read_events(folder / path), "scanner": scanner}
    family = given.pop("family", None)
    if family == "events":
        return {"family": family, "events": given.pop("events", None), "scanner": scanner, **given}
    if family not in FAMILIES:
        raise ValueError(f"sequence.family={shown(family)} is not allowed: it must be one of {[*FAMILIES]}, or events")
    return {"family": family, **{name: _plain(name, one, folder) for name, one in given.items()}, "scanner": scanner}


def _plain(name: str, given: Any, folder: Path) -> Any:
    if isinstance(given, (dict, list)) or (isinstance(given, (int, float)) and not isinstance(given, bool)):
        return _as_given(given, values(f"sequence.{name}", given, folder))
    return None if given == _NONE else given


def _as_given(given: Any, array: np.ndarray[Any, Any]) -> Any:
    """Whole numbers stay such: counts are told by them."""
    return given if isinstance(given, int) else array.tolist()


def make_sequence(described: dict[str, Any]) -> Sequence:
    """The sequence of what `resolve` returned.

    Raises
    ------
    TypeError, ValueError
        Naming the key.
    """
    given = dict(described)
    family, scanner = given.pop("family"), given.pop("scanner")
    try:
        if family == "events":
            made: Sequence = _of_events(**given)
        else:
            allowed = dict.fromkeys(FAMILIES[family].__init__.__annotations__)
            allowed.pop("return", None)
            refuse_unknown(FAMILIES[family].__init__, given, allowed)
            made = FAMILIES[family](**given)
        return made.on_scanner(**scanner) if scanner else made
    except (TypeError, ValueError) as error:
        raise type(error)(f"sequence.{error}") from None


def _of_events(events: Any, **options: Any) -> EventSequence:
    """Of a list of events, ``["Pulse", 90, 90]`` each: the name, then what it is made with."""
    if not isinstance(events, list) or not events:
        raise ValueError(f"events={shown(events)} is not allowed: a list of events is needed")
    made = []
    for n, one in enumerate(events):
        if not isinstance(one, list) or not one or one[0] not in EVENTS:
            raise ValueError(f"events[{n}]={shown(one)} is not allowed: it must begin with one of {[*EVENTS]}")
        try:
            made.append(EVENTS[one[0]](*one[1:]))
        except (TypeError, ValueError) as error:
            raise type(error)(f"events[{n}]: {error}") from None
    return EventSequence(lambda p: made, **options)
