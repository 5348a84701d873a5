"""The error of truncation, by the number of orders kept."""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba

TISSUE = {"T1": 1000, "T2": 80, "diff": ("T1", "T2")}


def truncation():
    train = epgnumba.sequence.MRF(10 + 50 * abs(np.sin(np.arange(400) / 60)), TR=12, TI=20)
    orders = np.arange(5, 81, 5)
    exact = np.vstack(epgnumba.jacobian(train, **TISSUE))
    kept = np.array([np.vstack(epgnumba.jacobian(train, **TISSUE, nstates=int(n))) for n in orders])
    error = abs(kept - exact).max(axis=2) / np.sqrt((abs(exact) ** 2).mean(axis=1))
    _, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, rise, values in zip(("signal", "dS/dT1", "dS/dT2"), (4, -6, 0), error.T, strict=True):
        (line,) = ax.semilogy(orders, values, marker="o", markersize=3)
        at, color = (orders[-1], values[-1]), line.get_color()
        ax.annotate(name, at, (8, rise), textcoords="offset points", va="center", color=color)
    ax.set(xlabel="nstates", ylabel="largest relative error", xlim=(0, 92))
    ax.spines[["top", "right"]].set_visible(False)
