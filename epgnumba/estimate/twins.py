"""Bounds that hold two answers to the same data, as B1 = 0.9 and 1.1 are around refocusing pulses of 180 degrees."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import engine
from ..checks import Array
from ..tissue import Tissue
from .question import Question, quietly
from .result import Status
from .starts import Starts
from .voxels import Fitting

PROBES = 16  # signals that are fitted
STARTS = 12  # of each
GOLDEN = (5**0.5 - 1) / 2
SAME, APART = 1e-13, 1e-9  # squares of differences between signals, relative


def check_twins(question: Question, known: dict[str, float]) -> None:
    """Refuse bounds within which two sets of values leave the same signal.

    A few signals, without noise, are fitted from wherever a coarse dictionary has a peak: all that leave nothing must
    be the same. Two are twins if a signal between them differs: else they lie where nothing is seen.

    Raises
    ------
    ValueError
        Naming them.
    """
    if question.kind == engine.fits().RICIAN:
        question = replace(question, kind=engine.fits().MAGNITUDE)
    starts = Starts(question, known)
    count = len(next(iter(starts.values.values())))
    probes = np.unique((np.arange(PROBES) * GOLDEN % 1 * count).astype(np.int64))
    truth = {name: values[probes] for name, values in starts.values.items()}
    data = _signals(question, known, truth)
    places = starts.match(data, np.ones(len(data)), STARTS)
    rows, columns = np.nonzero(places >= 0)
    begun = {name: values[places[rows, columns]] for name, values in starts.values.items()}
    inside = np.ones(len(rows), np.bool_)
    tissue = Tissue(mask=inside, **_numbers(question, known))
    fitting = Fitting(
        question, question.packed(0.0, 1e-10, 100), data[rows], inside, tissue, np.zeros(len(rows)), begun
    )  # fmt: skip
    found = fitting.run(False)
    energy = (abs(question.planar(data[rows])) ** 2).sum(axis=-1)
    exact = (found.status == Status.CONVERGED) & (found.residual**2 <= SAME * energy)
    middle, far = {}, np.zeros(len(rows), np.bool_)
    for name in question.found:
        own, true = found.maps[name], truth[name][rows]
        if question.is_reciprocal(name):
            far |= abs(np.log(own / true)) > 1e-3
            middle[name] = np.sqrt(own * true)
        else:
            low, high = question.bounds[name]
            far |= abs(own - true) > 1e-3 * (high - low)
            middle[name] = (own + true) / 2
    twins = np.flatnonzero(exact & far)
    if not twins.size:
        return
    between = _signals(question, known, {name: values[twins] for name, values in middle.items()})
    apart = _differ(question, between, data[rows[twins]])
    if apart.any():
        n = twins[np.argmax(apart)]
        pair = [{name: truth[name][rows[n]] for name in middle}, {name: found.maps[name][n] for name in middle}]
        told = [", ".join(f"{name}={value:.3g}" for name, value in one.items()) for one in pair]
        raise ValueError(f"bounds are not allowed: {told[0]} and {told[1]} leave the same data; narrow them")


def _numbers(question: Question, known: dict[str, float]) -> dict[str, Any]:
    """What is known, and of what is not something that does not matter."""
    unknown = {"T1": np.inf, "T2": 1e-6}
    return {**{name: unknown[name] for name in question.found if name in unknown}, **known}


def _signals(question: Question, known: dict[str, float], values: dict[str, Array]) -> Any:
    """Signals of some values, or their magnitudes, as complex numbers."""
    signal = quietly(question.sequence, {**known, **values}, **question.options).job().signals()[0]
    return signal if question.kind == engine.fits().COMPLEX else abs(signal) + 0j


def _differ(question: Question, one: Any, other: Any) -> Any:
    """Whether signals differ, whatever M0 is if it is not known."""
    root = np.sqrt(question.weights)
    one, other = (root * one, root * other) if question.m0_columns == 2 else (
        question.planar(one), question.planar(other)
    )  # fmt: skip
    inner = (one * np.conj(other)).sum(axis=-1)
    sizes = [(abs(signal) ** 2).sum(axis=-1) for signal in (one, other)]
    if not question.m0_columns:
        return sizes[0] + sizes[1] - 2 * inner > APART * sizes[1]
    return abs(inner) ** 2 < (1 - APART) * sizes[0] * sizes[1]
