"""Vectors of numbers, and loops that are written over them once, in plain Python.

A loop over rows (`rows`) reads vectors of VECTOR numbers from memory (`x[offset]`), calculates with + - * and with the
scalar functions of `physics`, writes (`x[offset] = y`), and repeats that by `loop`. It is run once for each shape and
precision, on stand-ins that note down every operation as an instruction on vectors: nothing is left to the compiler's
finding out that a loop can be vectorised, and what the shape decides is decided then. Without compilation it runs as it
is, on NumPy arrays.

Drivers call loops by address (`call_rows`): compiled once, they serve all shapes, and a new shape costs a tenth of a
second; then its code is found on disk. Numbers are float32, float64, or complex128 (for complex steps), of which real
and imaginary parts are a vector each.
"""

import functools
import inspect
import pickle
from operator import index
from typing import NamedTuple

import numpy as np
from numba.core import config

from . import cache
from .columns import VECTOR


class Shape(NamedTuple):
    """What loops are compiled for: planes (1: a real problem), and the rate that each tangent changes."""

    planes: int
    kinds: tuple[int, ...]


LOOPS = "play", "rewind", "pair_decay", "pair_turn", "write"  # of `rows`
# Arguments that point to numbers, in double precision or in the precision at hand; the rest are whole numbers.
DOUBLE = "sums", "factors"
SAME = "space", "adjoint", "trig", "decay", "seeds", "time", "flip", "turns", "amplitudes", "scale", "out"
POINTERS = DOUBLE + SAME
PAIRS = "factors", "out"  # to complex numbers, as pairs of real ones
SINGLE = "time", "flip", "turns", *PAIRS  # to numbers that are the same in all lanes, or no matter of lanes


if config.DISABLE_JIT:
    _known = []  # loops by number, which stands for an address

    class _Memory:
        """What a pointer points to, by vectors."""

        def __init__(self, pointer, pairs):
            if pairs:  # complex numbers, taken as their parts
                pointer = type(pointer)(pointer.numbers.view(pointer.numbers.real.dtype), 2 * pointer.start)
            self.pointer = pointer

        def __getitem__(self, offset):
            return np.array([self.pointer[offset + j] for j in range(VECTOR)])

        def __setitem__(self, offset, vector):
            for j in range(VECTOR):
                self.pointer[offset + j] = vector[j]

        def spread(self, offset):
            """One number in every lane."""
            return np.full(VECTOR, self.pointer[offset])

    def loop(count, body, *carried, step=VECTOR):
        """Call ``body(k, *carried)``, which returns what to carry on, at k = 0, `step`, ...: `count` times."""
        for k in range(count):
            carried = body(k * step, *carried)
        return carried

    def rounded(vector):
        """A vector in double precision, with which every operation is rounded by itself."""
        return vector.astype(np.float64)

    def scatter(memory, offset, stride, columns):
        """Write the numbers of lane j of all `columns`, side by side, from `offset` + j `stride` on."""
        for j, numbers in enumerate(zip(*columns, strict=True)):
            for k, number in enumerate(numbers):
                memory.pointer[offset + j * stride + k] = number

    @functools.cache
    def addresses(shape, dtype):
        """What `call_rows` takes for each of LOOPS."""
        from . import rows

        first = len(_known)
        _known.extend((getattr(rows, name), shape) for name in LOOPS)
        return tuple(range(first, len(_known)))

    def call_rows(address, arguments):
        """Run the loop at an address with a tuple of pointers and whole numbers."""
        function, shape = _known[address]
        names = list(inspect.signature(function).parameters)[1:]
        given = zip(names, arguments, strict=True)
        function(shape, *(_Memory(value, name in PAIRS) if name in POINTERS else value for name, value in given))

else:  # pragma: no cover - compiled only
    from llvmlite import ir
    from numba.core import types
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic

    FUSED = ("contract",)  # multiply-adds may be one instruction, as elsewhere (`jit.FASTMATH`)
    WORD = ir.IntType(64)

    def _indices(places):
        places = list(places)
        return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)

    class _Whole:
        """A whole number of the loop that is being written."""

        def __init__(self, builder, value):
            self.builder, self.value = builder, value

        def _with(self, other, operation):
            value = other.value if isinstance(other, _Whole) else ir.Constant(WORD, index(other))
            return _Whole(self.builder, getattr(self.builder, operation)(self.value, value))

        def __add__(self, other):
            return self._with(other, "add")

        def __mul__(self, other):
            return self._with(other, "mul")

    class _Lanes:
        """A vector of the loop that is being written; `im` is None where numbers are real."""

        def __init__(self, builder, re, im=None, flags=FUSED):
            self.builder, self.re, self.im, self.flags = builder, re, im, flags

        def _alike(self, other):
            """Both operands as vectors of one type: sums of single precision are kept in double."""
            if not isinstance(other, _Lanes):
                return self, _Lanes(self.builder, ir.Constant(self.re.type, [float(other)] * self.re.type.count))
            if self.re.type == other.re.type:
                return self, other
            return self._widened(), other._widened()

        def _widened(self):
            kind = ir.VectorType(ir.DoubleType(), self.re.type.count)
            return self if self.re.type == kind else _Lanes(self.builder, self.builder.fpext(self.re, kind))

        def rounded(self):
            """In double precision, and rounded after every operation."""
            return _Lanes(self.builder, self._widened().re, flags=())

        def _times(self, x, y):
            return self.builder.fmul(x, y, flags=self.flags)

        def _plus(self, other, operation):
            a, b = self._alike(other)
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

        __rmul__ = __mul__

    class _Memory:
        """What a pointer points to, by vectors."""

        def __init__(self, builder, pointer, number, is_complex, width):
            self.builder, self._number, self._width = builder, number, width
            self._pointer, self._parts = builder.bitcast(pointer, number.as_pointer()), 2 if is_complex else 1
            self._align = 4 if number == ir.FloatType() else 8

        def _place(self, offset, count):
            value = offset.value if isinstance(offset, _Whole) else ir.Constant(WORD, index(offset))
            start = self.builder.gep(self._pointer, [self.builder.mul(value, ir.Constant(WORD, self._parts))])
            return self.builder.bitcast(start, ir.VectorType(self._number, count * self._parts).as_pointer())

        def _split(self, whole, places):
            """Real and imaginary part of a run of numbers, of which lane j takes number places[j]."""
            parts = [_indices(self._parts * place + part for place in places) for part in range(self._parts)]
            return _Lanes(self.builder, *(self.builder.shuffle_vector(whole, whole, part) for part in parts))

        def __getitem__(self, offset):
            whole = self.builder.load(self._place(offset, self._width), align=self._align)
            return _Lanes(self.builder, whole) if self._parts == 1 else self._split(whole, range(self._width))

        def __setitem__(self, offset, vector):
            value = vector.re
            if self._parts == 2:
                im = ir.Constant(value.type, None) if vector.im is None else vector.im
                order = _indices(k // 2 + self._width * (k % 2) for k in range(2 * self._width))
                value = self.builder.shuffle_vector(value, im, order)
            self.builder.store(value, self._place(offset, self._width), align=self._align)

        def moved(self, count):
            """The memory that begins `count` numbers later."""
            start = self.builder.gep(self._pointer, [ir.Constant(WORD, count * self._parts)])
            return _Memory(self.builder, start, self._number, self._parts == 2, self._width)

        def store(self, numbers, offset):
            """Write the numbers of an instruction's vector."""
            self.builder.store(numbers, self._place(offset, numbers.type.count), align=self._align)

        def narrowed(self, numbers):
            """Numbers in the precision of this memory."""
            if numbers.type.element == self._number:
                return numbers
            return self.builder.fptrunc(numbers, ir.VectorType(self._number, numbers.type.count))

        def spread(self, offset):
            """One number in every lane."""
            return self._split(self.builder.load(self._place(offset, 1), align=self._align), [0] * self._width)

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
        result = body(_Whole(builder, row), *now) or ()
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

    def _width(shape, dtype):
        """How many lanes go through a loop together: half of a vector where registers would not hold all of a row."""
        row = shape.planes * (1 + len(shape.kinds)) * np.dtype(dtype).itemsize
        return VECTOR // 2 if row >= 32 else VECTOR  # measured on registers of 512 bits

    def _write(module, name, function, shape, dtype):
        """Note a loop down as a function of a module."""
        names = list(inspect.signature(function).parameters)[1:]
        number = ir.FloatType() if dtype == np.float32 else ir.DoubleType()
        byte = ir.IntType(8).as_pointer()
        kinds = [byte if name in POINTERS else WORD for name in names]
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        builder = ir.IRBuilder(made.append_basic_block("entry"))
        width = VECTOR if name.endswith("write") else _width(shape, dtype)
        for first in range(0, VECTOR, width):
            given = []
            for argument, value in zip(names, made.args, strict=True):
                if argument in POINTERS:
                    kind = ir.DoubleType() if argument in DOUBLE else number
                    memory = _Memory(builder, value, kind, dtype == np.complex128, width)
                    given.append(memory if argument in SINGLE else memory.moved(first))
                else:
                    given.append(_Whole(builder, value))
            function(shape, *given)
        builder.ret_void()

    _made = {}

    @global_compiler_lock
    def compiled(shape, dtype):
        """The loops of a shape and precision: their library (which code lives as long as), and a symbol for each."""
        key = shape, np.dtype(dtype).char
        if key not in _made:
            codegen = cpu_target.target_context.codegen()
            title = f"epgnumba_{key[1]}{shape.planes}_{''.join(map(str, shape.kinds))}"
            left_out = {"pair_turn": shape.planes == 1, "write": dtype == np.complex128}
            symbols = {name: f"{title}_{name}" for name in LOOPS if not left_out.get(name)}
            kept = cache.load("rows", key, codegen)
            try:
                library = codegen.unserialize_library(kept)
            except Exception:  # nothing kept, or nothing that is sound
                library = _anew(codegen, title, symbols, *key)
            _made[key] = library, symbols
        return _made[key]

    def _anew(codegen, title, symbols, shape, char):
        """Compile loops, and keep them on disk."""
        from . import rows

        module = codegen._create_empty_module(title)
        for name, symbol in symbols.items():
            _write(module, symbol, getattr(rows, name), shape, np.dtype(char))
        library = JITCodeLibrary(codegen, title)
        library.enable_object_caching()
        library.add_ir_module(module)
        library.finalize()
        cache.keep("rows", (shape, char), codegen, lambda: pickle.dumps(library.serialize_using_object_code()))
        return library

    def addresses(shape, dtype):
        """What `call_rows` takes for each of LOOPS; zero for what a shape does not have."""
        library, symbols = compiled(shape, dtype)
        return tuple(library.get_pointer_to_function(symbols[name]) if name in symbols else 0 for name in LOOPS)

    @intrinsic
    def call_rows(typing_context, address, arguments):
        """Run the loop at an address with a tuple of pointers and whole numbers."""
        byte = ir.IntType(8).as_pointer()

        def generate(context, builder, signature, values):
            given = []
            for k, kind in enumerate(signature.args[1]):
                value = builder.extract_value(values[1], k)
                given.append(builder.bitcast(value, byte) if isinstance(kind, types.CPointer) else value)
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
            builder.call(builder.inttoptr(values[0], kind.as_pointer()), given)
            return context.get_dummy_value()

        return types.void(types.intp, arguments), generate
