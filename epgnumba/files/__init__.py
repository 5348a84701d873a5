"""Files: NIfTI maps in and out, Pulseq sequences in and out. They take the extra `files`, when they are called."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..extras import brought

if TYPE_CHECKING:
    from .arrays import read_array, read_map, write_map
    from .pulseq import read_pulseq, write_pulseq

__all__ = ["read_array", "read_map", "read_pulseq", "write_map", "write_pulseq"]

_HOMES = {
    "read_array": ".arrays", "read_map": ".arrays", "read_pulseq": ".pulseq", "write_map": ".arrays",
    "write_pulseq": ".pulseq",
}  # fmt: skip

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            with brought("files", f"{__name__}.{name}"):
                return getattr(import_module(_HOMES[name], __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
