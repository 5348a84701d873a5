"""Where fits start: a coarse dictionary over the bounds, and what it tells of the question."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import engine
from ..checks import Array
from ..design.bound import crlb
from ..tissue import Tissue
from ..tissue_parameters import NAMES, TISSUE
from .question import Question, quietly

COUNTS = (48, 20, 14, 6, 4)  # values of each unknown, where there are one, two, ...; of more it is FEWEST
FEWEST = 3
STARTS = 3  # of a voxel, where the atoms that are close to it lie apart
RANK, ENERGY = 24, 1 - 1e-6  # of the atoms, as far as starts need them
SPANNING, ROUNDING = 256, 1e-12  # atoms that tell their directions; energies that are none
POINTS = 64  # of the grid that are looked at
STRIDE, MATCHING = 512, 1e4  # voxels that are matched at a time; what one costs, in state updates
EACH = (24, 10, 6, 4)  # as COUNTS, where each voxel has a grid of its own
PLAYED = 1 << 17  # readouts of such grids at a time
BLIND = 1e-12  # a derivative, relative to the signal: nothing is seen


def grid(question: Question, counts: tuple[int, ...] = COUNTS) -> dict[str, Array]:
    """Values of the unknowns, evenly spread in their coordinates and away from bounds, every one with every other."""
    if not question.found:
        return {}
    count = dict(enumerate(counts, 1)).get(len(question.found), FEWEST)
    places = (np.arange(count) + 0.5) / count
    axes = []
    for name in question.found:
        low, high = question.bounds[name]
        spread = low * (high / low) ** places if question.is_reciprocal(name) else low + (high - low) * places
        axes.append(spread)
    return dict(zip(question.found, np.array(list(product(*axes))).T, strict=True))


def check_sight(question: Question, known: dict[str, Array]) -> None:
    """Refuse unknowns that no readout depends on, or that no values within the bounds tell apart.

    `known`: maps of a few voxels, (voxel,) each.

    Raises
    ------
    ValueError
        Naming them.
    """
    values = {name: value[:: max(1, len(value) // POINTS)] for name, value in grid(question).items()}
    names, count = question.found, len(next(iter(known.values())))
    points = len(next(iter(values.values()), [0]))
    values = {name: np.tile(value, count) for name, value in values.items()}
    maps = {name: np.repeat(value, points) for name, value in known.items()}
    problem = quietly(question.sequence, {**maps, **values}, diff=names or None, **question.options)
    signal, slopes = problem.job().signals()
    columns = np.array(slopes)
    for k, name in enumerate(names):
        low, high = question.bounds[name]
        columns[:, k] *= values[name][:, None] if question.is_reciprocal(name) else high - low
    if question.kind != engine.fits().COMPLEX:
        size = abs(signal)[:, None]
        columns = (columns * np.conj(signal)[:, None]).real / np.where(size == 0, 1, size)
    root = np.sqrt(question.weights)
    sizes = np.linalg.norm(columns * root, axis=-1)
    whole = np.linalg.norm(signal * root, axis=-1)[:, None]
    for k, name in enumerate(names):
        if (sizes[:, k] <= BLIND * whole[:, 0]).all():
            raise ValueError(f"unknowns: {name} is not allowed: the protocol cannot see it, no readout depends on it")
    if question.m0_columns:
        own = signal if question.kind == engine.fits().COMPLEX else abs(signal)
        extra = [own[:, None], 1j * own[:, None]][: question.m0_columns]
        columns = np.concatenate([columns, *extra], 1)
    if np.isinf(crlb(columns * root)).all():
        raise ValueError(f"unknowns={question.unknowns} are not allowed: the protocol cannot tell them apart")


class Starts:
    """A coarse dictionary over the bounds, for what is known of some voxels.

    Parameters
    ----------
    question : Question
    known : dict of str to float
    """

    def __init__(self, question: Question, known: dict[str, float]) -> None:
        self._question, self.values = question, grid(question)
        signal = quietly(question.sequence, {**known, **self.values}, **question.options).job().signals()[0]
        atoms, self._sizes = _unit(question, signal[None])
        self._basis = _directions_of(atoms[0])
        self._atoms = np.ascontiguousarray(np.swapaxes(atoms @ self._basis, 1, 2))

    def match(self, data: npt.NDArray[Any], m0: Array, most: int = STARTS) -> npt.NDArray[np.int32]:
        """Places in `values` to start from, (voxel, most), -1 where there is none, for data (voxel, readout).

        `m0` is that of the voxels, if it is known.
        """
        # einsum, since products of matrices round a row by where it stands
        rows, turned = (np.einsum("vo,or->vr", part, self._basis) for part in _planes(self._question, data))
        return _peaks(self._question, rows, turned, self._atoms, self._sizes, m0, len(self.values), most)


def _planes(question: Question, data: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Data as reals, and after a quarter turn where M0 is complex."""
    clean = np.where(np.isfinite(data), data, 0).astype(np.complex128)  # what is not is told when it is fitted
    rows = question.planar(clean)
    return rows, question.planar(-1j * clean) if question.m0_columns == 2 else rows[:0]


def _unit(question: Question, signal: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Atoms (voxel, atom, sample), of unit length unless M0 is known, and their squares (voxel, atom)."""
    atoms = question.planar(signal)
    sizes = (atoms**2).sum(axis=-1)
    if question.m0_columns:
        atoms /= np.sqrt(np.where(sizes == 0, 1, sizes))[..., None]
    return atoms, sizes


def _peaks(
    question: Question, rows: Array, turned: Array, atoms: Array, sizes: Array, m0: Array, axes: int, most: int
) -> npt.NDArray[np.int32]:
    """See `kernels.match.start_batch`."""
    total = atoms.shape[2]
    scale = np.zeros(len(rows)) if question.m0_columns else np.ascontiguousarray(m0)
    starts = np.zeros((len(rows), most), np.int32)
    count = round(total ** (1 / axes))
    engine.matches().start_batch(rows, turned, atoms, sizes, scale, count, axes, np.zeros((2, total)), starts)
    return starts


def find_starts(
    question: Question, tissue: Tissue, data: npt.NDArray[Any], places: npt.NDArray[np.intp], table: Any, m0: Array
) -> tuple[Array, npt.NDArray[np.int32]]:
    """Values (place, unknown) of a grid, and at which places of it each voxel starts (see `Starts.match`).

    `places` are rows of data; `tissue`, and its `table`, what is known of them. Where maps are known, a grid is played
    for each voxel: what is seen but weakly would be lost in the difference to a neighbour.
    """
    known: dict[str, Any] = {name: array for name, array in tissue.maps.items() if name not in ("M0", *question.found)}
    found = np.empty((len(places), STARTS), np.int32)
    if any(array.ndim for array in known.values()):
        values = grid(question, EACH)
        stack = np.stack([*values.values()], 1)
        stride = max(1, PLAYED // (len(stack) * data.shape[1]))

        def work(first: int, last: int) -> None:
            for n in range(first, last, stride):
                at = slice(n, min(n + stride, last))
                found[at] = _of_each(question, stack, data[places[at]], table[:, at], m0[at])

        engine.spread(work, len(places), stride, len(stack) * question.bare.plan.cost)
        return stack, found
    atoms = Starts(question, known)

    def match(first: int, last: int) -> None:
        for n in range(first, last, STRIDE):
            at = slice(n, min(n + STRIDE, last))
            found[at] = atoms.match(data[places[at]], m0[at])

    engine.spread(match, len(places), STRIDE, MATCHING)
    return np.stack([*atoms.values.values()], 1), found


def _of_each(
    question: Question, values: Array, data: npt.NDArray[Any], table: Array, m0: Array
) -> npt.NDArray[np.int32]:
    """Starts of a few voxels, each of which has a dictionary of its own."""
    count, voxels, readouts = len(values), len(data), data.shape[1]
    played = np.pad(np.repeat(table, count, axis=1), ((0, 0), (0, -count * voxels % engine.LANES)), "edge")
    played[NAMES.index("M0")] = 1
    for k, name in enumerate(question.found):
        rates = TISSUE[name].rate.value(values[:, k])
        played[NAMES.index(name)] = np.resize(rates, played.shape[1])
    signal = np.empty((voxels * count, readouts), np.complex128)
    question.bare.play(played, voxels * count, signal, np.empty((voxels * count, 0, readouts), np.complex128))
    atoms, sizes = _unit(question, signal.reshape(voxels, count, readouts))
    rows, turned = _planes(question, data)
    flat = np.ascontiguousarray(np.swapaxes(atoms, 1, 2))
    return _peaks(question, rows, turned, flat, sizes, m0, len(question.found), STARTS)


def _directions_of(atoms: Array) -> Array:
    """Orthogonal directions (sample, direction) that hold nearly all of the energy of atoms (atom, sample)."""
    few = atoms[:: -(-len(atoms) // SPANNING)]
    energies, vectors = np.linalg.eigh(few @ few.T)
    energies, vectors = energies[::-1], vectors[:, ::-1]
    shares = np.cumsum(energies) / max(energies.sum(), np.finfo(float).tiny)
    rank = max(1, min(RANK, int((shares < ENERGY).sum()) + 1, int((energies > ROUNDING * energies[0]).sum())))
    sizes = np.sqrt(np.maximum(energies[:rank], np.finfo(float).tiny))
    return np.ascontiguousarray(few.T @ (vectors[:, :rank] / sizes))
