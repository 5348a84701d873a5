"""The package's main job in one go: a fast spin echo, its T2 derivative, the bound on T2 and the bound's gradient.

Each is computed by finite differences and exactly, and timed; then the flip angles are optimised.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from .checks import FLIP, INTERVAL, Array, count, pulse_count, scalar
from .design import CRLBObjective, crlb
from .names import knows_names
from .problem import ComplexArray
from .sequence import FSE
from .tissue_parameters import TISSUE
from .verbs import jacobian, simulate


def timed(function: Callable[[], Any], repeats: int = 5) -> tuple[Any, float]:
    """Result and median time (s) of a call, after one that may compile."""
    result, times = function(), []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return result, float(np.median(times))


def finite_slope(train: FSE, T1: float, T2: float, step: float = 1.0) -> ComplexArray:
    """Derivative of the signal with respect to T2 by a forward difference, per ms."""
    return np.asarray((simulate(train, T1, T2 + step) - simulate(train, T1, T2)) / step)


def finite_gradient(train: FSE, T1: float, T2: float, step: float = 1.0) -> Array:
    """Gradient of the bound on T2 with respect to the flip angles by forward differences, ms^2 per degree."""

    def bound(flip: Array) -> float:
        return float(crlb(finite_slope(train.replace(flip=flip), T1, T2)[None])[0])

    flip = train.parameters["flip"]
    start = bound(flip)
    return np.array([bound(flip + step * unit) - start for unit in np.eye(flip.size)]) / step


@dataclass
class Report:
    """What the demo found. Times in s, slopes per ms, bounds in ms^2, gradients in ms^2 per degree."""

    train: FSE
    T1: float
    T2: float
    slope: ComplexArray
    slope_finite: ComplexArray
    bound: float
    gradient: Array
    gradient_finite: Array
    times: dict[str, tuple[float, float]]  # by finite differences, exactly
    best: FSE
    best_slope: ComplexArray
    best_bound: float
    seconds: float
    calls: int

    @property
    def subject(self) -> str:
        """What is played on what, and what is asked."""
        flips = self.train.parameters["flip"]
        angles = " to ".join(f"{angle:g}" for angle in sorted({flips.min(), flips.max()}))
        return (
            f"Fast spin echo, {flips.size} echoes of {angles} degrees, ESP {self.train.parameters['ESP']:g} ms; "
            f"T1 {self.T1:g} ms, T2 {self.T2:g} ms; unknown: T2; noise 1, M0 1"
        )


@knows_names
def measure(n_echoes: int = 96, flip: float = 60.0, ESP: float = 5.0, T1: float = 1000.0, T2: float = 100.0) -> Report:
    """Compute and time everything, for a train of constant flip angle and one tissue (degrees, ms).

    The noise has standard deviation 1 in real and imaginary part, where the equilibrium magnetisation is 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> report = measure(n_echoes=8)
    >>> report.best_bound < report.bound
    True
    """
    pulse_count("n_echoes", count("n_echoes", n_echoes))
    flip, ESP = scalar("flip", flip, **FLIP), scalar("ESP", ESP, **INTERVAL)
    T1, T2 = scalar("T1", T1, **TISSUE["T1"].limits), scalar("T2", T2, **TISSUE["T2"].limits)
    train = FSE(np.full(n_echoes, flip), ESP)
    slope_finite, slope_slow = timed(lambda: finite_slope(train, T1, T2))
    gradient_finite, gradient_slow = timed(lambda: finite_gradient(train, T1, T2), repeats=3)
    (_, slope), slope_fast = timed(lambda: jacobian(train, T1, T2, diff="T2"))
    objective = CRLBObjective(train, T1, T2, unknowns="T2")
    start = objective.x0
    (bound, gradient), gradient_fast = timed(lambda: objective(start))
    begin = time.perf_counter()
    found = minimize(
        lambda x: tuple(part / bound for part in objective(x)),  # of order one, as optimisers like it
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(min(0.0, flip), max(180.0, flip))] * n_echoes,
        options={"maxiter": 500, "ftol": 1e-12},
    )
    seconds = time.perf_counter() - begin
    best = train.replace(flip=found.x)
    times = {"signal derivative": (slope_slow, slope_fast), "CRLB gradient": (gradient_slow, gradient_fast)}
    best_slope = jacobian(best, T1, T2, diff="T2")[1]
    return Report(
        train, T1, T2, slope, slope_finite, bound, gradient, gradient_finite, times, best, best_slope,
        float(found.fun * bound), seconds, int(found.nfev),
    )  # fmt: skip


def table(report: Report) -> str:
    """The report in a few lines."""
    error = abs(report.gradient_finite - report.gradient).max() / abs(report.gradient).max()
    rows = [
        report.subject,
        f"{'':24}{'finite differences':>20}{'exact':>14}{'ratio':>9}",
        *(
            f"{name + ', time':24}{slow * 1e6:17.0f} us{fast * 1e6:11.0f} us{slow / fast:9.1f}"
            for name, (slow, fast) in report.times.items()
        ),
        f"{'CRLB(T2)':24}{'':20}{report.bound:9.3f} ms^2",
        f"{'its gradient, first':24}{report.gradient_finite[0]:20.3f}{report.gradient[0]:14.3f}  ms^2/degree",
        f"{'largest difference':24}{error:19.1%}  of the largest entry (a step of 1 degree is not small)",
        f"{'optimised flip angles':24}{'':20}{report.best_bound:9.3f} ms^2  "
        f"(T2 std down by {1 - np.sqrt(report.best_bound / report.bound):.1%})",
        f"{'':24}{report.calls} evaluations in {report.seconds * 1e3:.0f} ms",
    ]
    return "\n".join(rows)
