"""Figures, with matplotlib. Functions take Axes, or make a figure of pyplot's, and return Axes."""

from .bounds import plot_bounds
from .convergence import plot_convergence
from .phase_graph import find_pathways, plot_phase_graph
from .protocol import plot_protocol
from .report import plot_report, save_report
from .verification import plot_verification

__all__ = [
    "find_pathways",
    "plot_bounds",
    "plot_convergence",
    "plot_phase_graph",
    "plot_protocol",
    "plot_report",
    "plot_verification",
    "save_report",
]


def __dir__() -> list[str]:
    return __all__
