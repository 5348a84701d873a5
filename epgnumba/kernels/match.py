"""Matching: which atoms of a dictionary come closest to data."""

import numpy as np

from .jit import entry, kernel

WORTH = 0.8  # of the energy that the best atom explains: less, and no fit starts there


@entry("matches")
def best_batch(scores, turned, first, best, index):
    """Running maxima (voxel) of the energy that atoms explain, after some more atoms, of which `first` is the first.

    `scores` (atom, voxel) are inner products; `turned` those with the data after a quarter turn, or nothing.
    """
    for a in range(scores.shape[0]):
        place = np.int32(first + a)
        for v in range(scores.shape[1]):
            energy = scores[a, v] * scores[a, v]
            if turned.shape[0] > 0:
                energy += turned[a, v] * turned[a, v]
            higher = energy > best[v]
            best[v] = energy if higher else best[v]
            index[v] = place if higher else index[v]


@kernel
def is_peak(scores, a, count, axes):
    """Whether no neighbour of an atom, diagonal ones too, scores higher on a grid of `count` values along each axis."""
    i = a % count
    if (i > 0 and scores[0, a - 1] > scores[0, a]) or (i < count - 1 and scores[0, a + 1] > scores[0, a]):
        return False  # as it is of most
    for n in range(3**axes):
        other, rest, stride, inside = a, n, 1, True
        for _ in range(axes):
            move = rest % 3 - 1
            inside = inside and 0 <= a // stride % count + move < count
            other += move * stride
            rest //= 3
            stride *= count
        if inside and scores[0, other] > scores[0, a]:
            return False
    return True


@entry("starts of fits")
def start_batch(data, turned, atoms, sizes, scale, count, axes, scores, starts):
    """The peaks on a grid of atoms that come closest to each voxel's data, the highest first, -1 where there is none.

    `data` (voxel, sample) are planar reals, `turned` the same after a quarter turn where M0 is complex, or nothing;
    `atoms` (voxel, or one for all; sample, atom) are of unit length where M0 is not known, and `sizes` (voxel, or one;
    atom) their squares where it is `scale`. A score is the energy that an atom explains; the grid has `count` values
    along each of `axes`. Sums go over samples in their order: a voxel's do not depend on others.
    """
    samples, total, planes = atoms.shape[1], atoms.shape[2], 2 if turned.shape[0] > 0 else 1
    for v in range(data.shape[0]):
        g = v if atoms.shape[0] > 1 else 0
        for plane in range(2):
            for a in range(total):
                scores[plane, a] = 0
        for r in range(samples):
            for a in range(total):
                scores[0, a] += data[v, r] * atoms[g, r, a]
            if planes == 2:
                for a in range(total):
                    scores[1, a] += turned[v, r] * atoms[g, r, a]
        highest = -np.inf
        for a in range(total):
            if scale[v] != 0:
                scores[0, a] = 2 * scale[v] * scores[0, a] - scale[v] ** 2 * sizes[g, a]
            else:
                scores[0, a] = scores[0, a] ** 2 + scores[1, a] ** 2
            highest = max(highest, scores[0, a])
        for k in range(starts.shape[1]):
            starts[v, k] = -1
        for a in range(total):
            score = scores[0, a]
            if score < WORTH * highest or not is_peak(scores, a, count, axes):
                continue
            place = starts.shape[1]
            while place > 0 and (starts[v, place - 1] < 0 or scores[0, starts[v, place - 1]] < score):
                place -= 1
            for k in range(starts.shape[1] - 1, place, -1):
                starts[v, k] = starts[v, k - 1]
            if place < starts.shape[1]:
                starts[v, place] = a
