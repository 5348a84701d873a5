"""What stands for a sequence's parameters while its events are written: symbols, and what is linear in them."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any, NoReturn, SupportsIndex, TypeAlias, overload

import numpy as np

from ..checks import shown

ALLOWED = "parameters may be added, subtracted, and multiplied or divided by numbers, entry by entry"


def _listed(other: Any) -> tuple[Any, ...] | None:
    """The entries of a sequence or one-dimensional array; None for anything else."""
    if isinstance(other, np.ndarray) and other.ndim:
        other = other.tolist()
    if not isinstance(other, (list, tuple)):
        return None
    if any(isinstance(entry, (list, tuple, np.ndarray)) for entry in other):
        raise TypeError(f"{shown(other)} does not go with a parameter: a number or a vector of numbers is needed")
    return tuple(other)


def _finite(number: Any) -> bool:
    """Whether a number is finite, as a float too."""
    try:
        return isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False


def _factor(factor: Any) -> float:
    """A number that a parameter is multiplied with.

    Raises
    ------
    TypeError, ValueError
        If it is no number, or not finite.
    """
    if isinstance(factor, np.ndarray) and factor.ndim == 0:
        factor = factor[()]
    if isinstance(factor, (bool, np.bool_)) or not isinstance(factor, Real):
        told = "a parameter" if isinstance(factor, _Symbolic) else shown(factor)
        raise TypeError(f"a parameter times {told} is not linear; {ALLOWED}")
    if not _finite(factor):
        raise ValueError(f"a parameter times {shown(factor)} is not allowed: the factor must be finite")
    return float(factor)


_OPERATORS: dict[Any, Callable[..., Any]] = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.true_divide: operator.truediv,
    np.negative: operator.neg, np.positive: operator.pos,
}  # fmt: skip
_COMPARISONS = np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal


class _Symbolic:
    """What symbols refuse, with a word on what is allowed instead; and NumPy's operators, which end here."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"this is not linear in the parameters: {ALLOWED}")

    def _refuse_value(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"a parameter has no value here, and cannot be compared, tested or converted; {ALLOWED}")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc in _COMPARISONS:
            self._refuse_value()
        if method != "__call__" or options or ufunc not in _OPERATORS:
            self._refuse()
        return _OPERATORS[ufunc](*(x.tolist() if isinstance(x, (np.ndarray, np.generic)) else x for x in inputs))

    __array__ = _refuse_value  # an array of symbols would be one of objects
    __float__ = __int__ = __complex__ = __index__ = _refuse_value
    __lt__ = __le__ = __gt__ = __ge__ = _refuse_value
    __pow__ = __rpow__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __matmul__ = __rmatmul__ = __abs__ = __round__ = _refuse


@dataclass(frozen=True, eq=False)
class Linear(_Symbolic):
    """A linear function of a sequence's parameters: what an event holds in place of a number.

    Attributes
    ----------
    terms : tuple of (str, int, float)
        Parameter name, index into that parameter, coefficient; sorted, one term per entry.
    constant : float
        What is added.

    Examples
    --------
    >>> spacing = Linear.of("ESP")
    >>> (spacing / 2 + spacing / 2).terms
    (('ESP', 0, 1.0),)
    """

    terms: tuple[tuple[str, int, float], ...] = ()
    constant: float = 0.0

    @classmethod
    def of(cls, name: str, index: int = 0) -> "Linear":
        """Entry `index` of parameter `name`."""
        if not isinstance(name, str) or type(index) is bool or not isinstance(index, (int, np.integer)) or index < 0:
            raise TypeError(f"name={shown(name)}, index={shown(index)} is not allowed: a word and a place are needed")
        return cls(((name, int(index), 1.0),))

    def __post_init__(self) -> None:
        try:
            if isinstance(self.constant, (bool, np.bool_)):
                raise TypeError("a boolean")
            finite = isfinite(self.constant) and all(isfinite(factor) for _, _, factor in self.terms)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise TypeError(
                f"terms={shown(self.terms)}, constant={shown(self.constant)} is not allowed: tuples of (name, index, "
                "factor), and a number, are needed"
            ) from error
        if not finite:
            raise ValueError(f"the factors and the constant of {self} must be finite")

    def __str__(self) -> str:
        parts = [f"{f:g} {name}[{i}]" for name, i, f in self.terms] + ([f"{self.constant:g}"] if self.constant else [])
        return " + ".join(parts) or "0"

    def __eq__(self, other: object) -> bool:
        """Whether it is the same expression; not whether it has the same value, which cannot be told."""
        if isinstance(other, (Real, np.ndarray)):
            self._refuse_value()
        return isinstance(other, Linear) and (self.terms, self.constant) == (other.terms, other.constant)

    def __hash__(self) -> int:
        return hash((self.terms, self.constant))

    def __bool__(self) -> bool:
        self._refuse_value()

    @overload
    def __add__(self, other: "Value") -> "Linear": ...
    @overload
    def __add__(self, other: Any) -> Any: ...
    def __add__(self, other: Any) -> Any:
        entries = _listed(other)
        if entries is not None:
            return Vector(self + entry for entry in entries)
        other = linear(other)
        merged = {(name, index): factor for name, index, factor in self.terms}
        for name, index, factor in other.terms:
            merged[name, index] = merged.get((name, index), 0.0) + factor
        terms = tuple((name, index, factor) for (name, index), factor in sorted(merged.items()) if factor)
        return Linear(terms, self.constant + other.constant)

    @overload
    def __mul__(self, factor: float) -> "Linear": ...
    @overload
    def __mul__(self, factor: Any) -> Any: ...
    def __mul__(self, factor: Any) -> Any:
        entries = _listed(factor)
        if entries is not None:
            return Vector(self * entry for entry in entries)
        number = _factor(factor)
        return Linear(tuple((n, i, f * number) for n, i, f in self.terms), self.constant * number)

    @overload
    def __truediv__(self, divisor: float) -> "Linear": ...
    @overload
    def __truediv__(self, divisor: Any) -> Any: ...
    def __truediv__(self, divisor: Any) -> Any:
        entries = _listed(divisor)
        if entries is not None:
            return Vector(self / entry for entry in entries)
        number = _factor(divisor)
        if number == 0:
            raise ValueError("a parameter divided by 0 is not allowed")
        return Linear(tuple((n, i, f / number) for n, i, f in self.terms), self.constant / number)

    def __iter__(self) -> NoReturn:
        name = self.terms[0][0] if self.terms else "this"
        raise TypeError(f"{name} is a number, not a vector; a list of numbers makes it one")

    def __neg__(self) -> "Linear":
        return self * -1.0

    def __pos__(self) -> "Linear":
        return self

    @overload
    def __sub__(self, other: "Value") -> "Linear": ...
    @overload
    def __sub__(self, other: Any) -> Any: ...
    def __sub__(self, other: Any) -> Any:
        return -(-self + other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__


Value: TypeAlias = float | Linear


def linear(value: Value, name: str = "") -> Linear:
    """`value` as a `Linear`: a number is a constant. `name` is what an error calls it.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or not finite.
    """
    if isinstance(value, Linear):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    called = name and f"{name}: "
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{called}{shown(value)} stands where an event needs a number, a parameter, or what is linear in them"
        )
    if not _finite(value):
        raise ValueError(f"{called}{shown(value)} stands where an event needs a finite number")
    return Linear((), float(value))


class Vector(_Symbolic, tuple[Linear, ...]):
    """A parameter that is a vector: a tuple of `Linear` that calculates entry by entry, as an array does.

    Examples
    --------
    >>> flip = Vector([Linear.of("flip", 0), Linear.of("flip", 1)])
    >>> [str(entry) for entry in 2 * flip + [0, 90]]
    ['2 flip[0]', '2 flip[1] + 90']
    """

    def _each(self, operation: Callable[[Any, Any], Any], other: Any) -> "Vector":
        """An operation entry by entry, `other` being one for all or as many.

        Raises
        ------
        ValueError
            If it has another number of entries.
        """
        entries = _listed(other)
        if entries is None:
            return Vector(operation(mine, other) for mine in self)
        if len(entries) != len(self):
            raise ValueError(f"a vector of {len(self)} entries and one of {len(entries)} do not go together")
        return Vector(operation(mine, theirs) for mine, theirs in zip(self, entries, strict=True))

    @overload
    def __getitem__(self, index: SupportsIndex) -> Linear: ...
    @overload
    def __getitem__(self, index: slice) -> "Vector": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "Linear | Vector":
        found: Any = super().__getitem__(index)
        return Vector(found) if isinstance(index, slice) else found

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Real, np.ndarray)):
            self._refuse_value()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__

    def __add__(self, other: Any) -> Any:
        return self._each(operator.add, other)

    def __sub__(self, other: Any) -> Any:
        return self._each(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __mul__(self, factor: Any) -> Any:
        return self._each(operator.mul, factor)

    def __truediv__(self, divisor: Any) -> Any:
        return self._each(operator.truediv, divisor)

    def __neg__(self) -> "Vector":
        return Vector(-entry for entry in self)

    def __pos__(self) -> "Vector":
        return self

    __radd__ = __add__
    __rmul__ = __mul__


def vector_of(name: str, size: int) -> Vector:
    """The entries of a vector parameter."""
    return Vector(Linear.of(name, n) for n in range(size))
