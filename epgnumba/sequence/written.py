"""What a user's function wrote: events in order, the work they mean, and the limits of the numbers they hold."""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import gcd
from typing import Any, get_args

import numpy as np

from ..checks import INTERVAL, MOST_PULSES, Array, check_range, shown
from .events import Event, Holder, Inversion, Linear, Pulse, Shift, Spoil, Wait

MOST_EVENTS = 1_000_000
EVENTS = get_args(Event)
LASTING = Wait, Shift  # events that take time


class Events:
    """A tuple of events whose hash is taken once."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events
        self._hash = hash(events)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Events, (self.events,)  # hashes of text differ between processes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events) or self._hash != other._hash:
            return False
        return self.events is other.events or self.events == other.events


def flat(written: Any) -> tuple[Event, ...]:
    """Events in order, however they are nested.

    Raises
    ------
    TypeError, ValueError
        If something is no event, or there is no end of them.
    """
    events: list[Event] = []
    open_, seen, done = [iter((written,))], 0, object()
    while open_:
        item = next(open_[-1], done)
        if item is done:
            open_.pop()
            continue
        seen += 1
        if seen > MOST_EVENTS:
            raise ValueError(f"build writes more than {MOST_EVENTS} events; does it come to an end?")
        if isinstance(item, EVENTS):
            events.append(item)
        elif isinstance(item, Iterable) and not isinstance(item, (str, bytes, Mapping, Linear)):
            open_.append(iter(item))
        else:
            raise TypeError(f"{shown(item)} is not an event; allowed are Pulse, Wait, Shift, Readout, Spoil, Inversion")
    return tuple(events)


def check_effort(events: tuple[Event, ...]) -> None:
    """Refuse what would take too many state updates: orders after each pulse, of those that gradients can reach."""
    between, net = [], 0  # of pulses: dephasing, and whether a crusher lies there
    crushed = False
    for event in events:
        if isinstance(event, Shift):
            net += event.orders
        elif isinstance(event, Spoil):
            net, crushed = 0, True
        elif isinstance(event, (Pulse, Inversion)):
            crushed = crushed or isinstance(event, Inversion)
            between.append((abs(net), crushed))
            net, crushed = 0, isinstance(event, Inversion)
    unit, pulses = max(gcd(*(dephased for dephased, _ in between)), 1), len(between)
    reached = updates = 0
    for dephased, crushed in between:
        reached = 0 if crushed else reached + dephased // unit
        updates += 1 + reached
    if updates > MOST_PULSES**2:
        raise ValueError(
            f"build writes {pulses} pulses, and gradients without a crusher between them: up to {updates:.0e} state "
            f"updates for each voxel, and at most {MOST_PULSES**2:.0e} are done"
        )


class Ranges:
    """What events hold, as one sparse linear map of the parameters, with the limits of each.

    Parameters
    ----------
    events : tuple of Event
        What was written.
    sizes : dict of str to int
        Entries of each parameter.

    Raises
    ------
    ValueError
        If an event refers to what is not there.
    """

    def __init__(self, events: tuple[Event, ...], sizes: dict[str, int]) -> None:
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
        held: dict[tuple[type[Holder], str, Linear], None] = dict.fromkeys(
            (type(event), field, getattr(event, field))
            for event in events
            if isinstance(event, Holder)
            for field in event.limits
            if isinstance(getattr(event, field), Linear)
        )
        self._held = list(held)
        for kind, field, value in self._held:
            for name, index, _ in value.terms:
                if not 0 <= index < sizes.get(name, 0):
                    raise ValueError(
                        f"{kind.__name__}.{field} refers to {name}[{index}], which is no parameter: {sizes}"
                    )
        limits = [kind.limits[name] for kind, name, _ in self._held]
        self._low, self._high = (np.array([each[end] for each in limits], float) for end in ("minimum", "maximum"))
        terms = [(row, *term) for row, (_, _, value) in enumerate(self._held) for term in value.terms]
        self._rows = np.array([row for row, *_ in terms], np.int64)
        self._columns = np.array([starts[name] + index for _, name, index, _ in terms], np.int64)
        self._factors = np.array([factor for *_, factor in terms], np.float64)
        self._constants = np.array([value.constant for _, _, value in self._held], np.float64)
        passed = [(type(event), event.duration) for event in events if isinstance(event, LASTING)]
        self._fixed_time = sum(time for _, time in passed if not isinstance(time, Linear))
        often: Counter[Any] = Counter(passed)
        self._counts = np.array([often[kind, value] for kind, _, value in self._held], np.float64)

    def check(self, parameters: Mapping[str, Array], steady: bool) -> None:
        """Refuse parameters that give an event a number it cannot have, or a repetition no time to speak of.

        Raises
        ------
        ValueError
            Naming the event, its expression and the value.
        """
        x = np.concatenate([np.zeros(0), *(value.ravel() for value in parameters.values())])
        with np.errstate(over="ignore", invalid="ignore"):
            values = self._constants + np.bincount(self._rows, self._factors * x[self._columns], len(self._held))
            period = self._fixed_time + self._counts @ values
        if steady and 0 < period < INTERVAL["minimum"]:
            names = sorted({name for kind, _, value in self._held if kind in LASTING for name, _, _ in value.terms})
            raise ValueError(
                f"a repetition takes {period:g} ms, by {names}; at least {INTERVAL['minimum']:g} ms are needed"
            )
        rounding = 1e-9  # what is left of a sum that should be a limit
        inside = (values >= self._low - rounding) & (values <= self._high + rounding)  # NaN is not
        if not inside.all():
            kind, name, value = self._held[int(np.argmin(inside))]
            check_range(f"{kind.__name__}.{name} = {value} ", values[~inside][:1].reshape(()), **kind.limits[name])
