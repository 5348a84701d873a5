"""Slice profiles by kind of pulse, and pulses that make them, beside other programs and Bloch's equations."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from scipy.linalg import expm
from scipy.special import erfc

import epgnumba
import epgnumba.torch
from epgnumba import FSE, pulses, sequence, simulate, vjp
from epgnumba.derivatives import push_forward
from epgnumba.design import CRLBObjective
from epgnumba.problem import read_problem
from epgnumba.sequence import Inversion, Pulse, Readout, Shift, Wait

RNG = np.random.default_rng(20)
FLIP = np.array([150.0, 120.0, 160.0, 140.0, 95.0])
TISSUE = {"T1": 900.0, "T2": np.array([70.0, 45.0, 30.0]), "B1": 0.9}
PROFILE = {"excitation": RNG.uniform(-0.1, 1.1, 4), "refocusing": RNG.uniform(0.4, 1.1, 4)}
STIMFIT = json.loads((Path(__file__).parent / "stimfit.json").read_text())


def own(p):
    """Pulses of three kinds, an inversion, which no profile scales, and one of a family's preparations."""
    yield [
        Inversion(0.9),
        Wait(p.TI),
        *sequence.t2_preparation(20.0, p.prep),
        Pulse(p.exc),
        Wait(3.0),
        Readout(),
        Shift(1),
    ]
    for _ in range(3):
        yield [Wait(5.0), Pulse(p.ref, 90.0, "refocusing"), Shift(1), Wait(5.0), Readout(), Shift(1)]


def played(exc, ref, prep=90.0):
    return epgnumba.EventSequence(own, TI=100.0, exc=exc, ref=ref, prep=prep)


@pytest.mark.parametrize("more", [{}, {"T2": 60.0}, {"B0": 20.0}, {"T1": np.full(40, 800.0)[:, None]}])
def test_profiles_by_kind_are_the_mean_over_positions(more):
    """Of sequences that play at each position what is left of their flip angles there."""
    tissue = {**TISSUE, **more}
    exc, ref = PROFILE["excitation"], PROFILE["refocusing"]
    each = [simulate(FSE(b * FLIP, ESP=8, exc_flip=90 * a), **tissue) for a, b in zip(exc, ref, strict=True)]
    found = simulate(FSE(FLIP, ESP=8), **tissue, slice_prof=PROFILE)
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-13, atol=1e-15)
    prep = RNG.uniform(0.5, 1, 4)
    each = [simulate(played(70 * a, 160 * b, 90 * c), **tissue) for a, b, c in zip(exc, ref, prep, strict=True)]
    found = simulate(played(70.0, 160.0), **tissue, slice_prof={**PROFILE, "preparation": prep})
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-13, atol=1e-15)


def test_steady_states_have_profiles_too():
    """One that is solved for, and one that is the mean over isochromats."""
    ref = PROFILE["refocusing"]
    for make, kind in (
        (lambda s: FSE(s * FLIP, ESP=8, TR=300.0, exc_flip=90.0 * 0.8), "refocusing"),
        (lambda s: sequence.DESS(30.0 * s, TR=20.0, TE=5.0), "excitation"),
        (lambda s: sequence.BSSFP(40.0 * s, TR=6.0, TE=3.0), "excitation"),
    ):
        profile = {kind: ref} | ({"excitation": 1.0} if kind == "refocusing" else {})
        each = [simulate(make(s), T1=800.0, T2=60.0, B0=11.0 * (kind == "excitation")) for s in ref]
        found = simulate(make(1.0), T1=800.0, T2=60.0, B0=11.0 * (kind == "excitation"), slice_prof=profile)
        np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-12, atol=1e-15)


def test_one_profile_is_the_same_by_kind():
    one = PROFILE["refocusing"]
    both = {"excitation": one, "refocusing": one}
    np.testing.assert_array_equal(
        simulate(FSE(FLIP, ESP=8), **TISSUE, slice_prof=one), simulate(FSE(FLIP, ESP=8), **TISSUE, slice_prof=both)
    )


def test_derivatives_by_profiles():
    """Back beside forward, which is a complex step, and beside differences; a number is one for all positions."""
    given = {"excitation": 0.8, "refocusing": PROFILE["refocusing"]}
    train, bar = FSE(FLIP, ESP=8, TR=400.0), RNG.normal(size=(3, 5)) + 1j * RNG.normal(size=(3, 5))
    bars = vjp(train, **TISSUE, slice_prof=given, signal_bar=bar)
    assert bars["slice_prof.excitation"].shape == ()
    problem = read_problem(train, **TISSUE, slice_prof=given)

    def product(name, direction):
        return float((bar.conj() * push_forward(problem, {name: direction})[0]).real.sum())

    np.testing.assert_allclose(
        product("slice_prof.excitation", np.array(1.0)), bars["slice_prof.excitation"], rtol=1e-12
    )
    for n, unit in enumerate(np.eye(4)):
        np.testing.assert_allclose(product("slice_prof.refocusing", unit), bars["slice_prof.refocusing"][n], rtol=1e-12)

    def scalar(x):
        signal = simulate(train, **TISSUE, slice_prof={"excitation": x[0], "refocusing": x[1:]})
        return (bar.conj() * signal).real.sum()

    x = np.array([0.8, *PROFILE["refocusing"]])
    steps = [(scalar(x + 1e-5 * u) - scalar(x - 1e-5 * u)) / 2e-5 for u in np.eye(5)]
    np.testing.assert_allclose([bars["slice_prof.excitation"], *bars["slice_prof.refocusing"]], steps, rtol=1e-7)


def test_torch_keeps_the_gradient_of_every_profile():
    exc = torch.tensor([0.7, 1.0], dtype=torch.float64, requires_grad=True)
    ref = torch.tensor([0.6, 0.9], dtype=torch.float64, requires_grad=True)

    def results(a, b):
        profile = {"excitation": a, "refocusing": b}
        pair = epgnumba.torch.jacobian(FSE(FLIP[:3], ESP=8), 900.0, 60.0, diff=("T2", "B1"), slice_prof=profile)
        return tuple(map(torch.view_as_real, pair))

    assert torch.autograd.gradcheck(results, (exc, ref))
    assert torch.autograd.gradgradcheck(results, (exc, ref))
    one_call = epgnumba.fse_sim(FLIP, 8, 900, 60, slice_prof={"excitation": exc, "refocusing": 1.0})
    assert one_call.requires_grad


def test_bounds_and_designs_with_profiles():
    options = {"unknowns": ("M0", "T2", "B1"), "variables": ("flip",), "noise": 0.01, "slice_prof": PROFILE}
    for more in ({}, {"criterion": "D"}):  # from one kernel, and through amplitudes
        objective = CRLBObjective(FSE(FLIP, ESP=8), 900.0, [60.0, 40.0], **options, **more)
        x, p = objective.x0, RNG.normal(size=5)
        _, slopes = epgnumba.jacobian(
            FSE(FLIP, ESP=8), 900.0, [60.0, 40.0], diff=options["unknowns"], slice_prof=PROFILE
        )
        np.testing.assert_allclose(objective.bounds(x), epgnumba.crlb(slopes, noise=0.01), rtol=1e-12)
        slope = (objective(x + 1e-4 * p)[0] - objective(x - 1e-4 * p)[0]) / 2e-4
        np.testing.assert_allclose(objective(x)[1] @ p, slope, rtol=1e-6)
        turn = (objective(x + 1e-4 * p)[1] - objective(x - 1e-4 * p)[1]) / 2e-4
        np.testing.assert_allclose(objective.hessp(x, p), turn, rtol=1e-5, atol=1e-7 * abs(turn).max())


@pytest.mark.parametrize("vendor", ["ge", "philips", "siemens"])
def test_stimfit(vendor):
    """Profiles of three scanners' pulses, and what ukat's StimFit makes of them."""
    case, tissue = STIMFIT[vendor], {"T1": 1500.0, "T2": 100.0, "B1": 0.95}
    train = sequence.MultiSpinEcho(echoes=10, ESP=12.9)
    profile = {"excitation": np.array(case["excitation"]) / 90, "refocusing": np.array(case["refocusing"]) / 180}
    np.testing.assert_allclose(simulate(train, **tissue, slice_prof=profile), case["echoes"], rtol=1e-11)
    np.testing.assert_allclose(simulate(train, **tissue), STIMFIT["non_selective"], rtol=1e-11)


def saturated(p):
    """Two kinds of pulses that turn nothing, where the profile is zero, and one that reads what they left."""
    yield [Pulse(p.first, kind="first"), Pulse(p.second, kind="second"), Wait(p.wait), Pulse(90.0, 90.0), Readout()]


def test_a_bound_pool_is_saturated_by_power_whatever_the_profile():
    """Z of both pools by the exponential of the matrix of exchange; pulses of each kind last as long as they do."""
    T1, T1b, k, f, lineshape = 900.0, 300.0, 0.05, 0.15, 12.0
    flips, times = np.array([200.0, 350.0]), np.array([0.5, 2.0])
    train = epgnumba.EventSequence(saturated, first=flips[0], second=flips[1], wait=8.0)
    train = train.on_scanner(rf_duration={"first": times[0], "second": times[1], "excitation": 0.1})
    pool = {"bound_fraction": f, "exchange": 1000 * k, "T1_bound": T1b, "lineshape": lineshape}
    left = np.exp(-np.pi * lineshape / 1000 * (np.deg2rad(flips) ** 2 / times).sum())
    matrix = np.array([[-1 / T1 - k * f, k * (1 - f)], [k * f, -1 / T1b - k * (1 - f)]])
    rest = np.array([1 - f, f])
    z = rest + expm(8.0 * matrix) @ (rest * [1, left] - rest)
    profile = {"first": 0.0, "second": 0.0, "excitation": 1.0}
    tissue = {"T1": T1, "T2": 50.0, **pool}
    np.testing.assert_allclose(simulate(train, **tissue, slice_prof=profile), z[:1], rtol=1e-12)
    bars = vjp(train, **tissue, slice_prof=profile, signal_bar=[1.0])
    for name, value in (("first", flips[0]), ("second", flips[1])):
        up, down = (
            simulate(train.replace(**{name: value + h}), **tissue, slice_prof=profile)[0].real for h in (1e-3, -1e-3)
        )
        np.testing.assert_allclose(bars[name], (up - down) / 2e-3, rtol=1e-6)
    for given, message in (
        ({"first": 1.0}, "says nothing of 'excitation'"),
        ({"first": 1.0, "second": 1.0, "excitation": 1.0, "third": 1.0}, "'third' is no kind of pulse"),
        ({"first": 1.0, "second": -1.0, "excitation": 1.0}, "rf_duration.second=-1"),
        ({}, "of each kind of pulse"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(train.on_scanner(rf_duration=given), **tissue)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"excitation": [1.0]}, "says nothing of 'refocusing'"),
        ({"excitation": [1.0], "refocusing": 1.0, "inversion": 1.0}, "'inversion' is no kind of pulse"),
        ({"excitation": [1.0, 0.9], "refocusing": [1.0, 0.8, 0.7]}, "of one length"),
        ({"excitation": [1.0, np.nan], "refocusing": 1.0}, r"slice_prof.excitation\[1\]=nan"),
        ({"excitation": 1.0, "refocusing": [[1.0]]}, r"slice_prof.refocusing has shape \(1, 1\)"),
        ({"excitation": 1.0, "refocusing": 50.0}, "slice_prof.refocusing=50"),
        ({}, "for each kind of pulse"),
    ],
)
def test_bad_profiles(given, message):
    with pytest.raises(ValueError, match=message):
        simulate(FSE(FLIP, ESP=8), **TISSUE, slice_prof=given)


def test_bad_kinds():
    for kind in ("", "a pulse", 3, None):
        with pytest.raises(ValueError, match="Pulse.kind="):
            Pulse(90.0, kind=kind)
    with pytest.raises(TypeError, match="kind of pulse"):
        simulate(FSE(FLIP, ESP=8), **TISSUE, slice_prof={1: 1.0})


def bloch(pulse, flip, offset, B1):
    """Z after a pulse, by integrating Bloch's equations."""
    step, n = pulse.duration / len(pulse.samples), len(pulse.samples)
    field = np.deg2rad(flip) * B1 * pulse.samples / pulse.samples.sum() / step

    def slope(t, m):
        w = field[min(int(t / step), n - 1)]
        return np.cross([w.real, w.imag, 2 * np.pi * offset], m)

    m = np.array([0.0, 0.0, 1.0])
    for k in range(n):  # a sample at a time, within which the field is constant
        m = solve_ivp(slope, (k * step, (k + 1) * step * (1 - 1e-15)), m, rtol=1e-11, atol=1e-13).y[:, -1]
    return m[2]


@pytest.mark.parametrize("flip", [30.0, 90.0, 180.0])
def test_flip_angles_across_a_slice(flip):
    pulse = pulses.sinc(2.0, 4, "hamming", samples=24)
    chirp = pulses.Waveform(pulse.samples * np.exp(0.3j * np.arange(24)), 2.0)
    for one in (pulse, chirp):
        for offset, B1 in ((0.3, 1.0), (0.9, 0.8), (1.7, 1.1), (-0.6, 1.0)):
            found = one.flips(flip, offset, B1)
            np.testing.assert_allclose(np.cos(np.deg2rad(found)), bloch(one, flip, offset, B1), atol=1e-8)
    np.testing.assert_allclose(pulse.flips(flip, 0.0), flip, rtol=1e-12)


@pytest.mark.parametrize("pulse", [pulses.hard(1.0), pulses.sinc(3.0, 4), pulses.gaussian(2.0)])
def test_rotations_beyond_180_degrees(pulse):
    """On resonance what the amplitude says; nearby the sense of the rotation, by the sine of a hard pulse's angle."""
    for flip in (150.0, 190.0, 270.0, -200.0):
        np.testing.assert_allclose(pulse.flips(flip, 0.0), flip, rtol=1e-12)
    assert pulse.profile(180.0, [0.0], B1=1.3) == pytest.approx([1.0], rel=1e-12)
    mixed = [Pulse(60.0), Wait(3.0), Pulse(180.0, kind="refocusing"), Wait(3.0), Pulse(40.0), Readout()]
    train = epgnumba.EventSequence(lambda p: mixed)
    profile = {"excitation": 1.0, "refocusing": pulse.profile(180.0, [0.0], B1=1.2)}
    np.testing.assert_allclose(
        simulate(train, 1000.0, 80.0, B1=1.2, slice_prof=profile), simulate(train, 1000.0, 80.0, B1=1.2), rtol=1e-12
    )


def test_hard_pulses_off_resonance():
    """sin(a/2) = w1/W sin(W t/2), W being the field that is tilted."""
    field, offsets = np.deg2rad(140.0) / 0.8, np.linspace(-3, 3, 13)
    tilted = np.hypot(field, 2 * np.pi * offsets)
    sine = field / tilted * np.sin(tilted * 0.8 / 2)
    np.testing.assert_allclose(pulses.hard(0.8).flips(140.0, offsets), np.rad2deg(2 * np.arcsin(sine)), rtol=1e-12)


@pytest.mark.parametrize("pulse", [pulses.sinc(3.0, 6), pulses.gaussian(2.0), pulses.Waveform([1, 2j, 3, 1 - 1j], 0.4)])
def test_small_flips_are_the_spectrum(pulse):
    """The small tip angle approximation (J. Pauly et al., J Magn Reson 81 (1989) 43); complex ones in magnitude."""
    step, offsets = pulse.duration / len(pulse.samples), np.linspace(0, 2, 9)
    times = (np.arange(len(pulse.samples)) + 0.5) * step - pulse.duration / 2
    spectrum = np.exp(-2j * np.pi * offsets[:, None] * times) @ pulse.samples / pulse.samples.sum()
    spectrum *= np.sinc(offsets * step)
    expected = spectrum.real if not pulse.samples.imag.any() else abs(spectrum)
    np.testing.assert_allclose(pulse.flips(1e-4, offsets) / 1e-4, expected, atol=1e-9)


def test_effective_durations():
    assert pulses.hard(0.7).effective_duration == pytest.approx(0.7, rel=1e-15)
    pulse = pulses.gaussian(4.0, 6.0, samples=2000)  # sqrt(2 pi) sigma 2 / sqrt(2)
    sigma = np.sqrt(2 * np.log(2)) / (np.pi * 6.0 / 4.0)
    assert pulse.effective_duration == pytest.approx(2 * np.sqrt(np.pi) * sigma, rel=1e-6)


def test_half_of_a_symmetric_slice_is_enough():
    pulse, z = pulses.sinc(3.0, 4), pulses.positions(12, 1.5)
    half, whole = ({"excitation": pulse.profile(90, x), "refocusing": pulse.profile(180, x, thickness=1.3)}
                   for x in (z, np.concatenate([-z, z])))  # fmt: skip
    train = FSE(FLIP, ESP=8)
    np.testing.assert_allclose(
        simulate(train, **TISSUE, slice_prof=half), simulate(train, **TISSUE, slice_prof=whole), rtol=1e-12
    )


@pytest.mark.parametrize("T2", [8.0, 12.0])
def test_super_lorentzian(T2):
    """What lies between frequencies, by integrating each Gaussian line first; smooth near resonance, as published."""

    def beyond(offset):
        scale = np.sqrt(2) * 2 * np.pi * offset * T2 * 1e-3
        return sum(quad(lambda u: erfc(scale / abs(3 * u * u - 1)), *span, limit=500)[0]
                   for span in ((0, 3**-0.5), (3**-0.5, 1)))  # fmt: skip

    first, last = 2.0, 9.0  # kHz
    between = 2 * quad(lambda x: float(pulses.super_lorentzian(x, T2)), first, last)[0] * 2 * np.pi * 1e-3
    np.testing.assert_allclose(between, beyond(first) - beyond(last), rtol=1e-8)
    around = pulses.super_lorentzian([1.5 - 1e-4, 1.5, 1.5 + 1e-4], T2)
    np.testing.assert_allclose(around[0] - around[1], around[1] - around[2], rtol=1e-3)
    assert pulses.super_lorentzian(0.0, 12.0) == pytest.approx(15.1, rel=0.02)  # Malik et al., 2018
    np.testing.assert_array_equal(pulses.super_lorentzian([-3.0, 3.0]), pulses.super_lorentzian([3.0, -3.0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pulses.super_lorentzian([np.inf]), ValueError, "offset"),
        (lambda: pulses.super_lorentzian(1.0, -2.0), ValueError, "T2_bound=-2"),
        (lambda: pulses.Waveform([1.0, -1.0], 1.0), ValueError, "sum up to nothing"),
        (lambda: pulses.Waveform([[1.0]], 1.0), ValueError, "one dimension"),
        (lambda: pulses.Waveform([1.0, np.inf], 1.0), ValueError, "finite"),
        (lambda: pulses.Waveform(["a"], 1.0), TypeError, "samples"),
        (lambda: pulses.Waveform([1.0], 0.0), ValueError, "duration=0"),
        (lambda: pulses.sinc(3.0, 0.1), ValueError, "time_bandwidth=0.1"),
        (lambda: pulses.sinc(3.0, 4, "hanning"), ValueError, "window='hanning'"),
        (lambda: pulses.sinc(3.0, 4, samples=0), ValueError, "samples=0"),
        (lambda: pulses.hard(1.0).profile(0.0, [0.0]), ValueError, "of nothing"),
        (lambda: pulses.hard(1.0).profile(90.0, [np.nan]), ValueError, r"z\[0\]=nan"),
        (lambda: pulses.sinc(3.0, 4).profile(90.0, [0.0], thickness=0.0), ValueError, "thickness=0"),
        (lambda: pulses.positions(0), ValueError, "n=0"),
        (lambda: pulses.positions(3, -1.0), ValueError, "extent=-1"),
    ],
)  # fmt: skip
def test_bad_pulses(call, error, message):
    with pytest.raises(error, match=message):
        call()
