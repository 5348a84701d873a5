"""Waveforms of pulses as kernels take them: series in the angle, for the angles that a call meets."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np

from ..checks import Array
from ..slice_profile import SliceProfile

MOST = 40 * np.pi
STEP = np.pi / 2  # largest angles are rounded up to whole ones: a design or a fit seldom needs other series


class Waves(NamedTuple):
    """Series of all kinds of pulses.

    Attributes
    ----------
    table : ndarray, shape (positions, kinds * (4 terms + 1))
        Of each kind 1 over the largest angle, then the series of the quaternion's parts (see `kernels.turned_pulse`).
    terms : int
        Of each.
    limits : dict of str to float
        The largest angle of each kind, radians.
    key : hashable
        What tells it from others, as long as the waveforms live.
    """

    table: Array
    terms: int
    limits: dict[str, float]
    key: Hashable

    def cover(self, largest: Mapping[str, float]) -> bool:
        """Whether they hold up to the largest angle of each kind."""
        return all(angle <= self.limits[kind] for kind, angle in largest.items())


def find_waves(profile: SliceProfile, largest: Mapping[str, float]) -> Waves:
    """Series of a profile's pulses up to the largest angle (radians) of each kind.

    Raises
    ------
    ValueError
        If one is so large that its series would take minutes.
    """
    for kind, angle in largest.items():
        if angle > MOST:
            raise ValueError(
                f"slice_prof: waveforms turn by up to {np.rad2deg(MOST):g} degrees, times B1; pulses of {kind!r} turn "
                f"by {np.rad2deg(angle):g}"
            )
    limits = {kind: float(STEP * max(np.ceil(angle / STEP), 1)) for kind, angle in largest.items()}
    series = [profile.series(kind, limit) for kind, limit in limits.items()]
    terms = max(one.shape[2] for one in series)
    pieces = []
    for one, limit in zip(series, limits.values(), strict=True):
        pieces.append(np.full((len(one), 1), 1 / limit))
        pieces.append(np.pad(one, ((0, 0), (0, 0), (0, terms - one.shape[2]))).reshape(len(one), -1))
    key = tuple(sorted((kind, id(wave)) for kind, wave in profile.waves.items())), tuple(limits.items())
    return Waves(np.concatenate(pieces, 1), terms, limits, key)
