"""A bound pool with saturation, against a plain EPG-X that exponentiates matrices, and known limits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import expm
from test_terms import slope

from epgnumba import CRLBObjective, jacobian, simulate, vjp
from epgnumba.sequence import (
    BSSFP,
    DESS,
    FSE,
    MRF,
    SPGR,
    EventSequence,
    Inversion,
    Pulse,
    Readout,
    Shift,
    Spoil,
    StimulatedEcho,
    Wait,
)  # fmt: skip

TISSUE = {"T1": 900.0, "T2": 70.0, "bound_fraction": 0.13, "exchange": 25.0, "T1_bound": 600.0, "lineshape": 12.0}
RF = 0.9  # ms


def plain(events, T1, T2, bound_fraction=0.0, exchange=0.0, T1_bound=1000.0, lineshape=14.0, B1=1.0, B0=0.0, D=0.0,
          q=0.0, start=None):  # fmt: skip
    """F_0 at every readout, and (Z_0, Z_b) at the end: dictionaries by order, the pools' Z by matrix exponentials."""
    f, k = bound_fraction, exchange / 1000
    free, bound = {0: 0j}, np.array([1 - f, f])
    a = np.array([[-1 / T1 - k * f, k * (1 - f)], [k * f, -1 / T1_bound - k * (1 - f)]])
    z = {0: np.array([1 - f, f], complex) if start is None else np.asarray(start, complex)}
    result = []
    for event in events:
        if isinstance(event, Pulse):
            angle, phase = B1 * np.deg2rad(event.flip), np.exp(1j * np.deg2rad(event.phase))
            c, s = np.cos(angle), np.sin(angle)
            orders = {*free, *z} | {-order for order in (*free, *z)}
            saturated = np.exp(-np.pi * lineshape / 1000 * angle**2 / RF)
            new_f, new_z = {}, {}
            for order in orders:
                p, m = free.get(order, 0), np.conj(free.get(-order, 0))
                w, b = z.get(order, (0, 0))
                new_f[order] = (1 + c) / 2 * p + phase**2 * (1 - c) / 2 * m - 1j * phase * s * w
                new_z[order] = np.array([-0.5j / phase * s * p + 0.5j * phase * s * m + c * w, saturated * b])
            free, z = new_f, new_z
        elif isinstance(event, (Wait, Shift)):
            time, moved = event.duration, getattr(event, "orders", 0)
            e = expm(a * time)
            free = {order + moved: value * np.exp(-time / T2 + 2j * np.pi * B0 * time / 1000
                    - D * q**2 * time * (order**2 + order * moved + moved**2 / 3))
                    for order, value in free.items()}  # fmt: skip
            z = {order: np.exp(-D * q**2 * order**2 * time) * (e @ value) for order, value in z.items()}
            z[0] = z.get(0, np.zeros(2)) + (np.eye(2) - e) @ bound
        elif isinstance(event, Spoil):
            free, z = {0: 0j}, {0: z.get(0, np.zeros(2))}
        elif isinstance(event, Inversion):
            free, z = {0: 0j}, {0: z.get(0, np.zeros(2)) * [-event.efficiency, 1]}
        elif isinstance(event, Readout):
            result.append(free.get(0, 0) * np.exp(-1j * np.deg2rad(event.phase)))
    return np.array(result), z[0]


def random_events(rng, real):
    events = [Inversion(0.9), Wait(30.0)] if rng.integers(2) else []
    for n in range(5):
        phase = float(rng.choice([0, 90, 180])) if real else float(rng.uniform(0, 360))
        events += [
            Pulse(float(rng.uniform(20, 160)), phase),
            Wait(float(rng.uniform(1, 30))),
            Shift(1),
            Readout(10.0 * n),
        ]
        events += [Wait(float(rng.uniform(1, 60))), Shift(int(rng.integers(-2, 2)), 2.0)]
        if rng.integers(4) == 0:
            events += [Spoil(), Wait(40.0)]
    return [*events, Pulse(70.0, 0.0), Readout()]


def as_sequence(events, **options):
    return EventSequence(lambda p: events, **options).on_scanner(rf_duration=RF, gradient_area=100.0)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_signals_of_a_plain_epg(seed, real):
    events = random_events(np.random.default_rng(seed), real)
    extra = {"B1": 0.93, **({} if real else {"B0": 7.0, "D": 1.2})}
    q = 2.6752218708e-4 * 100
    expected, _ = plain(events, **TISSUE, **extra, q=q)
    assert_allclose(simulate(as_sequence(events), **TISSUE, **extra), expected, rtol=0, atol=1e-13)
    fractions = np.linspace(0, 0.3, 18)
    expected = [plain(events, **{**TISSUE, "bound_fraction": f}, **extra, q=q)[0] for f in fractions]
    many = {**TISSUE, **extra, "bound_fraction": fractions}
    assert_allclose(simulate(as_sequence(events), **many), expected, rtol=0, atol=1e-13)
    assert_allclose(simulate(as_sequence(events), **many, dtype="float32"), expected, rtol=0, atol=3e-6)


def test_derivatives_by_tissue():
    events = random_events(np.random.default_rng(3), real=False)
    at = {**TISSUE, "B1": 0.93}
    for many in (False, True):
        given = {**at, "T1": np.full(3, 900.0)} if many else at
        _, slopes = jacobian(as_sequence(events), **given, diff=tuple(at))
        for name, found in zip(at, slopes[-1] if many else slopes, strict=True):
            expected = slope(lambda x, name=name: plain(events, **{**at, name: x})[0], at[name], at[name] * 1e-3)
            assert_allclose(found, expected, rtol=0, atol=1e-9 * abs(expected).max(), err_msg=name)


def prepared(p):
    yield [Inversion(0.9), Wait(p.TI), Pulse(p.flip[0]), Wait(p.early), Shift(1), Pulse(p.flip[1], p.phase)]
    yield [Wait(p.early), Readout(), Shift(1), Wait(p.late), Pulse(p.flip[2], 40.0), Wait(p.early), Shift(1), Readout()]


PARAMETERS = {"flip": [60.0, 130.0, 80.0], "phase": 25.0, "TI": 120.0, "early": 6.0, "late": 20.0}


@pytest.mark.parametrize("maps", [{}, {"T2": np.linspace(40, 60, 18)}], ids=["one", "many"])
@pytest.mark.parametrize("diff", [(), ("bound_fraction", "exchange", "B1", "T1"), ("lineshape", "T1_bound", "B1")])
def test_reverse_sweep(maps, diff):
    """A scalar of signal and Jacobian by everything, against differences of the same."""
    sequence = EventSequence(prepared, **PARAMETERS).on_scanner(rf_duration=RF)
    maps = {**TISSUE, "B1": 0.95, "inv_efficiency": 0.97, **maps}
    rng, shape = np.random.default_rng(5), np.shape(maps["T2"])
    sizes = {"bound_fraction": 1.0, "exchange": 30.0, "B1": 1.0, "T1": 500.0, "lineshape": 10.0, "T1_bound": 500.0}
    bars = [rng.normal(size=(*shape, *k, 2)) + 1j * rng.normal(size=(*shape, *k, 2)) for k in ((), (len(diff),))]
    bars[1] *= np.array([sizes[name] for name in diff]).reshape(-1, 1)

    def scalar(**given):
        played = sequence.replace(**{name: given.pop(name) for name in PARAMETERS})
        results = jacobian(played, **given, diff=diff) if diff else (simulate(played, **given),)
        return sum((bar.conj() * value).real.sum() for bar, value in zip(bars, results, strict=False))

    options = {"jacobian_bar": bars[1], "diff": diff} if diff else {}
    found = vjp(sequence, **maps, signal_bar=bars[0], **options)
    for name, value in {**PARAMETERS, **maps}.items():
        value = np.asarray(value, float)
        for k in list(np.ndindex(value.shape))[::7]:

            def moved(x, name=name, value=value, k=k):
                new = value.copy()
                new[k] = x
                return scalar(**{**PARAMETERS, **maps, name: new})

            step = 1e-3 if name == "inv_efficiency" else abs(value[k]) * 1e-3
            expected = slope(moved, value[k], step)
            assert_allclose(found[name][k], expected, rtol=1e-7, atol=1e-9 * bars[0].size / step, err_msg=name)


STEADY = {
    "SPGR": SPGR(25.0, TR=15.0, TE=4.0),
    "BSSFP": BSSFP(35.0, TE=3.0, TR=6.0),
    "FSE": FSE([150.0, 120.0, 130.0], ESP=9.0, TR=300.0),
    "MRF": MRF([10.0, 40.0, 60.0, 20.0], TR=12.0, steady=True),
}


@pytest.mark.parametrize("name", STEADY)
def test_steady_states(name):
    """Repeated until nothing changes; and derivatives."""
    sequence = STEADY[name].on_scanner(rf_duration=RF)
    tissue = {**TISSUE, "T1": 150.0, "T1_bound": 120.0, "T2": 30.0}
    events = STEADY[name].events()
    values = {key: np.ravel(value) for key, value in sequence.parameters.items()}

    def number(x):
        terms = getattr(x, "terms", None)
        return x if terms is None else x.constant + sum(f * values[name][i] for name, i, f in terms)

    played, advance = [], number(sequence.advance[0])
    for n in range(700 if name == "BSSFP" else 130):
        for event in events:
            if isinstance(event, Pulse):
                played.append(Pulse(number(event.flip), number(event.phase) + n * advance))
            elif isinstance(event, Readout):
                played.append(Readout(number(event.phase) + n * advance))
            elif isinstance(event, (Wait, Shift)):
                made = type(event)(number(event.duration)) if isinstance(event, Wait) else Shift(event.orders)
                played.append(made)
            elif isinstance(event, Inversion):
                played.append(Inversion(number(event.efficiency)))
            else:
                played.append(event)
    if name == "MRF":
        played = played[: len(events) * 12]
    expected, _ = plain(played, **tissue)
    found = simulate(sequence, **tissue)
    assert_allclose(found, expected[-len(found) :], rtol=0, atol=1e-6 if name == "MRF" else 1e-9)
    bars = np.linspace(1, 2, len(found)) * np.exp(1j)
    by = vjp(sequence, **tissue, signal_bar=bars)
    for key in ("T1", "exchange", "bound_fraction", "T1_bound", "lineshape"):
        _, own = jacobian(sequence, **tissue, diff=key)
        expected = slope(lambda x, key=key: simulate(sequence, **{**tissue, key: x}), tissue[key], tissue[key] * 1e-3)
        assert_allclose(own, expected, rtol=0, atol=1e-7 * abs(expected).max(), err_msg=key)
        assert_allclose(by[key], (bars.conj() * own).real.sum(), rtol=1e-9, atol=1e-14, err_msg=key)


def test_limits():
    train = FSE([150.0, 120.0, 100.0], ESP=9.0).on_scanner(rf_duration=RF)
    alone = simulate(train, 900.0, 70.0)
    nothing = {"bound_fraction": 0.0, "exchange": 25.0}
    _, by_fraction = jacobian(train, 900.0, 70.0, diff="bound_fraction", **nothing)
    assert_allclose(simulate(train, 900.0, 70.0, bound_fraction=1e-13, exchange=25.0), alone, rtol=1e-11)
    expected = (simulate(train, 900.0, 70.0, bound_fraction=1e-6, exchange=25.0) - alone) / 1e-6
    assert_allclose(by_fraction, expected, rtol=1e-5)
    # without exchange only less is left; fast exchange between equal pools that nothing saturates is one pool
    assert_allclose(simulate(train, 900.0, 70.0, bound_fraction=0.2), 0.8 * alone, rtol=1e-13)
    with pytest.raises(ValueError, match="rf_duration"):
        simulate(FSE([150.0], ESP=9.0), 900.0, 70.0, bound_fraction=0.1)


def test_gradients_through_derivatives_by_order():
    """What a pool takes in of the seeds of diffusion and flow."""
    sequence = StimulatedEcho(20.0, 100.0).on_scanner(rf_duration=RF, gradient_area=100.0)
    at = {**TISSUE, "D": 1.0, "velocity": 2.0}
    for diff in (("D",), ("velocity",), ("D", "velocity", "T1")):
        bars = np.array([0.3 - 1j]), np.full((len(diff), 1), 0.2 + 0.5j)

        def scalar(diff=diff, bars=bars, **moved):
            results = jacobian(sequence, **{**at, **moved}, diff=diff)
            return sum((bar.conj() * value).real.sum() for bar, value in zip(bars, results, strict=True))

        found = vjp(sequence, **at, signal_bar=bars[0], jacobian_bar=bars[1], diff=diff)
        for name, value in at.items():
            expected = slope(lambda x, name=name: scalar(**{name: x}), value, value * 1e-3)
            assert_allclose(found[name], expected, rtol=1e-8, atol=1e-14, err_msg=name)


def test_a_slow_pool_is_waited_for():
    slow = {"T1": 300.0, "T2": 50.0, "bound_fraction": 0.3, "exchange": 0.5, "T1_bound": 6000.0, "lineshape": 2.0}
    found, longer = (simulate(DESS(20.0, 2.0, 10.0, tolerance).on_scanner(rf_duration=1.0), **slow)
                     for tolerance in (1e-8, 1e-13))  # fmt: skip
    assert_allclose(found, longer, rtol=0, atol=1e-8)
    for name in ("T1", "T1_bound"):
        with pytest.raises(ValueError, match=f"no steady state with a second pool: {name} reaches inf"):
            simulate(SPGR(20.0, TE=2.0, TR=15.0).on_scanner(rf_duration=1.0), **{**slow, name: np.inf})


def test_what_cannot_be_told_without_a_pool():
    train = FSE([150.0] * 5, ESP=9.0).on_scanner(rf_duration=RF)
    for name in ("exchange", "T1_bound", "lineshape"):
        with pytest.raises(ValueError, match=f"unknowns: {name} cannot be told where bound_fraction is 0"):
            CRLBObjective(train, 900.0, 70.0, unknowns=("M0", name))


@pytest.mark.parametrize("flip", [10.0, 35.0, 80.0])
def test_closed_form_of_balanced_ssfp(flip):
    """Gloor, Scheffler and Bieri, MRM 60 (2008) 691: exact where both pools have one T1."""
    T1, T2, TR, f, k, G = 800.0, 70.0, 5.0, 0.13, 0.03, 0.012  # ms, 1/ms
    found = simulate(
        BSSFP(flip, TE=0.0, TR=TR).on_scanner(rf_duration=RF), T1, T2, bound_fraction=f, exchange=1000 * k,
        T1_bound=T1, lineshape=1000 * G,
    )  # fmt: skip
    a, ratio, e1, e2 = np.deg2rad(flip), f / (1 - f), np.exp(-TR / T1), np.exp(-TR / T2)
    saturated, exchanged = np.exp(-np.pi * G * a**2 / RF), np.exp(-k * TR)
    A = 1 + ratio - saturated * e1 * (ratio + exchanged)
    B = 1 + exchanged * (ratio - saturated * e1 * (ratio + 1))
    C = ratio * (1 - e1) * (1 - exchanged)
    expected = (1 - f) * np.sin(a) * ((1 - e1) * B + C) / (A - B * e1 * e2 - (B * e1 - A * e2) * np.cos(a))
    assert_allclose(abs(found), [expected], rtol=1e-10)
