"""Dictionaries: against plain NumPy, and each other after compression, blocks, a file."""

import json

import numpy as np
import pytest

import epgnumba
from epgnumba.estimate import Dictionary, Status, dictionary
from epgnumba.sequence import MRF

TRAIN = epgnumba.FSE([150.0] * 20, ESP=9)
PRINT = MRF(20 + 30 * np.sin(np.arange(80) / 9), TR=12, TI=20, phases=np.arange(80) ** 2 * 7.0)
GRID = {"T1": [600.0, 900.0, 1400.0], "T2": np.geomspace(30, 200, 40), "B1": [0.8, 0.9, 1.0]}


def noisy(signal, noise, seed=0):
    rng = np.random.default_rng(seed)
    return signal + noise * (rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape))


def plainly(atoms, data, kind):
    """Matching as anybody would write it: the whole table of inner products."""
    unit = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    inner = data @ unit.conj().T
    scores = abs(inner) if kind == "complex M0" else abs(inner.real)
    best = scores.argmax(axis=1)
    rows = np.arange(len(data))
    m0 = (inner if kind == "complex M0" else inner.real)[rows, best] / np.linalg.norm(atoms, axis=1)[best]
    return best, m0, scores[rows, best] / np.linalg.norm(data, axis=1)


@pytest.mark.parametrize("kind", ["real M0", "complex M0", "magnitude"])
@pytest.mark.parametrize("sequence", [TRAIN, PRINT], ids=["train", "fingerprint"])
def test_plain_numpy_agrees(sequence, kind, monkeypatch):
    monkeypatch.setattr(dictionary, "VOXELS", 7)
    monkeypatch.setattr(dictionary, "ATOMS", 100)
    monkeypatch.setattr(dictionary, "SIMULATED", 5000)
    made = Dictionary.grid(sequence, **GRID, magnitude=kind == "magnitude")
    assert len(made) == 360
    atoms = epgnumba.simulate(sequence, **made.values)
    rng = np.random.default_rng(3)
    truth = {"T1": rng.uniform(600, 1400, 30), "T2": rng.uniform(30, 200, 30), "B1": rng.uniform(0.8, 1, 30)}
    data = noisy(epgnumba.simulate(sequence, **truth, M0=rng.uniform(-2, 2, 30)), 0.01)
    if kind == "complex M0":
        data *= np.exp(2j * np.arange(30))[:, None]
    if kind == "magnitude":
        data, atoms = abs(data), abs(atoms)
    best, m0, correlation = plainly(atoms, data, kind)
    found = made.match(data.reshape(5, 6, -1), complex_M0=kind == "complex M0")
    assert np.array_equal(found.index.ravel(), best)
    assert found.maps["M0"].ravel() == pytest.approx(m0, rel=1e-10)
    assert found.correlation.ravel() == pytest.approx(correlation, rel=1e-10)
    for name in GRID:
        assert np.array_equal(found.maps[name].ravel(), made.values[name][best])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compression_keeps_the_match(dtype):
    whole = Dictionary.grid(TRAIN, **GRID)
    small = Dictionary.grid(TRAIN, **GRID, rank=8, dtype=dtype)
    assert (whole.rank, small.rank, small.atoms.dtype) == (20, 8, np.dtype(dtype))
    signal = epgnumba.simulate(TRAIN, **whole.values)
    vectors = np.linalg.svd(signal.real, full_matrices=False)[2][:8]
    kept = np.linalg.norm(signal.real @ vectors.T, axis=1) / np.linalg.norm(signal, axis=1)
    assert kept.min() > 1 - 1e-5
    data = 3 * signal
    found = small.match(data)
    assert (found.index == np.arange(len(whole))).mean() > 0.99
    assert found.correlation == pytest.approx(kept, rel=1e-5)
    near = np.abs(found.maps["T2"] / whole.values["T2"] - 1)
    assert near.max() < 0.06  # a step of the grid
    assert np.median(abs(found.maps["M0"] - 3)) < 1e-6


def test_many_signals_are_never_held_together(monkeypatch):
    whole = Dictionary.grid(TRAIN, **GRID, rank=6)
    monkeypatch.setattr(dictionary, "KEPT", 0)
    monkeypatch.setattr(dictionary, "SIMULATED", 1000)
    parts = Dictionary.grid(TRAIN, **GRID, rank=6)
    assert abs(parts.atoms) == pytest.approx(abs(whole.atoms), abs=1e-9)  # directions have no sign
    data = epgnumba.simulate(TRAIN, 900.0, [50.0, 90.0], M0=2.0)
    assert parts.match(data).maps["M0"] == pytest.approx(whole.match(data).maps["M0"])


def test_energy_is_what_is_kept():
    signal = epgnumba.simulate(TRAIN, **Dictionary.grid(TRAIN, **GRID).values).real
    parts = np.cumsum(np.linalg.svd(signal, compute_uv=False) ** 2) / (signal**2).sum()
    for share in (0.9, 0.999, 1 - 1e-9):
        assert Dictionary.grid(TRAIN, **GRID, energy=share).rank == int((parts < share).sum()) + 1


def test_a_longer_t2_is_left_out_of_a_grid():
    made = Dictionary.grid(TRAIN, T1=[50, 900], T2=[40, 60, 80])
    assert sorted(zip(made.values["T1"], made.values["T2"], strict=True)) == [(50, 40), (900, 40), (900, 60), (900, 80)]


def test_lists_are_atoms():
    made = Dictionary(TRAIN, T1=900.0, T2=[40.0, 60.0, 80.0], B1=[0.8, 0.9, 1.0])
    assert len(made) == 3
    found = made.match(epgnumba.simulate(TRAIN, 900.0, 60.0, B1=0.9, M0=5.0))
    assert (found.index, found.maps["B1"], found.correlation) == (1, 0.9, pytest.approx(1))
    assert found.maps["M0"] == pytest.approx(5.0)


@pytest.mark.parametrize("kind", ["real M0", "complex M0", "magnitude"])
def test_bad_voxels_have_no_match(kind):
    made = Dictionary.grid(TRAIN, **GRID, magnitude=kind == "magnitude")
    data = epgnumba.simulate(TRAIN, 900.0, np.full(6, 60.0))
    data = abs(data) if kind == "magnitude" else data
    data[1], data[2, 3], data[4] = 0, np.nan, np.inf
    found = made.match(data, complex_M0=kind == "complex M0", mask=[True] * 5 + [False])
    assert (found.index >= 0).tolist() == [True, False, False, True, False, False]
    for array in (*found.maps.values(), found.correlation):
        assert np.isnan(array).tolist() == [False, True, True, False, True, True]


@pytest.mark.parametrize("kind", ["real M0", "complex M0", "magnitude"])
def test_a_match_is_refined(kind):
    made = Dictionary.grid(
        TRAIN, T1=900.0, T2=np.geomspace(30, 200, 15), B1=[0.7, 0.8, 0.9, 1.0], magnitude=kind == "magnitude"
    )
    rng = np.random.default_rng(4)
    truth = {"T2": rng.uniform(40, 150, 20), "B1": rng.uniform(0.72, 0.98, 20), "M0": rng.uniform(1, 2, 20)}
    data = epgnumba.simulate(TRAIN, 900.0, **truth)
    if kind == "complex M0":
        data, truth["M0"] = 1j * data, 1j * truth["M0"]
    data = abs(data) if kind == "magnitude" else data
    data[3] = np.nan
    found = made.refine(data, complex_M0=kind == "complex M0")
    assert found.unknowns == ("M0", "T2", "B1")
    assert found.status[3] == Status.NOT_FINITE
    for name, values in truth.items():
        assert np.delete(found.maps[name], 3) == pytest.approx(np.delete(values, 3), rel=1e-8)
    given = made.refine(data, made.match(data, complex_M0=kind == "complex M0"), complex_M0=kind == "complex M0")
    assert np.array_equal(given.maps["T2"], found.maps["T2"], equal_nan=True)


@pytest.mark.parametrize(
    "options", [{}, {"rank": 5, "dtype": "float32"}, {"magnitude": True}, {"slice_prof": [0.5, 1]}]
)
def test_a_file_holds_it(options, tmp_path):
    made = Dictionary.grid(TRAIN, **GRID, **options)
    made.save(tmp_path / "atoms.npz")
    data = epgnumba.simulate(TRAIN, 900.0, [50.0, 90.0], M0=2.0, slice_prof=options.get("slice_prof", 1.0))
    data = abs(data) if options.get("magnitude") else data
    for sequence in (None, TRAIN):
        again = Dictionary.load(tmp_path / "atoms.npz", sequence)
        one, other = made.match(data), again.match(data)
        for name in one.maps:
            assert np.array_equal(one.maps[name], other.maps[name])
        assert again.atoms.dtype == made.atoms.dtype
    assert again.refine(data).maps["T2"] == pytest.approx(made.refine(data).maps["T2"])
    with pytest.raises(ValueError, match="loaded without its sequence"):
        Dictionary.load(tmp_path / "atoms.npz").refine(data)


def test_another_sequence_is_not_its_own(tmp_path):
    path = tmp_path / "atoms.npz"
    Dictionary.grid(TRAIN, **GRID).save(path)
    for other in (epgnumba.FSE([150.0] * 19, 9), epgnumba.FSE([150.0] * 20, 9.5), PRINT):
        with pytest.raises(ValueError, match="sequence=.* is not the one"):
            Dictionary.load(path, other)
    with pytest.raises(TypeError, match="sequence="):
        Dictionary.load(path, "FSE")


def without(name):
    return lambda arrays: arrays.pop(name)


def changed(name, change):
    return lambda arrays: arrays.update({name: change(arrays[name])})


def of_format(value):
    return changed("metadata", lambda text: np.array(json.dumps({**json.loads(str(text)), "format": value})))


@pytest.mark.parametrize(
    "damage",
    [
        without("atoms"), without("metadata"), without("value_T2"), of_format(2), of_format(None),
        changed("atoms", lambda x: x[:-1]), changed("atoms", lambda x: x.astype(np.int64)),
        changed("atoms", lambda x: x * np.nan), changed("basis", lambda x: x[:, :-1]),
        changed("norms", lambda x: x.astype(object)), changed("metadata", lambda x: np.array("{")),
        changed("value_B1", lambda x: x[None]),
    ],
)  # fmt: skip
def test_damage_is_told(damage, tmp_path):
    path = tmp_path / "atoms.npz"
    Dictionary.grid(TRAIN, **GRID).save(path)
    with np.load(path) as kept:
        arrays = dict(kept)
    damage(arrays)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="does not hold a dictionary"):
        Dictionary.load(path)


def test_other_files_are_told(tmp_path):
    path = tmp_path / "atoms.npz"
    for content in (b"", b"text", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="does not hold a dictionary"):
            Dictionary.load(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match="does not hold a dictionary"):
        Dictionary.load(tmp_path / "one.npy")
    with pytest.raises(FileNotFoundError):
        Dictionary.load(tmp_path / "nothing.npz")
    with pytest.raises(TypeError, match="path="):
        Dictionary.load(3)


def test_no_voxels():
    found = Dictionary.grid(TRAIN, **GRID).match(np.ones((0, 3, 20)) + 0j)
    assert found.maps["T2"].shape == found.index.shape == (0, 3)


def test_dark_atoms_are_never_matched():
    made = Dictionary(MRF([0.0, 1e-9], TR=12, inversion=None), T1=900.0, T2=[50.0])
    assert len(made) == 1
    with pytest.raises(ValueError, match="no signal"):
        Dictionary(epgnumba.FSE([180.0], 9, exc_flip=0.0), T1=900.0, T2=50.0)


def test_progress_is_shown(capsys):
    made = Dictionary.grid(TRAIN, **GRID)
    data = epgnumba.simulate(TRAIN, 900.0, np.full(30, 60.0))
    made.match(data)
    assert capsys.readouterr().err == ""
    shown = Dictionary.grid(TRAIN, **GRID, progress=True)
    assert f"{float(len(made)):.3g}"[:3] in capsys.readouterr().err
    np.testing.assert_array_equal(shown.atoms, made.atoms)
    made.match(data, progress=True)
    assert "30.0/30.0" in capsys.readouterr().err
