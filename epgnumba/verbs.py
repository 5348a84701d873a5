"""The verbs: simulate, jacobian, vjp."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import checks
from .arguments import Options, Truncating, takes
from .checks import Array, warn_caller
from .derivatives import pull_back
from .engine import Job
from .engine.threads import shown_progress
from .labels import PARAMETER, READOUT
from .problem import ComplexArray, Diff, Problem, read_problem
from .sequence.sequence import Sequence
from .tissue import Tissue
from .tissue_parameters import NAMES
from .truncation import WORTH_A_WARNING, truncation_error

if TYPE_CHECKING:
    from typing_extensions import Unpack


_UNSEEN = nullcontext()


def _watched(progress: bool, name: str) -> AbstractContextManager[None]:
    """Where work is shown as it comes on, if that is wanted."""
    return shown_progress(name) if checks.flag("progress", progress) else _UNSEEN


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


def results(problem: Problem) -> Any:
    """The signal, and the Jacobian if derivatives are asked for, as they are returned."""
    signal, derivatives = signals(problem)
    shaped = problem.shape_signal(signal)
    return (shaped, problem.shape_jacobian(derivatives)) if problem.codes else shaped


def _signal_into(problem: Problem, out: Any) -> ComplexArray:
    """The signal, in an array of the caller's.

    Raises
    ------
    TypeError, ValueError
        If it is not such as would be returned.
    """
    if not isinstance(out, np.ndarray) or out.dtype != problem.complex_dtype:
        raise TypeError(
            f"out={checks.shown(out)} is not allowed: an array of {problem.complex_dtype.__name__} is needed"
        )
    job, tissue = problem.job(), problem.tissue
    shape = *tissue.shape, job.program.n_out
    plain = isinstance(job, Job) and isinstance(tissue, Tissue) and tissue.mask is None and problem.labels is None
    if not isinstance(job, Job) or not plain:
        raise ValueError("out is for maps in host memory that are no DataArrays, without a device and a mask")
    if problem.check_nstates:
        raise ValueError("out does not go with check_nstates=True")
    if out.shape != shape or not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(f"out has shape {out.shape}; {shape} is needed, contiguous and writeable")
    job.signals(out.reshape(job.n_voxels, job.program.n_out))
    return out


@takes(Options)
def simulate(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    *,
    out: ComplexArray | None = None,
    progress: bool = False,
    **given: Unpack[Options],
) -> ComplexArray | Any:
    """Signal of a sequence.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    T1, T2 : array_like
        Relaxation times, ms; T1 may be inf. All maps broadcast.
    out : ndarray, complex, shape (*tissue, readouts), optional
        Where to put the signal: contiguous, complex128 (complex64 for ``dtype="float32"``). It is returned.
    progress : bool
        Whether to show a progress bar, on a CPU.
    **given
        Other maps, and options: `help(epgnumba.simulate)` lists them.

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
    problem = read_problem(sequence, T1, T2, **given)
    with _watched(progress, "simulate"):
        return results(problem) if out is None else _signal_into(problem, out)


@takes(Options)
def jacobian(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    *,
    diff: str | tuple[str, ...] | list[str],
    progress: bool = False,
    **given: Unpack[Options],
) -> tuple[ComplexArray | Any, ComplexArray | Any]:
    """Signal and its exact derivatives with respect to tissue parameters, in one sweep.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    progress : bool
        Whether to show a progress bar, on a CPU.
    **given
        Other maps, and options: `help(epgnumba.jacobian)` lists them.

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
    problem = read_problem(sequence, T1, T2, diff=diff, **given)
    with _watched(progress, "jacobian"):
        pair: tuple[Any, Any] = results(problem)
    return pair


@takes(Truncating)
def vjp(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    *,
    signal_bar: npt.ArrayLike | None = None,
    jacobian_bar: npt.ArrayLike | None = None,
    diff: Diff = None,
    wanted: tuple[str, ...] | None = None,
    **given: Unpack[Truncating],
) -> dict[str, Array | Any]:
    """Derivatives of a real scalar with respect to everything, given those with respect to signal and Jacobian.

    One reverse sweep, whose cost does not depend on the number of parameters. It passes through signal and Jacobian.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    signal_bar, jacobian_bar : array_like, complex, optional
        Derivative of the scalar, dL/dRe + i dL/dIm, in the shapes that `jacobian` returns; one may be left out, and is
        zero then.
    diff : str or tuple of str, optional
        What the Jacobian is with respect to; only with `jacobian_bar`.
    wanted : tuple of str, optional
        Parameters to return; by default all, but for what the tissue has none of (as `D` where it is zero). Leaving out
        phases keeps a real problem real, and durations and tissue save time.
    **given
        Other maps, and options: `help(epgnumba.vjp)` lists them.

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
    problem = read_problem(sequence, T1, T2, diff=diff, **given)
    if signal_bar is None and jacobian_bar is None:
        raise ValueError("signal_bar=None, jacobian_bar=None is not allowed: the scalar must depend on one of them")
    if isinstance(wanted, (tuple, list)) and not wanted:
        raise ValueError(f"wanted={wanted} is empty; leave it out for all derivatives")
    if (diff is None) != (jacobian_bar is None):
        pair = f"diff={checks.shown(diff)}, jacobian_bar={checks.shown(jacobian_bar)}"
        raise ValueError(f"{pair} is not allowed: they go together")
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
