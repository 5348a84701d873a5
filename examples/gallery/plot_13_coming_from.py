"""
Coming from another program
===========================

The same train in other programs, and what to write here. Numbers of others were taken from their runs, and stand in
this script to seven digits and more: blochsim 0.0.14 and torchsim 0.0.8, in single precision and with their default of
10 states, which give the same digits; and StimFit as it is in ukat 0.7.3.

.. list-table::
   :header-rows: 1
   :widths: 16 42 42

   * - program
     - there
     - here
   * - blochsim, torchsim
     - ``states=10`` by default, in ``fse_sim`` and ``mrf_sim``; single precision
     - ``nstates=10`` gives the same numbers; all states by default, double precision
   * -
     - ``mrf_sim`` and ``spgr_sim`` are multiplied by i
     - as the pulse leaves it: -i sin(flip) after a pulse about x
   * - StimFit
     - magnitudes; profiles as flip angles in degrees, B1 scales both pulses
     - complex; ``slice_prof={"excitation": ..., "refocusing": ...}``, fractions of the nominal angles
   * - EPG-X
     - radians, the excitation first, refocusing pulses 90 degrees ahead, the signal times i; ``kmax`` limits orders
     - ``FSE(flip, ESP)`` of the others, in degrees: excitation at 90, refocusing at 0; ``nstates``
   * -
     - ``ka``, from pool a to pool b
     - ``exchange`` or ``exchange_b``, which is ``ka`` over the pool's fraction
   * - sycomore
     - an object whose state pulses and intervals change, ``echo`` read after any; quantities with units
     - ``Pulse``, ``Wait``, ``Shift``, ``Readout`` in an ``EventSequence``; ms and degrees. Pulses have the same matrix

Times are in ms, angles in degrees; orders are cycles of the crusher, of which there are two in an echo spacing.
"""

import matplotlib.pyplot as plt
import numpy as np

import epgnumba
from epgnumba.sequence import Pulse, Readout, Shift, Wait

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])

# Every sixth of 96 echoes of 60 degrees, ESP 5, T1 1000, T2 100: blochsim.fse_sim and torchsim.fse_sim, 10 states.
TEN_STATES = [
    0.4007084, 0.361239, 0.2674342, 0.233272, 0.1970002, 0.168522, 0.1419296, 0.1197881,
    0.1015367, 0.0868531, 0.0747909, 0.0646688, 0.0560224, 0.0486061, 0.0422571, 0.036834,
]  # fmt: skip
# mrf_sim(flip=[10, 20, 40, 60], TR=12, TI=20, T1=1000, T2=80) of both.
FINGERPRINT = [-0.16677125, -0.3155466, -0.54010093, -0.5250303]
# StimFit's echoes of 180 degrees, ESP 12.9, T1 1500, T2 100, B1 0.95, without a slice profile.
STIMFIT = [
    0.870870247842, 0.771390203513, 0.672760303409, 0.596945894506, 0.519659572653,
    0.462003358213, 0.401351382188, 0.357609908318, 0.309935561511, 0.276844276045,
]  # fmt: skip

flip, tissue = np.full(96, 60.0), {"ESP": 5, "T1": 1000, "T2": 100}
exact = epgnumba.fse_sim(flip, **tissue).real
ten = epgnumba.fse_sim(flip, **tissue, nstates=10).real
print(f"10 states there, nstates=10 here: at most {abs(ten[5::6] - TEN_STATES).max():.0e} apart")
print(f"10 states there, all states here: at most {abs(exact[5::6] - TEN_STATES).max():.0e} apart at these echoes")
fingerprint = 1j * epgnumba.mrf_sim([10, 20, 40, 60], TR=12, TI=20, T1=1000, T2=80)
print(f"fingerprint, times i: at most {abs(fingerprint - FINGERPRINT).max():.0e} apart")
stimfit = abs(epgnumba.fse_sim([180] * 10, ESP=12.9, T1=1500, T2=100, B1=0.95))
print(f"StimFit: at most {abs(stimfit - STIMFIT).max():.0e} apart")

# %%
# A sequence in sycomore's way
# ----------------------------
# There, a loop plays pulses and intervals on a model and reads ``model.echo``. Here the same loop yields events.


def rare(p):
    yield Pulse(90, 90)
    for angle in p.flip:
        yield [Wait(p.ESP / 2), Shift(1), Pulse(angle), Shift(1), Wait(p.ESP / 2), Readout()]


played = epgnumba.simulate(epgnumba.EventSequence(rare, flip=flip, ESP=5.0), T1=1000, T2=100)
print(f"the loop, and fse_sim: at most {abs(played - exact).max():.0e} apart")

# %%
# How many states are enough
# --------------------------
# The error of too few is a ripple that noise would hide, and a fit would not forgive. It depends on the train and on
# the tissue: ``find_nstates`` says how many a tolerance takes. All states are the default.

counts = np.arange(4, 98)
tissues = {"T2 50": 50.0, "T2 100": 100.0, "T2 1000": 1000.0}
errors = {}
for label, T2 in tissues.items():
    whole = epgnumba.fse_sim(flip, 5, 2000, T2)
    cut = np.array([epgnumba.fse_sim(flip, 5, 2000, T2, nstates=n) for n in counts])
    errors[label] = abs(cut - whole).max(axis=1) / abs(whole).max()
    enough = epgnumba.find_nstates(epgnumba.FSE(flip, 5), T1=2000, T2=T2, tolerance=1e-3)
    print(f"{label} ms: {errors[label][6]:.1%} off with 10 states; 0.1 % takes {enough.nstates}")

figure, ax = plt.subplot_mosaic("AB;CC", figsize=(9, 7))
left, middle, right = ax["A"], ax["B"], ax["C"]
echoes = np.arange(1, 97)
left.plot(echoes, exact, color="C0", label="all states")
left.plot(echoes, ten, color="C2", lw=1, label="nstates=10")
left.plot(echoes[5::6], TEN_STATES, "o", mfc="none", color="C2", label="blochsim, torchsim")
left.set(title="96 echoes of 60°", xlabel="Echo", ylabel="Signal (M0)", ylim=0)
left.legend(frameon=False)
middle.plot(echoes, 100 * (ten / exact - 1), color="C2", lw=1)
middle.plot(echoes[5::6], 100 * (TEN_STATES / exact[5::6] - 1), "o", mfc="none", color="C2")
middle.axhline(0, color="C0")
middle.set(title="What 10 states miss", xlabel="Echo", ylabel="Error (%)")
for (label, values), color in zip(errors.items(), ("C1", "C0", "C3"), strict=True):
    right.semilogy(counts, np.maximum(100 * values, 1e-6), color=color, label=f"{label} ms")
right.set(title="Largest error, by states kept", xlabel="nstates", ylabel="% of the largest echo", ylim=(1e-4, 50))
right.set(yticks=(1e-4, 1e-2, 1), yticklabels=("0.0001", "0.01", "1"))
right.legend(frameon=False)
