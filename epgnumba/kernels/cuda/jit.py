"""Decorators of CUDA kernels, and what the simulator lacks.

Kernels take `cuda` from here, and the host's side from `runtime`: nothing else knows which package compiles.

States lie in registers: arrays of `cuda.local`, whose indices are constants once loops of constant length are unrolled,
which NVVM does by itself. So every length is a constant of the kernel, and a kernel is made for each `Shape`; and what
is chosen at run time is chosen among values (`select`), never among places: a branch of which both sides end in the
same load or store becomes one with a variable address, and the array then lies in memory.
"""

import ast
import inspect
import textwrap

import numpy as np
from numba import cuda
from numba.core import config
from numba.cuda.extending import register_jitable

from ...notice import compiling
from .. import elementary, physics

SIMULATED = bool(config.ENABLE_CUDASIM)
if SIMULATED:
    floor = {np.float32: np.floor, np.float64: np.floor}
else:
    from numba.cuda import libdevice

    floor = {np.float32: libdevice.floorf, np.float64: libdevice.floor}

THREADS = 128  # of a block


def block_threads(lanes):
    """Threads of a block whose voxels share `lanes` of them; few in the simulator, where each is one of Python's."""
    return 2 * lanes if SIMULATED else THREADS


helper = register_jitable(forceinline=True)


def launched(function):
    """A kernel that the host launches."""
    kernel = cuda.jit(function)
    if not SIMULATED:
        compile_kernel = kernel.compile

        def compile_told(signature):
            with compiling("a CUDA device", lambda: "each process does so, once for each kind of call"):
                return compile_kernel(signature)

        kernel.compile = compile_told
    return kernel


LONGEST = 64  # calls in a row that are worth their code


def unrolled(function, count):
    """A function that calls `function(k, ...)` for k = 0, 1, ...: a loop too long for NVVM to unroll by itself."""
    names = ", ".join(list(inspect.signature(function).parameters)[1:])
    lines = [f"    function({k}, {names})" for k in range(count)]
    if count > LONGEST:  # the states lie in memory anyway
        lines = [f"    for k in range({count}):", f"        function(k, {names})"]
    scope = {"function": function}
    exec("\n".join([f"def each({names}):", *lines]), scope)
    return helper(scope["each"])


if SIMULATED:

    def select(condition, a, b):
        """`a` if a condition holds, else `b`."""
        return a if condition else b

    @cuda.jit(device=True)
    def _exchanged(value, step):
        """What the thread `step` further on has for `value`."""
        values = cuda.shared.array(1024, np.float64)
        mine = cuda.threadIdx.x
        values[mine] = value
        cuda.syncthreads()
        other = values[min(max(mine + step, 0), cuda.blockDim.x - 1)]
        cuda.syncthreads()
        return type(value)(other)

    def from_above(value):
        """What the next lane has for `value`."""
        return _exchanged(value, 1)

    def from_below(value):
        """What the lane before has for `value`."""
        return _exchanged(value, -1)

else:

    @helper
    def select(condition, a, b):
        """`a` if a condition holds, else `b`: both are there, so that no branch chooses an address."""
        return cuda.selp(condition, a, b)

    @helper
    def from_above(value):
        """What the next lane has for `value`."""
        return cuda.shfl_down_sync(0xFFFFFFFF, value, 1)

    @helper
    def from_below(value):
        """What the lane before has for `value`."""
        return cuda.shfl_up_sync(0xFFFFFFFF, value, 1)


def typed(function, real):
    """`function` in the precision `real`: a double among its constants would make all that follows double."""

    class Typing(ast.NodeTransformer):
        def visit_BinOp(self, node):
            self.generic_visit(node)
            if all(
                isinstance(side, ast.Call) and ast.unparse(side.func) == "_real" for side in (node.left, node.right)
            ):
                value = eval(compile(ast.Expression(ast.fix_missing_locations(node)), "", "eval"), {"_real": float})
                return constant(value)
            return node

        def visit_Constant(self, node):
            return node if isinstance(node.value, str) else constant(node.value)

    def constant(value):
        return ast.Call(ast.Name("_real", ast.Load()), [ast.Constant(value)], [])

    tree = ast.fix_missing_locations(Typing().visit(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    scope = {**function.__globals__, "_real": real, "floor": floor[real], "where": select}
    exec(compile(tree, inspect.getsourcefile(function), "exec"), scope)
    return helper(scope[function.__name__])


sin_cos_turns = {real: typed(elementary.sin_cos_turns, real) for real in (np.float32, np.float64)}
turn = helper(physics.turn)
