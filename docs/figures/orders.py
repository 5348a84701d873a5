"""How many orders are kept at each pulse."""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.program import compile_program


def orders():
    train = epgnumba.sequence.MRF(np.full(96, 30.0), TR=12, TI=20)
    same = epgnumba.FSE(np.full(96, 60.0), ESP=5)
    _, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for limit, style, at, shift in ((None, "-", 49, (10, 0)), (15, "--", 36, (0, 6))):
        program, _ = compile_program(train, nstates=limit)
        kept = program.signal.reach.counts[-96:]
        if limit is None and kept != compile_program(same)[0].signal.reach.counts[-96:]:
            raise RuntimeError("the caption says that both trains keep as many")
        (line,) = ax.step(np.arange(1, 97), kept, where="mid", linewidth=2, linestyle=style)
        name = f"{'all that matter' if limit is None else f'nstates={limit}'}: {sum(kept)} updates"
        ax.annotate(name, (at, kept[at]), shift, textcoords="offset points", color=line.get_color())
    ax.set(xlabel="pulse", ylabel="orders kept", xlim=(0, 115), ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
