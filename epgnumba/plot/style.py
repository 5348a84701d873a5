"""How figures look."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..checks import needed

FIRST, SECOND, THIRD, FOURTH = "#1f4e79", "#d1495b", "#2a9d8f", "#e9a03b"
COLORS = (FIRST, SECOND, THIRD, FOURTH, "#7b5ea7", "#6b6b6b")


def new_axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.0)) -> Axes:
    """The axes given, or those of a new figure (which is not shown: call ``ax.figure.savefig``).

    Raises
    ------
    TypeError
        If it is not Axes.
    """
    if ax is None:
        return Figure(figsize=size, layout="constrained").subplots()
    needed("ax", ax, Axes)
    return ax


def panel(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Title, labels with units, a light grid."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Axes, **options: Any) -> None:
    """A small legend without a frame."""
    axes.legend(frameon=False, fontsize=8, **options)
