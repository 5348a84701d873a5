"""Parameters of one's own calculate as arrays do: entry by entry, and as their values would."""

import operator
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import epgnumba
from epgnumba import EventSequence
from epgnumba.sequence import Inversion, Linear, Pulse, Readout, Shift, Wait
from epgnumba.sequence.linear import Vector, vector_of
from epgnumba.sequence.timeline import number

VALUES = {"v": np.array([3.0, -5.0, 7.0]), "w": np.array([0.25, 4.0, -1.5]), "a": np.array(6.0)}
SYMBOLS = {"v": vector_of("v", 3), "w": vector_of("w", 3), "a": Linear.of("a")}

numbers = st.floats(-8, 8).map(lambda x: round(x, 3))
factors = st.one_of(
    numbers, numbers.map(np.float64), numbers.map(np.float32), numbers.map(np.array), st.integers(-4, 4),
    st.integers(-4, 4).map(np.int64),
    st.lists(numbers, min_size=3, max_size=3),
    st.lists(numbers, min_size=3, max_size=3).map(tuple),
    st.lists(numbers, min_size=3, max_size=3).map(np.array),
)  # fmt: skip
PAIRED = {"factor": operator.mul, "sum": operator.add, "difference": operator.sub}


def valued(symbol):
    """What symbols stand for, entry by entry."""
    if isinstance(symbol, Linear):
        return number(symbol, VALUES)
    assert isinstance(symbol, Vector)
    return np.array([number(entry, VALUES) for entry in symbol])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_arithmetic_is_that_of_the_values(data):
    name = data.draw(st.sampled_from("vwa"))
    symbol, value = SYMBOLS[name], VALUES[name]
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from([*PAIRED, "divisor", "other", "negative"]))
        factor = data.draw(factors)
        plain = np.asarray(factor, np.float64)
        if kind in PAIRED:
            operation = PAIRED[kind]
            first = data.draw(st.booleans())
            symbol = operation(symbol, factor) if first else operation(factor, symbol)
            value = operation(value, plain) if first else operation(plain, value)
        elif kind == "divisor" and (abs(plain) > 0.1).all():
            symbol, value = symbol / factor, value / plain
        elif kind == "other":
            other = data.draw(st.sampled_from("vwa"))
            operation = data.draw(st.sampled_from([operator.add, operator.sub]))
            symbol, value = operation(symbol, SYMBOLS[other]), operation(value, VALUES[other])
        elif kind == "negative":
            symbol, value = -symbol, -value
    np.testing.assert_allclose(valued(symbol), value, rtol=1e-12, atol=1e-9)


def test_vectors_are_sequences():
    v = SYMBOLS["v"]
    assert len(v) == 3
    assert [str(entry) for entry in v] == ["1 v[0]", "1 v[1]", "1 v[2]"]
    assert str(v[-1]) == "1 v[2]"
    assert str(v[np.int64(1)]) == "1 v[1]"
    for part, expected in ((v[1:], [-5.0, 7.0]), (v[::-1], [7.0, -5.0, 3.0]), (v[:2] * 2, [6.0, -10.0])):
        assert isinstance(part, Vector)
        assert valued(part).tolist() == expected
    assert [str(entry) for entry in reversed(v)] == ["1 v[2]", "1 v[1]", "1 v[0]"]
    assert str([a + b for a, b in zip(v, SYMBOLS["w"], strict=True)][1]) == "1 v[1] + 1 w[1]"
    assert valued(sum(v)) == 5.0
    assert isinstance(v, tuple)
    assert pickle.loads(pickle.dumps(v)) == v
    assert hash(v) == hash(vector_of("v", 3))
    assert v != SYMBOLS["w"]
    with pytest.raises(IndexError):
        v[3]


def test_a_function_of_vectors_is_that_of_their_entries():
    """One sequence by vector arithmetic, one entry by entry, one by numbers."""

    def together(p):
        for flip, TR in zip(2 * p.flip - [1.0, 2.0, 3.0], p.TR[::-1] + p.extra, strict=True):
            yield [Pulse(flip), Wait(p.TE), Readout(), Shift(1), Wait(TR - p.TE)]

    def each(p):
        for n in range(3):
            flip, TR = p.flip[n] * 2.0 + -1.0 * (n + 1), p.extra + p.TR[2 - n]
            yield [Pulse(flip), Wait(p.TE), Readout(), Shift(1), Wait(TR - p.TE)]

    values = {"flip": np.array([10.0, 20.0, 30.0]), "TR": np.array([9.0, 10.0, 11.0]), "extra": 2.0, "TE": 3.0}
    one, other = EventSequence(together, **values), EventSequence(each, **values)
    assert one.structure == other.structure
    flips, times = 2 * values["flip"] - [1, 2, 3], values["TR"][::-1] + 2.0
    plain = EventSequence(
        lambda p: [
            [Pulse(flip), Wait(3.0), Readout(), Shift(1), Wait(TR - 3.0)] for flip, TR in zip(flips, times, strict=True)
        ]
    )
    np.testing.assert_allclose(epgnumba.simulate(one, 900, 80), epgnumba.simulate(plain, 900, 80), rtol=0, atol=1e-15)
    bars = epgnumba.vjp(one, 900, 80, signal_bar=[1.0, 2.0j, -1.0])
    for name in ("flip", "TR", "extra"):
        for index in np.ndindex(np.shape(values[name])):
            ends = []
            for step in (1e-4, -1e-4):
                moved = np.array(values[name], float)
                moved[index] += step
                signal = epgnumba.simulate(one.replace(**{name: moved}), 900, 80)
                ends.append(np.vdot([1.0, 2.0j, -1.0], signal).real)
            assert bars[name][index] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-6, abs=1e-10)


def test_a_hair_above_one_is_one():
    """Rounding of a sum must not refuse a full inversion."""
    sequence = EventSequence(
        lambda p: [Inversion(p.f[0] + p.f[1] + p.f[2]), Wait(5.0), Pulse(30.0), Readout()], f=[0.7, 0.2, 0.1 + 1e-12]
    )
    assert epgnumba.simulate(sequence, 900, 80).shape == (1,)


def test_an_efficiency_can_be_designed():
    """Between 0 and 1; beyond is no protocol, which an objective says."""
    for sequence in (
        epgnumba.sequence.MRF([10.0, 20.0, 30.0], 9.0, TI=5.0),
        EventSequence(
            lambda p: [Inversion(p.inversion), [[Pulse(f), Readout(), Wait(9.0), Shift()] for f in (9.0, 20.0, 30.0)]],
            inversion=1.0,
        ),
    ):
        objective = epgnumba.CRLBObjective(sequence, 500.0, 50.0, unknowns="T1", variables=("inversion",))
        assert all(np.isfinite(objective([x])[0]) for x in (0.0, 0.5, 1.0))
        for x in (-0.1, 1.1, 95.0):
            with pytest.raises(ValueError, match="inversion"):
                objective([x])
