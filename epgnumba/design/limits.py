"""Limits of a protocol as scipy's constraint objects on the design variables, each with its exact Jacobian.

They serve `optimize`, and a user's own ``scipy.optimize.minimize``. Each has a `label` that says what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

from ..checks import Array, check_range, flag, needed, real_array, scalar, shown
from ..names import hint, knows_names
from .objective import CRLBObjective
from .variables import whole_numbers

__all__ = ["bounds", "duration", "flip_power", "max_change", "signal_limits"]


def __dir__() -> list[str]:
    return __all__


def bounds(objective: CRLBObjective, **limits: tuple[npt.ArrayLike, npt.ArrayLike]) -> Bounds:
    """Smallest and largest values of parameters, as bounds on the design variables.

    For a `BSpline` they bound the coefficients, which keeps the curve within them.

    Parameters
    ----------
    objective : CRLBObjective
        Whose variables they are.
    **limits : (low, high)
        For each parameter by name, numbers or one per variable of it; in its units. Others are not bounded.

    Returns
    -------
    scipy.optimize.Bounds

    Raises
    ------
    ValueError
        If a parameter is not a variable, or a lower limit lies above its upper one.

    Examples
    --------
    >>> import epgnumba
    >>> train = epgnumba.FSE([60.0] * 3, ESP=5)
    >>> bounds(CRLBObjective(train, 1000, 100), flip=(0, 180)).ub
    array([180., 180., 180.])
    """
    needed("objective", objective, CRLBObjective)
    low, high = np.full(objective.map.count, -np.inf), np.full(objective.map.count, np.inf)
    for name, pair in limits.items():
        place = _place(objective, name)
        scale = getattr(objective.map.spec[name], "scale", 1.0)
        try:
            ends = [real_array(name, end) / scale for end in pair]
            low[place], high[place] = ends
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}={shown(pair)} is not allowed: a pair (low, high) is needed") from error
        if not ((low[place] < np.inf) & (high[place] > -np.inf)).all():
            raise ValueError(f"{name}={shown(pair)} is not allowed: an end is nan, or leaves nothing between them")
        if not (low[place] <= high[place]).all():
            raise ValueError(f"{name}={shown(pair)} is not allowed: low must not exceed high")
    return Bounds(low, high)


@knows_names
def max_change(objective: CRLBObjective, name: str, limit: float) -> LinearConstraint:
    """Largest change of a parameter from one entry to the next, in its units.

    Raises
    ------
    ValueError
        If the parameter is not a variable, has one entry only, or the limit is negative.

    Examples
    --------
    >>> import epgnumba
    >>> train = epgnumba.FSE([60.0, 70.0, 90.0], ESP=5)
    >>> max_change(CRLBObjective(train, 1000, 100), "flip", 5.0).A
    array([[-1.,  1.,  0.],
           [ 0., -1.,  1.]])
    """
    needed("objective", objective, CRLBObjective)
    _place(objective, name)
    step = scalar("limit", limit, minimum=0.0)
    rows, fixed = _rows(objective, name)
    if len(fixed) < 2:
        raise ValueError(f"name={name!r} is not allowed: it has one entry only")
    change = np.diff(fixed)
    return _labelled(
        LinearConstraint(np.diff(rows, axis=0), -step - change, step - change), f"change of {name} at most {step:g}"
    )


@knows_names
def flip_power(
    objective: CRLBObjective,
    limit: float,
    names: str | Sequence[str] = ("flip",),
    factors: npt.ArrayLike = 1.0,
    total: bool = False,
) -> NonlinearConstraint:
    """Limit of RF power (SAR): the rms flip angle, or the sum of squared flip angles.

    Parameters
    ----------
    objective : CRLBObjective
        Whose variables they are.
    limit : float
        Degrees (rms) or degrees^2 (total).
    names : str or sequence of str
        The parameters that hold flip angles.
    factors : array_like
        Power of each pulse relative to that of a reference pulse of the same flip angle: its shape, its duration.
    total : bool
        The sum in place of the root of the mean.

    Raises
    ------
    ValueError
        If a name is not a parameter that holds flip angles, none of them varies, factors do not fit or are all zero, or
        a number is not positive.

    Examples
    --------
    >>> import epgnumba
    >>> power = flip_power(CRLBObjective(epgnumba.FSE([30.0, 40.0], ESP=5), 1000, 100), 60.0)
    >>> float(power.fun([30.0, 40.0])) ** 0.5  # in degrees, rms
    35.35533905932738
    """
    needed("objective", objective, CRLBObjective)
    most = scalar("limit", limit, positive=True, maximum=1e100)
    chosen = (names,) if isinstance(names, str) else names
    if not isinstance(chosen, (tuple, list)) or not chosen or len(set(map(str, chosen))) < len(chosen):
        raise ValueError(f"names={shown(names)} is not allowed: different names of parameters are needed")
    summed = flag("total", total)
    parts = [_rows(objective, name) for name in chosen]
    others = [name for name in chosen if name not in objective.flip_names]
    if others:
        raise ValueError(f"names: {others[0]!r} holds no flip angles; they are in {sorted(objective.flip_names)}")
    rows, fixed = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    if not rows.any():
        raise ValueError(f"names={shown(chosen)} is not allowed: none varies; variables are {objective.map.names}")
    weight = check_range("factors", real_array("factors", factors), minimum=0.0, maximum=1e100)
    if weight.shape not in ((), (len(fixed),)):
        raise ValueError(f"factors has shape {weight.shape}; a number or one per pulse, ({len(fixed)},), is needed")
    if not weight.any():
        raise ValueError(f"factors={shown(factors)} is not allowed: all of them are zero")
    weight = np.broadcast_to(weight, fixed.shape) / (1 if summed else len(fixed))

    def curvature(x: npt.ArrayLike, v: npt.ArrayLike) -> Array:
        return np.asarray(2 * np.asarray(v)[0] * rows.T @ (weight[:, None] * rows))

    def power(x: npt.ArrayLike) -> Any:
        return weight @ (rows @ np.asarray(x) + fixed) ** 2

    def slope(x: npt.ArrayLike) -> Array:
        return np.asarray(2 * (weight * (rows @ np.asarray(x) + fixed)) @ rows)[None]

    label = f"total flip power at most {most:g} deg^2" if summed else f"rms flip angle at most {most:g} deg"
    bound = most if summed else most**2
    constraint = _labelled(NonlinearConstraint(power, -np.inf, bound, jac=slope), label)
    constraint.exact_hess = curvature  # not `hess`: SLSQP would warn that it has no use for it
    return constraint


@knows_names
def duration(objective: CRLBObjective, longest: float = np.inf, shortest: float = 0.0) -> LinearConstraint:
    """Limits of the duration of the sequence (of one repetition), ms.

    Raises
    ------
    ValueError
        If the limits contradict each other, there are none, or no variable enters a duration.

    Examples
    --------
    >>> import epgnumba
    >>> objective = CRLBObjective(epgnumba.FSE([60.0] * 3, ESP=5), 1000, 100, variables=("ESP",))
    >>> duration(objective, longest=30.0).A
    array([[3.]])
    """
    needed("objective", objective, CRLBObjective)
    most = scalar("longest", longest, positive=True, infinite=True, unit="ms")
    least = scalar("shortest", shortest, minimum=0.0, unit="ms")
    if least > most:
        raise ValueError(f"shortest={least:g} ms is longer than longest={most:g} ms")
    if least == 0 and most == np.inf:
        raise ValueError("longest=inf, shortest=0 is not allowed: it would limit nothing")
    row, constant = objective.duration_map()
    if not row.any():
        raise ValueError(f"no variable changes the duration; they are {objective.map.names}")
    label = f"duration between {least:g} and {most:g} ms"
    return _labelled(LinearConstraint(row[None], least - constant, most - constant), label)


@knows_names
def signal_limits(
    objective: CRLBObjective, readouts: Sequence[int], minimum: float = 0.0, maximum: float = np.inf
) -> NonlinearConstraint:
    """Limits of the magnitude of the signal at some readouts, in every tissue.

    Raises
    ------
    ValueError
        If a readout does not exist, the limits contradict each other, or there are none.

    Examples
    --------
    >>> import epgnumba
    >>> objective = CRLBObjective(epgnumba.FSE([180.0] * 3, ESP=10), 1000, 100)
    >>> signal_limits(objective, [0, 2], minimum=0.1).fun(objective.x0).round(4)
    array([0.9048, 0.7408])
    """
    needed("objective", objective, CRLBObjective)
    low, high = scalar("minimum", minimum, minimum=0.0), scalar("maximum", maximum, positive=True, infinite=True)
    if low > high:
        raise ValueError(f"minimum={low:g} exceeds maximum={high:g}")
    chosen = whole_numbers("readouts", readouts)
    if chosen.min() < 0 or chosen.max() >= objective.readouts:
        raise ValueError(f"readouts={shown(readouts)} is not allowed: they must lie in [0, {objective.readouts})")
    if low == 0 and high == np.inf:
        raise ValueError("minimum=0, maximum=inf is not allowed: it would limit nothing")

    def size(x: npt.ArrayLike) -> Array:
        return np.asarray(abs(objective.signal(x))[..., chosen].ravel())

    def slope(x: npt.ArrayLike) -> Array:
        signal = objective.signal(x)
        unit = signal / np.where(signal == 0, 1, abs(signal))
        rows = []
        for where in np.ndindex(signal.shape[:-1]):
            for readout in chosen:
                bar = np.zeros_like(signal[where])
                bar[readout] = unit[(*where, readout)]
                rows.append(objective.pull_signal(x, where, bar))
        return np.stack(rows)

    label = f"signal between {low:g} and {high:g} at readouts {shown(chosen.tolist())}"
    return _labelled(NonlinearConstraint(size, low, high, jac=slope), label)


def _place(objective: CRLBObjective, name: str) -> slice:
    if not isinstance(name, str) or name not in objective.map.places:
        near = hint(name, objective.map.places)
        raise ValueError(f"name={shown(name)} is not a variable{near}; they are {objective.map.names}")
    return objective.map.places[name]


def _rows(objective: CRLBObjective, name: str) -> tuple[Array, Array]:
    """A parameter as rows @ x + fixed."""
    parameters = objective.start.parameters
    if not isinstance(name, str) or name not in parameters:
        raise ValueError(f"names: {shown(name)} is not a parameter; the sequence has {list(parameters)}")
    start = 0
    for other, value in parameters.items():
        if other == name:
            stop = start + value.size
            return objective.map.matrix[start:stop].toarray(), objective.map.fixed[start:stop]
        start += value.size
    raise AssertionError


def _labelled(constraint: Any, label: str) -> Any:
    constraint.label = label
    return constraint
