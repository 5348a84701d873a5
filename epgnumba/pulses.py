"""RF pulses across a slice: waveforms, and the flip angles that they come to by Bloch's equations.

A waveform is played beside a constant gradient, so that each position precesses at its own rate. Within a sample both
are constant and spins turn about a tilted axis; the product of these rotations, as spinors (a, b), is exact for the
waveform as it is given (J. Pauly et al., IEEE Trans Med Imaging 10 (1991) 53). Relaxation during the pulse is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import FLIP, INTERVAL, PROFILE, Array, checked, choice, count, flag, numeric_array, scalar, shown

__all__ = ["Across", "Waveform", "gaussian", "hard", "positions", "sinc", "sum_channels", "super_lorentzian"]

_TIME_BANDWIDTH: dict[str, Any] = {"minimum": 0.5, "maximum": 1000.0}
_OFFSET: dict[str, Any] = {"minimum": -1e6, "maximum": 1e6, "unit": "kHz"}
_PLACE: dict[str, Any] = {"minimum": -1e3, "maximum": 1e3, "unit": "slice thicknesses"}
_THICKNESS: dict[str, Any] = {"positive": True, "minimum": 1e-3, "maximum": 1e3}
_SAMPLES = 256
_ROUNDING = 1e-17  # of terms of a series whose sum is at most 1
_SINGULAR = 1.5  # kHz: nearer to resonance a super-Lorentzian line is extrapolated


class Waveform:
    """An RF pulse: its shape, how long it takes, and what it selects.

    Parameters
    ----------
    samples : array_like, shape (n,), real or complex
        B1 at evenly spaced times, in any unit; of a pulse that another program designed, for example.
    duration : float
        ms.
    bandwidth : float, optional
        Width of the slice, kHz: what its gradient makes of one slice thickness. Without it, it selects nothing.

    Raises
    ------
    TypeError, ValueError
        If a value is no number, not finite or out of range, or the samples sum up to nothing.

    Examples
    --------
    >>> pulse = Waveform([1.0, 2.0, 1.0], duration=0.6)
    >>> round(pulse.effective_duration, 4)
    0.5333
    """

    def __init__(self, samples: npt.ArrayLike, duration: float, bandwidth: float = 0.0) -> None:
        given = numeric_array("samples", samples)
        if given.ndim != 1 or not given.size or not np.isfinite(given).all():
            raise ValueError(f"samples={shown(given)} is not allowed: finite numbers in one dimension are needed")
        self.samples = given.astype(np.complex128)
        if abs(self.samples.sum()) <= 1e-9 * abs(self.samples).sum():
            raise ValueError("samples sum up to nothing, so that no amplitude makes a flip angle of them")
        self.samples.setflags(write=False)
        self.duration = scalar("duration", duration, **INTERVAL)
        self.bandwidth = scalar("bandwidth", bandwidth, minimum=0.0, maximum=1e6, unit="kHz")

    @property
    def effective_duration(self) -> float:
        """(integral of B1)^2 over the integral of B1^2, ms: the ``rf_duration`` of `Sequence.on_scanner`."""
        total = abs(self.samples.sum()) ** 2
        return float(total / (abs(self.samples) ** 2).sum() * self.duration / len(self.samples))

    def flips(self, flip: float, offset: npt.ArrayLike, B1: npt.ArrayLike = 1.0) -> Array:
        """Flip angles off resonance.

        Parameters
        ----------
        flip : float
            Nominal flip angle, degrees: that on resonance, of a real waveform.
        offset : array_like
            Off-resonance, kHz; it turns magnetisation as `B0` does.
        B1 : array_like
            Transmit field, as a fraction of the nominal one; broadcasts with `offset`.

        Returns
        -------
        ndarray
            Degrees, from -360 to 360, of a complex waveform from 0 to 180: below zero where the pulse turns the other
            way, as in the side lobes of a sinc. What it turns about the axis of the field, before and after, is not
            told: it is that of half of the gradient each for a symmetric pulse, and refocused.
        """
        nominal = np.deg2rad(scalar("flip", flip, **FLIP))
        kilohertz, scale = np.broadcast_arrays(checked("offset", offset, **_OFFSET), checked("B1", B1, **PROFILE))
        a, b = self._spinors(kilohertz, nominal * scale)
        if self.samples.imag.any():
            return np.asarray(np.rad2deg(2 * np.arctan2(abs(b), abs(a))))
        return np.asarray(np.rad2deg(2 * np.arctan2(-b.imag, np.copysign(abs(a), a.real))))

    def _spinors(self, offset: Array, angle: Array) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128]]:
        """Spinors at offsets (kHz) and nominal angles (radians, with B1), without what the gradient turns by itself."""
        step = self.duration / len(self.samples)
        turn = 2 * np.pi * offset * step  # radians per sample, about the field
        shape = np.broadcast_shapes(turn.shape, angle.shape)
        a, b = np.ones(shape, np.complex128), np.zeros(shape, np.complex128)
        for share in self.samples / self.samples.sum():
            field = angle * share
            tilted = np.hypot(turn, abs(field))
            ratio = 0.5 * np.sinc(tilted / (2 * np.pi))  # sin(tilted / 2) / tilted
            c, s = np.cos(tilted / 2) - 1j * turn * ratio, -1j * field * ratio
            a, b = c * a - np.conj(s) * b, s * a + np.conj(c) * b
        return a * np.exp(1j * np.pi * offset * self.duration), b

    def across(self, z: npt.ArrayLike, *, thickness: float = 1.0) -> Across:
        """The pulse at positions across a slice, for ``slice_prof``: with B1 it turns each as its waveform does.

        Parameters
        ----------
        z : array_like, shape (positions,)
            Positions, in slice thicknesses from the centre (see `positions`).
        thickness : float
            Of this pulse's slice, as for `profile`.

        Returns
        -------
        Across

        Raises
        ------
        TypeError, ValueError
            Naming the argument, its value and what is allowed.

        Examples
        --------
        >>> pulse = sinc(duration=3.0, time_bandwidth=4)
        >>> pulse.across([0.0, 0.5, 1.0]).offsets.round(3)  # kHz
        array([0.   , 0.667, 1.333])
        """
        places = checked("z", z, **_PLACE)
        if places.ndim != 1 or not places.size:
            raise ValueError(f"z has shape {places.shape}; a non-empty one-dimensional array is needed")
        return Across(self, places * self.bandwidth / scalar("thickness", thickness, **_THICKNESS))

    def profile(self, flip: float, z: npt.ArrayLike, *, thickness: float = 1.0, B1: float = 1.0) -> Array:
        """Slice profile: flip angles as fractions of what `flip` and `B1` nominally are.

        Parameters
        ----------
        flip : float
            Nominal flip angle, degrees.
        z : array_like, shape (positions,)
            Positions, in slice thicknesses from the centre (see `positions`).
        thickness : float
            Of this pulse's slice, where others are thinner or thicker, as a fraction of the unit of `z`.
        B1 : float
            Transmit field. Profiles of large flip angles change their shape with it; a simulation scales what it is
            given by its own B1 at all positions alike.

        Returns
        -------
        ndarray, shape (positions,)
            As ``slice_prof`` takes it.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, its value and what is allowed.

        Examples
        --------
        >>> pulse = sinc(duration=3.0, time_bandwidth=4)
        >>> pulse.profile(90, [0.0, 0.25, 0.5, 1.0]).round(3)
        array([ 1.   ,  0.859,  0.427, -0.013])
        """
        places = checked("z", z, **_PLACE)
        if flip == 0 or B1 == 0:
            raise ValueError(f"flip={shown(flip)}, B1={shown(B1)} is not allowed: of nothing there are no fractions")
        offsets = places * self.bandwidth / scalar("thickness", thickness, **_THICKNESS)
        return self.flips(flip, offsets, B1) / (flip * B1)


class Across:
    """A pulse at positions across a slice (`Waveform.across`): rotations about any axis, not flip angles alone.

    Half of what the gradient turns is taken to be rephased before the pulse, and half behind it; what the pulse turns
    besides is not.

    Attributes
    ----------
    waveform : Waveform
    offsets : ndarray, shape (positions,)
        Off-resonance that the gradient makes, kHz.
    """

    def __init__(self, waveform: Waveform, offsets: Array) -> None:
        self.waveform, self.offsets = waveform, offsets
        self.offsets.setflags(write=False)
        self._series: dict[float, Array] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.offsets)} positions>"

    def quaternions(self, angle: Array) -> Array:
        """Rotations at nominal angles (radians, with B1) as quaternions; shape (4, positions, angles)."""
        a, b = self.waveform._spinors(self.offsets[:, None], angle)
        return np.stack([a.real, -b.imag, b.real, -a.imag])

    def series(self, largest: float) -> Array:
        """Them as series of Chebyshev polynomials of the angle over the largest; shape (positions, 4, terms).

        They are entire functions of the angle; terms below rounding are left out.
        """
        if largest not in self._series:
            samples = self.waveform.samples
            self._series[largest] = _chebyshev(
                self.quaternions, largest, 0.5 * largest * abs(samples).sum() / abs(samples.sum())
            )
        return self._series[largest]


def hard_series(largest: float) -> Array:
    """`Across.series` of a pulse that turns about x by its nominal angle, at one position."""

    def quaternions(angle: Array) -> Array:
        nothing = 0 * angle
        return np.stack([np.cos(angle / 2), np.sin(angle / 2), nothing, nothing])[:, None]

    return _chebyshev(quaternions, largest, 0.5 * largest)


def _chebyshev(function: Callable[[Array], Array], largest: float, growth: float) -> Array:
    """Series of a function (4, positions, angles) of angles up to the largest, complete to rounding.

    On the imaginary axis it is exp(`growth` |x|) at most, x being the angle over the largest, so that term k is
    2 (e growth / 2 k)^k at most.
    """
    terms = 2
    while terms * np.log(np.e * growth / (2 * terms)) > np.log(_ROUNDING):
        terms += 1
    nodes = np.pi * (np.arange(terms) + 0.5) / terms
    weights = np.cos(np.arange(terms)[:, None] * nodes) * (2 / terms)
    weights[0] /= 2
    return np.ascontiguousarray(np.moveaxis(function(largest * np.cos(nodes)) @ weights.T, 1, 0))


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


def super_lorentzian(offset: npt.ArrayLike, T2_bound: float = 12.0) -> Array:
    """Lineshape of a bound pool as tissue has it, the ``lineshape`` of simulations.

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
    kilohertz = np.abs(checked("offset", offset, **_OFFSET))
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
