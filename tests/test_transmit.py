"""Transmit fields that differ between kinds of pulses, beside isochromats and beside pulses that are written so."""

import numpy as np
import pytest
import torch

import epgnumba
import epgnumba.torch
from epgnumba import FSE, jacobian, pulses, sequence, simulate, vjp
from epgnumba.derivatives import push_forward, push_pull
from epgnumba.design import CRLBObjective
from epgnumba.estimate import Dictionary, fit
from epgnumba.problem import read_problem
from epgnumba.sequence import Inversion, Pulse, Readout, Shift, Spoil, Wait

RNG = np.random.default_rng(21)
KINDS = ("first", "refocusing", "third")
FLIP = np.array([150.0, 120.0, 160.0, 140.0, 95.0])


def complex_fields(*shape, kinds=KINDS):
    return {kind: RNG.uniform(0.6, 1.3, shape) * np.exp(1j * RNG.uniform(-3, 3, shape)) for kind in kinds}


def events(p):
    """Pulses of three kinds, of any phase, one of 180 degrees, and an inversion, which no field scales."""
    yield [Inversion(0.9), Wait(p.TI), Pulse(p.exc[0], 10.0, "first"), Wait(3.0), Readout(5.0), Shift(1)]
    for n in range(3):
        yield [
            Wait(5.0),
            Pulse(p.ref[n], 90.0 + 7 * n, "refocusing"),
            Shift(1, 2.0),
            Wait(5.0),
            Readout(20.0),
            Shift(1),
        ]
    yield [Pulse(p.exc[1], 33.0, "third"), Wait(2.0), Readout(3.0)]


def train(**options):
    made = epgnumba.EventSequence(events, TI=50.0, exc=[70.0, 50.0], ref=[140.0, 100.0, 180.0], **options)
    return made.on_scanner(gradient_area=200.0, rf_duration={"first": 0.5, "refocusing": 1.0, "third": 0.3})


def isochromats(B1, T1, T2, B0=0.0, count=256):
    """The same train by rotating vectors: a field along (cos, sin) of its phase turns by the right-hand rule."""
    seq = train()
    m = np.zeros((count, 3))
    m[:, 2] = 1.0
    signal = []

    def turn(angle):
        xy = (m[:, 0] + 1j * m[:, 1]) * np.exp(1j * angle)
        m[:, 0], m[:, 1] = xy.real, xy.imag

    for event in seq.events():
        value = {name: getattr(event, name, 0.0) for name in ("flip", "phase", "duration", "efficiency")}
        value = {name: number_of(one, seq.parameters) for name, one in value.items()}
        if isinstance(event, Pulse):
            b = B1[event.kind]
            axis, angle = np.deg2rad(value["phase"]) + np.angle(b), np.deg2rad(value["flip"]) * abs(b)
            n = np.array([np.cos(axis), np.sin(axis), 0.0])
            m = m * np.cos(angle) + np.cross(n, m) * np.sin(angle) + np.outer(m @ n, n) * (1 - np.cos(angle))
        elif isinstance(event, Inversion):
            m = np.stack([0 * m[:, 0], 0 * m[:, 0], np.full(count, -value["efficiency"] * m[:, 2].mean())], 1)
        elif isinstance(event, (Wait, Shift)):
            t = value["duration"]
            m[:, :2] *= np.exp(-t / T2)
            m[:, 2] = 1 + (m[:, 2] - 1) * np.exp(-t / T1)
            turn(2e-3 * np.pi * B0 * t)
            if isinstance(event, Shift):
                turn(2 * np.pi * np.arange(count) / count * event.orders)
        else:
            signal.append((m[:, 0] + 1j * m[:, 1]).mean() * np.exp(-1j * np.deg2rad(value["phase"])))
    return np.array(signal)


def number_of(expression, parameters):
    """What an event's number is."""
    terms = getattr(expression, "terms", ())
    constant = getattr(expression, "constant", expression)
    return constant + sum(factor * np.ravel(parameters[name])[index] for name, index, factor in terms)


@pytest.mark.parametrize("B0", [0.0, 17.0])
def test_isochromats(B0):
    for voxels in ((), (5,)):
        fields = complex_fields(*voxels)
        found = simulate(train(), 600.0, 60.0, B0=B0, B1=fields)
        for place in np.ndindex(*voxels):
            one = {kind: field[place] for kind, field in fields.items()}
            np.testing.assert_allclose(found[place], isochromats(one, 600.0, 60.0, B0), rtol=0, atol=1e-13)


TERMS = [
    {},
    {"B0": 11.0},
    {"D": 1.3, "velocity": 0.4},
    {"bound_fraction": 0.15, "exchange": 30.0},
    {"fraction_b": 0.2, "exchange_b": 20.0, "T1_b": 300.0, "T2_b": 20.0, "shift_b": 13.0},
]


def written(fields, n):
    """The train with the fields of voxel n in its pulses."""

    def build(p):
        for event in events(p):
            for one in event:
                if isinstance(one, Pulse):
                    b = fields[one.kind][n]
                    one = Pulse(abs(b) * one.flip, one.phase + np.rad2deg(np.angle(b)), one.kind)
                yield one

    return build


@pytest.mark.parametrize("more", TERMS, ids=lambda more: "-".join(more))
@pytest.mark.parametrize("ending", ["once", "crushed", "balanced", "repeated"])
def test_fields_are_flip_angles_and_phases_of_pulses(more, ending):
    """Of steady states of every kind, and with every term, beside sequences that have them in their events."""
    last = {"crushed": [Spoil(), Wait(30.0)], "balanced": [Wait(30.0)], "repeated": [Shift(2), Wait(30.0)], "once": []}

    def make(build):
        def whole(p):
            for event in build(p):
                for one in event if isinstance(event, list) else [event]:
                    if ending == "balanced" and isinstance(one, (Shift, Inversion)):
                        one = Wait(1.0)
                    if not (ending == "repeated" and isinstance(one, Inversion)):
                        yield one
            yield last[ending]

        made = epgnumba.EventSequence(
            whole, TI=50.0, exc=[70.0, 50.0], ref=[140.0, 100.0, 180.0], steady=ending != "once",
            **({"tolerance": 1e-13, "advance": 31.0} if ending != "once" else {}),
        )  # fmt: skip
        return made.on_scanner(gradient_area=200.0, rf_duration={"first": 0.5, "refocusing": 1.0, "third": 0.3})

    fields, tissue = complex_fields(3), {"T1": 80.0, "T2": np.array([30.0, 40.0, 50.0]), **more}
    if ending == "balanced" and "D" in more:
        pytest.skip("nothing dephases")
    found = simulate(make(events), **tissue, B1=fields)
    for n in range(3):
        one = {**tissue, "T2": tissue["T2"][n]}
        np.testing.assert_allclose(found[n], simulate(make(written(fields, n)), **one), rtol=0, atol=1e-12)


def moved(fields, name, step):
    """Fields with a magnitude or phase (degrees) of one kind moved."""
    part, kind = name.split(".")
    size, angle = abs(fields[kind]), np.angle(fields[kind])
    size, angle = (size + step, angle) if part == "B1" else (size, angle + np.deg2rad(step))
    return {**fields, kind: size * np.exp(1j * angle)}


NAMES = ("T1", "B1.refocusing", "B1_phase.refocusing", "B1.third", "M0", "B1_phase.first")


@pytest.mark.parametrize("voxels", [(), (5,)])
@pytest.mark.parametrize("more", TERMS, ids=lambda more: "-".join(more))
def test_derivatives(more, voxels):
    """Tangents beside differences; the reverse sweep beside complex steps, through the Jacobian as well."""
    fields, tissue, seq = complex_fields(*voxels), {"T1": 600.0, "T2": 60.0, **more}, train(steady=True)
    signal, slopes = jacobian(seq, **tissue, B1=fields, diff=NAMES)
    for name in NAMES:
        if "." in name:
            h = 2e-5 if name.startswith("B1.") else 2e-3
            up, down = (simulate(seq, **tissue, B1=moved(fields, name, step)) for step in (h, -h))
            slope = slopes[..., NAMES.index(name), :]
            np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=0, atol=1e-7 * abs(slope).max())
    bars = [RNG.normal(size=(2, *x.shape)) for x in (signal, slopes)]
    bars = [re + 1j * im for re, im in bars]
    pulled = vjp(seq, **tissue, B1=fields, diff=NAMES, signal_bar=bars[0], jacobian_bar=bars[1])
    assert "B1" not in pulled
    problem = read_problem(seq, **tissue, B1=fields, diff=NAMES)
    for name, bar in pulled.items():
        along = RNG.normal(size=np.shape(bar))
        pushed = push_forward(problem, {name: along})
        product = sum(float((b.conj() * x).real.sum()) for b, x in zip(bars, pushed, strict=True))
        assert product == pytest.approx(float((bar * along).sum()), rel=1e-11, abs=1e-11), name
    along, step = ({name: RNG.normal(size=np.shape(pulled[name])) for name in NAMES} for _ in range(2))
    one, other = (push_pull(problem, (bars[0], None), x) for x in (along, step))
    products = [sum(float((a[name] * b[name]).sum()) for name in along) for a, b in ((one, step), (other, along))]
    assert products[0] == pytest.approx(products[1], rel=1e-10)  # second derivatives are symmetric


def test_torch():
    channels = torch.randn(2, 3, dtype=torch.complex128, requires_grad=True, generator=torch.manual_seed(1))
    weights = torch.randn(3, dtype=torch.complex128, requires_grad=True)
    T2 = torch.tensor([60.0, 40.0], dtype=torch.float64, requires_grad=True)

    def results(channels, weights, T2):
        played = {"excitation": weights, "refocusing": torch.tensor([0.4, 0.3 + 0.1j, 0.5], dtype=torch.complex128)}
        fields = pulses.sum_channels(channels, played)
        pair = epgnumba.torch.jacobian(FSE(FLIP[:3], ESP=8), 900.0, T2, B1=fields, diff=("T2", "B1_phase.refocusing"))
        return tuple(map(torch.view_as_real, pair))

    assert torch.autograd.gradcheck(results, (channels, weights, T2))
    fields = {"excitation": torch.tensor(1.0), "refocusing": torch.tensor([0.8, 0.9 + 0.1j], dtype=torch.complex128)}
    signal = epgnumba.fse_sim(FLIP, 8, 900, 60, B1=fields)
    np.testing.assert_array_equal(
        signal, simulate(FSE(FLIP, ESP=8), 900, 60, B1={"excitation": 1.0, "refocusing": [0.8, 0.9 + 0.1j]})
    )


@pytest.mark.parametrize("more", [{}, {"criterion": "D"}])
def test_bounds_and_designs(more):
    names = ("M0", "T2", "B1.refocusing")
    fields = {"excitation": 0.9, "refocusing": np.array([0.8 + 0.3j, 1.1])}
    options = {"unknowns": names, "variables": ("flip",), "noise": 0.01, "B1": fields}
    objective = CRLBObjective(FSE(FLIP, ESP=8), 900.0, 60.0, **options, **more)
    assert objective.unknowns == names
    x, p = objective.x0, RNG.normal(size=5)
    _, slopes = jacobian(FSE(FLIP, ESP=8), 900.0, 60.0, diff=names, B1=fields)
    np.testing.assert_allclose(objective.bounds(x), epgnumba.crlb(slopes, noise=0.01), rtol=1e-11)
    slope = (objective(x + 1e-4 * p)[0] - objective(x - 1e-4 * p)[0]) / 2e-4
    np.testing.assert_allclose(objective(x)[1] @ p, slope, rtol=1e-6)
    turn = (objective(x + 1e-4 * p)[1] - objective(x - 1e-4 * p)[1]) / 2e-4
    np.testing.assert_allclose(objective.hessp(x, p), turn, rtol=1e-5, atol=1e-7 * abs(turn).max())


def test_a_phase_of_all_kinds_turns_the_signal():
    b = 0.9 * np.exp(0.7j)
    for make in (FSE(FLIP, ESP=8), sequence.BSSFP(40.0, TR=6.0, TE=3.0)):
        kinds = {event.kind for event in make.events() if isinstance(event, Pulse)}
        found = simulate(make, 900, [60.0, 80.0], B1=dict.fromkeys(kinds, b))
        np.testing.assert_allclose(found, simulate(make, 900, [60.0, 80.0], B1=0.9) * np.exp(0.7j), atol=1e-14)


def test_profiles_masks_labels_and_precision():
    xarray = pytest.importorskip("xarray")
    fields, seq = {"excitation": np.array([0.9j, 1.0]), "refocusing": np.array([1.1, 0.8 - 0.2j])}, FSE(FLIP, ESP=8)
    profile = {"excitation": [1.0, 0.5], "refocusing": [0.9, 0.6]}
    whole = simulate(seq, 900, 60, B1=fields, slice_prof=profile)
    each = [
        simulate(seq, 900, 60, B1={kind: field * profile[kind][z] for kind, field in fields.items()}) for z in range(2)
    ]
    np.testing.assert_allclose(whole, np.mean(each, 0), atol=1e-14)
    single = simulate(seq, 900, 60, B1=fields, slice_prof=profile, dtype="float32")
    np.testing.assert_allclose(single, whole, atol=2e-6)
    for outside in (np.nan, complex(0.0, np.nan), complex(np.inf, 1.0), 1e300j):
        given = {**fields, "refocusing": np.array([1.1, outside])}
        masked = simulate(seq, 900, 60, B1=given, mask=np.array([True, False]))
        np.testing.assert_array_equal(masked[0], simulate(seq, 900, 60, B1=fields)[0])
        named = {kind: xarray.DataArray(field, dims=["x"]) for kind, field in given.items()}
        inside = xarray.DataArray([True, False], dims=["x"])
        np.testing.assert_array_equal(simulate(seq, 900, 60, B1=named, mask=inside), masked)
    labelled = {kind: xarray.DataArray(field, dims=["x"]) for kind, field in fields.items()}
    found, slopes = jacobian(seq, 900, 60, B1=labelled, diff=("B1_phase.refocusing",))
    np.testing.assert_array_equal(found.values, simulate(seq, 900, 60, B1=fields))
    assert found.dims == ("x", "readout")
    assert list(slopes.parameter.values) == ["B1_phase.refocusing"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"excitation": 1.0}, ValueError, "B1 says nothing of 'refocusing'"),
        ({"excitation": 1.0, "refocusing": 1.0, "third": 1.0}, ValueError, "'third' is no kind of pulse"),
        ({}, ValueError, "for each kind of pulse"),
        ({1: 1.0}, TypeError, "kind of pulse"),
        ({"excitation": -1.0, "refocusing": 1.0}, ValueError, "B1.excitation=-1"),
        ({"excitation": 11j, "refocusing": 1.0}, ValueError, "B1.excitation=11"),
        ({"excitation": [1j, np.nan], "refocusing": 1.0}, ValueError, "B1.excitation"),
        ({"excitation": "a", "refocusing": 1.0}, TypeError, "B1.excitation"),
        ({"excitation": [1.0, 1.0], "refocusing": [1j] * 3}, ValueError, "broadcast"),
    ],
)  # fmt: skip
def test_bad_fields(given, error, message):
    with pytest.raises(error, match=message):
        simulate(FSE(FLIP, ESP=8), 900, 60, B1=given)


def test_one_call_forms():
    fields, diff = {"excitation": 0.9, "refocusing": [0.8, 0.9j]}, ("T2", "B1_phase.refocusing")
    found = epgnumba.fse_sim(FLIP, 8, 900, 60, B1=fields, diff=diff)
    for value, expected in zip(found, jacobian(FSE(FLIP, ESP=8), 900, 60, B1=fields, diff=diff), strict=True):
        np.testing.assert_array_equal(value, expected)
    with pytest.raises(ValueError, match="'B1' is unknown"):
        epgnumba.fse_sim(FLIP, 8, 900, 60, B1=fields, diff="B1")
    with pytest.raises(ValueError, match="'B1.refocusing' is unknown"):
        epgnumba.fse_sim(FLIP, 8, 900, 60, B1=0.9, diff="B1.refocusing")


def test_what_is_refused():
    seq, fields = FSE(FLIP, ESP=8), {"excitation": 1.0, "refocusing": 0.9j}
    for call, message in (
        (lambda: jacobian(seq, 900, 60, B1=fields, diff="B1"), "'B1' is unknown"),
        (lambda: jacobian(seq, 900, 60, B1=0.9, diff="B1.refocusing"), "'B1.refocusing' is unknown"),
        (lambda: vjp(seq, 900, 60, B1=fields, signal_bar=np.ones(5), wanted=("B1",)), "'B1' is unknown"),
        (lambda: fit(seq, np.ones(5), T1=900, B1=fields), "B1 by kind of pulse is not allowed in fits"),
        (lambda: Dictionary(seq, 900, 60, B1=fields), "B1 by kind of pulse is not allowed in dictionaries"),
        (lambda: Dictionary.grid(seq, T1=900, T2=60, B1=fields), "B1 by kind of pulse is not allowed in dictionaries"),
        (lambda: epgnumba.design.verify(seq, 900, 60, noise=0.1, B1=fields), "B1 by kind of pulse is not allowed"),
        (lambda: pulses.sum_channels([1.0, 2.0], {"a": [1.0]}), "weights.a has 1 channels"),
        (lambda: pulses.sum_channels(1.0, {"a": [1.0]}), "fields has shape"),
        (lambda: pulses.sum_channels([1.0], [1.0]), "a mapping of kinds"),
        (lambda: simulate(seq, 900, 60, B1=1.0 + 0.1j), "B1=.* is complex"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()


def test_phases_that_nothing_depends_on():
    """That of a pulse behind which all is crushed: no rounding is left, that a bound could take for a sensitivity."""

    def crushed(p):
        yield [Pulse(p.a, 20.0, "preparation"), Spoil(), Pulse(p.b, 5.0), Wait(5.0), Readout(), Wait(7.0), Readout()]

    seq = epgnumba.EventSequence(crushed, a=70.0, b=33.0)
    fields = {"preparation": 0.9 * np.exp(0.3j), "excitation": 1.1 * np.exp(0.7j)}
    for T2 in (60.0, [60.0, 50.0]):
        names = ("B1_phase.preparation", "B1_phase.excitation")
        signal, slopes = jacobian(seq, 900.0, T2, B1=fields, diff=names)
        assert not slopes[..., 0, :].any()
        np.testing.assert_allclose(slopes[..., 1, :], 1j * signal * np.pi / 180, rtol=1e-12)


def test_no_gradient_where_a_field_has_no_phase():
    """Rather than 0, which is what torch has for magnitude and phase there; what a mask leaves out needs none."""
    field = torch.tensor([0.0, 1.0j], dtype=torch.complex128, requires_grad=True)

    def gradient(**options):
        signal = epgnumba.torch.fse_sim(
            [150.0] * 4, 8, 1000.0, 80.0, B1={"excitation": field, "refocusing": 0.9}, **options
        )
        return torch.autograd.grad(signal.real.nansum(), field)[0].numpy()

    assert np.isnan(gradient()[0])
    assert gradient(mask=[False, True])[0] == 0
    assert gradient(mask=[False, True])[1] == gradient()[1] != 0
