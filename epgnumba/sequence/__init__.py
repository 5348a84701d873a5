"""What is played: events in ms and degrees, composed to sequences. Pure Python, no numerics."""

from .events import Event, Linear, Pulse, Readout, Shift, Spoil, Wait
from .fse import FSE
from .sequence import Sequence

__all__ = ["FSE", "Event", "Linear", "Pulse", "Readout", "Sequence", "Shift", "Spoil", "Wait"]
