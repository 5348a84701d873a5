"""The same bits for any number of threads and any chunks; threads where they are worth it, and nowhere else."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba.core import config
from problems import Problem

import epgnumba
from epgnumba import FSE, engine, jacobian


@pytest.fixture
def threads():
    yield epgnumba.set_num_threads
    epgnumba.set_num_threads(None)


def everything(problem):
    signal, derivatives = problem.run()
    return [signal, derivatives, *problem.gradient().values()]


@pytest.mark.parametrize("case", [{"phases": 0.0}, {"TR": 200.0, "positions": 2}])
def test_threads_and_chunks_do_not_matter(threads, monkeypatch, case):
    problem = Problem(1, n_echoes=12, tissue=(23, 31), **case)
    monkeypatch.setattr(engine.threads, "SMALL", 0)
    threads(1)
    expected = everything(problem)
    for count, chunk in ((2, 1e9), (3, 1.0), (5, 3e4)):
        threads(count)
        monkeypatch.setattr(engine.threads, "CHUNK_UPDATES", chunk)
        for left, right in zip(everything(problem), expected, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("phases", [0.0, 25.0])
def test_a_voxel_does_not_see_its_neighbours(phases):
    """Alone (its orders side by side) or in a crowd (its lane): the same instructions, the same bits."""
    rng = np.random.default_rng(0)
    T1, T2, B1 = rng.uniform(300, 1500, 37), rng.uniform(30, 150, 37), rng.uniform(0.7, 1.2, 37)
    train = FSE(rng.uniform(20, 180, 21), 6, phases=phases, TR=300.0)
    signal, derivatives = jacobian(train, T1, T2, B1=B1, diff=("T1", "T2", "B1"))
    for n in (0, 7, 36):
        alone = jacobian(train, T1[n], T2[n], B1=B1[n], diff=("T1", "T2", "B1"))
        np.testing.assert_array_equal(alone[0], signal[n])
        np.testing.assert_array_equal(alone[1], derivatives[n])
    np.testing.assert_array_equal(jacobian(train, T1[5:19], T2[5:19], B1=B1[5:19], diff="T2")[0], signal[5:19])


def test_calls_from_several_threads():
    train, results = FSE(np.full(20, 100.0), 6), {}

    def call(n):
        results[n] = [jacobian(train, 900, 50.0 + n + np.arange(40), diff="T2")[1] for _ in range(20)]

    workers = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for n, got in results.items():
        expected = jacobian(train, 900, 50.0 + n + np.arange(40), diff="T2")[1]
        assert all((result == expected).all() for result in got)


def test_an_error_in_a_worker_arrives(threads, monkeypatch):
    monkeypatch.setattr(engine.threads, "SMALL", 0)
    threads(2)

    def work(first, last):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.spread(work, 100, 1, 1e6)


def test_number_of_threads(threads, monkeypatch):
    threads(3)
    assert epgnumba.get_num_threads() == 3
    threads(None)
    monkeypatch.setenv("EPGNUMBA_NUM_THREADS", "5")
    assert epgnumba.get_num_threads() == 5
    monkeypatch.setenv("EPGNUMBA_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="EPGNUMBA_NUM_THREADS='many' is not allowed"):
        epgnumba.get_num_threads()
    for wrong, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="count"):
            threads(wrong)


def test_worker_processes_use_one_thread():
    code = (
        "import multiprocessing as mp, epgnumba\n"
        "if __name__ == '__main__':\n"
        "    with mp.get_context('spawn').Pool(1) as pool: print(pool.apply(epgnumba.get_num_threads))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "EPGNUMBA_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1"


def test_memory_of_results_is_used_again_only_when_nobody_holds_it():
    train, T1 = FSE(np.full(32, 60.0), 5), np.linspace(500, 2000, 4000)  # 2 MB
    first = epgnumba.simulate(train, T1, 50.0)
    expected, place = first.copy(), first.ctypes.data
    view = first[7:9]
    del first
    other = epgnumba.simulate(train, T1, 70.0)
    assert other.ctypes.data != place
    np.testing.assert_array_equal(view, expected[7:9])
    del view
    again = epgnumba.simulate(train, T1, 50.0)
    np.testing.assert_array_equal(again, expected)
    assert not np.shares_memory(again, other)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("B0", [0.0, 3.0])
def test_a_voxel_alone_has_the_bits_of_one_among_many(dtype, B0):
    """Two vectors of voxels whose results are written together, and a rest that is not."""
    rng = np.random.default_rng(0)
    ranges = {"T1": (400, 2000), "T2": (40, 200), "M0": (0.5, 2), "B1": (0.8, 1.2)}
    maps = {name: rng.uniform(*span, 35) for name, span in ranges.items()}
    train = FSE(rng.uniform(20, 170, 13), 5.0)
    options = {"B0": B0, "diff": ("T2", "M0", "B1", "T1"), "dtype": dtype}
    many = jacobian(train, **maps, **options)
    for v in range(35):
        alone = jacobian(train, **{name: values[v] for name, values in maps.items()}, **options)
        for left, right in zip(many, alone, strict=True):
            np.testing.assert_array_equal(left[v], right)


def test_addresses_of_code_are_those_of_the_process():
    """A pickled objective holds none, so that it works where it is taken to."""
    objective = epgnumba.CRLBObjective(FSE([60.0] * 8, 5.0), 900.0, [60.0, 80.0])
    x = objective.x0
    value, gradient = objective(x)
    code = "import pickle, sys; f, x = pickle.load(sys.stdin.buffer); v, g = f(x); print(repr(v), g.tolist())"
    given = pickle.dumps((objective, x))
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"{value!r} {gradient.tolist()}"


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_terms_that_are_not_used_cost_nothing(monkeypatch):
    """The loops of a plain shape are, instruction by instruction, those of an engine without any other term."""
    from llvmlite import ir

    from epgnumba.kernels import exponents, lanes_llvm, shape

    def written(made):
        texts = []
        for name in ("load", "play", "rewind", "unload"):
            module = ir.Module()
            lanes_llvm._write(module, name, shape.find_loop(name), made, np.dtype(np.float64))
            texts.append(str(module))
        return texts

    plain = [shape.Shape(planes, kinds, lanes) for planes in (1, 2) for kinds in ((), (0, 1, 2)) for lanes in (1, 16)]
    whole = [written(made) for made in plain]
    few = [e for e in exponents.EXPONENTS if e.rate in exponents.FOLDED]
    monkeypatch.setattr(exponents, "EXPONENTS", few)
    assert [written(made) for made in plain] == whole
    assert all("sqrt" not in text for texts in whole for text in texts)
    diffusing = shape.Shape(1, (), 16, (6,))
    assert len(written(diffusing)[1]) > len(whole[0][1])


def test_progress_is_shown(capsys):
    train, T2 = epgnumba.FSE([60.0] * 64, 5.0), np.linspace(40, 90, 3000)
    plain = epgnumba.simulate(train, 900.0, T2)
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(epgnumba.simulate(train, 900.0, T2, progress=True), plain)
    err = capsys.readouterr().err
    assert "simulate: 100%" in err
    assert "3.00k/3.00k" in err
    with pytest.warns(UserWarning, match="nstates=20 changes"):  # which plays twice
        _, slope = epgnumba.jacobian(train, 900.0, T2, diff="T2", progress=True, nstates=20, check_nstates=True)
    assert "jacobian: 100%" in capsys.readouterr().err
    np.testing.assert_array_equal(slope, epgnumba.jacobian(train, 900.0, T2, diff="T2", nstates=20)[1])
