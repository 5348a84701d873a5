"""Vectors, memory and loops that note down every operation as an LLVM instruction: stand-ins for numbers.

Nothing is left to a compiler's finding out that a loop can be vectorised, and what a shape decides is decided then.
Complex numbers (of complex steps) are two vectors, of real and imaginary parts.
"""

from operator import index

import numpy as np
from llvmlite import ir

from .columns import VECTOR

FUSED = ("contract",)  # multiply-adds may be one instruction, as elsewhere (`jit.FASTMATH`)
WORD, HALF_WORD, BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()


def _indices(places):
    places = list(places)
    return ir.Constant(ir.VectorType(HALF_WORD, len(places)), places)


def _whole(value):
    return value.value if isinstance(value, Whole) else ir.Constant(WORD, index(value))


class Whole:
    """A whole number of the loop that is being written."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def _with(self, other, operation, turned=False):
        a, b = (_whole(other), self.value) if turned else (self.value, _whole(other))
        return Whole(self.builder, getattr(self.builder, operation)(a, b))

    def __add__(self, other):
        return self._with(other, "add")

    def __sub__(self, other):
        return self._with(other, "sub")

    def __rsub__(self, other):
        return self._with(other, "sub", turned=True)

    def __mul__(self, other):
        return self._with(other, "mul")

    def __floordiv__(self, other):
        return self._with(other, "sdiv")

    __radd__, __rmul__ = __add__, __mul__

    def _compared(self, other, relation):
        return _Truth(self.builder, self.builder.icmp_signed(relation, self.value, _whole(other)))

    def __lt__(self, other):
        return self._compared(other, "<")

    def __gt__(self, other):
        return self._compared(other, ">")

    def __ge__(self, other):
        return self._compared(other, ">=")


class _Truth:
    """What is true or not: of a whole number, or lane by lane."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def __and__(self, other):
        return _Truth(self.builder, self.builder.and_(self.value, other.value))

    def __or__(self, other):
        return _Truth(self.builder, self.builder.or_(self.value, other.value))


class _Lanes:
    """A vector of the loop that is being written; `im` is None where numbers are real."""

    def __init__(self, builder, re, im=None, flags=FUSED):
        self.builder, self.re, self.im, self.flags = builder, re, im, flags

    @property
    def real(self):
        return _Lanes(self.builder, self.re)

    @property
    def imag(self):
        return _Lanes(self.builder, self.im)

    def _alike(self, other):
        """Both operands as vectors of one type: sums of single precision are kept in double."""
        if not isinstance(other, _Lanes):
            return self, _Lanes(self.builder, ir.Constant(self.re.type, [float(other)] * self.re.type.count))
        if self.re.type == other.re.type:
            return self, other
        return self.double(), other.double()

    def double(self):
        kind = ir.VectorType(ir.DoubleType(), self.re.type.count)
        return self if self.re.type == kind else self.parts(lambda part: self.builder.fpext(part, kind))

    def rounded(self):
        """In double precision, and rounded after every operation."""
        return _Lanes(self.builder, self.double().re, flags=())

    def _times(self, x, y):
        return self.builder.fmul(x, y, flags=self.flags)

    def _plus(self, other, operation, turned=False):
        a, b = self._alike(other)
        a, b = (b, a) if turned else (a, b)
        apply = getattr(self.builder, operation)
        re = apply(a.re, b.re, flags=self.flags)
        if a.im is None and b.im is None:
            return _Lanes(self.builder, re, flags=self.flags)
        zero = ir.Constant(re.type, None)
        im = apply(zero if a.im is None else a.im, zero if b.im is None else b.im, flags=self.flags)
        return _Lanes(self.builder, re, im)

    def __add__(self, other):
        return self._plus(other, "fadd")

    def __sub__(self, other):
        return self._plus(other, "fsub")

    def __rsub__(self, other):
        return self._plus(other, "fsub", turned=True)

    def __neg__(self):
        return _Lanes(self.builder, *(None if x is None else self.builder.fneg(x) for x in (self.re, self.im)))

    def __mul__(self, other):
        a, b = self._alike(other)
        if a.im is None:
            parts = (None if y is None else self._times(a.re, y) for y in (b.re, b.im))
            return _Lanes(self.builder, *parts, flags=self.flags)
        if b.im is None:
            return b * a
        re = self.builder.fsub(self._times(a.re, b.re), self._times(a.im, b.im), flags=self.flags)
        im = self.builder.fadd(self._times(a.re, b.im), self._times(a.im, b.re), flags=self.flags)
        return _Lanes(self.builder, re, im)

    def __truediv__(self, other):
        a, b = self._alike(other)
        return _Lanes(self.builder, self.builder.fdiv(a.re, b.re))

    __radd__, __rmul__ = __add__, __mul__

    def _compared(self, other, relation):
        a, b = self._alike(other)
        return _Truth(self.builder, self.builder.fcmp_ordered(relation, a.re, b.re))

    def __eq__(self, other):
        return self._compared(other, "==")

    def __ne__(self, other):
        return self._compared(other, "!=")

    def __ge__(self, other):
        return self._compared(other, ">=")

    def __lt__(self, other):
        return self._compared(other, "<")

    __hash__ = None

    def parts(self, apply):
        """`apply` to the vectors of both parts."""
        return _Lanes(self.builder, *(None if part is None else apply(part) for part in (self.re, self.im)))


class Memory:
    """Numbers that a pointer points to, by vectors of `width`."""

    def __init__(self, builder, pointer, number, is_complex, width=VECTOR):
        self.builder, self._number, self.width = builder, number, width
        self.pointer, self._parts = builder.bitcast(pointer, number.as_pointer()), 2 if is_complex else 1
        self._align = 4 if number == ir.FloatType() else 8

    def _start(self, offset):
        return self.builder.gep(self.pointer, [self.builder.mul(_whole(offset), ir.Constant(WORD, self._parts))])

    def _place(self, offset, count):
        return self.builder.bitcast(self._start(offset), ir.VectorType(self._number, count * self._parts).as_pointer())

    def _split(self, whole, places):
        """Real and imaginary part of a run of numbers, of which lane j takes number places[j]."""
        parts = [_indices(self._parts * place + part for place in places) for part in range(self._parts)]
        return _Lanes(self.builder, *(self.builder.shuffle_vector(whole, whole, part) for part in parts))

    def __getitem__(self, offset):
        whole = self.builder.load(self._place(offset, self.width), align=self._align)
        return _Lanes(self.builder, whole) if self._parts == 1 else self._split(whole, range(self.width))

    def __setitem__(self, offset, vector):
        value = self.narrowed(vector.re)
        if self._parts == 2:
            im = ir.Constant(value.type, None) if vector.im is None else vector.im
            order = _indices(k // 2 + self.width * (k % 2) for k in range(2 * self.width))
            value = self.builder.shuffle_vector(value, im, order)
        self.builder.store(value, self._place(offset, self.width), align=self._align)

    def moved_to(self, pointer):
        """Memory of the same kind, elsewhere."""
        return Memory(self.builder, pointer, self._number, self._parts == 2, self.width)

    def at(self, offset):
        """What begins `offset` numbers later."""
        return self.moved_to(self._start(offset))

    def wide(self, width):
        """The same, by vectors of another width."""
        return Memory(self.builder, self.pointer, self._number, self._parts == 2, width)

    def store(self, numbers, offset):
        """Write the numbers of an instruction's vector."""
        self.builder.store(numbers, self._place(offset, numbers.type.count), align=self._align)

    def narrowed(self, numbers):
        """Numbers in the precision of this memory."""
        kind = ir.VectorType(self._number, numbers.type.count)
        if numbers.type == kind:
            return numbers
        return (
            self.builder.fptrunc(numbers, kind) if self._number == ir.FloatType() else self.builder.fpext(numbers, kind)
        )

    def spread(self, offset):
        """One number in every lane."""
        return self._split(self.builder.load(self._place(offset, 1), align=self._align), [0] * self.width)

    def count(self, whole):
        """A whole number in every lane."""
        if not isinstance(whole, Whole):
            return _Lanes(
                self.builder, ir.Constant(ir.VectorType(self._number, self.width), [float(whole)] * self.width)
            )
        number = self.builder.sitofp(whole.value, self._number)
        vector = self.builder.insert_element(ir.Constant(ir.VectorType(self._number, 1), None), number, WORD(0))
        return _Lanes(self.builder, self.builder.shuffle_vector(vector, vector, _indices([0] * self.width)))

    def nothing(self):
        """Zero in every lane, in double precision: what a sum begins with."""
        zero = ir.Constant(ir.VectorType(ir.DoubleType(), self.width), None)
        return _Lanes(self.builder, zero, zero if self._parts == 2 else None)

    @property
    def itemsize(self):
        return self._parts * (4 if self._number == ir.FloatType() else 8)

    def ramp(self):
        """0, 1, 2, ... in the lanes."""
        kind = ir.VectorType(self._number, self.width)
        return _Lanes(self.builder, ir.Constant(kind, [float(j) for j in range(self.width)]))


class Integers:
    """A table of whole numbers."""

    def __init__(self, builder, pointer):
        self.builder, self.pointer = builder, builder.bitcast(pointer, WORD.as_pointer())

    def __getitem__(self, offset):
        place = self.builder.gep(self.pointer, [_whole(offset)])
        return Whole(self.builder, self.builder.load(place, align=8))

    def at(self, offset):
        return Integers(self.builder, self.builder.gep(self.pointer, [_whole(offset)]))


def loop(count, body, *carried, step=VECTOR):
    """Call ``body(k, *carried)``, which returns what to carry on, at k = 0, `step`, ...: `count` times, not 0."""
    builder = count.builder
    before, rows = builder.block, builder.append_basic_block("rows")
    builder.branch(rows)
    builder.position_at_end(rows)
    row = builder.phi(WORD)
    row.add_incoming(ir.Constant(WORD, 0), before)
    now = []
    for vector in carried:
        phis = [None if part is None else builder.phi(part.type) for part in (vector.re, vector.im)]
        for phi, part in zip(phis, (vector.re, vector.im), strict=True):
            if phi is not None:
                phi.add_incoming(part, before)
        now.append(_Lanes(builder, *phis))
    result = body(Whole(builder, row), *now) or ()
    for vector, following in zip(now, result, strict=True):
        for phi, part in ((vector.re, following.re), (vector.im, following.im)):
            if phi is not None:
                phi.add_incoming(part, builder.block)
    following = builder.add(row, ir.Constant(WORD, step))
    row.add_incoming(following, builder.block)
    limit = builder.mul(count.value, ir.Constant(WORD, step))
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", following, limit), rows, after)
    builder.position_at_end(after)
    return result


def repeat(limit, body, step=1):
    """Call ``body(k)`` at k = 0, `step`, ... below `limit`."""

    def once(k):
        body(k)

    builder = limit.builder
    with builder.if_then(builder.icmp_signed(">", limit.value, ir.Constant(WORD, 0))):
        before, again = builder.block, builder.append_basic_block("again")
        builder.branch(again)
        builder.position_at_end(again)
        k = builder.phi(WORD)
        k.add_incoming(ir.Constant(WORD, 0), before)
        once(Whole(builder, k))
        following = builder.add(k, ir.Constant(WORD, step))
        k.add_incoming(following, builder.block)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, limit.value), again, after)
        builder.position_at_end(after)


def when(truth, body):
    """Call ``body()`` if something is true."""
    with truth.builder.if_then(truth.value):
        body()


def choose(truth, a, b):
    """Whole number `a` if something is true, else `b`."""
    return Whole(truth.builder, truth.builder.select(truth.value, _whole(a), _whole(b)))


def either(truth, a, b):
    """Memory `a` if something is true, else `b`; of one kind."""
    return a.moved_to(truth.builder.select(truth.value, a.pointer, b.pointer))


def where(mask, a, b):
    """Lane by lane, `a` or `b`."""
    if not isinstance(mask, _Truth):
        return np.where(mask, a, b)
    a, b = a._alike(b) if isinstance(a, _Lanes) else b._alike(a)[::-1]
    parts = []
    for x, y in ((a.re, b.re), (a.im, b.im)):
        if x is not None or y is not None:
            zero = ir.Constant((y if x is None else x).type, None)
            parts.append(mask.builder.select(mask.value, zero if x is None else x, zero if y is None else y))
    return _Lanes(mask.builder, *parts)


def blended(mask, near, far):
    """Lane by lane, of each vector of `near` or of those that ``far()`` gives, which is asked if a lane needs it."""
    builder, count = mask.builder, mask.value.type.count
    lanes, before = builder.bitcast(mask.value, ir.IntType(count)), builder.block
    with builder.if_then(builder.icmp_unsigned("!=", lanes, ir.Constant(lanes.type, 2**count - 1))):
        mixed, inside = [where(mask, a, b) for a, b in zip(near, far(), strict=True)], builder.block
    result = []
    for a, b in zip(near, mixed, strict=True):
        phi = builder.phi(a.re.type)
        phi.add_incoming(a.re, before)
        phi.add_incoming(b.re, inside)
        result.append(_Lanes(builder, phi, flags=a.flags))
    return result


def _called(x, name):
    module, kind = x.builder.module, x.re.type
    symbol = f"{name}.v{kind.count}{kind.element.intrinsic_name}"
    function = module.globals.get(symbol) or ir.Function(module, ir.FunctionType(kind, [kind]), symbol)
    return _Lanes(x.builder, x.builder.call(function, [x.re]))


def floor(x):
    return _called(x, "llvm.floor") if isinstance(x, _Lanes) else np.floor(x)


def nearest(x):
    """The nearest whole number to the real part, lane by lane."""
    return floor(x.real + 0.5)


def double(x):
    """In double precision."""
    return x.double()


def scaled(x, k):
    """x times 2^k, `k` whole; both real."""
    single = x.re.type.element == ir.FloatType()
    kind = ir.VectorType(HALF_WORD if single else WORD, x.re.type.count)
    bias, bits = (ir.Constant(kind, [number] * kind.count) for number in ((127, 23) if single else (1023, 52)))
    power = x.builder.shl(x.builder.add(x.builder.fptosi(k.re, kind), bias), bits)
    return x * _Lanes(x.builder, x.builder.bitcast(power, x.re.type))


def stepped(value, x):
    """A derivative's value, times what a complex step of `x` adds to it: value (1 + i Im x)."""
    return value if x.im is None else _Lanes(value.builder, value.re, value._times(value.re, x.im))


def root(x):
    """Square root of real numbers."""
    return _called(x, "llvm.sqrt")


def is_complex(x):
    return x.im is not None


def joined(re, im):
    """Complex numbers of two parts."""
    return _Lanes(re.builder, re.re, im.re)


def total(vector):
    """The sum over lanes, as a vector of one lane."""

    def apply(part):
        while part.type.count > 1:
            half = part.type.count // 2
            low, high = (vector.builder.shuffle_vector(part, part, _indices(range(first, first + half)))
                         for first in (0, half))  # fmt: skip
            part = vector.builder.fadd(low, high, flags=FUSED)
        return part

    return vector.parts(apply)


def join(parts):
    """Vectors, one after another, as one."""
    builder = parts[0].builder

    def apply(vectors):
        first, *rest = vectors
        for following in rest:
            places = range(first.type.count + following.type.count)
            first = builder.shuffle_vector(first, following, _indices(places))
        return first

    im = None if parts[0].im is None else apply(part.im for part in parts)
    return _Lanes(builder, apply(part.re for part in parts), im)


def rounded(vector):
    """A vector in double precision, with which every operation is rounded by itself."""
    return vector.rounded()


def scatter(memory, offset, stride, columns):
    """Write the numbers of lane j of all `columns`, side by side, from `offset` + j `stride` on."""
    builder, vectors = memory.builder, [column.re for column in columns]
    level = [[memory.narrowed(vector)] for vector in vectors]  # groups of columns: the lanes of each, in turn
    width = 1  # numbers of a lane that lie side by side
    while len(level) > 1:
        per = VECTOR // width  # lanes in a vector
        joined = []
        for left, right in zip(level[::2], level[1::2], strict=True):
            vectors = []
            for a, b in zip(left, right, strict=True):
                for lanes in (range(per // 2), range(per // 2, per)):
                    places = [side * VECTOR + lane * width + k
                              for lane in lanes for side in range(2) for k in range(width)]  # fmt: skip
                    vectors.append(builder.shuffle_vector(a, b, _indices(places)))
            joined.append(vectors)
        level, width = joined, 2 * width
    for j in range(VECTOR):
        vector, lane = level[0][j * width // VECTOR], j % (VECTOR // width)
        numbers = builder.shuffle_vector(vector, vector, _indices(range(lane * width, (lane + 1) * width)))
        memory.store(numbers, offset + stride * j)
