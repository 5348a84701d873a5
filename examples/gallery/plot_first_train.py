"""
A fast spin echo train
======================

Sixteen echoes of a fast spin echo train, for three refocusing angles. Below 180 degrees stimulated echoes keep part of
the signal along the field, where it decays by T1: late echoes are longer than exp(-t / T2).
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba

ESP, T1, T2 = 10.0, 1000.0, 60.0  # ms
time = ESP * np.arange(1, 17)

_, ax = plt.subplots(layout="constrained")
for flip in (180, 120, 60):
    signal = abs(epgnumba.fse_sim([flip] * 16, ESP=ESP, T1=T1, T2=T2))
    (line,) = ax.plot(time, signal, marker="o", markersize=3)
    ax.annotate(f"{flip} degrees", (time[-1], signal[-1]), xytext=(6, 0), textcoords="offset points", va="center",
                color=line.get_color())  # fmt: skip
ax.plot(time, np.exp(-time / T2), color="gray", linestyle=":", zorder=0)
ax.set(xlabel="time after the excitation, ms", ylabel="signal, of M0", yscale="log", xlim=(0, 200))
ax.spines[["top", "right"]].set_visible(False)
