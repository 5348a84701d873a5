"""Sharing a machine: one thread for each worker, and one compilation for all processes of a node."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from threadpoolctl import threadpool_limits

from ..engine import one_thread
from ..kernels.cache import source_digest


@contextmanager
def one_thread_each() -> Iterator[None]:
    """One thread for kernels and for products of matrices, of whoever calls."""
    with one_thread(), threadpool_limits(1, "blas"):
        yield


@contextmanager
def one_process() -> Iterator[None]:
    """One process of this node and user at a time: the first compiles and keeps what the others find.

    The lock is the system's, and falls with the process that holds it. Where there can be none, all go on at once,
    which costs time and nothing else.
    """
    file = f"{tempfile.gettempdir()}/epgnumba-{os.getuid()}-{source_digest()}.lock"
    handle = None
    with suppress(OSError):
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
