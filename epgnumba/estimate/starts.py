"""Where fits start: a coarse dictionary over the bounds, and what it tells of the question."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import engine
from ..checks import Array
from ..design.bound import crlb
from ..tissue import Tissue
from .question import Question, quietly

COUNTS = (48, 20, 14, 6, 4)  # values of each unknown, where there are one, two, ...; of more it is FEWEST
FEWEST = 3
STARTS = 3  # of a voxel, where the atoms that are close to it lie apart
RANK, ENERGY = 24, 1 - 1e-6  # of the atoms, as far as starts need them
SPANNING, ROUNDING = 256, 1e-12  # atoms that tell their directions; energies that are none
POINTS = 64  # of the grid that are looked at
GROUPS = 64
ROOM = 1 << 26  # bytes of atoms
BLIND = 1e-12  # a derivative, relative to the signal: nothing is seen


def grid(question: Question) -> dict[str, Array]:
    """Values of the unknowns, evenly spread in their coordinates and away from bounds, every one with every other."""
    if not question.found:
        return {}
    count = dict(enumerate(COUNTS, 1)).get(len(question.found), FEWEST)
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
    """A coarse dictionary for groups of voxels of about the same known maps.

    Parameters
    ----------
    question : Question
    tissue : Tissue
        What is known of the voxels.
    most : int
        How many starts a voxel may have.
    """

    def __init__(self, question: Question, tissue: Tissue, most: int = STARTS) -> None:
        self._question, self.values, self._most = question, grid(question), most
        samples = len(question.weights) * 2
        count = len(next(iter(self.values.values())))
        allowed = max(1, min(GROUPS, ROOM // (8 * samples * count)))
        levels, self.group = _groups(tissue, question.unknowns, allowed)
        groups = len(next(iter(levels.values()))) if levels else 1
        maps = {name: np.repeat(values, count) for name, values in levels.items()}
        maps.update({name: np.tile(values, groups) for name, values in self.values.items()})
        signal = quietly(question.sequence, maps, **question.options).job().signals()[0]
        atoms = question.planar(signal.reshape(groups, count, -1))
        self._sizes = np.ascontiguousarray((atoms**2).sum(axis=-1))
        if question.m0_columns:
            atoms = atoms / np.sqrt(np.where(self._sizes == 0, 1, self._sizes))[..., None]
        self._basis = _directions_of(atoms.reshape(-1, atoms.shape[-1]))
        self._atoms = np.ascontiguousarray(np.swapaxes(atoms @ self._basis, 1, 2))

    def match(self, data: npt.NDArray[np.complex128], m0: Array, voxels: slice) -> npt.NDArray[np.int64]:
        """Places in `values` to start from, (voxel, most), -1 where there is none, for data (voxel, readout).

        `m0` is that of the voxels, if it is known.
        """
        question = self._question
        clean = np.where(np.isfinite(data.real + data.imag), data, 0)  # what is not is told when it is fitted
        rows = question.planar(clean)
        turned = question.planar(-1j * clean) if question.m0_columns == 2 else rows[:0]
        scale = np.zeros(len(data)) if question.m0_columns else m0
        rank, total = self._atoms.shape[1:]
        axes = len(self.values)
        count = round(total ** (1 / axes))
        starts = np.zeros((len(data), self._most), np.int64)
        engine.matches().start_batch(
            rows, turned, self._basis, self._atoms, self._sizes, np.ascontiguousarray(self.group[voxels]),
            np.ascontiguousarray(scale), count, axes, np.zeros((2, rank)), np.zeros((2, total)), starts,
        )  # fmt: skip
        return starts


def _directions_of(atoms: Array) -> Array:
    """Orthogonal directions (sample, direction) that hold nearly all of the energy of atoms (atom, sample)."""
    few = atoms[:: -(-len(atoms) // SPANNING)]
    energies, vectors = np.linalg.eigh(few @ few.T)
    energies, vectors = energies[::-1], vectors[:, ::-1]
    shares = np.cumsum(energies) / max(energies.sum(), np.finfo(float).tiny)
    rank = max(1, min(RANK, int((shares < ENERGY).sum()) + 1, int((energies > ROUNDING * energies[0]).sum())))
    return np.ascontiguousarray(
        few.T @ (vectors[:, :rank] / np.sqrt(np.maximum(energies[:rank], np.finfo(float).tiny)))
    )


def _groups(tissue: Tissue, unknowns: tuple[str, ...], most: int) -> tuple[dict[str, Array], npt.NDArray[np.int64]]:
    """Values of the known maps for each group, and each voxel's group; at most `most` of them."""
    assert tissue.mask is not None, "it was given"
    inside = {
        name: np.broadcast_to(array, tissue.shape)[tissue.mask]
        for name, array in tissue.maps.items()
        if name not in ("M0", *unknowns)
    }
    varying = [name for name, values in inside.items() if values.size and (values != values[0]).any()]
    count = int(most ** (1 / len(varying)) + 1e-9) if varying else 1
    picked: dict[str, Any] = {name: values[:1] for name, values in inside.items()}
    group = np.zeros(tissue.size, np.int64)
    for name in varying:
        levels = np.unique(np.quantile(inside[name], (np.arange(count) + 0.5) / count, method="nearest"))
        ends = levels[:-1] / 2 + levels[1:] / 2
        picked[name] = levels
        group = group * len(levels) + np.searchsorted(ends, inside[name])
    used, group = np.unique(group, return_inverse=True)
    found = {name: np.repeat(levels, len(used)) for name, levels in picked.items() if name not in varying}
    for name in reversed(varying):
        used, place = np.divmod(used, len(picked[name]))
        found[name] = picked[name][place]
    return found, np.asarray(group.reshape(-1), np.int64)
