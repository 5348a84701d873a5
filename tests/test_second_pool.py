"""A second free pool, against a plain two-pool EPG that exponentiates matrices, isochromats, and known limits."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import expm
from test_bound_pool import random_events
from test_terms import slope

from epgnumba import CRLBObjective, crlb, jacobian, simulate, vjp
from epgnumba.derivatives import push_forward
from epgnumba.problem import read_problem
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
    """F_0 at every readout: dictionaries by order, none beyond `most`; pairs of pools by matrix exponentials."""
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
    assert_allclose(
        found, plain(played, most=60, **tissue)[-len(found) :], rtol=0, atol=1e-6 if name == "MRF" else 2e-11
    )
    many = {key: value * np.ones(3) for key, value in tissue.items()}
    assert_allclose(simulate(sequence, **many), np.broadcast_to(found, (3, len(found))), rtol=0, atol=1e-15)
    bars = np.linspace(1, 2, len(found)) * np.exp(1j)
    by = vjp(sequence, **tissue, signal_bar=bars)
    for key in (*pools, "T1"):
        _, own = jacobian(sequence, **tissue, diff=key)
        expected = slope(lambda x, key=key: simulate(sequence, **{**tissue, key: x}), tissue[key], tissue[key] * 1e-3)
        assert_allclose(own, expected, rtol=0, atol=1e-7 * abs(expected).max(), err_msg=key)
        assert_allclose(by[key], (bars.conj() * own).real.sum(), rtol=1e-9, atol=1e-14, err_msg=key)


def bloch_mcconnell(T1, T2, fraction_b, exchange_b, T1_b, T2_b, shift_b=0.0, B0=0.0):
    """Matrix of d/dt (Mx, My, Mz) of a, then of b (1/ms), and what they rest at."""
    matrix, there, back = np.zeros((6, 6)), exchange_b / 1000 * fraction_b, exchange_b / 1000 * (1 - fraction_b)
    for n, (t1, t2, field, leaving, coming) in enumerate(
        [(T1, T2, B0, there, back), (T1_b, T2_b, B0 + shift_b, back, there)]
    ):
        own, other, w = slice(3 * n, 3 * n + 3), slice(3 - 3 * n, 6 - 3 * n), 2 * np.pi * field / 1000
        matrix[own, own] = [[-1 / t2, -w, 0], [w, -1 / t2, 0], [0, 0, -1 / t1]] - leaving * np.eye(3)
        matrix[own, other] = coming * np.eye(3)
    return matrix, np.array([0, 0, 1 - fraction_b, 0, 0, fraction_b])


def about_z(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.kron(np.eye(2), [[c, -s, 0], [s, c, 0], [0, 0, 1]])


def steady_isochromat(flip, TR, turn, **pools):
    """Transverse magnetisation of both pools just after each pulse about x, turned by `turn` before the next."""
    matrix, rest = bloch_mcconnell(**pools)
    kept, a = about_z(turn) @ expm(matrix * TR), np.deg2rad(flip)
    pulse = np.kron(np.eye(2), [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    m = np.linalg.solve(np.eye(6) - pulse @ kept, pulse @ (np.eye(6) - kept) @ rest)
    return m[[0, 3]].sum() + 1j * m[[1, 4]].sum()


@pytest.mark.parametrize("B0", [0.0, 31.0])
@pytest.mark.parametrize("pools", [PAIR, SHIFTED], ids=["in step", "shifted"])
def test_isochromats(pools, B0):
    """Bloch-McConnell equations: balanced SSFP at any phase; many of them dephased, where a gradient is left over."""
    given = {**pools, "B0": B0}
    for phase_inc in (0.0, 180.0, 75.0):
        found = abs(simulate(BSSFP(35.0, 0.0, 6.0, phase_inc=phase_inc), **given))
        assert_allclose(found, [abs(steady_isochromat(35.0, 6.0, -np.deg2rad(phase_inc), **given))], rtol=1e-12)
    around = np.arange(400) * 2 * np.pi / 400
    mean = np.mean([steady_isochromat(30.0, 12.0, angle, **given) for angle in around])
    assert_allclose(abs(simulate(DESS(30.0, 0.0, 12.0, tolerance=1e-13), **given)[0]), abs(mean), rtol=1e-11)


TRAINS = {
    "FSE": FSE([150.0, 120.0, 100.0], ESP=9.0),
    "MRF": MRF([20.0, 50.0, 30.0], TR=12.0, TI=20.0, TE=3.0),
    "own": as_sequence(random_events(np.random.default_rng(2), real=False)),
    "BSSFP": BSSFP(35.0, TE=3.0, TR=6.0),
}
ALONE = {"T1": 900.0, "T2": 70.0}


@pytest.mark.parametrize("name", TRAINS)
def test_limits(name):
    sequence = TRAINS[name]
    a, still = simulate(sequence, **ALONE), {**SHIFTED, "exchange_b": 0.0}
    b = simulate(sequence, T1=still["T1_b"], T2=still["T2_b"], B0=still["shift_b"])
    assert_allclose(simulate(sequence, **still), 0.8 * a + 0.2 * b, rtol=0, atol=1e-12)
    # nothing in b; equal pools, whatever their exchange; no shift, in complex arithmetic
    assert_allclose(simulate(sequence, **{**PAIR, "fraction_b": 1e-15}), a, rtol=0, atol=1e-13)
    _, by_fraction = jacobian(
        sequence, **ALONE, diff="fraction_b", exchange_b=12.0, T1_b=500.0, T2_b=20.0, shift_b=17.0
    )
    little = simulate(sequence, **{**SHIFTED, "fraction_b": 1e-6})
    assert_allclose(by_fraction, (little - a) / 1e-6, rtol=0, atol=1e-5)
    for exchange in (0.0, 1e-3, 30.0, 1e6):
        equal = {**ALONE, "fraction_b": 0.3, "exchange_b": exchange, "T1_b": 900.0, "T2_b": 70.0}
        assert_allclose(simulate(sequence, **equal), a, rtol=0, atol=1e-9 if exchange > 100 else 1e-13)
    assert_allclose(simulate(sequence, **PAIR, shift_b=1e-300), simulate(sequence, **PAIR), rtol=0, atol=1e-14)
    # fast exchange: one pool with mean rates and the mean frequency
    f = 0.2
    mean = {key: 1 / ((1 - f) / SHIFTED[key] + f / SHIFTED[f"{key}_b"]) for key in ("T1", "T2")}
    fast = simulate(sequence, **{**SHIFTED, "exchange_b": 1e6})
    assert_allclose(fast, simulate(sequence, **mean, B0=f * SHIFTED["shift_b"]), rtol=0, atol=2e-5)


def free_decay(time):
    return as_sequence([Pulse(90.0, 90.0), Wait(time), Readout()])


@pytest.mark.parametrize("exchange", [0.0, 1e-3, 1.0, 30.0, 1e3, 1e5])
@pytest.mark.parametrize("shift", [0.0, 1e-6, 0.3, 40.0, 3e3])
def test_exchange_of_any_size(exchange, shift):
    """Series and exponentials, and what they are where one hands over to the other."""
    rng = np.random.default_rng(0)
    for T2, T2_b, f, time in zip(10 ** rng.uniform(0, 3, 40), 10 ** rng.uniform(0, 3, 40), rng.uniform(0, 0.9, 40),
                                 10 ** rng.uniform(-2, 2, 40), strict=True):  # fmt: skip
        given = {"fraction_b": f, "exchange_b": exchange, "T1_b": 5e3, "T2_b": T2_b, "shift_b": shift}
        of_f, _ = generators(5e3, T2, **given)
        expected = (expm(of_f * time) @ [1 - f, f]).sum()
        rounding = 1e-15 * (1 + 1e-3 * exchange * time + 2 * np.pi * 1e-3 * shift * time)
        found = simulate(free_decay(time), 5e3, T2, **given)
        assert_allclose(found, [expected], rtol=0, atol=10 * rounding)
        assert_allclose(simulate(free_decay(time), [5e3] * 3, T2, **given)[1], found, rtol=0, atol=2 * rounding)


def test_published_multiecho_train():
    """Malik et al., MRM 80 (2018) 767, CPMG: myelin water that exchanges looks less, and shorter in T2, than it is.

    There a rate ka from a to b is stated per ms: f k of ours, so that k = 1000 ka / f in 1/s. 180 degree pulses leave
    the exponentials of the exchange matrix, two of them.
    """
    f, echoes = 0.2, 5.0 * np.arange(1, 51)
    ka = np.array([0.0, 1e-3, 2e-3, 2.5e-3])
    train = FSE([180.0] * 50, ESP=5.0)
    found = simulate(train, 1000.0, 100.0, fraction_b=f, exchange_b=1000 * ka / f, T1_b=500.0, T2_b=20.0)
    seen = []
    for rate, signal in zip(ka, found, strict=True):
        back = rate * (1 - f) / f  # what leaves each pool in equilibrium comes back
        values, vectors = np.linalg.eig([[-1 / 100 - rate, back], [rate, -1 / 20 - back]])
        amplitudes = vectors.sum(0) * np.linalg.solve(vectors, [1 - f, f])
        assert_allclose(signal, np.exp(np.outer(echoes, values)) @ amplitudes, rtol=0, atol=1e-13)
        short = np.argmin(values)
        seen.append([amplitudes[short], -1 / values[short], -1 / values[1 - short]])
    assert_allclose(seen[0], [0.2, 20.0, 100.0], rtol=1e-12)
    # at 2 /s: the roots of (x - 0.012) (x - 0.058) = 0.008 x 0.002, and what gives the initial slope 0.8/100 + 0.2/20
    assert_allclose(seen[2], [0.1359, 17.139, 85.802], rtol=1e-4)
    assert (np.diff(seen, axis=0) < 0).all()  # fraction, T2 of both: all fall as exchange rises


def test_adjoint_identity():
    """<J v, w> = <v, J* w>, along all maps and parameters at once."""
    sequence = EventSequence(prepared, **PARAMETERS)
    values = {**PARAMETERS, **SHIFTED, "B1": 0.95, "B0": 3.0, "M0": 1.2, "inv_efficiency": 0.9}
    rng = np.random.default_rng(1)
    along = {name: rng.normal(size=np.shape(value)) * np.abs(value) for name, value in values.items()}
    maps = {name: value for name, value in values.items() if name not in PARAMETERS}
    moved, _ = push_forward(read_problem(sequence, **maps), along)
    bars = rng.normal(size=2) + 1j * rng.normal(size=2)
    pulled = vjp(sequence, **maps, signal_bar=bars)
    total = sum((pulled[name] * along[name]).sum() for name in along)
    assert total == pytest.approx(np.vdot(bars, moved).real, rel=1e-12)


def test_bounds():
    """Of all that a fingerprint can tell of two pools, against the inverse of its Fisher matrix."""
    sequence = MRF(np.linspace(10, 70, 40), TR=12.0, TI=15.0, TE=3.0)
    unknowns = ("M0", "T1", "T2", "fraction_b", "T2_b", "shift_b")
    _, slopes = jacobian(sequence, **SHIFTED, diff=unknowns)
    scale = np.array([1.0, *(SHIFTED[name] for name in unknowns[1:])])[:, None]
    scaled = slopes * scale
    expected = np.diag(np.linalg.inv((scaled @ scaled.conj().T).real)) * scale[:, 0] ** 2
    assert_allclose(crlb(slopes), expected, rtol=1e-6)
    objective = CRLBObjective(sequence, **SHIFTED, unknowns=unknowns, weights=1 / scale[:, 0] ** 2, variables=("flip",))
    value, gradient = objective(objective.x0)
    assert value == pytest.approx((expected / scale[:, 0] ** 2).sum(), rel=1e-6)
    unit = np.cos(np.arange(40.0))
    expected = slope(lambda h: objective(objective.x0 + h * unit)[0], 0.0, 1e-3)
    assert gradient @ unit == pytest.approx(expected, rel=1e-6)


def test_a_shift_that_spin_echoes_do_not_see():
    """Without exchange; nothing but rounding is no sensitivity, of a pool that lives longer than the other too."""
    train = FSE([180.0] * 12, ESP=8.0)
    still = {**SHIFTED, "exchange_b": 0.0, "T2": 10.0, "T2_b": 300.0}
    assert not jacobian(train, **still, diff="shift_b")[1].any()
    with pytest.raises(ValueError, match="the protocol cannot tell the unknowns apart"):
        CRLBObjective(train, **still, unknowns=("M0", "shift_b"), singular="raise")([180.0] * 12)
    assert abs(jacobian(train, **{**still, "exchange_b": 10.0}, diff="shift_b")[1]).max() > 1e-6


def test_what_is_refused():
    train = FSE([150.0] * 5, ESP=9.0)
    for name in ("exchange_b", "T1_b", "T2_b", "shift_b"):
        with pytest.raises(ValueError, match=f"unknowns: {name} cannot be told where fraction_b is 0"):
            CRLBObjective(train, 900.0, 70.0, unknowns=("M0", name))
    with pytest.raises(ValueError, match="bound_fraction and fraction_b cannot be there at once"):
        simulate(train.on_scanner(rf_duration=1.0), **PAIR, bound_fraction=0.1)
    with pytest.raises(ValueError, match=r"fraction_b=1 is not allowed: .* at most 0.99"):
        simulate(train, **{**PAIR, "fraction_b": 1.0})
    with pytest.raises(ValueError, match=r"shift_b=900000 Hz is not allowed here: over .* float64"):
        simulate(free_decay(300.0), **{**PAIR, "shift_b": 9e5}, dtype="float32")
    for name in ("T1", "T1_b"):
        with pytest.raises(ValueError, match=f"no steady state with a second pool: {name} reaches inf"):
            simulate(BSSFP(35.0, 3.0, 6.0), **{**PAIR, name: np.inf})


def test_a_slow_pool_is_waited_for():
    slow = {"T1": 300.0, "T2": 50.0, "fraction_b": 0.3, "exchange_b": 0.5, "T1_b": 6000.0, "T2_b": 400.0}
    found, longer = (simulate(DESS(20.0, 2.0, 10.0, tolerance), **slow) for tolerance in (1e-8, 1e-13))
    assert_allclose(found, longer, rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match=r"the steady state takes .* T1_b reaches 6e\+06 ms"):
        simulate(DESS(20.0, 2.0, 10.0), **{**slow, "T1_b": 6e6})
