"""Verifications: bounds that are reached, and that are not; what is told of either."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

import epgnumba
from epgnumba.design import CRLBObjective, verify
from epgnumba.plot import plot_verification
from epgnumba.sequence import MRF

TRAIN = epgnumba.FSE([150.0] * 24, ESP=9)
SIDE = {"B1": (0.5, 1.2)}  # of two that leave the same data
PRINT = MRF(np.concatenate([np.linspace(5, 60, 60), np.linspace(60, 2, 60)]), TR=12, TI=20)


@pytest.mark.parametrize("data", ["complex", "magnitude"])
@pytest.mark.parametrize(
    ("sequence", "unknowns", "noise"), [(TRAIN, ("M0", "T2"), 0.003), (PRINT, ("T1", "T2"), 0.0005)]
)
def test_the_bound_is_reached_at_high_snr(sequence, unknowns, noise, data):
    found = verify(sequence, 900.0, 70.0, unknowns=unknowns, noise=noise, data=data, nstates=20)
    assert (found.failed, found.at_bound) == (0, 0)
    assert found.unbiased.all()
    assert found.efficient.all()
    assert found.ratio == pytest.approx(1, abs=0.05)
    objective = CRLBObjective(sequence, 900.0, 70.0, unknowns=unknowns, noise=noise, data=data, nstates=20)
    assert np.diagonal(found.bound) == pytest.approx(objective.bounds(objective.x0), rel=1e-9)


def test_at_low_snr_it_is_not_and_that_is_told():
    """An estimate of T2 is skewed once its deviation is a good part of it: longer on average, and more spread."""
    found = verify(PRINT, 900.0, 70.0, unknowns=("T1", "T2"), noise=0.05, draws=4000)
    assert not found.efficient[1]
    assert found.ratio[1] > 1.1
    assert not found.unbiased[1]
    assert found.bias[1] > 0
    assert "variance over bound" in str(found)


def test_moments_are_those_of_the_estimates():
    found = verify(TRAIN, 900.0, [60.0, 90.0], B1=0.9, noise=0.02, draws=3000, confidence=0.95)
    assert found.estimates.shape == (2, 3000, 2)
    assert found.truth.tolist() == [[1, 60], [1, 90]]
    for place in (0, 1):
        x = found.estimates[place]
        assert found.bias[place] == pytest.approx(x.mean(axis=0) - found.truth[place])
        assert found.covariance[place] == pytest.approx(np.cov(x.T))
        assert found.ratio[place] == pytest.approx(x.var(axis=0, ddof=1) / np.diagonal(found.bound[place]))
        half = stats.norm.isf(0.025) * x.std(axis=0, ddof=1) / np.sqrt(3000)
        assert np.diff(found.bias_interval[place])[:, 0] == pytest.approx(2 * half)
        low, high = stats.chi2.ppf([0.025, 0.975], 2999) / 2999  # of normal estimates, which these nearly are
        assert found.ratio_interval[place][:, 0] == pytest.approx(found.ratio[place] / high, rel=0.01)
        assert found.ratio_interval[place][:, 1] == pytest.approx(found.ratio[place] / low, rel=0.01)


def test_intervals_hold_as_often_as_they_say():
    """Of 60 seeds, at 80 % each, by far more than half and not all."""
    runs = [verify(TRAIN, 900.0, 70.0, noise=0.004, draws=200, seed=seed, confidence=0.8) for seed in range(60)]
    for held in (np.mean([run.unbiased for run in runs]), np.mean([run.efficient for run in runs])):
        assert 0.68 < held < 0.92


def test_seeds_make_the_draws():
    one, same, other = (verify(TRAIN, 900.0, 70.0, noise=0.01, draws=200, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.estimates, same.estimates)
    assert not np.array_equal(one.estimates, other.estimates)
    several = verify(TRAIN, 900.0, [70.0, 80.0], noise=0.01, draws=200, seed=3)
    assert np.array_equal(several.estimates[0], one.estimates)


def test_what_fails_is_counted():
    found = verify(TRAIN, 900.0, 70.0, noise=2.0, draws=500)
    assert found.failed > 100
    assert np.isnan(found.estimates).any(axis=-1).sum() == found.failed
    assert f"{found.failed} failed" in str(found)
    close = verify(TRAIN, 900.0, 70.0, noise=0.05, draws=500, bounds={"T2": (69, 71)})
    assert close.at_bound > 300


def test_what_cannot_be_told_is_refused():
    with pytest.raises(ValueError, match=r"unknowns=.* cannot tell them apart"):
        verify(epgnumba.FSE([180.0] * 8, 9), 900.0, 70.0, unknowns=("M0", "T1"), noise=0.1)


def test_progress_is_shown(capsys):
    verify(TRAIN, 900.0, [60.0, 70.0], noise=0.01, draws=100, progress=True)
    assert "2/2" in capsys.readouterr().err


@pytest.fixture
def _close():
    yield
    plt.close("all")


@pytest.mark.usefixtures("_close")
def test_a_plot_shows_the_bound():
    found = verify(
        TRAIN, 900.0, [60.0, 90.0], B1=0.9, unknowns=("M0", "T2", "B1"), noise=0.004, draws=3000, bounds=SIDE
    )
    ax = plot_verification(found, ("T2", "B1"), tissue=1)
    lines = {line.get_label(): np.array(line.get_data()) for line in ax.lines}
    assert ax.get_xlabel() == "T2 (ms)"
    assert ax.get_ylabel() == "B1"
    assert lines["truth"][:, 0].tolist() == [90.0, 0.9]
    bound = found.bound[1][1:, 1:]
    outline = lines["bound, 95 %"] - lines["truth"]
    size = (outline * np.linalg.solve(bound, outline)).sum(axis=0)  # the same all around
    assert size == pytest.approx(stats.chi2.ppf(0.95, 2), rel=1e-9)
    distance = found.estimates[1][:, 1:] - found.truth[1][1:]
    inside = (distance.T * np.linalg.solve(bound, distance.T)).sum(axis=0) < stats.chi2.ppf(0.95, 2)
    assert inside.mean() == pytest.approx(0.95, abs=0.03)
    assert plot_verification(found, ax=Figure().add_subplot()).get_xlabel() == "T2 (ms)"


@pytest.mark.usefixtures("_close")
@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"unknowns": ("M0", "M0")}, ValueError, "unknowns"),
        ({"unknowns": "M0"}, ValueError, "unknowns"),
        ({"unknowns": ("M0", "T1")}, ValueError, "unknowns"),
        ({"tissue": 2}, ValueError, "tissue"),
        ({"tissue": (0, 0)}, ValueError, "tissue"),
        ({"tissue": "first"}, ValueError, "tissue"),
        ({"ax": Figure()}, TypeError, "ax"),
    ],
)
def test_bad_plots(options, error, name):
    found = verify(TRAIN, 900.0, [60.0, 90.0], noise=0.01, draws=100)
    with pytest.raises(error, match=name):
        plot_verification(found, **options)
    assert not plt.get_fignums()
