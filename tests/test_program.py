"""What the compiler makes of a train: exactly what is needed, and no more."""

import numpy as np
import pytest

from epgnumba import FSE, Sequence
from epgnumba.engine.layout import layout_of
from epgnumba.kernels import columns as col
from epgnumba.program import compile_program
from epgnumba.program.train import write_train
from epgnumba.sequence import Linear, Pulse, Readout, Shift, Spoil, Wait


def signal_part(n, **arguments):
    return compile_program(FSE(np.full(n, 60.0), 5, **arguments))[0].signal


def test_triangle():
    part = signal_part(96)
    assert part.reach.planes == 1
    assert layout_of(part, 1).updates == 2352 + 1  # and the excitation
    assert part.reach.counts[1:] == [min(n, 97 - n) for n in range(1, 97)]
    assert (part.reach.stride, part.reach.offsets[1:]) == (2, [1] * 96)


@pytest.mark.parametrize(
    ("phases", "exc_phase", "planes"),
    [
        (0.0, 90.0, 1),
        (0.0, 0.0, 1),
        (90.0, 0.0, 1),
        (37.0, 127.0, 1),
        (0.0, 45.0, 2),
        ([0.0, 180.0, 0.0, 180.0], 90.0, 1),
    ],
)
def test_real_where_the_phases_allow(phases, exc_phase, planes):
    assert signal_part(4, phases=phases, exc_phase=exc_phase).reach.planes == planes


def test_the_recovering_state_does_not_reach_an_echo():
    """Z_0 that recovers during a CPMG train makes no echo: only the END part, for a repetition, plays it."""
    program, _ = compile_program(FSE(np.full(8, 60.0), 5, TR=100.0))
    assert not layout_of(program.signal, 1).steps[1:, col.RECOVERY].any()
    assert layout_of(program.end, 1).steps[1:, col.RECOVERY].all()
    assert program.end.reach.offsets == [0] * 9


def test_nstates_limits_orders():
    assert compile_program(FSE([60.0], 5), nstates=2**62)[0].signal.reach.counts == [1, 1]
    assert max(compile_program(FSE(np.full(40, 60.0), 5), nstates=10)[0].signal.reach.counts) == 5


def test_programs_are_remembered():
    first = compile_program(FSE([60.0, 70.0], 5))[0]
    assert compile_program(FSE([90.0, 20.0], 7))[0] is first
    assert compile_program(FSE([90.0, 20.0], 7, phases=30.0))[0] is not first


def test_a_subclass_has_programs_of_its_own():
    class Half(FSE):
        @staticmethod
        def write(p, options):
            return FSE.write(p, options)[:7]

    assert compile_program(FSE([60.0, 70.0], 5))[0].n_out == 2
    assert compile_program(Half([60.0, 70.0], 5))[0].n_out == 1


def test_a_subclass_cannot_hide_what_its_events_depend_on():
    """A program is found by parameters and options: events that see anything else would be taken for others."""
    with pytest.raises(TypeError, match="Hidden.events is not allowed"):

        class Hidden(FSE):
            def events(self):
                return super().events()[: self.most]


def test_durations_are_shared():
    assert len(signal_part(20).train.durations) == 3  # none, half a spacing, a spacing


def test_linear_expressions():
    x = Linear.of("ESP")
    assert x / 2 + x / 2 == x
    assert x - x == Linear()
    assert 2 * x + 1 == Linear((("ESP", 0, 2.0),), 1.0)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "at least one pulse"),
        ([Pulse(90.0)], "at least one pulse and one readout"),
        ([Readout()], "nothing to read"),
        ([Pulse(90.0), Spoil(), Wait(1.0), Readout()], "nothing to read"),
    ],
)
def test_events_that_make_no_sense(events, message):
    with pytest.raises(ValueError, match=message):
        write_train(events)


def test_an_event_must_be_one():
    with pytest.raises(TypeError, match="'echo' is not an event"):
        write_train([Pulse(90.0), "echo"])


class Spoiled(Sequence):
    """Pulse, crusher, pulse, wait, rewound gradient, readout: what FSE does not use, on the same kernels."""

    parameters = {"flip": np.array([50.0, 40.0])}  # noqa: RUF012
    structure = "spoiled"
    steady = False

    def events(self):
        flips = [Linear.of("flip", n) for n in range(2)]
        dephased = [Wait(3.0), Shift(2), Pulse(30.0, 20.0), Shift(-2), Readout(10.0), Wait(2.0), Shift(-1), Pulse(25.0)]
        return [
            Pulse(flips[0]),
            Wait(30.0),
            Spoil(),
            Wait(20.0),
            Pulse(flips[1], 90.0),
            Readout(),
            *dephased,
            Readout(),
        ]

    def replace(self, **parameters):
        raise NotImplementedError


def test_other_events_than_those_of_fse():
    """Crushers, rewinders, shifts by two, constant numbers in events: against the naive EPG with an order to spare."""
    import naive

    import epgnumba

    T1, T2 = 300.0, 40.0

    def shift(epg, n):
        if n < 0:  # exchange F_k and F_-k, dephase, exchange again
            epg.state[:2] = epg.state[1::-1].conj()
        for _ in range(abs(n)):
            epg.shift()
        if n < 0:
            epg.state[:2] = epg.state[1::-1].conj()

    epg, echoes = naive.EPG(12), []
    epg.pulse(50)
    epg.wait(30, T1, T2)
    epg.spoil()
    epg.wait(20, T1, T2)
    epg.pulse(40, 90)
    echoes.append(epg.signal)
    epg.wait(3, T1, T2)
    shift(epg, 2)
    epg.pulse(30, 20)
    shift(epg, -2)
    echoes.append(epg.signal * np.exp(-1j * np.deg2rad(10)))
    epg.wait(2, T1, T2)
    shift(epg, -1)
    epg.pulse(25)
    echoes.append(epg.signal)
    np.testing.assert_allclose(epgnumba.simulate(Spoiled(), T1, T2), echoes, atol=1e-15)
    bars = epgnumba.vjp(Spoiled(), T1, T2, signal_bar=[1.0, 2.0j, 1 - 1j], wanted=("T1", "T2"))

    def scalar(T1, T2):
        return np.vdot([1.0, 2.0j, 1 - 1j], epgnumba.simulate(Spoiled(), T1, T2)).real

    h = 1e-3
    assert bars["T1"] == pytest.approx((scalar(T1 + h, T2) - scalar(T1 - h, T2)) / (2 * h), rel=1e-7)
    assert bars["T2"] == pytest.approx((scalar(T1, T2 + h) - scalar(T1, T2 - h)) / (2 * h), rel=1e-7)
