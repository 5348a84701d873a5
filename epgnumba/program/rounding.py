"""What derivatives are made of, and so how large rounding may make those that vanish.

A contribution to a derivative is as large as a state times the change of what one interval does to it: its duration
times the change of a rate, or a flip angle. States are as large as M0 at most; at a readout they have decayed since the
pulse before it. Rounding errors add up like a random walk, so that intervals count as the root of their sum of squares.
Spin echoes by off-resonance, of 1 to 800 pulses in either precision, came to 0.7 roundings of that at most.
"""

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels.columns import B1, HZ, INVERSION, OMEGA
from .program import Part

FEW = 8  # roundings


def rounding_limits(part: Part, flips: Array, durations: Array, kinds: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """How long after a pulse the first readout comes (ms), and for each tangent how large nothing may look.

    For M0 = 1, but for the decay until then and, by T1 or T2, the square of the rate (see `kernels.rounding`).
    """
    if not kinds:
        return np.zeros(1)
    times, delays, angles = durations[part.between], durations[part.after], np.deg2rad(flips[part.angles])
    time = np.sqrt(times @ times + delays.max() ** 2)
    sizes = {OMEGA: HZ * time, B1: np.sqrt(angles @ angles), INVERSION: 1.0}
    few = FEW * np.finfo(dtype).eps
    return np.array([delays.min(), *(few * sizes.get(kind, time) for kind in kinds)])
