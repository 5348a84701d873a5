"""Derivatives gathered by the kernels, and what they are derivatives with respect to."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels import columns as col
from ..program.expressions import sum_at
from ..program.program import Program
from ..slice_profile import WHOLE, SliceProfile

if TYPE_CHECKING:
    from .job import Job

DEGREE = float(np.pi / 180)


class Gathered(ABC):
    """Derivatives summed over voxels by the kernels, and what they are by the numbers of a program.

    Attributes
    ----------
    tissue : array, shape (rows, voxels)
        Derivatives by row of the tissue table; not summed.
    slices : SliceProfile
        What is left of flip angles across the slice.
    scales : ndarray, shape (positions, pulses)
        The same, by pulse.
    """

    program: Program
    tissue: Any
    slices: SliceProfile
    scales: npt.NDArray[np.inexact]

    @property
    @abstractmethod
    def nominal(self) -> Array:
        """Flip angles as they are given, degrees."""

    @abstractmethod
    def _scaled_flips(self) -> Array:
        """Of each part and position, by flip angles as they are there."""

    @abstractmethod
    def _powers(self) -> Array:
        """Of each part, by flip angles over the root of a pulse's duration; where there is a bound pool."""

    def flips(self) -> list[Array]:
        """For each part by flip angle, per radian of the signed flip."""
        sums = self._scaled_flips()
        n = sums.shape[2]
        sums = sums[:, 0] if self.slices is WHOLE else (self.scales[:, :n] * sums).sum(axis=1)
        if self.program.bound:
            sums = sums + self.program.powers[:n] * self._powers()
        return list(sums)

    def profile(self) -> dict[str, Array]:
        """By slice profile, by name."""
        sums = self._scaled_flips()
        by_scale = np.zeros(self.scales.shape, sums.dtype)
        for part, table in zip(self.program.parts, sums, strict=True):
            n = len(part.signs)
            by_scale[:, :n] += part.signs * table[:, :n]
        return cast("dict[str, Array]", self.slices.pull(DEGREE * self.nominal * by_scale, self.program.kinds))

    @abstractmethod
    def turns(self) -> list[Array]:
        """For each part by phase step, and by the last phase, per radian."""

    @abstractmethod
    def durations(self) -> Array:
        """By duration."""

    @abstractmethod
    def factors(self) -> Array:
        """By the phase of each output, per radian."""

    def flip_entries(self) -> Array:
        """By flip angle, per degree."""
        sums = self.flips()
        flips = np.zeros(self.program.expressions.lengths[0], sums[0].dtype)
        for part, table in zip(self.program.parts, sums, strict=True):
            flips[: len(part.signs)] += part.signs * table[: len(part.signs)]
        return np.asarray(flips * DEGREE)

    def entries(self, timing: bool = True, turning: bool = True) -> list[Array]:
        """By entry: flips, phases, durations, receiver phases, advance (per degree, per ms).

        Without `timing` those by duration are zero, without `turning` those by phase.
        """
        program = self.program
        lengths = program.expressions.lengths
        durations = self.durations() if timing else np.zeros(lengths[2])
        if not turning:
            return [self.flip_entries(), np.zeros(lengths[1]), durations, np.zeros(lengths[3]), np.zeros(1)]
        factors = self.factors()
        phases = sum_at(program.signal.factor_step, factors, lengths[1])
        advance = 0 * factors.sum()
        for part, turns in zip(program.parts, self.turns(), strict=True):
            if part.reach.planes == 2:
                n = len(part.signs)
                phases[:n] -= turns[:n]  # of the step from the phase before to this one, counted backwards
                phases[: n - 1] += turns[1:n]
                phases[n - 1] += turns[n]
                advance -= turns[0]
        return [self.flip_entries(), phases * DEGREE, durations, factors * -DEGREE, np.array([advance * DEGREE])]


class GradientSums(Gathered):
    """Derivatives summed over groups of voxels: the order of the sum does not depend on threads."""

    def __init__(self, job: "Job") -> None:
        self._plan, self.program, self._parts = job.plan, job.program, len(job.program.parts)
        self._n_steps = max(len(part.signs) for part in job.program.parts)
        self._job, self.slices, self.scales = job, job.profile, job.scales
        rows = self._parts * job.n_groups * len(job.scales) * job.plan.width
        columns = -(-job.n_voxels // job.lanes) * job.lanes  # whole blocks of lanes
        n_rows = len(job.call.tissue)
        tissue = n_rows * columns
        kind = np.complex128 if job.dtype == np.complex128 else np.float64
        self._all = np.zeros(rows + tissue + job.n_voxels, kind)
        self.rows = self._all[:rows]
        self.tissue_rows = self._all[rows : rows + tissue].reshape(n_rows, columns)
        self.tissue = self.tissue_rows[:, : job.n_voxels]
        self.values = self._all[rows + tissue :]

    def clear(self) -> None:
        self._all.fill(0)

    def add_outputs(self, factors: npt.NDArray[np.inexact], m0: npt.NDArray[np.inexact]) -> None:
        """Add derivatives by each output's phase, per radian, and by each voxel's M0, which `pull` does not know."""
        start = int(self._plan.sizes[col.FACTOR_SUMS_AT])
        self.rows[start : start + len(factors)] += factors
        self.tissue[col.M0] += m0

    def _columns(self, place: int, count: int) -> Array:
        """Sums over groups and positions, a row a part, of what begins at a place in their rows."""
        table = self._table(place, count)
        return cast("Array", table[:, 0, 0] if table.shape[1] * table.shape[2] == 1 else table.sum(axis=(1, 2)))

    def _table(self, place: int, count: int) -> Array:
        """Of each part, group and position what begins at a place in its row."""
        start = int(self._plan.sizes[place])
        rows = self.rows.reshape(self._parts, -1, len(self.scales), self._plan.width)
        return cast("Array", rows[:, :, :, start : start + count])

    def _scaled_flips(self) -> Array:
        table = self._table(col.FLIP_SUMS_AT, self._n_steps)
        return cast("Array", table[:, 0] if table.shape[1] == 1 else table.sum(axis=1))

    @property
    def nominal(self) -> Array:
        return cast("Array", self._job.flips)

    def _powers(self) -> Array:
        return self._columns(col.POWER_SUMS_AT, self._n_steps)

    def turns(self) -> list[Array]:
        return list(self._columns(col.TURN_SUMS_AT, self._n_steps + 1))

    def durations(self) -> Array:
        return cast("Array", self._columns(col.DURATION_SUMS_AT, self.program.expressions.lengths[2]).sum(axis=0))

    def factors(self) -> Array:
        return cast("Array", self._columns(col.FACTOR_SUMS_AT, self.program.n_out).sum(axis=0))

    def flip_sums(self, part: int, where: slice | npt.NDArray[np.int64]) -> Array:
        """Sums over groups by some flip angles of a part, per radian of the signed flip."""
        if self.program.bound:
            return self.flips()[part][where]
        table = self.rows.reshape(self._parts, -1, self._plan.width)[part]
        if len(table) == 1:
            return cast("Array", table[0, where])
        chosen = table[:, where]
        by_position = chosen.reshape(-1, len(self.scales), chosen.shape[1]).sum(axis=0)
        return cast("Array", (self.scales[:, where] * by_position).sum(axis=0))


class Flips:
    """Flip angles that are each a factor times a variable: to set, and to differentiate with respect to.

    An optimiser does both thousands of times, and nothing else.

    Parameters
    ----------
    job : Job
        Whose flips they are.
    entries : ndarray of int
        Which of the program's flips.
    factors : ndarray
        Degrees per unit of each variable.
    """

    def __init__(self, job: "Job", entries: npt.NDArray[np.int64], factors: Array) -> None:
        self._size = len(entries)
        job.own_values()
        self._written: list[tuple[Any, ...]] = []
        self._read: list[tuple[Any, ...]] = []
        for part, start, powers_at in zip(job.program.parts, job.plan.flips_at, job.plan.powers_at, strict=True):
            played = np.flatnonzero(entries < len(part.signs))
            chosen, scale = entries[played], part.signs[entries[played]] * factors[played]
            for position, scales in enumerate(job.scales):
                first = chosen + position * job.plan.values_stride
                self._written.append((_stretch(played), _stretch(start + first), scale * scales[chosen] / 90))
                if job.program.bound:
                    powers = scale * job.program.powers[chosen] / 90
                    self._written.append((_stretch(played), _stretch(powers_at + first), powers))
            self._read.append((_stretch(played), _stretch(chosen), scale * DEGREE))

    def set(self, job: "Job", x: Array) -> None:
        """Give them their values."""
        for played, where, scale in self._written:
            job.call.values[where] = scale * x[played]

    def gradient(self, sums: GradientSums) -> Array:
        """Derivatives with respect to the variables."""
        if len(self._read) == 1 and len(self._read[0][-1]) == self._size:
            _, chosen, scale = self._read[0]
            return cast("Array", scale * sums.flip_sums(0, chosen))
        gradient = np.zeros(self._size)
        for part, (played, chosen, scale) in enumerate(self._read):
            gradient[played] += scale * sums.flip_sums(part, chosen)
        return gradient


def _stretch(index: npt.NDArray[np.int64]) -> slice | npt.NDArray[np.int64]:
    """An index as a slice, if it is one: a view takes no time."""
    if len(index) and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index
