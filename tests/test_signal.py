"""Signals against closed forms, reference numbers, a naive EPG and isochromats."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import epgnumba
from epgnumba import FSE, fse_sim, simulate


def cpmg(flip, TE, T1, T2, n):
    """Echoes of a train of constant flip angle, from the generating function: O(n), no states at all.

    The recursion loses digits, more on some processors than on others: it runs in long double.
    """
    TE, T1, T2, flip = map(np.longdouble, (TE, T1, T2, flip))
    k1, k2, c = np.exp(-TE / T1), np.exp(-TE / T2), np.cos(np.deg2rad(flip))

    def cubic(k):
        return np.array([1, (1 - c) * k - c * k1, k * ((1 - c) * k1 - c * k), k * k * k1])

    p, q = cubic(k2), cubic(-k2)
    derivative = np.polynomial.polynomial.polyder
    pq = 2 * np.convolve(p, q)
    right = np.convolve(derivative(p), q) - np.convolve(p, derivative(q))
    y = np.zeros(n + 1, np.longdouble)  # y = sqrt(P/Q), from 2 P Q y' = (P' Q - P Q') y
    y[0] = 1
    for m in range(n):
        total = sum(right[j] * y[m - j] for j in range(min(m, len(right) - 1) + 1))
        total -= sum(pq[j] * (m + 1 - j) * y[m + 1 - j] for j in range(1, min(m, len(pq) - 1) + 1))
        y[m + 1] = total / (pq[0] * (m + 1))
    return y[1:] / 2


@pytest.mark.parametrize("flip", [20.0, 60.0, 120.0, 180.0])
@pytest.mark.parametrize(("T1", "T2"), [(1000.0, 100.0), (4000.0, 2000.0), (50.0, 50.0), (np.inf, 80.0)])
def test_generating_function(flip, T1, T2):
    # The recursion above loses digits itself: 1e-12 is its own accuracy.
    echoes = fse_sim(np.full(64, flip), 10, T1, T2)
    np.testing.assert_allclose(echoes, cpmg(flip, 10, T1, T2, 64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("flip", [30.0, 90.0, 150.0])
def test_pseudo_steady_state(flip):
    echoes = fse_sim(np.full(400, flip), 1e-6, np.inf, 1e12)
    assert abs(echoes[-50:].mean() - np.sin(np.deg2rad(flip / 2))) < 1e-3


def test_perfect_refocusing():
    t = 7 * np.arange(1, 81)
    np.testing.assert_allclose(fse_sim(np.full(80, 180.0), 7, 900, 60), np.exp(-t / 60), rtol=1e-13)


def test_hyperecho_ends_at_one():
    """Flip angles a, phases p, then 180, then -a, -p in reverse: without relaxation all returns (Hennig 2001)."""
    rng = np.random.default_rng(1)
    a, p = rng.uniform(10, 170, 60), rng.uniform(-180, 180, 60)
    echoes = fse_sim([*a, 180, *-a[::-1]], 1e-9, np.inf, 1e9, phases=[*p, 0, *-p[::-1]], exc_phase=90)
    assert abs(abs(echoes[-1]) - 1) < 1e-12


@pytest.mark.parametrize("name", ["fse_60x96", "fse_random_phases"])
def test_reference_signal(reference, name):
    case = reference[name]
    arguments = {**case["args"], "flip": np.full(96, 60.0)} if name == "fse_60x96" else case["args"]
    np.testing.assert_allclose(fse_sim(**arguments), case["signal"], rtol=0, atol=1e-14)


@pytest.mark.parametrize("phases", [0.0, 90.0, 180.0, 45.0, "alternating 0 180", "alternating 0 90", "random"])
@pytest.mark.parametrize("TR", [np.inf, 400.0, 84.0])
@pytest.mark.parametrize("exc_flip", [90.0, 70.0])
def test_naive(phases, TR, exc_flip):
    rng = np.random.default_rng(2)
    n = np.arange(12)
    phases = {
        "alternating 0 180": n % 2 * 180.0,
        "alternating 0 90": n % 2 * 90.0,
        "random": rng.uniform(0, 360, 12),
    }.get(phases, phases)
    arguments = {"flip": rng.uniform(10, 180, 12), "ESP": 7.0, "phases": phases, "TR": TR, "exc_flip": exc_flip}
    tissue = {"T1": 800.0, "T2": 60.0, "B1": 0.9, "M0": 1.3}
    expected = naive.fse(**arguments, **tissue)
    np.testing.assert_allclose(fse_sim(**arguments, **tissue), expected, rtol=0, atol=1e-13 * abs(expected).max() * 10)


@pytest.mark.parametrize("nstates", [1, 2, 5, 12, 100])
@pytest.mark.parametrize("phases", [0.0, 33.0])
def test_truncation_is_that_of_a_short_array(nstates, phases):
    flip = np.random.default_rng(3).uniform(30, 150, 20)
    expected = naive.fse(flip, 6, 700, 50, phases=phases, nstates=nstates)
    np.testing.assert_allclose(fse_sim(flip, 6, 700, 50, phases=phases, nstates=nstates), expected, atol=1e-14)


def test_isochromats():
    rng = np.random.default_rng(4)
    arguments = {"flip": rng.uniform(20, 180, 30), "ESP": 8.0, "phases": rng.uniform(0, 360, 30), "exc_phase": 12.0}
    expected = naive.isochromats(**arguments, T1=600.0, T2=45.0, B1=1.1)
    np.testing.assert_allclose(fse_sim(**arguments, T1=600.0, T2=45.0, B1=1.1), expected, atol=1e-13)


def test_steady_state_repeats_what_is_played():
    """The steady state is the train played until it repeats, which the usual factor 1 - exp(-rest/T1) is not."""
    n, ESP, TR, T1, T2 = 32, 10.0, 1000.0, 1000.0, 100.0
    echoes = fse_sim(np.full(n, 60.0), ESP, T1, T2, TR=TR)
    np.testing.assert_allclose(echoes, naive.fse(np.full(n, 60.0), ESP, T1, T2, TR=TR), atol=1e-14)
    assert abs(echoes[0] / fse_sim(np.full(n, 60.0), ESP, T1, T2)[0] - (1 - np.exp(-(TR - n * ESP) / T1))) > 0.01


def test_long_TR_is_a_single_train():
    flip = np.linspace(150, 40, 16)
    np.testing.assert_allclose(fse_sim(flip, 5, 500, 50, TR=1e5), fse_sim(flip, 5, 500, 50), atol=1e-14)


def test_nothing_played_leaves_equilibrium():
    assert np.isfinite(fse_sim([0.0, 0.0], 5, np.inf, 50, TR=100, exc_flip=0.0)).all()
    assert abs(fse_sim([180.0], 5, np.inf, 50, TR=100, exc_flip=30.0)).max() < 1e-15  # saturated without recovery


def test_slice_profile_is_the_mean_over_positions():
    flip, profile = np.full(10, 140.0), np.array([0.2, 0.5, 0.9, 1.0])
    each = [fse_sim(flip, 6, 900, 70, B1=1.1 * p) for p in profile]
    np.testing.assert_allclose(fse_sim(flip, 6, 900, 70, B1=1.1, slice_prof=profile), np.mean(each, 0), atol=1e-15)


@pytest.mark.parametrize(
    "shapes",
    [
        ((), (), (), ()),
        ((3,), (), (), ()),
        ((4, 1), (5,), (), ()),
        ((2, 1, 1), (3, 1), (4,), ()),
        ((1,), (1, 1), (), (6, 1)),
    ],
)
def test_shapes(shapes):
    rng = np.random.default_rng(5)
    T1, T2, B1, M0 = (
        rng.uniform(low, high, shape)
        for (low, high), shape in zip([(500, 900), (30, 90), (0.8, 1), (1, 2)], shapes, strict=True)
    )
    signal, jacobian = fse_sim([90.0, 120.0], 5, T1, T2, B1=B1, M0=M0, diff=("T2", "M0"))
    whole = np.broadcast_shapes(*shapes)
    assert signal.shape == (*whole, 2)
    assert jacobian.shape == (*whole, 2, 2)
    assert fse_sim([90.0, 120.0], 5, T1, T2, B1=B1, M0=M0, diff="T2")[1].shape == (*whole, 2)
    full = np.broadcast_arrays(T1, T2, B1, M0)
    for index in np.ndindex(*whole):
        expected = naive.fse([90.0, 120.0], 5, *(x[index] for x in full[:2]), B1=full[2][index], M0=full[3][index])
        np.testing.assert_allclose(signal[index], expected, atol=1e-14)


def test_float32():
    flip = np.random.default_rng(6).uniform(30, 150, 40)
    signal, jacobian = fse_sim(flip, 6, 700, [50, 60, 70], diff=("T1", "T2", "B1"), phases=20.0, dtype=np.float32)
    exact, exact_jacobian = fse_sim(flip, 6, 700, [50, 60, 70], diff=("T1", "T2", "B1"), phases=20.0)
    assert signal.dtype == np.complex64
    assert jacobian.dtype == np.complex64
    assert 0 < abs(signal - exact).max() < 2e-6
    assert (abs(jacobian - exact_jacobian).max(axis=(0, 2)) < 2e-5 * abs(exact_jacobian).max(axis=(0, 2))).all()


def test_one_train_many_calls():
    train = FSE([100.0, 120.0], 5)
    for T2 in (40, 80):
        np.testing.assert_array_equal(simulate(train, 900, T2), fse_sim([100.0, 120.0], 5, 900, T2))
    assert epgnumba.jacobian(train, 900, 80, diff=("T1",))[1].shape == (1, 2)


angles = st.floats(-360, 360, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(
    flips=st.lists(angles, min_size=1, max_size=9),
    phase=st.one_of(st.sampled_from([0.0, 90.0, 180.0, 270.0]), angles),
    exc=st.tuples(angles, st.one_of(st.sampled_from([0.0, 90.0]), angles)),
    tissue=st.tuples(st.floats(1, 5000), st.floats(1, 5000), st.floats(0, 2)),
    rest=st.one_of(st.none(), st.floats(0, 1000)),
)
def test_any_train_is_the_naive_one(flips, phase, exc, tissue, rest):
    T1, T2, B1 = tissue
    ESP = 9.0
    arguments = {"flip": flips, "ESP": ESP, "phases": phase, "exc_flip": exc[0], "exc_phase": exc[1]}
    if rest is not None:
        # A repetition that hardly decays converges slowly in the naive simulation, which plays it over and over.
        arguments["TR"] = len(flips) * ESP + max(rest, T1 / 2)
    expected = naive.fse(**arguments, T1=T1, T2=T2, B1=B1)
    np.testing.assert_allclose(fse_sim(**arguments, T1=T1, T2=T2, B1=B1), expected, rtol=0, atol=2e-12)


def test_out():
    train, T2 = FSE([150.0, 120.0], ESP=8.0), np.array([[50.0], [80.0]])
    expected = simulate(train, [900.0, 700.0, 500.0], T2)
    out = np.empty((2, 3, 2), np.complex128)
    assert simulate(train, [900.0, 700.0, 500.0], T2, out=out) is out
    np.testing.assert_array_equal(out, expected)
    one = np.empty(2, np.complex64)
    np.testing.assert_array_equal(simulate(train, 900.0, 80.0, dtype="float32", out=one), one)
    for wrong in ([0, 0], np.empty(2), np.empty(2, np.complex64)):
        with pytest.raises(TypeError, match="out="):
            simulate(train, 900.0, 80.0, out=wrong)
    readonly = np.empty(2, complex)
    readonly.flags.writeable = False
    for wrong in (np.empty(3, complex), np.empty((1, 2), complex), np.empty(4, complex)[::2], readonly):
        with pytest.raises(ValueError, match="out has shape"):
            simulate(train, 900.0, 80.0, out=wrong)
    with pytest.raises(ValueError, match="out is for maps in host memory"):
        simulate(train, [900.0], 80.0, mask=[True], out=np.empty((1, 2), complex))
    with pytest.raises(ValueError, match="check_nstates"):
        simulate(train, 900.0, 80.0, nstates=2, check_nstates=True, out=np.empty(2, complex))
