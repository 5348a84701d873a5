"""Diffusion, flow and T2': against a plain EPG that follows each event, against closed forms, and isochromats."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from epgnumba import CRLBObjective, jacobian, simulate, vjp
from epgnumba.sequence import BSSFP, DESS, FSE, MRF, SPGR, EventSequence, Inversion, Pulse, Readout, Shift, Spoil, Wait

GAMMA = 2.6752218708e-4  # radians per um and mT ms/m
AREA = 150.0


def plain(events, T1, T2, D=0.0, velocity=0.0, B0=0.0, area=AREA):
    """F_0 at every readout; states are dictionaries by signed order, and everything happens event by event."""
    q, omega = GAMMA * area, 2 * np.pi * B0 / 1000
    f, z = {0: 0j}, {0: 1 + 0j}
    result = []

    def pass_time(time, orders):
        nonlocal f, z
        moved = {}
        for k, value in f.items():
            first = time * (k + orders / 2)
            second = time * (k * k + k * orders + orders**2 / 3)
            moved[k + orders] = value * np.exp(
                -time / T2 - D * q**2 * second + 1j * (omega * time - velocity * q * first)
            )
        f = moved
        z = {k: value * np.exp(-time / T1 - D * (k * q) ** 2 * time - 1j * velocity * k * q * time)
             for k, value in z.items()}  # fmt: skip
        z[0] = z.get(0, 0) + 1 - np.exp(-time / T1)

    for event in events:
        if isinstance(event, Pulse):
            a, phase = np.deg2rad(event.flip), np.exp(1j * np.deg2rad(event.phase))
            orders = {*f, *z} | {-k for k in (*f, *z)}
            plus, along = {}, {}
            for k in orders:
                p, m, w = f.get(k, 0), np.conj(f.get(-k, 0)), z.get(k, 0)
                plus[k] = np.cos(a / 2) ** 2 * p + phase**2 * np.sin(a / 2) ** 2 * m - 1j * phase * np.sin(a) * w
                along[k] = -0.5j * np.conj(phase) * np.sin(a) * p + 0.5j * phase * np.sin(a) * m + np.cos(a) * w
            f, z = plus, along
        elif isinstance(event, Wait):
            pass_time(event.duration, 0)
        elif isinstance(event, Shift):
            pass_time(event.duration, event.orders)
        elif isinstance(event, Spoil):
            f, z = {0: 0j}, {0: z.get(0, 0)}
        elif isinstance(event, Readout):
            result.append(f.get(0, 0) * np.exp(-1j * np.deg2rad(event.phase)))
    return np.array(result)


def random_events(rng, real=False):
    """Pulses with waits and gradients between them, instant or not, before and behind the readouts."""
    events = []
    for _ in range(5):
        phase = float(rng.choice([0, 90, 180])) if real else float(rng.uniform(0, 360))
        events.append(Pulse(float(rng.uniform(20, 160)), phase))
        for _ in range(rng.integers(2, 5)):
            kind = rng.integers(3)
            if kind == 0:
                events.append(Wait(float(rng.uniform(1, 20))))
            elif kind == 1:
                events.append(Shift(int(rng.integers(-2, 3)), float(rng.choice([0.0, 3.0, 7.5]))))
            else:
                events.append(Readout(float(rng.uniform(0, 360))))
    return [*events, Readout()]


def as_sequence(events, steady=False):
    return EventSequence(lambda p: events, steady=steady).on_scanner(gradient_area=AREA)


TERMS = {
    "D": {"D": 1.7},
    "velocity": {"velocity": 3.0},
    "both": {"D": 0.9, "velocity": -2.0},
    "with B0": {"D": 0.9, "velocity": -2.0, "B0": 11.0},
}


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_signals_of_a_plain_epg(terms, real, seed):
    events = random_events(np.random.default_rng(seed), real)
    expected = plain(events, 700.0, 60.0, **terms)
    assert_allclose(simulate(as_sequence(events), 700.0, 60.0, **terms), expected, rtol=0, atol=1e-13)
    many = {"T1": np.linspace(400, 900, 19), "T2": np.linspace(40, 90, 19)}
    expected = [plain(events, T1, T2, **terms) for T1, T2 in zip(*many.values(), strict=True)]
    assert_allclose(simulate(as_sequence(events), **many, **terms), expected, rtol=0, atol=1e-13)
    single = simulate(as_sequence(events), **many, **terms, dtype="float32")
    assert_allclose(single, expected, rtol=0, atol=3e-6)


def slope(function, x, h):
    """Central differences of fourth order."""
    return (8 * (function(x + h) - function(x - h)) - (function(x + 2 * h) - function(x - 2 * h))) / (12 * h)


@pytest.mark.parametrize("seed", range(3))
def test_derivatives_by_tissue(seed):
    events = random_events(np.random.default_rng(seed))
    at = {"T1": 700.0, "T2": 60.0, "D": 0.9, "velocity": -2.0, "B0": 4.0}
    for many in (False, True):
        given = {**at, "T1": np.full(3, 700.0)} if many else at
        _, slopes = jacobian(as_sequence(events), **given, diff=tuple(at))
        for name, found in zip(at, slopes[-1] if many else slopes, strict=True):
            expected = slope(lambda x, name=name: plain(events, **{**at, name: x}), at[name], at[name] * 1e-3)
            assert_allclose(found, expected, rtol=0, atol=1e-9 * abs(expected).max())
    # at none of it, too: a small amount is what one looks for
    _, slopes = jacobian(as_sequence(events), 700.0, 60.0, diff=("D", "velocity"))
    for name, found in zip(("D", "velocity"), slopes, strict=True):
        expected = slope(lambda x, name=name: plain(events, 700.0, 60.0, **{name: x}), 0.0, 1e-3)
        assert_allclose(found, expected, rtol=0, atol=1e-9 * abs(expected).max())


def crushed(p):
    """A train whose parameters are in durations of gradients, and in waits before and behind them."""
    yield [Pulse(p.flip[0]), Wait(p.early), Shift(1, p.ramp), Pulse(p.flip[1], p.phase)]
    yield [Readout(), Shift(-1, 2 * p.ramp), Wait(p.late), Shift(2), Pulse(p.flip[2], 40.0), Wait(p.early)]
    yield [Shift(1, p.ramp), Wait(p.late), Readout(30.0), Pulse(70.0, 15.0), Shift(-2, p.ramp), Readout()]


def concrete(flip, phase, early, late, ramp):
    class Values:
        pass

    p = Values()
    p.flip, p.phase, p.early, p.late, p.ramp = flip, phase, early, late, ramp
    return [event for group in crushed(p) for event in group]


PARAMETERS = {"flip": [80.0, 120.0, 60.0], "phase": 25.0, "early": 4.0, "late": 9.0, "ramp": 3.0}
TISSUE = {"T1": 500.0, "T2": 50.0, "B1": 0.9, "B0": 6.0, "D": 1.3, "velocity": 2.5}


def by_everything(function):
    """Derivatives of a scalar of parameters and tissue by all of them, by differences."""
    result = {}
    for name, value in {**PARAMETERS, **TISSUE}.items():
        value = np.asarray(value, float)
        each = []
        for k in np.ndindex(value.shape):

            def moved(x, name=name, value=value, k=k):
                new = value.copy()
                new[k] = x
                return function(**{**PARAMETERS, **TISSUE, name: new if new.ndim else float(new)})

            each.append(slope(moved, value[k], max(abs(value[k]), 1) * 1e-3))
        result[name] = np.reshape(each, value.shape)
    return result


def test_derivatives_by_everything():
    sequence = EventSequence(crushed, **PARAMETERS).on_scanner(gradient_area=AREA)
    weights = np.array([1.0 - 0.3j, 0.4 + 2j, -0.7 + 0.1j])

    def scalar(flip, phase, early, late, ramp, B1, **tissue):
        events = concrete([B1 * f for f in flip], phase, early, late, ramp)
        events = [Pulse(B1 * 70.0, 15.0) if isinstance(e, Pulse) and e.flip == 70.0 else e for e in events]
        return (weights.conj() * plain(events, **tissue)).real.sum()

    found = vjp(sequence, **TISSUE, signal_bar=weights)
    for name, expected in by_everything(scalar).items():
        assert_allclose(found[name], expected, rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("maps", [TISSUE, {**TISSUE, "T2": np.linspace(40, 60, 18)}], ids=["one", "many"])
def test_reverse_sweep_through_derivatives(maps):
    """A scalar of signal and Jacobian, by differences of the same (whose values the tests before check)."""
    sequence = EventSequence(crushed, **PARAMETERS).on_scanner(gradient_area=AREA)
    rng, diff = np.random.default_rng(3), ("D", "T2", "velocity", "B1", "B0")
    shape = np.shape(maps["T2"])
    bars = [rng.normal(size=(*shape, *k, 3)) + 1j * rng.normal(size=(*shape, *k, 3)) for k in ((), (len(diff),))]
    bars[1] *= np.array([5.0, 80.0, 20.0, 1.0, 50.0])[:, None]

    def scalar(**given):
        parameters = {name: given.pop(name) for name in PARAMETERS}
        signal, slopes = jacobian(sequence.replace(**parameters), **given, diff=diff)
        return sum((bar.conj() * value).real.sum() for bar, value in zip(bars, (signal, slopes), strict=True))

    found = vjp(sequence, **maps, signal_bar=bars[0], jacobian_bar=bars[1], diff=diff)
    for name, value in {**PARAMETERS, **maps}.items():
        value = np.asarray(value, float)
        for k in list(np.ndindex(value.shape))[::7]:

            def moved(x, name=name, value=value, k=k):
                new = value.copy()
                new[k] = x
                return scalar(**{**PARAMETERS, **maps, name: new})

            expected = slope(moved, value[k], max(abs(value[k]), 1) * 1e-3)
            assert_allclose(
                found[name][k], expected, rtol=1e-7, atol=1e-8 * np.sqrt(len(bars[0].ravel())), err_msg=name
            )


def test_closed_forms_of_diffusion():
    """A spin echo and a stimulated echo decay by exp(-b D) (Stejskal and Tanner, J Chem Phys 42 (1965) 288)."""
    q, D, ramp, mixing, T1, T2 = GAMMA * AREA, 1.1, 4.0, 30.0, 900.0, 70.0
    echo = [Pulse(90, 90), Shift(1, ramp), Wait(12.0), Pulse(180), Shift(1, ramp), Wait(12.0), Readout()]
    ratio = simulate(as_sequence(echo), T1, T2, D=D) / simulate(as_sequence(echo), T1, T2)
    assert_allclose(ratio, np.exp(-(q**2) * (ramp + 12.0 - ramp / 3) * D), rtol=1e-13)
    stimulated = [Pulse(90, 90), Shift(1, ramp), Wait(2.0), Pulse(90), Shift(4, 1.0), Wait(mixing)]
    stimulated += [Pulse(90), Wait(2.0), Shift(1, ramp), Readout()]
    ratio = simulate(as_sequence(stimulated), T1, T2, D=D) / simulate(as_sequence(stimulated), T1, T2)
    assert_allclose(ratio, np.exp(-(q**2) * (ramp + 2 + 1 + mixing + 2 - ramp / 3) * D), rtol=1e-12)


def test_closed_form_of_flow():
    """Spins that move between two gradients of a spin echo have its phase: q v times the time between them."""
    q, velocity, ramp = GAMMA * AREA, 2.0, 4.0
    echo = [Pulse(90, 90), Shift(1, ramp), Wait(12.0), Pulse(180), Shift(1, ramp), Wait(12.0), Readout()]
    ratio = simulate(as_sequence(echo), 900.0, 70.0, velocity=velocity) / simulate(as_sequence(echo), 900.0, 70.0)
    assert_allclose(ratio, np.exp(1j * q * velocity * (ramp + 12.0)), rtol=1e-13)


FAMILIES = {
    "FSE": FSE([150.0, 120.0, 100.0], ESP=8.0),
    "SPGR": SPGR(20.0, TR=12.0, TE=4.0),
    "DESS": DESS(30.0, TR=14.0, TE=4.0),
    "MRF": MRF([10.0, 40.0, 60.0, 20.0], TR=12.0),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_sequences_of_the_house(name):
    """Families take the same terms; a steady state that is repeated to as well."""
    sequence = FAMILIES[name].on_scanner(gradient_area=AREA)
    none, some = simulate(sequence, 300.0, 40.0), simulate(sequence, 300.0, 40.0, D=1.5)
    assert_allclose(simulate(sequence, 300.0, 40.0, D=1e-9), none, rtol=0, atol=1e-7)
    _, by_d = jacobian(sequence, 300.0, 40.0, D=1.5, diff="D")
    expected = slope(lambda x: simulate(sequence, 300.0, 40.0, D=x), 1.5, 1e-3)
    assert_allclose(by_d, expected, rtol=0, atol=1e-9)
    if name != "SPGR":  # which an ideal spoiler leaves no order
        assert abs(some - none).max() > 1e-4


# How long each readout has been out of phase.
OUT_OF_PHASE = {
    "FSE": [0.0, 0.0, 0.0], "SPGR": [4.0], "DESS": [4.0, 4.0], "MRF": [0.0] * 4,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_t2_prime_of_families(name):
    sequence, times = FAMILIES[name], np.array(OUT_OF_PHASE[name])
    plain_signal, signal = simulate(sequence, 300.0, 40.0), simulate(sequence, 300.0, 40.0, T2prime=25.0)
    assert_allclose(signal, plain_signal * np.exp(-times / 25.0), rtol=0, atol=2e-8)
    _, slopes = jacobian(sequence, 300.0, 40.0, T2prime=np.full(20, 25.0), diff="T2prime")
    assert_allclose(slopes, [signal * times / 25.0**2] * 20, rtol=0, atol=1e-12)


def test_t2_prime_is_a_mean_over_frequencies():
    """Readouts around a spin echo, against a Lorentzian mean of off-resonance; derivatives by times have their sign."""

    def build(p):
        return [
            Pulse(90, 90),
            Wait(p.first),
            Shift(1),
            Pulse(150),
            Shift(1),
            Wait(p.second),
            Readout(),
            Wait(6.0),
            Readout(),
        ]

    sequence = EventSequence(build, first=10.0, second=6.0)
    angles = (np.arange(200_000) + 0.5) / 200_000 * np.pi - np.pi / 2
    spread = simulate(sequence, 800.0, 60.0, B0=1000 / (2 * np.pi * 40.0) * np.tan(angles[abs(np.tan(angles)) < 3e3]))
    signal = simulate(sequence, 800.0, 60.0, T2prime=40.0)
    assert_allclose(signal, spread.mean(axis=0), rtol=0, atol=1e-3 * abs(signal).max())
    factor = signal / simulate(sequence, 800.0, 60.0)
    assert_allclose(factor, np.exp(-np.array([4.0, 2.0]) / 40.0), rtol=1e-13)
    for n, bars in enumerate(np.eye(2)):
        found = vjp(sequence, 800.0, 60.0, T2prime=40.0, signal_bar=bars)
        for name, value in (("first", 10.0), ("second", 6.0), ("T2prime", 40.0)):

            def moved(x, name=name, n=n):
                parameters = {name: x} if name != "T2prime" else {}
                return simulate(sequence.replace(**parameters), 800.0, 60.0, T2prime=x if not parameters else 40.0)[
                    n
                ].real

            assert_allclose(found[name], slope(moved, value, 1e-2), rtol=1e-8, atol=1e-12, err_msg=name)


def test_what_is_refused():
    train = FSE([180.0], ESP=10.0)
    with pytest.raises(ValueError, match="on_scanner"):
        simulate(train, 1000.0, 100.0, D=1.0)
    for area in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="gradient_area"):
            train.on_scanner(gradient_area=area)
    for name, value in (("D", -1.0), ("velocity", np.inf), ("T2prime", 0.0)):
        with pytest.raises(ValueError, match=name):
            simulate(train.on_scanner(gradient_area=20.0), 1000.0, 100.0, **{name: value})
    with pytest.raises(ValueError, match=r"T2prime.*out of phase"):
        simulate(BSSFP(40.0, TE=4.0, TR=8.0), 1000.0, 100.0, T2prime=30.0)
    with pytest.raises(ValueError, match=r"T2prime.*out of phase"):
        simulate(MRF([10.0, 40.0, 60.0], TR=[12.0, 14.0, 13.0]), 1000.0, 100.0, T2prime=30.0)


BALANCED = {
    "behind": [Pulse(40), Wait(3.0), Readout(), Wait(2.0), Shift(5, 1.0), Shift(-5, 1.0)],
    "before": [Shift(5, 1.0), Shift(-5, 1.0), Pulse(40), Wait(3.0), Readout(), Wait(2.0)],
    "around": [Pulse(40), Shift(-1, 1.0), Shift(2, 2.0), Shift(-1, 1.0), Wait(1.0), Readout(), Shift(5, 1.0),
               Shift(-5, 1.0)],
}  # fmt: skip


@pytest.mark.parametrize("events", BALANCED.values(), ids=BALANCED)
@pytest.mark.parametrize("terms", [{"D": 3.0}, {"velocity": 100.0}, {"D": 3.0, "velocity": 100.0}])
def test_balanced_steady_states(events, terms):
    """Gradients between the last readout and the next pulse act in the steady state, and once."""
    expected = plain(events * 250, 100.0, 50.0, **terms)[-1]
    assert_allclose(simulate(as_sequence(events, steady=True), 100.0, 50.0, **terms), [expected], rtol=0, atol=1e-10)


MIXED = {
    "an inversion passes Z_0 on": [Pulse(90), Wait(5.0), Pulse(90), Inversion(), Wait(10.0), Pulse(90), Readout()],
    "so does a spoiler": [Pulse(90), Wait(5.0), Pulse(90), Spoil(), Wait(10.0), Pulse(90), Readout()],
}
MIXED_STEADY = {
    "Z_0 comes back": [Pulse(90), Wait(2.0), Readout(), Wait(3.0), Pulse(60), Spoil(), Wait(100.0)],
    "F_0 comes back": [Pulse(50), Wait(5.0), Inversion(), Wait(4.0), Pulse(60), Wait(3.0), Readout(), Wait(10.0)],
}


def test_mixed_pathways_are_refused():
    for cases, steady in ((MIXED, False), (MIXED_STEADY, True)):
        for events in cases.values():
            with pytest.raises(ValueError, match=r"T2prime.*out of phase"):
                simulate(as_sequence(events, steady=steady), 300.0, 60.0, T2prime=20.0)


def test_velocity_that_leaves_no_fraction():
    train = FSE([150.0] * 4, ESP=10.0).on_scanner(gradient_area=1e4)
    with pytest.raises(ValueError, match="velocity=10000 um/ms"):
        simulate(train, 900.0, 80.0, velocity=1e4, dtype="float32")
    assert np.isfinite(simulate(train, 900.0, 80.0, velocity=1e4)).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-4)])
@pytest.mark.parametrize("maps", [{"velocity": 1000.0}, {"D": 2.0}, {"velocity": -300.0, "D": 0.5}])
def test_many_voxels_are_as_exact_as_one(maps, dtype, tolerance):
    """Factors of one order are made of those of the order before, where voxels lie side by side."""
    train = FSE(np.full(60, 100.0), ESP=6.0).on_scanner(gradient_area=200.0)
    spread = np.linspace(0.05, 1, 40)
    many = simulate(train, 1000.0, 80.0, dtype=dtype, **{name: value * spread for name, value in maps.items()})
    for k in range(0, 40, 13):
        alone = simulate(train, 1000.0, 80.0, **{name: value * spread[k] for name, value in maps.items()})
        assert_allclose(many[k], alone, rtol=0, atol=tolerance)


def test_orders_that_vanish_and_come_back():
    """Diffusion so strong that, over an interval, only orders near one that a gradient undoes are left."""

    def build(p):
        yield [Pulse(90.0), Shift(40, 10.0), Pulse(60.0), Shift(-40, 10.0), Pulse(60.0), Shift(40, 10.0), Readout()]

    train = EventSequence(build).on_scanner(gradient_area=400.0)
    D = np.array([0.5, 2.0, 30.0, 300.0])
    many = simulate(train, 1000.0, 80.0, D=D)
    alone = [simulate(train, 1000.0, 80.0, D=x) for x in D]
    assert_allclose(many, alone, rtol=1e-11, atol=0)


def test_an_objective_whose_times_make_diffusion_strong():
    """A gradient behind the last readout, which nothing sees, decides how factors of orders are made."""

    def build(p):
        yield [Pulse(90.0, 90.0), Wait(p.TE), Readout(), Pulse(120.0), Wait(p.TE), Readout()]
        yield [Pulse(10.0), Shift(100, p.tail)]

    train = EventSequence(build, TE=10.0, tail=0.001).on_scanner(gradient_area=400.0)
    objective = CRLBObjective(train, 900.0, 60.0, D=1.0, unknowns=("T2",), variables=("TE", "tail"))
    first = objective([10.0, 0.001])
    for value, expected in zip(objective([10.0, 1000.0]), first, strict=True):
        assert_allclose(value, expected, rtol=1e-12)
