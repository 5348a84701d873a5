"""The kernels' logic in the CUDA simulator, against the CPU (which other tests hold to a plain EPG and isochromats)."""

import sys
from types import MappingProxyType

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the CUDA simulator is part of numba-cuda")

import test_second_pool as second_pool
from comparison import MAPS, UNKNOWNS, assert_close, deviations, error
from families import FAMILIES, REPEATED
from hypothesis import given, settings
from players import play
from random_cases import KINDS, TERMED
from test_bound_pool import PARAMETERS as PREPARATION
from test_bound_pool import TISSUE, prepared
from test_bound_pool import as_sequence as pool_sequence
from test_bound_pool import plain as plain_pool
from test_bound_pool import random_events as random_pool_events
from test_terms import AREA, PARAMETERS, as_sequence, crushed, plain, random_events

import epgnumba
from epgnumba import gpu, pulses
from epgnumba import sequence as seq
from epgnumba.gpu import job, tables
from epgnumba.kernels.cuda import runtime
from epgnumba.kernels.cuda.jit import SIMULATED
from epgnumba.problem import read_problem
from epgnumba.program.program import GAMMA
from epgnumba.truncation import ALL

pytestmark = pytest.mark.skipif(not SIMULATED, reason="a device is used instead of the simulator (pytest -m gpu)")
RESONANT = {**MAPS, "B0": 0.0}
ON_RESONANCE = tuple(name for name in UNKNOWNS if name != "B0")
RNG = np.random.default_rng(8)
TRAIN = seq.FSE(RNG.uniform(30, 120, 9), 6.0)
FINGERPRINT = seq.MRF(RNG.uniform(10, 60, 16), 10.0, TI=15.0, TE=2.0)


@pytest.fixture(autouse=True, scope="module")
def quick_simulator():
    """The simulator waits for its threads in a loop of its own: let it have the interpreter for short whiles only."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def thread_a_voxel(monkeypatch):
    """Room for all orders in one thread: quicker here, where threads are Python's."""
    monkeypatch.setattr(tables, "FORWARD", 1 << 16)
    monkeypatch.setattr(tables, "BACKWARD", 1 << 16)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in REPEATED])
@pytest.mark.parametrize("maps", [MAPS, RESONANT], ids=["off resonance", "on resonance"])
def test_every_family_is_that_of_the_cpu(name, maps, thread_a_voxel):
    diff = UNKNOWNS if maps is MAPS else ON_RESONANCE
    assert_close(FAMILIES[name], 1e-12, maps=maps, diff=diff, slice_prof=[0.8, 1.0])


@pytest.mark.parametrize("name", REPEATED)
def test_repeated_steady_states(name, thread_a_voxel):
    assert_close(FAMILIES[name], 1e-12, maps={"T1": 40.0, "T2": 9.0, "B1": 0.9}, diff=("T2", "B1"))


def test_signal_is_that_of_a_plain_epg(thread_a_voxel):
    tissue = {name: np.ravel(value)[0] for name, value in MAPS.items()}
    signal = epgnumba.simulate(FAMILIES["own"], **tissue, device="cuda")
    np.testing.assert_allclose(signal, play(FAMILIES["own"], **tissue), rtol=0, atol=1e-13)


@pytest.mark.parametrize("registers", [60, 24, 12])
@pytest.mark.parametrize("name", ["FSE", "own"])
def test_orders_divided_among_threads(name, registers, monkeypatch):
    monkeypatch.setattr(tables, "FORWARD", registers)
    monkeypatch.setattr(tables, "BACKWARD", registers)
    sequence = FAMILIES[name].replace(flip=FAMILIES[name].parameters["flip"] + 1)
    problem = read_problem(sequence, **RESONANT, diff=("T2", "B1"), device="cuda")
    assert problem.job().structure(backward=False).division.lanes > 1
    assert_close(sequence, 1e-12, maps=RESONANT, diff=("T2", "B1"), nstates=None if registers > 12 else 4)


def test_lanes_without_rows_look_within_the_tape(monkeypatch):
    """Two lanes of eight rows, and few rows at the end of the train, where the tape ends."""
    monkeypatch.setattr(tables, "FORWARD", 24)
    monkeypatch.setattr(tables, "BACKWARD", 24)
    sequence = seq.FSE(RNG.uniform(30, 120, 31), 6.0)
    problem = read_problem(sequence, 900.0, 80.0, device="cuda", dtype=np.float32)
    assert problem.job().structure(backward=True).division == tables.Division(8, 2)
    signal = epgnumba.simulate(sequence, 900.0, 80.0)
    bars = {"signal_bar": np.ones_like(signal)}
    exact = epgnumba.vjp(sequence, 900.0, 80.0, **bars, wanted=("flip", "T2"))
    found = epgnumba.vjp(sequence, 900.0, 80.0, **bars, wanted=("flip", "T2"), device="cuda", dtype=np.float32)
    assert max(error(found[name], exact[name]) for name in exact) < 1e-5


@pytest.mark.parametrize("nstates", [2, 3, 4])
@pytest.mark.parametrize("sequence", [TRAIN, FINGERPRINT, FAMILIES["own"]], ids=["FSE", "MRF", "own"])
def test_truncated(sequence, nstates, thread_a_voxel):
    assert_close(sequence, 1e-12, maps=RESONANT, diff=("T2", "B1"), nstates=nstates)


@pytest.mark.parametrize("steady", [False, True])
def test_long_tape_is_recorded_in_segments(steady, thread_a_voxel, monkeypatch):
    monkeypatch.setattr(tables, "TAPE", 400)
    sequence = seq.MRF(RNG.uniform(10, 60, 11), 10.0, TI=15.0, steady=steady)
    problem = read_problem(sequence, **MAPS, diff="T2", device="cuda")
    assert problem.job().structure(backward=True).most_segments > 2
    assert_close(sequence, 1e-12, diff=("T2", "B1"))


@pytest.mark.parametrize("sequence", [TRAIN, FINGERPRINT, FAMILIES["bSSFP"]], ids=["FSE", "MRF", "bSSFP"])
def test_single_precision(sequence, thread_a_voxel):
    found = deviations(sequence, diff=("T1", "T2", "B1"), dtype=np.float32)
    found.pop("B0")  # echoes hardly depend on it: rounding of what is not there
    # A steady state solves for what a repetition changes: a part TR/T1 of the numbers that are rounded.
    limit = 1e-5 if sequence is not FAMILIES["bSSFP"] else 4 * 2**-24 * 900.0 / 6.0
    assert max(found.values()) < limit


class TestChunks:
    """However voxels are divided, each has the same bits."""

    maps = MappingProxyType({"T1": np.linspace(300, 1200, 7), "T2": np.linspace(30, 90, 7), "B1": 0.9})
    diff = ("T2", "M0")

    def job(self, chunk):
        problem = read_problem(TRAIN, **self.maps, diff=self.diff, device="cuda")
        table = problem.tissue.table()
        program, entries = problem.compile(TRAIN, False, False, ())
        return gpu.HostJob(program, entries, table, problem.profile, problem.codes, 0, chunk)

    @pytest.mark.parametrize("chunk", [1, 3, 4, 7])
    def test_same_bits(self, chunk, thread_a_voxel):
        whole, parts = self.job(None), self.job(chunk)
        expected, found = whole.signals(), parts.signals()
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)
        bars = [np.ones_like(x) * (1 + 0.3j) for x in expected]
        exact, sums = whole.gradient(*bars, True, False), parts.gradient(*bars, True, False)
        np.testing.assert_array_equal(exact.tissue, sums.tissue)
        for a, b in zip(exact.entries(True, False), sums.entries(True, False), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-18)

    def test_smaller_chunks_when_memory_is_short(self, thread_a_voxel, monkeypatch):
        exact = self.job(None).signals()
        empty, refused = runtime.empty, []

        def short(shape, dtype, stream):
            if shape[-2:] == (7, 2) or shape[-2:] == (4, 2):
                refused.append(shape)
                raise MemoryError("CUDA_ERROR_OUT_OF_MEMORY")
            return empty(shape, dtype, stream)

        monkeypatch.setattr(runtime, "empty", short)
        monkeypatch.setattr(job, "FEWEST", 1)
        found = self.job(7).signals()
        assert refused
        np.testing.assert_array_equal(found[0], exact[0])

    def test_gradient_counts_once_when_memory_is_short(self, thread_a_voxel, monkeypatch):
        """Memory runs out in the middle of a gradient, after some of it was summed."""
        maps = {**self.maps, "slice_prof": [0.8, 0.9, 1.0], "diff": "T2"}
        train = seq.FSE(RNG.uniform(30, 120, 4), 6.0, TR=200.0)
        bars = {"signal_bar": np.ones((7, 4)), "jacobian_bar": np.ones((7, 4))}
        exact = epgnumba.vjp(train, **maps, **bars)
        monkeypatch.setattr(job, "FEWEST", 1)
        empty, asked = runtime.empty, []

        def failing(shape, dtype, stream):
            asked.append(shape)
            if len(asked) in refused:
                raise MemoryError("CUDA_ERROR_OUT_OF_MEMORY")
            return empty(shape, dtype, stream)

        monkeypatch.setattr(runtime, "empty", failing)
        for refused in ({12}, {20, 45}, {22}, {24}, {26}):
            asked.clear()
            found = epgnumba.vjp(train, **maps, **bars, device="cuda")
            assert len(asked) >= min(refused)
            for name, value in exact.items():
                assert error(found[name], value) < 1e-12

    def test_scratch_does_not_grow_with_positions(self, thread_a_voxel, monkeypatch):
        empty, asked = runtime.empty, []
        monkeypatch.setattr(runtime, "empty", lambda *one: (asked.append(one[0]), empty(*one))[1])
        needed = []
        for positions in (2, 9):
            asked.clear()
            profile = np.linspace(0.5, 1, positions)
            epgnumba.simulate(FAMILIES["bSSFP"], 900.0, 80.0, slice_prof=profile, device="cuda")
            needed.append(len(asked))
        assert needed[0] == needed[1]

    def test_no_memory_at_all(self, thread_a_voxel, monkeypatch):
        def none(shape, dtype, stream):
            raise MemoryError("CUDA_ERROR_OUT_OF_MEMORY")

        with monkeypatch.context() as patch:
            patch.setattr(runtime, "empty", none)
            patch.setattr(runtime, "free_memory", lambda: 5000)
            with pytest.raises(MemoryError, match=r"voxels take .* MiB on the device, of which 0 MiB are free: \d+"):
                epgnumba.simulate(TRAIN, **self.maps, device="cuda")
        assert np.isfinite(epgnumba.simulate(TRAIN, **self.maps, device="cuda")).all()  # and it goes on

    def test_interrupted(self, thread_a_voxel, monkeypatch):
        """An interrupt leaves what is done, and nothing that still writes."""
        finished = []
        monkeypatch.setattr(runtime, "finish", lambda stream: finished.append(stream))
        jobs = self.job(2)
        done = []

        def compute(slot, count):
            done.append(count)
            if len(done) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            jobs._run(jobs.structure(False), 1, [(jobs._table, 1)], [(np.zeros((6, 7)), 1)], compute)
        assert len(done) == 3
        assert len(finished) >= 4


class TestInput:
    @pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", 0, b"cuda"])
    def test_unknown_device(self, device):
        with pytest.raises(ValueError, match=r"device=.* is not allowed: it must be 'cpu', 'cuda' or"):
            epgnumba.simulate(TRAIN, 1000, 80, device=device)

    def test_device_that_is_not_there(self):
        with pytest.raises(ValueError, match="device='cuda:3' is not there: 1 CUDA device can be seen"):
            epgnumba.fse_sim([90.0], 10, 1000, 80, device="cuda:3")

    def test_cpu_by_name(self):
        np.testing.assert_array_equal(
            epgnumba.simulate(TRAIN, 1000, 80, device="cpu"), epgnumba.simulate(TRAIN, 1000, 80)
        )

    def test_no_package(self, monkeypatch):
        monkeypatch.setattr(gpu.choose, "find_spec", lambda name: None)
        with pytest.raises(RuntimeError, match=r'numba-cuda is not installed; pip install "epgnumba\[cuda\]"'):
            epgnumba.simulate(TRAIN, 1000, 80, device="cuda")

    def test_no_device(self, monkeypatch):
        monkeypatch.setattr(runtime, "is_available", lambda: False)
        with pytest.raises(RuntimeError, match="finds no device"):
            epgnumba.simulate(TRAIN, 1000, 80, device="cuda")

    def test_too_many_orders(self, monkeypatch):
        monkeypatch.setattr(tables, "LOCAL", 100)
        with pytest.raises(ValueError, match=r"keeps 5 orders; with these derivatives a device holds 64: set nstates"):
            epgnumba.jacobian(seq.FSE([90.0] * 9, 5.0), 1000, 80, diff="T2", device="cuda")

    def test_pulses_that_turn_each_voxel_in_its_own_way(self):
        wave = pulses.hard(1.0).across([0.0])
        for more, message in (
            ({"B1": {"excitation": 1.0, "refocusing": 0.9j}}, "B1 by kind of pulse"),
            ({"slice_prof": {"excitation": wave, "refocusing": wave}}, "slice_prof of waveforms"),
            ({"slice_prof": wave}, "slice_prof of waveforms"),
        ):
            with pytest.raises(ValueError, match=f"{message} cannot be played on a CUDA device"):
                epgnumba.simulate(TRAIN, 900.0, 70.0, **more, device="cuda")

    def test_same_refusals_as_on_the_cpu(self):
        with pytest.raises(ValueError, match=r"T1\[1\]=-1 is not allowed"):
            epgnumba.simulate(TRAIN, [900.0, -1.0], 80, device="cuda")


def test_results_in_the_shapes_asked_for(thread_a_voxel):
    maps = {"T1": [[900.0], [1000.0]], "T2": [50.0, 60.0, 70.0]}
    for options in ({"diff": "T2"}, {"diff": ("T2", "M0")}):
        found = epgnumba.jacobian(TRAIN, **maps, **options, device="cuda")
        for a, b in zip(found, epgnumba.jacobian(TRAIN, **maps, **options), strict=True):
            assert error(a, b) < 1e-14
    assert epgnumba.fse_sim([90.0], 10, 1000, 80, device="cuda").shape == (1,)


def test_readouts_that_nothing_reaches_are_zero(thread_a_voxel):
    def silent(p):
        yield [seq.Pulse(p.flip), seq.Wait(5.0), seq.Shift(1), seq.Readout(), seq.Shift(-1), seq.Readout()]

    sequence = epgnumba.EventSequence(silent, flip=40.0)
    assert_close(sequence, 1e-12, diff=("T2",))


def test_check_nstates_warns(thread_a_voxel):
    with pytest.warns(UserWarning, match="nstates=2 changes the signal"):
        epgnumba.simulate(TRAIN, 900, 80, nstates=2, check_nstates=True, device="cuda")


def test_own_stream_for_each_call(thread_a_voxel, monkeypatch):
    """Calls do not share a stream, so that several host threads do not wait for each other."""
    made, new = [], runtime.new_stream

    def counted():
        made.append(new())
        return made[-1]

    monkeypatch.setattr(runtime, "new_stream", counted)
    epgnumba.simulate(TRAIN, 900, 80, device="cuda")
    epgnumba.simulate(TRAIN, 900, 80, device="cuda")
    assert len(set(map(id, made))) == len(made) >= 2


def test_what_is_nothing_but_rounding_is_zero(thread_a_voxel):
    """Spin echoes do not see off-resonance, on a device either."""
    for dtype in ("float64", "float32"):
        _, slopes = epgnumba.jacobian(TRAIN, **RESONANT, diff=("T2", "B0"), dtype=dtype, device="cuda")
        assert not slopes[..., 1, :].any()
        assert (slopes[..., 0, :] != 0).all()


def spin_echo(p):
    """Readouts before and after the echo: out of phase for -4 and 2 ms."""
    yield [seq.Pulse(p.flip, 90), seq.Wait(p.first), seq.Shift(1, 2.0), seq.Pulse(150), seq.Shift(1, 2.0)]
    yield [seq.Wait(p.second), seq.Readout(), seq.Wait(6.0), seq.Readout()]


def on_scanner(sequence):
    return sequence.on_scanner(gradient_area=AREA)


RELAXATION = {"T1": np.array([310.0, 900.0]), "T2": np.array([45.0, 80.0]), "B1": np.array([0.9, 1.1]), "M0": 1.7}
DIFFUSING = {**RELAXATION, "D": np.array([1.3, 0.4])}
FLOWING = {**DIFFUSING, "velocity": np.array([2.5, -1.0]), "B0": np.array([13.0, -6.0])}
TERMS = {
    "real": (on_scanner(TRAIN), DIFFUSING, ("D", "T2", "B1")),
    "complex": (on_scanner(seq.EventSequence(crushed, **PARAMETERS)), FLOWING, tuple(FLOWING)),
    "out of phase": (
        on_scanner(seq.EventSequence(spin_echo, flip=80.0, first=10.0, second=6.0)),
        {**DIFFUSING, "T2prime": np.array([40.0, 25.0])},
        ("T2prime", "D", "T2"),
    ),
    "out of phase alone": (seq.SPGR(20.0, [2.0, 5.0], 60.0), {**RELAXATION, "T2prime": 30.0}, ("T2prime",)),
    "steady": (on_scanner(seq.MRF(RNG.uniform(10, 60, 5), 11.0, TI=12.0, steady=True)), FLOWING, ("D", "velocity")),
}


class TestTerms:
    """Diffusion, flow and T2'."""

    @pytest.mark.parametrize("name", TERMS)
    def test_as_on_the_cpu(self, name, thread_a_voxel):
        sequence, maps, diff = TERMS[name]
        assert_close(sequence, 1e-12, maps=maps, diff=diff, slice_prof=[0.8, 1.0])

    @pytest.mark.parametrize("name", ["real", "complex", "steady"])
    def test_orders_divided_among_threads(self, name, monkeypatch):
        monkeypatch.setattr(tables, "FORWARD", 24)
        monkeypatch.setattr(tables, "BACKWARD", 24)
        sequence, maps, _ = TERMS[name]
        problem = read_problem(sequence, **maps, diff="D", device="cuda")
        assert problem.job().structure(backward=True).division.lanes > 1
        assert_close(sequence, 1e-12, maps=maps, diff=("D",))

    def test_long_tape_is_recorded_in_segments(self, thread_a_voxel, monkeypatch):
        monkeypatch.setattr(tables, "TAPE", 400)
        sequence, maps, _ = TERMS["real"]
        problem = read_problem(sequence, **maps, diff="D", device="cuda")
        assert problem.job().structure(backward=True).most_segments > 2
        assert_close(sequence, 1e-12, maps=maps, diff=("D",), nstates=4)

    @pytest.mark.parametrize("name", ["real", "complex"])
    def test_single_precision(self, name, thread_a_voxel):
        sequence, maps, diff = TERMS[name]
        found = deviations(sequence, maps=maps, diff=diff, dtype=np.float32)
        if name == "real":
            found.pop("B0")  # echoes hardly depend on it: rounding of what is not there
        assert max(found.values()) < 1e-5

    @pytest.mark.parametrize("real", [True, False])
    def test_signals_of_a_plain_epg(self, real, thread_a_voxel):
        for seed in range(3):
            events = random_events(np.random.default_rng(seed), real)
            terms = {"D": 0.9} if real else {"D": 0.9, "velocity": -2.0, "B0": 11.0}
            signal = epgnumba.simulate(as_sequence(events), 700.0, 60.0, **terms, device="cuda")
            np.testing.assert_allclose(signal, plain(events, 700.0, 60.0, **terms), rtol=0, atol=1e-13)


POOL = {**RELAXATION, "bound_fraction": np.array([0.13, 0.2]), "exchange": 25.0, "T1_bound": 300.0, "lineshape": 12.0}
PREPARED = seq.EventSequence(prepared, **PREPARATION).on_scanner(rf_duration=0.9, gradient_area=AREA)
POOLS = {
    "real": (PREPARED.replace(phase=0.0), POOL, ("bound_fraction", "exchange", "B1", "T1")),
    "complex": (PREPARED, {**POOL, "B0": 7.0, "inv_efficiency": 0.93}, ("lineshape", "T1_bound", "inv_efficiency")),
    "diffusion and flow": (PREPARED, {**POOL, "D": 1.1, "velocity": 2.0}, ("bound_fraction", "D", "velocity")),
    "steady, Z_0": (seq.MPRAGE(90.0, 9.0, 7.0, 4, TR=300.0), POOL, ("exchange", "inv_efficiency")),
    "steady, F_0": (seq.BSSFP(35.0, 3.0, 6.0), {**POOL, "B0": 7.0}, ("bound_fraction", "T1")),
    "repeated": (seq.DESS(35.0, 4.0, 60.0), {**POOL, "T1": 40.0, "T2": 9.0, "T1_bound": 30.0}, ("exchange", "B1")),
}
PAIR = {**RELAXATION, "fraction_b": np.array([0.2, 0.35]), "exchange_b": 12.0, "T1_b": 500.0, "T2_b": 20.0}
SHIFTED = {**PAIR, "shift_b": np.array([17.0, -9.0])}
POOLS |= {
    "free, real": (TRAIN, PAIR, ("fraction_b", "exchange_b", "B1", "T2_b")),
    "free, quarters": (PREPARED.replace(phase=90.0), PAIR, ("exchange_b", "T1")),
    "free, complex": (PREPARED, {**PAIR, "B0": 7.0, "inv_efficiency": 0.93}, ("T1_b", "inv_efficiency", "T2")),
    "free, shifted": (PREPARED, {**SHIFTED, "inv_efficiency": 0.93}, ("shift_b", "T2_b", "B1")),
    "free, diffusion and flow": (
        PREPARED, {**SHIFTED, "D": 1.1, "velocity": 2.0, "B0": 7.0}, ("fraction_b", "D", "velocity", "B0"),
    ),
    "free, out of phase": (
        seq.EventSequence(spin_echo, flip=80.0, first=10.0, second=6.0), {**PAIR, "T2prime": 30.0}, ("T2prime", "T2"),
    ),
    "free, steady, Z_0": (seq.MPRAGE(90.0, 9.0, 7.0, 4, TR=300.0), PAIR, ("exchange_b", "inv_efficiency")),
    "free, steady, F_0": (seq.BSSFP(35.0, 3.0, 6.0), {**SHIFTED, "B0": 7.0}, ("shift_b", "T1")),
    "free, repeated": (
        seq.DESS(35.0, 4.0, 60.0), {**PAIR, "T1": 40.0, "T2": 9.0, "T1_b": 30.0}, ("exchange_b", "B1"),
    ),
}  # fmt: skip


def pooled(name):
    sequence, maps, diff = POOLS[name]
    return sequence.on_scanner(rf_duration=0.9, gradient_area=AREA), maps, diff


class TestPools:
    @pytest.mark.parametrize("name", POOLS)
    def test_as_on_the_cpu(self, name, thread_a_voxel):
        sequence, maps, diff = pooled(name)
        assert_close(sequence, 1e-12, maps=maps, diff=diff)

    @pytest.mark.parametrize(
        ("name", "diff"),
        [("real", "exchange"), ("complex", "exchange"), ("steady, F_0", "exchange"),
         ("free, real", "T2_b"), ("free, shifted", "shift_b")],
    )  # fmt: skip
    def test_orders_divided_among_threads(self, name, diff, monkeypatch):
        monkeypatch.setattr(tables, "FORWARD", 24)
        monkeypatch.setattr(tables, "BACKWARD", 24)
        sequence, maps, _ = pooled(name)
        problem = read_problem(sequence, **maps, diff=diff, device="cuda")
        assert name == "steady, F_0" or problem.job().structure(backward=True).division.lanes > 1
        assert_close(sequence, 1e-12, maps=maps, diff=(diff,))

    @pytest.mark.parametrize("steady", [False, True])
    @pytest.mark.parametrize(("pool", "diff"), [(POOL, "bound_fraction"), (PAIR, "fraction_b")], ids=["bound", "free"])
    def test_long_tape_is_recorded_in_segments(self, pool, diff, steady, thread_a_voxel, monkeypatch):
        monkeypatch.setattr(tables, "TAPE", 400)
        sequence = seq.MRF(RNG.uniform(10, 60, 9), 10.0, TI=15.0, steady=steady).on_scanner(rf_duration=0.9)
        problem = read_problem(sequence, **pool, diff=diff, device="cuda")
        assert problem.job().structure(backward=True).most_segments > 2
        assert_close(sequence, 1e-12, maps=pool, diff=(diff,))

    @pytest.mark.parametrize("nstates", [2, 3])
    def test_truncated(self, nstates, thread_a_voxel):
        assert_close(TRAIN, 1e-12, maps=SHIFTED, diff=("T2_b",), nstates=nstates)

    def test_what_is_nothing_but_rounding_is_zero(self, thread_a_voxel):
        """Without exchange a spin echo of either pool sees no shift."""
        for dtype in ("float64", "float32"):
            alone = {**SHIFTED, "exchange_b": 0.0, "diff": "shift_b", "dtype": dtype}
            _, slopes = epgnumba.jacobian(TRAIN, **alone, device="cuda")
            assert not slopes.any()

    def test_chunks_have_the_same_bits(self, thread_a_voxel):
        maps = {**POOL, "bound_fraction": np.linspace(0, 0.2, 5), "T1": 900.0, "T2": 70.0, "B1": 1.0}
        problem = read_problem(PREPARED, **maps, diff="exchange", device="cuda")
        program, entries = problem.compile(PREPARED, False, False, problem.terms())
        jobs = [gpu.HostJob(program, entries, problem.tissue.table(), problem.profile, problem.codes, 0, chunk)
                for chunk in (None, 2)]  # fmt: skip
        expected, found = (job.signals() for job in jobs)
        bars = [np.ones_like(x) * (1 + 0.3j) for x in expected]
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)
        exact, sums = (job.gradient(*bars, True, False) for job in jobs)
        np.testing.assert_array_equal(exact.tissue, sums.tissue)
        for a, b in zip(exact.entries(True, False), sums.entries(True, False), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-16)

    @pytest.mark.parametrize("name", ["real", "complex", "diffusion and flow", "free, complex", "free, shifted"])
    def test_single_precision(self, name, thread_a_voxel):
        sequence, maps, diff = pooled(name)
        assert max(deviations(sequence, maps=maps, diff=diff, dtype=np.float32).values()) < 1e-5

    @pytest.mark.parametrize("name", ["steady, Z_0", "steady, F_0"])
    def test_steady_states_in_single_precision(self, name, thread_a_voxel):
        """As docs/cuda.md says: rounding, times what relaxes slower than a repetition and than exchange."""
        sequence, maps, diff = pooled(name)
        found = deviations(sequence, maps=maps, diff=diff, dtype=np.float32)
        assert max(found["signal"], found["jacobian"]) < 2e-5
        assert max(found.values()) < 3e-4

    @pytest.mark.parametrize("real", [True, False])
    def test_signals_of_a_plain_epg(self, real, thread_a_voxel):
        for seed in range(3):
            events = random_pool_events(np.random.default_rng(seed), real)
            extra = {"B1": 0.93} if real else {"B1": 0.93, "B0": 7.0, "D": 1.2}
            expected, _ = plain_pool(events, **TISSUE, **extra, q=GAMMA * 100)
            signal = epgnumba.simulate(pool_sequence(events), **TISSUE, **extra, device="cuda")
            np.testing.assert_allclose(signal, expected, rtol=0, atol=1e-13)
            pair = {**second_pool.PAIR, **extra} if real else {**second_pool.SHIFTED, **extra}
            signal = epgnumba.simulate(second_pool.as_sequence(events), **pair, device="cuda")
            np.testing.assert_allclose(signal, second_pool.plain(events, **pair), rtol=0, atol=1e-13)


def of_kinds(p):
    """Pulses of two kinds and an inversion, which no profile scales; each kind lasts for a time of its own."""
    yield [seq.Inversion(0.9), seq.Wait(p.TI), seq.Pulse(p.flip[0], kind="first"), seq.Wait(6.0), seq.Shift(1)]
    yield [seq.Pulse(p.flip[1], p.phase, kind="second"), seq.Wait(6.0), seq.Readout(), seq.Wait(9.0), seq.Shift(1)]
    yield [seq.Pulse(p.flip[2], 40.0, kind="first"), seq.Wait(4.0), seq.Shift(1), seq.Readout()]


OF_KINDS = seq.EventSequence(of_kinds, flip=[60.0, 130.0, 80.0], phase=25.0, TI=50.0)
OF_KINDS = OF_KINDS.on_scanner(rf_duration={"first": 0.7, "second": 1.6})
ECHO_TIMES = {"excitation": 0.5, "refocusing": 1.2}
SLICES = {
    "echoes": (TRAIN, {"excitation": [1.0, -0.1], "refocusing": [0.6, 0.9]}, RELAXATION),
    "one profile": (OF_KINDS, [0.7, -0.1], {**POOL, "B0": 7.0}),
    "by kind": (OF_KINDS, {"first": [1.0, -0.05, 0.0], "second": 0.8}, {**POOL, "B0": 7.0, "inv_efficiency": 0.9}),
    "steady": (
        seq.FSE([110.0, 150.0], 7.0, TR=200.0).on_scanner(rf_duration=ECHO_TIMES),
        {"excitation": 0.9, "refocusing": [0.6, 1.1]},
        POOL,
    ),
    "no profile": (OF_KINDS.replace(phase=0.0), 1.0, POOL),
}


class TestSlices:
    """Profiles for each kind of pulse, durations for each, and what both do to a bound pool."""

    @pytest.mark.parametrize("name", SLICES)
    def test_as_on_the_cpu(self, name, thread_a_voxel):
        sequence, profile, maps = SLICES[name]
        diff = ("T2", "B1", "bound_fraction", "lineshape")[: 4 if "bound_fraction" in maps else 2]
        assert_close(sequence, 1e-12, maps=maps, diff=diff, slice_prof=profile)

    def test_in_single_precision_and_chunks(self, thread_a_voxel, monkeypatch):
        sequence, profile, maps = SLICES["by kind"]
        assert max(deviations(sequence, maps=maps, diff="B1", slice_prof=profile, dtype=np.float32).values()) < 1e-5
        monkeypatch.setattr(job, "MOST", 1)
        assert_close(sequence, 1e-12, maps=maps, diff=("B1",), slice_prof=profile)


@pytest.mark.parametrize("kind", [*sorted(KINDS), *sorted(TERMED)])
def test_random_sequences(kind, thread_a_voxel):
    """What the bench plays, in the simulator."""

    @settings(max_examples=6, derandomize=True)
    @given({**KINDS, **TERMED}[kind])
    def check(case):
        case.tissue["T1"] = 1.5 * case.tissue["T2"]  # few repetitions
        maps = {name: np.array([value, 1.1 * value]) for name, value in case.tissue.items() if name != "inv_efficiency"}
        units = [case.scale(name) for name in case.diff]
        # With a limit on orders, however high, both repeat what a gradient dephases, and leave the same of the start.
        kind = {"maps": maps, "diff": case.diff, "units": units, "nstates": ALL}
        assert_close(case.using(tolerance=1e-3).sequence(), 1e-12, **kind)

    check()


def test_a_mask_leaves_voxels_out(thread_a_voxel):
    inside = np.array([[True, False], [True, True]])
    T1 = np.where(inside, [[300.0, 0.0], [500.0, 900.0]], np.nan)
    call = {"T1": T1, "T2": [45.0, 80.0], "diff": "T2", "mask": inside}
    here = epgnumba.jacobian(TRAIN, **call)
    for found, expected in zip(epgnumba.jacobian(TRAIN, **call, device="cuda"), here, strict=True):
        assert error(found, expected) < 1e-12
        assert not found[~inside].any()
    bars = {"signal_bar": here[0], "jacobian_bar": here[1], **call}
    pulled, expected = epgnumba.vjp(TRAIN, **bars, device="cuda"), epgnumba.vjp(TRAIN, **bars)
    for name in ("T1", "T2", "flip"):
        assert error(pulled[name], expected[name]) < 1e-12
