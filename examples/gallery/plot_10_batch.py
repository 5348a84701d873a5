"""
A dictionary on a cluster
=========================

A batch run is a file that says what is played, on which tissues, and where results go. The command line cuts it into
shards and computes them: all on one machine, or a share of them in each job of an array. Here a compressed dictionary
for fingerprinting is made that way: one share first, then the rest by the same command, which finds what is done. A
phantom is matched with it.

It takes Python 3.11 or newer and ``pip install "epgnumba[batch]"``. Times are in ms, angles in degrees.
"""

import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.batch import open_results
from epgnumba.cli import main
from epgnumba.sequence import MRF

plt.style.use(["seaborn-v0_8-colorblind", {"figure.constrained_layout.use": True}])

folder = Path(tempfile.mkdtemp())
pulse = np.arange(200)
np.savetxt(folder / "flip.txt", 10 + np.array([35, 55])[pulse // 100] * np.sin(np.pi * (pulse % 100) / 100))
run = folder / "run.toml"
run.write_text("""
[sequence]
family = "MRF"
flip = { file = "flip.txt" }
TR = 12.0
TI = 20.0

[tissue]
T1 = { start = 300, stop = 3000, count = 80, spacing = "log" }
T2 = { start = 20, stop = 400, count = 70, spacing = "log" }

[options]
dtype = "float32"

[dictionary]
rank = 6

[output]
path = "atoms.zarr"

[engine]
workers = 1
shard_rows = 1024
""")

# %%
# In pieces
# ---------
# In a shell, and with Slurm, the calls below are
#
# .. code-block:: sh
#
#     epgnumba dictionary run.toml --prepare --array-count 3
#     sbatch --array 0-2 --wrap 'epgnumba dictionary run.toml --array-index $SLURM_ARRAY_TASK_ID --array-count 3'
#     epgnumba dictionary run.toml --finish
#
# where the last one says what is missing, and a run without any of these options computes it. A task that dies is run
# again. Nothing is computed twice, and no row depends on who computed it.

command = ["dictionary", str(run)]
assert main([*command, "--prepare", "--array-count", "3"]) == 0
assert main([*command, "--array-index", "1", "--array-count", "3"]) == 0
with warnings.catch_warnings(record=True) as told:  # that it is not complete
    warnings.simplefilter("always")
    partly = open_results(folder / "atoms.zarr")
print("one task of three:", str(told[0].message).partition(" is ")[2])
done = np.isfinite(partly.residual.values)
assert main(command) == 0  # the rest
atoms = open_results(folder / "atoms.zarr")
there = np.isfinite(atoms.residual.values)  # no atom has a T2 longer than T1
same = np.array_equal(atoms.coefficients.values[done], partly.coefficients.values[done])
print(f"{done.sum()} of {there.sum()} atoms by that task, the others after it; those done before are untouched: {same}")
print(f"rank {atoms.basis.shape[0]} loses {np.nanmax(atoms.residual.values):.1e} of an atom at most")

# %%
# Matched
# -------
# Data are compressed like the atoms, and the largest inner product says which tissue they are of.

x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64), indexing="ij")
inside = np.hypot(x, 1.2 * y) < 0.95
truth = {
    "T1": np.where(np.hypot(x - 0.3, y) < 0.3, 2400.0, np.where(np.hypot(x + 0.3, y + 0.1) < 0.35, 850.0, 1350.0)),
    "T2": np.where(np.hypot(x - 0.3, y) < 0.3, 280.0, np.where(np.hypot(x + 0.3, y + 0.1) < 0.35, 60.0, 95.0)),
}
train = MRF(np.loadtxt(folder / "flip.txt"), TR=12.0, TI=20.0)
rng, noise = np.random.default_rng(3), 0.01
data = epgnumba.simulate(train, **truth, mask=inside)
data = data + noise * (rng.normal(size=data.shape) + 1j * rng.normal(size=data.shape))
basis, coefficients = atoms.basis.values, atoms.coefficients.values[there]  # (rank, readouts), (atoms, rank)
grids = dict(zip(truth, np.meshgrid(atoms.T1.values, atoms.T2.values, indexing="ij"), strict=True))
unit = coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True)
best = abs((data[inside] @ basis.conj().T) @ unit.conj().T).argmax(axis=1)
found = {name: np.full(inside.shape, np.nan) for name in truth}
for name, values in grids.items():
    found[name][inside] = values[there][best]
errors = {name: 100 * (found[name] / truth[name] - 1)[inside] for name in found}
print(", ".join(f"{name}: {np.median(e):+.1f} % in the median, {e.std():.1f} % rms" for name, e in errors.items()))

figure, axes = plt.subplots(2, 2, figsize=(9, 7))
for ax, image, title, colors in (
    (axes[0, 0], np.where(there, np.where(done, 1.0, 0.45), np.nan), "Atoms of one task of three (dark)", "Blues"),
    (axes[0, 1], atoms.residual.values, "What rank 6 loses", "viridis"),
):
    drawn = ax.pcolormesh(atoms.T2.values, atoms.T1.values, image, cmap=colors, vmin=0, rasterized=True)
    ax.set(title=title, xscale="log", yscale="log", xlabel="T2 (ms)", ylabel="T1 (ms)" if ax is axes[0, 0] else "")
    ax.set_xticks((20, 50, 100, 200, 400), ("20", "50", "100", "200", "400"))
    ax.set_yticks((300, 1000, 3000), ("300", "1000", "3000"))
    ax.minorticks_off()
figure.colorbar(drawn, ax=axes[0, 1], label="of an atom's length")
for ax, (name, top) in zip(axes[1], (("T1", 2800), ("T2", 320)), strict=True):
    drawn = ax.imshow(found[name].T, origin="lower", cmap="viridis", vmin=0, vmax=top, interpolation="nearest")
    figure.colorbar(drawn, ax=ax, label=f"{name} (ms)")
    ax.set_title(f"Matched {name}")
    ax.set_axis_off()
