"""Everything public, each argument, with values that mean nothing: it works, or says which argument is wrong."""

import inspect
import re
import signal
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

pytest.importorskip("torch")
pytest.importorskip("zarr", minversion="3")
pytest.importorskip("nibabel")
pytest.importorskip("pypulseq")

from public import DEFAULTS, DESIGN, PUBLIC, TRAIN

import epgnumba
from epgnumba.files import write_map, write_pulseq

HANGS = 60.0  # s: no call takes this long on any machine, if it ends at all
EXAMPLE = Path(epgnumba.__file__).parent / "batch" / "examples" / "simulate.toml"
MODULES = ("", ".sequence", ".design", ".design.limits", ".estimate", ".plot", ".pulses", ".torch", ".batch", ".files")
# Classes that come out of calls, or stand for others; and what takes nothing.
RESULTS = {
    "Across", "Design", "Event", "Fit", "Match", "Plan", "Sequence", "Status", "Store", "StoreError", "Verification",
    "get_num_threads",
}  # fmt: skip
# Where an argument clashes with another, either may be named.
CLASHES = {
    "vjp": ("signal_bar",),
    "verify": ("unknowns", "T1"),
    "fit": ("unknowns", "bounds"),
    "Dictionary": ("every atom",),
    "torch.scipy_objective": ("cost",),
}
ALL_MAPS = {"fse_sim", "torch.fse_sim", "vjp", "CRLBObjective", "fit", "Dictionary"}  # others read them alike


def nonsense():
    """Of no type, of the wrong one, of none that there is room for, and numbers that are none."""
    yield from (None, True, np.True_, "nonsense", "", b"x", "x" * 5000, object(), len, int, Ellipsis, slice(None))
    yield from (np.nan, np.inf, -np.inf, -1.0, 0, 0.5, -3, 1e300, 10**30, 10**400, 1j, np.array(1 + 1j))
    yield from ([], [[]], (), {}, {"a": 1}, {1}, range(0), np.array([]), np.zeros((0, 3)), np.ones((2, 3, 4, 5)))
    yield from (
        [np.nan, 1.0],
        [None],
        ["a", "b"],
        ("flip", "flip"),
        np.array(["a"]),
        [True, False],
        [[1.0], [1.0, 2.0]],
    )
    yield from (np.datetime64("2020-01-01"), np.ma.masked_equal([1.0, 2.0], 1.0), np.array([1.0, np.inf]))
    yield (x for x in [1.0])


def arguments(name):
    call, good = PUBLIC[name]
    told = [one.name for one in inspect.signature(call).parameters.values() if one.kind is not one.VAR_KEYWORD]
    return [one for one in dict.fromkeys([*told, *good]) if name in ALL_MAPS or one not in DEFAULTS]


CASES = [(name, argument) for name in PUBLIC for argument in arguments(name)]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A folder with a file of each kind."""
    place = tmp_path_factory.mktemp("nonsense")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        np.save("array.npy", np.ones(3))
        write_map("map.nii", np.ones((2, 3)))
        write_pulseq(TRAIN, "train.seq")
        DESIGN.save("design.json")
        PUBLIC["Dictionary.save"][0]("atlas.npz")
        Path("run.toml").write_text(EXAMPLE.read_text())
        from epgnumba.cli import main

        assert main(["simulate", "run.toml", "--workers", "1"]) == 0
        yield place


@pytest.fixture(autouse=True)
def no_hanging():
    """A call that does not end fails, and does not hold up the rest; no figure stays open."""

    def stop(*_):
        raise AssertionError("the call hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, HANGS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    plt.close("all")


@pytest.mark.parametrize("name", PUBLIC)
def test_good_calls_are_good(name):
    call, good = PUBLIC[name]
    call(**good)


def complaint(call):
    """What a call raises; None if it works."""
    try:
        call()
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(("name", "argument"), CASES)
@pytest.mark.filterwarnings("ignore")
def test_each_argument(name, argument):
    call, good = PUBLIC[name]
    either = "|".join(map(re.escape, (argument, *CLASHES.get(name, ()))))
    named = re.compile(rf"(?<![A-Za-z0-9_])({either})(?![A-Za-z0-9_])")
    for bad in nonsense():
        if argument in ("build", "callback") and (bad is len or bad is int):
            continue  # whose errors are the caller's own
        error = complaint(lambda: call(**{**good, argument: bad}))  # noqa: B023
        if error is None:
            continue
        if argument == "path" and isinstance(bad, str) and bad:
            assert isinstance(error, (OSError, ValueError, epgnumba.batch.StoreError)), repr(error)
            continue  # which cannot be read, or written
        assert isinstance(error, (TypeError, ValueError)), f"{str(bad)[:40]}: {error!r}"
        assert type(error) in (TypeError, ValueError) or name == "make_plan", f"{str(bad)[:40]}: {error!r}"
        assert named.search(str(error)), f"{str(bad)[:40]}: {error!r}"
        assert len(str(error)) < 1000


def test_nothing_public_is_left_out():
    for module in MODULES:
        found = import_module(f"epgnumba{module}")
        prefix = {".torch": "torch.", ".design.limits": "limits."}.get(module, "")
        for name in found.__all__:
            if callable(getattr(found, name)) and name not in RESULTS:
                assert prefix + name in PUBLIC, f"{module}.{name}"


MISSPELT = {
    "flip_": (lambda: epgnumba.fse_sim([9.0], 5, 900, 70, exc_fip=80.0), "exc_flip"),
    "sequence": (lambda: epgnumba.FSE([9.0], ESP=5.0, phase=80.0), "phases"),
    "another": (lambda: epgnumba.sequence.MRF([9.0], 9.0, T2_prep=80.0), "T2prep"),
    "replace": (lambda: TRAIN.replace(esp=5.0), "ESP"),
    "symbol": (lambda: epgnumba.EventSequence(lambda p: p.flpi, flip=5.0), "flip"),
    "diff": (lambda: epgnumba.jacobian(TRAIN, 900, 70, diff="t2"), "T2"),
    "unknowns": (lambda: epgnumba.CRLBObjective(TRAIN, 900, 70, unknowns=("M0", "invefficiency")), "inv_efficiency"),
    "variables": (lambda: epgnumba.CRLBObjective(TRAIN, 900, 70, variables=("flips",)), "flip"),
    "criterion": (lambda: epgnumba.CRLBObjective(TRAIN, 900, 70, data="magnitudes"), "magnitude"),
    "wanted": (lambda: epgnumba.vjp(TRAIN, 900, 70, signal_bar=[1, 1], wanted=("flips",)), "flip"),
    "optimize": (lambda: epgnumba.design.optimize(None, max_iteration=5), "max_iterations"),
    "limits": (lambda: epgnumba.design.limits.flip_power(None, limits=5), "limit"),
    "bounds": (lambda: epgnumba.design.limits.bounds(epgnumba.CRLBObjective(TRAIN, 900, 70), flips=(1, 2)), "flip"),
    "plot": (lambda: epgnumba.plot.plot_phase_graph(TRAIN, 900, 70, axes=None), "ax"),
    "pulses": (lambda: epgnumba.pulses.sinc(2.0, timebandwidth=4), "time_bandwidth"),
    "warm_up": (lambda: epgnumba.warm_up("signals"), "signal"),
    "fit": (lambda: epgnumba.estimate.fit(TRAIN, np.ones(2), unknown="T2"), "unknowns"),
    "kind": (lambda: epgnumba.plot.plot_phase_graph(TRAIN, 900, 70, kind="maps"), "map"),
    "option": (lambda: epgnumba.EventSequence(lambda p: [], tolerence=1e-3), "tolerance"),
    "module": (lambda: epgnumba.fse_simm, "fse_sim"),
    "submodule": (lambda: epgnumba.plots, "plot"),
}


@pytest.mark.parametrize("row", MISSPELT)
def test_the_name_that_was_meant_is_told(row):
    call, meant = MISSPELT[row]
    with pytest.raises((TypeError, ValueError, AttributeError), match=f"did you mean '?{meant}'?[?]"):
        call()


def test_a_name_like_no_other_is_told_all():
    with pytest.raises(TypeError, match="xyz is no argument of FSE; allowed are flip, ESP"):
        epgnumba.FSE([9.0], 5.0, xyz=1)
    with warnings.catch_warnings(), pytest.raises(AttributeError, match="no attribute 'xyz'$"):
        epgnumba.xyz  # noqa: B018


@pytest.mark.parametrize(("home", "names"), epgnumba._ELSEWHERE.items())
def test_a_name_that_lives_elsewhere_is_told_where(home, names):
    for name in names:
        assert hasattr(getattr(epgnumba, home), name)
        with pytest.raises(AttributeError, match=f"'{name}'; it is epgnumba.{home}.{name}$"):
            getattr(epgnumba, name)
