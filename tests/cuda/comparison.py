"""A device beside the CPU: signal, Jacobian, and the derivative of a random scalar of both by every argument."""

import numpy as np

import epgnumba

MAPS = {
    "T1": np.array([310.0, 900.0]),
    "T2": np.array([45.0, 80.0]),
    "B1": np.array([0.9, 1.1]),
    "M0": 1.7,
    "B0": np.array([13.0, -6.0]),
    "inv_efficiency": 0.93,
}
UNKNOWNS = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")


def error(value, expected):
    """Largest difference, relative to the largest number, or to a thousandth where all are smaller."""
    assert value.shape == expected.shape
    return abs(value - expected).max() / max(abs(expected).max(), 1e-3)


def deviations(sequence, maps=MAPS, diff=UNKNOWNS, device="cuda", dtype=np.float64, units=None, **options):
    """Largest error of signal and Jacobian, and that of each derivative of a random scalar of them.

    The scalar weighs derivatives so that each counts: by the inverse of its size, or where it may vanish, and its
    rounding must not be blown up, by `units` that are given.
    """
    kind = {"diff": diff, **options}
    exact = epgnumba.jacobian(sequence, **maps, **kind)
    found = epgnumba.jacobian(sequence, **maps, **kind, device=device, dtype=dtype)
    assert {x.dtype for x in found} == {np.dtype(np.complex128 if dtype == np.float64 else np.complex64)}
    rng = np.random.default_rng(3)
    bars = [rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in exact]
    scale = abs(exact[1]).max(axis=-1, keepdims=True)
    weights = 1 / np.where(scale > 1e-12, scale, 1) if units is None else np.reshape(units, (-1, 1))
    bars = {"signal_bar": bars[0], "jacobian_bar": bars[1] * weights}
    expected = epgnumba.vjp(sequence, **maps, **kind, **bars)
    gradient = epgnumba.vjp(sequence, **maps, **kind, **bars, device=device, dtype=dtype)
    assert gradient.keys() == expected.keys()
    results = {"signal": error(found[0], exact[0]), "jacobian": error(found[1], exact[1])}
    return {**results, **{name: error(gradient[name], expected[name]) for name in expected}}


def assert_close(sequence, tolerance, **options):
    """All deviations within a tolerance."""
    wrong = {name: value for name, value in deviations(sequence, **options).items() if not value <= tolerance}
    assert not wrong, wrong
