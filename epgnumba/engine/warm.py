"""Compiling ahead of time."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal, TypeAlias

from ..checks import flag, shown
from ..notice import progress_bar

Part: TypeAlias = Literal["signal", "gradient", "single", "design", "second"]


def _calls() -> dict[str, dict[str, Callable[[], Any]]]:
    """For each part, by name, small calls that between them meet every kernel in every type that it is called with."""
    from ..design import CRLBObjective
    from ..sequence import FSE
    from ..verbs import simulate, vjp

    train, tissue = FSE([60.0], 5.0), (1000.0, 100.0)
    plain, other = (CRLBObjective(train, *tissue, data=data) for data in ("complex", "magnitude"))

    def pulled(dtype: str) -> Any:
        return vjp(train, *tissue, signal_bar=[1.0], dtype=dtype)

    return {
        "signal": {"signals": lambda: simulate(train, *tissue)},
        "gradient": {"gradients": lambda: pulled("float64")},
        "single": {
            "signals in single precision": lambda: simulate(train, *tissue, dtype="float32"),
            "gradients in single precision": lambda: pulled("float32"),
        },
        "design": {
            "bounds": lambda: plain(plain.x0),
            "criteria": lambda: other.values(other.x0),
            "gradients of criteria": lambda: other(other.x0),
        },
        "second": {"second derivatives": lambda: plain.hessp(plain.x0, plain.x0)},
    }


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Those that were heard of: what is raised while LLVM calls Python back, as at the end of its work, is lost."""
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        signal.default_int_handler(number, frame)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield heard  # whoever else handles them does so as before
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def warm_up(parts: Part | tuple[Part, ...] | None = None, *, progress: bool = True) -> None:
    """Compile the kernels, or load them from disk, before they are needed: a minute or so if it was never done.

    A call compiles what it needs by itself; this saves the wait to whoever comes later, a batch of processes say. It
    may be interrupted: what has been compiled is kept. CUDA kernels depend on the call, and are compiled by it.

    Parameters
    ----------
    parts : str or tuple of str, optional
        Any of 'signal' (signals and tissue derivatives), 'gradient' (`vjp`, torch's `backward`), 'single' (both with
        ``dtype="float32"``), 'design' (bounds and objectives), 'second' (second and forward-mode derivatives); all by
        default. `optimize` needs the last two. Tensors take the same kernels as arrays.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> warm_up(progress=False)
    """
    calls = _calls()
    chosen = tuple(calls) if parts is None else (parts,) if isinstance(parts, str) else parts
    if not isinstance(chosen, (tuple, list)):
        raise TypeError(f"parts={shown(parts)} is not allowed: it must be a tuple of names out of {tuple(calls)}")
    for part in chosen:
        if part not in tuple(calls):
            raise ValueError(f"parts: {shown(part)} is unknown; allowed are {tuple(calls)}")
    flag("progress", progress)
    wanted = [item for part, items in calls.items() if part in chosen for item in items.items()]
    with progress_bar(progress, total=len(wanted), unit=" calls") as bar, _interrupts() as heard:
        for name, call in wanted:
            bar.set_description(f"compiling: {name}")
            call()
            bar.update()
            if heard:
                raise KeyboardInterrupt
