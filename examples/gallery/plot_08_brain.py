"""
T2 of a brain: pulses are no 180 degrees
========================================

A slice of a brain, 30 spin echoes. Refocusing pulses that turn spins by less than 180 degrees, at the edges of the
slice and where B1 is low, leave stimulated echoes, which a single exponential takes for a longer T2. Fitted by the
phase graph, with B1 unknown, the same data have a shorter one. A phantom, whose maps, slice profile and noise are
known, says which is right, and what it takes.

Times are in ms, B1 is a fraction of the nominal field. Data: ``examples/data``, from qMRLab, under the MIT license; of
the pulses nothing is known, so that B1 stands for the profile of the slice as well.
"""

import gzip
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba import pulses
from epgnumba.estimate import fit

plt.style.use(["seaborn-v0_8-colorblind", {"figure.constrained_layout.use": True}])
HERE = Path(globals().get("__file__", "plot_08_brain.py")).resolve().parent  # pages and notebooks run it where it lies
DATA = HERE.parent / "data"
ESP, T1 = 12.8, 1000.0  # echoes hardly depend on T1
TRAIN = epgnumba.FSE([180.0] * 30, ESP=ESP)  # with B1 = 1 its signal is M0 exp(-t / T2)


def read(name):
    """The one slice of a NIfTI file of single precision, (x, y[, echo])."""
    raw = gzip.decompress((DATA / name).read_bytes())
    ndim, *sizes = np.frombuffer(raw, "<i2", 8, 40)
    start = int(np.frombuffer(raw, "<f4", 1, 108)[0])
    return np.frombuffer(raw, "<f4", offset=start).reshape(sizes[:ndim], order="F")[:, :, 0].squeeze()


def show(ax, image, title, limits, label, colors="viridis"):
    """A map, x to the right and y upwards, as far as there is anything."""
    drawn = ax.imshow(image.T, origin="lower", vmin=limits[0], vmax=limits[1], cmap=colors, interpolation="nearest")
    ax.figure.colorbar(drawn, ax=ax, shrink=0.85, label=label, location="bottom")
    ax.set_title(title)
    ax.set_axis_off()
    x, y = np.nonzero(np.isfinite(image))
    ax.set(xlim=(x.min() - 1, x.max() + 1), ylim=(y.min() - 1, y.max() + 1))


# %%
# The brain
# ---------
# B1 is sought below 1 only: above and below leave the same echoes. Noise is taken from air, in a corner of the image.

data, mask = read("mese_brain.nii.gz"), read("mese_brain_mask.nii.gz") > 0
noise = float(np.sqrt((data[:10, :10] ** 2).mean() / 2))
plain = fit(TRAIN, data, ("M0", "T2"), T1=T1, mask=mask)
whole = fit(TRAIN, data, ("M0", "T2", "B1"), T1=T1, mask=mask, bounds={"B1": (0.5, 1.0)}, noise=noise)
rows = re.findall(r"^\| (\d+), (\d+) \| ([\d.]+) \| ([\d.]+) \|", (DATA / "README.md").read_text(), re.MULTILINE)
worst = max(
    abs(plain.maps[name][int(x), int(y)] / float(value) - 1)
    for x, y, T2, M0 in rows
    for name, value in (("T2", T2), ("M0", M0))
)
print(f"another program's exponential fit of {len(rows)} voxels: at most {worst:.4%} away")
fine = plain.converged & whole.converged
medians = [np.median(found.maps["T2"][fine]) for found in (plain, whole)]
left = np.median(plain.residual[fine] / whole.residual[fine])
print(f"{fine.sum()} voxels, median T2 {medians[0]:.1f} ms (exponential), {medians[1]:.1f} ms (EPG)")
print(f"the exponential leaves {left:.2f} times as much of the data")

figure, axes = plt.subplot_mosaic("ABC;DDD", figsize=(9, 7.4), height_ratios=(1.25, 1))
show(axes["A"], plain.maps["T2"], "Exponential", (30, 200), "T2 (ms)")
show(axes["B"], whole.maps["T2"], "Phase graph", (30, 200), "T2 (ms)")
show(axes["C"], whole.maps["B1"], "B1, with the slice's profile", (0.5, 1.0), "of nominal", "cividis")
place, times, ax = (42, 39), ESP * np.arange(1, 31), axes["D"]
ax.semilogy(times, data[place], ".", color="0.4", label="data")
for found, label, style in ((plain, "exponential", "C2--"), (whole, "phase graph", "C0-")):
    maps = {name: values[place] for name, values in found.maps.items()}
    ax.semilogy(times, abs(epgnumba.simulate(TRAIN, T1, **maps)), style, label=f"{label}, T2 {maps['T2']:.0f} ms")
ax.set(title="Echoes of one voxel", xlabel="Time (ms)", ylabel="Magnitude")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
# A phantom that knows the truth
# ------------------------------
# B1 falls from 1 to 0.6 outwards, slices are those of sinc pulses, the refocusing one 1.3 times as thick, and noise is
# Rician. Three fits: the exponential, the phase graph without a profile, and with the profile that there was.

x, y = np.meshgrid(np.linspace(-1, 1, 80), np.linspace(-1, 1, 80), indexing="ij")
radius = np.hypot(x, y)
inside = radius < 0.95
T2 = np.select([radius < 0.25, radius < 0.5, radius < 0.75], [300.0, 70.0, 100.0], 55.0)
pulse, z = pulses.sinc(3.0, time_bandwidth=4), pulses.positions(12)
profile = {"excitation": pulse.profile(90, z), "refocusing": pulse.profile(180, z, thickness=1.3)}
signal = epgnumba.simulate(TRAIN, T1, T2, B1=1 - 0.4 * radius**2, M0=1000.0 + 300 * x, slice_prof=profile)
rng, sigma = np.random.default_rng(0), 8.0
measured = abs(signal + sigma * (rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape)))
ask = {"T1": T1, "mask": inside, "bounds": {"B1": (0.5, 1.1)}, "noise": sigma}
fits = {
    "Exponential": fit(TRAIN, measured, ("M0", "T2"), T1=T1, mask=inside),
    "Phase graph, no profile": fit(TRAIN, measured, ("M0", "T2", "B1"), **ask | {"bounds": {"B1": (0.5, 1.0)}}),
    "Phase graph": fit(TRAIN, measured, ("M0", "T2", "B1"), **ask, slice_prof=profile),
}
figure, axes = plt.subplots(2, 2, figsize=(8, 8.6))
show(axes.flat[0], np.where(inside, T2, np.nan), "Truth", (30, 320), "T2 (ms)")
errors = {}
for ax, (label, found) in zip(axes.flat[1:], fits.items(), strict=True):
    error = 100 * (found.maps["T2"] / T2 - 1)
    errors[label] = error[found.converged]
    median, rms = np.median(errors[label]), np.sqrt((errors[label] ** 2).mean())
    print(f"{label}: T2 {median:+.1f} % in the median, {rms:.1f} % rms")
    show(ax, error, f"{label}\n{median:+.1f} %", (-40, 40), "Error of T2 (%)", "RdBu_r")
