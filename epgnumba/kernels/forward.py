"""Play a part of a program forward over one block of lanes: amplitudes and, in the same sweep, their tangents."""

from . import columns as col
from .algebra import COMPONENTS, HALF, M, P, W
from .columns import B1, INVERSION, R1, VECTOR
from .lanes import choose, loop, repeat, when
from .player import Player, clear, read_sets, write_sets


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
    sizes, space, step, last = player.sizes, player.space, player.steps, player.shape.planes - 1
    size, given = step[col.SRC_SIZE], player.room.at(start).wide(player.shape.lanes)
    for i in range(player.n_sets):
        base = player.arena * i + offset
        clear(space, base - step[col.SRC_LOW], COMPONENTS * player.shape.planes * size)
        space[base + size * (COMPONENTS * last + W)] = -2 * given[i * VECTOR]  # W = -2i Z: in quadrature
        if player.shape.planes == 2:

            def add_transverse(base=base, i=i):
                re, im = (given[(player.n_sets * row + i) * VECTOR] for row in (1, 2))
                space[base] = re
                space[base + size] = re
                space[base + size * COMPONENTS] = im
                space[base + size * (COMPONENTS + 1)] = -im

            when(sizes[col.BOUNDARY] > 1, add_transverse)


def _copy_block(player, n, source, target):
    """Copy the block before step `n` between its places in all sets."""
    step, space = player.step(n), player.space.wide(VECTOR)
    for i in range(player.n_sets):
        base = player.arena * i - step[col.SRC_LOW]

        def copy(k, base=base):
            space[base + target + k] = space[base + source + k]

        repeat(step[col.SRC_SIZE] * (COMPONENTS * player.shape.planes), copy, step=VECTOR)


def _play_pulse(player, n, record):
    """The interval before pulse `n`, the pulse, the readouts that follow it, and what the next pulse will look into."""
    step = player.step(n)
    source = choose(record, step[col.SRC_TAPE], step[col.SRC_PAIR])
    target = choose(record, step[col.DST_TAPE], step[col.DST_PAIR])
    for rows in player.by_rows():
        arriving, leaving = rows.arrivals(n, source), rows.block(target, step[col.DST_SIZE])
        interval = rows.interval(n)

        def body(row, rows=rows, arriving=arriving, leaving=leaving, interval=interval):
            sets = read_sets(rows.space, arriving, row, rows.n_sets, rows.arena)
            write_sets(rows.space, leaving, row, interval.play(sets, rows.orders(n, row)), rows.arena)

        loop(step[col.VECTORS], body)
    when(step[col.RECOVERY] > 0, lambda: _recover(player, n, target))
    if player.of_kind(INVERSION):
        when(step[col.INVERT] > 0, lambda: _seed_inversion(player, n, source, target))
    repeat(step[col.READ_END] - step[col.READ_BEGIN], lambda r: _read(player, n, step[col.READ_BEGIN] + r, target))
    _finish_block(player, n, target)


def _recover(player, n, target):
    """Add to row 0 what Z_0 gains before the pulse (in quadrature), through the pulse."""
    step, space, last = player.step(n), player.space, player.shape.planes - 1
    (c, s), e = player.cos_sin(n), player.decayed(step[col.DURATION], 0)
    time, scale = player.durations.spread(step[col.DURATION]), -2 * player.equilibrium
    places = player.block(target, step[col.DST_SIZE])[last]

    def add(i, odd, w):
        p, m, z = (place + player.arena * i for place in places)
        space[p] = space[p] + odd
        space[m] = space[m] - odd
        space[z] = space[z] + w

    gain = scale * (1 - e)
    add(0, HALF * (s * gain), c * gain)
    for i in player.of_kind(R1):
        own = scale * time * e * player.seed(i)
        add(i, HALF * (s * own), c * own)
    for i in player.of_kind(B1):
        flipped = gain * player.nominal(n) * player.seed(i)
        add(i, HALF * (c * flipped), -(s * flipped))


def _seed_inversion(player, n, source, target):
    """What a change of efficiency does to Z_0 in inversion `n`."""
    step, w = player.step(n), COMPONENTS * (player.shape.planes - 1) + W
    e = player.decayed(step[col.DURATION], 0)
    before = player.space[source + step[col.SRC_SIZE] * w]
    arriving = e * before - 2 * player.equilibrium * (1 - e)
    for i in player.of_kind(INVERSION):
        place = target + step[col.DST_SIZE] * w + player.arena * i
        player.space[place] = player.space[place] - player.flips.spread(n) * player.seed(i) * arriving


def _read(player, n, r, target):
    """Amplitudes of a readout that follows pulse `n`."""
    read, amplitudes = player.reads.at(r * col.N_READ), player.amplitudes
    component, duration, out = read[col.READ_COMPONENT], read[col.READ_DURATION], read[col.READ_OUT]
    step, time = player.step(n), player.durations.spread(duration)

    def put(i, values):
        for plane, value in zip(player.planes, values, strict=True):
            amplitudes[player.amplitude_place(i, plane, out)] = value

    def look(i, plane):
        at = target + step[col.DST_SIZE] * (COMPONENTS * plane + component) + read[col.READ_OFFSET]
        return player.space[at + player.arena * i]

    def transverse():
        # F_-k is the conjugate of M
        signs = [player.conjugate_sign(plane, component, step[col.PLANE]) for plane in player.planes]
        sets = [
            [sign * look(i, plane) for plane, sign in zip(player.planes, signs, strict=True)]
            for i in range(player.n_sets)
        ]
        for i, values in enumerate(player.readout(read).read(sets)):
            put(i, values)

    def longitudinal():
        e, last = player.decayed(duration, 0), player.shape.planes - 1
        nothing = [0 * e] * last
        states = e * look(0, last)  # W, which is -2 Z_0
        put(0, [*nothing, player.equilibrium * (1 - e) - HALF * states])
        for i in range(1, player.n_sets):
            tangent = -HALF * e * look(i, last)
            if i in player.of_kind(R1):
                g = time * player.seed(i)
                tangent = tangent + g * (HALF * states + player.equilibrium * e)
            put(i, [*nothing, tangent])

    when(component < W, transverse)
    when(component > M, longitudinal)


def _finish_block(player, n, target):
    """After the readouts: the change of frame, and the padding that the next pulse will look into."""
    step, space, lanes = player.step(n), player.space, player.shape.lanes
    size, places, sets = step[col.DST_SIZE], player.block(target, step[col.DST_SIZE]), range(player.n_sets)
    whole, rows = space.wide(VECTOR), step[col.ROWS]
    if player.shape.planes == 1:
        swapped = target + (step[col.SWAP] - 1) * size

        def negate(k):
            for i in sets:
                place = swapped + k + player.arena * i
                whole[place] = -whole[place]

        when(step[col.SWAP] > 0, lambda: repeat(step[col.VECTORS] * VECTOR, negate, step=VECTOR))
    for c, count in ((P, col.FILL_P), (M, col.FILL_M), (W, col.FILL_W)):

        def above(k, c=c):
            for i in sets:
                for planes in places:
                    whole[planes[c] + rows + k + player.arena * i] = whole.count(0)

        repeat(step[count], above, step=VECTOR)
    into_m, fold = step[col.FOLD_INTO_M], step[col.FOLD_ROWS]
    end, begin = into_m * size - fold * lanes, (1 - into_m) * size + step[col.FOLD_FROM]

    def below(k):
        for i in sets:
            for planes in places:
                space[planes[P] + end - step[col.FILL_LOW] + k + player.arena * i] = space.count(0)

    def fold_row(k):
        for i in sets:
            for plane, planes in zip(player.planes, places, strict=True):
                sign = player.quadrature_sign(plane, step[col.NEXT_PLANE])
                base = planes[P] + player.arena * i
                space[base + end + (fold - 1 - k) * lanes] = sign * space[base + begin + k * lanes]

    repeat(step[col.FILL_LOW], below, step=lanes)
    repeat(fold, fold_row)
