"""Play a part of a program forward over one block of lanes: amplitudes and, in the same sweep, their tangents."""

from . import columns as col
from .algebra import HALF, M, P, W
from .columns import FRACTION, FRACTION_B, INVERSION, VECTOR
from .lanes import choose, repeat, when
from .longitudinal import gains, pass_time
from .player import FILLS, Player, clear, each_set, read_sets, write_sets


def play(shape, tables, sizes, values, room, start, keep, only):
    """Play a part from `start` (in the room); `keep` records what a reverse sweep needs.

    Or replay segment `only` >= 0 onto the tape. A train of one segment is recorded whole, on the tape. A longer one
    leaves a checkpoint at the start of each segment; otherwise two blocks alternate.
    """
    player = Player(shape, tables, sizes, values, room)
    count = sizes[col.N_SEGMENTS]
    again, several = only >= 0, count > 1
    record = again | ((keep > 0) & (count < 2))
    first = choose(again, only, 0)

    def segment(k):
        table = player.segments.at((first + k) * col.N_SEGMENT)
        begin, checkpoint = table[col.SEGMENT_BEGIN], table[col.SEGMENT_CHECKPOINT]
        step = player.step(begin)
        source = choose(again, checkpoint, step[col.SRC_PAIR])
        target = choose(again, step[col.SRC_TAPE], checkpoint)
        when(several & (again | (keep > 0)), lambda: _copy_block(player, begin, source, target))
        repeat(table[col.SEGMENT_END] - begin, lambda n: _play_pulse(player, begin + n, record))

    when(only < 0, lambda: _start(player, choose(record, sizes[col.TAPE], sizes[col.PAIR]), start))
    repeat(choose(again, only + 1, count) - first, segment)


def _start(player, offset, start):
    """Nothing but Z_0 and, where it repeats, F_0 (rows of `start`, one number per set and lane) in the first block."""
    sizes, space, step = player.sizes, player.space, player.steps
    size, given, count = step[col.SRC_SIZE], player.room.at(start).wide(player.shape.lanes), player.shape.components
    for i in range(player.n_sets):
        base = player.arena * i + offset
        clear(space, base - step[col.SRC_LOW], size * (count * player.shape.planes))
        z, *second = player.of_each_pool(W, player.block(base, size)[-1])
        space[z] = -2 * given[i * VECTOR]  # W = -2i Z: in quadrature
        if second:
            _start_second(player, given, i, z, *second)
        if player.shape.planes == 2:

            def add_transverse(base=base, i=i, row=1, first=0):
                re, im = (given[(player.n_sets * (row + part) + i) * VECTOR] for part in range(2))
                for place, value in ((P, re), (M, re), (count + P, im), (count + M, -im)):
                    space[base + size * (first + place)] = value

            when(sizes[col.BOUNDARY] > 2, add_transverse)
            if player.shape.second:
                when(sizes[col.BOUNDARY] > 5, lambda again=add_transverse: again(row=4, first=3))


def _start_second(player, given, i, first, second):
    """Z_0 of the second pool, the number of the start behind all of the first; or of both from equilibrium."""
    space, boundary = player.space, player.sizes[col.BOUNDARY]

    def own():
        row = choose(boundary > 2, 3, 1)
        space[second] = -2 * given[(row * player.n_sets + i) * VECTOR]

    def share():
        code = FRACTION if player.shape.bound else FRACTION_B
        fraction = player.rate(code)
        if i == 0:
            space[first], space[second] = -2 * (1 - fraction), -2 * fraction
        elif i in player.of_kind(code):
            space[first], space[second] = 2 * player.seed(i), -2 * player.seed(i)

    when(boundary > 0, own)
    when(boundary < 1, share)


def _copy_block(player, n, source, target):
    """Copy the block before step `n` between its places in all sets."""
    step, space = player.step(n), player.space.wide(VECTOR)
    for i in range(player.n_sets):
        base = player.arena * i - step[col.SRC_LOW]

        def copy(k, base=base):
            space[base + target + k] = space[base + source + k]

        repeat(step[col.SRC_SIZE] * (player.shape.components * player.shape.planes), copy, step=VECTOR)


def _play_pulse(player, n, record):
    """The interval before pulse `n`, the pulse, the readouts that follow it, and what the next pulse will look into."""
    step = player.step(n)
    source = choose(record, step[col.SRC_TAPE], step[col.SRC_PAIR])
    target = choose(record, step[col.DST_TAPE], step[col.DST_PAIR])
    for rows in player.by_rows():
        arriving, leaving = rows.arrivals(n, source), rows.block(target, step[col.DST_SIZE])
        interval = rows.interval(n)

        def body(row, factors, rows=rows, arriving=arriving, leaving=leaving, interval=interval):
            read = each_set if rows.exchanges else read_sets
            sets = read(rows.space, arriving, row, rows.n_sets, rows.arena)
            write_sets(rows.space, leaving, row, interval.play(sets, rows.orders(n, row), factors), rows.arena)

        rows.over_rows(n, interval, body)
    when(step[col.RECOVERY] > 0, lambda: _recover(player, n, target))
    if player.of_kind(INVERSION):
        when(step[col.INVERT] > 0, lambda: _seed_inversion(player, n, source, target))
    repeat(step[col.READ_END] - step[col.READ_BEGIN], lambda r: _read(player, n, step[col.READ_BEGIN] + r, target))
    _finish_block(player, n, target)


def _recover(player, n, target):
    """Add to row 0 what Z_0 gains before the pulse (in quadrature), through the pulse."""
    step, space = player.step(n), player.space
    places = player.block(target, step[col.DST_SIZE])
    for i, planes in enumerate(player.interval(n, decays=False).pulse(recovered(player, n))):
        for plane, values in zip(places[-len(planes) :], planes, strict=True):
            for place, value in zip(plane, values, strict=True):
                space[place + player.arena * i] = space[place + player.arena * i] + value


def recovered(player, n):
    """What row 0 gains in the interval before pulse `n`: sets of the plane in quadrature, or of both."""
    nothing, sets = player.space.count(0), []
    other = [[nothing] * len(player.like)] if player.shape.turning else []
    for own in map(iter, gains(player, player.step(n)[col.DURATION])):
        sets.append([*other, [next(own) if kind == W else nothing for kind in player.like]])
    return sets


def _seed_inversion(player, n, source, target):
    """What a change of efficiency does to Z_0 in inversion `n`."""
    step = player.step(n)
    places = player.inverted(player.block(target, step[col.DST_SIZE])[-1])
    before = player.longitudinal(player.space, player.arena, source, step[col.SRC_SIZE])
    for i, values in inverted(player, n, before).items():
        for place, value in zip(places, values, strict=True):
            at = place + player.arena * i
            player.space[at] = player.space[at] - value


def inverted(player, n, before):
    """By how much W of tangents is lower after inversion `n`, of each pool; `before`: of all, before the interval."""
    arriving = pass_time(player, before, player.step(n)[col.DURATION])[0][: player.inverted_pools]
    return {i: [player.flips.spread(n) * player.seed(i) * x for x in arriving] for i in player.of_kind(INVERSION)}


def _read(player, n, r, target):
    """Amplitudes of a readout that follows pulse `n`."""
    read, amplitudes = player.reads.at(r * col.N_READ), player.amplitudes
    component, duration, out = read[col.READ_COMPONENT], read[col.READ_DURATION], read[col.READ_OUT]
    step, shape = player.step(n), player.shape

    def put(i, values):
        for plane, value in zip(player.planes, values, strict=True):
            amplitudes[player.amplitude_place(i, plane, out)] = value

    def transverse():
        for i, values in enumerate(player.readout(read).read(player.read_states(n, read, target))):
            put(i, values)

    def longitudinal():
        # READ_OFFSET is that of row 0
        before = player.longitudinal(player.space, player.arena, target, step[col.DST_SIZE])
        after, nothing = pass_time(player, before, duration), [player.space.count(0)] * (shape.planes - 1)
        for which in range(len(after[0])):

            def read_pool(which=which):
                for i, values in enumerate(after):
                    put(i, [*nothing, -HALF * values[which]])

            when((component >= W + which) & (component < W + which + 1), read_pool)

    when(player.is_transverse(component), transverse)
    when(component > M, longitudinal)


def _finish_block(player, n, target):
    """After the readouts: the change of frame, and the padding that the next pulse will look into."""
    step, space, lanes = player.step(n), player.space, player.shape.lanes
    size, places, sets = step[col.DST_SIZE], player.block(target, step[col.DST_SIZE]), range(player.n_sets)
    whole, rows = space.wide(VECTOR), step[col.ROWS]
    if player.shape.planes == 1:

        def negate(k):
            for i in sets:
                for swapped in player.swapped(n, target):
                    place = swapped + k + player.arena * i
                    whole[place] = -whole[place]

        when(step[col.SWAP] > 0, lambda: repeat(step[col.VECTORS] * VECTOR, negate, step=VECTOR))
    for c, kind in enumerate(player.like):

        def above(k, c=c):
            for i in sets:
                for planes in places:
                    whole[planes[c] + rows + k + player.arena * i] = whole.count(0)

        repeat(step[FILLS[kind]], above, step=VECTOR)
    into_m, fold = step[col.FOLD_INTO_M], step[col.FOLD_ROWS]
    end, begin = into_m * size - fold * lanes, (1 - into_m) * size + step[col.FOLD_FROM]

    def below(k):
        for i in sets:
            for planes in places:
                for first in player.of_each_pool(P, planes):
                    space[first + end - step[col.FILL_LOW] + k + player.arena * i] = space.count(0)

    def fold_row(k):
        for i in sets:
            for plane, planes in zip(player.planes, places, strict=True):
                sign = player.quadrature_sign(plane, step[col.NEXT_PLANE])
                for first in player.of_each_pool(P, planes):
                    base = first + player.arena * i
                    space[base + end + (fold - 1 - k) * lanes] = sign * space[base + begin + k * lanes]

    repeat(step[col.FILL_LOW], below, step=lanes)
    repeat(fold, fold_row)
