"""From a question to a protocol: optimisation with scipy, and the evidence."""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, OptimizeResult, minimize
from tqdm import tqdm

from ..checks import Array, count, scalar, shown
from .feasibility import SLACK, active_limits, broken, check_limits, project, scaled, violation
from .objective import CRLBObjective
from .result import Design

METHODS = ("SLSQP", "L-BFGS-B", "trust-constr")
CAUTION = 0.1  # see `_sizes`
STOPPED = "interrupted", "the time limit was reached"


class _TimeLimitError(Exception):
    """Time is up."""


class _Watch:
    """The objective as the optimiser sees it, scaled; what it has cost; and the best feasible point so far."""

    def __init__(
        self, objective: CRLBObjective, scale: Array, value_scale: float, limits: list[Any], deadline: float
    ) -> None:
        self._objective, self._limits, self._deadline = objective, limits, deadline
        self.scale, self.value_scale = scale, value_scale
        self.calls, self.seconds = 0, 0.0
        self._sound: tuple[Array, float] | None = None  # the last point with a finite value
        self.last: tuple[Array, float] | None = None
        self.best: tuple[float, Array] | None = None
        self.history: list[float] = []

    def __call__(self, z: Array) -> tuple[float, Array]:
        start = time.perf_counter()
        if start > self._deadline and self.calls:
            raise _TimeLimitError
        x = self._tidied(z * self.scale)
        self.calls += 1
        try:
            value, gradient = self._objective(x)
        except ValueError:
            if self._sound is None:
                raise
            value, gradient = np.inf, np.zeros_like(x)  # no protocol at all
        self.seconds += time.perf_counter() - start
        self.last = (x.copy(), value)
        if (self.best is None or value < self.best[0]) and violation(x, self._limits) <= SLACK:
            self.best = (value, x.copy())
        if np.isfinite(value):
            self._sound = (z.copy(), value / self.value_scale)
            return value / self.value_scale, gradient * self.scale / self.value_scale
        if self._sound is None:
            return 1e30, np.zeros_like(z)
        away, height = z - self._sound[0], abs(self._sound[1]) + 1  # a wall that sends a line search back
        return float(self._sound[1] + height * (1 + away @ away)), 2 * height * away

    def _tidied(self, x: Array) -> Array:
        """`x` on a bound that it misses by rounding."""
        for limit in self._limits:
            if isinstance(limit, Bounds):
                inside = np.clip(x, limit.lb, limit.ub)
                x = np.where(abs(x - inside) <= SLACK * np.maximum(1.0, abs(inside)), inside, x)
        return x

    def hessp(self, z: Array, p: Array) -> Array:
        start = time.perf_counter()
        if start > self._deadline:
            raise _TimeLimitError
        product = self._objective.hessp(z * self.scale, p * self.scale) * self.scale / self.value_scale
        self.seconds += time.perf_counter() - start
        return product


def _check_sight(objective: CRLBObjective, x: Array) -> None:
    """Refuse unknowns that the protocol cannot see, by name."""
    bounds = objective.alone(x)
    for k, name in enumerate(objective.unknowns):
        blind = np.argwhere(np.isinf(bounds[..., k]))
        if len(blind):
            where = "" if len(blind) == bounds[..., k].size else f" in tissue {tuple(map(int, blind[0]))}"
            raise ValueError(f"the protocol cannot see the unknown {name}{where}: no readout depends on it")
    if not np.isfinite(objective(x)[0]):
        raise ValueError(f"the protocol cannot tell the unknowns {list(objective.unknowns)} apart in some tissue")


def optimize(
    objective: CRLBObjective,
    limits: Sequence[Bounds | LinearConstraint | NonlinearConstraint] = (),
    *,
    method: str | None = None,
    x0: npt.ArrayLike | None = None,
    infeasible: str = "project",
    starts: int = 1,
    seed: int = 0,
    max_iterations: int = 500,
    tolerance: float = 1e-9,
    time_limit: float = np.inf,
    progress: bool = True,
    callback: Callable[[Array, float], None] | None = None,
) -> Design:
    """Optimise a protocol within limits.

    Parameters and objective are scaled by their curvature at the start. Interrupting (Ctrl-C), or running out of time,
    returns the best feasible point so far.

    Parameters
    ----------
    objective : CRLBObjective
        What to make small.
    limits : sequence of scipy constraints
        From `epgnumba.design.limits`, or any `Bounds`, `LinearConstraint` or `NonlinearConstraint` on the variables.
    method : 'SLSQP', 'L-BFGS-B' or 'trust-constr', optional
        By default 'L-BFGS-B' for bounds alone, else 'SLSQP', whose time grows with the cube of the number of variables:
        a `BSpline` of few coefficients costs a percent of precision and little time. 'trust-constr' takes the
        objective's exact Hessian-vector products.
    x0 : array_like, optional
        Where to start; the objective's own sequence by default.
    infeasible : 'project' or 'refuse'
        What becomes of a start that breaks a limit: the closest point that does not, or an error.
    starts : int
        How many starts: `x0`, then random ones between the bounds (or around `x0` where there are none).
    seed : int
        Of the random starts.
    max_iterations : int
        For each start.
    tolerance : float
        Relative change of the objective to stop at.
    time_limit : float
        Seconds.
    progress : bool
        Whether to show a progress bar.
    callback : callable, optional
        Called with (x, value) after each iteration.

    Returns
    -------
    Design

    Raises
    ------
    TypeError, ValueError
        Before anything runs: if an argument is not allowed, limits contradict each other or cannot be met, or the
        protocol cannot see an unknown.

    Examples
    --------
    >>> import epgnumba
    >>> from epgnumba.design import limits, optimize
    >>> train = epgnumba.FSE([60.0] * 8, ESP=8)
    >>> objective = epgnumba.CRLBObjective(train, 1000, 80, unknowns=("M0", "T2"), weights=[0, 1])
    >>> found = optimize(objective, [limits.bounds(objective, flip=(20, 150))], progress=False)
    >>> found.fun < 0.5 * found.value_before
    True
    """
    box = check_limits(limits, objective.map.count)
    chosen = _choose_method(method, box)
    if infeasible not in ("project", "refuse"):
        raise ValueError(f"infeasible={shown(infeasible)} is not allowed: it must be 'project' or 'refuse'")
    wanted, most = count("starts", starts), count("max_iterations", max_iterations)
    root = count("seed + 1", seed + 1 if isinstance(seed, int) else seed) - 1
    accuracy = scalar("tolerance", tolerance, positive=True)
    allowed = scalar("time_limit", time_limit, positive=True, infinite=True, unit="seconds")
    begun = time.perf_counter()
    first = objective.read(objective.x0 if x0 is None else x0)
    if infeasible == "refuse" and violation(first, box) > SLACK:
        raise ValueError(f"the start breaks limits: {broken(first, box)}")
    origin = project(first, box)
    _check_sight(objective, origin)
    scale, value_scale = _sizes(objective, origin, next((each for each in box if isinstance(each, Bounds)), None))
    watches: list[_Watch] = []
    outcomes: list[Any] = []
    with tqdm(disable=not progress, desc="design", unit="iterations") as bar:
        for n in range(wanted):
            watch = _Watch(objective, scale, value_scale, box, begun + allowed)
            watches.append(watch)
            outcomes.append(OptimizeResult(message="nothing feasible was found", success=False, nit=0))
            try:
                start = origin if n == 0 else _random_start(origin, box, np.random.default_rng([root, n]))
                if start is not None:
                    outcomes[n] = _run(watch, start, chosen, box, most, accuracy, bar, callback)
            except ValueError:
                if n == 0:
                    raise
            except (KeyboardInterrupt, _TimeLimitError) as stop:
                message = STOPPED[isinstance(stop, _TimeLimitError)]
                outcomes[n] = OptimizeResult(message=message, success=False, nit=max(len(watch.history) - 1, 0))
                break
    return _report(objective, first, watches, outcomes, box, begun)


def _choose_method(method: str | None, limits: list[Any]) -> str:
    only_bounds = all(isinstance(limit, Bounds) for limit in limits)
    if sum(isinstance(limit, Bounds) for limit in limits) > 1:
        raise ValueError("limits hold Bounds more than once; give one, with all parameters")
    chosen = method or ("L-BFGS-B" if only_bounds else "SLSQP")
    if chosen not in METHODS:
        raise ValueError(f"method={shown(method)} is not allowed: it must be one of {METHODS}")
    if chosen == "L-BFGS-B" and not only_bounds:
        raise ValueError("method='L-BFGS-B' takes bounds only; use 'SLSQP' or 'trust-constr' for other limits")
    return chosen


def _sizes(objective: CRLBObjective, x: Array, box: Bounds | None) -> tuple[Array, float]:
    """What variables and objective are measured in, so that an optimiser that knows no curvature starts well.

    The curvature along each parameter's gradient, from one exact Hessian-vector product, makes the parameters alike.
    The objective is then scaled to a tenth of the remaining curvature: too long a first step is cut by the line search,
    too short a one costs iterations.
    """
    value, gradient = objective(x)
    scale = np.maximum(abs(x), 1e-2 * abs(x).max(initial=1.0) + 1e-12)
    if box is not None:
        span = np.broadcast_to(box.ub - box.lb, x.shape)
        scale = np.where(np.isfinite(span) & (span > 0), span / 4, scale)
    curved = False
    for place in objective.map.places.values():
        along = np.zeros_like(x)
        along[place] = gradient[place]
        size = along @ along
        curvature = along @ objective.hessp(x, along) / size if size > 0 else 0.0
        if curvature > 0 and np.isfinite(curvature):
            scale[place] = np.sqrt(value / curvature)
            curved = True
    return scale, value * CAUTION if curved else value


def _random_start(x: Array, limits: list[Any], rng: np.random.Generator) -> Array | None:
    """A random point between the bounds, or around `x`, that keeps the limits; None if none is found."""
    point = x * (1 + 0.3 * rng.normal(size=x.shape))
    for limit in limits:
        if isinstance(limit, Bounds):
            low, high = np.broadcast_to(limit.lb, x.shape), np.broadcast_to(limit.ub, x.shape)
            boxed = np.isfinite(low) & np.isfinite(high)
            inside = np.where(boxed, low, 0) + rng.uniform(size=x.shape) * np.where(boxed, high - low, 0)
            point = np.where(boxed, inside, np.clip(point, low, high))
    try:
        return project(point, limits)
    except ValueError:
        return None


def _run(
    watch: _Watch,
    start: Array,
    method: str,
    limits: list[Any],
    most: int,
    accuracy: float,
    bar: Any,
    callback: Callable[[Array, float], None] | None,
) -> OptimizeResult:
    """One start."""
    scale = watch.scale
    value = watch(start / scale)[0] * watch.value_scale
    watch.history.append(float(value))

    def after(_: Any = None, *state: Any) -> None:
        if watch.last is not None:
            x, current = watch.last
            watch.history.append(current)
            bar.update()
            bar.set_postfix_str(f"value {current:.6g}", refresh=False)
            if callback is not None:
                callback(x, current)

    within = [scaled(limit, scale, method == "trust-constr") for limit in limits]
    box = next((limit for limit in within if isinstance(limit, Bounds)), None)
    rest = [limit for limit in within if not isinstance(limit, Bounds)]
    options: dict[str, Any] = {"maxiter": most}
    extra: dict[str, Any] = {"constraints": rest} if rest else {}
    if method == "trust-constr":
        options |= {"gtol": 1e-3 * accuracy**0.5, "xtol": 1e-10}
        extra["hessp"] = watch.hessp
    else:
        options["ftol"] = accuracy * abs(value) / watch.value_scale if method == "SLSQP" else accuracy
    if method == "L-BFGS-B":
        options["maxfun"] = 10 * most
    with warnings.catch_warnings():  # what older versions of SLSQP say of their own rounding
        warnings.filterwarnings("ignore", "Values in x were outside bounds")
        return minimize(
            watch, start / scale, jac=True, bounds=box, method=method, callback=after, options=options, **extra
        )


def _report(
    objective: CRLBObjective, first: Array, watches: list[_Watch], outcomes: list[Any], limits: list[Any], begun: float
) -> Design:
    values = [watch.best[0] if watch.best else np.nan for watch in watches]
    if np.isnan(values).all():
        raise ValueError("no feasible point was found")
    best = int(np.nanargmin(values))
    watch, outcome = watches[best], outcomes[best]
    assert watch.best is not None
    value, x = watch.best
    stopped = outcomes[-1] if outcomes[-1].message in STOPPED else outcome
    sequence = objective.sequence(x)
    try:
        value_before, bounds_before = objective(first)[0], objective.bounds(first)
    except ValueError:  # a start that was no protocol
        value_before, bounds_before = np.nan, np.full_like(objective.bounds(x), np.nan)
    return Design(
        x=x,
        fun=value,
        success=bool(outcome.success) and stopped is outcome,
        message=str(stopped.message),
        nit=int(outcome.get("nit", 0)),
        nfev=sum(each.calls for each in watches),
        sequence=sequence,
        parameters={name: np.array(values) for name, values in sequence.parameters.items()},
        unknowns=objective.unknowns,
        value_before=value_before,
        bounds_before=bounds_before,
        bounds_after=objective.bounds(x),
        active=active_limits(objective.map.places, x, limits),
        multipliers=_multipliers(outcome, watch.value_scale, sum(not isinstance(each, Bounds) for each in limits)),
        history=np.array(watch.history),
        starts=np.array(values),
        seconds=time.perf_counter() - begun,
        objective_seconds=sum(each.seconds for each in watches),
    )


def _multipliers(outcome: Any, value_scale: float, count: int) -> Any:
    """Multipliers of the unscaled objective: SLSQP gives one array, trust-constr one per limit, then the bounds'."""
    found = outcome.get("multipliers", outcome.get("v"))
    if found is None:
        return None
    parts = found[:count] if isinstance(found, list) else [found]
    return value_scale * np.concatenate([np.ravel(part) for part in parts] or [np.zeros(0)])
