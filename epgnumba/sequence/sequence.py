"""What every sequence has: parameters by name, events that refer to them, a start."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping

from ..checks import Array
from .events import Event


class Sequence(ABC):
    """A pulse sequence: named parameters (degrees, ms) and the events that they enter.

    A subclass says which events there are for a given *structure* (number of pulses, and whatever else changes the
    events themselves); a program is compiled once per structure and serves all values of the parameters.
    """

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Array]:
        """Values of the parameters, in the shapes they were given in."""

    @property
    @abstractmethod
    def structure(self) -> Hashable:
        """What the events depend on, besides the values of the parameters."""

    @property
    @abstractmethod
    def steady(self) -> bool:
        """Whether the events repeat, so that the signal is that of the steady state; they must then end spoiled."""

    @abstractmethod
    def events(self) -> list[Event]:
        """The events of one repetition, referring to the parameters by `Linear`."""

    @abstractmethod
    def replace(self, **parameters: Array) -> "Sequence":
        """The same sequence with other values of some parameters, checked again."""
