"""The gallery's scripts run, without a warning, and what they find is true: beside closed forms and plain EPGs."""

import runpy
import warnings
from contextlib import nullcontext
from pathlib import Path

import naive
import numpy as np
import pytest
from scipy.linalg import expm

import epgnumba

plt = pytest.importorskip("matplotlib.pyplot")
FOLDER = Path(__file__).parent.parent / "examples" / "gallery"
SCRIPTS = {path.stem.split("_", 2)[1]: path for path in FOLDER.glob("plot_*.py")}


def played(number):
    """A script's names. It is played in a namespace of its own, and its figures are drawn, as when they are saved."""
    path = SCRIPTS[number]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), plt.rc_context(), one_thread():
        warnings.simplefilter("error")
        plt.switch_backend("Agg")
        patch.chdir(path.parent)
        found = runpy.run_path(str(path))
        figures = [plt.figure(number) for number in plt.get_fignums()]
        for figure in figures:
            figure.canvas.draw()
        plt.close("all")
    assert figures
    return found


def one_thread():
    """Of linear algebra, whose threads wait for each other on a busy machine."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, "blas")


@pytest.mark.parametrize("path", SCRIPTS.values(), ids=lambda path: path.stem)
def test_a_script_is_one_of_the_gallery(path):
    """It begins with a title, which the page and its picture are named by, is of a screen or two, and is tested."""
    title, line = path.read_text().removeprefix('"""').strip().split("\n")[:2]
    assert set(line) == {"="}
    assert len(line) >= len(title)
    assert 40 <= len(path.read_text().split("\n")) <= 150
    assert f'played("{path.stem.split("_")[1]}")' in Path(__file__).read_text()


def test_first_use(reference):
    """Values and gradient as an independent EPG has them in double precision."""
    found = played("01")
    np.testing.assert_allclose(found["bound"], 7197.580283, rtol=1e-9)
    first = [-149.754873, -7.101488, 40.504699, 14.749677, -11.218778]
    np.testing.assert_allclose(found["gradient"][:5], first, atol=1e-6)
    case = reference["fse_60x96"]
    np.testing.assert_allclose(found["signal"], case["signal"], atol=1e-10)
    assert min(found["errors"]) < 1e-4 < 1e-2 < found["errors"][-1]
    assert found["best"].fun < 0.3


def pathways(flip, echoes):
    """Amplitudes of the last echo of a train by how many intervals a pathway was stored, each of them followed."""
    c, s, sine = np.cos(np.deg2rad(flip) / 2) ** 2, np.sin(np.deg2rad(flip) / 2) ** 2, np.sin(np.deg2rad(flip))
    states = {("F", 1, 0): 1.0 + 0j}  # of kind, order, intervals stored: after the excitation and its crusher
    for n in range(echoes):
        after = {}

        def add(key, value, after=after):
            after[key] = after.get(key, 0) + value

        for (kind, k, m), value in states.items():
            if kind == "F":
                add(("F", k, m), c * value)
                add(("F", -k, m), s * np.conj(value))
                sign = -0.5j if k > 0 else 0.5j  # what a pulse about x stores of F_k, and of conj(F_-k)
                add(("Z", abs(k), m), sign * sine * (value if k > 0 else np.conj(value)))
            else:
                add(("F", k, m), -1j * sine * value)
                add(("F", -k, m), -1j * sine * np.conj(value))
                add(("Z", k, m), np.cos(np.deg2rad(flip)) * value)
        last = n == echoes - 1
        states = {}
        for (kind, k, m), value in after.items():
            key = ("Z", k, m + 1) if kind == "Z" else ("F", k + (1 if last else 2), m)
            states[key] = states.get(key, 0) + value
    return np.array([states.get(("F", 0, m), 0) for m in range(echoes + 1)])


def test_phase_graph():
    found = played("02")
    for echo in range(1, 8):
        by_hand = pathways(found["FLIP"], echo)
        np.testing.assert_allclose(found["parts"][: echo + 1, echo - 1], by_hand, atol=1e-8)


def test_fingerprint():
    """Sensitivities are slopes of a plain EPG; more readouts never tell less, nor does a map of B1."""
    found = played("03")

    def signal(T1, T2, B1):
        epg = naive.EPG(620)
        epg.state[2, 0] = -1.0
        epg.wait(20.0, T1, T2)
        read = []
        for flip in found["flip"]:
            epg.pulse(B1 * flip)
            epg.wait(3.0, T1, T2)
            read.append(epg.signal)
            epg.wait(9.0, T1, T2)
            epg.shift()
        return np.array(read).imag

    tissue = found["tissue"]
    for name, values in found["sensitivity"].items():
        step = 1e-4 * tissue[name]
        ends = [signal(**{**tissue, name: tissue[name] + side * step}) for side in (1, -1)]
        np.testing.assert_allclose(values, (ends[0] - ends[1]) / 2e-4, atol=1e-6)
    for deviations in (found["known"], found["unknown"]):
        assert (np.diff(deviations, axis=0) <= 0).all()
    assert (found["known"] <= found["unknown"][:, :3]).all()


def test_bssfp():
    """Freeman and Hill's steady state, everywhere."""
    found = played("04")
    turn = 2 * np.pi * found["B0"] * found["TR"] / 1000
    T1, T2 = found["T1"], found["T2"]
    E1, E2, a = np.exp(-found["TR"] / T1), np.exp(-found["TR"] / T2), np.deg2rad(40.0)
    theta = turn + np.pi
    bottom = (1 - E1 * np.cos(a)) * (1 - E2 * np.cos(theta)) - E2 * (E1 - np.cos(a)) * (E2 - np.cos(theta))
    closed = (1 - E1) * np.sin(a) * abs(1 - E2 * np.exp(1j * theta)) / bottom * np.exp(-found["TE"] / T2)
    np.testing.assert_allclose(abs(found["tissues"]), closed, rtol=1e-11)
    assert found["ripple"] < 0.01


def test_own_sequence():
    """Ideally spoiled, so that Z_0 alone goes from shot to shot."""
    found = played("05")
    x, (T1, T2) = found["x0"], (found["T1"], found["T2"])
    flip, T2prep, TI, gaps = np.deg2rad(x[0]), x[1], x[2], x[3:]
    Z = np.ones(2)

    def wait(Z, t):
        return 1 + (Z - 1) * np.exp(-t / T1)

    for _ in range(12):
        read, Z = [], Z * np.exp(-T2prep / T2)
        for n, gap in enumerate(gaps):
            Z = wait(-Z, TI) if n == 1 else Z
            read.append(-Z * np.sin(flip))
            for _ in range(found["SHOTS"]):
                Z = wait(Z * np.cos(flip), 6.0)
            Z = wait(Z, gap)
    np.testing.assert_allclose(found["signal"].imag.T, read, atol=1e-9)
    before, after = found["deviations"]
    assert (after < 0.7 * before).all()
    assert found["found"].x[1:].sum() <= x[1:].sum() * (1 + 1e-9)


def test_dess():
    """Without diffusion, the closed form of the FISP steady state; with it, ever less, and no T2 is read too long."""
    found = played("06")
    a, E1, E2 = np.deg2rad(25.0), np.exp(-20 / found["T1"]), np.exp(-20 / found["grid"])
    c = np.cos(a)
    p, q = 1 - E1 * c - E2**2 * (E1 - c), E2 * (1 - E1) * (1 + c)
    r = np.sqrt((1 - E2**2) / (p**2 - q**2) * (1 - E2**2))
    ratio = (1 - (1 - E1 * c) * r) / (1 - (E1 - c) * r) * np.exp(2 * 5.0 / found["grid"])
    np.testing.assert_allclose(found["curve"], ratio, rtol=1e-5)
    for values in found["ratios"].values():
        assert (np.diff(values) < 0).all()
    assert (found["apparent"] < found["T2"]).all()
    slope = np.gradient(np.log(found["ratios"][100.0]), found["D"])
    at = np.interp(100.0, found["sweep"], found["relative"][:, 1] - found["relative"][:, 0])
    np.testing.assert_allclose(np.interp(1.3, found["D"], slope), at, rtol=1e-2)


def test_magnetisation_transfer():
    """Two pools whose matrices are exponentiated, over one repetition, until it repeats."""
    found = played("07")
    for name in ("white matter", "grey matter"):
        tissue = found["tissues"][name]
        f, k = tissue["bound_fraction"], tissue["exchange"] / 1000
        rates = np.array([[-1 / tissue["T1"] - k * f, k * (1 - f)], [k * f, -1 / 1000 - k * (1 - f)]])
        rest = np.array([1 - f, f])
        centre, there = epgnumba.pulses.super_lorentzian([0.0, 2.0], T2_bound=12.0)

        def saturation(flip, line, duration):
            return np.exp(-np.pi * line * 1e-3 * np.deg2rad(flip) ** 2 / duration)

        def read(power, f=f, rates=rates, rest=rest, centre=centre, there=there, saturation=saturation):
            pulse, Z = found["saturating"], rest.copy()
            turned = np.cos(np.deg2rad(pulse.flips(power, 2.0))) if power else 1.0
            for _ in range(600):
                Z = Z * [turned, saturation(power, there, pulse.effective_duration)]
                signal = Z[0] * np.sin(np.deg2rad(10.0))
                Z = Z * [np.cos(np.deg2rad(10.0)), saturation(10.0, centre, 0.5)]
                Z = rest + expm(30.0 * rates) @ (Z - rest)
            return signal

        ratios = 1 - np.array([read(300.0), read(1200.0)]) / read(0.0)
        np.testing.assert_allclose(found["by_power"][name][[10, 40]], ratios, atol=1e-6)
    assert found["ratios"]["CSF"] < 1e-3


def test_brain():
    """Another program's values, and a phantom's truth."""
    found = played("08")
    assert found["worst"] < 5e-5
    np.testing.assert_allclose(found["medians"], [106.8, 90.7], atol=0.1)
    assert abs(np.median(found["errors"]["Phase graph"])) < 0.5
    assert np.median(found["errors"]["Exponential"]) > 30


def test_design_under_power():
    """The published local optimum, a better one, and what holds for a range of B1."""
    found = played("09")
    one, several, _ = found["designs"].values()
    assert one.fun == pytest.approx(93726.8374, rel=1e-6)
    assert several.fun < 72700
    for design in found["designs"].values():
        assert np.sqrt(np.mean(design.sequence.parameters["flip"] ** 2)) <= 60 * (1 + 1e-6)
    table = list(found["table"].values())
    np.testing.assert_allclose(table[0], [5.529, 5.065, 4.407, 3.987, 3.842], atol=1e-3)
    np.testing.assert_allclose(table[1], [3.761, 3.472, 3.061, 2.828, 2.771], atol=1e-3)
    assert max(table[3]) < min(max(row) for row in table[:3])


def test_batch():
    """Each atom is a signal of unit length, but for what the rank loses."""
    pytest.importorskip("zarr")
    found = played("10")
    assert found["same"]
    atoms, train = found["atoms"], found["train"]
    place = np.index_exp[40, 20]
    signal = epgnumba.simulate(train, atoms.T1.values[40], atoms.T2.values[20])
    signal /= np.linalg.norm(signal)
    kept = atoms.coefficients.values[place] @ atoms.basis.values
    np.testing.assert_allclose(np.linalg.norm(signal - kept), atoms.residual.values[place], rtol=1e-2, atol=1e-4)
    for errors in found["errors"].values():
        assert abs(np.median(errors)) < 3


def test_network():
    """A learned train beats the one it began as, for the network and for least squares, which are about as good."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        found = played("11")
    finally:
        torch.set_num_threads(threads)
    before, after = found["scores"].values()
    for method in ("network", "least squares", "bound, rms"):
        assert (after[method] < 0.9 * before[method]).all()
    assert (after["network"] < 1.2 * after["least squares"]).all()


def test_bound():
    found = played("12")
    assert found["low"].unbiased.all()
    assert found["low"].efficient.all()
    assert not found["high"].efficient[1]
    assert found["ratio"]["magnitude"][-1] > found["interval"]["complex"][-1, 1]


def test_coming_from():
    """Single precision of others, and a plain EPG with as many states."""
    found = played("13")
    assert abs(found["ten"][5::6] - found["TEN_STATES"]).max() < 1e-6
    assert abs(found["fingerprint"] - found["FINGERPRINT"]).max() < 1e-6
    np.testing.assert_allclose(found["stimfit"], found["STIMFIT"], rtol=1e-11)
    np.testing.assert_allclose(found["exact"], naive.fse(found["flip"], 5, 1000, 100).real, atol=1e-12)
    np.testing.assert_allclose(found["ten"], naive.fse(found["flip"], 5, 1000, 100, nstates=10).real, atol=1e-12)
