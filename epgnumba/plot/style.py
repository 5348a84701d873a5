"""How figures look, and where they are drawn."""

import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib import rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..checks import needed, shown

FIRST, SECOND, THIRD = range(3)  # colours, see `tint`
# Told apart by colour-blind readers, on white and on black: M. Okabe, K. Ito, "Color universal design" (2008).
ON_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777")
ON_DARK = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#BBBBBB")
WIDE = 30.0  # what is larger by more than this hides the rest on a linear axis
MARGIN = 0.03  # beside data, as a fraction of their span
FEW = 200  # points that are marked one by one


def check_axes(name: str, ax: Any) -> None:
    """Refuse what cannot be drawn on.

    Raises
    ------
    TypeError, ValueError
        If it is not Axes, or its axes are not straight.
    """
    needed(name, ax, Axes)
    if ax.name != "rectilinear":
        raise ValueError(f"{name} is {ax.name}; rectilinear axes are needed")


def several(axes: Any, count: int) -> npt.NDArray[Any]:
    """So many Axes, in one row.

    Raises
    ------
    TypeError, ValueError
        If there are more or fewer, or they are none that can be drawn on.
    """
    drawn = np.asarray(axes, object).ravel()
    if drawn.size != count:
        raise ValueError(f"axes={shown(axes)} has {drawn.size} entries; {count} are needed")
    for n, ax in enumerate(drawn):
        check_axes(f"axes[{n}]", ax)
    return drawn


def new_axes(
    rows: int = 1, columns: int = 1, width: float = 1.0, height: float = 1.0, make: Callable[..., Figure] = plt.figure
) -> npt.NDArray[Any]:
    """Axes of a new figure, whose width and height are in units of the user's own default.

    It is pyplot's unless `make` says otherwise, so that notebooks and `pyplot.show` show it.
    """
    size = np.multiply(plt.rcParams["figure.figsize"], (width, height))
    return np.ravel(make(figsize=tuple(size), layout="constrained").subplots(rows, columns, squeeze=False))


def _colors(settings: Any) -> list[str]:
    return list(settings["axes.prop_cycle"].by_key().get("color", ()))


def is_dark(color: Any) -> bool:
    """Whether light ink is needed on a colour."""
    return sum(to_rgb(color)) < 1.5


def tint(n: int) -> str:
    """The n-th colour: of the user's own cycle; where that is one of matplotlib's, of one for all readers."""
    own = _colors(plt.rcParams)
    stock = own in (_colors(rcParamsDefault), _colors(plt.style.library["dark_background"]))
    safe = ON_DARK if is_dark(plt.rcParams["axes.facecolor"]) else ON_LIGHT
    chosen = safe if stock or not own else own
    return to_hex(chosen[n % len(chosen)])


def faint() -> dict[str, Any]:
    """Colour of what stands behind data, on light and on dark."""
    return {"color": plt.rcParams["text.color"], "alpha": 0.15}


def panel(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Title, labels with units, a light grid."""
    axes.set_title(textwrap.fill(title, 64), loc="left", fontsize="medium", fontweight="bold")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Axes) -> None:
    """A small legend without a frame: beside the axes where a layout makes room for it, else where it hides least."""
    laid_out = axes.figure.get_layout_engine() is not None
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if laid_out else {"loc": "best"}
    axes.legend(frameon=False, fontsize="small", **place)


def marked(style: str, points: int) -> str:
    """A line style, with a point for each value while there are few: one alone would not be seen."""
    return f".{style}" if points < FEW else style


def spans_decades(values: npt.ArrayLike) -> bool:
    """Whether a linear axis would hide the small ones among these values."""
    found = np.asarray(values)[np.isfinite(values)]
    return bool(found.size and found.min() > 0 and found.max() > WIDE * found.min())


def scale_from_zero(axes: Axes, values: npt.ArrayLike) -> None:
    """A vertical axis from zero, or in decades."""
    if spans_decades(values):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def numbered(axes: Axes, last: int, first: int = 1) -> None:
    """A horizontal axis of whole numbers."""
    room = max(MARGIN * (last - first), 0.5)
    axes.set_xlim(first - room, last + room)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def timed(axes: Axes, end: float) -> None:
    """A horizontal axis of time, from zero to an end (where all happens at once, of some width)."""
    axes.set_xlim(-MARGIN * (end or 1.0), (1 + MARGIN) * (end or 1.0))
