"""A protocol and what it sees; bounds over tissues; how a design went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..checks import checked, choice, needed, scalar, shown, vector
from ..design import Design, crlb
from ..sequence import Sequence as PulseSequence
from ..sequence.sequence import NAMES
from ..sequence.timeline import timeline
from ..tissue import LIMITS
from ..verbs import jacobian
from .style import COLORS, FIRST, SECOND, THIRD, legend, new_axes, panel


def plot_protocol(
    sequence: PulseSequence,
    T1: float,
    T2: float,
    diff: str | tuple[str, ...] = ("T1", "T2"),
    axes: Sequence[Axes] | None = None,
    **tissue: float,
) -> npt.NDArray[Any]:
    """Flip angles and phases over time, intervals between pulses, signal and its sensitivities.

    Parameters
    ----------
    sequence : Sequence
        The protocol.
    T1, T2 : float
        Relaxation times of the tissue, ms.
    diff : tuple of str
        Sensitivities to draw: derivatives times the parameter's value (or per unit where that is zero).
    axes : sequence of three Axes, optional
        Where to draw; a new figure by default.
    **tissue : float
        Other tissue parameters, as for `simulate`.

    Returns
    -------
    ndarray of Axes, shape (3,)

    Raises
    ------
    TypeError, ValueError
        If there are not three axes, a value is no number; or as `jacobian`.

    Examples
    --------
    >>> import epgnumba
    >>> axes = plot_protocol(epgnumba.FSE([120.0] * 8, ESP=8), T1=1000, T2=80)
    >>> axes[0].get_ylabel()
    'Angle (degrees)'
    """
    needed("sequence", sequence, PulseSequence)
    values: dict[str, Any] = {"T1": T1, "T2": T2, **tissue}
    for name in set(values) & set(LIMITS):
        scalar(name, values[name], **LIMITS[name])
    wanted = _names("diff", diff)
    if axes is None:
        axes = Figure(figsize=(7.2, 8.0), layout="constrained").subplots(3)
    drawn = np.asarray(axes).ravel()
    if drawn.size != 3:
        raise ValueError(f"axes has {drawn.size} entries; 3 are needed")
    for each in drawn:
        needed("axes", each, Axes)
    angles, intervals, signals = drawn
    signal, slopes = jacobian(sequence, **values, diff=wanted)
    when = timeline(sequence)

    panel(angles, "Pulses", "Time (ms)", "Angle (degrees)")
    angles.vlines(when.pulses, 0, when.flips, color=FIRST, lw=1, alpha=0.5)
    angles.plot(when.pulses, when.flips, ".", color=FIRST, label="flip angle")
    if np.ptp(when.phases) or when.phases.any():
        angles.plot(when.pulses, (when.phases + 180) % 360 - 180, "_", color=SECOND, label="phase")
    if when.inversions.size:
        angles.plot(when.inversions, np.full(when.inversions.size, 180.0), "v", color=THIRD, label="inversion")
    legend(angles, ncols=3)

    panel(intervals, "Intervals", "Pulse number", "To the next pulse (ms)")
    gaps = np.diff(np.append(when.pulses, when.duration))
    intervals.plot(np.arange(1, gaps.size + 1), gaps, ".-", color=FIRST, lw=0.8)
    intervals.set_ylim(bottom=0)

    panel(signals, f"Signal, T1 = {T1:g} ms, T2 = {T2:g} ms", "Readout time (ms)", "Magnitude")
    marker = ".-" if when.readouts.size < 200 else "-"
    signals.plot(when.readouts, abs(signal), marker, color="black", lw=1, label="|S|")
    for name, slope, color in zip(wanted, slopes, cycle(COLORS), strict=False):
        value = values.get(name, 1.0) or 1.0
        signals.plot(when.readouts, abs(slope * value), marker, color=color, lw=1, label=f"|dS/d{name}| {name}")
    signals.set_ylim(bottom=0)
    legend(signals)
    return drawn


def _names(name: str, value: Any) -> tuple[str, ...]:
    """Names out of those of the tissue: one, or a tuple of them, not empty."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (tuple, list)) or not names:
        raise TypeError(f"{name}={shown(value)} is not allowed: it must be a name or a tuple of names out of {NAMES}")
    return tuple(choice(name, each, NAMES) for each in names)


def plot_bounds(
    protocols: Mapping[str, PulseSequence],
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
        What is estimated together. B0 is drawn in Hz, the others relative to their values.
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
    >>> trains = {"60 degrees": epgnumba.FSE([60.0] * 32, ESP=8), "180 degrees": epgnumba.FSE([180.0] * 32, ESP=8)}
    >>> ax = plot_bounds(trains, "T2", [40, 80, 160], ("M0", "T2"), T1=1000, show=("T2",))
    >>> ax.get_xlabel()
    'T2 (ms)'
    """
    needed("protocols", protocols, Mapping)
    if not protocols:
        raise ValueError("protocols is empty; one at least is needed")
    for protocol in protocols.values():
        needed("protocols", protocol, PulseSequence)
    if choice("over", over, NAMES) in tissue:
        raise ValueError(f"over={over!r} is not allowed: {over} is given, too")
    at = vector("values", values, **LIMITS[over])
    deviation = scalar("noise", noise, positive=True, minimum=1e-100, maximum=1e100)
    given: dict[str, Any] = {**tissue, over: at}
    for name in set(tissue) & set(LIMITS):
        array = checked(name, tissue[name], **LIMITS[name])
        if array.shape not in ((), at.shape):
            raise ValueError(f"{name} has shape {array.shape}; a number or one per value, {at.shape}, is needed")
    together = _names("unknowns", unknowns)
    drawn = together if show is None else _names("show", show)
    if not set(drawn) <= set(together):
        raise ValueError(f"show={shown(show)} is not allowed: it must be among the unknowns {together}")
    found = {
        label: np.sqrt(crlb(jacobian(protocol, **given, diff=together)[1], noise=deviation))
        for label, protocol in protocols.items()
    }
    ax = new_axes(ax)
    units = {"T1": " (ms)", "T2": " (ms)", "B0": " (Hz)"}
    absolute = "B0" in drawn
    panel(
        ax, f"Bounds, noise {noise:g}", f"{over}{units.get(over, '')}",
        f"Standard deviation (%{'; B0: Hz' if absolute else ''})",
    )  # fmt: skip
    for color, (label, deviations) in zip(cycle(COLORS), found.items(), strict=False):
        for k, name in enumerate(together):
            if name in drawn:
                value = np.broadcast_to(np.asarray(given.get(name, 1.0), np.float64), at.shape)
                relative = np.ones(at.shape) if name == "B0" else 100 / value
                style = ("-", "--", ":", "-.")[drawn.index(name) % 4]
                ax.plot(at, deviations[..., k] * relative, style, color=color, label=f"{name}, {label}")
    ax.set_ylim(bottom=0)
    legend(ax)
    return ax


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
    TypeError
        If it is no design, or these are no axes.

    Examples
    --------
    >>> import epgnumba
    >>> from epgnumba.design import optimize
    >>> objective = epgnumba.CRLBObjective(epgnumba.FSE([60.0] * 8, ESP=8), 1000, 80)
    >>> plot_convergence(optimize(objective, progress=False)).get_yscale()
    'log'
    """
    needed("design", design, Design)
    ax = new_axes(ax)
    panel(ax, f"{design.value_before:.5g} to {design.fun:.5g} in {design.seconds:.2g} s", "Iteration", "Objective")
    ax.plot(design.history, ".-", color=FIRST, lw=1, label="best start")
    if design.starts.size > 1:
        ended = np.full(design.starts.shape, len(design.history) - 1)
        ax.plot(ended, design.starts, "_", color=SECOND, label=f"ends of {design.starts.size} starts")
        legend(ax)
    ax.set_yscale("log")
    return ax
