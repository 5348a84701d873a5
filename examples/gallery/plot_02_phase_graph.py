"""
What a phase graph is
=====================

A pulse of less than 180 degrees splits magnetisation three ways: a part is refocused, a part goes on dephasing, a part
is stored along the field, where it keeps its phase. A gradient moves what is transverse by an order; what comes back to
order 0 is an echo. Pulse by pulse, the graph of these pathways grows, and every echo after the first is a sum over more
of them.

Orders are counted in cycles of the crusher that stands on either side of each refocusing pulse. Times are in ms, angles
in degrees.
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.plot import plot_phase_graph

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])

FLIP, ESP = 110.0, 10.0
figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), sharey=True, width_ratios=(1, 1.7, 2.4))
titles = ("One: a spin echo", "Two: a stimulated echo", "Three: ever more of them")
for n, (ax, title) in enumerate(zip(axes, titles, strict=True), 1):
    plot_phase_graph(epgnumba.FSE([FLIP] * n, ESP=ESP), T1=1000, T2=100, ax=ax)
    ax.set_title(title, loc="left")
    ax.set(ylim=(-5.5, 6.5), ylabel="Order k (cycles)" if n == 1 else "")
    if n < 3:
        ax.get_legend().remove()

# %%
# What echoes are made of
# -----------------------
# A pathway that was stored for m echo spacings brings a factor E1^m, with E1 = exp(-ESP/T1). So an echo is a polynomial
# in E1, and its coefficients say how much of the echo was never stored, stored once, twice, and so on. They come from
# signals at as many T1; T2 = ESP, divided out, keeps it the shorter time.

ECHOES = 10
flip = np.full(ECHOES, FLIP)
E2 = np.exp(-1.0)
E1 = 0.5 * (1 + E2) + 0.5 * (1 - E2) * np.cos(np.pi * (np.arange(ECHOES) + 0.5) / ECHOES)  # Chebyshev's nodes
signal = epgnumba.fse_sim(flip, ESP=ESP, T1=-ESP / np.log(E1), T2=ESP).real  # (T1, echo)
parts = np.zeros((ECHOES, ECHOES))  # stored for m spacings, of echo n
for n in range(ECHOES):
    powers = np.arange(n + 1)  # the first pulse stores, the last one brings back: at most n spacings
    design = E1[:, None] ** powers * E2 ** (n + 1 - powers)
    parts[: n + 1, n] = np.linalg.lstsq(design, signal[:, n], rcond=None)[0]
undamped = epgnumba.fse_sim(flip, ESP=ESP, T1=np.inf, T2=1e12).real
left_over = abs(parts.sum(axis=0) - undamped).max()
print(f"the parts add up to the echoes without relaxation, but for {left_over:.0e}")
print(f"never stored, of echo 1: {parts[0, 0]:.4f}; sin^2(flip/2): {np.sin(np.deg2rad(FLIP / 2)) ** 2:.4f}")
print("stored for 0, 1, 2, ... spacings, echo 4:", parts[:4, 3].round(3))

figure, ax = plt.subplots(figsize=(8.5, 4.2))
echoes = np.arange(1, ECHOES + 1)
classes = {"never stored": parts[0], "1 spacing": parts[1], "2": parts[2], "3 and more": parts[3:].sum(axis=0)}
up, down = np.zeros(ECHOES), np.zeros(ECHOES)
for (label, height), color in zip(classes.items(), ("C0", "C2", "C3", "C5"), strict=True):
    ax.bar(echoes, height, bottom=np.where(height > 0, up, down), color=color, label=label, width=0.75)
    up, down = up + np.maximum(height, 0), down + np.minimum(height, 0)
ax.plot(echoes, undamped, "_", color="black", ms=22, mew=2, label="the echo, their sum")
ax.axhline(0, color="0.5", lw=0.8)
ax.set(
    xlabel="Echo",
    ylabel="Amplitude without relaxation",
    xticks=echoes,
    title=f"Refocused by {FLIP:.0f}°: echoes by time in storage",
)
ax.set_ylim(-0.2, 1.05)
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))

# %%
# A train of 16 pulses
# --------------------
# Ink goes with the logarithm of a state's magnitude. Only orders that can come back before the train ends count: the
# simulation keeps that triangle, and nothing else.

figure, ax = plt.subplots(figsize=(9, 4.8))
plot_phase_graph(epgnumba.FSE([60.0] * 16, ESP=5), T1=1000, T2=100, ax=ax)
times, returns = [0, 40, 80], np.array([0, 16, 0])
for side in (1, -1):
    ax.plot(times, side * returns, color="black", lw=1, ls=":")
ax.set_title("16 pulses of 60°; what can return lies between the dotted lines", loc="left")
