"""Loops compiled: written down by `instructions` for a shape and precision, and called by address.

Numba's drivers, compiled once, serve all shapes. A new shape costs a few tenths of a second, once; then its code is
found on disk.
"""

import inspect
import pickle

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from . import cache
from .instructions import BYTES, WORD, Integers, Memory, Whole
from .shape import DOUBLE, INTEGERS, LOOPS, PAIRS, POINTERS, find_loop


def _given(builder, name, value, number, is_complex):
    """What a loop is told of an argument."""
    if name in INTEGERS:
        return Integers(builder, value)
    if name in POINTERS:
        kind = ir.DoubleType() if name in DOUBLE else number
        return Memory(builder, value, kind, is_complex and name not in PAIRS)
    return Whole(builder, value)


def _write(module, symbol, function, shape, dtype):
    """Note a loop down as a function of a module."""
    names = list(inspect.signature(function).parameters)[1:]
    number = ir.FloatType() if dtype == np.float32 else ir.DoubleType()
    kinds = [BYTES if name in POINTERS + INTEGERS else WORD for name in names]
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), symbol)
    for kind, argument in zip(kinds, made.args, strict=True):
        if kind is BYTES:
            argument.add_attribute("noalias")
    builder = ir.IRBuilder(made.append_basic_block("entry"))
    is_complex = dtype == np.complex128
    function(shape, *(_given(builder, name, value, number, is_complex)
                      for name, value in zip(names, made.args, strict=True)))  # fmt: skip
    builder.ret_void()


_made = {}


@global_compiler_lock
def compiled(shape, dtype, group):
    """The loops of a group for a shape and precision: their library (which code lives as long as), and symbols."""
    key = shape, np.dtype(dtype).char, group
    if key not in _made:
        codegen = cpu_target.target_context.codegen()
        title = f"epgnumba_{key[1]}{shape.planes}_{'_'.join(map(str, (*shape.kinds, shape.lanes, *shape.terms)))}"
        left_out = {"write": dtype == np.complex128}
        symbols = {name: f"{title}_{name}" for name in LOOPS[group] if not left_out.get(name)}
        kept = cache.load(group, key, codegen)
        try:
            library = codegen.unserialize_library(kept)
        except Exception:  # nothing kept, or nothing that is sound
            library = _anew(codegen, title, symbols, *key)
        _made[key] = library, symbols
    return _made[key]


def _anew(codegen, title, symbols, shape, char, group):
    """Compile loops, and keep them on disk."""
    module = codegen._create_empty_module(title)
    for name, symbol in symbols.items():
        _write(module, symbol, find_loop(name), shape, np.dtype(char))
    library = JITCodeLibrary(codegen, title)
    library.enable_object_caching()
    library.add_ir_module(module)
    library.finalize()
    cache.keep(group, (shape, char, group), codegen, lambda: pickle.dumps(library.serialize_using_object_code()))
    return library


def addresses(shape, dtype, group):
    """What `call_loop` takes for each loop of a group; zero for what a shape does not have."""
    library, symbols = compiled(shape, dtype, group)
    return tuple(library.get_pointer_to_function(symbols[name]) if name in symbols else 0 for name in LOOPS[group])


@intrinsic
def call_loop(typing_context, address, arguments):
    """Run the loop at an address with a tuple of pointers and whole numbers."""

    def generate(context, builder, signature, values):
        given = []
        for k, kind in enumerate(signature.args[1]):
            value = builder.extract_value(values[1], k)
            if isinstance(kind, types.CPointer):
                value = builder.bitcast(value, BYTES)
            elif value.type.width < WORD.width:  # a truth
                value = builder.zext(value, WORD)
            given.append(value)
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), generate
