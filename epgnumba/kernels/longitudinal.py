"""Z_0 over a time, where no pulse follows at once: what readouts and inversions find of it, and what it gains.

Numbers are W (and C of a bound pool), which are -2i Z, of all sets.
"""

from .algebra import added
from .columns import R1
from .pools import RATES


def gains(player, duration):
    """What recovery adds."""
    scale, nothing = -2 * player.equilibrium, player.space.count(0)
    if player.shape.bound:
        parts = [player.exchange(duration, i) if i in (0, *player.of_kind(*RATES)) else None
                 for i in range(player.n_sets)]  # fmt: skip
        return [[nothing, nothing] if part is None else [scale * part[4], scale * part[5]] for part in parts]
    e, time, relaxing = player.decayed(duration, 0), player.durations.spread(duration), player.of_kind(R1)
    slopes = [scale * time * e * player.seed(i) if i in relaxing else nothing for i in range(1, player.n_sets)]
    return [[scale * (1 - e)], *([slope] for slope in slopes)]


def pass_time(player, sets, duration):
    """What becomes of W (and C) over a duration."""
    gained = gains(player, duration)
    if player.shape.bound:
        result = [_mixed(player.exchange(duration), x) for x in sets]
        for i in player.of_kind(*RATES):
            slopes = _mixed(player.exchange(duration, i), sets[0])
            result[i] = [a + b for a, b in zip(result[i], slopes, strict=True)]
    else:
        e = player.decayed(duration, 0)
        result = [[e * w] for (w,) in sets]
        for i in player.of_kind(R1):
            result[i] = [result[i][0] - player.durations.spread(duration) * player.seed(i) * result[0][0]]
    return [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(result, gained, strict=True)]


def unpass_time(player, bars, sets, given, duration):
    """Adjoint of `pass_time`, of which `given` are the adjoints; gathers derivatives by rates and duration."""
    gather_gains(player, bars, given, duration)
    if player.shape.bound:
        for i in (0, *player.of_kind(*RATES)):
            pairs = zip(sets, given, strict=True) if i == 0 else [(sets[0], given[i])]
            products = [[bar[a] * x[b] for a in range(2) for b in range(2)] for x, bar in pairs]
            bars.by_exchange(duration, i, [added(each) for each in zip(*products, strict=True)])
        pulled = [_mixed(_transposed(player.exchange(duration)), bar) for bar in given]
        for i in player.of_kind(*RATES):
            slopes = _mixed(_transposed(player.exchange(duration, i)), given[i])
            pulled[0] = [a + b for a, b in zip(pulled[0], slopes, strict=True)]
        return pulled
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
    if player.shape.bound:
        for i in (0, *player.of_kind(*RATES)):
            bars.by_exchange(duration, i, [scale * bar for bar in given[i]], first=4)
        return
    e, time = player.decayed(duration, 0), player.durations.spread(duration)
    by_decay = -(scale * e)
    value = by_decay * given[0][0]
    for i in player.of_kind(R1):
        own = by_decay * given[i][0]
        bars.by_decay(duration, own, i)
        value = value - time * player.seed(i) * own
    bars.by_decay(duration, value)


def _mixed(numbers, x):
    ww, wc, cw, cc, *_ = numbers
    return [ww * x[0] + wc * x[1], cw * x[0] + cc * x[1]]


def _transposed(numbers):
    ww, wc, cw, cc, *_ = numbers
    return ww, cw, wc, cc
