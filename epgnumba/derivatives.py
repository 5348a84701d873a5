"""Derivatives of a checked problem: back, forward, and of what goes back, forward.

`pull_back` is a reverse sweep. The others are complex steps: the kernels are analytic in planar reals, so that running
them in complex arithmetic with an imaginary step of 1e-30 gives a derivative to full precision (Squire and Trapp, SIAM
Rev 40 (1998) 110). `push_forward` steps a play, `push_pull` a reverse sweep, which gives second derivatives. What is
between bare amplitudes and results, M0 and the outputs' factors, is written here in planar reals for the same reason.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from . import engine
from .checks import Array, shown
from .kernels.columns import M0 as M0_CODE
from .names import hint
from .problem import OPTIONAL_NAMES, ComplexArray, Problem
from .program.expressions import flatten, unflatten
from .program.program import Program
from .tissue import Tissue, stretched_axes
from .tissue_parameters import NAMES
from .transmit import without_shared

STEP = 1e-30  # of a complex step: its square vanishes beside one, so that the derivative is exact


def _cotangent(name: str, value: npt.ArrayLike | None, shape: tuple[int, ...], dtype: npt.DTypeLike) -> ComplexArray:
    if value is None:
        return np.zeros(shape, dtype)
    array = np.asarray(value)
    if array.dtype.kind not in "iufc":
        raise TypeError(f"{name}={shown(value)} is not numeric")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; {shape} is needed")
    return array.astype(dtype, order="C")  # the one order that kernels are compiled for


def _summed(value: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an array of `shape` was broadcast."""
    stretched = stretched_axes(shape, value.ndim)
    return cast("Array", (value.sum(axis=stretched) if stretched else value).reshape(shape))


def pull_back(
    problem: Problem,
    signal_bar: npt.ArrayLike | None,
    jacobian_bar: npt.ArrayLike | None,
    wanted: tuple[str, ...] | None = None,
) -> dict[str, Array]:
    """`vjp` of a checked problem."""
    sweep = Sweep(problem, wanted)
    signal_bar, jacobian_bar = sweep.read_bars(signal_bar, jacobian_bar, problem.complex_dtype)
    sums = sweep.job.gradient(signal_bar, jacobian_bar, sweep.timing, sweep.turning)
    return sweep.collect(sums, problem.tissue.slope)


class Sweep:
    """What a reverse sweep is asked for.

    Parameters
    ----------
    problem : Problem
        What is played.
    wanted : tuple of str, optional
        Parameters, maps and slice_prof, with respect to which derivatives are wanted; all by default.
    moved : collection of str
        What will move besides, so that its program is needed.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, or they are not in a tuple.
    """

    def __init__(self, problem: Problem, wanted: tuple[str, ...] | None, moved: Collection[str] = ()) -> None:
        terms = problem.terms(moved)
        names = (*problem.sequence.parameters, *without_shared(problem.names), *problem.profile.names)
        if wanted is not None and not isinstance(wanted, (tuple, list)):
            raise TypeError(f"wanted={shown(wanted)} is not allowed: it must be a tuple of names out of {names}")
        present = [name for name in names if name not in OPTIONAL_NAMES or NAMES.index(name) in terms]
        self.problem, self.asked = problem, tuple(present) if wanted is None else wanted
        for name in self.asked:
            if name not in names:
                raise ValueError(f"wanted: {shown(name)} is unknown{hint(name, names)}; allowed are {names}")
        names_of = problem.job().program.expressions
        self.turning = not names_of.phase_names.isdisjoint(self.asked)
        self.timing = not (names_of.time_names | {"T1", "T2", "B0"} | OPTIONAL_NAMES).isdisjoint(self.asked)
        turned = self.turning or not names_of.phase_names.isdisjoint(moved)
        self.job = problem.job(turned, {*self.asked, *moved})

    def read_bars(
        self, signal_bar: npt.ArrayLike | None, jacobian_bar: npt.ArrayLike | None, dtype: npt.DTypeLike
    ) -> tuple[ComplexArray, ComplexArray]:
        """Cotangents of signal and Jacobian, checked, as (voxel, output) and (voxel, derivative, output)."""
        problem, n_voxels, n_out = self.problem, self.job.n_voxels, self.job.program.n_out
        tissue, n_codes = problem.tissue, len(problem.codes)
        full = (*tissue.shape, *(() if problem.single else (n_codes,)), n_out) if n_codes else (n_voxels, 0, n_out)
        cotangent = _cotangent if isinstance(tissue, Tissue) else tissue.cotangent
        s_bar = cotangent("signal_bar", signal_bar, (*tissue.shape, n_out), dtype)
        j_bar = cotangent("jacobian_bar", jacobian_bar, full, dtype)
        j_bar = tissue.inside(j_bar) if n_codes else j_bar
        return tissue.inside(s_bar), j_bar.reshape(n_voxels, n_codes, n_out)

    def collect(self, sums: engine.Gathered, slope: Callable[[str], Any]) -> dict[str, Array]:
        """Derivatives by name, in the shapes in which values were given.

        `slope` is the derivative of a row of the tissue's table with respect to its map.
        """
        problem, parameters, expressions = self.problem, self.problem.sequence.parameters, self.job.program.expressions
        result = unflatten(expressions.pull_back(sums.entries(self.timing, self.turning)), parameters)
        if not set(problem.profile.names).isdisjoint(self.asked):
            result.update(sums.profile())
        for row, (name, value) in enumerate(problem.tissue.maps.items()):
            if name in self.asked:
                result[name] = _summed(problem.tissue.spread(sums.tissue[row]), tuple(value.shape)) * slope(name)
        return {name: result[name] for name in self.asked}


@dataclass
class _Stepped:
    """A problem whose values have taken an imaginary step, and what lies around its kernels.

    Attributes
    ----------
    job : Job
        In complex arithmetic.
    frame : ndarray, shape (2, planes, outputs)
        From the planes of an amplitude to real and imaginary part.
    scale : ndarray, shape (voxels, results, 1, 1)
        M0, or 1 for the derivative by it. Results are the signal, then its derivatives.
    sets : list of int
        The state set that each result is of.
    slopes : dict of str to ndarray
        Derivatives of rows of the tissue's table with respect to their maps.
    """

    job: engine.Job
    frame: ComplexArray
    scale: ComplexArray
    sets: list[int]
    slopes: dict[str, Any]

    def turned(self, amplitudes: npt.NDArray[np.inexact]) -> ComplexArray:
        """Bare amplitudes (voxel, set, plane, output) as real and imaginary parts of each result, before `scale`."""
        return np.asarray(np.einsum("pqo,vsqo->vspo", self.frame, amplitudes)[:, self.sets])

    def pull(self, bars: ComplexArray, sweep: "Sweep") -> engine.GradientSums:
        """A reverse sweep from derivatives by real and imaginary parts of the results (voxel, result, 2, output)."""
        scaled = bars * self.scale
        by_set = np.zeros((len(bars), 1 + len(self.job.tangents), *bars.shape[2:]), np.complex128)
        for r, i in enumerate(self.sets):
            by_set[:, i] += scaled[:, r]
        amplitudes_bar = np.einsum("pqo,vspo->vsqo", self.frame, by_set)
        sums = self.job.pull(amplitudes_bar, sweep.timing, sweep.turning)
        if sweep.turning or "M0" in sweep.asked:
            turned = self.turned(self.job.amplitudes())
            by_phase = (scaled[:, :, 1] * turned[:, :, 0] - scaled[:, :, 0] * turned[:, :, 1]).sum(axis=(0, 1))
            of_m0 = [r == 0 or code != M0_CODE for r, code in enumerate((None, *self.job.codes))]
            sums.add_outputs(by_phase, (bars * turned)[:, of_m0].sum(axis=(1, 2, 3)))
        return sums


def _step(problem: Problem, program: Program, tangents: Mapping[str, Array], step: float) -> _Stepped:
    """The problem, moved by i * step along tangents of its parameters, maps and slice profile."""
    moved = {
        name: value + 1j * step * tangents[name] if name in tangents else value
        for name, value in problem.sequence.parameters.items()
    }
    entries = program.expressions.evaluate(flatten(moved))
    tissue = problem.host_tissue
    table = tissue.table(np.complex128)
    slopes: dict[str, Any] = {name: tissue.slope(name) for name in tissue.names}
    for row, name in enumerate(tissue.names):
        if name in tangents:
            table[row] += 1j * step * tissue.inside(np.broadcast_to(slopes[name] * tangents[name], tissue.shape))
            slopes[name] = slopes[name] + 1j * step * tissue.curvature(name) * tangents[name]
    profile = problem.profile
    if not set(profile.names).isdisjoint(tangents):
        profile = profile.moved(tangents, 1j * step)
    job = engine.Job(program, entries, table, profile, problem.codes)
    _, phases, _, receivers, _ = entries
    # To first order, which is all that a step asks for: a factor turns with its phases.
    turn = 1j * np.deg2rad((phases[program.signal.factor_step] - receivers).imag)
    factors = job.call.factors[: program.n_out]
    re, im = factors.real - turn * factors.imag, factors.imag + turn * factors.real
    frame = np.array([[re, -im], [im, re]])[:, : program.signal.reach.planes]
    m0, one = table[M0_CODE], np.ones(job.n_voxels, np.complex128)
    scale = np.stack([m0, *(one if code == M0_CODE else m0 for code in problem.codes)], 1)[:, :, None, None]
    return _Stepped(job, frame, scale, [0, *engine.state_sets(problem.codes)], slopes)


def _size(*tangents: npt.NDArray[Any]) -> float:
    """The largest number in tangents: steps are scaled by it, so that none is too large to vanish squared."""
    return float(np.max([np.max(abs(tangent), initial=0.0) for tangent in tangents], initial=0.0)) or 1.0


def push_forward(problem: Problem, tangents: Mapping[str, Array]) -> tuple[ComplexArray, ComplexArray]:
    """Directional derivative of signal and Jacobian along tangents of parameters, maps and slice_prof."""
    size = _size(*tangents.values())
    stepped = _step(problem, Sweep(problem, (), tangents).job.program, tangents, STEP / size)
    slopes = (stepped.turned(stepped.job.amplitudes()) * stepped.scale).imag / STEP * size
    results = (slopes[:, :, 0] + 1j * slopes[:, :, 1]).astype(problem.complex_dtype)
    signal, derivatives = results[:, 0], results[:, 1:]
    return problem.shape_signal(signal), problem.shape_jacobian(derivatives) if problem.codes else derivatives


def push_pull(
    problem: Problem,
    bars: tuple[npt.ArrayLike | None, npt.ArrayLike | None],
    tangents: Mapping[str, Array],
    bar_tangents: tuple[npt.ArrayLike | None, npt.ArrayLike | None] = (None, None),
    wanted: tuple[str, ...] | None = None,
) -> dict[str, Array]:
    """Directional derivative of `pull_back`: second derivatives of signal and Jacobian.

    Parameters
    ----------
    bars : (array_like, array_like)
        Cotangents of signal and Jacobian, as `pull_back` takes them.
    tangents : mapping of str to array
        Of parameters, maps and slice_prof.
    bar_tangents : (array_like, array_like)
        Of the cotangents; zero if left out.
    wanted : tuple of str, optional
        Derivatives of which to return the derivatives; all by default.

    Returns
    -------
    dict of str to ndarray
        As `pull_back`, in double precision.
    """
    sweep = Sweep(problem, wanted, tangents)
    given, moves = (sweep.read_bars(*pair, np.complex128) for pair in (bars, bar_tangents))
    size = _size(*tangents.values(), *moves)
    stepped = _step(problem, sweep.job.program, tangents, STEP / size)
    results, steps = (np.concatenate([pair[0][:, None], pair[1]], 1) for pair in (given, moves))
    planar = np.stack([results.real, results.imag], 2) + 1j * STEP / size * np.stack([steps.real, steps.imag], 2)
    pulled = sweep.collect(stepped.pull(planar, sweep), stepped.slopes.__getitem__)
    return {name: value.imag / STEP * size for name, value in pulled.items()}
