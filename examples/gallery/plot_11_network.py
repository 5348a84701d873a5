"""
A network, and the train that it reads, learned together
========================================================

A small network estimates T1 and T2 from a fingerprint of 30 pulses. It is trained on simulated signals with noise, and
since the simulation is differentiable, the error's gradient reaches the flip angles too: network and train are learned
together. Beside it stand the same network on a train that stays as it was, and least squares on both trains.

It takes ``pip install "epgnumba[torch]"``. Times are in ms, angles in degrees. T1 and T2 are drawn evenly in their
logarithms, M0 from 0.7 to 1.3; errors are relative. A network that has seen what tissues there are may fall below the
bound on unbiased estimates, where the bound is large.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import epgnumba
import epgnumba.torch as epg
from epgnumba.estimate import fit
from epgnumba.sequence import MRF

LOOK = {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}
plt.style.use(["seaborn-v0_8-colorblind", LOOK])
torch.set_num_threads(1)  # matrices this small gain nothing by more
PULSES, NOISE, STEPS, BATCH = 30, 0.01, 800, 200
LOW, HIGH = torch.tensor([500.0, 30.0]).log(), torch.tensor([2000.0, 150.0]).log()  # of T1 and T2


def draw(count, generator):
    """Logarithms of T1 and T2, M0, and noise for each pulse."""
    logs = LOW + (HIGH - LOW) * torch.rand(count, 2, generator=generator)
    M0 = 0.7 + 0.6 * torch.rand(count, 1, generator=generator)
    return logs, M0, NOISE * torch.randn(count, PULSES, generator=generator)


def measure(flip, logs, M0, noise):
    """What is measured after pulses about x: the imaginary part."""
    T1, T2 = logs.exp().T
    return M0 * epg.mrf_sim(flip, TR=12.0, TI=20.0, T1=T1, T2=T2).imag.float() + noise


def learn(start, learn_flip):
    """A network, its train, and how the error fell."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    network = torch.nn.Sequential(
        torch.nn.Linear(PULSES, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.Linear(64, 2)
    )
    free = torch.logit(torch.as_tensor(start) / 90).requires_grad_(learn_flip)  # angles from 0 to 90 degrees
    groups = [{"params": network.parameters(), "lr": 3e-3}] + [{"params": [free], "lr": 5e-2}] * learn_flip
    optimizer, errors = torch.optim.Adam(groups), []
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        logs, M0, noise = draw(BATCH, generator)
        guess = LOW + (HIGH - LOW) * (0.5 + network(10 * measure(90 * free.sigmoid(), logs, M0, noise)))
        loss = (guess - logs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        errors.append(loss.item() ** 0.5)
    return network, (90 * free.sigmoid()).detach(), errors


start = 10 + 40 * np.sin(np.pi * np.arange(PULSES) / PULSES)
runs = {"as it was": learn(start, False), "learned": learn(start, True)}

# %%
# On tissues that they have not seen
# ----------------------------------
# Least squares know the model, and nothing of which tissues are likely but the range.

logs, M0, noise = draw(4000, torch.Generator().manual_seed(2))
truth = logs.exp().double().numpy()
bounds = {"T1": tuple(np.exp([LOW[0], HIGH[0]])), "T2": tuple(np.exp([LOW[1], HIGH[1]]))}
scores = {}
for name, (network, flip, _) in runs.items():
    with torch.no_grad():
        data = measure(flip, logs, M0, noise)
        guess = (LOW + (HIGH - LOW) * (0.5 + network(10 * data))).exp().numpy()
    train = MRF(flip.numpy(), TR=12.0, TI=20.0)
    found = fit(train, 1j * data.numpy(), ("M0", "T1", "T2"), bounds=bounds)
    squares = np.stack([found.maps["T1"], found.maps["T2"]], -1)
    _, slopes = epgnumba.jacobian(train, *truth.T, M0=M0[:, 0].numpy(), diff=("M0", "T1", "T2"))
    limit = np.sqrt(epgnumba.crlb(slopes, noise=NOISE))[:, 1:] / truth
    scores[name] = {
        "network": np.sqrt(np.mean((guess / truth - 1) ** 2, axis=0)),
        "least squares": np.sqrt(np.nanmean((squares / truth - 1) ** 2, axis=0)),
        "bound, rms": np.sqrt(np.mean(limit**2, axis=0)),
    }
    for method, (T1, T2) in scores[name].items():
        print(f"train {name}, {method}: error of T1 {T1:.1%}, of T2 {T2:.1%}")

figure, ax = plt.subplot_mosaic("AB;CC", figsize=(9, 7))
left, middle, right = ax["A"], ax["B"], ax["C"]
colors = {"as it was": "C2", "learned": "C0"}
for name, (_, flip, errors) in runs.items():
    left.plot(np.arange(1, PULSES + 1), flip, "o-", ms=4, color=colors[name])
    smooth = np.convolve(errors, np.ones(25) / 25, "valid")
    middle.plot(np.arange(smooth.size) + 25, 100 * smooth, color=colors[name], label=f"train {name}")
left.text(30, start[-1] - 9, "as it was", ha="right", color=colors["as it was"])
left.set(title="Flip angles", xlabel="Pulse", ylabel="Flip angle (°)", ylim=(0, 92))
middle.set(title="Error while learning", xlabel="Step", ylabel="rms of ln T1 and ln T2 (%)", ylim=0)
middle.legend(frameon=False)
methods = list(scores["learned"])
for k, (name, score) in enumerate(scores.items()):
    for column, hatch in ((0, None), (1, "//")):
        heights = [100 * score[method][column] for method in methods]
        place = np.arange(3) + 0.2 * (2 * column + k) - 0.3
        bars = right.bar(place, heights, 0.18, color=colors[name], hatch=hatch, edgecolor="white")
        right.bar_label(bars, [f"{height:.1f}" for height in heights], fontsize="small", padding=2)
right.set(title="Error on new tissues: T1, and T2 hatched", ylabel="rms (%)", xticks=range(3), xticklabels=methods)
