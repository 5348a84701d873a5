"""The demo's figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..checks import file_path, needed
from ..demo import Report
from ..names import knows_names
from .style import FIRST, SECOND, THIRD, legend, marked, new_axes, numbered, panel, several, tint

EXACT, FINITE, BEST = FIRST, SECOND, THIRD
PANELS: dict[str, Any] = {"rows": 3, "columns": 2, "width": 1.6, "height": 2.0}


@knows_names
def plot_report(report: Report, axes: Sequence[Axes] | None = None) -> npt.NDArray[Any]:
    """Flip angles, signal derivative, CRLB gradient and times; then the optimised train.

    Parameters
    ----------
    report : Report
        From `epgnumba.demo.measure`.
    axes : sequence of six Axes, optional
        Where to draw; a new figure, with a title, by default.

    Returns
    -------
    ndarray of Axes, shape (6,)

    Raises
    ------
    TypeError, ValueError
        If it is no report, or these are not six axes.
    """
    needed("report", report, Report)
    if axes is not None:
        return _draw(report, several(axes, 6))
    return _titled(report, new_axes(**PANELS))


@knows_names
def save_report(report: Report, path: str | Path) -> None:
    """Write the figure to a file, without showing it anywhere.

    Raises
    ------
    TypeError
        If it is no report, or no path.
    """
    needed("report", report, Report)
    path = file_path("path", path)
    _titled(report, new_axes(**PANELS, make=Figure))[0].figure.savefig(path, dpi=150)


def _titled(report: Report, axes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    axes[0].figure.suptitle(report.subject, fontsize="medium")
    return _draw(report, axes)


def _draw(report: Report, axes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flips, slopes, gradient, times, best, compared = axes
    train, optimised = report.train.parameters["flip"], report.best.parameters["flip"]
    echoes = np.arange(1, train.size + 1)
    line = marked("-", train.size)
    angles = "Flip angle (degrees)"
    sensitivity = r"$|\partial S/\partial T_2|$ (1/ms)"
    for ax in (flips, slopes, gradient, best, compared):
        numbered(ax, train.size)
    for ax in (flips, best):
        ax.set_ylim(min(0.0, train.min()) - 5, max(180.0, train.max()) + 5)

    panel(flips, "Refocusing flip angles", "Echo number", angles)
    flips.plot(echoes, train, ".", color=tint(EXACT))

    panel(slopes, "Signal derivative; finite difference of 1 ms", "Echo number", sensitivity)
    slopes.plot(echoes, abs(report.slope), "-", color=tint(EXACT), label="exact")
    slopes.plot(echoes, abs(report.slope_finite), ".", color=tint(FINITE), label="finite")

    derivative = r"$\partial\,\mathrm{CRLB}/\partial\alpha$ (ms$^2$/degree)"
    panel(gradient, "Gradient of the bound; finite differences of 1 degree", "Echo number", derivative)
    gradient.plot(echoes, report.gradient, "-", color=tint(EXACT), label="exact")
    gradient.plot(echoes, report.gradient_finite, ".", color=tint(FINITE), label="finite")

    panel(times, "Execution time", "", "Time (s)")
    _plot_times(times, report)

    title = f"Optimised flip angles: CRLB {report.bound:.0f} to {report.best_bound:.0f} ms$^2$"
    panel(best, title, "Echo number", angles)
    best.plot(echoes, train, ".:", color=tint(EXACT), label="start")
    best.plot(echoes, optimised, ".-", color=tint(BEST), label="optimised")

    gain = 1 - np.sqrt(report.best_bound / report.bound)
    panel(compared, f"What the optimised train sees: std of $T_2$ down {gain:.0%}", "Echo number", sensitivity)
    compared.plot(echoes, abs(report.slope), ".:", color=tint(EXACT), label="start")
    compared.plot(echoes, abs(report.best_slope), line, color=tint(BEST), label="optimised")
    for ax in (slopes, gradient, times, best, compared):
        legend(ax)
    return axes


def _plot_times(axes: Axes, report: Report) -> None:
    """Bars on a log scale, each with its time."""
    names = list(report.times)
    at = np.arange(len(names))
    for k, (label, color) in enumerate((("finite", FINITE), ("exact", EXACT))):
        bars = axes.bar(
            at + 0.4 * k - 0.2, [report.times[name][k] for name in names], 0.36, color=tint(color), label=label
        )
        texts = [f"{report.times[name][k] * 1e6:.0f} µs" for name in names]
        axes.bar_label(bars, texts, fontsize="small", padding=2)
    axes.set_yscale("log")
    axes.margins(y=0.25)
    axes.set_xticks(at, names)
    axes.grid(axis="x", visible=False)
