"""Pulses by their waveforms, beside isochromats that are turned by every sample of them at the very B1."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm

import epgnumba
import epgnumba.torch
from epgnumba import FSE, jacobian, pulses, simulate, vjp
from epgnumba.derivatives import push_forward, push_pull
from epgnumba.design import CRLBObjective
from epgnumba.estimate import Dictionary, fit
from epgnumba.problem import read_problem
from epgnumba.sequence import Pulse, Readout, Shift, Wait

RNG = np.random.default_rng(22)
Z = np.array([0.0, 0.28, 0.6, -0.45])
EXCITE = pulses.sinc(2.0, 4, samples=40)
REFOCUS = pulses.Waveform(pulses.gaussian(2.0, 3, samples=40).samples * np.exp(0.05j * np.arange(40)), 2.0, 1.5)
PROFILE = {"excitation": EXCITE.across(Z), "refocusing": REFOCUS.across(Z, thickness=1.3)}
FLIP = np.array([150.0, 180.0, 120.0])


def rotation(wave, offset, angle, phase):
    """By all samples, each about its tilted axis, between the halves of what rephases the gradient's turn."""

    def generator(x, y, z):
        return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])

    samples = angle * wave.samples / wave.samples.sum() * np.exp(1j * phase)
    step = 2 * np.pi * offset * wave.duration / len(samples)
    rephased = expm(generator(0, 0, -np.pi * offset * wave.duration))
    total = rephased
    for sample in samples:
        total = expm(generator(sample.real, sample.imag, step)) @ total
    return rephased @ total


def isochromats(flip, ESP, T1, T2, fields, profile=None, count=64):
    """An echo train across the slice; mean over positions."""
    profile, spread = profile or PROFILE, 2 * np.pi * np.arange(count) / count
    dephasing = np.array([[np.cos(spread), -np.sin(spread)], [np.sin(spread), np.cos(spread)]])
    each = []
    for place in range(len(next(iter(profile.values())).offsets)):
        m, echoes = np.array([[0.0], [0.0], [1.0]]) * np.ones(count), []

        def pulse(m, kind, angle, phase, place=place):
            b = complex(fields[kind])
            across = profile[kind]
            turn = rotation(
                across.waveform, across.offsets[place], abs(b) * np.deg2rad(angle), np.deg2rad(phase) + np.angle(b)
            )
            return turn @ m

        def half(m):
            m = np.stack([*np.einsum("ijn,jn->in", dephasing, m[:2]) * np.exp(-ESP / 2 / T2), m[2]])
            m[2] = 1 + (m[2] - 1) * np.exp(-ESP / 2 / T1)
            return m

        m = pulse(m, "excitation", 90.0, 90.0)
        for angle in flip:
            m = half(pulse(half(m), "refocusing", angle, 0.0))
            echoes.append((m[0] + 1j * m[1]).mean())
        each.append(echoes)
    return np.mean(each, 0)


@pytest.mark.parametrize("B1", [0.8, 1.0, 1.2])
def test_isochromats(B1):
    fields = {"excitation": B1, "refocusing": B1}
    for T2 in (60.0, [60.0, 40.0, 50.0]):
        found = simulate(FSE(FLIP, ESP=8), 900.0, T2, B1=B1, slice_prof=PROFILE)
        expected = isochromats(FLIP, 8, 900.0, 60.0, fields)
        np.testing.assert_allclose(found if np.ndim(T2) == 0 else found[0], expected, rtol=0, atol=1e-12)


def test_isochromats_with_fields_by_kind():
    fields = {"excitation": 0.9 * np.exp(0.4j), "refocusing": np.array([1.1j, 0.8, 1.2])}
    found = simulate(FSE(FLIP, ESP=8), 900.0, 60.0, B1=fields, slice_prof=PROFILE)
    for n in range(3):
        one = {"excitation": fields["excitation"], "refocusing": fields["refocusing"][n]}
        np.testing.assert_allclose(found[n], isochromats(FLIP, 8, 900.0, 60.0, one), rtol=0, atol=1e-12)


def test_bloch_equations():
    """One pulse, beside a solution of the differential equations themselves."""
    from scipy.integrate import solve_ivp

    wave, offset, angle = EXCITE, 0.9, np.deg2rad(150.0) * 0.8
    field = angle * wave.samples / wave.samples.sum() * len(wave.samples) / wave.duration

    def slope(t, m, sample):
        return np.cross([sample.real, sample.imag, 2 * np.pi * offset], m)

    m, step = np.array([0.3, -0.5, 0.8]), wave.duration / len(wave.samples)
    start = expm(np.pi * offset * wave.duration * np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0]]))
    after = start @ m
    for sample in field:
        after = solve_ivp(slope, (0, step), after, args=(sample,), rtol=1e-12, atol=1e-14).y[:, -1]
    np.testing.assert_allclose(rotation(wave, offset, angle, 0.0) @ m, start @ after, atol=1e-10)


def test_hard_pulses_are_flip_angles():
    hard, tissue = pulses.hard(0.5).across([0.0, 0.0]), {"T1": 900.0, "T2": [60.0, 40.0, 50.0], "B1": [0.8, 1.0, 3.1]}
    found = simulate(FSE(FLIP, ESP=8), **tissue, slice_prof={"excitation": hard, "refocusing": hard})
    np.testing.assert_allclose(found, simulate(FSE(FLIP, ESP=8), **tissue), rtol=0, atol=1e-13)
    mixed = {"excitation": [1.0, 0.6], "refocusing": hard}
    fractions = {"excitation": [1.0, 0.6], "refocusing": 1.0}
    np.testing.assert_allclose(
        simulate(FSE(FLIP, ESP=8), **tissue, slice_prof=mixed),
        simulate(FSE(FLIP, ESP=8), **tissue, slice_prof=fractions), rtol=0, atol=1e-13,
    )  # fmt: skip
    shared = simulate(FSE(FLIP, ESP=8), **tissue, slice_prof=hard)
    np.testing.assert_allclose(shared, found, rtol=0, atol=1e-15)


def test_series_are_complete():
    for wave in (EXCITE, REFOCUS):
        for largest in (0.5 * np.pi, np.pi, 4 * np.pi, 20 * np.pi):
            across = wave.across(Z)
            series, angle = across.series(largest), np.linspace(-largest, largest, 41)
            terms = np.cos(np.arange(series.shape[2])[:, None] * np.arccos(angle / largest))
            np.testing.assert_allclose(np.moveaxis(series @ terms, 0, 1), across.quaternions(angle), atol=3e-14)


TERMS = [
    {},
    {"B0": 11.0, "D": 1.0},
    {"bound_fraction": 0.15, "exchange": 30.0},
    {"fraction_b": 0.2, "exchange_b": 20.0, "T1_b": 300.0, "T2_b": 20.0, "shift_b": 13.0},
]


@pytest.mark.parametrize("voxels", [(), (4,)])
@pytest.mark.parametrize("more", TERMS, ids=lambda more: "-".join(more))
@pytest.mark.parametrize("by_kind", [False, True])
def test_derivatives(more, voxels, by_kind):
    """At 180 degrees on the axis as well, where angles before and behind the pulse would be singular."""
    seq = FSE(FLIP, ESP=8, TR=300.0).on_scanner(gradient_area=200.0, rf_duration={"excitation": 0.4, "refocusing": 0.6})
    size = RNG.uniform(0.8, 1.2, voxels) if voxels else 1.0
    B1 = {"excitation": size, "refocusing": np.exp(0.3j) * np.ones(voxels)} if by_kind else size
    names = ("B1.refocusing", "B1_phase.refocusing", "T2") if by_kind else ("B1", "T2")
    profile = {"excitation": EXCITE.across(Z), "refocusing": EXCITE.across(Z, thickness=1.3)}
    tissue = {"T1": 600.0, "T2": 60.0, **more, "B1": B1}
    signal, slopes = jacobian(seq, **tissue, slice_prof=profile, diff=names)
    h = 2e-5

    def played(step):
        if not by_kind:
            return simulate(seq, **{**tissue, "B1": size + step}, slice_prof=profile)
        moved = {**B1, "refocusing": B1["refocusing"] * (1 + step)}
        return simulate(seq, **{**tissue, "B1": moved}, slice_prof=profile)

    difference = (played(h) - played(-h)) / (2 * h)
    np.testing.assert_allclose(slopes[..., 0, :], difference, rtol=0, atol=1e-7)
    bars = [RNG.normal(size=x.shape) + 1j * RNG.normal(size=x.shape) for x in (signal, slopes)]
    pulled = vjp(seq, **tissue, slice_prof=profile, diff=names, signal_bar=bars[0], jacobian_bar=bars[1])
    assert not any(name.startswith("slice_prof") for name in pulled)
    problem = read_problem(seq, **tissue, slice_prof=profile, diff=names)
    for name, bar in pulled.items():
        along = RNG.normal(size=np.shape(bar))
        pushed = push_forward(problem, {name: along})
        product = sum(float((b.conj() * x).real.sum()) for b, x in zip(bars, pushed, strict=True))
        assert product == pytest.approx(float((bar * along).sum()), rel=1e-10, abs=1e-11), name
    along, step = ({name: RNG.normal(size=np.shape(pulled[name])) for name in ("flip", *names)} for _ in range(2))
    one, other = (push_pull(problem, (bars[0], None), x) for x in (along, step))
    products = [sum(float((a[name] * b[name]).sum()) for name in along) for a, b in ((one, step), (other, along))]
    assert products[0] == pytest.approx(products[1], rel=1e-9)


def own(p):
    yield [Pulse(p.exc, 20.0), Shift(1), Wait(4.0), Pulse(p.ref, 50.0, "refocusing"), Wait(4.0), Shift(1), Readout()]
    yield [Pulse(p.exc, 140.0), Wait(2.0), Readout(), Wait(20.0)]


def test_torch():
    T2 = torch.tensor([60.0, 40.0], dtype=torch.float64, requires_grad=True)
    B1 = torch.tensor([0.9, 1.1], dtype=torch.float64, requires_grad=True)
    exc = torch.tensor(80.0, dtype=torch.float64, requires_grad=True)
    train = epgnumba.EventSequence(own, exc=80.0, ref=170.0)

    def results(T2, B1, exc):
        pair = epgnumba.torch.jacobian(
            train, 900.0, T2, B1=B1, diff=("B1",), slice_prof=PROFILE, parameters={"exc": exc}
        )  # fmt: skip
        return tuple(map(torch.view_as_real, pair))

    assert torch.autograd.gradcheck(results, (T2, B1, exc))
    assert torch.autograd.gradgradcheck(results, (T2, B1, exc))


@pytest.mark.parametrize("more", [{}, {"criterion": "D"}])
def test_bounds_and_designs(more):
    options = {"unknowns": ("M0", "T2", "B1"), "variables": ("flip",), "noise": 0.01, "slice_prof": PROFILE, "B1": 0.9}
    train = FSE([150.0, 120.0, 160.0, 140.0], ESP=8)
    objective = CRLBObjective(train, 900.0, [60.0, 40.0], **options, **more)
    x, p = objective.x0, RNG.normal(size=4)
    _, slopes = jacobian(train, 900.0, [60.0, 40.0], diff=options["unknowns"], slice_prof=PROFILE, B1=0.9)
    np.testing.assert_allclose(objective.bounds(x), epgnumba.crlb(slopes, noise=0.01), rtol=1e-11)
    slope = (objective(x + 1e-4 * p)[0] - objective(x - 1e-4 * p)[0]) / 2e-4
    np.testing.assert_allclose(objective(x)[1] @ p, slope, rtol=1e-6)
    turn = (objective(x + 1e-4 * p)[1] - objective(x - 1e-4 * p)[1]) / 2e-4
    np.testing.assert_allclose(objective.hessp(x, p), turn, rtol=1e-5, atol=1e-7 * abs(turn).max())
    far = objective(np.full(4, 400.0))[0]  # beyond the angles that it started with
    assert far == pytest.approx(CRLBObjective(FSE([400.0] * 4, ESP=8), 900.0, [60.0, 40.0], **options, **more)(
        np.full(4, 400.0))[0], rel=1e-9)  # fmt: skip


def test_fits_find_what_isochromats_were_played_with(tmp_path):
    """T2 and B1, where profiles that B1 scales found 78.3 ms in place of 80."""
    sinc, z = pulses.sinc(3.0, 4, samples=64), pulses.positions(6)
    profile = {"excitation": sinc.across(z), "refocusing": sinc.across(z, thickness=1.3)}
    train = FSE([180.0] * 12, ESP=10)
    data = [
        abs(isochromats([180.0] * 12, 10, 1000.0, 80.0, {"excitation": b, "refocusing": b}, profile))
        for b in (0.8, 1.1)
    ]
    found = fit(train, np.array(data), ("M0", "T2", "B1"), T1=1000.0, slice_prof=profile, bounds={"B1": (0.7, 1.0)})
    assert found.maps["T2"][0] == pytest.approx(80.0, abs=1e-5)
    assert found.maps["B1"][0] == pytest.approx(0.8, abs=1e-6)
    atoms = Dictionary(train, 1000.0, [40.0, 80.0, 120.0], B1=0.8, magnitude=True, slice_prof=profile)
    atoms.save(tmp_path / "atoms.npz")
    for one in (atoms, Dictionary.load(tmp_path / "atoms.npz", train)):
        assert one.match(data[0]).maps["T2"] == 80.0
        np.testing.assert_allclose(one.refine(data[0]).maps["T2"], 80.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: EXCITE.across(0.5), ValueError, "z has shape"),
        (lambda: EXCITE.across([]), ValueError, "z has shape"),
        (lambda: EXCITE.across([np.nan]), ValueError, r"z\[0\]=nan"),
        (lambda: EXCITE.across([0.1], thickness=0.0), ValueError, "thickness=0"),
        (lambda: simulate(FSE(FLIP, ESP=8), 900, 60, slice_prof={"excitation": EXCITE.across(Z)}), ValueError,
         "says nothing of 'refocusing'"),
        (lambda: simulate(FSE(FLIP, ESP=8), 900, 60, slice_prof={"excitation": EXCITE.across(Z),
         "refocusing": [1.0, 0.5]}), ValueError, "of one length"),
        (lambda: simulate(FSE([7000.0], ESP=8), 900, 60, B1=2.0, slice_prof=PROFILE), ValueError,
         "turn by up to 7200 degrees, times B1; pulses of 'refocusing' turn by 14000"),
        (lambda: vjp(FSE(FLIP, ESP=8), 900, 60, slice_prof=PROFILE, signal_bar=np.ones(3),
         wanted=("slice_prof.excitation",)), ValueError, "'slice_prof.excitation' is unknown"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_both_halves_of_a_slice():
    """The phase of a symmetric pulse is odd: what it leaves in quadrature on one side, the other takes away."""
    half, whole = pulses.positions(6), pulses.positions(12, both=True)
    np.testing.assert_allclose(np.sort(abs(whole)), np.repeat(half, 2), rtol=1e-15)
    one, both = (
        simulate(FSE(FLIP, ESP=8), 900.0, 60.0, B1=0.8, slice_prof={"excitation": EXCITE.across(z),
                                                                    "refocusing": EXCITE.across(z, thickness=1.2)})
        for z in (half, whole)
    )  # fmt: skip
    np.testing.assert_allclose(one.real, both.real, atol=1e-14)
    assert abs(both.imag).max() < 1e-14 < 1e-3 < abs(one.imag).max()
    with pytest.raises(TypeError, match="both=1"):
        pulses.positions(3, both=1)


def test_what_is_played_at_another_B1():
    """A job plays other tables up to the angles that its series hold."""
    problem = read_problem(FSE(FLIP, ESP=8), 900.0, [60.0] * 16, B1=1.0, slice_prof=PROFILE)
    job, table = problem.job(), problem.tissue.table()
    signal, none = np.zeros((16, 3), complex), np.zeros((16, 0, 3), complex)
    table[2] = 0.7
    job.play(table, 16, signal, none)
    expected = simulate(FSE(FLIP, ESP=8), 900.0, [60.0] * 16, B1=0.7, slice_prof=PROFILE)
    np.testing.assert_allclose(signal, expected, rtol=0, atol=1e-13)
    table[2] = 1.6
    with pytest.raises(RuntimeError, match="not prepared for"):
        job.play(table, 16, signal, none)
