"""A run as its TOML file describes it: every key, its type, its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from ..checks import shown
from ..files.arrays import read_array
from ..tissue_parameters import TISSUE

Values: TypeAlias = float | str | list[Any] | dict[str, Any]  # see `values`
Ends: TypeAlias = tuple[float, float]


class DescriptionError(ValueError):
    """A run is described wrongly; says the file, the line where it can be told, and the key."""


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the file: keys that it does not have are refused."""


class Span(Table, frozen=True):
    """Evenly spread values: ``{ start = 10, stop = 300, count = 100, spacing = "log" }``, both ends included."""

    start: float
    stop: float
    count: int
    spacing: Literal["linear", "log"] = "linear"


class File(Table, frozen=True):
    """Values from a file: .npy, .txt, or a NIfTI map; one number a row, or an array."""

    file: str


# One key for each tissue parameter.
Tissue: Any = msgspec.defstruct(
    "Tissue",
    [
        ("kind", Literal["grid", "list", "maps"], "grid"),
        ("T2_above_T1", Literal["drop", "keep"], "drop"),  # what becomes of such atoms of a grid
        ("mask", File | None, None),
        *((name, Values | None, None) for name in TISSUE),
    ],
    bases=(Table,),
)


class Options(Table, frozen=True):
    """How signals are played, as `epgnumba.simulate` takes it."""

    diff: tuple[str, ...] = ()
    nstates: int | None = None
    dtype: Literal["float64", "float32"] = "float64"
    slice_prof: Values = 1.0
    device: str | None = None


class Compression(Table, frozen=True):
    """What a dictionary is compressed to; without a rank it is kept whole."""

    rank: int | None = None
    basis_atoms: int = 16384


class DesignTable(Table, frozen=True):
    """What is made small, within which limits; values to sweep over go by parameter of the sequence."""

    unknowns: tuple[str, ...] = ("M0", "T2")
    weights: list[float] | None = None
    noise: float = 1.0
    variables: tuple[str, ...] = ("flip",)
    bounds: dict[str, Ends] = {}
    flip_power: float | None = None
    starts: int = 4
    seed: int = 0
    max_iterations: int = 500
    tolerance: float = 1e-9
    sweep: dict[str, Values] = {}


class FitTable(Table, frozen=True):
    """What is fitted to which data, as `epgnumba.estimate.fit` takes it."""

    data: File | None = None
    unknowns: tuple[str, ...] = ("M0", "T2")
    bounds: dict[str, Ends] = {}
    noise: float | None = None
    magnitude: bool | None = None
    complex_M0: bool = False  # noqa: N815, as there


class Output(Table, frozen=True):
    """Where results go: always a Zarr store; in the end NetCDF and NIfTI too, if wanted."""

    path: str
    compression: Literal["lz4", "zstd", "none"] = "lz4"
    netcdf: str | None = None
    nifti: str | None = None


class Engine(Table, frozen=True):
    """What computes it. None of this changes a bit of the result."""

    kind: Literal["local", "dask"] = "local"
    workers: int | None = None
    memory: str = "1 GB"
    shard_rows: int | None = None
    scheduler: str | None = None


class Description(Table, frozen=True):
    """A whole file."""

    sequence: dict[str, Any]
    output: Output
    tissue: Tissue = Tissue()
    options: Options = Options()
    dictionary: Compression = Compression()
    design: DesignTable = DesignTable()
    fit: FitTable = FitTable()
    engine: Engine = Engine()


def read(path: Path) -> Description:
    """The description in a file, checked against the keys that there are.

    Raises
    ------
    DescriptionError
        If it cannot be read, is no TOML, or a key is missing, unknown or of the wrong type.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(f"{path}: it cannot be read: {error}") from None
    try:
        return msgspec.convert(msgspec.toml.decode(text), Description)
    except msgspec.ValidationError as error:
        raise DescriptionError(told(path, text, _named(str(error)))) from None
    except msgspec.DecodeError as error:  # it says the line
        raise DescriptionError(f"{path}: {error}") from None


def _named(message: str) -> str:
    """An error of msgspec, in the words of the others: the key first."""
    what, _, place = message.partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    missing = re.match(r"Object (missing required|contains unknown) field `(\w+)`", what)
    if missing:
        key = f"{key}.{missing[2]}".lstrip(".")
        what = "is needed" if missing[1].startswith("missing") else "is no key that there is"
        return f"{key}: {what}"
    return f"{key or 'the file'}: {what[0].lower()}{what[1:]}"


def told(path: Path, text: str, message: str) -> str:
    """An error that begins with a key (``table.key``), with the line of the file where that is."""
    key = re.match(r"[\w.]+", message)
    number = _line_of(text, key[0].split(".")) if key else None
    return f"{path}, line {number}: {message}" if number else f"{path}: {message}"


def _line_of(text: str, parts: list[str]) -> int | None:
    """Line in which a key stands, or its table."""
    table: list[str] = []
    found = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w.]+)\s*\]", line)
        entry = re.match(r"\s*([\w.]+)\s*=", line)
        if header:
            table = header[1].split(".")
            if parts[: len(table)] == table:
                found = number
        elif entry:
            whole = [*table, *entry[1].split(".")]
            if parts[: len(whole)] == whole:
                return number
    return found


def values(key: str, given: Values, folder: Path) -> np.ndarray[Any, Any]:
    """What a key stands for: a number, a list, a `Span` or a `File`, relative to the description's folder.

    Raises
    ------
    ValueError
        Naming the key.
    """
    if isinstance(given, dict):
        kind: Any = File if "file" in given else Span
        try:
            spread = msgspec.convert(given, kind)
        except msgspec.ValidationError as error:
            raise ValueError(f"{key}: {_named(str(error))}") from None
        return read_array(folder / spread.file, key) if isinstance(spread, File) else _spread(key, spread)
    array = np.asarray(given) if not isinstance(given, list) or _is_regular(given) else np.empty(0, object)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{key}={shown(given)} is not allowed: numbers are needed")
    return array.astype(np.float64)


def _is_regular(given: list[Any]) -> bool:
    return all(type(one) in (int, float) for one in given)


def _spread(key: str, span: Span) -> np.ndarray[Any, Any]:
    if span.count < 1 or not np.isfinite([span.start, span.stop]).all():
        raise ValueError(f"{key}={shown(span)} is not allowed: finite ends and a count of at least 1 are needed")
    if span.spacing == "linear":
        return np.linspace(span.start, span.stop, span.count)
    if span.start <= 0 or span.stop <= 0:
        raise ValueError(f'{key}={shown(span)} is not allowed: ends above zero are needed for spacing="log"')
    return np.geomspace(span.start, span.stop, span.count)


def size_in_bytes(key: str, text: str) -> int:
    """A size as ``"1.5 GB"``, of powers of ten.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = re.fullmatch(r"([0-9.]+) ?([kMGT]?)B", text)
    try:
        size = int(float(found[1]) * 1000 ** " kMGT".index(found[2] or " ")) if found else 0
    except ValueError:
        size = 0
    if size < 1:
        raise ValueError(f'{key}={shown(text)} is not allowed: a size such as "500 MB" or "2 GB" is needed')
    return size
