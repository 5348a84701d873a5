"""A published fingerprint design, reproduced: 100 flip angles and 100 repetition times.

    python design_fingerprint.py [figure.png]

J. Lee et al., MRM 82 (2019) 1438: SLSQP took 57 iterations and 236 s from 4160.82041660845 to 1172.88186.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

from epgnumba import CRLBObjective
from epgnumba.design import limits, optimize
from epgnumba.plot import plot_bounds, plot_convergence, plot_protocol
from epgnumba.sequence import MRF

T1, T2 = 1330.0, 80.0


def main(path="design_fingerprint.png"):
    n = np.arange(100)
    train = MRF(
        10 + 50 * np.sin(2 * np.pi * n / 600), 13.5 + 2 * np.sin(2 * np.pi * n / 200), TI=20.0, phases=90.0, TE=3.0
    )
    unknowns = ("M0", "T1", "T2")
    objective = CRLBObjective(
        train, T1, T2, unknowns=unknowns, weights=100.0, relative=True, variables=("flip", "TR"), nstates=10
    )
    found = optimize(
        objective,
        [limits.bounds(objective, flip=(30, 60), TR=(11, 16)), limits.max_change(objective, "flip", 1.0)],
    )
    print(found)
    figure = Figure(figsize=(12, 9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.2, 1))
    plot_protocol(found.sequence, T1, T2, axes=left.subplots(3))
    convergence, bounds = right.subplots(2)
    plot_convergence(found, convergence)
    protocols = {"start": train, "design": found.sequence}
    plot_bounds(protocols, "T2", np.linspace(40, 160, 25), unknowns, bounds, T1=T1, show=("T1", "T2"))
    figure.savefig(path, dpi=120)
    print(f"figure: {path}")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
