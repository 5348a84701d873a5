"""Batch runs: described in a file, cut into shards, written as they come, resumed where they stopped (docs/batch.md).

They take the extra `batch`, which is imported when one of these is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..extras import brought

if TYPE_CHECKING:
    from .plan import Plan, make_plan
    from .results import open_results
    from .store import Store, StoreError

__all__ = ["Plan", "Store", "StoreError", "make_plan", "open_results"]

_HOMES = {
    "Plan": ".plan", "Store": ".store", "StoreError": ".store", "make_plan": ".plan", "open_results": ".results",
}  # fmt: skip

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            with brought("batch", f"{__name__}.{name}"):
                return getattr(import_module(_HOMES[name], __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
