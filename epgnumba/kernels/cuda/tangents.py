"""What both sweeps load of a voxel and of a program: rates and seeds of tangents, moments and decay, angles."""

import math

from ..algebra import HALF_PI
from ..columns import ALWAYS, B1, HZ, OMEGA, R1, R2, READ_DURATION, READ_MOMENT_1, READ_MOMENT_2, READ_OUT_OF_PHASE
from ..exponents import OUT_OF_PHASE, S1, S2, T, by_order, of_shape
from ..load import TIMES
from . import columns as col
from . import jit
from .jit import helper, select, sin_cos_turns, turn


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
    """Functions that load rates and seeds, what an interval and a pulse depend on, and what a readout does."""
    rated, present = (*ALWAYS, *shape.terms), of_shape(shape)
    kinds, n_sets = (-1, *shape.kinds), len(shape.kinds) + 1
    timed = tuple(kind in TIMES for kind in kinds)
    ordered, out_of_phase = bool(by_order(shape)), any(e.moment == OUT_OF_PHASE for e in present)
    real, planes, precesses, n_rows = shape.real, shape.planes, shape.precesses, shape.rows
    zero, one, hz, half_pi = real(0), real(1), real(HZ), real(HALF_PI)
    cos_sin, rotation = make_turns(real)

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
    def decay(rates, time):
        """e1, e2, and cosine and sine of precession over a time."""
        c, s = one, zero
        if precesses:
            c, s = rotation(time * rates[OMEGA])
        return math.exp(-time * rates[R1]), math.exp(-time * rates[R2]), c, s

    @helper
    def angles(n, flips, turns, rates, oc, os):
        """Cosine and sine of the flip angle of pulse n, and of the turn before it; the nominal flip angle, radians."""
        c, s = cos_sin(flips[n] * rates[B1])
        tc, ts = one, zero
        if planes == 2:
            tc, ts = turns[n, 0], turns[n, 1]
            if precesses:
                tc, ts = turn(oc, os, tc, ts)
        return c, s, tc, ts, flips[n] * half_pi

    @helper
    def load_moments(moments, durations, steps, step, stride, lane):
        """Those beside time, of the interval before a pulse; returns the order of a thread's first row."""
        if not ordered:
            return zero
        moments[S1] = durations[steps[step + col.MOMENT_1]]
        moments[S2] = durations[steps[step + col.MOMENT_2]]
        return real(steps[step + col.ORDER]) + stride * real(lane * n_rows)

    @helper
    def load_readout(moments, durations, reads, r, component, rates):
        """Moments of a readout; returns the decay of what it reads, cosine and sine of precession."""
        moments[T] = durations[reads[r, READ_DURATION]]
        if ordered:
            moments[S1] = durations[reads[r, READ_MOMENT_1]]
            moments[S2] = durations[reads[r, READ_MOMENT_2]]
        if out_of_phase:
            moments[OUT_OF_PHASE] = abs(durations[reads[r, READ_OUT_OF_PHASE]])
        c, s = one, zero
        if precesses:
            c, s = rotation(moments[T] * rates[OMEGA])
        return math.exp(-moments[T] * select(component == 2, rates[R1], rates[R2])), c, s

    return load_rates, decay, angles, load_moments, load_readout
