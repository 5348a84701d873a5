"""What makes a protocol good: scalars of the Fisher matrix, and their derivatives with respect to bare amplitudes.

Amplitudes are planar reals (voxel, set, plane, readout), and everything here is analytic in them, so that complex
arithmetic with a small imaginary step gives second derivatives. A common phase of all derivatives of a readout, and so
its demodulation, changes nothing.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..engine import state_sets
from ..kernels.columns import FAINTEST
from ..kernels.columns import M0 as M0_CODE
from .bound import is_regular, rounding_limit

Planar: TypeAlias = npt.NDArray[Any]  # float64, or complex128 for a complex step


@dataclass
class Criterion:
    """A scalar of each voxel's Fisher matrix.

    Attributes
    ----------
    kind : 'A', 'D' or 'E'
        Of the bounds' matrix V, scaled by the weights' roots on both sides and kept to weights above zero: its trace;
        its determinant to the power of one over its size; its largest eigenvalue.
    magnitude : bool
        Whether data are magnitudes (high SNR) or complex.
    weights : ndarray, shape (voxels, unknowns)
    variance : float
    codes : tuple of int
        Unknowns, as rows of the tissue table.
    m0 : ndarray, shape (voxels,)
    """

    kind: str
    magnitude: bool
    weights: Array
    variance: float
    codes: tuple[int, ...]
    m0: Array

    def slopes(self, amplitudes: Planar) -> Planar:
        """Derivatives of the signal (voxel, unknown, plane, readout)."""
        sets = state_sets(self.codes)
        scale = self.m0[:, None, None, None]
        parts = [
            amplitudes[:, :1] if code == M0_CODE else scale * amplitudes[:, i : i + 1]
            for code, i in zip(self.codes, sets, strict=True)
        ]
        return np.concatenate(parts, 1)

    def _direction(self, amplitudes: Planar) -> tuple[Planar, Planar]:
        """The signal (voxel, plane, readout) over its magnitude, which comes along."""
        signal = self.m0[:, None, None] * amplitudes[:, 0]
        size = np.sqrt((signal**2).sum(axis=1, keepdims=True))
        return signal / np.where(size == 0, 1, size), size

    def seen(self, amplitudes: Planar) -> Planar:
        """Derivatives of what is measured (voxel, unknown, samples)."""
        slopes = self.slopes(amplitudes)
        if self.magnitude:
            slopes = _along(slopes, self._direction(amplitudes)[0])
        return slopes.reshape(*slopes.shape[:2], -1)

    def pull_slopes(self, bars: Planar, amplitudes: Planar) -> Planar:
        """Adjoint of `slopes`."""
        result = np.zeros(amplitudes.shape, bars.dtype)
        for k, (code, i) in enumerate(zip(self.codes, state_sets(self.codes), strict=True)):
            result[:, i] += bars[:, k] if code == M0_CODE else self.m0[:, None, None] * bars[:, k]
        return result

    def evaluate(self, amplitudes: Planar) -> tuple[Planar, Planar]:
        """Value of each voxel, infinite where the Fisher matrix is singular, and its derivative by the amplitudes."""
        slopes = self.slopes(amplitudes)
        if not self.magnitude:
            values, bars = self._of_slopes(slopes)
            return values, self.pull_slopes(bars, amplitudes)
        unit, size = self._direction(amplitudes)
        values, bars = self._of_slopes(_along(slopes, unit))
        result = self.pull_slopes(bars * unit[:, None], amplitudes)
        unit_bar = (bars * slopes).sum(axis=1)
        along = (unit_bar * unit).sum(axis=1, keepdims=True)
        signal_bar = (unit_bar - unit * along) / np.where(size == 0, 1, size)
        result[:, 0] += self.m0[:, None, None] * signal_bar
        return values, result

    def _of_slopes(self, slopes: Planar) -> tuple[Planar, Planar]:
        """Value and its derivative with respect to the slopes of what is measured."""
        flat = slopes.reshape(*slopes.shape[:2], -1)
        values, middle = self._of_fisher(flat @ flat.swapaxes(1, 2), flat.shape[-1])
        return values, (2 * middle @ flat).reshape(slopes.shape)

    def _of_fisher(self, fisher: Planar, samples: int) -> tuple[Planar, Planar]:
        """Value and its derivative with respect to the Fisher matrix (without the noise), for each voxel."""
        n = fisher.shape[-1]
        diagonal = np.diagonal(fisher, axis1=1, axis2=2)
        visible = (diagonal.real > FAINTEST).all(axis=1) & np.isfinite(fisher.real).all(axis=(1, 2))
        scale = 1 / np.sqrt(np.where(visible[:, None], diagonal.real, 1.0))
        both = scale[:, :, None] * scale[:, None, :]
        correlation = np.where(visible[:, None, None], fisher * both, np.eye(n))
        visible &= is_regular(np.linalg.eigvalsh(correlation.real), rounding_limit(n, samples, np.finfo(float).eps))
        correlation = np.where(visible[:, None, None], correlation, np.eye(n))
        inverse = np.linalg.inv(correlation) * both * self.variance
        root = np.sqrt(self.weights)
        scaled = root[:, :, None] * inverse * root[:, None, :]
        values, slope = {"A": _trace, "D": _determinant, "E": _eigenvalue}[self.kind](scaled, self.weights > 0)
        inner = inverse @ (root[:, :, None] * slope * root[:, None, :]) @ inverse
        counted = (self.weights > 0).any(axis=1)
        middle = np.where((visible & counted)[:, None, None], -inner / self.variance, 0.0)
        return np.where(counted, np.where(visible, values, np.inf), 0.0), middle


FEW = 8  # roundings


def _along(slopes: Planar, unit: Planar) -> Planar:
    """Derivatives of a magnitude: those of the signal along it. What cancels to a few roundings is nothing."""
    along = (slopes * unit[:, None]).sum(axis=2, keepdims=True)
    made_of = abs(slopes.real).max(axis=(2, 3), keepdims=True)
    nothing = abs(along.real).max(axis=(2, 3), keepdims=True) <= FEW * np.finfo(float).eps * made_of
    return np.asarray(along - np.where(nothing, along.real, 0))


def _trace(scaled: Planar, counted: npt.NDArray[np.bool_]) -> tuple[Planar, Planar]:
    return np.trace(scaled, axis1=1, axis2=2), np.broadcast_to(np.eye(scaled.shape[-1]), scaled.shape)


def _determinant(scaled: Planar, counted: npt.NDArray[np.bool_]) -> tuple[Planar, Planar]:
    """det^(1/n) over the unknowns that count, and its derivative, value times inverse over n."""
    both = counted[:, :, None] & counted[:, None, :]
    kept = np.where(both, scaled, np.eye(scaled.shape[-1]))
    n = np.maximum(counted.sum(axis=1), 1)
    value = np.linalg.det(kept) ** (1 / n)
    return value, np.where(both, np.linalg.inv(kept), 0) * (value / n)[:, None, None]


def _eigenvalue(scaled: Planar, counted: npt.NDArray[np.bool_]) -> tuple[Planar, Planar]:
    """Largest eigenvalue, and its derivative; not smooth where the two largest meet."""
    levels, vectors = np.linalg.eigh(scaled.real)
    top = vectors[:, :, -1]
    if np.iscomplexobj(scaled):  # the eigenvector of a complex step, to first order, which is all it asks for
        mixed = np.einsum("vij,vi->vj", scaled.imag, top)
        gaps = levels[:, -1:] - levels
        inverse_gaps = np.divide(1.0, gaps, out=np.zeros_like(gaps), where=gaps > 1e-12 * levels[:, -1:])
        top = top + 1j * np.einsum("vij,vj->vi", vectors, inverse_gaps * np.einsum("vij,vi->vj", vectors, mixed))
    slope = top[:, :, None] * top[:, None, :]
    return np.einsum("vij,vij->v", slope, scaled), slope


def worst_case(values: Planar, sharpness: float) -> tuple[Planar, Planar]:
    """A smooth upper bound of the largest value, their p-norm, and its derivatives; p is `sharpness`."""
    top = values.real.max()
    if not np.isfinite(top) or top <= 0:
        return np.asarray(top), np.zeros(values.shape)
    powers = (values / top) ** sharpness
    total = powers.sum()
    value = top * total ** (1 / sharpness)
    return np.asarray(value), (values / top) ** (sharpness - 1) * total ** (1 / sharpness - 1)
