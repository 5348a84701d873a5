"""The figure of the front page: a train before and after, and what it can tell over B1."""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.design import limits, optimize

INK = {"light": "#3b4148", "dark": "#c9d1d9"}
BEFORE, AFTER = "#8a8f98", "#d9822b"
B1 = np.linspace(0.8, 1.2, 41)


def trains():
    """60 degrees throughout, and the best of some starts under the same power, robust to B1."""
    train = epgnumba.FSE(np.full(32, 60.0), ESP=10, TR=1000)
    objective = epgnumba.CRLBObjective(
        train, T1=1000, T2=100, B1=[0.85, 1.0, 1.15], unknowns=("M0", "T2"), weights=[0, 1], over="worst"
    )
    allowed = [limits.bounds(objective, flip=(0, 180)), limits.flip_power(objective, 60.0)]
    return train, optimize(objective, allowed, starts=20, seed=0, progress=False).sequence


def deviation(train):
    """Standard deviation of T2, ms, noise being 1 % of M0."""
    _, slopes = epgnumba.jacobian(train, T1=1000, T2=100, B1=B1, diff=("M0", "T2"))
    return np.sqrt(epgnumba.crlb(slopes, noise=0.01)[:, 1])


def draw(ink):
    plain = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink)
    style = dict.fromkeys(("axes.spines.top", "axes.spines.right"), False)
    with plt.rc_context({**plain, **style, "font.size": 11, "figure.facecolor": "none", "axes.facecolor": "none"}):
        _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", width_ratios=(1.5, 1))
        for color, train, name in zip((BEFORE, AFTER), trains(), ("60 degrees", "designed"), strict=True):
            flips = train.parameters["flip"]
            left.plot(1 + np.arange(len(flips)), flips, color=color, marker="o", markersize=4, linewidth=1.4)
            std = deviation(train)
            right.plot(B1, std, color=color, linewidth=2)
            right.annotate(name, (B1[-1], std[-1]), (6, 0), textcoords="offset points", color=color, va="center")
        left.set(xlabel="refocusing pulse", ylabel="flip angle, degrees", ylim=(-5, 185), yticks=(0, 60, 120, 180))
        right.set(xlabel="B1", ylabel="std of T2, ms", ylim=(0, None), xlim=(0.8, 1.2))


def light():
    draw(INK["light"])


def dark():
    draw(INK["dark"])
