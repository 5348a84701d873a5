"""Arrays that lie on a device; in the simulator tensors of the CPU stand in for CUDA tensors."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba_cuda", reason="the CUDA simulator is part of numba-cuda")

import torch
from comparison import UNKNOWNS, error
from families import FAMILIES

import epgnumba
import epgnumba.torch as epg
from epgnumba import gpu
from epgnumba.gpu import tables
from epgnumba.kernels.cuda import runtime
from epgnumba.kernels.cuda.jit import SIMULATED
from epgnumba.torch import functions, home

pytestmark = pytest.mark.skipif(not SIMULATED, reason="a device is used instead of the simulator (pytest -m gpu)")
DOUBLE = torch.float64


class StandIn(home.TorchHome):
    """`TorchHome` but for CUDA."""

    def __init__(self, index):
        self.index, self.device, self._runtime = index, torch.device("cpu"), runtime
        self.stream = runtime.new_stream()

    def free_memory(self):
        return runtime.free_memory()


@pytest.fixture
def resident(monkeypatch):
    """Tensors count as lying on a device."""
    known = gpu.choose.library
    monkeypatch.setattr(gpu.choose, "library", lambda x: "torch" if isinstance(x, torch.Tensor) else known(x))
    monkeypatch.setattr(home, "TorchHome", StandIn)
    monkeypatch.setattr(functions, "stays", lambda tensor: True)
    monkeypatch.setattr(tables, "FORWARD", 1 << 16)
    monkeypatch.setattr(tables, "BACKWARD", 1 << 16)


def tensor(value, **options):
    return torch.tensor(value, dtype=DOUBLE, **options)


def bound(T1, T2, flip):
    _, slopes = epg.fse_sim(flip, ESP=7.0, T1=T1, T2=T2, diff=("T1", "T2"))
    return epg.crlb(slopes, noise=0.01).log().sum()


def test_bound_written_in_torch_differentiates_where_it_lies(resident, monkeypatch):
    values = [[300.0, 900.0], [500.0, 1000.0]], [45.0, 80.0], [100.0, 70.0, 90.0]
    here = [tensor(value, requires_grad=True) for value in values]
    there = [tensor(value, requires_grad=True) for value in values]
    bound(*there).backward()
    monkeypatch.setattr(functions, "stays", lambda tensor: False)
    bound(*here).backward()
    for a, b in zip(here, there, strict=True):
        assert error(b.grad.numpy(), a.grad.numpy()) < 1e-12


def test_second_derivatives_go_through_host_memory(resident, monkeypatch):
    values = tensor([[300.0], [500.0]]), tensor([45.0, 80.0]), tensor([100.0, 70.0, 90.0])
    there = torch.func.hessian(bound, argnums=(0, 1, 2))(*values)
    monkeypatch.setattr(functions, "stays", lambda tensor: False)
    here = torch.func.hessian(bound, argnums=(0, 1, 2))(*values)
    for rows in zip(there, here, strict=True):
        for a, b in zip(*rows, strict=True):
            assert error(a.numpy(), b.numpy()) < 1e-12


SECOND_POOL = {"fraction_b": tensor([[0.2], [0.3]]), "exchange_b": 12.0, "T2_b": tensor(20.0), "shift_b": 9.0}
WITH_TERMS = {"D": tensor([[1.3], [0.4]]), "velocity": 2.0, "T2prime": tensor([40.0, 25.0])}


@pytest.mark.parametrize(
    ("sequence", "terms"),
    [*((FAMILIES[name], {}) for name in ("MRF, steady", "own", "bSSFP")),
     (FAMILIES["SPGR"].on_scanner(gradient_area=150.0), WITH_TERMS), (FAMILIES["own"], SECOND_POOL)],
    ids=["MRF, steady", "own", "bSSFP", "SPGR, every term", "own, a second pool"],
)  # fmt: skip
def test_maps_are_not_copied_to_the_host(sequence, terms, resident, monkeypatch):
    """Nothing but what sequences need, and the range of each map, is looked at there."""
    copied = []
    monkeypatch.setattr(StandIn, "to_host", lambda self, array: copied.append(array))
    maps = {"T1": tensor([310.0, 900.0]), "T2": tensor([[45.0], [80.0]]), "B1": 0.9, "B0": tensor(13.0), "M0": 1.7}
    maps |= terms
    diff = (*UNKNOWNS, *terms)
    signal, slopes = epgnumba.jacobian(sequence, **maps, diff=diff)
    assert isinstance(signal, torch.Tensor)
    assert signal.shape[:2] == slopes.shape[:2] == (2, 2)
    assert copied == []
    arrays = {key: np.asarray(value) for key, value in maps.items()}
    for a, b in zip((signal, slopes), epgnumba.jacobian(sequence, **arrays, diff=diff), strict=True):
        assert error(a.numpy(), b) < 1e-12
    bars = {"signal_bar": torch.ones_like(signal), "jacobian_bar": 1e-3j * torch.ones_like(slopes)}
    found = epgnumba.vjp(sequence, **maps, diff=diff, **bars)
    plain = {key: value.numpy() for key, value in bars.items()}
    expected = epgnumba.vjp(sequence, **arrays, diff=diff, **plain)
    assert isinstance(found["T1"], torch.Tensor)
    for key, value in expected.items():
        assert error(np.asarray(found[key]), np.asarray(value)) < 1e-12


def test_gradcheck(resident):
    T1, T2 = tensor([900.0], requires_grad=True), tensor([80.0], requires_grad=True)
    flip = tensor([100.0, 70.0], requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b, f: epg.fse_sim(f, 7.0, a, b, diff="T2"), (T1, T2, flip))


def test_forward_mode_and_half_precision_maps(resident):
    slope = torch.func.jvp(lambda T2: epg.fse_sim([90.0] * 3, 7.0, 900.0, T2), (tensor(80.0),), (tensor(1.0),))[1]
    _, exact = epgnumba.fse_sim([90.0] * 3, 7.0, 900.0, 80.0, diff="T2")
    assert error(slope.numpy(), exact) < 1e-12
    signal = epg.fse_sim([90.0] * 3, 7.0, torch.tensor(900.0, dtype=torch.float16), torch.tensor(80, dtype=torch.int32))
    assert error(signal.numpy(), epgnumba.fse_sim([90.0] * 3, 7.0, 900.0, 80.0)) < 1e-14


@pytest.mark.parametrize("kind", [torch.float16, torch.int16, torch.bfloat16])
def test_gradient_of_small_types(kind, resident):
    """1/T1^2 does not fit into them."""
    T1 = torch.tensor([960.0, 512.0]).to(kind)
    bars = {"signal_bar": torch.ones(2, 3)}
    found = epgnumba.vjp(epgnumba.FSE([90.0] * 3, 7.0), T1, 80.0, **bars)
    exact = epgnumba.vjp(epgnumba.FSE([90.0] * 3, 7.0), [960.0, 512.0], 80.0, signal_bar=np.ones((2, 3)))
    assert error(found["T1"].double().numpy(), exact["T1"]) < 1e-12


def test_single_precision_stays_single(resident):
    signal, slope = epg.fse_sim([90.0] * 3, 7.0, tensor([900.0, 950.0]), 80.0, diff="T2", dtype=np.float32)
    assert signal.dtype == slope.dtype == torch.complex64


def test_check_nstates(resident):
    with pytest.warns(UserWarning, match="nstates=2 changes the signal"):
        epg.fse_sim([60.0] * 9, 7.0, tensor([900.0, 950.0]), 80.0, nstates=2, check_nstates=True)


class TestInput:
    def test_same_refusals_as_for_arrays(self, resident):
        with pytest.raises(ValueError, match=r"T1\[1\]=-1 is not allowed: it must be positive"):
            epg.fse_sim([90.0], 7.0, tensor([900.0, -1.0]), 80.0)
        with pytest.raises(ValueError, match=r"T2\[0\]=nan is not allowed"):
            epg.fse_sim([90.0], 7.0, 900.0, tensor([np.nan]))
        with pytest.raises(ValueError, match="tissue maps do not broadcast: T1 "):
            epg.fse_sim([90.0], 7.0, tensor([900.0] * 2), tensor([80.0] * 3))
        assert np.isfinite(epg.fse_sim([90.0], 7.0, tensor([900.0, np.inf]), 80.0).numpy()).all()
        with pytest.raises(ValueError, match=r"T1\[2\]=1e\+20 is not allowed"):  # which inf must not hide
            epg.fse_sim([90.0], 7.0, tensor([900.0, np.inf, 1e20]), 80.0)
        with pytest.raises(ValueError, match="maps on a device are empty"):
            epg.fse_sim([90.0], 7.0, tensor([]), 80.0)
        with pytest.raises(ValueError, match="B0=1e\\+06 Hz is not allowed here"):
            epg.fse_sim([90.0], 400.0, 900.0, 80.0, B0=tensor([1e6]), dtype=np.float32)

    def test_no_real_numbers(self, resident):
        with pytest.raises(TypeError, match=r"T1: torch.complex128 is not allowed: real numbers are needed"):
            epg.fse_sim([90.0], 7.0, tensor([900.0]) + 0j, 80.0)

    def test_maps_here_and_there(self, resident):
        with pytest.raises(
            ValueError, match=r"T2 has shape \(2,\) and lies in host memory; other maps do not: move it"
        ):
            epg.fse_sim([90.0], 7.0, tensor([900.0, 950.0]), np.array([80.0, 90.0]))

    def test_another_device_by_name(self, resident):
        with pytest.raises(ValueError, match="device='cpu', but maps lie on cuda:0"):
            epg.fse_sim([90.0], 7.0, tensor([900.0]), 80.0, device="cpu")

    def test_derivative_of_the_wrong_shape_or_place(self, resident):
        train, maps = epgnumba.FSE([90.0] * 2, 7.0), {"T1": tensor([900.0, 950.0]), "T2": 80.0}
        with pytest.raises(ValueError, match=r"signal_bar has shape \(3,\); \(2, 2\) is needed"):
            epgnumba.vjp(train, **maps, signal_bar=tensor([1.0, 2.0, 3.0]))
        with pytest.raises(TypeError, match="lies in host memory"):
            epgnumba.vjp(train, **maps, signal_bar=np.ones((2, 2)))

    def test_objective_wants_host_memory(self, resident):
        with pytest.raises(TypeError, match="arrays in host memory are needed here"):
            epgnumba.CRLBObjective(epgnumba.FSE([90.0] * 2, 7.0), tensor([900.0]), 80.0)

    def test_an_array_of_another_library(self, monkeypatch):
        class Foreign:
            __cuda_array_interface__ = {}  # noqa: RUF012
            shape, device = (2,), "somewhere"

        with pytest.raises(TypeError, match="T1 is an array of test_tensors; tensors of torch and arrays of CuPy"):
            epgnumba.simulate(epgnumba.FSE([90.0], 7.0), Foreign(), 80.0)


def test_masks_are_for_host_memory(resident):
    with pytest.raises(ValueError, match=r"mask is for maps in host memory; .* give what counts, as T1\[mask\]"):
        epgnumba.simulate(FAMILIES["own"], tensor([900.0, 800.0]), 80.0, mask=[True, False])
