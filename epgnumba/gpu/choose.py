"""Which device a call runs on."""

import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..checks import shown
from .home import CuPyHome, Home


def _runtime() -> Any:
    """The device, from the host's side.

    Raises
    ------
    RuntimeError
        If there is none, saying what is missing.
    """
    if find_spec("numba_cuda") is None:
        raise RuntimeError('CUDA is not available: numba-cuda is not installed; pip install "epgnumba[cuda]" brings it')
    runtime = import_module("epgnumba.kernels.cuda.runtime")
    if not runtime.is_available():
        raise RuntimeError("CUDA is not available: numba-cuda finds no device, or no driver that goes with it")
    return runtime


def device_names() -> list[str]:
    """Names of the devices that can be used.

    Raises
    ------
    RuntimeError
        If there is none, saying what is missing.
    """
    names: list[str] = _runtime().device_names()
    return names


def read_device(device: Any) -> int | None:
    """Number of the CUDA device that was asked for; None for the CPU.

    Raises
    ------
    ValueError
        If it is anything but None, "cpu", "cuda" or "cuda:" and a number, or there is no such device.
    RuntimeError
        If CUDA is not available, saying what is missing.
    """
    named = device if isinstance(device, str) else ""
    if device is None or named == "cpu":
        return None
    found = re.fullmatch(r"cuda(?::([0-9]{1,9}))?", named)
    if not found:
        raise ValueError(f"device={shown(device)} is not allowed: it must be 'cpu', 'cuda' or 'cuda:' and a number")
    index, count = int(found[1] or 0), _runtime().device_count()
    if index >= count:
        raise ValueError(f"device={device!r} is not there: {count} CUDA device{'s' * (count != 1)} can be seen")
    return index


def library(value: Any) -> str | None:
    """The library of an array on a CUDA device; None for anything else."""
    try:
        value.__cuda_array_interface__  # noqa: B018
    except RuntimeError:  # a tensor that requires its gradient
        raise TypeError("a tensor requires its gradient; use epgnumba.torch, which keeps it") from None
    except (AttributeError, TypeError):
        return None
    return type(value).__module__.partition(".")[0]


def place(value: Any) -> tuple[str, int]:
    """Library and device of an array of torch or CuPy."""
    kind = library(value) or ""
    index = value.device.id if kind == "cupy" else value.device.index
    return kind, int(index or 0)


def find_home(values: Mapping[str, Any]) -> Home | None:
    """Where the arrays among some arguments lie, if it is on a CUDA device; None if none does.

    Raises
    ------
    ValueError
        If they lie on several devices.
    TypeError
        If they belong to several libraries, or to one that is not known.
    RuntimeError
        If CUDA is not available to this package, saying what is missing.
    """
    found: dict[str, tuple[str, int]] = {}
    for name, value in values.items():
        kind = library(value)
        if kind is not None:
            if kind not in ("torch", "cupy"):
                raise TypeError(f"{name} is an array of {kind}; tensors of torch and arrays of CuPy are known")
            found[name] = place(value)
    if not found:
        return None
    places = set(found.values())
    if len(places) > 1:
        where = ", ".join(f"{name} on cuda:{index} ({kind})" for name, (kind, index) in found.items())
        raise ValueError(f"arrays lie on several devices, or belong to several libraries: {where}")
    kind, index = places.pop()
    _runtime()
    if kind == "torch":
        home: Home = import_module("epgnumba.torch.home").TorchHome(index)
        return home
    return CuPyHome(index)
