"""Compiling ahead of time."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Literal, TypeAlias

from .checks import flag, shown
from .names import hint, knows_names
from .notice import progress_bar

Part: TypeAlias = Literal["signal", "gradient", "single", "design", "second", "fit"]


def _calls() -> dict[str, dict[str, Callable[[], Any]]]:
    """For each part, by name, small calls that between them meet every kernel in every type that it is called with."""
    import numpy as np

    from .design import CRLBObjective
    from .engine import Projection
    from .estimate import Dictionary, fit
    from .problem import read_problem
    from .sequence import FSE
    from .verbs import simulate, vjp

    tissue = (1000.0, 100.0)
    calls: dict[str, dict[str, Callable[[], Any]]] = {
        part: {} for part in ("signal", "gradient", "single", "design", "second", "fit")
    }
    for words, train in (("", FSE([60.0], 5.0)), (" of steady states", FSE([60.0], 5.0, TR=1000.0))):

        def compressed(dtype: str, train: Any = train) -> None:
            problem = read_problem(train, 1000.0, [50.0, 75.0, 100.0], dtype=dtype)
            found = (np.empty(shape, dtype) for shape in ((3, 1), 3, 3))
            Projection(problem.cpu_job(), np.ones((2, 1, 1)))(problem.host_tissue.table(dtype), *found)

        plain, other = (CRLBObjective(train, *tissue, data=data) for data in ("complex", "magnitude"))

        def pulled(dtype: str, train: Any = train) -> Any:
            return vjp(train, *tissue, signal_bar=[1.0], dtype=dtype)

        def played(dtype: str, train: Any = train) -> Any:
            return simulate(train, *tissue, dtype=dtype)

        calls["signal"][f"signals{words}"] = partial(played, "float64")
        calls["gradient"][f"gradients{words}"] = partial(pulled, "float64")
        calls["single"][f"signals{words} in single precision"] = partial(played, "float32")
        calls["single"][f"gradients{words} in single precision"] = partial(pulled, "float32")
        calls["fit"][f"compressed signals{words}"] = partial(compressed, "float64")
        calls["fit"][f"compressed signals{words} in single precision"] = partial(compressed, "float32")
        calls["design"][f"bounds{words}"] = partial(plain, plain.x0)
        calls["design"][f"criteria{words}"] = partial(other.values, other.x0)
        calls["design"][f"gradients of criteria{words}"] = partial(other, other.x0)
        calls["second"][f"second derivatives{words}"] = partial(plain.hessp, plain.x0, plain.x0)
    train, data = FSE([150.0, 150.0], 5.0), [0.9, 0.8]
    calls["fit"]["fits"] = partial(fit, train, data, T1=1000.0)
    for words, dtype in (("", "float64"), (" in single precision", "float32")):

        def matched(dtype: str = dtype) -> Any:
            return Dictionary(train, 1000.0, [50.0, 100.0], magnitude=True, dtype=dtype).match(data)

        calls["fit"][f"matches{words}"] = matched
    return calls


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


@knows_names
def warm_up(parts: Part | tuple[Part, ...] | None = None, *, progress: bool = True) -> None:
    """Compile the kernels, or load them from disk, before they are needed: a minute or so if it was never done.

    A call compiles what it needs by itself; this saves the wait to whoever comes later, a batch of processes say. It
    may be interrupted: what has been compiled is kept. CUDA kernels depend on the call, and are compiled by it.

    Parameters
    ----------
    parts : str or tuple of str, optional
        Any of 'signal' (signals and tissue derivatives), 'gradient' (`vjp`, torch's `backward`), 'single' (both with
        ``dtype="float32"``), 'design' (bounds and objectives), 'second' (second and forward-mode derivatives), 'fit'
        (fits and dictionaries, which take signals too); all by default. `optimize` needs 'design' and 'second'. Tensors
        take the same kernels as arrays.
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
            raise ValueError(f"parts: {shown(part)} is unknown{hint(part, calls)}; allowed are {tuple(calls)}")
    flag("progress", progress)
    wanted = [item for part, items in calls.items() if part in chosen for item in items.items()]
    with progress_bar(progress, total=len(wanted), unit=" calls") as bar, _interrupts() as heard:
        for name, call in wanted:
            bar.set_description(f"compiling: {name}")
            call()
            bar.update()
            if heard:
                raise KeyboardInterrupt
