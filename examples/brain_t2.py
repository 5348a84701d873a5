"""T2 of a brain from 30 spin echoes: with B1 fitted too, and as if all pulses were perfect; then of a phantom.

Refocusing pulses that are no 180 degrees leave stimulated echoes, which a single exponential takes for a longer T2. The
phantom, whose maps, slice profile and noise are known, shows by how much, and what it takes to be right.

Data: examples/data, from qMRLab, under the MIT license.
"""

import gzip
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba import pulses
from epgnumba.estimate import Fit, fit

DATA = Path(__file__).parent / "data"
TRAIN = epgnumba.FSE([180.0] * 30, ESP=12.8)  # its signal, with B1 = 1, is M0 exp(-t / T2)
T1 = 1000.0  # ms, of all voxels: echoes hardly depend on it
SIDE = {"B1": (0.5, 1.0)}  # below and above 1 leave the same echoes


def read(name: str) -> np.ndarray:
    """The one slice of a NIfTI file of single precision, (x, y[, echo])."""
    raw = gzip.decompress((DATA / name).read_bytes())
    ndim, *sizes = np.frombuffer(raw, "<i2", 8, 40)
    start = int(np.frombuffer(raw, "<f4", 1, 108)[0])
    return np.frombuffer(raw, "<f4", offset=start).reshape(sizes[:ndim], order="F")[:, :, 0].squeeze()


def both(data: np.ndarray, mask: np.ndarray, noise: float) -> tuple[Fit, Fit]:
    """An exponential fit, and one of all that echoes depend on."""
    return (
        fit(TRAIN, data, ("M0", "T2"), T1=T1, mask=mask),
        fit(TRAIN, data, ("M0", "T2", "B1"), T1=T1, mask=mask, bounds=SIDE, noise=noise),
    )


def published() -> dict[tuple[int, int], tuple[float, float]]:
    """T2 and M0 of some voxels, by another program's exponential fit."""
    rows = re.findall(r"^\| (\d+), (\d+) \| ([\d.]+) \| ([\d.]+) \|", (DATA / "README.md").read_text(), re.MULTILINE)
    return {(int(x), int(y)): (float(T2), float(M0)) for x, y, T2, M0 in rows}


def brain(axes: np.ndarray) -> None:
    """Maps of the brain, and the echoes of one voxel."""
    data, mask = read("mese_brain.nii.gz"), read("mese_brain_mask.nii.gz") > 0
    noise = float(np.sqrt((data[:10, :10] ** 2).mean() / 2))  # of air, in a corner
    plain, whole = both(data, mask, noise)
    worst = max(
        max(abs(plain.maps["T2"][place] / T2 - 1), abs(plain.maps["M0"][place] / M0 - 1))
        for place, (T2, M0) in published().items()
    )
    print(f"another program's exponential fit of {len(published())} voxels: at most {100 * worst:.4f} % away")
    print(f"exponential: {plain}\nEPG: {whole}")
    fine = plain.converged & whole.converged
    medians = [np.median(found.maps["T2"][fine]) for found in (plain, whole)]
    left = np.median(plain.residual[fine] / whole.residual[fine])
    print(f"noise {noise:.1f}; median T2 {medians[0]:.1f} ms (exponential), {medians[1]:.1f} ms (EPG)")
    print(f"median B1 {np.median(whole.maps['B1'][fine]):.2f}; the exponential leaves {left:.2f} times as much")
    show(axes[0], plain.maps["T2"], "T2, exponential (ms)", (30, 200))
    show(axes[1], whole.maps["T2"], "T2, EPG (ms)", (30, 200))
    show(axes[2], whole.maps["B1"], "B1, with the slice's profile", (0.5, 1.0))
    show(axes[3], whole.maps["M0"], "M0, EPG", (0, np.nanpercentile(whole.maps["M0"], 99)))
    place, times = (42, 39), 12.8 * np.arange(1, 31)
    ax = axes[4]
    ax.plot(times, data[place], ".k", label="data")
    for found, label in ((plain, "exponential"), (whole, "EPG")):
        maps = {name: array[place] for name, array in found.maps.items()}
        ax.plot(times, abs(epgnumba.simulate(TRAIN, T1, **maps)), label=f"{label}, T2 {maps['T2']:.0f} ms")
    ax.set(title="Echoes of one voxel", xlabel="ms")
    ax.legend(frameon=False, fontsize="small")


def phantom(axes: np.ndarray) -> None:
    """A phantom with noise, and the error of each fit."""
    x, y = np.meshgrid(np.linspace(-1, 1, 80), np.linspace(-1, 1, 80), indexing="ij")
    radius = np.hypot(x, y)
    mask = radius < 0.95
    T2 = np.select([radius < 0.25, radius < 0.5, radius < 0.75], [300.0, 70.0, 100.0], 55.0)
    truth = {"T2": T2, "B1": 1 - 0.4 * radius**2, "M0": 1000.0 + 300 * x}
    noise, rng = 8.0, np.random.default_rng(0)
    pulse, z = pulses.sinc(3.0, time_bandwidth=4), pulses.positions(12)
    profile = {"excitation": pulse.profile(90, z), "refocusing": pulse.profile(180, z, thickness=1.3)}
    signal = epgnumba.simulate(TRAIN, T1, **truth, slice_prof=profile)
    data = abs(signal + noise * (rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape)))
    plain, blind = both(data, mask, noise)
    ask = {"T1": T1, "mask": mask, "bounds": {"B1": (0.5, 1.1)}, "noise": noise}
    whole = fit(TRAIN, data, ("M0", "T2", "B1"), **ask, slice_prof=profile)
    show(axes[0], np.where(mask, T2, np.nan), "Phantom: T2 (ms)", (30, 320))
    named = (("exponential", plain), ("EPG, no slice profile", blind), ("EPG", whole))
    for ax, (label, found) in zip(axes[1:4], named, strict=True):
        error = 100 * (found.maps["T2"] / T2 - 1)
        inside = error[found.converged]
        print(f"phantom, {label}: T2 {np.median(inside):+.2f} % in the median, {np.sqrt((inside**2).mean()):.2f} % rms")
        show(ax, error, f"Error of T2, {label} (%)", (-20, 20), "RdBu_r")
    show(axes[4], whole.maps["B1"], "Phantom: B1, fitted", (0.5, 1.0))


def show(ax, image: np.ndarray, title: str, limits: tuple[float, float], colors: str = "viridis") -> None:
    """A map, x to the right and y upwards."""
    shown = ax.imshow(image.T, origin="lower", vmin=limits[0], vmax=limits[1], cmap=colors, interpolation="nearest")
    ax.figure.colorbar(shown, ax=ax, shrink=0.8)
    ax.set(title=title, xticks=[], yticks=[])


def main(path: str = "brain_t2.png") -> None:
    """Print what is found, and draw it."""
    figure, axes = plt.subplots(2, 5, figsize=(18, 7), layout="constrained")
    brain(axes[0])
    phantom(axes[1])
    figure.savefig(path, dpi=100)
    print(f"figure: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
