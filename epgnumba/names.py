"""Names that are misspelt are answered with the one that was meant."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The name that was meant, if one is near."""
    from difflib import get_close_matches

    lowered = {one.lower(): one for one in allowed}
    near = get_close_matches(name.lower(), lowered, 1)
    return lowered[near[0]] if near else None


def hint(name: object, allowed: Iterable[str]) -> str:
    """What an error says of a name that is unknown, after a comma; nothing where none is near."""
    near = nearest(name, allowed) if isinstance(name, str) and len(name) < 100 else None
    return f", did you mean {near!r}?" if near else ""


def knows_names(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function answer an argument that it does not have with the one that was meant.

    Its errors are Python's own, of the type `TypeError`, but for the hint.
    """
    parameters = inspect.signature(function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return function  # it takes any name, and has its own word to say of them
    allowed = frozenset(parameters)

    @functools.wraps(function)
    def run(*args: P.args, **given: P.kwargs) -> T:
        if not given.keys() <= allowed:
            name = next(one for one in given if one not in allowed)
            called = function.__qualname__.removesuffix(".__init__")
            listed = [one for one in parameters if one != "self"]
            told = hint(name, listed) or f"; allowed are {', '.join(listed)}"
            raise TypeError(f"{name} is no argument of {called}{told}")
        return function(*args, **given)

    return run
