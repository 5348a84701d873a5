"""The rotation by a pulse in each lane, where transmit fields differ between pulses, or pulses have waveforms.

A pulse of nominal flip angle f turns a voxel whose transmit field is b exp(i p) by

    R = Z(p) R(b f) Z(-p)

Z(p) being the turn about z by p. R(u) is that of a hard pulse, about x by u; or of a waveform at a place of the slice:
its quaternion, an entire function of u, is a series of Chebyshev polynomials of u over the largest u that is met. It
changes (see `rotations`) by

    w_b = f W    w_f = b W    w_p = z - R z      W = Z(p) 2 (dq/du) q*

along b, f and p, and these by their own derivatives: nothing is divided by a sine.
"""

from . import columns as col
from .columns import FIELD
from .elementary import sin_cos
from .lanes import choose, loop, when
from .rotations import about_z, cross, dot, of_quaternion, scaled, spin_of, summed, vector_about_z

HALF_PI = 1.5707963267948966


class Turned:
    """What pulse `n` does in each lane.

    Attributes
    ----------
    matrix : list
    by_angle : list
        W, the vector by which it changes along its angle.
    bend : list or None
        The derivative of W by the angle; only where it is asked for.
    """

    def __init__(self, player, n, bend=False):
        self._player, self._n, shape = player, n, player.shape
        self.nominal, self.amplitude = player.nominal(n), player.amplitude(n)
        self._pulse = player.flips.count(1 - player.step(n)[col.INVERT])
        if shape.waves:
            q, slope, second = _wave(player, n, self.amplitude * self.nominal, bend)
            matrix, by_angle = of_quaternion(*q), spin_of(q, slope)
            self.bend = spin_of(q, second) if bend else None
        else:
            s, c = sin_cos(player.flips.spread(n) * self.amplitude * self._pulse)
            one, none = 0 * c + 1, 0 * c
            matrix = [[one, none, none], [none, c, -s], [none, s, c]]
            by_angle, self.bend = [one, none, none], [none] * 3
        if shape.fields:
            s, c = sin_cos(player.rate(player.field_place(n) + 1) * (1 / HALF_PI))
            matrix, by_angle = about_z(matrix, c, s), vector_about_z(by_angle, c, s)
            self.bend = vector_about_z(self.bend, c, s) if bend else None
        self.matrix, self.by_angle = matrix, by_angle

    @property
    def _z(self):
        """What z becomes."""
        return [row[2] for row in self.matrix]

    @property
    def by_phase(self):
        """The vector by which it changes along the phase of the field; nothing does along that of an inversion."""
        x, y, z = self._z
        return scaled([-x, -y, 1 - z], self._pulse)

    def spin(self, i):
        """The vector by which it changes along tangent `i`."""
        vector = scaled(self.by_angle, self.nominal) if self._is_amplitude(i) else self.by_phase
        return scaled(vector, self._player.seed_of_field(i, self._n))

    def _is_amplitude(self, i):
        return self._player.shape.kinds[i - 1] in self._player.shape.amplitudes

    def gather(self, bars, own, along):
        """Derivatives by field, flip angle and seeds; `own`, by tangent `along`: as `reverse.pulse_pairings` has them.

        The tangents gain [w_i] x of the states x after the pulse, so that a change of the rotation by a vector v
        changes them by [v] of what they are, and by [dw_i + w_i x v] x.
        """
        player, n, f, b = self._player, self._n, self.nominal, self.amplitude
        by_angle, by_phase = dot(self.by_angle, own), dot(self.by_phase, own) if player.shape.fields else None
        by_amplitude, by_flip = f * by_angle, b * by_angle
        for i, value in along.items():
            seed, spin = player.seed_of_field(i, n), self.spin(i)
            if self._is_amplitude(i):
                bars.by_seed(i, player.on_tangent(i, n) * f * dot(self.by_angle, value))
                second = dot(self.bend, value)
                by_amplitude = by_amplitude + seed * f * f * second
                by_flip = by_flip + seed * (dot(self.by_angle, value) + f * b * second)
                changed = scaled(_across_z(self.by_angle), seed * f)
            else:
                bars.by_seed(i, player.on_tangent(i, n) * dot(self.by_phase, value))
                second = seed * dot(summed(cross(self._z, self.by_angle), cross(self.by_phase, self.by_angle)), value)
                by_amplitude, by_flip = by_amplitude + f * second, by_flip + b * second
                changed = scaled(_across_z(self._z), -seed * self._pulse)
            if player.shape.fields:
                by_phase = by_phase + dot(summed(changed, cross(spin, self.by_phase)), value)
        bars.by_rate(player.field_place(n), by_amplitude)
        bars.by_flip(n, self._pulse * by_flip)
        if player.shape.fields:
            bars.by_rate(player.field_place(n) + 1, by_phase)


def _across_z(a):
    """Of a vector a: z x a."""
    return [-a[1], a[0], 0 * a[2]]


def _wave(player, n, angle, bend):
    """Quaternion of a waveform, its derivative by the angle and, if asked for, its second one: sums by Clenshaw."""
    terms = player.sizes[col.WAVE_TERMS]
    table = player.waves.at(player.step(n)[col.KIND] * (4 * terms + 1))
    scale, nothing = table.spread(0), 0 * angle
    x, orders = angle * scale, 3 if bend else 2
    found = [[], [], []]
    for part in range(4):
        series = table.at(1 + part * terms)

        def body(k, *sums, series=series):
            """b_k = c_k + 2 x b_(k+1) - b_(k+2), and its derivatives by x."""
            result, own = [], series.spread(terms - 1 - k)
            for order in range(orders):
                following, beyond = sums[2 * order : 2 * order + 2]
                value = own if order == 0 else 2 * order * sums[2 * order - 2]
                result += [value + 2 * x * following - beyond, following]
            return result

        sums = loop(terms - 1, body, *[nothing] * (2 * orders), step=1)
        first = series.spread(0)
        for order in range(orders):
            following, beyond = sums[2 * order : 2 * order + 2]
            value = first if order == 0 else order * sums[2 * order - 2]
            power = [1.0, scale, scale * scale][order]
            found[order].append(power * (value + x * following - beyond))
    return found


def load_rotation(player, n):
    """Write the numbers of pulse `n`; of an inversion, what it makes of Z_0."""
    lanes, lines = player.shape.lanes, player.sizes[col.TRIG_LINES]

    def write(numbers):
        for line, value in enumerate(numbers):
            player.trig[(lines * line + n) * lanes] = value

    pulse = Turned(player, n)
    write([x for row in pulse.matrix for x in row])
    for place, i in enumerate(player.of_kind(*player.shape.turners)):
        for k, value in enumerate(pulse.spin(i)):
            player.trig[(lines * (9 + 3 * place + k) + n) * lanes] = value

    def invert():
        nothing = player.trig.count(0)
        write([nothing] * 8 + [-player.flips.spread(n) * player.rate(col.INVERSION)])

    when(player.step(n)[col.INVERT] > 0, invert)


def field_place(player, n):
    """Which rate scales pulse `n`; behind it stands its phase."""
    return player.step(n)[col.KIND] * 2 + FIELD if player.shape.fields else col.B1


def on_tangent(player, i, n):
    """1 where tangent `i` is of the transmit field of pulse `n`, else 0."""
    kind = player.shape.kinds[i - 1]
    if kind < FIELD:
        return player.flips.count(1)
    wanted, own = (kind - FIELD) // 2, player.step(n)[col.KIND]
    return player.flips.count(choose((own > wanted - 1) & (own < wanted + 1), 1, 0))
