"""Arrays whose dimensions have names (`xarray.DataArray`): maps broadcast by name, and results are named alike.

xarray is not imported here: who has a DataArray has imported it.
"""

import operator
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

PARAMETER, READOUT = "parameter", "readout"  # the dimensions that results have besides those of the maps


def is_labelled(value: Any) -> bool:
    """Whether `value` is a DataArray; if xarray was never imported, nothing is."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(value, xarray.DataArray)


@dataclass
class Labels:
    """Names of the dimensions of maps.

    Attributes
    ----------
    like : DataArray
        Of the shape that the maps broadcast to; its values mean nothing.
    given : dict of str to DataArray
        The maps that have names.
    """

    like: Any
    given: dict[str, Any]

    def values(self, name: str) -> npt.NDArray[Any]:
        """A map, its axes in the order of `like`, of length 1 where it has none."""
        moved = self._moved(self.given[name])
        sizes = dict(zip(moved.dims, moved.shape, strict=True))
        return np.asarray(moved).reshape([sizes.get(dim, 1) for dim in self.like.dims])

    def restored(self, name: str, array: npt.NDArray[Any]) -> Any:
        """An array in the shape of `values`, named as the map was given."""
        if name not in self.given:
            return array
        moved = self._moved(self.given[name])
        return moved.copy(data=array.reshape(moved.shape)).transpose(*self.given[name].dims)

    def named(self, array: npt.NDArray[Any], *trailing: str, parameters: Sequence[str] | None = None) -> Any:
        """A result, whose first axes are those of the maps."""
        coordinates = dict(self.like.coords) | ({} if parameters is None else {PARAMETER: list(parameters)})
        return sys.modules["xarray"].DataArray(array, coordinates, (*self.like.dims, *trailing))

    def ordered(self, name: str, value: Any, *trailing: str) -> Any:
        """A cotangent of a result, its axes in the order of the result's; without names, as it is.

        Raises
        ------
        ValueError
            If its dimensions are not those of the result.
        """
        dims = (*self.like.dims, *trailing)
        if not is_labelled(value):
            return value
        if set(value.dims) != set(dims):
            raise ValueError(f"{name} has dimensions {value.dims}; {dims} are needed")
        return value.transpose(*dims).values

    def _moved(self, one: Any) -> Any:
        return one.transpose(*(dim for dim in self.like.dims if dim in one.dims))


def read_labels(values: dict[str, Any]) -> Labels | None:
    """Names of the dimensions of those that are DataArrays; None if none is.

    Raises
    ------
    ValueError
        If their coordinates differ, a name is one that results need, or an array without names stands beside them.
    """
    xarray = sys.modules.get("xarray")
    if xarray is None:
        return None
    given = {name: value for name, value in values.items() if isinstance(value, xarray.DataArray)}
    if not given:
        return None
    listed = ", ".join(f"{name} {value.dims}" for name, value in given.items())
    for name, value in given.items():
        for dim in value.dims:
            if dim in (PARAMETER, READOUT):
                raise ValueError(f"{name} has a dimension named {dim!r}, which is that of results; rename it")
    for name, value in values.items():
        if name not in given and np.ndim(value) > 0:
            raise ValueError(f"{name} has shape {np.shape(value)} and no names of dimensions, beside {listed}")
    try:
        with xarray.set_options(arithmetic_join="exact"):
            like = reduce(operator.or_, (xarray.zeros_like(value, dtype=bool) for value in given.values()))
    except ValueError as error:
        raise ValueError(f"{listed} do not align: {error}") from None
    return Labels(like, given)


def concatenated(results: list[Any]) -> Any:
    """Results of several acquisitions, along the readouts."""
    if is_labelled(results[0]):
        return sys.modules["xarray"].concat(results, READOUT)
    return np.concatenate(results, -1)
