"""
Magnetisation transfer: a Z-spectrum
====================================

Protons bound to macromolecules have no signal, but a saturating pulse far off resonance finds them, and exchange brings
the loss to water. A gradient echo with a Gaussian pulse of 10 ms before each excitation is played at many offsets of
that pulse; balanced SSFP shows the same by the duration of its pulses.

Times are in ms, angles in degrees, exchange rates per second, offsets in kHz. The bound pool has a super-Lorentzian
line, T2 12 us. T1 and T2 are those of water. What the pulse turns of water itself at its offset, by Bloch's equations
without relaxation, is counted in.
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba import pulses
from epgnumba.sequence import Pulse, Readout, Spoil, Wait

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])


def prepared(p):
    yield [Pulse(p.power, kind="saturation"), Spoil(), Pulse(p.flip), Wait(3.0), Readout(), Spoil(), Wait(27.0)]


POWER = 500.0  # degrees, if it were played on resonance
saturating = pulses.gaussian(10.0)
train = epgnumba.EventSequence(prepared, steady=True, power=POWER, flip=10.0)
tissues = {
    "white matter": {"T1": 900.0, "T2": 70.0, "bound_fraction": 0.13, "exchange": 30.0},
    "grey matter": {"T1": 1300.0, "T2": 95.0, "bound_fraction": 0.06, "exchange": 30.0},
    "CSF": {"T1": 4000.0, "T2": 1800.0, "bound_fraction": 0.0, "exchange": 0.0},
}


def signal(offset, power=POWER, **tissue):
    """|S| with the saturating pulse at an offset.

    A kind of pulse saturates by its own duration, here longer by as much as the line is lower at its offset.
    """
    centre, there = pulses.super_lorentzian([0.0, offset], T2_bound=12.0)
    lasts = {"saturation": saturating.effective_duration * centre / there, "excitation": 0.5}
    turned = {"saturation": saturating.flips(power, offset) / power if power else 0.0, "excitation": 1.0}  # of water
    played = train.replace(power=power).on_scanner(rf_duration=lasts)
    return abs(epgnumba.simulate(played, **tissue, lineshape=centre, slice_prof=turned)).item()


offsets = np.geomspace(0.05, 30, 100)
spectra = {
    name: np.array([signal(x, **it) for x in offsets]) / signal(1.0, power=0.0, **it) for name, it in tissues.items()
}
ratios = {name: 1 - np.interp(2.0, offsets, values) for name, values in spectra.items()}  # at 2 kHz
print("magnetisation transfer ratio at 2 kHz:", {name: f"{value:.3f}" for name, value in ratios.items()})

# %%
# By power
# --------
# More power saturates the bound pool until none of it is left; then exchange is what limits the ratio.

powers = np.linspace(0, 1200, 41)
by_power = {
    name: 1 - np.array([signal(2.0, power, **it) for power in powers]) / signal(2.0, 0.0, **it)
    for name, it in tissues.items()
    if name != "CSF"
}

# %%
# In balanced SSFP
# ----------------
# The pulses themselves saturate: the shorter they are at the same angle, the more power they take (M. Gloor et al., MRM
# 60 (2008) 691). All durations at a repetition time of 5 ms; the pulses act at an instant here.

durations = np.geomspace(0.1, 3.0, 25)
white = tissues["white matter"]
balanced = np.array([abs(epgnumba.bssfp_sim(35, 2.5, 5, **white, rf_duration=ms)).item() for ms in durations])
free = abs(epgnumba.bssfp_sim(35, 2.5, 5, white["T1"], white["T2"])).item()
left_over = np.interp(0.25, durations, balanced) / free
print(f"balanced SSFP, pulses of 0.25 ms: {left_over:.2f} of the signal without a bound pool")

colors = {"white matter": "C0", "grey matter": "C2", "CSF": "C3"}
figure, ax = plt.subplot_mosaic("AA;BC", figsize=(9, 7))
left, middle, right = ax["A"], ax["B"], ax["C"]
for name, values in spectra.items():
    left.plot(offsets, values, color=colors[name], label=name)
left.axvline(2, color="0.6", lw=0.8, ls=":")
left.set(
    title="Z-spectrum",
    xlabel="Offset of the pulse (kHz)",
    ylabel="S / S without the pulse",
    xscale="log",
    ylim=(0, 1.05),
)
left.set(xticks=(0.1, 1, 10), xticklabels=("0.1", "1", "10"))
left.legend(frameon=False, loc="lower right")
for name, values in by_power.items():
    middle.plot(powers, 100 * values, color=colors[name])
    middle.text(1190, 100 * values[-1] - 7, name, color=colors[name], ha="right")
middle.set(title="At 2 kHz, by power", xlabel="Flip angle of the pulse (°)", ylabel="MT ratio (%)", ylim=0)
right.plot(durations, balanced / free, color=colors["white matter"])
right.set(
    title="Balanced SSFP, white matter", xlabel="Duration of the pulses (ms)", ylabel="S / S without a bound pool"
)
right.set(ylim=(0, 1), xscale="log", xticks=(0.1, 0.3, 1, 3), xticklabels=("0.1", "0.3", "1", "3"))
