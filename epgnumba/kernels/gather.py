"""Derivatives gathered on the way back: with respect to rates, durations, phases, and tangents' seeds."""

from collections import namedtuple

from . import columns as col
from .columns import ANGLE_SUM, LOG_SUM, N_RATES, OMEGA, VECTOR
from .forward import arrivals, is_kind, is_relaxing, row
from .jit import at, kernel
from .passes import decay_dot_pass, fill_zero, turn_dot_pass

# Derivatives gathered: pointers to the row of a group of voxels, and to a thread's room for those of a lane.
Bars = namedtuple(
    "Bars",
    [
        "flips",  # per pulse, radians of the signed flip; per inversion, its efficiency over pi/2
        "turns",  # per pulse, radians of the phase step before it; then of the last phase
        "durations",  # per duration, ms
        "factors",  # per output, radians of its phase
        "profile",  # per slice position
        "rates",  # VECTOR each of a lane's rates
        "seeds",  # for each tangent VECTOR each of its seeds
        "start",  # where the train starts, as `Player.boundary` says
        "sums",  # scratch, see `columns`
    ],
)


@kernel
def gather_decay(player, bars, i, rate, duration, log_bar, j):
    """Derivative with respect to log e1 or log e2 (`rate`: R1 or R2) in lane j, or to what tangent `i` > 0 adds."""
    time = player.durations[duration]
    if i == 0:
        bars.rates[rate * VECTOR + j] -= time * log_bar
        bars.durations[duration] -= player.rates[rate * VECTOR + j] * log_bar
    else:
        k = (N_RATES * (i - 1) + rate) * VECTOR + j
        bars.seeds[k] -= time * log_bar
        bars.durations[duration] -= player.seeds[k] * log_bar


@kernel
def gather_angle(player, bars, i, duration, angle_bar, j):
    """The same for the angle that precession adds over a duration."""
    gather_decay(player, bars, i, OMEGA, duration, -angle_bar, j)


@kernel
def decay_dot(player, n, x_set, bar_set, bars):
    """Derivatives with respect to decay, from pairing states (or a tangent) with adjoints before pulse `n`."""
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    sums = bars.sums
    x, b = x_set * sizes[col.ARENA], bar_set * sizes[col.PAIR_ARENA]
    fill_zero(at(sums, LOG_SUM), 2 * VECTOR)
    for plane in range(sizes[col.PLANES]):
        p, m, w = arrivals(player, n, plane, step[col.SRC_TAPE])
        bp, bm, bw = arrivals(player, n, plane, step[col.SRC_PAIR])
        xp, xm, xw = at(space, x + p), at(space, x + m), at(space, x + w)
        ap, am, aw = at(adjoint, b + bp), at(adjoint, b + bm), at(adjoint, b + bw)
        decay_dot_pass(xp, xm, xw, ap, am, aw, at(sums, LOG_SUM), step[col.VECTORS])
    i = 0 if x_set == bar_set else bar_set  # a tangent's adjoint on the states is about its seeds
    for rate in range(2):
        for j in range(VECTOR):
            log_bar = sums[LOG_SUM + rate * VECTOR + j]
            gather_decay(player, bars, i, rate, step[col.DURATION], log_bar, j)


@kernel
def turn_dot(player, n, x_set, bar_set, bars):
    """Derivatives with respect to the turn before pulse `n`, from pairing states (or a tangent) with adjoints."""
    step, sizes, space, adjoint = row(player.steps, n, col.N_STEP), player.sizes, player.space, player.adjoint
    size, angle_sum = step[col.SRC_SIZE], at(bars.sums, ANGLE_SUM)
    fill_zero(angle_sum, VECTOR)
    for c in range(2):
        shift = c * size + step[col.SHIFT_P + c]
        x = x_set * sizes[col.ARENA] + step[col.SRC_TAPE] + shift
        b = bar_set * sizes[col.PAIR_ARENA] + step[col.SRC_PAIR] + shift
        re, im = c * 3 * size, (1 - c) * 3 * size  # P turns one way, M the other
        xre, xim, bre, bim = at(space, x + re), at(space, x + im), at(adjoint, b + re), at(adjoint, b + im)
        turn_dot_pass(xre, xim, bre, bim, angle_sum, step[col.VECTORS])
    for j in range(VECTOR):
        if x_set == bar_set:
            bars.turns[n] += angle_sum[j]
        if sizes[col.PRECESSES]:
            gather_angle(player, bars, 0 if x_set == bar_set else bar_set, step[col.DURATION], angle_sum[j], j)


@kernel
def dot(a, b):
    """Inner product of two vectors, in four sums that do not wait for each other."""
    s0, s1, s2, s3 = a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]
    for j in range(4, VECTOR, 4):
        s0 += a[j] * b[j]
        s1 += a[j + 1] * b[j + 1]
        s2 += a[j + 2] * b[j + 2]
        s3 += a[j + 3] * b[j + 3]
    return (s0 + s1) + (s2 + s3)


@kernel
def gather_pulse(player, n, bars, turning):
    """Derivatives with respect to decay, precession and phase step before pulse `n`, once its adjoint is done."""
    step, sizes = row(player.steps, n, col.N_STEP), player.sizes
    tangents = sizes[col.TANGENTS]
    turned = (turning or sizes[col.PRECESSES] == 1) and sizes[col.PLANES] == 2 and step[col.NO_F] == 0
    for i in range(2 * tangents + 1):  # each set with its own adjoint; then the states with each tangent's
        paired = i if i <= tangents else i - tangents
        if i <= tangents or is_relaxing(player, paired):
            decay_dot(player, n, i if i <= tangents else 0, paired, bars)
        if turned and (i <= tangents or is_kind(player, paired, OMEGA)):
            turn_dot(player, n, i if i <= tangents else 0, paired, bars)
