"""RF pulses across a slice: waveforms of the usual shapes, positions; channels that transmit; a bound pool's line.

`Waveform` says what is left of flip angles across a slice, and what else pulses turn there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import INTERVAL, Array, checked, choice, count, flag, numeric_array, scalar, shown
from .names import knows_names
from .waveforms import OFFSET, Across, Waveform

__all__ = ["Across", "Waveform", "gaussian", "hard", "positions", "sinc", "sum_channels", "super_lorentzian"]

_TIME_BANDWIDTH: dict[str, Any] = {"minimum": 0.5, "maximum": 1000.0}
_SAMPLES = 256
_SINGULAR = 1.5  # kHz: nearer to resonance a super-Lorentzian line is extrapolated


@knows_names
def hard(duration: float) -> Waveform:
    """A rectangular pulse, which selects no slice.

    Parameters
    ----------
    duration : float
        ms.

    Returns
    -------
    Waveform

    Examples
    --------
    >>> hard(0.5).flips(90, [0.0, 1.0]).round(2)  # on resonance, and 1 kHz off
    array([90.  , 52.15])
    """
    return Waveform(np.ones(1), duration)


@knows_names
def sinc(duration: float, time_bandwidth: float, window: str = "hann", samples: int = _SAMPLES) -> Waveform:
    """A windowed sinc.

    Parameters
    ----------
    duration : float
        ms.
    time_bandwidth : float
        Duration times bandwidth: the number of its zeros, with those at the ends.
    window : "hann", "hamming" or "none"
    samples : int

    Returns
    -------
    Waveform

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
    """
    choice("window", window, ("hann", "hamming", "none"))
    product, t = _shape(time_bandwidth, samples)
    ripple = {"hann": 0.5, "hamming": 0.46, "none": 0.0}[window]
    return _selective(np.sinc(product * t) * (1 - ripple + ripple * np.cos(2 * np.pi * t)), duration, product)


@knows_names
def gaussian(duration: float, time_bandwidth: float = 2.0, samples: int = _SAMPLES) -> Waveform:
    """A Gaussian pulse, whose spectrum falls to one half at half of the bandwidth from its centre.

    Parameters
    ----------
    duration : float
        ms.
    time_bandwidth : float
        Duration times bandwidth.
    samples : int

    Returns
    -------
    Waveform

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
    """
    product, t = _shape(time_bandwidth, samples)
    return _selective(np.exp(-((np.pi * product * t) ** 2) / (4 * np.log(2))), duration, product)


def _shape(time_bandwidth: float, samples: int) -> tuple[float, Array]:
    """Time times bandwidth, checked, and the middles of samples as fractions of the duration from the middle."""
    n = count("samples", samples, most=100_000)
    return scalar("time_bandwidth", time_bandwidth, **_TIME_BANDWIDTH), (np.arange(n) + 0.5) / n - 0.5


def _selective(shape: Array, duration: float, product: float) -> Waveform:
    time = scalar("duration", duration, **INTERVAL)
    return Waveform(shape, time, product / time)


@knows_names
def positions(n: int, extent: float = 1.0, *, both: bool = False) -> Array:
    """Positions across a slice, for the mean over which signals stand.

    Parameters
    ----------
    n : int
        How many.
    extent : float
        How far from the centre they reach, in slice thicknesses. Beyond it nothing is taken to be excited; the mean is
        over what lies within, so that a signal is in units of that.
    both : bool
        Whether of both halves of the slice. Profiles of symmetric pulses are even, so that one half is enough; not so
        for `Waveform.across`, whose phase is odd.

    Returns
    -------
    ndarray, shape (n,)
        The middles of `n` parts of one half of the slice, or of all of it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> positions(4)
    array([0.125, 0.375, 0.625, 0.875])
    """
    steps = count("n", n, most=100_000)
    places = (np.arange(steps) + 0.5) / steps
    return (2 * places - 1 if flag("both", both) else places) * scalar("extent", extent, positive=True, maximum=1e3)


@knows_names
def sum_channels(fields: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Transmit fields by kind of pulse, of those of several channels and the weights that each kind is played with.

    Parameters
    ----------
    fields : array_like or Tensor, complex, shape (*voxels, channels)
        Of each channel, as a fraction of the nominal one.
    weights : mapping of str to array_like or Tensor, shape (channels,)
        Of channels, by kind of pulse.

    Returns
    -------
    dict of str to ndarray or Tensor, complex, shape (*voxels,)
        As ``B1`` takes it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> fields = [[0.6, 0.5j], [0.5, 0.5]]  # of two channels in two voxels
    >>> B1 = sum_channels(fields, {"excitation": [1.0, -1.0j], "refocusing": [1.0, 1.0]})
    >>> abs(B1["excitation"]).round(3), abs(B1["refocusing"]).round(3)
    (array([1.1  , 0.707]), array([0.781, 1.   ]))
    """
    if not isinstance(weights, Mapping) or not weights:
        raise TypeError(f"weights={shown(weights)} is not allowed: a mapping of kinds of pulses to weights is needed")
    read = {"fields": fields, **{f"weights.{kind}": value for kind, value in weights.items()}}
    tensors = [hasattr(value, "is_complex") for value in read.values()]
    if any(tensors) and not all(tensors):
        raise TypeError("fields and weights are tensors in part; all are needed as such, or none")
    for name, value in read.items():
        if not any(tensors):
            read[name] = numeric_array(name, value)
        if read[name].ndim < 1 or (name != "fields" and read[name].ndim > 1):
            raise ValueError(f"{name} has shape {tuple(read[name].shape)}; its last axis, or only one, is of channels")
    fields, *each = read.values()
    for name, own in zip(list(read)[1:], each, strict=True):
        if own.shape[0] != fields.shape[-1]:
            raise ValueError(f"{name} has {own.shape[0]} channels, where fields has {fields.shape[-1]}")
    return {kind: (fields * own).sum(-1) for kind, own in zip(weights, each, strict=True)}


@knows_names
def super_lorentzian(offset: npt.ArrayLike, T2_bound: float = 12.0) -> Array:
    """Lineshape of a bound pool as tissue has it, the ``lineshape`` of simulations::

        G(w) = integral from 0 to 1 of sqrt(2 / pi) T2 / |3 u^2 - 1| exp(-2 (w T2 / (3 u^2 - 1))^2) du

    It has no value on resonance. Within 1.5 kHz it is the parabola that continues value and slope there, as others
    extrapolate, too: of 12 us that gives 15.3 us on resonance, where Malik has 15.1 and Gloor 14.

    Parameters
    ----------
    offset : array_like
        Frequency of the pulses from that of the bound pool, kHz.
    T2_bound : float
        Of the bound pool, us.

    Returns
    -------
    ndarray
        us; its integral over w = 2 pi offset, without the parabola, is 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    References
    ----------
    C. Morrison, R. M. Henkelman, MRM 33 (1995) 475; M. Gloor et al., MRM 60 (2008) 691; S. Malik et al., MRM 80 (2018)
    767.

    Examples
    --------
    >>> super_lorentzian([0.0, 2.0, 10.0]).round(2)
    array([15.3 , 10.79,  1.74])
    """
    T2 = scalar("T2_bound", T2_bound, positive=True, minimum=1e-3, maximum=1e3, unit="us")
    kilohertz = np.abs(checked("offset", offset, **OFFSET))
    lines = [_line(max(x, _SINGULAR), T2) for x in kilohertz.ravel()]
    found = [
        value if x >= _SINGULAR else value + slope * (x * x - _SINGULAR**2) / (2 * _SINGULAR)
        for x, (value, slope) in zip(kilohertz.ravel(), lines, strict=True)
    ]
    return np.asarray(found, np.float64).reshape(kilohertz.shape)


def _line(offset: float, T2: float) -> tuple[float, float]:
    """A super-Lorentzian line and its slope, us and us per kHz, by quadrature on either side of the magic angle."""
    from scipy.integrate import quad

    angle = 2 * np.pi * offset * T2 * 1e-3

    def gaussian_of(u: float, slope: bool) -> float:
        width = abs(3 * u * u - 1)
        if width == 0:
            return 0.0
        value = np.sqrt(2 / np.pi) * T2 / width * np.exp(-2 * (angle / width) ** 2)
        return float(value * -4 * (angle / width) ** 2 / offset if slope else value)

    magic = 3**-0.5
    sides, precision = ((0, magic), (magic, 1)), {"epsabs": 1e-13, "epsrel": 1e-11, "limit": 500}
    value, slope = (
        sum(quad(gaussian_of, *side, (which,), **precision)[0] for side in sides) for which in (False, True)
    )
    return value, slope


def __dir__() -> list[str]:
    return __all__
