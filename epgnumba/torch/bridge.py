"""Simulations as differentiable functions of tensors.

A simulation is one `autograd.Function` of all its numeric arguments, returning signal and Jacobian. Its derivatives are
functions again, of tensors and of cotangents or tangents, so that `torch.func` can batch them: `_Pull` is one reverse
sweep, `_Push` one complex step.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .. import verbs
from ..calls import Call, join
from ..checks import real_array, shown
from ..problem import Diff, Problem, read_problem
from ..sequence import Sequence
from ..sequence.sequence import NAMES
from ..tissue import Tissue

Tensor = torch.Tensor
Numeric = npt.ArrayLike | Tensor


@dataclass
class _Spec:
    """How to make a checked problem of named arrays, and the names, in the order of the tensors."""

    make: Callable[[Mapping[str, Any]], Problem]
    names: tuple[str, ...]
    _last: tuple[tuple[Any, ...], tuple[Tensor, ...], Problem] | None = None

    def problem(self, tensors: tuple[Tensor, ...]) -> Problem:
        """The problem of these tensors; the last one again if they are the same memory, unchanged (as going back).

        Maps on a CUDA device stay there.
        """
        last = self._last
        tracked = not any(t.is_inference() for t in tensors)
        key = tuple((t.data_ptr(), t._version, t.shape, t.stride(), t.dtype) for t in tensors) if tracked else ()
        if last is not None and tracked and last[0] == key:
            return last[2]
        pairs = list(zip(self.names, tensors, strict=True))
        problem = self.make({name: t.detach() if name in NAMES and stays(t) else _array(t) for name, t in pairs})
        if tracked:
            self._last = key, tensors, problem  # holding the tensors keeps their memory from being used again
        return problem


def stays(tensor: Tensor) -> bool:
    """Whether a map of tissue is left where it is."""
    return tensor.is_cuda


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    """What a tensor holds, in double precision if it is of floating point."""
    plain = tensor.detach()
    if plain.device.type != "cpu":
        plain = plain.cpu()
    if plain.is_conj() or plain.is_neg():
        plain = plain.resolve_conj().resolve_neg()
    if plain.dtype == torch.bfloat16:
        plain = plain.to(torch.float32)
    array: npt.NDArray[Any] = plain.numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" and array.dtype != np.float64 else array


def _tensors(arrays: tuple[Any, ...], device: torch.device) -> tuple[Tensor, ...]:
    """Results as tensors on a device; what is one already lies there."""
    tensors = (x if isinstance(x, Tensor) else torch.from_numpy(np.asarray(x, order="C")) for x in arrays)
    return tuple(tensors) if device.type == "cpu" else tuple(tensor.to(device) for tensor in tensors)


def _apply(function: type[torch.autograd.Function], *values: Any) -> tuple[Tensor, ...]:
    """Call a differentiable function (whose `apply` torch leaves untyped)."""
    results: tuple[Tensor, ...] = function.apply(*values)  # type: ignore[no-untyped-call]
    return results


def _loop(
    function: Callable[..., tuple[Tensor, ...]], info: Any, in_dims: tuple[int | None, ...], values: tuple[Any, ...]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Batching rule: call once for each element of the batch."""
    results = []
    for b in range(info.batch_size):
        chosen = (value if dim is None else value.select(dim, b) for value, dim in zip(values, in_dims, strict=True))
        results.append(function(*chosen))
    stacked = tuple(torch.stack(column) for column in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)


# Whether torch.func is at work; if torch no longer tells, suppose that it is.
_transforms_active: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)


class _Simulation(torch.autograd.Function):
    """(spec, *tensors) -> (signal, jacobian)."""

    @staticmethod
    def forward(spec: _Spec, *tensors: Tensor) -> tuple[Tensor, ...]:
        problem = spec.problem(tensors)
        signal, derivatives = verbs.signals(problem)
        shaped = problem.shape_signal(signal), problem.shape_jacobian(derivatives) if problem.codes else derivatives
        return _tensors(shaped, tensors[0].device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.spec, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        needed = tuple(ctx.needs_input_grad[1:])
        if torch.is_grad_enabled() or _transforms_active():  # somebody may differentiate or batch this
            pulled = iter(_apply(_Pull, ctx.spec, needed, *bars, *ctx.saved_tensors))
        else:
            pulled = iter(_Pull.forward(ctx.spec, needed, *bars, *ctx.saved_tensors))
        return None, *(next(pulled) if need else None for need in needed)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        tensors = ctx.saved_tensors
        steps = [torch.zeros_like(x) if t is None else t for x, t in zip(tensors, tangents[1:], strict=True)]
        return _apply(_Push, ctx.spec, *tensors, *steps)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return _loop(_Simulation.apply, info, in_dims, values)


class _Pull(torch.autograd.Function):
    """(spec, needed, signal_bar, jacobian_bar, *tensors) -> derivatives with respect to the tensors needed."""

    @staticmethod
    def forward(spec: _Spec, needed: tuple[bool, ...], *values: Tensor) -> tuple[Tensor, ...]:
        signal_bar, jacobian_bar, *tensors = values
        problem = spec.problem(tuple(tensors))
        wanted = tuple(name for name, need in zip(spec.names, needed, strict=True) if need)
        read: Callable[[Tensor], Any] = _array if isinstance(problem.tissue, Tissue) else torch.Tensor.detach
        bars = verbs.pull_back(problem, read(signal_bar), read(jacobian_bar), wanted)
        chosen = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
        pulled = _tensors(tuple(bars[name] for name in wanted), signal_bar.device)
        return tuple(bar.to(tensor.dtype) for bar, tensor in zip(pulled, chosen, strict=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.spec, ctx.needed, *values = inputs
        ctx.save_for_backward(*values)

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        if any(ctx.needs_input_grad[4:]):
            raise NotImplementedError(
                "second derivatives by a reverse sweep through a reverse sweep are not available; "
                "use torch.func.jvp or jacfwd of a first derivative with respect to signal and Jacobian only"
            )
        _, _, *tensors = ctx.saved_tensors
        given = iter(bars)
        steps = [
            next(given).to(x.dtype) if need else torch.zeros_like(x)
            for x, need in zip(tensors, ctx.needed, strict=True)
        ]
        signal, derivatives = _apply(_Push, ctx.spec, *tensors, *steps)
        return None, None, signal, derivatives, *(None for _ in tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return _loop(_Pull.apply, info, (None, None, *in_dims[2:]), values)


class _Push(torch.autograd.Function):
    """(spec, *tensors, *tangents) -> derivatives of signal and Jacobian along the tangents."""

    @staticmethod
    def forward(spec: _Spec, *values: Tensor) -> tuple[Tensor, ...]:
        tensors, tangents = values[: len(spec.names)], values[len(spec.names) :]
        problem = spec.make({name: _array(tensor) for name, tensor in zip(spec.names, tensors, strict=True)})
        steps = {name: _array(t) for name, t in zip(spec.names, tangents, strict=True) if bool((t != 0).any())}
        return _tensors(verbs.push_forward(problem, steps), tensors[0].device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[None, ...]:
        raise NotImplementedError("derivatives of a directional derivative are not available")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return _loop(_Push.apply, info, in_dims, values)


# torch asks for these signatures at every call; found once, they need not be worked out again.
for _forward in (_Simulation.forward, _Pull.forward, _Push.forward):
    setattr(_forward, "__signature__", inspect.signature(_forward))  # noqa: B010


def _run(make: Callable[[Mapping[str, Any]], Problem], given: Mapping[str, Any], diff: Diff) -> Any:
    """Call the simulation: what is a tensor is differentiated, the rest is fixed."""
    devices = {value.device for value in given.values() if isinstance(value, Tensor)}
    if len(devices) > 1:
        raise ValueError(f"the tensors lie on several devices, {sorted(map(str, devices))}; one is needed")
    fixed = {name: value for name, value in given.items() if not isinstance(value, Tensor)}
    for name, value in fixed.items():
        if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            raise TypeError(f"{name} is a {type(value).__name__} of tensors; stack them, so that gradients are kept")
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    if not tensors:  # something for the result to lie beside
        first = next(iter(fixed))
        tensors = {first: torch.from_numpy(np.array(real_array(first, fixed.pop(first)), order="C"))}
    spec = _Spec(lambda arrays: make({**fixed, **arrays}), tuple(tensors))
    signal, derivatives = _apply(_Simulation, spec, *tensors.values())
    return signal if diff is None else (signal, derivatives)


def run_calls(calls: list[Call]) -> Any:
    """One-call forms on tensors, joined along the readouts."""

    def run(call: Call) -> Any:
        def make(arrays: Mapping[str, Any]) -> Problem:
            sequence = call.sequence({name: arrays[name] for name in call.parameters})
            options = {**call.options, "slice_prof": arrays["slice_prof"]}
            return read_problem(sequence, **{name: arrays[name] for name in call.tissue}, diff=call.diff, **options)

        return _run(make, call.values, call.diff)

    return join([run(call) for call in calls], torch.cat)


def on_tensors(form: Callable[..., Any]) -> Callable[..., Any]:
    """A one-call form that returns tensors, whatever it is given."""
    describe = form.__wrapped__  # type: ignore[attr-defined]

    @functools.wraps(form)
    def run(*args: Any, **kwargs: Any) -> Any:
        described = describe(*args, **kwargs)
        return run_calls([described] if isinstance(described, Call) else described)

    run.__doc__ = f"""`epgnumba.{form.__name__}` on tensors, differentiable.

    Every numeric argument may be a tensor, and may require its gradient, which passes through the signal and the
    Jacobian. `torch.autograd` (first order) and grad, vjp, jvp, jacrev, jacfwd and vmap of `torch.func` apply. The
    computation runs in `dtype`, on the device where the tissue's maps lie; results come back on the tensors' device.

    Arguments, shapes and errors are those of `epgnumba.{form.__name__}`; tensors on several devices are refused.
    """
    return run


def _on_sequence(
    sequence: Sequence, tissue: dict[str, Numeric], parameters: Mapping[str, Numeric] | None, diff: Diff, options: Any
) -> Any:
    if not isinstance(sequence, Sequence):
        raise TypeError(f"sequence={shown(sequence)} is not a Sequence")
    changed = dict(parameters or {})
    clash = set(changed) & set(tissue)
    if clash:
        raise ValueError(f"parameters={sorted(clash)} are not parameters of the sequence")

    def make(arrays: Mapping[str, Any]) -> Problem:
        played = sequence.replace(**{name: arrays[name] for name in changed}) if changed else sequence
        return read_problem(played, **{name: arrays[name] for name in tissue}, diff=diff, **options)

    return _run(make, {**tissue, **changed}, diff)


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
    dtype: npt.DTypeLike = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
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
    options = {"nstates": nstates, "dtype": dtype, "check_nstates": check_nstates, "device": device}
    signal: Tensor = _on_sequence(sequence, tissue, parameters, None, options)
    return signal


def jacobian(
    sequence: Sequence,
    T1: Numeric,
    T2: Numeric,
    B1: Numeric = 1.0,
    M0: Numeric = 1.0,
    *,
    B0: Numeric = 0.0,
    inv_efficiency: Numeric = 1.0,
    diff: str | tuple[str, ...],
    parameters: Mapping[str, Numeric] | None = None,
    slice_prof: Numeric = 1.0,
    nstates: int | None = None,
    dtype: npt.DTypeLike = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
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
    options = {"nstates": nstates, "dtype": dtype, "check_nstates": check_nstates, "device": device}
    pair: tuple[Tensor, Tensor] = _on_sequence(sequence, tissue, parameters, diff, options)
    return pair
