"""Waveforms of RF pulses, and what they turn off resonance and across a slice, by Bloch's equations.

A waveform is played beside a constant gradient, so that each position precesses at its own rate. Within a sample both
are constant and spins turn about a tilted axis; the product of these rotations, as spinors (a, b), is exact for the
waveform as it is given (J. Pauly et al., IEEE Trans Med Imaging 10 (1991) 53). Relaxation during the pulse is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import FLIP, INTERVAL, PROFILE, Array, checked, numeric_array, scalar, shown

OFFSET: dict[str, Any] = {"minimum": -1e6, "maximum": 1e6, "unit": "kHz"}
_PLACE: dict[str, Any] = {"minimum": -1e3, "maximum": 1e3, "unit": "slice thicknesses"}
_THICKNESS: dict[str, Any] = {"positive": True, "minimum": 1e-3, "maximum": 1e3}
_ROUNDING = 1e-17  # of terms of a series whose sum is at most 1


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
        apart, field = checked("offset", offset, **OFFSET), checked("B1", B1, **PROFILE)
        try:
            kilohertz, scale = np.broadcast_arrays(apart, field)
        except ValueError:
            raise ValueError(f"offset {apart.shape} and B1 {field.shape} do not broadcast") from None
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
        >>> from epgnumba.pulses import sinc
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
        >>> from epgnumba.pulses import sinc
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
