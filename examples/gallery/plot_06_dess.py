"""
Diffusion in double-echo steady state
=====================================

DESS reads the FID after each pulse and the echo before the next. Their ratio is taken as a measure of T2, but pathways
that make up the echo have been dephased for several repetitions, and diffuse. How much depends on the gradient that is
left over in each repetition: too much of it, and cartilage seems to have a shorter T2 than it has.

Times are in ms, angles in degrees, D in um^2/ms, gradient areas in mT ms/m: 23.5 mT ms/m dephase by one cycle over 1
mm. The gradient is taken to be played at an instant. The steady state holds all orders that matter to it.
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.sequence import DESS

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])

T1, T2 = 1200.0, 40.0  # cartilage
dess = DESS(25.0, TE=5.0, TR=20.0, tolerance=1e-5)  # repeated until no more than that is left of its start
areas = (25.0, 50.0, 100.0, 200.0)
D = np.linspace(0, 3, 61)


def ratio(area, **tissue):
    """The second echo over the first."""
    first, second = abs(epgnumba.simulate(dess.on_scanner(gradient_area=area), **{"T1": T1, "T2": T2, **tissue})).T
    return second / first


ratios = {area: ratio(area, D=D) for area in areas}
for area, values in ratios.items():
    print(f"{area:5.0f} mT ms/m: ratio {values[0]:.4f}, with D = 1.5 um^2/ms {np.interp(1.5, D, values):.4f}")

# %%
# T2 by a ratio that ignores diffusion
# ------------------------------------
# The ratio is turned back into T2 by the curve without diffusion, as reconstructions do.

grid = np.linspace(10, 60, 501)
curve = ratio(areas[0], T2=grid)  # rises with T2; the area is of no consequence without D
assert (np.diff(curve) > 0).all()
sweep = np.linspace(0, 250, 21)[1:]
diffusivities = np.array([0.8, 1.3, 2.5])
apparent = np.array([np.interp(ratio(area, D=diffusivities), curve, grid) for area in sweep])  # (area, D)
print(f"T2 {T2:.0f} ms reads {np.interp(100, sweep, apparent[:, 1]):.1f} ms at 100 mT ms/m and D = 1.3 um^2/ms")

# %%
# The derivative with respect to D, per echo: how far diffusion matters, and how well it could be measured.

slopes = [epgnumba.jacobian(dess.on_scanner(gradient_area=area), T1, T2, D=1.3, diff="D") for area in sweep]
relative = np.array([(slope / signal).real for signal, slope in slopes])  # d ln |S| / dD, (area, echo)

figure, ax = plt.subplot_mosaic("AB;CC", figsize=(9, 7))
left, right, middle = ax["A"], ax["B"], ax["C"]
for (area, values), color in zip(ratios.items(), ("C5", "C0", "C1", "C2"), strict=True):
    left.plot(D, values, color=color)
    left.text(3.05, values[-1], f"{area:.0f}", color=color, va="center")
left.text(3.05, ratios[25.0][-1] + 0.02, "mT ms/m", fontsize="small")
left.set(title="Echo over FID", xlabel="D (µm²/ms)", ylabel="Ratio of magnitudes", ylim=0, xlim=(0, 3.4))
for value, times, color in zip(diffusivities, apparent.T, ("C1", "C0", "C2"), strict=True):
    middle.plot(sweep, times, color=color)
    middle.text(253, times[-1], f"D {value}", color=color, va="center")
middle.axhline(T2, color="0.6", lw=0.8, ls=":")
middle.text(250, T2 + 0.4, "true", color="0.4", ha="right")
middle.set(
    title="T2 by a ratio without diffusion", xlabel="Gradient area (mT ms/m)", ylabel="Apparent T2 (ms)", xlim=(0, 290)
)
right.plot(sweep, relative[:, 0], color="C0")
right.plot(sweep, relative[:, 1], color="C2")
right.text(200, relative[15, 0] + 0.02, "FID", color="C0")
right.text(200, relative[15, 1] + 0.06, "echo", color="C2")
right.set(title="Attenuation by D, at 1.3", xlabel="Gradient area (mT ms/m)", ylabel="∂ ln|S| / ∂D (per µm²/ms)")
