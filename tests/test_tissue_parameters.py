"""The table of tissue parameters, and all that is made of it."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import epgnumba
from epgnumba.kernels import columns
from epgnumba.tissue_parameters import DEFAULTS, NAMES, TISSUE, Maps

ROOT = Path(__file__).parent.parent
TRAIN = epgnumba.FSE([120.0, 90.0], 5.0)
CALLS = {
    "simulate": lambda **given: epgnumba.simulate(TRAIN, 900, 70, **given),
    "jacobian": lambda **given: epgnumba.jacobian(TRAIN, 900, 70, diff="T2", **given),
    "vjp": lambda **given: epgnumba.vjp(TRAIN, 900, 70, signal_bar=[1, 1], **given),
    "find_nstates": lambda **given: epgnumba.find_nstates(TRAIN, 900, 70, **given),
    "CRLBObjective": lambda **given: epgnumba.CRLBObjective(TRAIN, 900, 70, **given),
    "fse_sim": lambda **given: epgnumba.fse_sim([120.0], 5, 900, 70, **given),
    "mrf_sim": lambda **given: epgnumba.mrf_sim([12.0], 9, 900, 70, **given),
    "bssfp_sim": lambda **given: epgnumba.bssfp_sim(30, 2, 5, 900, 70, **given),
    "spgr_sim": lambda **given: epgnumba.spgr_sim(30, 2, 5, 900, 70, **given),
    "mprage_sim": lambda **given: epgnumba.mprage_sim(900, 8, 8, 8, 900, **given),
    "mp2rage_sim": lambda **given: epgnumba.mp2rage_sim([800, 2200], 4, 6, 5000, 60, 900, **given),
    "mpnrage_sim": lambda **given: epgnumba.mpnrage_sim(3, 5, 500, 900, **given),
}


def test_rows_are_those_of_the_kernels():
    rows = {
        "T1": "R1", "T2": "R2", "B1": "B1", "B0": "OMEGA", "inv_efficiency": "INVERSION", "M0": "M0", "D": "DIFFUSION",
        "velocity": "VELOCITY", "T2prime": "R2_PRIME", "bound_fraction": "FRACTION", "exchange": "EXCHANGE",
        "T1_bound": "R1_BOUND", "lineshape": "SATURATION", "fraction_b": "FRACTION_B", "exchange_b": "EXCHANGE_B",
        "T1_b": "R1_B", "T2_b": "R2_B", "shift_b": "SHIFT_B",
    }  # fmt: skip
    assert [getattr(columns, rows[name]) for name in NAMES] == list(range(columns.N_TISSUE))


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_of_rates(name):
    """Against complex steps of the rate, and of the slope."""
    rate, x = TISSUE[name].rate, np.array([0.3, 2.0, 40.0])
    np.testing.assert_allclose(rate.slope(x), rate.value(x + 1e-30j).imag / 1e-30, rtol=1e-14)
    np.testing.assert_allclose(rate.curvature(x), np.imag(rate.slope(x + 1e-30j)) / 1e-30, rtol=1e-14)


def test_rates_are_in_the_kernels_units():
    given = {
        "T1": 500.0, "T2": 40.0, "B1": 0.9, "B0": 250.0, "inv_efficiency": 0.8, "M0": 3.0, "D": 1.5, "velocity": -2.0,
        "T2prime": 25.0, "bound_fraction": 0.1, "exchange": 30.0, "T1_bound": 800.0, "lineshape": 14.0,
        "fraction_b": 0.2, "exchange_b": 10.0, "T1_b": 400.0, "T2_b": 16.0, "shift_b": -125.0,
    }  # fmt: skip
    expected = {
        "T1": 0.002, "T2": 0.025, "B1": 0.9, "B0": np.pi / 2, "inv_efficiency": 0.8, "M0": 3.0, "D": 1.5,
        "velocity": -2.0, "T2prime": 0.04, "bound_fraction": 0.1, "exchange": 0.03, "T1_bound": 0.00125,
        "lineshape": np.pi * 0.014, "fraction_b": 0.2, "exchange_b": 0.01, "T1_b": 0.0025, "T2_b": 0.0625,
        "shift_b": -np.pi / 4,
    }  # per ms; the lineshape times pi, ms  # fmt: skip
    assert {name: row.rate.value(given[name]) for name, row in TISSUE.items()} == pytest.approx(expected, rel=1e-15)


def test_type_checkers_know_every_name():
    assert list(Maps.__annotations__) == list(DEFAULTS) == [name for name in NAMES if name not in ("T1", "T2")]


@pytest.mark.parametrize("name", CALLS)
def test_misspelt_names_are_told_the_right_ones(name):
    call = CALLS[name]
    with pytest.raises(TypeError, match="^B_1 is no tissue parameter; did you mean B1[?]$"):
        call(B_1=0.9)
    with pytest.raises(TypeError, match="^m0 is no tissue parameter; did you mean M0[?]$"):
        call(m0=0.9)
    with pytest.raises(TypeError, match=r"^slice_prfo is no argument of \w+; did you mean slice_prof[?]$"):
        call(slice_prfo=0.9)
    with pytest.raises(TypeError, match=r"^wrong is no argument of \w+; allowed are .*, T1, .*, M0"):
        call(wrong=0.9)


@pytest.mark.parametrize("name", ["simulate", "jacobian", "fse_sim", "spgr_sim"])
def test_misspelt_names_on_tensors(name):
    epg = pytest.importorskip("epgnumba.torch")
    call = {
        "simulate": (TRAIN, 9, 7),
        "jacobian": (TRAIN, 9, 7),
        "fse_sim": ([9.0], 5, 9, 7),
        "spgr_sim": (30, 2, 5, 9, 7),
    }
    with pytest.raises(TypeError, match="^B_1 is no tissue parameter; did you mean B1[?]$"):
        getattr(epg, name)(*call.get(name, (TRAIN, 9, 7)), B_1=0.9)


def test_what_is_no_argument_here_is_refused():
    """Though it is one elsewhere."""
    for name, given in (
        ("simulate", {"diff": "T2"}),
        ("vjp", {"check_nstates": True}),
        ("find_nstates", {"nstates": 2}),
        ("CRLBObjective", {"mask": [True]}),
        ("fse_sim", {"inv_efficiency": 0.9}),
        ("fse_sim", {"T2prime": 30.0}),
        ("bssfp_sim", {"D": 1.0}),
        ("mprage_sim", {"gradient_area": 30.0}),
        ("simulate", {"gradient_area": 30.0}),
        ("bssfp_sim", {"nstates": 2}),
        ("spgr_sim", {"T2": 9.0}),
        ("mprage_sim", {"B0": 9.0}),
    ):
        with pytest.raises(TypeError, match=rf"^{next(iter(given))} is no argument of"):
            CALLS[name](**given)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "CRLBObjective"])
def test_help_lists_every_argument(name):
    function = getattr(epgnumba, name)
    names = list(inspect.signature(function).parameters)
    assert not {"given", "args"} & set(names)
    assert "**given" not in function.__doc__
    section = function.__doc__.partition("----------\n")[2].partition("-------\n")[0]
    listed = [
        one for line in re.findall(r"^    (\w[\w, ]*?)(?: :.*)?$", section, re.MULTILINE) for one in line.split(", ")
    ]
    assert sorted(listed) == sorted([*names, "Returns"])
    assert "Transmit field, as a fraction of the nominal flip angle. 1 by default." in function.__doc__
    assert "B0" not in names or "Off-resonance" in function.__doc__


MORE = """
import numpy as np
import epgnumba.tissue_parameters as table
limits = {"minimum": 0.0, "maximum": 100.0}
row = table.TissueParameter("chi", "ppm", "susceptibility", limits, 0.0, table.proportional(2.0))
table.TISSUE["chi"] = row
table.NAMES, table.DEFAULTS["chi"] = tuple(table.TISSUE), row.default
import epgnumba
from epgnumba.problem import read_problem
train = epgnumba.FSE([120.0] * 3, 5.0)
plain = epgnumba.simulate(train, 900.0, 70.0)
assert (epgnumba.simulate(train, 900.0, 70.0, chi=np.ones((2, 1))) == plain).all()
assert epgnumba.simulate(train, 900.0, [70.0, 80.0], chi=np.ones((2, 1))).shape == (2, 2, 3)
masked = epgnumba.fse_sim([120.0] * 3, 5.0, 900.0, 70.0, chi=[1.0, np.nan], mask=[True, False])
assert (masked == [plain, 0 * plain]).all()
tissue = read_problem(train, 900.0, 70.0, chi=3.0).tissue
assert tissue.table()[-1, 0] == 6.0 and tissue.slope("chi") == 2.0 and "chi : array_like" in epgnumba.simulate.__doc__
for bad in (dict(chi=-1.0), dict(chi=[1.0, 101.0]), dict(Chi=1.0)):
    try:
        epgnumba.simulate(train, 900.0, 70.0, **bad)
    except (TypeError, ValueError) as error:
        print(error)
"""


def test_a_row_more_is_all_it_takes():
    """But for the kernels, which here do not read it."""
    done = subprocess.run([sys.executable, "-c", MORE], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "chi=-1 is not allowed: it must be finite, at least 0, at most 100",
        "chi[1]=101 is not allowed: it must be finite, at least 0, at most 100",
        "Chi is no tissue parameter; did you mean chi?",
    ]
