"""What README and docs show runs as it is written."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "docs/sequences.md", "docs/protocols.md", "docs/torch.md"])
def test_python_runs(page):
    if page in ("README.md", "docs/torch.md"):
        pytest.importorskip("torch")
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 1
    names = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_own_sequence_example(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import own_sequence

    before, after = own_sequence.main()
    assert after < 0.8 * before
    assert "before" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "best"), [("design_fingerprint", 1172.8819), ("design_fse", 73844.6)])
def test_design_examples(name, best, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(ROOT / "examples")
    found = __import__(name).main(tmp_path / "figure.png")
    assert found.fun < best
    assert (tmp_path / "figure.png").stat().st_size > 50_000
    capsys.readouterr()
