"""The steady state that a gradient dephases, as the mean of those of an ensemble of isochromats.

A gradient turns the transverse states at a place in the voxel by a multiple of an angle. For each of the ensemble's
angles the sequence is balanced, and `steady` solves for its steady state; what is read is the mean over them. A
member's row in the table of `members` holds the cosine and sine by which it turns: F_0 at the end of a repetition;
what is read behind each of the gradients that readouts follow (`ORDERS_AT`); and, unless the only gradient lies at the
end, the states before each pulse.
"""

from . import columns as col
from .columns import EQUILIBRIUM, ONE, VECTOR
from .jit import at, keep_out_of_line, kernel
from .part import clear, play, rewind
from .steady import clear_map_bars, find_start, play_ends, rewind_ends, turn, unfind_start


@kernel
def turn_of(player, members, member, k):
    """Cosine and sine of turn `k` of a member."""
    return at(members, 2 * (member * player.sizes[col.MEMBER_WIDTH] + k))


@kernel
def is_fixed(player):
    """Whether members differ at the end of a repetition only, so that its plays are the same for all of them."""
    return player.sizes[col.MEMBER_WIDTH] == 1 + player.sizes[col.N_ORDERS]


@kernel
def load_turns(end, given, member):
    """Phase steps of a member; the last turn is as it was, since `find_start` adds what the gradient does."""
    n_steps, first = end.sizes[col.N_STEPS], 1 + end.sizes[col.N_ORDERS]
    phases, turns = given.phases, end.turns
    for n in range(n_steps):
        own = turn_of(end, given.members, member, first + n)
        turns[2 * n], turns[2 * n + 1] = turn(phases[2 * n], phases[2 * n + 1], own[0], own[1])
    turns[2 * n_steps], turns[2 * n_steps + 1] = phases[2 * n_steps], phases[2 * n_steps + 1]


@kernel
def add_scaled(source, target, scale, count):
    for k in range(count):
        target[k] += scale * source[k]


@kernel
def count_amplitudes(player):
    sizes = player.sizes
    return (sizes[col.TANGENTS] + 1) * sizes[col.PLANES] * sizes[col.N_OUT] * sizes[col.LANES]


@kernel
def count_start(player):
    """Numbers that say where a repetition starts, all sets and lanes."""
    return player.sizes[col.BOUNDARY] * (player.sizes[col.TANGENTS] + 1) * VECTOR


@kernel
def add_turned(player, source, target, out, c, s):
    """Add an output of all sets, times (c + i s), to the same in another table of amplitudes."""
    lanes, n_out = player.sizes[col.LANES], player.sizes[col.N_OUT]
    for i in range(player.sizes[col.TANGENTS] + 1):
        re, im = (2 * i * n_out + out) * lanes, ((2 * i + 1) * n_out + out) * lanes
        for j in range(lanes):
            a, b = turn(source[re + j], source[im + j], c, s)
            target[re + j] += a
            target[im + j] += b


@kernel
def start_member(player, end, given, member):
    """Find the steady state of a member; both parts find their phase steps at one place."""
    load_turns(end, given, member)
    play_ends(end, given)
    last = turn_of(player, given.members, member, 0)
    find_start(player, last[0], last[1])
    player.scratch[EQUILIBRIUM] = 1


@kernel
def play_ensemble(player, end, given):
    """Mean amplitudes of all members, in place of a player's own."""
    keep_out_of_line()
    sizes, members, mean = player.sizes, given.members, given.mean
    clear(mean, count_amplitudes(player))
    if is_fixed(player):
        play_fixed(player, end, given)
    else:
        weight = player.scratch[ONE] / sizes[col.MEMBERS]
        for member in range(sizes[col.MEMBERS]):
            start_member(player, end, given, member)
            play(player, given, player.sizes[col.BOUNDARY_AT], 0, -1)
            for out in range(sizes[col.N_OUT]):
                own = turn_of(player, members, member, 1 + given.order_of[out])
                add_turned(player, player.amplitudes, mean, out, weight * own[0], weight * own[1])
    clear(player.amplitudes, count_amplitudes(player))
    add_scaled(mean, player.amplitudes, player.scratch[ONE], count_amplitudes(player))


@kernel
def pull_ensemble(player, end, given, bars, end_bars, timing, turning):
    """Adjoint of `play_ensemble`."""
    keep_out_of_line()
    sizes, members, mean = player.sizes, given.members, given.mean
    clear(mean, count_amplitudes(player))
    add_scaled(player.amplitude_bars, mean, player.scratch[ONE], count_amplitudes(player))
    if is_fixed(player):
        pull_fixed(player, end, given, bars, end_bars, timing, turning)
        return
    weight = player.scratch[ONE] / sizes[col.MEMBERS]
    for member in range(sizes[col.MEMBERS]):
        start_member(player, end, given, member)
        play(player, given, player.sizes[col.BOUNDARY_AT], 1, -1)
        clear(player.amplitude_bars, count_amplitudes(player))
        for out in range(sizes[col.N_OUT]):
            own = turn_of(player, members, member, 1 + given.order_of[out])
            add_turned(player, mean, player.amplitude_bars, out, weight * own[0], -weight * own[1])
        rewind(player, given, bars, player.sizes[col.BOUNDARY_AT], timing, turning)
        last = turn_of(player, members, member, 0)
        clear_map_bars(player)
        unfind_start(player, bars.start, last[0], last[1])
        rewind_ends(end, given, end_bars, timing, turning)


# Where members differ at the end only, what is read is linear in where they start: readouts behind a gradient that
# turns by an angle a need the means of cos(a) and sin(a) times the starts, and one play of each. Recovery, the same for
# all members, is left in the mean only where nothing turns.


@kernel
def mean_start(player, given, k):
    """A mean start; `k` counts cosine and sine of each order, then derivatives with respect to the same."""
    return at(given.starts, k * count_start(player))


@kernel
def play_mean(player, given, k, keep):
    """Play from a mean start; whether there is anything to play."""
    order = given.orders[k // 2]
    if order == 0 and k % 2 == 1:
        return False
    player.scratch[EQUILIBRIUM] = 1 if order == 0 else 0
    play(player, given, given.starts_at + k * count_start(player), 1 if keep else 0, -1)
    return True


@kernel
def play_fixed(player, end, given):
    """Add the mean amplitudes of members that differ at the end of a repetition only."""
    sizes, members, count = player.sizes, given.members, count_start(player)
    n_means, one = 2 * sizes[col.N_ORDERS], player.scratch[ONE]
    clear(given.starts, n_means * count)
    play_ends(end, given)
    for member in range(sizes[col.MEMBERS]):
        last = turn_of(player, members, member, 0)
        find_start(player, last[0], last[1])
        for k in range(n_means):
            weight = turn_of(player, members, member, 1 + k // 2)[k % 2] / sizes[col.MEMBERS]
            add_scaled(player.boundary, mean_start(player, given, k), weight, count)
    for k in range(n_means):
        if play_mean(player, given, k, False):
            for out in range(sizes[col.N_OUT]):
                if given.order_of[out] == k // 2:
                    add_turned(player, player.amplitudes, given.mean, out, one * (1 - k % 2), one * (k % 2))


@kernel
def pull_fixed(player, end, given, bars, end_bars, timing, turning):
    """Adjoint of `play_fixed`."""
    sizes, members, count = player.sizes, given.members, count_start(player)
    n_means, one = 2 * sizes[col.N_ORDERS], player.scratch[ONE]
    clear(mean_start(player, given, n_means), n_means * count)
    for k in range(n_means):
        if play_mean(player, given, k, True):
            clear(player.amplitude_bars, count_amplitudes(player))
            for out in range(sizes[col.N_OUT]):
                if given.order_of[out] == k // 2:
                    add_turned(player, given.mean, player.amplitude_bars, out, one * (1 - k % 2), -one * (k % 2))
            rewind(player, given, bars, given.starts_at + k * count, timing, turning)
            add_scaled(bars.start, mean_start(player, given, n_means + k), one, count)
    clear_map_bars(player)
    for member in range(sizes[col.MEMBERS]):
        last = turn_of(player, members, member, 0)
        find_start(player, last[0], last[1])
        clear(bars.start, count)
        for k in range(n_means):
            weight = turn_of(player, members, member, 1 + k // 2)[k % 2] / sizes[col.MEMBERS]
            add_scaled(mean_start(player, given, n_means + k), bars.start, weight, count)
        unfind_start(player, bars.start, last[0], last[1])
    rewind_ends(end, given, end_bars, timing, turning)
