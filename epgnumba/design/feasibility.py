"""Whether a point keeps scipy's constraints, the closest one that does, and which of them it touches."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, minimize

from ..checks import Array, shown

SLACK = 1e-6  # of a limit's size: what still counts as met


def violation(x: Array, limits: Sequence[Any]) -> float:
    """By how much `x` breaks limits, relative to their size; zero if it keeps them."""
    worst = 0.0
    for limit in limits:
        values, low, high = _ends(limit, x)
        if np.isnan(values).any():
            return np.inf
        size = _size(low, high)
        worst = max(worst, float((np.maximum(low - values, values - high) / size).max(initial=0.0)))
    return worst


def _size(low: Array, high: Array) -> Array:
    """What a violation is measured against."""
    largest = np.maximum(*(np.where(np.isfinite(end), abs(end), 0.0) for end in (low, high)))
    return np.where(largest > 0, largest, 1.0)


def _dense(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if scipy.sparse.issparse(matrix) else matrix, np.float64)


def _ends(limit: Any, x: Array) -> tuple[Array, Array, Array]:
    """Values that a limit is about, and their smallest and largest."""
    if isinstance(limit, Bounds):
        values = x
    elif isinstance(limit, LinearConstraint):
        values = np.atleast_1d(np.asarray(_dense(limit.A) @ x))
    else:
        values = np.atleast_1d(np.asarray(limit.fun(x), np.float64))
    return values, np.broadcast_to(limit.lb, values.shape), np.broadcast_to(limit.ub, values.shape)


def count_rows(limits: Sequence[Any], x: Array) -> int:
    """How many numbers the limits other than bounds are about."""
    return sum(_ends(limit, x)[0].size for limit in limits if not isinstance(limit, Bounds))


def scaled(limit: Any, scale: Array, curved: bool = False) -> Any:
    """A limit on z = x / scale; `curved`: with its Hessian, if it has one."""
    if isinstance(limit, Bounds):
        return Bounds(limit.lb / scale, limit.ub / scale)
    if isinstance(limit, LinearConstraint):
        return LinearConstraint(_dense(limit.A) * scale, limit.lb, limit.ub)

    def jacobian(z: Array) -> Array:
        return np.asarray(np.atleast_2d(_dense(limit.jac(z * scale))) * scale)

    options: dict[str, Any] = {"jac": jacobian if callable(limit.jac) else limit.jac}
    hess = getattr(limit, "exact_hess", limit.hess)
    if curved and callable(hess):
        options["hess"] = lambda z, v: np.asarray(hess(z * scale, v)) * scale * scale[:, None]
    return NonlinearConstraint(lambda z: limit.fun(z * scale), limit.lb, limit.ub, **options)


def check_limits(limits: Any, size: int) -> list[Any]:
    """Limits as a list, each checked against the number of variables; one stands for a list of one.

    Raises
    ------
    TypeError, ValueError
        If one is of another kind, does not fit, or contradicts itself.
    """
    kinds = Bounds, LinearConstraint, NonlinearConstraint
    if isinstance(limits, kinds):
        limits = [limits]
    if not isinstance(limits, (list, tuple)):
        raise TypeError(f"limits={shown(limits)} is not allowed: a list of scipy's constraints is needed")
    for limit in limits:
        if not isinstance(limit, kinds):
            raise TypeError(f"limits: {shown(limit)} is not Bounds, LinearConstraint or NonlinearConstraint")
        if isinstance(limit, NonlinearConstraint) and not callable(limit.fun):
            raise TypeError(f"limits: {_label(limit)} has fun={shown(limit.fun)}, which is not callable")
        if isinstance(limit, Bounds) and not {np.size(limit.lb), np.size(limit.ub)} <= {1, size}:
            raise ValueError(f"limits: bounds of {np.size(limit.lb)} variables do not fit the objective's {size}")
        if isinstance(limit, LinearConstraint) and np.atleast_2d(_dense(limit.A)).shape[1] != size:
            raise ValueError(f"limits: {_label(limit)} is not about the objective's {size} variables")
        if np.isnan(np.asarray(limit.lb, float)).any() or np.isnan(np.asarray(limit.ub, float)).any():
            raise ValueError(f"limits: {_label(limit)} has an end that is nan")
        if np.any(np.asarray(limit.lb) > np.asarray(limit.ub)):
            raise ValueError(f"limits: {_label(limit)} has a lower end above its upper end")
    return list(limits)


def broken(x: Array, limits: Sequence[Any]) -> str:
    return "; ".join(_label(limit) for limit in limits if violation(x, [limit]) > SLACK)


def _label(limit: Any) -> str:
    return str(getattr(limit, "label", type(limit).__name__))


def project(x: Array, limits: Sequence[Any]) -> Array:
    """The point closest to `x`, by the size of each variable, that keeps all limits.

    Raises
    ------
    ValueError
        If there is none, naming the limits that stay broken.
    """
    if violation(x, limits) <= SLACK:
        return x
    boxes = [limit for limit in limits if isinstance(limit, Bounds)]
    inside = x
    for box in boxes:
        inside = np.clip(inside, box.lb, box.ub)
    if violation(inside, limits) <= SLACK:
        return inside
    scale = np.maximum(abs(inside), 1e-3 * abs(inside).max(initial=1.0))
    found = minimize(
        lambda z: (((z - x / scale) ** 2).sum(), 2 * (z - x / scale)),
        inside / scale,
        jac=True,
        method="SLSQP",
        bounds=scaled(boxes[0], scale) if boxes else None,
        constraints=[scaled(limit, scale) for limit in limits if not isinstance(limit, Bounds)],
        options={"maxiter": 300, "ftol": 1e-14},
    )
    nearest = np.asarray(found.x * scale)
    for box in boxes:
        nearest = np.clip(nearest, box.lb, box.ub)
    if violation(nearest, limits) > 1e-5:
        raise ValueError(f"the limits cannot all be met: {broken(nearest, limits)}")
    return nearest


def active_limits(places: Mapping[str, slice], x: Array, limits: list[Any]) -> list[str]:
    """Limits that `x` touches, in words."""
    active = []
    for limit in limits:
        values, low, high = _ends(limit, x)
        near = 1e-5 * _size(low, high)
        at_low, at_high = abs(values - low) <= near, abs(values - high) <= near
        if isinstance(limit, Bounds):
            for name, place in places.items():
                for side, at in (("lower", at_low), ("upper", at_high)):
                    where = np.flatnonzero(at[place])
                    if where.size:
                        active.append(f"{side} bound of {name} at {shown(where.tolist())}")
        elif (at_low | at_high).any():
            n = int((at_low | at_high).sum())
            label = _label(limit)
            active.append(label if values.size == 1 else f"{label} ({n} of {values.size})")
    return active
