"""Tissue: named maps, checked and broadcast."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .checks import FLIP_SCALE, FRACTION, RELAXATION, Array, checked, plainly_allowed, real_array, shown, warn_caller
from .sequence.sequence import NAMES

HZ = float(2 * np.pi / 1000)  # in radians per ms

LIMITS: dict[str, dict[str, Any]] = {
    "T1": {**RELAXATION, "infinite": True},
    "T2": RELAXATION,
    "B1": FLIP_SCALE,
    "B0": {"minimum": -1e6, "maximum": 1e6, "unit": "Hz"},
    "inv_efficiency": FRACTION,
    "M0": {"minimum": -1e15, "maximum": 1e15},
}


OUTSIDE = dict.fromkeys(NAMES, 1.0) | {"B0": 0.0}  # what maps hold outside a mask, whatever they held


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
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"tissue maps do not broadcast: {listed}") from None


def _read_map(name: str, value: Any) -> Array:
    try:
        return checked(name, value, **LIMITS[name])
    except ValueError as error:
        array = real_array(name, value)  # raises the same again, unless a number is what is wrong
        if array.ndim and np.isnan(array).any():
            raise ValueError(f"{error}; `mask` leaves voxels out") from None
        raise


def plain_numbers(maps: Mapping[str, Any]) -> tuple[float, ...] | None:
    """What most calls bring, one Python number within its limits for each map; else None."""
    if not all(plainly_allowed(value, **LIMITS[name]) for name, value in maps.items()):
        return None
    return tuple(map(float, maps.values()))


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
            arrays[name] = np.where(needed, array, OUTSIDE[name])
    return arrays, full


class Tissue:
    """Maps of tissue parameters, of broadcastable shapes.

    T1 (ms, inf allowed), T2 (ms), B1 (fraction of the nominal flip angle), M0, B0 (off-resonance, Hz) and
    inv_efficiency (of inversions: 1 where they are full, 0 where they saturate). A mask of booleans, which broadcasts
    with them, leaves voxels out: what maps hold there does not matter.

    Raises
    ------
    TypeError, ValueError
        If a map is not real, out of range, or does not broadcast with the others.

    Examples
    --------
    >>> Tissue(T1=1000, T2=[[50], [100]], B1=[0.9, 1.0, 1.1]).shape
    (2, 3)
    """

    def __init__(
        self,
        T1: npt.ArrayLike,
        T2: npt.ArrayLike,
        B1: npt.ArrayLike = 1.0,
        M0: npt.ArrayLike = 1.0,
        B0: npt.ArrayLike = 0.0,
        inv_efficiency: npt.ArrayLike = 1.0,
        mask: npt.ArrayLike | None = None,
    ) -> None:
        given = dict(zip(NAMES, (T1, T2, B1, B0, inv_efficiency, M0), strict=True))
        self.mask: npt.NDArray[np.bool_] | None = None
        if mask is not None:
            given, self.mask = _masked(given, read_mask(mask))
        self.maps = {name: _read_map(name, value) for name, value in given.items()}
        self.shape = broadcast_maps({name: value.shape for name, value in self.maps.items()})
        if self.mask is not None:
            self.shape = self.mask.shape
        longer = self.maps["T2"] > self.maps["T1"]
        if self.mask is not None:
            longer = longer & self.mask
        if longer.any() if longer.ndim else longer:
            warn_caller("T2 is longer than T1 in some voxels")

    numbers: tuple[float, ...] | None = None  # in the order of NAMES, if it is one voxel of `plain_numbers`

    @classmethod
    def of_numbers(cls, numbers: tuple[float, ...]) -> "Tissue":
        """One voxel, of `plain_numbers`."""
        tissue = cls.__new__(cls)
        tissue.numbers, tissue.shape, tissue.mask = numbers, (), None
        if numbers[1] > numbers[0]:
            warn_caller("T2 is longer than T1 in some voxels")
        return tissue

    @cached_property
    def maps(self) -> dict[str, Array]:
        """Arrays, by name."""
        assert self.numbers is not None, "maps are made at once"
        return {name: np.asarray(value) for name, value in zip(NAMES, self.numbers, strict=True)}

    @property
    def longest_t1(self) -> float:
        """The longest T1, ms."""
        return self.numbers[0] if self.numbers else float(self.maps["T1"].max(initial=0.0))

    @property
    def longest_t2(self) -> float:
        """The longest T2, ms."""
        return self.numbers[1] if self.numbers else float(self.maps["T2"].max(initial=0.0))

    @property
    def largest_b0(self) -> float:
        """The largest off-resonance either way, Hz."""
        return float(abs(self.maps["B0"]).max(initial=0.0))

    @property
    def precesses(self) -> bool:
        """Whether there is off-resonance."""
        return self.numbers[3] != 0 if self.numbers else bool(self.maps["B0"].any())

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
            t1, t2, b1, b0, inversion, m0 = self.numbers
            return np.array([[1 / t1], [1 / t2], [b1], [b0 * HZ], [inversion], [m0]], dtype)
        table = np.empty((len(NAMES), *self.shape), dtype)
        for row, (name, value) in enumerate(self.maps.items()):
            table[row] = 1 / value if name in ("T1", "T2") else value * HZ if name == "B0" else value
        return table.reshape(len(NAMES), self.size) if self.mask is None else np.ascontiguousarray(table[:, self.mask])

    def slope(self, name: str) -> Array:
        """Derivative of a row of the table with respect to its map."""
        value = self.maps[name]
        return -1 / value**2 if name in ("T1", "T2") else np.full_like(value, HZ if name == "B0" else 1.0)

    def curvature(self, name: str) -> Array:
        """Second derivative of a row of the table with respect to its map."""
        value = self.maps[name]
        return 2 / value**3 if name in ("T1", "T2") else np.zeros_like(value)
