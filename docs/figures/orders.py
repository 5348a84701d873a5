"""How many orders are kept at each pulse."""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.program import compile_program


def orders():
    trains = {
        "96 spin echoes": epgnumba.FSE(np.full(96, 60.0), ESP=5),
        "fingerprint of 96 pulses": epgnumba.sequence.MRF(np.full(96, 30.0), TR=12, TI=20),
        "the same, nstates=15": epgnumba.sequence.MRF(np.full(96, 30.0), TR=12, TI=20),
    }
    _, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for n, (name, train) in enumerate(trains.items()):
        program, _ = compile_program(train, nstates=15 if "nstates" in name else None)
        kept = program.signal.reach.counts[1:]
        style = ":" if n == 2 else "-"
        (line,) = ax.step(np.arange(1, len(kept) + 1), kept, where="mid", linewidth=2, linestyle=style)
        at = (24, 48, 70)[n]
        ax.annotate(f"{name}: {sum(kept)} updates", (at, kept[at]), (10, 8 - 20 * (n == 2)), textcoords="offset points",
                    color=line.get_color())  # fmt: skip
    ax.set(xlabel="pulse", ylabel="orders kept", xlim=(0, 130), ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
