"""The vocabulary that sequences are written in."""

from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import TypeAlias

from ..checks import shown


@dataclass(frozen=True)
class Linear:
    """A linear function of a sequence's parameters: what an event holds in place of a number.

    Attributes
    ----------
    terms : tuple of (str, int, float)
        Parameter name, index into that parameter, coefficient; sorted, one term per entry.
    constant : float
        What is added.

    Examples
    --------
    >>> spacing = Linear.of("ESP")
    >>> (spacing / 2 + spacing / 2).terms
    (('ESP', 0, 1.0),)
    """

    terms: tuple[tuple[str, int, float], ...] = ()
    constant: float = 0.0

    @classmethod
    def of(cls, name: str, index: int = 0) -> "Linear":
        """Entry `index` of parameter `name`."""
        return cls(((name, index, 1.0),))

    def __str__(self) -> str:
        parts = [f"{f:g} {name}[{i}]" for name, i, f in self.terms] + ([f"{self.constant:g}"] if self.constant else [])
        return " + ".join(parts) or "0"

    def __add__(self, other: "Value") -> "Linear":
        other = linear(other)
        merged = {(name, index): factor for name, index, factor in self.terms}
        for name, index, factor in other.terms:
            merged[name, index] = merged.get((name, index), 0.0) + factor
        terms = tuple((name, index, factor) for (name, index), factor in sorted(merged.items()) if factor)
        return Linear(terms, self.constant + other.constant)

    def __mul__(self, factor: float) -> "Linear":
        if not isinstance(factor, Real):
            raise TypeError(f"a parameter times {shown(factor)} is not linear; only numbers are allowed")
        return Linear(tuple((n, i, f * factor) for n, i, f in self.terms), self.constant * factor)

    def __truediv__(self, divisor: float) -> "Linear":
        return self * (1 / divisor)

    def __neg__(self) -> "Linear":
        return self * -1.0

    def __sub__(self, other: "Value") -> "Linear":
        return self + -linear(other)

    __radd__ = __add__
    __rmul__ = __mul__


Value: TypeAlias = float | Linear


def linear(value: Value) -> Linear:
    """`value` as a `Linear`: a number is a constant.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or not finite.
    """
    if isinstance(value, Linear):
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{shown(value)} stands where an event needs a number, a parameter, or what is linear in them")
    if not isfinite(value):
        raise ValueError(f"{value} stands where an event needs a finite number")
    return Linear((), float(value))


@dataclass(frozen=True)
class Pulse:
    """An RF pulse: flip angle and phase, in degrees. B1 scales the flip angle."""

    flip: Value
    phase: Value = 0.0


@dataclass(frozen=True)
class Wait:
    """Free precession and relaxation, in ms."""

    duration: Value


@dataclass(frozen=True)
class Shift:
    """A gradient that dephases by a whole number of cycles: F_k becomes F_{k + orders}; negative ones rewind."""

    orders: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.orders, bool) or not isinstance(self.orders, Integral):
            raise TypeError(f"Shift.orders={self.orders!r} is not allowed: it must be a whole number of cycles")
        object.__setattr__(self, "orders", int(self.orders))


@dataclass(frozen=True)
class Readout:
    """Sample F_0, with the receiver at `phase` degrees: S = F_0 exp(-i phase)."""

    phase: Value = 0.0


@dataclass(frozen=True)
class Spoil:
    """An ideal crusher: only Z_0 is left."""


@dataclass(frozen=True)
class Inversion:
    """An inversion, then an ideal crusher: Z_0 becomes -efficiency times itself, and nothing else is left.

    The tissue's `inv_efficiency` scales the efficiency, as B1 scales a flip angle.
    """

    efficiency: Value = 1.0


Event: TypeAlias = Inversion | Pulse | Wait | Shift | Readout | Spoil


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

    Examples
    --------
    >>> len(t2_preparation(40.0))
    6
    """
    down, up = Pulse(flip, 0.0), Pulse(flip, 180.0)
    half = Wait(linear(duration) / 2)
    return [down, half, Pulse(linear(flip) * 2.0, 90.0), half, up, Spoil()]
