"""Bounds on what a protocol can tell, and objectives to make them small."""

from .bound import crlb
from .objective import CRLBObjective
from .variables import BSpline, Free, PiecewiseLinear, Shared

__all__ = ["BSpline", "CRLBObjective", "Free", "PiecewiseLinear", "Shared", "crlb"]
