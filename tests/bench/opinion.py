"""A second opinion: an EPG that shares nothing with the package and takes no short cut.

Orders of either sign, long double, complex everywhere; every event is played as it is written, and steady states are
reached by playing repetitions until nothing changes. States are P_k = F_k, Q_k = conj(F_-k), Z_k for every k, of two
pools whose exchange is a power series of its matrix. Diffusion and flow go by the order at every moment of
an interval (Weigel, JMRI 41 (2015) 266). Each of a batch of variants (a leading axis) has numbers of its own, so that
differences are played together.
"""

import numpy as np

from epgnumba.sequence import Inversion, Linear, Pulse, Readout, Shift, Spoil, Wait

REAL, COMPLEX = np.longdouble, np.clongdouble
DEGREE = REAL(np.pi) / 180 if REAL is float else REAL("3.14159265358979323846264338327950288") / 180
GAMMA = 267.52218708e-6  # radians per um and mT ms/m
DEFAULTS = {
    "T1": None, "T2": None, "B1": 1.0, "B0": 0.0, "inv_efficiency": 1.0, "M0": 1.0, "D": 0.0, "velocity": 0.0,
    "bound_fraction": 0.0, "exchange": 0.0, "T1_bound": 1000.0, "lineshape": 14.0,
    "fraction_b": 0.0, "exchange_b": 0.0, "T1_b": 500.0, "T2_b": 20.0, "shift_b": 0.0,
}  # fmt: skip
SETTLED = 1e-18  # change of a signal from one repetition to the next that is none


def exponential(matrix):
    """exp of small matrices (variants, 2, 2): a power series of a 2^-n-th of it, squared n times."""
    doublings = max(int(np.ceil(np.log2(float(abs(matrix).max()) + 1))), 0) + 3
    term = result = np.broadcast_to(np.eye(2, dtype=REAL), matrix.shape)
    for n in range(1, 25):
        term = np.einsum("vij,vjk->vik", term, matrix / REAL(2) ** doublings) / n
        result = result + term
    for _ in range(doublings):
        result = np.einsum("vij,vjk->vik", result, result)
    return result


def turned_by(x, y, z):
    """Matrices of rotations by vectors of whatever length."""
    size = np.sqrt(x * x + y * y + z * z)
    one = np.where(size == 0, 1, size)
    x, y, z = x / one, y / one, z / one
    nothing = 0 * x
    k = np.moveaxis(np.array([[nothing, -z, y], [z, nothing, -x], [-y, x, nothing]]), 2, 0)
    s, c = np.sin(size)[:, None, None], np.cos(size)[:, None, None]
    return np.eye(3, dtype=REAL) + s * k + (1 - c) * (k @ k)


class States:
    """Configuration states up to `orders` of either sign, for a batch of tissues (dict of arrays of one length).

    Of two pools: arrays are (variants, pools, orders). The second has a bound one's parameters or a free one's.
    `scanner`: area of a gradient by one order (mT ms/m), effective duration of pulses (ms). `waves`: by kind of pulse
    samples, their duration (ms) and the off-resonance at which they are played (kHz).
    """

    def __init__(self, orders, tissue, scanner, waves):
        self.waves = waves
        self.zero, self.tissue = orders, {name: np.asarray(value, REAL) for name, value in tissue.items()}
        self.P, self.Q, self.Z = np.zeros((3, len(tissue["T1"]), 2, 2 * orders + 1), COMPLEX)
        self.orders, (area, self.rf_duration) = np.arange(-orders, orders + 1), (REAL(x or 0) for x in scanner)
        self.dephasing, self.free = REAL(GAMMA) * area, bool((self.tissue["fraction_b"] > 0).any())
        names = ("fraction_b", "exchange_b", "T1_b") if self.free else ("bound_fraction", "exchange", "T1_bound")
        f, k, self.second_T1 = (self.tissue[name] for name in names)
        self.there, self.back = k / 1000 * f, k / 1000 * (1 - f)
        self.rest = self.tissue["M0"][:, None] * np.stack([1 - f, f], 1)
        self.Z[:, :, orders] = self.rest

    def pulse(self, flip, phase, kind):
        a = (flip * self.tissue.get(f"B1.{kind}", self.tissue["B1"]) * DEGREE)[:, None]
        turn = np.exp(1j * (phase + self.tissue.get(f"B1_phase.{kind}", 0)) * DEGREE)[:, None]
        c2, s2, s, c = np.cos(a / 2) ** 2, np.sin(a / 2) ** 2, np.sin(a), np.cos(a)
        for n in range(2 if self.free else 1):
            P, Q, Z = self.P[:, n].copy(), self.Q[:, n].copy(), self.Z[:, n].copy()
            if kind in self.waves:
                X, Y = (P / turn + Q * turn) / 2, (P / turn - Q * turn) / 2j
                X, Y, self.Z[:, n] = np.einsum("vij,jvk->ivk", self._rotation(a[:, 0], *self.waves[kind]), [X, Y, Z])
                self.P[:, n], self.Q[:, n] = (X + 1j * Y) * turn, (X - 1j * Y) / turn
                continue
            self.P[:, n] = c2 * P + turn**2 * s2 * Q - 1j * turn * s * Z
            self.Q[:, n] = s2 / turn**2 * P + c2 * Q + 1j / turn * s * Z
            self.Z[:, n] = -0.5j / turn * s * P + 0.5j * turn * s * Q + c * Z
        if self.rf_duration and not self.free:
            lineshape = self.tissue["lineshape"][:, None] / 1000
            self.Z[:, 1] *= np.exp(-180 * DEGREE * lineshape * a**2 / self.rf_duration)

    def _rotation(self, angle, samples, duration, offset):
        """What samples turn by Rodrigues' formula, between two halves of the turn by the gradient backwards."""
        back = turned_by(0 * angle, 0 * angle, 0 * angle - 180 * DEGREE * offset * duration)
        result, samples = back, np.asarray(samples, COMPLEX) / np.sum(samples)
        for sample in samples:
            step = 0 * angle + 360 * DEGREE * offset * duration / len(samples)
            result = turned_by(angle * sample.real, angle * sample.imag, step) @ result
        return back @ result

    def _after(self, time, first, second, exchanging=True):
        """exp of a matrix over a time: what the pools do by themselves, and exchange."""
        there, back = (rate * exchanging for rate in (self.there, self.back))
        rows = [[first - there, back], [there, second - back]]
        return exponential(np.moveaxis(np.array(rows), 2, 0) * time[:, None, None])

    def wait(self, time, orders=0):
        """Time, during which a gradient may dephase evenly: by `orders` in all, counted by `shift`."""
        tissue, k, t = self.tissue, self.orders, time[:, None, None]
        b, flow = ((tissue[name] * self.dephasing**power)[:, None, None] for name, power in (("D", 2), ("velocity", 1)))
        turn = 2j * 180 * DEGREE / 1000
        own = turn * tissue["B0"] - 1 / tissue["T2"]
        second = turn * (tissue["B0"] + tissue["shift_b"]) - 1 / tissue["T2_b"]
        kept = self._after(time, own, second, self.free)
        for name, way, matrix in (("P", 1, kept), ("Q", -1, np.conj(kept))):
            # P_k goes from k to k + orders; Q_k is the conjugate of F at -k
            mean, square = k + way * orders / REAL(2), k**2 + way * k * orders + orders**2 / REAL(3)
            before = np.exp(-b * square * t - 1j * t * flow * mean) * getattr(self, name)
            setattr(self, name, np.einsum("vij,vjk->vik", matrix, before))
        self.Z[:, :, self.zero] -= self.rest
        self.Z = np.einsum("vij,vjk->vik", self._after(time, -1 / tissue["T1"], -1 / self.second_T1), self.Z)
        self.Z *= np.exp(-b * k**2 * t - 1j * flow * k * t)
        self.Z[:, :, self.zero] += self.rest

    def shift(self, orders):
        """F_k to F_{k + orders}: P moves one way, Q the other; what leaves the window is lost."""
        for name, by in (("P", orders), ("Q", -orders)):
            before, after = getattr(self, name), np.zeros_like(self.P)
            width = before.shape[2]
            if abs(by) < width:
                after[:, :, max(by, 0) : width + min(by, 0)] = before[:, :, max(-by, 0) : width - max(by, 0)]
            setattr(self, name, after)

    def spoil(self):
        kept = self.Z[:, :, self.zero].copy()
        self.P, self.Q, self.Z = np.zeros((3, *self.Z.shape), COMPLEX)
        self.Z[:, :, self.zero] = kept

    def invert(self, efficiency):
        self.spoil()
        self.Z[:, : 2 if self.free else 1] *= -(efficiency * self.tissue["inv_efficiency"])[:, None, None]

    def read(self, phase):
        return self.P[:, :, self.zero].sum(1) * np.exp(-1j * phase * DEGREE)


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


def numbers_of(event):
    return [value for value in vars(event).values() if not isinstance(value, str)]


def play(sequence, tissue, parameters=None, size=1, orders=None, waves=None):
    """Signals (variants, readouts). Tissue and parameters: numbers, or arrays whose first axis is that of variants."""
    given = broadcast({**sequence.parameters, **(parameters or {})}, size)
    maps = {name: column[:, 0] for name, column in broadcast({**DEFAULTS, **tissue}, size).items()}
    events = [(event, *(number(x, given, size) for x in numbers_of(event))) for event in sequence.events()]
    step, growth = (number(value, given, size) for value in sequence.advance)
    period = sum(values[-1] for event, *values in events if isinstance(event, (Wait, Shift)))
    slowest = maps["T1"]
    for fraction, second in (("bound_fraction", "T1_bound"), ("fraction_b", "T1_b"), ("fraction_b", "T2_b")):
        slowest = np.maximum(slowest, np.where(maps[fraction] > 0, maps[second], 0))
    repetitions = int(48 * max(slowest / period)) + 3 if sequence.steady else 1
    scanner = sequence.gradient_area, sequence.rf_duration
    states = States(orders or _orders(sequence.events(), repetitions), maps, scanner, waves or {})

    def once(added):
        readings = []
        for event, *values in events:
            if isinstance(event, Pulse):
                states.pulse(values[0], values[1] + added, event.kind)
            elif isinstance(event, Wait):
                states.wait(values[0])
            elif isinstance(event, Shift):
                states.wait(values[1], event.orders)
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


def derivatives(sequence, tissue, names, orders=None, step=2e-5, waves=None):
    """Signal (readouts) and its derivatives (names, readouts) by differences of fourth order."""
    weights = {1: 8, -1: -8, 2: -1, -2: 1}
    scales = {"B1": 1.0, "inv_efficiency": 1.0, "M0": 1.0, "B0": 10.0, "velocity": 1.0, "D": 1.0, "shift_b": 10.0}
    own = {name: 50.0 if "phase" in name else 1.0 for name in names if "." in name}
    steps = {name: REAL(step) * {**scales, **own}.get(name, tissue.get(name)) for name in names}
    size = 1 + 4 * len(names)
    maps = {name: np.full((size, 1), value, REAL) for name, value in {**DEFAULTS, **tissue}.items()}
    for k, name in enumerate(names):
        for j, multiple in enumerate(weights):
            maps[name][1 + 4 * k + j] += multiple * steps[name]
    signals = play(sequence, maps, size=size, orders=orders, waves=waves)
    slopes = [
        sum(weight * signals[1 + 4 * k + j] for j, weight in enumerate(weights.values())) / (12 * steps[name])
        for k, name in enumerate(names)
    ]
    return signals[0], np.stack(slopes) if slopes else np.zeros((0, signals.shape[1]))
