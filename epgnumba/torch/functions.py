"""Simulations as differentiable functions of tensors.

A simulation is one `autograd.Function` of all its numeric arguments, returning signal and Jacobian. Its derivatives are
functions again, so that `torch.func` can batch and differentiate them. With f for signal and Jacobian, x for the
tensors, t for a tangent and b for a cotangent:

| function | value | its derivatives |
|---|---|---|
| `_Simulation` | f(x) | `_Push`, `_Pull` |
| `_Pull` | f'(x)^T b, one reverse sweep | `_PushPull`; by b `_Push` |
| `_Push` | f'(x) t, one complex step | by x `_PushPull`, by t `_Pull`; forward: none |
| `_PushPull` | (f'(x)^T b)' along t and a tangent of b, one complex step of a reverse sweep | none |

`_PushPull` serves in both modes, since second derivatives are symmetric: the derivative by x of <b, f'(x) t> is that of
f'(x)^T b along t.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..calls import uncompiled
from ..derivatives import pull_back, push_forward, push_pull
from ..problem import Problem
from ..tissue import Tissue
from ..tissue_parameters import NAMES
from ..verbs import signals
from .tracing import record, recorder

Tensor = torch.Tensor

TWICE_FORWARD = (
    "forward mode over forward mode (jvp of jvp, jacfwd of jacfwd) is not available for simulations; for second "
    "derivatives use torch.func.hessian, jvp or jacfwd of grad, or jacrev of jacfwd; there are no third ones"
)
THIRD = "third derivatives of a simulation are not available; take finite differences of second ones, which are exact"


@dataclass
class Spec:
    """How to make a checked problem of named arrays, and the names, in the order of the tensors."""

    make: Callable[[Mapping[str, Any]], Problem]
    names: tuple[str, ...]
    _last: dict[bool, tuple[tuple[Any, ...], tuple[Tensor, ...], Problem]] = field(default_factory=dict)

    def problem(self, tensors: tuple[Tensor, ...], host: bool = False) -> Problem:
        """The problem of these tensors; the last one again if they are the same memory, unchanged (as going back).

        Maps on a CUDA device stay there, unless they are asked for in host memory.
        """
        last = self._last.get(host)
        tracked = not any(t.is_inference() for t in tensors)
        key = tuple((t.data_ptr(), t._version, t.shape, t.stride(), t.dtype) for t in tensors) if tracked else ()
        if last is not None and tracked and last[0] == key:
            return last[2]
        pairs = list(zip(self.names, tensors, strict=True))
        problem = self.make(
            {name: t.detach() if name in NAMES and stays(t) and not host else _array(t) for name, t in pairs}
        )
        if tracked:
            self._last[host] = key, tensors, problem  # holding the tensors keeps their memory from being used again
        return problem

    def anew(self) -> "Spec":
        """The same, without a last problem: in a graph it is called with memory that others may have changed."""
        return Spec(self.make, self.names)

    def moves(self, tangents: tuple[Tensor, ...]) -> dict[str, npt.NDArray[Any]]:
        """Tangents by name, those that are zero left out: what does not move costs nothing."""
        pairs = zip(self.names, tangents, strict=True)
        return {name: _array(tangent) for name, tangent in pairs if bool((tangent != 0).any())}

    def chosen(self, needed: tuple[bool, ...]) -> tuple[str, ...]:
        """Names of the tensors that are needed."""
        return tuple(name for name, need in zip(self.names, needed, strict=True) if need)


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


def _needed(bars: Mapping[str, Any], tensors: Sequence[Tensor], needed: tuple[bool, ...]) -> tuple[Tensor, ...]:
    """Derivatives by the tensors that are needed, beside them and in their type."""
    chosen = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
    pulled = _tensors(tuple(bars.values()), tensors[0].device)
    return tuple(bar.to(tensor.dtype) for bar, tensor in zip(pulled, chosen, strict=True))


def _filled(values: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    """Zeros for those that are not there."""
    return [torch.zeros_like(x) if value is None else value for value, x in zip(values, like, strict=True)]


def _spread(values: Sequence[Tensor], needed: tuple[bool, ...]) -> list[Tensor | None]:
    """Values of what is needed in their places, None in the others."""
    given = iter(values)
    return [next(given) if need else None for need in needed]


def apply(function: type[torch.autograd.Function], *values: Any) -> tuple[Tensor, ...]:
    """Call a differentiable function (whose `apply` torch leaves untyped)."""
    results: tuple[Tensor, ...] = function.apply(*values)  # type: ignore[no-untyped-call]
    return results


def loop(
    function: Callable[..., tuple[Tensor, ...]], info: Any, in_dims: tuple[int | None, ...], values: tuple[Any, ...]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Batching rule: call once for each element of the batch."""
    if info.batch_size == 0:
        raise ValueError("vmap over an empty batch: there is nothing to simulate")
    results = []
    for b in range(info.batch_size):
        chosen = (value if dim is None else value.select(dim, b) for value, dim in zip(values, in_dims, strict=True))
        results.append(function(*chosen))
    stacked = tuple(torch.stack(column) for column in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)


# If torch no longer tells whether torch.func is at work, suppose that it is.
_transforms_active: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)


def _watched() -> bool:
    """Whether somebody may differentiate or batch what is computed now: a graph, torch.func, or forward mode."""
    forward_level = getattr(torch.autograd.forward_ad, "_current_level", 0)  # -1 outside of all dual levels
    return torch.is_grad_enabled() or _transforms_active() or forward_level >= 0


class _Simulation(torch.autograd.Function):
    """(spec, *tensors) -> (signal, jacobian)."""

    @staticmethod
    def forward(spec: Spec, *tensors: Tensor) -> tuple[Tensor, ...]:
        mode = recorder()
        if mode is not None:
            return record(mode, _Simulation, lambda: (spec.anew(),), tensors)
        problem = spec.problem(tensors)
        signal, derivatives = signals(problem)
        shaped = problem.shape_signal(signal), problem.shape_jacobian(derivatives) if problem.codes else derivatives
        return _tensors(shaped, tensors[0].device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.spec, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    @uncompiled
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        needed = tuple(ctx.needs_input_grad[1:])
        if _watched():
            pulled = apply(_Pull, ctx.spec, needed, *bars, *ctx.saved_tensors)
        else:
            pulled = _Pull.forward(ctx.spec, needed, *bars, *ctx.saved_tensors)
        return None, *_spread(pulled, needed)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        tensors = ctx.saved_tensors
        return apply(_Push, ctx.spec, *tensors, *_filled(tangents[1:], tensors))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return loop(_Simulation.apply, info, in_dims, values)


class _Pull(torch.autograd.Function):
    """(spec, needed, signal_bar, jacobian_bar, *tensors) -> derivatives with respect to the tensors needed."""

    @staticmethod
    def forward(spec: Spec, needed: tuple[bool, ...], *values: Tensor) -> tuple[Tensor, ...]:
        mode = recorder()
        if mode is not None:
            return record(mode, _Pull, lambda: (spec.anew(), needed), values)
        signal_bar, jacobian_bar, *tensors = values
        problem = spec.problem(tuple(tensors))
        read: Callable[[Tensor], Any] = _array if isinstance(problem.tissue, Tissue) else torch.Tensor.detach
        bars = pull_back(problem, read(signal_bar), read(jacobian_bar), spec.chosen(needed))
        return _needed(bars, tensors, needed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.spec, ctx.needed, *values = inputs
        ctx.save_for_backward(*values)
        ctx.save_for_forward(*values)

    @staticmethod
    @uncompiled
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        needed = tuple(ctx.needs_input_grad[4:])
        signal_bar, jacobian_bar, *tensors = ctx.saved_tensors
        steps = _filled(_spread(bars, ctx.needed), tensors)
        signal, derivatives = None, None
        pulled: tuple[Tensor, ...] = ()
        if any(ctx.needs_input_grad[2:4]):
            signal, derivatives = apply(_Push, ctx.spec, *tensors, *steps)
        if any(needed):
            still = torch.zeros_like(signal_bar), torch.zeros_like(jacobian_bar)
            pulled = apply(_PushPull, ctx.spec, needed, signal_bar, jacobian_bar, *still, *tensors, *steps)
        return None, None, signal, derivatives, *_spread(pulled, needed)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        signal_bar, jacobian_bar, *tensors = ctx.saved_tensors
        moves = _filled(tangents[2:], ctx.saved_tensors)
        return apply(_PushPull, ctx.spec, ctx.needed, signal_bar, jacobian_bar, *moves[:2], *tensors, *moves[2:])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return loop(_Pull.apply, info, (None, None, *in_dims[2:]), values)


class _Push(torch.autograd.Function):
    """(spec, *tensors, *tangents) -> derivatives of signal and Jacobian along the tangents."""

    @staticmethod
    def forward(spec: Spec, *values: Tensor) -> tuple[Tensor, ...]:
        mode = recorder()
        if mode is not None:
            return record(mode, _Push, lambda: (spec.anew(),), values)
        tensors, tangents = values[: len(spec.names)], values[len(spec.names) :]
        results = push_forward(spec.problem(tensors, host=True), spec.moves(tangents))
        return _tensors(results, tensors[0].device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.spec, *values = inputs
        ctx.save_for_backward(*values)

    @staticmethod
    @uncompiled
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.spec.names)
        by_tensors, by_tangents = tuple(ctx.needs_input_grad[1 : 1 + count]), tuple(ctx.needs_input_grad[1 + count :])
        tensors = ctx.saved_tensors[:count]
        pushed: tuple[Tensor, ...] = ()
        pulled: tuple[Tensor, ...] = ()
        if any(by_tensors):
            still = (torch.zeros_like(bar) for bar in bars)
            pushed = apply(_PushPull, ctx.spec, by_tensors, *bars, *still, *ctx.saved_tensors)
        if any(by_tangents):
            pulled = apply(_Pull, ctx.spec, by_tangents, *bars, *tensors)
        return None, *_spread(pushed, by_tensors), *_spread(pulled, by_tangents)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        raise NotImplementedError(TWICE_FORWARD)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return loop(_Push.apply, info, in_dims, values)


class _PushPull(torch.autograd.Function):
    """(spec, needed, *bars, *their tangents, *tensors, *tangents) -> derivatives of `_Pull` along the tangents."""

    @staticmethod
    def forward(spec: Spec, needed: tuple[bool, ...], *values: Tensor) -> tuple[Tensor, ...]:
        mode = recorder()
        if mode is not None:
            return record(mode, _PushPull, lambda: (spec.anew(), needed), values)
        tensors, tangents = values[4 : 4 + len(spec.names)], values[4 + len(spec.names) :]
        signal_bar, jacobian_bar, signal_move, jacobian_move = map(_array, values[:4])
        bars, moves = (signal_bar, jacobian_bar), (signal_move, jacobian_move)
        problem = spec.problem(tensors, host=True)
        return _needed(push_pull(problem, bars, spec.moves(tangents), moves, spec.chosen(needed)), tensors, needed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    @uncompiled
    def backward(ctx: Any, *bars: Tensor) -> tuple[None, ...]:
        raise NotImplementedError(THIRD)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        raise NotImplementedError(THIRD)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *values: Any) -> Any:
        return loop(_PushPull.apply, info, (None, None, *in_dims[2:]), values)


def simulation(spec: Spec, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Signal and Jacobian."""
    return apply(_Simulation, spec, *tensors)


# torch asks for these signatures at every call; found once, they need not be worked out again.
for _forward in (_Simulation.forward, _Pull.forward, _Push.forward, _PushPull.forward):
    setattr(_forward, "__signature__", inspect.signature(_forward))  # noqa: B010
