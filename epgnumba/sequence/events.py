"""The vocabulary that sequences are written in."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, TypeAlias

from ..checks import FLIP, FRACTION, PHASE, TIME, scalar, shown
from ..names import knows_names
from .linear import Linear, Value, Vector, linear

__all__ = [
    "Event", "Inversion", "Linear", "Pulse", "Readout", "Shift", "Spoil", "Value", "Vector", "Wait", "linear",
    "t2_preparation",
]  # fmt: skip

MOST_CYCLES = 10_000  # of one gradient: every cycle is an order of its own


class Holder:
    """What an event holds: numbers within `limits`, or expressions, whose values are checked by who knows them."""

    limits: ClassVar[dict[str, dict[str, Any]]] = {}

    def __post_init__(self) -> None:
        for field, limits in self.limits.items():
            value = getattr(self, field)
            if type(value) is not Linear:
                name = f"{type(self).__name__}.{field}"
                object.__setattr__(self, field, scalar(name, linear(value, name).constant, **limits))


@dataclass(frozen=True)
class Pulse(Holder):
    """An RF pulse: flip angle and phase, in degrees. B1 scales the flip angle.

    Pulses of a `kind` share a slice profile: families have "excitation", "refocusing" and "preparation".
    """

    flip: Value
    phase: Value = 0.0
    kind: str = "excitation"

    limits: ClassVar = {"flip": FLIP, "phase": PHASE}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.kind, str) or not self.kind.isidentifier():
            raise ValueError(f"Pulse.kind={shown(self.kind)} is not allowed: it must be a name, such as 'refocusing'")


@dataclass(frozen=True)
class Wait(Holder):
    """Free precession and relaxation, in ms."""

    duration: Value

    limits: ClassVar = {"duration": {**TIME, "minimum": -TIME["maximum"]}}  # a negative part of a longer wait


@dataclass(frozen=True)
class Shift(Holder):
    """A gradient that dephases by a whole number of cycles: F_k becomes F_{k + orders}; negative ones rewind.

    It may last for a time (ms), during which it dephases evenly. When gradients are played matters to diffusion and
    flow; to all else only that time passes.
    """

    orders: int = 1
    duration: Value = 0.0

    limits: ClassVar = {"duration": TIME}

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.orders, bool) or not isinstance(self.orders, Integral):
            raise TypeError(f"Shift.orders={shown(self.orders)} is not allowed: it must be a whole number of cycles")
        if abs(self.orders) > MOST_CYCLES:
            raise ValueError(
                f"Shift.orders={shown(self.orders)} is not allowed: at most {MOST_CYCLES} cycles, each an order of its "
                "own; count in units of the smallest gradient"
            )
        object.__setattr__(self, "orders", int(self.orders))


@dataclass(frozen=True)
class Readout(Holder):
    """Sample F_0, with the receiver at `phase` degrees: S = F_0 exp(-i phase)."""

    phase: Value = 0.0

    limits: ClassVar = {"phase": PHASE}


@dataclass(frozen=True)
class Spoil:
    """An ideal crusher: only Z_0 is left."""


@dataclass(frozen=True)
class Inversion(Holder):
    """An inversion, then an ideal crusher: Z_0 becomes -efficiency times itself, and nothing else is left.

    The efficiency is a fraction, from 0 (saturation) to 1. The tissue's `inv_efficiency` scales it, as B1 scales a flip
    angle.
    """

    efficiency: Value = 1.0

    limits: ClassVar = {"efficiency": FRACTION}


Event: TypeAlias = Inversion | Pulse | Wait | Shift | Readout | Spoil


@knows_names
def t2_preparation(duration: Value, flip: Value = 90.0) -> list[Event]:
    """A T2 preparation: down, refocus, up again, crush. Z_0 is left as exp(-duration / T2) of itself.

    Parameters
    ----------
    duration : float or Linear
        From the first to the last pulse, ms.
    flip : float or Linear
        Flip angle of the first and last pulse, degrees; the middle one has twice as much.

    Returns
    -------
    list of Event

    Raises
    ------
    TypeError, ValueError
        If an argument is no number and no expression, or out of range.

    Examples
    --------
    >>> len(t2_preparation(40.0))
    6
    """
    down, up = Pulse(flip, 0.0, "preparation"), Pulse(flip, 180.0, "preparation")
    time = linear(duration, "duration")
    if not isinstance(duration, Linear):
        scalar("duration", time.constant, **TIME)
    half = Wait(time / 2)
    return [down, half, Pulse(linear(flip) * 2.0, 90.0, "preparation"), half, up, Spoil()]
