"""From the tissue of a block of lanes to what is played with, and the derivatives back."""

from . import columns as col
from .columns import (
    ALWAYS,
    B1,
    EXCHANGE,
    HZ,
    INVERSION,
    OMEGA,
    PI,
    R1,
    R1_BOUND,
    R2,
    R2_PRIME,
    SATURATION,
    TIME,
    VECTOR,
)  # fmt: skip
from .elementary import LOWEST, exp, hyperbolic, rotation, sin_cos
from .lanes import double, repeat, total, when
from .player import Player
from .pools import RATES, exchange, pull_back, value_and_slopes
from .reverse import Bars

TIMES = R1, R2, R2_PRIME, R1_BOUND  # rates that maps give as times
# Others, per unit of the map: Hz; 1/s; us of a lineshape.
SCALES = {OMEGA: HZ, EXCHANGE: 1e-3, SATURATION: PI * 1e-3}


def load(shape, tables, sizes, values, tissue, room, voxel, n_voxels, position, flips):
    """Rates, their seeds and decay of the lanes that begin at a voxel, B1 scaled as at a slice position.

    `flips`: flip angles as well, of this part; 2: nothing else.
    """
    player = Player(shape, tables, sizes, values, room)

    def rates_and_decay():
        _load_rates(player, tissue, voxel, n_voxels, position)
        _load_decay(player)

    when(flips < 2, rates_and_decay)
    when(flips > 0, lambda: _load_angles(player))


def _load_rates(player, tissue, voxel, n_voxels, position):
    lanes = player.shape.lanes
    scale = player.values.wide(lanes).at(player.sizes[col.PROFILE_AT]).spread(position)
    rates = {}
    for rate in (*ALWAYS, *player.shape.terms):
        value = tissue.wide(lanes)[n_voxels * rate + voxel]
        rates[rate] = scale * value if rate == B1 else value
        player.rates[rate * lanes] = rates[rate]
    slopes = {rate: -rates[rate] * rates[rate] for rate in TIMES if rate in rates} | {B1: scale}  # dR1/dT1 = -R1^2
    for i, kind in enumerate(player.shape.kinds):
        constant = player.rates.count(0) + SCALES.get(kind, 1.0)
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
    if player.shape.bound:
        _by_lines(player, count, wide.memory(player.pools), place, lambda k: _exchange(player, wide, k))


def _exchange(player, wide, k):
    """Numbers of exchange over a duration, then what they change by along each tangent on which they depend."""
    rates = {code: double(wide.rate(code)) for code in RATES} | {TIME: double(wide.of(player.durations, k))}
    seeds = {i: (player.shape.kinds[i - 1], double(wide.seed(i))) for i in player.of_kind(*RATES)}
    numbers, slopes = value_and_slopes(exchange, rates, seeds, hyperbolic)
    return [*numbers, *(x for own in slopes.values() for x in own)]


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


def unload(shape, tables, sizes, values, tissue, room, lane, sums, tissue_bar, voxel, n_voxels, position):
    """From the derivatives by rates and seeds of the lanes to those by the tissue's, and by the slice profile."""
    player = Player(shape, tables, sizes, values, room)
    if shape.bound:
        _unload_exchange(player, Bars(player, lane, sums))
    lanes, rates, seeds = shape.lanes, lane.wide(shape.lanes), lane.at(sizes[col.SEED_BARS_AT]).wide(shape.lanes)
    scale = player.values.wide(lanes).at(sizes[col.PROFILE_AT]).spread(position)
    by_tissue = tissue_bar.wide(lanes)
    by_profile = tissue.wide(lanes)[n_voxels * B1 + voxel] * rates[B1 * lanes]
    for rate in (*ALWAYS, *shape.terms):
        bar = rates[rate * lanes]
        if rate == B1:
            bar = scale * bar
        for i in player.of_kind(rate):
            seed_bar = seeds[(i - 1) * lanes]
            if rate in TIMES:
                bar = bar - 2 * player.rate(rate) * seed_bar
            elif rate == B1:
                by_profile = by_profile + seed_bar
        place = n_voxels * rate + voxel
        by_tissue[place] = by_tissue[place] + bar
        rates[rate * lanes] = rates.nothing()
    for i in range(len(shape.kinds)):
        seeds[i * lanes] = seeds.nothing()
    profile = sums.wide(1).at(sizes[col.PROFILE_SUMS_AT])
    profile[position] = profile[position] + total(by_profile)


def _unload_exchange(player, bars):
    """From derivatives by the numbers of exchange over each duration to those by rates, seeds and durations."""

    def pull(duration):
        rates = {code: double(player.rate(code)) for code in RATES} | {TIME: double(player.durations.spread(duration))}
        seeds = {i: (kind, double(seed)) for i, (kind, seed) in player.seeds_of(RATES).items()}
        given = [bars.taken(duration, i) for i in (0, *seeds)]
        pull_exchange(bars, duration, rates, seeds, given, hyperbolic)

    repeat(player.sizes[col.N_DURATIONS], pull)


def pull_exchange(bars, duration, rates, seeds, given, functions):
    """The same of one duration, `given` derivatives by its numbers, then by their slopes along tangents."""
    own, *slopes = given
    by_rate, by_seed = pull_back(exchange, rates, seeds, own, dict(zip(seeds, slopes, strict=True)), functions)
    for code in RATES:
        bars.by_rate(code, by_rate[code])
    for i, value in by_seed.items():
        bars.by_seed(i, value)
    bars.add_total(bars.durations, duration, by_rate[TIME])
