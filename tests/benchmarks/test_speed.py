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


def test_loops_are_vectorised():
    """The loops over rows hold packed instructions."""
    assert work.packed_instructions((1,)) > 20
