"""Sequences of a user's own: any events, any parameters, and errors for what makes no sense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from players import play

import epgnumba
from epgnumba import EventSequence, engine
from epgnumba.derivatives import push_forward
from epgnumba.plot.phase_graph import find_pathways
from epgnumba.problem import read_problem
from epgnumba.sequence import MRF, Inversion, Pulse, Readout, Shift, Spoil, Wait, t2_preparation
from epgnumba.sequence.timeline import timeline

ANGLES = [0.0, 90.0, 180.0, 270.0, 33.0]


@st.composite
def event_lists(draw):
    """(kind, index) pairs: what `build` makes events of; the index chooses an entry of a parameter."""
    middle = st.tuples(st.sampled_from("ppwwwsSrrci"), st.integers(0, 3))
    first, inner = draw(st.integers(0, 3)), draw(st.lists(middle, min_size=3, max_size=25))
    return [("p", first), *inner, ("p", 1), ("w", 0), ("r", 0)]


def build_from(letters):
    def build(p):
        spoiled = False
        for kind, n in letters:
            if kind == "p":
                yield Pulse(p.flip[n], p.phase[n])
            elif kind == "w":
                yield Wait(p.time[n] + 0.5 * p.time[(n + 1) % 4])
            elif kind in "sS":
                yield Shift(n + 1 if kind == "s" else -n)
            elif kind == "r" and not spoiled:
                yield Readout(p.phase[n] * 2.0)
            elif kind == "c":
                yield Spoil()
            elif kind == "i":
                yield Inversion(p.efficiency)
            spoiled = kind in "ci" or (spoiled and kind != "p")

    return build


def random_sequence(letters, seed, steady):
    rng = np.random.default_rng(seed)
    names = {letter for letter, _ in letters}
    extra = {"efficiency": 0.9} if "i" in names else {}
    phases = rng.choice(ANGLES, 4) if seed % 2 else np.full(4, 90.0 * (seed % 4))
    time = rng.uniform(1, 20, 4) if not steady else rng.uniform(30, 60, 4)
    return EventSequence(
        build_from(letters), steady=steady, flip=rng.uniform(0, 180, 4), phase=phases, time=time, **extra
    )


TISSUE = {"T1": 200.0, "T2": 40.0, "B1": 0.93, "inv_efficiency": 0.8}


@settings(max_examples=60, deadline=None)
@given(event_lists(), st.integers(0, 2**16), st.sampled_from([0.0, 21.0]))
def test_any_events(letters, seed, B0):
    sequence = random_sequence(letters, seed, steady=False)
    expected = play(sequence, **TISSUE, B0=B0, size=140)
    np.testing.assert_allclose(epgnumba.simulate(sequence, **TISSUE, B0=B0), expected, rtol=0, atol=1e-13)


@settings(max_examples=25, deadline=None)
@given(event_lists(), st.integers(0, 2**16))
def test_any_events_repeated(letters, seed):
    sequence = random_sequence(letters, seed, steady=True)
    expected = play(sequence, **TISSUE, B0=5.0, size=400)
    np.testing.assert_allclose(epgnumba.simulate(sequence, **TISSUE, B0=5.0), expected, rtol=0, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(event_lists(), st.integers(0, 2**16), st.booleans())
def test_adjoint_identity(letters, seed, steady):
    """Re <bar, J v> = (J^T bar) v for signal and Jacobian together, in every argument at once."""
    sequence, rng = random_sequence(letters, seed, steady), np.random.default_rng(seed)
    tissue = {**{name: np.full(2, value) for name, value in TISSUE.items()}, "B0": np.array([0.0, 9.0])}
    problem = read_problem(sequence, **tissue, diff=("T1", "T2", "B0", "B1"))
    values = {**sequence.parameters, **tissue}
    tangents = {name: rng.normal(size=value.shape) * np.maximum(abs(value), 1) for name, value in values.items()}
    signal, jacobian = push_forward(problem, tangents)
    signal_bar, jacobian_bar = (rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in (signal, jacobian))
    bars = epgnumba.vjp(
        sequence, **tissue, diff=("T1", "T2", "B0", "B1"), signal_bar=signal_bar, jacobian_bar=jacobian_bar
    )
    left = np.vdot(signal_bar, signal).real + np.vdot(jacobian_bar, jacobian).real
    terms = [(bars[name] * tangents[name]).sum() for name in tangents]
    assert abs(left - sum(terms)) <= 1e-10 * sum(map(abs, terms)) + 1e-13


def test_parameters_are_the_users():
    """A shared angle, a scaled one, a duration that is what another leaves: derivatives in the user's own terms."""

    def build(p):
        for n in range(3):
            yield [Pulse(p.alpha * (n + 1) / 2, 20), Wait(p.TE), Readout(20), Wait(p.TR - p.TE), Shift()]

    sequence = EventSequence(build, alpha=30.0, TE=3.0, TR=12.0)
    bar = np.array([1.0, 2.0j, -1.0])
    gradient = epgnumba.vjp(sequence, 600.0, 50.0, signal_bar=bar)
    for name, value in sequence.parameters.items():
        step = 1e-4 * value
        ends = [epgnumba.simulate(sequence.replace(**{name: value + s * step}), 600.0, 50.0) for s in (1, -1)]
        assert gradient[name] == pytest.approx(np.vdot(bar, ends[0] - ends[1]).real / (2 * step), rel=1e-6)


def test_design_of_an_own_sequence():
    def build(p):
        yield Inversion()
        for flip, TR in zip(p.flip, p.TR, strict=True):
            yield [Pulse(flip), Readout(), Wait(TR), Shift()]

    sequence = EventSequence(build, flip=np.linspace(10, 60, 20), TR=np.full(20, 15.0))
    objective = epgnumba.CRLBObjective(
        sequence, 800.0, [50.0, 90.0], unknowns=("M0", "T1", "T2"), weights=[0, 1e-3, 1], variables=("TR", "flip")
    )
    x = objective.x0
    value, gradient = objective(x)
    direction = np.random.default_rng(0).normal(size=x.size)
    numeric = (objective(x + 1e-4 * direction)[0] - objective(x - 1e-4 * direction)[0]) / 2e-4
    assert gradient @ direction == pytest.approx(numeric, rel=1e-6)
    assert value == pytest.approx((objective.bounds(x) * [0, 1e-3, 1]).sum(), rel=1e-12)
    with pytest.raises(ValueError, match="duration is negative"):
        objective(np.concatenate([np.full(20, -1.0), x[20:]]))


def test_a_repeated_design_is_repeated_often_enough():
    """Shorter repetitions take more of them: the objective looks again when durations vary."""
    sequence = epgnumba.sequence.SPGR(30.0, 2.0, 80.0, "rf")
    objective = epgnumba.CRLBObjective(sequence, 500.0, 50.0, unknowns="T2", variables=("TR",))
    objective([80.0])
    short = epgnumba.CRLBObjective(sequence.replace(TR=9.0), 500.0, 50.0, unknowns="T2", variables=("TR",))
    assert objective([9.0])[0] == short([9.0])[0]


def test_nesting_and_reuse():
    train = [Pulse(60.0), Wait(5.0), Readout(), Shift()]
    nested = EventSequence(lambda p: (train, [[train], train]))
    flat = EventSequence(lambda p: train * 3)
    assert nested.structure == flat.structure
    assert hash(nested.structure) == hash(flat.structure)
    np.testing.assert_array_equal(epgnumba.simulate(nested, 500, 50), epgnumba.simulate(flat, 500, 50))


def test_another_length_is_another_structure():
    sequence = EventSequence(lambda p: [[Pulse(flip), Readout(), Shift()] for flip in p.flip], flip=[10.0, 20.0])
    longer = sequence.replace(flip=[10.0, 20.0, 30.0])
    assert epgnumba.simulate(longer, 500, 50).shape == (3,)
    assert sequence.replace(flip=[30.0, 20.0]).structure is sequence.structure


PULSE_READ = [Pulse(30.0), Readout()]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EventSequence(5), TypeError, "build=5 is not callable"),
        (
            lambda: EventSequence(lambda p: [Pulse(30.0), "read"]),
            TypeError,
            "'read' is not an event; allowed are Pulse",
        ),
        (
            lambda: EventSequence(lambda p: PULSE_READ, TE=3.0),
            ValueError,
            r"no event refers to the parameters \['TE'\]",
        ),
        (
            lambda: EventSequence(lambda p: PULSE_READ, advance="step"),
            ValueError,
            "advance='step' is not a number among",
        ),
        (lambda: EventSequence(lambda p: [Wait(p.x), *PULSE_READ], x=np.nan), ValueError, "x=nan"),
        (lambda: EventSequence(lambda p: [Wait(p.x), *PULSE_READ], x=[[1.0]]), ValueError, r"x has shape \(1, 1\)"),
        (lambda: EventSequence(lambda p: PULSE_READ, tolerance=0.0), ValueError, "tolerance=0"),
        (lambda: EventSequence(lambda p: [*PULSE_READ, Shift(2)], balanced=True), ValueError, "sum to 2 cycles"),
        (lambda: Shift(1.5), TypeError, "orders=1.5"),
        (lambda: EventSequence(lambda p: PULSE_READ, tolerance=1.0), ValueError, "tolerance=1 .*between 0 and 1"),
        (lambda: EventSequence(lambda p: [Wait(p.T1), *PULSE_READ], T1=5.0), ValueError, r"\['T1'\] are not allowed"),
        (lambda: EventSequence(lambda p: [Wait(np.nan), *PULSE_READ]), ValueError, "nan stands where"),
        (lambda: EventSequence(lambda p: [Pulse("90"), Readout()]), TypeError, "'90' stands where an event needs"),
        (lambda: EventSequence(lambda p: [Pulse(p.x), Readout()], x=[1.0, 2.0]), TypeError, "stands where an event"),
        (lambda: EventSequence(lambda p: [Pulse(p.x * p.x), Readout()], x=1.0), TypeError, "is not linear"),
        (lambda: EventSequence(lambda p: [p.x, *PULSE_READ], x=1.0), TypeError, "is not an event"),
        (
            lambda: EventSequence(lambda p: [[Pulse(x), Readout()] for x in p.x], x=1.0),
            TypeError,
            "x is a number, not a vector",
        ),
        (lambda: EventSequence(lambda p: [Pulse(p.y), Readout()], x=1.0), AttributeError, r"'y' is not.*\['x'\]"),
    ],
)
def test_what_is_refused_when_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([Readout(), Pulse(30.0)], "nothing to read"),
        ([Pulse(30.0), Spoil(), Readout()], "nothing to read"),
        ([Pulse(30.0), Inversion(), Readout()], "nothing to read"),
        ([Pulse(30.0), Wait(5.0)], "at least one pulse and one readout"),
        ([Wait(5.0)], "at least one pulse and one readout"),
        ([Pulse(30.0), Wait(-5.0), Readout()], "a duration is negative: -5 = -5 ms"),
    ],
)
def test_what_is_refused_when_played(events, message):
    with pytest.raises(ValueError, match=message):
        epgnumba.simulate(EventSequence(lambda p: events), 500, 50)


def test_a_negative_difference_is_named():
    sequence = EventSequence(lambda p: [Pulse(30.0), Wait(p.TR - 2 * p.TE), Readout()], TR=5.0, TE=4.0)
    with pytest.raises(ValueError, match=r"-2 TE\[0\] \+ 1 TR\[0\] = -3 ms"):
        epgnumba.simulate(sequence, 500, 50)


def fisp(p):
    for flip in p.flip:
        yield [Pulse(flip), Wait(p.TE), Readout(), Shift(1), Wait(p.TR - p.TE)]


def test_no_wait_is_negative_even_where_a_neighbour_makes_up_for_it():
    """A readout after TE = 15 ms of a TR of 12 ms: the next pulse would come before it."""
    sequence = EventSequence(fisp, flip=[10.0, 20.0], TE=3.0, TR=12.0)
    assert np.isfinite(epgnumba.simulate(sequence, 500, 50)).all()
    with pytest.raises(ValueError, match=r"a duration is negative: -1 TE\[0\] \+ 1 TR\[0\] = -3 ms"):
        epgnumba.simulate(sequence.replace(TE=15.0), 500, 50)
    objective = epgnumba.CRLBObjective(sequence, 500.0, 50.0, variables=("TE",))
    with pytest.raises(ValueError, match="a duration is negative"):
        objective([15.0])


def test_readouts_do_not_run_backward_in_time():
    events = [Pulse(30.0), Wait(9.0), Readout(), Wait(-4.0), Readout(), Wait(20.0), Pulse(30.0), Readout()]
    with pytest.raises(ValueError, match="a duration is negative: -4 = -4 ms"):
        epgnumba.simulate(EventSequence(lambda p: events), 500, 50)


def test_preparation_can_be_designed():
    sequence = EventSequence(lambda p: [t2_preparation(p.T), Pulse(90.0), Readout()], T=40.0)
    gradient = epgnumba.vjp(sequence, 1e9, 50.0, signal_bar=[-1j])["T"]
    assert gradient == pytest.approx(-np.exp(-40 / 50) / 50, rel=1e-7)


def test_order_and_length_of_parameters_matter():
    """The same events with parameters in another order, or longer than the events need, are another program."""

    def fisp(p):
        for flip in p.flip[:2]:
            yield [Pulse(flip), Wait(p.TE), Readout(), Shift(1), Wait(p.TR - p.TE)]

    one = epgnumba.simulate(EventSequence(fisp, flip=[10.0, 20.0, 5.0], TE=3.0, TR=12.0), 1000, 80)
    other = epgnumba.simulate(EventSequence(fisp, TR=12.0, TE=3.0, flip=[10.0, 20.0, 5.0]), 1000, 80)
    longer = epgnumba.simulate(EventSequence(fisp, flip=[10.0, 20.0, 5.0, 7.0], TE=3.0, TR=12.0), 1000, 80)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, longer)


def test_gradient_shifts_may_be_numpy_integers():
    events = [Pulse(30.0), Shift(np.int64(1)), Pulse(60.0), Shift(np.int64(1)), Wait(5.0), Readout()]
    assert epgnumba.simulate(EventSequence(lambda p: events), 500, 50).shape == (1,)


def repeated(build, growth, count):
    """What the plain player reads in repetition `count`, for T1 = 60 and T2 = 40 ms."""
    sequence = EventSequence(build, flip=30.0, steady=True, growth=growth)
    return play(sequence, 60.0, 40.0, size=250, repetitions=count)


def balanced(p):
    yield [Pulse(p.flip), Wait(2.0), Shift(1), Readout(), Shift(-1), Wait(2.0)]


def between(p):
    """Two pulses a repetition with a gradient between them."""
    yield [Pulse(p.flip), Readout(), Shift(1), Wait(9.0), Pulse(p.flip), Readout(), Shift(1), Wait(9.0)]


def behind(p):
    """The second echo of a DESS."""
    yield [Pulse(p.flip), Wait(2.0), Readout(), Shift(1), Wait(9.0), Readout(), Wait(2.0)]


@pytest.mark.parametrize("events", [between, behind])
def test_what_growing_phases_never_settle_to(events):
    """What is refused has no limit: the plain player's signal differs from repetition to repetition for ever."""
    assert abs(repeated(events, growth=50.0, count=120) - repeated(events, growth=50.0, count=121)).max() > 1e-3


def test_what_growing_phases_do_settle_to():
    """Gradients after the last pulse, readouts before them: several pulses and echoes and a crusher, too."""

    def spoiled(p):
        yield [Pulse(p.flip), Readout(), Wait(4.0), Pulse(20.0, 15.0), Readout(), Wait(3.0), Readout(10.0)]
        yield [Spoil(), Wait(2.0), Pulse(25.0), Readout(), Shift(2), Wait(9.0)]

    expected = repeated(spoiled, growth=50.0, count=120)
    np.testing.assert_allclose(repeated(spoiled, growth=50.0, count=121), expected, rtol=0, atol=5e-12)
    sequence = EventSequence(spoiled, flip=30.0, steady=True, growth=50.0, tolerance=1e-13)
    np.testing.assert_allclose(epgnumba.simulate(sequence, 60.0, 40.0), expected, rtol=0, atol=5e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EventSequence(balanced, flip=30.0, steady=True, growth=50.0), "RF phases grow.*no gradient is left"),
        (lambda: EventSequence(between, flip=30.0, steady=True, growth=50.0), "RF phases grow.*between pulses"),
        (lambda: EventSequence(behind, flip=30.0, steady=True, growth=50.0), "RF phases grow.*a readout lies behind"),
        (lambda: EventSequence(lambda p: PULSE_READ, steady=True), "a repetition takes no time"),
        (
            lambda: epgnumba.sequence.SPGR(30.0, 1.0, 2.0, "rf"),
            "repetitions.*leave such tissue out, or raise tolerance",
        ),
    ],
)
def test_what_has_no_steady_state(make, message):
    with pytest.raises(ValueError, match=message):
        epgnumba.simulate(make(), [500.0, 1e5], 50.0)


@pytest.mark.parametrize("shape", [(), (20,)])
def test_equilibrium_stays_where_nothing_changes_it(shape):
    still = epgnumba.bssfp_sim(30.0, 2.0, 5.0, np.inf, 80.0, B1=np.zeros(shape))
    np.testing.assert_array_equal(still, np.zeros((*shape, 1)))


def test_what_is_not_finite_leaves_no_trace():
    """A rate that no caller may give overflows in a thread's room: the next call must not find it there."""
    problem = read_problem(epgnumba.FSE([120.0] * 5, 5), 1000.0, 80.0, B0=3.0, diff=("T2", "B0"))
    program, entries = problem.compile(problem.sequence, True, True, ())

    def gradient(rate):
        table = problem.tissue.table()
        table[1] = rate
        job = engine.Job(program, entries, table, problem.profile, problem.codes)
        sums = job.gradient(np.ones((1, 5), complex), np.ones((1, 2, 5), complex), True, True)
        return [*sums.entries(), sums.tissue]

    before = gradient(1 / 80)
    with np.errstate(all="ignore"):
        assert not all(np.isfinite(value).all() for value in gradient(-1e200))
    for value, again in zip(before, gradient(1 / 80), strict=True):
        np.testing.assert_array_equal(again, value)


def test_preparations_of_no_effect_and_none():
    """Zero is a value like others; None leaves a preparation out."""
    saturated, nearly = (epgnumba.mrf_sim([10.0, 20.0], 9.0, 500.0, 50.0, TI=5.0, inversion=f) for f in (0.0, 1e-12))
    np.testing.assert_allclose(saturated, nearly, rtol=0, atol=1e-11)
    objective = epgnumba.CRLBObjective(
        epgnumba.sequence.MRF([10.0, 20.0, 30.0], 9.0, TI=5.0), 500.0, 50.0, unknowns="T1", variables=("inversion",)
    )
    again = epgnumba.CRLBObjective(objective.sequence([0.0]), 500.0, 50.0, unknowns="T1", variables=("inversion",))
    assert objective([0.0])[0] == again([0.0])[0]
    with pytest.raises(ValueError, match="inversion=-1"):
        objective([-1.0])


# How many orders


def test_the_smallest_truncation_is_found():
    train = epgnumba.FSE(np.full(40, 100.0), 8.0)
    exact = epgnumba.jacobian(train, 900.0, 70.0, diff="T2")

    def error(n):
        kept = epgnumba.jacobian(train, 900.0, 70.0, diff="T2", nstates=n)
        return max(abs(a - b).max() / np.sqrt((abs(b) ** 2).mean()) for a, b in zip(kept, exact, strict=True))

    found = epgnumba.find_nstates(train, 900.0, 70.0, diff="T2", tolerance=1e-4)
    assert found.error == pytest.approx(error(found.nstates), rel=1e-9)
    assert error(found.nstates) <= 1e-4 < error(found.nstates - 1)
    assert epgnumba.find_nstates(train, 900.0, 70.0, tolerance=1e-300).error == 0
    with pytest.raises(ValueError, match="tolerance=0"):
        epgnumba.find_nstates(train, 900.0, 70.0, tolerance=0.0)


def test_one_readout_that_is_wrong_among_many_is_seen():
    """Of two thousand readouts the last alone feels the missing orders: the norm of the change would not say."""

    def train(p):
        yield [[Pulse(5.0), Readout(), Spoil(), Wait(500.0)] for _ in range(2000)]
        yield [[Pulse(90.0), Shift(1), Wait(5.0)] if n == 0 else [Pulse(60.0), Shift(1), Wait(5.0)] for n in range(4)]
        yield [Pulse(3.0), Shift(-3), Wait(400.0), Readout()]

    sequence = EventSequence(train)
    kept, full = (epgnumba.simulate(sequence, 500.0, 80.0, nstates=n) for n in (3, None))
    assert np.linalg.norm(kept - full) < 1e-3 * np.linalg.norm(full)
    with pytest.warns(UserWarning, match=r"by 0\.\d+ of its root mean square"):
        epgnumba.simulate(sequence, 500.0, 80.0, nstates=3, check_nstates=True)


def test_truncation_warns_when_asked():
    arguments = ([100.0] * 30, 8.0, 900.0, 70.0)
    with pytest.warns(
        UserWarning,
        match=r"nstates=3 changes the signal or a derivative at some readout by 0\.\d+ of its root mean square",
    ) as caught:
        epgnumba.fse_sim(*arguments, nstates=3, check_nstates=True)
    assert caught[0].filename == __file__
    epgnumba.fse_sim(*arguments, nstates=60, check_nstates=True)  # no warning: an error in these tests
    epgnumba.fse_sim(*arguments, nstates=3)
    torch = pytest.importorskip("torch")
    with pytest.warns(UserWarning, match="nstates=3") as caught:
        epgnumba.fse_sim(torch.tensor(arguments[0]), *arguments[1:], nstates=3, check_nstates=True)
    assert caught[0].filename == __file__


def test_what_may_change_is_not_kept():
    """A sequence that says itself what its events depend on is looked at anew for every call; parameters are fixed."""

    class Counted(MRF):
        pulses = 2

        @property
        def structure(self):
            return type(self), self.pulses

        def events(self):
            return MRF(np.full(self.pulses, 20.0), 9.0).events()

    train = Counted([20.0, 20.0, 20.0], 9.0)
    assert epgnumba.simulate(train, 900.0, 80.0).shape == (2,)
    train.pulses = 3
    assert epgnumba.simulate(train, 900.0, 80.0).shape == (3,)
    with pytest.raises(TypeError, match="does not support item assignment"):
        train.parameters["flip"] = np.ones(3)


def test_little_is_kept():
    """Of many slice profiles, say, the last few."""
    train = MRF([20.0, 30.0], 9.0)
    for n in range(1, 40):
        epgnumba.simulate(train, 900.0, 80.0, slice_prof=np.full(n, 0.9), nstates=n)
    assert len(train.compiled) == 8
    assert all(len(entries.bound) <= 8 for _, entries in train.compiled.values())


def lasting(p):
    yield [
        Pulse(90.0),
        Shift(1, p.ramp),
        Pulse(p.flip, 90.0),
        Shift(1, p.ramp),
        Readout(),
        Shift(-2, 3.0),
        Wait(p.late),
    ]


def waiting(p):
    yield [Pulse(90.0), Shift(1), Wait(p.ramp), Pulse(p.flip, 90.0), Wait(p.ramp), Shift(1), Readout(), Shift(-2)]
    yield [Wait(p.late), Wait(3.0)]


@pytest.mark.parametrize("steady", [False, True])
def test_gradients_that_last(steady):
    """To all but diffusion and flow they are instants beside waits: signals, derivatives, timelines, phase graphs."""
    parameters = {"ramp": 2.0, "flip": 120.0, "late": 30.0}
    one, other = (EventSequence(build, steady=steady, **parameters) for build in (lasting, waiting))
    tissue = {"T1": 60.0, "T2": 20.0, "B0": 5.0}
    for sequence in (one, other):
        assert timeline(sequence).duration == 37.0
        assert timeline(sequence).readouts.tolist() == [4.0]
    bars = [epgnumba.vjp(sequence, **tissue, signal_bar=[1 - 0.5j]) for sequence in (one, other)]
    for name, expected in bars[1].items():
        np.testing.assert_allclose(bars[0][name], expected, rtol=1e-9, atol=1e-12)
    ends = [find_pathways(sequence, 60.0, 20.0).transverse[-1] for sequence in (one, other)]
    np.testing.assert_array_equal(ends[0], ends[1])


def test_a_repetition_takes_the_time_of_its_gradients():
    sequence = EventSequence(lambda p: [Pulse(p.flip), Readout(), Shift(1, p.ramp)], steady=True, flip=20.0, ramp=9.0)
    np.testing.assert_allclose(
        epgnumba.simulate(sequence, 50.0, 20.0),
        epgnumba.mrf_sim([20.0], 9.0, 50.0, 20.0, inversion=None, steady=True), rtol=0, atol=1e-8,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"a repetition takes 1e-12 ms, by \['ramp'\]"):
        sequence.replace(ramp=1e-12)
    with pytest.raises(
        ValueError, match=r"Shift.duration = 1 ramp\[0\] =-1 is not allowed: it must be finite, at least 0"
    ):
        sequence.replace(ramp=-1.0)
