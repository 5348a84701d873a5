"""How large rounding may make a derivative by off-resonance, or a pool's, that vanishes.

It is made of contributions that cancel, each as large as a state times the change of phase over an interval: 2 pi times
its duration. States are as large as M0 at most; at a readout they have decayed since the pulse before it. Rounding
errors add up like a random walk, so that intervals (in which there are transverse states) count as the root of their
sum of squares, and those of all members of an ensemble. The phase of a transmit field turns states before a pulse and
behind it, by as much whatever the time. Spin echoes of 1 to 800 pulses, in either precision, came to
0.7 roundings of that at most.

States may be much smaller than M0, and small derivatives of theirs as exact as any. So a derivative counts as nothing
only if it is, besides, far below what one of the signal itself, turning over the same time, would be: below the root of
the precision. The derivatives by T1, T2, B1 and efficiencies are not asked: where they vanish, they come out as zero.
"""

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..kernels.columns import DEGREE, HZ, N_ROUNDING, OMEGA, SHIFT_B, is_phase
from .program import Program

FEW = 8  # roundings


def rounding_limits(program: Program, durations: Array, kinds: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """EARLIEST, OF_STATES, OF_SIGNAL and so on (see `kernels.columns`) of a program."""
    if {OMEGA, SHIFT_B}.isdisjoint(kinds) and not any(map(is_phase, kinds)):
        return np.zeros(N_ROUNDING)
    times, delays = durations[program.signal.between], durations[program.signal.after]
    members = len(program.ensemble.turns) if program.ensemble else 1
    turn = HZ * np.sqrt(members * (times @ times) + delays.max() ** 2)
    phase = DEGREE * np.sqrt(2 * members * len(program.signal.signs))  # of what each pulse turns, there and back
    epsilon = np.finfo(dtype).eps
    limits = [FEW * epsilon * turn, np.sqrt(epsilon) * turn, FEW * epsilon * phase, np.sqrt(epsilon) * phase]
    return np.array([delays.min(), *limits])
