"""
A train, its derivatives, and a bound
=====================================

A fast spin echo is played on one tissue. Its derivative with respect to T2, the Cramer-Rao bound on T2 and the bound's
gradient with respect to all 96 flip angles come out exactly, each in one call. Finite differences of the same signal
stand beside them: what they miss, and what they cost.

Times are in ms, angles in degrees. The noise has standard deviation 1 in the real and in the imaginary part, where the
equilibrium magnetisation is 1: bounds go with its square.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import epgnumba

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])

T1, T2 = 1000.0, 100.0
train = epgnumba.FSE(flip=np.full(96, 60.0), ESP=5.0)  # 90 degrees before, on the axis of CPMG
signal, slope = epgnumba.jacobian(train, T1, T2, diff="T2")
bound = epgnumba.crlb(slope[None])[0]
print(f"CRLB(T2) = {bound:.6f} ms^2: at an SNR of 100, T2 = {T2:.0f} +- {np.sqrt(bound) / 100:.2f} ms")

# %%
# The gradient of the bound
# -------------------------
# An objective is what an optimiser calls: angles in, the bound and its exact gradient out. One forward and one reverse
# sweep give all 96 numbers. Forward differences play the train 194 times instead.

objective = epgnumba.CRLBObjective(train, T1, T2, unknowns="T2", variables=("flip",))


def slope_by_difference(flip, step=1.0):
    """dS/dT2 from two signals, their T2 a step (ms) apart."""
    there, here = (epgnumba.fse_sim(flip, ESP=5.0, T1=T1, T2=value) for value in (T2 + step, T2))
    return (there - here) / step


def gradient_by_difference(flip, step=1.0):
    """From such slopes, at angles that are a step (degrees, and ms) apart."""
    trains = [flip, *(flip + step * np.eye(96))]
    bounds = [epgnumba.crlb(slope_by_difference(angles, step)[None])[0] for angles in trains]
    return (np.array(bounds[1:]) - bounds[0]) / step


def timed(call):
    """Its result and median time, us, once everything is compiled."""
    result, times = call(), []
    for _ in range(7):
        start = time.perf_counter()
        call()
        times.append(1e6 * (time.perf_counter() - start))
    return result, np.median(times)


flip = train.parameters["flip"]
_, slope_us = timed(lambda: epgnumba.jacobian(train, T1, T2, diff="T2"))
rough_slope, rough_slope_us = timed(lambda: slope_by_difference(flip))
(_, gradient), gradient_us = timed(lambda: objective(flip))
rough_gradient, rough_gradient_us = timed(lambda: gradient_by_difference(flip))
print(f"dS/dT2:        {slope_us:8.0f} us exact, {rough_slope_us:8.0f} us by differences")
print(f"dCRLB/dflip:   {gradient_us:8.0f} us exact, {rough_gradient_us:8.0f} us by differences")

# %%
# Both agree as far as differences go, and the gradient by differences takes hundreds of times as long.

echoes, exact, rough = np.arange(1, 97), "C0", "C2"
figure, ((first, second), (third, fourth)) = plt.subplots(2, 2, figsize=(9, 6.2))
first.plot(echoes, abs(signal), color=exact)
first.set(title="Signal", xlabel="Echo", ylabel="|S| (M0 = 1)", ylim=0)
second.plot(echoes, 1e3 * abs(slope), color=exact, label="exact")
second.plot(echoes, 1e3 * abs(rough_slope), ".", ms=4, color=rough, label="difference, 1 ms")
second.set(title="Sensitivity to T2", xlabel="Echo", ylabel="|∂S/∂T2| (10⁻³ per ms)", ylim=0)
third.plot(echoes, gradient, color=exact, label="exact")
third.plot(echoes, rough_gradient, ".", ms=4, color=rough, label="differences, 1° and 1 ms")
third.set(title="Gradient of the bound", xlabel="Echo of the flip angle", ylabel="∂CRLB/∂flip (ms² per °)")
for ax in (second, third):
    ax.legend(frameon=False)
times = {
    "∂S/∂T2, exact": (slope_us, exact),
    "differences": (rough_slope_us, rough),
    "∂CRLB/∂flip, exact": (gradient_us, exact),
    "differences ": (rough_gradient_us, rough),
}
bars = fourth.barh(list(times), [us for us, _ in times.values()], color=[color for _, color in times.values()])
fourth.bar_label(bars, [f"{us:.0f} µs" for us, _ in times.values()], padding=4)
fourth.set(title="Time", xlabel="µs", xscale="log", xlim=(1, 30 * rough_gradient_us))
fourth.invert_yaxis()

# %%
# What the gradient is for
# ------------------------
# No step is right for differences: large ones bend, small ones drown in rounding. The exact gradient has no step, so
# that ``minimize`` gets as far as there is a way down, at a call a step. With nothing that limits the power, nearly
# full refocusing is best.

steps = np.logspace(-8, 1, 28)
errors = [abs(gradient_by_difference(flip, step) - gradient).max() / abs(gradient).max() for step in steps]
print(f"differences: the best step leaves {min(errors):.0e} of the largest entry")
best = minimize(
    lambda x: tuple(part / bound for part in objective(x)), flip, jac=True, method="L-BFGS-B", bounds=[(0, 180)] * 96
)
gain = 1 - np.sqrt(best.fun)
print(f"{best.nfev} calls: CRLB(T2) {bound:.0f} -> {best.fun * bound:.0f} ms^2, the deviation {gain:.0%} less")
_, best_slope = epgnumba.jacobian(objective.sequence(best.x), T1, T2, diff="T2")

figure, ax = plt.subplot_mosaic("AB;CC", figsize=(9, 6.2))
left, right, middle = ax["A"], ax["B"], ax["C"]
left.loglog(steps, errors, color=rough)
left.set(title="Error of differences", xlabel="Step (° and ms)", ylabel="of the gradient's largest entry")
left.annotate("rounding", (steps[6], errors[6]), (10, 4), textcoords="offset points", color=rough)
left.annotate("curvature", (steps[22], errors[22]), (-8, 10), textcoords="offset points", ha="right", color=rough)
for name, angles, found, color in (("60°", flip, slope, exact), ("optimised", best.x, best_slope, "C1")):
    middle.plot(echoes, angles, ".-", ms=3, lw=1, color=color)
    middle.text(4, angles[0] - 20, name, color=color)
    right.plot(echoes, 1e3 * abs(found), color=color)
middle.set(title="Refocusing angles", xlabel="Echo", ylabel="Flip angle (°)", ylim=(0, 190), yticks=range(0, 181, 45))
right.set(title=f"Deviation of T2: {gain:.0%} less", xlabel="Echo", ylabel="|∂S/∂T2| (10⁻³ per ms)", ylim=0)
