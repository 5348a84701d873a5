"""Projections within kernels: against products of signals that are held; a voxel's bits are its own."""

import numpy as np
import pytest

import epgnumba
from epgnumba.engine import Projection
from epgnumba.problem import read_problem
from epgnumba.sequence import BSSFP, MRF, SPGR

N = 30
FLIP = np.linspace(5, 70, N)
CASES = {  # sequence, maps and options beside T1, T2, B1
    "one plane": (MRF(FLIP, TR=12.0, TI=20.0), {}),
    "turned": (MRF(FLIP, TR=12.0, TI=20.0, phases=30.0), {}),
    "off resonance": (MRF(FLIP, TR=12.0, TI=20.0), {"B0": 9.0}),
    "slice": (MRF(FLIP, TR=12.0, TI=20.0), {"slice_prof": [1.0, 0.8, 0.3]}),
    "slice, off resonance": (MRF(FLIP, TR=12.0, TI=20.0), {"slice_prof": [1.0, 0.5], "B0": -4.0}),
    "repeated": (epgnumba.FSE([150.0] * 9, ESP=8.0, TR=500.0), {}),
    "an ensemble": (BSSFP(40.0, TE=2.5, TR=5.0), {"B0": 20.0}),
    "one readout": (SPGR(20.0, TE=3.0, TR=9.0), {}),
}


def tissue(count, seed=0):
    rng = np.random.default_rng(seed)
    given = {"T1": rng.uniform(400, 2500, count), "T2": rng.uniform(20, 200, count), "B1": rng.uniform(0.7, 1.2, count)}
    return {**given, "M0": rng.uniform(-1, 2, count)}


def projected(sequence, basis, along=False, dtype="float64", **given):
    """Coefficients, lengths and what is lacking, of a call's maps."""
    problem = read_problem(sequence, dtype=dtype, **given)
    projection, count = Projection(problem.cpu_job(), basis, along), problem.tissue.size
    found = [np.full(shape, np.nan, dtype) for shape in ((count, basis.shape[2]), (count,), (count,))]
    projection(problem.tissue.table(dtype), *found)
    return found


def directions(readouts, columns, parts=2, seed=1):
    """Orthogonal ones, as real and imaginary parts; or of magnitudes."""
    whole = np.random.default_rng(seed).normal(size=(parts * readouts, columns))
    basis = np.linalg.qr(whole)[0] if columns <= len(whole) else whole / np.linalg.norm(whole, axis=0)
    return basis.reshape(parts, readouts, columns)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_signals(name, dtype):
    sequence, options = CASES[name]
    for count, columns in ((1, 3), (2, 4), (3, 1), (16, 5), (40, 13)):
        given = {**tissue(count), **options}
        signal = epgnumba.simulate(sequence, **given).reshape(count, -1)
        length = np.linalg.norm(signal, axis=1)
        unit = signal / length[:, None]
        basis = directions(signal.shape[1], columns)
        expected = unit.real @ basis[0] + unit.imag @ basis[1]
        coefficients, norm, lacking = projected(sequence, basis, dtype=dtype, **given)
        tight = {"rtol": 0, "atol": 1e-12 if dtype == "float64" else 3e-5}
        np.testing.assert_allclose(coefficients, expected, **tight)
        np.testing.assert_allclose(norm, length, rtol=tight["atol"])
        lost = np.sqrt(np.maximum(1 - (expected**2).sum(axis=1), 0))
        np.testing.assert_allclose(lacking**2, lost**2, **tight)


@pytest.mark.parametrize("name", CASES)
def test_coefficients_of_unit_length_and_magnitudes(name):
    sequence, options = CASES[name]
    for parts in (1, 2):
        given = {**tissue(21), **options}
        signal = epgnumba.simulate(sequence, **given)
        basis = directions(signal.shape[1], 3, parts)
        planar = abs(signal)[..., None] if parts == 1 else np.stack([signal.real, signal.imag], -1)
        expected = np.einsum("vop,poc->vc", planar, basis)
        length = np.linalg.norm(expected, axis=1)
        coefficients, norm, _ = projected(sequence, basis, along=True, **given)
        np.testing.assert_allclose(coefficients, expected / length[:, None], atol=1e-11)
        np.testing.assert_allclose(norm, length, rtol=1e-11)


def test_what_has_no_signal():
    given = tissue(20)
    given["M0"][[0, 7, 19]] = 0
    coefficients, norm, lacking = projected(CASES["one plane"][0], directions(N, 4), **given)
    nothing = given["M0"] == 0
    for array in (coefficients, norm, lacking):
        assert not array[nothing].any()
        assert array[~nothing].all()
    given["B1"][3] = 0  # nothing is excited
    coefficients, norm, lacking = projected(CASES["one plane"][0], directions(N, 4), **given)
    assert norm[3] == lacking[3] == 0
    assert not coefficients[3].any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_company_or_threads(dtype):
    sequence, basis = CASES["off resonance"][0], directions(N, 10)
    given = {**tissue(3000), "B0": np.linspace(-20, 20, 3000)}
    try:
        epgnumba.set_num_threads(1)
        whole = projected(sequence, basis, dtype=dtype, **given)
        epgnumba.set_num_threads(3)
        again = projected(sequence, basis, dtype=dtype, **given)
    finally:
        epgnumba.set_num_threads(None)
    part = slice(1003, 1021)
    alone = projected(sequence, basis, dtype=dtype, **{name: array[part] for name, array in given.items()})
    for one, two, three in zip(whole, again, alone, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one[part], three)
