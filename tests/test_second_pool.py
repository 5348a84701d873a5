"""A second free pool, against a plain two-pool EPG that exponentiates matrices, isochromats, and known limits."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import expm
from test_bound_pool import random_events
from test_terms import slope

from epgnumba import jacobian, simulate, vjp
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
    Wait,
)  # fmt: skip

PAIR = {"T1": 900.0, "T2": 70.0, "fraction_b": 0.2, "exchange_b": 12.0, "T1_b": 500.0, "T2_b": 20.0}
SHIFTED = {**PAIR, "shift_b": 17.0}
AREA = 100.0  # mT ms/m
Q = 2.6752218708e-4 * AREA  # radians per um


def generators(T1, T2, fraction_b=0.0, exchange_b=0.0, T1_b=500.0, T2_b=20.0, shift_b=0.0, B0=0.0):
    """Of F_k and Z_k of both pools (1/ms), as McConnell wrote them: loss, gain, relaxation, frequency."""
    there, back = exchange_b / 1000 * fraction_b, exchange_b / 1000 * (1 - fraction_b)
    exchange = np.array([[-there, back], [there, -back]])
    turn = 2j * np.pi / 1000 * np.array([B0, B0 + shift_b])
    return exchange + np.diag(turn - 1 / np.array([T2, T2_b])), exchange - np.diag([1 / T1, 1 / T1_b])


def plain(events, B1=1.0, D=0.0, inv_efficiency=1.0, M0=1.0, most=np.inf, **pools):
    """F_0 at every readout: dictionaries by order of either sign, pairs of pools by matrix exponentials, none beyond `most`."""
    of_f, of_z = generators(**pools)
    rest = np.array([1 - pools.get("fraction_b", 0.0), pools.get("fraction_b", 0.0)])
    f, z, result = {0: np.zeros(2, complex)}, {0: rest.astype(complex)}, []
    nothing = np.zeros(2)

    @cache
    def exponentials(time):
        return expm(of_f * time), expm(of_z * time)

    for event in events:
        if isinstance(event, Pulse):
            angle, phase = B1 * np.deg2rad(event.flip), np.exp(1j * np.deg2rad(event.phase))
            c, s, new_f, new_z = np.cos(angle), np.sin(angle), {}, {}
            for k in {k for k in {*f, *z} | {-k for k in (*f, *z)} if abs(k) <= most}:
                p, m, w = f.get(k, nothing), np.conj(f.get(-k, nothing)), z.get(k, nothing)
                new_f[k] = (1 + c) / 2 * p + phase**2 * (1 - c) / 2 * m - 1j * phase * s * w
                new_z[k] = -0.5j / phase * s * p + 0.5j * phase * s * m + c * w
            f, z = new_f, new_z
        elif isinstance(event, (Wait, Shift)):
            time, moved = event.duration, getattr(event, "orders", 0)
            e, r = exponentials(time)
            f = {
                k + moved: np.exp(-D * Q**2 * time * (k**2 + k * moved + moved**2 / 3)) * (e @ x) for k, x in f.items()
            }
            z = {k: np.exp(-D * Q**2 * k**2 * time) * (r @ x) for k, x in z.items()}
            z[0] = z.get(0, nothing) + rest - r @ rest
        elif isinstance(event, Spoil):
            f, z = {0: np.zeros(2, complex)}, {0: z.get(0, nothing)}
        elif isinstance(event, Inversion):
            f, z = {0: np.zeros(2, complex)}, {0: -event.efficiency * inv_efficiency * z.get(0, nothing)}
        elif isinstance(event, Readout):
            result.append(M0 * f.get(0, nothing).sum() * np.exp(-1j * np.deg2rad(event.phase)))
    return np.array(result)


def as_sequence(events, **options):
    return EventSequence(lambda p: events, **options).on_scanner(gradient_area=AREA)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_signals_of_a_plain_epg(seed, real):
    events = random_events(np.random.default_rng(seed), real)
    extra = {"B1": 0.93, "M0": 1.3, "inv_efficiency": 0.9, **({} if real else {"B0": 7.0, "D": 1.2})}
    for pools in (PAIR, SHIFTED):
        given = {**pools, **extra}
        assert_allclose(simulate(as_sequence(events), **given), plain(events, **given), rtol=0, atol=1e-13)
        fractions = np.linspace(0, 0.6, 18)
        expected = [plain(events, **{**given, "fraction_b": f}) for f in fractions]
        many = {**given, "fraction_b": fractions}
        assert_allclose(simulate(as_sequence(events), **many), expected, rtol=0, atol=1e-13)
        assert_allclose(simulate(as_sequence(events), **many, dtype="float32"), expected, rtol=0, atol=3e-6)


def test_derivatives_by_tissue():
    events = random_events(np.random.default_rng(3), real=False)
    for pools in (PAIR, SHIFTED):
        at = {**pools, "B1": 0.93, "inv_efficiency": 0.9}
        expected = {
            name: slope(lambda x, name=name, at=at: plain(events, **{**at, name: x}), value, value * 1e-3)
            for name, value in at.items()
        }
        for many in (False, True):
            given = {**at, "T1": np.full(3, 900.0)} if many else at
            _, slopes = jacobian(as_sequence(events), **given, diff=tuple(at))
            for name, found in zip(at, slopes[-1] if many else slopes, strict=True):
                atol = 1e-9 * abs(expected[name]).max()
                assert_allclose(found, expected[name], rtol=0, atol=atol, err_msg=name)


def prepared(p):
    yield [Inversion(0.9), Wait(p.TI), Pulse(p.flip[0]), Wait(p.early), Shift(1), Pulse(p.flip[1], p.phase)]
    yield [Wait(p.early), Readout(), Shift(1), Wait(p.late), Pulse(p.flip[2], 40.0), Wait(p.early), Shift(1), Readout()]


PARAMETERS = {"flip": [60.0, 130.0, 80.0], "phase": 25.0, "TI": 120.0, "early": 6.0, "late": 20.0}
SIZES = {"fraction_b": 1.0, "exchange_b": 30.0, "T1_b": 500.0, "T2_b": 30.0, "shift_b": 30.0, "T1": 500.0, "T2": 60.0}


@pytest.mark.parametrize("maps", [{}, {"T2": np.linspace(40, 60, 18)}], ids=["one", "many"])
@pytest.mark.parametrize("pools", [PAIR, SHIFTED], ids=["in step", "shifted"])
@pytest.mark.parametrize("diff", [(), ("fraction_b", "exchange_b", "B1", "T1"), ("T2", "T1_b", "T2_b", "shift_b")])
def test_reverse_sweep(maps, pools, diff):
    """A scalar of signal and Jacobian by everything, against differences of the same."""
    sequence = EventSequence(prepared, **PARAMETERS)
    maps = {**pools, "B1": 0.95, "inv_efficiency": 0.97, **maps}
    rng, shape = np.random.default_rng(5), np.shape(maps["T2"])
    bars = [rng.normal(size=(*shape, *k, 2)) + 1j * rng.normal(size=(*shape, *k, 2)) for k in ((), (len(diff),))]
    bars[1] *= np.array([SIZES.get(name, 1.0) for name in diff]).reshape(-1, 1)

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
    "SPGR, RF spoiled": SPGR(25.0, 4.0, 15.0, "rf", tolerance=1e-12),
    "BSSFP": BSSFP(35.0, TE=3.0, TR=6.0),
    "BSSFP, any phase": BSSFP(35.0, TE=3.0, TR=6.0, phase_inc=140.0),
    "FSE": FSE([150.0, 120.0, 130.0], ESP=9.0, TR=300.0),
    "DESS": DESS(30.0, TE=3.0, TR=12.0, tolerance=1e-12),
    "MRF": MRF([10.0, 40.0, 60.0, 20.0], TR=12.0, steady=True),
}


def repeated(sequence, count):
    """Events of repetitions, with numbers in them."""
    values = {key: np.ravel(value) for key, value in sequence.parameters.items()}

    def number(x):
        terms = getattr(x, "terms", None)
        return x if terms is None else x.constant + sum(f * values[name][i] for name, i, f in terms)

    step, growth = map(number, sequence.advance)
    for n in range(count):
        extra = n * step + n * (n - 1) / 2 * growth
        for event in sequence.events():
            if isinstance(event, Pulse):
                yield Pulse(number(event.flip), number(event.phase) + extra)
            elif isinstance(event, Readout):
                yield Readout(number(event.phase) + extra)
            elif isinstance(event, Wait):
                yield Wait(number(event.duration))
            elif isinstance(event, Inversion):
                yield Inversion(number(event.efficiency))
            else:
                yield event


@pytest.mark.parametrize("pools", [PAIR, SHIFTED], ids=["in step", "shifted"])
@pytest.mark.parametrize("name", STEADY)
def test_steady_states(name, pools):
    """Repeated until nothing changes; and derivatives."""
    sequence, tissue = STEADY[name], {**pools, "T1": 90.0, "T1_b": 70.0, "T2": 25.0, "T2_b": 15.0}
    period = {"FSE": 300.0, "MRF": 48.0}.get(name, 6.0 if "BSSFP" in name else 13.0)
    played = list(repeated(sequence, int(2400 / period)))
    found = simulate(sequence, **tissue)
    assert_allclose(found, plain(played, most=60, **tissue)[-len(found) :], rtol=0, atol=1e-6 if name == "MRF" else 2e-11)
    many = {key: value * np.ones(3) for key, value in tissue.items()}
    assert_allclose(simulate(sequence, **many), np.broadcast_to(found, (3, len(found))), rtol=0, atol=1e-15)
    bars = np.linspace(1, 2, len(found)) * np.exp(1j)
    by = vjp(sequence, **tissue, signal_bar=bars)
    for key in (*pools, "T1"):
        _, own = jacobian(sequence, **tissue, diff=key)
        expected = slope(lambda x, key=key: simulate(sequence, **{**tissue, key: x}), tissue[key], tissue[key] * 1e-3)
        assert_allclose(own, expected, rtol=0, atol=1e-7 * abs(expected).max(), err_msg=key)
        assert_allclose(by[key], (bars.conj() * own).real.sum(), rtol=1e-9, atol=1e-14, err_msg=key)
