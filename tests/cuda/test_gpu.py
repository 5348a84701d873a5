"""On a CUDA device: `pytest -m gpu`. Everything is held to the CPU."""

import threading

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="CUDA kernels take numba-cuda")

from comparison import MAPS, UNKNOWNS, assert_close, deviations, error
from families import FAMILIES, REPEATED

import epgnumba
from epgnumba import gpu
from epgnumba import sequence as seq
from epgnumba.gpu import tables
from epgnumba.kernels.cuda import runtime
from epgnumba.kernels.cuda.jit import SIMULATED, cuda
from epgnumba.problem import read_problem

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(SIMULATED, reason="kernels run in the simulator; `pytest -m gpu` runs them on a device"),
    pytest.mark.skipif(not SIMULATED and not cuda.is_available(), reason="there is no CUDA device"),
]
RNG = np.random.default_rng(8)
TRAIN = seq.FSE(RNG.uniform(30, 120, 96), 5.0)
FINGERPRINT = seq.MRF(RNG.uniform(10, 60, 200), 10.0, TI=15.0, TE=2.0)
COUNT = 3001
MANY = {"T1": RNG.uniform(300, 2000, COUNT), "T2": RNG.uniform(30, 150, COUNT), "B1": RNG.uniform(0.7, 1.2, COUNT)}
# A steady state in single precision solves for what a repetition changes, a part of what is rounded.
LIMITS = {np.float64: 1e-12, np.float32: 1e-5}


@pytest.mark.parametrize("dtype", LIMITS, ids=["double", "single"])
@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, dtype):
    steady = FAMILIES[name].steady
    tolerance = LIMITS[dtype] * (30 if steady and dtype == np.float32 else 1)
    found = deviations(FAMILIES[name], dtype=dtype)
    if dtype == np.float32:
        found.pop("B0")  # echoes hardly depend on it: rounding of what is not there
    assert {key: value for key, value in found.items() if not value <= tolerance} == {}
    if name not in REPEATED:
        assert_close(FAMILIES[name], LIMITS[np.float64], slice_prof=[0.8, 1.0])


@pytest.mark.parametrize("dtype", LIMITS, ids=["double", "single"])
@pytest.mark.parametrize("nstates", [None, 20])
@pytest.mark.parametrize("sequence", [TRAIN, FINGERPRINT], ids=["FSE", "MRF"])
def test_many_voxels(sequence, nstates, dtype):
    assert_close(sequence, LIMITS[dtype], maps=MANY, diff=("T1", "T2"), nstates=nstates, dtype=dtype)


@pytest.mark.parametrize("registers", [30, 60, 150, 400])
def test_orders_divided_among_threads(registers, monkeypatch):
    monkeypatch.setattr(tables, "FORWARD", registers)
    monkeypatch.setattr(tables, "BACKWARD", registers)
    sequence = seq.FSE(RNG.uniform(30, 120, 40), 5.0)
    assert_close(sequence, 1e-12, maps=MANY, diff=("T2", "B1"))
    assert_close(FAMILIES["own"], 1e-12, diff=UNKNOWNS)


def test_tape_in_segments(monkeypatch):
    monkeypatch.setattr(tables, "TAPE", 4000)
    assert_close(seq.MRF(RNG.uniform(10, 60, 60), 10.0, TI=15.0), 1e-12, maps=MANY, diff=("T2", "B1"))


@pytest.mark.parametrize("dtype", LIMITS, ids=["double", "single"])
def test_bound_pool(dtype):
    maps = {**MANY, "bound_fraction": RNG.uniform(0.0, 0.25, COUNT), "exchange": 25.0}
    for sequence in (TRAIN, FINGERPRINT):
        on_scanner = sequence.on_scanner(rf_duration=1.0)
        assert_close(on_scanner, LIMITS[dtype], maps=maps, diff=("T2", "bound_fraction"), nstates=20, dtype=dtype)


@pytest.mark.parametrize("dtype", LIMITS, ids=["double", "single"])
def test_second_free_pool(dtype):
    maps = {**MANY, "fraction_b": RNG.uniform(0.0, 0.4, COUNT), "exchange_b": 10.0, "T2_b": 20.0}
    for more in ({}, {"shift_b": RNG.uniform(-20, 20, COUNT)}):
        for sequence in (TRAIN, FINGERPRINT):
            options = {"diff": ("T2", "fraction_b"), "nstates": 20, "dtype": dtype}
            assert_close(sequence, LIMITS[dtype], maps={**maps, **more}, **options)


def test_slices():
    """Profiles and durations by kind of pulse."""
    sequence = TRAIN.on_scanner(rf_duration={"excitation": 0.5, "refocusing": 1.2})
    profile = {"excitation": [1.0, -0.1], "refocusing": [0.6, 0.9]}
    for more in ({}, {"bound_fraction": 0.1}):
        assert_close(sequence, 1e-12, maps={**MANY, **more}, diff=("B1",), nstates=20, slice_prof=profile)


def make_job(chunk):
    problem = read_problem(TRAIN, **MANY, diff="T2", device="cuda")
    program, entries = problem.compile(TRAIN, False, False, ())
    return gpu.HostJob(program, entries, problem.tissue.table(), problem.profile, problem.codes, 0, chunk)


@pytest.mark.parametrize("chunk", [100, 128, 2000])
def test_chunks_have_the_same_bits(chunk):
    for a, b in zip(make_job(None).signals(), make_job(chunk).signals(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_calls_repeat_bit_by_bit():
    a, b = (make_job(500).gradient(*(np.ones((COUNT, 96)), np.ones((COUNT, 1, 96))), True, True) for _ in range(2))
    np.testing.assert_array_equal(a.tissue, b.tissue)
    np.testing.assert_array_equal(a.total, b.total)


def test_host_threads():
    expected = epgnumba.jacobian(TRAIN, **MANY, diff="T2")
    found, failures = {}, []

    def work(k):
        try:
            found[k] = epgnumba.jacobian(TRAIN, **MANY, diff="T2", device="cuda")
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for results in found.values():
        for a, b in zip(results, expected, strict=True):
            assert error(a, b) < 1e-12


def test_out_of_memory_leaves_the_device_usable(monkeypatch):
    monkeypatch.setattr(gpu.job, "FEWEST", 1 << 40)  # no smaller chunks
    maps = {"T1": np.full(20_000, 900.0), "T2": 80.0}
    ones = np.ones((20_000, epgnumba.simulate(TRAIN, 900.0, 80.0).size))
    cuda.current_context().deallocations.clear()
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "free_memory", lambda: 1 << 50)  # so that more is asked for than there is
        hog = cuda.device_array(cuda.current_context().get_memory_info().free - (1 << 27), np.uint8)
        with pytest.raises(MemoryError, match="MiB on the device"):
            epgnumba.vjp(TRAIN, **maps, diff="T2", jacobian_bar=ones, wanted=("flip",), device="cuda")
    del hog
    cuda.current_context().deallocations.clear()
    assert_close(TRAIN, 1e-12, maps=MANY, diff=("T2",))


class TestTorch:
    @pytest.fixture
    def torch(self):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("this torch has no CUDA")
        return torch

    def bound(self, torch, device):
        import epgnumba.torch as epg

        leaves = {key: torch.tensor(value, device=device, requires_grad=True) for key, value in MANY.items()}
        flip = torch.tensor(TRAIN.parameters["flip"], device=device, requires_grad=True)
        _, slopes = epg.fse_sim(flip, ESP=5.0, **leaves, diff=("T1", "T2"))
        assert slopes.device.type == device
        value = epg.crlb(slopes, noise=0.01).log().mean()
        value.backward()
        return [value.detach().cpu(), flip.grad.cpu(), *(leaf.grad.cpu() for leaf in leaves.values())]

    def test_bound_differentiates_on_the_device(self, torch):
        for a, b in zip(self.bound(torch, "cuda"), self.bound(torch, "cpu"), strict=True):
            assert error(a.numpy(), b.numpy()) < 1e-10

    def test_current_stream(self, torch):
        import epgnumba.torch as epg

        expected = epgnumba.simulate(TRAIN, MANY["T1"], MANY["T2"])
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            T1 = torch.tensor(MANY["T1"]).pin_memory().cuda(non_blocking=True)
            T2 = torch.tensor(MANY["T2"]).pin_memory().cuda(non_blocking=True)
            signal = 2 * epg.simulate(TRAIN, T1, T2)  # no synchronisation between what is queued
        stream.synchronize()
        assert error(signal.cpu().numpy() / 2, expected) < 1e-12

    def test_no_copy(self, torch):
        T1 = torch.tensor(MANY["T1"], device="cuda")
        home = gpu.find_home({"T1": T1})
        view = home.view(home.dense(T1, tuple(T1.shape)))
        assert view.device_ctypes_pointer.value == T1.data_ptr()

    def test_mixed_devices(self, torch):
        import epgnumba.torch as epg

        with pytest.raises(ValueError, match="several devices"):
            epg.simulate(TRAIN, torch.tensor([900.0], device="cuda"), torch.tensor([80.0]))


def test_cupy():
    cupy = pytest.importorskip("cupy")
    arrays = {key: cupy.asarray(value) for key, value in MANY.items()}
    signal, slopes = epgnumba.jacobian(TRAIN, **arrays, diff=("T1", "T2"))
    assert isinstance(signal, cupy.ndarray)
    expected = epgnumba.jacobian(TRAIN, **MANY, diff=("T1", "T2"))
    for a, b in zip((signal, slopes), expected, strict=True):
        assert error(cupy.asnumpy(a), b) < 1e-12
    bars = epgnumba.vjp(TRAIN, **arrays, signal_bar=cupy.ones_like(signal))
    exact = epgnumba.vjp(TRAIN, **MANY, signal_bar=np.ones(signal.shape))
    assert error(cupy.asnumpy(bars["T2"]), exact["T2"]) < 1e-12
    assert error(bars["flip"], exact["flip"]) < 1e-12


def test_maps_of_the_cpu_stay_there():
    """A device is used only where it was asked for."""
    assert isinstance(read_problem(TRAIN, **MAPS).job(), epgnumba.engine.Job)
