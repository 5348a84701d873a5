"""What README and docs show runs as it is written, each block by itself; links lead somewhere; examples run."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent.parent
BUILT = {"_build", "gallery", "generated"}
WRITTEN = [page for page in sorted((ROOT / "docs").rglob("*.md")) if not BUILT & set(page.parts)]
PAGES = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")), *WRITTEN]
ON_A_DEVICE = pytest.mark.skipif("NUMBA_ENABLE_CUDASIM" in os.environ, reason="`pytest -m gpu` runs it on a device")
SHAPE = re.compile(r"\(\d+,\)|\(\d+(, \d+)+\)")


def blocks():
    """Every Python block with the line that it begins at."""
    for page in PAGES:
        text = page.read_text()
        for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: block.start(1)].count("\n")
            marks = [pytest.mark.gpu, ON_A_DEVICE] if '"cuda"' in block[1] else []
            yield pytest.param(page, line, block[1], id=f"{page.relative_to(ROOT)}:{line + 1}", marks=marks)


def play(code, capsys, page="block", line=0):
    """Run a block in a namespace of its own, and hold it to what its comments claim.

    A shape in a comment after an assignment, ``signal, slope = ...  # slope: (2, 96)``, is that of the name assigned
    last; the word complex beside it tells its kind. A comment after a print that begins with a digit or a bracket is
    what is printed.
    """
    tree, lines, names = ast.parse(code), code.splitlines(), {"__name__": "__main__"}
    for statement in tree.body:
        ending = lines[statement.end_lineno - 1][statement.end_col_offset :].strip().removeprefix("# ")
        ast.increment_lineno(statement, line)
        exec(compile(ast.Module([statement], []), str(page), "exec"), names)
        printed = capsys.readouterr().out
        shape = SHAPE.search(ending)
        if isinstance(statement, ast.Assign) and shape:
            value = names[[node.id for node in ast.walk(statement.targets[-1]) if isinstance(node, ast.Name)][-1]]
            assert np.shape(value) == ast.literal_eval(shape[0]), ending
            assert np.iscomplexobj(value) or "complex" not in ending, ending
        elif shape or re.match(r"[-\d[(]", ending):
            assert " ".join(printed.split()) == ending


@pytest.mark.parametrize(("page", "line", "code"), list(blocks()))
def test_a_block_runs_alone(page, line, code, capsys, monkeypatch, tmp_path):
    takes = {"torch": "torch", "xarray": "xarray", "epgnumba.batch": "zarr", "epgnumba.files": "pypulseq"}
    for name, module in takes.items():
        if name in code:
            pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    with plt.rc_context():
        plt.switch_backend("Agg")
        play(code, capsys, page, line)
        plt.close("all")


@pytest.mark.parametrize(
    "false",
    [
        "x = [[1, 2]]  # (2,)",
        "x, y = 1, [1j, 2]  # complex x, (3,)",
        "x = [1, 2]  # complex, (2,)",
        "print(0.25)  # 0.26",
        "len([1])  # (1,)",
    ],
)
def test_a_false_claim_is_found(false, capsys):
    with pytest.raises(AssertionError):
        play(false, capsys)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(page):
    """What a link leads to, tests by name, and modules and tests in backticks that have a folder in front."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    tests = re.findall(r"\[`(test_\w+)`\]\s*\(([^)]+)\)", text)
    assert [name for name, file in tests if f"def {name}(" not in (page.parent / file).read_text()] == []
    named = re.findall(r"`([\w/]+/\w+\.py)`", text)
    assert [name for name in named if not any((root / name).exists() for root in (ROOT, ROOT / "epgnumba"))] == []


def test_pictures_are_made_by_their_script(tmp_path):
    """Those of README: small, and as large as the script makes them."""
    made = ROOT / "docs" / "images"
    subprocess.run(
        [sys.executable, made / "make.py", tmp_path], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in made.glob("*.png"))
    for path in made.glob("*.png"):
        assert path.stat().st_size < 150_000
        kept, again = (plt.imread(one).shape for one in (path, tmp_path / path.name))
        assert kept[:2] == again[:2]
        assert f"docs/images/{path.name}" in (ROOT / "README.md").read_text()


# What examples print, as documents say it.
PRINTED = {
    "design_fingerprint": ["objective 4160.82 -> 1172.84"],
    "torch_cost": ["relative error of T2: 2.42% before, 1.01% after"],
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "examples").glob("*.py")))
def test_examples(name, tmp_path):
    if name == "torch_cost":
        pytest.importorskip("torch")
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        cwd=tmp_path, capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert [words for words in PRINTED[name] if words not in printed] == []
    if "figure: " in printed:
        assert (tmp_path / printed.split("figure: ")[1]).stat().st_size > 50_000
