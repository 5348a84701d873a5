"""Whether fits scatter as the bound says."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..checks import Array, needed, shown
from ..design import Verification
from ..names import knows_names
from ..tissue_parameters import TISSUE
from .style import FIRST, SECOND, THIRD, check_axes, legend, new_axes, panel, tint

INSIDE = 0.95  # of estimates, in an ellipse
MOST = 4000  # estimates that are drawn


@knows_names
def plot_verification(
    verification: Verification,
    unknowns: tuple[str, str] | None = None,
    tissue: tuple[int, ...] | int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Estimates of two unknowns, with the ellipses that hold 95 % of them: the bound's, and their own.

    Parameters
    ----------
    verification : Verification
        From `epgnumba.design.verify`.
    unknowns : (str, str), optional
        Which two; by default the last two.
    tissue : int or tuple of int, optional
        Which tissue, where there are several; by default the first.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import epgnumba
    >>> import matplotlib.pyplot as plt
    >>> from epgnumba.design import verify
    >>> found = verify(epgnumba.FSE([150.0] * 16, ESP=10), T1=1000, T2=80, noise=0.01, draws=500)
    >>> ax = plot_verification(found)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('M0', 'T2 (ms)')
    >>> plt.close(ax.figure)
    """
    needed("verification", verification, Verification)
    pair = verification.unknowns[-2:] if unknowns is None else unknowns
    known = isinstance(pair, (tuple, list)) and len(pair) == 2 and all(name in verification.unknowns for name in pair)
    if not known or pair[0] == pair[1]:
        raise ValueError(f"unknowns={shown(pair)} is not allowed: it must be two out of {verification.unknowns}")
    shape = verification.failed.shape
    place = np.index_exp[0] * len(shape) if tissue is None else (tissue if isinstance(tissue, tuple) else (tissue,))
    try:
        failed = int(verification.failed[place])
    except (IndexError, TypeError, ValueError):
        raise ValueError(f"tissue={shown(tissue)} is not allowed: it must be a place in an array of {shape}") from None
    if ax is not None:
        check_axes("ax", ax)
    which = [verification.unknowns.index(name) for name in pair]
    points = verification.estimates[place][:, which]
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        raise ValueError(f"tissue={shown(tissue)} has no estimates that could be drawn: {failed} fits failed")
    ax = new_axes()[0] if ax is None else ax
    truth = verification.truth[place][which]
    own, bound = (matrix[place][np.ix_(which, which)] for matrix in (verification.covariance, verification.bound))
    names = [f"{name} ({TISSUE[name].unit})" if TISSUE[name].unit else name for name in pair]
    ratios = ", ".join(f"{name} {verification.ratio[place][k]:.2f}" for name, k in zip(pair, which, strict=True))
    panel(ax, f"Variance over bound: {ratios}", *names)
    _draw(ax, points, truth, own, bound)
    return ax


def _draw(ax: Axes, points: Array, truth: Array, own: Array, bound: Array) -> None:
    """Points and ellipses, in axes that show the ellipses whole."""
    centre, outlines = points.mean(axis=0), {}
    ax.plot(*points[:MOST].T, ".", color="0.7", ms=2, zorder=1, label="estimates", rasterized=True)
    for label, middle, matrix, style in (
        ("bound, 95 %", truth, bound, {"color": tint(FIRST), "lw": 2.5}),
        ("estimates, 95 %", centre, own, {"color": tint(SECOND), "linestyle": "--"}),
    ):
        outlines[label] = _ellipse(middle, matrix)
        ax.plot(*outlines[label], label=label, **style)
    ax.plot(*truth, "+", color=tint(THIRD), ms=10, mew=2, label="truth")
    ax.plot(*centre, "x", color=tint(SECOND), ms=7, label="mean")
    edges = np.concatenate(list(outlines.values()), axis=1)
    low, high = edges.min(axis=1), edges.max(axis=1)
    ax.set_xlim(low[0] - (high[0] - low[0]) / 3, high[0] + (high[0] - low[0]) / 3)
    ax.set_ylim(low[1] - (high[1] - low[1]) / 3, high[1] + (high[1] - low[1]) / 3)
    legend(ax)


def _ellipse(centre: Array, covariance: Array) -> Any:
    """Outline that holds a part INSIDE of a normal distribution."""
    levels, axes = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, 181)
    radius = np.sqrt(-2 * np.log(1 - INSIDE) * np.maximum(levels, 0))
    return centre[:, None] + axes @ (radius[:, None] * [np.cos(angle), np.sin(angle)])
