"""Figures, with matplotlib. Functions take Axes, or make a figure of their own, and return Axes."""

from .phase_graph import find_pathways, plot_phase_graph
from .protocol import plot_bounds, plot_convergence, plot_protocol
from .report import plot_report

__all__ = [
    "find_pathways",
    "plot_bounds",
    "plot_convergence",
    "plot_phase_graph",
    "plot_protocol",
    "plot_report",
]


def __dir__() -> list[str]:
    return __all__
