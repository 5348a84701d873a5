"""Derivatives against reference numbers, finite differences at several steps, closed forms, and each other."""

import numpy as np
import pytest
from problems import ALL, Problem

import epgnumba
import epgnumba.program.program
from epgnumba import FSE, fse_sim
from epgnumba.derivatives import push_forward
from epgnumba.engine import layout
from epgnumba.problem import read_problem


def central(function, h):
    """Fourth-order central difference at zero."""
    return (8 * (function(h) - function(-h)) - (function(2 * h) - function(-2 * h))) / (12 * h)


def test_reference_tangents(reference):
    """The reference's own derivatives are finite differences, good to about 1e-9 of their largest."""
    for name, flip in (("fse_60x96", np.full(96, 60.0)), ("fse_random_phases", None)):
        case = reference[name]
        arguments = {**case["args"], **({} if flip is None else {"flip": flip})}
        _, jacobian = fse_sim(**arguments, diff=("T1", "T2", "B1"))
        for row, key in zip(jacobian, ("dT1", "dT2", "dB1"), strict=True):
            assert abs(row - case[key]).max() < 5e-9 * abs(case[key]).max()


def test_closed_forms():
    t = 7.0 * np.arange(1, 41)
    signal, jacobian = fse_sim(np.full(40, 180.0), 7, 900, 60, M0=1.7, diff=("T2", "M0", "T1"))
    np.testing.assert_allclose(jacobian[0], 1.7 * t / 60**2 * np.exp(-t / 60), rtol=1e-12)
    np.testing.assert_allclose(jacobian[1], signal / 1.7, rtol=1e-14)
    assert abs(jacobian[2]).max() < 1e-18


def test_relaxation_derivatives_obey_homogeneity():
    """Every pathway of a single train spends its time before the echo in F or in Z: R1 and R2 together scale time."""
    rng = np.random.default_rng(0)
    signal, jacobian = fse_sim(rng.uniform(20, 180, 50), 6, 800, 70, phases=rng.uniform(0, 360, 50), diff=("T1", "T2"))
    t = 6.0 * np.arange(1, 51)
    rates = -(jacobian[0] * 800**2) - jacobian[1] * 70**2
    np.testing.assert_allclose(rates, -t * signal, atol=1e-11)


@pytest.mark.parametrize("diff", ["T1", "T2", "B1", "M0", ("M0", "T2"), ("B1", "T2", "T1", "M0")])
def test_tangents_do_not_depend_on_company(diff):
    problem = Problem(3, diff=ALL, TR=200.0)
    whole = dict(zip(ALL, np.moveaxis(problem.run()[1], -2, 0), strict=True))
    problem.diff = diff
    jacobian = problem.run()[1]
    rows = [jacobian] if isinstance(diff, str) else np.moveaxis(jacobian, -2, 0)
    for name, row in zip([diff] if isinstance(diff, str) else diff, rows, strict=True):
        np.testing.assert_allclose(row, whole[name], rtol=0, atol=1e-14 * abs(whole[name]).max())


def test_tangents_by_complex_step(problem):
    """A complex step through the signal is exact, and knows nothing of tangents."""
    _, jacobian = problem.run()
    train = FSE(**problem.train)
    plain = read_problem(train, **problem.tissue, nstates=problem.nstates)
    for k, name in enumerate(problem.diff):
        value = problem.tissue[name]
        slope, _ = push_forward(plain, {name: np.ones_like(value)})
        scale = max(abs(jacobian[..., k, :]).max(), 1e-12)
        np.testing.assert_allclose(jacobian[..., k, :], slope, rtol=0, atol=1e-12 * scale)


def test_adjoint_identity(problem):
    """Re <bar, J v> = Re <J^T bar, v>, for signal and Jacobian and every parameter: forward and reverse mode agree."""
    checked = read_problem(FSE(**problem.train), **problem.tissue, diff=problem.diff, nstates=problem.nstates)
    gradient = problem.gradient()
    rng = np.random.default_rng(1)
    for name in problem.varied():
        v = rng.normal(size=np.shape(problem.values[name]))
        d_signal, d_jacobian = push_forward(checked, {name: v})
        left = np.vdot(problem.signal_bar, d_signal).real + np.vdot(problem.jacobian_bar, d_jacobian).real
        size = abs(problem.signal_bar * d_signal).sum() + abs(problem.jacobian_bar * d_jacobian).sum()
        assert abs(left - (gradient[name] * v).sum()) <= 1e-12 * size + 1e-300, name


def test_reverse_mode_by_finite_differences(problem):
    """At several steps: the error falls with the fourth power of the step until rounding takes over."""
    gradient = problem.gradient()
    rng = np.random.default_rng(2)
    for name in problem.varied():
        value = np.asarray(problem.values[name])
        v = rng.normal(size=value.shape) * np.maximum(abs(value), 1)
        exact = (gradient[name] * v).sum()
        errors = [
            abs(central(lambda h, n=name, x=value, v=v: problem.scalar(**{n: x + h * v}), step) - exact)
            for step in (1e-3, 1e-4, 1e-5)
        ]
        size = max(abs(exact), 1e-2 * abs(gradient[name] * v).sum(), 1e-6)
        assert min(errors) < 3e-8 * size, (name, errors, exact)


def test_leaving_out_parameters_changes_nothing(problem):
    whole = problem.gradient()
    for wanted in (("flip",), ("flip", "exc_flip"), ("T2", "flip"), ("M0", "slice_prof")):
        part = problem.gradient(wanted)
        assert set(part) == set(wanted)
        for name in wanted:
            # A real program and a complex one round differently.
            np.testing.assert_allclose(part[name], whole[name], atol=1e-12 * abs(whole[name]).max(), rtol=1e-10)


@pytest.mark.parametrize("limit", [1, 2000])
def test_checkpoints_change_nothing(monkeypatch, limit):
    """A tape too small for the train: segments are replayed, and the gradient stays what it was."""
    case = {"n_echoes": 40, "TR": 500.0, "tissue": (2, 2)}
    straight = Problem(5, **case).gradient()
    monkeypatch.setattr(layout, "TAPE_LIMIT", limit)
    monkeypatch.setattr("epgnumba.program.program._programs", type(epgnumba.program.program._programs)(8))
    bent = Problem(5, **case)
    for name, value in bent.gradient().items():
        np.testing.assert_array_equal(value, straight[name])
    played = [
        each
        for each in epgnumba.program.program._programs._values.values()
        if (16, limit) in each.__dict__.get("tables", {})
    ]
    assert played
    assert all(len(layout.layout_of(program.signal, 16).segments) > 3 for program in played)


def test_tape_is_bounded():
    """The room for a reverse sweep grows like N to the power 3/2 in a train of N echoes, not like its square."""

    def room(n):
        program, _ = epgnumba.program.compile_program(FSE(np.full(n, 60.0), 5))
        tables = layout.tables_of(program, 8)
        return tables.arena

    assert room(1600) < 1.3 * 8 * room(400)
    assert room(1600) * 8 < 20e6  # bytes, per set and thread


def test_gradient_of_a_quadratic_reaches_the_fitted_tissue():
    """Newton on the residual with the Jacobian finds the tissue that made the data."""
    flip = np.linspace(160, 60, 24)
    data = fse_sim(flip, 6, 1000, 83.0, M0=1.3)
    T2, M0 = 60.0, 1.0
    for _ in range(12):
        signal, jacobian = fse_sim(flip, 6, 1000, T2, M0=M0, diff=("T2", "M0"))
        step = np.linalg.lstsq(jacobian.real.T, (data - signal).real, rcond=None)[0]
        T2, M0 = T2 + step[0], M0 + step[1]
    assert pytest.approx((83.0, 1.3), rel=1e-10) == (T2, M0)
