"""What a fit comes with: maps, and how far they may be trusted."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array


class Status(IntEnum):
    """How the fit of a voxel ended.

    Only CONVERGED and AT_BOUND come with numbers; all other voxels are NaN in every map.
    """

    OUTSIDE = 0  #: of the mask
    CONVERGED = 1  #: a minimum inside of the bounds
    AT_BOUND = 2  #: converged, but an unknown lies on one of its bounds, and would leave it if it could
    NOT_FINITE = 3  #: the data, or a signal, are not finite
    DARK = 4  #: the data are no more than noise
    SINGULAR = 5  #: the unknowns cannot be told apart: the Fisher matrix is singular to working precision
    UNFINISHED = 6  #: iterations ran out


@dataclass
class Fit:
    """Maps that were fitted; whatever has no answer is NaN, and `status` says why.

    Attributes
    ----------
    unknowns : tuple of str
    maps : dict of str to ndarray, shape (*voxels,)
        Of each unknown. M0 is complex if that was asked for.
    residual : ndarray, shape (*voxels,)
        Root of the weighted sum of squares that is left.
    status : ndarray of int, shape (*voxels,)
        How each voxel ended, see `Status`.
    iterations : ndarray of int, shape (*voxels,)
        How often its signal was played.
    covariance : ndarray, shape (*voxels, unknowns, unknowns)
        Of the unknowns, in their order (a complex M0 counts as two, its real part first). Of the noise that was given,
        or that the residual tells. An unknown on its bound has none, NaN, and counts as known for the others.
    """

    unknowns: tuple[str, ...]
    maps: dict[str, npt.NDArray[Any]]
    residual: Array
    status: npt.NDArray[np.int8]
    iterations: npt.NDArray[np.int32]
    covariance: Array

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Where there are numbers."""
        return np.asarray((self.status == Status.CONVERGED) | (self.status == Status.AT_BOUND))

    @property
    def std(self) -> dict[str, Array]:
        """Standard deviation of each unknown; of a complex M0 that of its real and of its imaginary part, added."""
        variance = np.diagonal(self.covariance, axis1=-2, axis2=-1)
        found, place = {}, 0
        for name in self.unknowns:
            width = 2 if np.iscomplexobj(self.maps[name]) else 1
            found[name] = np.sqrt(variance[..., place : place + width].sum(axis=-1))
            place += width
        return found

    def __str__(self) -> str:
        counts = [(status, int((self.status == status).sum())) for status in Status]
        ends = ", ".join(f"{count} {status.name.lower().replace('_', ' ')}" for status, count in counts if count)
        return f"{', '.join(self.unknowns)} of {self.status.size} voxels: {ends}"
