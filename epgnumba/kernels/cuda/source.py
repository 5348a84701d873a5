"""Device functions written down: every operation on the stand-ins for numbers here is a line of straight-line code.

So what is plain algebra (`kernels.algebra`, `readouts`, `longitudinal`) is run once for a `Shape`, and becomes the
source of functions. Constants are of the kernel's precision. What rows share is done once, by a function that gives it
as a tuple: so it stays in registers.
"""

import math

from ..algebra import Numbers
from .jit import helper, select


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

    __radd__, __rmul__ = __add__, __mul__


def is_constant(x, value):
    return not isinstance(x, Number) and x == value


class Source:
    """Functions that are being written: what rows share (`shared`), and what is done to each (`each`).

    Parameters
    ----------
    shape : Shape
        What for.
    rotation : callable
        Device function: cosine and sine of an angle.
    by_rows : bool
        Whether there are rows; otherwise everything is in `each`.
    """

    def __init__(self, shape, rotation=None, by_rows=False):
        self.shape, self._rotation, self._by_rows = shape, rotation, by_rows
        self._count, self._shared, self._each, self._carried = 0, [], [], {}

    def note(self, text, *operands, of_row=False, results=1):
        """A line that makes numbers of others, or of what `text` names."""
        of_row = of_row or not self._by_rows or any(isinstance(x, Number) and x.of_row for x in operands)
        numbers = [Number(self, f"v{self._count + n}", of_row) for n in range(results)]
        self._count += results
        value = text.format(*(self._name(x, of_row) for x in operands))
        (self._each if of_row else self._shared).append(f"{', '.join(x.name for x in numbers)} = {value}")
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

    def shared(self, arguments):
        """The function that gives what rows share."""
        return self._function(arguments, [*self._shared, f"return ({''.join(f'{name}, ' for name in self._carried)})"])

    def each(self, arguments):
        """The function of a row, whose last argument is what rows share; or of all, where there are none."""
        if not self._by_rows:
            return self._function(arguments, self._each)
        names = "".join(f"{name}, " for name in self._carried)
        return self._function(f"{arguments}, shared", [f"{names}= shared", *self._each])

    def _function(self, arguments, lines):
        scope = {"_real": self.shape.real, "exp": math.exp, "rotation": self._rotation, "select": select}
        exec("\n    ".join([f"def written({arguments}):", *lines]), scope)
        return helper(scope["written"])

    # Numbers by the names that arguments have

    def seed(self, i):
        """Derivative of the rate that tangent `i` (from 1) changes."""
        return self.note(f"seeds[{i}]")

    def rate(self, code):
        return self.note(f"rates[{code}]")

    def moment(self, exponent):
        return self.note(f"moments[{exponent.moment}]")

    def numbers(self, exponents, trig=None, angle=None, nominal=None):
        """What intervals and readouts take, see `algebra.Numbers`; `trig`, ...: names."""
        return Numbers(
            trig=trig and [self.note(name) for name in trig], decay=[trig and self.note("e1"), self.note("e2")],
            angle=angle and [self.note(name) for name in angle], nominal=nominal and self.note(nominal),
            seeds={i: self.seed(i) for i in range(1, len(self.shape.kinds) + 1)},
            rates={code: self.rate(code) for code in self.shape.terms},
            moments={(e.moment, e.scale): self.scaled(e, self.moment(e)) for e in exponents},
            exp=lambda x: self.note("exp({})", x), rotation=lambda x: self.note("rotation({})", x, results=2),
        )  # fmt: skip

    def scaled(self, exponent, x):
        """Times the power of the dephasing of an order that belongs to an exponent."""
        for _ in range(exponent.scale):
            x = x * self.note("dephasing")
        return x

    def gather(self, exponent, value, i=0):
        """Add a derivative by an exponent, or its change along tangent `i`, to those by moment and rate, or seed."""
        value = self.scaled(exponent, value)
        self.add(f"moment_bars[{exponent.moment}]", (self.seed(i) if i else self.rate(exponent.rate)) * value)
        self.add(f"seed_bars[{i}]" if i else f"rate_bars[{exponent.rate}]", self.moment(exponent) * value)
