"""What a fit is asked: unknowns within bounds, what is known, what is measured; checked before anything runs."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import checks, engine, transmit
from ..checks import Array, shown
from ..labels import is_labelled
from ..problem import Problem, read_problem
from ..sequence import Sequence
from ..tissue import Tissue, read_mask
from ..tissue_parameters import DEFAULTS, NAMES, RECIPROCAL, TISSUE

# Where unknowns are looked for, if nothing else is said; what is not here must be said.
BOUNDS = {"T1": (10.0, 10_000.0), "T2": (1.0, 5_000.0), "B1": (0.4, 1.6), "inv_efficiency": (0.5, 1.0)}


@dataclass
class Question:
    """What is asked of each voxel.

    Attributes
    ----------
    sequence : Sequence
    unknowns : tuple of str
        As they were given.
    found : tuple of str
        Those that are found by steps, all but M0.
    bounds : dict of str to (float, float)
    m0_columns : int
        Numbers that M0 takes: none if it is known, two if it is complex.
    kind : int
        What is compared; see `kernels.fit`.
    weights : ndarray, shape (readouts,)
    options : dict
        Of `read_problem`: slice profile, orders kept.
    job, bare : Job
        What plays the sequence and its derivatives by `found`, and without those.
    """

    sequence: Sequence
    unknowns: tuple[str, ...]
    found: tuple[str, ...]
    bounds: dict[str, tuple[float, float]]
    m0_columns: int
    kind: int
    weights: Array
    options: dict[str, Any]
    job: engine.Job
    bare: engine.Job

    @property
    def columns(self) -> int:
        """Numbers that are fitted."""
        return len(self.found) + self.m0_columns

    @property
    def samples(self) -> int:
        """Real numbers that are measured, as far as they count."""
        return int((self.weights > 0).sum()) * (2 if self.kind == engine.fits().COMPLEX else 1)

    def is_reciprocal(self, name: str) -> bool:
        """Whether an unknown is fitted by its logarithm."""
        return TISSUE[name].rate is RECIPROCAL

    def packed(self, faint: float, tolerance: float, iterations: int) -> Any:
        """It, as the kernels take it."""
        factors = [0.0 if self.is_reciprocal(name) else TISSUE[name].rate.slope(1.0) for name in self.found]
        ends = [self.bounds[name] for name in self.found]
        ends += [self.bounds["M0"]] if self.m0_columns == 1 else [(-np.inf, np.inf)] * self.m0_columns
        lower, upper = np.array(ends, np.float64).reshape(-1, 2).T
        return engine.fits().Question(
            np.array([NAMES.index(name) for name in self.found], np.int64), np.array(factors, np.float64),
            np.ascontiguousarray(lower), np.ascontiguousarray(upper), self.weights,
            self.kind, self.m0_columns, faint, tolerance, iterations,
        )  # fmt: skip

    def planar(self, signal: npt.NDArray[Any]) -> Array:
        """What of complex numbers (..., readout) is compared, as reals (..., sample), times roots of the weights."""
        root = np.sqrt(self.weights)
        if self.kind == engine.fits().COMPLEX:
            return np.concatenate([root * signal.real, root * signal.imag], -1)
        return np.asarray(root * abs(signal))


def read_data(data: Any, magnitude: bool | None) -> tuple[npt.NDArray[Any], bool]:
    """Data as an array (..., readout), and whether they are magnitudes.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers, or not of the kind that is stated.
    """
    if is_labelled(data):
        raise TypeError("data is a DataArray, whose names would be ignored; give data.values")
    array = checks.plain_array("data", data)
    if array.dtype.kind not in "iufc":
        raise TypeError(f"data={shown(data)} is not numeric")
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"data has shape {array.shape}; (*voxels, readouts) is needed")
    is_complex = array.dtype.kind == "c"
    wanted = not is_complex if magnitude is None else checks.flag("magnitude", magnitude)
    if wanted and is_complex:
        raise TypeError("magnitude=True is not allowed: data is complex; give abs(data)")
    if not wanted and not is_complex:
        raise TypeError("magnitude=False is not allowed: data is real; give data + 0j if its signs are measured")
    if wanted and array.dtype.kind != "u" and (array < 0).any():
        where = ", ".join(map(str, np.argwhere(array < 0)[0]))
        raise ValueError(
            f"data[{where}] is not allowed: magnitudes are not negative (give data + 0j if signs are real)"
        )
    return array, wanted


def read_known(
    maps: Mapping[str, Any], unknowns: tuple[str, ...], shape: tuple[int, ...], mask: Any
) -> tuple[Tissue, npt.NDArray[np.bool_]]:
    """Maps that are known, spread over the voxels of the data, and where there is something to fit.

    Raises
    ------
    TypeError, ValueError
        If one is an unknown as well, is missing, or has another shape.
    """
    transmit.refuse(maps.get("B1"), "in fits")
    for name in unknowns:
        if name in maps:
            raise ValueError(f"{name} is not allowed: it is one of the unknowns {unknowns}")
    for name in NAMES:
        if name not in DEFAULTS and name not in maps and name not in unknowns:
            raise ValueError(f"{name} is needed: a map of it, or its name among the unknowns {unknowns}")
    for name, value in maps.items():
        if is_labelled(value):
            raise TypeError(f"{name} is a DataArray, whose names would be ignored; give {name}.values")
    inside = np.ones(shape, np.bool_) if mask is None else read_mask(mask)
    arrays = {name: checks.real_array(name, value) for name, value in maps.items()}
    for name, array in {**arrays, "mask": inside}.items():
        try:
            np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(
                f"{name} has shape {array.shape}; it must broadcast to the data's voxels, {shape}"
            ) from None
    full = np.broadcast_to(inside, shape)
    neutral = {name: {"T1": np.inf, "T2": TISSUE["T2"].limits["minimum"]}.get(name) for name in unknowns}
    return Tissue(mask=full, **arrays, **{name: value for name, value in neutral.items() if value is not None}), full


def read_bounds(bounds: Any, unknowns: tuple[str, ...], magnitude: bool) -> dict[str, tuple[float, float]]:
    """Bounds of each unknown.

    Raises
    ------
    TypeError, ValueError
        If there are none, they belong to no unknown, or lie outside of what is allowed.
    """
    given = {} if bounds is None else bounds
    checks.needed("bounds", given, Mapping)
    for name in given:
        if name not in unknowns:
            raise ValueError(f"bounds: {shown(name)} is not allowed: it is none of the unknowns {unknowns}")
    free = (0.0 if magnitude else -np.inf, np.inf)
    found = {}
    for name in unknowns:
        if name not in given:
            if name != "M0" and name not in BOUNDS:
                raise ValueError(f"bounds of {name} are needed: bounds={{{name!r}: (lowest, highest)}}")
            found[name] = free if name == "M0" else BOUNDS[name]
            continue
        label = f"bounds[{name!r}]"
        ends = checks.real_array(label, given[name])
        if ends.shape != (2,):
            raise ValueError(f"{label}={shown(given[name])} is not allowed: a lowest and a highest value are needed")
        limits = {**TISSUE[name].limits, "infinite": name == "M0"}
        if name == "M0":
            limits["minimum"], limits["maximum"] = -np.inf, np.inf
        checks.check_range(label, ends, **limits)
        if not ends[0] < ends[1]:
            raise ValueError(f"{label}={shown(given[name])} is not allowed: the first must be below the second")
        if name == "M0" and magnitude and ends[0] < 0:
            raise ValueError(f"{label}={shown(given[name])} is not allowed: magnitudes leave no sign of M0")
        found[name] = (float(ends[0]), float(ends[1]))
    return found


def plan(
    sequence: Sequence, tissue: Tissue, bounds: Mapping[str, tuple[float, float]], found: tuple[str, ...],
    options: Mapping[str, Any],
) -> Problem:  # fmt: skip
    """The problem of all that may be met: three voxels that hold the extremes of every map.

    How a steady state is found, and whether a program is complex, is decided once for all voxels, so that none depends
    on others.
    """
    extremes: dict[str, Any] = {}
    for name, array in tissue.maps.items():
        ends = bounds[name] if name in found else (array.min(initial=np.inf), array.max(initial=-np.inf))
        if name == "M0" or not ends[0] <= ends[1]:  # of an empty map
            continue
        extremes[name] = np.array([ends[0], ends[1], ends[1]])
    return quietly(sequence, extremes, diff=found or None, **options)


def quietly(sequence: Sequence, maps: Mapping[str, Any], **options: Any) -> Problem:
    """`read_problem`, without a word on T2 that is longer than T1: it may be so within bounds."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "T2 is longer than T1")
        return read_problem(sequence, **{"T1": 1.0, "T2": 1.0, **maps}, **options)


def read_weights(weights: Any, readouts: int) -> Array:
    """Weights of the readouts.

    Raises
    ------
    TypeError, ValueError
        If there are not as many as readouts, or all are zero.
    """
    if weights is None:
        return np.ones(readouts)
    array = checks.vector("weights", weights, length=readouts, **checks.WEIGHT)
    if not array.any():
        raise ValueError("weights are not allowed: all of them are zero")
    return array
