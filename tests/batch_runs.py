"""Runs that tests of batch runs describe, and what they do with them."""

import os
from pathlib import Path

import numpy as np

import epgnumba
from epgnumba import cli
from epgnumba.batch import open_results

SEQUENCE = """
[sequence]
family = "MRF"
flip = {{ start = 5, stop = 60, count = {pulses} }}
TR = 10.0
TI = 20.0
"""
GRID = """
[tissue]
T1 = {{ start = 200, stop = 3000, count = {count}, spacing = "log" }}
T2 = {{ start = 20, stop = 200, count = {count}, spacing = "log" }}
B1 = [0.8, 1.0]
"""


def described(folder, tail, count=50, pulses=30, name="run.toml"):
    path = Path(folder) / name
    path.write_text(SEQUENCE.format(pulses=pulses) + GRID.format(count=count) + tail)
    return path


def atoms(count=50):
    """The grid's atoms, written out."""
    T1, T2 = np.geomspace(200, 3000, count), np.geomspace(20, 200, count)
    return np.array([(a, b, c) for a in T1 for b in T2 for c in (0.8, 1.0)]).T


def call(*arguments):
    return cli.main([str(one) for one in arguments])


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(epgnumba.__file__).parents[1])}


def same(one, other):
    """Whether two stores hold the same bits."""
    one, other = open_results(one, flat=True), open_results(other, flat=True)
    assert list(one.variables) == list(other.variables)
    for name in one.variables:
        assert one[name].values.tobytes() == other[name].values.tobytes(), name
    return True
