"""Estimation: maps from data, by least squares on the exact Jacobian, or by matching with a dictionary."""

from .dictionary import Dictionary, Match
from .least_squares import fit
from .result import Fit, Status

__all__ = ["Dictionary", "Fit", "Match", "Status", "fit"]


def __dir__() -> list[str]:
    return __all__
