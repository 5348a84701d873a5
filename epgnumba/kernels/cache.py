"""Where compiled code is kept between processes.

One file holds the code of one entry for one signature and processor. It begins with a checksum over what it holds and
over what it is for, and nothing of it is looked at unless that fits: whatever is empty, cut off, garbage or another
entry's costs a compilation, and is replaced by what comes of it. A checksum stops accidents; against people, only
files and folders are trusted that belong to this user and that nobody else can write, since code is run as it is found.
"""

import hashlib
import os
import pickle
import platform
import stat
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core import caching, config
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ..notice import preparing

# Settings of Numba that change the code it makes, and that it does not tell apart itself.
SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")
CHECKSUM = hashlib.sha256().digest_size
UNUSED = 30 * 24 * 3600  # s without use, after which another version's code is removed

_warned = False


@cache
def source_digest() -> str:
    """Digest of everything compiled code depends on, but for the processor: source, its name, toolchain, settings.

    A copy of the package under another name has code of its own: what is kept refers to classes by their module.

    Raises
    ------
    OSError
        If the source is not there to be read, so that nothing would tell old code from new.
    """
    paths = sorted(Path(__file__).parent.glob("*.py"))
    if not paths:
        raise FileNotFoundError(f"the kernels' source is not found in {Path(__file__).parent}")
    digest = hashlib.sha256()
    for path in paths:
        source = path.read_bytes()
        digest.update(f"{path.name}|{len(source)}|".encode() + source)
    versions = (numba.__version__, llvmlite.__version__, np.__version__, platform.python_version(), platform.machine())
    settings = (str(getattr(config, name, None)) for name in SETTINGS)
    digest.update("|".join((__name__, *versions, *settings)).encode())
    return digest.hexdigest()[:16]


def _check_private(name: str | Path, status: os.stat_result) -> None:
    """Refuse what somebody else owns or can write.

    Raises
    ------
    PermissionError
        Naming it.
    """
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise PermissionError(f"{name} belongs to another user, or others can write to it")


def _forget_unused(folder: Path) -> None:
    """Remove the code of other versions and settings that no process has asked for in a long time."""
    for other in folder.glob("[0-9a-f]" * 16):
        with suppress(OSError):  # whatever cannot be removed, or is not ours, stays
            if not other.is_symlink() and time.time() - other.stat().st_mtime > UNUSED:
                for path in other.glob("*.nbc*"):
                    path.unlink()
                other.rmdir()


def whereabouts() -> str:
    """What becomes of code that is compiled now."""
    try:
        return f"this happens once, as the code is kept in {directory()}"
    except OSError:
        return "the code cannot be kept, as a warning will say, and the next process compiles it again"


def directory() -> Path:
    """The first of the folders for compiled code that can be written, made if need be.

    Raises
    ------
    OSError
        If there is none, saying what is wrong with the last.
    """
    stated = os.environ.get("EPGNUMBA_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    homes = [os.path.join(home, "epgnumba")] if os.path.isabs(home) else []  # "~" stays as it is for a nobody
    user = os.getuid() if hasattr(os, "getuid") else "user"
    candidates = [stated] if stated else [*homes, f"{tempfile.gettempdir()}/epgnumba-{user}"]
    wrong = None
    for candidate in map(Path, candidates):
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
            if hasattr(os, "getuid") and candidate.stat().st_uid != os.getuid():
                raise PermissionError(f"{candidate} belongs to another user")
            found = candidate / source_digest()
            if not found.exists():
                _forget_unused(candidate)
            found.mkdir(mode=0o700, exist_ok=True)
            _check_private(found, found.stat())
            os.utime(found)  # the folder is in use
            with tempfile.TemporaryFile(dir=found):
                return found
        except OSError as error:
            wrong = error
    raise wrong


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        _check_private(path, os.fstat(file.fileno()))
        return file.read()


def _write(path: Path, content: bytes) -> None:
    """Write a file in one go: whoever reads it meanwhile finds the old one or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if path.is_dir() and not path.is_symlink():  # no file can take its place; what is in it is not ours to delete
            path.rename(f"{temporary}.aside")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _warn_once(error: Exception) -> None:
    """Say once a process that code is not kept, and why."""
    global _warned
    if not _warned:
        _warned = True
        message = f"compiled code is not kept, and every process compiles it again: {type(error).__name__}: {error}"
        warnings.warn(f"{message} (EPGNUMBA_CACHE_DIR names a folder to keep it in)", RuntimeWarning, stacklevel=2)


def _place(name, identity, codegen):
    """The file for code that `identity` is known by, and a hash over what it is for, to go on with over its content."""
    found = directory()
    purpose = hashlib.sha256(repr((found.name, identity, codegen.magic_tuple())).encode())
    return found / f"{name}.{purpose.hexdigest()[:16]}.nbc", purpose


def load(name, identity, codegen):
    """What was kept; None where there is nothing that is sound."""
    try:
        path, checksum = _place(name, identity, codegen)
        content = _read(path)
        checksum.update(content[CHECKSUM:])
        return pickle.loads(content[CHECKSUM:]) if checksum.digest() == content[:CHECKSUM] else None
    except Exception:  # whatever it is, compiling does without
        return None


def keep(name, identity, codegen, make):
    """Keep what `make` returns, as bytes; where that fails, the call at hand goes on all the same."""
    try:
        path, checksum = _place(name, identity, codegen)
        payload = make()
        checksum.update(payload)
        _write(path, checksum.digest() + payload)
    except Exception as error:
        _warn_once(error)


class Cache(caching._Cache):
    """What Numba asks for compiled code of `function`, and gives it to."""

    def __init__(self, function):
        code = function.__code__
        self._name = f"{Path(code.co_filename).stem}.{function.__qualname__}".replace("<", "").replace(">", "")
        self._identity = (
            function.__module__, function.__qualname__, code.co_firstlineno, code.co_code.hex()
        )  # fmt: skip
        self._enabled = True

    @property
    def cache_path(self):
        try:
            return str(directory())
        except OSError:
            return None

    def enable(self):
        self._enabled = True

    def disable(self):
        self._enabled = False

    def flush(self):
        found = self.cache_path
        for path in Path(found).glob(f"{self._name}.*.nbc") if found else ():
            path.unlink(missing_ok=True)

    def load_overload(self, signature, target_context):
        """Compiled code, or None where there is none that is sound."""
        target_context.refresh()
        if not self._enabled:
            return None
        with preparing:
            kept = load(self._name, (self._identity, signature), target_context.codegen())
            try:
                return CompileResult._rebuild(target_context, *kept[1]) if kept[0] == signature else None
            except Exception:  # nothing kept, or nothing that is sound
                return None

    def save_overload(self, signature, result):
        """Keep compiled code; where that fails, the call at hand goes on all the same."""

        def make():
            if result.library.has_dynamic_globals:
                raise ValueError(f"{self._name} holds addresses of this process")
            return dumps((signature, result._reduce()))

        if self._enabled:
            keep(self._name, (self._identity, signature), result.codegen, make)
