"""
Balanced SSFP off resonance
===========================

Without net gradients a pulse train has a steady state that depends on how far spins turn between pulses. Where they
turn by 180 degrees too many, the signal collapses: bands, 1/TR apart. The steady state is solved for, not waited for,
at every off-resonance, flip angle and tissue at once.

Times are in ms, angles in degrees, off-resonance in Hz: transverse magnetisation turns by exp(+2 pi i B0 t). The RF
phase alternates by 180 degrees, and the receiver follows, so that the pass band lies on resonance.
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.sequence import BSSFP

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])

TR, TE = 5.0, 2.5
B0 = np.linspace(-300, 300, 601)
brain = {"white matter": (850.0, 70.0), "grey matter": (1300.0, 95.0), "CSF": (4000.0, 1800.0)}
flips = (10.0, 30.0, 70.0)
grey = {flip: epgnumba.simulate(BSSFP(flip, TE, TR), *brain["grey matter"], B0=B0)[:, 0] for flip in flips}
T1, T2 = np.array(list(brain.values())).T[..., None]  # (tissue, 1), which broadcasts with B0
tissues = epgnumba.simulate(BSSFP(40.0, TE, TR), T1, T2, B0=B0)[..., 0]  # (tissue, B0)

# %%
# On resonance there is a closed form, sin a (1 - E1) / (1 - (E1 - E2) cos a - E1 E2) after the pulse.

E1, E2, a = np.exp(-TR / T1[:, 0]), np.exp(-TR / T2[:, 0]), np.deg2rad(40.0)
closed = np.sin(a) * (1 - E1) / (1 - (E1 - E2) * np.cos(a) - E1 * E2) * np.exp(-TE / T2[:, 0])
print(f"from the closed form: at most {abs(abs(tissues[:, 300]) / closed - 1).max():.0e}")

# %%
# Phase cycling
# -------------
# Another phase step moves the bands. The root of the sum of squares of four acquisitions, their steps 90 degrees apart,
# is nearly free of them.

steps = (0.0, 90.0, 180.0, 270.0)
cycled = [
    abs(epgnumba.simulate(BSSFP(40.0, TE, TR, phase_inc=step), *brain["grey matter"], B0=B0)[:, 0]) for step in steps
]
combined = np.sqrt(np.mean(np.square(cycled), axis=0))
ripple = np.ptp(combined) / combined.mean()
print(f"ripple over off-resonance: {np.ptp(cycled[2]) / cycled[2].mean():.0%} of one, {ripple:.1%} of four combined")

figure, axes = plt.subplots(2, 2, figsize=(9, 6.6), sharex=True)
for (flip, signal), color in zip(grey.items(), ("C5", "C0", "C2"), strict=True):
    axes[0, 0].plot(B0, abs(signal), color=color, label=f"{flip:.0f}°")
    axes[1, 0].plot(B0, np.angle(1j * signal, deg=True), color=color)
axes[0, 0].set(title="Grey matter, by flip angle", ylabel="|S| (M0)", ylim=(0, 0.17))
axes[1, 0].set(
    title="Its phase, the same for all three",
    xlabel="Off-resonance (Hz)",
    ylabel="Phase (°)",
    yticks=(-180, -90, 0, 90, 180),
)
for (name, _), signal, color in zip(brain.items(), tissues, ("C1", "C0", "C3"), strict=True):
    axes[0, 1].plot(B0, abs(signal), color=color, label=name)
axes[0, 1].set(title="40°, by tissue", ylim=(0, 0.42))
for step, signal in zip(steps, cycled, strict=True):
    axes[1, 1].plot(B0, signal, color="0.65", lw=1, label="single, of four phase steps" if step == 0 else None)
axes[1, 1].plot(B0, combined, color="C0", lw=2, label="root mean square")
axes[1, 1].set(title="Grey matter, four phase cycles of 40°", xlabel="Off-resonance (Hz)", ylim=(0, 0.16))
for ax in (axes[0, 0], axes[0, 1], axes[1, 1]):
    ax.legend(frameon=False, loc="upper center", ncols=3)
