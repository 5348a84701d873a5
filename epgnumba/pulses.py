"""RF pulses across a slice: waveforms, and the flip angles that they come to by Bloch's equations.

A waveform is played beside a constant gradient, so that each position precesses at its own rate. Within a sample both
are constant and spins turn about a tilted axis; the product of these rotations, as spinors (a, b), is exact for the
waveform as it is given (J. Pauly et al., IEEE Trans Med Imaging 10 (1991) 53). Relaxation during the pulse is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import FLIP, INTERVAL, PROFILE, Array, checked, choice, count, numeric_array, scalar, shown
from .names import knows_names

__all__ = ["Waveform", "gaussian", "hard", "positions", "sinc", "super_lorentzian"]

_TIME_BANDWIDTH: dict[str, Any] = {"minimum": 0.5, "maximum": 1000.0}
_OFFSET: dict[str, Any] = {"minimum": -1e6, "maximum": 1e6, "unit": "kHz"}
_PLACE: dict[str, Any] = {"minimum": -1e3, "maximum": 1e3, "unit": "slice thicknesses"}
_THICKNESS: dict[str, Any] = {"positive": True, "minimum": 1e-3, "maximum": 1e3}
_SAMPLES = 256
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
        apart, field = checked("offset", offset, **_OFFSET), checked("B1", B1, **PROFILE)
        try:
            kilohertz, scale = np.broadcast_arrays(apart, field)
        except ValueError:
            raise ValueError(f"offset {apart.shape} and B1 {field.shape} do not broadcast") from None
        step = self.duration / len(self.samples)
        turn = 2 * np.pi * kilohertz * step  # radians per sample, about the field
        a, b = np.ones(turn.shape, np.complex128), np.zeros(turn.shape, np.complex128)
        for field in self.samples * (nominal / self.samples.sum()):
            angle = np.hypot(turn, scale * abs(field))
            ratio = 0.5 * np.sinc(angle / (2 * np.pi))  # sin(angle / 2) / angle
            c, s = np.cos(angle / 2) - 1j * turn * ratio, -1j * field * scale * ratio
            a, b = c * a - np.conj(s) * b, s * a + np.conj(c) * b
        if self.samples.imag.any():
            return np.asarray(np.rad2deg(2 * np.arctan2(abs(b), abs(a))))
        half = (a * np.exp(1j * np.pi * kilohertz * self.duration)).real  # without the gradient's turn
        return np.asarray(np.rad2deg(2 * np.arctan2(-b.imag, np.copysign(abs(a), half))))

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
        flip, B1 = scalar("flip", flip, **FLIP), scalar("B1", B1, **PROFILE)
        if flip == 0 or B1 == 0:
            raise ValueError(f"flip={shown(flip)}, B1={shown(B1)} is not allowed: of nothing there are no fractions")
        offsets = places * self.bandwidth / scalar("thickness", thickness, **_THICKNESS)
        return self.flips(flip, offsets, B1) / (flip * B1)


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
def positions(n: int, extent: float = 1.0) -> Array:
    """Positions across a slice, for the mean over which signals stand.

    Parameters
    ----------
    n : int
        How many.
    extent : float
        How far from the centre they reach, in slice thicknesses. Beyond it nothing is taken to be excited; the mean is
        over what lies within, so that a signal is in units of that.

    Returns
    -------
    ndarray, shape (n,)
        The middles of `n` parts of one half of the slice: profiles of symmetric pulses are even. For others take
        both signs.

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
    return (np.arange(steps) + 0.5) / steps * scalar("extent", extent, positive=True, maximum=1e3)


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
