"""Simulations inside what torch compiles or records, and in single precision."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from costs import close, fingerprint_case, fse_case, with_columns
from torch.func import grad, hessian, jacrev, jvp, linearize, vmap
from torch.fx.experimental.proxy_tensor import make_fx

import epgnumba
import epgnumba.torch as bridge

FLIP = torch.tensor([60.0, 80.0, 100.0, 60.0], dtype=torch.float64)
TRAIN = epgnumba.FSE([60.0] * 4, 5.0)
MODULE = bridge.CRLBModule(epgnumba.CRLBObjective(TRAIN, 1000.0, 100.0))


@pytest.fixture(params=[fse_case, fingerprint_case], scope="module")
def case(request):
    return with_columns(*request.param())


# Compiled

COSTS = {
    "tensors": lambda x: bridge.crlb(bridge.fse_sim(1.1 * x, 5.0, 1000.0, 100.0, diff=("T1", "T2"))[1]).log().sum(),
    "arrays": lambda x: 2 * epgnumba.crlb(epgnumba.fse_sim(x, 5.0, 1000.0, 100.0, diff=("T1", "T2"))[1], 1.0).log(),
    "sequence": lambda x: bridge.jacobian(TRAIN, 1000.0, 100.0, diff="T2", parameters={"flip": 2 * x})[1].abs().sum(),
    "signal": lambda x: bridge.simulate(TRAIN, 1000.0, x, parameters={"flip": x}).abs().sum() + x.sum(),
    "joined": lambda x: bridge.mp2rage_sim([60.0, 160.0], x[:2] / 8, 7.0, 300.0, 6, 500.0).abs().sum(),
    "module": lambda x: 3 * MODULE(1.1 * x),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own, in tracing
@pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", COSTS)
def test_a_compiled_cost_is_the_cost(name, backend):
    torch._dynamo.reset()
    cost, compiled = COSTS[name], torch.compile(COSTS[name], backend=backend)
    for point in (FLIP, FLIP + 7):
        here, there = point.clone().requires_grad_(), point.clone().requires_grad_()
        expected, found = cost(here), compiled(there)
        expected.backward()
        found.backward()
        close(found.detach(), expected.detach(), 1e-14)
        close(there.grad, here.grad, 1e-14)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_differentiated_while_compiled():
    """First and second derivatives asked for inside, and arguments of more kinds than torch compiles for."""
    torch._dynamo.reset()

    def slopes(x, T1, n):
        cost = bridge.crlb(bridge.fse_sim(1.1 * x[:n], 5.0, T1, 100.0, diff=("T1", "T2"))[1]).log().sum()
        (first,) = torch.autograd.grad(cost, x, create_graph=True)
        return 2 * first, torch.autograd.grad((first * FLIP).sum(), x)[0]

    compiled = torch.compile(slopes, backend="eager")
    for k in range(10):
        x = FLIP.clone().requires_grad_()
        arguments = x, 500.0 + k, 2 + k % 3
        for found, expected in zip(compiled(*arguments), slopes(*arguments), strict=True):
            close(found.detach(), expected.detach(), 1e-14)


def test_a_whole_graph_is_refused():
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(COSTS["tensors"], backend="eager", fullgraph=True)(FLIP)


# Recorded


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # torch's own, in linearize
def test_linearize(case):
    """The linear function holds for every direction, not for the one it was made with."""
    _, cost, x, expected = case
    value, line = linearize(cost, x)
    slope, curve = linearize(grad(cost), x)
    close(value, cost(x), 1e-15)
    close(slope, grad(cost)(x), 1e-15)
    for seed in range(3):
        v = torch.tensor(np.random.default_rng(seed).normal(size=x.shape))
        close(line(v), (slope @ v), 1e-9)
        close(curve(v), expected @ v.numpy(), 1e-10)


def test_a_recorded_graph_is_not_a_constant(case):
    _, cost, x, _ = case
    graph, gradient = make_fx(cost)(x), make_fx(grad(cost))(x)
    elsewhere = (1.02 * x).requires_grad_()
    close(gradient(elsewhere).detach(), grad(cost)(elsewhere.detach()), 1e-13)
    value = graph(elsewhere)
    close(value.detach(), cost(elsewhere.detach()), 1e-14)
    value.backward()
    close(elsewhere.grad, grad(cost)(elsewhere.detach()), 1e-13)


def test_a_recorded_graph_reads_its_arguments_each_time():
    """Memory that NumPy has changed is new, whatever torch knows of it."""
    array = np.array([60.0, 80.0, 100.0])
    graph = make_fx(lambda x: bridge.fse_sim(x, 5.0, 1000.0, 100.0))(torch.from_numpy(array))
    first = graph(torch.from_numpy(array)).clone()
    array += 10
    close(graph(torch.from_numpy(array)), epgnumba.fse_sim(array, 5.0, 1000.0, 100.0), 1e-15)
    assert abs(first - graph(torch.from_numpy(array))).max() > 1e-3


def test_a_recorded_module():
    graph = make_fx(MODULE)(FLIP)
    close(graph(FLIP + 3), MODULE(FLIP + 3), 1e-15)


@pytest.mark.parametrize("mode", ["fake", "symbolic"])
def test_a_graph_without_numbers_is_refused(mode):
    with pytest.raises(RuntimeError):
        make_fx(lambda x: bridge.fse_sim(x, 5.0, 1000.0, 100.0), tracing_mode=mode)(FLIP)


# Precision


@pytest.mark.parametrize("tensors", [torch.float32, torch.float64])
@pytest.mark.parametrize("diff", ["T2", None])
def test_single_precision_everywhere(tensors, diff):
    """Results and their tangents in the precision asked for, derivatives in the type of their tensors."""
    x = torch.tensor([60.0, 80.0, 100.0, 120.0], dtype=tensors)
    T2 = torch.tensor([60.0, 90.0], dtype=tensors)

    def results(flip, T2=T2, dtype="float32"):
        found = bridge.fse_sim(flip, 6.0, 900.0, T2, diff=diff, dtype=dtype)
        return found if diff else (found,)

    def cost(flip, T2=T2, dtype="float32"):
        return sum(part.abs().square().sum() for part in results(flip, T2, dtype))

    expected = [part.to(torch.complex64) for part in results(x, dtype="float64")]
    for found in (results(x), vmap(results)(x[None]), jvp(results, (x,), (x,))[1], jvp(results, (x,), (x,))[0]):
        assert {part.dtype for part in found} == {torch.complex64}
    for found, right in zip(results(x), expected, strict=True):
        close(found, right, 1e-5)
    assert cost(x).dtype == torch.float32
    flip, t = x.clone().requires_grad_(), T2.clone().requires_grad_()
    cost(flip, t).backward()
    assert (flip.grad.dtype, t.grad.dtype) == (tensors, tensors)
    exact = hessian(lambda y: cost(y, dtype="float64"))(x)
    for found in (hessian(cost)(x), jacrev(grad(cost))(x), vmap(hessian(cost))(x[None])[0]):
        assert found.dtype == tensors
        close(found, exact, 1e-4)
    assert jvp(grad(cost), (x,), (x,))[1].dtype == tensors
    assert bridge.crlb(results(x)[-1][..., None, :]).dtype == torch.float32


def test_the_type_may_be_torchs():
    for given, result in ((torch.float32, torch.complex64), (torch.float64, torch.complex128)):
        assert bridge.fse_sim([60.0], 5, 900, 70, dtype=given).dtype == result
    with pytest.raises(ValueError, match=r"dtype=torch\.float16 is not allowed"):
        bridge.fse_sim([60.0], 5, 900, 70, dtype=torch.float16)
