"""The demo's figure."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..checks import needed
from ..demo import Report
from .style import FIRST, SECOND, THIRD, legend, panel

EXACT, FINITE, BEST = FIRST, SECOND, THIRD


def plot_report(report: Report) -> Figure:
    """Flip angles, signal derivative, CRLB gradient and times; then the optimised train.

    Parameters
    ----------
    report : Report
        From `epgnumba.demo.measure`.

    Returns
    -------
    Figure
        Not shown and not saved: call its `savefig`.

    Raises
    ------
    TypeError
        If it is no report.
    """
    needed("report", report, Report)
    figure = Figure(figsize=(10, 9.5), layout="constrained")
    flips, slopes, gradient, times, best, compared = figure.subplots(3, 2).ravel()
    echoes = np.arange(1, report.slope.size + 1)
    train, optimised = report.train.parameters["flip"], report.best.parameters["flip"]

    panel(flips, "Refocusing flip angles", "Echo number", "Flip angle (degrees)")
    flips.plot(echoes, train, ".", color=EXACT)
    flips.set_ylim(0, 185)

    panel(slopes, "Signal derivative", "Echo number", r"$|\partial S/\partial T_2|$ (1/ms)")
    slopes.plot(echoes, abs(report.slope), "-", color=EXACT, label="exact")
    slopes.plot(echoes, abs(report.slope_finite), ".", color=FINITE, label="finite difference, 1 ms")
    legend(slopes)

    panel(gradient, "Gradient of the bound", "Echo number", r"$\partial\,\mathrm{CRLB}/\partial\alpha$ (ms$^2$/degree)")
    gradient.plot(echoes, report.gradient, "-", color=EXACT, label="exact")
    gradient.plot(echoes, report.gradient_finite, ".", color=FINITE, label=r"finite differences, 1$\degree$")
    legend(gradient)

    panel(times, "Execution time", "Echo number", "Time (s)")
    _plot_times(times, report)

    panel(best, "Optimised flip angles", "Echo number", "Flip angle (degrees)")
    best.plot(echoes, train, ":", color=EXACT, label=f"start, CRLB {report.bound:.0f} ms$^2$")
    best.plot(echoes, optimised, ".-", color=BEST, label=f"optimised, CRLB {report.best_bound:.0f} ms$^2$")
    best.set_ylim(0, 185)
    legend(best)

    panel(compared, "What the optimised train sees", "Echo number", r"$|\partial S/\partial T_2|$ (1/ms)")
    gain = 1 - np.sqrt(report.best_bound / report.bound)
    compared.plot(echoes, abs(report.slope), ":", color=EXACT, label="start")
    compared.plot(echoes, abs(report.best_slope), "-", color=BEST, label=f"optimised: std of $T_2$ down {gain:.0%}")
    legend(compared)
    return figure


def _plot_times(axes: Axes, report: Report) -> None:
    """Bars on a log scale, each with its time."""
    names = list(report.times)
    at = np.arange(len(names))
    for k, (label, color) in enumerate((("finite differences", FINITE), ("exact", EXACT))):
        bars = axes.bar(at + 0.4 * k - 0.2, [report.times[name][k] for name in names], 0.36, color=color, label=label)
        axes.bar_label(bars, [f"{report.times[name][k] * 1e6:.0f} µs" for name in names], fontsize=8, padding=2)
    axes.set_yscale("log")
    axes.margins(y=0.25)
    axes.set_xticks(at, names)
    axes.set_xlabel("")
    axes.grid(axis="x", visible=False)
    legend(axes)
