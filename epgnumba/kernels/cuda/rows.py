"""How the states after one pulse arrive at the next, and back: orders move along the rows, and cross zero.

States are (set, plane, component, row): set 0 the states, the others tangents; planes in phase and in quadrature;
components P, M, W (and C; or P, M, W of a second pool) as in `algebra`. A thread holds `rows` rows of a voxel, its lane
those from lane * rows on. `first` is the first component of a free pool.
"""

import numpy as np

from ..algebra import W
from . import columns as col
from .jit import from_above, from_below, helper, select


@helper
def neighbours(x, i, plane, first, fold, sign, zero, lane, last_lane):
    """What comes into a thread's rows when P of a pool moves to higher ones and M to lower ones.

    What leaves M enters P as its complex conjugate: row -1 of P is row `fold` of M. `sign` is -1 for a real program
    whose states are in quadrature.
    """
    top = x.shape[3] - 1
    lowest, below, above = x[i, plane, first + 1, 0], x[i, plane, first, top], zero
    if last_lane > 0:
        above = from_above(lowest)
        below = from_below(below)
        above = select(lane == last_lane, zero, above)
    second = x[i, plane, first + 1, 1] if top > 0 else above
    folded = select(fold == 1, second, lowest)
    return select(lane == 0, -sign * folded if plane == 1 else sign * folded, below), above


@helper
def move_pool(x, i, plane, p, up, down, fold, sign, zero, lane, last_lane):
    """Move P of a pool a row up (if `up`) and M a row down (if `down`), in one set and plane."""
    top, m = x.shape[3] - 1, p + 1
    below, above = neighbours(x, i, plane, p, fold, sign, zero, lane, last_lane)
    for j in range(top, 0, -1):
        x[i, plane, p, j] = select(up, x[i, plane, p, j - 1], x[i, plane, p, j])
    x[i, plane, p, 0] = select(up, below, x[i, plane, p, 0])
    for j in range(top):
        x[i, plane, m, j] = select(down, x[i, plane, m, j + 1], x[i, plane, m, j])
    x[i, plane, m, top] = select(down, above, x[i, plane, m, top])


@helper
def move(x, up, down, fold, sign, zero, lane, last_lane):
    """The same of all; pools are not a loop, of which compilers make code that takes more registers."""
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            move_pool(x, i, plane, 0, up, down, fold, sign, zero, lane, last_lane)
            if x.shape[2] > 5:
                move_pool(x, i, plane, 3, up, down, fold, sign, zero, lane, last_lane)


@helper
def unmove_pool(x, i, plane, p, up, down, fold, sign, zero, lane, last_lane):
    """Adjoint of `move_pool`."""
    top, m = x.shape[3] - 1, p + 1
    above, below = zero, zero
    folded = -sign * x[i, plane, p, 0] if plane == 1 else sign * x[i, plane, p, 0]
    folded = select(up and lane == 0, folded, zero)
    if last_lane > 0:
        above = from_above(x[i, plane, p, 0])
        below = from_below(x[i, plane, m, top])
        above = select(lane == last_lane, zero, above)
        below = select(lane == 0, zero, below)
    for j in range(top):
        x[i, plane, p, j] = select(up, x[i, plane, p, j + 1], x[i, plane, p, j])
    x[i, plane, p, top] = select(up, above, x[i, plane, p, top])
    for j in range(top, 0, -1):
        x[i, plane, m, j] = select(down, x[i, plane, m, j - 1], x[i, plane, m, j])
    x[i, plane, m, 0] = select(down, below, x[i, plane, m, 0])
    x[i, plane, m, 0] += select(fold == 0, folded, zero)
    if top > 0:
        x[i, plane, m, 1] += select(fold == 1, folded, zero)
    elif last_lane > 0:  # one row a lane: row 1 is the next one's
        second = from_below(folded)
        x[i, plane, m, 0] += select(fold == 1 and lane == 1, second, zero)


@helper
def unmove(x, up, down, fold, sign, zero, lane, last_lane):
    """Adjoint of `move`."""
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            unmove_pool(x, i, plane, 0, up, down, fold, sign, zero, lane, last_lane)
            if x.shape[2] > 5:
                unmove_pool(x, i, plane, 3, up, down, fold, sign, zero, lane, last_lane)


@helper
def exchange(x, wanted):
    """Exchange P and M: moves the other way are the usual ones of the mirror image."""
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            for first in range(0, x.shape[2] - 2, 3):
                for j in range(x.shape[3]):
                    p, m = x[i, plane, first, j], x[i, plane, first + 1, j]
                    x[i, plane, first, j] = select(wanted, m, p)
                    x[i, plane, first + 1, j] = select(wanted, p, m)


@helper
def add_row(x, i, plane, first, component, row, value, zero):
    """Add to a row of P or M of a pool, neither of them a constant; nothing if there is no such row."""
    for c in range(2):
        here = select(component == c, value, zero)
        x[i, plane, first + c, 0] += select(row == 0, here, zero)
        if row > 0:
            for j in range(1, x.shape[3]):
                x[i, plane, first + c, j] += select(j == row, here, zero)


@helper
def get_row(x, i, plane, first, component, row):
    """What a row of P or M of a pool holds, neither of them a constant."""
    p, m = x[i, plane, first, 0], x[i, plane, first + 1, 0]
    if row > 0:
        for j in range(1, x.shape[3]):
            p = select(j == row, x[i, plane, first, j], p)
            m = select(j == row, x[i, plane, first + 1, j], m)
    return select(component == 0, p, m)


@helper
def cut(x, steps, step, zero, lane):
    """What happens to states where they are: components negated, rows that are not kept and components that do not
    arrive made zero. It is its own adjoint."""
    flipped, keep = steps[step + col.FLIPPED], steps[step + col.KEEP]
    no_f, no_w = steps[step + col.NO_F], steps[step + col.NO_W]
    if flipped > 0:
        for i in range(x.shape[0]):
            for p in range(0, x.shape[2] - 2, 3):
                for j in range(x.shape[3]):
                    x[i, 0, p, j] = select(flipped == 1, -x[i, 0, p, j], x[i, 0, p, j])
                    x[i, 0, p + 1, j] = select(flipped == 2, -x[i, 0, p + 1, j], x[i, 0, p + 1, j])
    if keep > 0:
        for i in range(x.shape[0]):
            for plane in range(x.shape[1]):
                for c in range(x.shape[2]):
                    for j in range(x.shape[3]):
                        x[i, plane, c, j] = select(lane * x.shape[3] + j >= keep, zero, x[i, plane, c, j])
    if no_f or no_w:
        for i in range(x.shape[0]):
            for plane in range(x.shape[1]):
                for j in range(x.shape[3]):
                    if no_f:
                        for p in range(0, x.shape[2] - 2, 3):
                            x[i, plane, p, j] = zero
                            x[i, plane, p + 1, j] = zero
                    if no_w:
                        x[i, plane, W, j] = zero
                        if x.shape[2] > 3:
                            x[i, plane, x.shape[2] - 1, j] = zero


@helper
def arrive(x, steps, step, one, zero, lane, last_lane):
    """From the states after a pulse to what meets the next one, whose row of the table begins at `step`.

    But for the usual move, P a row up and M a row down, which is left to the pulse: whether it is.
    """
    cut(x, steps, step, zero, lane)
    p, m, fold = steps[step + col.SHIFT_P], steps[step + col.SHIFT_M], steps[step + col.FOLD]
    if p == -1 and m == 1:
        return True
    if p != 0 or m != 0:
        sign = -one if steps[step + col.QUADRATURE] else one
        mirrored = p > 0 or m < 0
        ups, downs = (-m, p) if mirrored else (-p, m)
        exchange(x, mirrored)
        for k in range(max(ups, downs)):
            move(x, k < ups, k < downs, fold, sign, zero, lane, last_lane)
        exchange(x, mirrored)
    return False


@helper
def leave(x, steps, step, one, zero, lane, last_lane):
    """Adjoint of `arrive` and of the usual move."""
    p, m, fold = steps[step + col.SHIFT_P], steps[step + col.SHIFT_M], steps[step + col.FOLD]
    sign = -one if steps[step + col.QUADRATURE] else one
    if p == -1 and m == 1:
        unmove(x, True, True, fold, sign, zero, lane, last_lane)
    elif p != 0 or m != 0:
        mirrored = p > 0 or m < 0
        ups, downs = (-m, p) if mirrored else (-p, m)
        exchange(x, mirrored)
        for k in range(max(ups, downs) - 1, -1, -1):
            unmove(x, k < ups, k < downs, fold, sign, zero, lane, last_lane)
        exchange(x, mirrored)
    cut(x, steps, step, zero, lane)


@helper
def clear(x, zero):
    """All zero."""
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            for c in range(x.shape[2]):
                for j in range(x.shape[3]):
                    x[i, plane, c, j] = zero


@helper
def set_aside(x, state, place, threads, back):
    """Put states aside, or take them `back`: each where its block's are, the threads side by side."""
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            for c in range(x.shape[2]):
                for j in range(x.shape[3]):
                    row = ((i * x.shape[1] + plane) * x.shape[2] + c) * x.shape[3] + j
                    if back:
                        x[i, plane, c, j] = state[place + np.uint64(row * threads)]
                    else:
                        state[place + np.uint64(row * threads)] = x[i, plane, c, j]
