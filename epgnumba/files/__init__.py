"""Files: NIfTI maps in and out, Pulseq sequences in and out. They take the extra `files`."""

from .arrays import read_array, read_map, write_map
from .pulseq import read_pulseq, write_pulseq

__all__ = ["read_array", "read_map", "read_pulseq", "write_map", "write_pulseq"]


def __dir__() -> list[str]:
    return __all__
