"""What was once wrong, by name: each failed before it was mended."""

import numpy as np
import pytest
from opinion import derivatives
from random_cases import Case
from test_second_opinion import check_signal_and_jacobian

import epgnumba
from epgnumba import EventSequence, sequence
from epgnumba.sequence import Inversion, Pulse, Readout, Shift, Spoil, Wait

TISSUE = {"T1": 1000.0, "T2": 80.0, "B1": 1.0, "B0": 0.0, "inv_efficiency": 1.0, "M0": 1.0}
PHASES = [0.0, 45.0, 45.0, 45.0, 45.0, 45.0]
CASES = {
    "oblique step before an inversion": Case(
        [("p", 90.0, 0.0), ("p", 90.0, 1.0), ("i", 1.0), ("p", 90.0, 0.0), ("w", 1.0), ("r", 0.0), ("c",), ("w", 30.0)],
        {**TISSUE, "T1": 60.0, "T2": 8.0, "B1": 0.87}, steady=True,
    ),
    "oblique step before a crusher, played once": Case(
        [("p", 60.0, 0.0), ("w", 9.0), ("p", 50.0, 45.0), ("w", 9.0), ("c",), ("p", 40.0, 0.0), ("w", 5.0), ("r", 0.0)],
        TISSUE,
    ),
    "oblique step among pulses on one axis": Case(
        [("p", 90.0, 0.0), ("w", 5.0), ("p", 70.0, 1e-7), ("w", 5.0), ("c",), ("p", 90.0, 0.0), ("r", 0.0), ("w", 9.0)],
        TISSUE, steady=True,
    ),
}  # fmt: skip
TRAINS = {
    "balanced fingerprint": sequence.MRF([20.0, 30, 40, 50, 60, 70], 12.0, 20.0, PHASES, balanced=True, steady=True),
    "fingerprint": sequence.MRF([20.0, 30, 40, 50, 60, 70], 12.0, 20.0, PHASES, steady=True),
    "spin echoes": sequence.FSE([120.0, 90, 60, 80, 100, 70], 8.0, PHASES, TR=300.0),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    check_signal_and_jacobian(CASES[name])


@pytest.mark.parametrize("name", TRAINS)
def test_oblique_phases_in_a_steady_state(name):
    tissue = {**TISSUE, "T1": 300.0}
    names = ("T1", "T2", "B1")
    expected, slopes = derivatives(TRAINS[name], tissue, names)
    signal, jacobian = epgnumba.jacobian(TRAINS[name], **tissue, diff=names)
    np.testing.assert_allclose(signal, expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(jacobian, slopes, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("phase", "expected"), [(10.0, 0.21912208), (45.0, 0.23667410), (90.0, 0.29731497)])
def test_closed_form_of_an_oblique_step(phase, expected):
    """Z after two pulses at once is that of one rotation after another: cos 60 cos 50 - sin 60 sin 50 cos(phase)."""

    def events(p):
        return [Pulse(60.0), Pulse(50.0, p.phase), Wait(500.0), Spoil(), Pulse(40.0), Readout(), Spoil()]

    signal = epgnumba.simulate(EventSequence(events, steady=True, phase=phase), 1000.0, 80.0)
    a, b, c = np.deg2rad([60.0, 50.0, 40.0])
    turned = np.cos(a) * np.cos(b) - np.sin(a) * np.sin(b) * np.cos(np.deg2rad(phase))
    decay = np.exp(-500 / 1000)
    z = (1 - decay) / (1 - turned * decay * np.cos(c))  # before the last pulse; cos c of it is left for the next
    np.testing.assert_allclose(abs(signal), [z * np.sin(c)], rtol=1e-14)
    assert abs(signal[0]) == pytest.approx(expected, abs=5e-9)


def test_fingerprints_with_other_preparations_are_others():
    """Two parameters of one shape under different names: whichever is played first, each is itself."""
    common = {"flip": [10.0, 20.0, 30.0], "TR": 12.0, "T1": 1000.0, "T2": 80.0}
    inverted, prepared = {"TI": 20.0, "inversion": 1.0}, {"inversion": None, "T2prep": 40.0}
    for order in ((inverted, prepared), (prepared, inverted)):
        for options in order:
            train = sequence.MRF(common["flip"], common["TR"], **options)
            expected, _ = derivatives(train, TISSUE, ())
            np.testing.assert_allclose(epgnumba.mrf_sim(**common, **options), expected, rtol=0, atol=1e-14)


def test_what_spin_echoes_do_not_see():
    """Off-resonance and its rounding: infinite for `crlb`, for the objective, for its bounds, in whatever order."""
    train = sequence.FSE(np.full(32, 60.0), 10.0, TR=1000.0)
    _, slopes = epgnumba.jacobian(train, 1000.0, 100.0, diff=("M0", "T2", "B0"))
    assert not slopes[2].any()
    assert np.isinf(epgnumba.crlb(slopes)).all()
    objective = epgnumba.CRLBObjective(train, 1000.0, 100.0, unknowns=("M0", "T2", "B0"), weights=[0, 1, 1])
    assert objective(objective.x0)[0] == np.inf
    assert np.isinf(objective.bounds(objective.x0)).all()
    with pytest.raises(ValueError, match="cannot see the unknown B0"):
        epgnumba.design.optimize(objective, progress=False)


@pytest.mark.parametrize("data", ["complex", "magnitude"])
@pytest.mark.parametrize("unknowns", [("M0", "B0"), ("M0", "T2", "B0")])
def test_objective_and_bounds_agree_on_what_magnitudes_see(data, unknowns):
    """Magnitudes of a spoiled gradient echo do not see off-resonance; complex samples do."""
    train = sequence.SPGR(15.0, [2.0, 5.0, 9.0], 20.0)
    objective = epgnumba.CRLBObjective(train, 1000.0, 50.0, unknowns=unknowns, data=data, variables=("flip",))
    seen = data == "complex"
    assert np.isfinite(objective(objective.x0)[0]) == seen
    assert np.isfinite(objective.bounds(objective.x0)).all() == seen
    assert np.isfinite(objective.values(objective.x0)) == seen


SMALL = {  # derivatives that are small and right, in single precision: rounding is something else
    "short echo time after a long wait": (
        lambda p: [Wait(1e4), Pulse(5.0), Wait(0.03), Readout(), Wait(0.05), Readout()],
        {"T1": 1000.0, "T2": 50.0}, ("T2", "B0"),
    ),
    "hardly any pulse": (
        lambda p: [Pulse(90.0), Wait(5.0), Readout()], {"T1": 900.0, "T2": 50.0, "B1": 1e-6}, ("T2", "B0"),
    ),
    "hardly any M0": (
        lambda p: [Pulse(90.0), Wait(5.0), Pulse(140.0, 90.0), Wait(5.0), Readout(), Wait(9.0), Readout()],
        {"T1": 1000.0, "T2": 50.0, "M0": 1e-14}, ("T1", "T2", "B1", "B0"),
    ),
    "late after an inversion": (
        lambda p: [Inversion(), Wait(1500.0), Pulse(90.0), Readout()], {"T1": 100.0, "T2": 50.0},
        ("T1", "inv_efficiency"),
    ),
    "a late echo alone": (
        lambda p: [Pulse(90.0), [[Wait(7.5), Shift(1), Pulse(180.0, 90.0), Shift(1), Wait(7.5)]] * 20, Readout()],
        {"T1": 900.0, "T2": 15.0}, ("T2",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SMALL)
def test_small_derivatives_are_not_rounding(name, dtype):
    events, tissue, diff = SMALL[name]
    sequence = EventSequence(events)
    expected = derivatives(sequence, tissue, diff)[1]
    for T1 in (tissue["T1"], np.full(3, tissue["T1"])):  # a voxel alone, and some
        _, slopes = epgnumba.jacobian(sequence, **{**tissue, "T1": T1}, diff=diff, dtype=dtype)
        size = abs(expected).max(axis=-1, keepdims=True)
        wrong = abs(np.atleast_3d(slopes.T).T - expected) / size
        assert wrong.max() < (2e-3 if dtype == "float32" else 1e-7)  # where differences lose as many digits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spin_echoes_never_see_off_resonance(dtype):
    """Whatever their number, angles, phases and tissue."""
    rng = np.random.default_rng(4)
    for n in (1, 2, 7, 30, 200):
        for TR in (np.inf, 7.0 * n + 40):
            train = sequence.FSE(rng.uniform(10, 180, n), 7.0, rng.uniform(-180, 180, n), TR=TR)
            maps = {"T1": rng.uniform(200, 3000, 20), "T2": rng.uniform(20, 200, 20), "B0": rng.choice([0.0, 9.0], 20)}
            assert not epgnumba.jacobian(train, **maps, diff="B0", dtype=dtype)[1].any()
