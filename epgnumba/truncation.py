"""How many configuration orders are enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import checks
from .arguments import takes
from .problem import ComplexArray, Diff, Problem, read_problem
from .sequence.sequence import Sequence
from .slice_profile import Given as Profile
from .tissue_parameters import Maps

if TYPE_CHECKING:
    from typing_extensions import Unpack

WORTH_A_WARNING = 1e-3  # relative error
ALL = 1 << 62  # orders: as many as there are, where a limit is what makes a steady state be found as with fewer


def truncation_error(problem: Problem, result: tuple[ComplexArray, ComplexArray]) -> float:
    """Largest change that keeping all orders makes at any readout, of any voxel's signal or derivative.

    Relative to its root mean square over readouts: a norm of the change would hide one readout, wrong among many.
    """
    exact = replace(problem, nstates=ALL, check_nstates=False).job().signals()
    worst = 0.0
    for kept, full in zip(map(problem.to_host, result), map(problem.to_host, exact), strict=True):
        change = abs(kept - full).max(axis=-1, initial=0.0)
        size = np.linalg.norm(full, axis=-1) / np.sqrt(full.shape[-1])
        worst = max(worst, float((change[size > 0] / size[size > 0]).max(initial=0.0)))
    return worst


@dataclass
class Truncation:
    """How many orders a tolerance takes (`nstates`), and the largest relative error of a readout that this leaves."""

    nstates: int
    error: float


@takes(Maps)
def find_nstates(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    *,
    tolerance: float = 1e-3,
    diff: Diff = None,
    slice_prof: Profile = 1.0,
    mask: npt.ArrayLike | None = None,
    **given: Unpack[Maps],
) -> Truncation:
    """How many orders a tolerance takes, by bisection against the exact result.

    The result meets the tolerance, and one order less does not. It is the smallest that does wherever the error falls
    with every order added; with RF spoiling it need not.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    tolerance : float
        Largest change of any voxel's signal, or derivative in `diff`, at any readout, relative to its root mean square
        over readouts.
    **given
        Other maps: `help(epgnumba.find_nstates)` lists them, and options.

    Returns
    -------
    Truncation
        With `nstates` and `error`, the largest such change that it leaves.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import epgnumba
    >>> find_nstates(epgnumba.FSE([120.0] * 64, ESP=10), T1=1000, T2=50, tolerance=1e-2).nstates
    12
    """
    limit = checks.scalar("tolerance", tolerance, positive=True, maximum=1.0)
    problem = read_problem(sequence, T1, T2, diff=diff, slice_prof=slice_prof, mask=mask, **given)

    def error(nstates: int) -> float:
        truncated = replace(problem, nstates=nstates)
        return truncation_error(truncated, truncated.job().signals())

    whole = replace(problem, nstates=ALL).job().program
    low, high = 0, sum(abs(step.shift) for step in whole.signal.train.steps) + 1
    while high - low > 1:  # `high` meets the tolerance, `low` does not
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= limit else (middle, high)
    return Truncation(high, error(high))
