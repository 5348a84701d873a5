"""Derivatives of a fast spin echo: exact and by finite differences, side by side, and a better train.

The bound on the variance of T2 (Cramer-Rao) is a cost for designing flip angles. It takes the signal's derivative with
respect to T2; descending it takes the derivative of that with respect to every flip angle. Here both come exactly, from
one forward and one reverse sweep. Run it anywhere; it writes automatic_differentiation.png beside you.
"""

import numpy as np
from scipy.optimize import minimize

import epgnumba
from epgnumba.demo import Report, finite_gradient, finite_slope, table, timed
from epgnumba.plot import save_report

T1, T2 = 1000.0, 100.0  # ms
train = epgnumba.FSE(flip=np.full(96, 60.0), ESP=5.0)  # degrees, ms

# The signal's derivative with respect to T2, per ms: a forward difference, and the tangent carried with the signal.
slope_finite, slope_slow = timed(lambda: finite_slope(train, T1, T2, step=1.0))
(signal, slope), slope_fast = timed(lambda: epgnumba.jacobian(train, T1, T2, diff="T2"))

# The bound and its gradient with respect to 96 flip angles: 97 simulations of pairs, and one call.
objective = epgnumba.CRLBObjective(train, T1, T2, unknowns="T2", variables=("flip",))
gradient_finite, gradient_slow = timed(lambda: finite_gradient(train, T1, T2, step=1.0))
(bound, gradient), gradient_fast = timed(lambda: objective(objective.x0))
assert np.isclose(bound, epgnumba.crlb(slope[None])[0], rtol=1e-12)

# The objective is what scipy asks for: (value, gradient).
(found, seconds) = timed(
    lambda: minimize(
        lambda flip: tuple(part / bound for part in objective(flip)),
        objective.x0,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 180)] * 96,
        options={"maxiter": 500, "ftol": 1e-12},
    ),
    repeats=1,
)
best = objective.sequence(found.x)

report = Report(
    train=train,
    T1=T1,
    T2=T2,
    slope=slope,
    slope_finite=slope_finite,
    bound=bound,
    gradient=gradient,
    gradient_finite=gradient_finite,
    times={"signal derivative": (slope_slow, slope_fast), "CRLB gradient": (gradient_slow, gradient_fast)},
    best=best,
    best_slope=epgnumba.jacobian(best, T1, T2, diff="T2")[1],
    best_bound=float(objective.bounds(found.x)[0]),
    seconds=seconds,
    calls=found.nfev,
)
print(table(report))
save_report(report, "automatic_differentiation.png")
print("figure: automatic_differentiation.png")
