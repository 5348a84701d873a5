"""Bounds over tissues."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from ..checks import NOISE, Array, choice, needed, read_names, scalar, shown, vector
from ..design import crlb
from ..sequence import Sequence
from ..sequence.timeline import timeline
from ..tissue_parameters import DEFAULTS, NAMES, TISSUE
from ..verbs import jacobian
from .style import MARGIN, check_axes, legend, new_axes, panel, scale_from_zero, spans_decades, tint

STYLES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 4)))  # one for each unknown


class Curve(NamedTuple):
    """Deviations of an unknown in a protocol, and how they are drawn."""

    label: str
    color: str
    style: Any
    deviations: Array


def plot_bounds(
    protocols: Mapping[str, Sequence],
    over: str,
    values: npt.ArrayLike,
    unknowns: str | tuple[str, ...],
    ax: Axes | None = None,
    noise: float = 0.01,
    show: str | tuple[str, ...] | None = None,
    **tissue: npt.ArrayLike,
) -> Axes:
    """Relative standard deviation of estimates over a range of a tissue parameter, for several protocols.

    Parameters
    ----------
    protocols : mapping of str to Sequence
        Protocols by label: before and after, say.
    over : str
        The tissue parameter on the horizontal axis.
    values : array_like
        Its values.
    unknowns : str or tuple of str
        What is estimated together. B0 is drawn in Hz, the others relative to their values. Where a bound is infinite
        (the unknowns cannot be told apart, or the value is zero), an arrow at the top says so.
    ax : Axes, optional
        Where to draw; a new figure by default.
    noise : float
        Standard deviation of the noise, for M0 as given.
    show : tuple of str, optional
        Which unknowns to draw; all by default.
    **tissue : float
        The other tissue parameters.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed; if `show` is not among the unknowns.

    Examples
    --------
    >>> import epgnumba
    >>> import matplotlib.pyplot as plt
    >>> trains = {"60 degrees": epgnumba.FSE([60.0] * 32, ESP=8), "180 degrees": epgnumba.FSE([180.0] * 32, ESP=8)}
    >>> ax = plot_bounds(trains, "T2", [40, 80, 160], ("M0", "T2"), T1=1000, show=("T2",))
    >>> ax.get_xlabel()
    'T2 (ms)'
    >>> plt.close(ax.figure)
    """
    needed("protocols", protocols, Mapping)
    if not protocols:
        raise ValueError("protocols is empty; one at least is needed")
    for label, protocol in protocols.items():
        needed(f"protocols[{label!r}]", protocol, Sequence)
    if choice("over", over, NAMES) in tissue:
        raise ValueError(f"over={over!r} is not allowed: {over} is given, too")
    at = vector("values", values, **TISSUE[over].limits)
    deviation = scalar("noise", noise, **NOISE)
    given: dict[str, Any] = {**tissue, over: at}
    for name in set(tissue) & set(TISSUE):
        array = TISSUE[name].read(tissue[name])
        if array.shape not in ((), at.shape):
            raise ValueError(f"{name} has shape {array.shape}; a number or one per value, {at.shape}, is needed")
    together = read_names("unknowns", unknowns, NAMES)
    for label, protocol in protocols.items():
        readouts = timeline(protocol).readouts.size
        if len(together) > 2 * readouts:
            raise ValueError(f"unknowns={together} are not allowed: too many for the {readouts} readouts of {label!r}")
    drawn = together if show is None else read_names("show", show, NAMES)
    if not set(drawn) <= set(together):
        raise ValueError(f"show={shown(show)} is not allowed: it must be among the unknowns {together}")
    if ax is not None:
        check_axes("ax", ax)
    curves = []
    for n, (label, protocol) in enumerate(protocols.items()):
        deviations = np.sqrt(crlb(jacobian(protocol, **given, diff=together)[1], noise=deviation))
        for name, style in zip(drawn, cycle(STYLES), strict=False):
            found = _relative(name, deviations[:, together.index(name)], given)
            curves.append(Curve(f"{name}, {label}", tint(n), style, found))
    ax = new_axes()[0] if ax is None else ax
    horizontal = f"{over} ({TISSUE[over].unit})" if TISSUE[over].unit else over
    panel(ax, f"Bounds, noise {noise:g}", horizontal, f"Standard deviation ({_measure(drawn)})")
    _draw(ax, at, curves)
    return ax


def _relative(name: str, deviation: Array, given: Mapping[str, Any]) -> Array:
    """Per cent of the value, infinite where there is none to compare with; Hz for B0."""
    if name == "B0":
        return deviation
    value = np.broadcast_to(abs(np.asarray(given.get(name, DEFAULTS.get(name)), np.float64)), deviation.shape)
    known = np.isfinite(deviation) & np.isfinite(value) & (value > 0)
    return np.asarray(np.divide(100 * deviation, value, out=np.full(deviation.shape, np.inf), where=known))


def _measure(names: tuple[str, ...]) -> str:
    """What deviations of these are in."""
    if "B0" not in names:
        return "%"
    return "Hz" if set(names) == {"B0"} else "%; B0: Hz"


def _draw(ax: Axes, at: Array, curves: list[Curve]) -> None:
    """Curves, broken where they are infinite; there an arrow at the top, in a row of its own for each."""
    order, rows = np.argsort(at), 0
    for label, color, style, deviations in curves:
        finite = np.isfinite(deviations)[order]
        kept = np.where(finite, deviations[order], np.nan)
        ax.plot(at[order], kept, linestyle=style, color=color, label=label)
        alone = finite & ~np.append(False, finite[:-1]) & ~np.append(finite[1:], False)  # no line leads there
        if alone.any():
            ax.plot(at[order][alone], kept[alone], ".", color=color)
        if not finite.all():
            where = at[order][~finite]
            height = np.full(where.size, 1 - MARGIN * rows)
            ax.plot(where, height, "^", ms=4, color=color, transform=ax.get_xaxis_transform(), clip_on=False)
            rows += 1
    if rows:
        ax.plot([], [], "^", ms=4, color="0.5", label="infinite")
    if spans_decades(at):
        ax.set_xscale("log")
    every = np.concatenate([curve.deviations for curve in curves])
    scale_from_zero(ax, every)
    if np.isinf(every).all():
        ax.set_yticks([])
    legend(ax)
