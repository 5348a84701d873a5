"""What is played: events in ms and degrees, composed to sequences. Pure Python, no numerics."""

from .custom import EventSequence
from .echoes import Hyperecho, StimulatedEcho
from .events import Event, Inversion, Linear, Pulse, Readout, Shift, Spoil, Wait, t2_preparation
from .fingerprint import MRF
from .fse import FSE, MultiSpinEcho
from .gradient_echo import BSSFP, DESS, SPGR
from .inversion import MP2RAGE, MPRAGE, LookLocker, MPnRAGE
from .sequence import Sequence

__all__ = [
    "BSSFP",
    "DESS",
    "FSE",
    "MP2RAGE",
    "MPRAGE",
    "MRF",
    "SPGR",
    "Event",
    "EventSequence",
    "Hyperecho",
    "Inversion",
    "Linear",
    "LookLocker",
    "MPnRAGE",
    "MultiSpinEcho",
    "Pulse",
    "Readout",
    "Sequence",
    "Shift",
    "Spoil",
    "StimulatedEcho",
    "Wait",
    "t2_preparation",
]


def __dir__() -> list[str]:
    return __all__
