"""DataArrays: maps broadcast by the names of their dimensions, results and gradients are named alike."""

import numpy as np
import pytest

import epgnumba
from epgnumba import FSE, bssfp_sim, fse_sim, jacobian, simulate, vjp

xarray = pytest.importorskip("xarray")

TRAIN = FSE([150.0, 120.0, 100.0], ESP=8)
T1 = xarray.DataArray([900.0, 1100.0], {"x": [0.5, 1.5]}, ["x"])
T2 = xarray.DataArray(
    [[40.0, 60.0], [50.0, 70.0], [80.0, 90.0]], {"x": [0.5, 1.5], "y": ["a", "b", "c"]}, ["y", "x"], name="T2"
)
PLAIN = {"T1": T1.values[:, None], "T2": T2.values.T}  # both as (x, y)


def test_maps_broadcast_by_name():
    signal, slopes = jacobian(TRAIN, T1=T1, T2=T2, diff=("T2", "T1"))
    expected, expected_slopes = jacobian(TRAIN, **PLAIN, diff=("T2", "T1"))
    assert signal.dims == ("x", "y", "readout")
    assert slopes.dims == ("x", "y", "parameter", "readout")
    np.testing.assert_array_equal(signal.values, expected)
    np.testing.assert_array_equal(slopes.values, expected_slopes)
    np.testing.assert_array_equal(slopes.sel(parameter="T1"), expected_slopes[..., 1, :])
    assert signal.sel(x=1.5, y="c", readout=0) == expected[1, 2, 0]
    single = jacobian(TRAIN, T1=T1, T2=T2, diff="T2")[1]
    xarray.testing.assert_identical(single, slopes.sel(parameter="T2", drop=True))


def test_a_square_map_is_not_mistaken():
    square = xarray.DataArray([[50.0, 60.0], [70.0, 80.0]], dims=["y", "x"])
    field = xarray.DataArray([0.8, 1.2], dims=["y"])
    signal = simulate(TRAIN, T1=1000, T2=square, B1=field)
    np.testing.assert_array_equal(signal.values, simulate(TRAIN, T1=1000, T2=square.values, B1=[[0.8], [1.2]]))


def test_one_call_forms():
    signal = fse_sim([150, 120, 100], 8, T1, T2)
    xarray.testing.assert_identical(signal, simulate(TRAIN, T1=T1, T2=T2))
    shift = xarray.DataArray([0.0, 200.0], dims=["species"])
    signal, slope = bssfp_sim([30, 60], TE=2.5, TR=5, T1=1000, T2=T2, B0=10, chemshift=shift, diff="T2")
    expected = bssfp_sim([30, 60], TE=2.5, TR=5, T1=1000, T2=T2.values[..., None], B0=shift.values + 10, diff="T2")
    assert signal.dims == ("y", "x", "species", "readout")
    np.testing.assert_array_equal(signal.values, expected[0])
    np.testing.assert_array_equal(slope.values, expected[1])
    assert list(slope.coords["y"].values) == ["a", "b", "c"]


def test_gradients_are_named_as_their_maps():
    bar = simulate(TRAIN, T1=T1, T2=T2)
    pulled = vjp(TRAIN, T1=T1, T2=T2, signal_bar=bar.transpose("readout", "y", "x"))
    expected = vjp(TRAIN, **PLAIN, signal_bar=bar.values)
    np.testing.assert_array_equal(pulled["flip"], expected["flip"])
    assert pulled["T1"].dims == ("x",)
    assert pulled["T2"].dims == ("y", "x")
    np.testing.assert_array_equal(pulled["T1"].values, expected["T1"][:, 0])
    np.testing.assert_array_equal(pulled["T2"].values, expected["T2"].T)
    np.testing.assert_array_equal(pulled["B1"], expected["B1"])
    with pytest.raises(ValueError, match="signal_bar has dimensions .* are needed"):
        vjp(TRAIN, T1=T1, T2=T2, signal_bar=bar.rename(y="z"))


def test_masks_have_names_too():
    mask = xarray.DataArray([True, False, True], {"y": ["a", "b", "c"]}, ["y"])
    signal = simulate(TRAIN, T1=T1, T2=T2.where(mask), mask=mask)
    whole = simulate(TRAIN, T1=T1, T2=T2)
    xarray.testing.assert_identical(signal, whole.where(mask, 0))


def test_bounds_are_named():
    _, slopes = jacobian(TRAIN, T1=T1, T2=T2, diff=("M0", "T2"))
    bound = epgnumba.crlb(slopes.transpose("readout", "parameter", "x", "y"), noise=0.1)
    assert bound.dims == ("x", "y", "parameter")
    plain = epgnumba.crlb(slopes.values, noise=0.1)
    np.testing.assert_array_equal(bound.values, plain)
    single = jacobian(TRAIN, T1=T1, T2=T2, diff="T2")[1]
    alone = epgnumba.crlb(single, noise=xarray.DataArray([0.1, 0.2], {"x": [0.5, 1.5]}, ["x"]))
    assert alone.dims == ("x", "y")
    expected = epgnumba.crlb(single.values[..., None, :], noise=[[0.1], [0.2]])[..., 0]
    np.testing.assert_array_equal(alone.values, expected)
    weighted = epgnumba.crlb(slopes, weights=[0, 1], noise=0.1)
    assert weighted.dims == ("x", "y")
    np.testing.assert_array_equal(weighted.values, plain[..., 1])


def test_designs_take_them_by_name_too():
    objective = epgnumba.CRLBObjective(TRAIN, T1=T1, T2=T2)
    plain = epgnumba.CRLBObjective(TRAIN, **PLAIN)
    assert objective(objective.x0)[0] == plain(plain.x0)[0]


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"T1": T1, "T2": [50.0, 60.0]}, r"T2 has shape \(2,\) and no names of dimensions, beside T1 \('x',\)"),
        ({"T1": T1, "T2": T2.assign_coords(x=[0, 1])}, "T1 .*T2 .* do not align"),
        ({"T1": T1, "T2": 50.0 + 0 * T1.rename(x="readout")}, "T2 has a dimension named 'readout'"),
        ({"T1": T1, "T2": -T2}, r"T2\[0, 0\]=-40 is not allowed"),
    ],
)
def test_refused(maps, message):
    with pytest.raises(ValueError, match=message):
        simulate(TRAIN, **maps)


def test_tensors_keep_no_names():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"T1 is a DataArray, whose names no tensor keeps; give T1\.values"):
        fse_sim(torch.tensor([150.0]), 8, T1, 50)
