"""Compiling: that a wait is told while it lasts, and that `warm_up` leaves nothing to compile."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from numba.core import config

import epgnumba
from epgnumba import notice

ROOT = Path(__file__).parent.parent
KEPT = "it is kept"


@pytest.fixture
def lines(monkeypatch, caplog):
    """What has been said, where a tenth of a second is long."""
    monkeypatch.setattr(notice, "LONG", 0.1)
    monkeypatch.setattr(notice, "_wait", notice._Wait())
    monkeypatch.delenv("EPGNUMBA_QUIET", raising=False)
    return lambda: [record.getMessage() for record in caplog.records if record.name == "epgnumba"]


def wait(seconds, what="this"):
    with notice.compiling(what, lambda: KEPT):
        time.sleep(seconds)


def test_a_wait_is_told_while_it_lasts(lines):
    with notice.compiling("this", lambda: KEPT):
        assert lines() == []
        time.sleep(0.3)
        (line,) = lines()
        assert "compiling for this" in line
        assert line.endswith(KEPT)


def test_what_is_short_is_not(lines):
    wait(0.0)
    time.sleep(0.3)
    assert lines() == []


def test_a_wait_of_several_kernels_is_one(lines):
    for name in ("this", "that", "more"):
        wait(0.2, name)
    assert len(lines()) == 1
    time.sleep(0.3)
    wait(0.3, "another")
    assert [line.split(",")[0] for line in lines()] == [
        f"epgnumba is compiling for {name}" for name in ("this", "another")
    ]


def test_many_short_ones_make_a_long_one(lines):
    for _ in range(8):
        wait(0.03)
    assert len(lines()) == 1


def test_a_wait_that_fails(lines):
    with pytest.raises(ZeroDivisionError), notice.compiling("this", lambda: KEPT):
        raise ZeroDivisionError
    time.sleep(0.3)
    assert lines() == []


def test_threads_that_prepare_at_once_count_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(notice, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    preparing = notice._Preparing()
    with preparing:
        now[0] = 2.0
        assert preparing.seconds() == 2.0
        with preparing:
            now[0] = 5.0
        now[0] = 6.0
    now[0] = 9.0
    assert preparing.seconds() == 6.0


@pytest.mark.parametrize("value", ["1", "yes", "0", ""])
def test_silence(lines, monkeypatch, value):
    monkeypatch.setenv("EPGNUMBA_QUIET", value)
    wait(0.3)
    assert len(lines()) == (value in ("0", ""))


def python(code, warnings="error"):
    return subprocess.run(
        [sys.executable, "-W", warnings, "-c", code],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "EPGNUMBA_QUIET": ""},
    )  # fmt: skip


BAR = """
import sys, time
from epgnumba import notice
notice.LONG = 0.1
SETUP
with notice.progress_bar(True, total=3, ncols=60) as bar, notice.compiling("this", lambda: "it is kept"):
    bar.update()
    time.sleep(0.5)
print("result")
"""


def test_progress_bars_and_results_are_left_alone():
    done = python(BAR.replace("SETUP", ""))
    assert done.stdout == "result\n"
    drawn = done.stderr.replace("\n", "\r").split("\r")
    (line,) = (each for each in drawn if "compiling" in each)
    assert line.startswith("epgnumba is compiling for this")
    assert line.endswith(KEPT)
    assert not drawn[drawn.index(line) - 1].strip()  # the bar is cleared before, and drawn again
    assert "1/3" in drawn[drawn.index(line) + 2]


@pytest.mark.parametrize(("setup", "said"), [("logging.basicConfig(stream=sys.stdout, format='> %(message)s')", 1),
                                             ("logging.getLogger('epgnumba').setLevel('ERROR')", 0)])  # fmt: skip
def test_programs_decide_about_their_log(setup, said):
    done = python(BAR.replace("SETUP", f"import logging; {setup}"))
    assert done.stdout.count("> epgnumba is compiling") == said
    assert "epgnumba is" not in done.stderr


def test_parts_of_warm_up_are_checked():
    for parts in (3, {"signal"}):
        with pytest.raises(TypeError, match="parts=.*not allowed.*'signal', 'gradient'"):
            epgnumba.warm_up(parts)
    with pytest.raises(ValueError, match="parts: 'torch' is unknown; allowed are .'signal'"):
        epgnumba.warm_up(("signal", "torch"))
    with pytest.raises(ValueError, match="parts: .'design'. is unknown"):
        epgnumba.warm_up([["design"]])
    with pytest.raises(TypeError, match="progress='no'"):
        epgnumba.warm_up(progress="no")


def test_progress_of_warm_up(capsys):
    epgnumba.warm_up(("design", "signal"))
    out, err = capsys.readouterr()
    assert "8/8" in err
    assert "signals" in err
    epgnumba.warm_up("signal", progress=False)
    assert (out, *capsys.readouterr()) == ("", "", "")


def test_an_interrupt_is_heard_where_compilers_lose_it(monkeypatch):
    """As LLVM does when it hands over what it has made: Python drops what is raised in a callback from C."""
    lost = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))
    done = []
    calls = {"one": {"first": lost, "second": lambda: done.append("second")}}
    monkeypatch.setattr(sys.modules["epgnumba.warm"], "_calls", lambda: calls)
    monkeypatch.setattr(sys, "unraisablehook", done.append)
    with pytest.raises(KeyboardInterrupt):
        epgnumba.warm_up(progress=False)
    assert [type(each.exc_value) for each in done] == [KeyboardInterrupt]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_nothing_is_left_to_compile():
    """A process that has warmed up, then meets everything, has no more code at the end."""
    pytest.importorskip("torch")
    done = python("import sys; sys.path += ['tests', 'tests/bench']; import everything; everything.play()", "ignore")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "22 kernels, then 22"
