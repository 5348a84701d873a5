"""Checks of what users hand in: every error names the argument, its value and what is allowed."""

import sys
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def shown(value: Any) -> str:
    """`value` as an error message quotes it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


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
    try:
        array = np.asarray(value)
    except TypeError as error:
        if not hasattr(type(value), "__cuda_array_interface__"):
            raise
        raise TypeError(f"{name} lies on a CUDA device; it is needed in host memory") from error
    except RuntimeError as error:
        raise TypeError(f"{name} is a tensor that requires its gradient; use epgnumba.torch, which keeps it") from error
    except ValueError as error:
        raise ValueError(f"{name}={shown(value)} is ragged; a number or a regular array is needed") from error
    if array.dtype.kind not in "iuf":
        kind = {"c": "complex", "U": "text", "S": "text", "b": "boolean"}.get(array.dtype.kind, str(array.dtype))
        raise TypeError(f"{name}={shown(value)} is {kind}; real numbers are needed")
    if isinstance(array, np.ma.MaskedArray) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; fill it first")
    return array.astype(np.float64)


def check_range(
    name: str,
    array: Array,
    *,
    positive: bool = False,
    minimum: float | None = None,
    infinite: bool = False,
    unit: str = "",
) -> Array:
    """Refuse NaN, infinity (unless allowed) and values out of range, naming the first offender."""
    if not array.size:
        return array
    smallest, largest = np.minimum.reduce(array, axis=None), np.maximum.reduce(array, axis=None)
    if smallest >= (minimum or 0) and smallest > 0 and largest < np.inf:
        return array  # nothing to object to, whatever the limits (NaN fails both comparisons)
    bad = np.isnan(array) | (array == -np.inf) if infinite else ~np.isfinite(array)
    allowed = "any number or inf" if infinite else "finite"
    if positive:
        bad = bad | (array <= 0)
        allowed = "positive (inf is allowed)" if infinite else "positive and finite"
    elif minimum is not None:
        bad = bad | (array < minimum)
        allowed = f"at least {minimum:g}" + (" (inf is allowed)" if infinite else " and finite")
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f"[{', '.join(map(str, where))}]" if where else ""
        raise ValueError(
            f"{name}{place}={array[where]:g} is not allowed: it must be {allowed}{unit and ', in ' + unit}"
        )
    return array


def _plainly_allowed(
    value: Any, *, positive: bool = False, minimum: float | None = None, infinite: bool = False, unit: str = ""
) -> bool:
    """Whether `value` is a Python number within limits: what most calls bring, told in a fraction of a microsecond."""
    if type(value) not in (float, int) or (positive and value <= 0) or (minimum is not None and value < minimum):
        return False
    return bool(-np.inf < value < np.inf or (infinite and value == np.inf))


def scalar(name: str, value: Any, **limits: Any) -> float:
    """One real number within limits (see `check_range`)."""
    if _plainly_allowed(value, **limits):
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


def count(name: str, value: Any) -> int:
    """A whole number, at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}={shown(value)} is not a whole number; an integer of at least 1 is needed")
    if value < 1:
        raise ValueError(f"{name}={value} is not allowed: it must be at least 1")
    return int(value)


def checked(name: str, value: Any, **limits: Any) -> Array:
    """`real_array` and `check_range`."""
    if _plainly_allowed(value, **limits):
        return np.asarray(float(value))
    return check_range(name, real_array(name, value), **limits)


_PACKAGE = str(Path(__file__).parent)


def warn_caller(message: str) -> None:
    """Warn at the line, outside this package and torch, that made the call."""
    torch = sys.modules.get("torch")
    inside = (_PACKAGE, str(Path(torch.__file__).parent)) if torch and torch.__file__ else (_PACKAGE,)
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
