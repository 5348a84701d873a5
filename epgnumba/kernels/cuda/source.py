"""The algebra of rows and readouts, written down as device functions: every operation of the stand-ins here is a line.

`kernels.algebra` and `kernels.readouts` are run once for a `Shape`, and what they do becomes the source of functions of
straight-line code. Constants are of the kernel's precision. What rows share is done once, by a function that gives it
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
        return self.source.note("{} + {}", self, other)

    def __sub__(self, other):
        return self.source.note("{} - {}", self, other)

    def __mul__(self, other):
        return self if isinstance(other, int) and other == 1 else self.source.note("{} * {}", self, other)

    def __radd__(self, other):
        return self.source.note("{} + {}", other, self)

    __rmul__ = __mul__

    def __neg__(self):
        return self.source.note("-{}", self)


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

    def __init__(self, shape, rotation, by_rows=True):
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

    def _name(self, x, of_row):
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
        self._each.append(f"{place} = {self._name(number, True)}")

    def add(self, place, number):
        self._each.append(f"{place} += {self._name(number, True)}")

    def exp(self, x):
        return self.note("exp({})", x)

    def rotation(self, x):
        return self.note("rotation({})", x, results=2)

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

    def numbers(self, exponents, trig=None, angle=None, nominal=None):
        """What intervals and readouts take, see `algebra.Numbers`: their arguments are named as here."""
        kinds, terms = self.shape.kinds, self.shape.terms
        return Numbers(
            trig=trig and [self.note(name) for name in trig], decay=[self.note("e1"), self.note("e2")],
            angle=angle and [self.note(name) for name in angle], nominal=nominal and self.note(nominal),
            seeds={i: self.note(f"seeds[{i}]") for i in range(1, len(kinds) + 1)},
            rates={rate: self.note(f"rates[{rate}]") for rate in terms},
            moments={(e.moment, e.scale): self.scaled(e, self.note(f"moments[{e.moment}]")) for e in exponents},
            exp=self.exp, rotation=self.rotation,
        )  # fmt: skip

    def scaled(self, exponent, x):
        """Times the power of the dephasing of an order that belongs to an exponent."""
        for _ in range(exponent.scale):
            x = x * self.note("dephasing")
        return x

    def gather(self, derivatives):
        """Add derivatives by exponents (exponent, tangent or 0, value) to those by rates, seeds and moments."""
        for e, i, value in derivatives:
            value = self.scaled(e, value)
            self.add(f"moment_bars[{e.moment}]", self.note(f"seeds[{i}]" if i else f"rates[{e.rate}]") * value)
            place = f"seed_bars[{i}]" if i else f"rate_bars[{e.rate}]"
            self.add(place, self.note(f"moments[{e.moment}]") * value)
