"""`design`: a protocol optimised for each point of a sweep."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ..design import CRLBObjective, limits, optimize
from .description import DesignTable
from .work import Arrays, Variable, Work


def resolved(table: DesignTable) -> dict[str, Any]:
    """The table `design`, but for the sweep, which rows hold."""
    return {name: one for name, one in msgspec.to_builtins(table).items() if name != "sweep"}


class Designs(Work):
    """Protocols: what is swept over enters the sequence to start from."""

    block = 1

    @property
    def block_bytes(self) -> int:
        return 1 << 24

    @cached_property
    def _tissues(self) -> int:
        return int(np.broadcast(*map(np.asarray, self.run["tissue"].values())).size)

    @property
    def variables(self) -> list[Variable]:
        found = [
            Variable("value", {}, "float64", "the objective of the design"),
            Variable("value_before", {}, "float64", "the objective of the start"),
            Variable("success", {}, "int8", "whether the optimiser said that it converged"),
        ]
        for name in self.run["design"]["unknowns"]:
            axis = {"tissue": self._tissues}
            found.append(Variable(f"bound_{name}", axis, "float64", f"Cramer-Rao bound of {name}, its unit squared"))
        for name, value in self.sequence.parameters.items():
            if name not in self.run["varying"]:
                axes = {f"{name}_entry": value.size} if value.ndim else {}
                found.append(Variable(name, axes, "float64", f"{name} of the design's sequence"))
        return found

    def _objective(self, values: Arrays) -> CRLBObjective:
        design = self.run["design"]
        try:
            sequence = self.sequence.replace(**{name: array[0] for name, array in values.items()})
        except ValueError as error:
            raise ValueError(f"design.sweep: {error}") from None
        return CRLBObjective(
            sequence, **self.run["tissue"], unknowns=tuple(design["unknowns"]), weights=design["weights"],
            noise=design["noise"], variables=tuple(design["variables"]),
        )  # fmt: skip

    def _limits(self, objective: CRLBObjective) -> list[Any]:
        design = self.run["design"]
        found: list[Any] = []
        if design["bounds"]:
            found.append(limits.bounds(objective, **{name: tuple(ends) for name, ends in design["bounds"].items()}))
        if design["flip_power"] is not None:
            found.append(limits.flip_power(objective, design["flip_power"]))
        return found

    def check(self, values: Arrays, place: npt.NDArray[np.int64]) -> None:
        for row in range(len(place)):
            objective = self._objective({name: array[row : row + 1] for name, array in values.items()})
            self._limits(objective)
            if row == 0:
                objective(objective.x0)

    def compute(self, values: Arrays, place: npt.NDArray[np.int64]) -> Arrays:
        objective, design = self._objective(values), self.run["design"]
        found = optimize(
            objective, self._limits(objective), starts=design["starts"], seed=design["seed"],
            max_iterations=design["max_iterations"], tolerance=design["tolerance"], progress=False,
        )  # fmt: skip
        results: dict[str, Any] = {
            "value": found.fun, "value_before": found.value_before, "success": found.success, **found.parameters,
        }  # fmt: skip
        bounds = np.reshape(found.bounds_after, (self._tissues, -1))
        results |= {f"bound_{name}": bounds[:, k] for k, name in enumerate(design["unknowns"])}
        return {variable.name: np.asarray(results[variable.name])[None] for variable in self.variables}
