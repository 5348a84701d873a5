"""Vectors of numbers, and loops that are written over them once, in plain Python.

A loop (`forward`, `reverse`, `load`, `results`) reads vectors from memory (``x[offset]``), calculates with + - * and
with the scalar functions of `physics`, writes (``x[offset] = y``), and repeats that by `loop` and `repeat`. Compiled,
it is run once for each `Shape` and precision, on stand-ins that note down every operation as an instruction
(`instructions`, compiled by `lanes_llvm`); without compilation it runs as it is, on NumPy arrays (`lanes_numpy`).
"""

from numba.core import config

if config.DISABLE_JIT:
    from . import lanes_numpy as _calls
    from . import lanes_numpy as _operations
else:  # pragma: no cover - compiled only
    from . import instructions as _operations
    from . import lanes_llvm as _calls

loop, repeat, when = _operations.loop, _operations.repeat, _operations.when
choose, either, where = _operations.choose, _operations.either, _operations.where
blended = _operations.blended
floor, nearest, root = _operations.floor, _operations.nearest, _operations.root
double, scaled, rounded = _operations.double, _operations.scaled, _operations.rounded
is_complex, joined, stepped = _operations.is_complex, _operations.joined, _operations.stepped
total, join, scatter = _operations.total, _operations.join, _operations.scatter
addresses, call_loop = _calls.addresses, _calls.call_loop
