"""What loops are compiled for, and which loops there are."""

from importlib import import_module
from typing import NamedTuple

from .columns import FRACTION, FRACTION_B


class Shape(NamedTuple):
    """What decides which arithmetic a problem needs. What a shape does not have is not in its code.

    Attributes
    ----------
    planes : int
        1: a real problem, of which one plane counts at a time; 2: a complex one.
    kinds : tuple of int
        For each tangent the rate that it changes.
    lanes : int
        Voxels side by side, a vector of them; or 1, whose orders lie side by side.
    terms : tuple of int
        What there is of rates that are not always there (see `terms`).
    """

    planes: int
    kinds: tuple[int, ...]
    lanes: int
    terms: tuple[int, ...] = ()

    @property
    def bound(self):
        """Whether there is a bound pool: a fourth component."""
        return FRACTION in self.terms

    @property
    def second(self):
        """Whether there is a second free pool: three components more."""
        return FRACTION_B in self.terms

    @property
    def components(self):
        return count_components(self.terms)


def count_components(terms):
    """Components of a row: P, M and W of every free pool, W of a bound one."""
    return 6 if FRACTION_B in terms else 4 if FRACTION in terms else 3


# Loops by what calls for them, each with the module of `kernels` that defines it.
LOOPS = {"forward": ("load", "play", "write"), "backward": ("rewind", "unload"), "projection": ("project",)}
HOMES = {
    "load": "load", "unload": "load", "play": "forward", "write": "results", "rewind": "reverse", "project": "results",
}  # fmt: skip

# Arguments of loops, by name: tables of whole numbers; numbers in double precision; numbers in the precision at hand;
# complex numbers, as pairs of real ones. The rest are whole numbers.
INTEGERS = "tables", "sizes"
DOUBLE = "sums", "lane", "tissue_bar", "factors"
SAME = "values", "tissue", "room", "scale", "out", "samples", "weights", "products"
POINTERS = DOUBLE + SAME
PAIRS = "factors", "out"


def find_loop(name):
    """The function that a loop is written as."""
    return getattr(import_module(f".{HOMES[name]}", __package__), name)
