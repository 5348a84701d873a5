"""Simulations on tensors: what is called with tensors runs as the functions of `functions`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import numpy as np
import numpy.typing as npt
import torch

from ..calls import Call, join, returning, uncompiled
from ..checks import needed, real_array
from ..labels import is_labelled
from ..problem import Diff, Precision, Problem, read_problem
from ..sequence import Sequence
from .functions import Spec, simulation

Tensor = torch.Tensor
P = ParamSpec("P")
Numeric = npt.ArrayLike | Tensor


def _run(make: Callable[[Mapping[str, Any]], Problem], given: Mapping[str, Any], diff: Diff) -> Any:
    """Call the simulation: what is a tensor is differentiated, the rest is fixed."""
    devices = {value.device for value in given.values() if isinstance(value, Tensor)}
    if len(devices) > 1:
        raise ValueError(f"the tensors lie on several devices, {sorted(map(str, devices))}; one is needed")
    fixed = {name: value for name, value in given.items() if not isinstance(value, Tensor)}
    for name, value in fixed.items():
        if is_labelled(value):
            raise TypeError(f"{name} is a DataArray, whose names no tensor keeps; give {name}.values")
        if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            raise TypeError(f"{name} is a {type(value).__name__} of tensors; stack them, so that gradients are kept")
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    if not tensors:  # something for the result to lie beside
        first = next(iter(fixed))
        tensors = {first: torch.from_numpy(np.array(real_array(first, fixed.pop(first)), order="C"))}
    spec = Spec(lambda arrays: make({**fixed, **arrays}), tuple(tensors))
    signal, derivatives = simulation(spec, *tensors.values())
    return signal if diff is None else (signal, derivatives)


def run_calls(calls: list[Call]) -> Any:
    """One-call forms on tensors, joined along the readouts."""

    def run(call: Call) -> Any:
        def make(arrays: Mapping[str, Any]) -> Problem:
            sequence = call.sequence({name: arrays[name] for name in call.parameters})
            options = {**call.options, "slice_prof": arrays["slice_prof"]}
            return read_problem(sequence, **{name: arrays[name] for name in call.tissue}, diff=call.diff, **options)

        with call.renamed():
            return _run(make, call.values, call.diff)

    return join([run(call) for call in calls], lambda parts: torch.cat(parts, -1))


def on_tensors(form: Callable[P, Any]) -> Callable[P, Tensor | Any]:
    """A one-call form that returns tensors, whatever it is given."""
    describe = inspect.unwrap(form)

    @uncompiled
    @functools.wraps(form)
    def run(*args: P.args, **kwargs: P.kwargs) -> Tensor | Any:
        described = describe(*args, **kwargs)
        return run_calls([described] if isinstance(described, Call) else described)

    run.__doc__ = f"""`epgnumba.{form.__name__}` on tensors, differentiable.

    Every numeric argument may be a tensor, and may require its gradient, which passes through the signal and the
    Jacobian: first and second derivatives are exact, in every mode of `torch.autograd` and `torch.func` but forward
    over forward. The computation runs in `dtype`, on the device where the tissue's maps lie; results come back on the
    tensors' device. `torch.compile` leaves it to Python.

    Arguments, shapes and errors are those of `epgnumba.{form.__name__}`; tensors on several devices are refused.
    """
    return returning("Tensor | Any", Tensor | Any, run)


def _on_sequence(
    sequence: Sequence, tissue: dict[str, Numeric], parameters: Mapping[str, Numeric] | None, diff: Diff, options: Any
) -> Any:
    needed("sequence", sequence, Sequence)
    if parameters is not None:
        needed("parameters", parameters, Mapping)
    changed = dict(parameters or {})
    clash = set(changed) & set(tissue)
    if clash:
        raise ValueError(f"parameters={sorted(clash)} are not parameters of the sequence")

    def make(arrays: Mapping[str, Any]) -> Problem:
        played = sequence.replace(**{name: arrays[name] for name in changed}) if changed else sequence
        return read_problem(played, **{name: arrays[name] for name in tissue}, diff=diff, **options)

    return _run(make, {**tissue, **changed}, diff)


@uncompiled
def simulate(
    sequence: Sequence,
    T1: Numeric,
    T2: Numeric,
    B1: Numeric = 1.0,
    M0: Numeric = 1.0,
    *,
    B0: Numeric = 0.0,
    inv_efficiency: Numeric = 1.0,
    parameters: Mapping[str, Numeric] | None = None,
    slice_prof: Numeric = 1.0,
    nstates: int | None = None,
    dtype: Precision = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> Tensor:
    """Signal of a sequence as a tensor: `epgnumba.simulate`, differentiable.

    Parameters
    ----------
    parameters : mapping of str to array_like or Tensor, optional
        New values for parameters of the sequence; this is how a gradient reaches them.

    Other parameters are those of `epgnumba.simulate`; any may be a tensor.

    Examples
    --------
    >>> import torch, epgnumba
    >>> train = epgnumba.FSE([180.0] * 3, ESP=10)
    >>> flip = torch.tensor([90.0, 120.0, 150.0], requires_grad=True)
    >>> simulate(train, T1=1000, T2=100, parameters={"flip": flip}).requires_grad
    True
    """
    tissue = {
        "T1": T1, "T2": T2, "B1": B1, "M0": M0, "B0": B0, "inv_efficiency": inv_efficiency, "slice_prof": slice_prof
    }  # fmt: skip
    options = {"nstates": nstates, "dtype": dtype, "check_nstates": check_nstates, "device": device, "mask": mask}
    signal: Tensor = _on_sequence(sequence, tissue, parameters, None, options)
    return signal


@uncompiled
def jacobian(
    sequence: Sequence,
    T1: Numeric,
    T2: Numeric,
    B1: Numeric = 1.0,
    M0: Numeric = 1.0,
    *,
    B0: Numeric = 0.0,
    inv_efficiency: Numeric = 1.0,
    diff: str | tuple[str, ...] | list[str],
    parameters: Mapping[str, Numeric] | None = None,
    slice_prof: Numeric = 1.0,
    nstates: int | None = None,
    dtype: Precision = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> tuple[Tensor, Tensor]:
    """Signal and tissue derivatives as tensors: `epgnumba.jacobian`, differentiable.

    See `simulate` for `parameters`; the others are those of `epgnumba.jacobian`.

    Examples
    --------
    >>> import epgnumba
    >>> signal, slope = jacobian(epgnumba.FSE([180.0] * 3, ESP=10), T1=1000, T2=100, diff=("T1", "T2"))
    >>> slope.shape
    torch.Size([2, 3])
    """
    if diff is None:
        raise TypeError("diff=None is not allowed: it must be a name or a tuple of names")
    tissue = {
        "T1": T1, "T2": T2, "B1": B1, "M0": M0, "B0": B0, "inv_efficiency": inv_efficiency, "slice_prof": slice_prof
    }  # fmt: skip
    options = {"nstates": nstates, "dtype": dtype, "check_nstates": check_nstates, "device": device, "mask": mask}
    pair: tuple[Tensor, Tensor] = _on_sequence(sequence, tissue, parameters, diff, options)
    return pair
