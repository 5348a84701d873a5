"""A protocol and what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from ..checks import needed, read_names, scalar
from ..sequence import Sequence as PulseSequence
from ..sequence.timeline import Timeline, timeline
from ..tissue_parameters import DEFAULTS, NAMES, TISSUE
from ..verbs import jacobian
from .style import (
    FIRST,
    SECOND,
    THIRD,
    legend,
    marked,
    new_axes,
    numbered,
    panel,
    scale_from_zero,
    several,
    timed,
    tint,
)


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
    >>> import matplotlib.pyplot as plt
    >>> axes = plot_protocol(epgnumba.FSE([120.0] * 8, ESP=8), T1=1000, T2=80)
    >>> axes[0].get_ylabel()
    'Angle (degrees)'
    >>> plt.close(axes[0].figure)
    """
    needed("sequence", sequence, PulseSequence)
    values: dict[str, Any] = {"T1": T1, "T2": T2, **tissue}
    told = {name: scalar(name, value, **TISSUE[name].limits) for name, value in values.items() if name in TISSUE}
    wanted = read_names("diff", diff, NAMES)
    given = None if axes is None else several(axes, 3)
    signal, slopes = jacobian(sequence, **values, diff=wanted)
    when = timeline(sequence)
    drawn = new_axes(3, width=1.25, height=1.7) if given is None else given
    _draw_pulses(drawn[0], when)
    _draw_intervals(drawn[1], when, sequence.steady)
    described = ", ".join(f"{name} = {value:g} {TISSUE[name].unit}".rstrip() for name, value in told.items())
    panel(drawn[2], f"Signal, {described}", "Readout time (ms)", "Magnitude")
    style = marked("-", when.readouts.size)
    drawn[2].plot(when.readouts, abs(signal), style, color=plt.rcParams["text.color"], lw=1, label="|S|")
    for n, (name, slope) in enumerate(zip(wanted, slopes, strict=True)):
        size, label = _sensitivity(name, told.get(name, DEFAULTS.get(name, 1.0)))
        drawn[2].plot(when.readouts, abs(slope) * size, style, color=tint(n), lw=1, label=label)
    drawn[2].set_ylim(bottom=0)
    timed(drawn[2], when.end)
    legend(drawn[2])
    return drawn


def _sensitivity(name: str, value: float) -> tuple[float, str]:
    """What a derivative is multiplied with: the parameter's value, where it has one; and what it is then called."""
    if value == 0:
        unit = f" (1/{TISSUE[name].unit})" if TISSUE[name].unit else ""
        return 1.0, f"|dS/d{name}|{unit}"
    return (0.0 if np.isinf(value) else abs(value)), f"|{name} dS/d{name}|"  # which vanishes as T1 grows


def _draw_pulses(ax: Axes, when: Timeline) -> None:
    panel(ax, "Pulses", "Time (ms)", "Angle (degrees)")
    ax.vlines(when.pulses, 0, when.flips, color=tint(FIRST), lw=1, alpha=0.5)
    ax.plot(when.pulses, when.flips, ".", color=tint(FIRST), label="flip angle")
    if when.phases.any():
        ax.plot(when.pulses, 180 - (180 - when.phases) % 360, "_", color=tint(SECOND), label="phase")
    if when.inversions.size:
        ax.plot(when.inversions, np.full(when.inversions.size, 180.0), "v", color=tint(THIRD), label="inversion")
    timed(ax, when.end)
    legend(ax)


def _draw_intervals(ax: Axes, when: Timeline, steady: bool) -> None:
    """From pulse to pulse. What separates repetitions is told in the title: dead time would dwarf the others."""
    gaps, title = np.diff(when.pulses), "Intervals"
    if steady and when.pulses.size:
        rest = when.duration - when.pulses[-1] + when.pulses[0]
        title += f" ({rest:.4g} ms to the next repetition)"
        gaps = gaps if gaps.size else np.array([rest])
    elif not gaps.size:
        title += ": none, with fewer than two pulses"
    panel(ax, title, "Pulse number", "To the next pulse (ms)")
    ax.plot(np.arange(1, gaps.size + 1), gaps, marked("-", gaps.size), color=tint(FIRST), lw=0.8)
    numbered(ax, max(gaps.size, 1))
    scale_from_zero(ax, gaps)
