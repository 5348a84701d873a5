"""Figures: what they show comes from the numbers; the phase graph's own EPG agrees with the kernels."""

import numpy as np
import pytest
from families import FAMILIES
from matplotlib.figure import Figure

import epgnumba
from epgnumba.design import optimize
from epgnumba.plot import find_pathways, plot_bounds, plot_convergence, plot_phase_graph, plot_protocol
from epgnumba.sequence.timeline import timeline

TRANSIENT = [name for name, family in FAMILIES.items() if not family.steady]


@pytest.mark.parametrize("name", TRANSIENT)
def test_echoes_of_the_phase_graph_are_the_signal(name):
    paths = find_pathways(FAMILIES[name], 310.0, 45.0, B1=0.9)
    np.testing.assert_allclose(
        paths.echoes[:, 1], abs(epgnumba.simulate(FAMILIES[name], 310.0, 45.0, B1=0.9)), atol=1e-13
    )
    np.testing.assert_allclose(paths.echoes[:, 0], timeline(FAMILIES[name]).readouts)


def test_pathways_of_a_spin_echo():
    paths = find_pathways(epgnumba.FSE([90.0], ESP=10), 1e9, 1e9)
    # dephased by the excitation; split by the refocusing pulse into F_1, F_-1 and Z_1
    np.testing.assert_allclose(paths.transverse, [[0, 5, 0, 1], [5, 10, -1, 0], [5, 10, 1, 2]])
    np.testing.assert_allclose(paths.transverse_size, [1, 0.5, 0.5])
    np.testing.assert_allclose(paths.longitudinal, [[5, 10, 1, 1]])
    np.testing.assert_allclose(paths.longitudinal_size, [0.5])


def test_plots_take_and_return_axes():
    train = epgnumba.FSE(np.full(60, 90.0), ESP=8, phases=20.0)
    given = Figure().subplots(6)
    assert (plot_protocol(train, 1000, 80, axes=given[:3]) == given[:3]).all()
    assert plot_phase_graph(train, 1000, 80, ax=given[3]) is given[3]
    assert plot_bounds({"a": train}, "T2", [50.0, 90.0], ("M0", "T2"), ax=given[4], T1=1000) is given[4]
    objective = epgnumba.CRLBObjective(epgnumba.FSE([60.0] * 6, ESP=8), 1000, 80)
    assert plot_convergence(optimize(objective, progress=False), ax=given[5]) is given[5]
    for axes in given:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    given[0].figure.draw_without_rendering()
    with pytest.raises(ValueError, match="axes has 2 entries; 3 are needed"):
        plot_protocol(train, 1000, 80, axes=given[:2])


def test_what_plots_show():
    train = epgnumba.FSE([70.0, 90.0, 120.0], ESP=8)
    axes = plot_protocol(train, 1000.0, 80.0, ("T2",))
    signal, slope = epgnumba.jacobian(train, 1000.0, 80.0, diff="T2")
    drawn = {line.get_label(): line.get_ydata() for line in axes[2].lines}
    np.testing.assert_allclose(drawn["|S|"], abs(signal))
    np.testing.assert_allclose(drawn["|dS/dT2| T2"], abs(slope) * 80)
    ax = plot_bounds({"train": train}, "T2", [60.0, 80.0], ("M0", "T2"), noise=0.02, T1=1000.0, show=("T2",))
    _, slopes = epgnumba.jacobian(train, 1000.0, [60.0, 80.0], diff=("M0", "T2"))
    expected = 100 * np.sqrt(epgnumba.crlb(slopes, noise=0.02)[:, 1]) / [60, 80]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected)
    one = plot_bounds({str(n): train for n in range(8)}, "T2", [60.0, 80.0], "T2", noise=0.02, T1=1000.0)
    _, slope = epgnumba.jacobian(train, 1000.0, [60.0, 80.0], diff=("T2",))
    assert len(one.lines) == 8
    np.testing.assert_allclose(
        one.lines[7].get_ydata(), 100 * np.sqrt(epgnumba.crlb(slope, noise=0.02)[:, 0]) / [60, 80]
    )
    field = plot_bounds({"a": train}, "B0", [-5.0, 5.0], ("M0", "B1"), T1=1000.0, T2=60.0, show="M0")
    assert (field.lines[0].get_ydata() > 0).all()
    with pytest.raises(ValueError, match="show='T1' is not allowed"):
        plot_bounds({"a": train}, "T2", [60.0, 80.0], "T2", T1=1000.0, show="T1")
