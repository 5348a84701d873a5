"""The bound on T2, by T2, for two echo spacings."""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba


def spacings():
    T2 = np.geomspace(10, 500, 120)
    _, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for ESP in (5.0, 15.0):
        _, slopes = epgnumba.fse_sim([150.0] * 16, ESP=ESP, T1=1000, T2=T2, diff=("M0", "T2"))
        percent = 100 * np.sqrt(epgnumba.crlb(slopes, noise=0.01)[:, 1]) / T2
        (line,) = ax.loglog(T2, percent, linewidth=2)
        ax.annotate(f"ESP {ESP:g} ms", (T2[-1], percent[-1]), (8, 0), textcoords="offset points", va="center",
                    color=line.get_color())  # fmt: skip
    ax.set(xlabel="T2, ms", ylabel="standard deviation of T2, %", xlim=(10, 800))
    ax.set_xticks([10, 20, 50, 100, 200, 500], ["10", "20", "50", "100", "200", "500"])
    ax.minorticks_off()
    ax.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    ax.spines[["top", "right"]].set_visible(False)
