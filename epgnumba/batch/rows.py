"""What a run is computed of, in one row after another: atoms of a grid, tissues of a list, voxels of maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..files.arrays import is_nifti, read_array, read_map
from ..tissue_parameters import NAMES, TISSUE
from .description import File, values

AXES = ("x", "y", "z", "t")  # of maps


@dataclass
class Rows:
    """Rows, and the grid or map that they were taken from.

    Attributes
    ----------
    name : str
        Of their dimension: "atom", "voxel" or "protocol".
    values : dict of str to ndarray, shape (rows,)
        What differs from row to row.
    fixed : dict of str to float
        What does not.
    dims : dict of str to int
        Axes of the grid or map.
    place : ndarray of int, shape (rows,)
        Where in it each row lies, counted along the last axis first.
    axes : dict of str to ndarray
        Values along axes of a grid.
    affine : list of list of float, optional
        From voxels to mm, of NIfTI maps.
    """

    name: str
    values: dict[str, Array]
    fixed: dict[str, float]
    dims: dict[str, int]
    place: npt.NDArray[np.int64]
    axes: dict[str, Array] = field(default_factory=dict)
    affine: list[list[float]] | None = None

    @property
    def count(self) -> int:
        return len(self.place)


def tissue_rows(table: Any, folder: Path, like: tuple[int, ...] | None = None) -> Rows:
    """Rows of the table `tissue`; `like`: the voxels that maps must have.

    Raises
    ------
    ValueError
        Naming the key.
    """
    given = {name: one for name in NAMES if (one := getattr(table, name)) is not None}
    read = {name: values(f"tissue.{name}", one, folder) for name, one in given.items()}
    if table.mask is not None and table.kind != "maps":
        raise ValueError(f'tissue.mask is not allowed with tissue.kind="{table.kind}": it is for maps')
    if table.kind == "maps":
        return _maps(table, read, given, folder, like)
    arrays = {name: _checked(name, array) for name, array in read.items()}
    if table.kind == "list":
        return _list(arrays)
    return _grid(arrays, table.T2_above_T1 == "drop")


def _checked(name: str, array: npt.NDArray[Any]) -> Array:
    try:
        return TISSUE[name].read(array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"tissue.{error}") from None


def _flat(arrays: dict[str, Array], what: str) -> tuple[dict[str, Array], dict[str, float]]:
    """Vectors and numbers apart."""
    for name, array in arrays.items():
        if array.ndim > 1 or not array.size:
            raise ValueError(f"tissue.{name} has shape {array.shape}; {what} takes a number or a list of numbers")
    fixed = {name: float(array) for name, array in arrays.items() if not array.ndim}
    return {name: array for name, array in arrays.items() if array.ndim}, fixed


def _list(arrays: dict[str, Array]) -> Rows:
    """Tissues one after another."""
    vectors, fixed = _flat(arrays, "a list")
    lengths = {name: array.size for name, array in vectors.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"tissue: lists of one length are needed; they have {lengths}")
    count = next(iter(lengths.values()), 1)
    return Rows("atom", vectors, fixed, {"atom": count}, np.arange(count))


def _grid(arrays: dict[str, Array], drop: bool) -> Rows:
    """Every value with every other."""
    vectors, fixed = _flat(arrays, "a grid")
    dims = {name: array.size for name, array in vectors.items()}
    shape = tuple(dims.values())
    place = np.arange(prod(shape))
    at = dict(zip(vectors, np.unravel_index(place, shape), strict=True)) if shape else {}
    found = {name: vectors[name][index] for name, index in at.items()}
    if drop and "T1" in arrays and "T2" in arrays:
        kept = np.broadcast_to(found.get("T2", arrays["T2"]) <= found.get("T1", arrays["T1"]), place.shape)
        place, found = place[kept], {name: array[kept] for name, array in found.items()}
        if not place.size:
            raise ValueError('tissue.T2 is longer than tissue.T1 in every atom, and T2_above_T1="drop" leaves none')
    return Rows("atom", found, fixed, dims, place, vectors)


def _maps(
    table: Any, arrays: dict[str, Array], given: dict[str, Any], folder: Path, like: tuple[int, ...] | None
) -> Rows:
    """Voxels of maps, of those inside the mask."""
    shapes = {f"tissue.{name}": array.shape for name, array in arrays.items() if array.ndim}
    inside = None
    if table.mask is not None:
        inside = read_array(folder / table.mask.file, "tissue.mask") != 0
        shapes["tissue.mask"] = inside.shape
    if like is not None:
        shapes["fit.data"] = like
    if len(set(shapes.values())) != 1:
        raise ValueError(f"tissue: maps of one shape are needed; they have {shapes}")
    shape = next(iter(shapes.values()))
    if len(shape) > len(AXES):
        raise ValueError(f"tissue: maps have shape {shape}; at most {len(AXES)} axes are allowed")
    place = np.arange(prod(shape)) if inside is None else np.flatnonzero(inside)
    if not place.size:
        raise ValueError("tissue.mask leaves no voxel")
    inside_only = {
        name: _checked(name, array.ravel()[place] if array.ndim else array) for name, array in arrays.items()
    }
    found = {name: array for name, array in inside_only.items() if array.ndim}
    fixed = {name: float(array) for name, array in inside_only.items() if not array.ndim}
    files = [one for one in [*given.values(), table.mask] if one is not None]
    return Rows("voxel", found, fixed, dict(zip(AXES, shape, strict=False)), place, affine=_affine(files, folder))


def _affine(files: list[Any], folder: Path) -> list[list[float]] | None:
    """That of the first NIfTI map."""
    for one in files:
        file = one.file if isinstance(one, File) else one.get("file") if isinstance(one, dict) else None
        if file and is_nifti(folder / file):
            affine: list[list[float]] = read_map(folder / file)[1].tolist()
            return affine
    return None


def sweep_rows(sweep: dict[str, Any], folder: Path) -> Rows:
    """Protocols of a sweep: every value of a parameter of the sequence with every other."""
    vectors = {name: np.atleast_1d(values(f"design.sweep.{name}", one, folder)) for name, one in sweep.items()}
    shape = tuple(array.size for array in vectors.values())
    place = np.arange(prod(shape))
    at = np.unravel_index(place, shape) if shape else ()
    found = {name: array[index] for (name, array), index in zip(vectors.items(), at, strict=True)}
    return Rows("protocol", found, {}, dict(zip(vectors, shape, strict=True)), place, vectors)
