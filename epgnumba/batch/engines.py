"""Shards at work: on threads of this process, or on workers of Dask.

Every worker thread plays kernels with one thread, and multiplies matrices with one, so that there are never more than
workers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from ..engine import set_num_threads
from ..kernels.cache import source_digest
from ..notice import progress_bar
from .share import one_process, one_thread_each
from .store import Store, StoreError

_open: dict[str, tuple[int, Store]] = {}  # of this process, with when its metadata were written
BETWEEN = 30.0  # s between lines of a log


def run_shard(path: str, shard: int) -> int:
    """Compute and write a shard of a store; what a worker is asked for. Returns the shard."""
    store = _store(path)
    store.write(shard, store.compute(shard))
    return shard


def run_shard_on_worker(path: str, shard: int) -> int:
    """`run_shard` in a process of workers, each of which has one thread from then on."""
    _settle()
    return run_shard(path, shard)


@cache
def _settle() -> None:
    set_num_threads(1)
    threadpool_limits(1, "blas")


def _store(path: str) -> Store:
    """The store, opened once a process; another version of epgnumba must not add to it."""
    made = (Path(path) / "zarr.json").stat().st_ino if (Path(path) / "zarr.json").exists() else 0
    if path not in _open or _open[path][0] != made:
        store = Store(Path(path))
        if store.run["code"] != source_digest():
            raise StoreError(
                f"{path} was made by another version of epgnumba, NumPy, Numba or Python, whose results may differ in "
                "the last bits; all workers must have the same"
            )
        with one_process():
            few = slice(min(store.count, store.work.block))
            store.work.check(store.values(few), store.place(few))
        _open.clear()
        _open[path] = made, store
    return _open[path][1]


def run_local(store: Store, shards: list[int], workers: int, done: Callable[[int], None]) -> None:
    """On threads of this process, whose kernels let go of the interpreter.

    Raises
    ------
    Exception
        The first of a shard, once the others at work have ended; those that have not begun do not.
    """
    with one_thread_each(), ThreadPoolExecutor(workers, thread_name_prefix="epgnumba-batch") as pool:
        path, left = str(store.path), iter(shards)
        _store(path)  # which compiles what is needed, once
        running = {pool.submit(run_shard, path, shard) for _, shard in zip(range(workers), left, strict=False)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                done(future.result())
                shard = next(left, None)
                if shard is not None:
                    running.add(pool.submit(run_shard, path, shard))


def run_dask(
    store: Store, shards: list[int], workers: int, memory: float, address: str | None, done: Callable[[int], None]
) -> None:
    """On the workers of a Dask scheduler that runs, or of one that is started here, in spawned processes.

    A shard whose worker dies is computed by another.
    """
    from distributed import as_completed

    with _client(workers, memory, address) as client:
        path = str(store.path.resolve())
        futures = client.map(run_shard_on_worker, [path] * len(shards), shards, pure=False)
        for future in as_completed(futures):
            done(future.result())


@contextmanager
def _client(workers: int, memory: float, address: str | None) -> Iterator[Any]:
    """A client of a scheduler that runs, by its address or the file that it wrote; or of one that is started here."""
    import dask
    from distributed import Client, LocalCluster

    if address:
        where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
        with Client(**where, timeout=30) as client:
            yield client
        return
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=memory / workers, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def reporting(total: int, before: int) -> Iterator[Callable[[int], None]]:
    """What is called with each shard that is done: a bar on a terminal, lines of a log elsewhere."""
    terminal = sys.stderr.isatty()
    begun = told = time.monotonic()
    count = before
    with progress_bar(terminal, total=total, initial=before, desc="epgnumba", unit=" shards") as bar:

        def done(shard: int) -> None:
            nonlocal count, told
            count += 1
            bar.update()
            now = time.monotonic()
            if not terminal and (now - told > BETWEEN or count == total):
                told = now
                print(f"{count} of {total} shards done, {now - begun:.0f} s", file=sys.stderr, flush=True)

        yield done


def run_shards(
    store: Store, shards: list[int], *, kind: str, workers: int, memory: float, scheduler: str | None = None
) -> int:
    """Compute those of `shards` that are not done; returns how many these were."""
    left = [shard for shard in shards if not store.is_done(shard)]
    with reporting(len(shards), len(shards) - len(left)) as done:
        if left and kind == "dask":
            run_dask(store, left, workers, memory, scheduler, done)
        elif left:
            run_local(store, left, workers, done)
    return len(left)
