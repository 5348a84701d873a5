"""What a design comes with: the protocol and its evidence."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from ..checks import Array, file_path, needed, shown
from ..sequence import Sequence

NEAR = 1e-3  # starts that end so close to the best, relatively, are said to have found it


class Design(OptimizeResult):  # type: ignore[misc]
    """What `optimize` returns: a scipy `OptimizeResult` with the protocol and its evidence.

    Attributes
    ----------
    x, fun, success, message, nit, nfev
        As in scipy; `fun` is the objective's value.
    sequence : Sequence
        The protocol (None after `load` without a sequence).
    parameters : dict of str to ndarray
        Its parameters.
    unknowns : tuple of str
    bounds_before, bounds_after : ndarray, shape (*tissue, unknowns)
        Cramer-Rao bounds of the start and of the result.
    value_before : float
        The objective at the start.
    active : list of str
        Limits that the result touches.
    multipliers : ndarray or None
        Lagrange multipliers of the limits other than bounds, in the method's order and sign, where it gives them: how
        much the objective changes per unit of a limit.
    history : ndarray, shape (iterations,)
        Values of the best start, by iteration.
    starts : ndarray, shape (starts,)
        Best value of each start, nan where it found nothing feasible: the first from `x0`, then the random ones. How
        they spread tells how far `fun` may be trusted to be the best there is.
    seconds, objective_seconds : float
        Time that the search took, and what of it went into objective calls.
    compile_seconds : float
        Time that went into compiling or loading code meanwhile, which the search does not count.
    """

    x: Array
    fun: float
    success: bool
    message: str
    nit: int
    nfev: int
    sequence: Any  # of the kind that the objective was made from, or None
    parameters: dict[str, Array]
    unknowns: tuple[str, ...]
    bounds_before: Array
    bounds_after: Array
    value_before: float
    active: list[str]
    multipliers: Array | None
    history: Array
    starts: Array
    seconds: float
    objective_seconds: float
    compile_seconds: float

    def __str__(self) -> str:
        compiled = self.get("compile_seconds", 0.0)
        beside = f", and {compiled:.1f} s to compile" if compiled >= 0.05 else ""
        lines = [
            f"{self.message} ({self.nit} iterations, {self.nfev} evaluations, {self.seconds:.2f} s, "
            f"of which {self.objective_seconds:.2f} s in the objective{beside})",
            f"objective {self.value_before:.6g} -> {self.fun:.6g}",
            self._spread(),
        ]
        before = np.asarray(self.bounds_before).reshape(-1, len(self.unknowns))
        after = np.asarray(self.bounds_after).reshape(-1, len(self.unknowns))
        for k, name in enumerate(self.unknowns):
            change = 100 * (np.sqrt(after[:, k] / before[:, k]) - 1)
            rest = f" and {len(change) - 8} more" if len(change) > 8 else ""
            lines.append(f"std of {name}: {', '.join(f'{value:+.1f} %' for value in change[:8])}{rest}")
        lines.append(f"active limits: {'; '.join(self.active) or 'none'}")
        return "\n".join(lines)

    def _spread(self) -> str:
        """How the starts ended, in words."""
        values = np.asarray(self.starts)
        found = values[np.isfinite(values)]
        if found.size == 1:
            made = "one start" if values.size == 1 else f"one of {values.size} starts found something feasible"
            return f"{made}: this may be any local optimum"
        close = int((found <= found.min() + NEAR * abs(found.min())).sum())
        lost = f"; {values.size - found.size} found nothing feasible" if found.size < values.size else ""
        return (
            f"{values.size} starts: {close} within {100 * NEAR:g} % of the best, {found.min():.6g}; "
            f"median {np.median(found):.6g}, worst {found.max():.6g}{lost}"
        )

    def save(self, path: str | Path) -> None:
        """Write everything but the sequence object to a JSON file.

        Raises
        ------
        TypeError, OSError
            If that is no path, or cannot be written.
        """
        file = file_path("path", path)
        record = {name: _plain(value) for name, value in self.items() if name != "sequence"}
        if self.sequence is not None:
            record["events"] = digest(self.sequence)
        file.write_text(json.dumps(record, indent=1))

    @classmethod
    def load(cls, path: str | Path, sequence: Any = None) -> "Design":
        """Read what `save` wrote; given a sequence like the one it was designed from, with the protocol.

        Raises
        ------
        TypeError, OSError
            If that is no path, or cannot be read.
        ValueError
            If the file is not of this kind, or the sequence does not play what it was designed from.
        """
        file = file_path("path", path)
        try:
            record = json.loads(file.read_text())
            names = "x", "history", "starts", "bounds_before", "bounds_after"
            arrays = {name: np.array(record[name], np.float64) for name in names}
            parameters = {name: np.array(value, np.float64) for name, value in record["parameters"].items()}
            events = record["events"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"path={str(path)!r} does not hold a design") from error
        played = None if sequence is None else _with(sequence, parameters, events)
        found = record["multipliers"]
        lists = {
            "unknowns": tuple(record["unknowns"]), "parameters": parameters, "sequence": played,
            "multipliers": None if found is None else np.array(found, np.float64),
        }  # fmt: skip
        return cls({**record, **arrays, **lists})


def digest(sequence: Sequence) -> str:
    """What a sequence plays, whatever the values of its parameters, as a short text that is the same everywhere."""
    shapes = [(name, value.shape) for name, value in sequence.parameters.items()]
    played = sequence.steady, sequence.advance, sequence.tolerance, shapes, sequence.events()
    return hashlib.sha256(repr(played).encode()).hexdigest()


def _with(sequence: Sequence, parameters: dict[str, Array], events: str) -> Sequence:
    """The sequence with a design's parameters.

    Raises
    ------
    TypeError, ValueError
        If it is none, has others, or plays other events.
    """
    needed("sequence", sequence, Sequence)
    if set(parameters) != set(sequence.parameters):
        raise ValueError(f"sequence has parameters {list(sequence.parameters)}; the design's has {list(parameters)}")
    try:
        played = sequence.replace(**parameters)
    except Exception as error:  # an own function that writes events may raise anything
        raise ValueError(f"sequence is not like the one that was designed: {error}") from error
    if digest(played) != events:
        raise ValueError(f"sequence={shown(sequence)} is not like the one that was designed: it plays other events")
    return played


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
