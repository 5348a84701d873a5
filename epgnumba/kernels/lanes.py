"""Vectors of numbers, and loops that are written over them once, in plain Python.

A loop (`forward`, `reverse`, `load`, `results`) reads vectors from memory (``x[offset]``), calculates with + - * and
with the scalar functions of `physics`, writes (``x[offset] = y``), and repeats that by `loop` and `repeat`. Compiled,
it is run once for each `Shape` and precision, on stand-ins that note down every operation as an instruction
(`lanes_llvm`); without compilation it runs as it is, on NumPy arrays (`lanes_numpy`).
"""

from numba.core import config

if config.DISABLE_JIT:
    from . import lanes_numpy as _lanes
else:  # pragma: no cover - compiled only
    from . import lanes_llvm as _lanes

loop, repeat, when = _lanes.loop, _lanes.repeat, _lanes.when
choose, either = _lanes.choose, _lanes.either
where, floor, nearest = _lanes.where, _lanes.floor, _lanes.nearest
double, scaled, stepped, root = _lanes.double, _lanes.scaled, _lanes.stepped, _lanes.root
is_complex, joined = _lanes.is_complex, _lanes.joined
total, join, rounded, scatter = _lanes.total, _lanes.join, _lanes.rounded, _lanes.scatter
addresses, call_loop = _lanes.addresses, _lanes.call_loop
