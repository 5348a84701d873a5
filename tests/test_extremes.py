"""Numbers of any size: what comes out is finite, or an error names the argument."""

import re

import numpy as np
import pytest
from families import FAMILIES
from hypothesis import given, settings
from hypothesis import strategies as st

import epgnumba
from epgnumba import tissue_parameters
from epgnumba.derivatives import push_forward
from epgnumba.problem import read_problem
from epgnumba.tissue_parameters import NAMES

TISSUE = {"T1": 310.0, "T2": 45.0, "B1": 0.9, "M0": 1.7, "B0": 13.0, "inv_efficiency": 0.93, "slice_prof": 0.8}


def sizes():
    """Numbers between 1e-300 and 1e300 of either sign, zero, and what is no finite number."""
    power = st.floats(-300, 300).map(lambda p: float(10.0**p))
    return st.one_of(power, power.map(lambda x: -x), st.sampled_from([0.0, np.inf, -np.inf, np.nan, 5e-324, 1e308]))


def everything(sequence, tissue, dtype):
    """Signal, derivatives by the tissue, derivatives of a scalar of both by everything, and along everything."""
    diff = NAMES
    problem = read_problem(sequence, **tissue, diff=diff, dtype=dtype)
    signal, slopes = epgnumba.jacobian(sequence, **tissue, diff=diff, dtype=dtype)
    bars = epgnumba.vjp(
        sequence, **tissue, diff=diff, dtype=dtype, signal_bar=np.ones(signal.shape), jacobian_bar=np.ones(slopes.shape)
    )
    values = {**sequence.parameters, **tissue}
    finite = {name: np.ones(np.shape(value)) for name, value in values.items() if np.isfinite(value).all()}
    along = push_forward(problem, finite)
    return {"signal": signal, "slopes": slopes, "along": along[0], "slopes along": along[1], **bars}


def run(name, changes, dtype):
    """Everything of a family with some arguments changed; None if they are refused by name."""
    base = FAMILIES[name]
    tissue = {**TISSUE, **{key: value for key, value in changes.items() if key in TISSUE}}
    try:
        sequence = base.replace(**{key: value for key, value in changes.items() if key not in TISSUE})
        return everything(sequence, tissue, dtype)
    except (TypeError, ValueError) as error:
        known = "|".join([*base.parameters, *TISSUE])
        if re.search(rf"(?<![A-Za-z0-9_])({known})(?![A-Za-z0-9_])|no steady state", str(error)):
            return None
        raise


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_size_of_any_argument(name, data):
    arguments = [*FAMILIES[name].parameters, *TISSUE]
    chosen = data.draw(st.lists(st.sampled_from(arguments), min_size=1, max_size=3, unique=True))
    changes = {}
    for key in chosen:
        shape = np.shape(FAMILIES[name].parameters.get(key, 0.0))
        changes[key] = (
            np.full(shape, data.draw(sizes()))
            if data.draw(st.booleans()) or shape == ()
            else data.draw(st.lists(sizes(), min_size=shape[0], max_size=shape[0]))
        )
    results = run(name, changes, data.draw(st.sampled_from([np.float64, np.float32])))
    for key, value in (results or {}).items():
        assert np.isfinite(value).all(), (key, value)


ENDS = {
    "flip": (1e-300, 1e5, -1e5), "TR": (1e-9, 1e9), "ESP": (1e-9, 1e9), "TE": (0.0, 1e-300, 1e9), "TI": (0.0, 1e9),
    **{name: (row.limits["minimum"], row.limits["maximum"]) for name, row in tissue_parameters.TISSUE.items()},
    "slice_prof": (0.0, 10.0),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FAMILIES)
def test_ends_of_the_limits(name, dtype):
    """The smallest and the largest that are allowed, alone and two by two."""
    known = {**FAMILIES[name].parameters, **TISSUE}
    ends = [(key, end) for key, allowed in ENDS.items() if key in known for end in allowed]
    pairs = [{a: x, b: y} for i, (a, x) in enumerate(ends) for b, y in ends[i:] if a != b or x == y]
    for changes in pairs:
        shaped = {key: np.full(np.shape(known[key]), value) for key, value in changes.items()}
        for key, value in (run(name, shaped, dtype) or {}).items():
            assert np.isfinite(value).all(), (changes, key)
