"""One-call forms, with torchsim's names, arguments and units."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from .sequence.fse import FSE
from .verbs import ComplexArray, Diff, jacobian, simulate


def has_tensor(values: tuple[Any, ...]) -> bool:
    """Whether any of `values` is a torch tensor; if torch was never imported, none is."""
    torch = sys.modules.get("torch")
    return torch is not None and any(isinstance(value, torch.Tensor) for value in values)


def fse_sim(
    flip: npt.ArrayLike,
    ESP: float,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    phases: npt.ArrayLike = 0.0,
    TR: float = np.inf,
    exc_flip: float = 90.0,
    exc_phase: float = 90.0,
    diff: Diff = None,
    slice_prof: npt.ArrayLike = 1.0,
    B1: npt.ArrayLike = 1.0,
    M0: npt.ArrayLike = 1.0,
    nstates: int | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> ComplexArray | tuple[ComplexArray, ComplexArray]:
    """Fast spin echo by extended phase graphs, with exact derivatives.

    If any argument is a torch tensor, `epgnumba.torch.fse_sim` is called and tensors come back.

    Parameters
    ----------
    flip : array_like, shape (echoes,)
        Refocusing flip angles, degrees.
    ESP : float
        Echo spacing, ms.
    T1, T2 : array_like
        Relaxation times, ms; T1 may be inf. All tissue maps broadcast.
    phases : float or array_like, shape (echoes,)
        Phases of the refocusing pulses, degrees; each echo is demodulated by that of its pulse.
    TR : float
        Repetition time, ms. If finite, the signal is that of the exact steady state, the train ending ideally spoiled;
        inf starts the train from equilibrium.
    exc_flip, exc_phase : float
        Excitation flip angle and phase, degrees.
    diff : str or tuple of str, optional
        Tissue parameters to differentiate with respect to: any of T1, T2, B1, M0.
    slice_prof : float or array_like, shape (positions,)
        Flip angle across the slice, as a fraction of the nominal one; the signal is the mean over positions.
    B1 : array_like
        Transmit field, as a fraction of the nominal flip angle.
    M0 : array_like
        Equilibrium magnetisation.
    nstates : int, optional
        Keep configuration orders below it only, in units of one crusher (two per echo). By default all that matter are
        kept, and the result is exact.
    dtype : float64 or float32
        Precision of the computation.

    Returns
    -------
    signal : ndarray, complex, shape (*tissue, echoes)
    jacobian : ndarray, complex, shape (*tissue, len(diff), echoes)
        Only with `diff`; per ms (T1, T2) or per unit (B1, M0). Without the axis for parameters if `diff` is a string.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    References
    ----------
    M. Weigel, "Extended phase graphs", JMRI 41 (2015) 266-295.

    Examples
    --------
    >>> signal = fse_sim([120.0] * 3, ESP=10, T1=1000, T2=100)
    >>> signal.real.round(8)
    array([0.67862806, 0.79647385, 0.6369146 ])
    >>> signal, dT2 = fse_sim([120.0] * 3, ESP=10, T1=1000, T2=[80, 100], diff="T2")
    >>> dT2.shape
    (2, 3)
    """
    if has_tensor((flip, ESP, T1, T2, phases, TR, exc_flip, exc_phase, slice_prof, B1, M0)):
        from . import torch as bridge

        tensors: Any = bridge.fse_sim(
            flip, ESP, T1, T2, phases, TR, exc_flip, exc_phase, diff, slice_prof, B1, M0, nstates, dtype
        )
        return tensors  # type: ignore[no-any-return]
    train = FSE(flip, ESP, phases, TR, exc_flip, exc_phase)
    if diff is None:
        return simulate(train, T1, T2, B1, M0, slice_prof=slice_prof, nstates=nstates, dtype=dtype)
    return jacobian(train, T1, T2, B1, M0, diff=diff, slice_prof=slice_prof, nstates=nstates, dtype=dtype)
