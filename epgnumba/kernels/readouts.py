"""What happens to F_0 between a pulse and a readout of it, for value, tangents and adjoints; see `algebra`.

A set holds F_0 in each plane; set 0 the states, the others the tangents that go along with them.
"""

from .algebra import P, added, weighted
from .exponents import FOLDED, before_readouts
from .mixing import exchanged, mixing_pairings, unexchanged
from .physics import turn


class Readout:
    """A readout of F_0, of a `Shape`; of `algebra.Numbers` it takes those of an interval without a pulse."""

    def __init__(self, shape, numbers):
        self.shape, self.numbers = shape, numbers
        self.exponents = [(e, e.weights(0)[P]) for e in before_readouts(shape)]
        self.decay, self.turning = numbers.decay[1], numbers.angle
        sums = {}  # of exponents: real ones, imaginary ones
        for e, weight in self.exponents:
            if e.rate not in FOLDED:
                own = weighted(weight, self._moment(e) * numbers.rates[e.rate])
                sums[e.imaginary] = sums[e.imaginary] + own if e.imaginary in sums else own
        if False in sums:
            decay = numbers.exp(sums[False])
            self.decay = decay if self.decay is None else self.decay * decay
        if True in sums:
            angle = numbers.rotation(sums[True])
            self.turning = turn(*self.turning, *angle) if self.turning else angle

    def read(self, sets):
        """Amplitudes, from F_0 just after the pulse."""
        values = self._decayed(sets)
        if self.turning:
            values = [turn(*planes, *self.turning) for planes in values]
        for i in range(1, len(values)):
            for e, gain in self._gains(i):
                values[i] = _seeded(e, values[i], values[0], gain)
        return values

    def unread(self, bars):
        """Adjoints of F_0 just after the pulse, from those of amplitudes."""
        bars = list(bars)
        for i in range(1, len(bars)):
            for e, gain in self._gains(i):
                bars[0] = _seeded(e, bars[0], bars[i], -gain if e.imaginary else gain)
        if self.turning:
            bars = [turn(*planes, self.turning[0], -self.turning[1]) for planes in bars]
        return self._decayed(bars)

    def _decayed(self, sets):
        return sets if self.decay is None else [[self.decay * x for x in planes] for planes in sets]

    def pairings(self, values, bars):
        """Derivatives by exponents, and by their change along tangents: (exponent, tangent or 0, value) of each."""
        found = []
        for e, weight in self.exponents:
            own = [_pairing(e, x, bar) for x, bar in zip(values, bars, strict=True)]
            found.append((e, 0, weighted(weight, added(own))))
            found += [(e, i, weighted(weight, _pairing(e, values[0], bars[i]))) for i in self._tangents(e.rate)]
        return found

    def _moment(self, e):
        return self.numbers.moments[e.moment, e.scale]

    def _tangents(self, rate):
        return [i for i, kind in enumerate(self.shape.kinds, 1) if kind == rate]

    def _gains(self, i):
        """What tangent `i` gains from the states, by exponent of its rate."""
        return [
            (e, weighted(weight, self._moment(e) * self.numbers.seeds[i]))
            for e, weight in self.exponents if e.rate == self.shape.kinds[i - 1]
        ]  # fmt: skip


class PooledReadout:
    """A readout of two free pools, which exchange before it; F_0 and its adjoints are pairs in each plane.

    Attributes
    ----------
    alone : Readout
        What becomes of both alike.
    between : Mixing
        What they exchange.
    share : list of number
        How much of each is read.
    """

    def __init__(self, shape, numbers, between, share):
        self.alone, self.between, self.share = Readout(shape, numbers), between, share

    def read(self, sets):
        a, b = self.share
        return self.alone.read([[a * x + b * y for x, y in planes] for planes in exchanged([self.between], sets)])

    def _shared(self, bars):
        """Adjoints of both, from those of amplitudes."""
        return [[[share * bar for share in self.share] for bar in planes] for planes in self.alone.unread(bars)]

    def unread(self, bars):
        return unexchanged([self.between], self._shared(bars))

    def pairings(self, values, bars):
        return self.alone.pairings(values, bars)

    def exchange_pairings(self, sets, bars):
        """Derivatives by what is exchanged, from F_0 just after the pulse; see `mixing.mixing_pairings`."""
        return mixing_pairings(self.between, sets, self._shared(bars))


def _seeded(exponent, tangent, states, gain):
    if exponent.imaginary:
        return [tangent[0] - gain * states[1], tangent[1] + gain * states[0]]
    return [t + gain * x for t, x in zip(tangent, states, strict=True)]


def _pairing(exponent, x, bar):
    if exponent.imaginary:
        return bar[1] * x[0] - bar[0] * x[1]
    return added(a * b for a, b in zip(x, bar, strict=True))
