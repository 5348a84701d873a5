"""Every Numba decorator, flag and cache setting, in one place.

- `kernel`: a compiled function whose pointer arguments do not overlap. LLVM vectorises loops over many arrays only
  when it knows that, and Numba can say so (it does for its own parallel loops) through a compiler flag. Should a
  release drop the flag, only speed is lost.
- `pasted`: a kernel whose source its callers take in. LLVM goes over everything below a function again, so that every
  level costs seconds when nothing is compiled yet.
- `entry`: a kernel that Python calls; it releases the GIL and is cached on disk.
- `at`: a pointer into an array: no view, no reference count, one machine word as an argument. Kernels work on pointers
  and on named tuples of them; the arrays are the entry's.
"""

import hashlib
import os
import platform
import tempfile
from pathlib import Path

import llvmlite
import numba
import numpy as np
from llvmlite import ir
from numba.core import caching, config, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload, register_jitable

from . import physics

# Contraction to fused multiply-adds only: NaN and infinity keep their meaning and sums keep their order.
FASTMATH = frozenset({"contract"})


class _NoAliasCompiler(Compiler):
    """Arguments do not overlap, and no C callback is made of the function."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.state.flags.noalias = True
        self.state.flags.no_cfunc_wrapper = True


class _InnerCompiler(_NoAliasCompiler):
    """A function that only kernels call: no Python wrapper, which takes as long to compile as the function."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.state.flags.no_cpython_wrapper = True


def _source_digest() -> str:
    """Digest of everything compiled code depends on: the kernels' source and the toolchain."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, np.__version__, platform.python_version(), platform.machine())
    digest.update("|".join(versions).encode())
    return digest.hexdigest()[:16]


def _writable_directory() -> Path | None:
    """First of the candidate cache directories that can be written, or None: then nothing is kept."""
    stated = os.environ.get("EPGNUMBA_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    user = os.getuid() if hasattr(os, "getuid") else "user"
    candidates = [stated] if stated else [os.path.join(home, "epgnumba"), f"{tempfile.gettempdir()}/epgnumba-{user}"]
    for candidate in candidates:
        directory = Path(candidate) / _source_digest()
        try:
            Path(candidate).mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError:
            continue
        if hasattr(os, "getuid") and {directory.stat().st_uid, Path(candidate).stat().st_uid} != {os.getuid()}:
            continue  # compiled code is run as it is found: never take somebody else's
        return directory
    return None


CACHE_DIRECTORY = None if config.DISABLE_JIT else _writable_directory()


class _Locator(caching._CacheLocator):
    """Cache files lie in one directory per digest, so they go stale together and never mix."""

    def __init__(self, py_func, py_file):
        self._disambiguator = str(py_func.__code__.co_firstlineno)

    def get_cache_path(self):
        return str(CACHE_DIRECTORY)

    def get_source_stamp(self):
        return CACHE_DIRECTORY.name

    def get_disambiguator(self):
        return self._disambiguator

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)


class _CacheFiles(caching.IndexDataCacheFile):
    """Data files named by their key: processes that start together cannot write each other's code."""

    def save(self, key, data):
        name = f"{self._index_name}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
        self._save_data(name, data)
        overloads = self._load_index()
        overloads[key] = name
        self._save_index(overloads)


class _CacheImpl(caching.CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _Cache(caching.FunctionCache):
    _impl_class = _CacheImpl

    def __init__(self, py_func):
        super().__init__(py_func)
        files = self._cache_file
        self._cache_file = _CacheFiles(self._cache_path, self._impl.filename_base, files._source_stamp)


def _compiled(function, compiler, inline="never"):
    options = {"nogil": True, "error_model": "numpy", "fastmath": set(FASTMATH), "inline": inline}
    return numba.njit(pipeline_class=compiler, **options)(function)


def kernel(function, inline="never"):
    """Compile `function` for other kernels to call, its pointer and array arguments known not to overlap."""
    compiled = _compiled(function, _InnerCompiler, inline)
    if not config.DISABLE_JIT:
        resolve = compiled.get_call_template

        def without_literals(args, kws):
            # Numba would compile the function anew for every literal argument.
            return resolve(tuple(types.unliteral(arg) for arg in args), kws)

        compiled.get_call_template = without_literals
    return compiled


def pasted(function):
    """A kernel that is compiled as part of its callers."""
    return kernel(function, inline="always")


def entry(function):
    """Compile `function` for Python to call, and keep it on disk between processes."""
    compiled = _compiled(function, _NoAliasCompiler)
    if CACHE_DIRECTORY is not None:
        compiled._cache = _Cache(function)
    return compiled


def decay_factor(x):
    """exp(x) for x <= 0: in kernels as arithmetic that vectorises, but for a complex step the library's."""
    return np.exp(x)


if config.DISABLE_JIT:

    def at(array, offset):
        """View of `array` from `offset` on: stands in for the pointer when kernels run as plain Python."""
        return array[offset:]

    def keep_out_of_line():
        """Nothing to do in plain Python."""

    def paste_in():
        """Nothing to do in plain Python."""

else:

    @intrinsic
    def at(typing_context, array, offset):
        """Pointer to element `offset` of a contiguous array, or of what a pointer points to."""
        is_array = isinstance(array, types.Array)

        def generate(context, builder, signature, arguments):
            start = arguments[0]
            if is_array:
                start = context.make_array(signature.args[0])(context, builder, start).data
            return builder.gep(start, [arguments[1]])

        pointer = types.CPointer(array.dtype) if is_array else array
        return pointer(array, types.intp), generate

    def _attribute(name):
        def mark(typing_context):
            def generate(context, builder, signature, arguments):
                builder.function.attributes.add(name)
                return context.get_dummy_value()

            return types.void(), generate

        return mark

    # A function that calls one of these is always or never inlined by LLVM. Loops over states are worth a call:
    # inlined, their coefficients would be spilled from registers. What surrounds them is not: a call passes a whole
    # player.
    keep_out_of_line = intrinsic(_attribute("noinline"))
    paste_in = intrinsic(_attribute("alwaysinline"))

    @intrinsic
    def _scaled(typing_context, x, k):
        """x times two to the power of k, where k + 1.5 * 2^52 is given: its lowest bits are those of k."""

        def generate(context, builder, signature, arguments):
            bits = ir.IntType(64)
            exponent = builder.shl(builder.bitcast(arguments[1], bits), ir.Constant(bits, 52))
            return builder.bitcast(builder.add(builder.bitcast(arguments[0], bits), exponent), ir.DoubleType())

        return types.float64(types.float64, types.float64), generate

    @overload(decay_factor, inline="always")
    def _decay_factor(x):
        if isinstance(x, types.Complex):
            return lambda x: np.exp(x)

        def factor(x):
            y = max(np.float64(x), -707.0)  # what is below is zero for all that follows
            magic = y * 1.4426950408889634 + 6755399441055744.0
            return _scaled(physics.exp_reduced(y, magic - 6755399441055744.0), magic)

        return factor


for _name in physics.__all__:
    register_jitable(fastmath=set(FASTMATH), error_model="numpy")(getattr(physics, _name))
