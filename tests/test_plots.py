"""Figures: what they show comes from the numbers; the phase graph's own EPG agrees with the kernels."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from families import FAMILIES
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import epgnumba
from epgnumba import demo
from epgnumba import sequence as seq
from epgnumba.design import Design, optimize
from epgnumba.plot import (
    find_pathways,
    plot_bounds,
    plot_convergence,
    plot_phase_graph,
    plot_protocol,
    plot_report,
    save_report,
)
from epgnumba.plot.state_map import MOST_CELLS
from epgnumba.plot.style import tint
from epgnumba.sequence import EventSequence, Inversion, Pulse, Readout, Wait
from epgnumba.sequence.timeline import timeline

TRANSIENT = [name for name, family in FAMILIES.items() if not family.steady]
TRAIN = epgnumba.FSE([70.0, 90.0, 120.0], ESP=8)
DESIGN = Design(
    fun=10.0, value_before=999.0, seconds=77.0, history=np.array([40.0, 20.0, 10.0]), starts=np.array([10.0])
)
TWICE = {"60 degrees": epgnumba.FSE([60.0] * 16, ESP=8), "180 degrees": epgnumba.FSE([180.0] * 16, ESP=8)}


@pytest.fixture(autouse=True)
def _close():
    """Each test finds no figure, and leaves none."""
    assert not plt.get_fignums()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def report():
    return demo.measure(n_echoes=6, flip=75.0, ESP=7.0, T1=800.0, T2=60.0)


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


# Where plots are drawn


PLOTS = {
    "protocol": (lambda where: plot_protocol(TRAIN, 1000, 80, axes=where), 3),
    "phase graph": (lambda where: plot_phase_graph(TRAIN, 1000, 80, ax=where), 1),
    "bounds": (lambda where: plot_bounds({"a": TRAIN}, "T2", [50.0, 90.0], ("M0", "T2"), ax=where, T1=1000), 1),
    "convergence": (lambda where: plot_convergence(DESIGN, ax=where), 1),
}


def check_drawn(drawn, count):
    """Axes with labels, and no figure beside them, which a notebook would show once more."""
    assert isinstance(drawn, Axes if count == 1 else np.ndarray)
    axes = np.ravel(drawn)
    assert axes.size == count
    for ax in axes:
        assert isinstance(ax, Axes)
        assert ax.get_ylabel()
    axes[0].figure.draw_without_rendering()
    return axes


@pytest.mark.parametrize("name", PLOTS)
def test_a_figure_is_made_where_pyplot_shows_it(name):
    call, count = PLOTS[name]
    axes = check_drawn(call(None), count)
    assert [plt.figure(number) for number in plt.get_fignums()] == [axes[0].figure]


@pytest.mark.parametrize("name", PLOTS)
def test_axes_given_are_drawn_on(name):
    call, count = PLOTS[name]
    given = Figure().subplots(count)
    drawn = call(given)
    assert drawn is given if count == 1 else (drawn == given).all()
    check_drawn(drawn, count)
    assert not plt.get_fignums()


def test_a_report_is_shown_or_saved(report, tmp_path):
    save_report(report, tmp_path / "figure.png")
    given = Figure(layout="constrained").subplots(6)
    assert (plot_report(report, given) == given).all()
    assert not plt.get_fignums()
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    axes = check_drawn(plot_report(report), 6)
    assert len(plt.get_fignums()) == 1
    told = axes[0].figure.get_suptitle()
    for part in ("6 echoes of 75 degrees", "ESP 7 ms", "T1 800 ms", "T2 60 ms", "unknown: T2", "noise 1"):
        assert part in told


def test_figures_follow_the_users_defaults():
    with plt.rc_context({"figure.figsize": (4.0, 3.0), "text.color": "red", "font.size": 20.0}):
        ax = plot_bounds({"a": TRAIN}, "T2", [50.0, 90.0], "T2", T1=1000)
        signal = plot_protocol(TRAIN, 1000, 80)[2].lines[0]
    np.testing.assert_allclose(ax.figure.get_size_inches(), (4, 3))
    assert ax._left_title.get_size() == 20
    assert signal.get_color() == "red"


@pytest.mark.parametrize(
    "bad",
    [
        lambda: plot_phase_graph(TRAIN, -1, 80),
        lambda: plot_phase_graph(TRAIN, 1000, 80, smallest=0),
        lambda: plot_phase_graph(TRAIN, 1000, 80, B1={"excitation": 1.0, "refocusing": 1j}),
        lambda: plot_protocol(TRAIN, 1000, 80, B7=5),
        lambda: plot_protocol(EventSequence(lambda p: [Pulse(p.flip), Wait(5)], flip=9.0), 1000, 80),
        lambda: plot_bounds({"a": TRAIN}, "T2", [50, 60], "T2", T1=[1, 2, 3]),
        lambda: plot_convergence(Design()),
    ],
)
def test_what_is_refused_opens_no_figure(bad):
    with pytest.raises((TypeError, ValueError)):
        bad()
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_overlaps_or_is_cut_off(name):
    drawn = [*plot_protocol(FAMILIES[name], 900.0, 70.0), plot_phase_graph(FAMILIES[name], 900.0, 70.0)]
    for ax in drawn:
        figure = ax.figure
        figure.draw_without_rendering()
        whole, inner = ax.get_tightbbox(), ax.get_window_extent()
        assert (whole.min >= -1).all()
        assert (whole.max <= figure.bbox.max + 1).all()
        if ax.get_legend():
            assert ax.get_legend().get_window_extent().x0 >= inner.x1 - 1
        assert inner.width > figure.bbox.width / 3
        xs = [x for line in ax.lines for x in np.asarray(line.get_xdata()) if line.get_label()[0] != "_"]
        low, high = ax.get_xlim()
        assert low <= min(xs, default=low)
        assert max(xs, default=high) <= high


# What plots show


def curves(ax):
    return {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines}


def test_signal_and_sensitivities():
    axes = plot_protocol(TRAIN, 1000.0, 80.0, ("T2", "B0", "M0"), M0=-2.0)
    signal, slopes = epgnumba.jacobian(TRAIN, 1000.0, 80.0, M0=-2.0, diff=("T2", "B0", "M0"))
    drawn = curves(axes[2])
    np.testing.assert_allclose(drawn["|S|"], abs(signal))
    np.testing.assert_allclose(drawn["|T2 dS/dT2|"], abs(slopes[0]) * 80)
    np.testing.assert_allclose(drawn["|dS/dB0| (1/Hz)"], abs(slopes[1]))
    np.testing.assert_allclose(drawn["|M0 dS/dM0|"], abs(slopes[2]) * 2)
    for part in ("T1 = 1000 ms", "T2 = 80 ms", "M0 = -2"):
        assert part in axes[2].get_title("left")


def test_endless_t1():
    drawn = curves(plot_protocol(TRAIN, np.inf, 80.0)[2])
    near = curves(plot_protocol(TRAIN, 1e9, 80.0)[2])
    for label, values in near.items():
        np.testing.assert_allclose(drawn[label], values, atol=1e-6)


def test_dead_time_does_not_dwarf_intervals():
    axes = plot_protocol(epgnumba.FSE([60.0] * 4, ESP=10, TR=1000), 1000, 80)
    np.testing.assert_allclose(curves(axes[1])["_child0"], [5, 10, 10, 10])
    assert "965 ms to the next repetition" in axes[1].get_title("left")
    assert axes[0].get_xlim()[1] < 50


def test_times_of_one_pulse():
    axes = plot_protocol(seq.SPGR(20.0, [2.0, 5.0, 9.0], 60.0), 1000, 80)
    for ax in (axes[0], axes[2]):
        low, high = ax.get_xlim()
        assert -1 < low < 0
        assert 9 < high < 10
    np.testing.assert_allclose(curves(axes[1])["_child0"], [60])
    assert plot_phase_graph(seq.SPGR(20.0, [2.0, 5.0, 9.0], 60.0), 1000, 80).get_xlim() == axes[2].get_xlim()
    at_once = EventSequence(lambda p: [Pulse(p.flip), Readout()], flip=30.0)
    assert plot_protocol(at_once, 1000, 80)[2].get_xlim() == plot_phase_graph(at_once, 1000, 80).get_xlim()


def test_an_inversion_is_marked_and_half_a_turn_is_180():
    def pulses(p):
        yield [Inversion(), Wait(p.TI), Pulse(30, 180), Readout(), Wait(5), Pulse(30, -180), Wait(5), Pulse(30, 270)]

    drawn = curves(plot_protocol(EventSequence(pulses, TI=9.0), 1000, 80)[0])
    np.testing.assert_allclose(drawn["phase"], [180, 180, -90])
    np.testing.assert_allclose(drawn["inversion"], [180])


def test_intervals_over_decades():
    train = seq.MP2RAGE([800, 2200], flip=[4, 5], TRspgr=6, TRmp2rage=5000, nshots=(60, 60))
    intervals = plot_protocol(train, 1000, 80)[1]
    assert intervals.get_yscale() == "log"
    assert curves(intervals)["_child0"].max() == pytest.approx(2200 - 800 - 119 * 6)


def test_a_phase_graph_of_whole_orders():
    ax = plot_phase_graph(seq.BSSFP([40.0] * 4, 2.5, 5.0), 1000, 80)
    assert ax.get_ylim() == (-1.5, 1.5)
    assert (ax.get_yticks() == np.rint(ax.get_yticks())).all()
    assert "first repetition" in ax.get_title("left")


def test_a_map_of_many_pathways():
    """Against pathways one by one: a cell is at least what any piece through it is, and one of these."""
    train = epgnumba.FSE([60.0, 100.0, 70.0, 50.0] * 12, ESP=5)
    ax = plot_phase_graph(train, 1000, 100)
    (mesh,) = ax.collections
    cells = np.ma.filled(mesh.get_array(), 0)
    corners = mesh.get_coordinates()
    times, orders = corners[0, :, 0], corners[:, 0, 1]
    paths = find_pathways(train, 1000, 100)
    assert orders[0] == paths.transverse[:, 2:].min() - 0.5
    expected = np.zeros_like(cells)
    for (start, end, first, last), size in zip(paths.transverse, paths.transverse_size, strict=True):
        rows = (orders[1:] > min(first, last)) & (orders[:-1] < max(first, last))
        columns = (times[1:] > start) & (times[:-1] < end)
        expected[np.ix_(rows, columns)] = np.maximum(expected[np.ix_(rows, columns)], size)
    np.testing.assert_array_equal(cells, expected)
    signal = abs(epgnumba.simulate(train, 1000, 100))
    after = cells[int(-orders[0])][
        np.searchsorted(times, paths.echoes[:-1, 0])
    ]  # from each echo on, it leads from there
    np.testing.assert_allclose(after, signal[:-1], rtol=1e-12)
    bar = ax.figure.axes[1]
    assert (bar.get_ylabel(), bar.get_yscale()) == ("$|F_k|$ ($M_0$ = 1)", "log")
    assert mesh.norm.vmin == 1e-3
    assert not ax.get_legend()


@pytest.mark.parametrize("states", [None, "F", "Z"])
@pytest.mark.parametrize("kind", [None, "lines", "map"])
def test_kinds_of_phase_graphs(kind, states):
    ax = plot_phase_graph(TRAIN, 1000, 80, ax=Figure().subplots(), kind=kind, states=states)
    labels = [line.get_label() for line in ax.lines if line.get_label()[0] != "_"]
    if kind == "map":
        assert ax.figure.axes[1].get_ylabel()[2] == (states or "F")
        assert not labels
    else:
        assert labels == ([states] if states else ["Z", "F"])
    ax.figure.draw_without_rendering()


def test_a_map_of_a_very_long_train_has_cells_that_can_be_seen():
    train = seq.MRF(np.full(1500, 40.0), 4.0, inversion=None)
    ax = plot_phase_graph(train, 5000, 2000)
    assert max(ax.collections[0].get_array().shape) <= MOST_CELLS
    assert ax.get_ylim()[1] > 300


def test_a_map_without_states():
    plot_phase_graph(EventSequence(lambda p: [Readout(), Wait(p.TE)], TE=5.0), 1000, 80, kind="map")


def test_colours_for_all_readers():
    """Where the user has not chosen: apart in lightness too, and on the ground that they are drawn on."""

    def lightness(color):
        linear = [c / 12.92 if c < 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    for name, ground in (("default", 1.0), ("dark_background", 0.0)):
        with plt.style.context(name):
            colors = [tint(n) for n in range(7)]
            line = plot_protocol(TRAIN, 1000, 80)[2].lines[1]
        assert len(set(colors)) == 7
        assert line.get_color() == colors[0]  # whatever is the style later, when it is saved
        for color in colors[:3]:
            low, high = sorted((lightness(color), ground))
            assert (high + 0.05) / (low + 0.05) >= 3.0  # WCAG 2, of graphics
    with plt.rc_context({"axes.prop_cycle": plt.cycler(color=["#123456", "r"])}):
        assert [tint(n) for n in range(3)] == ["#123456", "#ff0000", "#123456"]


@pytest.mark.parametrize("bad", ["paths", "", None, 1, "f", ["F"]])
def test_kinds_of_phase_graphs_that_are_none(bad):
    for name in ("kind", "states"):
        if bad is not None:
            with pytest.raises(ValueError, match=name):
                plot_phase_graph(TRAIN, 1000, 80, **{name: bad})


def deviations(train, unknowns, **tissue):
    """Of the unknowns, from a Fisher matrix inverted here."""
    slopes = epgnumba.jacobian(train, **tissue, diff=unknowns)[1]
    fisher = (slopes @ slopes.conj().swapaxes(-1, -2)).real
    return np.sqrt(np.diagonal(np.linalg.inv(fisher), axis1=-2, axis2=-1))


def test_bounds():
    T2 = np.array([60.0, 80.0])
    ax = plot_bounds({"train": TRAIN}, "T2", T2, ("M0", "T2"), noise=0.02, T1=1000.0, show=("T2",))
    expected = 100 * 0.02 * deviations(TRAIN, ("M0", "T2"), T1=1000.0, T2=T2)[:, 1] / T2
    np.testing.assert_allclose(curves(ax)["T2, train"], expected)
    assert ax.get_ylabel() == "Standard deviation (%)"
    one = plot_bounds({str(n): TRAIN for n in range(12)}, "T2", T2[::-1], "T2", noise=0.02, T1=1000.0)
    assert len(one.lines) == 12
    np.testing.assert_allclose(curves(one)["T2, 11"], 2 * deviations(TRAIN, ("T2",), T1=1000.0, T2=T2)[:, 0] / T2)
    with pytest.raises(ValueError, match="show='T1' is not allowed"):
        plot_bounds({"a": TRAIN}, "T2", [60.0, 80.0], "T2", T1=1000.0, show="T1")


def test_bounds_of_off_resonance_are_in_hz():
    train = seq.BSSFP([40.0] * 4, 2.5, 6.0)
    B0 = np.array([-5.0, 5.0])
    field = plot_bounds({"a": train}, "B0", B0, ("M0", "B0"), noise=0.1, T1=1000.0, T2=60.0, show="B0")
    expected = 0.1 * deviations(train, ("M0", "B0"), T1=1000.0, T2=60.0, B0=B0)[:, 1]
    np.testing.assert_allclose(curves(field)["B0, a"], expected)
    assert field.get_ylabel() == "Standard deviation (Hz)"
    assert field.get_xlabel() == "B0 (Hz)"
    both = plot_bounds({"a": train}, "B0", B0, ("M0", "B0"), T1=1000.0, T2=60.0)
    assert both.get_ylabel() == "Standard deviation (%; B0: Hz)"


def arrows(ax):
    return [line for line in ax.lines if line.get_marker() == "^" and len(line.get_xdata())]


def test_infinite_bounds_are_marked():
    B1 = np.array([0.0, 0.5, 1.0])
    ax = plot_bounds(TWICE, "B1", B1, ("M0", "T2"), T1=1000, T2=80)
    assert [list(line.get_xdata()) for line in arrows(ax)] == [[0.0]] * 4
    assert len({line.get_ydata()[0] for line in arrows(ax)}) == 4  # each to be seen
    for label, train in TWICE.items():
        expected = deviations(train, ("M0", "T2"), T1=1000.0, T2=80.0, B1=B1[1:])
        np.testing.assert_allclose(curves(ax)[f"T2, {label}"], [np.nan, *(expected[:, 1] / 80)])
        np.testing.assert_allclose(curves(ax)[f"M0, {label}"], [np.nan, *expected[:, 0]])
    assert "infinite" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_bounds_that_are_infinite_everywhere():
    ax = plot_bounds({"a": TRAIN}, "T2", [40.0, 80.0], ("T2", "inv_efficiency"), T1=1000)
    assert len(arrows(ax)) == 2
    assert not len(ax.get_yticks())
    low, high = ax.get_xlim()
    assert low < 40
    assert high > 80


def test_bounds_relative_to_zero_and_to_less():
    saturated = plot_bounds(
        {"a": seq.MPnRAGE(5, 9.0, 300.0)}, "inv_efficiency", [0.0, 0.5], ("M0", "inv_efficiency"), T1=900, T2=80
    )
    assert np.isnan(curves(saturated)["inv_efficiency, a"]).tolist() == [True, False]
    assert np.isfinite(curves(saturated)["M0, a"]).all()
    ax = plot_bounds({"a": TRAIN}, "M0", [-1.0, 0.0, 1.0], ("M0", "T2"), T1=1000, T2=80)
    values = curves(ax)["M0, a"]
    assert np.isnan(values[1])
    assert values[0] == pytest.approx(values[2])
    assert values[0] > 0
    # no line leads to the two that are left
    assert sorted(line.get_marker() for line in ax.lines if len(line.get_xdata()) == 2) == [".", "."]


@pytest.mark.parametrize(("values", "scale"), [([40.0, 160.0], "linear"), ([10.0, 100.0, 1000.0], "log")])
def test_bounds_over_decades(values, scale):
    ax = plot_bounds(TWICE, "T2", values, ("M0", "T2"), T1=4000)
    assert ax.get_xscale() == scale
    flat = plot_bounds(TWICE, "T2", [80.0, 160.0], ("M0", "T2"), T1=4000)
    assert flat.get_yscale() == "linear"
    assert flat.get_ylim()[0] == 0
    steep = plot_bounds(TWICE, "B1", [0.05, 0.5, 1.0], ("M0", "T2"), T1=1000, T2=80)
    assert steep.get_yscale() == "log"


def test_every_unknown_has_a_line_of_its_own():
    train = seq.MRF(np.linspace(5, 60, 50), 12.0, TI=20.0, TE=2.0)
    unknowns = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")
    ax = plot_bounds({"a": train, "b": train}, "T2", [50.0, 90.0], unknowns, T1=1000)
    looks = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in ax.lines}
    assert len(ax.lines) == len(looks) == 12


def test_convergence_is_titled_by_its_own_curve():
    ax = plot_convergence(DESIGN)
    assert ax.get_title("left") == "40 to 10"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [40, 20, 10])
    assert ax.get_yscale() == "linear"
    many = plot_convergence(Design({**DESIGN, "starts": np.array([30.0, 10.0, np.nan]), "history": [400.0, 10.0]}))
    assert many.get_title("left") == "400 to 10, the best of 3 starts"
    np.testing.assert_allclose(curves(many)["ends of 2 starts"], [30, 10])
    assert many.get_yscale() == "log"


def test_convergence_of_a_design(capsys):
    objective = epgnumba.CRLBObjective(epgnumba.FSE([60.0] * 6, ESP=8), 1000, 80)
    found = optimize(objective, starts=2, progress=True)
    told = capsys.readouterr().err
    assert "0 iterations" in told
    assert not re.search(r"\diterations", told)
    ax = plot_convergence(found)
    first, last = map(float, re.findall(r"[\d.e+]+", ax.get_title("left"))[:2])
    assert first == pytest.approx(ax.lines[0].get_ydata()[0], rel=1e-5)
    assert last == pytest.approx(found.fun, rel=1e-5)
    np.testing.assert_allclose(curves(ax)["ends of 2 starts"], found.starts)
    optimize(objective, starts=1)
    assert not capsys.readouterr().err


def test_what_a_report_shows(report):
    axes = plot_report(report)
    np.testing.assert_allclose(curves(axes[0])["_child0"], [75.0] * 6)
    train = epgnumba.FSE([75.0] * 6, ESP=7)
    (slope,) = epgnumba.jacobian(train, 800, 60, diff=("T2",))[1]
    np.testing.assert_allclose(curves(axes[1])["exact"], abs(slope))
    np.testing.assert_allclose(curves(axes[1])["finite"], abs(slope), rtol=0.1)
    np.testing.assert_allclose(curves(axes[4])["optimised"], report.best.parameters["flip"])
    before = deviations(train, ("T2",), T1=800.0, T2=60.0)[0]
    after = deviations(report.best, ("T2",), T1=800.0, T2=60.0)[0]
    assert f"CRLB {before**2:.0f} to {after**2:.0f} ms" in axes[4].get_title("left")
    assert f"down {1 - after / before:.0%}" in axes[5].get_title("left")
    heights = [patch.get_height() for patch in axes[3].patches]
    np.testing.assert_allclose(heights, np.array(list(report.times.values())).T.ravel())


def test_a_report_of_negative_angles():
    found = demo.measure(n_echoes=2, flip=-60.0)
    assert found.best_bound <= found.bound
    axes = plot_report(found)
    for ax in (axes[0], axes[4]):
        assert ax.get_ylim()[0] < -60
