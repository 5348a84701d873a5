"""The pictures of README.md: `python docs/images/make.py`."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import epgnumba
from epgnumba.design import limits, optimize
from epgnumba.plot import plot_bounds, plot_phase_graph

HERE = Path(__file__).parent


def phase_graph():
    """96 echoes of 60 degrees."""
    return plot_phase_graph(epgnumba.FSE([60.0] * 96, ESP=5), T1=1000, T2=100)


def design():
    """What an optimised train is worth, over T2, at the same RF power."""
    train = epgnumba.FSE(np.full(32, 60.0), ESP=10, TR=1000)
    objective = epgnumba.CRLBObjective(train, T1=1000, T2=[60, 100], unknowns=("M0", "T2"), weights=[0, 1])
    within = [limits.bounds(objective, flip=(0, 180)), limits.flip_power(objective, 60.0)]
    protocols = {"60 degrees": train, "optimised": optimize(objective, within).sequence}
    return plot_bounds(protocols, "T2", np.linspace(40, 150, 40), ("M0", "T2"), T1=1000, show="T2")


def main(folder=HERE):
    for make in (phase_graph, design):
        make().figure.savefig(Path(folder) / f"{make.__name__}.png", dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
