"""Arguments that many functions take: written once, spelled out by `help`, and refused by name where misspelt."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypedDict, TypeVar

import numpy.typing as npt

from .names import nearest
from .problem import Precision, read_problem
from .sequence import Sequence
from .slice_profile import Given as Profile
from .tissue_parameters import DEFAULTS, NAMES, TISSUE, Maps

P = ParamSpec("P")
T = TypeVar("T")


class Playing(Maps, total=False):
    """Maps, and options of whatever is played."""

    slice_prof: Profile
    dtype: Precision
    device: str | None
    mask: npt.ArrayLike | None


class Truncating(Playing, total=False):
    """Options of what may leave configuration orders out, too."""

    nstates: int | None


class Options(Truncating, total=False):
    """Maps and all options of `simulate`."""

    check_nstates: bool


class Scanner(TypedDict, total=False):
    """What a one-call form says of the scanner; a sequence has it by `Sequence.on_scanner`."""

    gradient_area: float | None
    rf_duration: float | Mapping[str, float] | None


class PlayingForm(Playing, Scanner, total=False):
    """Maps and options of a one-call form, of which nothing leaves orders out."""


class Form(Options, Scanner, total=False):
    """Maps and all options of a one-call form."""


OPTIONS = {
    "diff": """str or tuple of str
        Tissue parameters to differentiate with respect to: any of {allowed}.""",
    "slice_prof": """float, or array_like, shape (positions,), or mapping of str to such
        Flip angle across the slice, as a fraction of the nominal one; the signal is the mean over positions. A mapping
        says it for each kind of pulse that the sequence has: "excitation", "refocusing", "preparation". In place of
        fractions, waveforms: `pulses.Waveform.across`.""",
    "nstates": """int, optional
        Keep configuration orders below it only, counted in crushers. By default all that matter are, and the
        result is exact.""",
    "dtype": """float64 or float32
        Precision of the computation.""",
    "check_nstates": """bool
        Whether to compare with all orders kept, and warn if a signal or derivative changes at some readout by more
        than 1e-3 of its root mean square.""",
    "device": """str, optional
        "cuda" or "cuda:1" to move arrays to a CUDA device, in chunks that fit, and results back. By default the CPU;
        but where maps are CuPy arrays or CUDA tensors, their device, on which results stay (docs/cuda.md).""",
    "mask": """array_like of bool, optional
        Where to simulate; broadcasts with the maps. Voxels outside cost nothing, may hold anything, NaN too, and are
        zero in all results.""",
    "gradient_area": """float, optional
        Area of a gradient that dephases by one order, mT ms/m; D and velocity take it (`Sequence.on_scanner`).""",
    "rf_duration": """float, or mapping of str to float, optional
        Effective duration of RF pulses, ms, or that of each kind; a bound pool takes it (`Sequence.on_scanner`).""",
}


BY_KIND = " Or a\n        mapping of such maps, which may be complex, for each kind of pulse."


def _entry(name: str, allowed: str) -> str:
    """What a docstring says of an argument."""
    if name in OPTIONS:
        return f"{name} : {OPTIONS[name].format(allowed=allowed)}"
    row = TISSUE[name]
    text = f"{name} : array_like\n        {row.text[0].upper()}{row.text[1:]}."
    text += f" In {row.unit}" * bool(row.unit) + ", or inf" * bool(row.limits.get("infinite"))
    if row.default is not None:
        text += f"{';' if row.unit else ''} {row.default:g} by default"
    text += "."
    return text + BY_KIND if name == "B1" else text


def spelled_out(function: Callable[..., Any], kinds: type, without: tuple[str, ...] = ()) -> inspect.Signature:
    """The signature of a function, each argument of its ``**given`` in it by name, with its default."""
    common = {**inspect.signature(read_problem).parameters, **inspect.signature(Sequence.on_scanner).parameters}
    *own, _ = inspect.signature(function).parameters.values()
    names = [name for name in {**DEFAULTS, **kinds.__annotations__} if name not in without]
    defaults = {name: DEFAULTS[name] if name in DEFAULTS else common[name].default for name in names}
    spelled = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name]) for name in names]
    return inspect.signature(function).replace(parameters=[*own, *spelled])


def document(function: Any, signature: inspect.Signature, allowed: tuple[str, ...] = NAMES, ending: str = "") -> None:
    """Let `inspect` and `help` tell of every argument: in the docstring, the entry "**given" gives way to theirs."""
    function.__signature__ = signature
    function.__annotations__.pop("given")
    before, mark, after = (function.__doc__ or "").partition("    **given\n")
    if not mark:
        return
    written = re.findall(r"^    (\w[\w, ]*) : ", before, re.MULTILINE)
    known = {name for line in written for name in line.split(", ")}
    told = [name for name in signature.parameters if name in (*TISSUE, *OPTIONS) and name not in known]
    entries = "\n".join(f"    {_entry(name, ', '.join(allowed))}" for name in told)
    function.__doc__ = before + entries + "\n" + ending + after.partition("\n")[2]


def refuse_unknown(function: Callable[..., Any], given: dict[str, Any], allowed: dict[str, Any]) -> None:
    """Refuse what is no argument of a function, with the name that was meant.

    Raises
    ------
    TypeError
        If there is any.
    """
    for name in given:
        if name not in allowed:
            near = None if name in TISSUE else nearest(name, allowed)
            called = function.__qualname__.removesuffix(".__init__")
            what = "no tissue parameter" if near in TISSUE else f"no argument of {called}"
            names = ", ".join(one for one in allowed if one != "self")
            hint = f"did you mean {near}?" if near else f"allowed are {names}"
            raise TypeError(f"{name} is {what}; {hint}")


def takes(kinds: type) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a function whose last argument is ``**given: Unpack[kinds]`` refuse other names, and tell of these."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = spelled_out(function, kinds)
        allowed = dict.fromkeys(signature.parameters)

        @functools.wraps(function)
        def run(*args: P.args, **given: P.kwargs) -> T:
            if not given.keys() <= allowed.keys():
                refuse_unknown(function, given, allowed)
            return function(*args, **given)

        document(run, signature)
        return run

    return decorate
