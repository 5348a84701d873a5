"""Steady states that a gradient dephases: the mean over angles, against repetition, a plain EPG and a closed form."""

import numpy as np
import pytest
from players import Spins, number, play

import epgnumba
from epgnumba import CRLBObjective, EventSequence
from epgnumba.derivatives import push_forward, push_pull
from epgnumba.problem import read_problem
from epgnumba.program import steady
from epgnumba.sequence import DESS, MRF, SPGR, Inversion, Pulse, Readout, Shift, Spoil, Wait
from epgnumba.truncation import ALL  # a limit on orders, however high, asks for repetition

TISSUE = {"T1": 150.0, "T2": 60.0, "B1": 0.9, "B0": 11.0, "M0": 1.3}
DIFF = ("T1", "T2", "B1", "B0", "M0")


def random_sequence(seed):
    """One to four pulses, gradients and readouts anywhere between them; every other one with all gradients at the end.

    Phase cycled, and with inverting pulses; a third of them with even gradients only, of which readouts are odd.
    """
    rng = np.random.default_rng(seed)
    n, at_end, unit = rng.integers(1, 5), seed % 2, 1 + (seed % 3 == 0)
    shifts = unit * rng.integers(-2, 4, (n, 2))
    odd = rng.integers(0, 2, n) * (unit - 1)
    last = unit * int(rng.integers(1, 3))

    def build(p):
        for k in range(n):
            between = (0, 0) if at_end and k + 1 < n else shifts[k]
            yield [Pulse(180.0 if k == 2 else p.flip[k], p.phase[k]), Wait(p.time[0] + 4.0), Readout(p.phase[k])]
            yield [Shift(between[0]), Wait(p.time[k]), Readout(20.0), Shift(between[1]), Shift(odd[k])]
            yield [Readout(), Shift(-odd[k]), Wait(p.time[1])]
        yield Shift(last - (sum(shifts[-1]) if at_end else 0))

    flip, phase, time = rng.uniform(10, 150, 4), rng.choice([0.0, 90.0, 180.0, 33.0], 4), rng.uniform(5, 9, 4)
    return EventSequence(
        build, steady=True, advance="step", tolerance=1e-15, step=70.0, flip=flip, phase=phase, time=time
    )


@pytest.fixture
def averaged(monkeypatch):
    """Means over angles even where repetition is quicker."""
    monkeypatch.setattr(steady, "_repeated_cost", lambda *_: np.inf)


def members(problem):
    ensemble = problem.job().program.ensemble
    return len(ensemble.turns) if ensemble else 0


def spread(seed, size):
    rng = np.random.default_rng(seed)
    if size == 1:
        return TISSUE
    return {name: value * rng.uniform(0.6, 1.0, size) for name, value in TISSUE.items()}


def close(found, expected, tolerance):
    """Within `tolerance` of the largest number."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= tolerance * max(abs(expected).max(), 1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_signal_of_a_plain_epg(averaged, seed):
    sequence = random_sequence(seed)
    assert members(read_problem(sequence, **TISSUE)) > 1
    close(epgnumba.simulate(sequence, **TISSUE), play(sequence, **TISSUE, size=400), 1e-13)


@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize("seed", range(8))
def test_every_derivative_is_that_of_repetition(averaged, seed, size):
    sequence, tissue, rng = random_sequence(seed), spread(seed, size), np.random.default_rng(seed)
    options = {"diff": DIFF, "slice_prof": [0.7, 1.0]}
    signal, jacobian = epgnumba.jacobian(sequence, **tissue, **options)
    repeated = epgnumba.jacobian(sequence, **tissue, **options, nstates=ALL)
    close(signal, repeated[0], 1e-12)
    for n in range(len(DIFF)):
        close(jacobian[..., n, :], repeated[1][..., n, :], 1e-11)
    bars = [rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in (signal, jacobian)]
    given = {**tissue, **options, "signal_bar": bars[0], "jacobian_bar": bars[1]}
    expected = epgnumba.vjp(sequence, **given, nstates=ALL)
    for name, value in epgnumba.vjp(sequence, **given).items():
        close(value, expected[name], 1e-10)
    tangents = {name: rng.normal(size=np.shape(value)) for name, value in {**sequence.parameters, **tissue}.items()}
    problems = [read_problem(sequence, **tissue, **options, nstates=kept) for kept in (None, ALL)]
    for found, wanted in zip(*(push_forward(problem, tangents) for problem in problems), strict=True):
        close(found, wanted, 1e-10)
    found, wanted = (push_pull(problem, bars, tangents) for problem in problems)
    for name, value in found.items():
        close(value, wanted[name], 1e-9)


@pytest.mark.parametrize(("flips", "fewer"), [([3.0], 5), ([3.0, 5.0], 3)])
def test_as_many_angles_as_it_takes(averaged, monkeypatch, flips, fewer):
    """Twice as many change nothing; with a few times fewer aliases show, so that the bound is not far off."""
    count = steady.count_members

    def jacobian(factor):
        def events(p):  # anew, since what was compiled is kept
            for flip in p.flip:
                yield [Pulse(flip), Wait(3.0), Readout(), Shift(1), Wait(7.0), Readout()]

        monkeypatch.setattr(steady, "count_members", lambda *given: max(int(factor * count(*given)), 1))
        sequence = EventSequence(events, steady=True, flip=flips)
        return epgnumba.jacobian(sequence, 900.0, 80.0, B0=5.0, diff=DIFF)

    (signal, slopes), twice, few = jacobian(1), jacobian(2), jacobian(1 / fewer)
    assert abs(signal - twice[0]).max() <= 1e-15
    for n in range(len(DIFF)):
        close(slopes[n], twice[1][n], 1e-12)
    assert abs(signal - few[0]).max() > 1e-11


@pytest.mark.parametrize("T1", [40.0, 200.0])
@pytest.mark.parametrize("seed", range(8))
def test_orders_fall_as_they_are_said_to(seed, T1):
    """Every order of a plain EPG, after every pulse; T2 may be the longer one."""
    sequence, T2, states = random_sequence(seed), 50.0, []

    class Listening(Spins):
        def pulse(self, flip, phase=0.0):
            super().pulse(flip, phase)
            states.append(abs(self.state).max(axis=0))

    play(sequence, T1, T2, kind=Listening, size=300)
    events = sequence.events()
    first, *more = (n for n, event in enumerate(events) if isinstance(event, Pulse))
    time, shift, times_per_order = 0.0, 0, []
    for event in [*events[first + 1 :], *events[: first + 1]]:
        if isinstance(event, Wait):
            time += number(event.duration, sequence.parameters)
        elif isinstance(event, Shift):
            shift += event.orders
        elif isinstance(event, Pulse):
            times_per_order += [time / abs(shift)] if shift else []
            time, shift = 0.0, 0
    bound = max(1, T2 / (0.1 * T1)) * np.exp(-0.9 * min(times_per_order) * np.arange(300) / T2)
    for found in states[-1 - len(more) :]:
        assert (found <= bound + 1e-15).all()


def closed_form(flip, TR, T1, T2):
    """F_0 after and before the pulse of an unbalanced steady state (Hänicke and Vogel, MRM 49 (2003) 771)."""
    a, e1, e2 = np.deg2rad(flip), np.exp(-TR / T1), np.exp(-TR / T2)
    p = 1 - e1 * np.cos(a) - e2**2 * (e1 - np.cos(a))
    q = e2 * (1 - e1) * (1 + np.cos(a))
    r = (1 - e2**2) / np.sqrt(p**2 - q**2)
    return np.tan(a / 2) * (1 - (e1 - np.cos(a)) * r), np.tan(a / 2) * (1 - (1 - e1 * np.cos(a)) * r)


@pytest.mark.parametrize(("T1", "T2"), [(500.0, 50.0), (1e5, 50.0), (1e6, 2000.0), (4000.0, 2000.0)])
def test_tissue_that_repetition_would_not_reach(T1, T2):
    def events(p):
        yield [Pulse(p.flip), Readout(), Shift(1), Wait(p.TR), Readout()]

    signal = epgnumba.simulate(EventSequence(events, steady=True, flip=30.0, TR=4.0), T1, T2)
    # 1 - E1 has lost as many digits as T1 is longer than TR.
    np.testing.assert_allclose(abs(signal), closed_form(30.0, 4.0, T1, T2), rtol=1e-15 * T1, atol=0)


def test_single_precision():
    sequence, tissue = DESS(30.0, 4.0, 15.0), {"T1": np.linspace(200, 900, 20), "T2": 60.0}
    single, double = (epgnumba.jacobian(sequence, **tissue, diff="T2", dtype=kind) for kind in (np.float32, float))
    counts = [members(read_problem(sequence, **tissue, dtype=kind)) for kind in (np.float32, float)]
    assert 1 < counts[0] < counts[1]
    assert abs(single[0] - double[0]).max() <= 1e-6
    close(single[1], double[1], 2e-5)


def test_derivatives_that_vanish_are_zero(averaged):
    """A gradient is left over: off-resonance only moves the pattern, and F_0 at the pulses stays."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = 1 + seed % 4

        def events(p):
            for flip in p.flip:
                yield [Pulse(flip), Readout(), Wait(p.TR), Shift(1)]

        sequence = EventSequence(events, steady=True, flip=rng.uniform(2, 170, n), TR=10 ** rng.uniform(0.3, 2))
        T2 = 10 ** rng.uniform(0.5, 2.7, 18)
        for kind in (np.float32, np.float64):
            _, slopes = epgnumba.jacobian(sequence, 5 * T2, T2, B0=9.0, diff=("T2", "B0"), dtype=kind)
            assert (slopes[:, 1] == 0).all()
            assert (abs(slopes[:, 0]).max(axis=-1) > 0).all()


def test_what_no_gradient_brings_back():
    """Gradients of two cycles, read after one; and a gradient that the next repetition undoes."""

    def odd(p):
        yield [Pulse(p.flip), Wait(3.0), Readout(), Shift(1), Readout(), Shift(1), Wait(9.0)]

    signal, slopes = epgnumba.jacobian(EventSequence(odd, steady=True, flip=30.0), 300.0, 40.0, diff=DIFF)
    assert signal[1] == 0 < abs(signal[0])
    assert (slopes[:, 1] == 0).all()

    def undone(p):
        yield [Shift(-1), Wait(2.0), Pulse(p.flip), Wait(3.0), Readout(), Shift(1), Wait(9.0), Readout()]

    def balanced(p):
        yield [Wait(2.0), Pulse(p.flip), Wait(3.0), Readout(), Wait(9.0)]

    signal, expected = (
        epgnumba.simulate(EventSequence(e, steady=True, flip=30.0), 300.0, 40.0, B0=8.0) for e in (undone, balanced)
    )
    assert signal[0] == pytest.approx(expected[0], rel=1e-14)
    assert signal[1] == 0


@pytest.mark.parametrize(
    "events",
    [
        lambda p: [Pulse(p.flip), Readout(), Shift(1), Pulse(p.flip), Wait(9.0), Readout()],
        lambda p: [
            Pulse(p.flip),
            Wait(5.0),
            Readout(),
            Spoil(),
            Wait(3.0),
            Pulse(p.flip),
            Readout(),
            Wait(9.0),
            Shift(),
        ],
        lambda p: [Pulse(p.flip), Wait(5.0), Inversion(), Wait(3.0), Pulse(p.flip), Readout(), Wait(9.0), Shift()],
    ],
    ids=["a gradient that takes no time", "a crusher in between", "an inversion in between"],
)
def test_what_is_repeated(averaged, events):
    sequence = EventSequence(events, steady=True, flip=40.0, tolerance=1e-14)
    assert members(read_problem(sequence, 90.0, 30.0)) == 0
    close(epgnumba.simulate(sequence, 90.0, 30.0), play(sequence, 90.0, 30.0, size=250), 1e-13)


def test_orders_that_are_cut(monkeypatch):
    """Cutting orders of 140 repetitions is exact; cutting more of them would not be."""
    sequence, tissue = SPGR(25.0, 2.0, 9.0, "rf", tolerance=1e-9), {"T1": 60.0, "T2": np.linspace(7.0, 14.0, 20)}

    def kept():
        problem = read_problem(sequence.replace(), **tissue, diff=("T1", "T2", "B1"))
        return problem.job().signals(), max(problem.job().program.signal.reach.counts)

    highest, cut = steady.highest_order, kept()
    monkeypatch.setattr(steady, "highest_order", lambda *_: None)
    whole = kept()
    monkeypatch.setattr(steady, "highest_order", lambda *given: highest(*given) // 4)
    quarter = kept()
    assert quarter[1] < cut[1] < whole[1]
    for found, few, expected in zip(cut[0], quarter[0], whole[0], strict=True):
        assert abs(found - expected).max() <= 1e-15
        assert abs(few - expected).max() > 1e-13


@pytest.mark.parametrize("sequence", [DESS(30.0, 2.0, 9.0), MRF([20.0, 50.0], 9.0, inversion=None, steady=True)])
@pytest.mark.parametrize("T1", [200.0, [200.0, 170.0, 120.0]])
def test_design(averaged, sequence, T1):
    """Bounds, their gradient and its derivative; with a slice profile too."""
    for profile in (1.0, [0.8, 1.0]):
        options = {"unknowns": ("M0", "T2"), "variables": ("flip", "TR"), "slice_prof": profile}
        objective, repeated = (CRLBObjective(sequence, T1, 50.0, **options, nstates=kept) for kept in (None, ALL))
        assert objective._job.program.ensemble
        x, p = objective.x0, np.cos(np.arange(objective.x0.size))
        for found, expected in zip(objective(x), repeated(x), strict=True):
            close(found, expected, 1e-6)  # what repetition leaves
        numeric = (objective(x + 1e-4 * p)[1] - objective(x - 1e-4 * p)[1]) / 2e-4
        close(objective.hessp(x, p), numeric, 1e-6)


def test_voxels_one_by_one_and_many(averaged):
    """The same angles for a map and for its voxels, whose T2 is shorter: the same signal."""
    sequence, tissue = random_sequence(2), spread(1, 17)
    together = epgnumba.simulate(sequence, **tissue)
    for n in range(17):
        close(epgnumba.simulate(sequence, **{name: value[n] for name, value in tissue.items()}), together[n], 1e-13)


def test_what_takes_too_many_angles():
    with pytest.raises(ValueError, match="repetitions.*leave such tissue out, or raise tolerance"):
        epgnumba.simulate(DESS(30.0, 1.0, 2.0), 1e6, 1e6)


def test_how_many_orders_are_enough():
    """Counted against repetition with all orders, as limited ones are played."""
    sequence = DESS(30.0, 2.0, 9.0)
    found = epgnumba.find_nstates(sequence, 200.0, 40.0, tolerance=1e-9)
    assert 2 < found.nstates < 100
    assert found.error <= 1e-9
    exact = epgnumba.simulate(sequence, 200.0, 40.0)
    kept, fewer = (epgnumba.simulate(sequence, 200.0, 40.0, nstates=found.nstates - n) for n in (0, 1))
    assert abs(kept - exact).max() < 1e-7  # what repetition leaves
    assert abs(fewer - kept).max() > 1e-10 * abs(exact).max()
