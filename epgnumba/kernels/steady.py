"""The steady state of a sequence that repeats: the start of a repetition that its end comes back to.

A repetition maps the numbers x at its start (Z_0; or Z_0 and the real and imaginary part of F_0, where no gradient
leaves anything else) to A x + b at its end. Played from each unit vector without recovery it gives the columns of A,
from nothing with recovery b; the steady state solves (I - A) x = b, and its tangents (I - A) dx = dA x + db.

`Part.boundary` holds these in rows of one number per set and lane: the start (one row per number), then A column by
column and b, then the derivatives of the scalar with respect to both, then a start for playing again.
"""

from . import columns as col
from . import physics
from .columns import EQUILIBRIUM, VECTOR
from .jit import at, kernel
from .part import play, rewind

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
def read_end(end, column):
    """Z_0 and F_0 at the end of a repetition, once the END part was played; F_0 in the frame of phase zero."""
    sizes, amplitudes = end.sizes, end.amplitudes
    planes, lanes, n_out = sizes[col.PLANES], sizes[col.LANES], sizes[col.N_OUT]
    for i in range(sizes[col.TANGENTS] + 1):
        z = map_row(end, column, 0, 0)
        for j in range(lanes):
            z[i * VECTOR + j] = amplitudes[(i * planes + planes - 1) * n_out * lanes + j]
        if sizes[col.BOUNDARY] == 3:
            c, s = end.turns[2 * sizes[col.N_STEPS]], end.turns[2 * sizes[col.N_STEPS] + 1]
            re, im = map_row(end, column, 1, 0), map_row(end, column, 2, 0)
            for j in range(lanes):
                a, b = amplitudes[(2 * i * n_out + 1) * lanes + j], amplitudes[((2 * i + 1) * n_out + 1) * lanes + j]
                re[i * VECTOR + j], im[i * VECTOR + j] = turn(a, b, c, s)


@kernel
def factorise(player, matrix, j):
    """I - A of lane j as L U, in place. A contracts, so that no pivot comes near zero."""
    size = player.sizes[col.BOUNDARY]
    for c in range(size):
        for r in range(size):
            matrix[r * size + c] = (1 if r == c else 0) - map_row(player, c, r, 0)[j]
    for c in range(size):
        for r in range(c + 1, size):
            matrix[r * size + c] /= matrix[c * size + c]
            for k in range(c + 1, size):
                matrix[r * size + k] -= matrix[r * size + c] * matrix[c * size + k]


@kernel
def solve(matrix, x, size, transposed):
    """(L U) x = x, or its transpose."""
    for c in range(size):
        if transposed:
            for r in range(c):
                x[c] -= matrix[r * size + c] * x[r]
            x[c] /= matrix[c * size + c]
        else:
            for r in range(c):
                x[c] -= matrix[c * size + r] * x[r]
    for c in range(size - 1, -1, -1):
        if transposed:
            for r in range(c + 1, size):
                x[c] -= matrix[r * size + c] * x[r]
        else:
            for r in range(c + 1, size):
                x[c] -= matrix[c * size + r] * x[r]
            x[c] /= matrix[c * size + c]


@kernel
def find_start(player):
    """The steady state, with tangents; equilibrium where a repetition changes nothing."""
    size, width = player.sizes[col.BOUNDARY], (player.sizes[col.TANGENTS] + 1) * VECTOR
    start, matrix = player.boundary, player.scratch
    x = at(matrix, size * size)
    for j in range(player.sizes[col.LANES]):
        if map_row(player, 0, 0, 0)[j] == 1:  # Z_0 comes back as it was
            for c in range(size + 1):
                map_row(player, c, 0, 0)[j] = c // size
        factorise(player, matrix, j)
        for i in range(player.sizes[col.TANGENTS] + 1):
            k = i * VECTOR + j
            for r in range(size):
                x[r] = map_row(player, size, r, 0)[k]
                if i > 0:
                    for c in range(size):
                        x[r] += map_row(player, c, r, 0)[k] * start[c * width + j]
            solve(matrix, x, size, False)
            for r in range(size):
                start[r * width + k] = x[r]


@kernel
def unfind_start(player, start_bar):
    """Adjoint of `find_start`."""
    size, width = player.sizes[col.BOUNDARY], (player.sizes[col.TANGENTS] + 1) * VECTOR
    start, matrix = player.boundary, player.scratch
    x = at(matrix, size * size)
    for j in range(player.sizes[col.LANES]):
        factorise(player, matrix, j)
        for c in range(size):
            for r in range(size):
                map_row(player, c, r, 1)[j] = 0
        for i in range(player.sizes[col.TANGENTS], -1, -1):
            k = i * VECTOR + j
            for r in range(size):
                x[r] = start_bar[r * width + k]
            solve(matrix, x, size, True)
            for r in range(size):
                map_row(player, size, r, 1)[k] = x[r]
                for c in range(size):
                    map_row(player, c, r, 1)[j] += x[r] * start[c * width + k]
                    if i > 0:
                        map_row(player, c, r, 1)[k] = x[r] * start[c * width + j]
                        start_bar[c * width + j] += x[r] * map_row(player, c, r, 0)[k]


@kernel
def unread_end(end, bars, column):
    """Adjoint of `read_end`: derivatives with respect to the END part's amplitudes and to the last phase."""
    sizes, amplitude_bars = end.sizes, end.amplitude_bars
    planes, lanes, n_out = sizes[col.PLANES], sizes[col.LANES], sizes[col.N_OUT]
    for i in range(sizes[col.TANGENTS] + 1):
        z = map_row(end, column, 0, 1)
        for plane in range(planes):
            for j in range(lanes):
                value = z[i * VECTOR + j]
                amplitude_bars[(i * planes + plane) * n_out * lanes + j] = value if plane == planes - 1 else 0 * value
        if sizes[col.BOUNDARY] == 3:
            c, s = end.turns[2 * sizes[col.N_STEPS]], end.turns[2 * sizes[col.N_STEPS] + 1]
            re, im = map_row(end, column, 1, 1), map_row(end, column, 2, 1)
            x_re, x_im = map_row(end, column, 1, 0), map_row(end, column, 2, 0)
            for j in range(lanes):
                k = i * VECTOR + j
                a, b = turn(re[k], im[k], c, -s)
                amplitude_bars[(2 * i * n_out + 1) * lanes + j] = a
                amplitude_bars[((2 * i + 1) * n_out + 1) * lanes + j] = b
                bars.turns[sizes[col.N_STEPS]] += im[k] * x_re[k] - re[k] * x_im[k]


@kernel
def play_to_start(player, end, given):
    """Play the END part as often as it takes, and find the steady state."""
    size, start = player.sizes[col.BOUNDARY], end.sizes[col.BOUNDARY_AT]
    for column in range(size + 1):
        end.scratch[EQUILIBRIUM] = 1 if column == size else 0
        set_start(end, end.boundary, column)
        play(end, given, start, 0, -1)
        read_end(end, column)
    find_start(player)


@kernel
def rewind_to_start(player, end, given, bars, end_bars, timing, turning):
    """Adjoint of `play_to_start`, given that of the start in `bars`: every play again, and back."""
    size = player.sizes[col.BOUNDARY]
    unfind_start(player, bars.start)
    row = size + 2 * size * (size + 1)  # behind both maps
    again, start = boundary_row(player, row), end.sizes[col.BOUNDARY_AT] + row * (end.sizes[col.TANGENTS] + 1) * VECTOR
    for column in range(size + 1):
        end.scratch[EQUILIBRIUM] = 1 if column == size else 0
        set_start(end, again, column)
        play(end, given, start, 1, -1)
        unread_end(end, end_bars, column)
        rewind(end, given, end_bars, start, timing, turning)
