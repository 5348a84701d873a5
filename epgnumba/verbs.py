"""The verbs: simulate, jacobian, vjp, and the directional derivative."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt

from . import engine
from .checks import Array, shown, warn_caller
from .kernels.columns import M0 as M0_CODE
from .problem import ComplexArray, Diff, Problem, read_problem
from .program.expressions import flatten, unflatten
from .sequence.sequence import NAMES, Sequence
from .tissue import Tissue
from .truncation import WORTH_A_WARNING, truncation_error

STEP = 1e-30  # of a complex step: its square vanishes beside one, so that the derivative is exact


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
    dtype: npt.DTypeLike = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
) -> ComplexArray:
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

    Returns
    -------
    ndarray, complex, shape (*tissue, readouts)
        Transverse magnetisation at each readout.

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
    )
    return problem.shape_signal(signals(problem)[0])


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
    dtype: npt.DTypeLike = np.float64,
    check_nstates: bool = False,
    device: str | None = None,
) -> tuple[ComplexArray, ComplexArray]:
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
        Derivatives per ms (T1, T2), per Hz (B0) or per unit. Without the axis for parameters if `diff` is a string.

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
    )
    signal, derivatives = signals(problem)
    return problem.shape_signal(signal), problem.shape_jacobian(derivatives)


def _cotangent(name: str, value: npt.ArrayLike | None, shape: tuple[int, ...], dtype: npt.DTypeLike) -> ComplexArray:
    if value is None:
        return np.zeros(shape, dtype)
    array = np.asarray(value)
    if array.dtype.kind not in "iufc":
        raise TypeError(f"{name}={shown(value)} is not numeric")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; {shape} is needed")
    return array.astype(dtype)


def _summed(value: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an array of `shape` was broadcast."""
    extra = value.ndim - len(shape)
    stretched = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1)
    return cast("Array", (value.sum(axis=stretched) if stretched else value).reshape(shape))


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
    dtype: npt.DTypeLike = np.float64,
    device: str | None = None,
) -> dict[str, Array]:
    """Derivatives of a real scalar with respect to everything, given those with respect to signal and Jacobian.

    One reverse sweep, whose cost does not depend on the number of parameters. It passes through signal and Jacobian.

    Parameters
    ----------
    signal_bar, jacobian_bar : array_like, complex, optional
        Derivative of the scalar, dL/dRe + i dL/dIm, in the shapes that `jacobian` returns; zero if left out.
    diff : str or tuple of str, optional
        What the Jacobian is with respect to.
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
    )
    return pull_back(problem, signal_bar, jacobian_bar, wanted)


def pull_back(
    problem: Problem,
    signal_bar: npt.ArrayLike | None,
    jacobian_bar: npt.ArrayLike | None,
    wanted: tuple[str, ...] | None = None,
) -> dict[str, Array]:
    """`vjp` of a checked problem."""
    parameters = problem.sequence.parameters
    names = (*parameters, *NAMES, "slice_prof")
    asked = names if wanted is None else wanted
    for name in asked:
        if name not in names:
            raise ValueError(f"wanted: {name!r} is unknown; allowed are {names}")
    names_of = problem.job().program.expressions
    turning = not names_of.phase_names.isdisjoint(asked)
    timing = not (names_of.time_names | {"T1", "T2", "B0"}).isdisjoint(asked)
    job = problem.job(turning, "B0" in asked)
    n_out, n_codes = job.program.n_out, len(problem.codes)
    signal_shape = (*problem.tissue.shape, n_out)
    full = (
        (*problem.tissue.shape, *(() if problem.single else (n_codes,)), n_out) if n_codes else (job.n_voxels, 0, n_out)
    )
    cotangent = _cotangent if isinstance(problem.tissue, Tissue) else problem.tissue.cotangent
    s_bar = cotangent("signal_bar", signal_bar, signal_shape, problem.complex_dtype).reshape(-1, n_out)
    j_bar = cotangent("jacobian_bar", jacobian_bar, full, problem.complex_dtype)
    j_bar = j_bar.reshape(job.n_voxels, n_codes, n_out)
    sums = job.gradient(s_bar, j_bar, timing, turning)
    result = unflatten(job.program.expressions.pull_back(sums.entries(timing, turning)), parameters)
    if "slice_prof" in asked:
        result["slice_prof"] = sums.profile().reshape(problem.profile_shape)
    for row, (name, value) in enumerate(problem.tissue.maps.items()):
        if name in asked:
            bar = sums.tissue[row].reshape(problem.tissue.shape)
            slope = problem.tissue.slope(name)
            result[name] = _summed(bar, tuple(value.shape)) * slope
    return {name: result[name] for name in asked}


def push_forward(problem: Problem, tangents: Mapping[str, Array]) -> tuple[ComplexArray, ComplexArray]:
    """Directional derivative of signal and Jacobian, by a complex step through the kernels.

    The kernels are analytic in planar reals, so that running them in complex arithmetic with an imaginary step of
    1e-30 gives the derivative to full precision (Squire and Trapp, SIAM Rev 40 (1998) 110).
    """
    parameters = problem.sequence.parameters
    stepped = {
        name: value + 1j * STEP * tangents[name] if name in tangents else value for name, value in parameters.items()
    }
    precesses = problem.job().program.precesses or "B0" in tangents
    program, _ = problem.compile(problem.sequence, True, precesses)
    entries = program.expressions.evaluate(flatten(stepped))
    table = problem.host_tissue.table(np.complex128)
    for row, name in enumerate(NAMES):
        if name in tangents:
            step = np.broadcast_to(problem.tissue.slope(name) * tangents[name], problem.tissue.shape)
            table[row] += 1j * STEP * step.ravel()
    profile = problem.profile.astype(np.complex128)
    if "slice_prof" in tangents:
        profile += 1j * STEP * np.atleast_1d(tangents["slice_prof"])
    job = engine.Job(program, entries, table, profile, problem.codes)
    amplitudes = job.amplitudes()
    value, slope = amplitudes.real, amplitudes.imag / STEP
    # S = M0 factor amplitude; the factor turns with the phases
    _, phases, _, receivers, _ = entries
    layout_step = program.signal.layout(1).factor_step
    turning = np.deg2rad((phases[layout_step] - receivers).imag / STEP)
    factors = job.call.factors
    planes = np.array([1, 1j])[: amplitudes.shape[2], None]
    value, slope = ((part * planes).sum(axis=2) * factors for part in (value, slope))
    slope = slope + 1j * turning * value
    m0, m0_slope = table[M0_CODE].real[:, None], table[M0_CODE].imag[:, None] / STEP
    signal = m0_slope * value[:, 0] + m0 * slope[:, 0]
    derivatives = np.zeros((job.n_voxels, len(problem.codes), signal.shape[-1]), np.complex128)
    for k, code in enumerate(problem.codes):
        i = 1 + sum(earlier != M0_CODE for earlier in problem.codes[:k])
        derivatives[:, k] = slope[:, 0] if code == M0_CODE else m0_slope * value[:, i] + m0 * slope[:, i]
    return (
        problem.shape_signal(signal).astype(problem.complex_dtype),
        problem.shape_jacobian(derivatives).astype(problem.complex_dtype) if problem.codes else derivatives,
    )
