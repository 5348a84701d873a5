"""What is shown to those who wait: progress bars, and that something is being compiled.

The latter goes to the logger "epgnumba", as a warning: Python prints those to stderr, unless the program has set up
logging and so said where it wants them. Not through `warnings`: there is nothing to mend in a call that waits, and
where warnings are errors it must not fail.
"""

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

LONG = 1.0  # s: what is shorter is not worth a word, nor does a shorter pause make two waits of one

_log = logging.getLogger("epgnumba")


@dataclass
class _Wait:
    """A stretch of time that is spent compiling: one call may need several kernels, and one line says it."""

    began: float = -LONG
    ended: float = -LONG
    said: bool = False


_wait = _Wait()


class _Preparing:
    """Time in which some thread of this process compiles, or loads, code."""

    def __init__(self) -> None:
        self._lock, self._threads, self._since, self._total = threading.Lock(), 0, 0.0, 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._threads:
                self._since = time.perf_counter()
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                self._total += time.perf_counter() - self._since

    def seconds(self) -> float:
        """So far."""
        with self._lock:
            return self._total + (time.perf_counter() - self._since if self._threads else 0.0)


preparing = _Preparing()


def work_clock() -> float:
    """Seconds, from some moment on, that stand still while code is compiled or loaded: what work itself takes."""
    return time.perf_counter() - preparing.seconds()


def _say(wait: _Wait, what: str, kept: Callable[[], str]) -> None:
    if wait.said or os.environ.get("EPGNUMBA_QUIET", "0") not in ("", "0"):
        return
    wait.said = True
    bars = sys.modules.get("tqdm")
    with bars.tqdm.external_write_mode(sys.stderr) if bars else nullcontext():  # cleared, and drawn again below
        _log.warning("epgnumba is compiling for %s, some seconds to a minute; %s", what, kept())


@contextmanager
def compiling(what: str, kept: Callable[[], str]) -> Iterator[None]:
    """Say, once this has taken LONG, for `what` code is compiled, and what `kept` says of its future."""
    global _wait
    start = time.monotonic()
    if start - _wait.ended > LONG:
        _wait = _Wait(start)
    wait = _wait
    timer = threading.Timer(wait.began + LONG - start, _say, (wait, what, kept))
    timer.daemon = True
    with suppress(RuntimeError):  # no more threads: no word
        timer.start()
    try:
        with preparing:
            yield
    finally:
        timer.cancel()
        wait.ended = time.monotonic()
    _log.info("compiled for %s in %.1f s", what, wait.ended - start)


def progress_bar(show: bool, **options: Any) -> Any:
    """A progress bar, with tqdm's options: a widget in a notebook that has them, else a line of text."""
    with warnings.catch_warnings():  # tqdm's own, of a notebook without: then a line of text is what is wanted
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(disable=not show, **options)
