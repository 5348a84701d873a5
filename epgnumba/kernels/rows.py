"""The loops over rows: a pulse and the interval before it, on all states and tangents at once, and the adjoint of that.

A row is an order; a vector of lanes is a row of many voxels or, for one voxel, a run of its rows. Each loop is written
over vectors (`lanes`), with the scalar functions of `physics`, and compiled for a *shape*: how many planes a problem
has, and which tangents there are. What a shape does not have is not in its code. States and tangents of a row are taken
along together, so that each is read once and written once.

What is at hand is `sets[i][plane]`: (p, m, w) of the states (i = 0) or of tangent i, named as in `physics`. In memory
a plane's components begin at (p, m, w), those of the second plane at (q, o, z), and from set to set all is `arena`
numbers on.
"""

from .columns import B1, N_RATES, OMEGA, R1, R2, VECTOR
from .lanes import loop, rounded, scatter
from .physics import coefficients, generator, pulse, pulse_adjoint, turn

HALF_PI = 1.5707963267948966
HALF = 0.5


class _Interval:
    """An interval and the pulse that ends it, for a vector of lanes.

    Attributes
    ----------
    five : tuple
        Coefficients of decay and pulse.
    angle : tuple or None
        Cosine and sine of the turn into the frame of the pulse, of a complex problem.
    decay : dict
        For each tangent (from 1) on which decay depends, the rate and d log e1 or d log e2.
    swing : dict
        For a tangent of off-resonance, what it adds to the angle.
    flip : dict
        For a tangent of B1, what it adds to the flip angle.
    """

    def __init__(self, shape, trig, decay, seeds, time, flip, turns):
        self.five = coefficients(trig[0], trig[VECTOR], decay[0], decay[VECTOR], HALF)
        self.angle = None
        if shape.planes == 2:
            self.angle = turn(decay[2 * VECTOR], decay[3 * VECTOR], turns.spread(0), turns.spread(1))
        self.decay, self.swing, self.flip = {}, {}, {}
        for i, kind in enumerate(shape.kinds, 1):
            seed = seeds[(N_RATES * (i - 1) + kind) * VECTOR]
            if kind in (R1, R2):
                self.decay[i] = kind, -time.spread(0) * seed
            elif kind == OMEGA:
                self.swing[i] = time.spread(0) * seed
            elif kind == B1:
                self.flip[i] = flip.spread(0) * HALF_PI * seed


def _read(memory, places, sets, arena):
    """The vectors of all sets and planes that begin at `places`, one triple a plane."""
    return [[[memory[place + arena * i] for place in triple] for triple in places] for i in range(sets)]


def _write(memory, places, arena, sets):
    for i, planes in enumerate(sets):
        for triple, components in zip(places, planes, strict=True):
            for place, value in zip(triple, components, strict=True):
                memory[place + arena * i] = value


def _shifted(places, row):
    return [[place + row for place in triple] for triple in places]


def _block(start, size, planes):
    """Where the components of a block's planes begin."""
    return [[start + size * (3 * plane + c) for c in range(3)] for plane in range(planes)]


def _turned(planes, c, s):
    """Both planes, turned: P turns one way, M the other."""
    (p, m, w), (pi, mi, wi) = planes
    p, pi = turn(p, pi, c, s)
    m, mi = turn(m, mi, c, -s)
    return [[p, m, w], [pi, mi, wi]]


def _paired(planes, others):
    """The inner product of two sets, lane by lane."""
    products = [a * b for one, other in zip(planes, others, strict=True) for a, b in zip(one, other, strict=True)]
    return sum(products[1:], products[0])


def _generated(planes):
    """What the generator of rotations makes of a set."""
    return [generator(*components, HALF) for components in planes]


def _with_seeds(interval, states, tangent, i):
    """What arrives of tangent `i`: its own, and what decay and precession make of the states."""
    if i in interval.decay:
        rate, g = interval.decay[i]
        if rate == R1:
            return [[p, m, w + g * x[2]] for (p, m, w), x in zip(tangent, states, strict=True)]
        return [[p + g * x[0], m + g * x[1], w] for (p, m, w), x in zip(tangent, states, strict=True)]
    if i in interval.swing:
        g = interval.swing[i]
        (p, m, w), (pi, mi, wi) = tangent
        (xp, xm, _), (xpi, xmi, _) = states
        return [[p - g * xpi, m + g * xmi, w], [pi + g * xp, mi - g * xm, wi]]
    return tangent


def _with_seeds_adjoint(interval, states, tangent, i):
    """Adjoint of `_with_seeds` for the states."""
    if i in interval.decay:
        return _with_seeds(interval, tangent, states, i)  # symmetric
    if i in interval.swing:
        g = interval.swing[i]
        (p, m, w), (pi, mi, wi) = states
        (tp, tm, _), (tpi, tmi, _) = tangent
        return [[p + g * tpi, m - g * tmi, w], [pi - g * tp, mi + g * tm, wi]]
    return states


def play(shape, space, trig, decay, seeds, time, flip, turns, p, m, w, q, o, z, target, size, arena, vectors):
    """States and tangents through the interval before a pulse and the pulse, to the block at `target`."""
    interval = _Interval(shape, trig, decay, seeds, time, flip, turns)
    sources = [[p, m, w], [q, o, z]][: shape.planes]
    targets = _block(target, size, shape.planes)

    def body(row):
        arriving = _read(space, _shifted(sources, row), 1 + len(shape.kinds), arena)
        after = []
        for i, planes in enumerate(arriving):
            met = _with_seeds(interval, arriving[0], planes, i)
            if interval.angle:
                met = _turned(met, *interval.angle)
            after.append([pulse(*components, *interval.five) for components in met])
        for i, g in interval.flip.items():
            after[i] = [
                [t + g * x for t, x in zip(*pair, strict=True)]
                for pair in zip(after[i], _generated(after[0]), strict=True)
            ]
        _write(space, _shifted(targets, row), arena, after)
        return ()

    loop(vectors, body)


def rewind(
    shape, space, adjoint, trig, decay, seeds, time, flip, turns, sums, after, before, size, arena, p, m, w, q, o, z,
    pair_arena, vectors,
):  # fmt: skip
    """Adjoints of states and tangents from the block at `before` back through a pulse and the interval before it.

    `after` is the recorded block after the pulse. `sums` gathers the derivative by the flip angle (radians), then that
    by the seed of a tangent of B1.

    A tangent of B1 gains g G x of the states x after the pulse, G being the generator; so the states' adjoint gains
    g G^T t of that tangent's adjoint t. The flip angle turns whatever leaves the pulse: G x of each set pairs with what
    its adjoint was before that gain.
    """
    interval = _Interval(shape, trig, decay, seeds, time, flip, turns)
    recorded, given = _block(after, size, shape.planes), _block(before, size, shape.planes)
    targets = [[p, m, w], [q, o, z]][: shape.planes]
    n_sets = 1 + len(shape.kinds)

    def body(row, by_flip, by_seed):
        states = _read(space, _shifted(recorded, row), n_sets, arena)
        bars = _read(adjoint, _shifted(given, row), n_sets, pair_arena)
        for x, bar in zip(states, bars, strict=True):
            by_flip = by_flip + _paired(bar, _generated(x))
        for i, g in interval.flip.items():
            by_seed = by_seed + _paired(bars[i], _generated(states[0]))
            bars[0] = [
                [a - g * tw, b + g * tw, c + g * HALF * (tp - tm)]
                for (a, b, c), (tp, tm, tw) in zip(bars[0], bars[i], strict=True)
            ]
        pulled = [[pulse_adjoint(*components, *interval.five) for components in planes] for planes in bars]
        if interval.angle:
            c, s = interval.angle
            pulled = [_turned(planes, c, -s) for planes in pulled]
        for i in range(1, n_sets):
            pulled[0] = _with_seeds_adjoint(interval, pulled[0], pulled[i], i)
        _write(adjoint, _shifted(targets, row), pair_arena, pulled)
        return by_flip, by_seed

    sums[0], sums[VECTOR] = loop(vectors, body, sums[0], sums[VECTOR])


def pair_decay(shape, space, adjoint, sums, p, m, w, q, o, z, arena, bp, bm, bw, bq, bo, bz, pair_arena, vectors):
    """Derivatives by log e1 and log e2, from pairing what arrives at a pulse with its adjoint.

    To `sums`: of all sets with their own adjoints, for e1, then e2; then, for each tangent on which decay depends (i
    from 1), of the states with that tangent's: what its seed is worth.
    """
    sources = [[p, m, w], [q, o, z]][: shape.planes]
    targets = [[bp, bm, bw], [bq, bo, bz]][: shape.planes]
    n_sets = 1 + len(shape.kinds)
    relaxing = [(i, kind) for i, kind in enumerate(shape.kinds, 1) if kind in (R1, R2)]

    def along(kind, states, bars):
        chosen = (2,) if kind == R1 else (0, 1)
        return _paired([[x[c] for c in chosen] for x in states], [[b[c] for c in chosen] for b in bars])

    def body(row, *totals):
        states = _read(space, _shifted(sources, row), n_sets, arena)
        bars = _read(adjoint, _shifted(targets, row), n_sets, pair_arena)
        gains = [sum((along(kind, x, b) for x, b in zip(states[1:], bars[1:], strict=True)),
                     along(kind, states[0], bars[0])) for kind in (R1, R2)]  # fmt: skip
        gains += [along(kind, states[0], bars[i]) for i, kind in relaxing]
        return tuple(total + gain for total, gain in zip(totals, gains, strict=True))

    places = [0, VECTOR, *(VECTOR * (1 + i) for i, _ in relaxing)]
    for place, total in zip(places, loop(vectors, body, *(sums[place] for place in places)), strict=True):
        sums[place] = total


def pair_turn(shape, space, adjoint, sums, p, m, q, o, arena, bp, bm, bq, bo, pair_arena, vectors):
    """Derivatives by the angle that transverse states turn before a pulse, of a complex problem.

    To `sums`: of all sets with their own adjoints; then of the states with the adjoint of a tangent of off-resonance.
    """
    n_sets = 1 + len(shape.kinds)
    swinging = [i for i, kind in enumerate(shape.kinds, 1) if kind == OMEGA]

    def along(states, bars):
        (p, m, pi, mi), (bp, bm, bpi, bmi) = states, bars
        return (bpi * p - bp * pi) + (bm * mi - bmi * m)

    def body(row, *totals):
        states = [[space[place + row + arena * i] for place in (p, m, q, o)] for i in range(n_sets)]
        bars = [[adjoint[place + row + pair_arena * i] for place in (bp, bm, bq, bo)] for i in range(n_sets)]
        own = totals[0]
        for x, bar in zip(states, bars, strict=True):
            own = own + along(x, bar)
        return own, *(total + along(states[0], bars[i]) for i, total in zip(swinging, totals[1:], strict=True))

    places = [0, VECTOR][: 1 + len(swinging)]
    for place, total in zip(places, loop(vectors, body, *(sums[place] for place in places)), strict=True):
        sums[place] = total


def write(shape, amplitudes, first, second, scale, factors, out, start, stride, fours):
    """Amplitudes of a vector of voxels, times `scale` and the outputs' factors, into a row of results for each voxel.

    Amplitudes (in phase from `first` on, in quadrature from `second`) lie output by output, results `stride` outputs
    apart voxel by voxel, from `start` on; four outputs are turned into each other at a time. Each operation is
    rounded in double precision, as for a voxel alone, which has the same bits.
    """

    def body(o):
        columns = []
        for k in range(4):
            fr, fi = factors.spread((o + k) * 2), factors.spread((o + k) * 2 + 1)
            re = rounded(scale[0]) * rounded(amplitudes[first + (o + k) * VECTOR])
            if shape.planes == 1:
                columns += [re * fr, re * fi]
            else:
                im = rounded(scale[0]) * rounded(amplitudes[second + (o + k) * VECTOR])
                columns += [re * fr - im * fi, re * fi + im * fr]
        scatter(out, (start + o) * 2, stride * 2, columns)

    loop(fours, body, step=4)
