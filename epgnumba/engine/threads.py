"""How many threads there are, and work spread over them."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing import parent_process
from typing import Any

from ..checks import count as checked_count
from ..checks import shown
from ..notice import progress_bar

MOST_THREADS = 4096  # more than processors of any machine; each is a task to hand out
FEW_THREADS = 16  # that are made on any machine
SMALL = 2e5  # state updates that are done before another thread has woken up
CHUNK_UPDATES = 2e8  # state updates (times sets) between looks at the keyboard: a fraction of a second

_threads: int | None = None
_pool: tuple[int, int, ThreadPoolExecutor] | None = None


def set_num_threads(count: int | None) -> None:
    """Number of threads that batches use; None for the default.

    The default is the number of processors this process may use, or 1 in a worker process of `multiprocessing`, so
    that many workers do not fight over them. The environment variable EPGNUMBA_NUM_THREADS overrides it.

    Raises
    ------
    TypeError, ValueError
        If it is no whole number above zero, or far beyond the processors that there are.

    Examples
    --------
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    global _threads
    if count is None:
        _threads = None
        return
    wanted, processors = checked_count("count", count, MOST_THREADS), os.cpu_count() or 1
    if wanted > max(FEW_THREADS, 2 * processors):
        raise ValueError(
            f"count={wanted} is not allowed: this machine has {processors} processors, which so many threads would "
            f"only take turns on; at most {max(FEW_THREADS, 2 * processors)} are made"
        )
    _threads = wanted


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for batches, for who calls from several threads; what was set before is set again."""
    global _threads
    before, _threads = _threads, 1
    try:
        yield
    finally:
        _threads = before


def get_num_threads() -> int:
    """Number of threads that batches use (see `set_num_threads`).

    Raises
    ------
    ValueError
        If the environment variable EPGNUMBA_NUM_THREADS is no whole number above zero, or too large.
    """
    if _threads is not None:
        return _threads
    stated = os.environ.get("EPGNUMBA_NUM_THREADS", "")
    if stated:
        if not re.fullmatch("[0-9]{1,4}", stated) or not 1 <= int(stated) <= MOST_THREADS:
            raise ValueError(f"EPGNUMBA_NUM_THREADS={shown(stated)} is not allowed: it must lie in [1, {MOST_THREADS}]")
        return int(stated)
    if parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _executor(threads: int) -> ThreadPoolExecutor:
    """The pool of this process (a forked child must not use its parent's)."""
    global _pool
    if _pool is None or _pool[:2] != (os.getpid(), threads):
        _pool = (os.getpid(), threads, ThreadPoolExecutor(threads, thread_name_prefix="epgnumba"))
    return _pool[2]


def is_small(total: int, cost: float) -> bool:
    """Whether work is not worth a second thread."""
    return cost * total < SMALL


_bar: ContextVar[Any] = ContextVar("_bar", default=None)


@contextmanager
def shown_progress(desc: str) -> Iterator[None]:
    """Show how far work has come that is spread in here."""
    with progress_bar(True, desc=desc, unit=" voxels", unit_scale=True) as bar:
        before = _bar.set(bar)
        try:
            yield
        finally:
            _bar.reset(before)


def spread(work: Callable[[int, int], Any], total: int, step: int, cost: float) -> None:
    """Call ``work(first, last)`` over [0, total) in multiples of `step`, on all threads where it is worth it.

    `cost` is the number of state updates per unit of `total`. Interrupting stops after the chunks in flight.
    """
    if not total:
        return
    bar = _bar.get()
    if bar is not None:
        work = _told(work, bar, total)
    if total <= step or is_small(total, cost):
        work(0, total)
        return
    threads = get_num_threads()
    chunk = max(step, min(total / (4 * threads), CHUNK_UPDATES / cost))
    chunk = int(-(-chunk // step) * step)
    starts = iter(range(0, total, chunk))
    lock, stopped = threading.Lock(), threading.Event()

    def worker() -> None:
        while not stopped.is_set():
            with lock:
                first = next(starts, None)
            if first is None:
                return
            work(first, min(first + chunk, total))

    if threads == 1:  # no other one to wait for
        worker()
        return
    futures = [_executor(threads).submit(worker) for _ in range(threads)]
    try:
        for future in futures:
            future.result()
    finally:
        stopped.set()
        for future in futures:
            future.exception()  # wait: they write into arrays that the caller is about to let go


def _told(work: Callable[[int, int], Any], bar: Any, total: int) -> Callable[[int, int], Any]:
    """Work whose parts are told to a bar as they are done, by whichever thread."""
    lock = threading.Lock()
    bar.total = (bar.total or 0) + total

    def run(first: int, last: int) -> None:
        work(first, last)
        with lock:
            bar.update(last - first)

    return run
