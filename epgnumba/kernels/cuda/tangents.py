"""What both sweeps make of a voxel's rates: seeds of its tangents, and turns."""

from ..columns import B1, HZ, OMEGA, R1, R2
from . import jit
from .jit import helper, sin_cos_turns

HALF_PI = 1.5707963267948966


def make_tangents(real, kinds):
    """Functions for a precision and the kinds of the state sets, of which the first is none."""
    n_sets = len(kinds)
    half, one, half_pi, hz = real(0.5), real(1), real(HALF_PI), real(HZ)
    sin_cos, floor = sin_cos_turns[real], jit.floor[real]

    @helper
    def cos_sin(quarters):
        """Cosine and sine of an angle in quarter turns."""
        s, c = sin_cos(quarters, floor(quarters + half))
        return c, s

    @helper
    def rotation(angle):
        """Cosine and sine of an angle in radians."""
        return cos_sin(angle / half_pi)

    @helper
    def load_seeds(seeds, r1, r2, profile):
        """For each tangent the derivative of the rate that it changes: dR1/dT1 = -R1^2, ..."""
        for i in range(n_sets):
            seeds[i] = one
            if kinds[i] == R1:
                seeds[i] = -r1 * r1
            if kinds[i] == R2:
                seeds[i] = -r2 * r2
            if kinds[i] == B1:
                seeds[i] = profile
            if kinds[i] == OMEGA:
                seeds[i] = hz

    return cos_sin, rotation, load_seeds
