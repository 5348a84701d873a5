"""epgnumba: extended phase graph simulation for MRI. Exact, compiled, differentiable.

Signals and tissue derivatives of pulse sequences, Cramer-Rao bounds and their exact gradients, on NumPy arrays and (in
`epgnumba.torch`) on tensors. Times in ms, angles in degrees. Importing this loads neither Numba nor torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .design import CRLBObjective, crlb
    from .engine import get_num_threads, set_num_threads
    from .functional import fse_sim
    from .sequence import FSE, Sequence
    from .verbs import jacobian, simulate, vjp

__version__ = "0.1.0"

_HOMES = {
    "CRLBObjective": ".design",
    "FSE": ".sequence",
    "Sequence": ".sequence",
    "crlb": ".design",
    "fse_sim": ".functional",
    "get_num_threads": ".engine",
    "jacobian": ".verbs",
    "set_num_threads": ".engine",
    "simulate": ".verbs",
    "vjp": ".verbs",
}

__all__ = [
    "FSE",
    "CRLBObjective",
    "Sequence",
    "crlb",
    "fse_sim",
    "get_num_threads",
    "jacobian",
    "set_num_threads",
    "simulate",
    "vjp",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
