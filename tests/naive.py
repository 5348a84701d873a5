"""Plain NumPy EPG that anybody can read: Weigel's matrices on F_k, F_-k, Z_k, nothing factored, nothing pruned."""

import numpy as np


def rf(flip, phase):
    """Rotation of (F_k, conj F_-k, Z_k) by a pulse; degrees (Weigel 2015, eq. 15)."""
    a, p = np.deg2rad(flip), np.deg2rad(phase)
    c2, s2, s, c = np.cos(a / 2) ** 2, np.sin(a / 2) ** 2, np.sin(a), np.cos(a)
    e = np.exp(1j * p)
    return np.array(
        [
            [c2, e**2 * s2, -1j * e * s],
            [s2 / e**2, c2, 1j / e * s],
            [-0.5j / e * s, 0.5j * e * s, c],
        ]
    )


class EPG:
    """States up to `size` orders; P = F_k, M = conj(F_-k), Z."""

    def __init__(self, size, M0=1.0):
        self.state = np.zeros((3, size), complex)
        self.state[2, 0] = M0
        self.M0 = M0

    def pulse(self, flip, phase=0.0):
        self.state = rf(flip, phase) @ self.state

    def wait(self, t, T1, T2):
        e1, e2 = np.exp(-t / T1), np.exp(-t / T2)
        self.state *= np.array([[e2], [e2], [e1]])
        self.state[2, 0] += self.M0 * (1 - e1)

    def shift(self):
        p, m, _ = self.state
        p[1:] = p[:-1].copy()
        m[:-1] = m[1:].copy()
        m[-1] = 0
        p[0] = np.conj(m[0])

    def spoil(self):
        self.state[:2] = 0
        self.state[2, 1:] = 0

    @property
    def signal(self):
        return self.state[0, 0]


def fse(flip, ESP, T1, T2, phases=0.0, TR=np.inf, exc_flip=90.0, exc_phase=90.0, B1=1.0, M0=1.0, nstates=None):
    """Fast spin echo; a finite TR is played until it repeats."""
    phases = np.broadcast_to(phases, np.shape(flip))
    epg = EPG(nstates or 2 * len(flip) + 3, M0)

    def train():
        echoes = []
        epg.pulse(B1 * exc_flip, exc_phase)
        for a, p in zip(flip, phases, strict=True):
            epg.wait(ESP / 2, T1, T2)
            epg.shift()
            epg.pulse(B1 * a, p)
            epg.shift()
            epg.wait(ESP / 2, T1, T2)
            echoes.append(epg.signal * np.exp(-1j * np.deg2rad(p)))
        return np.array(echoes)

    echoes = train()
    while np.isfinite(TR):
        epg.wait(TR - len(flip) * ESP, T1, T2)
        epg.spoil()
        before, echoes = echoes, train()
        if abs(echoes - before).max() <= 1e-15 * abs(echoes).max():
            break
    return echoes


def isochromats(flip, ESP, T1, T2, phases=0.0, exc_flip=90.0, exc_phase=90.0, B1=1.0, M0=1.0, count=512):
    """The same train, one repetition, by rotating the magnetisation of `count` isochromats spread over one cycle."""
    phases = np.broadcast_to(phases, np.shape(flip))
    dephasing = np.exp(2j * np.pi * np.arange(count) / count)
    xy, z = np.zeros(count, complex), np.full(count, float(M0))

    def pulse(a, p):
        nonlocal xy, z
        a, axis = np.deg2rad(a), np.exp(1j * np.deg2rad(p))
        along, across = (xy / axis).real, (xy / axis).imag
        across, z = across * np.cos(a) - z * np.sin(a), across * np.sin(a) + z * np.cos(a)
        xy = (along + 1j * across) * axis

    def half():
        nonlocal xy, z
        xy = xy * np.exp(-ESP / 2 / T2) * dephasing
        z = M0 + (z - M0) * np.exp(-ESP / 2 / T1)

    echoes = []
    pulse(B1 * exc_flip, exc_phase)
    for a, p in zip(flip, phases, strict=True):
        half()
        pulse(B1 * a, p)
        half()
        echoes.append(xy.mean() * np.exp(-1j * np.deg2rad(p)))
    return np.array(echoes)
