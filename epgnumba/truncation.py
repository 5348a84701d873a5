"""How many configuration orders are enough."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from . import checks
from .problem import ComplexArray, Diff, Problem, read_problem
from .sequence.sequence import Sequence

WORTH_A_WARNING = 1e-3  # relative error


def truncation_error(problem: Problem, result: tuple[ComplexArray, ComplexArray]) -> float:
    """Largest relative change (norm over readouts, of any voxel's signal or derivative) from keeping all orders."""
    exact = replace(problem, nstates=None, check_nstates=False, _jobs={}).job().signals()
    worst = 0.0
    for kept, full in zip(map(problem.to_host, result), map(problem.to_host, exact), strict=True):
        change, norm = np.linalg.norm(kept - full, axis=-1), np.linalg.norm(full, axis=-1)
        worst = max(worst, float((change[norm > 0] / norm[norm > 0]).max(initial=0.0)))
    return worst


@dataclass
class Truncation:
    """How many orders a tolerance takes (`nstates`), and the largest relative error that this leaves."""

    nstates: int
    error: float


def find_nstates(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    B1: npt.ArrayLike = 1.0,
    M0: npt.ArrayLike = 1.0,
    *,
    tolerance: float = 1e-3,
    B0: npt.ArrayLike = 0.0,
    inv_efficiency: npt.ArrayLike = 1.0,
    diff: Diff = None,
    slice_prof: npt.ArrayLike = 1.0,
) -> Truncation:
    """How many orders a tolerance takes, by bisection against the exact result.

    The result meets the tolerance, and one order less does not. It is the smallest that does wherever the error falls
    with every order added; with RF spoiling it need not.

    Parameters
    ----------
    tolerance : float
        Largest relative change of any voxel's signal, or derivative in `diff`, in the norm over readouts.

    Other parameters are those of `simulate` and `jacobian`.

    Returns
    -------
    Truncation
        With `nstates` and `error`, the largest relative change that it leaves.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import epgnumba
    >>> find_nstates(epgnumba.FSE([120.0] * 64, ESP=10), T1=1000, T2=50, tolerance=1e-2).nstates
    8
    """
    limit = checks.scalar("tolerance", tolerance, positive=True)
    problem = read_problem(
        sequence, T1, T2, B1, M0, B0=B0, inv_efficiency=inv_efficiency, diff=diff, slice_prof=slice_prof
    )

    def error(nstates: int) -> float:
        truncated = replace(problem, nstates=nstates, _jobs={})
        return truncation_error(truncated, truncated.job().signals())

    low, high = 0, sum(abs(beat.shift) for beat in problem.job().program.signal.score.beats) + 1
    while high - low > 1:  # `high` meets the tolerance, `low` does not
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= limit else (middle, high)
    return Truncation(high, error(high))
