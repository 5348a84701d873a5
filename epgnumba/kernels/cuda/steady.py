"""The steady state of a sequence that repeats, a voxel a thread: `kernels.steady`, with plays as launches of their own.

A repetition maps the numbers x at its start (Z_0; or Z_0, Re F_0, Im F_0; then those of a second pool, of a bound one
Z_0) to A x + b. Its plays, from each unit vector without recovery and from nothing with it, give A column by column and
b as amplitudes (column; set and plane; output; voxel): of each pool Z_0 is an output, F_0 the next. The steady state
solves (I - A) x = b, its tangents (I - A) dx = dA x + db.
"""

from .. import physics
from .jit import cuda, helper, launched

turn = helper(physics.turn)


def make_steady(real, size, n_sets, planes):
    """Kernels that find the start (number, set, voxel), and take the derivative by it back to the amplitudes."""
    zero, one = real(0), real(1)
    of_a_pool, read_of_a_pool = (3, 2) if size > 2 else (1, 1)
    pools = -(-size // of_a_pool)

    @helper
    def column(ends, c, i, voxel, phase_c, phase_s, x):
        """Numbers at the end of a play; F_0 in the frame of phase zero."""
        in_phase, quadrature = i * planes, i * planes + planes - 1
        for k in range(pools):
            first, out = of_a_pool * k, read_of_a_pool * k
            x[first] = ends[c, quadrature, out, voxel]
            if first + 2 < size:
                re, im = ends[c, in_phase, out + 1, voxel], ends[c, quadrature, out + 1, voxel]
                x[first + 1], x[first + 2] = turn(re, im, phase_c, phase_s)

    @helper
    def factorise(ends, voxel, phase_c, phase_s, matrix, x):
        """I - A as L U; A contracts, so that no pivot comes near zero. Whether Z_0 comes back as it was.

        If it does, the start is taken to be equilibrium.
        """
        for c in range(size):
            column(ends, c, 0, voxel, phase_c, phase_s, x)
            for r in range(size):
                matrix[r, c] = (one if r == c else zero) - x[r]
        unchanged = matrix[0, 0] == zero
        if unchanged:
            for c in range(size):
                matrix[0, c] = one if c == 0 else zero
        for c in range(size):
            for r in range(c + 1, size):
                matrix[r, c] /= matrix[c, c]
                for k in range(c + 1, size):
                    matrix[r, k] -= matrix[r, c] * matrix[c, k]
        return unchanged

    @helper
    def solve(matrix, x, transposed):
        """(L U) x = x, or its transpose."""
        for c in range(size):
            for r in range(c):
                x[c] -= (matrix[r, c] if transposed else matrix[c, r]) * x[r]
            if transposed:
                x[c] /= matrix[c, c]
        for c in range(size - 1, -1, -1):
            for r in range(c + 1, size):
                x[c] -= (matrix[r, c] if transposed else matrix[c, r]) * x[r]
            if not transposed:
                x[c] /= matrix[c, c]

    @helper
    def give_column(ends, ends_bar, bar, a, c, i, voxel, phase_c, phase_s):
        """Adjoint of `column`, `bar` being those of its numbers; returns the derivative by the phase. `a`: room."""
        in_phase, quadrature, total = i * planes, i * planes + planes - 1, zero
        if size > 2:
            column(ends, c, i, voxel, phase_c, phase_s, a)
        for k in range(pools):
            first, out = of_a_pool * k, read_of_a_pool * k
            ends_bar[c, quadrature, out, voxel] = bar[first]
            if first + 2 < size:
                re, im = turn(bar[first + 1], bar[first + 2], phase_c, -phase_s)
                ends_bar[c, in_phase, out + 1, voxel] = re
                ends_bar[c, quadrature, out + 1, voxel] = im
                total += bar[first + 2] * a[first + 1] - bar[first + 1] * a[first + 2]
        return total

    @launched
    def find_start(ends, phase, start, n_voxels):
        voxel = cuda.grid(1)
        if voxel >= n_voxels:
            return
        matrix = cuda.local.array((size, size), real)
        x = cuda.local.array(size, real)
        a = cuda.local.array(size, real)
        phase_c, phase_s = phase[0], phase[1]
        unchanged = factorise(ends, voxel, phase_c, phase_s, matrix, x)
        for i in range(n_sets):
            column(ends, size, i, voxel, phase_c, phase_s, x)
            if unchanged and i == 0:
                x[0] = one
            if i > 0:
                for c in range(size):
                    column(ends, c, i, voxel, phase_c, phase_s, a)
                    for r in range(size):
                        x[r] += a[r] * start[c, 0, voxel]
            solve(matrix, x, False)
            for r in range(size):
                start[r, i, voxel] = x[r]

    @launched
    def unfind_start(ends, phase, start, start_bar, ends_bar, phase_bar, n_voxels):
        voxel = cuda.grid(1)
        if voxel >= n_voxels:
            return
        matrix = cuda.local.array((size, size), real)
        x = cuda.local.array(size, real)
        a = cuda.local.array(size, real)
        bar = cuda.local.array(size, real)
        own = cuda.local.array((size, size), real)  # what tangents leave for the states' own columns
        phase_c, phase_s = phase[0], phase[1]
        factorise(ends, voxel, phase_c, phase_s, matrix, x)
        for c in range(size):
            for r in range(size):
                own[c, r] = zero
        total = zero
        for i in range(n_sets - 1, -1, -1):
            for r in range(size):
                x[r] = start_bar[r, i, voxel]
            solve(matrix, x, True)
            for c in range(size):
                if i > 0:
                    column(ends, c, i, voxel, phase_c, phase_s, a)
                for r in range(size):
                    own[c, r] += x[r] * start[c, i, voxel]
                    bar[r] = own[c, r]
                    if i > 0:
                        bar[r] = x[r] * start[c, 0, voxel]
                        start_bar[c, 0, voxel] += x[r] * a[r]
                total += give_column(ends, ends_bar, bar, a, c, i, voxel, phase_c, phase_s)
            total += give_column(ends, ends_bar, x, a, size, i, voxel, phase_c, phase_s)
        phase_bar[voxel] += total

    return find_start, unfind_start
