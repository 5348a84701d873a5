"""Simulations on tensors: what is called with tensors runs as the functions of `functions`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import numpy.typing as npt
import torch

from .. import transmit
from ..arguments import Options, takes
from ..calls import Call, join, may_be_tensors, uncompiled
from ..checks import needed, real_array
from ..labels import is_labelled
from ..problem import Diff, Problem, read_problem
from ..sequence import Sequence
from ..slice_profile import NAME, from_names
from ..tissue_parameters import NAMES
from .functions import Spec, simulation

if TYPE_CHECKING:
    from typing_extensions import Unpack

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
        with call.renamed():
            return _on_sequence(call.sequence, call.parameters, call.given, call.diff)

    return join([run(call) for call in calls], lambda parts: torch.cat(parts, -1))


def on_tensors(form: Callable[P, Any]) -> Callable[P, Tensor | Any]:
    """A one-call form that returns tensors, whatever it is given."""
    told: Any = form

    @uncompiled
    @functools.wraps(form)
    def run(*args: P.args, **kwargs: P.kwargs) -> Tensor | Any:
        return run_calls(told.described(*args, **kwargs))

    run.__doc__ = f"""`epgnumba.{form.__name__}` on tensors, differentiable.

    Every numeric argument may be a tensor, and may require its gradient, which passes through the signal and the
    Jacobian: first and second derivatives are exact, in every mode of `torch.autograd` and `torch.func` but forward
    over forward. The computation runs in `dtype`, on the device where the tissue's maps lie; results come back on the
    tensors' device. `torch.compile` leaves it to Python.

    Arguments, shapes and errors are those of `epgnumba.{form.__name__}`; tensors on several devices are refused.
    """
    changed: Any = run
    changed.__signature__ = told.__signature__.replace(return_annotation="Tensor | Any")
    changed.__annotations__ = {**told.__annotations__, "return": Tensor | Any}
    return run


def _on_sequence(
    played: Callable[[Mapping[str, Any]], Sequence],
    parameters: Mapping[str, Numeric],
    given: Mapping[str, Any],
    diff: Diff,
) -> Any:
    """Signal, and Jacobian, of the sequence that parameters make; maps and options are `given`."""
    numeric = may_be_tensors(given)
    profile = [name for name in numeric if name.partition(".")[0] == NAME]
    options = {name: value for name, value in given.items() if name not in (*numeric, NAME, transmit.NAME)}

    def make(arrays: Mapping[str, Any]) -> Problem:
        sequence = played({name: arrays[name] for name in parameters})
        maps = {name: arrays[name] for name in numeric if name not in profile}
        if profile:
            maps[NAME] = from_names({name: arrays[name] for name in profile})
        return read_problem(sequence, **maps, diff=diff, **options)

    return _run(make, {**parameters, **numeric}, diff)


def _changed(sequence: Sequence, parameters: Mapping[str, Numeric] | None) -> Callable[[Mapping[str, Any]], Sequence]:
    """What makes the sequence anew with other parameters."""
    needed("sequence", sequence, Sequence)
    if parameters is None:
        return lambda changed: sequence
    needed("parameters", parameters, Mapping)
    clash = set(parameters) & {*NAMES, NAME}
    if clash:
        raise ValueError(f"parameters={sorted(clash)} are not parameters of the sequence")
    return lambda changed: sequence.replace(**changed) if changed else sequence


@uncompiled
@takes(Options)
def simulate(
    sequence: Sequence,
    T1: Numeric,
    T2: Numeric,
    *,
    parameters: Mapping[str, Numeric] | None = None,
    **given: Unpack[Options],
) -> Tensor:
    """Signal of a sequence as a tensor: `epgnumba.simulate`, differentiable; what is numeric may be a tensor.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    parameters : mapping of str to array_like or Tensor, optional
        New values for parameters of the sequence; this is how a gradient reaches them.
    **given
        Other maps, and options.

    Examples
    --------
    >>> import torch, epgnumba
    >>> train = epgnumba.FSE([180.0] * 3, ESP=10)
    >>> flip = torch.tensor([90.0, 120.0, 150.0], requires_grad=True)
    >>> simulate(train, T1=1000, T2=100, parameters={"flip": flip}).requires_grad
    True
    """
    played = _changed(sequence, parameters)
    signal: Tensor = _on_sequence(played, parameters or {}, {"T1": T1, "T2": T2, **given}, None)
    return signal


@uncompiled
@takes(Options)
def jacobian(
    sequence: Sequence,
    T1: Numeric,
    T2: Numeric,
    *,
    diff: str | tuple[str, ...] | list[str],
    parameters: Mapping[str, Numeric] | None = None,
    **given: Unpack[Options],
) -> tuple[Tensor, Tensor]:
    """Signal and tissue derivatives as tensors: `epgnumba.jacobian`, differentiable; what is numeric may be a tensor.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    parameters : mapping of str to array_like or Tensor, optional
        As for `simulate`.
    **given
        Other maps, and options.

    Examples
    --------
    >>> import epgnumba
    >>> signal, slope = jacobian(epgnumba.FSE([180.0] * 3, ESP=10), T1=1000, T2=100, diff=("T1", "T2"))
    >>> slope.shape
    torch.Size([2, 3])
    """
    if diff is None:
        raise TypeError("diff=None is not allowed: it must be a name or a tuple of names")
    played = _changed(sequence, parameters)
    pair: tuple[Tensor, Tensor] = _on_sequence(played, parameters or {}, {"T1": T1, "T2": T2, **given}, diff)
    return pair
