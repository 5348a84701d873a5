"""For how long what is read has been out of phase, as far as that is one number.

Spins whose frequencies differ fall out of phase while they are transverse, and F_-k goes back on the way that F_k went.
Where all pathways that meet in a state have been out of phase for the same time, so has what is read, and a Lorentzian
spread of frequencies (T2') multiplies it by exp(-R2' |time|). So it is wherever gradients dephase in proportion to
time, as in a spin echo train or a gradient echo of constant TR.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..checks import Array
from ..sequence.events import Linear
from .train import F_MINUS, Z_ZERO, Read, Step, Train

CLOSE = 1e-9  # of factors of parameters, and milliseconds: what differs by less is rounding


class _Basis:
    """Linear expressions as vectors of the factors of their terms, the constant last."""

    def __init__(self, expressions: list[Linear]) -> None:
        terms = sorted({(name, index) for one in expressions for name, index, _ in one.terms})
        self._places = {term: n for n, term in enumerate(terms)}
        self.zero = np.zeros(len(terms) + 1)

    def vector(self, expression: Linear) -> Array:
        result = self.zero.copy()
        result[-1] = expression.constant
        for name, index, factor in expression.terms:
            result[self._places[name, index]] = factor
        return result

    def expression(self, vector: Array) -> Linear:
        exact = np.where(np.abs(vector) < CLOSE, 0.0, vector)
        terms = tuple((name, index, float(exact[n])) for (name, index), n in self._places.items() if exact[n])
        return Linear(terms, float(exact[-1]))


class _Times:
    """For each order k >= 0 how long F_k and Z_k have been out of phase; F_-k has been for as long the other way.

    `known` is false where that is not one number, `there` where there is nothing.
    """

    def __init__(self, count: int, basis: _Basis) -> None:
        self.time = np.zeros((count, len(basis.zero)))
        self.known, self.there = np.ones(count, np.bool_), np.zeros(count, np.bool_)

    def meet(self, orders: npt.NDArray[np.int64], time: Array, known: npt.NDArray[np.bool_]) -> None:
        """What comes to some orders, no two the same: the time of both, if it is the same."""
        there = self.there[orders]
        same = (np.abs(self.time[orders] - time) < CLOSE).all(axis=1)
        self.known[orders] = np.where(there, self.known[orders] & known & same, known)
        self.time[orders] = np.where(there[:, None], self.time[orders], time)
        self.there[orders] = True

    def arrive(self, orders: npt.NDArray[np.int64], time: Array, known: npt.NDArray[np.bool_]) -> None:
        """Transverse states of some orders, of either sign, at a pulse, which mixes each with its conjugate."""
        own = known & ((orders != 0) | (np.abs(time) < CLOSE).all(axis=1))
        for chosen, way in ((orders >= 0, 1), (orders < 0, -1)):
            self.meet(np.abs(orders[chosen]), way * time[chosen], own[chosen])

    def after(self, step: Step, time: Array, recovers: bool, basis: _Basis) -> "_Times":
        """After the next pulse."""
        shift, orders = abs(step.shift), np.flatnonzero(self.there)
        result = _Times(len(self.there) + shift, basis)
        if step.spoiled:
            result.meet(orders[orders == 0], self.time[:1][orders[:1] == 0], self.known[:1][orders[:1] == 0])
        else:
            result.meet(orders, self.time[orders], self.known[orders])  # Z_k
            for way in (1, -1):
                ones = orders if way > 0 else orders[orders > 0]
                result.arrive(way * ones + step.shift, way * self.time[ones] + time, self.known[ones])
        if recovers:
            result.meet(np.zeros(1, np.int64), basis.zero[None], np.ones(1, np.bool_))
        return result

    def read(self, read: Read, time: Array) -> Array | None:
        """How long what is read has been out of phase, `time` after the pulse."""
        if read.component == Z_ZERO or read.order >= len(self.there) or not self.there[read.order]:
            return np.zeros_like(time)
        own = -self.time[read.order] if read.component == F_MINUS else self.time[read.order]
        return own + time if self.known[read.order] else None


def find_out_of_phase(train: Train, boundary: int) -> Iterator[tuple[Read, Linear | None]]:
    """Each readout of F_0 with that time; None where pathways differ in it.

    `boundary` as `Train.boundary`, where a repetition starts from its own end; 0 where it does not. Then Z_0 must not
    carry any such time on, and F_0, which comes back of both signs, cannot but do so.
    """
    basis = _Basis(train.durations)
    durations = [basis.vector(duration) for duration in train.durations]
    times = _Times(1, basis)
    times.meet(np.zeros(1, np.int64), basis.zero[None], np.ones(1, np.bool_))
    for n, step in enumerate(train.steps):
        if n or step.spoiled:
            recovers = train.durations[step.duration] != Linear()
            times = times.after(step, durations[step.duration], recovers, basis)
        for read in step.reads:
            time = times.read(read, durations[read.duration])
            yield read, None if time is None or boundary > 1 else basis.expression(time)
    if boundary and not times.known[0]:
        yield next(read for step in train.steps for read in step.reads), None


def mark_out_of_phase(train: Train, boundary: int) -> None:
    """Write down for each readout how long it has been out of phase.

    Raises
    ------
    ValueError
        If pathways differ in that.
    """
    known: dict[Linear, int] = {}
    for read, time in find_out_of_phase(train, boundary):
        if time is None:
            raise ValueError(
                f"T2prime is not allowed with this sequence: what readout {read.out} sees has been out of phase for "
                "different times, so that no factor does it; average over B0 instead"
            )
        read.out_of_phase = known.setdefault(time, len(known))
    train.out_of_phase = list(known)
