"""What each command computes of a block of rows, and what comes of it.

Rows are computed in blocks that begin at multiples of `Work.block`, whatever the chunks and workers: products of
matrices, and whatever else depends on company, then have the same bits in any of them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..engine import Job, Projection, leading
from ..problem import read_problem
from ..sequence import Readout, Sequence
from ..tissue import Tissue
from ..tissue_parameters import TISSUE
from ..verbs import jacobian, simulate
from .sequences import make_sequence

BLOCK = 1024  # rows of tissue that are played together
STEP = 16  # such blocks, of rows that depend on no company
FEW = 3  # rows, for which the same code is compiled as for many

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Variable:
    """An array of results, one entry for each row.

    Attributes
    ----------
    name : str
    dims : dict of str to int
        Axes after that of the rows.
    dtype : str
    text, unit : str
    """

    name: str
    dims: dict[str, int]
    dtype: str
    text: str
    unit: str = ""

    @property
    def row_bytes(self) -> int:
        return int(np.prod([*self.dims.values()], dtype=int)) * np.dtype(self.dtype).itemsize


@dataclass
class Work:
    """A command at work on rows.

    Parameters
    ----------
    run : dict
        The description with all numbers in it (`plan`).
    constants : dict of str to ndarray
        What was computed once, before any row (`prepare`).
    """

    run: dict[str, Any]
    constants: Arrays = field(default_factory=dict)
    block = BLOCK

    @cached_property
    def sequence(self) -> Sequence:
        return make_sequence(self.run["sequence"])

    @property
    def variables(self) -> list[Variable]:
        raise NotImplementedError

    @property
    def constant_dims(self) -> dict[str, tuple[str, ...]]:
        """Names of the axes of constants."""
        return {}

    def check(self, values: Arrays, place: npt.NDArray[np.int64]) -> None:
        """Refuse what cannot be computed, and compile what is needed, by computing some rows."""
        rows = _extremes(values, len(place))
        self.compute({name: array[rows] for name, array in values.items()}, place[rows])

    def prepare(self, values: Arrays) -> Arrays:
        """Constants, of the values of all rows."""
        return {}

    @property
    def block_bytes(self) -> int:
        """Memory that a block's signals take."""
        raise NotImplementedError

    def room(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Memory of this thread, of undefined contents: what it had before, if that is long enough."""
        rooms = self._rooms.__dict__
        if name not in rooms or len(rooms[name]) < shape[0]:
            rooms[name] = np.empty(shape, dtype)
        found: npt.NDArray[Any] = rooms[name][: shape[0]]
        return found

    @cached_property
    def _rooms(self) -> threading.local:
        return threading.local()

    def compute(self, values: Arrays, place: npt.NDArray[np.int64]) -> Arrays:
        """Variables by name, for a block of rows: their values, and their places in grid or map."""
        raise NotImplementedError

    def empty(self, count: int) -> Arrays:
        """Memory of this thread for the variables of so many rows, of undefined contents."""
        return {each.name: self.room(each.name, (count, *each.dims.values()), each.dtype) for each in self.variables}

    def fill(self, found: Arrays, values: Arrays, place: npt.NDArray[np.int64]) -> None:
        """Write the variables of any number of whole blocks, or of the last rows, where they are wanted."""
        for first in range(0, len(place), self.block):
            part = slice(first, first + self.block)
            for name, array in self.compute({name: array[part] for name, array in values.items()}, place[part]).items():
                found[name][part] = array


def _extremes(values: Arrays, count: int) -> npt.NDArray[np.int64]:
    """Rows that hold the lowest and highest values, and some more: what may be refused is, of these."""
    ends = [end for array in values.values() for end in (int(array.argmin()), int(array.argmax()))]
    return np.unique([*range(min(FEW, count)), *ends])


class Signals(Work):
    """`simulate`: signals of tissues, and derivatives."""

    @cached_property
    def _options(self) -> dict[str, Any]:
        options = dict(self.run["options"])
        return {name: value for name, value in options.items() if name != "diff"}

    @cached_property
    def _diff(self) -> tuple[str, ...]:
        return tuple(self.run["options"]["diff"])

    @cached_property
    def readouts(self) -> int:
        return sum(isinstance(event, Readout) for event in self.sequence.events())

    @property
    def dtype(self) -> str:
        return "complex128" if self.run["options"]["dtype"] == "float64" else "complex64"

    @property
    def block_bytes(self) -> int:
        return self.block * self.readouts * np.dtype(self.dtype).itemsize * (1 + len(self._diff))

    @property
    def variables(self) -> list[Variable]:
        axis = {"readout": self.readouts}
        found = [Variable("signal", axis, self.dtype, "transverse magnetisation at each readout")]
        for name in self._diff:
            unit = f"1/({TISSUE[name].unit})" if TISSUE[name].unit else ""
            found.append(Variable(f"d_{name}", axis, self.dtype, f"derivative of signal by {name}", unit))
        return found

    def play(self, values: Arrays) -> npt.NDArray[np.complexfloating]:
        """Signals (row, readout); on the CPU in memory that each thread uses again."""
        given: dict[str, Any] = {**self.run["fixed"], **values, **self._options}
        count = len(next(iter(values.values()), [0]))
        if self.run["options"]["device"] is None:
            out = self.room("played", (self.block, self.readouts), self.dtype)[:count]
            simulate(self.sequence, **given, out=out if values else out[0])
            return out
        return np.asarray(simulate(self.sequence, **given)).reshape(count, -1)

    def compute(self, values: Arrays, place: npt.NDArray[np.int64]) -> Arrays:
        if not self._diff:
            return {"signal": self.play(values)}  # it is copied before the next block
        given: dict[str, Any] = {**self.run["fixed"], **values, **self._options}
        signal, slopes = jacobian(self.sequence, diff=self._diff, **given)
        shape = len(place), self.readouts
        slopes = slopes.reshape(len(place), len(self._diff), self.readouts)
        return {"signal": signal.reshape(shape), **{f"d_{name}": slopes[:, k] for k, name in enumerate(self._diff)}}


class Dictionary(Signals):
    """`dictionary`: signals of unit length, whole or as coefficients of a few orthogonal directions.

    The directions are the leading eigenvectors of the Gram matrix of the atoms, over the readouts: those of an SVD. Of
    more than `basis_atoms` of them, it is that of so many, drawn at random; `residual` says of each atom what is lost.
    Where signals keep to a line of the complex plane, one for each readout, the coefficients are real. On the CPU they
    are what kernels give: signals are never held.
    """

    @property
    def rank(self) -> int | None:
        rank: int | None = self.run["dictionary"]["rank"]
        return rank

    @property
    def constant_dims(self) -> dict[str, tuple[str, ...]]:
        return {"basis": ("component", "readout"), "energy": ("component",)} if self.rank else {}

    @property
    def variables(self) -> list[Variable]:
        real = self.run["options"]["dtype"]
        norm = Variable("norm", {}, real, "length of the signal of each atom")
        if not self.rank:
            return [Variable("atom_signal", {"readout": self.readouts}, self.dtype, "signal of unit length"), norm]
        text = "of the signal of unit length, which is coefficients @ basis"
        lacking = "length of what the basis lacks of the signal of unit length, to rounding (1e-3 of float32)"
        coefficients = Variable("coefficients", {"component": self.rank}, real if self._is_planar else self.dtype, text)
        return [coefficients, norm, Variable("residual", {}, real, lacking)]

    @property
    def block_bytes(self) -> int:
        return max(super().block_bytes, STEP * self.block * len(TISSUE) * 8)

    def check(self, values: Arrays, place: npt.NDArray[np.int64]) -> None:
        if self.run["options"]["diff"]:
            raise ValueError("options.diff is not allowed of a dictionary; use the command simulate")
        if self.rank and self.rank > self.readouts:
            raise ValueError(f"dictionary.rank={self.rank} is not allowed: there are {self.readouts} readouts")
        rows = _extremes(values, len(place))
        few = {name: array[rows] for name, array in values.items()}
        self.play(few)
        self.compute(few, place[rows])

    @cached_property
    def _job(self) -> Job:
        """The program of all rows, whichever are played: it depends on the ends of their values only."""
        ends = {name: np.array([low, high, high]) for name, (low, high) in self.run["ends"].items()}
        options = {name: value for name, value in self._options.items() if name != "device"}
        maps: dict[str, Any] = {**self.run["fixed"], **ends, **options}
        return read_problem(self.sequence, **maps).cpu_job()

    @property
    def _is_planar(self) -> bool:
        """Whether the signals of all rows are real numbers times what all have in common, for sure."""
        return bool(self._job.program.signal.reach.planes == 1)

    def prepare(self, values: Arrays) -> Arrays:
        """The basis (component, readout), and what part of the atoms' energy each direction holds."""
        if not self.rank:
            return {}
        count = len(next(iter(values.values()), [0]))
        most = min(count, self.run["dictionary"]["basis_atoms"])
        chosen = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
        gram: npt.NDArray[Any] = np.zeros((self.readouts, self.readouts), float if self._is_planar else complex)
        common = self._job.factors if self._is_planar else np.ones(1)
        for first in range(0, len(chosen), self.block):
            part = chosen[first : first + self.block]
            unit: npt.NDArray[Any] = self._unit({name: array[part] for name, array in values.items()})[0]
            along = unit * np.conj(common)
            if self._is_planar:
                along = np.ascontiguousarray(along.real, float)
            gram += along.T @ np.conj(along)
        vectors, energy = leading(gram, self.rank)
        return {"basis": np.ascontiguousarray((vectors * common[:, None]).T.astype(self.dtype)), "energy": energy}

    def _unit(self, values: Arrays) -> tuple[npt.NDArray[np.complexfloating], Array]:
        """Signals of unit length (zero where there is none), and their lengths."""
        signal = self.play(values)
        norm = np.linalg.norm(signal, axis=1)
        return signal / np.where(norm == 0, 1, norm)[:, None], norm

    @property
    def _in_kernels(self) -> bool:
        return self.rank is not None and self.run["options"]["device"] is None

    def fill(self, found: Arrays, values: Arrays, place: npt.NDArray[np.int64]) -> None:
        if not self._in_kernels:
            return super().fill(found, values, place)
        numbers = found["coefficients"].view(found["norm"].dtype)
        for first in range(0, len(place), STEP * self.block):
            part = slice(first, first + STEP * self.block)
            tissue = Tissue(**self.run["fixed"], **{name: array[part] for name, array in values.items()})
            self._projection(tissue.table(numbers.dtype), numbers[part], found["norm"][part], found["residual"][part])
        return None

    def compute(self, values: Arrays, place: npt.NDArray[np.int64]) -> Arrays:
        if not self.rank:
            unit, norm = self._unit(values)
            return {"atom_signal": unit, "norm": norm}
        if self._in_kernels:
            found = self.empty(len(place))
            self.fill(found, values, place)
            return found
        real = self.run["options"]["dtype"]
        whole = self.room("whole", (self.block, 2 * self.readouts), real)  # products of whole blocks have the same bits
        whole[: len(place)] = np.ascontiguousarray(self.play(values)).view(real)
        whole[len(place) :] = 0
        norm = np.sqrt(np.einsum("rn,rn->r", whole, whole))[: len(place)]
        parts = self._planar_basis.transpose(1, 0, 2).reshape(2 * self.readouts, -1).astype(real)
        products = (whole @ parts)[: len(place)] / np.where(norm == 0, 1, norm)[:, None]
        residual = np.sqrt(np.maximum((norm > 0) - (products**2).sum(axis=1), 0))
        return {"coefficients": products.view(self.variables[0].dtype), "norm": norm, "residual": residual}

    @cached_property
    def _projection(self) -> Projection:
        return Projection(self._job, self._planar_basis)

    @property
    def _planar_basis(self) -> Array:
        """What real and imaginary parts of signals are multiplied with: (part, readout, number of the coefficients)."""
        given = self.constants.get("basis")
        basis = np.ones((self.readouts, self.rank or 0), self.dtype) if given is None else given.T  # none to tell time
        columns = [[basis.real, basis.imag], [-basis.imag, basis.real]]  # real and imaginary parts of coefficients
        planar = np.stack(columns[:1] if self._is_planar else columns, -1)
        return planar.reshape(2, self.readouts, -1).astype(np.float64)


def work_of(run: dict[str, Any], constants: Arrays | None = None) -> Work:
    """The command that a run's description names, at work."""
    kinds: dict[str, type[Work]] = {"simulate": Signals, "dictionary": Dictionary}
    if run["command"] == "design":  # imported only then: scipy's optimisers take a second
        from .design import Designs

        kinds["design"] = Designs
    elif run["command"] == "fit":
        from .fit import Fits

        kinds["fit"] = Fits
    return kinds[run["command"]](run, constants or {})
