"""What the documentation site is made of; that it builds without a warning is checked by .ci/run."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import epgnumba

ROOT = Path(__file__).parent.parent
MODULES = ("epgnumba", *(f"epgnumba.{name}" for name in (*epgnumba._SUBMODULES, "design.limits")))


def listed():
    """Names that the reference describes, with the module that each is described in."""
    found = []
    for page in sorted((ROOT / "docs" / "reference").glob("*.rst")):
        module = None
        for line in page.read_text().splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split()[-1]
            elif entry := re.fullmatch(r"   (\w+)", line):
                found.append((module, entry[1]))
    return found


def home(module, name):
    """Where the reference has an object: one that several modules name is described once."""
    value = getattr(import_module(module), name)
    return [entry for entry in listed() if entry[1] == name and getattr(import_module(entry[0]), name) is value]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference_once(module):
    for extra, needed in (("torch", "torch"), ("batch", "zarr")):
        if extra in module:
            pytest.importorskip(needed)
    public = [name for name in import_module(module).__all__ if f"{module}.{name}" not in MODULES]
    assert [name for name in public if len(home(module, name)) != 1] == []


def test_the_reference_holds_public_names_only():
    assert {module for module, _ in listed()} <= set(MODULES)
    for module in MODULES:
        here = [name for at, name in listed() if at == module]
        assert len(set(here)) == len(here)
        if here and module != "epgnumba.torch":
            assert set(here) <= set(import_module(module).__all__)


def test_public_modules_are_known():
    """What pages import from is in the list above."""
    named = set()
    for page in ("README.md", *(path.relative_to(ROOT) for path in sorted((ROOT / "docs").glob("*.md")))):
        named |= set(re.findall(r"^(?:from|import) (epgnumba[\w.]*)", (ROOT / page).read_text(), re.MULTILINE))
    assert named <= {*MODULES, "epgnumba.cli"}  # the command, called from Python


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", text, re.MULTILINE)[1] == epgnumba.__version__
    assert f"## {epgnumba.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("link", "is_broken"),
    [
        ("other.html", False),
        ("other.html#there", False),
        ("https://example.org/nowhere", False),
        ("#", False),
        ("none.html", True),
        ("other.html#nowhere", True),
        ("#nowhere", True),
    ],
)
def test_broken_links_are_found(link, is_broken, tmp_path):
    (tmp_path / "page.html").write_text(f'<a href="{link}">link</a>')
    (tmp_path / "other.html").write_text('<p id="there">place</p>')
    command = [sys.executable, str(ROOT / "docs" / "check_links.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == is_broken
    assert (f"page.html: {link}" in done.stdout) == is_broken
