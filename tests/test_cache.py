"""Compiled code on disk: whatever is wrong there costs a compilation, never a call, and never runs."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core import config

if config.DISABLE_JIT:
    pytest.skip("nothing is compiled", allow_module_level=True)

from epgnumba.kernels import cache
from epgnumba.kernels.jit import entry

ROOT = Path(__file__).parent.parent


def triple(x):
    return 3 * x


def place_of(compiled, signature, codegen):
    """The file of a dispatcher's code, and the hash that begins it."""
    return cache._place(compiled._cache._name, (compiled._cache._identity, signature), codegen)


def found(x=2.0):
    """Whether a dispatcher that knows nothing yet, as in a new process, finds its code on disk."""
    compiled = entry("triples")(triple)
    assert compiled(x) == 3 * x
    return bool(compiled.stats.cache_hits)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EPGNUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path


@pytest.fixture
def kept(folder):
    """The file of a function that was compiled."""
    assert not found()
    (path,) = folder.rglob("*.nbc")
    assert found()
    assert [path] == [each for each in folder.rglob("*") if each.is_file()]
    return path


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def make_directory(path, full):
    path.unlink()
    path.mkdir()
    if full:
        (path / "somebody's").touch()


def link_to(path, target):
    path.unlink()
    path.symlink_to(target)


def code_for_integers(path):
    assert not found(2)
    (other,) = set(path.parent.glob("*.nbc")) - {path}
    return other


def turn_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def seal(path, payload):
    """A file whose checksum is right, though what it holds is not."""
    kinds = entry("triples")(triple)
    place, checksum = place_of(kinds, (cache.numba.float64,), kinds.targetctx.codegen())
    assert place == path
    checksum.update(payload)
    path.write_bytes(checksum.digest() + payload)


RANDOM = np.random.default_rng(0)
DAMAGE = {
    "removed": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "a byte": lambda path: path.write_bytes(b"\x80"),
    "garbage": lambda path: path.write_bytes(RANDOM.bytes(path.stat().st_size)),
    "first half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "second half": lambda path: path.write_bytes(path.read_bytes()[path.stat().st_size // 2 :]),
    "a checksum alone": lambda path: path.write_bytes(path.read_bytes()[: cache.CHECKSUM]),
    "one bit": turn_a_bit,
    "more at the end": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "pickle of something else": lambda path: path.write_bytes(pickle.dumps({"something": "else"})),
    "code for another signature": lambda path: shutil.copy(code_for_integers(path), path),
    "a folder": lambda path: make_directory(path, False),
    "a full folder": lambda path: make_directory(path, True),
    "a link to nowhere": lambda path: link_to(path, path.parent / "nowhere"),
    "a link to a folder": lambda path: link_to(path, path.parent),
    "sealed, no pickle": lambda path: seal(path, b"no pickle"),
    "sealed, another pickle": lambda path: seal(path, pickle.dumps(((), 1))),
    "sealed, no code": lambda path: seal(path, pickle.dumps(((cache.numba.float64,), (1, 2, 3)))),
    "sealed, another's code": lambda path: seal(path, code_for_integers(path).read_bytes()[cache.CHECKSUM :]),
    "sealed, not importable": lambda path: seal(path, b"cno_such_module\nname\n."),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_costs_a_compilation(kept, kind):
    before = kept.read_bytes()
    DAMAGE[kind](kept)
    assert not found()
    assert found()
    assert len(kept.read_bytes()) == pytest.approx(len(before), rel=0.1)
    assert not list(kept.parent.glob("*.tmp"))


def test_nothing_unsealed_is_unpickled(kept, tmp_path):
    touched, payload = tmp_path / "touched", pickle.dumps(Hostile(tmp_path / "touched"))
    for content in (payload, bytes(cache.CHECKSUM) + payload, kept.read_bytes()[: cache.CHECKSUM] + payload):
        kept.write_bytes(content)
        assert not found()
        assert not touched.exists()
    seal(kept, payload)  # as this user could: the test itself can fail
    assert not found()
    assert touched.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners of files")
def test_what_others_can_write_is_not_run(kept, folder, monkeypatch):
    kept.chmod(0o666)
    assert not found()
    assert found()
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.parent.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="not kept.*others can write"):
        assert not found()
    kept.parent.chmod(0o700)
    assert found()
    monkeypatch.setattr(cache, "_warned", False)
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.warns(RuntimeWarning, match="another user"):
        assert not found()


def test_a_file_of_another_user_is_not_run(kept, monkeypatch):
    """In a folder of this user's own, as after a change of owner or a swapped folder."""
    status, user = os.fstat, os.getuid()
    monkeypatch.setattr(
        cache.os, "fstat", lambda file: os.stat_result([*status(file)[:4], user + 1, *status(file)[5:]])
    )
    assert not found()


def refuse(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["mkstemp", "TemporaryFile"])
def test_a_full_disk_is_mentioned_once(folder, monkeypatch, where):
    monkeypatch.setattr(cache.tempfile, where, refuse)
    with pytest.warns(RuntimeWarning, match="not kept.*No space left.*EPGNUMBA_CACHE_DIR") as said:
        assert [found(), found(2)] == [False, False]
    assert len(said) == 1
    assert not list(folder.rglob("*.nbc*"))


def test_a_write_that_breaks_off_leaves_nothing(folder, monkeypatch):
    monkeypatch.setattr(cache.os, "replace", refuse)
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert not found()
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_reading_that_fails_costs_a_compilation(kept, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_read", refuse)
        assert not found()
    assert found()


def test_no_place_at_all(folder, monkeypatch):
    blocked = folder / "file"
    blocked.touch()
    monkeypatch.setenv("EPGNUMBA_CACHE_DIR", str(blocked / "cache"))
    with pytest.warns(RuntimeWarning, match="Not a directory"):
        assert not found()
    entry("triples")(triple)._cache.flush()
    assert entry("triples")(triple)._cache.cache_path is None


def test_the_second_choice(folder, monkeypatch):
    blocked = folder / "file"
    blocked.touch()
    monkeypatch.delenv("EPGNUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(folder))
    assert not found()
    assert found()
    assert len(list(folder.glob("epgnumba-*/*/*.nbc"))) == 1


def test_a_home_that_is_unknown(folder, monkeypatch):
    """No folder named "~" is made where the process happens to be."""
    monkeypatch.delenv("EPGNUMBA_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(folder / "temporary"))
    monkeypatch.chdir(folder)
    assert not found()
    assert [each.name for each in folder.iterdir()] == ["temporary"]


def test_what_nobody_uses_is_forgotten(folder):
    """By the next version: only folders of code, long out of use, and of them only the code."""
    names = {"old": "0" * 16, "recent": "1" * 16, "shared": "2" * 16, "another's": "mine"}
    for name in names.values():
        (folder / name).mkdir()
        (folder / name / "batch.signal_batch.0123.nbc").touch()
    (folder / names["shared"] / "notes").touch()
    (folder / ("3" * 16)).symlink_to(folder / names["another's"])
    long_ago = cache.time.time() - cache.UNUSED - 9
    for name in ("old", "shared", "another's"):
        os.utime(folder / names[name], (long_ago, long_ago))
    assert not found()
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path for path in left if "triple" not in path} == {
        f"{names['recent']}/batch.signal_batch.0123.nbc", f"{names['shared']}/notes", "mine/batch.signal_batch.0123.nbc"
    }  # fmt: skip
    assert not (folder / names["old"]).exists()


def test_use_is_noted(kept):
    os.utime(kept.parent, (0, 0))
    assert found()
    assert kept.parent.stat().st_mtime > cache.time.time() - 60


def test_a_folder_that_vanishes_is_made_again(kept, folder):
    shutil.rmtree(kept.parent)
    assert not found()
    assert found()
    shutil.rmtree(kept.parent)
    kept.parent.touch()  # nor does a file in its place stop a call
    with pytest.warns(RuntimeWarning, match="File exists"):
        assert not found()


def test_flush_and_disable(kept):
    compiled = entry("triples")(triple)
    compiled._cache.disable()
    assert compiled(2.0) == 6
    assert not compiled.stats.cache_hits
    assert Path(compiled._cache.cache_path) == kept.parent
    compiled._cache.enable()
    compiled._cache.flush()
    assert not found()


def test_what_code_depends_on(monkeypatch, tmp_path):
    digest = cache.source_digest.__wrapped__
    seen = {digest()}
    for setting, value in (("OPT", 0), ("BOUNDSCHECK", 1), ("USING_SVML", not config.USING_SVML)):
        with monkeypatch.context() as patch:
            patch.setattr(config, setting, value)
            seen.add(digest())
    for module, name, value in (
        (cache, "__name__", "epgcopy.kernels.cache"),
        (cache.numba, "__version__", "0.1"),
        (np, "__version__", "0.1"),
        (cache.platform, "python_version", lambda: "3.0.0"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            seen.add(digest())
    assert len(seen) == 8
    copy = shutil.copytree(
        Path(cache.__file__).parent, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(cache, "__file__", str(copy / "cache.py"))
    assert digest() in seen
    (copy / "physics.py").rename(copy / "physique.py")
    assert digest() not in seen
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "nowhere" / "cache.py"))
    with pytest.raises(FileNotFoundError, match="source"):
        digest()


def test_code_and_processor_are_told_apart(kept):
    """By the file's name: nothing of another processor's code is ever opened."""
    kinds = entry("triples")(triple)

    class Elsewhere:
        def magic_tuple(self):
            triple, cpu, features = kinds.targetctx.codegen().magic_tuple()
            return triple, f"{cpu}x", features

    places = {place_of(kinds, (kind,), kinds.targetctx.codegen())[0] for kind in map(cache.numba.typeof, (1, 1.0))}
    places.add(place_of(kinds, (cache.numba.float64,), Elsewhere())[0])
    assert len(places) == 3
    assert kept in places
    assert place_of(entry("triples")(lambda x: 3 * x), (cache.numba.float64,), Elsewhere())[0] not in places


def python(code, where, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, cwd=where, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_renamed_copy_keeps_its_own(tmp_path):
    shutil.copytree(ROOT / "epgnumba", tmp_path / "epgcopy", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "from NAME.kernels.jit import entry\n"
        "from NAME.kernels.batch import Call\n"
        "def triple(call):\n    return 3 * call.n_voxels\n"
        "triple = entry('triples')(triple)\n"
        "print(triple(Call(1, 2, 3, 4, 5, 6)), len(triple.stats.cache_hits))\n"
    )
    names = {"epgcopy": tmp_path, "epgnumba": ROOT}
    for hits in (0, 1):
        for name, where in names.items():
            kept = python(code.replace("NAME", name), where, EPGNUMBA_CACHE_DIR=str(tmp_path / "cache"))
            assert kept == ["18", str(hits)]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_call_meets_damage(tmp_path):
    """The whole way, between processes."""
    code = "import epgnumba; print(epgnumba.fse_sim([100.0], 5, 900, 70)[0])"
    first = python(code, ROOT, EPGNUMBA_CACHE_DIR=str(tmp_path))
    for path in tmp_path.rglob("*.nbc"):
        path.write_bytes(path.read_bytes()[:-1])
    assert python(code, ROOT, EPGNUMBA_CACHE_DIR=str(tmp_path)) == first
    mended = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert python(code, ROOT, EPGNUMBA_CACHE_DIR=str(tmp_path)) == first
    assert mended == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}


def test_loops_over_rows_are_kept(tmp_path):
    """A second process has their code, and its numbers, without writing them down again."""
    code = "import numpy as np; from epgnumba import FSE, jacobian; "
    call = "print(jacobian(FSE([60.0, 90.0], 5.0), 900.0, 80.0, B0=3.0, diff=('T2', 'B0'))[1].tolist())"
    refusal = "from epgnumba.kernels import lanes_llvm; lanes_llvm._write = None; "
    where = {"EPGNUMBA_CACHE_DIR": str(tmp_path)}
    first = python(code + call, ROOT, **where)
    assert python(code + refusal + call, ROOT, **where) == first
    damaged = list(tmp_path.rglob("forward.*.nbc"))
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-1])
    assert python(code + call, ROOT, **where) == first
    assert python(code + refusal + call, ROOT, **where) == first
