"""Fits: against known maps, scipy, the Cramer-Rao bound, and each other in any order."""

import os
import signal

import numpy as np
import pytest
from scipy import optimize, special

import epgnumba
from epgnumba import engine
from epgnumba.estimate import Fit, Status, fit, voxels
from epgnumba.sequence import DESS, MRF, EventSequence, Pulse, Readout, Shift, Wait

TRAIN = epgnumba.FSE([150.0] * 24, ESP=9)
PRINT = MRF(20 + 30 * np.sin(np.arange(60) / 9), TR=12, TI=20)
BELOW = {"B1": (0.5, 1.1)}


def noisy(signal, noise, seed=0):
    rng = np.random.default_rng(seed)
    return signal + noise * (rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape))


def maps_of(count, seed=0, **ranges):
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(*ends, count) for name, ends in ranges.items()}


def spin_echo_trains(p):
    """A spin echo, whose gradients diffusion attenuates."""
    for ramp in (2.0, 8.0, 20.0):
        yield [Pulse(90, 90), Shift(1, ramp), Wait(4), Pulse(180), Shift(1, ramp), Wait(4), Readout()]


DIFFUSION = EventSequence(spin_echo_trains).on_scanner(gradient_area=300.0)

RECOVERED = {
    "T2": (TRAIN, ("T2",), {"T2": (20, 200)}, {"T1": 900.0}, {}),
    "T2, M0": (TRAIN, ("T2", "M0"), {"T2": (20, 200), "M0": (-3, 3)}, {"T1": 900.0}, {}),
    "T2, M0, B1": (TRAIN, ("M0", "B1", "T2"), {"T2": (20, 200), "B1": (0.6, 1.0), "M0": (1e3, 1e5)}, {"T1": 900.0}, {}),
    "T1, T2": (PRINT, ("T1", "T2"), {"T1": (400, 2000), "T2": (30, 150)}, {"B1": 0.9}, {}),
    "T1, T2, B1, M0": (
        PRINT, ("T1", "T2", "B1", "M0"), {"T1": (400, 2000), "T2": (30, 150), "B1": (0.7, 1.2), "M0": (1, 2)}, {}, {},
    ),
    "B0, M0": (
        epgnumba.sequence.SPGR(15.0, TR=20.0, TE=[2.0, 4.0, 7.0]), ("B0", "M0"), {"B0": (-60, 60), "M0": (1, 2)},
        {"T1": 900.0, "T2": 40.0}, {"bounds": {"B0": (-90, 90)}},
    ),
    "T2, slice profile": (
        TRAIN, ("T2", "M0"), {"T2": (20, 200), "M0": (1, 2)}, {"T1": 900.0}, {"slice_prof": [0.5, 0.8, 1.0]},
    ),
    "T2, truncated": (TRAIN, ("T2", "M0"), {"T2": (20, 200), "M0": (1, 2)}, {"T1": 900.0}, {"nstates": 6}),
    "T1 of a steady state": (
        epgnumba.FSE([140.0] * 8, 10, TR=900), ("M0", "T1", "T2"), {"T1": (300, 1500), "T2": (30, 150), "M0": (1, 2)},
        {}, {},
    ),
    "T2 of a mean over angles": (
        DESS(30.0, TR=20.0, TE=5.0), ("M0", "T2"), {"T2": (30, 150), "M0": (1, 2)}, {"T1": 900.0},
        {"bounds": {"T2": (10, 300)}},
    ),
    "D": (
        DIFFUSION, ("D", "M0"), {"D": (0.3, 2.5), "M0": (1, 2)}, {"T1": 900.0, "T2": 70.0}, {"bounds": {"D": (0, 4)}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["real M0", "complex M0", "magnitude"])
@pytest.mark.parametrize("name", RECOVERED)
def test_noiseless_maps_are_recovered(name, kind):
    sequence, unknowns, ranges, known, options = RECOVERED[name]
    if kind != "real M0" and "M0" not in unknowns:
        pytest.skip("M0 is known")
    if kind == "magnitude" and "B0" in unknowns:
        pytest.skip("magnitudes do not see B0")
    if kind == "magnitude" and len(unknowns) == 4:
        pytest.skip("an inverted signal's magnitude has a kink at zero, and a local minimum for every place of it")
    truth = maps_of((7, 5), **ranges)
    playing = {name: options[name] for name in ("slice_prof", "nstates") if name in options}
    data = epgnumba.simulate(sequence, **known, **truth, **playing)
    limits = {"bounds": BELOW} if "B1" in unknowns and sequence is TRAIN else {}
    if kind == "complex M0":
        turn = np.exp(1j * np.arange(35).reshape(7, 5))
        data, truth["M0"] = data * turn[..., None], truth["M0"] * turn
    if kind == "magnitude":
        data, truth["M0"] = abs(data), abs(truth["M0"])
    found = fit(sequence, data, unknowns, **{**limits, **options}, **known, complex_M0=kind == "complex M0")
    assert (found.status == Status.CONVERGED).all()
    for unknown in unknowns:
        size = np.maximum(abs(truth[unknown]), 1.0)
        assert np.max(abs(found.maps[unknown] - truth[unknown]) / size) < 1e-8, unknown
    assert np.max(found.residual / np.linalg.norm(data, axis=-1)) < 1e-8


def residuals(sequence, data, kind, noise, known, names, weights):
    """What scipy is given: nothing of the package but `simulate`."""
    root = np.sqrt(weights)

    def function(x):
        signal = epgnumba.simulate(sequence, **known, **dict(zip(names, x, strict=True)))
        if kind == "complex":
            rest = root * (data - signal)
            return np.concatenate([rest.real, rest.imag])
        size = abs(signal)
        if kind == "rician":
            level = noise / root
            size = level * np.sqrt(np.pi / 2) * special.eval_laguerre(0.5, -(size**2) / (2 * level**2))
        return root * (data - size)

    return function


@pytest.mark.parametrize("kind", ["complex", "magnitude", "rician"])
def test_scipy_agrees_voxel_by_voxel(kind):
    noise, names = 0.02, ("M0", "T2", "B1")
    truth = maps_of(12, M0=(1, 2), T2=(30, 150), B1=(0.65, 0.95))
    data = noisy(epgnumba.simulate(TRAIN, 900.0, **truth), noise)
    data = data if kind == "complex" else abs(data)
    weights = np.linspace(0.5, 2, 24)
    given = {"noise": noise} if kind == "rician" else {}
    found = fit(TRAIN, data, names, T1=900.0, bounds=BELOW, weights=weights, **given)
    for v in range(12):
        function = residuals(TRAIN, data[v], kind, noise, {"T1": 900.0}, names, weights)
        answer, start = ([maps[name][v] for name in names] for maps in (found.maps, truth))
        tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "jac": "3-point", "x_scale": start}
        within = ([0, 1, 0.5], [np.inf, 5000, 1.1])
        runs = [optimize.least_squares(function, x, bounds=within, **tight) for x in (start, np.multiply(answer, 0.99))]
        best = min(runs, key=lambda run: run.cost)
        assert found.residual[v] ** 2 == pytest.approx(2 * best.cost, rel=1e-9)
        assert answer == pytest.approx(best.x, rel=3e-5)
        if kind != "rician":
            samples = 48 if kind == "complex" else 24
            covariance = np.linalg.inv(best.jac.T @ best.jac) * 2 * best.cost / (samples - 3)
            assert found.covariance[v] == pytest.approx(covariance, rel=1e-3)


def test_deviations_are_those_of_the_bound():
    """20,000 draws at high SNR: unbiased, the variance of the bound within 5 %, and told so by the covariance."""
    count, noise, names = 20_000, 0.004, ("M0", "T2", "B1")
    truth = {"M0": 1.0, "T2": 80.0, "B1": 0.8}
    signal, slopes = epgnumba.jacobian(TRAIN, 900.0, **truth, diff=names)
    bound = epgnumba.crlb(slopes, noise=noise)
    found = fit(TRAIN, noisy(np.tile(signal, (count, 1)), noise), names, T1=900.0, bounds=BELOW, noise=noise)
    assert (found.status == Status.CONVERGED).all()
    for name, variance in zip(names, bound, strict=True):
        errors = found.maps[name] - truth[name]
        assert abs(errors.mean()) < 5 * np.sqrt(variance / count), name
        assert errors.var() == pytest.approx(variance, rel=0.05)
        assert (found.std[name] ** 2).mean() == pytest.approx(variance, rel=0.05)


def test_magnitudes_with_noise_are_unbiased():
    """At a few times the noise, where magnitudes alone make T2 longer; deviations are as the covariance says."""
    count, noise, names = 20_000, 0.1, ("M0", "T2")
    signal = np.tile(epgnumba.simulate(TRAIN, 900.0, 60.0), (count, 1))
    data = abs(noisy(signal, noise))
    plain, right = fit(TRAIN, data, names, T1=900.0), fit(TRAIN, data, names, T1=900.0, noise=noise)
    bias = plain.maps["T2"].mean() - 60
    assert bias > 8
    spread = right.maps["T2"].std()
    # The curvature of an estimate adds a bias of the order of its variance over its size.
    assert abs(right.maps["T2"].mean() - 60) < 1.5 * spread**2 / 60
    assert abs(right.maps["T2"].mean() - 60) < 0.1 * bias
    assert right.std["T2"].mean() == pytest.approx(spread, rel=0.1)


def test_residuals_tell_the_noise():
    noise = 0.01
    data = noisy(np.tile(epgnumba.simulate(TRAIN, 900.0, 60.0, M0=2.0), (5000, 1)), noise)
    told, own = (fit(TRAIN, data, ("M0", "T2"), T1=900.0, **given) for given in ({"noise": noise}, {}))
    assert np.array_equal(told.maps["T2"], own.maps["T2"])
    assert (own.covariance[:, 1, 1].mean() / told.covariance[:, 1, 1].mean()) == pytest.approx(1, rel=0.02)
    assert (told.residual**2).mean() == pytest.approx((48 - 2) * noise**2, rel=0.02)


def test_a_complex_m0_has_two_columns():
    signal, slopes = epgnumba.jacobian(TRAIN, 900.0, 60.0, M0=1.0, diff=("T2", "M0"))
    m0 = 2 - 1.5j
    found = fit(TRAIN, m0 * signal, ("T2", "M0"), T1=900.0, complex_M0=True, noise=0.01)
    columns = np.array([m0 * slopes[0], slopes[1], 1j * slopes[1]])
    expected = np.linalg.inv((columns @ columns.conj().T).real) * 0.01**2
    assert found.maps["M0"] == pytest.approx(m0)
    assert found.covariance == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert found.std["M0"] == pytest.approx(np.sqrt(expected[1, 1] + expected[2, 2]))


@pytest.mark.parametrize(
    ("name", "truth", "bounds"), [("T2", 300.0, (10, 120)), ("T2", 20.0, (50, 500)), ("T1", 3e3, (200, 1500))]
)
def test_what_lies_beyond_a_bound(name, truth, bounds):
    """The unknown is put on its bound, which is flagged; the other is the best for it, with the covariance of that."""
    known = {"T2": 60.0} if name == "T1" else {"T1": 900.0}
    sequence = PRINT if name == "T1" else TRAIN
    data = noisy(epgnumba.simulate(sequence, **known, **{name: truth}, M0=2.0), 0.01)
    found = fit(sequence, data, ("M0", name), **known, bounds={name: bounds}, noise=0.01)
    end = bounds[int(truth > bounds[1])]
    assert found.status == Status.AT_BOUND
    assert found.maps[name] == end
    alone = fit(sequence, data, ("M0",), **known, **{name: end}, noise=0.01)
    assert found.maps["M0"] == pytest.approx(alone.maps["M0"], rel=1e-10)
    assert found.covariance[0, 0] == pytest.approx(alone.covariance[0, 0], rel=1e-9)
    assert np.isnan(found.covariance[1]).all()
    assert np.isnan(found.covariance[0, 1])


def test_b1_at_one_where_the_signal_is_even():
    """Around 180 degrees nothing tells 0.97 from 1.03; within one side it is found, and not lost on the bound."""
    train = epgnumba.FSE([180.0] * 24, 9)
    truth = np.array([0.8, 0.95, 0.99])
    data = epgnumba.simulate(train, 900.0, 70.0, B1=truth)
    with pytest.raises(ValueError, match=r"bounds are not allowed: .* leave the same data"):
        fit(train, data, ("M0", "T2", "B1"), T1=900.0)
    found = fit(train, data, ("M0", "T2", "B1"), T1=900.0, bounds={"B1": (0.5, 1.0)})
    assert found.maps["B1"] == pytest.approx(truth, abs=1e-7)
    exact = fit(train, epgnumba.simulate(train, 900.0, 70.0), ("M0", "T2", "B1"), T1=900.0, bounds={"B1": (0.5, 1.0)})
    assert exact.maps["T2"] == pytest.approx(70, rel=1e-6)
    assert exact.maps["B1"] == pytest.approx(1, abs=1e-3)


def test_unknowns_that_some_voxels_cannot_tell_are_flagged():
    """T1 where the known B1 makes all pulses of 180 degrees: there nothing depends on it."""
    train = epgnumba.FSE([200.0] * 24, 9)
    B1 = np.array([0.8, 0.9, 0.95])
    data = epgnumba.simulate(train, 900.0, 70.0, B1=B1)
    found = fit(train, data, ("M0", "T1", "T2"), B1=B1)
    assert found.status.tolist() == [Status.CONVERGED, Status.SINGULAR, Status.CONVERGED]
    assert np.isnan([found.maps[name][1] for name in ("M0", "T1", "T2")]).all()
    assert np.isnan(found.covariance[1]).all()
    assert found.maps["T1"][[0, 2]] == pytest.approx(900.0, rel=1e-6)


BAD = {
    "zeros": (0.0, Status.DARK),
    "NaN": (np.nan, Status.NOT_FINITE),
    "inf": (np.inf, Status.NOT_FINITE),
    "huge": (1e200, Status.NOT_FINITE),
}


@pytest.mark.parametrize("kind", ["complex", "complex M0", "magnitude", "rician"])
def test_bad_voxels_spoil_no_other(kind):
    truth = maps_of(40, T2=(30, 150), B1=(0.6, 0.95))
    data = noisy(epgnumba.simulate(TRAIN, 900.0, **truth), 0.002)
    data = abs(data) if kind in ("magnitude", "rician") else data
    options = {"complex_M0": kind == "complex M0", "bounds": BELOW, **({"noise": 0.002} if kind == "rician" else {})}
    good = fit(TRAIN, data, ("M0", "T2", "B1"), T1=900.0, **options)
    mixed = data.copy()
    for n, (value, _) in enumerate(BAD.values()):
        mixed[7 * n + 3] = value
    mixed[30, 5] = np.nan
    found = fit(TRAIN, mixed, ("M0", "T2", "B1"), T1=900.0, **options)
    places = [7 * n + 3 for n in range(len(BAD))] + [30]
    assert found.status[places].tolist() == [status for _, status in BAD.values()] + [Status.NOT_FINITE]
    assert not found.converged[places].any()
    for name in ("M0", "T2", "B1"):
        assert np.isnan(found.maps[name][places]).all()
        rest = np.delete(np.arange(40), places)
        assert np.array_equal(found.maps[name][rest], good.maps[name][rest])
    assert np.isnan(found.residual[places]).all()


@pytest.mark.parametrize("kind", ["complex", "complex, noise known", "rician"])
def test_noise_alone_is_dark(kind):
    data = noisy(np.zeros((2000, 24)), 0.1)
    data = abs(data) if kind == "rician" else data
    given = {} if kind == "complex" else {"noise": 0.1}
    found = fit(TRAIN, data, ("M0", "T2"), T1=900.0, **given)
    assert (found.status == Status.DARK).mean() > 0.995
    assert np.isnan(found.maps["T2"][found.status == Status.DARK]).all()


def same(a: Fit, b: Fit, order=slice(None)):
    for name in a.unknowns:
        assert np.array_equal(a.maps[name][order], b.maps[name], equal_nan=True)
    for name in ("residual", "status", "iterations", "covariance"):
        assert np.array_equal(getattr(a, name)[order], getattr(b, name), equal_nan=True), name


def test_bits_do_not_depend_on_company(monkeypatch):
    """Neither on the order of voxels, nor on blocks, nor on threads, nor on whether there are others."""
    count = 700
    truth = maps_of(count, T2=(30, 150), B1=(0.6, 0.95), M0=(1, 2))
    T1 = np.random.default_rng(5).uniform(600, 1200, count)
    data = abs(noisy(epgnumba.simulate(TRAIN, T1, **truth), 0.02))
    ask = {"unknowns": ("M0", "T2", "B1"), "bounds": BELOW, "noise": 0.02}
    whole = fit(TRAIN, data, T1=T1, **ask)
    order = np.random.default_rng(6).permutation(count)
    same(whole, fit(TRAIN, data[order], T1=T1[order], **ask), order)
    for threads, block in ((1, 1024), (2, 16), (3, 48)):
        monkeypatch.setattr(voxels, "BLOCK", block)
        epgnumba.set_num_threads(threads)
        try:
            same(whole, fit(TRAIN, data, T1=T1, **ask))
        finally:
            epgnumba.set_num_threads(None)
    for v in (3, 400):
        same(whole, fit(TRAIN, data[v : v + 1], T1=T1[v : v + 1], **ask), slice(v, v + 1))


def test_known_maps_of_all_kinds_lead_to_starts():
    """Whatever varies from voxel to voxel: the start takes account of it, and the fit of its value."""
    known = maps_of(30, T1=(300, 2500), T2=(20, 250), M0=(0.5, 2))
    sequence = epgnumba.sequence.BSSFP([20.0, 40.0, 60.0, 30.0], 2.5, 5.0)
    B1 = np.random.default_rng(9).uniform(0.55, 1, 30)
    found = fit(sequence, epgnumba.simulate(sequence, **known, B1=B1), "B1", **known, bounds={"B1": (0.5, 1.05)})
    assert found.maps["B1"] == pytest.approx(B1, rel=1e-8)
    field = maps_of(30, B0=(-60, 60), D=(0.3, 2.5), T1=(300, 2500), inv_efficiency=(0.7, 1))
    T2 = np.random.default_rng(9).uniform(30, 120, 30)
    data = epgnumba.simulate(DIFFUSION, **field, T2=T2)
    assert fit(DIFFUSION, data, ("M0", "T2"), **field).maps["T2"] == pytest.approx(T2, rel=1e-8)
    infinite = fit(TRAIN, epgnumba.simulate(TRAIN, np.inf, T2), ("M0", "T2"), T1=np.full(30, np.inf))
    assert infinite.maps["T2"] == pytest.approx(T2, rel=1e-8)


def test_a_mask_leaves_voxels_out():
    data = epgnumba.simulate(TRAIN, 900.0, np.linspace(40, 90, 12).reshape(3, 4))
    mask = np.arange(12).reshape(3, 4) % 3 > 0
    T1 = np.where(mask, 900.0, np.nan)
    data[~mask] = -1
    found = fit(TRAIN, data, ("M0", "T2"), T1=T1, mask=mask)
    assert (found.status == np.where(mask, Status.CONVERGED, Status.OUTSIDE)).all()
    assert found.maps["T2"][mask] == pytest.approx(np.linspace(40, 90, 12).reshape(3, 4)[mask])
    assert np.isnan(found.maps["T2"][~mask]).all()
    assert (found.iterations[~mask] == 0).all()
    nothing = fit(TRAIN, data, ("M0", "T2"), T1=900.0, mask=np.zeros((3, 4), bool))
    assert (nothing.status == Status.OUTSIDE).all()


def test_weights_leave_readouts_out():
    T2 = np.array([50.0, 80.0])
    data = epgnumba.simulate(TRAIN, 900.0, T2)
    data[:, :3] = np.nan
    weights = np.arange(24) > 2
    found = fit(TRAIN, data, ("M0", "T2"), T1=900.0, weights=weights.astype(float))
    assert found.maps["T2"] == pytest.approx(T2, rel=1e-9)


def test_a_single_voxel_and_any_type():
    data = 1000 * abs(epgnumba.simulate(TRAIN, 900.0, 60.0))
    for kind in (np.uint16, np.int32, np.float32):
        found = fit(TRAIN, data.astype(kind), T1=900.0)
        assert found.maps["T2"].shape == ()
        assert found.maps["T2"] == pytest.approx(60.0, rel=1e-2)
    assert "M0, T2 of 1 voxels: 1 converged" in str(found)


def test_steps_that_run_out_are_no_answer():
    data = noisy(np.tile(epgnumba.simulate(TRAIN, 900.0, 60.0), (50, 1)), 0.1)
    found = fit(TRAIN, data, ("M0", "T2"), T1=900.0, max_iterations=2)
    assert (found.status == Status.UNFINISHED).all()
    assert np.isnan(found.maps["T2"]).all()
    assert (found.iterations >= 2).all()


def test_progress_is_shown(capsys):
    data = epgnumba.simulate(TRAIN, 900.0, np.linspace(40, 90, 30))
    fit(TRAIN, data, T1=900.0)
    assert capsys.readouterr().err == ""
    fit(TRAIN, data, T1=900.0, progress=True)
    assert "30.0/30.0" in capsys.readouterr().err


def test_interrupting_stops_at_once(monkeypatch):
    """Ctrl-C, in the middle of many voxels."""
    data = noisy(np.tile(epgnumba.simulate(TRAIN, 900.0, 60.0), (60_000, 1)), 0.02)
    ask = {"T1": 900.0, "bounds": BELOW}
    played, ended, original = [], [], engine.Job.play

    def play(self, table, count, *args):
        played.append(count)
        if len(ended) == 1 and sum(played) > ended[0] / 4:
            ended.append(0)
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, table, count, *args)

    monkeypatch.setattr(engine.Job, "play", play)
    fit(TRAIN, data[:6000], ("M0", "T2", "B1"), **ask)
    ended.append(sum(played))  # a tenth of all voxels' steps
    played.clear()
    with pytest.raises(KeyboardInterrupt):
        fit(TRAIN, data, ("M0", "T2", "B1"), **ask)
    assert sum(played) < 5 * ended[0]


@pytest.mark.parametrize(
    ("unknowns", "sequence", "message"),
    [
        (("M0", "T1"), epgnumba.FSE([180.0] * 8, 9), "unknowns: T1 .* cannot see it"),
        (("M0", "T2", "inv_efficiency"), epgnumba.FSE([150.0] * 8, 9), "unknowns: inv_efficiency .* cannot see it"),
        (("M0", "T2", "B0"), epgnumba.FSE([150.0] * 8, 9), "unknowns: B0 .* cannot see it"),
        (("M0", "T1"), epgnumba.sequence.SPGR(15.0, TR=20.0, TE=[2.0, 4.0, 6.0]), "tell them apart"),
        (("M0", "B1"), epgnumba.FSE([180.0] * 8, 9), "leave the same data"),
    ],
)
def test_what_no_voxel_can_tell_is_refused(unknowns, sequence, message):
    known = {name: value for name, value in {"T1": 900.0, "T2": 70.0}.items() if name not in unknowns}
    signal = epgnumba.simulate(sequence, 900.0, 70.0)
    with pytest.raises(ValueError, match=message):
        fit(sequence, signal, unknowns, bounds={"B0": (-9, 9)} if "B0" in unknowns else None, **known)


def test_no_voxels():
    found = fit(TRAIN, np.ones((0, 3, 24)), ("M0", "T2"), T1=np.ones((0, 1)))
    assert found.maps["T2"].shape == found.status.shape == (0, 3)
    assert found.covariance.shape == (0, 3, 2, 2)
