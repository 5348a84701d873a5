"""What both sweeps make of a voxel's rates and of a program's times: seeds of its tangents, moments, turns."""

from ..algebra import HALF_PI
from ..columns import ALWAYS, B1, HZ, OMEGA, READ_DURATION, READ_MOMENT_1, READ_MOMENT_2, READ_OUT_OF_PHASE
from ..exponents import OUT_OF_PHASE, S1, S2, T, by_order, of_shape
from ..load import TIMES
from . import columns as col
from . import jit
from .jit import helper, sin_cos_turns


def make_turns(real):
    """Cosine and sine of an angle in quarter turns, and of one in radians."""
    half, per_quarter = real(0.5), real(HALF_PI)
    sin_cos, floor = sin_cos_turns[real], jit.floor[real]

    @helper
    def cos_sin(quarters):
        s, c = sin_cos(quarters, floor(quarters + half))
        return c, s

    @helper
    def rotation(angle):
        return cos_sin(angle / per_quarter)

    return cos_sin, rotation


def make_loads(shape):
    """Functions that load a voxel's rates and seeds; moments and the first order of an interval; those of a readout."""
    rated, present = (*ALWAYS, *shape.terms), of_shape(shape)
    kinds, n_sets = (-1, *shape.kinds), len(shape.kinds) + 1
    timed = tuple(kind in TIMES for kind in kinds)
    ordered, out_of_phase = bool(by_order(shape)), any(e.moment == OUT_OF_PHASE for e in present)
    real, n_rows = shape.real, shape.rows
    zero, one, hz = real(0), real(1), real(HZ)

    @helper
    def load_rates(rates, seeds, tissue, voxel, profile):
        """And for each tangent the derivative of the rate that it changes: dR1/dT1 = -R1^2, ..."""
        for k in range(len(rated)):
            rates[rated[k]] = tissue[rated[k], voxel]
        rates[B1] *= profile
        for i in range(n_sets):
            seeds[i] = one
            if timed[i]:
                seeds[i] = -rates[kinds[i]] * rates[kinds[i]]
            if kinds[i] == B1:
                seeds[i] = profile
            if kinds[i] == OMEGA:
                seeds[i] = hz

    @helper
    def load_moments(moments, durations, steps, step):
        """Those beside time, of the interval before a pulse."""
        if ordered:
            moments[S1] = durations[steps[step + col.MOMENT_1]]
            moments[S2] = durations[steps[step + col.MOMENT_2]]

    @helper
    def first_order(steps, step, stride, lane):
        """Order of a thread's first row."""
        return real(steps[step + col.ORDER]) + stride * real(lane * n_rows) if ordered else zero

    @helper
    def load_read_moments(moments, durations, reads, r):
        moments[T] = durations[reads[r, READ_DURATION]]
        if ordered:
            moments[S1] = durations[reads[r, READ_MOMENT_1]]
            moments[S2] = durations[reads[r, READ_MOMENT_2]]
        if out_of_phase:
            moments[OUT_OF_PHASE] = abs(durations[reads[r, READ_OUT_OF_PHASE]])

    return load_rates, load_moments, first_order, load_read_moments
