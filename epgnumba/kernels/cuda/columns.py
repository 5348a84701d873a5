"""What a CUDA kernel is made for, and what it reads of a program: one row of 32-bit integers a pulse.

Everything that happens between two pulses belongs to the later one: states *arrive* at it.
"""

from typing import Any, NamedTuple

from .. import shape as cpu
from ..columns import FRACTION, FRACTION_B
from ..exponents import by_order


class Shape(NamedTuple):
    """What a kernel is compiled for; planes, kinds and terms as of `kernels.shape.Shape`."""

    real: Any
    planes: int
    kinds: tuple
    terms: tuple
    precesses: bool  # whether off-resonance turns the states
    rows: int  # of a thread
    lanes: int  # neighbouring threads among which the rows of a voxel are divided

    bound, second, components = cpu.Shape.bound, cpu.Shape.second, cpu.Shape.components
    turning = False  # no pulses that turn voxels in different ways

    @property
    def free(self):
        """Free pools."""
        return 1 + self.second

    @property
    def pools(self):
        """Pools that have a W."""
        return 1 + (self.bound or self.second)

    @property
    def apart(self):
        """Components from W of a pool to that of the next."""
        return 3 if self.second else 1

    @property
    def fraction(self):
        """The rate that says how much is in a second pool."""
        return FRACTION_B if self.second else FRACTION

    @property
    def n_sets(self):
        """The states and their tangents."""
        return 1 + len(self.kinds)

    @property
    def numbers(self):
        """Of a row."""
        return self.n_sets * self.planes * self.components


(
    ROWS,  # rows (orders) that this pulse acts on
    SHIFT_P,  # where row 0 of this pulse lies in the rows after the pulse before
    SHIFT_M,
    NO_F,  # 1: no transverse state arrives
    NO_W,  # 1: no longitudinal state that arrives can matter
    FOLD,  # the first row whose complex conjugate is row -1 of the other component: 0 or 1
    FLIPPED,  # real programs, phase step of 90 degrees: 1 negates P, 2 negates M before they arrive, 0 neither
    KEEP,  # rows before the pulse from which on zeros arrive, if others may be left there; 0 where none are
    QUADRATURE,  # real programs: 1 if the states are in quadrature with the pulse
    DURATION,  # index of the time since the pulse before
    RECOVERY,  # 1: Z_0 recovers into this pulse
    READ_BEGIN,  # the readouts that follow the pulse
    READ_END,
    INVERT,  # 1: no pulse but an inversion, which only Z_0 enters and leaves
    TAPE,  # rows on the tape before those of this pulse
    ORDER,  # of row 0
    MOMENT_1,  # index of the first moment of dephasing over that time; and of the second
    MOMENT_2,
) = range(18)


def step_width(shape):
    """Numbers a pulse: all of them where anything depends on orders. Rows do not straddle cache lines."""
    return 32 if by_order(shape) else 16


# A thread takes its rows in groups, so that a pulse with few of them takes less time: this many, or a few more where
# that does not divide them.
CHUNK = 4


def chunk_of(rows):
    """How many of a thread's rows it takes at a time."""
    return next((chunk for chunk in range(CHUNK, rows) if rows % chunk == 0), rows)
