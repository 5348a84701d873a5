"""From events to a train: pulses, what happens before each, and the readouts that follow it.

Between two pulses the order of waits and readouts matters, that of waits and gradients only for diffusion and flow, by
the moments of dephasing (see `kernels.exponents`): a readout at time t after a pulse, when the gradients have summed to
s, sees F_-s of the state just after the pulse, decayed by t. So only pulses act on states, and a train is a list of
pulses.
"""

from dataclasses import dataclass, field
from functools import cached_property

from ..sequence.events import Event, Inversion, Linear, Pulse, Readout, Shift, Spoil, Value, Wait, linear

F_PLUS, F_MINUS, Z_ZERO = range(3)  # what a readout looks at: F_k, F_-k (k >= 0), or Z_0


@dataclass
class Read:
    """A readout: component and order just after the pulse, time and moments since then, receiver phase, output."""

    component: int
    order: int
    duration: int
    phase: Linear
    out: int
    moments: tuple[int, int] = (0, 0)
    out_of_phase: int = 0
    pool: int | None = None  # 0, 1: which of two pools it looks at alone


@dataclass
class Step:
    """A pulse, what happens in the interval before it, and the readouts after it."""

    flip: Linear
    phase: Linear
    duration: int
    shift: int
    spoiled: bool
    invert: bool = False  # an inversion in place of a pulse; its flip is 90 degrees times the efficiency
    kind: str = ""  # of pulse; an inversion has none
    number: int = 0  # of its kind, among all in order
    moments: tuple[int, int] = (0, 0)  # of the interval, by index
    reads: list[Read] = field(default_factory=list)


@dataclass
class Train:
    """Pulses in order, the distinct durations, the number of outputs, and what the end comes after.

    `end` is the duration between the last pulse and the end, `end_shift` the gradients in it. `waits` are the distinct
    waits that add up to durations and are none themselves: no time may run backward, not even for a while.
    """

    steps: list[Step]
    durations: list[Linear]
    n_out: int
    end: int
    end_shift: int
    end_spoiled: bool
    waits: list[Linear]
    moments: list[Linear]  # distinct ones, none where they were not asked for
    end_moments: tuple[int, int]
    out_of_phase: list[Linear] = field(default_factory=list)  # times that readouts have been out of phase, likewise

    @cached_property
    def boundary(self) -> int | None:
        """How many numbers say what a repetition leaves to the next, if they are few enough to solve for.

        1 (Z_0) where a crusher ends or begins it, 3 (Z_0 and F_0) where no gradient dephases; otherwise None.
        """
        if self.end_spoiled or self.steps[0].spoiled:
            return 1
        return None if self.end_shift or any(step.shift for step in self.steps) else 3

    def moment_places(self, indices: tuple[int, int]) -> tuple[int, int]:
        """Where moments lie among durations, behind which they are."""
        return len(self.durations) + indices[0], len(self.durations) + indices[1]

    @property
    def times(self) -> list[Linear]:
        """Durations, moments, and times out of phase."""
        return [*self.durations, *self.moments, *self.out_of_phase]

    def end_reads(self, components: int = 3) -> list[Read]:
        """What is read at the end of a repetition, pool by pool; `components` of a row say which there are."""
        names = [Z_ZERO, F_PLUS] if self.boundary == 3 else [Z_ZERO]
        second = {3: [], 4: [Z_ZERO], 6: names}[components]
        pools = [(name, 0 if components == 6 else None) for name in names] + [(name, 1) for name in second]
        return [
            Read(name, 0, self.end, Linear(), out, self.end_moments, pool=pool)
            for out, (name, pool) in enumerate(pools)
        ]


class _Interval:
    """What has happened since a pulse: time, dephasing (orders), and the moments of it."""

    def __init__(self, moments: bool) -> None:
        self.time, self.first, self.second, self.shift, self._wanted = Linear(), Linear(), Linear(), 0, moments

    def add(self, duration: Value, orders: int = 0) -> None:
        """Time during which a gradient dephases evenly by some orders; with none, a wait."""
        s = self.shift
        self.shift = s + orders
        if type(duration) is float and duration == 0:
            return
        self.time = self.time + duration
        if self._wanted:
            time = linear(duration)
            self.first = self.first + time * (s + orders / 2)
            self.second = self.second + time * (s * s + s * orders + orders * orders / 3)

    def moments(self) -> tuple[Linear, Linear]:
        """Moments of the dephasing less that at the end."""
        s = self.shift
        return self.first - self.time * s, self.second - 2 * s * self.first + self.time * (s * s)


def write_train(events: list[Event], with_moments: bool = False) -> Train:
    """Lower events to a train.

    `with_moments`: with those of dephasing, which only some terms of physics take.

    Raises
    ------
    ValueError
        If there is no pulse, no readout, or a readout that nothing can reach.
    """
    steps: list[Step] = []
    durations: dict[Linear, int] = {}
    waits: dict[Linear, None] = {}
    moments: dict[Linear, int] = {}
    interval, spoiled, n_out = _Interval(with_moments), False, 0

    def index() -> int:
        return durations.setdefault(interval.time, len(durations))

    def moment_indices() -> tuple[int, int]:
        if not with_moments:
            return 0, 0
        first, second = (moments.setdefault(value, len(moments)) for value in interval.moments())
        return first, second

    for event in events:
        if isinstance(event, Pulse):
            shift = interval.shift
            numbers = linear(event.flip), linear(event.phase), index(), shift, spoiled
            steps.append(Step(*numbers, kind=event.kind, moments=moment_indices()))
            interval, spoiled = _Interval(with_moments), False
        elif isinstance(event, Inversion):
            phase = steps[-1].phase if steps else Linear()
            steps.append(Step(90 * linear(event.efficiency), phase, index(), 0, True, invert=True))
            interval, spoiled = _Interval(with_moments), True
        elif isinstance(event, Wait):
            waits[linear(event.duration)] = None
            interval.add(event.duration)
        elif isinstance(event, Shift):
            interval.add(event.duration, event.orders)
        elif isinstance(event, Spoil):
            spoiled = True
            interval.shift = 0
        elif isinstance(event, Readout):
            if spoiled or not steps:
                raise ValueError("a readout with nothing to read: no pulse comes between it and the start or a spoiler")
            shift = interval.shift
            component = F_MINUS if shift > 0 else F_PLUS
            steps[-1].reads.append(Read(component, abs(shift), index(), linear(event.phase), n_out, moment_indices()))
            n_out += 1
        else:
            raise TypeError(f"{event!r} is not an event")
    if not steps or not n_out:
        raise ValueError("a sequence needs at least one pulse and one readout")
    kinds = sorted({step.kind for step in steps if step.kind})
    for step in steps:
        step.number = kinds.index(step.kind) if step.kind else 0
    end, end_moments = index(), moment_indices()
    apart = [wait for wait in waits if wait not in durations]
    return Train(steps, list(durations), n_out, end, interval.shift, spoiled, apart, list(moments), end_moments)
