"""The verbs: simulate, jacobian, vjp."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import checks
from .checks import Array, warn_caller
from .derivatives import pull_back
from .labels import PARAMETER, READOUT
from .problem import ComplexArray, Diff, Precision, Problem, read_problem
from .sequence.sequence import NAMES, Sequence
from .tissue import Tissue
from .truncation import WORTH_A_WARNING, truncation_error


def signals(problem: Problem) -> tuple[ComplexArray, ComplexArray]:
    """Signal (voxel, output) and Jacobian (voxel, derivative, output), checked for truncation if that was asked for."""
    result = problem.job().signals()
    if problem.check_nstates and problem.nstates is not None:
        error = truncation_error(problem, result)
        if error > WORTH_A_WARNING:
            warn_caller(
                f"nstates={problem.nstates} changes the signal or a derivative at some readout by {error:.2g} of its "
                "root mean square"
            )
    return result


def simulate(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    B1: npt.ArrayLike = 1.0,
    M0: npt.ArrayLike = 1.0,
    *,
    B0: npt.ArrayLike = 0.0,
    inv_efficiency: npt.ArrayLike = 1.0,
    slice_prof: npt.ArrayLike = 1.0,
    nstates: int | None = None,
    dtype: Precision = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> ComplexArray | Any:
    """Signal of a sequence.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    T1, T2 : array_like
        Relaxation times, ms; T1 may be inf. All maps broadcast.
    B1 : array_like
        Transmit field, as a fraction of the nominal flip angle.
    M0 : array_like
        Equilibrium magnetisation.
    B0 : array_like
        Off-resonance, Hz: transverse magnetisation turns by exp(+2 pi i B0 t).
    inv_efficiency : array_like
        Efficiency of inversions, which scales that of the sequence.
    slice_prof : float or array_like, shape (positions,)
        Flip angle across the slice, as a fraction of the nominal one; the signal is the mean over positions.
    nstates : int, optional
        Keep configuration orders below it only, counted in crushers. All that matter by default: the result is exact.
    dtype : float64 or float32
        Precision of the computation.
    check_nstates : bool
        Whether to compare with all orders kept, and warn if a signal or derivative changes at some readout by more
        than 1e-3 of its root mean square.
    device : str, optional
        "cuda" or "cuda:1" to move arrays to a CUDA device, in chunks that fit, and results back. By default the CPU;
        but where maps are CuPy arrays or CUDA tensors, their device, on which results stay (docs/cuda.md).
    mask : array_like of bool, optional
        Where to simulate; broadcasts with the maps. Voxels outside cost nothing, may hold anything, NaN too, and are
        zero in all results.

    Returns
    -------
    ndarray, complex, shape (*tissue, readouts)
        Transverse magnetisation at each readout. Of maps that are xarray's DataArrays, which broadcast by the names of
        their dimensions, a DataArray with their dimensions and "readout".

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
    RuntimeError, MemoryError
        If there is no CUDA device, saying what is missing; if it has no room, saying what would fit.

    Examples
    --------
    >>> import epgnumba
    >>> train = epgnumba.FSE([180.0] * 3, ESP=10)
    >>> abs(epgnumba.simulate(train, T1=1000, T2=[50, 100])).round(4)
    array([[0.8187, 0.6703, 0.5488],
           [0.9048, 0.8187, 0.7408]])
    """
    problem = read_problem(
        sequence,
        T1,
        T2,
        B1,
        M0,
        B0=B0,
        inv_efficiency=inv_efficiency,
        slice_prof=slice_prof,
        nstates=nstates,
        dtype=dtype,
        check_nstates=check_nstates,
        device=device,
        mask=mask,
    )
    signal: ComplexArray = problem.shape_signal(signals(problem)[0])
    return signal


def jacobian(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    B1: npt.ArrayLike = 1.0,
    M0: npt.ArrayLike = 1.0,
    *,
    B0: npt.ArrayLike = 0.0,
    inv_efficiency: npt.ArrayLike = 1.0,
    diff: str | tuple[str, ...] | list[str],
    slice_prof: npt.ArrayLike = 1.0,
    nstates: int | None = None,
    dtype: Precision = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> tuple[ComplexArray | Any, ComplexArray | Any]:
    """Signal and its exact derivatives with respect to tissue parameters, in one sweep.

    Parameters
    ----------
    diff : str or tuple of str
        Any of T1, T2, B1, B0, inv_efficiency, M0.

    Other parameters are those of `simulate`.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, readouts)
    jacobian : ndarray, complex, shape (*tissue, len(diff), readouts)
        Derivatives per ms (T1, T2), per Hz (B0) or per unit. Without the axis for parameters if `diff` is a string. Of
        DataArrays a DataArray, that axis being "parameter".

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import epgnumba
    >>> train = epgnumba.FSE([180.0] * 3, ESP=10)
    >>> signal, slope = epgnumba.jacobian(train, T1=1000, T2=100, diff="T2")
    >>> (slope.real * 1e4).round(4)  # t/T2^2 exp(-t/T2)
    array([ 9.0484, 16.3746, 22.2245])
    """
    if diff is None:
        raise TypeError(f"diff=None is not allowed: it must be a name or a tuple of names out of {NAMES}")
    problem = read_problem(
        sequence,
        T1,
        T2,
        B1,
        M0,
        B0=B0,
        inv_efficiency=inv_efficiency,
        diff=diff,
        slice_prof=slice_prof,
        nstates=nstates,
        dtype=dtype,
        check_nstates=check_nstates,
        device=device,
        mask=mask,
    )
    signal, derivatives = signals(problem)
    return problem.shape_signal(signal), problem.shape_jacobian(derivatives)


def vjp(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    B1: npt.ArrayLike = 1.0,
    M0: npt.ArrayLike = 1.0,
    *,
    B0: npt.ArrayLike = 0.0,
    inv_efficiency: npt.ArrayLike = 1.0,
    signal_bar: npt.ArrayLike | None = None,
    jacobian_bar: npt.ArrayLike | None = None,
    diff: Diff = None,
    wanted: tuple[str, ...] | None = None,
    slice_prof: npt.ArrayLike = 1.0,
    nstates: int | None = None,
    dtype: Precision = np.float64,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
) -> dict[str, Array | Any]:
    """Derivatives of a real scalar with respect to everything, given those with respect to signal and Jacobian.

    One reverse sweep, whose cost does not depend on the number of parameters. It passes through signal and Jacobian.

    Parameters
    ----------
    signal_bar, jacobian_bar : array_like, complex, optional
        Derivative of the scalar, dL/dRe + i dL/dIm, in the shapes that `jacobian` returns; one may be left out, and is
        zero then.
    diff : str or tuple of str, optional
        What the Jacobian is with respect to; only with `jacobian_bar`.
    wanted : tuple of str, optional
        Parameters to return; all by default. Leaving out phases keeps a real problem real, and durations and tissue
        save time.

    Other parameters are those of `simulate`.

    Returns
    -------
    dict of str to ndarray
        For each parameter of the sequence (per degree, per ms), each map of the tissue (per ms, per Hz) and slice_prof,
        the derivative in the shape in which it was given.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import epgnumba
    >>> train = epgnumba.FSE([180.0], ESP=10)
    >>> bars = epgnumba.vjp(train, T1=1000, T2=100, signal_bar=[1.0])
    >>> float(bars["ESP"].round(6))  # -exp(-ESP/T2)/T2
    -0.009048
    """
    problem = read_problem(
        sequence,
        T1,
        T2,
        B1,
        M0,
        B0=B0,
        inv_efficiency=inv_efficiency,
        diff=diff,
        slice_prof=slice_prof,
        nstates=nstates,
        dtype=dtype,
        device=device,
        mask=mask,
    )
    if signal_bar is None and jacobian_bar is None:
        raise ValueError("signal_bar=None, jacobian_bar=None is not allowed: the scalar must depend on one of them")
    if (diff is None) != (jacobian_bar is None):
        given = f"diff={checks.shown(diff)}, jacobian_bar={checks.shown(jacobian_bar)}"
        raise ValueError(f"{given} is not allowed: they go together")
    if problem.labels is not None:
        axes = (READOUT,) if problem.single else (PARAMETER, READOUT)
        signal_bar = problem.labels.ordered("signal_bar", signal_bar, READOUT)
        jacobian_bar = problem.labels.ordered("jacobian_bar", jacobian_bar, *axes)
    for name, value in (("signal_bar", signal_bar), ("jacobian_bar", jacobian_bar)):
        if value is not None and isinstance(problem.tissue, Tissue):
            checks.numeric_array(name, value)
    bars = pull_back(problem, signal_bar, jacobian_bar, wanted)
    labels = problem.labels
    return bars if labels is None else {name: labels.restored(name, bar) for name, bar in bars.items()}
