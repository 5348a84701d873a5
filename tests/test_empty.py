"""Maps without a voxel give results without one, in the right shapes and types."""

import numpy as np
import pytest
from families import FAMILIES

import epgnumba

SHAPES = [(0,), (0, 3), (2, 0)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FAMILIES)
def test_verbs(name, shape):
    sequence, T1 = FAMILIES[name], np.zeros(shape)
    n = epgnumba.simulate(sequence, 310.0, 45.0).shape[-1]
    for dtype, kind in ((np.float64, np.complex128), (np.float32, np.complex64)):
        signal, slopes = epgnumba.jacobian(sequence, T1, 45.0, B0=3.0, diff=("T2", "M0"), dtype=dtype)
        alone = epgnumba.jacobian(sequence, T1, 45.0, diff="B1", dtype=dtype)[1]
        assert (signal.shape, slopes.shape, alone.shape) == ((*shape, n), (*shape, 2, n), (*shape, n))
        assert signal.dtype == slopes.dtype == alone.dtype == kind
    bars = epgnumba.vjp(
        sequence, T1, 45.0, diff=("T2", "M0"), signal_bar=np.ones((*shape, n)), jacobian_bar=np.ones((*shape, 2, n))
    )
    assert bars["T1"].shape == shape
    for key, value in {**sequence.parameters, "T2": 45.0, "B1": 1.0, "slice_prof": 1.0}.items():
        assert bars[key].shape == np.shape(value)
        assert (bars[key] == 0).all()


FORMS = {
    "fse_sim": ((([60.0, 50.0], 8.0), (70.0,)), 2),
    "mrf_sim": ((([9.0, 8.0, 7.0], 9.0), (70.0,)), 3),
    "bssfp_sim": ((([9.0, 8.0], 2.0, 5.0), (70.0,)), 2),
    "spgr_sim": ((([9.0, 8.0], [[2.0, 3.0, 4.0]], 9.0), (50.0,)), 6),
    "mprage_sim": (((90.0, 8.0, 8.0, 8), ()), 1),
    "mp2rage_sim": ((([80.0, 300.0], 8.0, 8.0, 900.0, 8), ()), 2),
    "mpnrage_sim": (((3, 8.0, 8.0), ()), 3),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_call_forms(form):
    (before, after), n = FORMS[form]
    signal, slope = getattr(epgnumba, form)(*before, np.zeros((0, 4)), *after, diff="T1")
    assert signal.shape == slope.shape == (0, 4, n)


@pytest.mark.parametrize("form", FORMS)
def test_one_call_forms_on_tensors(form):
    torch = pytest.importorskip("torch")
    import epgnumba.torch as epg

    (before, after), n = FORMS[form]
    T1 = torch.zeros((0, 4), dtype=torch.float64, requires_grad=True)
    signal, slope = getattr(epg, form)(*before, T1, *after, diff="T1")
    assert tuple(signal.shape) == tuple(slope.shape) == (0, 4, n)
    (signal.abs().sum() + slope.abs().sum()).backward()
    assert T1.grad.shape == (0, 4)


def test_a_device_that_is_asked_for_has_nothing_to_do(monkeypatch):
    from epgnumba.gpu import choose

    monkeypatch.setattr(choose, "_runtime", lambda: type("Runtime", (), {"device_count": lambda self: 1})())
    bars = epgnumba.vjp(FAMILIES["FSE"], [], 45.0, signal_bar=np.zeros((0, 5)), device="cuda")
    assert bars["T1"].shape == (0,)
    assert epgnumba.simulate(FAMILIES["FSE"], [], 45.0, device="cuda").shape == (0, 5)


def test_directional_derivatives():
    torch = pytest.importorskip("torch")
    import epgnumba.torch as epg

    flip, T1 = torch.tensor([60.0, 50.0]), torch.zeros(0)
    values = torch.func.jvp(lambda x: epg.fse_sim(x, 8.0, T1, 70.0), (flip,), (flip,))
    assert [tuple(value.shape) for value in values] == [(0, 2), (0, 2)]
