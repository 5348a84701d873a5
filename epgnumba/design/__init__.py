"""Protocol design: bounds on what a protocol can tell, objectives to make them small, limits, optimisation."""

from . import limits
from .bound import crlb
from .objective import CRLBObjective
from .optimization import optimize
from .result import Design
from .variables import BSpline, Free, PiecewiseLinear, Shared

__all__ = [
    "BSpline",
    "CRLBObjective",
    "Design",
    "Free",
    "PiecewiseLinear",
    "Shared",
    "crlb",
    "limits",
    "optimize",
]


def __dir__() -> list[str]:
    return __all__
