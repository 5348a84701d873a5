"""Design variables: how a few numbers become the parameters of a sequence.

Every parameterisation is a linear map, so the chain rule is its transpose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.interpolate
import scipy.sparse

from ..checks import Array, count, plain_array, real_array, scalar, shown
from ..names import hint

Matrix: TypeAlias = Any  # scipy.sparse.csr_array, which has no types of its own


def whole_numbers(name: str, value: Any) -> npt.NDArray[np.int64]:
    """Whole numbers, one at least; each once.

    Raises
    ------
    TypeError, ValueError
        If they are not.
    """
    chosen = plain_array(name, value)
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or not chosen.size or len(set(chosen)) < len(chosen):
        raise ValueError(f"{name}={shown(value)} is not allowed: different whole numbers are needed")
    return chosen.astype(np.int64)


def _scale(value: float) -> float:
    return scalar("scale", value, positive=True, minimum=1e-100, maximum=1e100)


@dataclass(frozen=True)
class Free:
    """Each entry a variable of its own, or only some of them.

    Attributes
    ----------
    entries : sequence of int, optional
        Which entries vary; the others keep their values. All by default.
    scale : float
        Parameter units per unit of the variable.

    Examples
    --------
    >>> Free(entries=[0, 2]).matrix(3).toarray()
    array([[1., 0.],
           [0., 0.],
           [0., 1.]])
    """

    entries: Sequence[int] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        _scale(self.scale)
        if self.entries is not None:
            whole_numbers("entries", self.entries)

    def matrix(self, size: int) -> Matrix:
        """Shape (size, variables)."""
        chosen = np.arange(count("size", size)) if self.entries is None else whole_numbers("entries", self.entries)
        if chosen.min() < 0 or chosen.max() >= count("size", size):
            raise ValueError(f"entries={shown(self.entries)} is not allowed: they must lie in [0, {size})")
        values = np.full(len(chosen), _scale(self.scale))
        return scipy.sparse.csr_array((values, (chosen, np.arange(len(chosen)))), shape=(size, len(chosen)))


@dataclass(frozen=True)
class Shared:
    """Entries that are equal: one variable for all, or one for each group.

    Attributes
    ----------
    groups : sequence of int, optional
        For each entry the variable that it takes, 0, 1, ....
    scale : float
        Parameter units per unit of the variable.

    Examples
    --------
    >>> Shared(groups=[0, 1, 0]).matrix(3).toarray()
    array([[1., 0.],
           [0., 1.],
           [1., 0.]])
    """

    groups: Sequence[int] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        _scale(self.scale)
        if self.groups is not None:
            groups = real_array("groups", self.groups)
            if groups.ndim != 1 or not groups.size or set(groups) != set(range(len(set(groups)))):
                raise ValueError(f"groups={shown(self.groups)} is not allowed: numbers out of 0, 1, ... are needed")

    def matrix(self, size: int) -> Matrix:
        """Shape (size, variables)."""
        groups = np.zeros(count("size", size)) if self.groups is None else real_array("groups", self.groups)
        if len(groups) != count("size", size):
            raise ValueError(f"groups={shown(self.groups)} is not allowed: {size} are needed, one for each entry")
        return scipy.sparse.csr_array((np.full(size, _scale(self.scale)), (np.arange(size), groups.astype(np.int64))))


@dataclass(frozen=True)
class BSpline:
    """Entries on a smooth curve: a B-spline of equally spaced knots, its coefficients the variables.

    Coefficients within limits keep the curve within them.

    Attributes
    ----------
    coefficients : int
        How many.
    degree : int
        3 is cubic, 1 piecewise linear.
    scale : float
        Parameter units per unit of the variable.

    Examples
    --------
    >>> BSpline(4).matrix(50).shape
    (50, 4)
    """

    coefficients: int
    degree: int = 3
    scale: float = 1.0

    def __post_init__(self) -> None:
        _scale(self.scale)
        wanted, degree = count("coefficients", self.coefficients), count("degree", self.degree)
        if wanted <= degree:
            raise ValueError(
                f"coefficients={shown(wanted)} (or knots) is not allowed: more than degree={shown(degree)} are needed"
            )

    def matrix(self, size: int) -> Matrix:
        """Shape (size, variables)."""
        wanted, degree = self.coefficients, self.degree
        if wanted > count("size", size):
            raise ValueError(
                f"coefficients={shown(wanted)} (or knots) is not allowed: at most the {size} entries of the parameter "
                "are needed"
            )
        inner = np.linspace(0, size - 1, wanted - degree + 1)
        knots = np.concatenate([np.zeros(degree), inner, np.full(degree, size - 1.0)])
        basis = scipy.interpolate.BSpline.design_matrix(np.arange(size, dtype=float), knots, degree)
        return scipy.sparse.csr_array(_scale(self.scale) * basis)


def PiecewiseLinear(knots: int, scale: float = 1.0) -> BSpline:
    """Entries on straight lines between equally spaced knots, the values there the variables."""
    return BSpline(count("knots", knots), 1, scale)


Parameterisation: TypeAlias = Free | Shared | BSpline
Spec: TypeAlias = tuple[str, ...] | list[str] | Mapping[str, Parameterisation]


class Variables:
    """From design variables to all parameters of a sequence, flattened, and back.

    Parameters
    ----------
    parameters : mapping of str to ndarray
        Of the sequence to start from.
    spec : tuple of str, or mapping of str to parameterisation
        Which parameters vary, and how.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not in the sequence, not finite, or named twice, or a parameterisation does not fit it.
    """

    def __init__(self, parameters: Mapping[str, Array], spec: Spec) -> None:
        if not isinstance(spec, (tuple, list, Mapping)):
            what = "a tuple of names, as ('flip',), or a mapping"
            raise TypeError(f"variables={shown(spec)} is not allowed: it must be {what}")
        if not all(isinstance(name, str) for name in spec):
            raise TypeError(f"variables={shown(spec)} is not allowed: it must hold names of parameters")
        named = dict(spec) if isinstance(spec, Mapping) else {name: Free() for name in spec}
        if not named or len(named) != len(spec):
            raise ValueError(f"variables={shown(spec)} is empty or names a parameter twice")
        starts = dict(zip(parameters, np.cumsum([0, *(value.size for value in parameters.values())]), strict=False))
        self.size = sum(value.size for value in parameters.values())
        self.names, self.spec = tuple(named), named
        self.places: dict[str, slice] = {}
        blocks, filled = [], 0
        for name, how in named.items():
            if name not in parameters:
                near = hint(name, parameters)
                raise ValueError(f"variables: {name!r} is not a parameter{near}; the sequence has {list(parameters)}")
            if not np.isfinite(parameters[name]).all():
                raise ValueError(f"variables: {name}={shown(parameters[name])} is not finite, so it cannot be varied")
            if not isinstance(how, (Free, Shared, BSpline)):
                raise TypeError(f"variables: {name}={shown(how)} is not allowed: it must be Free, Shared or BSpline")
            block = scipy.sparse.coo_array(how.matrix(parameters[name].size))
            blocks.append((block.row + starts[name], block.col + filled, block.data))
            self.places[name] = slice(filled, filled + block.shape[1])
            filled += block.shape[1]
        rows, columns, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
        self.count = filled
        self.matrix = scipy.sparse.csr_array((values, (rows, columns)), shape=(self.size, filled))
        self._transposed = scipy.sparse.csr_array(self.matrix.T)
        base = np.concatenate([value.ravel() for value in parameters.values()])
        self.fixed = np.where(np.diff(self.matrix.indptr) > 0, 0.0, base)
        self._full = np.concatenate([self.fixed, [1.0]])
        single = len(rows) == filled and (np.bincount(columns, minlength=filled) == 1).all()
        order = np.argsort(columns)
        # One parameter to each variable: the map is a gather, which is much the quickest.
        self.gather = (rows[order].astype(np.int64), values[order]) if single else None
        self.x0 = self._project(base)

    def _project(self, base: Array) -> Array:
        """Variables that come closest to given parameters, each parameter by itself."""
        x = np.zeros(self.count)
        for place in self.places.values():
            block = self.matrix[:, place]
            varied = np.flatnonzero(np.diff(block.indptr))
            if len(varied) == block.shape[1] == block.nnz:  # a variable each
                x[place] = block[varied].T @ base[varied] / block.data[np.argsort(block.indices)] ** 2
            else:
                x[place] = np.linalg.lstsq(block[varied].toarray(), base[varied], rcond=None)[0]
        return x

    def expand(self, x: npt.NDArray[np.inexact]) -> npt.NDArray[np.inexact]:
        """All parameters, flattened, followed by a one."""
        full = self._full.astype(x.dtype)
        if self.gather:
            index, scale = self.gather
            full[index] = scale * x
        else:
            full[:-1] += self.matrix @ x
        return full

    def pull_back(self, gradient: npt.NDArray[np.inexact]) -> npt.NDArray[np.inexact]:
        """Derivatives with respect to the variables, from those with respect to all parameters."""
        if self.gather:
            index, scale = self.gather
            return np.asarray(scale * gradient[index])
        return np.asarray(self._transposed @ gradient)
