"""What a device does to rows, readouts and Z_0, written down from the algebra that all kernels share (see `source`)."""

from ..algebra import HALF, Interval, P, W, added, generated, paired, pairings, seeded
from ..columns import B1, INVERSION, OMEGA
from ..exponents import OUT_OF_PHASE, RELAXATION, T, before_pulses, before_readouts, by_order
from ..longitudinal import gains, pass_time, unpass_time
from ..readouts import Readout
from .source import Source

# Derivatives by numbers of a pulse: by its moments, its flip angle (radians), and the phase step before it.
N_MOMENTS = FLIP = OUT_OF_PHASE + 1
TURN, N_BARS = FLIP + 1, FLIP + 2

# Arguments of what is written.
PULSE = "c, s, e1, e2, tc, ts, nominal, moments, dephasing, rates, seeds"
READOUT = "e2, tc, ts, moments, dephasing, rates, seeds"
LONGITUDINAL = "e1, moments, equilibrium, rates, seeds"
BARS = "rate_bars, seed_bars, moment_bars"


def _sets(shape):
    return range(len(shape.kinds) + 1)


def _of_kind(shape, *kinds):
    return [i for i, kind in enumerate(shape.kinds, 1) if kind in kinds]


def _each_place(shape, text):
    """Where the components of all sets and planes lie."""
    components, planes = range(shape.components), range(shape.planes)
    return [[[text.format(i, plane, c) for c in components] for plane in planes] for i in _sets(shape)]


def _read_rows(source, text):
    return [[[*map(source.row, plane)] for plane in planes] for planes in _each_place(source.shape, text)]


def _write_rows(source, text, sets):
    for places, planes in zip(_each_place(source.shape, text), sets, strict=True):
        for names, plane in zip(places, planes, strict=True):
            for name, number in zip(names, plane, strict=True):
                source.write(name, number)


def _by_plane(source, text):
    """A number of each set and plane."""
    return [[source.note(text.format(i, plane)) for plane in range(source.shape.planes)] for i in _sets(source.shape)]


def _write_by_plane(source, sets):
    for i, planes in enumerate(sets):
        for plane, number in enumerate(planes):
            source.write(f"f[{i}, {plane}]", number)


def _pulse_numbers(source):
    """What `Interval` takes, and the order of row j."""
    shape = source.shape
    order = source.row("order + stride * _real(j)") if by_order(shape) else None
    return source.numbers(before_pulses(shape), ("c", "s"), shape.planes == 2 and ("tc", "ts"), "nominal"), order


def write_pulse(shape, rotation):
    """Functions for an interval and the pulse that ends it: what rows share, and a row from arrival to departure."""
    source = Source(shape, rotation, by_rows=True)
    numbers, order = _pulse_numbers(source)
    after = Interval(shape, numbers).play(_read_rows(source, "t[{}, {}, {}]"), order)
    _write_rows(source, "x[{}, {}, {}, j]", after)
    return source.shared(PULSE), source.each("x, t, j, order, stride")


def write_undo(shape, rotation, gathering):
    """Functions that undo a pulse and the interval before it: what rows share, and a row; how many sums each adds to.

    The sums are derivatives by the flip angle, by its seeds and, if these are gathered, by exponents. `gained`: W that
    recovery aims at.
    """
    source = Source(shape, rotation, by_rows=True)
    numbers, order = _pulse_numbers(source)
    states, bars = _read_rows(source, "x[{}, {}, {}]"), _read_rows(source, "b[{}, {}, {}, j]")
    interval = Interval(shape, numbers._replace(decay=(1, 1)))
    sums = [added(paired(bar, generated(x)) for bar, x in zip(bars, states, strict=True))]
    sums += [paired(bars[i], generated(states[0])) for i in _of_kind(shape, B1)]
    before, bars = interval.undo_pulse(states), interval.unpulse(bars)
    if gathering:
        z = before[0][-1]
        z[W] = z[W] - source.row("select(lane == 0 and j == 0, gained, _real(0))")
        sums += pairings(shape, before, bars, order)
    e1, e2 = numbers.decay
    bars = [[[p * e2, m * e2, w * e1] for p, m, w in planes] for planes in bars]
    _write_rows(source, "b[{}, {}, {}, j]", interval.unpass_time(bars, order))
    for n, number in enumerate(sums):
        source.add(f"sums[{n}]", number)
    return source.shared(PULSE), source.each("j, b, x, sums, lane, gained, order, stride"), len(sums)


def write_gather(shape, timing, turning):
    """A function from the sums of a pulse to derivatives by rates, seeds and numbers of the pulse."""
    source = Source(shape)
    nominal, flipped = source.note("nominal"), _of_kind(shape, B1)
    for n, i in enumerate([0, *flipped]):
        value = source.note(f"sums[{n}]")
        source.add(f"seed_bars[{i}]" if i else f"rate_bars[{B1}]", nominal * value)
        source.add(f"moment_bars[{FLIP}]", (source.seed(i) if i else source.rate(B1)) * value)
    keys = [(e, 0) for e in before_pulses(shape)] + seeded(shape)
    for n, (exponent, i) in enumerate(keys, 1 + len(flipped)):
        value = source.note(f"sums[{n}]") if timing or turning else None
        if turning and (exponent.rate, i) == (OMEGA, 0):
            source.add(f"moment_bars[{TURN}]", value)
        if timing and _gathered(shape, exponent):
            source.gather(exponent, value, i)
    return source.each(f"sums, nominal, moments, dephasing, rates, seeds, {BARS}")


def _gathered(shape, exponent):
    return shape.precesses or exponent.rate != OMEGA


def _readout(source):
    shape = source.shape
    return Readout(shape, source.numbers(before_readouts(shape), angle=shape.precesses and ("tc", "ts")))


def write_read(shape, rotation):
    """A function from F_0 just after a pulse (set, plane) to amplitudes, in place."""
    source = Source(shape, rotation)
    _write_by_plane(source, _readout(source).read(_by_plane(source, "f[{}, {}]")))
    return source.each(f"f, {READOUT}")


def write_unread(shape, rotation, timing):
    """A function from the adjoints of a readout's amplitudes to those of F_0 (set, plane) just after the pulse."""
    source = Source(shape, rotation)
    place = f"[{{}} * {shape.planes} + {{}}, out, voxel]"
    bars, readout = _by_plane(source, "bars" + place), _readout(source)
    if timing:
        for exponent, i, value in readout.pairings(_by_plane(source, "amplitudes" + place), bars):
            if _gathered(shape, exponent):
                source.gather(exponent, value, i)
    _write_by_plane(source, readout.unread(bars))
    return source.each(f"f, bars, amplitudes, out, voxel, {READOUT}, {BARS}")


class _Voxel:
    """What `kernels.longitudinal` asks of a player and of bars; there is one duration, the function's."""

    exchanges = ()

    def __init__(self, source, timing=True):
        self.shape, self.n_sets, self.seed = source.shape, len(source.shape.kinds) + 1, source.seed
        self._source, self._timing, self.equilibrium = source, timing, source.note("equilibrium")
        self.space = self.durations = self

    def count(self, whole):
        return whole

    def spread(self, duration):
        return self._source.note(f"moments[{T}]")

    def decayed(self, duration, what):
        return self._source.note("e1")

    def of_kind(self, *kinds):
        return _of_kind(self.shape, *kinds)

    def by_decay(self, duration, value, i=0):
        if self._timing:
            self._source.gather(RELAXATION, -value, i)

    def w(self, text="w[{}]"):
        """W of all sets."""
        return [[self._source.note(text.format(i))] for i in range(self.n_sets)]


def write_recover(shape):
    """A function that adds to order zero what Z_0 gains before the pulse, through the pulse."""
    source = Source(shape)
    numbers = source.numbers([], ("c", "s"), nominal="nominal")._replace(decay=(1, 1))
    gained = [[[0, 0, *own]] for own in gains(_Voxel(source), None)]
    for i, (plane,) in enumerate(Interval(shape, numbers).pulse(gained)):
        for c, number in enumerate(plane):
            source.add(f"x[{i}, {shape.planes - 1}, {c}, 0]", number)
    return source.each(f"x, c, s, nominal, e2, {LONGITUDINAL}")


def write_read_z(shape):
    """A function from W just after a pulse to amplitudes (set, plane) of Z_0."""
    source = Source(shape)
    voxel = _Voxel(source)
    after = pass_time(voxel, voxel.w(), None)
    _write_by_plane(source, [[0] * (shape.planes - 1) + [-HALF * w] for (w,) in after])
    return source.each(f"f, w, {LONGITUDINAL}")


def write_unread_z(shape, timing):
    """A function that adds the adjoint of a readout of Z_0 to that of W, which was w."""
    source, last = Source(shape), shape.planes - 1
    voxel = _Voxel(source, timing)
    given = [[-HALF * bar] for (bar,) in voxel.w(f"bars[{{}} * {shape.planes} + {last}, out, voxel]")]
    for i, (bar,) in enumerate(unpass_time(voxel, voxel, voxel.w(), given, None)):
        source.add(f"b[{i}, {last}, {W}, 0]", bar)
    return source.each(f"b, w, bars, out, voxel, {LONGITUDINAL}, {BARS}")


def write_invert(shape):
    """A function from W before the interval before an inversion to what is after it; in place of P, what arrives."""
    source, last = Source(shape), shape.planes - 1
    voxel, flip = _Voxel(source), source.note("flip")
    arriving = [x for (x,) in pass_time(voxel, voxel.w(), None)]
    for i, x in enumerate(arriving):
        after = -(flip * source.rate(INVERSION) * x)
        if i in _of_kind(shape, INVERSION):
            after = after - flip * source.seed(i) * arriving[0]
        source.write(f"x[{i}, {last}, {W}, 0]", after)
        source.write(f"x[{i}, {last}, {P}, 0]", x)
    return source.each(f"x, w, flip, {LONGITUDINAL}")
