"""
Is the bound reached?
=====================

The Cramer-Rao bound promises a variance. ``epgnumba.design.verify`` collects: noise is drawn thousands of times, each
draw is fitted, and the scatter is set beside the bound, with confidence intervals. While the signal is straight over
the scatter, least squares reach the bound. With more noise they do not: estimates are biased, and of magnitudes sooner.

A spin echo train of 32 pulses of 150 degrees, T1 1000 ms known, T2 80 ms and M0 = 1 unknown. The noise is the standard
deviation in the real and in the imaginary part; intervals are at 99 %.
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.design import verify
from epgnumba.plot import plot_verification

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])

T1, T2 = 1000.0, 80.0
train = epgnumba.FSE([150.0] * 32, ESP=10)
low, high = (verify(train, T1, T2, noise=noise, draws=5000, seed=1) for noise in (0.01, 0.2))
print(f"noise 0.01\n{low}\nnoise 0.2\n{high}")

# %%
# Over the noise
# --------------
# Of magnitudes the bound is that of high SNR. The noise is known to the fit.

noises = np.geomspace(0.005, 0.2, 8)
kinds = {
    data: [verify(train, T1, T2, noise=noise, draws=4000, data=data, seed=2) for noise in noises]
    for data in ("complex", "magnitude")
}
ratio = {data: np.array([found.ratio[1] for found in row]) for data, row in kinds.items()}
interval = {data: np.array([found.ratio_interval[1] for found in row]) for data, row in kinds.items()}
bias = {data: 100 / T2 * np.array([found.bias[1] for found in row]) for data, row in kinds.items()}  # %
for data, values in ratio.items():
    print(f"{data}: variance of T2 over its bound {values.round(2)}")

figure, axes = plt.subplots(2, 2, figsize=(9, 7.4))
for ax, found, noise in zip(axes[0], (low, high), (0.01, 0.2), strict=True):
    plot_verification(found, ax=ax)
    ax.set_title(f"Noise {noise:g}", loc="left", fontweight="normal")
    ax.legend(frameon=False, fontsize="small", loc="upper right")
for data, color, marker in (("complex", "C0", "o"), ("magnitude", "C2", "s")):
    spread = abs(interval[data].T - ratio[data])
    axes[1, 0].errorbar(noises, ratio[data], spread, fmt=marker + "-", color=color, ms=4, capsize=3, label=data)
    axes[1, 1].plot(noises, bias[data], marker + "-", color=color, ms=4, label=data)
axes[1, 0].axhline(1, color="0.6", lw=0.8, ls=":")
axes[1, 0].set(
    title="Variance of T2 over its bound", xlabel="Noise (M0)", ylabel="Ratio, and its 99 % interval", xscale="log"
)
axes[1, 0].set(ylim=(0.7, 3.2))
axes[1, 1].axhline(0, color="0.6", lw=0.8, ls=":")
axes[1, 1].set(title="Bias of T2", xlabel="Noise (M0)", ylabel="%", xscale="log")
for ax in axes[1]:
    ax.set(xticks=(0.01, 0.1), xticklabels=("0.01", "0.1"))
    ax.legend(frameon=False, loc="upper left")
