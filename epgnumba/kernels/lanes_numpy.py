"""Loops over vectors as plain Python on NumPy arrays: with NUMBA_DISABLE_JIT, for coverage and for a debugger."""

import functools
import inspect

import numpy as np

from .columns import VECTOR
from .shape import INTEGERS, LOOPS, PAIRS, POINTERS, find_loop

_known = []  # loops by number, which stands for an address


class _Memory:
    """Numbers that a pointer points to, by vectors of `width`."""

    def __init__(self, pointer, width=VECTOR):
        self.pointer, self.width = pointer, width

    def __getitem__(self, offset):
        return np.array([self.pointer[offset + j] for j in range(self.width)])

    def __setitem__(self, offset, vector):
        for j in range(self.width):
            self.pointer[offset + j] = vector[j]

    def at(self, offset):
        """What begins `offset` numbers later."""
        return _Memory(type(self.pointer)(self.pointer.numbers, self.pointer.start + offset), self.width)

    def wide(self, width):
        """The same, by vectors of another width."""
        return _Memory(self.pointer, width)

    def spread(self, offset):
        """One number in every lane."""
        return np.full(self.width, self.pointer[offset])

    def count(self, whole):
        """A whole number in every lane."""
        return np.full(self.width, float(whole), self.pointer.numbers.dtype)

    def nothing(self):
        """Zero in every lane, in double precision: what a sum begins with."""
        return np.zeros(self.width, np.result_type(self.pointer.numbers.dtype, np.float64))

    @property
    def itemsize(self):
        return self.pointer.numbers.itemsize

    def ramp(self):
        """0, 1, 2, ... in the lanes."""
        return np.arange(self.width).astype(self.pointer.numbers.dtype)


class _Integers:
    """A table of whole numbers."""

    def __init__(self, pointer):
        self.pointer = pointer

    def __getitem__(self, offset):
        return int(self.pointer[offset])

    def at(self, offset):
        return _Integers(type(self.pointer)(self.pointer.numbers, self.pointer.start + offset))


def loop(count, body, *carried, step=VECTOR):
    """Call ``body(k, *carried)``, which returns what to carry on, at k = 0, `step`, ...: `count` times, not 0."""
    for k in range(count):
        carried = body(k * step, *carried) or ()
    return carried


def repeat(limit, body, step=1):
    """Call ``body(k)`` at k = 0, `step`, ... below `limit`."""
    for k in range(0, limit, step):
        body(k)


def when(truth, body):
    """Call ``body()`` if something is true."""
    if truth:
        body()


def choose(truth, a, b):
    """Whole number `a` if something is true, else `b`."""
    return a if truth else b


def either(truth, a, b):
    """Memory `a` if something is true, else `b`."""
    return a if truth else b


def where(mask, a, b):
    """Lane by lane, `a` or `b`."""
    return np.where(mask, a, b)


def blended(mask, near, far):
    """Lane by lane, of each vector of `near` or of those that ``far()`` gives, which is asked if a lane needs it."""
    return near if np.all(mask) else [where(mask, a, b) for a, b in zip(near, far(), strict=True)]


def nearest(x):
    """The nearest whole number to the real part, lane by lane."""
    return np.floor(x.real + 0.5)


def floor(x):
    return np.floor(x)


def double(x):
    """In double precision."""
    return x if np.iscomplexobj(x) else x.astype(np.float64)


def scaled(x, k):
    """x times 2^k, `k` whole; both real."""
    return np.ldexp(x, k.astype(int))


def stepped(value, x):
    """A derivative's value, times what a complex step of `x` adds to it: value (1 + i Im x)."""
    return value * (1 + 1j * x.imag) if np.iscomplexobj(x) else value


def root(x):
    """Square root of real numbers."""
    return np.sqrt(x)


def is_complex(x):
    return np.iscomplexobj(x)


def joined(re, im):
    """Complex numbers of two parts."""
    return re + 1j * im


def total(vector):
    """The sum over lanes, as a vector of one lane."""
    lanes = list(vector)
    while len(lanes) > 1:  # in pairs, as compiled
        half = len(lanes) // 2
        lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    return np.array(lanes)


def join(parts):
    """Vectors, one after another, as one."""
    return np.concatenate(parts)


def rounded(vector):
    """A vector in double precision, with which every operation is rounded by itself."""
    return vector.astype(np.float64)


def scatter(memory, offset, stride, columns):
    """Write the numbers of lane j of all `columns`, side by side, from `offset` + j `stride` on."""
    for j, numbers in enumerate(zip(*columns, strict=True)):
        for k, number in enumerate(numbers):
            memory.pointer[offset + j * stride + k] = number


def _given(name, value):
    if name in INTEGERS:
        return _Integers(value)
    if name not in POINTERS:
        return int(value)
    if name in PAIRS:  # complex numbers, taken as their parts
        value = type(value)(value.numbers.view(value.numbers.real.dtype), 2 * value.start)
    return _Memory(value)


@functools.cache
def addresses(shape, dtype, group):
    """What `call_loop` takes for each loop of a group."""
    first = len(_known)
    _known.extend((find_loop(name), shape) for name in LOOPS[group])
    return tuple(range(first, len(_known)))


def call_loop(address, arguments):
    """Run the loop at an address with a tuple of pointers and whole numbers."""
    function, shape = _known[address]
    names = list(inspect.signature(function).parameters)[1:]
    function(shape, *(_given(name, value) for name, value in zip(names, arguments, strict=True)))
