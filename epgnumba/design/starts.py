"""Starts of an optimisation: where they begin, one of them run with scipy, what they cost."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

from ..checks import Array
from ..notice import work_clock
from .feasibility import SLACK, count_rows, project, scaled, violation
from .objective import CRLBObjective

P = ParamSpec("P")
T = TypeVar("T")
MOST = 50  # starts that are made unasked,
OPERATIONS = 3e9  # while those before have taken fewer than so many: some seconds,
PATIENCE = 30.0  # and not as many seconds: own limits may be slow, and processors busy


def on_one_blas_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function keep to one thread of linear algebra, where threadpoolctl is installed.

    Optimisers solve small systems, thousands of times. A second thread is no help with these, and on a busy machine
    each waits for the other.
    """

    @functools.wraps(function)
    def run(*args: P.args, **given: P.kwargs) -> T:
        try:
            from threadpoolctl import threadpool_limits
        except ModuleNotFoundError:
            return function(*args, **given)
        with threadpool_limits(1, "blas"):
            return function(*args, **given)

    return run


class TimeLimitError(Exception):
    """Time is up."""


@dataclass(frozen=True)
class Cost:
    """About how many operations (of a nanosecond) an evaluation and an iteration take.

    Counted and not timed, so that the same call makes the same starts on any machine, however busy.
    """

    evaluation: float
    iteration: float

    @classmethod
    def of(cls, objective: CRLBObjective, limits: list[Any], x: Array, method: str) -> "Cost":
        evaluation = 1e5 + 10.0 * objective.updates
        if method == "L-BFGS-B":
            return cls(evaluation, 1e5)
        solved = 5.0 * x.size**2 * (10 + count_rows(limits, x))  # a least-squares problem within the limits
        return cls(evaluation, solved + (1e6 if method == "trust-constr" else 1e5))


class Watch:
    """The objective as the optimiser sees it, scaled; what it has cost; and the best feasible point so far."""

    def __init__(
        self,
        objective: CRLBObjective,
        scale: Array,
        value_scale: float,
        limits: list[Any],
        cost: Cost,
        deadline: float,
    ) -> None:
        self._objective, self._limits, self._deadline, self._cost = objective, limits, deadline, cost
        self.scale, self.value_scale = scale, value_scale
        self.calls, self.seconds, self.operations = 0, 0.0, 0.0
        self._sound: tuple[Array, float] | None = None  # the last point with a finite value
        self.last: tuple[Array, float] | None = None
        self.best: tuple[float, Array] | None = None
        self.history: list[float] = []

    def __call__(self, z: Array) -> tuple[float, Array]:
        start = work_clock()
        if start > self._deadline and self.calls:
            raise TimeLimitError
        x = self._tidied(z * self.scale)
        self.calls += 1
        self.operations += self._cost.evaluation
        try:
            with np.errstate(invalid="ignore"):  # a gradient where there is no value; refused below
                value, gradient = self._objective(x)
        except ValueError:
            if self._sound is None:
                raise
            value, gradient = np.inf, np.zeros_like(x)  # no protocol at all
        self.seconds += work_clock() - start
        self.last = (x.copy(), value)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return self._wall(z)
        if (self.best is None or value < self.best[0]) and violation(x, self._limits) <= SLACK:
            self.best = (value, x.copy())
        self._sound = (z.copy(), value / self.value_scale)
        return value / self.value_scale, gradient * self.scale / self.value_scale

    def _wall(self, z: Array) -> tuple[float, Array]:
        """What sends a line search back to the last sound point."""
        if self._sound is None:
            return 1e30, np.zeros_like(z)
        away, height = z - self._sound[0], abs(self._sound[1]) + 1
        return float(self._sound[1] + height * (1 + away @ away)), 2 * height * away

    def _tidied(self, x: Array) -> Array:
        """`x` on a bound that it misses by rounding."""
        for limit in self._limits:
            if isinstance(limit, Bounds):
                inside = np.clip(x, limit.lb, limit.ub)
                x = np.where(abs(x - inside) <= SLACK * np.maximum(1.0, abs(inside)), inside, x)
        return x

    def hessp(self, z: Array, p: Array) -> Array:
        start = work_clock()
        if start > self._deadline:
            raise TimeLimitError
        product = self._objective.hessp(z * self.scale, p * self.scale) * self.scale / self.value_scale
        self.seconds += work_clock() - start
        self.operations += 8 * self._cost.evaluation  # complex arithmetic, for a program of its own
        return product

    def iterated(self) -> tuple[Array, float] | None:
        """Note the end of an iteration; its point and value."""
        self.operations += self._cost.iteration
        if self.last is not None:
            self.history.append(self.last[1])
        return self.last


def random_start(x: Array, limits: list[Any], scale: Array, rng: np.random.Generator) -> Array | None:
    """A random point between the bounds, or around `x`, that keeps the limits; None if none is found.

    Between bounds, points near either are the likelier ones (a beta distribution of 1/2, 1/2): many entries of the best
    protocols lie on them, and starts that are spread evenly come there less often.
    """
    point = x + 0.3 * np.where(x == 0, scale, abs(x)) * rng.normal(size=x.shape)
    for limit in limits:
        if isinstance(limit, Bounds):
            low, high = np.broadcast_to(limit.lb, x.shape), np.broadcast_to(limit.ub, x.shape)
            boxed = np.isfinite(low) & np.isfinite(high)
            inside = np.where(boxed, low, 0) + rng.beta(0.5, 0.5, size=x.shape) * np.where(boxed, high - low, 0)
            point = np.where(boxed, inside, np.clip(point, low, high))
    try:
        return project(point, limits)
    except ValueError:
        return None


def run(
    watch: Watch,
    start: Array,
    method: str,
    limits: list[Any],
    most: int,
    accuracy: float,
    smallest: float,
    after: Callable[[Array, float], None],
) -> OptimizeResult:
    """One start. `accuracy` is a relative change of the objective to stop at, `smallest` the same in scaled units."""
    scale = watch.scale
    value = watch(start / scale)[0] * watch.value_scale
    watch.history.append(float(value))

    def iterated(_: Any = None, *state: Any) -> None:
        reached = watch.iterated()
        if reached is not None:
            after(*reached)

    within = [scaled(limit, scale, method == "trust-constr") for limit in limits]
    box = next((limit for limit in within if isinstance(limit, Bounds)), None)
    rest = [limit for limit in within if not isinstance(limit, Bounds)]
    options: dict[str, Any] = {"maxiter": most}
    extra: dict[str, Any] = {"constraints": rest} if rest else {}
    if method == "trust-constr":
        options |= {"gtol": 1e-3 * accuracy**0.5, "xtol": 1e-10}
        extra["hessp"] = watch.hessp
    else:
        options["ftol"] = smallest if method == "SLSQP" else accuracy
    if method == "L-BFGS-B":
        options["maxfun"] = 10 * most
    with warnings.catch_warnings():  # what older versions of SLSQP say of their own rounding
        warnings.filterwarnings("ignore", "Values in x were outside bounds")
        return minimize(
            watch, start / scale, jac=True, bounds=box, method=method, callback=iterated, options=options, **extra
        )
