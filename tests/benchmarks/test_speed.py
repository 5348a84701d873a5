"""Speed of what users wait for, with pytest-benchmark: ``python -m pytest tests/benchmarks --benchmark-only``.

Nothing here fails on a slow day; `compare.py` puts the same work beside a peer's and writes docs/speed.md.
"""

import pytest
import work

pytest.importorskip("pytest_benchmark")


@pytest.mark.parametrize("name", work.OURS)
def test_speed(benchmark, name):
    call = work.OURS[name]()
    call()
    benchmark(call)


def test_passes_are_vectorised():
    """The inner loops hold packed instructions: a Numba release that dropped the no-alias flag would show here."""
    assert work.packed_instructions("relax_pass") > 20
