"""States of a long sequence as a picture: the magnitude of each order over time."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from .style import is_dark

MOST_CELLS = 1200  # along each axis: more than a figure has pixels

Float = npt.NDArray[np.float64]


def state_map(lines: Float, size: Float, end: float) -> tuple[Float, Float, Float]:
    """The largest state that passes through each cell of time and order.

    Parameters
    ----------
    lines, size : ndarray, shapes (pieces, 4) and (pieces,)
        As in `Pathways`; each piece lasts from one pulse or readout to the next.
    end : float
        Where time ends, ms.

    Returns
    -------
    times, orders : ndarray
        Edges of the cells, ms and cycles; a cell holds whole orders.
    cells : ndarray, shape (orders - 1, times - 1)
        Magnitudes; zero where nothing passes.
    """
    inside = lines[:, 0] < end
    lines, size = lines[inside], size[inside]
    every: Float = np.unique(lines[:, :2])
    times: Float = every[np.unique(np.linspace(0, every.size - 1, MOST_CELLS + 1).astype(int))]
    low, high = int(lines[:, 2:].min()), int(lines[:, 2:].max())
    step = -(-(high - low + 1) // MOST_CELLS)
    orders: Float = np.arange(low, high + step + 1, step, dtype=np.float64) - 0.5
    cells = np.zeros((orders.size - 1, times.size - 1))
    column = np.searchsorted(times, lines[:, 0], side="right") - 1
    rows = (np.sort(lines[:, 2:], axis=1).astype(int) - low) // step
    for above in range(int((rows[:, 1] - rows[:, 0]).max()) + 1):
        through = rows[:, 0] + above <= rows[:, 1]
        np.maximum.at(cells, (rows[through, 0] + above, column[through]), size[through])
    return times, orders, cells


def draw_state_map(ax: Axes, lines: Float, size: Float, end: float, smallest: float, label: str) -> None:
    """Cells on a log scale, with a colour bar.

    The colours grow steadily darker, or lighter on a dark ground: large states stand out, to colour-blind readers too.
    """
    times, orders, cells = state_map(lines, size, end)
    scale = LogNorm(smallest, max(1.0, float(cells.max())))
    shown = np.ma.masked_less(cells, smallest)
    drawn = ax.pcolormesh(
        times,
        orders,
        shown,
        norm=scale,
        cmap="viridis" if is_dark(ax.get_facecolor()) else "viridis_r",
        rasterized=True,
    )
    bar = ax.figure.colorbar(drawn, ax=ax, label=label)
    bar.outline.set_visible(False)
