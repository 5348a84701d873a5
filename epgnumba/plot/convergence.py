"""How a design went."""

import numpy as np
from matplotlib.axes import Axes

from ..checks import needed
from ..design import Design
from ..names import knows_names
from .style import FIRST, SECOND, check_axes, legend, marked, new_axes, numbered, panel, spans_decades, tint


@knows_names
def plot_convergence(design: Design, ax: Axes | None = None) -> Axes:
    """The objective by iteration in the best start, and where the other starts ended.

    Parameters
    ----------
    design : Design
        From `epgnumba.design.optimize`.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If it is no design, or one without history, or these are no axes.

    Examples
    --------
    >>> import epgnumba
    >>> import matplotlib.pyplot as plt
    >>> from epgnumba.design import optimize
    >>> objective = epgnumba.CRLBObjective(epgnumba.FSE([60.0] * 8, ESP=8), 1000, 80)
    >>> ax = plot_convergence(optimize(objective, progress=False))
    >>> ax.get_xlabel()
    'Iteration'
    >>> plt.close(ax.figure)
    """
    needed("design", design, Design)
    missing = [name for name in ("fun", "history", "starts") if not np.size(design.get(name, ()))]
    if missing:
        raise ValueError(f"design has no {' and no '.join(missing)}; one that `optimize` returned is needed")
    history, starts = np.ravel(design.history), np.ravel(design.starts)
    if ax is not None:
        check_axes("ax", ax)
    ax = new_axes()[0] if ax is None else ax
    ended = starts[np.isfinite(starts)]
    which = f", the best of {starts.size} starts" if starts.size > 1 else ""
    panel(ax, f"{history[0]:.6g} to {design.fun:.6g}{which}", "Iteration", "Objective")
    ax.plot(np.arange(history.size), history, marked("-", history.size), color=tint(FIRST), lw=1, label="best start")
    if ended.size > 1:
        last = np.full(ended.shape, history.size - 1)
        ax.plot(last, ended, "_", color=tint(SECOND), label=f"ends of {ended.size} starts")
        legend(ax)
    numbered(ax, history.size - 1, first=0)
    if spans_decades([*history, *ended]):
        ax.set_yscale("log")
    return ax
