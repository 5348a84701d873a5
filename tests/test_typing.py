"""What type checkers, `help` and tab completion see."""

import importlib
import inspect
import json
import re
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

import epgnumba

ROOT = Path(__file__).parent.parent
USES = ROOT / "tests" / "typed" / "uses.py"
FORMS = [name for name in epgnumba.__all__ if name.endswith("_sim")]
PARTS = ("batch", "design", "estimate", "files", "plot", "pulses", "sequence", "torch")
MODULES = (*PARTS, "design.limits")
NEEDED = {"plot": "matplotlib", "torch": "torch"}


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_mypy_reports_bad_uses_alone():
    pytest.importorskip("mypy", reason="mypy is not installed")
    pytest.importorskip("torch")
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
            "--cache-dir=.mypy_cache/uses", "tests/typed/uses.py",
        ],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr  # 2 is for mypy's own failures
    marked = {n for n, line in enumerate(USES.read_text().splitlines(), 1) if line.endswith("# bad")}
    assert len(marked) > 40
    assert {int(n) for n in re.findall(r"uses\.py:(\d+): error", done.stdout)} == marked, done.stdout


def test_pyright_reports_the_same():
    """Where it is installed."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "tests/typed/uses.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    marked = {n for n, line in enumerate(USES.read_text().splitlines(), 1) if line.endswith("# bad")}
    assert {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"} == marked, done.stdout


def signature(function):
    return {name: one.default for name, one in inspect.signature(function).parameters.items()}


@pytest.mark.parametrize("name", FORMS)
def test_help_tells_what_is_taken_and_comes_back(name):
    form = getattr(epgnumba, name)
    assert inspect.signature(form).return_annotation == "ComplexArray | Any"
    assert typing.Any in typing.get_args(typing.get_type_hints(form)["return"])
    assert signature(form).keys() >= {"flip", "T1", "diff", "slice_prof", "dtype", "device"}
    with pytest.raises(TypeError, match="nonsense"):
        form(nonsense=1)
    epg = pytest.importorskip("epgnumba.torch")
    assert inspect.signature(getattr(epg, name)).return_annotation == "Tensor | Any"
    assert signature(getattr(epg, name)) == signature(form)


def test_constructors_name_their_arguments():
    for kind in (epgnumba.FSE, epgnumba.sequence.MRF, epgnumba.CRLBObjective):
        names = list(signature(kind))
        assert len(names) > 5
        assert "args" not in names
    assert list(signature(epgnumba.FSE)) == ["flip", "ESP", "phases", "TR", "exc_flip", "exc_phase"]


def test_replace_keeps_the_kind():
    assert type(epgnumba.FSE(np.full(2, 60.0), 5).replace(ESP=6)) is epgnumba.FSE


@pytest.mark.parametrize(("name", "needs"), [(name, NEEDED.get(name, "numpy")) for name in MODULES])
def test_modules_are_attributes(name, needs):
    """After the package alone is imported, which imports none of them; and `dir` shows their public names only."""
    pytest.importorskip(needs)
    loaded, found, names = python(
        f"import sys, epgnumba; print('epgnumba.{name}' in sys.modules)\n"
        f"print(epgnumba.{name}.__name__, *dir(epgnumba.{name}), sep='\\n')"
    ).split("\n", 2)
    assert (loaded, found) == ("False", f"epgnumba.{name}")
    assert names.split() == sorted(importlib.import_module(found).__all__)


def test_dir_of_the_package():
    assert dir(epgnumba) == sorted([*epgnumba.__all__, "__version__", *PARTS])
    assert not hasattr(epgnumba, "nonsense")


def test_a_module_that_cannot_be_imported_is_no_attribute():
    """So that `help(epgnumba)` works without it."""
    told = python(
        "import sys; sys.modules['matplotlib'] = None\n"
        "import epgnumba; print(hasattr(epgnumba, 'plot'), hasattr(epgnumba, 'sequence'))\n"
        "try: epgnumba.plot\n"
        "except AttributeError as error: print(error)"
    )
    assert told.startswith("False True\nepgnumba.plot cannot be imported: ")
    assert "matplotlib" in told


def test_what_is_printed_says_what_it_is():
    train = epgnumba.FSE([60.0] * 3, 5)
    objective = epgnumba.CRLBObjective(train, 1000, [60, 70], unknowns=("M0", "T2"))
    assert repr(objective) == "<CRLBObjective: bounds on M0, T2, of 3 variables (flip) for tissues (2,)>"
    atoms = epgnumba.estimate.Dictionary(train, 1000, [50, 60])
    assert repr(atoms) == "<Dictionary of 2 atoms over T1, T2, in 3 directions>"
