"""Tissue whose maps lie on a device: checked there, and left there."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import shown
from ..tissue import broadcast_maps
from ..tissue_parameters import DEFAULTS, NAMES, TISSUE
from . import choose
from .home import Home
from .structure import compiled, kernels

BLOCKS = 64  # that look at a map


class DeviceTissue:
    """`Tissue` for maps on a device, beside which single numbers may stand.

    Parameters
    ----------
    home : Home
        Where they lie.
    maps : dict
        The arguments of `Tissue`, by name.

    Raises
    ------
    TypeError, ValueError
        As `Tissue`, and if a map lies in host memory.
    """

    def __init__(self, home: Home, maps: dict[str, Any]) -> None:
        self.home = home
        self.maps: dict[str, Any] = {}
        self._place = next(choose.place(value) for value in maps.values() if choose.library(value) is not None)
        ranges: dict[str, tuple[float, float]] = {}
        self._flat: dict[str, Any] = {}
        self._rows: list[Any] = []
        self._broadcast: list[Any] = []  # kept, since rows are views
        for name in NAMES:
            value: Any = maps[name] if name in maps else DEFAULTS[name]
            if choose.library(value) is None:
                value = TISSUE[name].read(value)
                if value.ndim:
                    raise ValueError(
                        f"{name} has shape {value.shape} and lies in host memory; other maps do not: move it"
                    )
                ranges[name] = float(value), float(value)
            self.maps[name] = value
        self.shape: tuple[int, ...] = broadcast_maps({name: tuple(value.shape) for name, value in self.maps.items()})
        if 0 in self.shape:
            raise ValueError(f"maps on a device are empty: they broadcast to {self.shape}; a voxel at least is needed")
        with kernels().runtime.on_device(home.index):
            for name, value in self.maps.items():
                self._flat[name] = value if name in ranges else self._dense(name, value, tuple(value.shape))
            found = self._find_ranges([name for name in NAMES if name not in ranges])
            for name, (low, high, bad) in found.items():
                try:  # an infinite end hides what lies before it
                    TISSUE[name].read(np.array([low, high, np.nan if bad or high == np.inf else low]))
                except ValueError:  # which voxel it is can be told from all of them
                    host = home.to_host(self._flat[name]).astype(np.float64)
                    TISSUE[name].read(host.reshape(tuple(self.maps[name].shape)))
                ranges[name] = low, high
        self.size = int(np.prod(self.shape))
        self._longest = {name: high for name, (_, high) in ranges.items()}
        self._largest = {name: max(map(abs, ends)) for name, ends in ranges.items()}
        self.precesses = self._largest["B0"] > 0
        self._elsewhere = {name for name, ends in ranges.items() if ends != (DEFAULTS.get(name), DEFAULTS.get(name))}

    names = NAMES

    def longest(self, name: str) -> float:
        """The largest value of a map."""
        return self._longest[name]

    def largest(self, name: str) -> float:
        """The largest value of a map, either way."""
        return self._largest[name]

    def has(self, name: str) -> bool:
        """Whether a parameter is anywhere what it is not by default."""
        return name in self._elsewhere

    def _dense(self, name: str, value: Any, shape: tuple[int, ...]) -> Any:
        try:
            return self.home.dense(value, shape)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None

    def _find_ranges(self, names: list[str]) -> dict[str, tuple[float, float, float]]:
        """Smallest and largest of maps, and whether there is NaN in them."""
        runtime, threads = kernels().runtime, kernels().voxels.SUM_THREADS
        waiting = {}
        for name in names:
            array = self.home.view(self._flat[name])
            real = np.dtype(array.dtype).type
            blocks = min(BLOCKS, -(-array.shape[0] // threads))
            ranges = self.home.empty((blocks, 3), real)
            _, find = compiled("maps", real, real)
            runtime.launch(find, blocks, threads, self.home.stream, array, self.home.view(ranges))
            waiting[name] = ranges
        found = {}
        for name, ranges in waiting.items():
            view = self.home.view(ranges)
            host = np.empty(view.shape, view.dtype)
            runtime.download(view, host, self.home.stream)
            runtime.finish(self.home.stream)
            found[name] = float(host[:, 0].min()), float(host[:, 1].max()), float(host[:, 2].max())
        return found

    def rows(self) -> list[Any]:
        """For each row of the tissue table a flat array on the device, of one number or one for each voxel."""
        if self._rows:
            return self._rows
        arrays = []
        for name, value in self.maps.items():
            if choose.library(value) is None:
                arrays.append(kernels().runtime.upload(np.array([float(value)]), self.home.stream))
            elif tuple(value.shape) == self.shape or value.shape == ():
                arrays.append(self.home.view(self._flat[name]))
            else:
                self._broadcast.append(self._dense(name, value, self.shape))
                arrays.append(self.home.view(self._broadcast[-1]))
        self._rows = arrays
        return arrays

    def inside(self, array: Any) -> Any:
        """Voxels in a row, (voxels, ...), from (*shape, ...)."""
        return array.reshape(self.size, *array.shape[len(self.shape) :])

    def spread(self, array: Any) -> Any:
        """Voxels in their places, (*shape, ...), from (voxels, ...)."""
        return array.reshape(*self.shape, *array.shape[1:])

    def slope(self, name: str) -> Any:
        """Derivative of a row of the table with respect to its map."""
        value = self.maps[name]
        held = choose.library(value) is not None
        # as the kernels have it, so in single precision at least
        return TISSUE[name].rate.slope(self._flat[name].reshape(tuple(value.shape)) if held else float(value))

    def cotangent(self, name: str, value: Any, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """A derivative by results, checked; zeros for None.

        Raises
        ------
        TypeError, ValueError
            If it does not lie beside the maps, or is of another shape.
        """
        if value is None:
            return self.home.zeros(shape, dtype)
        if choose.library(value) is None:
            raise TypeError(f"{name}={shown(value)} lies in host memory; the maps do not: move it")
        if choose.place(value) != self._place:
            raise ValueError(f"{name} does not lie beside the maps: {choose.place(value)}, they {self._place}")
        if tuple(value.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; {shape} is needed")
        return value
