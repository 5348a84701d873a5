"""T2 mapping by fast spin echo under a SAR budget, and the best spacing of spin echoes.

    python design_fse.py [figure.png]

32 refocusing angles of at most 60 degrees rms, M0 unknown too, TR 1 s in its exact steady state: from one start, from
several, and for a range of B1; then the published echo spacings for 1 to 6 spin echoes.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

from epgnumba import FSE, CRLBObjective
from epgnumba.design import limits, optimize
from epgnumba.plot import plot_bounds, plot_convergence, plot_phase_graph, plot_protocol

T1, T2 = 1000.0, 100.0
RANGE = np.linspace(0.85, 1.15, 7)  # of B1


def design_train(starts=None, **tissues):
    train = FSE(np.full(32, 60.0), ESP=10, TR=1000)
    objective = CRLBObjective(train, T1, T2, unknowns=("M0", "T2"), weights=[0, 1], **tissues)
    within = [limits.bounds(objective, flip=(0, 180)), limits.flip_power(objective, 60.0)]
    return optimize(objective, within, starts=starts)


def deviations(sequence, B1):
    """Bounds of T2, as standard deviations in ms at an SNR of 100 (M0)."""
    objective = CRLBObjective(sequence, T1, T2, B1=B1, unknowns=("M0", "T2"), noise=0.01)
    return np.sqrt(objective.bounds(objective.x0)[:, 1])


def best_spacing(echoes, unknowns):
    """ESP / T2 of the lowest bound for so many spin echoes."""
    weights = [0, 1] if "M0" in unknowns else 1
    train = FSE([180.0] * echoes, ESP=30)
    objective = CRLBObjective(train, np.inf, T2, unknowns=unknowns, weights=weights, variables=("ESP",))
    within = [limits.bounds(objective, ESP=(1, 500))]
    return optimize(objective, within, progress=False, tolerance=1e-14).x[0] / T2


def main(path="design_fse.png"):
    found = design_train()
    robust = design_train(B1=RANGE, over="worst")
    designs = {"one start": design_train(starts=1), "several starts": found, "for B1 0.85 to 1.15": robust}
    protocols = {"60 degrees": FSE(np.full(32, 60.0), ESP=10, TR=1000)}
    for label, design in designs.items():
        print(f"\n{label}: {design}")
        protocols[label] = design.sequence
    shown = [0.85, 0.9, 1.0, 1.1, 1.15]
    print("\nstd of T2 (ms) at B1 =    " + "".join(f"{B1:8.2f}" for B1 in shown))
    for label, protocol in protocols.items():
        print(f"{label:26}" + "".join(f"{deviation:8.3f}" for deviation in deviations(protocol, shown)))
    for label, unknowns, first in (("known", ("T2",), 1), ("unknown", ("M0", "T2"), 2)):
        spacings = " ".join(f"{best_spacing(n, unknowns):.4f}" for n in range(first, 7))
        print(f"best ESP/T2 for {first} to 6 echoes, M0 {label}: {spacings}")
    figure = Figure(figsize=(12, 10), layout="constrained")
    left, right = figure.subfigures(1, 2)
    plot_protocol(found.sequence, T1, T2, ("T2",), left.subplots(3))
    graph, convergence, bounds = right.subplots(3)
    plot_phase_graph(found.sequence, T1, T2, ax=graph)
    plot_convergence(found, convergence)
    plot_bounds(protocols, "B1", np.linspace(0.8, 1.2, 33), ("M0", "T2"), bounds, T1=T1, T2=T2, show=("T2",))
    figure.savefig(path, dpi=120)
    print(f"figure: {path}")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
