"""Bounds on what a protocol can tell, and objectives to make them small."""

from .bound import crlb
from .objective import CRLBObjective

__all__ = ["CRLBObjective", "crlb"]
