"""Checks of what users hand in: every error names the argument, its value and what is allowed."""

import re
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .names import hint

Array = npt.NDArray[np.float64]

# What arguments may be, said once. The limits lie far beyond what scanners do, and close enough that signals and their
# first and second derivatives stay finite in single precision too (the worst is M0 / T^2).
LARGEST = sys.float_info.max
RELAXATION: dict[str, Any] = {"positive": True, "minimum": 1e-6, "maximum": 1e15, "unit": "ms"}
TIME: dict[str, Any] = {"minimum": 0.0, "maximum": 1e9, "unit": "ms"}
INTERVAL: dict[str, Any] = {"positive": True, "minimum": 1e-9, "maximum": 1e9, "unit": "ms"}
# Beyond these, the digits that are left of an angle modulo 360 say little: of a flip angle in single precision, of a
# phase (which quadratic RF spoiling makes large) in double precision, in which phases are always reduced.
FLIP: dict[str, Any] = {"minimum": -1e5, "maximum": 1e5, "unit": "degrees"}
PHASE: dict[str, Any] = {"minimum": -1e10, "maximum": 1e10, "unit": "degrees"}
# A step that grows from repetition to repetition is multiplied with the square of their number.
PHASE_STEP: dict[str, Any] = {"minimum": -3600.0, "maximum": 3600.0, "unit": "degrees"}
FRACTION: dict[str, Any] = {"minimum": 0.0, "maximum": 1.0, "unit": "fractions (not percent)"}
FLIP_SCALE: dict[str, Any] = {"minimum": 0.0, "maximum": 10.0, "unit": "fractions of the nominal flip angle"}
PROFILE: dict[str, Any] = {"minimum": -10.0, "maximum": 10.0, "unit": "fractions of the nominal flip angle"}
# What terms take of the scanner: per order, and per pulse.
GRADIENT_AREA: dict[str, Any] = {"positive": True, "minimum": 1e-6, "maximum": 1e6, "unit": "mT ms/m"}
RF_DURATION: dict[str, Any] = {"positive": True, "minimum": 1e-6, "maximum": 1e9, "unit": "ms"}

# Squares of noise, and sums of weighted bounds, are finite.
NOISE: dict[str, Any] = {"positive": True, "minimum": 1e-75, "maximum": 1e75}
WEIGHT: dict[str, Any] = {"minimum": 0.0, "maximum": 1e75}

MOST_PULSES = 10_000  # in a train: states grow with every pulse, and work with their square


def shown(value: Any) -> str:
    """`value` as an error message quotes it: short, on one line."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no more than some thousand digits
        text = f"a {type(value).__name__} too long to write"
    return text if len(text) <= 80 else text[:77] + "..."


def plain_array(name: str, value: Any) -> npt.NDArray[Any]:
    """`value` as NumPy sees it, of whatever type.

    Raises
    ------
    TypeError, ValueError
        If it is ragged, no array in host memory, or hides anything.
    """
    try:
        array = np.asarray(value)
    except TypeError as error:
        if not hasattr(type(value), "__cuda_array_interface__"):
            raise TypeError(f"{name}={shown(value)} is not numeric: {error}") from error
        raise TypeError(f"{name} lies on a CUDA device; it is needed in host memory") from error
    except RuntimeError as error:
        raise TypeError(
            f"{name} is a tensor that requires its gradient; use epgnumba.torch, which keeps it: fse_sim and the like, "
            "or simulate(..., parameters={name: tensor}) where it is a sequence's"
        ) from error
    except ValueError as error:
        raise ValueError(f"{name}={shown(value)} is ragged; a number or a regular array is needed") from error
    if isinstance(value, (np.ma.MaskedArray, list, tuple)):
        _refuse_hidden(name, value)
    return array


def real_array(name: str, value: Any) -> Array:
    """`value` as a float64 array.

    Raises
    ------
    TypeError
        If it holds anything but real numbers.
    ValueError
        If it is ragged.
    """
    if type(value) is float:
        return np.asarray(value)
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value.copy()
    array = plain_array(name, value)
    if array.dtype.kind not in "iuf":
        kind = {"c": "complex", "U": "text", "S": "text", "b": "boolean"}.get(array.dtype.kind, str(array.dtype))
        raise TypeError(f"{name}={shown(value)} is {kind}; real numbers are needed")
    if array.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            double = array.astype(np.float64)
        if (np.isinf(double) & ~np.isinf(array)).any():
            raise ValueError(f"{name}={shown(value)} is beyond what double precision holds")
        return double
    return array.astype(np.float64)


def _refuse_hidden(name: str, value: Any) -> None:
    """Refuse what NumPy turns into numbers without a word: masked arrays, and booleans among numbers."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, or holds one, whose mask would be ignored; fill it first")
    if isinstance(value, np.ndarray) and value.dtype.kind == "b":
        raise TypeError(f"{name} holds a boolean; real numbers are needed")
    if isinstance(value, (list, tuple)) and not set(map(type, value)) <= {float, int}:
        for inner in value:
            if isinstance(inner, (bool, np.bool_)):
                raise TypeError(f"{name}={shown(value)} holds a boolean; real numbers are needed")
            _refuse_hidden(name, inner)


def numeric_array(name: str, value: Any) -> npt.NDArray[Any]:
    """`value` as an array of finite real or complex numbers, in their own type.

    Raises
    ------
    TypeError, ValueError
        If it holds anything else, or hides anything behind a mask.
    """
    array = plain_array(name, value)
    if array.dtype.kind not in "iufc":
        raise TypeError(f"{name}={shown(value)} is not numeric")
    if not np.isfinite(array).all():
        where = ", ".join(str(int(i)) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}[{where}] is not finite")
    return array


def _written(number: float) -> str:
    """A number in six digits, or in all where six would be another."""
    short = f"{number:g}"
    return short if float(short) == number or np.isnan(number) else repr(float(number))


def in_words(
    positive: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    infinite: bool = False,
    unit: str = "",
) -> str:
    """Limits (see `check_range`) as an error message states them."""
    words = ["positive"] * positive + ["finite"] * (not infinite)
    words += [f"{end} {value:g}" for end, value in (("at least", minimum), ("at most", maximum)) if value is not None]
    return (", ".join(words) or "a number") + " (inf is allowed)" * infinite + (unit and f", in {unit}")


def check_range(
    name: str,
    array: Array,
    *,
    positive: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    infinite: bool = False,
    unit: str = "",
) -> Array:
    """Refuse NaN, infinity (unless `infinite`: then +inf is allowed) and values out of range, naming the first."""
    if not array.size:
        return array
    low, high = -LARGEST if minimum is None else minimum, LARGEST if maximum is None else maximum
    smallest, largest = np.minimum.reduce(array, axis=None), np.maximum.reduce(array, axis=None)
    if smallest >= low and largest <= high and (smallest > 0 or not positive):
        return array  # NaN fails the comparisons
    inside = (array >= low) & (array <= high) & ((array > 0) | (not positive))
    if infinite:
        inside |= array == np.inf
    if not inside.all():
        where = tuple(int(i) for i in np.argwhere(~inside)[0])
        place = f"[{', '.join(map(str, where))}]" if where else ""
        raise ValueError(
            f"{name}{place}={_written(array[where])} is not allowed: it must be "
            f"{in_words(positive, minimum, maximum, infinite, unit)}"
        )
    return array


def plainly_allowed(
    value: Any,
    *,
    positive: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    infinite: bool = False,
    unit: str = "",
) -> bool:
    """Whether `value` is a Python number within limits: what most calls bring, told in a fraction of a microsecond."""
    if type(value) not in (float, int) or (positive and value <= 0) or (minimum is not None and value < minimum):
        return False
    return bool(-LARGEST <= value <= (LARGEST if maximum is None else maximum) or (infinite and value == np.inf))


def scalar(name: str, value: Any, **limits: Any) -> float:
    """One real number within limits (see `check_range`)."""
    if plainly_allowed(value, **limits):
        return float(value)
    array = real_array(name, value)
    if array.ndim:
        raise ValueError(f"{name}={shown(value)} has shape {array.shape}; a single number is needed")
    return float(check_range(name, array, **limits))


def vector(name: str, value: Any, *, length: int | None = None, **limits: Any) -> Array:
    """A non-empty one-dimensional array within limits (see `check_range`)."""
    array = real_array(name, value)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name}={shown(value)} has shape {array.shape}; a non-empty one-dimensional array is needed")
    if length is not None and array.size != length:
        raise ValueError(f"{name} has {array.size} entries; {length} are needed")
    return check_range(name, array, **limits)


def count(name: str, value: Any, most: int | None = None) -> int:
    """A whole number, at least 1, and at most `most`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name}={shown(value)} is not a whole number; an integer of at least 1 is needed")
    if value < 1:
        raise ValueError(f"{name}={shown(value)} is not allowed: it must be at least 1")
    if most is not None and int(value) > most:
        raise ValueError(f"{name}={shown(value)} is not allowed: it must be at most {most}")
    return int(value)


def seed(name: str, value: Any) -> int:
    """A whole number, at least 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name}={shown(value)} is not a whole number")
    if value < 0:
        raise ValueError(f"{name}={shown(value)} is not allowed: it must be at least 0")
    return int(value)


def pulse_count(name: str, pulses: int) -> int:
    """A number of pulses that can be played, refused before anything is made of it."""
    if pulses > MOST_PULSES:
        raise ValueError(
            f"{name} makes {shown(pulses)} pulses; at most {MOST_PULSES} are played: states grow with their number, so "
            f"that these take up to {0.5 * min(pulses, 10**99) ** 2:.0e} state updates for each voxel, and minutes to "
            "prepare"
        )
    return pulses


def flag(name: str, value: Any) -> bool:
    """True or False; nothing else that happens to be true."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}={shown(value)} is not allowed: it must be True or False")
    return bool(value)


def needed(name: str, value: Any, kind: type) -> None:
    """Refuse what is no instance of a class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}={shown(value)} is not a {kind.__name__}")


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        near = hint(value, allowed)
        raise ValueError(f"{name}={shown(value)} is not allowed: it must be {' or '.join(map(repr, allowed))}{near}")
    return value


def read_names(name: str, value: Any, allowed: tuple[str, ...], played: Collection[str] = ()) -> tuple[str, ...]:
    """One or more names out of those allowed, none of them twice.

    `played`: names of the sequence's parameters, of whose derivatives an error says where they are.
    """
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (tuple, list)) or not all(isinstance(one, str) for one in names):
        raise TypeError(f"{name}={shown(value)} is not allowed: it must be a name or a tuple of names out of {allowed}")
    if not names:
        raise ValueError(f"{name} is empty; names out of {allowed} are needed")
    for one in names:
        if one in played and one not in allowed:
            raise ValueError(
                f"{name}={shown(value)}: {one!r} is a parameter of the sequence, and {name} names tissue parameters, "
                f"{allowed}; derivatives by the sequence's come from vjp, CRLBObjective and epgnumba.torch"
            )
        if one not in allowed:
            raise ValueError(
                f"{name}={shown(value)}: {shown(one)} is unknown{hint(one, allowed)}; allowed are {allowed}"
            )
    if len(set(names)) != len(names):
        raise ValueError(f"{name}={shown(value)} names a parameter twice")
    return tuple(names)


def file_path(name: str, value: Any) -> Path:
    """The path of a file."""
    if not isinstance(value, (str, Path)) or not str(value):
        raise TypeError(f"{name}={shown(value)} is not the path of a file")
    return Path(value)


def checked(name: str, value: Any, **limits: Any) -> Array:
    """`real_array` and `check_range`."""
    if plainly_allowed(value, **limits):
        return np.asarray(float(value))
    return check_range(name, real_array(name, value), **limits)


_PACKAGE = str(Path(__file__).parent)
_names: ContextVar[Mapping[str, str]] = ContextVar("_names", default={})  # noqa: B039, which nobody writes to


def in_words_of(text: str, names: Mapping[str, str]) -> str:
    """A message with the names that a caller has for arguments in place of ours."""
    if not names:
        return text
    return re.sub(r"\b(" + "|".join(names) + r")\b", lambda found: names[found[0]], text)


@contextmanager
def warnings_in_words_of(names: Mapping[str, str]) -> Iterator[None]:
    """Warnings in here, too."""
    before = _names.set(names)
    try:
        yield
    finally:
        _names.reset(before)


def warn_caller(message: str) -> None:
    """Warn at the line, outside this package and torch, that made the call."""
    torch = sys.modules.get("torch")
    inside = (_PACKAGE, str(Path(torch.__file__).parent)) if torch and torch.__file__ else (_PACKAGE,)
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        level, frame = level + 1, frame.f_back
    warnings.warn(in_words_of(message, _names.get()), stacklevel=level)
