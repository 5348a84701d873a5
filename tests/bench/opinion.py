"""A second opinion: an EPG that shares nothing with the package and takes no short cut.

Orders of either sign, long double, complex everywhere; every event is played as it is written, and steady states are
reached by playing repetitions until nothing changes. States are P_k = F_k, Q_k = conj(F_-k), Z_k for every k. Each of
a batch of variants (a leading axis) has numbers of its own, so that differences are played together.
"""

import numpy as np

from epgnumba.sequence import Inversion, Linear, Pulse, Readout, Shift, Spoil, Wait

REAL, COMPLEX = np.longdouble, np.clongdouble
DEGREE = REAL(np.pi) / 180 if REAL is float else REAL("3.14159265358979323846264338327950288") / 180
TISSUE = ("T1", "T2", "B1", "B0", "inv_efficiency", "M0")
SETTLED = 1e-18  # change of a signal from one repetition to the next that is none


class States:
    """Configuration states up to `orders` of either sign, for a batch of tissues (dict of arrays of one length)."""

    def __init__(self, orders, tissue):
        self.zero, self.tissue = orders, {name: np.asarray(value, REAL)[:, None] for name, value in tissue.items()}
        self.P, self.Q, self.Z = np.zeros((3, len(tissue["T1"]), 2 * orders + 1), COMPLEX)
        self.Z[:, orders] = self.tissue["M0"][:, 0]

    def pulse(self, flip, phase):
        a, turn = flip[:, None] * self.tissue["B1"] * DEGREE, np.exp(1j * phase[:, None] * DEGREE)
        c2, s2, s, c = np.cos(a / 2) ** 2, np.sin(a / 2) ** 2, np.sin(a), np.cos(a)
        P, Q, Z = self.P, self.Q, self.Z
        self.P = c2 * P + turn**2 * s2 * Q - 1j * turn * s * Z
        self.Q = s2 / turn**2 * P + c2 * Q + 1j / turn * s * Z
        self.Z = -0.5j / turn * s * P + 0.5j * turn * s * Q + c * Z

    def wait(self, time):
        t, tissue = time[:, None], self.tissue
        e1, e2, turn = (
            np.exp(-t / tissue["T1"]),
            np.exp(-t / tissue["T2"]),
            np.exp(12j * 30 * DEGREE * tissue["B0"] * t / 1000),
        )
        self.P, self.Q, self.Z = self.P * e2 * turn, self.Q * e2 / turn, self.Z * e1
        self.Z[:, self.zero] += (tissue["M0"] * (1 - e1))[:, 0]

    def shift(self, orders):
        """F_k to F_{k + orders}: P moves one way, Q the other; what leaves the window is lost."""
        for name, by in (("P", orders), ("Q", -orders)):
            before, after = getattr(self, name), np.zeros_like(self.P)
            width = before.shape[1]
            if abs(by) < width:
                after[:, max(by, 0) : width + min(by, 0)] = before[:, max(-by, 0) : width - max(by, 0)]
            setattr(self, name, after)

    def spoil(self):
        kept = self.Z[:, self.zero].copy()
        self.P, self.Q, self.Z = np.zeros((3, *self.Z.shape), COMPLEX)
        self.Z[:, self.zero] = kept

    def invert(self, efficiency):
        self.spoil()
        self.Z = -efficiency[:, None] * self.tissue["inv_efficiency"] * self.Z

    def read(self, phase):
        return self.P[:, self.zero] * np.exp(-1j * phase * DEGREE)


def number(value, parameters, size):
    """What an event holds, for each variant; `parameters` are arrays (variants, entries)."""
    if not isinstance(value, Linear):
        return np.full(size, value, REAL)
    total = np.full(size, value.constant, REAL)
    for name, index, factor in value.terms:
        total = total + REAL(factor) * parameters[name][:, index]
    return total


def broadcast(values, size):
    """Each value as (variants, entries) in long double: a leading axis of `size` is one of variants already."""
    wide = {}
    for name, value in values.items():
        array = np.asarray(value, REAL)
        wide[name] = array if array.ndim == 2 else np.broadcast_to(array.reshape(1, -1), (size, array.size))
    return wide


def _orders(events, repetitions):
    """Orders that can be reached and come back: half of all gradients, or those between two crushers."""
    shifts = sum(abs(event.orders) for event in events if isinstance(event, Shift))
    crushed = any(isinstance(event, (Spoil, Inversion)) for event in events)
    return shifts * (2 if crushed else -(-repetitions // 2))


def play(sequence, tissue, parameters=None, size=1, orders=None):
    """Signals (variants, readouts). Tissue and parameters: numbers, or arrays whose first axis is that of variants."""
    given = broadcast({**sequence.parameters, **(parameters or {})}, size)
    maps = {
        name: broadcast({name: tissue.get(name, float(name in ("B1", "inv_efficiency", "M0")))}, size)[name][:, 0]
        for name in TISSUE
    }
    events = [(event, *(number(value, given, size) for value in vars(event).values())) for event in sequence.events()]
    step, growth = (number(value, given, size) for value in sequence.advance)
    period = sum(values[0] for event, *values in events if isinstance(event, Wait))
    repetitions = int(48 * max(maps["T1"] / period)) + 3 if sequence.steady else 1
    states = States(orders or _orders(sequence.events(), repetitions), maps)

    def once(added):
        readings = []
        for event, *values in events:
            if isinstance(event, Pulse):
                states.pulse(values[0], values[1] + added)
            elif isinstance(event, Wait):
                states.wait(values[0])
            elif isinstance(event, Shift):
                states.shift(event.orders)
            elif isinstance(event, Spoil):
                states.spoil()
            elif isinstance(event, Inversion):
                states.invert(values[0])
            elif isinstance(event, Readout):
                readings.append(states.read(values[0] + added))
        return np.stack(readings, 1)

    signal = once(0 * step)
    if not sequence.steady:
        return signal
    still = 0
    for n in range(1, repetitions):
        before, signal = signal, once(n * step + REAL(n * (n - 1) // 2) * growth)
        still = still + 1 if abs(signal - before).max() <= SETTLED * abs(signal).max() else 0
        if still == 5:
            break
    return signal


def derivatives(sequence, tissue, names, orders=None, step=2e-5):
    """Signal (readouts) and its derivatives (names, readouts) by differences of fourth order."""
    weights = {1: 8, -1: -8, 2: -1, -2: 1}
    scales = {"B1": 1.0, "inv_efficiency": 1.0, "M0": 1.0, "B0": 10.0}
    steps = {name: REAL(step) * scales.get(name, tissue.get(name)) for name in names}
    size = 1 + 4 * len(names)
    maps = {
        name: np.full((size, 1), value, REAL)
        for name, value in {"B1": 1.0, "inv_efficiency": 1.0, "M0": 1.0, "B0": 0.0, **tissue}.items()
    }
    for k, name in enumerate(names):
        for j, multiple in enumerate(weights):
            maps[name][1 + 4 * k + j] += multiple * steps[name]
    signals = play(sequence, maps, size=size, orders=orders)
    slopes = [
        sum(weight * signals[1 + 4 * k + j] for j, weight in enumerate(weights.values())) / (12 * steps[name])
        for k, name in enumerate(names)
    ]
    return signals[0], np.stack(slopes) if slopes else np.zeros((0, signals.shape[1]))
