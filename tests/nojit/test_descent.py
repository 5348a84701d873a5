"""Steps of a fit, by hand: what no data that we know of lead to."""

import numpy as np
import pytest
from numba.core import config

if not config.DISABLE_JIT:
    pytest.skip("needs NUMBA_DISABLE_JIT=1", allow_module_level=True)

from epgnumba.kernels.descent import Asked, Room, Voxel, next_step

NORMAL = np.array([[4.0, 1.0], [1.0, 3.0]])


def one(gradient, bend):
    """A voxel of two unknowns that are fitted as they are, far from bounds, and room."""
    ends = np.full(2, np.inf)
    asked = Asked(np.arange(2), np.ones(2), -ends, ends, np.ones(5), 2, 2, 2, 5, 0, 0, 0.0, 1e-8, 100)
    numbers = np.ones(2), np.ones(2), np.array(gradient), NORMAL.ravel().copy(), np.array(bend).ravel(), np.zeros(4)
    voxel = Voxel(None, *numbers, np.ones(1), np.zeros(1), np.full(1, 1e-3), np.full(1, 2.0), 0.0)
    return asked, voxel, Room(None, None, None, None, np.zeros(2), np.zeros(2, int), np.zeros(4), np.zeros(2))


def test_a_step_of_newton():
    asked, voxel, room = one([1.0, -2.0], [[0.5, 0.0], [0.0, -1.0]])
    voxel.damping[0] = 0
    promise = next_step(asked, voxel, 1.0, room)
    whole = NORMAL + np.diag([0.5, -1.0])
    assert room.step == pytest.approx(np.linalg.solve(whole, [1.0, -2.0]))
    assert promise == pytest.approx(np.array([1.0, -2.0]) @ np.linalg.solve(whole, [1.0, -2.0]))


def test_curvature_that_misleads_is_forgotten():
    asked, voxel, room = one([1.0, -2.0], -1e12 * np.eye(2))
    promise = next_step(asked, voxel, 1.0, room)
    assert promise > 0
    assert not voxel.bend.any()
    damped = NORMAL + voxel.damping[0] * np.diag([4.0, 3.0])
    assert room.step == pytest.approx(np.linalg.solve(damped, [1.0, -2.0]))


def test_nowhere_is_no_end():
    """A gradient that is no number: no step, and no answer."""
    asked, voxel, room = one([np.nan, 1.0], np.zeros((2, 2)))
    assert next_step(asked, voxel, 1.0, room) < 0
    asked, voxel, room = one([0.0, 0.0], np.zeros((2, 2)))
    assert next_step(asked, voxel, 1.0, room) == 0
