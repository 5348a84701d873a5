"""What a one-call form stands for, and what is done with it: on arrays or tensors, the same for all."""

import functools
import re
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from . import slice_profile, transmit
from .arguments import Scanner, document, refuse_unknown, spelled_out
from .checks import MOST_PULSES, in_words_of, read_names, real_array, shown, warnings_in_words_of
from .labels import concatenated, read_labels
from .problem import ComplexArray, Diff, read_problem
from .program.expressions import make_room
from .sequence import Sequence
from .tissue_parameters import NAMES
from .verbs import results

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


RETURNED = """
    Returns
    -------
    signal : ndarray, complex, shape (*tissue, readouts)
        A tensor, if any argument is one: `epgnumba.torch` is called then.
    jacobian : ndarray, complex, shape (*tissue, len(diff), readouts)
        Only with `diff`; per ms, per Hz or per unit of the parameter. Without the axis for parameters if `diff` is a
        string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
"""


_sequences: dict[Hashable, Sequence] = {}  # which nothing can change, and which keep what they were compiled to
_DOUBLE = np.dtype(np.float64)


def _fingerprint(arguments: Mapping[str, Any]) -> Hashable | None:
    """What arguments are, to the last bit and type; None where that is not told at once."""
    told: list[Hashable] = []
    for name, value in arguments.items():
        kind = type(value)
        if kind is list and set(map(type, value)) == {float}:
            value, kind = np.array(value), np.ndarray
        if kind is float:
            told.append((name, value or str(value)))  # so that -0.0 is not 0.0
        elif kind is np.ndarray and value.dtype is _DOUBLE:
            told.append((name, value.shape, value.tobytes()))
        elif kind in (int, bool, str, type(None)):
            told.append((name, kind, value))
        else:
            return None
    return tuple(told)


@dataclass
class Call:
    """What a one-call form stands for.

    Attributes
    ----------
    family : type
        The sequence.
    parameters : dict
        Its numeric arguments, which may be tensors.
    given : dict
        Maps, which may be tensors, options of `simulate`, and what the sequence takes of the scanner.
    diff : str or tuple of str, optional
        Derivatives wanted.
    shape : dict
        The sequence's other arguments.
    names : dict of str to str
        What the caller calls arguments that have another name here.
    """

    family: type[Sequence]
    parameters: dict[str, Any]
    given: Mapping[str, Any]
    diff: Diff
    shape: dict[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scanner = Scanner.__annotations__
        self._scanner = {name: self.given[name] for name in scanner if name in self.given}
        self.given = {name: value for name, value in self.given.items() if name not in scanner}
        for name, value in self._scanner.items():
            if has_tensor((value,)):
                raise TypeError(f"{name} is a tensor; a number is needed, by which nothing is differentiated")

    def sequence(self, parameters: Mapping[str, Any]) -> Sequence:
        """The sequence, with these values for its parameters; one of the last ones again if it is the same."""
        key = self.family, *map(_fingerprint, (parameters, self.shape, self._scanner))
        found = None if None in key else _sequences.get(key)
        if found is None:
            found = self.family(**parameters, **self.shape)
            if self._scanner:
                found = found.on_scanner(**self._scanner)
            if None not in key:
                make_room(_sequences)[key] = found
        return found

    def run(self) -> Any:
        """Signal, or signal and Jacobian, on arrays."""
        with self.renamed():
            return results(read_problem(self.sequence(self.parameters), **self.given, diff=self.diff))

    @contextmanager
    def renamed(self) -> Iterator[None]:
        """Errors and warnings in the caller's names: what a sequence is told of the scanner is an argument here."""
        try:
            if not self.names:
                yield
            else:
                with warnings_in_words_of(self.names):
                    yield
        except (TypeError, ValueError) as error:
            told = re.sub(r"sequence\.on_scanner\((\w+)=\.\.\.\)", r"\1", str(error))
            told = in_words_of(told, self.names)
            if told == str(error):
                raise
            raise type(error)(told) from error


def may_be_tensors(given: Mapping[str, Any]) -> dict[str, Any]:
    """The numeric ones among maps and options; of a slice profile by kind of pulse each."""
    maps = {name: value for name, value in given.items() if name in NAMES}
    if transmit.is_by_kind(maps.get(transmit.NAME)):
        maps |= transmit.by_name(maps.pop(transmit.NAME))
    return {**maps, **slice_profile.by_name(given[slice_profile.NAME])} if slice_profile.NAME in given else maps


def one_call(
    kinds: type, without: tuple[str, ...] = (), names: Mapping[str, str] | None = None
) -> Callable[[Callable[P, Call | list[Call]]], Callable[P, ComplexArray | Any]]:
    """Make a function that does what it describes: several calls are joined along the readouts.

    If any argument is a torch tensor, tensors come back. To type checkers it returns an array, or what the caller says:
    no type can tell a pair, which `diff` asks for, and tensors from the arguments without a signature for each.

    Parameters
    ----------
    kinds : type
        Maps and options that it takes (see `arguments`), as ``**given``.
    without : tuple of str
        Those that mean nothing to its sequence.
    names : mapping of str to str
        What it calls tissue parameters that have another name elsewhere.
    """
    own = {(names or {}).get(name, name): name for name in NAMES if name not in without}

    def decorate(describe: Callable[P, Call | list[Call]]) -> Callable[P, ComplexArray | Any]:
        signature = spelled_out(describe, kinds, without).replace(return_annotation="ComplexArray | Any")
        allowed = dict.fromkeys(signature.parameters)

        def described(*args: P.args, **given: P.kwargs) -> list[Call]:
            if not given.keys() <= allowed.keys():
                refuse_unknown(describe, given, allowed)
            found = describe(*args, **given)
            calls = [found] if isinstance(found, Call) else found
            for call in calls:
                if call.diff is not None:
                    by_kind = transmit.rows_with(call.given.get(transmit.NAME))[len(NAMES) :]
                    named = read_names("diff", call.diff, (*own, *by_kind), call.parameters)
                    wanted = [own.get(name, name) for name in named]
                    call.diff = wanted[0] if isinstance(call.diff, str) else wanted
                if names:
                    call.names = {**names, **call.names}
            return calls

        @uncompiled
        @functools.wraps(describe)
        def run(*args: P.args, **given: P.kwargs) -> ComplexArray | Any:
            calls = described(*args, **given)
            if "torch" in sys.modules and any(
                has_tensor((*call.parameters.values(), *may_be_tensors(call.given).values())) for call in calls
            ):
                from .torch.bridge import run_calls

                return run_calls(calls)
            return join([call.run() for call in calls], concatenated)

        document(run, signature, tuple(own), RETURNED)
        told: Any = run
        told.described, told.__annotations__["return"] = described, ComplexArray | Any
        return run

    return decorate


def join(results: list[Any], concatenate: Callable[..., Any]) -> Any:
    """Results of several calls, along the readouts."""
    if len(results) == 1:
        return results[0]
    if isinstance(results[0], tuple):
        return tuple(concatenate(list(parts)) for parts in zip(*results, strict=True))
    return concatenate(results)


def _axes(name: str, value: Any) -> int:
    """How many axes a number, an array or a tensor has.

    Raises
    ------
    TypeError, ValueError
        If it is not real, or a list of tensors, whose gradients would be lost.
    """
    if isinstance(value, (list, tuple)) and has_tensor(tuple(value)):
        raise TypeError(f"{name} is a {type(value).__name__} of tensors; stack them, so that gradients are kept")
    held = has_tensor((value,)) or hasattr(type(value), "__cuda_array_interface__")
    return int((value if held else real_array(name, value)).ndim)


def with_echoes(values: Mapping[str, Any], name: str, echoes: Any) -> list[dict[str, Any]]:
    """One dict for each acquisition (see `acquisitions`), with its echo times.

    A vector of them goes with the other vectors, entry by entry, as in torchsim; where these are all numbers, its
    entries are echoes of the one acquisition. A table has a row of echoes for each acquisition, or one for all.
    """
    alone, axes = acquisitions(values), _axes(name, echoes)
    if axes == 2 and len(echoes) == 1:
        echoes, axes = echoes[0], 0
    if axes == 0 or (axes == 1 and len(alone) == 1):
        return [{**one, name: echoes} for one in alone]
    if axes > 2:
        raise ValueError(f"{name} has {axes} axes; a number, a vector or a table of echoes is needed")
    count = len(echoes)
    if not 0 < count <= MOST_PULSES:
        raise ValueError(f"{name} has {count} rows; 1 to {MOST_PULSES} acquisitions are allowed")
    if len(alone) not in (1, count):
        raise ValueError(
            f"{name} has {count} entries, for {len(alone)} acquisitions; they pair entry by entry, and several echoes "
            f"of each acquisition are a table: {name}=[[...]]"
        )
    return [{**alone[n if len(alone) > 1 else 0], name: echoes[n]} for n in range(count)]


def acquisitions(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One dict of numbers for each entry of the values that are vectors.

    Raises
    ------
    TypeError, ValueError
        If a value is no real number, the vectors differ in length, or there are too many.
    """
    lengths: dict[str, int] = {}
    for name, value in values.items():
        if _axes(name, value) == 1:
            lengths[name] = len(value)
    if 0 in lengths.values():
        raise ValueError(f"an acquisition at least is needed; the lengths are {lengths}")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"vectors of one length are needed, for one acquisition each; they have {lengths}")
    count = next(iter(lengths.values()), 1)
    if count > MOST_PULSES:
        raise ValueError(f"{count} acquisitions are not allowed, by the lengths {lengths}: at most {MOST_PULSES}")
    return [{name: value[n] if name in lengths else value for name, value in values.items()} for n in range(count)]


def total_field(given: Mapping[str, Any], chemshift: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Off-resonance of field and chemical shift, in place of the field; and what errors call it."""
    if chemshift is None:
        return {}, {}
    return {"B0": _sum(given.get("B0", 0.0), chemshift)}, {"B0": "B0 + chemshift"}


def _sum(B0: Any, chemshift: Any) -> Any:
    """Off-resonance of field and chemical shift, whatever they are held in.

    Raises
    ------
    TypeError, ValueError
        If one is not real, or they do not broadcast.
    """
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
        return labels.named(_sum(**fields))
    field, shift = real_array("B0", B0), real_array("chemshift", chemshift)
    try:
        return field + shift
    except ValueError:
        raise ValueError(f"B0 {field.shape} and chemshift {shift.shape} do not broadcast") from None
