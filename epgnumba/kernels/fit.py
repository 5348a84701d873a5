"""Least squares, voxel by voxel: a step of Levenberg's and Marquardt's method for all that are still at work.

Voxels in work stand in the first columns of the tissue table, where `signal_batch` plays them; `step_batch` takes what
it played, accepts or rejects the trial values of each, and either finishes a voxel or writes its next trial into the
table. Nothing of a voxel depends on another, nor on where it stands.

Unknowns are fitted by coordinates u, log x where kernels take the reciprocal (T1, T2, ...), else x itself. They come
first, then the linear one, M0, in one column, or two where it is complex. Given the others it is projected: it is
always the best that there is, so that steps are those of variable projection (L. Kaufman, BIT 15 (1975) 49).
"""

from collections import namedtuple

import numpy as np

from . import columns as col
from .crlb import invert
from .jit import entry, kernel
from .rician import rician

COMPLEX, MAGNITUDE, RICIAN = range(3)  # what is compared: complex numbers, magnitudes, magnitudes with their bias
WORKING, CONVERGED, AT_BOUND, NOT_FINITE, DARK, SINGULAR, UNFINISHED = range(7)  # how a voxel stands

# What a fit is about. `rows` of the tissue table, and what kernels take of an unknown: `factors` times it, or its
# reciprocal where that is 0. `lower`, `upper`: bounds by unknown. `faint`: what the data's energy, or (where there is
# no noise) its ratio to what is left, must exceed. `unknown_m0`: columns of M0.
Question = namedtuple(
    "Question", "rows factors lower upper weights kind unknown_m0 faint tolerance iterations"
)

# Of a block of voxels: data; noise (0: none is known); values accepted, on trial; normal matrix, gradient (downhill),
# the middle of what noise makes of a Rician fit; what is left, and is promised to be left; damping and its growth; state.
Work = namedtuple(
    "Work", "data noise values trial normal gradient middle left promise damping growth steps status voxels table"
)

# Room for one voxel: normal matrix, gradient, middle, derivatives at a readout, a step, its coordinates that are set
# already, a factor and its inverse.
Room = namedtuple("Room", "normal gradient middle slopes step fixed factor inverse")

BLIND = 1e-24  # square of a derivative, relative to the data's: nothing is seen
NEAR, SHARE = 1e-3, 0.9  # a bound is stepped on from as near as that part of the way between both, else approached
CLOSE = 1e-14  # a promise, relative to what is left, that is not worth a step: a ten millionth of the deviation
HAIR = 1e-14  # relative: what is as near to a bound is on it
HUGE = 1e200
EPSILON = 2.220446049250313e-16


@kernel
def is_reciprocal(question, k):
    """Whether the kernels take the reciprocal of an unknown."""
    return k < len(question.factors) and question.factors[k] == 0


@kernel
def coordinate(question, k, x):
    """An unknown as it is fitted."""
    return np.log(x) if is_reciprocal(question, k) else x


@kernel
def stepped(question, p):
    """How many of `p` unknowns are found by steps: all, or all but an M0 that is projected."""
    return p if question.kind == RICIAN else len(question.rows)


@kernel
def unit(question, k, x):
    """Of a coordinate: what its steps are compared with."""
    if is_reciprocal(question, k):
        return 1.0
    width = question.upper[k] - question.lower[k]
    return max(abs(x), NEAR * width) if width < np.inf else abs(x)


@kernel
def energy_of(question, data):
    """Of the data, as far as it counts."""
    energy = 0.0
    for o in range(len(question.weights)):
        if question.weights[o] > 0:
            energy += question.weights[o] * (data[o].real ** 2 + data[o].imag ** 2)
    return energy


@kernel
def project(question, data, signal, trial):
    """M0, given the other unknowns, within its bounds."""
    size, along, across = 0.0, 0.0, 0.0
    for o in range(len(question.weights)):
        w, s, d = question.weights[o], signal[o], data[o]
        if w == 0:
            continue
        size += w * (s.real * s.real + s.imag * s.imag)
        if question.kind == COMPLEX:
            along += w * (s.real * d.real + s.imag * d.imag)
            across += w * (s.real * d.imag - s.imag * d.real)
        else:
            along += w * np.sqrt(s.real * s.real + s.imag * s.imag) * d.real
    q = len(question.rows)
    if size == 0:
        size = 1.0
    trial[q] = along / size
    if question.unknown_m0 == 2:
        trial[q + 1] = across / size
    else:
        trial[q] = min(max(trial[q], question.lower[q]), question.upper[q])


@kernel
def add_readout(question, o, data, noise, signal, jacobian, trial, room):
    """What one readout adds to normal matrix, gradient and middle of the voxel; what it leaves."""
    q, p, w, s = len(question.rows), len(room.gradient), question.weights[o], signal[o]
    slopes = room.slopes
    m0 = complex(1.0, 0.0)
    if question.unknown_m0 > 0:
        m0 = complex(trial[q], trial[q + 1] if question.unknown_m0 == 2 else 0.0)
    if question.kind == COMPLEX:
        rest = data[o] - m0 * s
        for k in range(q):
            slopes[k] = m0 * jacobian[k, o]
        if question.unknown_m0 > 0:
            slopes[q] = s
        if question.unknown_m0 == 2:
            slopes[q + 1] = complex(-s.imag, s.real)
        variance = 0.0
    else:
        size = np.sqrt(s.real * s.real + s.imag * s.imag)
        over = 1 / size if size > 0 else 0.0
        mean, slope, variance = m0.real * size, 1.0, 0.0
        if question.kind == RICIAN:
            mean, slope, variance = rician(mean, noise / np.sqrt(w))
        rest = complex(data[o].real - mean, 0.0)
        for k in range(q):
            along = (s.real * jacobian[k, o].real + s.imag * jacobian[k, o].imag) * over
            slopes[k] = slope * m0.real * along
        if question.unknown_m0 > 0:
            slopes[q] = slope * size
    for k in range(q):
        if question.factors[k] == 0:
            slopes[k] *= trial[k]
    for a in range(p):
        room.gradient[a] += w * (slopes[a].real * rest.real + slopes[a].imag * rest.imag)
        for b in range(a + 1):
            both = slopes[a].real * slopes[b].real + slopes[a].imag * slopes[b].imag
            room.normal[a, b] += w * both
            room.middle[a, b] += w * w * variance * both
    return w * (rest.real * rest.real + rest.imag * rest.imag)


@kernel
def measure(question, data, noise, signal, jacobian, trial, room, first):
    """Normal matrix and gradient at trial values, whose M0 is set; returns what is left of the data."""
    p = len(room.gradient)
    if question.unknown_m0 > 0 and (first or question.kind != RICIAN):
        project(question, data, signal, trial)
    for a in range(p):
        room.gradient[a] = 0
        for b in range(a + 1):
            room.normal[a, b] = 0
            room.middle[a, b] = 0
    left = 0.0
    for o in range(len(question.weights)):
        if question.weights[o] > 0:
            left += add_readout(question, o, data, noise, signal, jacobian, trial, room)
    for a in range(p):
        for b in range(a):
            room.normal[b, a] = room.normal[a, b]
            room.middle[b, a] = room.middle[a, b]
    return left


@kernel
def is_seen(question, k, value, normal, energy):
    """Whether the signal depends on an unknown, or is there at all for M0 to be told."""
    q, size = len(question.rows), 0.0
    if k < q:
        size = unit(question, k, value[k])
    else:
        for m in range(q, len(value)):
            size = np.hypot(size, value[m])
    return size * size * normal[k, k] > BLIND * energy


@kernel
def is_fixed(question, k, value, gradient, normal, energy):
    """Whether an unknown stays: nothing is seen of it, or downhill lies beyond its bound."""
    if not is_seen(question, k, value, normal, energy):
        return True
    return (value[k] <= question.lower[k] and gradient[k] <= 0) or (value[k] >= question.upper[k] and gradient[k] >= 0)


@kernel
def solve(normal, gradient, damping, damped, room):
    """The step of coordinates that are not fixed, given those that are, by Cholesky's factors at unit diagonal.

    The first `damped` of them are damped.
    """
    p, factor, step = len(gradient), room.factor, room.step
    for a in range(p):
        if room.fixed[a]:
            continue
        right = gradient[a]
        for b in range(p):
            if room.fixed[b]:
                right -= normal[a, b] * step[b]
        for b in range(a + 1):
            if room.fixed[b]:
                continue
            total = normal[a, b] / np.sqrt(normal[a, a] * normal[b, b]) + (damping if a == b and a < damped else 0.0)
            for c in range(b):
                if not room.fixed[c]:
                    total -= factor[a, c] * factor[b, c]
            factor[a, b] = np.sqrt(max(total, EPSILON)) if a == b else total / factor[b, b]
        right /= np.sqrt(normal[a, a])
        for c in range(a):
            if not room.fixed[c]:
                right -= factor[a, c] * step[c]
        step[a] = right / factor[a, a]
    for a in range(p - 1, -1, -1):
        if room.fixed[a]:
            continue
        total = step[a]
        for c in range(a + 1, p):
            if not room.fixed[c]:
                total -= factor[c, a] * step[c] * np.sqrt(normal[c, c])
        step[a] = total / factor[a, a] / np.sqrt(normal[a, a])


@kernel
def hold_back(question, value, room):
    """Shorten the step that goes farthest beyond a bound, and fix it; False if none does.

    Onto a bound only from near it: the signal may not depend on an unknown there, as on B1 around 180 degrees, so that
    none of its derivatives would lead away again.
    """
    worst, where, most = 1.0, -1, 0.0
    for k in range(stepped(question, len(room.step))):
        if room.fixed[k] or room.step[k] == 0:
            continue
        end = question.upper[k] if room.step[k] > 0 else question.lower[k]
        if np.isinf(end):
            continue
        way = coordinate(question, k, end) - coordinate(question, k, value[k])
        whole = coordinate(question, k, question.upper[k]) - coordinate(question, k, question.lower[k])
        allowed = way if abs(way) <= NEAR * whole else SHARE * way
        if way == 0 or room.step[k] / way > worst:
            worst, where, most = room.step[k] / way if way != 0 else np.inf, k, allowed
    if where < 0:
        return False
    room.step[where] = most
    room.fixed[where] = True
    return True


@kernel
def promised(normal, gradient, step):
    """How much less would be left, were the signal linear."""
    total = 0.0
    for a in range(len(step)):
        total += 2 * gradient[a] * step[a]
        for b in range(len(step)):
            total -= step[a] * normal[a, b] * step[b]
    return total


@kernel
def next_step(question, work, v, energy, room):
    """The next step of a voxel, and what it promises; zero if there is nowhere to go."""
    value, normal, gradient = work.values[v], work.normal[v], work.gradient[v]
    p = len(gradient)
    damped = stepped(question, p)
    while work.damping[v] < 1e30:
        moving = 0
        for k in range(p):
            room.step[k] = 0
            room.fixed[k] = is_fixed(question, k, value, gradient, normal, energy)
            moving += not room.fixed[k]
        if moving == 0:
            return 0.0
        solve(normal, gradient, work.damping[v], damped, room)
        while hold_back(question, value, room):
            solve(normal, gradient, work.damping[v], damped, room)
        promise = promised(normal, gradient, room.step)
        if promise > 0:
            return promise
        if not promise <= 0:
            break
        work.damping[v] *= 4
    return 0.0


@kernel
def is_done(question, work, v, promise, room):
    """Whether the step that comes next is not worth being made."""
    damping = work.damping[v]
    small = promise <= CLOSE * work.left[v]
    if promise == 0 or (small and damping > 1e8):
        return True
    if damping > 1:
        return False
    longest = 0.0
    for k in range(stepped(question, len(room.step))):
        size = unit(question, k, work.values[v, k])
        longest = max(longest, abs(room.step[k]) / size if size > 0 else 0.0)
    return small or longest <= question.tolerance


@kernel
def is_dark(question, work, v, energy, p):
    """Whether the data of a voxel whose M0 is unknown are no more than noise may be, by a test of significance."""
    if energy == 0:
        return True
    if question.unknown_m0 == 0:
        return False
    if question.kind == COMPLEX:
        measure = work.noise[v] ** 2 if work.noise[v] > 0 else work.left[v]
        return energy - work.left[v] < question.faint * measure
    return question.kind == RICIAN and energy < question.faint * work.noise[v] ** 2


@kernel
def finish(question, work, v, energy, covariance, room):
    """State and covariance of a voxel that has come to an end."""
    value, normal, p = work.values[v], work.normal[v], len(room.gradient)
    for a in range(p):
        for b in range(p):
            covariance[a, b] = np.nan
    if is_dark(question, work, v, energy, p):
        return DARK
    free, samples = 0, 0
    for o in range(len(question.weights)):
        samples += (question.weights[o] > 0) * (2 if question.kind == COMPLEX else 1)
    for k in range(p):
        inside = question.lower[k] < value[k] < question.upper[k]
        if inside and not is_seen(question, k, value, normal, energy):
            return SINGULAR
        room.fixed[k] = not inside
        free += inside
    status = CONVERGED if free == p else AT_BOUND
    if free == 0:
        return status
    a = 0
    for k in range(p):
        if room.fixed[k]:
            continue
        b = 0
        for m in range(p):
            if not room.fixed[m]:
                room.normal[a, b] = normal[k, m]
                b += 1
        a += 1
    if not invert(room.normal[:free, :free], room.inverse[:free, :free], 4 * free * samples * EPSILON):
        return SINGULAR
    variance = work.noise[v] ** 2
    if work.noise[v] == 0:
        variance = work.left[v] / (samples - free) if samples > free else np.nan
    a = 0
    for k in range(p):
        if room.fixed[k]:
            continue
        b = 0
        for m in range(p):
            if room.fixed[m]:
                continue
            units = (value[k] if is_reciprocal(question, k) else 1.0) * (value[m] if is_reciprocal(question, m) else 1.0)
            total = variance * room.inverse[a, b]
            if question.kind == RICIAN:
                total = sandwiched(work.middle[v], room, a, b)
            covariance[k, m] = units * total
            b += 1
        a += 1
    return status


@kernel
def sandwiched(middle, room, a, b):
    """An element of inverse times middle times inverse, of the unknowns that are free."""
    total, i = 0.0, 0
    for k in range(len(room.fixed)):
        if room.fixed[k]:
            continue
        j = 0
        for m in range(len(room.fixed)):
            if not room.fixed[m]:
                total += room.inverse[a, i] * middle[k, m] * room.inverse[j, b]
                j += 1
        i += 1
    return total


@kernel
def judge(question, work, v, left, energy, room):
    """Accept a trial that leaves less, or reject it, and set the damping (H. B. Nielsen's rule)."""
    slack = 4 * EPSILON * np.sqrt(max(left, 0.0) * energy)
    if left <= work.left[v] + slack:
        if work.left[v] < np.inf:
            gain = min(max((work.left[v] - left) / work.promise[v], 0.0), 1.0)
            work.damping[v] *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
            work.damping[v] = max(work.damping[v], 1e-15)
        work.growth[v] = 2
        work.left[v] = left
        for a in range(len(room.gradient)):
            work.values[v, a] = work.trial[v, a]
            work.gradient[v, a] = room.gradient[a]
            for b in range(len(room.gradient)):
                work.normal[v, a, b] = room.normal[a, b]
                work.middle[v, a, b] = room.middle[a, b]
    else:
        work.damping[v] *= work.growth[v]
        work.growth[v] *= 2


@kernel
def set_trial(question, work, v, room):
    """The values that a step leads to."""
    for k in range(len(room.step)):
        x, lower, upper = work.values[v, k], max(question.lower[k], -HUGE), min(question.upper[k], HUGE)
        x = x * np.exp(room.step[k]) if is_reciprocal(question, k) else x + room.step[k]
        work.trial[v, k] = lower if x - lower <= HAIR * abs(lower) else upper if upper - x <= HAIR * abs(upper) else x


@kernel
def write_column(question, work, v, column):
    """Trial values into a column of the tissue table."""
    for k in range(len(question.rows)):
        x = work.trial[v, k]
        work.table[question.rows[k], column] = 1 / x if question.factors[k] == 0 else question.factors[k] * x


@kernel
def step_voxel(question, work, v, j, signal, jacobian, covariance, room):
    """One step of the voxel in column j; returns how it stands then."""
    energy = energy_of(question, work.data[v])
    if not np.isfinite(energy):
        return NOT_FINITE
    first = work.steps[v] == 0
    left = measure(question, work.data[v], work.noise[v], signal[j], jacobian[j], work.trial[v], room, first)
    work.steps[v] += 1
    if first and not np.isfinite(left):
        return NOT_FINITE
    judge(question, work, v, left, energy, room)
    promise = next_step(question, work, v, energy, room) if energy > 0 else 0.0
    if is_done(question, work, v, promise, room):
        if promise > 0:  # what is not worth being played is worth being taken
            set_trial(question, work, v, room)
            for k in range(len(room.step)):
                work.values[v, k] = work.trial[v, k]
        return finish(question, work, v, energy, covariance[v], room)
    if work.steps[v] >= question.iterations or work.damping[v] > 1e16:
        return UNFINISHED
    work.promise[v] = promise
    return WORKING


@entry("fits")
def step_batch(question, work, signal, jacobian, covariance, room, count):
    """A step of the first `count` voxels in work; returns how many there are left, moved to the front."""
    kept = 0
    for j in range(count):
        v = work.voxels[j]
        work.status[v] = step_voxel(question, work, v, j, signal, jacobian, covariance, room)
        if work.status[v] == WORKING:
            for row in range(work.table.shape[0]):
                work.table[row, kept] = work.table[row, j]
            set_trial(question, work, v, room)
            write_column(question, work, v, kept)
            work.voxels[kept] = v
            kept += 1
    return kept


@entry("starts of fits")
def start_batch(data, turned, atoms, sizes, group, scale, scores, best):
    """The atom that comes closest to each voxel's data.

    `data` (voxel, sample) are planar reals, `turned` the same after a quarter turn where M0 is complex, or nothing;
    `atoms` (group, sample, atom) are of unit length where M0 is unknown, `sizes` (group, atom) their squares where it is
    `scale`. Sums go over samples in their order, so that a voxel's do not depend on others.
    """
    count = atoms.shape[2]
    for v in range(data.shape[0]):
        g = group[v]
        for plane in range(2):
            for a in range(count):
                scores[plane, a] = 0
        for o in range(data.shape[1]):
            x = data[v, o]
            for a in range(count):
                scores[0, a] += x * atoms[g, o, a]
            if turned.shape[0] > 0:
                y = turned[v, o]
                for a in range(count):
                    scores[1, a] += y * atoms[g, o, a]
        highest = -np.inf
        for a in range(count):
            score = scores[0, a] ** 2 + scores[1, a] ** 2
            if scale[v] != 0:
                score = 2 * scale[v] * scores[0, a] - scale[v] ** 2 * sizes[g, a]
            if score > highest:
                highest = score
                best[v] = a
