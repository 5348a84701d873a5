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

if not config.DISABLE_JIT:
    pytest.skip("needs NUMBA_DISABLE_JIT=1", allow_module_level=True)

from epgnumba.kernels import columns as col
from epgnumba.kernels import elementary, forward, jit, load, player, reverse

CASES = dict(cases.cases())


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Every number by compiled code, by name."""
    path = tmp_path_factory.mktemp("compiled") / "results.npz"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "0", "PYTHONPATH": str(Path(epgnumba.__file__).parents[1])}
    subprocess.run([sys.executable, cases.__file__, str(path)], check=True, env=environment)
    with np.load(path) as kept:
        return dict(kept)


def fence(owner, names, starts, further=0):
    """Keep each memory of `owner` from where the next one begins, of the same array, but for `further` numbers.

    `starts`: where others begin.
    """
    memories = {name: getattr(owner, name) for name in names}
    for name, memory in memories.items():
        pointer = memory.pointer
        behind = [other.pointer.start for other in memories.values() if other.pointer.numbers is pointer.numbers]
        end = min((start for start in (*behind, *starts) if start > pointer.start), default=None)
        setattr(
            owner,
            name,
            type(memory)(jit.Pointer(pointer.numbers[pointer.start : end and end + further], 0), memory.width),
        )


ROOM = "rates", "seeds", "decay", "pools", "trig", "amplitudes", "amplitude_bars", "space", "adjoint"


@pytest.fixture(autouse=True)
def fences(monkeypatch):
    """A thread's room, the values of a call and its sums are one array each: none of what is in it leaves its place."""

    class Fenced(player.Player):
        def __init__(self, shape, tables, sizes, values, room):
            super().__init__(shape, tables, sizes, values, room)
            here = col.SCRATCH_AT, col.BOUNDARY_AT, col.TRIG_AT, col.AMPLITUDES_AT, col.AMPLITUDES_BAR_AT
            rows = (0, col.N_SIZE) if sizes[col.BOUNDARY] and len(sizes.pointer.numbers) > 2 * col.N_SIZE else (0,)
            first = sizes.pointer.start // col.N_SIZE * col.N_SIZE
            table = sizes.pointer.numbers
            fence(self, ROOM, [table[row + place] for row in (*rows, first) for place in here])
            shared, own = (
                (col.ROUNDING_AT, col.DEPHASING_AT, col.VALUES_STRIDE),
                (col.FLIPS_AT, col.POWERS_AT, col.TURNS_AT, col.WAVES_AT),
            )
            of_values = [first + place for place in shared] + [row + place for row in rows for place in own]
            starts = [values.pointer.start + table[place] for place in of_values]
            names = "durations", "flips", "powers", "turns"
            fence(self, names, starts, col.VECTOR - 1)  # their last vector reaches beyond
            if shape.waves:
                fence(self, ("waves",), starts)

    class FencedBars(reverse.Bars):
        def __init__(self, player, lane, sums):
            super().__init__(player, lane, sums)
            base, sizes = sums.pointer.start, player.sizes
            fence(self, ("rates", "seeds", "start", "pools"), [])
            places = col.FACTOR_SUMS_AT, col.SUMS_WIDTH
            fence(self, ("flips", "powers", "turns", "durations"), [base + sizes[place] for place in places])

    for module in (forward, reverse, load):
        monkeypatch.setattr(module, "Player", Fenced)
    monkeypatch.setattr(reverse, "Bars", FencedBars)


@pytest.mark.parametrize("name", CASES)
def test_numbers_of_compiled_code(compiled, name):
    tolerance = 1e-5 if "float32" in name else 1e-13  # single precision is kept in other places by NumPy and by Numba
    tolerance = 1e-6 if name.startswith("fit") else tolerance  # of steps that end within their tolerance
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
    def decayed(x):
        return elementary.exp(np.array([x]), -707.0)[0]

    for x in (0.0, -1e-9, -0.3, -1.0, -20.0, -700.0):
        assert decayed(x) == pytest.approx(np.exp(x), rel=4e-16)
    assert 0 <= decayed(-1e9) < 1e-300
    assert np.isnan(decayed(np.nan))
    assert decayed(-1 + 1e-30j).imag == pytest.approx(np.exp(-1) * 1e-30, rel=1e-15)
