"""
A fingerprint, and what it is sensitive to
==========================================

An inversion, then 600 pulses of varying angle, each with a readout and a gradient of one cycle that dephases what is
left (FISP). Beside the signal come its exact derivatives with respect to T1, T2 and B1; times the parameter's value,
they share a scale: a sensitivity of 0.1 says that 1 % more T2 changes the signal by 0.001 M0. From them follows how
well the tissue is known after so many pulses.

Times are in ms, angles in degrees. All configuration orders are kept. Pulses about x leave an imaginary signal, so that
its imaginary part is drawn, with its sign.
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.sequence import MRF

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])

n = np.arange(600)
flip = 5 + np.array([30, 55, 45, 65])[n // 150] * np.sin(np.pi * (n % 150) / 150)  # four lobes
train = MRF(flip, TR=12.0, TE=3.0, TI=20.0)
tissue = {"T1": 1000.0, "T2": 80.0, "B1": 1.0}
names = ("T1", "T2", "B1")
signal, slopes = epgnumba.jacobian(train, **tissue, diff=("M0", *names))  # (600,) and (4, 600)
assert abs(signal.real).max() < 1e-12
sensitivity = {name: tissue[name] * slope.imag for name, slope in zip(names, slopes[1:], strict=True)}
for name, values in sensitivity.items():
    print(f"{name} dS/d{name}: at most {abs(values).max():.3f} M0, after {abs(values).argmax() + 1} pulses")

# %%
# How well the tissue is known
# ----------------------------
# The Cramer-Rao bound of the first so many readouts, with M0, T1, T2 and B1 all unknown; and with B1 known from a map.

NOISE = 0.002  # of M0, in the real and in the imaginary part
counts = np.arange(20, 601, 4)
unknown = np.sqrt([epgnumba.crlb(slopes[:, :count], noise=NOISE) for count in counts])  # M0, T1, T2, B1
known = np.sqrt([epgnumba.crlb(slopes[:3, :count], noise=NOISE) for count in counts])  # M0, T1, T2
print(f"after 600 pulses, B1 unknown: T1 +- {unknown[-1, 1]:.1f} ms, T2 +- {unknown[-1, 2]:.2f} ms")
print(f"                  B1 known:   T1 +- {known[-1, 1]:.1f} ms, T2 +- {known[-1, 2]:.2f} ms")

colors = dict(zip(names, ("C0", "C2", "C1"), strict=True))
figure, axes = plt.subplots(4, 1, figsize=(9, 9.5), sharex=True, height_ratios=(1, 1, 1.5, 1.5))
axes[0].fill_between(n, flip, color="0.75")
axes[0].set(ylabel="Flip angle (°)", ylim=0)
axes[1].axhline(0, color="0.6", lw=0.8)
axes[1].plot(n, -signal.imag, color="black", lw=1.2)
axes[1].set(ylabel="Signal (M0)")
axes[2].axhline(0, color="0.6", lw=0.8)
for name, values in sensitivity.items():
    axes[2].plot(n, -values, color=colors[name], label=f"{name} ∂S/∂{name}")
axes[2].set(ylabel="Sensitivity (M0)", ylim=(-0.12, 0.13))
axes[2].legend(frameon=False, ncols=3, loc="upper left")
for column, name in enumerate(("T1", "T2"), 1):
    for deviations, style, label in ((unknown, "-", "B1 unknown"), (known, "--", "B1 known")):
        percent = 100 * deviations[:, column] / tissue[name]
        axes[3].semilogy(counts, percent, style, color=colors[name], label=f"{name}, {label}")
axes[3].set(
    ylabel="Standard deviation (%)",
    xlabel="Pulse",
    ylim=(0.2, 100),
    yticks=(1, 10, 100),
    yticklabels=("1", "10", "100"),
)
axes[3].legend(frameon=False, ncols=2)
figure.suptitle("T1 1000 ms, T2 80 ms; noise 0.002 M0")
