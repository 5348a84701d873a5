"""The steady state of a sequence that repeats: the start of a repetition that its end comes back to.

A repetition maps the numbers x at its start (Z_0; or Z_0 and the real and imaginary part of F_0, where no gradient
leaves anything else; behind them those of a second pool) to A x + b at its end. Played from each unit vector without
recovery it gives the columns of A, from nothing with recovery b; the steady state solves (I - A) x = b, and its
tangents (I - A) dx = dA x + db. Where a gradient at the end turns F_0 besides, as in a member of an `ensemble`, A and b
are T A and T b, with T that turn.

`Part.boundary` holds these in rows of one number per set and lane: the start (one row per number), then A column by
column and b, then the derivatives of the scalar with respect to both, then a start for playing again; behind them what
solving takes, one number per lane each.
"""

from . import columns as col
from . import physics
from .columns import EQUILIBRIUM, ONE, VECTOR
from .jit import at, keep_out_of_line, kernel
from .part import clear, play, rewind

turn = kernel(physics.turn)


@kernel
def boundary_row(player, k):
    return at(player.boundary, k * (player.sizes[col.TANGENTS] + 1) * VECTOR)


@kernel
def map_row(player, column, r, adjoint):
    """Row `r` of a column of A, or of b (the last column); or of its adjoint."""
    size = player.sizes[col.BOUNDARY]
    return boundary_row(player, size + (column + adjoint * (size + 1)) * size + r)


@kernel
def set_start(player, start, one):
    """The unit vector `one` (none if there is no such number) in every lane, no tangents."""
    width = (player.sizes[col.TANGENTS] + 1) * VECTOR
    for r in range(max(player.sizes[col.BOUNDARY], 1)):
        for k in range(width):
            start[r * width + k] = 1 if r == one and k < VECTOR else 0


@kernel
def of_a_pool(sizes):
    """Numbers of the first pool that say where a repetition starts: 1 (Z_0) or 3 (F_0 too)."""
    return 3 if sizes[col.BOUNDARY] > 2 else 1


@kernel
def read_end(end, column):
    """Z_0 and F_0 of each pool at a repetition's end, once the END part was played; F_0 in the frame of phase zero."""
    sizes, amplitudes = end.sizes, end.amplitudes
    planes, lanes, n_out = sizes[col.PLANES], sizes[col.LANES], sizes[col.N_OUT]
    for i in range(sizes[col.TANGENTS] + 1):
        out = 0
        for first in range(0, sizes[col.BOUNDARY], of_a_pool(sizes)):
            z = map_row(end, column, first, 0)
            for j in range(lanes):
                z[i * VECTOR + j] = amplitudes[((i * planes + planes - 1) * n_out + out) * lanes + j]
            out += 1
            if first + 2 < sizes[col.BOUNDARY]:
                c, s = end.turns[2 * sizes[col.N_STEPS]], end.turns[2 * sizes[col.N_STEPS] + 1]
                re, im = map_row(end, column, first + 1, 0), map_row(end, column, first + 2, 0)
                for j in range(lanes):
                    a = amplitudes[(2 * i * n_out + out) * lanes + j]
                    b = amplitudes[((2 * i + 1) * n_out + out) * lanes + j]
                    re[i * VECTOR + j], im[i * VECTOR + j] = turn(a, b, c, s)
                out += 1


@kernel
def subtract_product(x, a, b, lanes):
    for j in range(lanes):
        x[j] -= a[j] * b[j]


@kernel
def add_product(x, a, b, lanes):
    for j in range(lanes):
        x[j] += a[j] * b[j]


@kernel
def multiply(x, a, lanes):
    for j in range(lanes):
        x[j] *= a[j]


@kernel
def turn_rows(x, size, cosine, sine, lanes):
    """Turn F_0 in a vector of numbers per lane; members of an ensemble, the only ones that turn, have one pool."""
    if size > 2:
        for j in range(lanes):
            x[VECTOR + j], x[2 * VECTOR + j] = turn(x[VECTOR + j], x[2 * VECTOR + j], cosine, sine)


@kernel
def factorise(player, matrix, x, cosine, sine):
    """I - T A as L U, lane by lane; in place of U's diagonal its inverse. `x` is room for a vector.

    T A contracts, so that no pivot comes near zero.
    """
    size, lanes = player.sizes[col.BOUNDARY], player.sizes[col.LANES]
    for c in range(size):
        for r in range(size):
            a = map_row(player, c, r, 0)
            for j in range(lanes):
                x[r * VECTOR + j] = a[j]
        turn_rows(x, size, cosine, sine, lanes)
        for r in range(size):
            entry, one = at(matrix, (r * size + c) * VECTOR), 1 if r == c else 0
            for j in range(lanes):
                entry[j] = one - x[r * VECTOR + j]
    for c in range(size):
        pivot = at(matrix, (c * size + c) * VECTOR)
        for j in range(lanes):
            pivot[j] = 1 / pivot[j]
        for r in range(c + 1, size):
            factor = at(matrix, (r * size + c) * VECTOR)
            multiply(factor, pivot, lanes)
            for k in range(c + 1, size):
                subtract_product(
                    at(matrix, (r * size + k) * VECTOR), factor, at(matrix, (c * size + k) * VECTOR), lanes
                )


@kernel
def solve(matrix, x, size, lanes, transposed):
    """(L U) x = x, or its transpose, lane by lane."""
    for c in range(size):
        for r in range(c):
            entry = r * size + c if transposed else c * size + r
            subtract_product(at(x, c * VECTOR), at(matrix, entry * VECTOR), at(x, r * VECTOR), lanes)
        if transposed:
            multiply(at(x, c * VECTOR), at(matrix, (c * size + c) * VECTOR), lanes)
    for c in range(size - 1, -1, -1):
        for r in range(c + 1, size):
            entry = r * size + c if transposed else c * size + r
            subtract_product(at(x, c * VECTOR), at(matrix, entry * VECTOR), at(x, r * VECTOR), lanes)
        if not transposed:
            multiply(at(x, c * VECTOR), at(matrix, (c * size + c) * VECTOR), lanes)


@kernel
def solver_room(player):
    """Room for a matrix of numbers per lane, and a vector of them."""
    size = player.sizes[col.BOUNDARY]
    matrix = boundary_row(player, 2 * size * (size + 2))
    return matrix, at(matrix, size * size * VECTOR)


@kernel
def find_start(player, cosine, sine):
    """The steady state, with tangents, where the end turns F_0 besides; equilibrium where nothing changes Z_0."""
    keep_out_of_line()
    size, lanes, width = player.sizes[col.BOUNDARY], player.sizes[col.LANES], (player.sizes[col.TANGENTS] + 1) * VECTOR
    start = player.boundary
    matrix, x = solver_room(player)
    for j in range(lanes):
        if map_row(player, 0, 0, 0)[j] == 1:  # Z_0 comes back as it was
            for c in range(size + 1):
                map_row(player, c, 0, 0)[j] = c // size
    factorise(player, matrix, x, cosine, sine)
    for i in range(player.sizes[col.TANGENTS] + 1):
        k = i * VECTOR
        for r in range(size):
            row, b = at(x, r * VECTOR), at(map_row(player, size, r, 0), k)
            for j in range(lanes):
                row[j] = b[j]
            if i > 0:
                for c in range(size):
                    add_product(row, at(map_row(player, c, r, 0), k), at(start, c * width), lanes)
        turn_rows(x, size, cosine, sine, lanes)
        solve(matrix, x, size, lanes, False)
        for r in range(size):
            found = at(start, r * width + k)
            for j in range(lanes):
                found[j] = x[r * VECTOR + j]


@kernel
def clear_map_bars(player):
    """Nothing yet in the derivatives with respect to A and b."""
    size = player.sizes[col.BOUNDARY]
    clear(map_row(player, 0, 0, 1), (size + 1) * size * (player.sizes[col.TANGENTS] + 1) * VECTOR)


@kernel
def unfind_start(player, start_bar, cosine, sine):
    """Adjoint of `find_start`, given what it found: adds to the derivatives with respect to A and b."""
    keep_out_of_line()
    size, lanes, width = player.sizes[col.BOUNDARY], player.sizes[col.LANES], (player.sizes[col.TANGENTS] + 1) * VECTOR
    start = player.boundary
    matrix, x = solver_room(player)
    factorise(player, matrix, x, cosine, sine)
    for i in range(player.sizes[col.TANGENTS], -1, -1):
        k = i * VECTOR
        for r in range(size):
            for j in range(lanes):
                x[r * VECTOR + j] = start_bar[r * width + k + j]
        solve(matrix, x, size, lanes, True)
        turn_rows(x, size, cosine, -sine, lanes)
        for r in range(size):
            row, b_bar = at(x, r * VECTOR), at(map_row(player, size, r, 1), k)
            for j in range(lanes):
                b_bar[j] += row[j]
            for c in range(size):
                add_product(map_row(player, c, r, 1), row, at(start, c * width + k), lanes)
                if i > 0:
                    add_product(at(map_row(player, c, r, 1), k), row, at(start, c * width), lanes)
                    add_product(at(start_bar, c * width), row, at(map_row(player, c, r, 0), k), lanes)


@kernel
def unread_end(end, bars, column):
    """Adjoint of `read_end`: derivatives with respect to the END part's amplitudes and to the last phase."""
    sizes, amplitude_bars = end.sizes, end.amplitude_bars
    planes, lanes, n_out = sizes[col.PLANES], sizes[col.LANES], sizes[col.N_OUT]
    for i in range(sizes[col.TANGENTS] + 1):
        out = 0
        for first in range(0, sizes[col.BOUNDARY], of_a_pool(sizes)):
            z = map_row(end, column, first, 1)
            for plane in range(planes):
                for j in range(lanes):
                    value = z[i * VECTOR + j]
                    bar = ((i * planes + plane) * n_out + out) * lanes + j
                    amplitude_bars[bar] = value if plane == planes - 1 else 0 * value
            out += 1
            if first + 2 < sizes[col.BOUNDARY]:
                c, s = end.turns[2 * sizes[col.N_STEPS]], end.turns[2 * sizes[col.N_STEPS] + 1]
                re, im = map_row(end, column, first + 1, 1), map_row(end, column, first + 2, 1)
                x_re, x_im = map_row(end, column, first + 1, 0), map_row(end, column, first + 2, 0)
                for j in range(lanes):
                    k = i * VECTOR + j
                    a, b = turn(re[k], im[k], c, -s)
                    amplitude_bars[(2 * i * n_out + out) * lanes + j] = a
                    amplitude_bars[((2 * i + 1) * n_out + out) * lanes + j] = b
                    bars.turns[sizes[col.N_STEPS]] += im[k] * x_re[k] - re[k] * x_im[k]
                out += 1


@kernel
def play_ends(end, given):
    """Play the END part as often as it takes for A and b."""
    keep_out_of_line()
    size = end.sizes[col.BOUNDARY]
    for column in range(size + 1):
        end.scratch[EQUILIBRIUM] = 1 if column == size else 0
        set_start(end, end.boundary, column)
        play(end, given, end.sizes[col.BOUNDARY_AT], 0, -1)
        read_end(end, column)


@kernel
def rewind_ends(end, given, end_bars, timing, turning):
    """Adjoint of `play_ends`: every play again, and back."""
    keep_out_of_line()
    size = end.sizes[col.BOUNDARY]
    row = size + 2 * size * (size + 1)  # behind both maps
    again, start = boundary_row(end, row), end.sizes[col.BOUNDARY_AT] + row * (end.sizes[col.TANGENTS] + 1) * VECTOR
    for column in range(size + 1):
        end.scratch[EQUILIBRIUM] = 1 if column == size else 0
        set_start(end, again, column)
        play(end, given, start, 1, -1)
        unread_end(end, end_bars, column)
        rewind(end, given, end_bars, start, timing, turning)


@kernel
def play_to_start(player, end, given):
    """Find the steady state."""
    play_ends(end, given)
    find_start(player, player.scratch[ONE], 0 * player.scratch[ONE])


@kernel
def rewind_to_start(player, end, given, bars, end_bars, timing, turning):
    """Adjoint of `play_to_start`, given that of the start in `bars`."""
    clear_map_bars(player)
    unfind_start(player, bars.start, player.scratch[ONE], 0 * player.scratch[ONE])
    rewind_ends(end, given, end_bars, timing, turning)
