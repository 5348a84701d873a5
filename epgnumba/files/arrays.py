"""Arrays from and to files: NumPy's, text, NIfTI maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import check_range, file_path, plain_array, real_array, shown
from ..extras import brought

NIFTI = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """Whether a file is a NIfTI map, by its name."""
    return path.name.endswith(NIFTI)


def read_array(path: str | Path, key: str = "path") -> npt.NDArray[Any]:
    """An array of a file: .npy, .txt or .csv, .nii or .nii.gz.

    Raises
    ------
    ValueError
        If it cannot be read, naming `key`.
    """
    path = file_path("path", path)
    try:
        if is_nifti(path):
            return read_map(path)[0]
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if path.suffix in (".txt", ".csv"):
            return np.loadtxt(path, delimiter="," if path.suffix == ".csv" else None)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{key}: {path} cannot be read: {error}") from None
    raise ValueError(f"{key}: {path} is not allowed: a file .npy, .txt, .csv, .nii or .nii.gz is needed")


def read_map(path: str | Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """A NIfTI map, scaled as its header says, and its affine matrix (to mm)."""
    path = file_path("path", path)
    with brought("files", "read_map"):
        import nibabel

    try:
        image: Any = nibabel.load(path)
        return np.asarray(image.dataobj), np.asarray(image.affine, np.float64)
    except OSError:
        raise
    except Exception as error:  # what a broken file raises depends on how it is broken
        raise ValueError(str(error)) from None


def write_map(path: str | Path, array: npt.ArrayLike, affine: npt.NDArray[np.float64] | None = None) -> None:
    """Write a NIfTI map of up to seven axes; booleans as 0 and 1, single numbers as they are."""
    path = file_path("path", path)
    kept = plain_array("array", array)
    if kept.dtype.kind not in "biufc":
        raise TypeError(f"array={shown(array)} is not numeric")
    if kept.dtype.kind in "iu" and kept.dtype.itemsize == 8:  # which few programs read
        limits = np.iinfo(np.int32)
        if kept.size and (kept.min() < limits.min or kept.max() > limits.max):
            raise ValueError(f"array={shown(array)} is beyond whole numbers of 32 bits")
        kept = kept.astype(np.int32)
    place = np.eye(4) if affine is None else check_range("affine", real_array("affine", affine))
    if place.shape != (4, 4):
        raise ValueError(f"affine has shape {place.shape}; (4, 4) is needed")
    with brought("files", "write_map"):
        import nibabel

    image = nibabel.Nifti1Image(kept.astype(np.uint8) if kept.dtype == np.bool_ else kept, place)
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
