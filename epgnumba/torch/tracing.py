"""Simulations in graphs that `make_fx` records, `torch.func.linearize` among its callers.

What it records are torch's operations. Kernels are none, and their results would be recorded as constants: so a
simulation enters the graph as a call of its own. Functions of `torch.fx.experimental`, since torch has no others.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch


def recorder() -> Any:
    """What is recording at the moment, or None."""
    proxies = sys.modules.get("torch.fx.experimental.proxy_tensor")
    return None if proxies is None else proxies.get_proxy_mode()


def record(
    mode: Any,
    function: type[torch.autograd.Function],
    fixed: Callable[[], tuple[Any, ...]],
    tensors: tuple[torch.Tensor, ...],
) -> tuple[torch.Tensor, ...]:
    """Results of a differentiable function of what `fixed` makes and of tensors, recorded as a call of it."""
    proxies = sys.modules["torch.fx.experimental.proxy_tensor"]

    def simulation(*given: torch.Tensor) -> Any:
        return function.apply(*fixed(), *given)  # type: ignore[no-untyped-call]

    with proxies.disable_proxy_modes_tracing():
        results = function.forward(*fixed(), *tensors)
    arguments = tuple(mode.tracer.unwrap_proxy(tensor) for tensor in tensors)
    call = mode.tracer.create_proxy("call_function", simulation, arguments, {})
    tracked: tuple[torch.Tensor, ...] = proxies.track_tensor_tree(results, call, constant=None, tracer=mode.tracer)
    return tracked
