"""Optional parts of the package: the modules that each takes, and what to install where one is missing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

EXTRAS = {  # modules that each brings
    "batch": ("dask", "distributed", "msgspec", "xarray", "zarr", "google_crc32c", "numcodecs"),  # zarr brings the last
    "files": ("nibabel", "pypulseq"),
    "torch": ("torch",),
    "cuda": ("numba_cuda",),
}


def lacking(extra: str) -> list[str]:
    """Modules that an extra brings, and that are not there."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


@contextmanager
def brought(extra: str, what: str) -> Iterator[None]:
    """Say of modules that are missing in here what brings them.

    Raises
    ------
    ModuleNotFoundError
        If one of the extra's is missing. What else is missing is somebody else's to explain.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS[extra]:
            raise
        remedy = f'pip install "epgnumba[{extra}]" brings it'
        if extra == "batch" and sys.version_info < (3, 11):
            remedy = "it takes Python 3.11 or newer"
        raise ModuleNotFoundError(
            f"{what} takes {error.name}, which is not installed; {remedy}", name=error.name
        ) from error
