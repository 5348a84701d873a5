"""Results of a run as labelled arrays, in the shape of the grid or map that they are of; and as other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..checks import file_path, flag, warn_caller
from ..files.arrays import write_map
from .store import PLACE, Store


def open_results(path: str | Path, *, flat: bool = False) -> xr.Dataset:
    """The results of a run.

    Parameters
    ----------
    path : str or Path
        Its store. If it is not complete, a warning says so; rows that are missing are NaN.
    flat : bool
        Whether results stay as they lie on disk, one row after another, and are read when they are asked for. Else they
        are read, and take the shape of the grid or map that the rows were taken from: NaN where there is no row.

    Returns
    -------
    xarray.Dataset
        With names and units; its attribute "run" is the run's description, as JSON.

    Raises
    ------
    StoreError
        If there is none.
    """
    flag("flat", flat)
    store = Store(file_path("path", path))
    if not store.group.attrs["complete"]:
        warn_caller(f"{path} is not complete: what is missing is NaN (-1 where numbers are whole)")
    lying: xr.Dataset = xr.open_zarr(path, chunks=None)
    if flat:
        return lying.set_coords([PLACE, *store.run["varying"]])
    return _shaped(lying, store)


def _shaped(lying: xr.Dataset, store: Store) -> xr.Dataset:
    """Rows in their places."""
    dims: dict[str, int] = store.group.attrs["dims"]
    shape, place = tuple(dims.values()), store.place()
    axes = {name: (name, lying[f"{name}_axis"].values, lying[name].attrs) for name in dims if f"{name}_axis" in lying}
    found: dict[str, Any] = {}
    for name, array in lying.variables.items():
        if name == PLACE or str(name).endswith("_axis") or name in axes:
            continue
        if store.row not in array.dims:
            found[str(name)] = array
            continue
        full = spread(array.values, place, shape)
        found[str(name)] = (*dims, *array.dims[1:]), full, array.attrs
    shaped = xr.Dataset(found, axes, lying.attrs)
    return shaped.set_coords([name for name in store.run["varying"] if name in found])


def spread(array: npt.NDArray[Any], place: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Rows in the places of a grid or map; NaN (-1 of whole numbers) elsewhere."""
    count = int(np.prod(shape, dtype=int))
    if len(place) == count:
        return array.reshape((*shape, *array.shape[1:]))
    full = np.full((count, *array.shape[1:]), np.nan if array.dtype.kind in "fc" else -1, array.dtype)
    full[place] = array
    return full.reshape((*shape, *array.shape[1:]))


def write_netcdf(store: Store, path: Path) -> None:
    """Results in one NetCDF file (version 3, 64 bit), whose complex numbers are pairs along a last axis "part"."""
    found = open_results(store.path)
    for name, array in found.variables.items():
        if array.dtype.kind == "c":
            pair = np.stack([array.values.real, array.values.imag], -1)
            found[name] = (*array.dims, "part"), pair, array.attrs
    found = found.assign_coords(part=np.array(["real", "imag"], "S4")) if "part" in found.dims else found
    found.attrs = {"title": found.attrs["title"], "run": found.attrs["run"]}
    aside = path.with_name(f".{path.name}.aside")
    path.parent.mkdir(parents=True, exist_ok=True)
    found.to_netcdf(aside, format="NETCDF3_64BIT", engine="scipy")
    aside.replace(path)


def write_nifti(store: Store, folder: Path) -> None:
    """Every variable as a NIfTI map in a folder, of rows that are voxels."""
    affine = store.group.attrs["affine"]
    found = open_results(store.path)
    for variable in store.work.variables:
        array = found[variable.name].values
        write_map(folder / f"{variable.name}.nii.gz", array, None if affine is None else np.asarray(affine))
