"""Second derivatives: of the verbs, and through torch in every combination of modes."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from costs import close, diffusion_case, fingerprint_case, fse_case, pool_case, second_pool_case, with_columns
from families import FAMILIES
from problems import ALL
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import epgnumba
import epgnumba.torch as bridge
from epgnumba.derivatives import pull_back, push_forward, push_pull
from epgnumba.problem import read_problem

F64 = torch.float64
UNKNOWNS = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")
MAPS = {
    "T1": np.array([350.0, 500.0]), "T2": np.array([45.0, 70.0]), "B1": np.array(0.9), "M0": np.array([1.3, 0.8]),
    "B0": np.array([4.0, 9.0]), "inv_efficiency": np.array(0.93), "slice_prof": np.array([0.8, 1.0]),
}  # fmt: skip


class Moved:
    """A sequence on tissue, two directions of everything that can move, and random cotangents."""

    def __init__(self, sequence, maps=MAPS, diff=UNKNOWNS, nstates=None, seed=3):
        rng = np.random.default_rng(seed)
        self.sequence, self.maps, self.diff, self.nstates = sequence, maps, diff, nstates
        parameters = {name: value for name, value in sequence.parameters.items() if np.isfinite(value).all()}
        for name in ("TI", "TE", "T2prep", "inversion"):
            if name in parameters and not parameters[name].all():
                parameters.pop(name)  # what is zero cannot be moved either way
        self.parameters, self.values = tuple(parameters), {**parameters, **maps}
        self.names = tuple(self.values)
        self.problem = self.at(self.values)
        signal, jacobian = epgnumba.jacobian(sequence, **maps, diff=diff, nstates=nstates)
        scale = abs(jacobian).max(axis=-1, keepdims=True)
        self.bars, self.others = (
            (
                rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape),
                (rng.normal(size=jacobian.shape) + 1j * rng.normal(size=jacobian.shape))
                / np.where(scale > 1e-12, scale, 1),
            )
            for _ in range(2)
        )
        self.t, self.u = (
            {name: 0.1 * rng.normal(size=x.shape) * np.maximum(abs(x), 1) for name, x in self.values.items()}
            for _ in range(2)
        )

    def at(self, values):
        sequence = self.sequence.replace(**{name: values[name] for name in self.parameters})
        return read_problem(
            sequence, **{name: values[name] for name in self.maps}, diff=self.diff, nstates=self.nstates
        )

    def gradient(self, h=0.0, tangents=None):
        """Exact first derivatives, at a distance along tangents (all of them by default) of tensors and cotangents."""
        moves = self.t if tangents is None else tangents
        values = {name: x + h * moves[name] if name in moves else x for name, x in self.values.items()}
        bars = (bar + h * other for bar, other in zip(self.bars, self.others, strict=True))
        return pull_back(self.at(values), *(bars if tangents is None else self.bars), self.names)

    def second(self, tangents, wanted=None, **options):
        return push_pull(self.problem, self.bars, tangents, wanted=wanted or self.names, **options)


def central(function, step):
    """Fourth-order central difference."""
    near, far = (
        {name: plus - minus for (name, plus), minus in zip(function(h).items(), function(-h).values(), strict=True)}
        for h in (step, 2 * step)
    )
    return {name: (8 * near[name] - far[name]) / (12 * step) for name in near}


FLOWING = {"D": np.array([0.8, 1.6]), "velocity": np.array(-2.0)}
POOL = {
    "bound_fraction": np.array([0.1, 0.2]), "exchange": np.array(25.0), "T1_bound": np.array([300.0, 400.0]),
    "lineshape": np.array(12.0),
}  # fmt: skip
SECOND = {
    "fraction_b": np.array([0.1, 0.2]), "exchange_b": np.array(25.0), "T1_b": np.array([300.0, 400.0]),
    "T2_b": np.array([18.0, 25.0]), "shift_b": np.array(9.0),
}  # fmt: skip
# Sequences with maps that not every tissue has, and what is differentiated.
TERMS = {
    "diffusion and flow": (
        FAMILIES["own"].on_scanner(gradient_area=150.0), {**MAPS, **FLOWING}, ("T2", "D", "velocity", "B0")
    ),
    "T2'": (FAMILIES["SPGR"], {**MAPS, "T2prime": np.array([25.0, 40.0])}, ("T2", "T2prime", "M0")),
    "bound pool": (
        FAMILIES["MRF"].on_scanner(rf_duration=0.9), {**MAPS, **POOL}, ("T1", "B1", "bound_fraction", "exchange")
    ),
    "bound pool, steady": (
        FAMILIES["MRF, steady"].on_scanner(rf_duration=0.9), {**MAPS, **POOL}, ("lineshape", "T1_bound", "M0")
    ),
    "second pool": (FAMILIES["MRF"], {**MAPS, **SECOND}, ("T1", "B1", "fraction_b", "exchange_b", "shift_b")),
    "second pool, steady": (FAMILIES["MRF, steady"], {**MAPS, **SECOND}, ("T2_b", "T1_b", "M0")),
}  # fmt: skip


@pytest.fixture(params=[*FAMILIES, *TERMS], scope="module")
def moved(request):
    return Moved(*TERMS[request.param]) if request.param in TERMS else Moved(FAMILIES[request.param])


def test_second_derivatives_by_differences_of_exact_first_ones(moved):
    """Along everything at once, cotangents among it."""
    exact = push_pull(moved.problem, moved.bars, moved.t, moved.others, moved.names)
    first = moved.gradient()
    errors = dict.fromkeys(exact, np.inf)
    for step in (3e-3, 1e-3, 3e-4):
        for name, numeric in central(moved.gradient, step).items():
            size = max(abs(exact[name]).max(), 1e-2 * abs(first[name]).max(), 1e-6)
            errors[name] = min(errors[name], abs(numeric - exact[name]).max() / size)
    assert max(errors.values()) < 1e-7, errors


def test_second_derivatives_are_symmetric(moved):
    """<u, H t> = <t, H u>, and H of a sum of directions is the sum."""
    along, across = moved.second(moved.t), moved.second(moved.u)
    left = sum((along[name] * moved.u[name]).sum() for name in moved.names)
    right = sum((across[name] * moved.t[name]).sum() for name in moved.names)
    size = sum(abs(along[name] * moved.u[name]).sum() for name in moved.names)
    assert abs(left - right) <= 1e-12 * size
    total = {name: np.zeros(x.shape) for name, x in moved.values.items()}
    parts = {name: np.zeros(x.shape) for name, x in moved.values.items()}
    for name in moved.names:  # alone: real programs and complex ones, with and without precession
        for wanted, value in moved.second({name: moved.t[name]}).items():
            total[wanted] += value
            parts[wanted] += abs(value)
    for name in moved.names:
        assert abs(total[name] - along[name]).max() <= 1e-11 * parts[name].max() + 1e-13, name


@pytest.mark.parametrize("name", FAMILIES)
def test_a_part_of_second_derivatives_is_that_of_the_whole(name):
    """On resonance, where most programs are real until phases or off-resonance move, or are asked about."""
    case = Moved(FAMILIES[name], {**MAPS, "B0": np.zeros(2)}, ("T1", "T2", "M0"))
    for moved in case.names:
        along = {moved: case.t[moved]}
        whole = case.second(along)
        for wanted in case.names:
            part = case.second(along, (wanted,))
            assert list(part) == [wanted]
            size = max(abs(whole[wanted]).max(), 1e-3)
            assert abs(part[wanted] - whole[wanted]).max() <= 1e-11 * size, (moved, wanted)


def test_cotangents_enter_linearly(moved):
    """A tangent of the cotangents alone: the pull-back of that."""
    found = push_pull(moved.problem, moved.bars, {}, moved.others, moved.names)
    for name, value in pull_back(moved.problem, *moved.others, moved.names).items():
        assert abs(found[name] - value).max() <= 1e-11 * abs(value).max() + 1e-13, name


@pytest.mark.parametrize("diff", ["T2", ("M0", "T1")])
def test_many_voxels(diff):
    """Lanes, broadcast maps, sums over voxels."""
    rng = np.random.default_rng(0)
    maps = {**MAPS, "T1": rng.uniform(300, 900, (5, 1)), "T2": rng.uniform(30, 90, 9), "M0": np.array(1.1)}
    case = Moved(FAMILIES["FSE"], {**maps, "B0": np.array(2.0)}, diff)
    exact, numeric = case.second(case.t), central(lambda h: case.gradient(h, case.t), 1e-3)
    for name, value in numeric.items():
        assert abs(value - exact[name]).max() <= 1e-7 * max(abs(exact[name]).max(), 1e-2), name


def test_signal_alone():
    train = FAMILIES["FSE"]
    t = {"flip": np.array([3.0, -2.0, 1.0, 4.0, -1.0]), "T2": np.array([2.0, -3.0]), "M0": np.array([0.1, 0.2])}
    bar = np.random.default_rng(1).normal(size=(2, 5)) + 0.5j

    def gradient(h):
        moved = {name: MAPS[name] + h * t[name] for name in ("T2", "M0")}
        played = train.replace(flip=train.parameters["flip"] + h * t["flip"])
        return pull_back(read_problem(played, **{**MAPS, **moved}), bar, None, tuple(t))

    found = push_pull(read_problem(train, **MAPS), (bar, None), t, wanted=tuple(t))
    for name, numeric in central(gradient, 1e-2).items():
        close(found[name], numeric, 1e-9)


def test_the_size_of_a_direction_does_not_matter():
    """Not a finite step: directions of any length, the products scaled exactly."""
    case = Moved(FAMILIES["MRF"])
    unit, slope = case.second(case.t), push_forward(case.problem, case.t)
    for scale in (2.0**200, 2.0**-200):
        scaled = {name: scale * value for name, value in case.t.items()}
        for name, value in case.second(scaled).items():
            np.testing.assert_allclose(value / scale, unit[name], rtol=1e-13, atol=0)
        for left, right in zip(push_forward(case.problem, scaled), slope, strict=True):
            np.testing.assert_allclose(left / scale, right, rtol=1e-13, atol=0)


def test_infinite_T1_has_second_derivatives_of_zero():
    case = Moved(FAMILIES["FSE"], {**MAPS, "T1": np.array([np.inf, 500.0])}, ("T2", "M0"))
    found = case.second({**case.t, "T1": np.array([1.0, 1.0])})
    assert all(np.isfinite(value).all() for value in found.values())
    assert found["T1"][0] == 0
    assert found["T1"][1] != 0


def test_pull_backs_refuse_unknown_names():
    case = Moved(FAMILIES["FSE"])
    with pytest.raises(ValueError, match="wanted: 'flips' is unknown"):
        case.second(case.t, ("flips",))


# Through torch


@pytest.fixture(params=[fse_case, fingerprint_case, diffusion_case, pool_case, second_pool_case], scope="module")
def case(request):
    return with_columns(*request.param())


def double_backward(function):
    return lambda x: torch.autograd.functional.hessian(function, x)


@pytest.mark.parametrize(
    "transform",
    [
        hessian,
        lambda f: jacfwd(grad(f)),
        lambda f: jacrev(grad(f)),
        lambda f: jacrev(jacrev(f)),
        lambda f: jacrev(jacfwd(f)),
        double_backward,
    ],
    ids=["hessian", "jacfwd of grad", "jacrev of grad", "jacrev of jacrev", "jacrev of jacfwd", "double backward"],
)
def test_a_hessian_is_that_of_the_objective(case, transform):
    _, cost, x, expected = case
    close(transform(cost)(x), expected, 1e-10)


def test_products_with_a_hessian(case):
    objective, cost, x, expected = case
    rng = np.random.default_rng(4)
    v, w = (torch.tensor(rng.normal(size=x.shape)) for _ in range(2))
    close(jvp(grad(cost), (x,), (v,))[1], expected @ v.numpy(), 1e-10)
    close(vjp(grad(cost), x)[1](v)[0], expected @ v.numpy(), 1e-10)
    both = vmap(lambda t: jvp(grad(cost), (x,), (t,))[1])(torch.stack([v, w]))
    close(both, [expected @ v.numpy(), expected @ w.numpy()], 1e-10)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.clone().requires_grad_(), v)
        (back,) = torch.autograd.grad(cost(dual), dual)
        close(torch.autograd.forward_ad.unpack_dual(back).tangent.detach(), expected @ v.numpy(), 1e-10)
    batch = torch.stack([x, 1.01 * x])
    again = np.stack([objective.hessp(1.01 * objective.x0, unit) for unit in np.eye(x.numel())])
    close(vmap(hessian(cost))(batch), [expected, again], 1e-10)


CHECKED = ["FSE", "FSE, steady", "MRF, phases, twice", "bSSFP", "DESS", "MP2RAGE", "own, balanced"]


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("diff", [("T1", "T2", "B0", "M0"), None], ids=["jacobian", "signal"])
def test_gradgradcheck(name, diff):
    """Every tensor, both results; reverse over reverse and forward over reverse."""
    case = Moved(FAMILIES[name])
    given = {name: torch.tensor(value, requires_grad=True) for name, value in case.values.items()}
    scale = torch.tensor([1.0, 350.0, 45.0, 1.0, 1.0], dtype=F64)[:, None]

    def function(*tensors):
        values = dict(zip(given, tensors, strict=True))
        changed = {name: values[name] for name in case.parameters}
        tissue = {name: values[name] for name in MAPS}
        if diff is None:
            return bridge.simulate(FAMILIES[name], **tissue, parameters=changed)
        signal, jacobian = bridge.jacobian(FAMILIES[name], **tissue, diff=diff, parameters=changed)
        return torch.cat([signal[:, None], jacobian], 1) * scale  # comparable in size

    assert torch.autograd.gradgradcheck(
        function, tuple(given.values()), eps=1e-4, atol=1e-6, rtol=1e-5, fast_mode=True, check_fwd_over_rev=True
    )


def test_every_entry_of_second_derivatives():
    """`gradgradcheck` in full, of a small train with phases, a steady state, a slice and all tissue."""
    values = {
        "flip": [130.0, 75.0], "ESP": 7.0, "T1": [800.0, 1200.0], "T2": 60.0, "phases": [10.0, -50.0], "exc_flip": 85.0,
        "exc_phase": 70.0, "slice_prof": [0.8, 1.0], "B1": 0.95, "M0": [1.2, 0.7], "TR": 300.0,
    }  # fmt: skip
    given = {name: torch.tensor(value, dtype=F64, requires_grad=True) for name, value in values.items()}

    def function(*tensors):
        return bridge.fse_sim(**dict(zip(given, tensors, strict=True)), diff=ALL)

    assert torch.autograd.gradgradcheck(
        function, tuple(given.values()), eps=1e-4, atol=1e-7, rtol=1e-5, check_fwd_over_rev=True
    )


def test_derivatives_by_two_tensors(case):
    """Blocks of a Hessian by flips and tissue: each the transpose of the other."""
    flip = torch.tensor([130.0, 75.0, 100.0, 60.0], dtype=F64)
    T2 = torch.tensor([60.0, 90.0], dtype=F64)

    def cost(flip, T2):
        return torch.log(bridge.crlb(bridge.fse_sim(flip, 7.0, 800.0, T2, diff=("T1", "T2"))[1])).sum()

    blocks = hessian(cost, argnums=(0, 1))(flip, T2)
    close(blocks[0][1], blocks[1][0].T, 1e-12)
    step = 1e-3

    def slope(h):
        return grad(cost)(flip, T2 + torch.tensor([h, 0.0], dtype=F64))

    numeric = (8 * (slope(step) - slope(-step)) - (slope(2 * step) - slope(-2 * step))) / (12 * step)
    close(blocks[0][1][:, 0], numeric, 1e-8)


def test_what_is_left_is_refused(case):
    _, cost, x, _ = case
    with pytest.raises(NotImplementedError, match=r"forward mode over forward mode.*torch\.func\.hessian"):
        jacfwd(jacfwd(cost))(x)
    for third in (jacrev(hessian(cost)), grad(lambda y: jvp(grad(cost), (y,), (x,))[1].sum())):
        with pytest.raises(NotImplementedError, match="third derivatives.*finite differences"):
            third(x)
    with pytest.raises(NotImplementedError, match="third"):
        jacfwd(hessian(cost))(x)
    with pytest.raises(ValueError, match="empty batch"):
        vmap(cost)(torch.empty(0, x.numel()))


def test_an_objective_is_twice_differentiable(case):
    objective, _, x, expected = case
    module = bridge.CRLBModule(objective)
    value, slope = objective(objective.x0)
    curve = expected / value - np.outer(slope, slope) / value**2

    def cost(y):
        return torch.log(module(y))

    for transform in (hessian, lambda f: jacrev(grad(f)), lambda f: jacrev(jacfwd(f)), double_backward):
        close(transform(cost)(x), curve, 1e-10)
    close(jvp(cost, (x,), (x,))[1], slope @ objective.x0 / value, 1e-12)
    batch = torch.stack([x, 1.01 * x])
    close(vmap(cost)(batch), torch.stack([cost(y) for y in batch]), 1e-15)
    close(vmap(grad(cost))(batch), torch.stack([grad(cost)(y) for y in batch]), 1e-14)
    with pytest.raises(NotImplementedError, match="third derivatives"):
        jacrev(hessian(cost))(x)
    with pytest.raises(NotImplementedError, match="forward mode over forward mode"):
        jacfwd(jacfwd(cost))(x)
