"""Where fits start: a coarse dictionary over the bounds, and what it tells of the question."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import engine
from ..checks import Array
from ..design.bound import crlb
from ..tissue import Tissue
from ..tissue_parameters import TISSUE
from .question import Question, quietly

COUNTS = (48, 20, 14, 6, 4)  # values of each unknown, where there are one, two, ...; of more it is FEWEST
FEWEST = 3
STARTS = 3  # of a voxel, where the atoms that are close to it lie apart
RANK, ENERGY = 24, 1 - 1e-6  # of the atoms, as far as starts need them
SPANNING, ROUNDING = 256, 1e-12  # atoms that tell their directions; energies that are none
POINTS = 64  # of the grid that are looked at
STRIDE, MATCHING = 512, 1e4  # voxels that are matched at a time; what one costs, in state updates
# The lattice of known maps: of relaxation times ratios, of others steps, of B0 by the part of a turn that a sequence of
# some duration (ms) makes of a step.
RATIO, TURN, SHORTEST, LONGEST = 1.25, 0.1, 1.0, 100.0
STEPS = {"B1": 0.05, "inv_efficiency": 0.1, "D": 0.2, "velocity": 1.0, "bound_fraction": 0.02, "exchange": 10.0}
STEPS["lineshape"] = 4.0
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
    """A coarse dictionary over the bounds, for what is known of some voxels.

    Parameters
    ----------
    question : Question
    known : dict of str to float
    """

    def __init__(self, question: Question, known: dict[str, float]) -> None:
        self._question, self.values = question, grid(question)
        signal = quietly(question.sequence, {**known, **self.values}, **question.options).job().signals()[0]
        atoms = question.planar(signal)
        self._sizes = (atoms**2).sum(axis=-1)
        if question.m0_columns:
            atoms = atoms / np.sqrt(np.where(self._sizes == 0, 1, self._sizes))[:, None]
        self._basis = _directions_of(atoms)
        self._atoms = np.ascontiguousarray((atoms @ self._basis).T)

    def match(self, data: npt.NDArray[Any], m0: Array, most: int = STARTS) -> npt.NDArray[np.int32]:
        """Places in `values` to start from, (voxel, most), -1 where there is none, for data (voxel, readout).

        `m0` is that of the voxels, if it is known.
        """
        question = self._question
        clean = np.where(np.isfinite(data), data, 0)  # what is not is told when it is fitted
        rows = question.planar(clean.astype(np.complex128))
        turned = question.planar(-1j * clean) if question.m0_columns == 2 else rows[:0]
        scale = np.zeros(len(data)) if question.m0_columns else np.ascontiguousarray(m0)
        (rank, total), axes = self._atoms.shape, len(self.values)
        room = np.zeros((2, rank)), np.zeros((2, total))
        starts = np.zeros((len(data), most), np.int32)
        given = rows, turned, self._basis, self._atoms, self._sizes, scale
        engine.matches().start_batch(*given, round(total ** (1 / axes)), axes, *room, starts)
        return starts


def find_starts(
    question: Question, tissue: Tissue, data: npt.NDArray[Any], places: npt.NDArray[np.intp], m0: Array
) -> npt.NDArray[np.int32]:
    """Places in the grid for each voxel to start from: rows `places` of data, of which `tissue` is what is known.

    Known maps are taken on a lattice, so that voxels of about the same tissue share a dictionary, which depends on no
    other voxel.
    """
    assert tissue.mask is not None, "it was given"
    known: dict[str, Any] = {name: array for name, array in tissue.maps.items() if name not in ("M0", *question.found)}
    spread = {name: np.broadcast_to(array, tissue.shape)[tissue.mask] for name, array in known.items() if array.ndim}
    snapped = np.stack(
        [_snapped(question, name, array) for name, array in spread.items()] or [np.zeros(len(places))], 1
    )
    groups, group = np.unique(snapped, axis=0, return_inverse=True)
    order, found = np.argsort(group.reshape(-1), kind="stable"), np.empty((len(places), STARTS), np.int32)
    ends = np.cumsum(np.bincount(group.reshape(-1), minlength=len(groups)))
    for values, first, last in zip(groups, [0, *ends[:-1]], ends, strict=True):
        own = dict(zip(spread, values, strict=False))
        atoms = Starts(question, {name: own.get(name, known[name]) for name in known})
        members = order[first:last]

        def work(begin: int, end: int, atoms: Starts = atoms, members: npt.NDArray[np.intp] = members) -> None:
            for n in range(begin, end, STRIDE):
                at = members[n : min(n + STRIDE, end)]
                found[at] = atoms.match(data[places[at]], m0[at])

        engine.spread(work, len(members), STRIDE, MATCHING)
    return found


def _snapped(question: Question, name: str, values: Array) -> Array:
    """Values on the lattice of a known map."""
    if question.is_reciprocal(name):
        snapped = np.exp(np.round(np.log(values) / np.log(RATIO)) * np.log(RATIO))
    elif name == "B0":
        program, numbers = question.job.program, question.job.call.values
        duration = float(program.duration_counts @ numbers[: len(program.duration_counts)])
        step = 1e3 * TURN / min(max(duration, SHORTEST), LONGEST)
        snapped = np.round(values / step) * step
    else:
        snapped = np.round(values / STEPS[name]) * STEPS[name]
    limits = TISSUE[name].limits
    inside = np.clip(snapped, limits["minimum"], limits["maximum"])
    return np.asarray(np.where(np.isinf(values), values, inside))


def _directions_of(atoms: Array) -> Array:
    """Orthogonal directions (sample, direction) that hold nearly all of the energy of atoms (atom, sample)."""
    few = atoms[:: -(-len(atoms) // SPANNING)]
    energies, vectors = np.linalg.eigh(few @ few.T)
    energies, vectors = energies[::-1], vectors[:, ::-1]
    shares = np.cumsum(energies) / max(energies.sum(), np.finfo(float).tiny)
    rank = max(1, min(RANK, int((shares < ENERGY).sum()) + 1, int((energies > ROUNDING * energies[0]).sum())))
    sizes = np.sqrt(np.maximum(energies[:rank], np.finfo(float).tiny))
    return np.ascontiguousarray(few.T @ (vectors[:, :rank] / sizes))
