"""Play a part of a program backward over one block of lanes: every derivative of a scalar in one sweep.

The scalar depends on the amplitudes and on their tangents; `amplitude_bars` holds its derivatives with respect to both.
Adjoints mirror the states: one set for the states, one for each tangent, in two alternating blocks of `adjoint`.
A pulse is undone in the order: padding, readouts, recovery, then the pulse with its seeds and the interval before it.
"""

from . import columns as col
from .algebra import HALF, HALF_PI, C, M, P, W, added, generated, paired, pairings, seeded
from .columns import B1, FIELD, FRACTION, FRACTION_B, INVERSION, OMEGA, SATURATION, TIME, VECTOR
from .exponents import OUT_OF_PHASE, RELAXATION, before_pulses
from .lanes import choose, loop, repeat, total, when
from .longitudinal import gather_gains, pass_time, unpass_time
from .player import ABSENT, MOMENTS, READ_MOMENTS, Player, clear, read_sets, write_sets
from .pools import pull_back, saturation
from .rotations import spin_pairing
from .turned_pulse import Turned


class Bars:
    """Derivatives gathered: sums over voxels (`sums`), and what belongs to a voxel (`lane`).

    Rates, seeds and where the train starts have a number for each lane; flips (radians of the signed flip; of an
    inversion its efficiency over pi/2), powers (the same, over the root of a pulse's duration), turns (radians of the
    phase step before a pulse; then of the last phase) and durations (ms) are sums.
    """

    def __init__(self, player, lane, sums):
        sizes, lanes = player.sizes, player.shape.lanes
        self._player, own, number = player, lane.wide(lanes), sums.wide(1)
        self.pools = own.at(sizes[col.POOL_BARS_AT])
        self.rates, self.seeds, self.start = own, own.at(sizes[col.SEED_BARS_AT]), own.at(sizes[col.START_BARS_AT])
        self.flips, self.turns, self.durations, self.powers = (
            number.at(sizes[place])
            for place in (col.FLIP_SUMS_AT, col.TURN_SUMS_AT, col.DURATION_SUMS_AT, col.POWER_SUMS_AT)
        )

    def add(self, memory, place, value):
        memory[place] = memory[place] + value

    def add_total(self, memory, place, value):
        self.add(memory, place, total(value))

    def by_rate(self, code, value):
        self.add(self.rates, code * self._player.shape.lanes, value)

    def by_seed(self, i, value):
        self.add(self.seeds, (i - 1) * self._player.shape.lanes, value)

    def by_flip(self, n, value):
        self.add_total(self.flips, n, value)

    def by_power(self, n, value):
        self.add_total(self.powers, n, value)

    def by_exponent(self, exponent, place, value, i=0):
        """A derivative by a rate times a moment, which lies at `place`; or by its change along tangent `i`."""
        player = self._player
        moment, rate = player.durations.spread(place), player.seed(i) if i else player.rate(exponent.rate)
        if exponent.scale:
            value = player.scale(exponent.scale) * value
        by_moment = rate * value
        if exponent.moment == OUT_OF_PHASE:
            moment, by_moment = player.magnitude(moment), player.sign(moment) * by_moment
        if i:
            self.by_seed(i, moment * value)
        else:
            self.by_rate(exponent.rate, moment * value)
        self.add_total(self.durations, place, by_moment)

    def by_exchange(self, exchange, duration, i, values, first=0):
        """Derivatives by numbers of an exchange over a duration, from the `first` on; or by their slopes, along `i`."""
        places = self._player.exchange_places(exchange, duration, i)[first:]
        for place, value in zip(places, values, strict=False):
            self.add(self.pools, place * self._player.shape.lanes, value)

    def by_mixing(self, exchange, duration, gained):
        """What `mixing.mixing_pairings` says of an exchange."""
        count = 4 * exchange.parts
        for k, i in enumerate((0, *self._player.of_kind(*exchange.rates))):
            self.by_exchange(exchange, duration, i, gained[count * k : count * (k + 1)])

    def taken(self, exchange, duration, i):
        """What `by_exchange` has gathered, which is zero then."""
        result = []
        for place in self._player.exchange_places(exchange, duration, i):
            at = place * self._player.shape.lanes
            result.append(self.pools[at])
            self.pools[at] = self.pools.nothing()
        return result

    def by_saturation(self, n, value, slopes):
        """Derivatives by the logarithm of what pulse `n` leaves of a bound pool, and by its slopes along tangents."""
        player = self._player
        given = player.saturation_rates(n)
        seeds = player.saturation_seeds(n)
        bars = {i: [slope] for i, slope in slopes.items()}
        by_rate, by_seed = pull_back(saturation, given, seeds, [value], bars)
        for rate, place in ((B1, player.field_place(n)), (SATURATION, SATURATION)):
            self.by_rate(place, by_rate[rate])
        for i, own in by_seed.items():
            self.by_seed(i, own * player.on_tangent(i, n) if player.shape.kinds[i - 1] >= FIELD else own)
        self.by_power(n, by_rate[TIME])

    def by_decay(self, duration, value, i=0):
        """A derivative by the logarithm of e1."""
        self.by_exponent(RELAXATION, duration, -value, i)


def rewind(shape, tables, sizes, values, room, lane, sums, segment, timing, turning):
    """Undo a segment after a `play` that kept its states; adds to the sums, and to the derivatives of the lanes.

    The last segment comes first, and starts with adjoints that are zero; the first one ends with the derivatives by
    where the train starts. `timing`, `turning`: gather those by rates and durations, by phases.
    """
    player = Player(shape, tables, sizes, values, room)
    bars = Bars(player, lane, sums)
    table = player.segments.at(segment * col.N_SEGMENT)
    end, begin = table[col.SEGMENT_END], table[col.SEGMENT_BEGIN]

    def clear_last():
        last = player.step(end - 1)
        for i in range(player.n_sets):
            start = player.pair_arena * i + last[col.DST_PAIR] - last[col.DST_LOW]
            clear(player.adjoint, start, last[col.DST_SIZE] * (shape.components * shape.planes))

    when(segment + 1 >= sizes[col.N_SEGMENTS], clear_last)
    repeat(end - begin, lambda k: _rewind_pulse(player, bars, end - 1 - k, timing, turning))
    when(segment < 1, lambda: _give_start(player, bars))


def _rewind_pulse(player, bars, n, timing, turning):
    """Undo pulse `n`."""
    step = player.step(n)
    _unfinish_block(player, n)
    readouts = step[col.READ_END] - step[col.READ_BEGIN]
    repeat(readouts, lambda r: _unread(player, bars, n, step[col.READ_BEGIN] + r, timing))
    when((step[col.RECOVERY] > 0) & (timing > 0), lambda: _unrecover(player, bars, n))
    gathering = (timing > 0) if player.shape.planes == 1 else (timing > 0) | (turning > 0)
    _unplay_pulse(player, bars, n, gathering)
    _clear_around(player, n)
    when(step[col.INVERT] > 0, lambda: _uninvert(player, bars, n))


def _unplay_pulse(player, bars, n, gathering):
    """Adjoints of all sets through pulse `n` and the interval before it; derivatives by what these depend on."""
    step, parts = player.step(n), []
    for rows in player.by_rows():
        recorded = rows.block(step[col.DST_TAPE], step[col.DST_SIZE])
        given = rows.block(step[col.DST_PAIR], step[col.DST_SIZE])
        targets, interval = rows.departures(n, step[col.SRC_PAIR]), rows.interval(n)
        sources = rows.arrivals(n, step[col.SRC_TAPE])

        def body(row, factors, *sums, rows=rows, recorded=recorded, given=given, sources=sources, targets=targets,
                 interval=interval):  # fmt: skip
            k = rows.orders(n, row)
            states = read_sets(rows.space, recorded, row, rows.n_sets, rows.arena)
            bars = read_sets(rows.adjoint, given, row, rows.n_sets, rows.pair_arena)
            gained = pulse_pairings(rows, states, bars)
            met = interval.unpulse(bars)
            if rows.exchanges:
                arriving = read_sets(rows.space, sources, row, rows.n_sets, rows.arena)
                gained += interval.exchange_pairings(arriving, met, k, factors)
            write_sets(rows.adjoint, targets, row, interval.unpass_time(met, k, factors), rows.pair_arena)
            return tuple(a + b for a, b in zip(sums, gained, strict=True))

        parts.append(rows.over_rows(n, interval, body, *[rows.adjoint.nothing()] * _count_pairings(player)))
    gather_pulse(player, bars, n, [player.together(part) for part in zip(*parts, strict=True)])
    when(gathering, lambda: _gather_interval(player, bars, n))


def pulse_pairings(player, states, bars):
    """Derivatives by the flip angle and by seeds of B1; by saturation of a bound pool and by what that changes by.

    Of pulses that turn each lane in its own way, by vectors (see `rotations`): that of the rotation, those of tangents.
    """
    if player.shape.turning:
        pairs = [spin_pairing(x, bar, HALF) for x, bar in zip(states, bars, strict=True)]
        gained = [added(each) for each in zip(*pairs, strict=True)]
        gained += [x for i in player.of_kind(*player.shape.turners) for x in spin_pairing(states[0], bars[i], HALF)]
    else:
        change = generated(states[0])
        gained = [added(paired(bar, generated(x)) for x, bar in zip(states, bars, strict=True))]
        gained += [paired(bars[i], change) for i in player.of_kind(B1)]
    if player.shape.bound:

        def along(x, bar):
            return added(a[C] * b[C] for a, b in zip(x, bar, strict=True))

        gained.append(added(along(x, bar) for x, bar in zip(states, bars, strict=True)))
        gained += [along(states[0], bars[i]) for i in player.of_kind(*_saturating(player))]
    return gained


def _saturating(player):
    """Rates that saturation of a bound pool depends on."""
    return (*player.shape.amplitudes, SATURATION)


def _count_pairings(player):
    count = 3 + 3 * len(player.of_kind(*player.shape.turners)) if player.shape.turning else 1 + len(player.of_kind(B1))
    if player.shape.bound:
        count += 1 + len(player.of_kind(*_saturating(player)))
    return count + sum(count_entries(player, exchange) for exchange in player.exchanges)


def count_entries(player, exchange):
    """Parts of the entries of an exchange, and of their slopes along tangents."""
    return 4 * exchange.parts * (1 + len(player.of_kind(*exchange.rates)))


def gather_pulse(player, bars, n, gained):
    """What a pulse's pairings say of the flip angle of pulse `n`, of the seeds of B1, and of a second pool."""
    gather = _gather_rotation if player.shape.turning else _gather_flip
    gained = gather(player, bars, n, gained)
    if player.shape.bound:
        value, *gained = gained
        saturated = player.of_kind(*_saturating(player))
        bars.by_saturation(n, value, dict(zip(saturated, gained, strict=False)))
        gained = gained[len(saturated) :]
    for exchange in player.exchanges:
        bars.by_mixing(exchange, player.step(n)[col.DURATION], gained)
        gained = gained[count_entries(player, exchange) :]


def _gather_flip(player, bars, n, gained):
    """That of the flip angle and of B1; what is left."""
    kinds, scale = player.of_kind(B1), player.nominal(n)
    by_flip, *gained = gained
    bars.by_rate(B1, scale * by_flip)
    pulse = player.flips.count(1 - player.step(n)[col.INVERT])
    bars.by_flip(n, pulse * player.rate(B1) * by_flip)
    for i, value in zip(kinds, gained, strict=False):
        bars.by_seed(i, scale * value)
        bars.by_flip(n, pulse * player.seed(i) * value)
    return gained[len(kinds) :]


def _gather_rotation(player, bars, n, gained):
    """The same of a pulse that turns each lane in its own way."""
    turned = player.of_kind(*player.shape.turners)
    along = {i: gained[3 * k : 3 * k + 3] for k, i in enumerate(turned, 1)}
    Turned(player, n, bend=True).gather(bars, gained[:3], along)
    return gained[3 + 3 * len(turned) :]


def _gather_interval(player, bars, n):
    """Derivatives by rates, durations and the phase step before pulse `n`, once its adjoint is done."""
    step, parts = player.step(n), []
    for rows in player.by_rows():
        states, adjoints = rows.arrivals(n, step[col.SRC_TAPE]), rows.arrivals(n, step[col.SRC_PAIR])

        def body(row, *sums, rows=rows, states=states, adjoints=adjoints):
            arriving = read_sets(rows.space, states, row, rows.n_sets, rows.arena)
            given = read_sets(rows.adjoint, adjoints, row, rows.n_sets, rows.pair_arena)
            return tuple(
                a + b for a, b in zip(sums, pairings(rows.shape, arriving, given, rows.orders(n, row)), strict=True)
            )

        count = len(before_pulses(player.shape)) + len(seeded(player.shape))
        parts.append(loop(step[col.VECTORS], body, *[rows.adjoint.nothing()] * count))
    gather_exponents(player, bars, n, [player.together(part) for part in zip(*parts, strict=True)])


def gather_exponents(player, bars, n, gained):
    """What the pairings of an interval say of rates, its moments, and the phase step before pulse `n`."""
    own = [(e, 0) for e in before_pulses(player.shape)]
    for (exponent, i), value in zip(own + seeded(player.shape), gained, strict=True):
        bars.by_exponent(exponent, player.step(n)[MOMENTS[exponent.moment]], value, i)
        if (exponent.rate, i) == (OMEGA, 0):
            bars.add_total(bars.turns, n, value)


def _unfinish_block(player, n):
    """Adjoint of `forward._finish_block`; the recorded states go back to the frame of their own pulse."""
    step, adjoint, lanes = player.step(n), player.adjoint, player.shape.lanes
    size, sets = step[col.DST_SIZE], range(player.n_sets)
    places = player.block(step[col.DST_PAIR], size)
    into_m, fold = step[col.FOLD_INTO_M], step[col.FOLD_ROWS]
    end, begin = into_m * size - fold * lanes, (1 - into_m) * size + step[col.FOLD_FROM]

    def unfold_row(k):
        for i in sets:
            for plane, planes in zip(player.planes, places, strict=True):
                way = player.quadrature_sign(plane, step[col.NEXT_PLANE])
                for first in player.of_each_pool(P, planes):
                    base = first + player.pair_arena * i
                    source = base + begin + k * lanes
                    adjoint[source] = adjoint[source] + way * adjoint[base + end + (fold - 1 - k) * lanes]

    repeat(fold, unfold_row)
    if player.shape.planes == 1:

        def negate(k):
            for i in sets:
                for memory, start, arena in (
                    (adjoint.wide(VECTOR), step[col.DST_PAIR], player.pair_arena),
                    (player.space.wide(VECTOR), step[col.DST_TAPE], player.arena),
                ):
                    for swapped in player.swapped(n, start):
                        place = swapped + k + arena * i
                        memory[place] = -memory[place]

        when(step[col.SWAP] > 0, lambda: repeat(step[col.VECTORS] * VECTOR, negate, step=VECTOR))


def _clear_around(player, n):
    """Zero what a pulse's adjoint did not write in the block before it.

    Adjoints are zero from the last row to the end of its vector, so that what the states hold there never counts.
    """
    step, sets = player.step(n), range(player.n_sets)
    places = player.block(step[col.SRC_PAIR], step[col.SRC_SIZE])
    for c, kind in enumerate(player.like):
        present = step[ABSENT[kind]] < 1
        begin = choose(present, step[col.SHIFT_P + kind], 0)
        end = begin + choose(present, step[col.ROWS], 0)
        end = choose(end > step[col.SRC_ROWS], step[col.SRC_ROWS], end)

        def around(memory, first, c=c):
            def at(k):
                for i in sets:
                    for planes in places:
                        memory[planes[c] + player.pair_arena * i + first + k] = memory.count(0)

            return at

        repeat(begin, around(player.adjoint, 0), step=player.shape.lanes)
        repeat(step[col.SRC_VECTORS] * VECTOR - end, around(player.adjoint.wide(VECTOR), end), step=VECTOR)


def _unread(player, bars, n, r, timing):
    """Adjoint of `forward._read`."""
    step, read = player.step(n), player.reads.at(r * col.N_READ)
    component, duration, out = read[col.READ_COMPONENT], read[col.READ_DURATION], read[col.READ_OUT]
    last = player.shape.planes - 1

    def given(memory, i, planes=player.planes):
        return [memory[player.amplitude_place(i, plane, out)] for plane in planes]

    def transverse():
        values = [given(player.amplitudes, i) for i in range(player.n_sets)]
        given_bars = [given(player.amplitude_bars, i) for i in range(player.n_sets)]
        readout = player.readout(read)

        def gather():
            for exponent, i, value in readout.pairings(values, given_bars):
                bars.by_exponent(exponent, read[READ_MOMENTS[exponent.moment]], value, i)
            if player.shape.second:
                states = player.read_states(n, read, step[col.DST_TAPE])
                bars.by_mixing(player.exchanges[1], duration, readout.exchange_pairings(states, given_bars))

        when(timing > 0, gather)
        places = player.read_places(read, step[col.DST_PAIR], step[col.DST_SIZE])
        for i, bar in enumerate(readout.unread(given_bars)):
            for plane, pools in zip(player.planes, places, strict=True):
                sign = player.conjugate_sign(plane, player.p_or_m(component), step[col.PLANE])
                for at, value in zip(pools, bar[plane] if player.shape.second else [bar[plane]], strict=True):
                    place = at + player.pair_arena * i
                    player.adjoint[place] = player.adjoint[place] + sign * value

    def longitudinal():
        before = player.longitudinal(player.space, player.arena, step[col.DST_TAPE], step[col.DST_SIZE])
        places, nothing = player.block(step[col.DST_PAIR], step[col.DST_SIZE])[-1], player.space.count(0)
        for which in range(len(before[0])):

            def unread_pool(which=which):
                given_bars = [[nothing] * len(before[0]) for _ in range(player.n_sets)]
                for i in range(player.n_sets):
                    given_bars[i][which] = -HALF * given(player.amplitude_bars, i, [last])[0]
                for i, pulled in enumerate(unpass_time(player, bars, before, given_bars, duration)):
                    for place, value in zip(player.of_each_pool(W, places), pulled, strict=True):
                        at = place + player.pair_arena * i
                        player.adjoint[at] = player.adjoint[at] + value

            when((component >= W + which) & (component < W + which + 1), unread_pool)

    when(player.is_transverse(component), transverse)
    when(component > M, longitudinal)


def _unrecover(player, bars, n):
    """Adjoint of `forward._recover`: only rates and durations gain by it."""
    step = player.step(n)
    places = player.block(step[col.DST_PAIR], step[col.DST_SIZE])
    places = places if player.shape.turning else places[-1:]
    leaving = [
        [[player.adjoint[place + player.pair_arena * i] for place in plane] for plane in places]
        for i in range(player.n_sets)
    ]
    met = player.interval(n, decays=False).unpulse(leaving)
    gather_gains(player, bars, [player.of_each_pool(W, planes[-1]) for planes in met], step[col.DURATION])


def _uninvert(player, bars, n):
    """Adjoint of `forward._seed_inversion`, and derivatives by the efficiency."""
    step = player.step(n)
    before = player.longitudinal(player.space, player.arena, step[col.SRC_TAPE], step[col.SRC_SIZE])
    leaving = player.longitudinal(player.adjoint, player.pair_arena, step[col.DST_PAIR], step[col.DST_SIZE])
    places = player.of_each_pool(W, player.block(step[col.SRC_PAIR], step[col.SRC_SIZE])[-1])
    for pulled in uninverted(player, bars, n, before, leaving):
        for place, value in zip(places, pulled, strict=True):
            player.adjoint[place] = player.adjoint[place] + value


def uninverted(player, bars, n, before, leaving):
    """Derivatives by the efficiency of inversion `n`; for each tangent of it, what the adjoint of the states gains.

    W of all sets and pools, `before` the interval, and adjoints of what is `leaving` the inversion.
    """
    duration, efficiency, nothing = player.step(n)[col.DURATION], player.flips.spread(n), player.space.count(0)
    arriving, gained, pools = pass_time(player, before, duration), [], player.inverted_pools

    def paired_with(bar, x):
        return added(a * b for a, b in zip(bar[:pools], x[:pools], strict=True))

    by_efficiency = added(paired_with(bar, x) for bar, x in zip(leaving, arriving, strict=True))
    bars.by_rate(INVERSION, -efficiency * by_efficiency)
    bars.by_flip(n, -(player.rate(INVERSION) * by_efficiency) * (1 / HALF_PI))
    for i in player.of_kind(INVERSION):
        own = paired_with(leaving[i], arriving[0])
        bars.by_seed(i, -efficiency * own)
        bars.by_flip(n, -(player.seed(i) * own) * (1 / HALF_PI))
        given = [[nothing] * len(before[0]) for _ in range(player.n_sets)]
        given[0][:pools] = [-efficiency * player.seed(i) * bar for bar in leaving[i][:pools]]
        gained.append(unpass_time(player, bars, before, given, duration)[0])
    return gained


def _give_start(player, bars):
    """Derivatives by where the train starts."""
    places = player.block(player.sizes[col.PAIR], player.steps[col.SRC_SIZE])
    for i in range(player.n_sets):
        planes = [[player.adjoint[place + player.pair_arena * i] for place in plane] for plane in places]
        bars.start[i * VECTOR] = -2 * planes[-1][W]
        if player.exchanges:
            _give_second(player, bars, i, *player.of_each_pool(W, planes[-1]))
        if player.shape.planes == 2:

            def by_transverse(i=i, planes=planes, row=1, first=0):
                p, m = first + P, first + M
                bars.start[(row * player.n_sets + i) * VECTOR] = planes[0][p] + planes[0][m]
                bars.start[((row + 1) * player.n_sets + i) * VECTOR] = planes[1][p] - planes[1][m]

            when(player.sizes[col.BOUNDARY] > 2, by_transverse)
            if player.shape.second:
                when(player.sizes[col.BOUNDARY] > 5, lambda again=by_transverse: again(row=4, first=3))


def _give_second(player, bars, i, first, second):
    """Adjoint of `forward._start_second`."""
    boundary = player.sizes[col.BOUNDARY]

    def own():
        row = choose(boundary > 2, 3, 1)
        bars.start[(row * player.n_sets + i) * VECTOR] = -2 * second

    def share():
        value, code = 2 * (first - second), FRACTION if player.shape.bound else FRACTION_B
        if i == 0:
            bars.by_rate(code, value)
        elif i in player.of_kind(code):
            bars.by_seed(i, value)

    when(boundary > 0, own)
    when(boundary < 1, share)
