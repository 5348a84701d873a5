"""Transmit fields that differ between kinds of pulses: magnitudes and phases, each a map."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .checks import plain_array, shown
from .labels import is_labelled
from .tissue_parameters import NAMES, field_names

NAME = "B1"
Given: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike]


def is_by_kind(given: Any) -> bool:
    """Whether a transmit field is given by kind of pulse."""
    return isinstance(given, Mapping)


def by_name(given: Mapping[str, Any]) -> dict[str, Any]:
    """Magnitude and phase (degrees) of each kind's field, by the names of derivatives; tensors stay such.

    Raises
    ------
    TypeError, ValueError
        If it is empty, or a kind is no name.
    """
    if not given:
        raise ValueError(f"{NAME}={shown(given)} is not allowed: it must hold a field for each kind of pulse")
    maps: dict[str, Any] = {}
    for kind, value in given.items():
        if not isinstance(kind, str):
            raise TypeError(f"{NAME}: {shown(kind)} is not allowed as a kind of pulse: it must be a name")
        maps.update(zip(field_names([kind]), _polar(f"{NAME}.{kind}", value), strict=True))
    return maps


def _polar(name: str, value: Any) -> tuple[Any, Any]:
    """Magnitude and phase in degrees; what is real has none. What is not finite stays so: a mask may leave it out."""
    if hasattr(value, "is_complex") and hasattr(value, "angle"):  # a tensor
        return _polar_tensor(value) if value.is_complex() else (value, 0.0)
    if is_labelled(value):
        if value.dtype.kind != "c":
            return value, 0.0
        return abs(value), value.copy(data=np.rad2deg(np.angle(plain_array(name, value.values))))
    if np.asarray(value).dtype.kind != "c":
        return value, 0.0
    array = plain_array(name, value).astype(np.complex128)
    return abs(array), np.rad2deg(np.angle(array))


def _polar_tensor(value: Any) -> tuple[Any, Any]:
    """The same of a complex tensor.

    Where it is 0 it has no phase, and magnitude and phase do not tell its gradient: it is NaN, unless nothing depends
    on what is there.
    """
    size = value.abs()
    if size.requires_grad:
        size.register_hook(lambda bar: bar.masked_fill((value == 0) & (bar != 0), np.nan))
    return size, value.angle() * (180 / np.pi)


def spread(maps: Mapping[str, Any]) -> dict[str, Any]:
    """Maps, a transmit field by kind of pulse as maps of its own, kinds in order."""
    plain = {name: value for name, value in maps.items() if name in NAMES}
    fields = {name: value for name, value in maps.items() if name not in NAMES}
    if is_by_kind(maps.get(NAME)):
        fields |= by_name(plain.pop(NAME))
    if not fields:
        return plain
    return plain | {name: fields[name] for name in field_names(kinds_of(fields))}


def kinds_of(names: Collection[str]) -> list[str]:
    """The kinds that names of transmit fields are of, in order."""
    return sorted({name.partition(".")[2] for name in names if name not in NAMES})


def rows_with(given: Any) -> tuple[str, ...]:
    """Names of all maps where a transmit field is as `given`."""
    return (*NAMES, *field_names(sorted(map(str, given)))) if is_by_kind(given) else NAMES


def without_shared(rows: tuple[str, ...]) -> tuple[str, ...]:
    """Names of maps but for that of a field of all pulses, where there are fields by kind."""
    return rows if rows == NAMES else tuple(name for name in rows if name != NAME)


def check_kinds(fields: Collection[str], kinds: Collection[str]) -> None:
    """Refuse kinds of pulses of which fields say nothing, and others than those.

    Raises
    ------
    ValueError
        Naming one.
    """
    given, played = set(kinds_of(fields)), {kind for kind in kinds if kind}
    if missing := sorted(played - given):
        raise ValueError(f"{NAME} says nothing of {missing[0]!r}, a kind of pulse that this sequence has")
    if unknown := sorted(given - played):
        raise ValueError(f"{NAME}: {unknown[0]!r} is no kind of pulse of this sequence; it has {sorted(played)}")


def refuse(given: Any, where: str) -> None:
    """Refuse a field by kind of pulse where there is none.

    Raises
    ------
    TypeError
    """
    if is_by_kind(given):
        raise TypeError(f"{NAME} by kind of pulse is not allowed {where}: one map, or a number, is needed")
