"""Tissue: named maps, checked and broadcast."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .checks import Array, plainly_allowed, real_array, shown, warn_caller
from .tissue_parameters import DEFAULTS, NAMES, TISSUE, parameter


def read_mask(mask: Any) -> npt.NDArray[np.bool_]:
    """A mask, as an array of booleans.

    Raises
    ------
    TypeError
        If it holds anything else.
    """
    try:
        array = np.asarray(mask)
    except (TypeError, ValueError, RuntimeError):  # ragged; or a tensor that requires its gradient
        array = np.empty(0)
    if array.dtype != np.bool_ or isinstance(mask, np.ma.MaskedArray):
        raise TypeError(f"mask={shown(mask)} is not allowed: it must be an array of booleans, True where to simulate")
    return array


def broadcast_maps(shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that maps broadcast to.

    Raises
    ------
    ValueError
        If there is none.
    """
    distinct = set(shapes.values())
    try:
        return distinct.pop() if len(distinct) == 1 else np.broadcast_shapes(*distinct)
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"tissue maps do not broadcast: {listed}") from None


def _read_map(name: str, value: Any) -> Array:
    try:
        return parameter(name).read(value)
    except ValueError as error:
        array = real_array(name, value)  # raises the same again, unless a number is what is wrong
        if array.ndim and np.isnan(array).any():
            raise ValueError(f"{error}; `mask` leaves voxels out") from None
        raise


_SPANS = {name: (row.limits["minimum"], row.limits["maximum"]) for name, row in TISSUE.items()}


def plain_numbers(maps: Mapping[str, Any]) -> dict[str, float] | None:
    """What most calls bring, one Python number within its limits for each map; else None."""
    numbers = {}
    for name, value in maps.items():
        low, high = _SPANS[name]
        if not (type(value) is float and low <= value <= high) and not plainly_allowed(value, **TISSUE[name].limits):
            return None
        numbers[name] = float(value)
    return numbers


def stretched_axes(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Axes along which an array of `shape` is broadcast to `ndim` dimensions."""
    extra = ndim - len(shape)
    return tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1)


def _masked(given: dict[str, Any], mask: npt.NDArray[np.bool_]) -> tuple[dict[str, Any], npt.NDArray[np.bool_]]:
    """Maps, harmless where no voxel inside the mask needs them, and the mask in the shape of all."""
    arrays = {name: real_array(name, value) for name, value in given.items()}
    shape = broadcast_maps({**{name: array.shape for name, array in arrays.items()}, "mask": mask.shape})
    full = np.broadcast_to(mask, shape)
    for name, array in arrays.items():
        if array.ndim:
            needed = full.any(axis=stretched_axes(array.shape, len(shape))).reshape(array.shape)
            arrays[name] = np.where(needed, array, DEFAULTS.get(name, 1.0))
    return arrays, full


_DEFAULT_RATES = np.array([[row.rate.value(DEFAULTS.get(name, np.inf))] for name, row in TISSUE.items()])
_ROWS = {name: (row, TISSUE[name].rate.value) for row, name in enumerate(NAMES)}


class Tissue:
    """Maps of tissue parameters, of broadcastable shapes.

    Parameters
    ----------
    mask : array_like of bool, optional
        Broadcasts with the maps, and leaves voxels out: what maps hold there does not matter.
    **given : array_like
        Maps by name (see `tissue_parameters`); those of transmit fields by kind of pulse in order, behind the others.

    Raises
    ------
    TypeError, ValueError
        If a map is not real, out of range, or does not broadcast with the others.

    Examples
    --------
    >>> Tissue(T1=1000, T2=[[50], [100]], B1=[0.9, 1.0, 1.1]).shape
    (2, 3)
    """

    def __init__(self, mask: npt.ArrayLike | None = None, **given: npt.ArrayLike) -> None:
        maps: dict[str, Any] = {name: given[name] if name in given else DEFAULTS[name] for name in NAMES}
        maps.update({name: value for name, value in given.items() if name not in maps})
        self.mask: npt.NDArray[np.bool_] | None = None
        if mask is not None:
            maps, self.mask = _masked(maps, read_mask(mask))
        self.maps = {name: _read_map(name, value) for name, value in maps.items()}
        self.shape = broadcast_maps({name: value.shape for name, value in self.maps.items()})
        if self.mask is not None:
            self.shape = self.mask.shape
        longer = self.maps["T2"] > self.maps["T1"]
        if self.mask is not None:
            longer = longer & self.mask
        if longer.any() if longer.ndim else longer:
            warn_caller("T2 is longer than T1 in some voxels")

    numbers: dict[str, float] | None = None  # those given, if it is one voxel of `plain_numbers`

    @classmethod
    def of_numbers(cls, numbers: dict[str, float]) -> "Tissue":
        """One voxel, of `plain_numbers`."""
        tissue = cls.__new__(cls)
        tissue.numbers, tissue.shape, tissue.mask = numbers, (), None
        if numbers["T2"] > numbers["T1"]:
            warn_caller("T2 is longer than T1 in some voxels")
        return tissue

    @cached_property
    def maps(self) -> dict[str, Array]:
        """Arrays, by name, in the order of the table."""
        assert self.numbers is not None, "maps are made at once"
        return {name: np.asarray(self.numbers.get(name, DEFAULTS.get(name))) for name in NAMES}

    def longest(self, name: str) -> float:
        """The largest value of a map."""
        if self.numbers:
            return self.numbers.get(name, DEFAULTS.get(name, 0.0))
        return float(self.maps[name].max(initial=0.0))

    def largest(self, name: str) -> float:
        """The largest value of a map, either way."""
        if self.numbers:
            return abs(self.numbers.get(name, DEFAULTS.get(name, 0.0)))
        return float(abs(self.maps[name]).max(initial=0.0))

    @property
    def names(self) -> tuple[str, ...]:
        """What its rows are called."""
        return NAMES if self.numbers else tuple(self.maps)

    @property
    def precesses(self) -> bool:
        """Whether there is off-resonance."""
        return self.numbers.get("B0", 0) != 0 if self.numbers else bool(self.maps["B0"].any())

    def has(self, name: str) -> bool:
        """Whether a parameter is anywhere what it is not by default."""
        if self.numbers:
            return self.numbers.get(name, DEFAULTS[name]) != DEFAULTS[name]
        return bool((self.maps[name] != DEFAULTS[name]).any())

    @property
    def size(self) -> int:
        """Number of voxels, of those inside the mask if there is one."""
        return 1 if self.numbers else int(np.prod(self.shape) if self.mask is None else np.count_nonzero(self.mask))

    def inside(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Voxels in a row, (voxels, ...), from (*shape, ...): those inside the mask."""
        if self.mask is not None:
            return array[self.mask]
        return array.reshape(self.size, *array.shape[len(self.shape) :])

    def spread(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Voxels in their places, (*shape, ...), from (voxels, ...): zero outside the mask."""
        if self.numbers:
            return cast("npt.NDArray[Any]", array[0])
        shape = *self.shape, *array.shape[1:]
        if self.mask is None:
            return array.reshape(shape)
        full = np.zeros(shape, array.dtype)
        full[self.mask] = array
        return full

    def table(self, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[np.inexact]:
        """The kernels' table, one row a map, one column a voxel: 1/T1, 1/T2 (1/ms), B1, 2 pi B0 (rad/ms), ..., M0."""
        if self.numbers:  # a tenth of the time
            table = _DEFAULT_RATES.astype(dtype)
            for name, number in self.numbers.items():
                row, rate = _ROWS[name]
                table[row, 0] = rate(number)
            return table
        table = np.empty((len(self.maps), *self.shape), dtype)
        for row, (name, array) in enumerate(self.maps.items()):
            table[row] = parameter(name).rate.value(array)
        if self.mask is None:
            return table.reshape(len(self.maps), self.size)
        return np.ascontiguousarray(table[:, self.mask])

    def slope(self, name: str) -> Array | float:
        """Derivative of a row of the table with respect to its map."""
        slope: Array | float = parameter(name).rate.slope(self.maps[name])
        return slope

    def curvature(self, name: str) -> Array | float:
        """Second derivative of a row of the table with respect to its map."""
        curvature: Array | float = parameter(name).rate.curvature(self.maps[name])
        return curvature
