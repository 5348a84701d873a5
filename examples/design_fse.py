"""T2 mapping by fast spin echo under a SAR budget, and the best spacing of spin echoes.

    python design_fse.py [figure.png]

32 refocusing angles of at most 60 degrees rms, M0 unknown too, TR 1 s in its exact steady state; then the published
echo spacings for 1 to 6 spin echoes.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

from epgnumba import FSE, CRLBObjective
from epgnumba.design import limits, optimize
from epgnumba.plot import plot_bounds, plot_phase_graph, plot_protocol

T1, T2 = 1000.0, 100.0


def design_train():
    train = FSE(np.full(32, 60.0), ESP=10, TR=1000)
    objective = CRLBObjective(train, T1, T2, unknowns=("M0", "T2"), weights=[0, 1])
    return train, optimize(objective, [limits.bounds(objective, flip=(0, 180)), limits.flip_power(objective, 60.0)])


def best_spacing(echoes, unknowns):
    """ESP / T2 of the lowest bound for so many spin echoes."""
    weights = [0, 1] if "M0" in unknowns else 1
    train = FSE([180.0] * echoes, ESP=30)
    objective = CRLBObjective(train, np.inf, T2, unknowns=unknowns, weights=weights, variables=("ESP",))
    within = [limits.bounds(objective, ESP=(1, 500))]
    return optimize(objective, within, progress=False, tolerance=1e-14).x[0] / T2


def main(path="design_fse.png"):
    train, found = design_train()
    print(found)
    for label, unknowns, first in (("known", ("T2",), 1), ("unknown", ("M0", "T2"), 2)):
        spacings = " ".join(f"{best_spacing(n, unknowns):.4f}" for n in range(first, 7))
        print(f"best ESP/T2 for {first} to 6 echoes, M0 {label}: {spacings}")
    figure = Figure(figsize=(12, 9), layout="constrained")
    left, right = figure.subfigures(1, 2)
    plot_protocol(found.sequence, T1, T2, ("T2",), left.subplots(3))
    graph, bounds = right.subplots(2)
    plot_phase_graph(found.sequence, T1, T2, ax=graph)
    protocols = {"60 degrees": train, "design": found.sequence}
    plot_bounds(protocols, "T2", np.linspace(40, 200, 33), ("M0", "T2"), bounds, T1=T1, show=("T2",))
    figure.savefig(path, dpi=120)
    print(f"figure: {path}")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
