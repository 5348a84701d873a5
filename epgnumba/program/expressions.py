"""From a sequence's parameters to the numbers that its events refer to, and back."""

from collections.abc import Hashable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..sequence.events import Linear

_ONE = np.ones(1)


def flatten(parameters: Mapping[str, npt.NDArray[np.inexact]]) -> npt.NDArray[np.inexact]:
    """Parameters as one vector, followed by a one (for constants)."""
    return np.concatenate([*(value.ravel() for value in parameters.values()), _ONE])


def make_room(kept: dict[Hashable, Any], most: int = 8) -> dict[Hashable, Any]:
    """What is kept, without the oldest of it where it is `most` already; other threads may be at it too."""
    for oldest in list(kept)[: max(len(kept) - most + 1, 0)]:
        kept.pop(oldest, None)
    return kept


class Entries(list[npt.NDArray[np.inexact]]):
    """Flips, phases, durations, receiver phases and the phase that a repetition adds (degrees, ms).

    Nobody changes them, so that what is made of them can be kept with them.

    Attributes
    ----------
    bound : dict
        What jobs have made of them, by what it depends on besides.
    """

    def __init__(self, parts: list[npt.NDArray[np.inexact]]) -> None:
        super().__init__(parts)
        self.bound: dict[Hashable, Any] = {}


def unflatten(x: Array, parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Inverse of `flatten`, in the shapes of `parameters`."""
    result, start = {}, 0
    for name, value in parameters.items():
        result[name] = x[start : start + value.size].reshape(value.shape)
        start += value.size
    return result


def sum_at(index: npt.NDArray[np.int64], values: npt.NDArray[np.inexact], size: int) -> npt.NDArray[np.inexact]:
    """Sums of the values that share an index, complex ones too."""
    if values.dtype.kind == "c":
        return np.bincount(index, values.real, size) + 1j * np.bincount(index, values.imag, size)
    return np.asarray(np.bincount(index, values, size), np.float64)


def _names(expressions: list[Linear]) -> frozenset[str]:
    return frozenset(name for expression in expressions for name, _, _ in expression.terms)


def unit_phase(degrees: Array) -> npt.NDArray[np.complex128]:
    """exp(i angle), exact at multiples of 90 degrees."""
    quarters = np.rint(degrees / 90)
    rest = np.exp(1j * np.deg2rad(degrees - 90 * quarters))
    return np.asarray(rest * np.array([1, 1j, -1, -1j])[quarters.astype(np.int64) % 4])


class LinearMap:
    """Linear functions of a sequence's parameters, as one sparse map of the flattened parameters.

    The parameters are extended by a one, to which constants refer.
    """

    def __init__(self, expressions: list[Linear], sizes: Mapping[str, int]) -> None:
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
        self.length, self.n_parameters = len(expressions), sum(sizes.values())
        entries, sources, factors = [], [], []
        for entry, expression in enumerate(expressions):
            for name, index, factor in expression.terms:
                if not 0 <= index < sizes.get(name, 0):
                    raise ValueError(f"an event refers to {name}[{index}], which is no parameter: {dict(sizes)}")
                entries.append(entry)
                sources.append(int(starts[name]) + index)
                factors.append(factor)
            if expression.constant or not expression.terms:
                entries.append(entry)
                sources.append(self.n_parameters)
                factors.append(expression.constant)
        self.entries = np.asarray(entries, np.int64)
        self.sources = np.asarray(sources, np.int64)
        self.factors = np.asarray(factors, np.float64)
        # Where every entry has exactly one term the map is a gather, which is much the quickest.
        self.plain = entries == list(range(self.length))

    def values(self, x: npt.NDArray[np.inexact]) -> npt.NDArray[np.inexact]:
        """What the functions are at parameters `x` (with the one at the end)."""
        values = self.factors * x.take(self.sources)
        if self.plain:
            return values
        table = np.zeros(self.length, values.dtype)
        np.add.at(table, self.entries, values)
        return table


class Expressions(LinearMap):
    """Every number that a program refers to, as one linear map.

    The entries are flips, phases, durations, receiver phases and the phase that a repetition adds, in this order.

    Attributes
    ----------
    inverts : list of bool
        Which flips are inversions.
    names : frozenset of str
        Parameters that enter anything.
    flip_names, phase_names, time_names : frozenset of str
        Parameters that enter flips of pulses, phases (RF, receiver, from one repetition to the next), and durations.
    """

    def __init__(self, groups: list[list[Linear]], sizes: Mapping[str, int], inverts: list[bool]) -> None:
        super().__init__([expression for group in groups for expression in group], sizes)
        self.lengths = [len(group) for group in groups]
        self.inverts = inverts
        flips, phases, self.time_names, receivers, advance = map(_names, groups)
        self.phase_names = phases | receivers | advance
        self.flip_names = _names([flip for flip, inverts in zip(groups[0], inverts, strict=True) if not inverts])
        self.names = flips | self.phase_names | self.time_names

    def evaluate(self, x: npt.NDArray[np.inexact]) -> Entries:
        """Entries, by group, for parameters `x` (with the one at the end)."""
        values = self.values(x)
        parts: list[npt.NDArray[np.inexact]] = []
        start = 0
        for length in self.lengths:
            parts.append(values[start : start + length])
            start += length
        return Entries(parts)

    def flips_of(self, parameters: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Array] | None:
        """Flips that are each a factor times one of these parameters, in their order; None if it is not as simple."""
        if not self.plain:
            return None
        entries = [np.flatnonzero(self.sources == parameter) for parameter in parameters]
        if any(len(found) != 1 or found[0] >= self.lengths[0] or self.inverts[found[0]] for found in entries):
            return None
        chosen = np.concatenate(entries)
        return chosen, self.factors[chosen]

    def pull_back(self, groups: list[Array]) -> Array:
        """Derivatives with respect to the parameters, from those with respect to the entries."""
        bars = np.concatenate(groups)
        summed = sum_at(self.sources, self.factors * bars[self.entries], self.n_parameters + 1)
        return cast("Array", summed[: self.n_parameters])
