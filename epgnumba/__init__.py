"""epgnumba: extended phase graph simulation for MRI. Exact, compiled, differentiable.

Signals and tissue derivatives of pulse sequences, Cramer-Rao bounds and their exact gradients, on NumPy arrays and (in
`epgnumba.torch`) on tensors; maps fitted to data (`epgnumba.estimate`). Times in ms, angles in degrees. Importing this
loads neither Numba nor torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import batch as batch
    from . import design as design
    from . import estimate as estimate
    from . import files as files
    from . import plot as plot
    from . import pulses as pulses
    from . import sequence as sequence
    from . import torch as torch
    from .design import CRLBObjective, crlb
    from .engine import get_num_threads, set_num_threads
    from .functional import bssfp_sim, fse_sim, mp2rage_sim, mpnrage_sim, mprage_sim, mrf_sim, spgr_sim
    from .sequence import FSE, EventSequence, Sequence
    from .truncation import find_nstates
    from .verbs import jacobian, simulate, vjp
    from .warm import warm_up

__version__ = "0.1.0"

_HOMES = {
    "CRLBObjective": ".design",
    "EventSequence": ".sequence",
    "FSE": ".sequence",
    "Sequence": ".sequence",
    "bssfp_sim": ".functional",
    "crlb": ".design",
    "find_nstates": ".truncation",
    "fse_sim": ".functional",
    "get_num_threads": ".engine",
    "jacobian": ".verbs",
    "mp2rage_sim": ".functional",
    "mpnrage_sim": ".functional",
    "mprage_sim": ".functional",
    "mrf_sim": ".functional",
    "set_num_threads": ".engine",
    "simulate": ".verbs",
    "spgr_sim": ".functional",
    "vjp": ".verbs",
    "warm_up": ".warm",
}

_SUBMODULES = ("batch", "design", "estimate", "files", "plot", "pulses", "sequence", "torch")

# What people look for here, and where it is: what asks for a name must not import its home.
_ELSEWHERE = {
    "design": ("Design", "limits", "optimize", "verify"),
    "estimate": ("Dictionary", "fit"),
    "plot": ("plot_bounds", "plot_phase_graph", "plot_protocol"),
    "pulses": ("Waveform",),
    "sequence": ("BSSFP", "DESS", "MPRAGE", "MRF", "SPGR", "Inversion", "Pulse", "Readout", "Shift", "Spoil", "Wait"),
}

__all__ = [
    "FSE",
    "CRLBObjective",
    "EventSequence",
    "Sequence",
    "bssfp_sim",
    "crlb",
    "find_nstates",
    "fse_sim",
    "get_num_threads",
    "jacobian",
    "mp2rage_sim",
    "mpnrage_sim",
    "mprage_sim",
    "mrf_sim",
    "set_num_threads",
    "simulate",
    "spgr_sim",
    "vjp",
    "warm_up",
]


if not TYPE_CHECKING:  # which would take any name, else

    def __getattr__(name: str) -> Any:
        if name in _SUBMODULES:
            try:
                return import_module(f".{name}", __name__)
            except ImportError as error:  # an attribute's error is what `hasattr` and `help` can live with
                raise AttributeError(f"{__name__}.{name} cannot be imported: {error}") from error
        if name in _HOMES:
            value = getattr(import_module(_HOMES[name], __name__), name)
            globals()[name] = value
            return value
        from .names import hint

        near = hint(name, (*__all__, *_SUBMODULES)) if name[:1] != "_" else ""
        for home, names in _ELSEWHERE.items():
            near = f"; it is {__name__}.{home}.{name}" if name in names else near
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{near}")


def __dir__() -> list[str]:
    return [*__all__, *_SUBMODULES, "__version__"]
