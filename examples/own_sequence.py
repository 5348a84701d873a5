"""A sequence of one's own, designed: 3D-QALAS for T1 and T2 in brain, in the scan time it had.

python own_sequence.py
"""

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from epgnumba import CRLBObjective, EventSequence
from epgnumba.sequence import Inversion, Pulse, Readout, Spoil, Wait, t2_preparation

SHOTS, TR = 60, 6.0
T1, T2 = np.array([900.0, 1400.0]), np.array([60.0, 90.0])  # white and grey matter, ms


def qalas(p):
    """T2 preparation, a block of spoiled shots, inversion, four more blocks; each block's first shot is read."""
    shot = [Pulse(p.flip), Spoil(), Wait(p.TR)]
    first = [Pulse(p.flip), Readout(), Spoil(), Wait(p.TR)]
    yield t2_preparation(p.T2prep)
    for n, gap in enumerate(p.gap):
        if n == 1:
            yield [Inversion(), Wait(p.TI)]
        yield [first, shot * (SHOTS - 1), Wait(gap)]


def main():
    sequence = EventSequence(qalas, steady=True, flip=4.0, TR=TR, T2prep=100.0, TI=100.0, gap=[440.0] + [540.0] * 4)
    weights = np.stack([0 * T1, 1 / T1**2, 1 / T2**2], -1)  # relative precision of T1 and T2; M0 is a nuisance
    objective = CRLBObjective(
        sequence, T1, T2, unknowns=("M0", "T1", "T2"), weights=weights, variables=("flip", "T2prep", "TI", "gap")
    )
    x0 = objective.x0
    bounds = [(1, 10), (20, 200), (10, 1000), *[(0, 2000)] * 5]
    duration = LinearConstraint([0, 1, 1, *np.ones(5)], ub=x0[1:].sum())
    scale = objective(x0)[0]

    def scaled(x):
        value, gradient = objective(x)
        return value / scale, gradient / scale

    found = minimize(
        scaled, x0, jac=True, bounds=bounds, constraints=duration, method="SLSQP", options={"maxiter": 300}
    )
    print(f"{found.nfev} evaluations: {found.message}")
    for label, x in (("before", x0), ("after", found.x)):
        names = f"flip {x[0]:.1f} deg, T2prep {x[1]:.0f} ms, TI {x[2]:.0f} ms, gaps {np.round(x[3:])} ms"
        error = np.sqrt(objective.bounds(x))[:, 1:] / np.stack([T1, T2], -1)
        print(f"{label:7} {names}")
        for tissue, (T1_error, T2_error) in zip(("white", "grey"), error, strict=True):
            print(f"        {tissue} matter: std of T1 {T1_error:.1f} %, of T2 {T2_error:.1f} % at an SNR of 100 (M0)")
    return objective(x0)[0], objective(found.x)[0]


if __name__ == "__main__":
    main()
