"""Signals of a job's program along a few directions, without signals ever being held."""

import threading
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels.columns import QUAD
from ..kernels.shape import Shape
from .job import LANES, Job, whole_blocks
from .memory import aligned
from .threads import spread


@cache
def _kernels() -> Any:
    """The entry point: importing it imports Numba."""
    from ..kernels import projection as module

    return module


def leading(gram: npt.NDArray[Any], rank: int | None = None, share: float = 1.0) -> tuple[npt.NDArray[Any], Array]:
    """Directions (sample, direction) that hold most of the energy of a Gram matrix, and what part of it each holds.

    They are those of an SVD: `rank` of them, or as many as hold the share.
    """
    energies, vectors = np.linalg.eigh(gram)
    parts = np.maximum(energies[::-1], 0) / np.trace(gram).real
    if rank is None:
        rank = min(int((np.cumsum(parts) < share).sum()) + 1, len(parts))
    return np.ascontiguousarray(vectors[:, ::-1][:, :rank]), parts[:rank]


class Projection:
    """A job's signals, of unit length, multiplied with directions as soon as they are played.

    Parameters
    ----------
    job : Job
        Of real numbers, without derivatives.
    basis : ndarray, shape (part, outputs, columns)
        Real: what the real and imaginary parts of signals are multiplied with, and added; or their magnitudes, where
        there is one part.
    along : bool
        Whether the coefficients are of unit length, rather than the signals.
    """

    def __init__(self, job: Job, basis: Array, along: bool = False) -> None:
        from ..kernels.lanes import addresses

        self.job, self.along, self.columns = job, along, basis.shape[2]
        self.magnitude = len(basis) == 1
        factors = np.ones(1) if self.magnitude else job.factors
        planes = 1 if self.magnitude else job.program.signal.reach.planes
        turned = basis.astype(np.complex128)
        whole = turned[0] - 1j * turned[-1] * (not self.magnitude)  # real part of its product with a signal
        parts = [(turn * factors[:, None] * whole).real for turn in (1, 1j)[:planes]]
        weights = np.concatenate(parts)
        quads = -(-self.columns // QUAD)
        filled = np.zeros((len(weights), quads * QUAD))
        filled[:, : self.columns] = weights
        ordered = filled.reshape(len(weights), quads, QUAD).transpose(1, 0, 2)
        self.weights = np.ascontiguousarray(ordered, job.dtype)
        self._rooms = threading.local()
        self._project = addresses(Shape(1, (), LANES), job.dtype.type, "projection")[0]

    def __call__(self, table: npt.NDArray[np.inexact], coefficients: Array, norms: Array, losses: Array) -> None:
        """Coefficients (voxel, column), lengths (voxel) and what the directions lack of each signal of unit length.

        They are written where they are given, in the job's precision, for another table of its kind (see `Job`).
        """
        job, count = self.job, table.shape[1]
        call = job.call._replace(tissue=whole_blocks(table, job.lanes), n_voxels=count)
        run = _kernels().projection_batch

        def work(first: int, last: int) -> None:
            run(
                call, job.room(), self._project, self.weights, *self._room(), self.magnitude, self.along, coefficients,
                norms, losses, first, last, job.repeats,
            )  # fmt: skip

        spread(work, count, job.lanes, job.plan.cost)

    def _room(self) -> tuple[npt.NDArray[np.inexact], npt.NDArray[np.inexact]]:
        """This thread's room: products, and samples averaged over a slice."""
        known = self._rooms.__dict__
        if not known:
            job, (quads, _, _) = self.job, self.weights.shape
            known["products"] = aligned((quads * QUAD + 1) * job.lanes, job.dtype)
            samples = job.program.signal.reach.planes * job.program.n_out if job.plan.n_positions > 1 else 0
            known["sums"] = aligned(samples * job.lanes, job.dtype)
        return known["products"], known["sums"]
