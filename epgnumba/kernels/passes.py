"""Passes over the states of one pulse: the inner loops, each a few lines that compile to packed arithmetic.

Every pass runs over `vectors` groups of VECTOR numbers. Coefficients hold VECTOR numbers each, so a pass does not care
how many lanes lie side by side: one voxel fills a vector with sixteen orders, sixteen voxels with one order.
Components are named as in `physics` (p, m, w), with an i in quadrature where a pass treats both planes at once; 0 is
before the pulse, 1 after it; x are the states, t a tangent.
"""

import numpy as np
from numba.core import config

from .columns import VECTOR
from .jit import keep_out_of_line, kernel, paste_in
from .physics import generator, pulse, pulse_adjoint, turn

# Unsigned offsets: a signed one may wrap around, and the loop would stay scalar. As plain Python they are integers,
# since NumPy 1 makes a float of a sum of both kinds.
_U = int if config.DISABLE_JIT else np.uintp


@kernel
def pulse_pass(p0, m0, w0, p1, m1, w1, co, vectors):
    """States (or a tangent without seeds) through decay and pulse."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            p1[i], m1[i], w1[i] = pulse(
                p0[i], m0[i], w0[i], co[j], co[_U(16) + j], co[_U(32) + j], co[_U(48) + j], co[_U(64) + j]
            )


@kernel
def relax_pass(xp0, xm0, xw0, p0, m0, w0, p1, m1, w1, co, g, vectors):
    """A tangent whose decay depends on it: g holds d log e1 and d log e2."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            g1 = g[j]
            g2 = g[_U(16) + j]
            p1[i], m1[i], w1[i] = pulse(
                p0[i] + g2 * xp0[i],
                m0[i] + g2 * xm0[i],
                w0[i] + g1 * xw0[i],
                co[j],
                co[_U(16) + j],
                co[_U(32) + j],
                co[_U(48) + j],
                co[_U(64) + j],
            )


@kernel
def flip_pass(xp1, xm1, xw1, p1, m1, w1, g, half, vectors):
    """Add to a tangent what a change g of the flip angle (radians) does to the states."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            p, m, w = generator(xp1[i], xm1[i], xw1[i], half)
            p1[i] += g[j] * p
            m1[i] += g[j] * m
            w1[i] += g[j] * w


@kernel
def turned_pass(p0, m0, w0, p0i, m0i, w0i, p1, m1, w1, p1i, m1i, w1i, co, angle, vectors):
    """`pulse_pass` on both planes, which are first turned into the frame of the pulse."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            c = angle[j]
            s = angle[_U(16) + j]
            p, pi = turn(p0[i], p0i[i], c, s)
            m, mi = turn(m0[i], m0i[i], c, -s)
            ca, cb, cc, cd, ce = co[j], co[_U(16) + j], co[_U(32) + j], co[_U(48) + j], co[_U(64) + j]
            p1[i], m1[i], w1[i] = pulse(p, m, w0[i], ca, cb, cc, cd, ce)
            p1i[i], m1i[i], w1i[i] = pulse(pi, mi, w0i[i], ca, cb, cc, cd, ce)


@kernel
def seeded_turned_pass(
    xp, xm, xw, xpi, xmi, xwi, p0, m0, w0, p0i, m0i, w0i, p1, m1, w1, p1i, m1i, w1i, co, angle, g, vectors
):
    """`turned_pass` for a tangent on which decay or precession depend: g holds d log e1, d log e2, d angle."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            g1 = g[j]
            g2 = g[_U(16) + j]
            g3 = g[_U(32) + j]
            c = angle[j]
            s = angle[_U(16) + j]
            p, pi = turn(p0[i] + (g2 * xp[i] - g3 * xpi[i]), p0i[i] + (g2 * xpi[i] + g3 * xp[i]), c, s)
            m, mi = turn(m0[i] + (g2 * xm[i] + g3 * xmi[i]), m0i[i] + (g2 * xmi[i] - g3 * xm[i]), c, -s)
            ca, cb, cc, cd, ce = co[j], co[_U(16) + j], co[_U(32) + j], co[_U(48) + j], co[_U(64) + j]
            p1[i], m1[i], w1[i] = pulse(p, m, w0[i] + g1 * xw[i], ca, cb, cc, cd, ce)
            p1i[i], m1i[i], w1i[i] = pulse(pi, mi, w0i[i] + g1 * xwi[i], ca, cb, cc, cd, ce)


@kernel
def pull_pass(xp1, xm1, xw1, p1, m1, w1, p0, m0, w0, co, half, flip_bar, vectors):
    """Adjoint states back through a pulse, gathering the derivative with respect to its flip angle.

    x is what those states were after the pulse.
    """
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            gp, gm, gw = generator(xp1[i], xm1[i], xw1[i], half)
            flip_bar[j] += p1[i] * gp + m1[i] * gm + w1[i] * gw
            p0[i], m0[i], w0[i] = pulse_adjoint(
                p1[i], m1[i], w1[i], co[j], co[_U(16) + j], co[_U(32) + j], co[_U(48) + j], co[_U(64) + j]
            )


@kernel
def pull_turned_pass(
    xp1, xm1, xw1, xp1i, xm1i, xw1i, p1, m1, w1, p1i, m1i, w1i, p0, m0, w0, p0i, m0i, w0i, co, angle, half, flip_bar,
    vectors,
):  # fmt: skip
    """`pull_pass` on both planes, which are then turned back: the adjoint of `turned_pass`."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            gp, gm, gw = generator(xp1[i], xm1[i], xw1[i], half)
            gpi, gmi, gwi = generator(xp1i[i], xm1i[i], xw1i[i], half)
            along = p1[i] * gp + m1[i] * gm + w1[i] * gw
            flip_bar[j] += along + (p1i[i] * gpi + m1i[i] * gmi + w1i[i] * gwi)
            ca, cb, cc, cd, ce = co[j], co[_U(16) + j], co[_U(32) + j], co[_U(48) + j], co[_U(64) + j]
            p, m, w0[i] = pulse_adjoint(p1[i], m1[i], w1[i], ca, cb, cc, cd, ce)
            pi, mi, w0i[i] = pulse_adjoint(p1i[i], m1i[i], w1i[i], ca, cb, cc, cd, ce)
            c = angle[j]
            s = angle[_U(16) + j]
            p0[i], p0i[i] = turn(p, pi, c, -s)
            m0[i], m0i[i] = turn(m, mi, c, s)


@kernel
def pull_relaxed_pass(xp1, xm1, xw1, p1, m1, w1, tp0, tm0, tw0, p0, m0, w0, co, g, half, flip_bar, vectors):
    """`pull_pass` and `relax_pull_pass` at once, for the states and one tangent that has been pulled (t)."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            gp, gm, gw = generator(xp1[i], xm1[i], xw1[i], half)
            flip_bar[j] += p1[i] * gp + m1[i] * gm + w1[i] * gw
            p, m, w = pulse_adjoint(
                p1[i], m1[i], w1[i], co[j], co[_U(16) + j], co[_U(32) + j], co[_U(48) + j], co[_U(64) + j]
            )
            p0[i] = p + g[_U(16) + j] * tp0[i]
            m0[i] = m + g[_U(16) + j] * tm0[i]
            w0[i] = w + g[j] * tw0[i]


@kernel
def relax_pull_pass(tp0, tm0, tw0, p0, m0, w0, g, vectors):
    """Adjoint of `relax_pass` for the states: add the tangent's adjoint (t) times its seeds."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            p0[i] += g[_U(16) + j] * tp0[i]
            m0[i] += g[_U(16) + j] * tm0[i]
            w0[i] += g[j] * tw0[i]


@kernel
def turn_pull_pass(tre, tim, re, im, g, vectors):
    """Adjoint of the precession seed g for one component of the states: add what it makes of the tangent's adjoint.

    Exchange the planes of both for a component that turns the other way.
    """
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            re[i] += g[j] * tim[i]
            im[i] -= g[j] * tre[i]


@kernel
def flip_pull_pass(xp1, xm1, xw1, tp1, tm1, tw1, p1, m1, w1, g, half, flip_bar, seed_bar, vectors):
    """Adjoint of `flip_pass` for the states, and the derivative with respect to its seed g.

    With G the generator, the states' adjoint gains g G^T t. `pull_pass` then counts g <G^T t, G x> = g <t, G G x> in
    the flip derivative, which the tangent's own term has already brought in: the excess is taken off here.
    """
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            gp, gm, gw = generator(xp1[i], xm1[i], xw1[i], half)
            seed_bar[j] += tp1[i] * gp + tm1[i] * gm + tw1[i] * gw
            ggp, ggm, ggw = generator(gp, gm, gw, half)
            flip_bar[j] -= g[j] * (tp1[i] * ggp + tm1[i] * ggm + tw1[i] * ggw)
            p1[i] -= g[j] * tw1[i]
            m1[i] += g[j] * tw1[i]
            w1[i] += g[j] * half * (tp1[i] - tm1[i])


@kernel
def decay_dot_pass(xp0, xm0, xw0, p0, m0, w0, log_bar, vectors):
    """Derivatives with respect to log e1 and log e2: the pairings of states (x) and adjoint before the pulse."""
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            log_bar[j] += w0[i] * xw0[i]
            log_bar[_U(16) + j] += p0[i] * xp0[i] + m0[i] * xm0[i]


@kernel
def turn_dot_pass(xre, xim, re, im, angle_bar, vectors):
    """Derivative with respect to a phase: the pairing of i x with the adjoint, for one component.

    Exchange the planes of both for a component that turns the other way.
    """
    keep_out_of_line()
    for v in range(_U(vectors)):
        for j in range(_U(VECTOR)):
            i = v * _U(VECTOR) + j
            angle_bar[j] += im[i] * xre[i] - re[i] * xim[i]


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
