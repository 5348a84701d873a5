"""Protocol design: bounds on what a protocol can tell, objectives to make them small, limits, optimisation, proof."""

from . import limits
from .bound import crlb
from .objective import CRLBObjective
from .optimization import optimize
from .result import Design
from .variables import BSpline, Free, PiecewiseLinear, Shared
from .verification import Verification, verify

__all__ = [
    "BSpline",
    "CRLBObjective",
    "Design",
    "Free",
    "PiecewiseLinear",
    "Shared",
    "Verification",
    "crlb",
    "limits",
    "optimize",
    "verify",
]


def __dir__() -> list[str]:
    return __all__
