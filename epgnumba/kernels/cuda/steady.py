"""The steady state of a sequence that repeats, a voxel a thread: `kernels.steady`, with plays as launches of their own.

A repetition maps the numbers x at its start (Z_0; or Z_0, Re F_0, Im F_0; then a bound pool's Z_0) to A x + b. Its
plays, from each unit vector without recovery and from nothing with it, give A column by column and b as amplitudes
(column; set and plane; output; voxel): Z_0 is output 0, F_0 output 1, a bound pool's the next. The steady state solves
(I - A) x = b, its tangents (I - A) dx = dA x + db.
"""

from .. import physics
from .jit import cuda, helper, launched

turn = helper(physics.turn)


def make_steady(real, size, n_sets, planes):
    """Kernels that find the start (number, set, voxel), and take the derivative by it back to the amplitudes."""
    zero, one, n_columns = real(0), real(1), size + 1

    @helper
    def column(ends, c, i, voxel, phase_c, phase_s, x):
        """Numbers at the end of a play; F_0 in the frame of phase zero; Z_0 of a bound pool comes last."""
        x[0] = ends[c, i * planes + planes - 1, 0, voxel]
        if size % 2 == 0:
            x[size - 1] = ends[c, i * planes + planes - 1, size // 2, voxel]
        if size > 2:
            re, im = ends[c, i * planes, 1, voxel], ends[c, i * planes + planes - 1, 1, voxel]
            x[1], x[2] = turn(re, im, phase_c, phase_s)

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
        map_bar = cuda.local.array((n_columns, size), real)
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
            for r in range(size):
                map_bar[size, r] = x[r]
            for c in range(size):
                if i > 0:
                    column(ends, c, i, voxel, phase_c, phase_s, a)
                for r in range(size):
                    own[c, r] += x[r] * start[c, i, voxel]
                    map_bar[c, r] = own[c, r]
                    if i > 0:
                        map_bar[c, r] = x[r] * start[c, 0, voxel]
                        start_bar[c, 0, voxel] += x[r] * a[r]
            for c in range(n_columns):
                ends_bar[c, i * planes + planes - 1, 0, voxel] = map_bar[c, 0]
                if size % 2 == 0:
                    ends_bar[c, i * planes + planes - 1, size // 2, voxel] = map_bar[c, size - 1]
                if size > 2:
                    column(ends, c, i, voxel, phase_c, phase_s, a)
                    re, im = turn(map_bar[c, 1], map_bar[c, 2], phase_c, -phase_s)
                    ends_bar[c, i * planes, 1, voxel] = re
                    ends_bar[c, i * planes + planes - 1, 1, voxel] = im
                    total += map_bar[c, 2] * a[1] - map_bar[c, 1] * a[2]
        phase_bar[voxel] += total

    return find_start, unfind_start
