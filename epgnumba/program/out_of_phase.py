"""For how long what is read has been out of phase, as far as that is one number.

Spins whose frequencies differ fall out of phase while they are transverse, and F_-k goes back on the way that F_k went.
Where all pathways that meet in a state have been out of phase for the same time, so has what is read, and a Lorentzian
spread of frequencies (T2') multiplies it by exp(-R2' |time|). So it is wherever gradients dephase in proportion to
time, as in a spin echo train or a gradient echo of constant TR.
"""

from ..sequence.events import Linear
from .train import F_MINUS, Z_ZERO, Read, Train

MIXED = None  # of pathways that have been out of phase for different times
Times = dict[int, Linear | None]  # by order k >= 0: of F_k and Z_k; F_-k has been for as long the other way


def _same(time: Linear | None, other: Linear | None) -> Linear | None:
    return time if time is not MIXED and time == other else MIXED


def _negative(time: Linear | None) -> Linear | None:
    return MIXED if time is MIXED else -time


def _after_pulse(arriving: list[tuple[int, Linear | None]], stored: Times, recovers: bool) -> Times:
    """Times of the orders after a pulse, which mixes F_k, the conjugate of F_-k, and Z_k."""
    found = dict(stored)
    if recovers:
        found[0] = _same(found.get(0, Linear()), Linear())
    for order, time in arriving:
        own = time if order >= 0 else _negative(time)
        if order == 0:  # its conjugate has been for as long the other way
            own = _same(time, Linear())
        found[abs(order)] = _same(own, found.get(abs(order), own))
    return found


def find_out_of_phase(train: Train, boundary: int) -> list[list[Linear | None]]:
    """For each pulse and each of its readouts of F_0 that time; None where pathways differ in it."""
    times: Times = {0: Linear()}
    arriving: list[tuple[int, Linear | None]] = [(0, MIXED)] if boundary > 1 else []
    stored = times
    result = []
    for n, step in enumerate(train.steps):
        time = train.durations[step.duration]
        if n:
            stored = times
            signed = [(k, one) for k, one in times.items()] + [(-k, _negative(one)) for k, one in times.items() if k]
            arriving = [(k + step.shift, MIXED if one is MIXED else one + time) for k, one in signed]
        if step.spoiled:
            arriving, stored = [], {k: one for k, one in stored.items() if k == 0}
        times = _after_pulse(arriving, stored, time != Linear())
        if step.invert:
            times = {0: Linear()}
        result.append([_read(times, train, read) for read in step.reads])
    return result


def _read(times: Times, train: Train, read: Read) -> Linear | None:
    if read.component == Z_ZERO:
        return Linear()
    own = times.get(read.order, Linear())
    if own is MIXED:
        return MIXED
    return (-own if read.component == F_MINUS else own) + train.durations[read.duration]


def mark_out_of_phase(train: Train, boundary: int) -> None:
    """Write down for each readout how long it has been out of phase.

    Raises
    ------
    ValueError
        If pathways differ in that.
    """
    known: dict[Linear, int] = {}
    for step, times in zip(train.steps, find_out_of_phase(train, boundary), strict=True):
        for read, time in zip(step.reads, times, strict=True):
            if time is MIXED:
                raise ValueError(
                    f"T2prime is not allowed with this sequence: what readout {read.out} sees has been out of phase "
                    "for different times, so that no factor does it; average over B0 instead"
                )
            read.out_of_phase = known.setdefault(time, len(known))
    train.out_of_phase = list(known)
