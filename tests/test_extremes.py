"""Numbers of any size: what comes out is finite, or an error names the argument."""

import re

import numpy as np
import pytest
from families import FAMILIES
from hypothesis import given, settings
from hypothesis import strategies as st

import epgnumba
from epgnumba import tissue_parameters
from epgnumba.checks import GRADIENT_AREA, RF_DURATION
from epgnumba.derivatives import push_forward
from epgnumba.problem import read_problem
from epgnumba.tissue_parameters import NAMES

PLAIN = {"T1": 310.0, "T2": 45.0, "B1": 0.9, "M0": 1.7, "B0": 13.0, "inv_efficiency": 0.93, "slice_prof": 0.8}
TERMS = {
    "D": 1.3, "velocity": -2.0, "T2prime": 30.0, "bound_fraction": 0.1, "exchange": 25.0, "T1_bound": 250.0,
    "lineshape": 12.0,
}  # fmt: skip
OF_ALL = {"D", "velocity", "T2prime"}  # a second pool is bound or free
SECOND = {key: value for key, value in TERMS.items() if key in OF_ALL} | {
    "fraction_b": 0.2, "exchange_b": 25.0, "T1_b": 250.0, "T2_b": 20.0, "shift_b": 12.0,
}  # fmt: skip
assert {*PLAIN, *TERMS, *SECOND} == {*NAMES, "slice_prof"}
TISSUES = pytest.mark.parametrize("terms", [{}, TERMS, SECOND], ids=["plain", "with terms", "with a second free pool"])


def played(name, terms):
    """A family, and a tissue with all that it can have of what not every tissue has, or with none of it."""
    sequence = FAMILIES[name].on_scanner(gradient_area=200.0, rf_duration=0.9)
    if not terms:
        return sequence, PLAIN
    try:
        epgnumba.simulate(sequence, 310.0, 45.0, T2prime=30.0)
    except ValueError:  # pathways differ in how long they have been out of phase
        return sequence, {**PLAIN, **{key: value for key, value in terms.items() if key != "T2prime"}}
    return sequence, {**PLAIN, **terms}


def sizes():
    """Numbers between 1e-300 and 1e300 of either sign, zero, and what is no finite number."""
    power = st.floats(-300, 300).map(lambda p: float(10.0**p))
    return st.one_of(power, power.map(lambda x: -x), st.sampled_from([0.0, np.inf, -np.inf, np.nan, 5e-324, 1e308]))


def everything(sequence, tissue, dtype):
    """Signal, derivatives by the tissue, derivatives of a scalar of both by everything, and along everything."""
    terms = SECOND if "fraction_b" in tissue else TERMS if "bound_fraction" in tissue else None
    diff = tuple(key for key in (("T2", *terms) if terms else NAMES) if key in tissue)
    problem = read_problem(sequence, **tissue, diff=diff, dtype=dtype)
    signal, slopes = epgnumba.jacobian(sequence, **tissue, diff=diff, dtype=dtype)
    bars = epgnumba.vjp(
        sequence, **tissue, diff=diff, dtype=dtype, signal_bar=np.ones(signal.shape), jacobian_bar=np.ones(slopes.shape)
    )
    values = {**sequence.parameters, **tissue}
    finite = {name: np.ones(np.shape(value)) for name, value in values.items() if np.isfinite(value).all()}
    along = push_forward(problem, finite)
    return {"signal": signal, "slopes": slopes, "along": along[0], "slopes along": along[1], **bars}


def run(name, terms, changes, dtype):
    """Everything of a family with some arguments changed; None if they are refused by name."""
    base, tissue = played(name, terms)
    try:
        sequence = base.replace(**{key: value for key, value in changes.items() if key not in tissue})
        return everything(sequence, {**tissue, **{key: changes[key] for key in tissue if key in changes}}, dtype)
    except (TypeError, ValueError) as error:
        known = "|".join([*base.parameters, *tissue])
        if re.search(rf"(?<![A-Za-z0-9_])({known})(?![A-Za-z0-9_])|no steady state", str(error)):
            return None
        raise


@TISSUES
@pytest.mark.parametrize("name", FAMILIES)
def test_any_size_of_any_argument(name, terms):
    sequence, tissue = played(name, terms)

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def check(data):
        chosen = data.draw(
            st.lists(st.sampled_from([*sequence.parameters, *tissue]), min_size=1, max_size=3, unique=True)
        )
        changes = {}
        for key in chosen:
            shape = np.shape(sequence.parameters.get(key, 0.0))
            changes[key] = (
                np.full(shape, data.draw(sizes()))
                if data.draw(st.booleans()) or shape == ()
                else data.draw(st.lists(sizes(), min_size=shape[0], max_size=shape[0]))
            )
        results = run(name, terms, changes, data.draw(st.sampled_from([np.float64, np.float32])))
        for key, value in (results or {}).items():
            assert np.isfinite(value).all(), (key, value)

    check()


ENDS = {
    "flip": (1e-300, 1e5, -1e5), "TR": (1e-9, 1e9), "ESP": (1e-9, 1e9), "TE": (0.0, 1e-300, 1e9), "TI": (0.0, 1e9),
    **{name: (row.limits["minimum"], row.limits["maximum"]) for name, row in tissue_parameters.TISSUE.items()},
    "slice_prof": (-10.0, 10.0),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@TISSUES
@pytest.mark.parametrize("name", FAMILIES)
def test_ends_of_the_limits(name, terms, dtype):
    """The smallest and the largest that are allowed, alone and two by two: of terms with each other and with times."""
    sequence, tissue = played(name, terms)
    known = {**sequence.parameters, **tissue}
    ends = [(key, end) for key, allowed in ENDS.items() if key in known for end in allowed]
    pairs = [{a: x, b: y} for i, (a, x) in enumerate(ends) for b, y in ends[i:] if a != b or x == y]
    if terms:
        pairs = [
            pair
            for pair in pairs
            if pair.keys() <= {*terms, "T1", "T2", "TR", "ESP"} and not pair.keys().isdisjoint(terms)
        ]
    for changes in pairs:
        shaped = {key: np.full(np.shape(known[key]), value) for key, value in changes.items()}
        for key, value in (run(name, terms, shaped, dtype) or {}).items():
            assert np.isfinite(value).all(), (changes, key)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("limits", [GRADIENT_AREA, RF_DURATION], ids=["gradient_area", "rf_duration"])
def test_ends_of_what_terms_take(limits, dtype):
    """The smallest and the largest area and duration, with the largest of what takes them."""
    name = "gradient_area" if limits is GRADIENT_AREA else "rf_duration"
    for family in ("FSE", "MRF", "own, steady"):
        sequence, tissue = played(family, TERMS)
        for end in (limits["minimum"], limits["maximum"]):
            for changes in ({}, {"D": 1e3}, {"velocity": 1e4}, {"lineshape": 1e3, "B1": 10.0}, {"exchange": 1e6}):
                scanned = sequence.on_scanner(**{name: end})
                if (name, end, dtype) == ("gradient_area", limits["maximum"], np.float32) and "velocity" in changes:
                    with pytest.raises(ValueError, match="leaves no fraction"):  # it turns states too often
                        everything(scanned, {**tissue, **changes}, dtype)
                    continue
                results = everything(scanned, {**tissue, **changes}, dtype)
                for key, value in results.items():
                    assert np.isfinite(value).all(), (family, end, changes, key)
