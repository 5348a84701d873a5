"""Files: labelled results, NIfTI maps, Pulseq sequences. Each takes a package of the extras `batch` and `files`."""

from .arrays import read_array, read_map, write_map

__all__ = ["read_array", "read_map", "write_map"]


def __dir__() -> list[str]:
    return __all__
