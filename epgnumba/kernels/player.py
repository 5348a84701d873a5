"""A part of a program at work, as the loops see it: where tables, values and a thread's room lie."""

import copy

from . import columns as col
from .algebra import HALF_PI, Interval, M, Numbers, P, W, added, like
from .columns import B1, SATURATION, TIME, VECTOR
from .elementary import LOWEST, exp, magnitude, rotation, sign
from .exponents import OUT_OF_PHASE, before_pulses, before_readouts, by_order
from .lanes import choose, either, join, loop, repeat, total
from .mixing import Mixing
from .physics import turn
from .pools import exchange_lines, exchanges, of_kinds, saturation, value_and_slopes
from .readouts import PooledReadout, Readout
from .turned_pulse import field_place, on_tangent

ABSENT = col.NO_F, col.NO_F, col.NO_W  # columns that say whether nothing arrives of P, M and W
FILLS = col.FILL_P, col.FILL_M, col.FILL_W  # what of each is filled with zeros
# Columns where the moments of a pulse's interval lie, and those of a readout.
MOMENTS = col.DURATION, col.MOMENT_1, col.MOMENT_2
READ_MOMENTS = col.READ_DURATION, col.READ_MOMENT_1, col.READ_MOMENT_2, col.READ_OUT_OF_PHASE


class Player:
    """Pointers to all that a part of a program is played with; see `columns` for the tables.

    State sets (0 the states, 1... the tangents) lie one after another in `space`, ARENA numbers each, and their
    adjoints in `adjoint`, PAIR_ARENA each. A set begins with zeros (what a pulse reads where nothing can be), then its
    blocks.
    """

    rotation, magnitude, sign = staticmethod(rotation), staticmethod(magnitude), staticmethod(sign)

    def __init__(self, shape, tables, sizes, values, room):
        self.shape, self.sizes, self.values = shape, sizes, values
        self.like, self.exchanges = like(shape), exchanges(shape)
        self.n_sets = 1 + len(shape.kinds)
        self.steps, self.reads, self.segments = (
            tables.at(sizes[place]) for place in (col.STEPS_AT, col.READS_AT, col.SEGMENTS_AT)
        )
        self.durations, self.flips = values.at(sizes[col.DURATIONS_AT]), values.at(sizes[col.FLIPS_AT])
        # phase steps are the call's; but of a member of an ensemble a thread's own
        own_turns = sizes[col.TURNED_AT]
        self.turns = either(own_turns > 0, room.at(own_turns), values.at(sizes[col.TURNS_AT]))
        self.space, self.adjoint = room.at(sizes[col.SPACE_AT]), room.at(sizes[col.ADJOINT_AT])
        self.arena, self.pair_arena = sizes[col.ARENA], sizes[col.PAIR_ARENA]
        self.room, self.itemsize = room, room.itemsize
        self.rates, self.seeds = room.at(sizes[col.RATES_AT]), room.at(sizes[col.SEEDS_AT])
        self.decay, self.trig = room.at(sizes[col.DECAY_AT]), room.at(sizes[col.TRIG_AT])
        self.pools = room.at(sizes[col.POOLS_AT])
        self.amplitudes, self.amplitude_bars = room.at(sizes[col.AMPLITUDES_AT]), room.at(sizes[col.AMPLITUDES_BAR_AT])
        self.equilibrium = room.wide(shape.lanes).at(sizes[col.SCRATCH_AT]).spread(col.EQUILIBRIUM)
        self.dephasing, self.powers = values.at(sizes[col.DEPHASING_AT]), values.at(sizes[col.POWERS_AT])
        self.waves = values.at(sizes[col.WAVES_AT]).wide(shape.lanes) if shape.waves else None
        self._look(shape.lanes)

    def _look(self, width, first=0):
        """Take vectors of `width` from lane `first` on."""
        self.durations, self.flips, self.turns, self.dephasing, self.powers = (
            values.wide(width) for values in (self.durations, self.flips, self.turns, self.dephasing, self.powers)
        )
        self._first = first
        self.space, self.adjoint, self.amplitudes, self.amplitude_bars = (
            memory.at(first).wide(width) for memory in (self.space, self.adjoint, self.amplitudes, self.amplitude_bars)
        )
        of_lane = first if self.shape.lanes > 1 else 0
        self.rates, self.seeds, self.decay, self.trig, self.pools = (
            memory.at(of_lane).wide(width) for memory in (self.rates, self.seeds, self.decay, self.trig, self.pools)
        )

    def by_rows(self):
        """The same for loops over rows: a vector is a row of voxels, or a run of rows of the only one.

        Half a vector, and all twice, where registers would not hold all of a row.
        """
        numbers = self.shape.components * self.shape.planes * self.n_sets  # in a row of one lane, and its factors
        numbers += 6 if by_order(self.shape) else 0
        width = VECTOR // 2 if numbers * self.itemsize >= 96 else VECTOR
        for first in range(0, VECTOR, width):
            half = copy.copy(self)
            half._look(width, first)
            yield half

    def step(self, n):
        """Row of the table for pulse `n`."""
        return self.steps.at(n * col.N_STEP)

    def line(self, memory, index):
        """What memory holds for each lane; for the only one, that in every lane."""
        return memory[index * self.shape.lanes] if self.shape.lanes > 1 else memory.spread(index)

    def rate(self, code):
        """A rate."""
        return self.line(self.rates, code)

    def seed(self, i):
        """Derivative of the rate that tangent `i` (from 1) changes."""
        return self.line(self.seeds, i - 1)

    def of_kind(self, *kinds):
        """Tangents of some rates."""
        return of_kinds(self.shape.kinds, kinds)

    def decayed(self, duration, what):
        """What a duration leaves: of Z (0), of F (1); cosine and sine of precession over it (2, 3)."""
        return self.line(self.decay, self.sizes[col.DECAY_LINES] * what + duration)

    def cos_sin(self, n):
        """Cosine and sine of the flip angle of pulse `n`."""
        return self.line(self.trig, n), self.line(self.trig, self.sizes[col.TRIG_LINES] + n)

    def rotating(self, n):
        """Of a pulse that turns each lane in its own way its matrix, and vectors by which tangents change it."""

        def numbers(first, count):
            return [self.line(self.trig, self.sizes[col.TRIG_LINES] * (first + k) + n) for k in range(count)]

        matrix = [numbers(first, 3) for first in (0, 3, 6)]
        return matrix, {i: numbers(9 + 3 * k, 3) for k, i in enumerate(self.of_kind(*self.shape.turners))}

    def field_place(self, n):
        """Which rate scales pulse `n`; if there is one of its kind alone, its phase is the next."""
        return field_place(self, n)

    def amplitude(self, n):
        """What scales pulse `n`."""
        return self.rate(self.field_place(n))

    def on_tangent(self, i, n):
        """1 where tangent `i` is of the transmit field of pulse `n`, else 0."""
        return on_tangent(self, i, n)

    def seed_of_field(self, i, n):
        """Derivative of that field along tangent `i`."""
        return self.seed(i) if self.shape.kinds[i - 1] == B1 else self.on_tangent(i, n) * self.seed(i)

    def nominal(self, n):
        """Nominal flip angle of pulse `n`, radians; an inversion has none."""
        return HALF_PI * self.flips.spread(n) * self.flips.count(1 - self.step(n)[col.INVERT])

    def orders(self, n, row):
        """Orders of what lies `row` numbers from the first row of pulse `n`; None where nothing depends on them."""
        if not by_order(self.shape):
            return None
        rows = self.space.count(row)
        rows = rows * (1 / VECTOR) if self.shape.lanes > 1 else rows + self.space.count(self._first) + self.space.ramp()
        return rows * self.space.count(self.sizes[col.STRIDE]) + self.space.count(self.step(n)[col.ORDER])

    def over_rows(self, n, interval, body, *sums):
        """Call ``body(row, factors, *sums)``, which returns sums to carry on, for each row of pulse `n` (see `loop`).

        Where there are terms that depend on the order, and voxels in the lanes, factors are made one from another,
        CHUNK rows at a time: rounding grows with the square of their number.
        """
        count = self.step(n)[col.VECTORS]
        if not by_order(self.shape) or self.shape.lanes == 1:
            return loop(count, lambda row, *sums: body(row, None, *sums), *sums)
        chunk, stride = self.sizes[col.CHUNK], self.space.count(self.sizes[col.STRIDE])

        def some(k, *sums):
            begin = k * chunk
            first = self.orders(n, begin * VECTOR)
            factors, (steps, bends) = interval.factors(first), interval.growth(first, stride)
            size = len(factors.numbers)

            def one(row, *carried):
                now, step = (factors.holding(carried[i * size : (i + 1) * size]) for i in range(2))
                following = *now.times(step).numbers, *step.times(bends).numbers
                return *following, *(body(begin * VECTOR + row, now, *carried[2 * size :]) or ())

            left = count - begin
            return loop(choose(left < chunk, left, chunk), one, *factors.numbers, *steps.numbers, *sums)[2 * size :]

        return loop((count + (chunk - 1)) // chunk, some, *sums, step=1)

    def scale(self, power):
        """A power of the dephasing of an order."""
        dephasing = self.dephasing.spread(0)
        return [1.0, dephasing, dephasing * dephasing][power]

    def moments(self, places, exponents):
        """Moments that exponents take, by moment and power of the scale; `places`: where each lies in a table."""
        return {
            (e.moment, e.scale): self.durations.spread(places[e.moment]) * self.scale(e.scale)
            if e.scale else self.durations.spread(places[e.moment])
            for e in exponents
        }  # fmt: skip

    def interval(self, n, decays=True):
        """The interval before pulse `n`, and the pulse; or, for what comes behind all decay, the pulse alone."""
        step, angle = self.step(n), None
        duration = step[col.DURATION]
        if self.shape.planes == 2:
            phase = self.turns.spread(2 * n), self.turns.spread(2 * n + 1)
            angle = turn(self.decayed(duration, 2), self.decayed(duration, 3), *phase)
        transverse = decays and not self.shape.second  # what exchange does not do
        numbers = Numbers(
            trig=None if self.shape.turning else self.cos_sin(n), angle=angle,
            decay=(
                self.decayed(duration, 0) if decays and not self.exchanges else 1.0,
                self.decayed(duration, 1) if transverse else 1.0,
            ),
            nominal=self.nominal(n), seeds=self._all_seeds(), rates=self._term_rates(),
            moments=self.moments([step[place] for place in MOMENTS], before_pulses(self.shape)),
            exp=self.exp, rotation=self.rotation,
            mixings=tuple(self.mixing(exchange, duration) for exchange in self.exchanges),
            saturation=self.saturation(n) if self.shape.bound else None,
            rotating=self.rotating(n) if self.shape.turning else None,
        )  # fmt: skip
        return Interval(self.shape, numbers)

    def seeds_of(self, rates):
        """For each tangent of some rates, which it is and its seed."""
        return {i: (self.shape.kinds[i - 1], self.seed(i)) for i in self.of_kind(*rates)}

    def exchange_places(self, exchange, duration, i=0):
        """Where the numbers of an exchange over a duration lie, or those that they change by along a tangent."""
        first = exchange_lines(self.shape)[self.exchanges.index(exchange)]
        first += exchange.count * (self.of_kind(*exchange.rates).index(i) + 1 if i else 0)
        return [self.sizes[col.DECAY_LINES] * (first + n) + duration for n in range(exchange.count)]

    def exchange_numbers(self, exchange, duration, i=0):
        """These numbers."""
        return [self.line(self.pools, place) for place in self.exchange_places(exchange, duration, i)]

    def mixing(self, exchange, duration):
        """What an exchange does over a duration."""

        def matrix(i):
            numbers = self.exchange_numbers(exchange, duration, i)
            return tuple(tuple(numbers[k : k + exchange.parts]) for k in range(0, 4 * exchange.parts, exchange.parts))

        return Mixing(exchange.pairs, matrix(0), {i: matrix(i) for i in self.of_kind(*exchange.rates)})

    def saturation_rates(self, n):
        """What the saturation by pulse `n` depends on, by code; its angle over the root of its duration by TIME.

        That is the angle on resonance: power is the same at all positions of a slice, whatever they are turned by.
        """
        angle = HALF_PI * self.powers.spread(n)
        return {SATURATION: self.rate(SATURATION), B1: self.amplitude(n), TIME: angle}

    def saturation_seeds(self, n):
        """For each tangent on which that depends, by which of these it is and its seed."""
        seeds = {i: (B1, self.seed_of_field(i, n)) for i in self.of_kind(*self.shape.amplitudes)}
        return seeds | self.seeds_of((SATURATION,))

    def saturation(self, n):
        """What pulse `n` leaves of a bound pool, and how its logarithm changes along tangents."""
        (log,), slopes = value_and_slopes(saturation, self.saturation_rates(n), self.saturation_seeds(n))
        return self.exp(log), {i: slope for i, (slope,) in slopes.items()}

    def of_each_pool(self, kind, plane):
        """What belongs to P, M or W of every pool that has it, of what there is for each component."""
        return [x for x, own in zip(plane, self.like, strict=True) if own == kind]

    def longitudinal(self, memory, arena, start, size):
        """W of every pool, row 0 in quadrature, of all sets of states or of adjoints."""
        places = self.of_each_pool(W, self.block(start, size)[-1])
        return [[memory[place + arena * i] for place in places] for i in range(self.n_sets)]

    def exp(self, x):
        """exp(x) for x <= 0, in the precision at hand."""
        return exp(x, -80.0 if self.itemsize == 4 else LOWEST)

    def block(self, start, size):
        """Where the components of a block's planes begin."""
        count = self.shape.components
        return [[start + size * (count * plane + c) for c in range(count)] for plane in self.planes]

    def arrivals(self, n, start):
        """Where what meets pulse `n` begins in a set whose block before it starts at `start`; zeros if nothing does."""
        step = self.step(n)
        block = self.block(start, step[col.SRC_SIZE])
        none, shifts = [step[place] for place in ABSENT], [step[col.SHIFT_P + kind] for kind in (P, M, W)]
        return [
            [choose(none[kind] > 0, 0, begin + shifts[kind]) for begin, kind in zip(planes, self.like, strict=True)]
            for planes in block
        ]

    def departures(self, n, start):
        """`arrivals` in a set of adjoints; what nobody will read goes to places of its own."""
        step, room = self.step(n), self.sizes[col.ROOM]
        no_f, no_w = step[col.NO_F] > 0, step[col.NO_W] > 0
        return [  # ROOM is as long as the zeros below it
            [choose(no_w, room * (2 + plane + c // 3 * 2), x) if kind == W else choose(no_f, room, x)
             for c, (x, kind) in enumerate(zip(places, self.like, strict=True))]
            for plane, places in enumerate(self.arrivals(n, start))
        ]  # fmt: skip

    def together(self, parts):
        """What `by_rows` gave for its parts of the lanes, in all lanes; for the only one, summed."""
        return join(parts) if self.shape.lanes > 1 else added(map(total, parts))

    @property
    def planes(self):
        return range(self.shape.planes)

    def quadrature_sign(self, plane, stated):
        """-1 in a plane in quadrature with the pulse, else 1; of a real problem the table says which it is."""
        if self.shape.planes == 2:
            return self.space.count(1 - 2 * plane)
        return self.space.count(1 - 2 * stated)

    def conjugate_sign(self, plane, component, stated):
        """-1 where what is read is the conjugate of a state in quadrature, component 1 (M) of 0 and 1."""
        if self.shape.planes == 2:
            return self.space.count(1 - 2 * plane * component)
        return self.space.count(1 - 2 * stated * component)

    @property
    def inverted_pools(self):
        """How many pools inversions invert."""
        return self.shape.components // 3

    def inverted(self, plane):
        """What belongs to Z of the pools that inversions invert, of what there is for each component."""
        return [plane[c] for c in range(W, len(plane), 3)]

    def swapped(self, n, start):
        """Where the components begin that `columns.SWAP` negates after pulse `n`, in a set whose block starts there."""
        step = self.step(n)
        size = step[col.DST_SIZE]
        first = start + (step[col.SWAP] - 1) * size
        return [first, first + size * 3] if self.shape.second else [first]

    def is_transverse(self, component):
        """Whether the table's component of a readout is one of F."""
        return (component < W) | (component > 3) if self.shape.second else component < W

    def p_or_m(self, component):
        """That component, of any pool."""
        return choose(component > M, P, component) if self.shape.second else component

    def read_states(self, n, read, start):
        """What a readout of F looks at after pulse `n`, in a block that starts there: in each set and plane a number.

        Where there are two free pools, one of each.
        """
        component = self.p_or_m(read[col.READ_COMPONENT])
        # F_-k is the conjugate of M
        signs = [self.conjugate_sign(plane, component, self.step(n)[col.PLANE]) for plane in self.planes]
        places = self.read_places(read, start, self.step(n)[col.DST_SIZE])
        return [
            [
                self.one_or_both([sign * self.space[place + self.arena * i] for place in pools])
                for pools, sign in zip(places, signs, strict=True)
            ]
            for i in range(self.n_sets)
        ]

    def read_places(self, read, start, size):
        """For each plane, where what a readout of F looks at lies in each free pool, in a block that starts there."""
        component = self.p_or_m(read[col.READ_COMPONENT])
        firsts = (0, 3) if self.shape.second else (0,)
        return [
            [
                start + size * (self.shape.components * plane + first + component) + read[col.READ_OFFSET]
                for first in firsts
            ]
            for plane in self.planes
        ]

    def one_or_both(self, pools):
        """What there is for each free pool: a number, or all where there are two."""
        return pools if self.shape.second else pools[0]

    def read_of_pools(self, component):
        """How much a readout of F_0 has of each of two free pools, by its component in the table."""
        counts = choose(component > 4, 0, 1), choose((component > 3) & (component < 5), 0, 1)
        return [self.space.count(count) for count in counts]

    def readout(self, read):
        """A readout of F_0, by its row of the table."""
        duration, angle = read[col.READ_DURATION], None
        if self.shape.planes == 2:
            angle = self.decayed(duration, 2), self.decayed(duration, 3)
        moments = self.moments([read[place] for place in READ_MOMENTS], before_readouts(self.shape))
        if (OUT_OF_PHASE, 0) in moments:
            moments[OUT_OF_PHASE, 0] = self.magnitude(moments[OUT_OF_PHASE, 0])
        numbers = Numbers(
            trig=None, decay=(None, None if self.shape.second else self.decayed(duration, 1)), angle=angle,
            nominal=None, seeds=self._all_seeds(), rates=self._term_rates(), moments=moments, exp=self.exp,
            rotation=self.rotation,
        )  # fmt: skip
        if not self.shape.second:
            return Readout(self.shape, numbers)
        between = self.mixing(self.exchanges[1], duration)._replace(pairs=((0, 1, 1),))
        return PooledReadout(self.shape, numbers, between, self.read_of_pools(read[col.READ_COMPONENT]))

    def _all_seeds(self):
        return {i: self.seed(i) for i in range(1, self.n_sets)}

    def _term_rates(self):
        return {rate: self.rate(rate) for rate in self.shape.rates}

    def amplitude_place(self, i, plane, out):
        """Where the amplitude of a set, plane and output lies."""
        return ((i * self.shape.planes + plane) * self.sizes[col.N_OUT] + out) * self.shape.lanes


def read_sets(memory, places, row, n_sets, arena):
    """Row `row` of all sets, whose components begin at `places` in the first."""
    return [*each_set(memory, places, row, n_sets, arena)]


def each_set(memory, places, row, n_sets, arena):
    """The same, one set after another."""
    for i in range(n_sets):
        yield [[memory[place + row + arena * i] for place in planes] for planes in places]


def write_sets(memory, places, row, sets, arena):
    for i, components in enumerate(sets):
        for planes, values in zip(places, components, strict=True):
            for place, value in zip(planes, values, strict=True):
                memory[place + row + arena * i] = value


def clear(memory, start, count):
    """Zero `count` numbers, whole vectors of them."""
    zeros = memory.wide(VECTOR)
    repeat(count, lambda k: zeros.__setitem__(start + k, zeros.count(0)), step=VECTOR)
