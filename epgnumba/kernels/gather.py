"""Derivatives gathered on the way back: with respect to rates, durations, phases, and tangents' seeds."""

from collections import namedtuple

from . import columns as col
from .columns import ANGLE_SUM, LOG_SUM, N_RATES, OMEGA, VECTOR
from .forward import arrivals, is_kind, is_relaxing, row
from .jit import at, kernel
from .lanes import call_rows
from .passes import fill_zero

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
def gather_decay_before(player, n, bars):
    """Derivatives with respect to the decay before pulse `n`, once its adjoint is done."""
    step, sizes, sums = row(player.steps, n, col.N_STEP), player.sizes, at(bars.sums, LOG_SUM)
    last = sizes[col.PLANES] - 1
    p, m, w = arrivals(player, n, 0, step[col.SRC_TAPE])
    q, o, z = arrivals(player, n, last, step[col.SRC_TAPE])
    bp, bm, bw = arrivals(player, n, 0, step[col.SRC_PAIR])
    bq, bo, bz = arrivals(player, n, last, step[col.SRC_PAIR])
    fill_zero(sums, (2 + N_RATES) * VECTOR)
    arguments = (
        player.space, player.adjoint, sums, p, m, w, q, o, z, sizes[col.ARENA], bp, bm, bw, bq, bo, bz,
        sizes[col.PAIR_ARENA], step[col.VECTORS],
    )  # fmt: skip
    call_rows(sizes[col.PAIR_DECAY_ROWS], arguments)
    for j in range(VECTOR):
        for rate in range(2):
            gather_decay(player, bars, 0, rate, step[col.DURATION], sums[rate * VECTOR + j], j)
        for i in range(1, sizes[col.TANGENTS] + 1):
            if is_relaxing(player, i):
                kind = player.kinds[i - 1]
                gather_decay(player, bars, i, kind, step[col.DURATION], sums[(1 + i) * VECTOR + j], j)


@kernel
def gather_turn(player, n, bars, timing):
    """Derivatives with respect to the phase step and to precession before pulse `n`."""
    step, sizes, sums = row(player.steps, n, col.N_STEP), player.sizes, at(bars.sums, ANGLE_SUM)
    p, m, _ = arrivals(player, n, 0, step[col.SRC_TAPE])
    q, o, _ = arrivals(player, n, 1, step[col.SRC_TAPE])
    bp, bm, _ = arrivals(player, n, 0, step[col.SRC_PAIR])
    bq, bo, _ = arrivals(player, n, 1, step[col.SRC_PAIR])
    fill_zero(sums, 2 * VECTOR)
    arguments = (
        player.space, player.adjoint, sums, p, m, q, o, sizes[col.ARENA], bp, bm, bq, bo,
        sizes[col.PAIR_ARENA], step[col.VECTORS],
    )  # fmt: skip
    call_rows(sizes[col.PAIR_TURN_ROWS], arguments)
    for j in range(VECTOR):
        bars.turns[n] += sums[j]
        if timing and sizes[col.PRECESSES]:
            gather_angle(player, bars, 0, step[col.DURATION], sums[j], j)
            for i in range(1, sizes[col.TANGENTS] + 1):
                if is_kind(player, i, OMEGA):
                    gather_angle(player, bars, i, step[col.DURATION], sums[VECTOR + j], j)


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
