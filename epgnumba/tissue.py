"""Tissue: named maps, checked and broadcast."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import Array, checked, warn_caller

NAMES = ("T1", "T2", "B1", "M0")  # in the order of the kernels' table
LIMITS: dict[str, dict[str, Any]] = {
    "T1": {"positive": True, "infinite": True, "unit": "ms"},
    "T2": {"positive": True, "unit": "ms"},
    "B1": {"minimum": 0.0, "unit": "fractions of the nominal flip angle"},
    "M0": {},
}


class Tissue:
    """Maps of T1 (ms, inf allowed), T2 (ms), B1 (fraction of the nominal flip angle) and M0, of broadcastable shapes.

    Raises
    ------
    TypeError, ValueError
        If a map is not real, out of range, or does not broadcast with the others.

    Examples
    --------
    >>> Tissue(T1=1000, T2=[[50], [100]], B1=[0.9, 1.0, 1.1]).shape
    (2, 3)
    """

    def __init__(self, T1: npt.ArrayLike, T2: npt.ArrayLike, B1: npt.ArrayLike = 1.0, M0: npt.ArrayLike = 1.0) -> None:
        given = (T1, T2, B1, M0)
        self.maps: dict[str, Array] = {}
        for name, value in zip(NAMES, given, strict=True):
            self.maps[name] = checked(name, value, **LIMITS[name])
        distinct = {value.shape for value in self.maps.values()}
        try:
            self.shape = distinct.pop() if len(distinct) == 1 else np.broadcast_shapes(*distinct)
        except ValueError:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in self.maps.items())
            raise ValueError(f"tissue maps do not broadcast: {shapes}") from None
        if 0 in self.shape:
            raise ValueError(f"tissue maps are empty: they broadcast to {self.shape}")
        longer = self.maps["T2"] > self.maps["T1"]
        if longer.any() if longer.ndim else longer:
            warn_caller("T2 is longer than T1 in some voxels")

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def table(self, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[np.inexact]:
        """Rates 1/T1, 1/T2 (1/ms), B1 and M0, one row each, one column per voxel."""
        table = np.empty((4, *self.shape), dtype)
        for row, (name, value) in enumerate(self.maps.items()):
            table[row] = 1 / value if name in ("T1", "T2") else value
        return table.reshape(4, -1)
