"""Dictionaries: signals of many tissues, compressed, and matched with data."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import checks, engine, transmit
from ..arguments import takes
from ..checks import Array, shown
from ..design.result import digest
from ..notice import progress_bar
from ..problem import Precision, Problem, read_dtype
from ..sequence import Sequence
from ..slice_profile import Given as Profile
from ..slice_profile import read_profile
from ..tissue import broadcast_maps, read_mask
from ..tissue_parameters import TISSUE, Maps
from ..waveforms import Across, Waveform
from .least_squares import fit
from .question import quietly, read_data
from .result import Fit

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

FORMAT = 1
WAVE = "a waveform"  # no name of a kind of pulse
SIMULATED = 1 << 22  # readouts of atoms that are simulated at a time
KEPT = 1 << 28  # bytes of signals that are held together, rather than simulated again
VOXELS, ATOMS = 1024, 4096  # that are multiplied at a time


@dataclass
class Match:
    """Maps of the atoms that come closest; NaN, and -1, where the data are not finite or zero.

    Attributes
    ----------
    maps : dict of str to ndarray, shape (*voxels,)
        Tissue parameters of the atom, and M0.
    index : ndarray of int, shape (*voxels,)
        Of the atom.
    correlation : ndarray, shape (*voxels,)
        Cosine of the angle between atom and data: 1 where they are the same but for M0.
    """

    maps: dict[str, npt.NDArray[Any]]
    index: npt.NDArray[np.int64]
    correlation: Array


class Dictionary:
    """Signals of many tissues, of unit length, to be matched with data.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    T1, T2, **given : array_like
        Tissues, one for each atom; maps broadcast. `Dictionary.grid` makes every combination.
    magnitude : bool
        Whether data are magnitudes.
    rank : int, optional
        Compress to so many directions, those of the largest singular values.
    energy : float, optional
        Compress to as many as hold this part of the atoms' energy, 0.9999 say.
    dtype : float64 or float32
        Of atoms and inner products; what is returned is in double precision.
    slice_prof, nstates
        As for `simulate`.
    progress : bool
        Whether to show a progress bar, of atoms that are simulated: all of them twice, where they would take much room
        at once.

    Attributes
    ----------
    values : dict of str to ndarray, shape (atoms,)
        Tissue parameters that were given.
    atoms : ndarray, shape (atoms, directions)
        Real: signals as real and imaginary parts, compressed.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import numpy as np, epgnumba
    >>> from epgnumba.estimate import Dictionary
    >>> train = epgnumba.FSE([150.0] * 16, ESP=10)
    >>> dictionary = Dictionary.grid(train, T1=1000, T2=np.arange(20, 120), B1=[0.8, 0.9, 1.0], energy=0.99999)
    >>> match = dictionary.match(epgnumba.simulate(train, 1000, [50, 90], B1=0.9, M0=2))
    >>> match.maps["T2"], match.maps["B1"], match.maps["M0"].round(3)
    (array([50., 90.]), array([0.9, 0.9]), array([2., 2.]))
    """

    values: dict[str, Array]
    atoms: npt.NDArray[np.floating]

    @takes(Maps)
    def __init__(
        self,
        sequence: Sequence,
        T1: npt.ArrayLike,
        T2: npt.ArrayLike,
        *,
        magnitude: bool = False,
        rank: int | None = None,
        energy: float | None = None,
        dtype: Precision = np.float64,
        slice_prof: Profile = 1.0,
        nstates: int | None = None,
        progress: bool = False,
        **given: Unpack[Maps],
    ) -> None:
        checks.needed("sequence", sequence, Sequence)
        checks.flag("progress", progress)
        self.magnitude, kind = checks.flag("magnitude", magnitude), read_dtype(dtype)
        if "M0" in given:
            raise ValueError("M0 is not allowed: atoms are of unit length, and M0 is what data are times that")
        transmit.refuse(given.get("B1"), "in dictionaries")
        maps = {name: TISSUE[name].read(value) for name, value in {"T1": T1, "T2": T2, **given}.items()}
        shape = broadcast_maps({name: value.shape for name, value in maps.items()})
        self.values = {name: np.broadcast_to(value, shape).ravel() for name, value in maps.items()}
        if not next(iter(self.values.values())).size:
            raise ValueError("T1, T2 and other maps hold no atom; at least one is needed")
        self.sequence: Sequence | None = sequence
        read_profile(slice_prof)
        self._options: dict[str, Any] = {"slice_prof": _revived(_plain(slice_prof)), "nstates": nstates}
        if rank is not None and energy is not None:
            raise ValueError(f"rank={shown(rank)} and energy={shown(energy)} are not allowed together")
        directions = None if rank is None else checks.count("rank", rank)
        share = None if energy is None else checks.scalar("energy", energy, positive=True, maximum=1.0)
        with progress_bar(progress, desc="dictionary", unit=" atoms", unit_scale=True) as bar:
            self._make(directions, share, kind, bar)

    @classmethod
    def grid(cls, sequence: Sequence, *, T1: npt.ArrayLike, T2: npt.ArrayLike, **given: Any) -> Self:
        """Every combination of values, but for those of a T2 that is longer than T1.

        Parameters
        ----------
        sequence : Sequence
        T1, T2, **given
            As `Dictionary` takes them; each map a number or one-dimensional.
        """
        transmit.refuse(given.get("B1"), "in dictionaries")
        axes = {name: value for name, value in {"T1": T1, "T2": T2, **given}.items() if name in TISSUE}
        arrays = {name: np.atleast_1d(TISSUE[name].read(value)) for name, value in axes.items()}
        for name, array in arrays.items():
            if array.ndim > 1:
                raise ValueError(f"{name} has shape {array.shape}; a number or a one-dimensional array is needed")
        full: dict[str, Any] = dict(zip(arrays, np.meshgrid(*arrays.values(), indexing="ij"), strict=True))
        kept = full["T2"] <= full["T1"]
        if not kept.any():
            raise ValueError("T2 is not allowed: all of its values are longer than all of T1")
        options = {name: value for name, value in given.items() if name not in TISSUE}
        return cls(sequence, **{name: array[kept] for name, array in full.items()} | options)

    def _problems(self, bar: Any | None) -> Iterator[Problem]:
        """Atoms, some at a time: the first alone."""
        assert self.sequence is not None, "it is being made"
        total, first, chunk = len(next(iter(self.values.values()))), 0, 1
        while first < total:
            part = {name: value[first : first + chunk] for name, value in self.values.items()}
            problem = quietly(self.sequence, part, **self._options)
            yield problem
            if bar is not None:
                bar.update(problem.tissue.size)
            first, chunk = first + chunk, max(1, SIMULATED // problem.job().program.n_out)

    def _simulated(self, bar: Any | None) -> Iterator[Array]:
        """Signals of atoms, as reals (atom, sample), in chunks."""
        for problem in self._problems(bar):
            yield self._planar(problem.job().signals()[0])

    def _planar(self, signal: npt.NDArray[Any]) -> Array:
        return np.asarray(abs(signal) if self.magnitude else np.concatenate([signal.real, signal.imag], -1), np.float64)

    def _make(self, rank: int | None, share: float | None, kind: type[np.floating], bar: Any) -> None:
        """Directions (sample, direction), and atoms along them, of unit length.

        Where signals are many, they are simulated twice and never held together.
        """
        first = next(self._simulated(None))
        count, samples = len(next(iter(self.values.values()))), first.shape[1]
        self.readouts = samples // (1 if self.magnitude else 2)
        bar.total = count if 8 * count * samples <= KEPT else 2 * count
        kept = list(self._simulated(bar)) if bar.total == count else None
        used, gram = np.zeros(samples, np.bool_), np.zeros((samples, samples))
        for signals in self._simulated(bar) if kept is None else kept:
            own = signals.any(axis=0)
            used |= own
            if rank is not None or share is not None:
                there = np.ascontiguousarray(signals[:, own])  # half of them, of signals on one axis
                gram[np.ix_(own, own)] += there.T @ there
        if not used.any():
            raise ValueError("no signal: every atom is zero at all readouts")
        self._basis = np.eye(samples)[:, used]  # signals that keep to a line of the complex plane need half of all
        if rank is not None or share is not None:
            if rank is not None and rank > used.sum():
                raise ValueError(f"rank={rank} is not allowed: it must be at most {used.sum()}")
            vectors, _ = engine.leading(gram[np.ix_(used, used)], rank, 1.0 if share is None else share)
            self._basis = np.ascontiguousarray(self._basis @ vectors)
        self.atoms, self._norms, done = np.empty((count, self._basis.shape[1]), kind), np.empty(count), 0
        for atoms, norms in self._projected(bar) if kept is None else map(self._along, kept):
            at = slice(done, done + len(atoms))
            self.atoms[at], self._norms[at] = atoms, norms
            done += len(atoms)

    def _along(self, signals: Array) -> tuple[Array, Array]:
        """Coefficients of unit length, and the lengths that they had."""
        atoms = signals @ self._basis
        norms = np.linalg.norm(atoms, axis=1)
        return atoms / np.where(norms == 0, 1, norms)[:, None], norms

    def _projected(self, bar: Any) -> Iterator[tuple[Array, Array]]:
        """The same of all atoms, in chunks, whose signals are not held."""
        basis = self._basis.reshape(-1, self.readouts, self._basis.shape[1])
        for problem in self._problems(bar):
            job, count = problem.cpu_job(), problem.tissue.size
            atoms, norms, losses = np.empty((count, basis.shape[2])), np.empty(count), np.empty(count)
            engine.Projection(job, basis, along=True)(problem.host_tissue.table(), atoms, norms, losses)
            yield atoms, norms

    @property
    def rank(self) -> int:
        """Number of directions that atoms are compressed to."""
        return int(self.atoms.shape[1])

    def __len__(self) -> int:
        return len(self.atoms)

    def __repr__(self) -> str:
        return f"<Dictionary of {len(self)} atoms over {', '.join(self.values)}, in {self.rank} directions>"

    def match(
        self,
        data: npt.ArrayLike,
        *,
        complex_M0: bool = False,
        mask: npt.ArrayLike | None = None,
        progress: bool = False,
    ) -> Match:
        """The atom that explains most of the data, for each voxel, and M0.

        Products of matrices, a block of voxels and a block of atoms at a time, of which only the largest are kept.

        Parameters
        ----------
        data : array_like, shape (*voxels, readouts)
            Complex, or magnitudes, as the dictionary is.
        complex_M0 : bool
            Whether M0 is complex, so that data may have any phase.
        mask : array_like of bool, optional
            Where to match; broadcasts to the voxels.
        progress : bool
            Whether to show a progress bar.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, its value and what is allowed.
        """
        array, _ = read_data(data, self.magnitude)
        shape = array.shape[:-1]
        if array.shape[-1] != self.readouts:
            raise ValueError(f"data has shape {array.shape}; {self.readouts} readouts are needed along the last axis")
        if checks.flag("complex_M0", complex_M0) and self.magnitude:
            raise ValueError("complex_M0=True is not allowed: magnitudes leave no phase of M0")
        inside = np.ones(shape, np.bool_) if mask is None else read_mask(mask)
        try:
            inside = np.broadcast_to(inside, shape)
        except ValueError:
            raise ValueError(f"mask has shape {inside.shape}; it must broadcast to the voxels, {shape}") from None
        checks.flag("progress", progress)
        places, rows = np.flatnonzero(inside), array.reshape(-1, self.readouts)
        index = np.full(len(rows), -1, np.int64)
        products, sizes = np.zeros(len(rows), np.complex128), np.full(len(rows), np.nan)
        with progress_bar(progress, total=places.size, desc="match", unit=" voxels", unit_scale=True) as bar:
            for first in range(0, places.size, VOXELS):
                at = places[first : first + VOXELS]
                index[at], products[at], sizes[at] = self._match_block(rows[at], complex_M0)
                bar.update(len(at))
        return self._matched(index.reshape(shape), products.reshape(shape), sizes.reshape(shape), complex_M0)

    def _match_block(
        self, data: npt.NDArray[Any], turning: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.complex128], Array]:
        """Best atoms, inner products with them, and sizes of data; -1 where there is nothing to match."""
        values = data.astype(np.complex128)
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = np.linalg.norm(values, axis=1)
        fine = np.isfinite(sizes) & (sizes > 0)
        unit = np.where(fine[:, None], values, 0) / np.where(fine, sizes, 1)[:, None]
        along = [self._planar(turn * unit) @ self._basis for turn in ((1, -1j) if turning else (1,))]
        kind = self.atoms.dtype
        columns = [np.ascontiguousarray(part.T, kind) for part in along]
        best, index = np.zeros(len(values), kind), np.full(len(values), -1, np.int32)
        room = [np.empty((min(ATOMS, len(self)), len(values)), kind) for _ in along]
        nothing = np.empty((0, 0), kind)
        for first in range(0, len(self), ATOMS):
            atoms = self.atoms[first : first + ATOMS]
            scores = [np.matmul(atoms, x, out=out[: len(atoms)]) for x, out in zip(columns, room, strict=True)]
            engine.matches().best_batch(scores[0], scores[1] if turning else nothing, first, best, index)
        chosen = self.atoms[index].astype(np.float64)
        products = [(chosen * part).sum(axis=1) for part in along]
        whole = np.zeros(len(values), np.complex128)
        whole.real = products[0]
        whole.imag = products[1] if turning else 0
        return np.where(fine, index, -1).astype(np.int64), whole, np.where(index >= 0, sizes, np.nan)

    def _matched(
        self, index: npt.NDArray[np.int64], products: npt.NDArray[np.complex128], sizes: Array, turning: bool
    ) -> Match:
        found = index >= 0
        maps: dict[str, Any] = {name: np.where(found, value[index], np.nan) for name, value in self.values.items()}
        with np.errstate(invalid="ignore"):
            m0 = products * sizes / self._norms[index]
        maps["M0"] = np.where(found, m0 if turning else m0.real, np.nan)
        return Match(maps, index, np.where(found, abs(products), np.nan))

    def refine(
        self,
        data: npt.ArrayLike,
        match: Match | None = None,
        *,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        complex_M0: bool = False,
        **options: Any,
    ) -> Fit:
        """Fit M0 and what varies from atom to atom, starting from a match.

        Parameters
        ----------
        data : array_like, shape (*voxels, readouts)
        match : Match, optional
            Of these data; made by default.
        bounds : mapping of str to (float, float), optional
            Lowest and highest value of an unknown; by default those of the dictionary.
        complex_M0, **options
            As for `epgnumba.estimate.fit`.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, its value and what is allowed.
        """
        if self.sequence is None:
            raise ValueError("the dictionary was loaded without its sequence, which a fit plays; load it with that")
        found = self.match(data, complex_M0=complex_M0, mask=options.get("mask")) if match is None else match
        checks.needed("match", found, Match)
        ends = {name: (float(value.min()), float(value.max())) for name, value in self.values.items()}
        varying = tuple(name for name, (low, high) in ends.items() if low < high)
        if not varying:
            raise ValueError("nothing varies from atom to atom, so that nothing is left to refine")
        known: dict[str, Any] = {name: low for name, (low, high) in ends.items() if low == high}
        middle = {name: float(np.median(self.values[name])) for name in varying}
        start = {name: np.where(found.index >= 0, found.maps[name], middle[name]) for name in varying}
        if bounds is not None:
            checks.needed("bounds", bounds, Mapping)
        limits = {**{name: ends[name] for name in varying}, **({} if bounds is None else bounds)}
        given = {"bounds": limits, "start": start, "magnitude": self.magnitude, "complex_M0": complex_M0}
        return fit(self.sequence, data, ("M0", *varying), **known | self._options | given | options)

    def save(self, path: str | Path) -> None:
        """Write it to a file of NumPy's format, npz.

        Raises
        ------
        TypeError, OSError
            If that is no path, or cannot be written.
        """
        options = {**self._options, "slice_prof": _plain(self._options["slice_prof"])}
        record = {
            "format": FORMAT, "magnitude": self.magnitude, "readouts": self.readouts, "names": list(self.values),
            "options": options, "sequence": None if self.sequence is None else _identity(self.sequence),
        }  # fmt: skip
        arrays: dict[str, Any] = {f"value_{name}": value for name, value in self.values.items()}
        with checks.file_path("path", path).open("wb") as file:
            np.savez(
                file, metadata=np.array(json.dumps(record)), atoms=self.atoms, basis=self._basis, norms=self._norms,
                **arrays,
            )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path, sequence: Sequence | None = None) -> Self:
        """Read what `save` wrote; given the sequence that it was made of, so that it can `refine`.

        Raises
        ------
        TypeError, OSError
            If that is no path, or cannot be read.
        ValueError
            If the file is not of this kind, or of another sequence.
        """
        place = checks.file_path("path", path)
        made = cls.__new__(cls)
        try:
            with place.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                record = json.loads(str(kept["metadata"]))
                made.atoms, made._basis, made._norms = kept["atoms"], kept["basis"], kept["norms"]
                made.values = {name: kept[f"value_{name}"] for name in record["names"]}
            made.magnitude, made.readouts, made._options = record["magnitude"], record["readouts"], record["options"]
            made._options["slice_prof"] = _revived(made._options["slice_prof"])
            told = record["sequence"]
            if record["format"] != FORMAT or not made._is_whole():
                raise ValueError("of another format")
        except (AttributeError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"path={str(path)!r} does not hold a dictionary") from error
        if sequence is not None:
            checks.needed("sequence", sequence, Sequence)
            if _identity(sequence) != told:
                raise ValueError(f"sequence={shown(sequence)} is not the one that the dictionary was made of")
        made.sequence = sequence
        return made

    def _is_whole(self) -> bool:
        """Whether arrays are of the shapes and types that go together."""
        samples = self.readouts * (1 if self.magnitude else 2)
        count, directions = self.atoms.shape
        return (
            self.atoms.dtype in (np.float32, np.float64)
            and count > 0
            and self._basis.shape == (samples, directions)
            and self._norms.shape == (count,)
            and {"T1", "T2"} <= set(self.values) <= set(TISSUE)
            and all(value.shape == (count,) and value.dtype == np.float64 for value in self.values.values())
            and all(np.isfinite(array).all() for array in (self.atoms, self._basis, self._norms))
        )


def _identity(sequence: Sequence) -> str:
    """What a sequence plays, with the values of its parameters, as a short text that is the same everywhere."""
    values = [(name, np.asarray(value).tolist()) for name, value in sequence.parameters.items()]
    return hashlib.sha256(repr((digest(sequence), values)).encode()).hexdigest()


def _plain(profile: Any) -> Any:
    """A slice profile as JSON can hold it."""
    if isinstance(profile, Mapping):
        return {name: _plain(one) for name, one in profile.items()}
    if isinstance(profile, Across):
        wave = profile.waveform
        parts = [wave.samples.real.tolist(), wave.samples.imag.tolist(), wave.duration, wave.bandwidth]
        return {WAVE: [*parts, profile.offsets.tolist()]}
    return np.asarray(profile).tolist()


def _revived(profile: Any) -> Any:
    """Inverse of `_plain`."""
    if not isinstance(profile, Mapping):
        return profile
    if WAVE in profile:
        re, im, duration, bandwidth, offsets = profile[WAVE]
        return Across(Waveform(np.array(re) + 1j * np.array(im), duration, bandwidth), np.array(offsets))
    return {name: _revived(one) for name, one in profile.items()}
