"""What both sweeps load of a voxel and of a program: rates and seeds of tangents; what a pulse and a readout take."""

import math

from .. import columns as cpu
from ..algebra import HALF_PI, W
from ..columns import ALWAYS, B1, INVERSION, OMEGA, R1, R2
from ..exponents import OUT_OF_PHASE, S1, S2, T, by_order, of_shape
from ..load import SCALES, TIMES
from ..pools import exchange_lines
from . import columns as col
from .jit import helper, select
from .source import N_MOMENTS
from .written import write_invert, write_recover, write_turn


def make_turns(real):
    """Cosine and sine of an angle in quarter turns, and of one in radians."""
    per_quarter, cos_sin = real(HALF_PI), write_turn(real)

    @helper
    def rotation(angle):
        return cos_sin(angle / per_quarter)

    return cos_sin, rotation


def make_rates(real, kinds, terms):
    """A function that loads the rates of a voxel, and for each tangent the derivative of the one that it changes."""
    rated, timed, scales = (*ALWAYS, *terms), (*(kind in TIMES for kind in kinds), False), (*kinds, -1)
    scales = tuple(real(SCALES.get(kind, 1)) for kind in scales)
    n_kinds, kinds = len(kinds), (*kinds, -1)

    @helper
    def load_rates(rates, seeds, tissue, voxel):
        for k in range(len(rated)):
            rates[rated[k]] = tissue[rated[k], voxel]
        for i in range(n_kinds):
            seeds[i] = scales[i]
            if timed[i]:
                seeds[i] = -rates[kinds[i]] * rates[kinds[i]]  # dR1/dT1 = -R1^2

    return load_rates


@helper
def is_longitudinal(component):
    """Whether a readout, by its component in the table, is one of Z_0 of a pool."""
    return component == W or component == W + 1


def make_loads(shape):
    """Functions that load what an interval and a pulse take, and a readout (`source.NUMBERS`, with moments)."""
    present, n_exchange = of_shape(shape), exchange_lines(shape)[-1]
    ordered, out_of_phase = bool(by_order(shape)), any(e.moment == OUT_OF_PHASE for e in present)
    real, planes, precesses, n_rows, bound = shape.real, shape.planes, shape.precesses, shape.rows, shape.bound
    zero, one, second = real(0), real(1), shape.second
    cos_sin, rotation = make_turns(real)

    @helper
    def precession(time, rates):
        return rotation(time * rates[OMEGA]) if precesses else (one, zero)

    @helper
    def load_exchange(moments, exchange, duration, voxel):
        for k in range(n_exchange):
            moments[N_MOMENTS + k] = exchange[duration * n_exchange + k, voxel]

    @helper
    def load_duration(moments, durations, exchange, duration, voxel, rates):
        """Time, exchange; returns decay, cosine and sine of precession."""
        moments[T] = durations[duration]
        load_exchange(moments, exchange, duration, voxel)
        c, s = precession(moments[T], rates)
        return math.exp(-moments[T] * rates[R1]), math.exp(-moments[T] * rates[R2]), c, s

    @helper
    def load_pulse(n, moments, durations, steps, step, flips, powers, turns, rates, decay, constants):
        """Moments beside time; returns what pulse n takes. An inversion turns nothing, but leaves less of Z_0."""
        invert, power, (c, s), tc, ts = zero, zero, cos_sin(flips[n] * rates[B1]), one, zero
        if bound:
            power = powers[n]
        if steps[step + col.INVERT]:
            invert, c, s = one, -flips[n] * rates[INVERSION], zero
        if planes == 2:
            tc, ts = turns[n, 0], turns[n, 1]
        if ordered:
            moments[S1] = durations[steps[step + col.MOMENT_1]]
            moments[S2] = durations[steps[step + col.MOMENT_2]]
        return (*decay, *constants, c, s, tc, ts, flips[n], power, invert)

    @helper
    def load_order(steps, step, stride, lane):
        """The order of a thread's first row."""
        return real(steps[step + col.ORDER]) + stride * real(lane * n_rows) if ordered else zero

    @helper
    def load_readout(moments, durations, exchange, reads, r, component, voxel, rates, constants):
        """Moments; returns what a readout takes, as if a pulse of no angle followed."""
        moments[T] = durations[reads[r, cpu.READ_DURATION]]
        if ordered:
            moments[S1] = durations[reads[r, cpu.READ_MOMENT_1]]
            moments[S2] = durations[reads[r, cpu.READ_MOMENT_2]]
        if out_of_phase:
            moments[OUT_OF_PHASE] = durations[reads[r, cpu.READ_OUT_OF_PHASE]]
        longitudinal = is_longitudinal(component)
        if second or longitudinal:
            load_exchange(moments, exchange, reads[r, cpu.READ_DURATION], voxel)
        c, s = precession(moments[T], rates)
        e = math.exp(-moments[T] * select(longitudinal, rates[R1], rates[R2]))
        return (e, e, c, s, *constants, one, zero, one, zero, zero, zero, zero)

    return load_duration, load_pulse, load_order, load_readout


def make_order_zero(shape):
    """Functions about order zero, in quadrature: W of it, and what a pulse does to it besides.

    The latter is what recovers before, and what a change of efficiency does to an inversion; w: W before the interval.
    """
    last, n_sets, pools, apart = shape.planes - 1, shape.n_sets, shape.pools, shape.apart
    recover, invert = write_recover(shape), write_invert(shape)

    @helper
    def take_w(x, w):
        for i in range(n_sets):
            for k in range(pools):
                w[i, k] = x[i, last, W + apart * k, 0]

    @helper
    def finish(x, w, steps, step, numbers, moments, rates, seeds):
        if steps[step + col.RECOVERY]:
            recover(x, numbers, moments, rates, seeds)
        if steps[step + col.INVERT]:
            invert(x, w, numbers, moments, rates, seeds)

    return take_w, finish
