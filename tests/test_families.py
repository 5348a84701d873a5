"""Every sequence: against a plain EPG, isochromats and closed forms; every derivative of every parameter."""

import inspect

import numpy as np
import pytest
from families import FAMILIES, REPEATED
from players import Isochromats, Spins, play

import epgnumba
from epgnumba import sequence as seq
from epgnumba.derivatives import push_forward
from epgnumba.problem import read_problem

TISSUE = {"T1": 310.0, "T2": 45.0, "B1": 0.9, "M0": 1.7, "B0": 13.0, "inv_efficiency": 0.93}
RESONANT = {**TISSUE, "B0": 0.0}
UNKNOWNS = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.mark.parametrize("tissue", [TISSUE, RESONANT], ids=["off resonance", "on resonance"])
def test_signal_is_that_of_a_plain_epg(family, tissue):
    expected = play(family, **tissue)
    tolerance = 2e-8 if any(family is FAMILIES[name] for name in REPEATED) else 2e-13
    np.testing.assert_allclose(epgnumba.simulate(family, **tissue), expected, rtol=0, atol=tolerance)


def test_signal_is_that_of_isochromats(family):
    expected = play(family, **TISSUE, kind=Isochromats, size=256)
    tolerance = 2e-8 if any(family is FAMILIES[name] for name in REPEATED) else 1e-12
    np.testing.assert_allclose(epgnumba.simulate(family, **TISSUE), expected, rtol=0, atol=tolerance)


class Scalar:
    """A random real scalar of signal and Jacobian of a sequence, as a function of all its numeric arguments."""

    def __init__(self, sequence, tissue, diff=UNKNOWNS, seed=3):
        rng = np.random.default_rng(seed)
        self.sequence, self.diff, self.tissue = sequence, diff, {**tissue, "slice_prof": np.array([0.8, 1.0])}
        self.values = {**sequence.parameters, **self.tissue}
        signal, jacobian = self.run()
        self.signal_bar, self.jacobian_bar = (
            rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in (signal, jacobian)
        )
        scale = abs(jacobian).max(axis=-1, keepdims=True)
        self.jacobian_bar /= np.where(scale > 1e-12, scale, 1)  # echoes do not see B0

    def run(self, **changes):
        values = {**self.values, **changes}
        sequence = self.sequence.replace(**{name: values[name] for name in self.sequence.parameters})
        return epgnumba.jacobian(sequence, **{name: values[name] for name in self.tissue}, diff=self.diff)

    def __call__(self, **changes):
        return self.pair(*self.run(**changes))

    def pair(self, signal, jacobian):
        return np.vdot(self.signal_bar, signal).real + np.vdot(self.jacobian_bar, jacobian).real

    def gradient(self):
        bars = {"signal_bar": self.signal_bar, "jacobian_bar": self.jacobian_bar}
        return epgnumba.vjp(self.sequence, **self.tissue, diff=self.diff, **bars)

    def slope(self, name, direction):
        problem = read_problem(self.sequence, **self.tissue, diff=self.diff)
        return self.pair(*push_forward(problem, {name: direction}))


def difference(function, step):
    """Fourth-order central difference."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(1)
    return {
        "T1": rng.uniform(300, 900, (2, 3)), "T2": rng.uniform(30, 90, 3), "B1": rng.uniform(0.8, 1.1, (2, 1)),
        "M0": rng.uniform(0.5, 2, (2, 3)), "B0": rng.uniform(-20, 20, 3), "inv_efficiency": rng.uniform(0.7, 1, (2, 3)),
    }  # fmt: skip


def test_every_derivative(family, maps):
    """Forward mode (complex step), reverse mode and differences agree, in every argument."""
    scalar, rng = Scalar(family, maps), np.random.default_rng(2)
    gradient = scalar.gradient()
    size = abs(scalar())
    for name, value in scalar.values.items():
        if not np.isfinite(value).all():
            continue
        scale = np.maximum(abs(value), 1)
        direction = rng.normal(size=value.shape) * scale
        along = (gradient[name] * direction).sum()
        assert abs(scalar.slope(name, direction) - along) <= 2e-12 * abs(along) + 1e-13 * size, name
        if name not in ("phase", "phases", "B0") and (value == 0).any():
            continue  # cannot become negative
        numeric = difference(lambda h, n=name, v=value, d=direction: scalar(**{n: v + h * d}), 2e-5)
        assert abs(numeric - along) <= 2e-6 * abs(along) + 1e-8 * size, name


def test_jacobian_is_the_derivative_of_the_signal(family, maps):
    _, jacobian = epgnumba.jacobian(family, **maps, diff=UNKNOWNS)
    for k, name in enumerate(UNKNOWNS):
        step = 1e-4 * np.maximum(abs(maps[name]), 1)

        def moved(h, n=name, s=step):
            return epgnumba.simulate(family, **{**maps, n: maps[n] + h * s})

        numeric = difference(moved, 1.0) / np.broadcast_to(step, (2, 3))[..., None]
        assert abs(numeric - jacobian[..., k, :]).max() <= 1e-8 * abs(jacobian[..., k, :]).max() + 2e-12, name


def test_chunks_and_threads_change_nothing(family):
    rng = np.random.default_rng(0)
    tissue = {"T1": rng.uniform(300, 900, 300), "T2": 50.0, "B0": rng.uniform(-9, 9, 300)}
    whole = epgnumba.jacobian(family, **tissue, diff=("T1", "B0"))
    try:
        epgnumba.set_num_threads(3)
        again = epgnumba.jacobian(family, **tissue, diff=("T1", "B0"))
    finally:
        epgnumba.set_num_threads(None)
    part = epgnumba.jacobian(family, tissue["T1"][40:99], 50.0, B0=tissue["B0"][40:99], diff=("T1", "B0"))
    for a, b, c in zip(whole, again, part, strict=True):
        np.testing.assert_array_equal(a, b)
        if family.steady and any(family is FAMILIES[name] for name in REPEATED):
            continue  # how often it is repeated depends on the longest T1
        np.testing.assert_array_equal(a[40:99], c)


# Closed forms


def test_spoiled_gradient_echo_is_ernst():
    T1, T2, TE, TR, flip = 900.0, 60.0, np.array([3.0, 8.0]), 25.0, 22.0
    a, E1 = np.deg2rad(flip), np.exp(-TR / T1)
    expected = np.sin(a) * (1 - E1) / (1 - np.cos(a) * E1) * np.exp(-TE / T2)
    np.testing.assert_allclose(abs(epgnumba.spgr_sim(flip, TE, TR, T1, T2)), expected, rtol=1e-13)


@pytest.mark.parametrize("B0", [0.0, 17.0, -60.0, 100.0])
@pytest.mark.parametrize("phase_inc", [180.0, 0.0, 117.0])
def test_balanced_steady_state_is_freeman_hill(B0, phase_inc):
    """The Bloch equations of one repetition, solved as a linear system in the frame that follows the RF phase."""
    T1, T2, TE, TR, flip = 800.0, 70.0, 2.0, 6.0, np.deg2rad(50)
    theta = 2 * np.pi * B0 * TR / 1000 - np.deg2rad(phase_inc)

    def about_z(angle, e1, e2):
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[e2 * c, -e2 * s, 0], [e2 * s, e2 * c, 0], [0, 0, e1]])

    about_x = np.array([[1, 0, 0], [0, np.cos(flip), -np.sin(flip)], [0, np.sin(flip), np.cos(flip)]])
    E1, E2 = np.exp(-TR / T1), np.exp(-TR / T2)
    after = np.linalg.solve(np.eye(3) - about_x @ about_z(theta, E1, E2), about_x @ [0, 0, 1 - E1])
    signal = (after[0] + 1j * after[1]) * np.exp(-TE / T2 + 2j * np.pi * B0 * TE / 1000)
    ours = epgnumba.bssfp_sim(50.0, TE, TR, T1, T2, phase_inc=phase_inc, B0=B0)
    np.testing.assert_allclose(ours, [signal], rtol=0, atol=1e-14)


def test_unbalanced_steady_state_has_its_closed_form():
    T1, T2, TR, a = 400.0, 60.0, 40.0, np.deg2rad(35)
    E1, E2, c = np.exp(-TR / T1), np.exp(-TR / T2), np.cos(a)
    p, q = 1 - E1 * c - E2**2 * (E1 - c), E2 * (1 - E1) * (1 + c)
    r = (1 - E2**2) / np.sqrt(p**2 - q**2)
    fid, echo = np.tan(a / 2) * (1 - (E1 - c) * r), np.tan(a / 2) * (1 - (1 - E1 * c) * r)
    ours = epgnumba.simulate(seq.DESS(35.0, 0.0, TR, tolerance=1e-14), T1, T2)
    np.testing.assert_allclose(abs(ours), [fid, echo], rtol=1e-12)


def shots(z, cosine, E, count):
    """Z after so many spoiled shots, one by one."""
    for _ in range(count):
        z = 1 + (z * cosine - 1) * E
    return z


def test_inversion_prepared_trains_follow_z():
    T1, TR, TI, flip, efficiency = 700.0, 8.0, np.array([300.0, 900.0]), np.deg2rad([5, 7]), 0.9
    E = np.exp(-TR / T1)
    z = 1.0
    for _ in range(60):  # to the steady state
        z = 1 + (-efficiency * z - 1) * np.exp(-(TI[0] - 10 * TR) / T1)
        z = shots(z, np.cos(flip[0]), E, 10)
        first = np.sin(flip[0]) * z
        z = shots(z, np.cos(flip[0]), E, 12)
        z = 1 + (z - 1) * np.exp(-(TI[1] - TI[0] - 22 * TR) / T1)
        z = shots(z, np.cos(flip[1]), E, 10)
        second = np.sin(flip[1]) * z
        z = shots(z, np.cos(flip[1]), E, 12)
        z = 1 + (z - 1) * np.exp(-(2000.0 - TI[1] - 12 * TR) / T1)
    ours = epgnumba.mp2rage_sim(TI, [5, 7], TR, 2000.0, (10, 12), T1, inv_efficiency=efficiency)
    np.testing.assert_allclose(ours, [-1j * first, -1j * second], rtol=0, atol=1e-13)
    z = 1 + (-efficiency - 1) * np.exp(-(300.0 - 10 * TR) / T1)
    ours = epgnumba.mprage_sim(300.0, 5, TR, (10, 12), T1, inv_efficiency=efficiency)
    np.testing.assert_allclose(ours, [-1j * np.sin(flip[0]) * shots(z, np.cos(flip[0]), E, 10)], atol=1e-14)
    ours = epgnumba.mpnrage_sim(4, 7, TR, T1, inv_efficiency=efficiency, TI=20.0)
    z = 1 + (-efficiency - 1) * np.exp(-20.0 / T1)
    expected = [-1j * np.sin(flip[1]) * shots(z, np.cos(flip[1]), E, n) for n in range(4)]
    np.testing.assert_allclose(ours, expected, atol=1e-14)


@pytest.mark.parametrize("n", [1, 7, 60])
def test_hyperecho_is_full(n):
    rng = np.random.default_rng(n)
    train = seq.Hyperecho(rng.uniform(10, 170, n), 5.0, rng.uniform(-180, 180, n))
    assert abs(epgnumba.simulate(train, np.inf, 1e15)[-1] - 1) < 1e-12


def test_stimulated_echo_decays_with_both_times():
    train = seq.StimulatedEcho(30.0, 200.0)
    expected = 0.5 * np.exp(-200 / 900 - 30 / 80)
    np.testing.assert_allclose(abs(epgnumba.simulate(train, 900.0, 80.0)), [expected], rtol=1e-13)


def test_T2_preparation_leaves_its_exponential():
    train = seq.MRF([90.0], 10.0, inversion=None, T2prep=35.0)
    np.testing.assert_allclose(abs(epgnumba.simulate(train, np.inf, 50.0)), [np.exp(-35 / 50)], rtol=1e-13)


def test_multiple_echoes_are_an_fse_with_one_angle():
    one = epgnumba.simulate(seq.MultiSpinEcho(6, 8.0, 130.0), 900.0, 70.0)
    np.testing.assert_array_equal(one, epgnumba.fse_sim([130.0] * 6, 8.0, 900.0, 70.0))


@pytest.mark.parametrize("name", ["mrf_880_1000_100", "mrf_880_4000_2000"])
def test_fingerprint_reference(reference, name):
    flip = np.concatenate([np.linspace(5, 60, 300), np.linspace(60, 2, 300), np.full(280, 2.0)])
    numbers = reference[name]
    args = numbers["args"]
    signal, slopes = epgnumba.mrf_sim(flip, 10.0, args["T1"], args["T2"], diff=("T1", "T2"))
    np.testing.assert_allclose(signal, numbers["signal"], rtol=0, atol=1e-14)
    for slope, expected in zip(slopes, (numbers["dT1"], numbers["dT2"]), strict=True):
        assert abs(slope - expected).max() < 5e-9 * abs(expected).max()
    if args["T2"] == 100:
        np.testing.assert_allclose(epgnumba.crlb(slopes), [738623.23, 22760.22], rtol=0, atol=0.005)


def test_published_fingerprint_bound():
    """Lee et al., MRM 82 (2019) 1438: their objective at the start, from their log."""
    n = np.arange(100)
    train = seq.MRF(
        10 + 50 * np.sin(2 * np.pi * n / 600), 13.5 + 2 * np.sin(2 * np.pi * n / 200), TI=20.0, phases=90.0, TE=3.0
    )
    unknowns, weights = ("M0", "T1", "T2"), [100, 100 / 1330**2, 100 / 80**2]
    objective = epgnumba.CRLBObjective(
        train, 1330.0, 80.0, unknowns=unknowns, weights=weights, variables=("flip", "TR"), nstates=10
    )
    assert objective(objective.x0)[0] == pytest.approx(4160.82041660845, abs=1e-9)


# Shapes and arguments


ONE_CALL = {
    "fse_sim": {"flip": [60.0, 80.0], "ESP": 6.0},
    "mrf_sim": {"flip": [10.0, 20.0, 30.0], "TR": 9.0},
    "bssfp_sim": {"flip": [10.0, 20.0], "TE": 2.0, "TR": 5.0},
    "spgr_sim": {"flip": 10.0, "TE": [2.0, 4.0], "TR": 15.0},
    "mprage_sim": {"TI": 90.0, "flip": 8.0, "TRspgr": 7.0, "nshots": 6},
    "mp2rage_sim": {"TI": [60.0, 160.0], "flip": 8.0, "TRspgr": 7.0, "TRmp2rage": 300.0, "nshots": 6},
    "mpnrage_sim": {"nshots": 2, "flip": 8.0, "TR": 7.0},
}
SHAPES = [((), ()), ((3,), ()), ((), (2,)), ((1,), (1,)), ((4, 1), (3,)), ((2, 3), (2, 3)), ((2, 1, 1), (5, 1))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ONE_CALL)
def test_shapes(name, shapes):
    form, arguments = getattr(epgnumba, name), ONE_CALL[name]
    T1, M0 = np.full(shapes[0], 800.0), np.full(shapes[1], 2.0)
    T2 = {key: 60.0 for key in ("T2", "T2star") if key in inspect.signature(form).parameters}
    readouts = {"mprage_sim": 1, "mrf_sim": 3}.get(name, 2)
    full = np.broadcast_shapes(*shapes)
    assert form(**arguments, T1=T1, M0=M0, **T2).shape == (*full, readouts)
    signal, one = form(**arguments, T1=T1, M0=M0, **T2, diff="T1")
    assert signal.shape == one.shape == (*full, readouts)
    _, two = form(**arguments, T1=T1, M0=M0, **T2, diff=("T1", "M0"))
    assert two.shape == (*full, 2, readouts)
    np.testing.assert_array_equal(two[..., 0, :], one)
    alone = form(**arguments, T1=800.0, M0=2.0, **T2)
    np.testing.assert_array_equal(signal, np.broadcast_to(alone, signal.shape))


def test_acquisitions_are_those_of_single_calls():
    flips, TRs = np.array([5.0, 12.0, 25.0]), np.array([10.0, 20.0, 30.0])
    T1 = np.array([500.0, 900.0])
    together = epgnumba.spgr_sim(flips, [[2.0, 6.0]], TRs, T1, 50.0)
    apart = [epgnumba.spgr_sim(flip, [2.0, 6.0], TR, T1, 50.0) for flip, TR in zip(flips, TRs, strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(apart, -1))
    each = np.array([[2.0, 6.0], [3.0, 7.0], [4.0, 8.0]])
    apart = [epgnumba.spgr_sim(*row, T1, 50.0) for row in zip(flips, each, TRs, strict=True)]
    np.testing.assert_array_equal(epgnumba.spgr_sim(flips, each, TRs, T1, 50.0), np.concatenate(apart, -1))
    paired = [epgnumba.spgr_sim(*row, T1, 50.0) for row in zip(flips, each[:, 0], TRs, strict=True)]
    np.testing.assert_array_equal(epgnumba.spgr_sim(flips, each[:, 0], TRs, T1, 50.0), np.concatenate(paired, -1))
    for TE in ([2.0, 6.0], [[2.0, 6.0]] * 2):
        with pytest.raises(ValueError, match="TE has 2 entries, for 3 acquisitions.*table"):
            epgnumba.spgr_sim(flips, TE, TRs, T1, 50.0)
    with pytest.raises(ValueError, match="one length.*'flip': 3, 'TR': 2"):
        epgnumba.spgr_sim(flips, 2.0, TRs[:2], 500.0, 50.0)


def test_chemical_shift_adds_to_B0():
    shifted = epgnumba.bssfp_sim(30.0, 2.0, 5.0, 800.0, 60.0, B0=10.0, chemshift=np.array([0.0, 7.0]))
    np.testing.assert_array_equal(shifted[1], epgnumba.bssfp_sim(30.0, 2.0, 5.0, 800.0, 60.0, B0=17.0))


OTHER = {
    "flip": 33.0, "TE": 1.5, "TR": 16.0, "T1": 750.0, "T2": 55.0, "T2star": 55.0, "diff": "M0", "B1": 0.9,
    "inv_efficiency": 0.8, "M0": 1.3, "TI": 85.0, "nstates": 1, "nreps": 2, "phases": [0.0, 40.0, 10.0],
    "inversion": 0.5, "T2prep": 30.0, "balanced": True, "steady": True, "B0": 20.0, "slice_prof": [0.5, 1.0],
    "phase_inc": 90.0, "chemshift": 12.0, "transient": True, "spoiling": "rf", "increment": 50.0, "TRspgr": 6.0,
    "nshots": (2, 5), "TRmp2rage": 350.0, "delay": 40.0, "dtype": np.float32, "D": 2.0, "velocity": 3.0,
    "T2prime": 40.0, "bound_fraction": 0.2, "exchange": 40.0, "T1_bound": 500.0, "lineshape": 20.0,
    "gradient_area": 200.0, "rf_duration": 2.0, "fraction_b": 0.3, "exchange_b": 40.0, "T1_b": 300.0, "T2_b": 30.0,
    "shift_b": 5.0,
}  # fmt: skip
# Without these what else a term takes is not read; and a second pool is bound or free.
TERMS = {"D": 1.0, "gradient_area": 150.0, "bound_fraction": 0.1, "exchange": 20.0, "rf_duration": 1.0}
SECOND = {"fraction_b": 0.1, "exchange_b": 20.0}


@pytest.mark.parametrize("name", [name for name in ONE_CALL if name != "fse_sim"])
def test_every_argument_is_read(name):
    form = getattr(epgnumba, name)
    names = list(inspect.signature(form).parameters)
    base = {**ONE_CALL[name], "T1": 800.0, **{key: 60.0 for key in ("T2", "T2star") if key in names}, "diff": "T1"}
    base |= {key: value for key, value in TERMS.items() if key in names}
    if name == "spgr_sim":
        base["spoiling"] = "rf"
    if name == "mprage_sim":
        base["TR"] = 400.0
    if name == "mrf_sim":
        base |= {"TI": 5.0, "TE": 1.0, "phases": [0.0, 10.0, 70.0]}
    with_bound = base
    with_second = {key: value for key, value in base.items() if key not in ("bound_fraction", "exchange")} | SECOND
    played = {key: form(**given) for key, given in ((False, with_bound), (True, with_second))}
    for key in names:
        base, (signal, slope) = (with_second if key.endswith("_b") else with_bound), played[key.endswith("_b")]
        if key == "check_nstates":
            continue
        if key == "device":
            with pytest.raises(ValueError, match="device='here' is not allowed"):
                form(**base, device="here")
            continue
        if key == "mask":
            assert not form(**base, mask=False)[0].any()
            continue
        if key == "T2prime" and name == "bssfp_sim":
            with pytest.raises(ValueError, match="T2prime is not allowed with this sequence"):
                form(**base, T2prime=40.0)
            continue
        value = {"TI": [65.0, 165.0], "spoiling": "ideal", "nshots": 3}.get(key) if (
            (key, name) in {("TI", "mp2rage_sim"), ("spoiling", "spgr_sim"), ("nshots", "mpnrage_sim")}
        ) else OTHER[key] if not (key == "TR" and name == "mprage_sim") else 500.0  # fmt: skip
        if key in ("flip", "TR") and np.ndim(base[key]):
            value = [*base[key][:-1], value]
        changed, changed_slope = form(**{**base, key: value})
        assert changed.shape != signal.shape or abs(changed_slope - slope).max() > 0, key


BAD = [
    (lambda: seq.MRF([10.0], 0.0), ValueError, "TR=0 is not allowed.*positive"),
    (lambda: seq.MRF([10.0], 10.0, TE=11.0), ValueError, "TE=11 ms is longer than the shortest TR, 10 ms"),
    (lambda: seq.MRF([10.0], [10.0, 11.0]), ValueError, r"TR.*shape \(2,\).*one per pulse"),
    (lambda: seq.MRF([10.0], 10.0, TI=-1.0), ValueError, "TI=-1.*at least 0"),
    (lambda: seq.MRF([10.0], 10.0, repetitions=0), ValueError, "repetitions=0"),
    (lambda: seq.MRF([10.0], 10.0, T2prep=np.nan), ValueError, "T2prep=nan"),
    (lambda: seq.BSSFP(30.0, 6.0, 5.0), ValueError, "TE=6 ms is longer than TR=5 ms"),
    (lambda: seq.BSSFP([], 1.0, 5.0), ValueError, "flip.*non-empty"),
    (lambda: seq.SPGR(30.0, [4.0, 2.0], 9.0), ValueError, "TE=.*must rise"),
    (lambda: seq.SPGR(30.0, 2.0, 9.0, spoiling="none"), ValueError, "spoiling='none'"),
    (lambda: seq.DESS(30.0, 6.0, 9.0), ValueError, "TR=9 ms is shorter than twice TE=6 ms"),
    (lambda: seq.MPRAGE(10.0, 5.0, 7.0, 10), ValueError, "TI=10 ms is too short: the 5 shots of TRspgr=7 ms before it"),
    (lambda: seq.MPRAGE(50.0, 5.0, 7.0, 10, TR=60.0), ValueError, "TR=60 ms is too short.*85 ms"),
    (lambda: seq.MPRAGE(50.0, 5.0, 7.0, 2.5), TypeError, "nshots=2.5"),
    (lambda: seq.MPRAGE(50.0, 5.0, 7.0, (3, 0)), ValueError, r"nshots=\(3, 0\)"),
    (
        lambda: seq.MP2RAGE([50.0, 60.0], 5.0, 7.0, 900.0, 10),
        ValueError,
        r"TI\[1\]=60 ms is too short.*70 ms, the shots of TRspgr=7 ms, after",
    ),
    (lambda: seq.MP2RAGE([50.0], 5.0, 7.0, 900.0, 10), ValueError, "TI has 1 entries; 2 are needed"),
    (lambda: seq.MP2RAGE([50.0, 160.0], 5.0, 7.0, 90.0, 10), ValueError, "TRmp2rage=90 ms is too short"),
    (lambda: seq.MPnRAGE(3, [5.0, 5.0], 7.0), ValueError, r"flip.*shape \(2,\).*\(3,\)"),
    (lambda: seq.MPnRAGE(0, 5.0, 7.0), ValueError, "nshots=0"),
    (lambda: seq.MPRAGE(50.0, 5.0, 7.0, np.inf), TypeError, "nshots=inf"),
    (lambda: seq.DESS(30.0, 1.0, 9.0, tolerance=2.0), ValueError, "tolerance=2 .*between 0 and 1"),
    (lambda: epgnumba.bssfp_sim([], 2.0, 5.0, 800.0, 60.0), ValueError, "an acquisition at least"),
    (lambda: epgnumba.bssfp_sim(30.0, 2.0, 5.0, 800.0, 60.0, B0="a", chemshift=3.0), TypeError, "B0='a' is text"),
    (lambda: epgnumba.spgr_sim(5, 2, 7, 800.0, 50.0, diff=[[1]]), TypeError, "diff="),
    (lambda: seq.LookLocker(3, 5.0, 7.0, TE=9.0), ValueError, "TE=9 ms is longer than TR=7 ms"),
    (lambda: seq.StimulatedEcho(10.0, 5.0, [90.0, 90.0]), ValueError, "flip has 2 entries; 3 are needed"),
    (lambda: seq.Hyperecho([10.0], -1.0), ValueError, "ESP=-1"),
    (lambda: seq.MultiSpinEcho(2.5, 8.0), TypeError, "echoes=2.5"),
    (lambda: epgnumba.mprage_sim(50, 5, 7, 4, 800.0, diff="T2"), ValueError, "'T2' is unknown; allowed are"),
    (lambda: epgnumba.spgr_sim(5, 2, 7, 800.0, 50.0, diff=7), TypeError, "diff=7"),
    (lambda: epgnumba.simulate(seq.SPGR(5, 2, 9), 800, 50, inv_efficiency=-1), ValueError, "inv_efficiency=-1"),
    (lambda: epgnumba.simulate(seq.SPGR(5, 2, 9), 800, 50, B0=np.inf), ValueError, "B0=inf.*Hz"),
    (lambda: epgnumba.simulate(seq.DESS(5, 2, 9), np.inf, 50), ValueError, "no steady state.*T1 reaches inf"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_players_differ():
    """The two references are not the same thing twice: too few isochromats show."""
    train = FAMILIES["MRF"]
    assert abs(play(train, **TISSUE) - play(train, **TISSUE, kind=Isochromats, size=3)).max() > 1e-3
    assert abs(play(train, **TISSUE) - play(train, **TISSUE, kind=Spins, size=2)).max() > 1e-3
