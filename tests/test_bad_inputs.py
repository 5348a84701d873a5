"""Bad calls of everything that is public: the right kind of error, in the caller's words, before anything runs."""

import re

import numpy as np
import pytest
from bad_calls import CALLS, TISSUE, TRAIN
from bad_designs import DESIGNS
from bad_events import EVENTS
from bad_fits import FITS

import epgnumba
from epgnumba import CRLBObjective, EventSequence, find_nstates, jacobian, simulate, vjp
from epgnumba import sequence as seq
from epgnumba.cli import main
from epgnumba.demo import measure
from epgnumba.design import BSpline, PiecewiseLinear, limits, optimize
from epgnumba.plot import find_pathways, plot_bounds, plot_phase_graph, plot_protocol
from epgnumba.sequence import Inversion, Pulse, Readout, Wait

BOTH = TypeError, ValueError
ROWS = {**CALLS, **EVENTS, **DESIGNS, **FITS}


@pytest.fixture(autouse=True)
def nothing_runs(request, monkeypatch):
    """Kernels must not be launched while arguments are checked."""
    if request.node.get_closest_marker("may_run"):
        return

    def refuse(*_, **__):
        raise AssertionError("a kernel was launched")

    monkeypatch.setattr("epgnumba.engine.job.spread", refuse)
    monkeypatch.setattr("epgnumba.engine.job.bounds", refuse)


def check(call, error, name):
    """An error of that kind, whose message has the argument's name as a word."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) in BOTH, caught.value
    assert re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", str(caught.value)), caught.value
    assert len(str(caught.value)) < 400


# Every numeric argument of every form, class and verb, with everything that is no number for it.


def no_numbers():
    yield from ("90", b"90", 1j, {}, {1.0}, {"a": 1.0}, object(), len, True, np.True_, np.array([True]), [True, 1.0])
    yield from ([None, 1.0], np.array([None]), np.array(["a"]), np.datetime64("2020-01-01"), np.timedelta64(1, "s"))
    yield from (iter([1.0]), (x for x in [1.0]), [[1.0], [1.0, 2.0]], [1.0, "a"], [1j], 10**400, 10**5000)
    yield np.ma.masked_equal([1.0, 2.0], 1.0)
    yield [np.ma.masked_equal([1.0, 2.0], 1.0), np.ma.array([1.0, 2.0])]
    yield [[np.ma.masked_equal([1.0, 2.0], 1.0)]]
    yield from (np.nan, -np.inf, 1e300, -1e300, np.float32(np.nan), np.longdouble("1e4000"), [np.nan, 1.0])


NUMERIC = {
    "fse_sim": (epgnumba.fse_sim, {"flip": [60.0, 50.0], "ESP": 8.0, **TISSUE},
                "flip ESP T1 T2 phases TR exc_flip exc_phase slice_prof B1 M0 B0"),
    "mrf_sim": (epgnumba.mrf_sim, {"flip": [10.0, 20.0], "TR": 9.0, "TI": 5.0, **TISSUE},
                "flip TR T1 T2 B1 inv_efficiency M0 TI phases TE inversion T2prep B0 slice_prof"),
    "bssfp_sim": (epgnumba.bssfp_sim, {"flip": 30.0, "TE": 2.0, "TR": 5.0, **TISSUE},
                  "flip TE TR T1 T2 phase_inc B0 chemshift M0 B1 slice_prof"),
    "spgr_sim": (epgnumba.spgr_sim, {"flip": 9.0, "TE": 2.0, "TR": 9.0, "T1": 900.0, "T2star": 50.0, "spoiling": "rf"},
                 "flip TE TR T1 T2star B0 chemshift M0 B1 increment slice_prof"),
    "mprage_sim": (epgnumba.mprage_sim, {"TI": 90.0, "flip": 8.0, "TRspgr": 8.0, "nshots": 8, "T1": 900.0},
                   "TI flip TRspgr T1 inv_efficiency M0 TR B1 slice_prof"),
    "mp2rage_sim": (epgnumba.mp2rage_sim,
                    {"TI": [80.0, 300.0], "flip": 8.0, "TRspgr": 8.0, "TRmp2rage": 900.0, "nshots": 8, "T1": 900.0},
                    "TI flip TRspgr TRmp2rage T1 inv_efficiency M0 B1 slice_prof"),
    "mpnrage_sim": (epgnumba.mpnrage_sim, {"nshots": 3, "flip": 8.0, "TR": 8.0, "T1": 900.0},
                    "flip TR T1 B1 inv_efficiency M0 TI delay slice_prof"),
    "FSE": (seq.FSE, {"flip": [60.0, 50.0], "ESP": 8.0}, "flip ESP phases TR exc_flip exc_phase"),
    "MultiSpinEcho": (seq.MultiSpinEcho, {"echoes": 3, "ESP": 8.0}, "ESP flip phase exc_flip exc_phase"),
    "StimulatedEcho": (seq.StimulatedEcho, {"TE": 9.0, "TM": 20.0}, "TE TM flip phases"),
    "Hyperecho": (seq.Hyperecho, {"flip": [20.0], "ESP": 9.0}, "flip ESP phases exc_flip exc_phase refocus"),
    "MRF": (seq.MRF, {"flip": [20.0], "TR": 9.0}, "flip TR TI phases TE inversion T2prep"),
    "BSSFP": (seq.BSSFP, {"flip": 20.0, "TE": 2.0, "TR": 9.0}, "flip TE TR phase_inc"),
    "SPGR": (seq.SPGR, {"flip": 20.0, "TE": 2.0, "TR": 9.0, "spoiling": "rf"}, "flip TE TR increment tolerance"),
    "DESS": (seq.DESS, {"flip": 20.0, "TE": 2.0, "TR": 9.0}, "flip TE TR tolerance"),
    "MPRAGE": (seq.MPRAGE, {"TI": 90.0, "flip": 8.0, "TRspgr": 8.0, "nshots": 8}, "TI flip TRspgr TR"),
    "MP2RAGE": (seq.MP2RAGE, {"TI": [80.0, 300.0], "flip": 8.0, "TRspgr": 8.0, "TRmp2rage": 900.0, "nshots": 8},
                "TI flip TRspgr TRmp2rage"),
    "MPnRAGE": (seq.MPnRAGE, {"nshots": 3, "flip": 8.0, "TR": 8.0}, "flip TR TI delay"),
    "LookLocker": (seq.LookLocker, {"pulses": 3, "flip": 8.0, "TR": 8.0}, "flip TR TI TE delay"),
    "EventSequence": (
        lambda **arguments: EventSequence(
            lambda p: [Pulse(p.flip, p.phase), Wait(p.TE), Inversion(p.f), Pulse(30.0), Readout()],
            steady=True, **arguments,
        ),
        {"flip": 20.0, "phase": 0.0, "TE": 5.0, "f": 0.9}, "flip phase TE f advance growth tolerance",
    ),
    "replace": (
        EventSequence(lambda p: [Pulse(p.flip, p.phase), Wait(p.TE), Inversion(p.f), Pulse(30.0), Readout()],
                      flip=20.0, phase=0.0, TE=5.0, f=0.9).replace,
        {}, "flip phase TE f",
    ),
    "simulate": (lambda **k: simulate(TRAIN, **k), TISSUE, "T1 T2 B1 M0 B0 inv_efficiency slice_prof"),
    "jacobian": (lambda **k: jacobian(TRAIN, diff="T2", **k), TISSUE, "T1 T2 B1 M0 B0 inv_efficiency slice_prof"),
    "vjp": (lambda **k: vjp(TRAIN, **k), TISSUE, "T1 T2 B1 M0 B0 inv_efficiency slice_prof"),
    "find_nstates": (lambda **k: find_nstates(TRAIN, **k), TISSUE, "T1 T2 B1 M0 B0 inv_efficiency slice_prof"),
    "CRLBObjective": (lambda **k: CRLBObjective(TRAIN, over="worst", **k), TISSUE,
                      "T1 T2 B1 M0 B0 inv_efficiency slice_prof tissue_weights noise sharpness"),
    "find_pathways": (lambda **k: find_pathways(TRAIN, **k), TISSUE, "T1 T2 B1 smallest"),
    "plot_phase_graph": (lambda **k: plot_phase_graph(TRAIN, **k), TISSUE, "T1 T2 B1 smallest"),
    "plot_protocol": (lambda **k: plot_protocol(TRAIN, **k), TISSUE, "T1 T2 B1 B0 M0"),
    "plot_bounds": (lambda **k: plot_bounds({"a": TRAIN}, "T2", unknowns="T2", **k), {"values": [50.0], "T1": 900.0},
                    "values T1 B1 noise"),
    "measure": (measure, {}, "flip ESP T1 T2"),
}  # fmt: skip
ALREADY_LARGE = {("tissue_weights", 1e300), ("noise", 1e300), ("sharpness", 1e300)}  # theirs to limit


def check_numbers(call, good, name):
    """Everything that is no number is refused in the place of one argument."""
    for bad in no_numbers():
        if isinstance(bad, float) and (name, bad) in ALREADY_LARGE:
            continue
        check(lambda: call(**{**good, name: bad}), BOTH, name)  # noqa: B023


@pytest.mark.parametrize(("form", "name"), [(form, name) for form, row in NUMERIC.items() for name in row[2].split()])
def test_what_is_no_number(form, name):
    check_numbers(*NUMERIC[form][:2], name)


# Flags and counts


FLAGS = {
    "EventSequence, steady": (lambda steady: EventSequence(lambda p: [Pulse(9), Readout()], steady=steady), "steady"),
    "EventSequence": (lambda balanced: EventSequence(lambda p: [Pulse(9), Readout()], balanced=balanced), "balanced"),
    "MRF, balanced": (lambda balanced: seq.MRF([9.0], 9.0, balanced=balanced), "balanced"),
    "MRF": (lambda steady: seq.MRF([9.0], 9.0, steady=steady), "steady"),
    "BSSFP": (lambda steady: seq.BSSFP([9.0], 2.0, 9.0, steady=steady), "steady"),
    "mrf_sim": (lambda steady: epgnumba.mrf_sim([9.0], 9.0, **TISSUE, steady=steady), "steady"),
    "mrf_sim, balanced": (lambda balanced: epgnumba.mrf_sim([9.0], 9.0, **TISSUE, balanced=balanced), "balanced"),
    "bssfp_sim": (lambda transient: epgnumba.bssfp_sim(9.0, 2.0, 9.0, **TISSUE, transient=transient), "transient"),
    "simulate": (lambda check_nstates: simulate(TRAIN, **TISSUE, check_nstates=check_nstates), "check_nstates"),
    "jacobian": (lambda check_nstates: jacobian(TRAIN, **TISSUE, diff="T2", check_nstates=check_nstates),
                 "check_nstates"),
    "fse_sim": (lambda check_nstates: epgnumba.fse_sim([9.0], 9.0, **TISSUE, check_nstates=check_nstates),
                "check_nstates"),
    "CRLBObjective": (lambda relative: CRLBObjective(TRAIN, **TISSUE, relative=relative), "relative"),
    "CRLBObjective, per_time": (lambda per_time: CRLBObjective(TRAIN, **TISSUE, per_time=per_time), "per_time"),
    "optimize": (lambda progress: optimize(CRLBObjective(TRAIN, **TISSUE), progress=progress), "progress"),
    "plot_protocol": (lambda check_nstates: plot_protocol(TRAIN, **TISSUE, check_nstates=check_nstates),
                      "check_nstates"),
    "flip_power": (lambda total: limits.flip_power(CRLBObjective(TRAIN, **TISSUE), 9.0, total=total), "total"),
}  # fmt: skip


@pytest.mark.parametrize("form", FLAGS)
@pytest.mark.parametrize("bad", ["yes", "", 2, 1, 0, None, 1.0, np.nan, [True], np.array([True, False]), TRAIN])
def test_flags_are_booleans(form, bad):
    call, name = FLAGS[form]
    check(lambda: call(**{name: bad}), TypeError, name)


def test_flags_of_numpy_are_booleans():
    assert seq.BSSFP([9.0], 2.0, 9.0, steady=np.False_).steady is False


COUNTS = {
    "simulate": (lambda nstates: simulate(TRAIN, **TISSUE, nstates=nstates), "nstates"),
    "mrf_sim": (lambda nreps: epgnumba.mrf_sim([9.0], 9.0, **TISSUE, nreps=nreps), "nreps"),
    "MRF": (lambda repetitions: seq.MRF([9.0], 9.0, repetitions=repetitions), "repetitions"),
    "mprage_sim": (lambda nshots: epgnumba.mprage_sim(900, 8, 8, nshots, 900), "nshots"),
    "mp2rage_sim": (lambda nshots: epgnumba.mp2rage_sim([900, 2000], 8, 8, 5000, nshots, 900), "nshots"),
    "mpnrage_sim": (lambda nshots: epgnumba.mpnrage_sim(nshots, 8, 8, 900), "nshots"),
    "MultiSpinEcho": (lambda echoes: seq.MultiSpinEcho(echoes, 9.0), "echoes"),
    "LookLocker": (lambda pulses: seq.LookLocker(pulses, 9.0, 9.0), "pulses"),
    "measure": (lambda n_echoes: measure(n_echoes), "n_echoes"),
    "set_num_threads": (lambda count: epgnumba.set_num_threads(count), "count"),
    "BSpline": (lambda coefficients: BSpline(coefficients).matrix(9), "coefficients"),
    "BSpline, degree": (lambda degree: BSpline(5, degree).matrix(9), "degree"),
    "PiecewiseLinear": (lambda knots: PiecewiseLinear(knots).matrix(9), "knots"),
}
NO_COUNTS = [
    0,
    -1,
    -(10**30),
    2.5,
    "3",
    b"3",
    True,
    np.True_,
    np.nan,
    1j,
    [1, 2, 3],
    [[1], [1, 2]],
    {},
    iter([1]),
    None,
]


@pytest.mark.parametrize("form", COUNTS)
@pytest.mark.parametrize("bad", NO_COUNTS, ids=str)
def test_counts(form, bad):
    call, name = COUNTS[form]
    if bad is not None or form not in ("simulate", "set_num_threads"):  # None is their default
        check(lambda: call(**{name: bad}), BOTH, name)


@pytest.mark.parametrize("form", [form for form in COUNTS if form != "simulate"])  # which may be as large as it likes
@pytest.mark.parametrize("bad", [10_001, 20_000, 10**7, 10**30, 10**400])
def test_counts_that_are_too_large(form, bad):
    call, name = COUNTS[form]
    check(lambda: call(**{name: bad}), BOTH, name)


# One by one


@pytest.mark.parametrize("row", ROWS)
def test_rows(row):
    check(*ROWS[row])


def test_there_are_rows_enough():
    assert len(ROWS) == len(CALLS) + len(EVENTS) + len(DESIGNS) + len(FITS) >= 320


@pytest.mark.parametrize(
    "arguments", [[], ["dome"], ["demo", "--out"], ["demo", "extra"], ["--color"], ["demo", "--flip", "60"]]
)
def test_commands_that_are_none(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: epgnumba" in capsys.readouterr().err


@pytest.mark.parametrize(
    "output", ["", ".", "a.txt", "a", "nowhere/a.png", ".png/a.png", "/proc/a.png", "a" * 300 + ".png"]
)
def test_commands_with_a_bad_output(output, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--output", output]) == 2
    assert "--output=" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
