"""Bad events, and bad sequences of one's own: what is called, the error, the name in its message."""

import numpy as np
from bad_calls import TISSUE, TRAIN, T, V, own, read

from epgnumba import EventSequence, simulate
from epgnumba.sequence import Linear, Pulse, Readout, Shift, Spoil, Wait, t2_preparation


def of(write, **options):
    """A sequence of one's own, whose only pulse has the flip angle that `write` makes of the parameters."""
    return EventSequence(lambda p: [Pulse(write(p)), Wait(1.0), Readout()], **{"a": 30.0, "v": [1.0, 2.0], **options})


def endless(p):
    while True:
        yield Wait(1.0)


def hollow(p):
    while True:
        yield []


def knot(p):
    events = []
    events.append(events)
    return events


EVENTS = {
    # events
    "Pulse of text": (lambda: Pulse("90"), T, "Pulse.flip"),
    "Pulse of nothing": (lambda: Pulse(None), T, "Pulse.flip"),
    "Pulse of a list": (lambda: Pulse([90.0]), T, "Pulse.flip"),
    "Pulse of a complex number": (lambda: Pulse(90j), T, "Pulse.flip"),
    "Pulse of a boolean": (lambda: Pulse(True), T, "Pulse.flip"),
    "Pulse that is not finite": (lambda: Pulse(np.nan), V, "Pulse.flip"),
    "Pulse that is too large": (lambda: Pulse(1e6), V, "Pulse.flip"),
    "phase that is not finite": (lambda: Pulse(90.0, np.inf), V, "Pulse.phase"),
    "phase of text": (lambda: Pulse(90.0, "x"), T, "Pulse.phase"),
    "Wait without end": (lambda: Wait(np.inf), V, "Wait.duration"),
    "Wait of text": (lambda: Wait("5 ms"), T, "Wait.duration"),
    "Wait that is too long": (lambda: Wait(1e12), V, "Wait.duration"),
    "Readout of text": (lambda: Readout("x"), T, "Readout.phase"),
    "Readout of a beyond": (lambda: Readout(1e300), V, "Readout.phase"),
    "Shift of half a cycle": (lambda: Shift(1.5), T, "Shift.orders"),
    "Shift of a boolean": (lambda: Shift(True), T, "Shift.orders"),
    "Shift of text": (lambda: Shift("1"), T, "Shift.orders"),
    "Shift of nothing": (lambda: Shift(None), T, "Shift.orders"),
    "Shift of a parameter": (lambda: Shift(Linear.of("n")), T, "Shift.orders"),
    "Shift of 10^7 cycles": (lambda: Shift(10**7), V, "Shift.orders"),
    "Shift of -10^7 cycles": (lambda: Shift(-(10**7)), V, "Shift.orders"),
    "Pulse beyond all floats": (lambda: Pulse(10**400), V, "Pulse.flip"),
    "preparation of text": (lambda: t2_preparation("40"), T, "duration"),
    "preparation that is not finite": (lambda: t2_preparation(np.nan), V, "duration"),
    "preparation below zero": (lambda: t2_preparation(-5.0), V, "duration"),
    "preparation with flips of text": (lambda: t2_preparation(40.0, "90"), T, "flip"),
    "Linear of a number": (lambda: Linear.of(5), T, "name"),
    "Linear of a half": (lambda: Linear.of("a", 0.5), T, "index"),
    "Linear of no terms": (lambda: Linear("x"), T, "terms"),
    "Linear of a word": (lambda: Linear((), "5"), T, "constant"),
    # sequences of one's own
    "build that cannot be called": (lambda: EventSequence([Pulse(9)]), T, "build"),
    "build that writes nothing": (lambda: EventSequence(lambda p: None), T, "event"),
    "build that yields None": (lambda: own(Pulse(9), None, Readout()), T, "event"),
    "build that yields numbers": (lambda: own(Pulse(9), 5.0, Readout()), T, "event"),
    "build that yields text": (lambda: own(Pulse(9), "Readout", Readout()), T, "event"),
    "build that yields a class": (lambda: own(Pulse(9), Readout), T, "event"),
    "build that yields a dict": (lambda: own({"flip": 9.0}), T, "event"),
    "build that yields a sequence": (lambda: own(TRAIN), T, "event"),
    "build that never ends": (lambda: EventSequence(endless), V, "build"),
    "build that never ends, of nothing": (lambda: EventSequence(hollow), V, "build"),
    "build that holds itself": (lambda: EventSequence(knot), V, "build"),
    "a parameter with two axes": (lambda: EventSequence(lambda p: read, x=[[1.0]]), V, "x"),
    "a parameter with no entry": (lambda: EventSequence(lambda p: read, x=[]), V, "x"),
    "a parameter that is not used": (lambda: EventSequence(lambda p: read, x=1.0), V, "x"),
    "a parameter named as tissue": (lambda: EventSequence(lambda p: [Wait(p.T1), *read], T1=1.0), V, "T1"),
    "a parameter of another sequence": (
        lambda: EventSequence(lambda p: [Pulse(Linear.of("other")), Pulse(p.a), Readout()], a=1.0), V, "other",
    ),
    "an entry that is not there": (
        lambda: EventSequence(lambda p: [Pulse(Linear.of("a", 3)), Pulse(p.a), Readout()], a=1.0), V, "a",
    ),
    "balanced, and is not": (lambda: own(*read, Shift(2), balanced=True), V, "balanced"),
    "advance that is no parameter": (lambda: own(*read, steady=True, advance="step"), V, "advance"),
    "advance that is a vector": (
        lambda: EventSequence(lambda p: [Pulse(p.v[0]), Readout()], steady=True, advance="v", v=[1.0, 2.0]),
        V, "advance",
    ),
    "advance that is too large": (
        lambda: EventSequence(lambda p: read, steady=True, advance="s", s=1e9), V, "advance",
    ),
    "tolerance of what is not repeated": (lambda: EventSequence(lambda p: read, tolerance=0.5), V, "tolerance"),
    "growth that is too large, replaced": (
        lambda: EventSequence(lambda p: read, steady=True, growth="s", s=50.0).replace(s=1e9), V, "growth",
    ),
    "tolerance of one": (lambda: own(*read, tolerance=1.0), V, "tolerance"),
    "a flip that grows beyond": (
        lambda: EventSequence(lambda p: [Pulse(1e6 * p.a), Readout()], a=1.0), V, "a",
    ),
    "a repetition that takes no time": (
        lambda: EventSequence(lambda p: [*read, Wait(p.t)], t=1e-300, steady=True), V, "t",
    ),
    "a wait that grows beyond": (
        lambda: EventSequence(lambda p: [*read, Wait(p.t * 10)], t=1.0).replace(t=1e9), V, "t",
    ),
    # what is not linear
    "a product": (lambda: of(lambda p: p.a * p.a), T, "linear"),
    "a product with an entry": (lambda: of(lambda p: p.a * p.v[0]), T, "linear"),
    "a product of vectors": (lambda: of(lambda p: (p.v * p.v)[0]), T, "linear"),
    "a quotient": (lambda: of(lambda p: p.a / p.v[0]), T, "linear"),
    "a quotient of a number": (lambda: of(lambda p: 1 / p.a), T, "linear"),
    "a quotient of a vector": (lambda: of(lambda p: (1 / p.v)[0]), T, "linear"),
    "a power": (lambda: of(lambda p: p.a**2), T, "linear"),
    "a power of two": (lambda: of(lambda p: 2**p.a), T, "linear"),
    "a power of a vector": (lambda: of(lambda p: p.v**2), T, "linear"),
    "a remainder": (lambda: of(lambda p: p.a % 360), T, "linear"),
    "a whole quotient": (lambda: of(lambda p: p.a // 2), T, "linear"),
    "a magnitude": (lambda: of(lambda p: abs(p.a)), T, "linear"),
    "a sine": (lambda: of(lambda p: np.sin(p.a)), T, "linear"),
    "a sine of a vector": (lambda: of(lambda p: np.sin(p.v)[0]), T, "linear"),
    "a product by NumPy": (lambda: of(lambda p: np.multiply(p.a, p.a)), T, "linear"),
    "a running sum": (lambda: of(lambda p: np.cumsum(p.v)[0]), T, "parameter"),
    "a sum by NumPy": (lambda: of(lambda p: np.sum(p.v)), T, "linear"),
    "an array": (lambda: of(lambda p: np.array(p.v)[0]), T, "parameter"),
    "an array of a number": (lambda: of(lambda p: np.asarray(p.a)), T, "parameter"),
    "an array of several": (lambda: of(lambda p: np.array([p.a, p.v[0]])[0]), T, "parameter"),
    "a truth": (lambda: of(lambda p: 1.0 if p.a else 2.0), T, "parameter"),
    "an order": (lambda: of(lambda p: 1.0 if p.a < 5 else 2.0), T, "parameter"),
    "an order of NumPy": (lambda: of(lambda p: 1.0 if np.float64(5) < p.a else 2.0), T, "parameter"),
    "an equality": (lambda: of(lambda p: 1.0 if p.a == 5 else 2.0), T, "parameter"),
    "an inequality": (lambda: of(lambda p: 1.0 if p.a != 5 else 2.0), T, "parameter"),
    "an order of a vector": (lambda: of(lambda p: 1.0 if p.v > 5 else 2.0), T, "parameter"),
    "an equality of a vector": (lambda: of(lambda p: 1.0 if p.v == 5 else 2.0), T, "parameter"),
    "the larger one": (lambda: of(lambda p: max(p.a, 5.0)), T, "parameter"),
    "the largest": (lambda: of(lambda p: max(p.v)), T, "parameter"),
    "a number": (lambda: of(lambda p: float(p.a)), T, "parameter"),
    "a whole number": (lambda: of(lambda p: [1.0] * int(p.a)), T, "parameter"),
    "a length": (lambda: of(lambda p: range(p.a)), T, "parameter"),
    "a factor that is nan": (lambda: of(lambda p: p.a * np.nan), V, "nan"),
    "a factor beyond all floats": (lambda: of(lambda p: p.a * 10**400), V, "finite"),
    "a factor that is inf": (lambda: of(lambda p: np.inf * p.a), V, "inf"),
    "a factor that is nan, of a vector": (lambda: of(lambda p: (p.v * [1.0, np.nan])[0]), V, "nan"),
    "a factor that overflows": (lambda: of(lambda p: p.a * 1e200 * 1e200), V, "factors"),
    "a division by zero": (lambda: of(lambda p: p.a / 0), V, "0"),
    "a division by zero of a vector": (lambda: of(lambda p: (p.v / 0)[0]), V, "0"),
    "a sum with nan": (lambda: of(lambda p: p.a + np.nan), V, "nan"),
    "a sum with text": (lambda: of(lambda p: p.a + "5"), T, "number"),
    "a product with text": (lambda: of(lambda p: p.a * "5"), T, "linear"),
    "a product with a complex number": (lambda: of(lambda p: p.a * 1j), T, "linear"),
    "a product with a boolean": (lambda: of(lambda p: p.a * True), T, "linear"),
    "a product with a table": (lambda: of(lambda p: (p.v * np.ones((2, 2)))[0]), T, "parameter"),
    "a table of products": (lambda: of(lambda p: (np.ones((2, 2)) * p.a)[0]), T, "parameter"),
    "vectors of different lengths": (lambda: of(lambda p: ((1.0, 2.0, 3.0) - p.v)[0]), V, "3"),
    "vectors of different lengths, product": (lambda: of(lambda p: (p.v * np.ones(3))[0]), V, "3"),
    "a vector in place of a number": (lambda: of(lambda p: p.v), T, "Pulse.flip"),
    "readout before a pulse": (lambda: simulate(own(Readout(), Pulse(9.0)), **TISSUE), V, "readout"),
    "readout after a spoiler": (lambda: simulate(own(Pulse(9.0), Spoil(), Readout()), **TISSUE), V, "readout"),
    "no readout": (lambda: simulate(own(Pulse(9.0)), **TISSUE), V, "readout"),
    "no event": (lambda: simulate(own(), **TISSUE), V, "pulse"),
    "a wait below zero": (lambda: simulate(own(*read[:1], Wait(-1.0), *read[1:]), **TISSUE), V, "negative"),
    "no time at all": (lambda: simulate(own(*read, steady=True), **TISSUE), V, "steady"),
}  # fmt: skip
