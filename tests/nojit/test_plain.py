"""The CPU kernels as plain Python: the numbers of compiled code, and no step outside of what is theirs.

Run with NUMBA_DISABLE_JIT=1, as .ci/run does; compiled numbers come from a process without it.
"""

import os
import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pytest
from numba.core import config
from players import play

import epgnumba
from epgnumba.design.bound import is_regular

if not config.DISABLE_JIT:
    pytest.skip("needs NUMBA_DISABLE_JIT=1", allow_module_level=True)

from epgnumba.kernels import batch, crlb, jit

CASES = dict(cases.cases())


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Every number by compiled code, by name."""
    path = tmp_path_factory.mktemp("compiled") / "results.npz"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "0", "PYTHONPATH": str(Path(epgnumba.__file__).parents[1])}
    subprocess.run([sys.executable, cases.__file__, str(path)], check=True, env=environment)
    with np.load(path) as kept:
        return dict(kept)


def fence(pointers, others=()):
    """The same pointers, each kept from where the next of all of them begins; what is no pointer stays."""
    made = [p for p in (*pointers, *others) if isinstance(p, jit.Pointer)]

    def fenced(p):
        if not isinstance(p, jit.Pointer):
            return p
        neighbours = [q for q in made if q.numbers.ctypes.data == p.numbers.ctypes.data]
        end = min((q.start for q in neighbours if q.start > p.start), default=None)
        return jit.Pointer(p.numbers[p.start : end], 0)

    return type(pointers)(*map(fenced, pointers))


@pytest.fixture(autouse=True)
def fences(monkeypatch):
    """A thread's room, the values of a call and its sums are one array each: none of what is in it leaves its place."""
    select, select_bars = batch.select, batch.select_bars

    def fenced_select(call, room, part):
        parts = [select(call, room, each) for each in (batch.SIGNAL, batch.last_part(call))]
        return fence(parts[part], parts[1 - part])

    def fenced_bars(player, sums, lane, part, group, n_groups):
        others = [
            select_bars(player, sums, lane, p, g, n_groups)
            for p in range(len(sums) // (n_groups * player.sizes[batch.col.SUMS_WIDTH]))
            for g in range(n_groups)
        ]
        return fence(others[part * n_groups + group], [pointer for bars in others for pointer in bars])

    for module in (batch, crlb):
        monkeypatch.setattr(module, "select", fenced_select)
    monkeypatch.setattr(batch, "select_bars", fenced_bars)


@pytest.mark.parametrize("name", CASES)
def test_numbers_of_compiled_code(compiled, name):
    tolerance = 1e-5 if "float32" in name else 1e-13  # single precision is kept in other places by NumPy and by Numba
    found = CASES[name]()
    assert {key for key in compiled if key.startswith(f"{name}: ")} == {f"{name}: {key}" for key in found}
    for key, value in found.items():
        expected = compiled[f"{name}: {key}"]
        assert value.dtype == expected.dtype
        # Derivatives that vanish are sums of terms of order one that cancel.
        size = max(abs(expected[np.isfinite(expected)]).max(initial=0), 0.1)
        np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance * size, err_msg=key)


@pytest.mark.parametrize("name", cases.SEGMENTED)
def test_segments_change_nothing(compiled, name):
    for key in (key for key in compiled if key.startswith(f"{name}: ")):
        straight = compiled[key.replace(name, f"{name}, straight", 1)]
        np.testing.assert_array_equal(compiled[key], straight, err_msg=key)


@pytest.mark.parametrize("name", cases.SEQUENCES)
def test_signals_of_an_independent_simulation(name):
    sequence, short = cases.SEQUENCES[name], {"T1": 50.0} if name in cases.SHORT else {}
    tissue = {**cases.THREE, "B0": cases.B0 * np.arange(3), **short}
    each = [{key: np.broadcast_to(value, 3)[n] for key, value in tissue.items()} for n in range(3)]
    expected = [play(sequence, **one) for one in each]
    np.testing.assert_allclose(epgnumba.simulate(sequence, **tissue), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(epgnumba.simulate(sequence, **each[0]), expected[0], rtol=0, atol=1e-12)


def test_pointers():
    table = np.arange(12.0).reshape(3, 4)
    middle = jit.at(table, 5)
    assert (middle[0], middle[np.uint64(6)], middle[-5], jit.at(middle, -3)[0]) == (5, 11, 0, 2)
    middle[1] = -1
    assert table[1, 2] == -1
    beyond = jit.at(middle, 7)  # as pointers may be, so long as nothing is read there
    assert beyond[-1] == 11
    for pointer, i in ((beyond, 0), (middle, 7), (middle, -6), (jit.at(table, 0), -1)):
        with pytest.raises(IndexError, match="out of bounds"):
            pointer[i]
        with pytest.raises(IndexError, match="out of bounds"):
            pointer[i] = 0
    with pytest.raises(TypeError, match="contiguous"):
        jit.at(table[:, 1:], 0)
    with pytest.raises(TypeError):
        middle[1.0]


def test_decay():
    for x in (0.0, -1e-9, -0.3, -1.0, -20.0, -700.0):
        assert jit.decay_factor(np.float64(x)) == pytest.approx(np.exp(x), rel=4e-16)
    assert 0 <= jit.decay_factor(np.float64(-1e9)) < 1e-300
    assert np.isnan(jit.decay_factor(np.float64(np.nan)))
    assert jit.decay_factor(np.complex128(-1 + 1e-30j)).imag == pytest.approx(np.exp(-1) * 1e-30, rel=1e-15)


@pytest.mark.parametrize(("limit", "regular"), [(0.05, True), (0.15, False), (0.25, False)])
def test_what_makes_a_matrix_singular(limit, regular):
    """Eigenvalues 0.1 and 1.9, so that the trace of the inverse is 10.5; the second pivot is 0.19."""
    fisher, inverse = np.array([[1.0, 0.9], [0.9, 1.0]]), np.zeros((2, 2))
    assert crlb.invert(fisher, inverse, limit) == regular == is_regular(np.linalg.eigvalsh(fisher), limit)
    if regular:
        np.testing.assert_allclose(inverse, np.linalg.inv(fisher), rtol=1e-14)
