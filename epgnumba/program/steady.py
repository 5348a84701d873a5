"""How a steady state is found where a gradient is left over, so that no few numbers say what a repetition leaves.

Let phi be the angle by which one order of gradient turns the transverse states at a place in the voxel. The signal is
the mean over phi of what an isochromat there gives, and for each phi the sequence is balanced: its steady state can be
solved for. The mean of N equispaced angles is F_0 and the aliases F_N, F_-N, F_2N, ...

How fast those fall is proven in docs/sequences.md: |F_k| <= C exp(-SHARE c |k| / T2), c being the shortest time per
order of gradient of any interval between pulses. Played again and again instead, orders above K can be cut, since what
has been there and comes back to a readout falls twice. In both, MARGIN is what constants, and derivatives, may add.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, gcd, inf, log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..kernels.columns import VECTOR
from ..sequence.events import Event, Linear, Pulse, Readout, linear
from ..sequence.sequence import Sequence
from .expressions import unit_phase
from .train import F_MINUS, F_PLUS, Read, Train

MOST_REPEATED = 50_000  # pulses of a sequence that is repeated to its steady state
MOST_TURNS = 1 << 20  # of all members of an ensemble, before pulses and readouts
SHARE = 0.9
MARGIN = 1e4


class Tissues(NamedTuple):
    """What the way to a steady state depends on besides the sequence.

    Attributes
    ----------
    T1, T2 : float
        The longest, ms.
    rounding : float
        Of numbers at hand, relative.
    averages : bool
        Whether means over angles can be played.
    few : bool
        Whether voxels are played one by one, their orders side by side.
    names : tuple of str
        Which maps the longest T1 and T2 are of: there may be a second pool's.
    """

    T1: float = 1.0
    T2: float = 1.0
    rounding: float = 2.0**-52
    averages: bool = True
    few: bool = False
    names: tuple[str, str] = ("T1", "T2")


ANY = Tissues()  # where there is no such way to find


class Way(NamedTuple):
    """How a steady state is found: the orders kept, how often the sequence is repeated, members of an ensemble.

    There is no ensemble where it has no members.
    """

    nstates: int | None
    repetitions: int = 1
    members: int = 0


@dataclass
class Ensemble:
    """Isochromats whose mean is the steady state.

    Attributes
    ----------
    orders : list of int
        Different gradients between a pulse and a readout of it.
    order_of : list of int
        Which of them each output has.
    turns : ndarray, shape (members, 1 + orders [+ pulses])
        exp(i angle) by which the gradients turn a member: at the end of a repetition; before each readout; and before
        each pulse, unless none does. Zero for what no gradient brings back: F_0 there is none.
    cost : float
        In updates of a row of states.
    """

    orders: list[int]
    order_of: list[int]
    turns: npt.NDArray[np.complex128]
    cost: float


def round_up(count: int) -> int:
    """To two binary digits after the leading one, so that few programs are made."""
    unit = 1 << max(count.bit_length() - 3, 0)
    return -(-count // unit) * unit


def period(train: Train, durations: npt.NDArray[np.inexact]) -> float:
    """Duration of a repetition, ms."""
    return float(sum(durations[step.duration].real for step in train.steps) + durations[train.end].real)


def repeated(sequence: Sequence, count: int) -> list[Event]:
    """Events of `count` repetitions, of which only the last is read."""
    once = sequence.events()
    if count == 1:
        return once
    step, growth = map(linear, sequence.advance)
    events: list[Event] = []
    for n in range(count):
        phase = n * step + n * (n - 1) / 2 * growth
        for event in once:
            if isinstance(event, Pulse):
                events.append(replace(event, phase=event.phase + phase))
            elif not isinstance(event, Readout):
                events.append(event)
            elif n == count - 1:
                events.append(Readout(event.phase + phase))
    return events


def choose(
    sequence: Sequence, train: Train, durations: npt.NDArray[np.inexact], tissues: Tissues, nstates: int | None
) -> Way:
    """The quicker way to a steady state that is not solved for at once.

    Raises
    ------
    ValueError
        If the steady state is never reached.
    """
    if not np.isfinite(tissues.T1):
        raise ValueError(f"no steady state: the sequence must be repeated to reach it, and T1 reaches {tissues.T1} ms")
    # Repetitions after which what is left of the start is below the tolerance: nothing decays slower than with T1,
    # or with T2 should that be longer.
    longest, name = max(zip((tissues.T1, tissues.T2), tissues.names, strict=True))
    count = ceil(-log(sequence.tolerance) * longest / period(train, durations)) + 1
    pulses = count * len(train.steps)
    highest = highest_order(train, durations, tissues, count)
    members = inf
    if tissues.averages and nstates is None and not grows(sequence) and not any(step.spoiled for step in train.steps):
        members = count_members(train, durations, tissues)
    by_repeating = _repeated_cost(train, count, highest, tissues.few)
    if members < inf and (pulses > MOST_REPEATED or _ensemble_cost(train, members) < by_repeating):
        return Way(None, members=int(members))
    if pulses > MOST_REPEATED:
        raise ValueError(
            f"the steady state takes {count} repetitions ({pulses} pulses, at most {MOST_REPEATED} are played): "
            f"{name} reaches {longest:g} ms; leave such tissue out, or raise tolerance={sequence.tolerance:g}"
        )
    if highest is not None:
        nstates = min(highest + 1, nstates or highest + 1)
    return Way(nstates, round_up(count))


PULSE = 20  # what a pulse costs besides its rows, in updates of a row; about that of one row of complex states
MEMBER = 30  # what solving for one member costs
PLAYS = 5  # of a member: four that say what a repetition does, one for what is read


def _repeated_cost(train: Train, count: int, highest: int | None, few: bool) -> float:
    """In updates of a row: orders rise until the middle of the train, or as far as they are kept, and fall again."""
    shifts = [s for _, s in _intervals(train)]
    peak = count * sum(map(abs, shifts)) / 2
    kept = peak if highest is None else min(highest, peak)
    rows = kept * (1 - kept / (2 * peak)) / gcd(*shifts) if peak else 0.0
    return count * len(train.steps) * (PULSE + rows / (VECTOR if few else 1))


def _ensemble_cost(train: Train, members: float) -> float:
    """The same, of an ensemble."""
    pulses = PULSE * len(train.steps)
    if is_fixed(train):
        return MEMBER * members + pulses * (PLAYS + 2 * len(_orders(train)))
    return members * pulses * PLAYS


def is_fixed(train: Train) -> bool:
    """Whether a gradient lies at the end of a repetition (or its start) only, so that all members are played as one."""
    return not any(step.shift for step in train.steps[1:])


def _intervals(train: Train) -> Iterator[tuple[list[int], int]]:
    """Durations (by index) and gradient of each interval between pulses; the last one leads to the next repetition."""
    first, *rest = train.steps
    yield [train.end, first.duration], train.end_shift + first.shift
    for step in rest:
        yield [step.duration], 0 if step.spoiled else step.shift


def _time_per_order(train: Train, durations: npt.NDArray[np.inexact]) -> float:
    """The shortest that it takes to dephase by one order, ms."""
    times = [sum(durations[d].real for d in between) / abs(s) for between, s in _intervals(train) if s]
    return float(min(times, default=inf))


def _orders_until(train: Train, durations: npt.NDArray[np.inexact], tissues: Tissues, smallest: float) -> float:
    """Orders over which transverse states fall to `smallest` at least; infinite if there is no such bound."""
    fall = SHARE * _time_per_order(train, durations)
    return -log(smallest) * tissues.T2 / fall if fall > 0 else inf


def highest_order(train: Train, durations: npt.NDArray[np.inexact], tissues: Tissues, count: int) -> int | None:
    """Orders above it may be cut where a sequence is repeated `count` times; None if no order is as high."""
    reach = count * sum(abs(s) for _, s in _intervals(train))
    behind = max(read.order for step in train.steps for read in step.reads)
    smallest = tissues.rounding / (MARGIN * count * len(train.steps))
    orders = _orders_until(train, durations, tissues, smallest) / 2 + behind / 2
    return round_up(ceil(orders)) if orders < reach else None


def count_members(train: Train, durations: npt.NDArray[np.inexact], tissues: Tissues) -> float:
    """Isochromats whose mean is the steady state to rounding; infinite if there is no such number."""
    stride = gcd(*(s for _, s in _intervals(train)))
    if not stride:
        return 1
    orders = _orders(train)
    behind = max(map(abs, orders))
    members = (_orders_until(train, durations, tissues, tissues.rounding / MARGIN) + behind) / stride
    turns = 1 + len(orders) + (0 if is_fixed(train) else len(train.steps))
    return round_up(ceil(members)) if members * turns < MOST_TURNS else inf


def _orders(train: Train) -> list[int]:
    """Different gradients between a pulse and a readout of it."""
    return sorted({_signed(read) for step in train.steps for read in step.reads})


def _signed(read: Read) -> int:
    """The gradient between a pulse and a readout: behind +1, F_-1 is read."""
    return read.order if read.component == F_MINUS else -read.order


def find_ensemble(train: Train, members: int) -> tuple[Train, Ensemble]:
    """The sequence without its gradients, and what they do to each of the members."""
    at_end, *before = (s for _, s in _intervals(train))
    stride, orders = gcd(at_end, *before), _orders(train)
    columns = [at_end, *orders]
    if not is_fixed(train):
        columns += [0, *before]
    whole = members * (stride or 1)  # of the angle between two members in a turn
    turns = unit_phase(np.asarray(np.outer(np.arange(members), columns) % whole * (360 / whole), np.float64))
    turns[:, [n for n, order in enumerate(columns) if (order % stride if stride else order)]] = 0
    steps = [
        replace(step, shift=0, reads=[replace(read, component=F_PLUS, order=0) for read in step.reads])
        for step in train.steps
    ]
    signed = {read.out: _signed(read) for step in train.steps for read in step.reads}
    order_of = [orders.index(signed[out]) for out in range(train.n_out)]
    cost = _ensemble_cost(train, members)
    return replace(train, steps=steps, end_shift=0), Ensemble(orders, order_of, turns, cost)


def check_period(sequence: Sequence, train: Train, durations: npt.NDArray[np.inexact]) -> None:
    """Refuse what has no steady state.

    Raises
    ------
    ValueError
        If a repetition takes no time, or RF phases grow in a way that never settles.
    """
    if not period(train, durations) > 0:
        raise ValueError("no steady state: a repetition takes no time")
    if grows(sequence) and train.boundary != 1:
        _check_growth(train)


def grows(sequence: Sequence) -> bool:
    """Whether RF phases grow from one repetition to the next, by more each time."""
    return bool(linear(sequence.advance[1]) != Linear())


def _check_growth(train: Train) -> None:
    """Refuse RF phases that grow where no steady state comes of it.

    Each repetition turns the spins by more than the one before. A gradient between repetitions makes up for that: it
    turns them by an angle that grows with their place, so that every repetition finds the pattern of the last one moved
    by the same step. Then whatever is an average over places is steady: F_0 at the pulses, and at readouts of F_0. What
    a gradient within the repetition does depends on the place, and so would move.

    Raises
    ------
    ValueError
        If no gradient lies between repetitions, or one lies within them.
    """
    first, *rest = train.steps
    growing = "no steady state: RF phases grow from repetition to repetition, but"
    if first.shift + train.end_shift == 0:
        raise ValueError(f"{growing} no gradient is left over between the last pulse and the next first one")
    if any(step.shift and not step.spoiled for step in rest):
        raise ValueError(f"{growing} a gradient lies between pulses of one repetition; it must lie after the last")
    if any(read.order for step in train.steps for read in step.reads):
        raise ValueError(f"{growing} a readout lies behind a gradient; readouts must come before it")
