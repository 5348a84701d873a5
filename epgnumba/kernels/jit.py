"""Every Numba decorator and flag, in one place.

- `kernel`: a compiled function whose pointer arguments do not overlap. LLVM vectorises loops over many arrays only
  when it knows that, and Numba can say so (it does for its own parallel loops) through a compiler flag. Should a
  release drop the flag, only speed is lost.
- `entry`: a kernel that Python calls; it releases the GIL and is kept on disk (`cache`).
- `at`: a pointer into an array: no view, no reference count, one machine word as an argument. Kernels work on pointers
  and on named tuples of them; the arrays are the entry's.
"""

import gc
from contextlib import contextmanager
from operator import index

import numba
from llvmlite.binding import Linkage
from numba.core import config, errors, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.extending import intrinsic

from ..notice import compiling
from .cache import Cache, whereabouts

# Contraction to fused multiply-adds only: NaN and infinity keep their meaning and sums keep their order.
FASTMATH = frozenset({"contract"})


class _NoEnvironments:  # pragma: no cover - compiled only
    """A code generator to which nothing of a function that only kernels call is told: it has no code of its own."""

    def __init__(self, codegen):
        self._codegen = codegen

    def __getattr__(self, name):
        return getattr(self._codegen, name)

    def set_env(self, name, environment):
        pass


class _Unoptimised(JITCodeLibrary):  # pragma: no cover - compiled only
    """A function that only kernels call, as it was written.

    Numba would optimise it, with everything that it calls, at every level on the way up, for code that only entries
    run: two thirds of the time that compiling takes.
    """

    @property
    def codegen(self):
        return _NoEnvironments(self._codegen)

    def add_llvm_module(self, module):
        self._final_module.link_in(module)

    def add_linking_library(self, library):
        self._linking_libraries.append(library)

    def finalize(self):
        if any("noinline" in line for line in str(self._final_module).splitlines() if line.startswith("attributes")):
            _link(self._final_module, self._linking_libraries)  # it stays a function: made well once, by itself
            self._linking_libraries = []
            self._optimize_final_module()
        self._finalized = True

    def get_pointer_to_function(self, name):
        return 0


def _closure(libraries):  # pragma: no cover - compiled only
    """Libraries, with those that they take from, and so on."""
    found, waiting = {}, list(libraries)
    while waiting:
        library = waiting.pop()
        if library not in found:
            found[library] = None
            if isinstance(library, _Unoptimised):
                waiting.extend(library._linking_libraries)
    return list(found)


def _link(target, libraries):  # pragma: no cover - compiled only
    """Take into a module all that it calls, from libraries and those that they take from."""
    modules = [library._get_module_for_linking() for library in _closure(libraries)]
    homes = {f.name: module for module in reversed(modules) for f in module.functions if not f.is_declaration}
    linked = set()
    while True:  # LLVM leaves out of a link what nothing refers to yet
        missing = {f.name for f in target.functions if f.is_declaration and f.name in homes} - linked
        if not missing:
            return
        for module in {homes[name] for name in missing}:
            target.link_in(module, preserve=True)
        linked |= missing


class _Whole(JITCodeLibrary):  # pragma: no cover - compiled only
    """The code of an entry: all that it calls is taken in, made its own, and optimised once.

    Its own, because otherwise the first function of a name that a process meets would stand in for all of that name:
    the same function, but optimised in other company, and so rounded otherwise. Results would depend on what was
    compiled or loaded before.
    """

    def finalize(self):
        _link(self._final_module, self._linking_libraries)
        self._linking_libraries = []
        super().finalize()

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = "internal"
        super()._optimize_final_module()


def _wording(purpose, args):  # pragma: no cover - compiled only
    """What an entry's code is for, as users would call it, by the type of its room."""
    room = next((arg.dtype for arg in args if isinstance(arg, types.Array)), None)
    words = {types.float32: f"{purpose} in single precision", types.complex128: "second or forward-mode derivatives"}
    return words.get(room, purpose)


class _Compiler(Compiler):  # pragma: no cover - compiled only
    """Arguments do not overlap, no C callback is made of the function, and its code is kept in a `library`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.state.flags.noalias = True
        self.state.flags.no_cfunc_wrapper = True

    def compile_extra(self, function):
        self.state.library = self.library(self.state.targetctx.codegen(), function.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(function)


class _InnerCompiler(_Compiler):  # pragma: no cover - compiled only
    """A function that only kernels call: no Python wrapper, which takes as long to compile as the function."""

    library = _Unoptimised

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.state.flags.no_cpython_wrapper = True


@contextmanager
def _no_collections():  # pragma: no cover - compiled only
    """Compiling makes millions of small objects that stay: looking for garbage among them takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _EntryCompiler(_Compiler):  # pragma: no cover - compiled only
    """A function that Python calls."""

    library = _Whole

    def compile_extra(self, function):
        with compiling(_wording(function.purpose, self.state.args), whereabouts), _no_collections():
            return super().compile_extra(function)


def _compiled(function, compiler, inline="never", fused=True):
    fastmath = set(FASTMATH) if fused else False
    options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath, "inline": inline}
    return numba.njit(pipeline_class=compiler, **options)(function)


def kernel(function, inline="never", fused=True):
    """Compile `function` for other kernels to call, its pointer and array arguments known not to overlap."""
    compiled = _compiled(function, _InnerCompiler, inline, fused)
    if not config.DISABLE_JIT:  # pragma: no cover - compiled only
        resolve = compiled.get_call_template

        def without_literals(args, kws):
            # Numba would compile the function anew for every literal argument.
            return resolve(tuple(types.unliteral(arg) for arg in args), kws)

        compiled.get_call_template = without_literals
    return compiled


def unfused(function):
    """A kernel that rounds after every operation, so that another way of writing it has the same bits."""
    return kernel(function, fused=False)


def entry(purpose):
    """Compile a function for Python to call, and keep it on disk between processes; `purpose` is told who waits."""

    def decorate(function):
        function.purpose = purpose
        compiled = _compiled(function, _EntryCompiler)
        if not config.DISABLE_JIT:  # pragma: no cover - compiled only
            compiled._cache = Cache(function)
        return compiled

    return decorate


if config.DISABLE_JIT:
    BEYOND = 1 << 62

    class Pointer:
        """What `at` gives when kernels run as plain Python: it steps back and forth, but not out of its array.

        NumPy counts a place below zero from the end; here it becomes one that no array reaches, and so an IndexError.
        """

        __slots__ = ("numbers", "start")

        def __init__(self, numbers, start):
            self.numbers, self.start = numbers, start

        def __getitem__(self, i):
            return self.numbers[(self.start + index(i)) % BEYOND]

        def __setitem__(self, i, value):
            self.numbers[(self.start + index(i)) % BEYOND] = value

    def at(array, offset):
        """Pointer to element `offset` of a contiguous array, or of what a pointer points to."""
        if isinstance(array, Pointer):
            return Pointer(array.numbers, array.start + index(offset))
        if not array.flags.c_contiguous:
            raise TypeError("a pointer needs a contiguous array")
        return Pointer(array.reshape(-1), index(offset))

    def keep_out_of_line():
        """Nothing to do in plain Python."""

else:  # pragma: no cover - compiled only

    @intrinsic
    def at(typing_context, array, offset):
        """Pointer to element `offset` of a contiguous array, or of what a pointer points to."""
        is_array = isinstance(array, types.Array)
        if is_array and array.layout != "C":
            raise errors.TypingError("a pointer needs a contiguous array")

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

    # A function that calls this is never inlined by LLVM: what writes a block of lanes, or solves for a steady state,
    # is worth a call, which keeps its registers to itself.
    keep_out_of_line = intrinsic(_attribute("noinline"))
