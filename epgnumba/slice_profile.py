"""Slice profiles: what is left of flip angles across a slice, for all pulses or for each kind of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .checks import PROFILE, checked, shown
from .waveforms import Across, hard_series

NAME = "slice_prof"
ALL = ""  # the kind that a profile is of which all pulses share
Given: TypeAlias = npt.ArrayLike | Across | Mapping[str, npt.ArrayLike | Across]
Numbers: TypeAlias = npt.NDArray[np.inexact]


class SliceProfile:
    """Flip angles at positions across a slice, as fractions of the nominal ones; signals are means over positions.

    Parameters
    ----------
    values : dict of str to ndarray, shape (positions,)
        By kind of pulse; or one for all kinds, of `ALL`.
    shapes : dict of str to tuple of int
        In which they were given; a number is the same at all positions.
    waves : dict of str to Across
        Pulses by their waveforms; their values are 1.
    """

    def __init__(
        self, values: dict[str, Numbers], shapes: dict[str, tuple[int, ...]], waves: dict[str, Across] | None = None
    ) -> None:
        self.values, self._shapes, self.waves = values, shapes, waves or {}
        # what derivatives by it are called
        self.names = tuple(named(kind) for kind in values if kind not in self.waves)

    @property
    def is_shared(self) -> bool:
        """Whether all pulses share one."""
        return ALL in self.values

    def check(self, kinds: Collection[str]) -> None:
        """Refuse kinds of pulses of which it does not say anything, and others than those.

        Raises
        ------
        ValueError
            Naming one.
        """
        played = {kind for kind in kinds if kind}
        if self.is_shared:
            return
        if missing := sorted(played - set(self.values)):
            raise ValueError(
                f"{NAME} says nothing of {missing[0]!r}, a kind of pulse that this sequence has; give its profile, "
                "or 1.0 where it is not selective"
            )
        if unknown := sorted(set(self.values) - played):
            raise ValueError(f"{NAME}: {unknown[0]!r} is no kind of pulse of this sequence; it has {sorted(played)}")

    def scales(self, kinds: Sequence[str]) -> Numbers:
        """What multiplies flip angles; shape (positions, pulses). `kinds`: of each pulse; inversions have none."""
        first = next(iter(self.values.values()))
        if self.is_shared and all(kinds):
            return np.broadcast_to(first[:, None], (len(first), len(kinds)))
        return np.stack([self.values[self._of(kind)] if kind else np.ones_like(first) for kind in kinds], 1)

    def pull(self, bars: Numbers, kinds: Sequence[str]) -> dict[str, Numbers]:
        """Derivatives by its values, by name, from those by `scales`."""
        pulled = {}
        for kind in self.values.keys() - self.waves.keys():
            own = bars[:, [bool(one) and self._of(one) == kind for one in kinds]].sum(axis=1)
            pulled[named(kind)] = own.sum() if self._shapes[kind] == () else own
        return {name: np.asarray(bar) for name, bar in pulled.items()}

    def moved(self, tangents: Mapping[str, Any], step: complex) -> SliceProfile:
        """The same, a step along tangents by name."""
        values = {kind: value + step * tangents.get(named(kind), 0.0) for kind, value in self.values.items()}
        return SliceProfile(values, self._shapes, self.waves)

    def series(self, kind: str, largest: float) -> Numbers:
        """Rotations by pulses of a kind as series (see `Across.series`), at each position."""
        wave, count = self.waves.get(self._of(kind)), len(next(iter(self.values.values())))
        found = hard_series(largest) if wave is None else wave.series(largest)
        return np.broadcast_to(found, (count, *found.shape[1:]))

    def _of(self, kind: str) -> str:
        return ALL if ALL in self.values else kind


def named(kind: str) -> str:
    """What the derivative by the profile of a kind of pulses is called."""
    return f"{NAME}.{kind}" if kind else NAME


def by_name(given: Given) -> dict[str, Any]:
    """What is given for a slice profile, by the names of derivatives."""
    if isinstance(given, Mapping) and given:
        return {named(kind): value for kind, value in given.items()}
    return {NAME: given}


def from_names(values: Mapping[str, Any]) -> Given:
    """Inverse of `by_name`."""
    return values[NAME] if NAME in values else {name.removeprefix(f"{NAME}."): value for name, value in values.items()}


WHOLE = SliceProfile({ALL: np.ones(1)}, {ALL: ()})
WHOLE.values[ALL].setflags(write=False)


def read_profile(given: Given) -> SliceProfile:
    """A slice profile, checked.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
    """
    if type(given) is float and given == 1:
        return WHOLE
    if isinstance(given, Mapping) and not given:
        raise ValueError(f"{NAME}={shown(given)} is not allowed: it must hold a profile for each kind of pulse")
    by_kind = given if isinstance(given, Mapping) else {ALL: given}
    values: dict[str, Numbers] = {}
    waves: dict[str, Across] = {}
    for kind, value in by_kind.items():
        if not isinstance(kind, str):
            raise TypeError(f"{NAME}: {shown(kind)} is not allowed as a kind of pulse: it must be a name")
        if isinstance(value, Across):
            waves[kind] = value
            values[kind] = np.ones(len(value.offsets))
            continue
        values[kind] = checked(named(kind), value, **PROFILE)
        if values[kind].ndim > 1 or values[kind].size == 0:
            raise ValueError(
                f"{named(kind)} has shape {values[kind].shape}; a number or a non-empty one-dimensional array is needed"
            )
    shapes = {kind: value.shape for kind, value in values.items()}
    try:
        spread = np.broadcast_arrays(*values.values())
    except ValueError:
        raise ValueError(f"{NAME}: profiles of one length, or numbers, are needed; they have shapes {shapes}") from None
    return SliceProfile({kind: np.atleast_1d(one) for kind, one in zip(values, spread, strict=True)}, shapes, waves)
