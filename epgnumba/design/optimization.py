"""From a question to a protocol: starts, and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, OptimizeResult

from ..checks import Array, choice, count, flag, needed, scalar, shown, warn_caller
from ..checks import seed as read_seed
from ..names import knows_names
from ..notice import preparing, progress_bar, work_clock
from .feasibility import SLACK, active_limits, broken, check_limits, project, violation
from .objective import CRLBObjective
from .result import Design
from .starts import MOST, OPERATIONS, PATIENCE, Cost, TimeLimitError, Watch, on_one_blas_thread, random_start, run

Limit: TypeAlias = Bounds | LinearConstraint | NonlinearConstraint
METHODS = ("SLSQP", "L-BFGS-B", "trust-constr")
MOST_STARTS, MOST_ITERATIONS = 1_000_000, 1_000_000_000
CAUTION = 0.1  # see `_sizes`
STOPPED = "interrupted", "the time limit was reached"


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


@knows_names
@on_one_blas_thread
def optimize(
    objective: CRLBObjective,
    limits: Limit | Sequence[Limit] = (),
    *,
    method: Literal["SLSQP", "L-BFGS-B", "trust-constr"] | None = None,
    x0: npt.ArrayLike | None = None,
    infeasible: Literal["project", "refuse"] = "project",
    starts: int | None = None,
    seed: int = 0,
    max_iterations: int = 500,
    tolerance: float = 1e-9,
    time_limit: float = np.inf,
    progress: bool = False,
    callback: Callable[[Array, float], None] | None = None,
) -> Design:
    """Optimise a protocol within limits.

    Parameters and objective are scaled by their curvature at the start. Each start ends in a local optimum, and there
    may be many: where they are cheap, several are made, and the best is returned with the values of all. Interrupting
    (Ctrl-C), or running out of time, returns the best feasible point so far.

    Linear algebra keeps to one thread meanwhile, where threadpoolctl is installed.

    Warns if one start was all that could be made of several: the result may be any local optimum then.

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
    starts : int, optional
        How many starts: `x0`, then random ones between the bounds (or around `x0` where there are none). By default up
        to 50, until about three seconds' work is done. Work is counted in operations, so the default makes the same
        starts on any machine, unless half a minute has passed (a busy machine, slow limits of your own): then no more
        begin. `starts=n` is n, whatever it takes.
    seed : int
        Of the random starts; the same ones for the same seed.
    max_iterations : int
        For each start.
    tolerance : float
        Relative change of the objective to stop at.
    time_limit : float
        Seconds of the search; what is compiled or loaded for it does not count.
    progress : bool
        Whether to show a progress bar.
    callback : callable, optional
        Called with (x, value) after each iteration, of every start.

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
    needed("objective", objective, CRLBObjective)
    flag("progress", progress)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback={shown(callback)} is not callable")
    box = check_limits(limits, objective.map.count)
    chosen = _choose_method(method, box)
    choice("infeasible", infeasible, ("project", "refuse"))
    wanted = None if starts is None else count("starts", starts, most=MOST_STARTS)
    most = count("max_iterations", max_iterations, most=MOST_ITERATIONS)
    root = read_seed("seed", seed)
    accuracy = scalar("tolerance", tolerance, positive=True, maximum=1.0)
    allowed = scalar("time_limit", time_limit, positive=True, infinite=True, unit="seconds")
    begun, prepared = work_clock(), preparing.seconds()
    first = objective.read(objective.x0 if x0 is None else x0, "x0")
    if infeasible == "refuse" and violation(first, box) > SLACK:
        raise ValueError(f"the start breaks limits: {broken(first, box)}")
    origin = project(first, box)
    _check_sight(objective, origin)
    bounds = next((each for each in box if isinstance(each, Bounds)), None)
    value, scale, value_scale = _sizes(objective, origin, bounds)
    smallest = accuracy * abs(value) / value_scale
    cost = Cost.of(objective, box, origin, chosen)
    watches: list[Watch] = []
    outcomes: list[Any] = []
    patient_until = work_clock() + PATIENCE
    with progress_bar(progress, desc="design", unit=" iterations") as bar:
        for n in range(wanted or MOST):
            if n and wanted is None and _enough(watches, patient_until):
                break
            watch = Watch(objective, scale, value_scale, box, cost, begun + allowed)
            watches.append(watch)
            outcomes.append(OptimizeResult(message="nothing feasible was found", success=False, nit=0))
            after = _reporter(bar, f"design, start {n + 1} of {wanted or f'up to {MOST}'}", watches, callback)
            try:
                start = origin if n == 0 else random_start(origin, box, scale, np.random.default_rng([root, n]))
                if start is not None:
                    outcomes[n] = run(watch, start, chosen, box, most, accuracy, smallest, after)
            except ValueError:
                if n == 0:
                    raise
            except (KeyboardInterrupt, TimeLimitError) as stop:
                message = STOPPED[isinstance(stop, TimeLimitError)]
                outcomes[n] = OptimizeResult(message=message, success=False, nit=max(len(watch.history) - 1, 0))
                break
    design = _report(objective, first, watches, outcomes, box, begun, prepared)
    if wanted != 1 and np.isfinite(design.starts).sum() == 1 and design.message not in STOPPED:
        made = len(design.starts)
        reason = "more would take long" if made == 1 else f"{made - 1} others found nothing feasible"
        warn_caller(f"the design comes from one start ({reason}) and may be any local optimum: try starts=n")
    return design


def _enough(watches: list[Watch], patient_until: float) -> bool:
    """Whether the starts made so far are all that the default affords."""
    return sum(watch.operations for watch in watches) >= OPERATIONS or work_clock() > patient_until


def _reporter(
    bar: Any, label: str, watches: list[Watch], callback: Callable[[Array, float], None] | None
) -> Callable[[Array, float], None]:
    """What is called after each iteration of a start."""
    bar.set_description_str(label, refresh=False)

    def after(x: Array, value: float) -> None:
        best = min((watch.best[0] for watch in watches if watch.best), default=np.nan)
        bar.update()
        bar.set_postfix_str(f"value {value:.6g}, best {best:.6g}", refresh=False)
        if callback is not None:
            callback(x, value)

    return after


def _choose_method(method: str | None, limits: list[Any]) -> str:
    only_bounds = all(isinstance(limit, Bounds) for limit in limits)
    if sum(isinstance(limit, Bounds) for limit in limits) > 1:
        raise ValueError("limits hold Bounds more than once; give one, with all parameters")
    default = "L-BFGS-B" if only_bounds else "SLSQP"
    chosen = choice("method", default if method is None else method, METHODS)
    if chosen == "L-BFGS-B" and not only_bounds:
        raise ValueError("method='L-BFGS-B' takes bounds only; use 'SLSQP' or 'trust-constr' for other limits")
    return chosen


def _sizes(objective: CRLBObjective, x: Array, box: Bounds | None) -> tuple[float, Array, float]:
    """The value at `x`; what variables and objective are measured in, so that an optimiser that knows no curvature
    starts well.

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
    return value, scale, value * CAUTION if curved else value


def _report(
    objective: CRLBObjective,
    first: Array,
    watches: list[Watch],
    outcomes: list[Any],
    limits: list[Any],
    begun: float,
    prepared: float,
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
        seconds=work_clock() - begun,
        compile_seconds=preparing.seconds() - prepared,
        objective_seconds=sum(each.seconds for each in watches),
    )


def _multipliers(outcome: Any, value_scale: float, count: int) -> Any:
    """Multipliers of the unscaled objective: SLSQP gives one array, trust-constr one per limit, then the bounds'."""
    found = outcome.get("multipliers", outcome.get("v"))
    if found is None:
        return None
    parts = found[:count] if isinstance(found, list) else [found]
    return value_scale * np.concatenate([np.ravel(part) for part in parts] or [np.zeros(0)])
