"""What a device has summed, on the host."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ..engine.sums import Gathered
from ..program.program import Program
from ..slice_profile import SliceProfile
from .tables import sum_cuts

Array = npt.NDArray[Any]
Sums: TypeAlias = npt.NDArray[np.float64]


class AnyDeviceJob(Protocol):
    """Of a job (see `job`): what is played, with which numbers."""

    program: Program
    entries: Sequence[Array]
    profile: SliceProfile
    scales: Array


class DeviceSums(Gathered):
    """Derivatives that a device has summed over voxels, in double precision on the host."""

    def __init__(self, job: "AnyDeviceJob", tissue: Any) -> None:
        self.program, self.tissue = job.program, tissue
        self._job, self.slices, self.scales = job, job.profile, job.scales
        self._parts = len(self.program.parts)
        self._cuts = sum_cuts(self.program, len(self.scales))
        self.total = np.zeros(int(self._cuts[-1]))

    def _rows(self, k: int) -> list[Sums]:
        """Those of each part that are number `k` of what parts have."""
        cuts = self._cuts[2 + k * self._parts :]
        return [self.total[int(a) : int(b)] for a, b in pairwise(cuts[: self._parts + 1])]

    def factors(self) -> Sums:
        return self.total[: int(self._cuts[1])]

    def durations(self) -> Sums:
        return self.total[int(self._cuts[1]) : int(self._cuts[2])]

    def _scaled_flips(self) -> Sums:
        return self._padded([row.reshape(len(self.scales), -1) for row in self._rows(0)])

    @property
    def nominal(self) -> Array:
        return self._job.entries[0]

    def _powers(self) -> Sums:
        return self._padded(self._rows(1))

    def _padded(self, tables: list[Sums]) -> Sums:
        """Of all parts, to the pulses of the longest."""
        longest = max(table.shape[-1] for table in tables)
        padded = np.zeros((self._parts, *tables[0].shape[:-1], longest))
        for own, table in zip(padded, tables, strict=True):
            own[..., : table.shape[-1]] = table
        return padded

    def turns(self) -> list[Sums]:
        return self._rows(2)
