"""The package as a whole: what importing costs, the command line, the cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import epgnumba

ROOT = Path(__file__).parent.parent


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def python(code, **environment):
    return run(code, **environment).stdout.strip()


def test_importing_is_light():
    heavy = python(
        "import sys, epgnumba; epgnumba.FSE([60.0], 5); epgnumba.simulate\n"
        "print([m for m in ('numba', 'torch', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    assert heavy == "[]"


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("torch", "torch", "import epgnumba.torch"),
        ("torch", "torch", "epgnumba.torch"),
        ("msgspec", "batch", "epgnumba.batch.make_plan"),
        ("zarr", "batch", "epgnumba.batch.Store"),
        ("xarray", "batch", "epgnumba.batch.open_results"),
        ("pypulseq", "files", "epgnumba.files.read_pulseq"),
        ("nibabel", "files", "epgnumba.files.read_map('a.nii')"),
        ("nibabel", "files", "epgnumba.files.write_map('a.nii', [1])"),
    ],
)
def test_what_is_missing_is_asked_for(module, extra, use):
    """By what is used; the rest works without."""
    said = python(
        f"import sys; sys.modules[{module!r}] = None\n"
        "import epgnumba; print(epgnumba.fse_sim([100.0], 5, 900, 70).shape)\n"
        f"try: {use}\n"
        "except (AttributeError, ModuleNotFoundError) as error: print(error)"
    )
    assert said.startswith("(1,)\n")
    first = (module, "google_crc32c") if module == "zarr" else (module,)  # where neither is there, that is asked for
    assert any(f"takes {one}, which is not installed" in said for one in first)
    if extra == "batch" and sys.version_info < (3, 11):
        assert "it takes Python 3.11 or newer" in said
    else:
        assert f'pip install "epgnumba[{extra}]"' in said


def test_demo(tmp_path, capsys):
    import matplotlib.pyplot as plt

    from epgnumba.cli import main

    figure = tmp_path / "figure.png"
    assert main(["demo", "--output", str(figure)]) == 0
    out = capsys.readouterr().out
    assert "7197.580 ms^2" in out
    assert str(figure) in out
    assert figure.stat().st_size > 20_000
    assert not plt.get_fignums()


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "epgnumba"]
    version = subprocess.run([*command, "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert version.stdout == f"epgnumba {epgnumba.__version__}\n"
    refused = subprocess.run(
        [*command, "demo", "-o", "no/a.png"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr == "--output=no/a.png: there is no folder no\n"


def test_info(tmp_path, capsys, monkeypatch):
    from epgnumba import extras
    from epgnumba.cli import main
    from epgnumba.kernels import cache, processor

    monkeypatch.setenv("EPGNUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(extras.EXTRAS, "files", ("nibabel", "no_such_module"))
    assert main(["info"]) == 0
    told = dict(line.partition(" ")[::2] for line in capsys.readouterr().out.splitlines())
    assert told["epgnumba"].startswith(f"{epgnumba.__version__}, ")
    assert "numba " in told["numpy"]
    assert f"threads {epgnumba.get_num_threads()}" in told["processors"]
    assert told["compiled"].startswith(f"code {tmp_path}")
    assert told["compiled"].endswith("0 files, 0.0 MB")
    assert told["GPU"]
    monkeypatch.setattr(processor.llvm, "get_host_cpu_features", lambda: {"avx": True, "avx2": True, "avx512f": False})
    (cache.directory() / "a.nbc").write_bytes(bytes(2_000_000))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "1 files, 2.0 MB" in out
    assert "vectors of 256 bits, 4 doubles" in out
    assert 'no_such_module: pip install "epgnumba[files]"' in out


SMALL = "import epgnumba; print(epgnumba.fse_sim([100.0], 5, 900, 70)[0])"
TOLD = f"from epgnumba import notice; notice.LONG = 0; {SMALL}"  # however quick the machine is


def test_cache_is_kept_and_found(tmp_path):
    first = run(TOLD, EPGNUMBA_CACHE_DIR=str(tmp_path))
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert sorted(path.name.split(".")[0] for path in files) == ["batch", "forward"]  # an entry, and its loops
    (folder,) = {path.parent for path in files}
    (line,) = first.stderr.splitlines()  # the wait is told, and where it will be saved
    assert "compiling for signals and tissue derivatives" in line
    assert line.endswith(f"kept in {folder}")
    again = run(TOLD, EPGNUMBA_CACHE_DIR=str(tmp_path))
    assert (again.stdout, again.stderr) == (first.stdout, "")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == files


def test_without_a_place_for_the_cache(tmp_path):
    """A file where the cache's folder should be: everything works, nothing is kept."""
    blocked = tmp_path / "file"
    blocked.touch()
    done = run(TOLD, EPGNUMBA_CACHE_DIR=str(blocked / "cache"))
    assert done.stdout.startswith("(0.5")
    assert done.stderr.count("cannot be kept") == done.stderr.count("RuntimeWarning") == 1


def test_many_processes_start_at_once(tmp_path):
    environment = {**os.environ, "EPGNUMBA_CACHE_DIR": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-c", SMALL], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert len({process.communicate()[0] for process in started}) == 1
    assert all(process.returncode == 0 for process in started)
