"""Steps of Levenberg's and Marquardt's method within bounds, for one voxel; see `fit`.

Unknowns are fitted by coordinates u: log x where kernels take the reciprocal (T1, T2, ...), else x itself. Those that
are found by steps come first; M0, where it is projected, is in the normal matrix without damping.
"""

from collections import namedtuple

import numpy as np

from .jit import kernel

# What a fit is about, as kernels see it: pointers to rows of the tissue table, what kernels take of an unknown (a
# factor times it, or its reciprocal where that is 0), bounds, weights of readouts; how many columns there are, how many
# of them not of M0, how many found by steps; readouts; what is compared; see `fit.Question` for the rest.
Asked = namedtuple(
    "Asked",
    "rows factors lower upper weights columns found stepped readouts kind m0_columns faint tolerance iterations",
)

# A voxel: pointers to its data, values accepted and on trial, gradient (downhill), normal matrix, what it lacks of half
# the second derivatives, middle of a Rician fit's covariance; what is left, what the step promises to take of it,
# damping, its growth; the noise, or 0.
Voxel = namedtuple("Voxel", "data values trial gradient normal bend middle left promise damping growth noise")

# Room for one voxel: gradient, normal matrix and middle at trial values, derivatives at a readout; a step, which of its
# coordinates are set already, a factor of the normal matrix; what the latter lacks along a step.
Room = namedtuple("Room", "gradient normal middle slopes step fixed factor lack")

BLIND = 1e-24  # square of a derivative, relative to the data's: nothing is seen
NEAR, SHARE = 1e-3, 0.9  # a bound is stepped on from as near as that part of the way between both, else approached
CLOSE = 1e-14  # a promise, relative to what is left, that is not worth a step: a ten millionth of the deviation
HAIR = 1e-14  # relative: what is as near to a bound is on it
FAR = 1e200
TRIES = 60  # dampings: more than there are from the smallest to STEEP and again
STEEP = 1e8  # damping with which only a flat place is left
EPSILON = 2.220446049250313e-16


@kernel
def is_reciprocal(asked, k):
    """Whether the kernels take the reciprocal of an unknown."""
    return k < asked.found and asked.factors[k] == 0


@kernel
def between(asked, k, start, end):
    """The way from one value of an unknown to another, in its coordinate."""
    return np.log(end / start) if is_reciprocal(asked, k) else end - start


@kernel
def unit(asked, k, x):
    """Of a coordinate: what its steps are compared with."""
    if is_reciprocal(asked, k):
        return 1.0
    width = asked.upper[k] - asked.lower[k]
    return max(abs(x), NEAR * width) if width < FAR else abs(x)


@kernel
def is_seen(asked, voxel, k, energy):
    """Whether the signal depends on an unknown, or is there at all for M0 to be told."""
    size = 0.0
    if k < asked.found:
        size = unit(asked, k, voxel.values[k])
    else:
        for m in range(asked.found, asked.columns):
            size = np.hypot(size, voxel.values[m])
    return size * size * voxel.normal[k * asked.columns + k] > BLIND * energy


@kernel
def is_fixed(asked, voxel, k, energy):
    """Whether an unknown stays: nothing is seen of it, or downhill lies beyond its bound."""
    if not is_seen(asked, voxel, k, energy):
        return True
    x, downhill = voxel.values[k], voxel.gradient[k]
    return (x <= asked.lower[k] and downhill <= 0) or (x >= asked.upper[k] and downhill >= 0)


@kernel
def solve(asked, voxel, damping, room):
    """The step of coordinates that are not fixed, given those that are, by Cholesky's factors at unit diagonal.

    False if the matrix has none.
    """
    p, normal, bend, factor, step, fixed = (
        asked.columns, voxel.normal, voxel.bend, room.factor, room.step, room.fixed
    )  # fmt: skip
    for a in range(p):
        if fixed[a]:
            continue
        right = voxel.gradient[a]
        for b in range(p):
            if fixed[b]:
                right -= (normal[a * p + b] + bend[a * p + b]) * step[b]
        for b in range(a + 1):
            if fixed[b]:
                continue
            total = (normal[a * p + b] + bend[a * p + b]) / np.sqrt(normal[a * p + a] * normal[b * p + b])
            if a == b and a < asked.stepped:
                total += damping
            for c in range(b):
                if not fixed[c]:
                    total -= factor[a * p + c] * factor[b * p + c]
            if a == b and not total > EPSILON:
                return False
            factor[a * p + b] = np.sqrt(total) if a == b else total / factor[b * p + b]
        right /= np.sqrt(normal[a * p + a])
        for c in range(a):
            if not fixed[c]:
                right -= factor[a * p + c] * step[c]
        step[a] = right / factor[a * p + a]
    for a in range(p - 1, -1, -1):
        if fixed[a]:
            continue
        total = step[a]
        for c in range(a + 1, p):
            if not fixed[c]:
                total -= factor[c * p + a] * step[c] * np.sqrt(normal[c * p + c])
        step[a] = total / factor[a * p + a] / np.sqrt(normal[a * p + a])
    return True


@kernel
def hold_back(asked, voxel, room):
    """Shorten the step that goes farthest beyond a bound, and fix it; False if none does.

    Onto a bound only from near it: the signal may not depend on an unknown there, as on B1 around 180 degrees, so that
    none of its derivatives would lead away again.
    """
    worst, where, most = 1.0, -1, 0.0
    for k in range(asked.stepped):
        if room.fixed[k] or room.step[k] == 0:
            continue
        end = asked.upper[k] if room.step[k] > 0 else asked.lower[k]
        if abs(end) > FAR:
            continue
        way = between(asked, k, voxel.values[k], end)
        near = asked.upper[k] < FAR and abs(way) <= NEAR * between(asked, k, asked.lower[k], asked.upper[k])
        excess = room.step[k] / way if way != 0 else FAR
        if excess > worst:
            worst, where, most = excess, k, way if near or way == 0 else SHARE * way
    if where < 0:
        return False
    room.step[where] = most
    room.fixed[where] = 1
    return True


@kernel
def promised(asked, voxel, step):
    """How much less would be left, were the signal linear."""
    p, total = asked.columns, 0.0
    for a in range(p):
        total += 2 * voxel.gradient[a] * step[a]
        for b in range(p):
            total -= step[a] * (voxel.normal[a * p + b] + voxel.bend[a * p + b]) * step[b]
    return total


@kernel
def next_step(asked, voxel, energy, room):
    """The next step of a voxel, and what it promises; zero if there is nowhere to go, less if none is found."""
    for _ in range(TRIES):
        moving = 0
        for k in range(asked.columns):
            room.step[k] = 0
            room.fixed[k] = 1 if is_fixed(asked, voxel, k, energy) else 0
            moving += 1 - room.fixed[k]
        if moving == 0:
            return 0.0
        solved = solve(asked, voxel, voxel.damping[0], room)
        while solved and hold_back(asked, voxel, room):
            solved = solve(asked, voxel, voxel.damping[0], room)
        promise = promised(asked, voxel, room.step) if solved else -1.0
        if promise >= 0:
            return promise
        voxel.damping[0] *= 8
        if voxel.damping[0] > STEEP:  # what was learnt is of no use here
            voxel.damping[0] = 1
            for k in range(asked.columns * asked.columns):
                voxel.bend[k] = 0
    return -1.0


@kernel
def is_done(asked, voxel, promise, room):
    """Whether the step that comes next is not worth being played."""
    damping = voxel.damping[0]
    small = promise <= CLOSE * voxel.left[0]
    if promise == 0 or (small and damping > STEEP):
        return True
    if damping > 1 or promise < 0:
        return False
    longest = 0.0
    for k in range(asked.stepped):
        size = unit(asked, k, voxel.values[k])
        longest = max(longest, abs(room.step[k]) / size if size > 0 else 0.0)
    return small or longest <= asked.tolerance


@kernel
def set_trial(asked, voxel, room):
    """The values that a step leads to."""
    for k in range(asked.columns):
        x, lower, upper = voxel.values[k], max(asked.lower[k], -FAR), min(asked.upper[k], FAR)
        x = x * np.exp(room.step[k]) if is_reciprocal(asked, k) else x + room.step[k]
        if x - lower <= HAIR * abs(lower):
            x = lower
        if upper - x <= HAIR * abs(upper):
            x = upper
        voxel.trial[k] = x


@kernel
def learn_bend(asked, voxel, room):
    """What normal matrices lack, from how the gradient has changed along the step that was made.

    Without it steps down a long valley would be many. The update is that of NL2SOL (J. E. Dennis, D. M. Gay, R. E.
    Welsch, ACM TOMS 7 (1981) 348), which first shrinks what was learnt before.
    """
    p, bend, way, lack = asked.columns, voxel.bend, room.step, room.lack
    for a in range(p):
        if is_reciprocal(asked, a):
            way[a] = np.log(voxel.trial[a] / voxel.values[a])
        else:
            way[a] = voxel.trial[a] - voxel.values[a]
    along, old, new = 0.0, 0.0, 0.0
    for a in range(p):
        change, own = voxel.gradient[a] - room.gradient[a], 0.0
        lack[a] = change
        for b in range(p):
            lack[a] -= room.normal[a * p + b] * way[b]
            own += bend[a * p + b] * way[b]
        along += change * way[a]
        old += own * way[a]
        new += lack[a] * way[a]
    if not along > 0:
        return
    shrink = min(1.0, abs(new / old)) if old != 0 else 1.0
    both = 0.0
    for a in range(p):
        for b in range(p):
            bend[a * p + b] *= shrink
            lack[a] -= bend[a * p + b] * way[b]
        both += lack[a] * way[a]
    for a in range(p):
        for b in range(p):
            first, second = voxel.gradient[a] - room.gradient[a], voxel.gradient[b] - room.gradient[b]
            bend[a * p + b] += (lack[a] * second + first * lack[b]) / along - both * first * second / along**2
    for a in range(asked.stepped, p):  # linear
        for b in range(asked.stepped, p):
            bend[a * p + b] = 0


@kernel
def judge(asked, voxel, left, energy, room):
    """Accept a trial that leaves less, or reject it, and set the damping (H. B. Nielsen's rule)."""
    if left <= voxel.left[0] + 4 * EPSILON * np.sqrt(max(left, 0.0) * energy):
        if voxel.left[0] < np.inf:
            gain = min(max((voxel.left[0] - left) / voxel.promise[0], 0.0), 1.0)
            voxel.damping[0] = max(voxel.damping[0] * max(1 / 3, 1 - (2 * gain - 1) ** 3), EPSILON)
            learn_bend(asked, voxel, room)
        voxel.growth[0] = 2
        voxel.left[0] = left
        for a in range(asked.columns):
            voxel.values[a] = voxel.trial[a]
            voxel.gradient[a] = room.gradient[a]
        for a in range(asked.columns * asked.columns):
            voxel.normal[a] = room.normal[a]
            voxel.middle[a] = room.middle[a]
    else:
        voxel.damping[0] *= voxel.growth[0]
        voxel.growth[0] *= 2
