"""From the tissue of a block of lanes to what is played with, and the derivatives back."""

from . import columns as col
from .columns import (
    ALWAYS,
    B1,
    DEGREE,
    EXCHANGE,
    EXCHANGE_B,
    HZ,
    INVERSION,
    OMEGA,
    PI,
    R1,
    R1_B,
    R1_BOUND,
    R2,
    R2_B,
    R2_PRIME,
    SATURATION,
    SHIFT_B,
    TIME,
    VECTOR,
    is_phase,
)  # fmt: skip
from .elementary import LOWEST, exp, hyperbolic, rotation, sin_cos
from .lanes import double, repeat, when
from .player import Player
from .pools import calculated_once, pull_back, value_and_slopes
from .reverse import Bars
from .turned_pulse import load_rotation

TIMES = R1, R2, R2_PRIME, R1_BOUND, R1_B, R2_B  # rates that maps give as times
# Others, per unit of the map: Hz; 1/s; us of a lineshape.
SCALES = {OMEGA: HZ, SHIFT_B: HZ, EXCHANGE: 1e-3, EXCHANGE_B: 1e-3, SATURATION: PI * 1e-3}


def load(shape, tables, sizes, values, tissue, room, voxel, n_voxels, flips):
    """Rates, their seeds and decay of the lanes that begin at a voxel.

    `flips`: flip angles as well, of this part; 2: nothing else.
    """
    player = Player(shape, tables, sizes, values, room)

    def rates_and_decay():
        _load_rates(player, tissue, voxel, n_voxels)
        _load_decay(player)

    when(flips < 2, rates_and_decay)
    when(flips > 0, lambda: _load_angles(player))


def _load_rates(player, tissue, voxel, n_voxels):
    lanes = player.shape.lanes
    rates = {}
    for rate in (*ALWAYS, *player.shape.rates):
        rates[rate] = tissue.wide(lanes)[n_voxels * rate + voxel]
        player.rates[rate * lanes] = rates[rate]
    slopes = {rate: -rates[rate] * rates[rate] for rate in TIMES if rate in rates}  # dR1/dT1 = -R1^2
    for i, kind in enumerate(player.shape.kinds):
        constant = player.rates.count(0) + (DEGREE if is_phase(kind) else SCALES.get(kind, 1.0))
        player.seeds[i * lanes] = slopes.get(kind, constant)


def _by_lines(player, count, memory, place, make):
    """Write what `make` gives for each of a number of lines: in vectors of lanes, or for one lane, of lines."""
    lanes = player.shape.lanes

    def write(k):
        for what, value in enumerate(make(k)):
            memory[(place(what) + k) * lanes] = value

    repeat(count, write, step=1 if lanes > 1 else VECTOR)


def _load_decay(player):
    """Decay factors and precession over every duration."""
    count, wide = player.sizes[col.N_DURATIONS], _Lines(player)

    def make(k):
        times = wide.of(player.durations, k)
        decayed = [exp(double(-times * wide.rate(rate)), LOWEST) for rate in (R1, R2)]
        if player.shape.planes == 1:
            return decayed
        return [*decayed, *rotation(times * wide.rate(OMEGA))]

    def place(what):
        return player.sizes[col.DECAY_LINES] * what

    _by_lines(player, count, wide.memory(player.decay), place, make)
    if player.exchanges:
        _by_lines(player, count, wide.memory(player.pools), place, lambda k: _exchanged(player, wide, k))


def _exchanged(player, wide, k):
    """Numbers of exchange over a duration, then what they change by along each tangent on which they depend."""
    found, time = [], {TIME: double(wide.of(player.durations, k))}
    for exchange in player.exchanges:
        rates = {code: double(wide.rate(code)) for code in exchange.rates} | time
        seeds = {i: (player.shape.kinds[i - 1], double(wide.seed(i))) for i in player.of_kind(*exchange.rates)}
        numbers, slopes = value_and_slopes(exchange.numbers, rates, seeds, calculated_once(hyperbolic))
        found += [*numbers, *(x for own in slopes.values() for x in own)]
    return found


class _Lines:
    """Vectors over lanes; of the only lane, over lines."""

    def __init__(self, player):
        self._player = player

    def memory(self, memory):
        return memory.wide(VECTOR)

    def of(self, values, k):
        """Number `k` in every lane; of the only lane, that and those that follow."""
        vectors = values.wide(VECTOR)
        return vectors.spread(k) if self._player.shape.lanes > 1 else vectors[k]

    def seed(self, i):
        seeds = self._player.seeds.wide(VECTOR)
        return seeds[(i - 1) * VECTOR] if self._player.shape.lanes > 1 else seeds.spread(i - 1)

    def rate(self, code):
        rates = self._player.rates.wide(VECTOR)
        return rates[code * VECTOR] if self._player.shape.lanes > 1 else rates.spread(code)


def _load_angles(player):
    """Cosine and sine of every pulse; of an inversion, what it makes of Z_0."""
    lanes, count = player.shape.lanes, player.sizes[col.N_STEPS]
    if player.shape.turning:
        repeat(count, lambda n: load_rotation(player, n))
        return
    wide = _Lines(player)

    def make(k):
        s, c = sin_cos(wide.of(player.flips, k) * wide.rate(B1))
        return c, s

    _by_lines(player, count, wide.memory(player.trig), lambda what: player.sizes[col.TRIG_LINES] * what, make)

    def invert(n):
        def write():
            player.trig[n * lanes] = -player.flips.spread(n) * player.rate(INVERSION)
            player.trig[(player.sizes[col.TRIG_LINES] + n) * lanes] = player.trig.count(0)

        when(player.step(n)[col.INVERT] > 0, write)

    when(player.sizes[col.INVERTS] > 0, lambda: repeat(count, invert))


def unload(shape, tables, sizes, values, room, lane, sums, tissue_bar, voxel, n_voxels):
    """From the derivatives by rates and seeds of the lanes to those by the tissue's."""
    player = Player(shape, tables, sizes, values, room)
    if player.exchanges:
        _unload_exchange(player, Bars(player, lane, sums))
    lanes, rates, seeds = shape.lanes, lane.wide(shape.lanes), lane.at(sizes[col.SEED_BARS_AT]).wide(shape.lanes)
    by_tissue = tissue_bar.wide(lanes)
    for rate in (*ALWAYS, *shape.rates):
        bar = rates[rate * lanes]
        if rate in TIMES:
            for i in player.of_kind(rate):
                bar = bar - 2 * player.rate(rate) * seeds[(i - 1) * lanes]
        place = n_voxels * rate + voxel
        by_tissue[place] = by_tissue[place] + bar
        rates[rate * lanes] = rates.nothing()
    for i in range(len(shape.kinds)):
        seeds[i * lanes] = seeds.nothing()


def _unload_exchange(player, bars):
    """From derivatives by the numbers of exchange over each duration to those by rates, seeds and durations."""

    def pull(duration, exchange):
        rates = {code: double(player.rate(code)) for code in exchange.rates}
        rates[TIME] = double(player.durations.spread(duration))
        seeds = {i: (kind, double(seed)) for i, (kind, seed) in player.seeds_of(exchange.rates).items()}
        given = [bars.taken(exchange, duration, i) for i in (0, *seeds)]
        pull_exchange(bars, exchange, duration, rates, seeds, given, hyperbolic)

    for exchange in player.exchanges:
        repeat(player.sizes[col.N_DURATIONS], lambda duration, exchange=exchange: pull(duration, exchange))


def pull_exchange(bars, exchange, duration, rates, seeds, given, functions):
    """The same of one duration, `given` derivatives by its numbers, then by their slopes along tangents."""
    own, *slopes = given
    slope_bars = dict(zip(seeds, slopes, strict=True))
    by_rate, by_seed = pull_back(exchange.numbers, rates, seeds, own, slope_bars, calculated_once(functions))
    for code in exchange.rates:
        bars.by_rate(code, by_rate[code])
    for i, value in by_seed.items():
        bars.by_seed(i, value)
    bars.add_total(bars.durations, duration, by_rate[TIME])
