"""The bridge: every derivative that torch knows, through signal and Jacobian."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from families import FAMILIES
from problems import ALL
from torch.func import grad, jacfwd, jacrev, jvp, vjp, vmap

import epgnumba
import epgnumba.torch as bridge

F64 = torch.float64


def tensor(value):
    return torch.tensor(value, dtype=F64, requires_grad=True)


def arguments(TR=300.0, phases=(10.0, -50.0, 80.0)):
    values = {
        "flip": [130.0, 75.0, 100.0], "ESP": 7.0, "T1": [800.0, 1200.0], "T2": [[60.0], [80.0]], "phases": phases,
        "exc_flip": 85.0, "exc_phase": 70.0, "slice_prof": [0.8, 1.0], "B1": 0.95, "M0": [1.2, 0.7],
    }  # fmt: skip
    values = {name: tensor(value) for name, value in values.items()}
    return {**values, "TR": tensor(TR)} if np.isfinite(TR) else values


@pytest.mark.parametrize("options", [{}, {"TR": np.inf}, {"phases": 0.0}])
@pytest.mark.parametrize("diff", [None, "T2", ALL])
def test_gradcheck(options, diff):
    given = arguments(**options)

    def function(*tensors):
        return bridge.fse_sim(**dict(zip(given, tensors, strict=True)), diff=diff)

    assert torch.autograd.gradcheck(
        function, tuple(given.values()), eps=1e-4, atol=1e-7, rtol=1e-5, check_forward_ad=True
    )


def bound(flip, T2=80.0):
    _, jacobian = bridge.fse_sim(flip, ESP=7.0, T1=800.0, T2=T2, diff=("T1", "T2"))
    return torch.log(bridge.crlb(jacobian)).sum()


FLIP = torch.tensor([130.0, 75.0, 100.0, 60.0], dtype=F64)


def test_torch_func_on_a_bound():
    exact = grad(bound)(FLIP)
    torch.testing.assert_close(jacrev(bound)(FLIP), exact, rtol=1e-12, atol=0)
    torch.testing.assert_close(jacfwd(bound)(FLIP), exact, rtol=1e-9, atol=1e-12)
    direction = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=F64)
    torch.testing.assert_close(jvp(bound, (FLIP,), (direction,))[1], exact @ direction, rtol=1e-9, atol=1e-12)
    step = 1e-4 * direction
    slope = (bound(FLIP + step) - bound(FLIP - step)) / 2e-4
    torch.testing.assert_close(slope, exact @ direction, rtol=1e-6, atol=0)


def test_torch_func_on_signal_and_jacobian():
    def both(flip):
        signal, jacobian = bridge.fse_sim(flip, ESP=7.0, T1=800.0, T2=[60.0, 90.0], diff=("T2", "B1"), phases=15.0)
        return torch.view_as_real(signal), torch.view_as_real(jacobian)

    for backward, forward in zip(jacrev(both)(FLIP), jacfwd(both)(FLIP), strict=True):
        torch.testing.assert_close(backward, forward, rtol=1e-11, atol=1e-13)
    out, pull = vjp(both, FLIP)
    (pulled,) = pull(tuple(torch.ones_like(x) for x in out))
    torch.testing.assert_close(pulled, sum(x.sum(dim=(*range(x.ndim - 1),)) for x in jacrev(both)(FLIP)))


def test_vmap():
    batch = torch.stack([FLIP, FLIP + 5])
    torch.testing.assert_close(vmap(bound)(batch), torch.stack([bound(x) for x in batch]), rtol=0, atol=0)
    torch.testing.assert_close(vmap(grad(bound))(batch), torch.stack([grad(bound)(x) for x in batch]), rtol=0, atol=0)
    T2 = torch.tensor([50.0, 80.0], dtype=F64)
    signals = vmap(lambda t: bridge.fse_sim(FLIP, 7.0, 800.0, t), out_dims=1)(T2)
    torch.testing.assert_close(signals.T, bridge.fse_sim(FLIP, 7.0, 800.0, T2), rtol=0, atol=0)
    mixed = vmap(bound, in_dims=(None, 0))(FLIP, T2)
    torch.testing.assert_close(mixed, torch.stack([bound(FLIP, t) for t in T2]), rtol=0, atol=0)


def test_reference_example():
    """The cost of the reference example, float32 flips and all: jacrev over a function that asks for `diff`."""

    def cost(flip):
        _, slope = bridge.fse_sim(flip=flip, ESP=5.0, T1=1000.0, T2=100.0, diff="T2")
        columns = torch.stack((slope.real, slope.imag)).T[:, None, :]
        fisher = torch.einsum("bij,bkj->bik", columns, columns).sum(axis=0)
        return torch.trace(torch.linalg.inv(fisher)).real

    flip = torch.full((96,), 60.0, requires_grad=True)
    assert cost(flip).item() == pytest.approx(7197.580283, rel=1e-9)
    gradient = jacrev(cost)(flip)
    assert gradient.dtype == torch.float32
    expected = torch.tensor([-149.754873, -7.101488, 40.504699, 14.749677, -11.218778])
    torch.testing.assert_close(gradient[:5], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "name", ["flip", "ESP", "T1", "T2", "phases", "TR", "exc_flip", "exc_phase", "slice_prof", "B1", "M0"]
)
def test_a_gradient_is_never_lost(name):
    """One tensor among NumPy arguments, through the NumPy front."""
    plain = {key: value.detach().numpy() for key, value in arguments().items()}
    given = {**plain, name: tensor(plain[name])}
    signal = epgnumba.fse_sim(**given)
    assert signal.requires_grad
    signal.abs().sum().backward()
    assert given[name].grad.shape == given[name].shape
    assert (given[name].grad != 0).any()


def test_numpy_front_and_bridge_agree():
    plain = {key: value.detach().numpy() for key, value in arguments().items()}
    for left, right in zip(epgnumba.fse_sim(**plain, diff=ALL), bridge.fse_sim(**plain, diff=ALL), strict=True):
        assert isinstance(left, np.ndarray)
        np.testing.assert_array_equal(left, right.numpy())


def test_tensors_in_a_list_are_refused():
    T2 = tensor(80.0)
    for call in (epgnumba.fse_sim, bridge.fse_sim):
        with pytest.raises(TypeError, match="T2"):
            call(FLIP, 7.0, 800.0, [T2, T2])


def test_tensors_that_numpy_verbs_would_lose_are_refused():
    with pytest.raises(TypeError, match=r"T2 is a tensor that requires its gradient; use epgnumba\.torch"):
        epgnumba.simulate(epgnumba.FSE([90.0], 5), 900.0, tensor(80.0))


def test_inference_mode_and_odd_strides():
    expected = bridge.fse_sim(FLIP, 7.0, 800.0, 80.0)
    with torch.inference_mode():
        torch.testing.assert_close(bridge.fse_sim(FLIP.clone(), 7.0, 800.0, 80.0), expected, rtol=0, atol=0)
    reverse = FLIP.numpy()[::-1].copy()
    torch.testing.assert_close(bridge.fse_sim(reverse[::-1], 7.0, 800.0, 80.0), expected, rtol=0, atol=0)


def test_a_pullback_is_linear_in_its_bar():
    def signal(T2):
        return bridge.fse_sim(FLIP, 7.0, 800.0, T2).real

    T2, bar = torch.tensor(80.0, dtype=F64), torch.ones(4, dtype=F64)
    (back,) = vjp(lambda b: vjp(signal, T2)[1](b)[0], bar)[1](torch.tensor(1.0, dtype=F64))
    torch.testing.assert_close(back, jacfwd(signal)(T2))


def test_types():
    assert bridge.fse_sim([60, 60], 5, 1000, 100).dtype == torch.complex128
    assert bridge.fse_sim(torch.tensor([60, 60]), 5, torch.tensor(1000), 100).dtype == torch.complex128
    assert bridge.fse_sim([60, 60], 5, 1000, 100, dtype="float32").dtype == torch.complex64
    flip = torch.full((2,), 60.0, requires_grad=True)
    bridge.fse_sim(flip, 5, 1000, 100).abs().sum().backward()
    assert flip.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"flip": torch.tensor([1j])}, TypeError, "flip.*complex"),
        ({"T1": torch.tensor(-1.0)}, ValueError, "T1=-1"),
        ({"T2": "x"}, TypeError, "T2='x' is text"),
        ({"TR": torch.tensor(3.0)}, ValueError, "TR=3 ms is shorter"),
        ({"diff": "T3"}, ValueError, "T3"),
    ],
)
def test_bad_arguments(changes, error, message):
    good = {"flip": torch.tensor([90.0, 80.0]), "ESP": 5.0, "T1": 900.0, "T2": 70.0}
    with pytest.raises(error, match=message):
        bridge.fse_sim(**{**good, **changes})


def test_sequences():
    train = epgnumba.FSE([100.0, 120.0, 80.0], 6, TR=200)
    flip = tensor([90.0, 70.0, 50.0])
    _, jacobian = bridge.jacobian(train, 900.0, 70.0, diff=("T2",), parameters={"flip": flip})
    expected = epgnumba.jacobian(train.replace(flip=flip.detach().numpy()), 900, 70, diff=("T2",))
    np.testing.assert_array_equal(jacobian.detach().numpy(), expected[1])
    jacobian.abs().sum().backward()
    assert (flip.grad != 0).all()
    np.testing.assert_array_equal(bridge.simulate(train, 900, 70).numpy(), epgnumba.simulate(train, 900, 70))
    assert bridge.simulate(train, tensor(900.0), 70).requires_grad
    with pytest.raises(ValueError, match="unknown parameter.*'flips'"):
        bridge.simulate(train, 900, 70, parameters={"flips": flip})
    with pytest.raises(ValueError, match=r"parameters=\['T1'\]"):
        bridge.simulate(train, 900, 70, parameters={"T1": flip})
    with pytest.raises(TypeError, match="is not a Sequence"):
        bridge.simulate("FSE", 900, 70)
    with pytest.raises(TypeError, match="diff=None"):
        bridge.jacobian(train, 900, 70, diff=None)


def test_bound_is_that_of_numpy():
    rng = np.random.default_rng(0)
    jac = rng.normal(size=(4, 3, 20)) + 1j * rng.normal(size=(4, 3, 20))
    jac[1, 2] = jac[1, 1]
    jac[2, 0] = 0
    for options in ({}, {"weights": [0.0, 1.0, 2.0]}, {"noise": 0.3}):
        np.testing.assert_allclose(
            epgnumba.crlb(torch.tensor(jac), **options), epgnumba.crlb(jac, **options), rtol=1e-11
        )
    assert torch.isinf(bridge.crlb(torch.tensor(jac))[1:3]).all()
    with pytest.raises(ValueError, match="singular"):
        bridge.crlb(torch.tensor(jac), singular="raise")
    with pytest.raises(ValueError, match="noise"):
        bridge.crlb(torch.tensor(jac), noise=0.0)
    with pytest.raises(ValueError, match="weights"):
        bridge.crlb(torch.tensor(jac), weights=[-1.0, 1.0, 1.0])
    usable = torch.tensor(jac[[0, 3]], requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: bridge.crlb(x, weights=[0.0, 1.0, 2.0]), (usable,))
    blind = torch.tensor(jac, requires_grad=True)
    bridge.crlb(blind)[[0, 3]].sum().backward()
    assert torch.isfinite(torch.view_as_real(blind.grad)).all()


def test_scipy_objective():
    objective = bridge.scipy_objective(bound)
    value, gradient = objective(FLIP.numpy())
    assert value == pytest.approx(bound(FLIP).item())
    np.testing.assert_allclose(gradient, grad(bound)(FLIP).numpy(), rtol=1e-13)
    both = epgnumba.CRLBObjective(epgnumba.FSE(FLIP.numpy(), 7.0), 800, 80)
    single = bridge.scipy_objective(lambda x: bridge.crlb(bridge.fse_sim(x, 7.0, 800, 80, diff=("T2",))[1]).sum())
    np.testing.assert_allclose(single(FLIP.numpy())[1], both(FLIP.numpy())[1], rtol=1e-12)
    with pytest.raises(ValueError, match="real scalar"):
        bridge.scipy_objective(lambda x: x)([1.0, 2.0])
    with pytest.raises(ValueError, match="cost returned float"):
        bridge.scipy_objective(lambda x: 1.0)([1.0])
    with pytest.raises(ValueError, match="gradient was lost"):
        bridge.scipy_objective(lambda x: x.detach().sum())([1.0])


@pytest.mark.parametrize("name", FAMILIES)
def test_gradcheck_of_every_family(name):
    family, diff = FAMILIES[name], ("T1", "T2", "B0", "M0")
    given = {key: tensor(value) for key, value in family.parameters.items() if np.all(np.isfinite(value))}
    for key in ("TI", "TE", "T2prep", "inversion"):
        if key in given and not given[key].all():
            given.pop(key)  # what is zero cannot be moved either way
    names = tuple(given)
    tissue = [tensor([350.0, 500.0]), tensor([45.0]), tensor(0.9), tensor(1.3), tensor([4.0, 0.0])]
    scale = torch.tensor([1.0, 350.0, 45.0, 1.0, 1.0], dtype=F64)[:, None]

    def function(T1, T2, B1, M0, B0, *parameters):
        changed = dict(zip(names, parameters, strict=True))
        signal, jacobian = bridge.jacobian(family, T1, T2, B1=B1, M0=M0, B0=B0, diff=diff, parameters=changed)
        return torch.cat([signal[:, None], jacobian], 1) * scale  # comparable in size

    assert torch.autograd.gradcheck(
        function, (*tissue, *given.values()), eps=1e-4, atol=1e-6, rtol=1e-5, fast_mode=True, check_forward_ad=True
    )


ONE_CALL = {
    "mrf_sim": {"flip": [10.0, 20.0, 40.0], "TR": [9.0, 8.0, 10.0], "TI": 5.0, "T2": 60.0, "B0": 3.0},
    "bssfp_sim": {"flip": [10.0, 20.0], "TE": 2.0, "TR": 5.0, "T2": 60.0, "B0": 30.0, "chemshift": 7.0},
    "spgr_sim": {"flip": [10.0, 30.0], "TE": [[2.0, 4.0]], "TR": 15.0, "T2star": 40.0},
    "mprage_sim": {"TI": 90.0, "flip": 8.0, "TRspgr": 7.0, "inv_efficiency": 0.9},
    "mp2rage_sim": {"TI": [60.0, 160.0], "flip": [8.0, 5.0], "TRspgr": 7.0, "TRmp2rage": 300.0, "B1": 0.9},
    "mpnrage_sim": {"flip": [8.0, 9.0], "TR": 7.0, "TI": 10.0, "M0": 2.0},
}


@pytest.mark.parametrize("form", ONE_CALL)
def test_one_call_forms_keep_every_gradient(form):
    plain = {**ONE_CALL[form], "T1": [600.0, 900.0]}
    shape = {"mprage_sim": {"nshots": 6}, "mp2rage_sim": {"nshots": 6}, "mpnrage_sim": {"nshots": 2}}.get(form, {})
    numbers = {name: np.array(value) for name, value in plain.items()}
    signal, slope = getattr(epgnumba, form)(**numbers, **shape, diff="T1")
    for name in plain:
        given = {**numbers, name: tensor(plain[name])}
        for front in (epgnumba, bridge):
            given[name].grad = None
            value, derivative = getattr(front, form)(**given, **shape, diff="T1")
            np.testing.assert_array_equal(value.detach().numpy(), signal)
            np.testing.assert_array_equal(derivative.detach().numpy(), slope)
            (value.abs().sum() + 1e3 * derivative.abs().sum()).backward()
            assert given[name].grad.shape == given[name].shape
            assert (given[name].grad != 0).any(), name
    tensors = getattr(bridge, form)(**numbers, **shape)
    np.testing.assert_array_equal(tensors.numpy(), signal)


def test_an_objective_is_a_module():
    objective = epgnumba.CRLBObjective(
        epgnumba.FSE([60.0, 80.0, 100.0], 8.0), 900.0, 70.0, unknowns=("M0", "T2"), criterion="D"
    )
    module = bridge.CRLBModule(objective)
    x = tensor([70.0, 90.0, 110.0])
    (3 * torch.log(module(x))).backward()
    value, gradient = objective(x.detach().numpy())
    np.testing.assert_allclose(x.grad.numpy(), 3 * gradient / value, rtol=1e-13)
    assert torch.autograd.gradcheck(lambda y: torch.log(module(y)), (x,), eps=1e-4, atol=1e-7)
    step = torch.optim.SGD([x], lr=1e-2)
    step.step()
    assert module(x).item() < value
