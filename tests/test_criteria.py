"""Every criterion: its value from the public Jacobian, its gradient and Hessian-vector products by differences."""

import itertools

import numpy as np
import pytest

import epgnumba
from epgnumba import CRLBObjective
from epgnumba.design import BSpline, Free, PiecewiseLinear, Shared
from epgnumba.sequence import BSSFP, DESS, MRF, SPGR

BOTH = list(itertools.product("ADE", ("complex", "magnitude")))
T1, T2 = np.array([800.0, 1300.0, 500.0]), np.array([60.0, 90.0, 45.0])
UNKNOWNS = ("M0", "T1", "T2")
WEIGHTS = np.array([0.5, 1e-5, 1e-3])
FINGERPRINT = MRF(np.linspace(15, 60, 24), 11.0, TI=18.0, TE=2.0)


def fingerprint(**options):
    choice = {"unknowns": UNKNOWNS, "weights": WEIGHTS, "variables": ("flip", "TR"), **options}
    return CRLBObjective(FINGERPRINT, T1, T2, B1=0.95, M0=1.3, noise=0.1, **choice)


def covariances(data):
    """Bounds' matrices by the definition, from real rows."""
    signal, jacobian = epgnumba.jacobian(FINGERPRINT, T1, T2, B1=0.95, M0=1.3, diff=UNKNOWNS)
    rows = np.concatenate([jacobian.real, jacobian.imag], -1)
    if data == "magnitude":
        step = 1e-6
        moved = abs(signal[:, None] + step * jacobian) - abs(signal[:, None] - step * jacobian)
        rows = moved / (2 * step)
    return 0.01 * np.linalg.inv(rows @ rows.swapaxes(-1, -2))


VALUES = {
    "A": lambda v: np.trace(v),
    "D": lambda v: np.linalg.det(v) ** (1 / len(v)),
    "E": lambda v: np.linalg.eigvalsh(v)[-1],
}


@pytest.mark.parametrize("weights", [WEIGHTS, [0.0, 1e-5, 1e-3]], ids=["all", "nuisance"])
@pytest.mark.parametrize(("criterion", "data"), BOTH)
def test_values_are_those_of_the_definition(criterion, data, weights):
    objective = fingerprint(criterion=criterion, data=data, weights=weights, tissue_weights=[1.0, 2.0, 0.5])
    root = np.sqrt(weights)
    kept = root > 0
    scaled = [(root[:, None] * v * root)[kept][:, kept] for v in covariances(data)]
    each = np.array([VALUES[criterion](v) for v in scaled]) * [1.0, 2.0, 0.5]
    tolerance = 1e-10 if data == "complex" else 1e-6  # differences of magnitudes
    assert objective(objective.x0)[0] == pytest.approx(each.sum(), rel=tolerance)
    np.testing.assert_allclose(objective.values(objective.x0), each, rtol=tolerance)
    assert objective.worst(objective.x0) == pytest.approx(each.max(), rel=tolerance)


def test_the_worst_case_is_bounded_from_above_and_closely():
    objective = fingerprint(over="worst")
    value, worst = objective(objective.x0)[0], objective.worst(objective.x0)
    assert worst <= value <= worst * 3 ** (1 / 20)
    assert fingerprint(over="worst", sharpness=400.0)(objective.x0)[0] == pytest.approx(worst, rel=1e-3)


def test_magnitudes_tell_no_more_than_complex_data():
    rotated = {"unknowns": ("M0", "B0"), "weights": [1.0, 1.0], "variables": ("flip",)}
    assert fingerprint(**rotated)(np.linspace(15, 60, 24))[0] < np.inf
    assert fingerprint(**rotated, data="magnitude")(np.linspace(15, 60, 24))[0] == np.inf


def test_precision_per_time():
    plain, timed = fingerprint(), fingerprint(per_time=True)
    total = FINGERPRINT.parameters["TI"] + 24 * 11.0
    assert timed(timed.x0)[0] == pytest.approx(total * plain(plain.x0)[0], rel=1e-12)
    row, constant = timed.duration_map()
    assert row @ timed.x0 + constant == pytest.approx(total)


def test_relative_weights():
    ours = fingerprint(relative=True, weights=[0.0, 1.0, 2.0])
    by_hand = fingerprint(weights=np.stack([0 * T1, 1 / T1**2, 2 / T2**2], -1))
    assert ours(ours.x0)[0] == pytest.approx(by_hand(by_hand.x0)[0], rel=1e-13)
    with pytest.raises(ValueError, match="relative=True.*zero or infinite in some tissue"):
        fingerprint(relative=True, unknowns=("M0", "B0"), weights=[1.0, 1.0])


def slope(function, x, direction, step):
    """Central difference of fourth order."""
    ends = [function(x + n * step * direction) for n in (1, -1, 2, -2)]
    return (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * step)


def check_derivatives(objective, step=1e-2, tolerance=1e-7):
    x, rng = objective.x0, np.random.default_rng(0)
    _, gradient = objective(x)
    direction = rng.normal(size=x.size) * np.maximum(abs(x), 1) * 0.01
    along = slope(lambda y: objective(y)[0], x, direction, step)
    assert gradient @ direction == pytest.approx(along, rel=tolerance)
    product = objective.hessp(x, direction)
    expected = slope(lambda y: objective(y)[1], x, direction, step)
    assert abs(product - expected).max() <= 10 * tolerance * abs(expected).max()
    other = rng.normal(size=x.size)
    assert direction @ objective.hessp(x, other) == pytest.approx(other @ product, rel=1e-8)  # symmetric


@pytest.mark.parametrize("over", ["mean", "worst"])
@pytest.mark.parametrize(("criterion", "data"), BOTH)
def test_gradient_and_hessian(criterion, data, over):
    check_derivatives(fingerprint(criterion=criterion, data=data, over=over, per_time=over == "worst"))


@pytest.mark.parametrize(
    ("sequence", "options"),
    [
        (epgnumba.FSE(np.linspace(140, 60, 10), 8.0, TR=600.0), {"variables": ("flip", "ESP", "TR", "exc_flip")}),
        (
            epgnumba.FSE(np.linspace(140, 60, 10), 8.0, phases=np.linspace(0, 70, 10)),
            {"variables": ("phases", "exc_phase"), "slice_prof": [0.7, 1.0]},
        ),
        (MRF(np.linspace(15, 60, 24), 11.0, TI=18.0, phases=np.arange(24.0)), {"variables": {"flip": BSpline(6)}}),
        (
            MRF(np.linspace(15, 60, 24), 11.0, TI=18.0, inversion=0.95),
            {"variables": {"TR": Shared(), "TI": Free(), "inversion": Free()}},
        ),
        (SPGR(20.0, [2.0, 9.0], 40.0, "rf", tolerance=1e-3), {"variables": ("flip", "TE", "TR", "increment")}),
        (BSSFP([20.0, 50.0, 80.0], 2.0, 5.0), {"variables": ("flip", "TR", "phase_inc"), "B0": [3.0, 9.0, 20.0]}),
        (DESS(30.0, 3.0, 40.0, tolerance=1e-3), {"variables": ("flip", "TE", "TR")}),
    ],
    ids=["steady FSE", "phases", "spline", "shared", "RF spoiled", "balanced", "DESS"],
)
def test_derivatives_of_every_kind_of_sequence(sequence, options):
    objective = CRLBObjective(sequence, T1, T2, unknowns=("M0", "T2"), weights=[1e-1, 1e-3], **options)
    check_derivatives(objective, tolerance=1e-6)


# Variables


@pytest.mark.parametrize(
    "how",
    [Free(), Free(entries=[3, 0, 7], scale=2.0), Shared(), Shared(groups=[0, 1] * 12), BSpline(7), PiecewiseLinear(5)],
)
def test_parameterisations(how):
    """The protocol is the linear map of the variables, and the gradient its transpose."""
    plain = fingerprint(variables=("flip",))
    objective = fingerprint(variables={"flip": how, "TI": Free()})
    x = objective.x0 + np.random.default_rng(1).uniform(0, 2, objective.x0.size)
    sequence = objective.sequence(x)
    flips = how.matrix(24).toarray() @ x[:-1]
    varied = how.matrix(24).toarray().any(axis=1)
    np.testing.assert_allclose(sequence.parameters["flip"][varied], flips[varied], rtol=1e-13)
    np.testing.assert_array_equal(sequence.parameters["flip"][~varied], FINGERPRINT.parameters["flip"][~varied])
    assert sequence.parameters["TI"] == pytest.approx(x[-1])
    moved = CRLBObjective(
        sequence, T1, T2, B1=0.95, M0=1.3, noise=0.1, unknowns=UNKNOWNS, weights=WEIGHTS, variables=("flip",)
    )
    value, gradient = moved(moved.x0)
    assert objective(x)[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(objective(x)[1][:-1], how.matrix(24).T @ gradient, rtol=1e-9, atol=1e-12 * value)
    assert plain.x0.size == 24


def test_a_curve_starts_closest_to_what_was_there():
    assert fingerprint(variables={"flip": BSpline(24)}).sequence is not None
    spline = fingerprint(variables={"flip": PiecewiseLinear(2)})
    np.testing.assert_allclose(spline.x0, [15.0, 60.0], rtol=1e-12)  # a line is a line


@pytest.mark.parametrize(
    ("variables", "error", "message"),
    [
        (lambda: "flip", TypeError, "variables='flip' is not allowed"),
        (lambda: {"flip": 5}, TypeError, "flip=5 is not allowed"),
        (lambda: {"flip": Free(entries=[0, 0])}, ValueError, "different whole numbers"),
        (lambda: {"flip": Free(entries=[24])}, ValueError, r"they must lie in \[0, 24\)"),
        (lambda: {"flip": Shared(groups=[0, 2])}, ValueError, "numbers out of 0, 1"),
        (lambda: {"flip": Shared(groups=[0, 1])}, ValueError, "24 are needed"),
        (lambda: {"flip": BSpline(3)}, ValueError, "coefficients=3 .* more than degree=3"),
        (lambda: {"flip": BSpline(99)}, ValueError, "at most the 24 entries"),
        (lambda: {"flip": Free(scale=0.0)}, ValueError, "scale=0"),
        (lambda: {"flip": Shared(scale=-1.0)}, ValueError, "scale=-1"),
        (lambda: {"flip": BSpline(5, scale="a")}, TypeError, "scale='a'"),
        (lambda: {"flips": Free()}, ValueError, "'flips' is not a parameter"),
        (dict, ValueError, "is empty"),
    ],
)
def test_bad_variables(variables, error, message):
    with pytest.raises(error, match=message):
        fingerprint(variables=variables())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "B"}, "criterion='B' is not allowed: it must be 'A' or 'D' or 'E'"),
        ({"over": "median"}, "over='median'"),
        ({"data": "phase"}, "data='phase'"),
        ({"over": "worst", "sharpness": 0.5}, "sharpness=0.5.*at least 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        fingerprint(**options)
