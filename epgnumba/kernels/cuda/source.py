"""Device functions written down: every operation on the stand-ins for numbers here is a line of straight-line code.

So what the CPU's loops do to numbers (`kernels.algebra`, `longitudinal`, ...) is run once for a `Shape`, and becomes
the source of functions. Constants are of the kernel's precision: one double would drag all that follows along. What
rows share is done once, by a function that gives it as a tuple: so it stays in registers.
"""

import functools
import math

from .. import columns as cpu
from ..algebra import HALF, like
from ..elementary import complex_hyperbolic_by, hyperbolic_by
from ..exponents import OUT_OF_PHASE, by_order
from ..player import MOMENTS, Player
from ..pools import Planar, exchanges
from ..reverse import Bars
from ..shape import Shape
from .jit import floor, helper, select

# Moments of an interval, and behind them numbers of exchange over it; derivatives by these, with the flip angle, its
# power and the phase step before the pulse (see `reverse.Bars`) between them.
N_MOMENTS = FLIP = OUT_OF_PHASE + 1
POWER, TURN, N_BARS = FLIP + 1, FLIP + 2, FLIP + 3
# What a pulse, the interval before it, or a readout depends on besides: a tuple.
NUMBERS = "e1, e2, oc, os, equilibrium, dephasing, c, s, tc, ts, flip, power, invert"
TAKEN = "numbers, moments, rates, seeds"
BARS = "rate_bars, seed_bars, moment_bars"


def _operation(symbol):
    return lambda number, other: number.source.note(f"{{}} {symbol} {{}}", number, other)


class Number:
    """A number of the function that is written; `of_row`: one for each row."""

    def __init__(self, source, name, of_row):
        self.source, self.name, self.of_row = source, name, of_row

    def __add__(self, other):
        return self if is_constant(other, 0) else self.source.note("{} + {}", self, other)

    def __sub__(self, other):
        return self if is_constant(other, 0) else self.source.note("{} - {}", self, other)

    def __rsub__(self, other):
        return -self if is_constant(other, 0) else self.source.note("{} - {}", other, self)

    def __mul__(self, other):
        if is_constant(other, 0) or is_constant(other, 1):
            return self if other else 0
        return self.source.note("{} * {}", self, other)

    def __neg__(self):
        return self.source.note("-{}", self)

    __radd__, __rmul__, __hash__ = __add__, __mul__, None
    __truediv__, __or__, __lt__, __ge__, __eq__, __ne__ = map(_operation, ("/", "|", "<", ">=", "==", "!="))


def is_constant(x, value):
    return not isinstance(x, Number) and x == value


class Named:
    """Memory of a player: its numbers by the names that they have in the function, a pattern or one by one."""

    def __init__(self, source, names):
        self._source, self._names = source, names

    def spread(self, k):
        name = self._names.format(k) if isinstance(self._names, str) else self._names[k]
        return self._source.note(name) if isinstance(name, str) else name

    def count(self, whole):
        return whole


class Source(Player):
    """A player whose numbers are written down, of one interval, pulse or readout: what rows share, and each.

    Parameters
    ----------
    shape : columns.Shape
        What for.
    rotation : callable
        Device function: cosine and sine of an angle.
    rowwise : bool
        Whether there are rows; otherwise everything is in `each`.
    """

    def __init__(self, shape, rotation=None, rowwise=False):
        self.shape, self.n_sets = Shape(shape.planes, shape.kinds, 1, shape.terms), shape.n_sets
        self.like, self.exchanges = like(self.shape), exchanges(self.shape)
        self._scope = {"_real": shape.real, "rotation": rotation, "select": select}
        self._scope.update(exp=math.exp, expm1=math.expm1, sqrt=math.sqrt, floor=floor[shape.real])
        self._rowwise, self._count, self._shared, self._each = rowwise, 0, [], []
        self._known, self._carried = {}, {}
        self.sizes = {cpu.DECAY_LINES: 1, cpu.TRIG_LINES: 1}
        precession = ("oc", "os") if shape.precesses else (1, 0)
        self.durations, self.pools = Named(self, "moments[{}]"), Named(self, f"moments[{N_MOMENTS} + {{}}]")
        self.rates, self.seeds = Named(self, "rates[{}]"), Named(self, "seeds[{}]")
        self.decay, self.trig = Named(self, ("e1", "e2", *precession)), Named(self, ("c", "s"))
        self.turns, self.flips = Named(self, ("tc", "ts")), Named(self, ("flip",))
        self.dephasing, self.powers = Named(self, ("dephasing",)), Named(self, ("power",))
        self.space = self.flips

    # What a player has of memory and of vectors

    def step(self, n):
        """A row of the table: where `moments` has those of its interval."""
        return {cpu.INVERT: self.note("invert"), **dict(zip(MOMENTS, range(len(MOMENTS)), strict=True))}

    @property
    def equilibrium(self):
        return self.note("equilibrium")

    def orders(self, n=0, row=0):
        return self.row("order + stride * _real(j)") if by_order(self.shape) else None

    def exp(self, x):
        return self.note("exp({})", x)

    def rotation(self, x):
        return self.note("rotation({})", x, results=2)

    def magnitude(self, x):
        return self.note("abs({})", x)

    def sign(self, x):
        return self.where(x < 0, -1, 1)

    def where(self, condition, a, b):
        return self.note("select({}, {}, {})", condition, a, b)

    def blended(self, condition, near, far):
        return [self.where(condition, a, b) for a, b in zip(near, far(), strict=True)]

    def hyperbolic(self, x, u, product):
        if isinstance(x, Planar):
            root = functools.partial(self.note, "sqrt({})")
            return complex_hyperbolic_by(x, u, self.exp, self.rotation, root, self.where, self.blended, self.magnitude)
        expm1, root = (lambda x, name=name: self.note(f"{name}({{}})", x) for name in ("expm1", "sqrt"))
        fast = x - root(u)
        slow = product / self.where(fast < 0, fast, -1)
        less = (expm1(slow) + expm1(fast)) * HALF  # so single precision does for short intervals
        return [less, *hyperbolic_by(x, u, product, self.exp, root, self.where, self.blended)]

    def read_of_pools(self, component):
        return [self.where(self.note(f"{component} == {4 + other}"), 0, 1) for other in (1, 0)]

    # Writing

    def note(self, text, *operands, of_row=False, results=1):
        """A line that makes numbers of others, or of what `text` names; of what is known, that."""
        of_row = of_row or not self._rowwise or any(isinstance(x, Number) and x.of_row for x in operands)
        value = text.format(*(self._name(x, of_row) for x in operands))
        if (value, of_row) not in self._known:
            numbers = [Number(self, f"v{self._count + n}", of_row) for n in range(results)]
            self._count += results
            self._known[value, of_row] = numbers
            (self._each if of_row else self._shared).append(f"{', '.join(x.name for x in numbers)} = {value}")
        numbers = self._known[value, of_row]
        return numbers[0] if results == 1 else numbers

    def _name(self, x, of_row=True):
        if not isinstance(x, Number):
            return f"_real({x!r})"
        if of_row and not x.of_row:
            self._carried[x.name] = None
        return x.name

    def row(self, text):
        """What `text` names, of the row at hand."""
        return self.note(text, of_row=True)

    def write(self, place, number):
        """Put a number where `place` says."""
        self._each.append(f"{place} = {self._name(number)}")

    def add(self, place, number):
        if not is_constant(number, 0):
            self._each.append(f"{place} += {self._name(number)}")

    def returned(self, arguments, *numbers):
        """The function that gives some numbers."""
        return self._function(arguments, [*self._each, f"return {', '.join(map(self._name, numbers))}"])

    def shared(self, arguments=TAKEN):
        """The function that gives what rows share."""
        return self._function(arguments, [*self._shared, f"return ({''.join(f'{name}, ' for name in self._carried)})"])

    def each(self, arguments):
        """The function of a row, whose last argument is what rows share; or of all, where there are none."""
        if not self._rowwise:
            return self._function(arguments, self._each)
        names = "".join(f"{name}, " for name in self._carried)
        return self._function(f"{arguments}, shared", [f"{names}= shared", *self._each])

    def _function(self, arguments, lines):
        if TAKEN in arguments:
            lines = [f"{NUMBERS} = numbers", *lines]
        scope = dict(self._scope)
        exec("\n    ".join([f"def written({arguments}):", *lines]), scope)
        return helper(scope["written"])


class Gathered(Bars):
    """Derivatives that are added where they have names; `timing`: those by rates and durations too."""

    def __init__(self, source, timing=True):
        self._player, self._timing = source, timing
        self.rates, self.seeds, self.durations = "rate_bars[{}]", "seed_bars[{}]", "moment_bars[{}]"
        self.flips, self.powers, self.turns = (f"moment_bars[{place} + {{}}]" for place in (FLIP, POWER, TURN))
        self.pools = f"moment_bars[{N_BARS} + {{}}]"

    def add(self, memory, place, value):
        self._player.add(memory.format(place), value)

    add_total = add

    def by_exponent(self, exponent, place, value, i=0):
        if self._timing:
            super().by_exponent(exponent, place, value, i)

    def by_exchange(self, exchange, duration, i, values, first=0):
        if self._timing:
            super().by_exchange(exchange, duration, i, values, first)
