"""Results on disk: one Zarr store, made once; shards that are written whole or not at all; a mark for each.

A shard is encoded in memory, written aside, moved to its place, and then marked as done, with checksums of its files.
Nothing is flushed to the device: what a dying machine loses fails its checksum, and is computed again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import zarr

from ..checks import file_path
from ..tissue_parameters import TISSUE
from .encoding import codecs, encoded, missing
from .rows import Rows
from .share import one_thread_each
from .work import Arrays, Variable, Work, work_of

MARKS = ".done"
PLACE = "place"
SMALL = 1 << 14  # entries of a chunk of what is known beforehand, but for that of rows, which has those of a shard
CHUNK = 1 << 22  # bytes of a chunk of results, at most, unless a block has more


class StoreError(RuntimeError):
    """A store is missing, incomplete, damaged, or another run's."""


def _array(
    group: Any, name: str, data: npt.NDArray[Any], dims: tuple[str, ...], chunk: int = SMALL, **attributes: Any
) -> None:
    """What is known beforehand: whole, in chunks of its own."""
    chunks = tuple(max(1, min(n, chunk)) for n in data.shape)
    made = group.create_array(
        name, shape=data.shape, chunks=chunks, dtype=data.dtype, dimension_names=dims, attributes=attributes,
        compressors=codecs("zstd"),
    )  # fmt: skip
    made[...] = data


def _results(group: Any, variable: Variable, shape: tuple[int, int, int], row: str, compression: str) -> None:
    """An empty array of results: `shape` is the number of rows, of those in a block, of those in a shard."""
    rows, block, shard = shape
    chunk = chunk_rows(shard, block, variable.row_bytes)
    ends = tuple(variable.dims.values())
    attributes = {"long_name": variable.text, "units": variable.unit}
    group.create_array(
        variable.name, shape=(rows, *ends), chunks=(chunk, *ends), shards=(shard, *ends), dtype=variable.dtype,
        fill_value=missing(variable.dtype), compressors=codecs(compression),
        dimension_names=(row, *variable.dims), attributes=attributes,
    )  # fmt: skip


def _checksum(*content: bytes) -> list[int]:
    """Length, and checksum against accidents, of what is told in pieces."""
    found = 0
    for piece in content:
        found = google_crc32c.extend(found, piece)
    return [sum(map(len, content)), found]


def chunk_rows(shard_rows: int, block: int, row_bytes: int) -> int:
    """Rows of a chunk within a shard: a part of it, of whole blocks, of some megabytes."""
    blocks = shard_rows // block
    return block * next(
        n for n in range(blocks, 0, -1) if blocks % n == 0 and (n == 1 or n * block * row_bytes <= CHUNK)
    )


def make_store(path: Path, work: Work, rows: Rows, shard_rows: int, compression: str) -> None:
    """Make a store without results, aside, and move it to its place: it is there whole or not at all.

    Raises
    ------
    StoreError
        If something else is there.
    """
    with one_thread_each():
        constants = work.prepare(rows.values)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        attributes = {
            "title": f"epgnumba {work.run['command']}", "run": json.dumps(work.run), "row": rows.name,
            "dims": rows.dims, "shard_rows": shard_rows, "compression": compression, "affine": rows.affine,
            "complete": False,
        }  # fmt: skip
        group = zarr.create_group(aside, attributes=attributes)
        _array(group, PLACE, rows.place, (rows.name,), shard_rows, long_name="where in the grid or map a row lies")
        for name, array in rows.values.items():
            unit = TISSUE[name].unit if name in TISSUE else ""
            _array(group, name, array, (rows.name,), shard_rows, units=unit)
        for name, array in rows.axes.items():
            _array(group, f"{name}_axis", array, (f"{name}_axis",))
        for name, array in constants.items():
            _array(group, name, array, work.constant_dims[name])
        for variable in work.variables:
            _results(group, variable, (rows.count, work.block, shard_rows), rows.name, compression)
        _consolidate(aside)
        aside.chmod(0o755)
        aside.rename(path)
    except OSError as error:
        if path.exists():
            raise StoreError(f"{path} has been made meanwhile, or is no store; run again") from None
        raise StoreError(f"{path} cannot be made: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _consolidate(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is not in the format's specification; and on marks
        zarr.consolidate_metadata(zarr.storage.LocalStore(path))


class Store:
    """A store that was made.

    Raises
    ------
    StoreError
        If there is none, or it is none of epgnumba's.
    """

    def __init__(self, path: Path) -> None:
        self.path = file_path("path", path)
        try:
            self.group: Any = zarr.open_group(path, mode="r")
            attributes: dict[str, Any] = dict(self.group.attrs)
            self.run: dict[str, Any] = json.loads(attributes["run"])
            self.row: str = attributes["row"]
            self.shard_rows: int = attributes["shard_rows"]
            self.compression: str = attributes["compression"]
        except FileNotFoundError:
            raise StoreError(f"{path} is not there; --prepare makes it") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is no store of a run: {error}") from None

    @cached_property
    def work(self) -> Work:
        """What is computed; its constants are those in the store."""
        work = work_of(self.run)
        work.constants = {name: self.group[name][...] for name in work.constant_dims}
        return work

    def place(self, rows: slice = slice(None)) -> npt.NDArray[np.int64]:
        """Where in the grid or map rows lie."""
        return np.asarray(self._known[PLACE][rows])

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self._known[PLACE].shape[0])

    @cached_property
    def _known(self) -> dict[str, Any]:
        """Arrays of what is known of rows beforehand, opened once."""
        return {name: self.group[name] for name in (PLACE, *self.run["varying"])}

    def values(self, rows: slice) -> Arrays:
        """What differs from row to row, of some rows."""
        return {name: self._known[name][rows] for name in self.run["varying"]}

    @property
    def shards(self) -> int:
        return -(-self.count // self.shard_rows)

    def rows_of(self, shard: int) -> slice:
        return slice(shard * self.shard_rows, min((shard + 1) * self.shard_rows, self.count))

    def compute(self, shard: int) -> Arrays:
        """The results of a shard, in memory that each thread uses again."""
        rows = self.rows_of(shard)
        found = self.work.empty(rows.stop - rows.start)
        self.work.fill(found, self.values(rows), self.place(rows))
        return found

    def file(self, variable: Variable, shard: int) -> Path:
        """Where a shard of a variable lies, as Zarr's default key encoding has it."""
        return self.path.joinpath(variable.name, "c", str(shard), *("0" for _ in variable.dims))

    def _mark(self, shard: int) -> Path:
        return self.path / MARKS / f"{shard}.json"

    def write(self, shard: int, results: Arrays) -> None:
        """Put a shard in its place, and mark it as done.

        Raises
        ------
        StoreError
            If it cannot be written; the store is as it was.
        """
        try:
            marks = {}
            for variable in self.work.variables:
                chunk = chunk_rows(self.shard_rows, self.work.block, variable.row_bytes)
                content = encoded(results[variable.name], self.shard_rows, chunk, self.compression)
                _move_in(self.file(variable, shard), content)
                marks[variable.name] = _checksum(*content)
            _move_in(self._mark(shard), [json.dumps(marks).encode()])
        except OSError as error:
            raise StoreError(f"shard {shard} of {self.path} cannot be written: {error.strerror or error}") from None

    def is_done(self, shard: int) -> bool:
        """Whether a shard is there, whole, as its mark says."""
        try:
            marks = json.loads(self._mark(shard).read_bytes())
            return all(
                _checksum(self.file(variable, shard).read_bytes()) == marks[variable.name]
                for variable in self.work.variables
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def finish(self) -> None:
        """Say that it is complete, and consolidate its metadata.

        Raises
        ------
        StoreError
            If shards are missing or damaged, naming them.
        """
        lacking = [shard for shard in range(self.shards) if not self.is_done(shard)]
        if lacking:
            damaged = [shard for shard in lacking if self._mark(shard).exists()]
            raise StoreError(
                f"{self.path} is not complete: {len(lacking)} of {self.shards} shards are missing"
                + (f", of which {damaged[:10]} are damaged" if damaged else "")
                + "; run again, and only these are computed"
            )
        try:
            for left in self.path.rglob(".*.aside"):  # by processes that were killed
                left.unlink()
            zarr.open_group(self.path, mode="r+", use_consolidated=False).attrs["complete"] = True
            _consolidate(self.path)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}") from None


def _move_in(path: Path, content: list[bytes]) -> None:
    """Write pieces of a file aside, and move it to its place: whoever looks finds it whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".aside", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(content)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise
