"""How the states after one pulse arrive at the next, and back: orders move along the rows, and cross zero.

States are (set, plane, component, row): set 0 the states, the others tangents; planes in phase and in quadrature;
components P, M, W as in `physics`. A thread holds `rows` rows of a voxel, its lane those from lane * rows on.
"""

from . import columns as col
from .jit import from_above, from_below, helper, select


@helper
def cross(x, up, down, ups, downs, fold, sign, zero, lane, last_lane):
    """Move component `up` by `ups` rows to higher ones and `down` by `downs` to lower ones.

    What leaves the one enters the other as its complex conjugate: row -1 of `up` is row `fold` of `down`. `sign` is -1
    for a real program whose states are in quadrature.
    """
    top = x.shape[3] - 1
    for k in range(max(ups, downs)):
        for i in range(x.shape[0]):
            for plane in range(x.shape[1]):
                conjugate = -sign if plane == 1 else sign
                first = x[i, plane, down, 0]
                above = first
                below = x[i, plane, up, top]
                if last_lane > 0:
                    above = from_above(above)
                    below = from_below(below)
                if lane == last_lane:
                    above = zero
                second = x[i, plane, down, 1] if top > 0 else above
                if lane == 0:
                    below = conjugate * (second if fold == 1 else first)
                if k < ups:
                    for j in range(top, 0, -1):
                        x[i, plane, up, j] = x[i, plane, up, j - 1]
                    x[i, plane, up, 0] = below
                if k < downs:
                    for j in range(top):
                        x[i, plane, down, j] = x[i, plane, down, j + 1]
                    x[i, plane, down, top] = above


@helper
def uncross(x, up, down, ups, downs, fold, sign, zero, lane, last_lane):
    """Adjoint of `cross`."""
    top = x.shape[3] - 1
    for k in range(max(ups, downs) - 1, -1, -1):
        for i in range(x.shape[0]):
            for plane in range(x.shape[1]):
                conjugate = -sign if plane == 1 else sign
                folded = conjugate * x[i, plane, up, 0]
                above = x[i, plane, up, 0]
                below = x[i, plane, down, top]
                if last_lane > 0:
                    above = from_above(above)
                    below = from_below(below)
                if lane == last_lane:
                    above = zero
                if lane == 0:
                    below = zero
                if k < ups:
                    for j in range(top):
                        x[i, plane, up, j] = x[i, plane, up, j + 1]
                    x[i, plane, up, top] = above
                if k < downs:
                    for j in range(top, 0, -1):
                        x[i, plane, down, j] = x[i, plane, down, j - 1]
                    x[i, plane, down, 0] = below
                if k < ups:
                    if top > 0 or last_lane == 0:
                        if lane == 0:
                            x[i, plane, down, 0] += select(fold == 0, folded, zero)
                            if top > 0:
                                x[i, plane, down, 1] += select(fold == 1, folded, zero)
                    else:  # one row a lane: row 1 is the next one's
                        second = from_below(folded)
                        if fold == 1 and lane == 1:
                            x[i, plane, down, 0] += second
                        if fold == 0 and lane == 0:
                            x[i, plane, down, 0] += folded


@helper
def add_row(x, i, plane, component, row, value, zero):
    """Add to a row and a component that are no constants; nothing if there is no such row."""
    for c in range(3):
        here = select(component == c, value, zero)
        x[i, plane, c, 0] += select(row == 0, here, zero)
        if row > 0:
            for j in range(1, x.shape[3]):
                x[i, plane, c, j] += select(j == row, here, zero)


@helper
def get_row(x, i, plane, component, row):
    """What a row of a component holds, neither of them a constant."""
    p, m, w = x[i, plane, 0, 0], x[i, plane, 1, 0], x[i, plane, 2, 0]
    if row > 0:
        for j in range(1, x.shape[3]):
            p = select(j == row, x[i, plane, 0, j], p)
            m = select(j == row, x[i, plane, 1, j], m)
            w = select(j == row, x[i, plane, 2, j], w)
    return select(component == 0, p, select(component == 1, m, w))


@helper
def cut(x, steps, step, zero, lane):
    """What happens to states where they are: components negated, rows that are not kept and components that do not
    arrive made zero. It is its own adjoint."""
    flipped, keep = steps[step + col.FLIPPED], steps[step + col.KEEP]
    no_f, no_w = steps[step + col.NO_F], steps[step + col.NO_W]
    if flipped > 0:
        for i in range(x.shape[0]):
            for j in range(x.shape[3]):
                x[i, 0, 0, j] = select(flipped == 1, -x[i, 0, 0, j], x[i, 0, 0, j])
                x[i, 0, 1, j] = select(flipped == 2, -x[i, 0, 1, j], x[i, 0, 1, j])
    if keep > 0:
        for i in range(x.shape[0]):
            for plane in range(x.shape[1]):
                for c in range(3):
                    for j in range(x.shape[3]):
                        x[i, plane, c, j] = select(lane * x.shape[3] + j >= keep, zero, x[i, plane, c, j])
    if no_f or no_w:
        for i in range(x.shape[0]):
            for plane in range(x.shape[1]):
                for j in range(x.shape[3]):
                    if no_f:
                        x[i, plane, 0, j] = zero
                        x[i, plane, 1, j] = zero
                    if no_w:
                        x[i, plane, 2, j] = zero


@helper
def arrive(x, steps, step, one, zero, lane, last_lane):
    """From the states after a pulse to what meets the next one, whose row of the table begins at `step`."""
    cut(x, steps, step, zero, lane)
    p, m, fold = steps[step + col.SHIFT_P], steps[step + col.SHIFT_M], steps[step + col.FOLD]
    sign = -one if steps[step + col.QUADRATURE] else one
    if m < 0 and p >= 0:
        cross(x, 1, 0, -m, p, fold, sign, zero, lane, last_lane)
    elif p != 0 or m != 0:
        cross(x, 0, 1, -min(p, 0), m, fold, sign, zero, lane, last_lane)
        if p > 0:
            cross(x, 1, 0, 0, p, fold, sign, zero, lane, last_lane)


@helper
def leave(x, steps, step, one, zero, lane, last_lane):
    """Adjoint of `arrive`."""
    p, m, fold = steps[step + col.SHIFT_P], steps[step + col.SHIFT_M], steps[step + col.FOLD]
    sign = -one if steps[step + col.QUADRATURE] else one
    if m < 0 and p >= 0:
        uncross(x, 1, 0, -m, p, fold, sign, zero, lane, last_lane)
    elif p != 0 or m != 0:
        if p > 0:
            uncross(x, 1, 0, 0, p, fold, sign, zero, lane, last_lane)
        uncross(x, 0, 1, -min(p, 0), m, fold, sign, zero, lane, last_lane)
    cut(x, steps, step, zero, lane)


@helper
def clear(x, zero):
    """All zero."""
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            for c in range(3):
                for j in range(x.shape[3]):
                    x[i, plane, c, j] = zero


@helper
def save(x, state, thread):
    """Put states aside: one column a thread."""
    row = 0
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            for c in range(3):
                for j in range(x.shape[3]):
                    state[row, thread] = x[i, plane, c, j]
                    row += 1


@helper
def restore(x, state, thread):
    """Take them back."""
    row = 0
    for i in range(x.shape[0]):
        for plane in range(x.shape[1]):
            for c in range(3):
                for j in range(x.shape[3]):
                    x[i, plane, c, j] = state[row, thread]
                    row += 1
