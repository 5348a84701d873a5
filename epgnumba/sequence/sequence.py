"""What every sequence has: parameters by name, events that refer to them, a start."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy.typing as npt

from ..checks import GRADIENT_AREA, RF_DURATION, Array, scalar, shown
from ..names import hint, knows_names
from .events import Event, Linear, Value
from .linear import vector_of

Played = TypeVar("Played", bound="Sequence")
Made = TypeVar("Made", bound="Family")


class Sequence(ABC):
    """A pulse sequence: named parameters (degrees, ms) and the events that they enter.

    A program is compiled once per *structure* and serves all values of the parameters.
    """

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Array]:
        """Values of the parameters, in the shapes they were given in."""

    _gradient_area: float | None = None
    _rf_duration: float | dict[str, float] | None = None

    @property
    def gradient_area(self) -> float | None:
        """Area of a gradient that dephases by one order, mT ms/m, if it was stated (`on_scanner`)."""
        return self._gradient_area

    @property
    def rf_duration(self) -> float | Mapping[str, float] | None:
        """Effective duration of pulses, ms, or that of each kind of pulse, if it was stated (`on_scanner`)."""
        return MappingProxyType(self._rf_duration) if isinstance(self._rf_duration, dict) else self._rf_duration

    def on_scanner(
        self: Played,
        *,
        gradient_area: float | None = None,
        rf_duration: float | Mapping[str, float] | None = None,
    ) -> Played:
        """The same sequence, with what diffusion, flow and a bound pool take of the scanner.

        Parameters
        ----------
        gradient_area : float, optional
            Area of a gradient that dephases by one order (of the smallest `Shift`), mT ms/m. Over a voxel of 1 mm a
            dephasing of one cycle takes 23.5 mT ms/m.
        rf_duration : float, or mapping of str to float, optional
            Effective duration of RF pulses, ms: the square of the integral of B1 over time, over the integral of its
            square; for a rectangular pulse its duration (`pulses.Waveform.effective_duration`). A mapping says it for
            each kind of pulse: "excitation", "refocusing", "preparation".

        Returns
        -------
        Sequence

        Raises
        ------
        TypeError, ValueError
            If one is no number, or out of range.

        Examples
        --------
        >>> from epgnumba import FSE
        >>> FSE([180.0], ESP=10).on_scanner(gradient_area=23.5).gradient_area
        23.5
        """
        made = copy.copy(self)
        if gradient_area is not None:
            made._gradient_area = scalar("gradient_area", gradient_area, **GRADIENT_AREA)
        if rf_duration is not None:
            made._rf_duration = _read_durations(rf_duration)
        return made

    @property
    def structure(self) -> Hashable:
        """All that a program is made of, so that no two programs can be taken for one: the events themselves."""
        shapes = tuple((name, value.shape) for name, value in self.parameters.items())
        return type(self), self.steady, shapes, self.advance, tuple(self.events())

    @property
    def compiled(self) -> dict[Hashable, Any]:
        """What it has been compiled to; forgotten at once, unless it is known that nothing of it can change."""
        return {}

    @property
    @abstractmethod
    def steady(self) -> bool:
        """Whether the events repeat, so that the signal is that of the steady state.

        It is exact where only Z_0 outlives a repetition (a crusher ends it, an inversion begins it), where no gradient
        dephases, and where it is the mean over the angles by which one does; otherwise the events are repeated until
        `tolerance` of the start is left.
        """

    @property
    def advance(self) -> tuple[Value, Value]:
        """Degrees that each repetition adds to all RF and receiver phases, and by how much that grows each time."""
        return 0.0, 0.0

    @property
    def tolerance(self) -> float:
        """What may be left of the start of a sequence that is repeated."""
        return 1e-8

    @abstractmethod
    def events(self) -> list[Event]:
        """The events of one repetition, referring to the parameters by `Linear`."""

    @abstractmethod
    def replace(self: Played, **parameters: npt.ArrayLike) -> Played:
        """The same sequence with other values of some parameters, checked again."""


def _read_durations(given: float | Mapping[str, float]) -> float | dict[str, float]:
    if not isinstance(given, Mapping):
        return scalar("rf_duration", given, **RF_DURATION)
    if not given:
        raise ValueError("rf_duration={} is not allowed: it must hold the duration of each kind of pulse")
    return {kind: scalar(f"rf_duration.{kind}", value, **RF_DURATION) for kind, value in given.items()}


class Symbols:
    """Symbols by attribute."""

    def __init__(self, symbols: dict[str, Any]) -> None:
        self.__dict__.update(symbols)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name!r} is not a parameter{hint(name, self.__dict__)}; they are {list(self.__dict__)}")


def settling(tolerance: float) -> float:
    """A tolerance for what may be left of the start, checked.

    Raises
    ------
    ValueError
        If it does not lie between 0 and 1.
    """
    value = scalar("tolerance", tolerance, positive=True)
    if value >= 1:
        raise ValueError(f"tolerance={value:g} is not allowed: it must lie between 0 and 1")
    return value


class Family(Sequence):
    """A sequence made by keyword arguments: checked parameters, and options that shape its events.

    A subclass writes its events from symbols and options alone, so that these say all that there is to know about them
    and take the events' place as the structure: writing a long train costs more than playing it.

    Parameters
    ----------
    parameters : dict of str to ndarray
        Scalars and vectors; they are made read-only.
    options : dict
        The other arguments of the constructor.
    steady : bool
        Whether the events repeat.
    """

    def __init__(
        self, parameters: dict[str, Array], options: dict[str, Any] | None = None, steady: bool = False
    ) -> None:
        self._parameters, self._options, self._steady = parameters, options or {}, steady
        self._compiled: dict[Hashable, Any] = {}
        for value in parameters.values():
            value.setflags(write=False)
        self._choices = {**self._options, "steady": steady}
        shapes = tuple([(name, value.shape) for name, value in parameters.items()])
        self._structure: Hashable = (type(self), shapes, tuple(self._choices.items()))

    def __init_subclass__(cls) -> None:
        """Refuse what could make events of anything else (`EventSequence`, whose structure is its events, may)."""
        super().__init_subclass__()
        if "__init__" in vars(cls):
            cls.__init__ = knows_names(cls.__init__)  # type: ignore[method-assign]
        for name in ("events", "advance"):
            if name in vars(cls) and "structure" not in vars(cls):
                raise TypeError(f"{cls.__name__}.{name} is not allowed: write the events in `write`, phases in `cycle`")

    @staticmethod
    @abstractmethod
    def write(p: Any, options: Mapping[str, Any]) -> list[Event]:
        """The events of one repetition.

        Parameters
        ----------
        p : object
            Its attributes are the parameters: a `Linear`, or a tuple of them for a vector.
        options : mapping
            Those of the constructor, and `steady`.
        """

    @staticmethod
    def cycle(p: Any, options: Mapping[str, Any]) -> tuple[Value, Value]:
        """What `advance` is."""
        return 0.0, 0.0

    def __repr__(self) -> str:
        values = {name: value.tolist() for name, value in self._parameters.items()}
        return f"{type(self).__name__}({', '.join(f'{k}={shown(v)}' for k, v in {**values, **self._options}.items())})"

    @property
    def parameters(self) -> Mapping[str, Array]:
        return MappingProxyType(self._parameters)

    @property
    def structure(self) -> Hashable:
        return self._structure

    @property
    def steady(self) -> bool:
        return self._steady

    @property
    def compiled(self) -> dict[Hashable, Any]:
        """Kept, unless a subclass says itself what its events depend on: that may change."""
        return self._compiled if type(self).structure is Family.structure else {}

    def __getstate__(self) -> dict[str, Any]:
        """A copy compiles for itself."""
        return {**self.__dict__, "_compiled": {}}

    def events(self) -> list[Event]:
        return self.write(self.symbols(), self._choices)

    @property
    def advance(self) -> tuple[Value, Value]:
        return self.cycle(self.symbols(), self._choices)

    def symbols(self) -> Any:
        """For each parameter, as an attribute, what events hold in its place: a `Linear`, or a `Vector` of them."""
        return Symbols(
            {
                name: vector_of(name, value.size) if value.ndim else Linear.of(name)
                for name, value in self._parameters.items()
            }
        )

    def replace(self: Made, **parameters: npt.ArrayLike) -> Made:
        unknown = set(parameters) - set(self._parameters)
        if unknown:
            told = f"{hint(min(unknown), self._parameters)}; {type(self).__name__} has {list(self._parameters)}"
            raise ValueError(f"unknown parameter among parameters: {sorted(unknown)}{told}")
        made = type(self)(**{**self._parameters, **self._options, **parameters})
        made._gradient_area, made._rf_duration = self._gradient_area, self._rf_duration
        return made


def each(value: Value | tuple[Value, ...], n: int) -> Value:
    """Entry `n` of a parameter that may also be one for all."""
    return value[n] if isinstance(value, tuple) else value
