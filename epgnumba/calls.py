"""What a one-call form stands for, and what is done with it: on arrays or tensors, the same for all."""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy.typing as npt

from .checks import MOST_PULSES, real_array, shown
from .labels import concatenated, read_labels
from .problem import ComplexArray, Diff
from .sequence import Sequence
from .verbs import jacobian, simulate

P = ParamSpec("P")
T = TypeVar("T")
Numeric: TypeAlias = npt.ArrayLike  # to type checkers a tensor is one, too


def has_tensor(values: tuple[Any, ...]) -> bool:
    """Whether any of `values` is a torch tensor; if torch was never imported, none is."""
    torch = sys.modules.get("torch")
    return torch is not None and any(isinstance(value, torch.Tensor) for value in values)


def uncompiled(function: Callable[P, T]) -> Callable[P, T]:
    """Make `torch.compile` leave a function to Python: it cannot see into kernels, and nothing is lost by a call."""
    left: list[Callable[P, T]] = []  # the function as torch leaves it alone, once there is a compiler

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        if not left:
            left.append(sys.modules["torch"].compiler.disable(function))
        return left[0](*args, **kwargs)

    return run


@dataclass
class Call:
    """What a one-call form stands for.

    Attributes
    ----------
    family : type
        The sequence.
    parameters : dict
        Its numeric arguments, which may be tensors.
    shape : dict
        Its other arguments.
    tissue : dict
        Maps by name.
    diff : str or tuple of str, optional
        Derivatives wanted, in the names of `tissue`.
    options : dict
        Other arguments of `simulate`.
    names : dict of str to str
        What the caller calls maps that have another name in `tissue`.
    """

    family: type[Sequence]
    parameters: dict[str, Any]
    tissue: dict[str, Any]
    diff: Diff
    options: dict[str, Any]
    shape: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def sequence(self, parameters: Mapping[str, Any]) -> Sequence:
        """The sequence, with these values for its parameters."""
        return self.family(**parameters, **self.shape)

    @property
    def values(self) -> dict[str, Any]:
        """Everything that may be a tensor."""
        return {**self.parameters, **self.tissue, "slice_prof": self.options["slice_prof"]}

    def run(self) -> Any:
        """Signal, or signal and Jacobian, on arrays."""
        with self.renamed():
            sequence = self.sequence(self.parameters)
            if self.diff is None:
                return simulate(sequence, **self.tissue, **self.options)
            return jacobian(sequence, **self.tissue, diff=self.diff, **self.options)

    @contextmanager
    def renamed(self) -> Iterator[None]:
        """Errors in the caller's names."""
        try:
            yield
        except (TypeError, ValueError) as error:
            if not self.names:
                raise
            pattern = r"\b(" + "|".join(self.names) + r")\b"
            raise type(error)(re.sub(pattern, lambda found: self.names[found[0]], str(error))) from error


def one_call(describe: Callable[P, Call | list[Call]]) -> Callable[P, ComplexArray | Any]:
    """Make a function that does what it describes: several calls are joined along the readouts.

    If any argument is a torch tensor, tensors come back. To type checkers it returns an array, or what the caller says:
    no type can tell a pair, which `diff` asks for, and tensors from the arguments without a signature for each.
    """

    @uncompiled
    @functools.wraps(describe)
    def run(*args: P.args, **kwargs: P.kwargs) -> ComplexArray | Any:
        described = describe(*args, **kwargs)
        calls = [described] if isinstance(described, Call) else described
        if any(has_tensor(tuple(call.values.values())) for call in calls):
            from .torch.bridge import run_calls

            return run_calls(calls)
        return join([call.run() for call in calls], concatenated)

    return returning("ComplexArray | Any", ComplexArray | Any, run)


def returning(shown: str, kind: Any, run: Callable[P, T]) -> Callable[P, T]:
    """Let `help` and `inspect` say what comes back, where they would say what the function that is wrapped returns."""
    told: Any = run
    told.__signature__ = inspect.signature(run).replace(return_annotation=shown)
    told.__annotations__ = {**run.__annotations__, "return": kind}
    return run


def join(results: list[Any], concatenate: Callable[..., Any]) -> Any:
    """Results of several calls, along the readouts."""
    if len(results) == 1:
        return results[0]
    if isinstance(results[0], tuple):
        return tuple(concatenate(list(parts)) for parts in zip(*results, strict=True))
    return concatenate(results)


def map_names(diff: Diff, names: Mapping[str, str]) -> Diff:
    """Derivatives in the names of the tissue's maps, from those that a one-call form gives them.

    Raises
    ------
    ValueError
        If a name is none of them.
    """
    if diff is None:
        return None
    given = (diff,) if isinstance(diff, str) else diff
    if not isinstance(given, (tuple, list)):
        raise TypeError(
            f"diff={shown(diff)} is not allowed: it must be a name or a tuple of names out of {tuple(names)}"
        )
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"diff={shown(diff)} is not allowed: it must be a name or a tuple out of {tuple(names)}")
        if name not in names:
            raise ValueError(f"diff={shown(diff)}: {name!r} is unknown; allowed are {tuple(names)}")
    renamed = tuple(names[name] for name in given)
    return renamed[0] if isinstance(diff, str) else renamed


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def acquisitions(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One dict of numbers for each entry of the values that are vectors.

    Raises
    ------
    TypeError, ValueError
        If a value is no real number, the vectors differ in length, or there are too many.
    """
    lengths: dict[str, int] = {}
    for name, value in values.items():
        if isinstance(value, (list, tuple)) and has_tensor(tuple(value)):
            raise TypeError(f"{name} is a {type(value).__name__} of tensors; stack them, so that gradients are kept")
        held = has_tensor((value,)) or hasattr(type(value), "__cuda_array_interface__")
        if (value if held else real_array(name, value)).ndim == 1:
            lengths[name] = len(value)
    if 0 in lengths.values():
        raise ValueError(f"an acquisition at least is needed; the lengths are {lengths}")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"vectors of one length are needed, for one acquisition each; they have {lengths}")
    count = next(iter(lengths.values()), 1)
    if count > MOST_PULSES:
        raise ValueError(f"{count} acquisitions are not allowed, by the lengths {lengths}: at most {MOST_PULSES}")
    return [{name: value[n] if name in lengths else value for name, value in values.items()} for n in range(count)]


def total_field(B0: Any, chemshift: Any) -> Any:
    """Off-resonance of field and chemical shift, whatever they are held in.

    Raises
    ------
    TypeError, ValueError
        If one is not real, or they do not broadcast.
    """
    if chemshift is None:
        return B0
    for name, value in (("B0", B0), ("chemshift", chemshift)):
        if str(getattr(value, "dtype", "")).endswith("bool"):  # of whatever library; a sum would make numbers of it
            raise TypeError(f"{name}={shown(value)} is boolean; real numbers are needed")
    if has_tensor((B0, chemshift)):
        torch: Any = sys.modules["torch"]
        for name, value in (("B0", B0), ("chemshift", chemshift)):
            if not has_tensor((value,)):
                real_array(name, value)
        return torch.as_tensor(B0) + torch.as_tensor(chemshift)
    if any(hasattr(type(value), "__cuda_array_interface__") for value in (B0, chemshift)):
        return B0 + chemshift
    labels = read_labels({"B0": B0, "chemshift": chemshift})
    if labels is not None:
        fields = {"B0": B0, "chemshift": chemshift} | {name: labels.values(name) for name in labels.given}
        return labels.named(total_field(**fields))
    field, shift = real_array("B0", B0), real_array("chemshift", chemshift)
    try:
        return field + shift
    except ValueError:
        raise ValueError(f"B0 {field.shape} and chemshift {shift.shape} do not broadcast") from None
