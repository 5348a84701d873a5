"""Z_0 over a time, where no pulse follows at once: what readouts and inversions find of it, and what it gains.

Numbers are W, which are -2i Z, of all sets and of every pool that has one.
"""

from .columns import R1
from .mixing import added, exchanged, mixing_pairings, unexchanged


def gains(player, duration):
    """What recovery adds."""
    scale, nothing = -2 * player.equilibrium, player.space.count(0)
    if player.exchanges:
        exchange, result = player.exchanges[0], [[nothing, nothing] for _ in range(player.n_sets)]
        for i in (0, *player.of_kind(*exchange.rates)):
            result[i] = [scale * gain for gain in player.exchange_numbers(exchange, duration, i)[4:]]
        return result
    e, time, relaxing = player.decayed(duration, 0), player.durations.spread(duration), player.of_kind(R1)
    slopes = [scale * time * e * player.seed(i) if i in relaxing else nothing for i in range(1, player.n_sets)]
    return [[scale * (1 - e)], *([slope] for slope in slopes)]


def _mixing(player, duration):
    """What the pools' Z_0 exchange, which are the only numbers of a set here."""
    return player.mixing(player.exchanges[0], duration)._replace(pairs=((0, 1, 1),))


def pass_time(player, sets, duration):
    """What becomes of W over a duration."""
    gained = gains(player, duration)
    if player.exchanges:
        result = [x for (x,) in exchanged([_mixing(player, duration)], [[x] for x in sets])]
    else:
        e = player.decayed(duration, 0)
        result = [[e * w] for (w,) in sets]
        for i in player.of_kind(R1):
            result[i] = [result[i][0] - player.durations.spread(duration) * player.seed(i) * result[0][0]]
    return [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(result, gained, strict=True)]


def unpass_time(player, bars, sets, given, duration):
    """Adjoint of `pass_time`, of which `given` are the adjoints; gathers derivatives by rates and duration."""
    gather_gains(player, bars, given, duration)
    if player.exchanges:
        mixing, x, x_bar = _mixing(player, duration), [[x] for x in sets], [[bar] for bar in given]
        bars.by_mixing(player.exchanges[0], duration, mixing_pairings(mixing, x, x_bar))
        return [pulled for (pulled,) in unexchanged([mixing], x_bar)]
    e, time = player.decayed(duration, 0), player.durations.spread(duration)
    pulled = [[e * bar] for (bar,) in given]
    for i in player.of_kind(R1):
        pulled[0] = [pulled[0][0] - time * player.seed(i) * pulled[i][0]]
        bars.by_decay(duration, pulled[i][0] * sets[0][0], i)
    bars.by_decay(duration, added(bar * x for (bar,), (x,) in zip(pulled, sets, strict=True)))
    return pulled


def gather_gains(player, bars, given, duration):
    """Derivatives by rates and duration of what is gained, whose adjoints are given."""
    scale = -2 * player.equilibrium
    if player.exchanges:
        exchange = player.exchanges[0]
        for i in (0, *player.of_kind(*exchange.rates)):
            bars.by_exchange(exchange, duration, i, [scale * bar for bar in given[i]], first=4)
        return
    e, time = player.decayed(duration, 0), player.durations.spread(duration)
    by_decay = -(scale * e)
    value = by_decay * given[0][0]
    for i in player.of_kind(R1):
        own = by_decay * given[i][0]
        bars.by_decay(duration, own, i)
        value = value - time * player.seed(i) * own
    bars.by_decay(duration, value)
