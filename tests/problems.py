"""Random problems: plain arguments, and a scalar of signal and Jacobian to differentiate."""

import numpy as np

import epgnumba

ALL = ("T1", "T2", "B1", "M0")


class Problem:
    """A random train on random tissue, as plain arguments, and a random real scalar of its signal and Jacobian."""

    def __init__(
        self, seed, n_echoes=6, tissue=(3, 2), TR=np.inf, phases="random", positions=0, diff=ALL, nstates=None
    ):
        rng = np.random.default_rng(seed)
        self.diff, self.nstates = diff, nstates
        self.train = {
            "flip": rng.uniform(20, 180, n_echoes),
            "ESP": 7.3,
            "phases": rng.uniform(-180, 180, n_echoes) if phases == "random" else phases,
            "TR": TR,
            "exc_flip": 82.0,
            "exc_phase": 37.0 if phases == "random" else 90.0,
        }
        self.tissue = {
            "T1": rng.uniform(300, 1500, tissue),
            "T2": rng.uniform(30, 150, tissue[-1:]),
            "B1": rng.uniform(0.7, 1.2, (*tissue[:-1], 1)),
            "M0": rng.uniform(0.5, 2, tissue),
            "slice_prof": rng.uniform(0.4, 1, positions) if positions else np.array(1.0),
        }
        self.values = {**self.train, **self.tissue}
        signal, jacobian = self.run()
        self.signal_bar, self.jacobian_bar = (
            rng.normal(size=x.shape) + 1j * rng.normal(size=x.shape) for x in (signal, jacobian)
        )
        scale = abs(jacobian).max(axis=(*range(jacobian.ndim - 2), -1), keepdims=True)
        self.jacobian_bar /= np.where(scale > 0, scale, 1)

    def run(self, **changes):
        values = {**self.values, **changes}
        train = epgnumba.FSE(**{name: values[name] for name in self.train})
        tissue = {name: values[name] for name in self.tissue}
        return epgnumba.jacobian(train, **tissue, diff=self.diff, nstates=self.nstates)

    def scalar(self, **changes):
        """Re <bar, signal> + Re <bar, jacobian>."""
        signal, jacobian = self.run(**changes)
        return np.vdot(self.signal_bar, signal).real + np.vdot(self.jacobian_bar, jacobian).real

    def gradient(self, wanted=None):
        return epgnumba.vjp(
            epgnumba.FSE(**self.train),
            **self.tissue,
            signal_bar=self.signal_bar,
            jacobian_bar=self.jacobian_bar,
            diff=self.diff,
            nstates=self.nstates,
            wanted=wanted,
        )

    def varied(self):
        """Names of everything that can be differentiated."""
        return [name for name, value in self.values.items() if np.isfinite(value).all()]


CASES = {
    "one echo": {"n_echoes": 1},
    "cpmg": {"phases": 0.0},
    "cp": {"phases": 90.0},
    "phases": {},
    "steady": {"TR": 200.0, "phases": 0.0},
    "steady phases": {"TR": 120.0},
    "slice": {"TR": 150.0, "positions": 3},
    "truncated": {"n_echoes": 8, "nstates": 5},
    "many voxels": {"tissue": (5, 9), "phases": 0.0},
    "one voxel": {"tissue": (1,), "TR": 90.0},
}
