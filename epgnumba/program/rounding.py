"""How large rounding may make a derivative by off-resonance, or a pool's, that vanishes.

It is made of contributions that cancel, each as large as a state times the change of phase over an interval: 2 pi times
its duration. States are as large as M0 at most; at a readout they have decayed since the pulse before it. Rounding
errors add up like a random walk, so that intervals (in which there are transverse states) count as the root of their
sum of squares, and those of all members of an ensemble. Spin echoes of 1 to 800 pulses, in either precision, came to
0.7 roundings of that at most.

States may be much smaller than M0, and small derivatives of theirs as exact as any. So a derivative counts as nothing
only if it is, besides, far below what one of the signal itself, turning over the same time, would be: below the root of
the precision. The derivatives by T1, T2, B1 and efficiencies are not asked: where they vanish, they come out as zero.
"""

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels.columns import HZ, OMEGA, SHIFT_B
from .program import Program

FEW = 8  # roundings


def rounding_limits(program: Program, durations: Array, kinds: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """EARLIEST, OF_STATES and OF_SIGNAL (see `kernels.columns`) of a program."""
    if {OMEGA, SHIFT_B}.isdisjoint(kinds):
        return np.zeros(3)
    times, delays = durations[program.signal.between], durations[program.signal.after]
    members = len(program.ensemble.turns) if program.ensemble else 1
    turn = HZ * np.sqrt(members * (times @ times) + delays.max() ** 2)
    epsilon = np.finfo(dtype).eps
    return np.array([delays.min(), FEW * epsilon * turn, np.sqrt(epsilon) * turn])
