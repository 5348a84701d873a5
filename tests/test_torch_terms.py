"""Diffusion, flow, T2' and a bound pool through torch: values and gradients of NumPy's verbs, in every mode."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from test_torch_second import FLOWING, POOL, SECOND
from torch.func import grad, hessian, jvp

import epgnumba
import epgnumba.torch as bridge

F64 = torch.float64
AREA, RF = 300.0, 0.9
FORMS = {
    "fse": (
        "fse_sim", {"flip": [130.0, 75.0, 100.0], "ESP": 7.0, "phases": [10.0, -50.0, 80.0]},
        {**FLOWING, "T1": 800.0, "T2": 60.0}, {"gradient_area": AREA},
    ),
    "fingerprint, bound pool": (
        "mrf_sim", {"flip": [20.0, 50.0, 35.0], "TR": 11.0, "TI": 20.0}, {**POOL, "T1": 800.0, "T2": 60.0, "B1": 0.9},
        {"rf_duration": RF},
    ),
    "balanced, bound pool": (
        "bssfp_sim", {"flip": 40.0, "TE": 2.0, "TR": 5.0}, {**POOL, "T1": 800.0, "T2": 60.0}, {"rf_duration": RF},
    ),
    "fse, second pool": (
        "fse_sim", {"flip": [130.0, 75.0, 100.0], "ESP": 7.0},
        {**{key: value for key, value in SECOND.items() if key != "shift_b"}, "T1": 800.0, "T2": 60.0}, {},
    ),
    "balanced, second pool": (
        "bssfp_sim", {"flip": 40.0, "TE": 2.0, "TR": 5.0}, {**SECOND, "T1": 800.0, "T2": 60.0}, {},
    ),
    "fingerprint, T2'": (
        "mrf_sim", {"flip": [20.0, 50.0, 35.0], "TR": 11.0, "TE": 3.0}, {"T1": 800.0, "T2": 60.0, "T2prime": 30.0}, {},
    ),
}  # fmt: skip


def tensors(values):
    return {name: torch.tensor(np.asarray(value), dtype=F64, requires_grad=True) for name, value in values.items()}


@pytest.mark.parametrize("name", FORMS)
def test_values_and_gradients_of_arrays(name):
    form, parameters, tissue, scanner = FORMS[name]
    diff = tuple(key for key in tissue if key not in ("T1", "B1"))
    plain = getattr(epgnumba, form)(**parameters, **tissue, **scanner, diff=diff)
    given = tensors({**parameters, **tissue})
    found = getattr(bridge, form)(**given, **scanner, diff=diff)
    for array, tensor in zip(plain, found, strict=True):
        np.testing.assert_array_equal(tensor.detach().numpy(), array)
    rng = np.random.default_rng(0)
    bars = [rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in plain]
    torch.autograd.backward(found, [torch.tensor(bar) for bar in bars])
    family = {"fse_sim": epgnumba.FSE, "mrf_sim": epgnumba.sequence.MRF, "bssfp_sim": epgnumba.sequence.BSSFP}[form]
    expected = epgnumba.vjp(
        family(**parameters).on_scanner(**scanner), **tissue, signal_bar=bars[0], jacobian_bar=bars[1], diff=diff
    )
    for key, tensor in given.items():
        np.testing.assert_allclose(tensor.grad.numpy(), expected[key], rtol=1e-12, err_msg=key)
        assert (tensor.grad != 0).any(), key


@pytest.mark.parametrize("name", FORMS)
def test_derivatives_of_both_orders(name):
    """By the maps, against differences; the signal and what it changes by."""
    form, parameters, tissue, scanner = FORMS[name]
    given = {key: value for key, value in tissue.items() if key not in ("T1", "T2", "B1")}
    rest = {key: value for key, value in tissue.items() if key not in given}

    def function(*values):
        maps = dict(zip(given, values, strict=True))
        signal, slopes = getattr(bridge, form)(**parameters, **rest, **maps, **scanner, diff=tuple(given))
        scale = torch.tensor([float(np.max(np.abs(value))) for value in given.values()])[:, None]
        return signal, slopes * scale

    values = tuple(tensors(given).values())
    options = {"eps": 1e-4, "atol": 1e-7, "rtol": 1e-5}
    assert torch.autograd.gradcheck(function, values, **options, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, values, **options, check_fwd_over_rev=True)


def test_where_there_is_none_of_it():
    """At no diffusion and no bound pool the slopes are those of a little of it; tensors may ask for them."""
    maps = {"D": 0.0, "bound_fraction": 0.0}
    options = {"exchange": 20.0, "gradient_area": AREA, "rf_duration": RF}

    def cost(D, fraction):
        return bridge.fse_sim([120.0] * 4, 8.0, 900.0, 70.0, D=D, bound_fraction=fraction, **options).real.sum()

    given = tuple(tensors(maps).values())
    slopes = grad(cost, argnums=(0, 1))(*given)
    for k, h in enumerate((1e-4, 1e-5)):  # one side of zero is allowed
        steps = [[value + h * n * (k == j) for j, value in enumerate(given)] for n in range(4)]
        c = [cost(*step).item() for step in steps]
        one_sided = (-11 * c[0] + 18 * c[1] - 9 * c[2] + 2 * c[3]) / (6 * h)
        assert slopes[k].item() == pytest.approx(one_sided, rel=1e-6)
    blocks = hessian(cost, argnums=(0, 1))(*given)
    assert blocks[0][1].item() == pytest.approx(blocks[1][0].item(), rel=1e-12)
    unit = (torch.tensor(1.0, dtype=F64), torch.tensor(0.0, dtype=F64))
    assert jvp(cost, given, unit)[1].item() == pytest.approx(slopes[0].item(), rel=1e-12)


def test_what_is_refused():
    D = torch.tensor(1.0, dtype=F64)
    with pytest.raises(ValueError, match="D and velocity .* use gradient_area, the area"):
        bridge.fse_sim([120.0], 8.0, 900.0, 70.0, D=D)
    with pytest.raises(ValueError, match="bound pool .* use rf_duration"):
        bridge.spgr_sim(20.0, 2.0, 9.0, 900.0, 70.0, bound_fraction=0.1 * D)
    with pytest.raises(TypeError, match="gradient_area is a tensor; a number is needed"):
        bridge.fse_sim([120.0], 8.0, 900.0, 70.0, D=D, gradient_area=torch.tensor(30.0))
    with pytest.raises(ValueError, match="D=-1 is not allowed"):
        bridge.fse_sim([120.0], 8.0, 900.0, 70.0, D=-D, gradient_area=30.0)
