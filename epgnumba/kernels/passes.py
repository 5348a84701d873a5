"""Passes over the lanes of a row, or of a few: what surrounds a pulse.

x are the states, t a tangent; e decay factors, one a lane.
"""

import numpy as np
from numba.core import config

from .columns import VECTOR
from .jit import kernel, paste_in

# Unsigned offsets: a signed one may wrap around, and the loop would stay scalar. As plain Python they are integers,
# since NumPy 1 makes a float of a sum of both kinds.
_U = int if config.DISABLE_JIT else np.uintp


@kernel
def read_pass(x, e, out, scale, lanes):
    """A decayed state, read."""
    for j in range(_U(lanes)):
        out[j] = scale * e[j] * x[j]


@kernel
def read_tangent_pass(x, t, e, seed, out, scale, time, lanes):
    """Its tangent (t), of a rate whose seed is given."""
    for j in range(_U(lanes)):
        out[j] = scale * e[j] * (t[j] - time * seed[j] * x[j])


@kernel
def unread_pass(x, e, bar, scale, lanes):
    """Adjoint of `read_pass`."""
    for j in range(_U(lanes)):
        x[j] += scale * e[j] * bar[j]


@kernel
def unread_tangent_pass(x, t, e, seed, bar, scale, time, lanes):
    """Adjoint of `read_tangent_pass`."""
    for j in range(_U(lanes)):
        decayed = scale * e[j] * bar[j]
        x[j] -= time * seed[j] * decayed
        t[j] += decayed


@kernel
def recover_pass(p, m, w, c, s, e, scale, half, lanes):
    """Add to order zero what Z_0 gains before a pulse, through the pulse."""
    for j in range(_U(lanes)):
        gain = scale * (1 - e[j])
        odd = half * (s[j] * gain)
        p[j] += odd
        m[j] -= odd
        w[j] += c[j] * gain


@kernel
def recover_tangent_pass(p, m, w, c, s, e, seed, scale, half, lanes):
    """Its tangent, of a rate whose seed times the duration, in `scale`, is given."""
    for j in range(_U(lanes)):
        gain = scale * e[j] * seed[j]
        odd = half * (s[j] * gain)
        p[j] += odd
        m[j] -= odd
        w[j] += c[j] * gain


@kernel
def recover_flipped_pass(p, m, w, c, s, e, seed, scale, turn, half, lanes):
    """Its tangent, of the flip angle: `turn` times a seed is what that changes by."""
    for j in range(_U(lanes)):
        gain = scale * (1 - e[j]) * turn * seed[j]
        even = half * (c[j] * gain)
        p[j] += even
        m[j] -= even
        w[j] -= s[j] * gain


@kernel
def fill_zero(x, count):
    paste_in()
    for i in range(count):
        x[i] = 0


@kernel
def fill_zero_vectors(x, count):
    """At least `count` zeros: whole vectors of them, where there is room for more."""
    paste_in()
    for v in range((count + VECTOR - 1) // VECTOR):
        for j in range(_U(VECTOR)):
            x[_U(v * VECTOR) + j] = 0


@kernel
def negate(x, count):
    paste_in()
    for i in range(count):
        x[i] = -x[i]


@kernel
def fold_rows(source, low, rows, lanes, sign):
    """Orders that cross zero: rows 0, 1, ... of one component become rows -1, -2, ... of the other (low ends there)."""
    paste_in()
    for k in range(rows):
        for j in range(lanes):
            low[(rows - 1 - k) * lanes + j] = sign * source[k * lanes + j]


@kernel
def unfold_rows(source, low, rows, lanes, sign):
    """Adjoint of `fold_rows`."""
    paste_in()
    for k in range(rows):
        for j in range(lanes):
            source[k * lanes + j] += sign * low[(rows - 1 - k) * lanes + j]
