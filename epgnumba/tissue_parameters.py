"""Tissue parameters, a row each: all that checks, broadcasts, differentiates and describes them is made of these rows.

Rows stand in the order of the kernels' table (`kernels.columns`). What has a default need not be given.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from .checks import FLIP_SCALE, FRACTION, RELAXATION, Array, checked

HZ = float(2 * np.pi / 1000)  # in radians per ms


class Rate(NamedTuple):
    """What the kernels take, as a function of a map's values, and its first and second derivative."""

    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    curvature: Callable[[Any], Any]


def proportional(factor: float) -> Rate:
    """A multiple of the map."""
    return Rate(lambda x: factor * x, lambda x: factor, lambda x: 0.0)


RECIPROCAL = Rate(lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3)


@dataclass(frozen=True)
class TissueParameter:
    """A tissue parameter.

    Attributes
    ----------
    name, unit : str
    text : str
        What it is.
    limits : dict
        As `check_range` takes them: minimum, maximum, whether inf is allowed, unit in words.
    default : float or None
        What it is where it is not given; None if it must be.
    rate : Rate
        From its values to the kernels' table (1/ms, rad/ms, or as it is).
    """

    name: str
    unit: str
    text: str
    limits: dict[str, Any]
    default: float | None
    rate: Rate

    def read(self, value: Any) -> Array:
        """A map of it, checked."""
        return checked(self.name, value, **self.limits)


TISSUE = {
    row.name: row
    for row in (
        TissueParameter("T1", "ms", "longitudinal relaxation time", {**RELAXATION, "infinite": True}, None, RECIPROCAL),
        TissueParameter("T2", "ms", "transverse relaxation time", RELAXATION, None, RECIPROCAL),
        TissueParameter(
            "B1", "", "transmit field, as a fraction of the nominal flip angle", FLIP_SCALE, 1.0, proportional(1.0)
        ),
        TissueParameter(
            "B0", "Hz", "off-resonance: transverse magnetisation turns by exp(+2 pi i B0 t)",
            {"minimum": -1e6, "maximum": 1e6, "unit": "Hz"}, 0.0, proportional(HZ),
        ),
        TissueParameter(
            "inv_efficiency", "", "efficiency of inversions, which scales that of the sequence: 1 full, 0 saturating",
            FRACTION, 1.0, proportional(1.0),
        ),
        TissueParameter(
            "M0", "", "equilibrium magnetisation", {"minimum": -1e15, "maximum": 1e15}, 1.0, proportional(1.0)
        ),
        TissueParameter(
            "D", "um^2/ms", "isotropic diffusion coefficient; it takes a gradient area (`Sequence.on_scanner`)",
            {"minimum": 0.0, "maximum": 1e3, "unit": "um^2/ms"}, 0.0, proportional(1.0),
        ),
        TissueParameter(
            "velocity", "um/ms", "velocity along the gradient (1 um/ms is 1 mm/s); it takes a gradient area",
            {"minimum": -1e4, "maximum": 1e4, "unit": "um/ms"}, 0.0, proportional(1.0),
        ),
        TissueParameter(
            "T2prime", "ms", "T2': inverse width of a Lorentzian spread of off-resonance, 1/T2* = 1/T2 + 1/T2'",
            {**RELAXATION, "infinite": True}, np.inf, RECIPROCAL,
        ),
        TissueParameter(
            "bound_fraction", "", "protons in a bound pool, of all; it takes an RF duration (`Sequence.on_scanner`)",
            {"minimum": 0.0, "maximum": 0.99}, 0.0, proportional(1.0),
        ),
        TissueParameter(
            "exchange", "1/s", "rate k of exchange with the bound pool: `bound_fraction` k to it, the rest of k back",
            {"minimum": 0.0, "maximum": 1e6, "unit": "1/s"}, 0.0, proportional(1e-3),
        ),
        TissueParameter(
            "T1_bound", "ms", "longitudinal relaxation time of the bound pool", {**RELAXATION, "infinite": True},
            1000.0, RECIPROCAL,
        ),
        TissueParameter(
            "lineshape", "us", "the bound pool's lineshape at the frequency of the pulses, which saturate it",
            {"minimum": 0.0, "maximum": 1e3, "unit": "us"}, 14.0, proportional(float(np.pi) * 1e-3),
        ),
        TissueParameter(
            "fraction_b", "", "protons in a second free pool, b, of all; T1 and T2 are those of the other, a",
            {"minimum": 0.0, "maximum": 0.99}, 0.0, proportional(1.0),
        ),
        TissueParameter(
            "exchange_b", "1/s", "rate k of exchange with pool b: `fraction_b` k from a to b, the rest of k back",
            {"minimum": 0.0, "maximum": 1e6, "unit": "1/s"}, 0.0, proportional(1e-3),
        ),
        TissueParameter(
            "T1_b", "ms", "longitudinal relaxation time of pool b", {**RELAXATION, "infinite": True}, 500.0,
            RECIPROCAL,
        ),
        TissueParameter("T2_b", "ms", "transverse relaxation time of pool b", RELAXATION, 20.0, RECIPROCAL),
        TissueParameter(
            "shift_b", "Hz", "frequency of pool b less that of a",
            {"minimum": -1e6, "maximum": 1e6, "unit": "Hz"}, 0.0, proportional(HZ),
        ),
    )
}  # fmt: skip
NAMES = tuple(TISSUE)
# Of each kind of pulse, where transmit fields differ between them.
_FIELDS = {
    "B1": TISSUE["B1"],
    "B1_phase": TissueParameter(
        "B1_phase", "degrees", "phase of the transmit field", {"minimum": -1e5, "maximum": 1e5, "unit": "degrees"}, 0.0,
        proportional(float(np.pi / 180)),
    ),
}  # fmt: skip
DEFAULTS = {name: row.default for name, row in TISSUE.items() if row.default is not None}


def field_names(kinds: Iterable[str]) -> tuple[str, ...]:
    """Names of the maps of transmit fields by kind of pulse, in the order of the kernels' table."""
    return tuple(f"{part}.{kind}" for kind in kinds for part in _FIELDS)


def parameter(name: str) -> TissueParameter:
    """The parameter of a name, which may be that of one kind's transmit field."""
    part, _, kind = name.partition(".")
    return replace(_FIELDS[part], name=name) if kind else TISSUE[name]


class Maps(TypedDict, total=False):
    """What has a default, for type checkers."""

    B1: npt.ArrayLike | Mapping[str, npt.ArrayLike]
    B0: npt.ArrayLike
    inv_efficiency: npt.ArrayLike
    M0: npt.ArrayLike
    D: npt.ArrayLike
    velocity: npt.ArrayLike
    T2prime: npt.ArrayLike
    bound_fraction: npt.ArrayLike
    exchange: npt.ArrayLike
    T1_bound: npt.ArrayLike
    lineshape: npt.ArrayLike
    fraction_b: npt.ArrayLike
    exchange_b: npt.ArrayLike
    T1_b: npt.ArrayLike
    T2_b: npt.ArrayLike
    shift_b: npt.ArrayLike
