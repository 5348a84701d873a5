"""What a device does to rows, readouts and Z_0, written down from what all kernels share (see `source`).

Functions of what is `TAKEN` act on the states `x` or adjoints `b`, (set, plane, component, row); W of order zero is
`w` (set, pool), F_0 is `f` (set, plane, free pool).
"""

from ..algebra import HALF, W, pairings
from ..columns import READ_COMPONENT, TIME
from ..elementary import sin_cos_turns
from ..exponents import T
from ..forward import inverted, recovered
from ..load import pull_exchange
from ..longitudinal import gather_gains, pass_time, unpass_time
from ..player import READ_MOMENTS
from ..pools import calculated_once, exchange_lines, value_and_slopes
from ..reverse import gather_exponents, gather_pulse, pulse_pairings, uninverted
from .columns import Shape
from .source import BARS, TAKEN, Gathered, Source

# Where `moments` has those of a readout; its component has a name.
READ = {READ_COMPONENT: "component", **dict(zip(READ_MOMENTS, range(len(READ_MOMENTS)), strict=True))}


def _each_place(shape, text):
    """Where the components of all sets and planes lie."""
    components, planes = range(shape.components), range(shape.planes)
    return [[[text.format(i, plane, c) for c in components] for plane in planes] for i in range(1 + len(shape.kinds))]


def _read_rows(source, text):
    return [[[*map(source.row, plane)] for plane in planes] for planes in _each_place(source.shape, text)]


def _write_rows(source, text, sets):
    for places, planes in zip(_each_place(source.shape, text), sets, strict=True):
        for names, plane in zip(places, planes, strict=True):
            for name, number in zip(names, plane, strict=True):
                source.write(name, number)


def _by_plane(source, text):
    """A number of each set and plane."""
    return [[source.note(text.format(i, plane)) for plane in source.planes] for i in range(source.n_sets)]


def _by_pool(source, shape, text):
    """For each set and plane what there is for each free pool (see `player.Player.one_or_both`)."""
    pools = range(shape.free)
    return [
        [source.one_or_both([source.note(text.format(i, plane, k)) for k in pools]) for plane in source.planes]
        for i in range(source.n_sets)
    ]


def _write_by_plane(source, sets):
    for i, planes in enumerate(sets):
        for plane, numbers in enumerate(planes):
            for k, number in enumerate(numbers if isinstance(numbers, list) else [numbers]):
                source.write(f"f[{i}, {plane}, {k}]", number)


def _longitudinal(source, shape, name="w"):
    return [[source.note(f"{name}[{i}, {k}]") for k in range(shape.pools)] for i in range(source.n_sets)]


def _add_longitudinal(source, shape, sets, memory="b", sign=1):
    """To W of order zero, of states or adjoints."""
    for i, values in sets:
        for k, value in enumerate(values):
            source.add(f"{memory}[{i}, {shape.planes - 1}, {W + shape.apart * k}, 0]", value * sign)


def write_turn(real):
    """A function of an angle in quarter turns: cosine and sine."""
    source = Source(Shape(real, 1, (), (), False, 1, 1))

    def floor(x):
        return source.note("floor({})", x)

    quarters = source.note("quarters")
    s, c = sin_cos_turns(quarters, floor(quarters + HALF), floor, source.where)
    return source.returned("quarters", c, s)


def write_pulse(shape, rotation):
    """Functions for an interval and the pulse that ends it: what rows share, and a row from arrival to departure."""
    source = Source(shape, rotation, rowwise=True)
    after = source.interval(0).play(_read_rows(source, "t[{}, {}, {}]"), source.orders())
    _write_rows(source, "x[{}, {}, {}, j]", after)
    return source.shared(), source.each("x, t, j, order, stride")


def write_undo(shape, rotation, timing, turning):
    """Functions that undo a pulse and the interval before it: what rows share, and a row; how many sums each adds to.

    The sums are derivatives by what the pulse depends on and, if these are gathered, the interval. The CPU pairs states
    after the pulse and before the interval with adjoints there. Here both are taken where they meet the pulse:
    exponents commute with what else happens in an interval, the generator with a rotation that no decay is part of.
    """
    source = Source(shape, rotation, rowwise=True)
    interval, rotating, k = source.interval(0), source.interval(0, decays=False), source.orders()
    e1, e2 = interval.numbers.decay
    arriving, bars = _read_rows(source, "x[{}, {}, {}]"), _read_rows(source, "b[{}, {}, {}, j]")

    def decayed(sets):
        return [
            [[x * (e1 if kind == W else e2) for x, kind in zip(plane, source.like, strict=True)] for plane in planes]
            for planes in sets
        ]

    met, bars = decayed(interval.pass_time(arriving, k)), rotating.unpulse(bars)
    of_pulse, of_exponents = pulse_pairings(source, met, bars), []
    if timing or turning:
        of_exponents = pairings(shape, met, bars, k)
    bars = decayed(bars)
    if timing and source.exchanges:
        of_pulse += interval.exchange_pairings(arriving, bars, k)
    _write_rows(source, "b[{}, {}, {}, j]", interval.unpass_time(bars, k))
    sums = of_pulse + of_exponents
    for n, number in enumerate(sums):
        source.add(f"sums[{n}]", number)
    return source.shared(), source.each("j, b, x, sums, order, stride"), (len(of_pulse), len(sums))


def write_gather(shape, counts, timing, turning):
    """A function from the sums of a pulse, which `write_undo` counts, to derivatives by all that they depend on."""
    source, (of_pulse, count) = Source(shape), counts
    bars, sums = Gathered(source, timing), [source.note(f"sums[{n}]") for n in range(count)]
    gather_pulse(source, bars, 0, sums[:of_pulse])
    if timing or turning:
        gather_exponents(source, bars, 0, sums[of_pulse:])
    return source.each(f"sums, {TAKEN}, {BARS}")


def write_read(shape, rotation):
    """A function from F_0 just after a pulse to amplitudes, in place."""
    source = Source(shape, rotation)
    _write_by_plane(source, source.readout(READ).read(_by_pool(source, shape, "f[{}, {}, {}]")))
    return source.each(f"f, component, {TAKEN}")


def f_seen_at(shape):
    """Where F_0 just after a pulse is kept of the first of two free pools, behind amplitudes.

    Counted from the last, for the first readout; of the second pool it is one further, of each other readout two.
    """
    return shape.pools + 1


def write_unread(shape, rotation, timing):
    """A function from the adjoints of a readout's amplitudes to those of F_0 just after the pulse."""
    source = Source(shape, rotation)
    place = f"[{{}} * {shape.planes} + {{}}, out, voxel]"
    given, readout, bars = _by_plane(source, "bars" + place), source.readout(READ), Gathered(source, timing)
    for exponent, i, value in readout.pairings(_by_plane(source, "amplitudes" + place), given):
        bars.by_exponent(exponent, exponent.moment, value, i)
    if shape.second:
        seen = f"amplitudes.shape[1] - {f_seen_at(shape)} - {{}} - 2 * out"
        states = _by_pool(source, shape, f"amplitudes[{{}} * {shape.planes} + {{}}, {seen}, voxel]")
        bars.by_mixing(source.exchanges[1], T, readout.exchange_pairings(states, given))
    _write_by_plane(source, readout.unread(given))
    return source.each(f"f, component, bars, amplitudes, out, voxel, {TAKEN}, {BARS}")


def write_read_z(shape):
    """A function from W just after a pulse to amplitudes of Z_0, of the pool that `component` is."""
    source, found = Source(shape), []
    for first, *others in pass_time(source, _longitudinal(source, shape), T):
        for k, other in enumerate(others, W + 1):
            first = source.where(source.note(f"component == {k}"), other, first)
        found.append([0] * (shape.planes - 1) + [-HALF * first])
    _write_by_plane(source, found)
    return source.each(f"f, w, component, {TAKEN}")


def write_unread_z(shape, timing):
    """A function that adds the adjoint of a readout of Z_0 to that of W, which was w."""
    source, given = Source(shape), []
    for i in range(source.n_sets):
        bar = -HALF * source.note(f"bars[{i} * {shape.planes} + {shape.planes - 1}, out, voxel]")
        given.append([source.where(source.note(f"component == {W + k}"), bar, 0) for k in range(shape.pools)])
    pulled = unpass_time(source, Gathered(source, timing), _longitudinal(source, shape), given, T)
    _add_longitudinal(source, shape, enumerate(pulled))
    return source.each(f"b, w, component, bars, out, voxel, {TAKEN}, {BARS}")


def write_recover(shape):
    """A function that adds to order zero what Z_0 gains before the pulse, through the pulse."""
    source = Source(shape)
    for i, (plane,) in enumerate(source.interval(0, decays=False).pulse(recovered(source, 0))):
        for c, number in enumerate(plane):
            source.add(f"x[{i}, {shape.planes - 1}, {c}, 0]", number)
    return source.each(f"x, {TAKEN}")


def write_unrecover(shape, timing):
    """Its adjoint: what is gained counts in the pairings with what meets the pulse, and depends on rates and time."""
    source = Source(shape)
    interval = source.interval(0, decays=False)
    last, components = shape.planes - 1, range(shape.components)
    leaving = [[[source.note(f"b[{i}, {last}, {c}, 0]") for c in components]] for i in range(source.n_sets)]
    met = interval.unpulse(leaving)
    for n, number in enumerate(pulse_pairings(source, recovered(source, 0), met)):
        source.add(f"sums[{n}]", number)
    gather_gains(source, Gathered(source, timing), [source.of_each_pool(W, plane) for (plane,) in met], T)
    return source.each(f"b, sums, {TAKEN}, {BARS}")


def write_invert(shape):
    """A function that subtracts what a change of efficiency takes of W in an inversion; w: before the interval."""
    source = Source(shape)
    _add_longitudinal(source, shape, inverted(source, 0, _longitudinal(source, shape)).items(), "x", -1)
    return source.each(f"x, w, {TAKEN}")


def write_uninvert(shape, timing):
    """Its adjoint, with derivatives by the efficiency; `left`: adjoints of what leaves the inversion."""
    source = Source(shape)
    before, leaving = _longitudinal(source, shape), _longitudinal(source, shape, "left")
    for pulled in uninverted(source, Gathered(source, timing), 0, before, leaving):
        _add_longitudinal(source, shape, [(0, pulled)])
    return source.each(f"b, w, left, {TAKEN}, {BARS}")


def _by_exchange(source):
    """Each exchange with where its numbers begin, what they depend on by code, and its tangents."""
    for first, exchange in zip(exchange_lines(source.shape), source.exchanges, strict=False):
        rates = {code: source.rate(code) for code in exchange.rates} | {TIME: source.note("time")}
        yield first, exchange, rates, source.seeds_of(exchange.rates)


def write_exchange(shape, rotation):
    """A function that fills in the numbers of exchange over a time, from a place on, for a voxel."""
    source = Source(shape, rotation)
    for first, exchange, rates, seeds in _by_exchange(source):
        numbers, slopes = value_and_slopes(exchange.numbers, rates, seeds, calculated_once(source.hyperbolic))
        for k, number in enumerate([*numbers, *(x for own in slopes.values() for x in own)], first):
            source.write(f"table[place + {k}, voxel]", number)
    return source.each("table, place, voxel, time, rates, seeds")


def write_unexchange(shape, rotation):
    """A function from derivatives by these to those by rates, seeds and the time."""
    source = Source(shape, rotation)
    for first, exchange, rates, seeds in _by_exchange(source):
        count = exchange.count
        starts = [first + count * k for k in range(1 + len(seeds))]
        taken = [[source.note(f"table[place + {start + n}, thread]") for n in range(count)] for start in starts]
        pull_exchange(Gathered(source), exchange, T, rates, seeds, taken, source.hyperbolic)
    return source.each(f"table, place, thread, time, rates, seeds, {BARS}")
