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
from ..problem import read_problem
from ..sequence import Readout, Sequence
from ..tissue_parameters import TISSUE
from ..verbs import jacobian, simulate
from .sequences import make_sequence

BLOCK = 1024  # rows of tissue that are played together
FEW = 3  # rows, for which the same code is compiled as for many

_COMPLEX, _REAL, _IMAGINARY = 0, 1, 2  # where signals lie

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

    def stand_ins(self) -> Arrays:
        """Constants of the same shapes, to measure time with."""
        return {}

    @property
    def block_bytes(self) -> int:
        """Memory that a block's signals take."""
        raise NotImplementedError

    def room(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Memory of this thread, of undefined contents."""
        rooms = self._rooms.__dict__
        if name not in rooms:
            rooms[name] = np.empty(shape, dtype)
        found: npt.NDArray[Any] = rooms[name]
        return found

    @cached_property
    def _rooms(self) -> threading.local:
        return threading.local()

    def compute(self, values: Arrays, place: npt.NDArray[np.int64]) -> Arrays:
        """Variables by name, for a block of rows: their values, and their places in grid or map."""
        raise NotImplementedError


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
    Where all signals are real, or all imaginary, the directions are real, and products take a quarter of the work.
    """

    @property
    def rank(self) -> int | None:
        rank: int | None = self.run["dictionary"]["rank"]
        return rank

    @property
    def constant_dims(self) -> dict[str, tuple[str, ...]]:
        return {"basis": ("component", "readout"), "energy": ("component",), "plane": ()} if self.rank else {}

    @property
    def variables(self) -> list[Variable]:
        real = self.run["options"]["dtype"]
        norm = Variable("norm", {}, real, "length of the signal of each atom")
        if not self.rank:
            return [Variable("atom_signal", {"readout": self.readouts}, self.dtype, "signal of unit length"), norm]
        text = "of the signal of unit length, which is coefficients @ basis"
        lacking = "length of what the basis lacks of the signal of unit length, to rounding (1e-3 of float32)"
        coefficients = Variable("coefficients", {"component": self.rank}, self.dtype, text)
        return [coefficients, norm, Variable("residual", {}, real, lacking)]

    def check(self, values: Arrays, place: npt.NDArray[np.int64]) -> None:
        if self.run["options"]["diff"]:
            raise ValueError("options.diff is not allowed of a dictionary; use the command simulate")
        if self.rank and self.rank > self.readouts:
            raise ValueError(f"dictionary.rank={self.rank} is not allowed: there are {self.readouts} readouts")
        rows = _extremes(values, len(place))
        self.play({name: array[rows] for name, array in values.items()})

    def prepare(self, values: Arrays) -> Arrays:
        """The basis (component, readout); what part of the atoms' energy each direction holds; where signals lie."""
        if not self.rank:
            return {}
        count = len(next(iter(values.values()), [0]))
        most = min(count, self.run["dictionary"]["basis_atoms"])
        chosen = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
        gram = np.zeros((self.readouts, self.readouts), np.complex128)
        parts = np.zeros(2, bool)
        for first in range(0, len(chosen), self.block):
            part = chosen[first : first + self.block]
            unit = self._unit({name: array[part] for name, array in values.items()})[0].astype(np.complex128)
            gram += unit.T @ np.conj(unit)
            parts |= unit.real.any(), unit.imag.any()
        plane = _COMPLEX if parts.all() or not self._is_planar(values) else _IMAGINARY if parts[1] else _REAL
        energies, vectors = np.linalg.eigh(gram if plane == _COMPLEX else gram.real)
        kind = self.dtype if plane == _COMPLEX else self.run["options"]["dtype"]
        basis = vectors[:, ::-1][:, : self.rank].T.astype(kind)
        energy = np.maximum(energies[::-1][: self.rank], 0) / np.trace(gram).real
        return {"basis": np.ascontiguousarray(basis), "energy": energy, "plane": np.array(plane)}

    def _is_planar(self, values: Arrays) -> bool:
        """Whether the signals of all rows are real numbers times what all have in common, for sure."""
        ends = {name: np.array([array.min(), array.max()]) for name, array in values.items()}
        options = {name: value for name, value in self._options.items() if name != "device"}
        maps: dict[str, Any] = {**self.run["fixed"], **ends, **options}
        return bool(read_problem(self.sequence, **maps).job().program.signal.reach.planes == 1)

    def stand_ins(self) -> Arrays:
        if not self.rank:
            return {}
        return {"basis": np.ones((self.rank, self.readouts), self.dtype), "plane": np.array(_COMPLEX)}

    def _unit(self, values: Arrays) -> tuple[npt.NDArray[np.complexfloating], Array]:
        """Signals of unit length (zero where there is none), and their lengths."""
        signal = self.play(values)
        norm = np.linalg.norm(signal, axis=1)
        return signal / np.where(norm == 0, 1, norm)[:, None], norm

    def compute(self, values: Arrays, place: npt.NDArray[np.int64]) -> Arrays:
        if not self.rank:
            unit, norm = self._unit(values)
            return {"atom_signal": unit, "norm": norm}
        signal = self.play(values)
        plane = int(self.constants["plane"])
        part = signal if plane == _COMPLEX else signal.real if plane == _REAL else signal.imag
        whole = self.room(
            "projected", (self.block, self.readouts), self._projection.dtype
        )  # whole blocks only, see above
        np.copyto(whole[: len(part)], part)
        whole[len(part) :] = 0
        numbers = whole.view(self.run["options"]["dtype"])
        norm = np.sqrt(np.einsum("rn,rn->r", numbers, numbers))[: len(part)]
        products = (whole @ self._projection)[: len(part)] / np.where(norm == 0, 1, norm)[:, None]
        kept = (abs(products) ** 2).sum(axis=1)
        coefficients = products if plane != _IMAGINARY else 1j * products
        return {"coefficients": coefficients, "norm": norm, "residual": np.sqrt(np.maximum((norm > 0) - kept, 0))}

    @cached_property
    def _projection(self) -> npt.NDArray[np.inexact]:
        return np.ascontiguousarray(np.conj(self.constants["basis"]).T)


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
