"""
A sequence of your own: 3D-QALAS
================================

QALAS plays a T2 preparation, a block of spoiled shots, an inversion and four more blocks, again and again (Kvernby et
al., J Cardiovasc Magn Reson 16 (2014) 102). No family of the package has it. Written as events it is a dozen lines, and
has its exact steady state, derivatives with respect to every tissue parameter and to each of its own, and the
Cramer-Rao bound with its gradient.

Times are in ms, angles in degrees. The shot that is read is the first one of a block, as in a centre-out ordering of k
space. The noise is 0.002 of M0.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import LinearConstraint, minimize

import epgnumba
from epgnumba.sequence import Inversion, Pulse, Readout, Spoil, Wait, t2_preparation

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])
SHOTS = 60


def qalas(p):
    shot = [Pulse(p.flip), Spoil(), Wait(p.TR)]
    first = [Pulse(p.flip), Readout(), Spoil(), Wait(p.TR)]
    yield t2_preparation(p.T2prep)
    for n, gap in enumerate(p.gap):
        if n == 1:
            yield [Inversion(), Wait(p.TI)]
        yield [first, shot * (SHOTS - 1), Wait(gap)]


sequence = epgnumba.EventSequence(
    qalas, steady=True, flip=4.0, TR=6.0, T2prep=100.0, TI=100.0, gap=[440.0, 540.0, 540.0, 540.0, 540.0]
)
tissues = {"white matter": (900.0, 60.0), "grey matter": (1400.0, 90.0)}
T1, T2 = np.array(list(tissues.values())).T
signal, slopes = epgnumba.jacobian(sequence, T1, T2, diff=("M0", "T1", "T2"))  # (2, 5), (2, 3, 5)
print("readouts (-Im S, in thousandths of M0)")
for name, values in zip(tissues, signal, strict=True):
    print(f"{name}: {(-1e3 * values.imag).round(2)}")

# %%
# Derivatives in your own parameters
# ----------------------------------
# Which parameter would make T1 and T2 better known? The gradient of the bounds' logarithm says it for each, and
# ``variables`` names parameters that the package has never heard of. ``gap`` stands for five times.

variables = ("flip", "T2prep", "TI", "gap")
labels = ["flip angle", "T2 preparation", "TI", *(f"gap {n}" for n in range(1, 6))]


def bounds_of(unknown):
    """Relative variance, the mean of both tissues; M0 is unknown too."""
    weights = {"T1": [0, 1, 0], "T2": [0, 0, 1], "both": [0, 1, 1]}[unknown]
    return epgnumba.CRLBObjective(
        sequence, T1, T2, unknowns=("M0", "T1", "T2"), weights=weights, relative=True, variables=variables, noise=0.002
    )


objective = bounds_of("both")
x0 = objective.x0  # eight numbers
elasticity = {}
for name in ("T1", "T2"):
    value, gradient = bounds_of(name)(x0)
    elasticity[name] = 0.5 * x0 * gradient / value  # of the deviation: % for 1 % of the parameter

# %%
# Designed, in the scan time it had
# ---------------------------------

limits = [(1, 10), (20, 200), (10, 1000), *[(0, 2000)] * 5]
duration = LinearConstraint([0, *np.ones(7)], ub=x0[1:].sum())
scale = objective(x0)[0]
found = minimize(
    lambda x: tuple(part / scale for part in objective(x)),
    x0, jac=True, bounds=limits, constraints=duration, method="SLSQP", options={"maxiter": 300},
)  # fmt: skip
print(f"{found.nfev} evaluations: flip {found.x[0]:.1f} degrees, T2prep, TI and gaps {found.x[1:].round()} ms")
deviations = [100 * np.sqrt(objective.bounds(x))[:, 1:] / np.stack([T1, T2], -1) for x in (x0, found.x)]  # %
for name, before, after in zip(tissues, *deviations, strict=True):
    print(f"{name}: T1 +- {before[0]:.1f} -> {after[0]:.1f} %, T2 +- {before[1]:.1f} -> {after[1]:.1f} %")

figure, ax = plt.subplot_mosaic("AB;CC", figsize=(9, 7))
left, right, middle = ax["A"], ax["B"], ax["C"]
for values, name, color in zip(signal, tissues, ("C0", "C2"), strict=True):
    left.plot(np.arange(1, 6), -1e3 * values.imag, "o-", color=color, label=name)
left.axhline(0, color="0.6", lw=0.8)
left.set(title="What is read", xlabel="Block", ylabel="Signal (10⁻³ M0)")
left.legend(frameon=False, loc="lower right")
place = np.arange(8)
for shift, (name, values), color in zip((-0.2, 0.2), elasticity.items(), ("C1", "C3"), strict=True):
    middle.barh(place + shift, values, 0.38, color=color, label=f"of {name}")
middle.axvline(0, color="0.6", lw=0.8)
middle.set(title="Deviation, by 1 % more of a parameter", xlabel="Change (%)", yticks=place, yticklabels=labels)
middle.invert_yaxis()
middle.legend(frameon=False)
bars = np.array(deviations).reshape(2, 4)  # before and after; T1 and T2 of each tissue
for shift, heights, color, label in zip((-0.2, 0.2), bars, ("0.7", "C0"), ("before", "designed"), strict=True):
    drawn = right.bar(np.arange(4) + shift, heights, 0.38, color=color, label=label)
    right.bar_label(drawn, [f"{height:.1f}" for height in heights], padding=2, fontsize="small")
right.set(
    title="Deviation, before and after",
    ylim=(0, 14.5),
    ylabel="%",
    xticks=range(4),
    xticklabels=["T1\nwhite", "T2\nwhite", "T1\ngrey", "T2\ngrey"],
)
right.legend(frameon=False, ncols=2, loc="upper center")
