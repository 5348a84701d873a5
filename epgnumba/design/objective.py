"""Bounds of a protocol as a function that scipy minimises, without torch in the path."""

import threading
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import engine
from ..checks import Array, check_range, real_array, scalar, shown
from ..program.program import flatten, unflatten
from ..sequence.sequence import Sequence
from ..verbs import read_problem


class CRLBObjective:
    """Weighted sum of Cramer-Rao bounds over unknowns and tissues, with its exact gradient.

    Call it with the design variables, flattened and joined in the order of `variables`; it returns (value, gradient),
    for ``scipy.optimize.minimize(objective, objective.x0, jac=True)``. One call plays every tissue forward and
    backward once; its cost does not depend on the number of variables.

    Parameters
    ----------
    sequence : Sequence
        The protocol to start from; parameters that are not variables keep its values.
    T1, T2, B1, M0, B0, inv_efficiency : array_like
        Tissues, as for `simulate`.
    unknowns : str or tuple of str
        What is estimated together: any of T1, T2, B1, B0, inv_efficiency, M0.
    weights : array_like, shape (unknowns,) or (*tissue, unknowns), optional
        Weights of the bounds, 1 by default; 0 makes an unknown a nuisance. ``1 / T2**2`` asks for relative precision.
    tissue_weights : array_like, optional
        Weights of the tissues, broadcast to their shape, 1 by default.
    noise : float
        Standard deviation of the noise in real and imaginary part.
    variables : tuple of str
        Parameters of the sequence to design.
    slice_prof, nstates
        As for `simulate`.
    singular : 'inf' or 'raise'
        What a Fisher matrix that is singular to working precision gives: the value inf, to whose gradient that tissue
        adds nothing, or an error.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import numpy as np, epgnumba
    >>> train = epgnumba.FSE(np.full(96, 60.0), ESP=5)
    >>> objective = CRLBObjective(train, T1=1000, T2=100, unknowns="T2")
    >>> value, gradient = objective(objective.x0)
    >>> round(value, 6), gradient[:3].round(6)
    (7197.580283, array([-149.754873,   -7.101488,   40.504699]))
    """

    def __init__(
        self,
        sequence: Sequence,
        T1: npt.ArrayLike,
        T2: npt.ArrayLike,
        B1: npt.ArrayLike = 1.0,
        M0: npt.ArrayLike = 1.0,
        *,
        B0: npt.ArrayLike = 0.0,
        inv_efficiency: npt.ArrayLike = 1.0,
        unknowns: str | tuple[str, ...] = "T2",
        weights: npt.ArrayLike | None = None,
        tissue_weights: npt.ArrayLike = 1.0,
        noise: float = 1.0,
        variables: tuple[str, ...] = ("flip",),
        slice_prof: npt.ArrayLike = 1.0,
        nstates: int | None = None,
        singular: str = "inf",
    ) -> None:
        if unknowns is None:
            raise TypeError("unknowns=None is not allowed: it must be a name or a tuple of names")
        problem = read_problem(
            sequence, T1, T2, B1, M0, B0=B0, inv_efficiency=inv_efficiency, diff=unknowns, slice_prof=slice_prof,
            nstates=nstates,
        )  # fmt: skip
        parameters = sequence.parameters
        for name in variables:
            if name not in parameters:
                raise ValueError(f"variables: {name!r} is not a parameter; the sequence has {list(parameters)}")
            if not np.isfinite(parameters[name]).all():
                raise ValueError(f"variables: {name}={shown(parameters[name])} is not finite, so it cannot be varied")
        if not variables or len(set(variables)) != len(variables):
            raise ValueError(f"variables={shown(variables)} is empty or names a parameter twice")
        if singular not in ("inf", "raise"):
            raise ValueError(f"singular={shown(singular)} is not allowed: it must be 'inf' or 'raise'")
        self._lock = threading.RLock()  # the buffers are one objective's: calls from several threads take turns
        self._problem, self.variables, self._singular = problem, tuple(variables), singular
        self._variance = scalar("noise", noise, positive=True) ** 2
        self._weights = self._read_weights(weights, tissue_weights)
        names = problem.job().program.expressions
        self._turning = not names.phase_names.isdisjoint(variables)
        self._timing = not names.time_names.isdisjoint(variables)
        self._job = problem.job(self._turning)
        program = self._job.program
        self._x: Array = np.asarray(flatten(parameters), np.float64)
        index = unflatten(np.arange(len(self._x) - 1, dtype=np.float64), parameters)
        self._index = np.concatenate([index[name].ravel() for name in variables]).astype(np.int64)
        simple = program.expressions.flips_of(self._index)
        self._flips = engine.Flips(self._job, *simple) if simple else None

    def _read_weights(self, weights: npt.ArrayLike | None, tissue_weights: npt.ArrayLike) -> Array:
        """One weight per voxel and unknown."""
        shape = self._problem.tissue.shape
        full = (*shape, len(self._problem.codes))
        each = np.ones(()) if weights is None else real_array("weights", weights)
        tissues = check_range("tissue_weights", real_array("tissue_weights", tissue_weights), minimum=0.0)
        check_range("weights", each, minimum=0.0)
        try:
            product = np.broadcast_to(each, full) * np.broadcast_to(tissues, shape)[..., None]
        except ValueError:
            raise ValueError(
                f"weights {each.shape} and tissue_weights {tissues.shape} must broadcast to {full} and {shape}"
            ) from None
        return np.ascontiguousarray(product).reshape(-1, full[-1])

    @property
    def x0(self) -> Array:
        """The variables of the sequence it started from."""
        start = flatten(self._problem.sequence.parameters)
        return np.asarray(start[self._index])

    def sequence(self, x: npt.ArrayLike) -> Sequence:
        """The sequence with design variables `x`."""
        with self._lock:
            values = unflatten(self._filled(x).copy(), self._problem.sequence.parameters)
        return self._problem.sequence.replace(**{name: values[name] for name in self.variables})

    def bounds(self, x: npt.ArrayLike) -> Array:
        """Bound of each unknown in each tissue, unweighted; shape (*tissue, unknowns)."""
        from .bound import crlb

        problem = self._problem
        with self._lock:
            jacobian = self._at(x).signals(np.complex128)[1]
        bound: Array = crlb(jacobian, noise=np.sqrt(self._variance), singular=self._singular)
        return bound.reshape(*problem.tissue.shape, len(problem.codes))

    def __call__(self, x: npt.ArrayLike) -> tuple[float, Array]:
        """Value and gradient.

        Raises
        ------
        ValueError
            If `x` has the wrong shape, is not finite, or is not a valid protocol; or as `singular` says.
        """
        with self._lock:
            return self._evaluate(x)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def _evaluate(self, x: npt.ArrayLike) -> tuple[float, Array]:
        job = self._at(x)
        values, sums = job.bound(self._weights, self._variance, self._timing, self._turning)
        value = float(values.sum() if values.size > 1 else values[0])
        if value == np.inf and self._singular == "raise":
            worst = tuple(map(int, np.unravel_index(int(np.argmax(values)), self._problem.tissue.shape or (1,))))
            raise ValueError(
                f"the Fisher matrix of tissue {worst} is singular to working precision: "
                "the protocol cannot tell the unknowns apart"
            )
        if self._flips:
            return value, self._flips.gradient(sums)
        return value, job.program.expressions.pull_back(sums.entries(self._timing, self._turning))[self._index]

    def _filled(self, x: npt.ArrayLike) -> Array:
        """All parameters, flattened, with `x` in its places."""
        self._x[self._index] = self._read(x)
        return self._x

    def _read(self, x: npt.ArrayLike) -> Array:
        """`x` as an array, checked."""
        given = x if type(x) is np.ndarray and x.dtype == np.float64 else real_array("x", x)
        if given.shape != self._index.shape:
            raise ValueError(f"x has shape {given.shape}; {self._index.shape} is needed")
        if not isfinite(np.add.reduce(given)):  # as it is where any of them is not
            raise ValueError(f"x={shown(x)} is not finite")
        return given

    def _at(self, x: npt.ArrayLike) -> engine.Job:
        """The job, with the design variables set."""
        if self._flips:
            self._flips.set(self._job, self._read(x))
            return self._job
        if self._timing:  # durations have limits of their own, and say how often a sequence is repeated
            changed = replace(self._problem, sequence=self.sequence(x), _jobs={})
            program, entries = changed.compile(changed.sequence, self._turning, self._job.program.precesses)
            if program is not self._job.program:
                self._job = changed.job(self._turning)
            self._job.set_values(entries)
        else:
            self._job.set_values(self._job.program.expressions.evaluate(self._filled(x)))
        return self._job
