"""Bad input gets an error that names the argument; good input is read, every bit of it."""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest

import epgnumba
from epgnumba import FSE, CRLBObjective, crlb, fse_sim, jacobian, simulate, vjp

GOOD = {"flip": [120.0, 90.0, 60.0], "ESP": 8.0, "T1": 900.0, "T2": 70.0}


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["T1", "T2", "ESP"])
def test_times_are_positive(name, value):
    if (name, value) == ("T1", np.inf):
        assert np.isfinite(fse_sim(**{**GOOD, name: value})).all()
        return
    with pytest.raises(ValueError, match=rf"{name}.*{value:g}.*positive"):
        fse_sim(**{**GOOD, name: value})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"flip": []}, ValueError, r"flip=\[\].*non-empty"),
        ({"flip": 60.0}, ValueError, r"flip=60.0.*one-dimensional"),
        ({"flip": [[60.0]]}, ValueError, "flip.*one-dimensional"),
        ({"flip": [60.0, np.nan]}, ValueError, r"flip\[1\]=nan.*finite"),
        ({"flip": "sixty"}, TypeError, "flip='sixty' is text"),
        ({"flip": [60j]}, TypeError, "flip.*complex"),
        ({"flip": [[1.0], [1.0, 2.0]]}, ValueError, "flip.*ragged"),
        ({"flip": [True]}, TypeError, "flip.*boolean"),
        ({"flip": None}, TypeError, "flip=None"),
        ({"ESP": [5.0, 5.0]}, ValueError, "ESP.*single number"),
        ({"ESP": "5"}, TypeError, "ESP='5' is text"),
        ({"phases": [0.0, 0.0]}, ValueError, r"phases.*shape \(2,\).*one per echo"),
        ({"phases": np.inf}, ValueError, "phases=inf"),
        ({"phases": 1j}, TypeError, "phases.*complex"),
        ({"TR": 20.0}, ValueError, "TR=20 ms is shorter than the train of 3 echoes, 24 ms"),
        ({"TR": -1.0}, ValueError, "TR=-1"),
        ({"TR": np.nan}, ValueError, "TR=nan"),
        ({"exc_flip": np.inf}, ValueError, "exc_flip=inf"),
        ({"exc_phase": "x"}, TypeError, "exc_phase='x'"),
        ({"T1": [900.0, -1.0]}, ValueError, r"T1\[1\]=-1"),
        ({"T2": 70 + 1j}, TypeError, "T2.*complex"),
        ({"T1": "long"}, TypeError, "T1='long'"),
        ({"B1": -0.1}, ValueError, "B1=-0.1.*at least 0"),
        ({"B1": 1 + 0j}, TypeError, "B1.*complex"),
        ({"M0": np.nan}, ValueError, "M0=nan"),
        ({"M0": 1j}, TypeError, "M0.*complex"),
        ({"T1": np.ones(3) * 900, "T2": np.ones(2) * 70}, ValueError, r"broadcast: T1 \(3,\), T2 \(2,\)$"),
        ({"slice_prof": [[1.0]]}, ValueError, "slice_prof"),
        ({"slice_prof": []}, ValueError, "slice_prof"),
        ({"slice_prof": [-11.0]}, ValueError, r"slice_prof\[0\]=-11"),
        ({"nstates": 0}, ValueError, "nstates=0.*at least 1"),
        ({"nstates": -3}, ValueError, "nstates=-3"),
        ({"nstates": 2.7}, TypeError, "nstates=2.7.*whole number"),
        ({"nstates": True}, TypeError, "nstates=True"),
        ({"diff": "T3"}, ValueError, "diff='T3'.*unknown"),
        ({"diff": "flip"}, ValueError, "'flip' is a parameter of the sequence.*vjp"),
        ({"diff": ("T1", "T1")}, ValueError, "diff.*twice"),
        ({"diff": ()}, ValueError, "diff is empty"),
        ({"diff": 5}, TypeError, "diff=5"),
        ({"diff": ("T1", 5)}, TypeError, "diff="),
        ({"dtype": np.int32}, ValueError, "dtype.*float64 or float32"),
        ({"dtype": "floaty"}, ValueError, "dtype='floaty'"),
        ({"T2": np.ma.masked_equal([70.0, 0.0], 0)}, TypeError, "T2 is a masked array"),
    ],
)
def test_bad_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        fse_sim(**{**GOOD, **changes})


def test_integers_are_numbers():
    signal, slope = fse_sim([120, 90, 60], 8, 900, 70, diff="T2")
    expected = fse_sim(**GOOD, diff="T2")
    np.testing.assert_array_equal(signal, expected[0])
    np.testing.assert_array_equal(slope, expected[1])


def test_long_T2_warns_once():
    with pytest.warns(UserWarning, match="T2 is longer than T1") as caught:
        fse_sim([90.0], 5, [50.0, 60.0], 80.0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fse_sim([90.0], 5, 80.0, 80.0)


def test_warnings_name_what_was_given():
    with pytest.warns(UserWarning, match="^T2star is longer than T1 in some voxels$") as caught:
        epgnumba.spgr_sim(9.0, 2.0, 9.0, 50.0, 80.0)
    assert [each.filename for each in caught] == [__file__]
    with pytest.warns(UserWarning, match="^T2 is longer than T1"):
        fse_sim([90.0], 5, 50.0, 80.0)


OTHER = {
    "flip": [121.0, 90.0, 60.0], "ESP": 8.1, "T1": 950.0, "T2": 71.0, "phases": 10.0, "TR": 300.0, "exc_flip": 80.0,
    "exc_phase": 85.0, "diff": "T1", "slice_prof": 0.9, "B1": 0.95, "M0": 1.1, "nstates": 2, "dtype": np.float32,
    "B0": 30.0, "D": 2.0, "velocity": 3.0, "bound_fraction": 0.2, "exchange": 40.0, "T1_bound": 500.0,
    "lineshape": 20.0, "gradient_area": 200.0, "rf_duration": 2.0, "fraction_b": 0.3, "exchange_b": 40.0,
    "T1_b": 300.0, "T2_b": 30.0, "shift_b": 5.0,
}  # fmt: skip
# Without these what else a term takes is not read; and a second pool is bound or free.
TERMS = {"D": 1.0, "gradient_area": 150.0, "bound_fraction": 0.1, "exchange": 20.0, "rf_duration": 1.0}
SECOND = {"D": 1.0, "gradient_area": 150.0, "fraction_b": 0.1, "exchange_b": 20.0}


@pytest.mark.parametrize("name", OTHER)
def test_every_argument_is_read(name):
    import inspect

    assert set(inspect.signature(fse_sim).parameters) == {*OTHER, "check_nstates", "device", "mask"}
    base = {**GOOD, **(SECOND if name.endswith("_b") else TERMS), "diff": "T2", "TR": 500.0}
    signal, slope = fse_sim(**base)
    changed, changed_slope = fse_sim(**{**base, name: OTHER[name]})
    assert abs(changed_slope - slope).max() > 0
    if name not in ("diff",):
        assert abs(changed - signal).max() > 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"D": 1.0}, ValueError, "D and velocity .* use gradient_area, the area"),
        ({"velocity": 1.0}, ValueError, "D and velocity .* use gradient_area, the area"),
        ({"diff": "D"}, ValueError, "D and velocity .* use gradient_area, the area"),
        ({"bound_fraction": 0.1}, ValueError, "bound pool .* use rf_duration, in ms"),
        ({"diff": "lineshape"}, ValueError, "bound pool .* use rf_duration, in ms"),
        ({**TERMS, "fraction_b": 0.1}, ValueError, "bound_fraction and fraction_b cannot be there at once"),
        ({"fraction_b": 0.1, "diff": "lineshape"}, ValueError, "bound_fraction and fraction_b cannot be there at once"),
        ({"D": -1.0, "gradient_area": 30.0}, ValueError, "D=-1 is not allowed"),
        ({"gradient_area": 0.0}, ValueError, "gradient_area=0 .*positive.*mT ms/m"),
        ({"gradient_area": 1e300}, ValueError, r"gradient_area=1e\+300 .*at most"),
        ({"gradient_area": [30.0]}, ValueError, "gradient_area=.*single number"),
        ({"gradient_area": "large"}, TypeError, "gradient_area='large' is text"),
        ({"rf_duration": -1.0}, ValueError, "rf_duration=-1 .*positive.*ms"),
        ({"rf_duration": np.nan}, ValueError, "rf_duration=nan"),
    ],
)
def test_what_terms_take(changes, error, message):
    with pytest.raises(error, match=message):
        fse_sim(**{**GOOD, **changes})


def test_forms_state_the_scanner_as_sequences_do():
    given = {"D": [0.5, 2.0], "velocity": 3.0, "bound_fraction": 0.1, "exchange": 20.0}
    train = FSE(GOOD["flip"], GOOD["ESP"])
    for area, duration in ((150.0, 1.0), (200.0, 1.0), (150.0, 2.0)):  # the same call in all else
        expected = simulate(train.on_scanner(gradient_area=area, rf_duration=duration), GOOD["T1"], GOOD["T2"], **given)
        found = fse_sim(**GOOD, **given, gradient_area=area, rf_duration=duration)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("call", [simulate, vjp, lambda *x, **y: jacobian(*x, **y, diff="T2")])
def test_device_is_read(call):
    np.testing.assert_array_equal(simulate(FSE([90.0], 5), 900, 70, device="cpu"), simulate(FSE([90.0], 5), 900, 70))
    with pytest.raises(
        ValueError, match="device='here' is not allowed: it must be 'cpu', 'cuda' or 'cuda:' and a number"
    ):
        call(FSE([90.0], 5), 900, 70, device="here")


@pytest.mark.skipif(find_spec("numba_cuda") is not None, reason="numba-cuda is installed")
def test_cuda_says_what_is_missing():
    with pytest.raises(RuntimeError, match=r'numba-cuda is not installed; pip install "epgnumba\[cuda\]" brings it'):
        simulate(FSE([90.0], 5), 900, 70, device="cuda")


@pytest.mark.parametrize("verb", [simulate, jacobian, vjp, CRLBObjective])
def test_a_sequence_is_needed(verb):
    extra = {"diff": "T2"} if verb is jacobian else {}
    with pytest.raises(TypeError, match="sequence='FSE' is not a Sequence"):
        verb("FSE", 900, 70, **extra)


def test_jacobian_needs_diff():
    with pytest.raises(TypeError, match="diff=None"):
        jacobian(FSE([90.0], 5), 900, 70, diff=None)


def test_vjp_arguments():
    train = FSE([90.0, 80.0], 5)
    with pytest.raises(ValueError, match=r"signal_bar has shape \(3,\); \(2,\) is needed"):
        vjp(train, 900, 70, signal_bar=np.ones(3))
    with pytest.raises(ValueError, match=r"jacobian_bar has shape \(2,\); \(1, 2\) is needed"):
        vjp(train, 900, 70, jacobian_bar=np.ones(2), diff=("T2",))
    with pytest.raises(ValueError, match="wanted: 'flips' is unknown"):
        vjp(train, 900, 70, signal_bar=np.ones(2), wanted=("flips",))
    with pytest.raises(TypeError, match="signal_bar"):
        vjp(train, 900, 70, signal_bar=["a", "b"])


def test_vjp_reads_every_argument():
    train, base = FSE([90.0, 80.0], 5), {"signal_bar": [1.0, 1.0], "jacobian_bar": [[1.0, 2.0]], "diff": ("T2",)}
    expected = vjp(train, 900, 70, **base)["flip"]
    changes = [
        {"signal_bar": [1.0, 2.0]}, {"jacobian_bar": [[2.0, 2.0]]}, {"diff": ("T1",)}, {"slice_prof": 0.9},
        {"nstates": 1}, {"B1": 0.9}, {"M0": 2.0}, {"dtype": np.float32},
    ]  # fmt: skip
    for change in changes:
        assert abs(vjp(train, 900, 70, **{**base, **change})["flip"] - expected).max() > 0, change
    assert set(vjp(train, 900, 70, **base, wanted=("T1",))) == {"T1"}


def test_sequence_parameters():
    train = FSE([90.0, 80.0], 5, TR=100)
    with pytest.raises(ValueError, match="read-only"):
        train.parameters["flip"][0] = 0.0
    assert train.replace(flip=[10.0, 20.0]).parameters["flip"].tolist() == [10.0, 20.0]
    with pytest.raises(ValueError, match="unknown parameter.*'flips'"):
        train.replace(flips=[1.0])
    with pytest.raises(ValueError, match="TR=1 ms is shorter"):
        train.replace(TR=1.0)
    assert "ESP=5.0" in repr(train)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jac": np.ones(3)}, "jac has shape"),
        ({"jac": np.ones((0, 3))}, "jac has shape"),
        ({"weights": [1.0]}, "weights has shape"),
        ({"weights": [1.0, -1.0]}, r"weights\[1\]=-1"),
        ({"noise": 0.0}, "noise=0"),
        ({"singular": "ignore"}, "singular='ignore'"),
    ],
)
def test_crlb_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        crlb(**{"jac": np.eye(2), **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"unknowns": "T4"}, ValueError, "T4"),
        ({"unknowns": None}, TypeError, "unknowns=None"),
        ({"weights": [1.0, 2.0, 3.0]}, ValueError, "weights"),
        ({"weights": -1.0}, ValueError, "weights=-1"),
        ({"tissue_weights": [1.0, 2.0]}, ValueError, "tissue_weights"),
        ({"tissue_weights": -1.0}, ValueError, "tissue_weights=-1"),
        ({"noise": -1.0}, ValueError, "noise=-1"),
        ({"variables": ("flips",)}, ValueError, "'flips' is not a parameter"),
        ({"variables": ("TR",)}, ValueError, "TR=.*not finite"),
        ({"variables": ()}, ValueError, "variables"),
        ({"variables": ("flip", "flip")}, ValueError, "twice"),
        ({"singular": "x"}, ValueError, "singular='x'"),
    ],
)
def test_objective_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        CRLBObjective(FSE([90.0, 80.0], 5), 900, 70, **arguments)


def test_objective_variables():
    objective = CRLBObjective(FSE([90.0, 80.0], 5), 900, 70, variables=("ESP", "flip"))
    assert objective.x0.tolist() == [5.0, 90.0, 80.0]
    with pytest.raises(TypeError, match="x=.*complex"):
        objective([5.0, 90.0, 80j])
    for x, message in (([5.0], "shape"), ([5.0, np.nan, 80.0], "not finite"), ([-5.0, 90.0, 80.0], "ESP=-5")):
        with pytest.raises(ValueError, match=message):
            objective(x)


def test_names_of_the_package():
    assert set(epgnumba.__all__) <= set(dir(epgnumba))
    for name in epgnumba.__all__:
        assert getattr(epgnumba, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        epgnumba.nothing  # noqa: B018


def test_a_call_like_the_last_is_read_as_closely():
    """What is kept of a one-call form's sequence serves the same arguments only, to the last bit and type."""
    good = {**GOOD, "flip": [120.0, 1.0, 0.0], "phases": 1.0}
    first = fse_sim(**good)
    for same in ({}, {"flip": np.array(good["flip"])}, {"flip": (120, 1, 0)}, {"phases": np.float32(1)}):
        assert fse_sim(**{**good, **same}).tobytes() == first.tobytes()
    for other in ({"flip": [120.0, 1.0, 1.0]}, {"phases": 2.0}, {"exc_flip": 80.0}, {"ESP": 8.5}, {"T2": 71.0}):
        assert abs(fse_sim(**{**good, **other}) - first).max() > 1e-6
    for bad in (
        {"flip": [120.0, True, 0.0]},
        {"flip": [120.0, 1.0, False]},
        {"phases": True},
        {"flip": [[120.0, 1.0, 0.0]]},
    ):
        with pytest.raises((TypeError, ValueError), match=next(iter(bad))):
            fse_sim(**{**good, **bad})
    flip = np.array(good["flip"])
    fse_sim(**{**good, "flip": flip})
    flip[1] = 50.0  # the caller's own, changed in place
    assert abs(fse_sim(**{**good, "flip": flip}) - first).max() > 1e-6
    assert (
        epgnumba.mrf_sim([10.0, 20.0], 9.0, 900, 70, nreps=1).tobytes()
        != epgnumba.mrf_sim([10.0, 20.0], 9.0, 900, 70, nreps=2).tobytes()
    )
