"""Voxels at work: in blocks, on all threads, each block until none of its voxels is left."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import engine
from ..checks import Array
from ..notice import progress_bar
from ..tissue import Tissue
from ..tissue_parameters import NAMES, TISSUE
from .question import Question
from .result import Fit, Status
from .starts import find_starts

BLOCK = 1024  # voxels that are played together, while they are in work
CACHED = 1 << 21  # bytes of their signals and Jacobians
CHUNK = 2e8 / 20  # state updates of one play of a block: twenty take a fraction of a second
DAMPING = 1e-3  # at the start, relative to the diagonal of the normal matrix


class Fitting:
    """A fit of many voxels.

    Parameters
    ----------
    question : Question
    packed : Question of the kernels
    data : ndarray, shape (*voxels, readouts)
    inside : ndarray of bool, shape (*voxels,)
    tissue : Tissue
        What is known.
    noise : ndarray, shape (voxels inside,)
        0 where it is not known.
    start : dict of str to ndarray, shape (voxels inside,), or None
    """

    def __init__(
        self, question: Question, packed: Any, data: npt.NDArray[Any], inside: npt.NDArray[np.bool_], tissue: Tissue,
        noise: Array, start: dict[str, Array] | None,
    ) -> None:  # fmt: skip
        self._question, self._packed, self._inside, self._noise = question, packed, inside, noise
        self._data = data.reshape(-1, data.shape[-1])
        self._places = np.flatnonzero(inside)
        self._table = tissue.table()
        self._m0 = self._table[NAMES.index("M0")].copy()
        if question.m0_columns:
            self._table[NAMES.index("M0")] = 1
        self._start, self._grid, self._peaks = start, np.zeros((0, 0)), np.zeros((0, 0), np.int32)
        if start is None and question.found and self._places.size:
            given = self._data, self._places, self._table, self._m0
            self._grid, self._peaks = find_starts(question, tissue, *given)
        count, columns = self._places.size, question.columns
        self.values, self.left = np.full((count, columns), np.nan), np.full(count, np.nan)
        self.status, self.steps = np.zeros(count, np.int8), np.zeros(count, np.int32)
        self.covariance = np.full((count, columns, columns), np.nan)

    def run(self, progress: bool) -> Fit:
        """The result."""
        cost = self._question.job.plan.cost
        lanes = engine.LANES
        row = 16 * self._data.shape[1] * (1 + len(self._question.found))
        size = max(lanes, int(min(BLOCK, CACHED / row, CHUNK / cost)) // lanes * lanes)
        with progress_bar(progress, total=self._places.size, desc="fit", unit=" voxels", unit_scale=True) as bar:

            def work(first: int, last: int) -> None:
                for begin in range(first, last, size):
                    end = min(begin + size, last)
                    self._fit_block(slice(begin, end))
                    bar.update(end - begin)

            engine.spread(work, self._places.size, size, 20 * cost)
        return self._result()

    def _fit_block(self, voxels: slice) -> None:
        """From the best start, then from others where there are any: what leaves least is kept."""
        data = self._data[self._places[voxels]].astype(np.complex128)
        for number, values in enumerate(self._starting(data, voxels)):
            which = np.flatnonzero(np.isfinite(values).all(axis=1)) if number else np.arange(len(data))
            if not which.size:
                break
            work, covariance = self._descend(data[which], values[which], voxels.start + which)
            at = voxels.start + which
            better = work.left < self.left[at] if number else np.full(which.size, True)
            at = at[better]
            self.values[at], self.left[at] = work.values[better], work.left[better]
            self.covariance[at], self.status[at] = covariance[better], work.status[better]
            self.steps[voxels.start + which] += work.steps

    def _starting(self, data: npt.NDArray[np.complex128], voxels: slice) -> list[Array]:
        """Values (voxel, unknown) to start from, the best first; NaN where there are no more."""
        names = self._question.found
        if self._start is not None:
            return [np.stack([self._start[name][voxels] for name in names], 1)]
        if not names:
            return [np.zeros((len(data), 0))]
        values = self._grid
        first, *others = (np.where(place[:, None] < 0, np.nan, values[place]) for place in self._peaks[voxels].T)
        return [np.where(np.isnan(first), values[len(values) // 2], first), *others]

    def _descend(self, data: npt.NDArray[np.complex128], start: Array, places: npt.NDArray[np.intp]) -> Any:
        """Voxels at work until none is left; how they ended, and their covariance."""
        question, packed, fits = self._question, self._packed, engine.fits()
        count, readouts, columns = len(data), data.shape[1], question.columns
        padded = np.append(places, np.repeat(places[-1], -count % engine.LANES))
        table = np.take(self._table, padded, axis=1)
        trial = np.zeros((count, columns))
        trial[:, : len(question.found)] = start
        for k, name in enumerate(question.found):
            table[packed.rows[k], :count] = TISSUE[name].rate.value(start[:, k])
            table[packed.rows[k], count:] = table[packed.rows[k], count - 1]
        square = columns, columns
        work = fits.Work(
            data, np.zeros((count, columns)), trial, np.zeros((count, columns)), np.zeros((count, *square)),
            np.zeros((count, *square)), np.zeros((count, *square)), np.full(count, np.inf), np.zeros(count),
            np.full(count, DAMPING), np.full(count, 2.0), self._noise[places], np.zeros(count, np.int32),
            np.zeros(count, np.int8), np.arange(count), table,
        )  # fmt: skip
        rooms = fits.Rooms(
            np.zeros(columns), np.zeros(square), np.zeros(square), np.zeros(columns, np.complex128), np.zeros(columns),
            np.zeros(columns, np.int64), np.zeros(square), np.zeros(columns), np.zeros(square), np.zeros(square),
        )  # fmt: skip
        signal = np.empty((count, readouts), np.complex128)
        jacobian = np.empty((count, len(question.found), readouts), np.complex128)
        covariance = np.full((count, *square), np.nan)
        while count:
            question.job.play(table, count, signal, jacobian)
            count = fits.step_batch(packed, work, signal, jacobian, covariance, rooms, count)
        return work, covariance

    def _result(self) -> Fit:
        """In the shape of the data, NaN where there is no answer."""
        question, shape = self._question, self._inside.shape
        bad = (self.status != Status.CONVERGED) & (self.status != Status.AT_BOUND)
        self.values[bad], self.left[bad], self.covariance[bad] = np.nan, np.nan, np.nan
        m0 = self.values[:, len(question.found) :]
        fitted = dict(zip(question.found, self.values.T, strict=False))
        if question.m0_columns:
            fitted["M0"] = m0[:, 0] + 1j * m0[:, 1] if question.m0_columns == 2 else m0[:, 0]

        def spread(array: npt.NDArray[Any], empty: Any) -> npt.NDArray[Any]:
            full = np.full((*shape, *array.shape[1:]), empty, array.dtype)
            full[self._inside] = array
            return full

        order = self._order()
        return Fit(
            question.unknowns,
            {name: spread(fitted[name], np.nan) for name in question.unknowns},
            spread(np.sqrt(self.left), np.nan),
            spread(self.status, Status.OUTSIDE),
            spread(self.steps, 0),
            spread(self.covariance[:, order][:, :, order], np.nan),
        )

    def _order(self) -> list[int]:
        """Columns of the covariance in the order of the unknowns."""
        q, order = len(self._question.found), []
        for name in self._question.unknowns:
            order += [q, q + 1][: self._question.m0_columns] if name == "M0" else [self._question.found.index(name)]
        return order
