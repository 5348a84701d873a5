"""Calls that take long, in processes of their own: `python long_calls.py NAME` interrupts one."""

import os
import signal
import sys
import threading
import time

import numpy as np

import epgnumba
from epgnumba.design import optimize, verify
from epgnumba.estimate import Dictionary, fit
from epgnumba.sequence import Pulse, Readout, Shift, Wait

TIMES = 40  # what a whole call has of what a part has


def spoiled(p):
    for n in range(600):
        yield [Pulse(p.flip), Wait(4.0), Shift(1), *([Readout()] if n % 75 == 74 else [])]


TRAIN = epgnumba.EventSequence(spoiled, flip=20.0)
SHORT = epgnumba.FSE([150.0] * 16, 10)


def maps(n):
    return np.linspace(40, 90, n)


def decays(n):
    return np.exp(-np.arange(1, 17) / np.linspace(4, 9, n)[:, None])


def on_tensors(n):
    import torch

    import epgnumba.torch as bridge

    T2 = torch.tensor(maps(20 * n), requires_grad=True)
    bridge.simulate(TRAIN, 900.0, T2).abs().sum().backward()
    return T2.grad.numpy()


CALLS = {
    "simulate": lambda n: epgnumba.simulate(TRAIN, 900.0, maps(60 * n)),
    "single precision": lambda n: epgnumba.simulate(TRAIN, 900.0, maps(80 * n), dtype="float32"),
    "jacobian": lambda n: epgnumba.jacobian(TRAIN, 900.0, maps(20 * n), diff=("T1", "T2"))[1],
    "vjp": lambda n: epgnumba.vjp(TRAIN, 900.0, maps(20 * n), signal_bar=np.ones((20 * n, 8)))["flip"],
    "bounds": lambda n: (lambda o: o(o.x0)[1])(epgnumba.CRLBObjective(TRAIN, 900.0, maps(20 * n))),
    "dictionary": lambda n: Dictionary(TRAIN, 900.0, maps(30 * n)).atoms,
    "match": lambda n: Dictionary(SHORT, 900.0, maps(20_000)).match(decays(100 * n) + 0j).index,
    "fit": lambda n: fit(SHORT, decays(400 * n), T1=900.0).maps["T2"],
    "verify": lambda n: verify(SHORT, T1=1000, T2=maps(n), noise=0.01, draws=200).ratio,
    "tensors": on_tensors,
}


def optimised():
    objective = epgnumba.CRLBObjective(epgnumba.FSE([60.0] * 24, 5), 1000, maps(16), unknowns=("M0", "T2"))
    seen = []

    def iterated(*_):
        seen.append(1)
        if len(seen) == 200:
            os.kill(os.getpid(), signal.SIGINT)

    return optimize(objective, starts=100_000, callback=iterated)


def interrupt_after(seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


def play(name):
    """Interrupt a call early; say what became of it, and whether the process is as good as before."""
    if name == "optimize":
        found = optimised()
        print(found.message, bool(found.fun < found.value_before), len(found.starts) < 100_000)
        return
    call = CALLS[name]
    before = call(1000 // TIMES)  # compiles
    start = time.perf_counter()
    np.testing.assert_array_equal(call(1000 // TIMES), before)
    part = time.perf_counter() - start
    interrupt_after(2 * part)
    start = time.perf_counter()
    try:
        call(1000)
        told = "finished"
    except KeyboardInterrupt:
        told = "interrupted"
    early = time.perf_counter() - start < TIMES / 2 * part + 1.0
    print(told, early, np.array_equal(call(1000 // TIMES), before))


if __name__ == "__main__":
    play(sys.argv[1])
