"""Sequences played event by event, by means that share nothing with the kernels: a plain EPG and isochromats."""

import numpy as np
from naive import EPG

from epgnumba.sequence import Inversion, Linear, Pulse, Readout, Shift, Spoil, Wait


def number(value, parameters):
    """What a `Linear` stands for."""
    if not isinstance(value, Linear):
        return float(value)
    terms = (factor * np.ravel(parameters[name])[index] for name, index, factor in value.terms)
    return value.constant + sum(terms)


class Spins(EPG):
    """The naive EPG with what it lacks: precession, shifts either way, inversion."""

    def precess(self, t, B0):
        turn = np.exp(2j * np.pi * B0 * t / 1000)
        self.state[0] *= turn
        self.state[1] /= turn

    def shift_by(self, orders):
        for _ in range(abs(orders)):
            if orders < 0:
                self.state[:2] = self.state[1::-1].conj()
            self.shift()
            if orders < 0:
                self.state[:2] = self.state[1::-1].conj()

    def invert(self, efficiency):
        self.spoil()
        self.state[2] *= -efficiency


class Isochromats:
    """Magnetisation vectors spread evenly over one cycle of dephasing."""

    def __init__(self, size, M0=1.0):
        self.xy, self.z, self.M0 = np.zeros(size, complex), np.full(size, float(M0)), M0
        self.cycle = 2 * np.pi * np.arange(size) / size

    def pulse(self, flip, phase=0.0):
        a, axis = np.deg2rad(flip), np.exp(1j * np.deg2rad(phase))
        along, across = (self.xy / axis).real, (self.xy / axis).imag
        across, self.z = across * np.cos(a) - self.z * np.sin(a), across * np.sin(a) + self.z * np.cos(a)
        self.xy = (along + 1j * across) * axis

    def wait(self, t, T1, T2):
        self.xy = self.xy * np.exp(-t / T2)
        self.z = self.M0 + (self.z - self.M0) * np.exp(-t / T1)

    def precess(self, t, B0):
        self.xy = self.xy * np.exp(2j * np.pi * B0 * t / 1000)

    def shift_by(self, orders):
        self.xy = self.xy * np.exp(1j * orders * self.cycle)

    def spoil(self):
        self.xy, self.z = 0 * self.xy, np.full_like(self.z, self.z.mean())

    def invert(self, efficiency):
        self.spoil()
        self.z = -efficiency * self.z

    @property
    def signal(self):
        return self.xy.mean()


def play(sequence, T1, T2, B1=1.0, M0=1.0, B0=0.0, inv_efficiency=1.0, kind=Spins, size=None, repetitions=None):
    """Signal of a sequence; one that is steady is played until it repeats, or as often as said."""
    events, parameters = sequence.events(), sequence.parameters
    step, growth = (number(value, parameters) for value in sequence.advance)
    shifts = sum(abs(event.orders) for event in events if isinstance(event, Shift))
    spins = kind(size or (60 if sequence.steady else 2 * shifts + 4), M0)

    def once(added):
        readings = []
        for event in events:
            if isinstance(event, Pulse):
                spins.pulse(B1 * number(event.flip, parameters), number(event.phase, parameters) + added)
            elif isinstance(event, Wait):
                t = number(event.duration, parameters)
                spins.wait(t, T1, T2)
                spins.precess(t, B0)
            elif isinstance(event, Shift):
                spins.shift_by(event.orders)
            elif isinstance(event, Spoil):
                spins.spoil()
            elif isinstance(event, Inversion):
                spins.invert(inv_efficiency * number(event.efficiency, parameters))
            elif isinstance(event, Readout):
                angle = number(event.phase, parameters) + added
                readings.append(spins.signal * np.exp(-1j * np.deg2rad(angle)))
        return np.array(readings)

    if not sequence.steady:
        return once(0.0)
    period = sum(number(event.duration, parameters) for event in events if isinstance(event, Wait))
    for n in range(repetitions or int(35 * T1 / period) + 2):
        signal = once(n * step + n * (n - 1) / 2 * growth)
    return signal
