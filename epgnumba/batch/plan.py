"""From a description to a run: everything resolved, checked, and measured before anything starts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .. import __version__
from ..checks import choice, file_path, shown
from ..checks import count as checked_count
from ..extras import brought
from ..kernels.cache import source_digest
from ..tissue_parameters import TISSUE
from .description import Description, DescriptionError, Output, Span, Values, read, size_in_bytes, told, values
from .rows import Rows, sweep_rows, tissue_rows
from .sequences import resolve
from .share import one_process, one_thread_each
from .store import Store, StoreError, make_store
from .work import Work, work_of

MOST_WORKERS, MOST_SHARES = 100_000, 1_000_000
TARGET = 1 << 26  # bytes of a shard, before compression
PER_SHARE = 4  # shards, at least, for each worker or task of a job array
LARGEST_NETCDF = 2 << 30  # bytes
COPIES = 3  # of a shard in flight: results, what is encoded, what is written
SCRATCH = 5  # copies of a block's signals at work
BASE = 250e6  # bytes of a process that has done nothing yet


@dataclass
class Plan:
    """A run, ready to start.

    Attributes
    ----------
    description : Description
    work : Work
    rows : Rows
    path : Path
        Of the store.
    workers : int
    shard_rows : int
    allowed : int
        Bytes that it may take in all.
    """

    description: Description
    work: Work
    rows: Rows
    path: Path
    workers: int
    shard_rows: int
    allowed: int

    @property
    def row_bytes(self) -> int:
        """Bytes of results for each row, before compression."""
        return _row_bytes(self.work)

    @property
    def memory(self) -> float:
        """Bytes that the run takes, at most."""
        base = BASE * _processes(self.description, self.workers) + _known_bytes(self.rows)
        own = self.workers * _worker_bytes(self.work, self.row_bytes, self.shard_rows)
        return base + own

    def seconds(self) -> float:
        """How long it takes, by what a block does once it is compiled."""
        part = slice(0, min(self.work.block, self.rows.count))
        block = {name: array[part] for name, array in self.rows.values.items()}
        with one_thread_each():
            self.work.compute(block, self.rows.place[part])
            start = time.perf_counter()
            self.work.compute(block, self.rows.place[part])
            taken = time.perf_counter() - start
        return taken * self.rows.count / (part.stop * self.workers)

    def store(self, make: bool = True) -> Store:
        """The store of this run; if there is none, it is made.

        Raises
        ------
        StoreError
            If there is one of another run, or none and it must not be made.
        """
        if make and not self.path.exists():
            make_store(self.path, self.work, self.rows, self.shard_rows, self.description.output.compression)
        store = Store(self.path)
        if differing := _differing(store.run, self.work.run):
            raise StoreError(
                f"{self.path} is of another run, which differs in {', '.join(differing)}; "
                "give another output.path, or remove it"
            )
        return store


def _processes(description: Description, workers: int) -> int:
    """How many there are; the workers of Dask have one each, beside that which asks them."""
    return 1 + workers * (description.engine.kind == "dask" and description.engine.scheduler is None)


def _row_bytes(work: Work) -> int:
    return sum(variable.row_bytes for variable in work.variables)


def _known_bytes(rows: Rows) -> int:
    """Memory of what is known of all rows, in the process that plans."""
    return sum(array.nbytes for array in rows.values.values()) + rows.place.nbytes


TAKEN = {  # tables that commands take, beside those that all do
    "simulate": ("options",), "dictionary": ("options", "dictionary"), "design": ("design",), "fit": ("options", "fit"),
}  # fmt: skip
FIT_OPTIONS = ("slice_prof", "nstates")


def _refuse_ignored(command: str, description: Description) -> None:
    """Refuse what a command would ignore.

    Raises
    ------
    ValueError
        Naming the key.
    """
    fields = {field.name: field.default for field in msgspec.structs.fields(Description)}
    for table in {table for tables in TAKEN.values() for table in tables}:
        given, default = getattr(description, table), fields[table]
        for key in given.__struct_fields__ if given != default else ():
            is_taken = table in TAKEN[command] and (command != "fit" or table != "options" or key in FIT_OPTIONS)
            if getattr(given, key) != getattr(default, key) and not is_taken:
                raise ValueError(f"{table}.{key} is not allowed of the command {command}, which ignores it")
    if description.dictionary.rank is None and description.dictionary != fields["dictionary"]:
        raise ValueError("dictionary.basis_atoms is not allowed without dictionary.rank: there is no basis")
    if description.tissue.T2_above_T1 != "drop" and (command == "fit" or description.tissue.kind != "grid"):
        raise ValueError('tissue.T2_above_T1 is not allowed: it is for tissue.kind="grid"')
    if description.engine.scheduler is not None and description.engine.kind != "dask":
        raise ValueError('engine.scheduler is not allowed with engine.kind="local"')


def _differing(one: dict[str, Any], other: dict[str, Any], within: str = "") -> list[str]:
    """Keys whose values differ."""
    found = []
    for key in sorted({**one, **other}):
        here, there = one.get(key), other.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            found += _differing(here, there, f"{within}{key}.")
        elif here != there:
            found.append(within + key)
    return found


def _worker_bytes(work: Work, row_bytes: int, shard_rows: int) -> int:
    """Memory of a worker: a block at work, and a shard that is put together, encoded and written."""
    return SCRATCH * work.block_bytes + COPIES * row_bytes * shard_rows


def make_plan(
    command: str, path: str | Path, workers: int | None = None, scheduler: str | None = None, shares: int = 1
) -> Plan:
    """The run that a file describes, to be cut for so many workers, or shares of a job array.

    Raises
    ------
    DescriptionError
        Naming file, line where it can be told, key, and what is allowed.
    """
    choice("command", command, tuple(TAKEN))
    path = file_path("path", path)
    checked_count("shares", shares, most=MOST_SHARES)
    if scheduler is not None and not isinstance(scheduler, str):
        raise TypeError(f"scheduler={shown(scheduler)} is not an address")
    description = read(path)
    engine = msgspec.structs.replace(
        description.engine,
        workers=description.engine.workers if workers is None else workers,
        **({"kind": "dask", "scheduler": scheduler} if scheduler else {}),
    )
    description = msgspec.structs.replace(description, engine=engine)
    try:
        return _plan(command, description, path.resolve().parent, shares)
    except (TypeError, ValueError) as error:
        if isinstance(error, DescriptionError):
            raise
        message = re.sub(r"sequence\.on_scanner\((\w+)=\.\.\.\)", r"sequence.scanner.\1", str(error))
        raise DescriptionError(told(path, path.read_text(), message)) from error


def _plan(command: str, description: Description, folder: Path, shares: int) -> Plan:
    _refuse_ignored(command, description)
    run, rows = _run_and_rows(command, description, folder)
    work = work_of(run)
    with one_process():
        work.check(rows.values, rows.place)
    _check_output(description.output, work, rows)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    engine = description.engine
    workers = checked_count("engine.workers", cores if engine.workers is None else engine.workers, most=MOST_WORKERS)
    allowed = size_in_bytes("engine.memory", engine.memory)
    shard_rows = _choose_shard(description, work, rows, workers, allowed, max(shares, workers))
    return Plan(description, work, rows, folder / description.output.path, workers, shard_rows, allowed)


def _check_output(output: Output, work: Work, rows: Rows) -> None:
    """Refuse copies that cannot be written, before anything starts."""
    if output.nifti is not None:
        with brought("files", f"output.nifti={shown(output.nifti)}"):
            import nibabel  # noqa: F401, which may not be there

        if rows.name != "voxel":
            raise ValueError('output.nifti is not allowed: rows are no voxels (tissue.kind="maps")')
    size = _row_bytes(work) * rows.count
    if output.netcdf is not None and size > LARGEST_NETCDF:
        raise ValueError(f"output.netcdf is not allowed: {size / 1e9:.1f} GB are too many for it; the store holds them")


def _choose_shard(
    description: Description, work: Work, rows: Rows, workers: int, allowed: int, shares: int
) -> int:  # fmt: skip
    """Rows of a shard: as many as are allowed, but some shards for each share, so that none waits for long."""
    engine, row_bytes = description.engine, _row_bytes(work)
    base = BASE * _processes(description, workers) + _known_bytes(rows)
    most = int(((allowed - base) / workers - SCRATCH * work.block_bytes) // (COPIES * row_bytes * work.block))
    if most < 1:
        needed = base + workers * _worker_bytes(work, row_bytes, work.block)
        raise ValueError(
            f'engine.memory="{engine.memory}" is not enough for {workers} workers: they need {needed / 1e9:.2f} GB'
        )
    if engine.shard_rows is None:
        target = min(most, TARGET // (row_bytes * work.block), rows.count // (PER_SHARE * shares * work.block))
        return max(1, target) * work.block
    blocks, rest = divmod(checked_count("engine.shard_rows", engine.shard_rows), work.block)
    if rest or blocks > most:
        raise ValueError(
            f"engine.shard_rows={engine.shard_rows} is not allowed: it must be a multiple of {work.block}, and at "
            f'most {most * work.block} with engine.memory="{engine.memory}"'
        )
    return engine.shard_rows


def _profile(key: str, given: Values, folder: Path) -> Any:
    """A slice profile: one for all pulses, or of each kind of them."""
    if isinstance(given, dict) and given.keys().isdisjoint(("file", *Span.__struct_fields__)):
        return {kind: values(f"{key}.{kind}", one, folder).tolist() for kind, one in given.items()}
    return values(key, given, folder).tolist()


def _ends(rows: Rows) -> dict[str, list[float]]:
    """The lowest and highest value of what tissue varies in, on which programs depend."""
    return {name: [float(array.min()), float(array.max())] for name, array in rows.values.items() if name in TISSUE}


def _run_and_rows(command: str, description: Description, folder: Path) -> tuple[dict[str, Any], Rows]:
    """Everything that the results depend on."""
    options = msgspec.to_builtins(description.options)
    options["slice_prof"] = _profile("options.slice_prof", description.options.slice_prof, folder)
    run: dict[str, Any] = {
        "command": command, "version": __version__, "code": source_digest(),
        "sequence": resolve(description.sequence, folder), "options": options,
    }  # fmt: skip
    for name in ("T1", "T2"):
        if command != "fit" and getattr(description.tissue, name) is None:
            raise ValueError(f"tissue.{name}: is needed")
    if command == "design":
        from .design import resolved

        rows = sweep_rows(description.design.sweep, folder)
        run["design"] = resolved(description.design)
        run["tissue"] = {**(tissue := tissue_rows(description.tissue, folder)).fixed, **{
            name: array.tolist() for name, array in tissue.values.items()
        }}  # fmt: skip
    elif command == "fit":
        from .fit import resolved as resolved_fit

        run["fit"], shape = resolved_fit(description.fit, folder)
        rows = tissue_rows(msgspec.structs.replace(description.tissue, kind="maps"), folder, shape)
    else:
        rows = tissue_rows(description.tissue, folder)
    if command == "dictionary":
        run["dictionary"] = msgspec.to_builtins(description.dictionary)
        for name in ("rank", "basis_atoms"):
            if run["dictionary"][name] is not None:
                checked_count(f"dictionary.{name}", run["dictionary"][name])
    digest = hashlib.sha256(rows.place.tobytes())
    for name, array in sorted(rows.values.items()):
        digest.update(name.encode() + array.tobytes())
    run.update(fixed=rows.fixed, varying=sorted(rows.values), ends=_ends(rows), rows=digest.hexdigest())
    return json.loads(json.dumps(run)), rows
