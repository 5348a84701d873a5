"""Bounds and objectives against the definition, reference values, finite differences and each other."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from epgnumba import FSE, CRLBObjective, crlb, fse_sim


def test_definition():
    rng = np.random.default_rng(0)
    jac = rng.normal(size=(4, 3, 20)) + 1j * rng.normal(size=(4, 3, 20))
    for jacobian, bound in zip(jac, crlb(jac, noise=0.3), strict=True):
        stacked = np.concatenate([jacobian.real, jacobian.imag], axis=1)
        np.testing.assert_allclose(bound, 0.09 * np.diag(np.linalg.inv(stacked @ stacked.T)), rtol=1e-12)
    weights = np.array([0.0, 2.0, 3.0])
    np.testing.assert_allclose(crlb(jac, weights), crlb(jac) @ weights, rtol=1e-14)
    np.testing.assert_allclose(crlb(jac, noise=[1.0, 2.0, 3.0, 4.0]), crlb(jac) * np.array([[1], [4], [9], [16]]))


def test_units_do_not_decide_what_is_singular():
    rng = np.random.default_rng(1)
    jac = rng.normal(size=(2, 30))
    scale = np.array([1e-9, 1e9])
    np.testing.assert_allclose(crlb(jac * scale[:, None]) * scale**2, crlb(jac), rtol=1e-12)


def test_singular():
    for jac in ([[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [1.0, 1.0]], np.ones((3, 3)), [[1e-200, 0.0], [0.0, 1.0]]):
        assert np.isinf(crlb(jac)).all()
        with pytest.raises(ValueError, match="singular"):
            crlb(jac, singular="raise")
    nearly = np.ones((2, 50)) + np.array([[0.0], [1e-9]]) * np.arange(50)
    assert np.isinf(crlb(nearly)).all()  # its inverse would be rounding error, some 1e17 of it


def test_reference_value():
    """96 echoes of 60 degrees, ESP 5 ms, T1 1000 ms, T2 100 ms, from an independent EPG."""
    objective = CRLBObjective(FSE(np.full(96, 60.0), 5), 1000, 100)
    value, gradient = objective(objective.x0)
    assert value == pytest.approx(7197.580283, abs=5e-7)
    np.testing.assert_allclose(gradient[:5], [-149.754873, -7.101488, 40.504699, 14.749677, -11.218778], atol=5e-6)


def test_steady_state_bounds():
    """32 echoes in a TR of 1 s, M0 and T2 unknown: published values, of the train played until it repeats."""
    for flip, known in ((60.0, 194177.2029), (180.0, 39252.1735)):
        train = FSE(np.full(32, flip), 10, TR=1000)
        objective = CRLBObjective(train, 1000, 100, unknowns=("M0", "T2"), weights=[0, 1])
        assert objective(objective.x0)[0] == pytest.approx(known, abs=5e-5)


CASES = {
    "one tissue": ({}, {"unknowns": "T2"}, (1000.0, 100.0)),
    "tissues": ({}, {"unknowns": ("T2", "M0"), "weights": [1.0, 100.0]}, (np.full((3, 1), 900.0), [50.0, 70.0, 90.0])),
    "steady": ({"TR": 400.0}, {"unknowns": ("M0", "B1", "T2"), "weights": [0, 1, 1]}, ([700.0, 1100.0], 80.0)),
    "phases": (
        {"phases": 20.0},
        {"unknowns": ("T2", "B1"), "variables": ("flip", "phases", "exc_phase")},
        (900.0, 80.0),
    ),
    "times": ({"TR": 400.0}, {"unknowns": "T2", "variables": ("ESP", "TR", "flip", "exc_flip")}, (900.0, 80.0)),
    "slice": ({"TR": 300.0}, {"unknowns": ("T2", "B1"), "slice_prof": [0.5, 0.9, 1.0]}, (900.0, [60.0, 90.0])),
    "truncated": ({}, {"unknowns": "T2", "nstates": 4, "noise": 0.1}, (900.0, 80.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_objective(name):
    sequence, options, (T1, T2) = CASES[name]
    train = FSE(np.linspace(150, 70, 12), 7, **sequence)
    objective = CRLBObjective(train, T1, T2, **options)
    x = objective.x0
    value, gradient = objective(x)
    # The value, from the public Jacobian and bound
    unknowns = options["unknowns"]
    _, jac = fse_sim(
        np.linspace(150, 70, 12), 7, T1, T2, **sequence, diff=(unknowns,) if isinstance(unknowns, str) else unknowns,
        slice_prof=options.get("slice_prof", 1.0), nstates=options.get("nstates"),
    )  # fmt: skip
    bound = crlb(jac, noise=options.get("noise", 1.0))
    assert value == pytest.approx((bound * np.asarray(options.get("weights", 1.0))).sum(), rel=1e-11)
    np.testing.assert_allclose(objective.bounds(x), bound, rtol=1e-11)
    # The gradient, by differences at several steps
    best = np.full(x.shape, np.inf)
    for step in (1e-2, 1e-3, 1e-4):
        for i, unit in enumerate(np.eye(x.size)):
            h = step * unit
            slope = (
                8 * (objective(x + h)[0] - objective(x - h)[0]) - objective(x + 2 * h)[0] + objective(x - 2 * h)[0]
            ) / 12
            best[i] = min(best[i], abs(slope / step - gradient[i]))
    assert best.max() < 1e-8 * abs(gradient).max()


def test_tissue_weights():
    train, T2 = FSE(np.full(10, 120.0), 7), np.array([50.0, 80.0])
    separate = [CRLBObjective(train, 900, t)(train.parameters["flip"]) for t in T2]
    value, gradient = CRLBObjective(train, 900, T2, tissue_weights=[2.0, 0.5])(train.parameters["flip"])
    assert value == pytest.approx(2 * separate[0][0] + 0.5 * separate[1][0], rel=1e-14)
    np.testing.assert_allclose(gradient, 2 * separate[0][1] + 0.5 * separate[1][1], rtol=1e-11)


def test_blind_protocol():
    """A train that cannot tell two unknowns apart: inf with no gradient, or an error, never a large number."""
    train = FSE(np.full(5, 180.0), 7)
    blind = CRLBObjective(train, 900, 80, unknowns=("T2", "T1"))
    value, gradient = blind(blind.x0)
    assert value == np.inf
    assert (gradient == 0).all()
    with pytest.raises(ValueError, match="tissue.*singular"):
        CRLBObjective(train, 900, 80, unknowns=("T2", "T1"), singular="raise")(blind.x0)


def test_precision_of_the_jacobian():
    rng = np.random.default_rng(2)
    assert crlb(np.array([[100, 100]], np.int8)) == pytest.approx([5e-5])
    for _ in range(20):  # proportional rows are singular in single precision too
        row = rng.normal(size=30).astype(np.float32)
        assert np.isinf(crlb(np.stack([row, np.float32(0.3) * row]))).all()
    with pytest.raises(ValueError, match="noise has shape"):
        crlb(np.ones((2, 1, 3)), noise=[1.0, 2.0, 3.0])


def test_tissues_without_weight_do_not_count():
    train = FSE(np.full(6, 120.0), 7)
    masked = CRLBObjective(train, 900, [70.0, 60.0], M0=[1.0, 0.0], tissue_weights=[1, 0], singular="raise")
    alone = CRLBObjective(train, 900, 70.0)
    value, gradient = masked(masked.x0)
    assert value == pytest.approx(alone(alone.x0)[0], rel=1e-14)
    np.testing.assert_allclose(gradient, alone(alone.x0)[1], rtol=1e-11)


def test_copies_and_threads():
    objective = CRLBObjective(FSE(np.full(20, 120.0), 7), 900, 70)
    trains = np.random.default_rng(3).uniform(60, 180, (40, 20))
    expected = [objective(x) for x in trains]
    for again in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        for x, (value, gradient) in zip(trains[:3], expected, strict=False):
            assert again(x)[0] == value
            np.testing.assert_array_equal(again(x)[1], gradient)
    with ThreadPoolExecutor(4) as pool:
        for (value, gradient), (known, slope) in zip(pool.map(objective, trains), expected, strict=True):
            assert value == known
            np.testing.assert_array_equal(gradient, slope)


def test_scipy():
    train = FSE(np.full(24, 60.0), 6)
    objective = CRLBObjective(train, 1000, 80, unknowns=("M0", "T2"), weights=[0, 1], noise=0.01)
    assert check_grad(lambda x: objective(x)[0], lambda x: objective(x)[1], objective.x0) < 1e-3
    found = minimize(objective, objective.x0, jac=True, method="L-BFGS-B", bounds=[(0, 180)] * 24)
    assert found.fun < 0.3 * objective(objective.x0)[0]
    assert objective.sequence(found.x).parameters["flip"].tolist() == found.x.tolist()
