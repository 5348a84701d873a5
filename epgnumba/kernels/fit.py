"""Least squares, voxel by voxel: a step of Levenberg's and Marquardt's method for all that are still at work.

Voxels in work stand in the first columns of the tissue table, where `signal_batch` plays them; `step_batch` takes what
it played, accepts or rejects the trial values of each, and either finishes a voxel or writes its next trial into the
table. Nothing of a voxel depends on another, nor on where it stands.

Unknowns that are found by steps come first, then M0, in one column, or two where it is complex. It is projected: given
the others always the best that there is, so that steps are those of variable projection (L. Kaufman, BIT 15 (1975) 49).
In a Rician fit, where nothing is linear, it is found by steps as well.
"""

from collections import namedtuple

import numpy as np

from .crlb import invert
from .descent import EPSILON, Asked, Room, Voxel, is_done, is_reciprocal, is_seen, judge, next_step, set_trial
from .jit import at, entry, kernel
from .rician import rician

COMPLEX, MAGNITUDE, RICIAN = range(3)  # what is compared: complex numbers, magnitudes, magnitudes with their bias
WORKING, CONVERGED, AT_BOUND, NOT_FINITE, DARK, SINGULAR, UNFINISHED = range(7)  # how a voxel stands

# See `descent.Asked`. `faint`: which energy, over the noise's or (where that is not known) over what is left, tells a
# signal from noise. `tolerance`: of a step; `iterations`: the most there are.
Question = namedtuple("Question", "rows factors lower upper weights kind m0_columns faint tolerance iterations")

# Arrays of a block of voxels: as `descent.Voxel`, then steps made, states, the voxels in work and their tissue table.
Work = namedtuple(
    "Work",
    "data values trial gradient normal bend middle left promise damping growth noise steps status voxels table",
)

# As `descent.Room`, and of those unknowns that are inside of their bounds the Fisher matrix and its inverse.
Rooms = namedtuple("Rooms", "gradient normal middle slopes step fixed factor lack fisher inverse")


@kernel
def select_question(question):
    """Pointers to what is asked of every voxel."""
    found = len(question.rows)
    columns = found + question.m0_columns
    return Asked(
        at(question.rows, 0), at(question.factors, 0), at(question.lower, 0), at(question.upper, 0),
        at(question.weights, 0), columns, found, columns if question.kind == RICIAN else found, len(question.weights),
        question.kind, question.m0_columns, question.faint, question.tolerance, question.iterations,
    )  # fmt: skip


@kernel
def select_voxel(asked, work, v):
    """Pointers to what is one voxel's."""
    p = asked.columns
    return Voxel(
        at(work.data, v * asked.readouts), at(work.values, v * p), at(work.trial, v * p), at(work.gradient, v * p),
        at(work.normal, v * p * p), at(work.bend, v * p * p), at(work.middle, v * p * p), at(work.left, v),
        at(work.promise, v), at(work.damping, v), at(work.growth, v), work.noise[v],
    )  # fmt: skip


@kernel
def energy_of(asked, data):
    """Of the data, as far as they count."""
    energy = 0.0
    for o in range(asked.readouts):
        if asked.weights[o] > 0:
            energy += asked.weights[o] * (data[o].real ** 2 + data[o].imag ** 2)
    return energy


@kernel
def project(asked, data, signal, trial):
    """M0, given the other unknowns, within its bounds."""
    size, along, across = 0.0, 0.0, 0.0
    for o in range(asked.readouts):
        w, s, d = asked.weights[o], signal[o], data[o]
        if w == 0:
            continue
        square = s.real * s.real + s.imag * s.imag
        size += w * square
        if asked.kind == COMPLEX:
            along += w * (s.real * d.real + s.imag * d.imag)
            across += w * (s.real * d.imag - s.imag * d.real)
        else:
            along += w * np.sqrt(square) * d.real
    q = asked.found
    if size == 0:
        size = 1.0
    trial[q] = along / size
    if asked.m0_columns == 2:
        trial[q + 1] = across / size
    else:
        trial[q] = min(max(trial[q], asked.lower[q]), asked.upper[q])


@kernel
def compare(asked, data, signal, jacobian, o, m0, slopes):
    """What one complex readout leaves, and its derivatives by all columns."""
    q, s = asked.found, signal[o]
    for k in range(q):
        slopes[k] = m0 * jacobian[k * asked.readouts + o]
    if asked.m0_columns > 0:
        slopes[q] = s
    if asked.m0_columns == 2:
        slopes[q + 1] = complex(-s.imag, s.real)
    return data[o] - m0 * s


@kernel
def compare_magnitude(asked, voxel, signal, jacobian, o, m0, slopes):
    """What one magnitude leaves, the variance that noise gives it in a Rician fit, and its derivatives."""
    q, s = asked.found, signal[o]
    size = np.sqrt(s.real * s.real + s.imag * s.imag)
    over = m0 / size if size > 0 else 0.0
    mean, slope, variance = m0 * size, 1.0, 0.0
    if asked.kind == RICIAN:
        mean, slope, variance = rician(mean, voxel.noise / np.sqrt(asked.weights[o]))
    for k in range(q):
        d = jacobian[k * asked.readouts + o]
        slopes[k] = complex(slope * over * (s.real * d.real + s.imag * d.imag), 0.0)
    if asked.m0_columns > 0:
        slopes[q] = complex(slope * size, 0.0)
    return complex(voxel.data[o].real - mean, 0.0), variance


@kernel
def measure(asked, voxel, signal, jacobian, room, first):
    """Normal matrix and gradient at trial values, whose M0 is set; returns what is left of the data."""
    p, q, trial, slopes = asked.columns, asked.found, voxel.trial, room.slopes
    m0 = complex(1.0, 0.0)
    if asked.m0_columns > 0:
        if first or asked.kind != RICIAN:
            project(asked, voxel.data, signal, trial)
        m0 = complex(trial[q], trial[q + 1] if asked.m0_columns == 2 else 0.0)
    for a in range(p):
        room.gradient[a] = 0
    for a in range(p * p):
        room.normal[a], room.middle[a] = 0, 0
    left, variance = 0.0, 0.0
    for o in range(asked.readouts):
        w = asked.weights[o]
        if w == 0:
            continue
        if asked.kind == COMPLEX:
            rest = compare(asked, voxel.data, signal, jacobian, o, m0, slopes)
        else:
            rest, variance = compare_magnitude(asked, voxel, signal, jacobian, o, m0.real, slopes)
        left += w * (rest.real * rest.real + rest.imag * rest.imag)
        for a in range(p):
            re, im = w * slopes[a].real, w * slopes[a].imag
            room.gradient[a] += re * rest.real + im * rest.imag
            for b in range(a + 1):
                both = re * slopes[b].real + im * slopes[b].imag
                room.normal[a * p + b] += both
                if asked.kind == RICIAN:
                    room.middle[a * p + b] += w * variance * both
    for a in range(p):  # from derivatives by unknowns to those by coordinates
        own = trial[a] if is_reciprocal(asked, a) else 1.0
        room.gradient[a] *= own
        for b in range(a + 1):
            scale = own * (trial[b] if is_reciprocal(asked, b) else 1.0)
            room.normal[a * p + b] *= scale
            room.middle[a * p + b] *= scale
            room.normal[b * p + a] = room.normal[a * p + b]
            room.middle[b * p + a] = room.middle[a * p + b]
    return left


@kernel
def refine_m0(asked, voxel, room):
    """A step of M0 alone, where it is not linear: most of what projection would do."""
    q = asked.found
    curvature = room.normal[q * asked.columns + q]
    if curvature > 0:
        m0 = voxel.trial[q] + room.gradient[q] / curvature
        voxel.trial[q] = min(max(m0, asked.lower[q]), asked.upper[q])


@kernel
def is_dark(asked, voxel, energy):
    """Whether data are too faint to be fitted: nothing at all, or magnitudes that may be those of noise alone."""
    return energy == 0 or (asked.kind == RICIAN and asked.m0_columns > 0 and energy < asked.faint * voxel.noise**2)


@kernel
def is_noise(asked, voxel, energy):
    """Whether what a fit explains of complex data is no more than it would of noise alone."""
    if asked.kind != COMPLEX or asked.m0_columns == 0:
        return False
    scale = voxel.noise**2 if voxel.noise > 0 else voxel.left[0]
    return energy - voxel.left[0] < asked.faint * scale


@kernel
def finish(asked, voxel, energy, room, fisher, inverse, covariance):
    """How a voxel that has come to an end stands, and the covariance of those unknowns that lie inside their bounds."""
    p, place = asked.columns, 0
    for a in range(p * p):
        covariance[a] = np.nan
    if is_noise(asked, voxel, energy):
        return DARK
    for k in range(p):
        if asked.lower[k] < voxel.values[k] < asked.upper[k]:
            if not is_seen(asked, voxel, k, energy):
                return SINGULAR
            room.step[place] = k  # which one it is
            place += 1
    free, samples = place, 0
    for o in range(asked.readouts):
        samples += (asked.weights[o] > 0) * (2 if asked.kind == COMPLEX else 1)
    for a in range(free):
        for b in range(free):
            fisher[a, b] = voxel.normal[int(room.step[a]) * p + int(room.step[b])]
    if free > 0 and not invert(fisher[:free, :free], inverse[:free, :free], 4 * free * samples * EPSILON):
        return SINGULAR
    variance = voxel.noise**2
    if voxel.noise == 0:
        variance = voxel.left[0] / (samples - free) if samples > free else np.nan
    for a in range(free):
        k = int(room.step[a])
        for b in range(free):
            m, total = int(room.step[b]), variance * inverse[a, b]
            if asked.kind == RICIAN:
                total = sandwiched(asked, voxel, room, inverse, a, b, free)
            units = voxel.values[k] if is_reciprocal(asked, k) else 1.0
            covariance[k * p + m] = total * units * (voxel.values[m] if is_reciprocal(asked, m) else 1.0)
    return CONVERGED if free == p else AT_BOUND


@kernel
def sandwiched(asked, voxel, room, inverse, a, b, free):
    """An element of inverse times middle times inverse."""
    total = 0.0
    for i in range(free):
        for j in range(free):
            middle = voxel.middle[int(room.step[i]) * asked.columns + int(room.step[j])]
            total += inverse[a, i] * middle * inverse[j, b]
    return total


@entry("fits")
def step_batch(question, work, signal, jacobian, covariance, rooms, count):
    """A step of the first `count` voxels in work; returns how many there are left, moved to the front."""
    asked = select_question(question)
    room = Room(
        at(rooms.gradient, 0), at(rooms.normal, 0), at(rooms.middle, 0), at(rooms.slopes, 0), at(rooms.step, 0),
        at(rooms.fixed, 0), at(rooms.factor, 0), at(rooms.lack, 0),
    )  # fmt: skip
    p, kept = asked.columns, 0
    for j in range(count):
        v = work.voxels[j]
        voxel, first = select_voxel(asked, work, v), work.steps[v] == 0
        energy = energy_of(asked, voxel.data)
        played = at(signal, j * asked.readouts), at(jacobian, j * asked.found * asked.readouts)
        left = measure(asked, voxel, *played, room, first) if np.isfinite(energy) else np.inf
        if asked.kind == RICIAN and asked.m0_columns > 0 and np.isfinite(left):
            refine_m0(asked, voxel, room)
            left = measure(asked, voxel, *played, room, False)
        work.steps[v] += 1
        if first and (not np.isfinite(left) or is_dark(asked, voxel, energy)):
            work.status[v] = DARK if np.isfinite(left) else NOT_FINITE
            continue
        judge(asked, voxel, left, energy, room)
        promise = next_step(asked, voxel, energy, room)
        if promise > 0:
            set_trial(asked, voxel, room)
        if is_done(asked, voxel, promise, room):
            for k in range(p if promise > 0 else 0):  # what is not worth being played is worth being taken
                voxel.values[k] = voxel.trial[k]
            voxel.left[0] = max(voxel.left[0] - promise, 0.0)
            own = at(covariance, v * p * p)
            work.status[v] = finish(asked, voxel, energy, room, rooms.fisher, rooms.inverse, own)
        elif promise < 0 or work.steps[v] >= asked.iterations:
            work.status[v] = UNFINISHED
        else:
            work.promise[v] = promise
            for row in range(work.table.shape[0]):
                work.table[row, kept] = work.table[row, j]
            for k in range(asked.found):
                x = voxel.trial[k]
                work.table[asked.rows[k], kept] = asked.factors[k] * x if asked.factors[k] != 0 else 1 / x
            work.voxels[kept] = v
            kept += 1
    return kept
