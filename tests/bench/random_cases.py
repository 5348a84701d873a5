"""Random sequences from the whole vocabulary, on random tissue, as text that runs."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from epgnumba import EventSequence
from epgnumba.sequence import Inversion, Pulse, Readout, Shift, Spoil, Wait

NAMES = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")
# What a derivative is measured in, where it is not the value.
UNITS = {"B1": 1.0, "B0": 10.0, "inv_efficiency": 1.0, "M0": 1.0, "D": 1.0, "velocity": 1.0, "shift_b": 10.0}
AREA, RF_DURATION = 250.0, 0.7  # mT ms/m, ms
# Maps that not every tissue has.
TERMS = {
    "diffusion": {"D": st.floats(0.1, 3.0)},
    "flow": {"velocity": st.one_of(st.floats(0.2, 5.0), st.floats(-5.0, -0.2))},
    "bound pool": {
        "bound_fraction": st.floats(0.03, 0.3), "exchange": st.floats(1.0, 60.0), "T1_bound": st.floats(60.0, 140.0),
        "lineshape": st.floats(1.0, 20.0),
    },
}  # fmt: skip
TERMS["second pool"] = {
    "fraction_b": st.floats(0.03, 0.5), "exchange_b": st.floats(1.0, 60.0), "T1_b": st.floats(60.0, 140.0),
    "T2_b": st.floats(8.0, 60.0),
}  # fmt: skip
TERMS["second pool, shifted"] = TERMS["second pool"] | {"shift_b": st.one_of(st.floats(1, 40), st.floats(-40, -1))}
TERMS["diffusion and flow"] = TERMS["diffusion"] | TERMS["flow"]
TERMS["all"] = TERMS["diffusion and flow"] | TERMS["bound pool"]
TERMS["all, second pool"] = TERMS["diffusion and flow"] | TERMS["second pool, shifted"]


@dataclass
class Case:
    """Events as tuples, tissue, and how they repeat.

    ('p', flip, phase), ('w', ms), ('s', orders, ms), ('r', receiver phase), ('c',): a crusher, ('i', efficiency).
    Numbers become entries of the parameters flip, phase, wait, ramp, receiver and efficiency. `linked` makes linear
    combinations: a wait then is half of its own entry and half of the first.
    """

    events: list
    tissue: dict
    steady: bool = False
    advance: float = 0.0
    growth: float = 0.0
    linked: bool = False
    tolerance: float = 1e-13
    diff: tuple = NAMES
    kinds: tuple = ("excitation",)  # of pulses, in turns
    rf_duration: object = RF_DURATION

    @property
    def parameters(self):
        """Vectors by name."""
        columns = {
            "flip": ("p", 1), "phase": ("p", 2), "wait": ("w", 1), "ramp": ("s", 2), "receiver": ("r", 1),
            "efficiency": ("i", 1),
        }  # fmt: skip
        found = {name: [event[at] for event in self.events if event[0] == kind] for name, (kind, at) in columns.items()}
        return {name: np.array(values, float) for name, values in found.items() if values}

    def build(self, p):
        counts = dict.fromkeys("pwrsi", 0)
        for kind, *numbers in self.events:
            n = counts.get(kind, 0)
            counts[kind] = n + 1
            if kind == "p":
                yield Pulse(p.flip[n], p.phase[n], self.kinds[n % len(self.kinds)])
            elif kind == "w":
                yield Wait(0.5 * p.wait[n] + 0.5 * p.wait[0] if self.linked else p.wait[n])
            elif kind == "s":
                yield Shift(numbers[0], p.ramp[n])
            elif kind == "r":
                yield Readout(p.receiver[n] - 90.0 if self.linked else p.receiver[n])
            elif kind == "c":
                yield Spoil()
            else:
                yield Inversion(p.efficiency[n])

    def sequence(self):
        made = EventSequence(
            self.build, steady=self.steady, advance=self.advance, growth=self.growth, **self.parameters,
            **({"tolerance": self.tolerance} if self.steady else {}),
        )  # fmt: skip
        return made.on_scanner(gradient_area=AREA, rf_duration=self.rf_duration)

    def scale(self, name):
        return UNITS.get(name) or self.tissue[name]

    def using(self, **changes):
        return replace(self, **changes)


def phases_of(draw, kind):
    """A strategy for the phases of one sequence."""
    quarters = st.sampled_from([0.0, 90.0, 180.0, 270.0, -90.0, 450.0])
    any_angle = st.one_of(st.floats(-400, 400), st.sampled_from([45.0, 30.0, 117.0, 1e-7, 90.0 + 1e-7]))
    constant = draw(any_angle)
    return {
        "zero": st.just(0.0),
        "constant": st.just(constant),
        "quarters": quarters,
        "alternating": st.sampled_from([constant, constant + 180.0]),
        "two": st.sampled_from([0.0, constant]),
        "random": any_angle,
    }[kind]


@st.composite
def trains(draw, shifts=True, crushers=True, most=14):
    """Events that can be played: no readout without a pulse, no sequence without a readout."""
    kind = draw(st.sampled_from(["zero", "constant", "quarters", "alternating", "two", "random"]))
    phase = phases_of(draw, kind)
    flip = st.one_of(st.sampled_from([90.0, 180.0, 0.0, -90.0, 45.0]), st.floats(-200, 200))
    wait = st.one_of(st.floats(0.5, 40), st.sampled_from([5.0, 10.0]))
    event = [
        st.tuples(st.just("p"), flip, phase), st.tuples(st.just("p"), flip, phase), st.tuples(st.just("w"), wait),
        st.tuples(st.just("w"), wait), st.tuples(st.just("r"), phase), st.tuples(st.just("i"), st.floats(0, 1)),
    ]  # fmt: skip
    if shifts:
        ramp = st.sampled_from([0.0, 0.0, 2.5, 7.0])
        event += [st.tuples(st.just("s"), st.sampled_from([1, 1, 1, 2, -1, -2, 3]), ramp)] * 2
    if crushers:
        event += [st.tuples(st.just("c"))]
    if not crushers:
        event.pop(5)
    events, readable = [], False
    for item in draw(st.lists(st.one_of(event), min_size=2, max_size=most)):
        if item[0] == "r" and not readable:
            continue
        readable = item[0] == "p" or (readable and item[0] not in "ci")
        events.append(item)
    return [*events, ("p", draw(flip), draw(phase)), ("w", draw(wait)), ("r", draw(phase))]


@st.composite
def tissues(draw, long_t1=True):
    return {
        "T1": draw(st.floats(60, 2000 if long_t1 else 150)),
        "T2": draw(st.floats(8, 60)),
        "B1": draw(st.sampled_from([1.0, 0.87, 1.13])),
        "B0": draw(st.sampled_from([0.0, 0.0, 13.0, -4.5])),
        "inv_efficiency": draw(st.sampled_from([1.0, 0.9])),
        "M0": draw(st.sampled_from([1.0, 1.7])),
    }


def _options(draw):
    return {
        "linked": draw(st.booleans()),
        "diff": tuple(draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=6))),
    }


@st.composite
def plain(draw):
    """Once, from equilibrium."""
    return Case(draw(trains()), draw(tissues()), **_options(draw))


@st.composite
def bounded(draw):
    """Repeated, with a crusher or an inversion at an end: Z_0 alone outlives a repetition."""
    first = draw(st.one_of(st.none(), st.tuples(st.just("i"), st.floats(0, 1)), st.just(("c",))))
    events = draw(trains(most=10))
    events = [first, *events, ("w", 30.0)] if first else [*events, ("c",), ("w", 30.0)]
    advance, growth = draw(st.sampled_from([0.0, 90.0, 33.0])), draw(st.sampled_from([0.0, 0.0, 117.0]))
    return Case(events, draw(tissues(False)), True, advance, growth, **_options(draw))


@st.composite
def balanced(draw):
    """Repeated without gradients, so that Z_0 and F_0 outlive a repetition."""
    events = draw(trains(shifts=False, crushers=False, most=8))
    return Case(
        [*events, ("w", 25.0)], draw(tissues(False)), True, draw(st.sampled_from([0.0, 180.0, 33.0])), **_options(draw)
    )


@st.composite
def unbalanced(draw):
    """Repeated with gradients: played until nothing of the start is left."""
    events = draw(trains(most=6))
    tissue = draw(tissues(False))
    advance = draw(st.sampled_from([0.0, 0.0, 180.0, 41.0]))
    return Case([*events, ("s", 1, 0.0), ("w", 40.0)], tissue, True, advance, **_options(draw))


@st.composite
def with_terms(draw, kind):
    """Tissue that not everybody has."""
    case = draw(kind)
    maps = {name: draw(values) for name, values in TERMS[draw(st.sampled_from(sorted(TERMS)))].items()}
    diff = st.lists(st.sampled_from((*maps, *NAMES)), unique=True, min_size=1, max_size=5)
    return case.using(tissue={**case.tissue, **maps}, diff=tuple(draw(diff)))


@st.composite
def evenly(draw):
    """A sequence, once or repeated, whose gradients dephase in proportion to time, readouts before and behind them.

    The time of an order is a parameter: numbers that happen to be equal would not do.
    """
    phase = phases_of(draw, draw(st.sampled_from(["zero", "constant", "random"])))
    events, interval = [], st.tuples(st.integers(1, 3), st.floats(0.0, 1.0))
    for _ in range(draw(st.integers(1, 4))):
        events.append((draw(st.floats(20.0, 160.0)), draw(phase)))
        events += draw(st.lists(interval, min_size=1, max_size=2))

    def build(p):
        for first, second in events:
            if type(first) is float:
                yield Pulse(first, second)
            else:
                early = second * p.unit
                yield [Wait(early), Readout(), Wait(first * p.unit - early), Shift(first), Readout(second)]

    return EventSequence(build, steady=draw(st.sampled_from([False, False, True])), unit=5.0)


KINDS = {"plain": plain(), "bounded": bounded(), "balanced": balanced(), "unbalanced": unbalanced()}
TERMED = {f"{name}, with terms": with_terms(kind) for name, kind in KINDS.items()}
