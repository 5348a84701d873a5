"""Batch runs: described, cut into shards, written, killed, damaged, resumed."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import epgnumba
from epgnumba import extras

pytest.importorskip("zarr", minversion="3")
msgspec = pytest.importorskip("msgspec")
xr = pytest.importorskip("xarray")

from batch_runs import SEQUENCE, atoms, call, described, environment, same  # noqa: E402

from epgnumba.batch import Store, commands, encoding, make_plan, open_results  # noqa: E402
from epgnumba.batch.description import Description, read  # noqa: E402

FLIP = np.linspace(5, 60, 30)


def test_signals_are_those_of_simulate(tmp_path):
    run = described(tmp_path, '[options]\ndiff = ["T2"]\n[output]\npath = "out.zarr"\nnetcdf = "out.nc"\n')
    assert call("simulate", run) == 0
    T1, T2, B1 = atoms()
    train = epgnumba.sequence.MRF(FLIP, TR=10.0, TI=20.0)
    signal, slope = epgnumba.jacobian(train, T1, T2, B1=B1, diff="T2")
    found = open_results(tmp_path / "out.zarr")
    assert found.signal.dims == ("T1", "T2", "B1", "readout")
    assert found.d_T2.attrs["units"] == "1/(ms)"
    np.testing.assert_array_equal(found.signal.values.reshape(signal.shape), signal)
    np.testing.assert_array_equal(found.d_T2.values.reshape(slope.shape), slope)
    np.testing.assert_array_equal(found.T1, np.geomspace(200, 3000, 50))
    with xr.open_dataset(tmp_path / "out.nc") as netcdf:
        np.testing.assert_array_equal(netcdf.signal.values[..., 0] + 1j * netcdf.signal.values[..., 1], found.signal)


def test_slice_profiles_by_kind_of_pulse(tmp_path):
    run = tmp_path / "run.toml"
    run.write_text(
        '[sequence]\nfamily = "FSE"\nflip = [150, 120]\nESP = 8\n[tissue]\nT1 = [500, 900]\nT2 = 60\n'
        "[options]\nslice_prof = { excitation = [1.0, 0.5], refocusing = [1.0, -0.3] }\n"
        '[output]\npath = "out.zarr"\n'
    )
    assert call("simulate", run) == 0
    profile = {"excitation": [1.0, 0.5], "refocusing": [1.0, -0.3]}
    expected = epgnumba.simulate(epgnumba.FSE([150.0, 120.0], ESP=8.0), [500.0, 900.0], 60.0, slice_prof=profile)
    np.testing.assert_array_equal(open_results(tmp_path / "out.zarr").signal.values.reshape(2, 2), expected)
    run.write_text(run.read_text().replace("refocusing", "recovery"))
    assert call("simulate", run, "--dry-run") == 2


def test_atoms_whose_T2_is_longer_are_left_out(tmp_path):
    run = tmp_path / "run.toml"
    run.write_text(SEQUENCE.format(pulses=5) + '[tissue]\nT1 = [50, 500]\nT2 = [40, 60]\n[output]\npath = "out.zarr"\n')
    assert call("simulate", run) == 0
    found = open_results(tmp_path / "out.zarr")
    np.testing.assert_array_equal(np.isnan(found.signal.values).any(-1), [[False, True], [False, False]])
    train = epgnumba.sequence.MRF(np.linspace(5, 60, 5), TR=10.0, TI=20.0)
    np.testing.assert_array_equal(found.signal.sel(T1=500, T2=60), epgnumba.simulate(train, [500.0] * 3, [60.0] * 3)[0])


SIGNALS = {  # that lie on the imaginary axis, on the real one, and anywhere
    "imaginary": ({}, {}),
    "real": ({"phases": 90.0}, {}),
    "turned": ({"phases": 30.0}, {}),
    "complex": ({}, {"B0": 9.0}),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_a_compressed_dictionary_is_that_of_an_svd(tmp_path, kind):
    rank, (own, tissue) = 4, SIGNALS[kind]
    run = described(tmp_path, f'[dictionary]\nrank = {rank}\n[output]\npath = "out.zarr"\n')
    text = run.read_text()
    for table, values in (("sequence", own), ("tissue", tissue)):
        text = text.replace(
            f"[{table}]\n", f"[{table}]\n" + "".join(f"{name} = {one}\n" for name, one in values.items())
        )
    run.write_text(text)
    assert call("dictionary", run) == 0
    T1, T2, B1 = atoms()
    signal = epgnumba.simulate(epgnumba.sequence.MRF(FLIP, TR=10.0, TI=20.0, **own), T1, T2, B1=B1, **tissue)
    unit = signal / np.linalg.norm(signal, axis=1, keepdims=True)
    singular = np.linalg.svd(unit, compute_uv=False)
    found = open_results(tmp_path / "out.zarr", flat=True)
    lost = unit - found.coefficients.values @ found.basis.values
    np.testing.assert_allclose(np.linalg.norm(lost), np.linalg.norm(singular[rank:]), rtol=1e-6)
    np.testing.assert_allclose(found.energy, singular[:rank] ** 2 / (singular**2).sum(), rtol=1e-8)
    np.testing.assert_allclose(found.residual, np.linalg.norm(lost, axis=1), atol=1e-7)
    np.testing.assert_allclose(found.norm, np.linalg.norm(signal, axis=1), rtol=1e-12)
    assert found.coefficients.dtype == (np.complex128 if kind == "complex" else np.float64)


def test_a_dictionary_that_is_kept_whole(tmp_path):
    assert call("dictionary", described(tmp_path, '[output]\npath = "out.zarr"\n')) == 0
    T1, T2, B1 = atoms()
    signal = epgnumba.simulate(epgnumba.sequence.MRF(FLIP, TR=10.0, TI=20.0), T1, T2, B1=B1)
    found = open_results(tmp_path / "out.zarr", flat=True)
    np.testing.assert_allclose(found.atom_signal.values * found.norm.values[:, None], signal, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(found.atom_signal, axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("kind", ["simulate", "dictionary"])
def test_one_tissue_alone(tmp_path, kind):
    run = tmp_path / "run.toml"
    tail = "[tissue]\nT1 = 1000\nT2 = 80\n[output]\npath = 'out.zarr'\n"
    run.write_text(SEQUENCE.format(pulses=5) + tail + "[dictionary]\nrank = 1\n" * (kind == "dictionary"))
    assert call(kind, run) == 0
    found = open_results(tmp_path / "out.zarr")
    expected = epgnumba.simulate(epgnumba.sequence.MRF(np.linspace(5, 60, 5), TR=10.0, TI=20.0), 1000, 80)
    if kind == "simulate":
        np.testing.assert_array_equal(found.signal, expected)
    else:
        np.testing.assert_allclose(
            found.norm.values * found.coefficients.values @ found.basis.values, expected, atol=1e-12
        )


def test_a_basis_of_some_atoms_says_what_it_lacks(tmp_path):
    run = described(tmp_path, '[dictionary]\nrank = 4\nbasis_atoms = 100\n[output]\npath = "out.zarr"\n')
    assert call("dictionary", run) == 0
    T1, T2, B1 = atoms()
    signal = epgnumba.simulate(epgnumba.sequence.MRF(FLIP, TR=10.0, TI=20.0), T1, T2, B1=B1)
    unit = signal / np.linalg.norm(signal, axis=1, keepdims=True)
    found = open_results(tmp_path / "out.zarr", flat=True)
    lost = np.linalg.norm(unit - found.coefficients.values @ found.basis.values, axis=1)
    np.testing.assert_allclose(found.residual, lost, atol=1e-7)
    singular = np.linalg.svd(unit, compute_uv=False)
    assert np.linalg.norm(singular[4:]) < np.linalg.norm(lost) < 1.1 * np.linalg.norm(singular[4:])


@pytest.mark.parametrize("kind", ["simulate", "dictionary"])
def test_bits_do_not_depend_on_shards_and_workers(tmp_path, kind):
    tail = '[options]\ndtype = "float32"\n' + "[dictionary]\nrank = 5\n" * (kind == "dictionary")
    for name, engine in {
        "one": "workers = 1\nshard_rows = 5120\n",
        "two": "workers = 2\nshard_rows = 1024\n",
        "three": "workers = 3\nshard_rows = 2048\n",
    }.items():
        run = described(tmp_path, f'{tail}[output]\npath = "{name}.zarr"\n[engine]\n{engine}', name=f"{name}.toml")
        assert call(kind, run) == 0
    assert same(tmp_path / "one.zarr", tmp_path / "two.zarr")
    assert same(tmp_path / "one.zarr", tmp_path / "three.zarr")
    assert Store(tmp_path / "two.zarr").shards == 5


def test_what_is_done_is_not_computed_again(tmp_path, monkeypatch, capsys):
    tail = '[output]\npath = "{}.zarr"\n[engine]\nshard_rows = 1024\n'
    run = described(tmp_path, tail.format("out"))
    whole = described(tmp_path, tail.format("whole"), name="whole.toml")
    assert call("simulate", run) == 0
    assert call("simulate", whole) == 0
    store = Store(tmp_path / "out.zarr")
    signal_ = store.work.variables[0]
    (tmp_path / "out.zarr/.done/1.json").unlink()  # never finished
    damaged = store.file(signal_, 3)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    store.file(signal_, 4).write_bytes(b"")  # lost by a machine that died
    assert call("simulate", run, "--finish") == commands.INCOMPLETE
    assert "3 of 5 shards are missing, of which [3, 4] are damaged" in capsys.readouterr().err
    with pytest.raises(ValueError, match="checksum do not match"):
        open_results(tmp_path / "out.zarr")
    computed, write = [], Store.write

    def noted(self, shard, results):
        computed.append(shard)
        write(self, shard, results)

    monkeypatch.setattr(Store, "write", noted)
    assert call("simulate", run) == 0
    assert sorted(computed) == [1, 3, 4]
    assert same(tmp_path / "out.zarr", tmp_path / "whole.zarr")


def test_a_killed_run_goes_on(tmp_path):
    tail = '[output]\npath = "{}.zarr"\n[engine]\nshard_rows = 1024\nworkers = 2\n'
    options = {"count": 150, "pulses": 120}
    run = described(tmp_path, tail.format("out"), **options)
    running = subprocess.Popen([sys.executable, "-m", "epgnumba", "simulate", run], env=environment())
    marks = tmp_path / "out.zarr/.done"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not marks.exists() or len(list(marks.glob("[0-9]*.json"))) < 4):
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    store = Store(tmp_path / "out.zarr")
    done = [shard for shard in range(store.shards) if store.is_done(shard)]
    assert 4 <= len(done) < store.shards
    with pytest.warns(UserWarning, match="not complete"):
        partly = open_results(tmp_path / "out.zarr", flat=True)
    missing = next(shard for shard in range(store.shards) if shard not in done)
    np.testing.assert_array_equal(np.isnan(partly.signal[store.rows_of(done[0])]), False)
    if not store.file(store.work.variables[0], missing).exists():
        assert np.isnan(partly.signal[store.rows_of(missing)]).all()
    assert call("simulate", run) == 0
    whole = described(tmp_path, tail.format("whole"), name="whole.toml", **options)
    assert call("simulate", whole) == 0
    assert same(tmp_path / "out.zarr", tmp_path / "whole.zarr")
    assert not list((tmp_path / "out.zarr").rglob("*.aside"))


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128", "int8"])
def test_shards_are_as_zarr_reads_them(tmp_path, compression, dtype):
    import zarr

    rng, shape = np.random.default_rng(6), (23, 3)
    data = (30 * rng.normal(size=shape)).astype(dtype)
    if data.dtype.kind == "c":
        data.imag = rng.normal(size=shape)
    array = zarr.create_array(
        tmp_path / "array", shape=shape, chunks=(4, 3), shards=(16, 3), dtype=dtype,
        fill_value=encoding.missing(dtype), compressors=encoding.codecs(compression),
    )  # fmt: skip
    for shard in range(2):
        content = encoding.encoded(data[16 * shard : 16 * (shard + 1)], 16, 4, compression)
        file = tmp_path / f"array/c/{shard}/0"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"".join(content))
    np.testing.assert_array_equal(array[...], data)
    array.resize((32, 3))
    np.testing.assert_array_equal(array[23:], np.full((9, 3), encoding.missing(dtype), dtype))


def test_programs_are_those_of_all_rows(tmp_path):
    """Rows that would be simpler alone, as those on resonance, have the bits that they have in company."""
    field = "B0 = [0, 0, 5]\n"
    tissue = f"[tissue]\nT1 = {{ start = 300, stop = 2000, count = 40 }}\nT2 = 80\n{field}"
    tail = "[dictionary]\nrank = 3\n[output]\npath = 'out.zarr'\n"
    run = tmp_path / "run.toml"
    run.write_text(SEQUENCE.format(pulses=8) + tissue + tail)
    assert call("dictionary", run) == 0
    found = open_results(tmp_path / "out.zarr")
    assert found.coefficients.dtype == np.complex128
    coefficients = found.coefficients.values
    np.testing.assert_array_equal(coefficients[:, 0], coefficients[:, 1])
    train = epgnumba.sequence.MRF(np.linspace(5, 60, 8), TR=10.0, TI=20.0)
    signal = epgnumba.simulate(train, found.T1.values[:, None], 80, B0=[0, 0, 5])
    unit = signal / np.linalg.norm(signal, axis=-1, keepdims=True)
    np.testing.assert_allclose(coefficients, np.einsum("abr,cr->abc", unit, found.basis.values.conj()), atol=1e-13)


def test_job_arrays(tmp_path, capsys):
    tail = '[dictionary]\nrank = 3\n[output]\npath = "{}.zarr"\n[engine]\nshard_rows = 1024\n'
    run = described(tmp_path, tail.format("out"))
    assert call("dictionary", run, "--array-index", 0, "--array-count", 2) == commands.NOT_THERE
    assert "--prepare makes it" in capsys.readouterr().err
    assert call("dictionary", run, "--prepare", "--array-count", 2) == 0
    assert call("dictionary", run, "--array-index", 1, "--array-count", 2) == 0
    store = Store(tmp_path / "out.zarr")
    assert [store.is_done(shard) for shard in range(5)] == [False, True, False, True, False]
    assert call("dictionary", run, "--finish") == commands.INCOMPLETE
    assert call("dictionary", run, "--array-index", 0, "--array-count", 2) == 0
    assert call("dictionary", run, "--finish") == 0
    whole = described(tmp_path, tail.format("whole"), name="whole.toml")
    assert call("dictionary", whole) == 0
    assert same(tmp_path / "out.zarr", tmp_path / "whole.zarr")


def test_there_are_shards_for_every_task(tmp_path):
    run = described(tmp_path, '[output]\npath = "out.zarr"\n', count=120)
    assert make_plan("simulate", run, 1).shard_rows == 7 * 1024  # a quarter of 28,800 rows
    assert make_plan("simulate", run, 1, shares=3).shard_rows == 2 * 1024


def test_designs(tmp_path):
    run = tmp_path / "run.toml"
    run.write_text(
        """
[sequence]
family = "FSE"
flip = [60, 60, 60, 60]
ESP = 8.0
[tissue]
kind = "list"
T1 = 1000
T2 = [60, 100]
[design]
weights = [0, 1]
bounds = { flip = [20, 160] }
starts = 2
sweep = { ESP = [6, 10], exc_flip = [80, 90] }
[output]
path = "out.zarr"
"""
    )
    assert call("design", run, "--workers", 2) == 0
    found = open_results(tmp_path / "out.zarr")
    assert found.flip.dims == ("ESP", "exc_flip", "flip_entry")
    best = found.sel(ESP=10, exc_flip=80)
    train = epgnumba.FSE(best.flip.values, ESP=10, exc_flip=80)
    slopes = epgnumba.jacobian(train, 1000, [60, 100], diff=("M0", "T2"))[1]
    np.testing.assert_allclose(best.bound_T2, epgnumba.crlb(slopes)[:, 1], rtol=1e-10)
    np.testing.assert_allclose(best.value, epgnumba.crlb(slopes)[:, 1].sum(), rtol=1e-10)
    assert (found.value < found.value_before).all()


BAD = {
    ("family = 'MRF'", "family = 'MRFF'"): r"line 3: sequence.family='MRFF' is not allowed: it must be one of",
    ("TR = 10.0", "TRR = 10.0"): "line 5: sequence.TRR is no argument of MRF; did you mean TR",
    ("TR = 10.0", "TR = -1.0"): "line 5: sequence.TR=-1 is not allowed",
    ("TR = 10.0", "TR = 'long'"): "line 5: sequence.TR='long' is text",
    ("TR = 10.0", "TR = "): "Invalid value",
    ("B1 = 1.0", "B1 = 11"): r"line 10: tissue.B1=11 is not allowed: it must be finite, at least 0, at most 10",
    ("B1 = 1.0", "b1 = 1"): "line 10: tissue.b1: is no key that there is",
    ("B1 = 1.0", "B1 = { start = 1, stop = 2 }"): "line 10: tissue.B1.count: is needed|tissue.B1: count: is needed",
    ("B1 = 1.0", "B1 = { start = -1, stop = 1, count = 3, spacing = 'log' }"): "line 10: tissue.B1=.*above zero",
    ("B1 = 1.0", "B1 = { file = 'none.npy' }"): "line 10: tissue.B1: .*none.npy cannot be read",
    ("B1 = 1.0", "B1 = [true]"): "line 10: tissue.B1=.*numbers are needed",
    ("T2 = [50, 60]", ""): "tissue.T2: is needed",
    ("T2 = [50, 60]", "T2 = [500, 600]"): "line [0-9]+: tissue.T2 is longer than tissue.T1 in every atom",
    ("[output]\npath = 'out.zarr'", ""): "output: is needed",
    ("path = 'out.zarr'", ""): "line [0-9]+: output.path: is needed",
    ("workers = 2", "workers = 0"): "line [0-9]+: engine.workers=0 is not allowed",
    ("workers = 2", "workers = 'two'"): "line [0-9]+: engine.workers: expected `int | null`, got `str`",
    ("workers = 2", "memory = '10 MB'"): 'line [0-9]+: engine.memory="10 MB" is not enough',
    ("workers = 2", "memory = '10'"): "line [0-9]+: engine.memory='10' is not allowed: a size such as",
    ("workers = 2", "shard_rows = 1000"): "line [0-9]+: engine.shard_rows=1000 is not allowed: it must be a multiple",
    ("rank = 2", "rank = 9"): "line [0-9]+: dictionary.rank=9 is not allowed: there are 4 readouts",
    ("rank = 2", "rank = 0"): "line [0-9]+: dictionary.rank=0 is not allowed",
    ("nstates = 3", "nstates = 0"): "nstates=0 is not allowed",
    ("rank = 2", "basis_atoms = 9"): "line [0-9]+: dictionary.basis_atoms is not allowed without dictionary.rank",
    ("B1 = 1.0", "kind = 'list'\nT2_above_T1 = 'keep'"): "line [0-9]+: tissue.T2_above_T1 is not allowed",
    ("B1 = 1.0", "mask = { file = 'mask.nii' }"): "line [0-9]+: tissue.mask is not allowed",
    ("workers = 2", "scheduler = 'tcp://localhost:1'"): "line [0-9]+: engine.scheduler is not allowed",
    ("path = 'out.zarr'", "path = 'out.zarr'\nnifti = 'out'"): "line [0-9]+: output.nifti is not allowed",
    ("[engine]", "[design]\nstarts = 2\n[engine]"): "line [0-9]+: design.starts is not allowed of the command dict",
    ("B1 = 1.0", "D = 1.0"): "D and velocity depend on .*: use sequence.scanner.gradient_area, the area",
    (
        "TI = 20.0\n[tissue]\nT1 = [100, 200]\nT2 = [50, 60]\nB1 = 1.0\n[options]\nnstates = 3",
        "TI = 900.0\n[tissue]\nT1 = 200\nT2 = 60\nB0 = [0, 1, 2, 3, 4, 9e5, 5]\n[options]\ndtype = 'float32'",
    ): "B0=900000 Hz is not allowed here",
    ("nstates = 3", "diff = ['T1']"): "line [0-9]+: options.diff is not allowed of a dictionary",
}
GOOD = """
[sequence]
family = 'MRF'
flip = [5, 10, 15, 20]
TR = 10.0
TI = 20.0
[tissue]
T1 = [100, 200]
T2 = [50, 60]
B1 = 1.0
[options]
nstates = 3
[dictionary]
rank = 2
[output]
path = 'out.zarr'
[engine]
workers = 2
"""


@pytest.mark.parametrize("change", BAD, ids=lambda change: change[1] or f"without {change[0]}")
def test_what_is_wrong_is_told_by_key_and_line(tmp_path, capsys, change):
    run = tmp_path / "run.toml"
    assert change[0] in GOOD
    run.write_text(GOOD.replace(*change))
    assert call("dictionary", run) == commands.NOT_ALLOWED
    told = capsys.readouterr().err
    assert re.search(BAD[change], told), told
    assert not (tmp_path / "out.zarr").exists()


def test_another_run_is_not_mixed_in(tmp_path, capsys):
    run = described(tmp_path, '[output]\npath = "out.zarr"\n', count=5)
    assert call("simulate", run) == 0
    run.write_text(run.read_text().replace("TR = 10.0", "TR = 11.0"))
    assert call("simulate", run) == commands.FAILED
    assert "is of another run, which differs in sequence.TR" in capsys.readouterr().err


@pytest.mark.parametrize("kind", commands.COMMANDS)
def test_examples_are_allowed_and_tell_the_defaults(tmp_path, kind):
    path = tmp_path / "example.toml"
    assert call("init", kind, "-o", path) == 0
    assert call("init", kind, "-o", path) == commands.NOT_ALLOWED  # nothing is overwritten
    read(path)
    if kind != "fit":  # which has no data yet
        make_plan(kind, path)
    table = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            table = line[1 : line.index("]")]
        found = re.fullmatch(r"# (\w+) = (.*?) *(#.*)?", line)
        if found and table != "sequence":
            told, default = msgspec.toml.decode(f"value = {found[2]}")["value"], default_of(table, found[1])
            if "by default" not in (found[3] or ""):
                assert told == (list(default) if isinstance(default, tuple) else default)


def default_of(table, key):
    """What a key of a table is by default."""
    kinds = {one.name: one for one in msgspec.structs.fields(Description)}
    fields = {one.name: one for one in msgspec.structs.fields(kinds[table].type)}
    return fields[key].default


def test_a_dry_run_says_what_it_takes(tmp_path, capsys):
    run = described(tmp_path, '[output]\npath = "out.zarr"\n')
    assert call("simulate", run, "--dry-run") == 0
    told = capsys.readouterr().out
    for word in ("5000 rows (atoms)", "signal: 5000 x 30 complex128, 2.4 MB", "memory: 0.", "time: about"):
        assert word in told
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="root mounts the small disk")
def test_a_full_disk_is_told_and_survived(tmp_path, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", disk], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        run = described(tmp_path, '[output]\npath = "disk/out.zarr"\n[engine]\nshard_rows = 1024\n')
        assert call("simulate", run) == commands.FAILED
        assert "No space left on device" in capsys.readouterr().err
        store = Store(disk / "out.zarr")
        done = [shard for shard in range(store.shards) if store.is_done(shard)]
        assert 0 < len(done) < store.shards
        assert not list(disk.rglob("*.aside"))
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert call("simulate", run) == 0
        assert np.isfinite(open_results(disk / "out.zarr").signal.values).all()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_cache_folder_that_cannot_be_written_is_told_and_survived(tmp_path):
    run = described(tmp_path, '[output]\npath = "out.zarr"\n', count=5, pulses=3)
    blocked = tmp_path / "file"
    blocked.write_text("")  # no folder can be made in it, not by root either
    told = subprocess.run(
        [sys.executable, "-m", "epgnumba", "simulate", run], capture_output=True, text=True,
        env={**environment(), "EPGNUMBA_CACHE_DIR": str(blocked / "cache")},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "compiled code is not kept" in told.stderr
    assert "is complete" in told.stderr


def test_what_is_missing_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "batch", ("no_such_module",))
    assert call("simulate", tmp_path / "none.toml") == commands.NOT_THERE
    assert 'no_such_module is needed: pip install "epgnumba[batch]"' in capsys.readouterr().err
    monkeypatch.undo()
    assert call("simulate", tmp_path / "none.toml") == commands.NOT_ALLOWED
    assert "cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        call("simulate", tmp_path / "none.toml", "--prepare", "--finish")
    assert ended.value.code == 2
    run = described(tmp_path, '[output]\npath = "out.zarr"\n')
    assert call("simulate", run, "--array-index", 2, "--array-count", 2) == commands.NOT_ALLOWED
    assert call("info") == 0
    assert "compiled code" in capsys.readouterr().out


@pytest.fixture
def brain(tmp_path):
    """Maps as NIfTI files, NaN outside of a mask."""
    pytest.importorskip("nibabel")
    from epgnumba.files import write_map

    rng, shape = np.random.default_rng(2), (7, 5, 3)
    mask = rng.random(shape) > 0.3
    maps = {"T1": rng.uniform(500, 2000, shape), "T2": rng.uniform(30, 120, shape), "B1": rng.uniform(0.8, 1.2, shape)}
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    for name, array in maps.items():
        write_map(tmp_path / f"{name}.nii.gz", np.where(mask, array, np.nan), affine)
    write_map(tmp_path / "mask.nii", mask, affine)
    return maps, mask, affine


TRAIN = """
[sequence]
family = "FSE"
flip = [150, 140, 130, 120, 130, 140, 150, 160]
ESP = 9.0
"""


def test_maps_in_and_out(tmp_path, brain):
    from epgnumba.files import read_map

    maps, mask, affine = brain
    run = tmp_path / "run.toml"
    files = "".join(f'{name} = {{ file = "{name}.nii.gz" }}\n' for name in maps)
    tissue = f'[tissue]\nkind = "maps"\nmask = {{ file = "mask.nii" }}\n{files}'
    run.write_text(f'{TRAIN}{tissue}[output]\npath = "out.zarr"\nnifti = "out"\n')
    assert call("simulate", run) == 0
    expected = epgnumba.simulate(epgnumba.FSE([150, 140, 130, 120, 130, 140, 150, 160], ESP=9.0), mask=mask, **maps)
    found = open_results(tmp_path / "out.zarr")
    assert found.signal.dims == ("x", "y", "z", "readout")
    np.testing.assert_array_equal(found.signal.values[mask], expected[mask])
    assert np.isnan(found.signal.values[~mask]).all()
    written, where = read_map(tmp_path / "out/signal.nii.gz")
    np.testing.assert_array_equal(written, found.signal)
    np.testing.assert_array_equal(where, affine)


def test_fits(tmp_path, brain):
    pytest.importorskip("epgnumba.estimate")
    from epgnumba.files import read_map, write_map

    maps, mask, _ = brain
    train = epgnumba.FSE([150, 140, 130, 120, 130, 140, 150, 160], ESP=9.0)
    data = epgnumba.simulate(train, **maps, M0=2.0)
    write_map(tmp_path / "echoes.nii.gz", np.abs(data))
    known = "".join(f'{name} = {{ file = "{name}.nii.gz" }}\n' for name in ("T1", "B1"))
    tail = f'[tissue]\nmask = {{ file = "mask.nii" }}\n{known}[fit]\ndata = {{ file = "echoes.nii.gz" }}\n'
    run = tmp_path / "run.toml"
    run.write_text(f'{TRAIN}{tail}[output]\npath = "out.zarr"\nnifti = "out"\n')
    assert call("fit", run) == 0
    T2 = read_map(tmp_path / "out/T2.nii.gz")[0]
    np.testing.assert_allclose(T2[mask], maps["T2"][mask], rtol=1e-5)
    np.testing.assert_allclose(open_results(tmp_path / "out.zarr").M0.values[mask], 2.0, rtol=1e-5)
    assert np.isnan(T2[~mask]).all()
    (tmp_path / "echoes.nii.gz").unlink()
    write_map(tmp_path / "echoes.nii.gz", np.abs(data) * 2)
    assert call("fit", run) == commands.FAILED  # other data, other run


def test_a_pulseq_file_as_sequence(tmp_path):
    pytest.importorskip("pypulseq")
    from epgnumba.files import write_pulseq

    train = epgnumba.FSE([150.0, 120, 90, 60], ESP=9.0)
    written = write_pulseq(train, tmp_path / "train.seq")
    run = tmp_path / "run.toml"
    tail = '[tissue]\nkind = "list"\nT1 = 1000\nT2 = [50, 60, 70]\n[output]\npath = "out.zarr"\n'
    run.write_text(f'[sequence]\npulseq = "train.seq"\n{tail}')
    assert call("simulate", run) == 0
    found = open_results(tmp_path / "out.zarr").signal.values
    np.testing.assert_array_equal(found, epgnumba.simulate(written, 1000.0, [50.0, 60, 70]))
    np.testing.assert_allclose(found, epgnumba.simulate(train, 1000.0, [50.0, 60, 70]), atol=1e-5)


def test_events_as_sequence(tmp_path, capsys):
    run = tmp_path / "run.toml"
    tail = '[tissue]\nkind = "list"\nT1 = 1000\nT2 = [50, 60, 70]\n[output]\npath = "out.zarr"\n'
    head = '[sequence]\nfamily = "events"\nevents = [["Pulse", 90, 90], ["Wait", 5], ["Readout", {}]]\n'
    run.write_text(head.format(90) + tail)
    assert call("simulate", run) == 0
    np.testing.assert_allclose(
        open_results(tmp_path / "out.zarr").signal.values[:, 0], -1j * np.exp(-5 / np.array([50, 60, 70])), rtol=1e-12
    )
    run.write_text(head.format("'late'") + tail)
    assert call("simulate", run) == commands.NOT_ALLOWED
    assert "line 3: sequence.events[2]: Readout.phase: 'late' stands" in capsys.readouterr().err
