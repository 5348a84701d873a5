"""`fit`: maps from data, voxel by voxel."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ..estimate import fit
from ..files.arrays import read_array
from ..tissue_parameters import TISSUE
from .description import FitTable
from .work import Arrays, Variable, Work


def resolved(table: FitTable, folder: Path) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The table `fit`, with where the data are and what they hash to; the shape of their voxels."""
    if table.data is None:
        raise ValueError("fit.data: is needed")
    path = (folder / table.data.file).resolve()
    data = read_array(path, "fit.data")
    if data.ndim < 2 or data.dtype.kind not in "iufc":
        raise ValueError(f"fit.data: {path} has shape {data.shape}; numbers of shape (*voxels, readouts) are needed")
    found = {**msgspec.to_builtins(table), "data": str(path), "sha256": _digest(path)}
    return found, data.shape[:-1]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Fits(Work):
    """Fits of voxels, each by itself."""

    @cached_property
    def _data(self) -> npt.NDArray[Any]:
        path = Path(self.run["fit"]["data"])
        if _digest(path) != self.run["fit"]["sha256"]:
            raise ValueError(f"fit.data: {path} has changed since the run was prepared")
        array = read_array(path, "fit.data")
        array = array.reshape(-1, array.shape[-1])
        return array if array.dtype.kind == "c" else array.astype(np.float64)

    @property
    def block_bytes(self) -> int:
        return int(self.block * self._data.shape[-1] * 16 * (2 + len(self.run["fit"]["unknowns"])))

    @property
    def variables(self) -> list[Variable]:
        found = []
        for name in self.run["fit"]["unknowns"]:
            row, free = TISSUE[name], name == "M0" and self.run["fit"]["complex_M0"]
            found.append(Variable(name, {}, "complex128" if free else "float64", row.text, row.unit))
            found.append(Variable(f"std_{name}", {}, "float64", f"standard deviation of {name}", row.unit))
        found.append(Variable("fit_residual", {}, "float64", "root of the sum of squares that is left"))
        found.append(Variable("status", {}, "int8", "how the fit ended, see epgnumba.estimate.Status"))
        return found

    def compute(self, values: Arrays, place: npt.NDArray[np.int64]) -> Arrays:
        asked = self.run["fit"]
        bounds = {name: tuple(ends) for name, ends in asked["bounds"].items()} or None
        given: dict[str, Any] = {name: self.run["options"][name] for name in ("slice_prof", "nstates")}
        given |= {**self.run["fixed"], **values}
        found = fit(
            self.sequence, self._data[place], tuple(asked["unknowns"]), bounds=bounds, noise=asked["noise"],
            magnitude=asked["magnitude"], complex_M0=asked["complex_M0"], **given,
        )  # fmt: skip
        results: Arrays = {"fit_residual": found.residual, "status": found.status}
        for name, deviation in found.std.items():
            results |= {name: found.maps[name], f"std_{name}": deviation}
        return results
