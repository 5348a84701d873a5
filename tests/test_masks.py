"""Voxels that a mask leaves out: zero in every result, whatever maps hold there, and the others are as they were."""

import numpy as np
import pytest

import epgnumba
from epgnumba import FSE, fse_sim, jacobian, simulate, spgr_sim, vjp
from epgnumba.derivatives import push_forward, push_pull
from epgnumba.problem import read_problem

TRAIN = FSE([150.0, 120.0, 100.0], ESP=8)
RNG = np.random.default_rng(1)
MASK = RNG.random((4, 5)) > 0.4
T1 = np.where(MASK, RNG.uniform(500, 1500, MASK.shape), np.nan)
T2 = np.where(MASK, RNG.uniform(40, 100, MASK.shape), -1.0)
B1 = RNG.uniform(0.8, 1.1, 5)
B0 = np.where(MASK.any(axis=1), 10.0, np.inf)[:, None]
MAPS = {"T1": T1, "T2": T2, "B1": B1, "B0": B0}


def voxels(maps):
    """The maps of the voxels inside, one after the other."""
    return {name: np.broadcast_to(value, MASK.shape)[MASK] for name, value in maps.items()}


def test_signal_and_jacobian():
    signal, slopes = jacobian(TRAIN, **MAPS, diff=("T2", "B1"), mask=MASK)
    expected, expected_slopes = jacobian(TRAIN, **voxels(MAPS), diff=("T2", "B1"))
    np.testing.assert_array_equal(signal[MASK], expected)
    np.testing.assert_array_equal(slopes[MASK], expected_slopes)
    assert signal.shape == (4, 5, 3)
    assert slopes.shape == (4, 5, 2, 3)
    assert not signal[~MASK].any()
    assert not slopes[~MASK].any()
    np.testing.assert_array_equal(simulate(TRAIN, **MAPS, mask=MASK), signal)


def test_a_mask_broadcasts():
    rows = np.array([True, False, True, False])[:, None]
    signal = simulate(TRAIN, T1=1000, T2=[50, 60, 70], mask=rows)
    assert signal.shape == (4, 3, 3)
    np.testing.assert_array_equal(signal[[0, 2]], [simulate(TRAIN, T1=1000, T2=[50, 60, 70])] * 2)
    assert not signal[1::2].any()
    assert simulate(TRAIN, T1=1000, T2=50, mask=False).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(simulate(TRAIN, T1=1000, T2=50, mask=True), simulate(TRAIN, T1=1000, T2=50))


def test_gradients_are_zero_outside():
    bar = RNG.normal(size=(4, 5, 3)) + 1j * RNG.normal(size=(4, 5, 3))
    slope_bar = RNG.normal(size=(4, 5, 3))
    given = {"signal_bar": bar, "jacobian_bar": slope_bar, "diff": "T2"}
    pulled = vjp(TRAIN, **MAPS, **given, mask=MASK)
    inside = {**given, "signal_bar": bar[MASK], "jacobian_bar": slope_bar[MASK]}
    expected = vjp(TRAIN, **voxels(MAPS), **inside)
    for name in ("flip", "ESP", "exc_flip"):
        np.testing.assert_allclose(pulled[name], expected[name], rtol=1e-13)
    for name in ("T1", "T2"):
        np.testing.assert_array_equal(pulled[name][MASK], expected[name])
        assert not pulled[name][~MASK].any()
    columns = np.where(MASK)[1]
    np.testing.assert_allclose(pulled["B1"], np.bincount(columns, expected["B1"], 5), rtol=1e-13)


def test_second_derivatives():
    problem = read_problem(TRAIN, **MAPS, diff="T2", mask=MASK)
    alone = read_problem(TRAIN, **voxels(MAPS), diff="T2")
    along = RNG.normal(size=MASK.shape)
    bar, slope_bar = RNG.normal(size=(2, 4, 5, 3))
    for pushed, expected in zip(
        push_forward(problem, {"T2": along}), push_forward(alone, {"T2": along[MASK]}), strict=True
    ):
        np.testing.assert_allclose(pushed[MASK], expected, rtol=1e-13)
        assert not pushed[~MASK].any()
    pulled = push_pull(problem, (bar, slope_bar), {"T2": along})
    expected = push_pull(alone, (bar[MASK], slope_bar[MASK]), {"T2": along[MASK]})
    np.testing.assert_allclose(pulled["T2"][MASK], expected["T2"], rtol=1e-13)
    assert not pulled["T2"][~MASK].any()


def test_one_call_forms():
    signal, slope = fse_sim([150, 120], 8, T1, T2, diff="T2", mask=MASK)
    np.testing.assert_array_equal(signal[MASK], fse_sim([150, 120], 8, T1[MASK], T2[MASK]))
    assert not slope[~MASK].any()
    several = spgr_sim([5, 15], TE=5, TR=20, T1=T1, T2star=50, mask=MASK)
    np.testing.assert_array_equal(several[MASK], spgr_sim([5, 15], TE=5, TR=20, T1=T1[MASK], T2star=50))
    assert several.shape == (4, 5, 2)


def test_what_lies_outside_does_not_matter():
    maps = {name: np.where(MASK, value, RNG.normal(size=MASK.shape) * 1e300) for name, value in MAPS.items()}
    np.testing.assert_array_equal(simulate(TRAIN, **maps, mask=MASK), simulate(TRAIN, **MAPS, mask=MASK))
    long = np.where(MASK, 50.0, 5000.0)  # T2 above T1 outside: nothing to warn of
    simulate(TRAIN, T1=1000, T2=long, mask=MASK)
    on_resonance = read_problem(TRAIN, T1=1000, T2=50, B0=np.where(MASK, 0.0, 7.0), mask=MASK)
    assert not on_resonance.tissue.precesses
    found = epgnumba.find_nstates(TRAIN, **MAPS, mask=MASK)
    assert found == epgnumba.find_nstates(TRAIN, **voxels(MAPS))


def test_what_is_inside_is_checked():
    with pytest.raises(ValueError, match=r"T1\[\d, \d\]=nan is not allowed: .*; `mask` leaves voxels out"):
        simulate(TRAIN, **MAPS)
    bad = T2.copy()
    where = tuple(np.argwhere(MASK)[3])
    bad[where] = np.nan
    with pytest.raises(ValueError, match=rf"T2\[{where[0]}, {where[1]}\]=nan"):
        simulate(TRAIN, T1=T1, T2=bad, mask=MASK)
    with pytest.raises(ValueError, match="T1=-3"):  # a number is none of the background's
        simulate(TRAIN, T1=-3, T2=[50.0, 60.0], mask=[False, False])


@pytest.mark.parametrize("mask", [1, [0, 1], "all", [0.5], [None], [[True], [True, False]], object()])
def test_masks_hold_booleans(mask):
    with pytest.raises(TypeError, match="mask=.* is not allowed: it must be an array of booleans"):
        simulate(TRAIN, T1=1000, T2=50, mask=mask)


def test_a_mask_of_another_shape():
    with pytest.raises(ValueError, match=r"tissue maps do not broadcast: .*T2 \(3,\).*mask \(2,\)"):
        simulate(TRAIN, T1=1000, T2=[50, 60, 70], mask=[True, False])


def test_on_tensors():
    torch = pytest.importorskip("torch")
    import epgnumba.torch as epg

    maps = {name: torch.tensor(value, requires_grad=True) for name, value in MAPS.items()}
    signal, slope = epg.jacobian(TRAIN, **maps, diff="T2", mask=torch.tensor(MASK))
    np.testing.assert_array_equal(signal.detach(), simulate(TRAIN, **MAPS, mask=MASK))
    (signal.abs().square().sum() + slope.abs().square().sum()).backward()
    bars = {"signal_bar": 2 * signal.detach().numpy(), "jacobian_bar": 2 * slope.detach().numpy()}
    expected = vjp(TRAIN, **MAPS, diff="T2", **bars, mask=MASK)
    for name, tensor in maps.items():
        np.testing.assert_allclose(tensor.grad, expected[name], rtol=1e-12)
    again = epg.fse_sim([150, 120, 100], 8, maps["T1"], maps["T2"], B1=maps["B1"], B0=maps["B0"], mask=MASK)
    np.testing.assert_array_equal(again.detach(), signal.detach())
