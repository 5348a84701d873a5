"""The phase graph of a sequence: its pathways over time, with their magnitudes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from .. import transmit
from ..checks import choice, needed, scalar
from ..kernels.physics import coefficients, pulse
from ..names import knows_names
from ..sequence import Inversion, Pulse, Readout, Sequence, Shift, Spoil, Wait
from ..sequence.timeline import number, timeline
from ..tissue_parameters import TISSUE
from .state_map import draw_state_map
from .style import FIRST, SECOND, THIRD, check_axes, faint, legend, new_axes, panel, timed, tint

MOST = 0.5  # of M0, that states may have and yet not be drawn
LEAST = 1e-3  # of M0, that states have to be drawn unasked
MANY = 1000  # pieces of pathways, of which no stroke could be followed

Complex = npt.NDArray[np.complex128]


@dataclass
class Pathways:
    """Straight pieces of pathways: one row each of start time, end time, start order, end order (ms, cycles).

    Attributes
    ----------
    transverse, longitudinal : ndarray, shape (pieces, 4)
    transverse_size, longitudinal_size : ndarray, shape (pieces,)
        Magnitudes of the states at the start of each piece, M0 = 1.
    echoes : ndarray, shape (readouts, 2)
        Time and signal magnitude of each readout.
    pulses : ndarray
        Times.
    """

    transverse: npt.NDArray[np.float64]
    transverse_size: npt.NDArray[np.float64]
    longitudinal: npt.NDArray[np.float64]
    longitudinal_size: npt.NDArray[np.float64]
    echoes: npt.NDArray[np.float64]
    pulses: npt.NDArray[np.float64]


class _States:
    """F_k for k = -n ... n and Z_k for k = 0 ... n."""

    def __init__(self, n: int) -> None:
        self.n, self.f, self.z = n, np.zeros(2 * n + 1, complex), np.zeros(n + 1, complex)
        self.z[0] = 1

    def rotate(self, flip: float, phase: float) -> None:
        frame = np.exp(1j * np.deg2rad(phase))
        p, m = self.f[self.n :] / frame, np.conj(self.f[self.n :: -1]) * frame
        c, s = np.cos(np.deg2rad(flip)), np.sin(np.deg2rad(flip))
        p, m, w = pulse(p, m, -2j * self.z, *coefficients(c, s, 1.0, 1.0, 0.5))
        self.f[self.n :] = p * frame
        self.f[: self.n] = np.conj(m[:0:-1] / frame)
        self.z = 0.5j * w

    def relax(self, time: float, T1: float, T2: float) -> None:
        self.f *= np.exp(-time / T2)
        self.z *= np.exp(-time / T1)
        self.z[0] += 1 - np.exp(-time / T1)

    def shift(self, orders: int) -> None:
        moved = np.zeros_like(self.f)
        source = np.arange(len(self.f)) - orders
        inside = (source >= 0) & (source < len(self.f))
        moved[inside] = self.f[source[inside]]
        self.f = moved

    def crush(self) -> None:
        self.f[:] = 0
        self.z[1:] = 0


@knows_names
def find_pathways(sequence: Sequence, T1: float, T2: float, B1: float = 1.0, smallest: float = 1e-3) -> Pathways:
    """Pathways of one repetition from equilibrium; those with states below `smallest` are left out.

    Gradients are drawn as if they lasted from one pulse or readout to the next.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import epgnumba
    >>> paths = find_pathways(epgnumba.FSE([180.0] * 2, ESP=10), 1000, 100)
    >>> paths.transverse[:2]  # dephased by the excitation, refocused by the first pulse
    array([[ 0.,  5.,  0.,  1.],
           [ 5., 10., -1.,  0.]])
    """
    needed("sequence", sequence, Sequence)
    transmit.refuse(B1, "in phase graphs")
    T1, T2, B1 = (scalar(name, value, **TISSUE[name].limits) for name, value in (("T1", T1), ("T2", T2), ("B1", B1)))
    smallest = scalar("smallest", smallest, minimum=0.0, maximum=MOST)
    parameters, events = sequence.parameters, sequence.events()
    states = _States(sum(abs(event.orders) for event in events if isinstance(event, Shift)) + 1)
    pieces: dict[str, list[tuple[float, ...]]] = {"f": [], "z": []}
    echoes, pulses = [], []
    now, pending_time, pending_shift = 0.0, 0.0, 0

    def draw() -> None:
        """What has passed since the last pulse or readout."""
        nonlocal now, pending_time, pending_shift
        if not (pending_time or pending_shift):
            return
        end = now + pending_time
        orders = np.arange(-states.n, states.n + 1)
        for k in np.flatnonzero(abs(states.f) > smallest):
            order = float(orders[k])
            pieces["f"].append((now, end, order, order + pending_shift, float(abs(states.f[k]))))
        for k in np.flatnonzero(abs(states.z) > smallest):
            pieces["z"].append((now, end, float(k), float(k), float(abs(states.z[k]))))
        states.relax(pending_time, T1, T2)
        states.shift(pending_shift)
        now, pending_time, pending_shift = end, 0.0, 0

    for event in events:
        if isinstance(event, (Wait, Shift)):
            pending_time += number(event.duration, parameters)
            pending_shift += event.orders if isinstance(event, Shift) else 0
        else:
            draw()
            if isinstance(event, Pulse):
                states.rotate(B1 * number(event.flip, parameters), number(event.phase, parameters))
                pulses.append(now)
            elif isinstance(event, Readout):
                echoes.append((now, abs(states.f[states.n])))
            elif isinstance(event, (Spoil, Inversion)):
                states.crush()
                if isinstance(event, Inversion):
                    states.z *= -number(event.efficiency, parameters)
    draw()
    f, z = (np.array(pieces[kind], np.float64).reshape(-1, 5) for kind in "fz")
    table = np.array(echoes, np.float64).reshape(-1, 2)
    return Pathways(f[:, :4], f[:, 4], z[:, :4], z[:, 4], table, np.array(pulses))


@knows_names
def plot_phase_graph(
    sequence: Sequence,
    T1: float,
    T2: float,
    B1: float = 1.0,
    ax: Axes | None = None,
    smallest: float = LEAST,
    kind: Literal["lines", "map"] | None = None,
    states: Literal["F", "Z"] | None = None,
) -> Axes:
    """Draw the phase graph: transverse pathways slope with the gradients, longitudinal ones stay.

    As lines, whose ink is the logarithm of their magnitude; or, for long sequences, as a map of magnitudes over time
    and order, in which each cell has the largest state that passes through it.

    Parameters
    ----------
    sequence : Sequence
        What is played, once, from equilibrium.
    T1, T2 : float
        Relaxation times, ms.
    B1 : float
        Transmit field, as a fraction of the nominal flip angle.
    ax : Axes, optional
        Where to draw; a new figure by default.
    smallest : float
        States below it (M0 = 1) are left out.
    kind : 'lines' or 'map', optional
        By default lines, and a map where there are more than a thousand pieces of pathways to draw.
    states : 'F' or 'Z', optional
        Transverse or longitudinal states alone; by default both as lines, and F as a map.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    References
    ----------
    J. Hennig, "Echoes - how to generate, recognize, use or avoid them in MR-imaging sequences", Concepts Magn Reson 3
    (1991) 125.

    Examples
    --------
    >>> import epgnumba
    >>> import matplotlib.pyplot as plt
    >>> ax = plot_phase_graph(epgnumba.FSE([120.0] * 4, ESP=10), T1=1000, T2=100)
    >>> ax.get_ylabel()
    'Order k (cycles)'
    >>> plt.close(ax.figure)
    """
    needed("sequence", sequence, Sequence)
    if ax is not None:
        check_axes("ax", ax)
    least = scalar("smallest", smallest, positive=True, maximum=MOST)
    if kind is not None:
        choice("kind", kind, ("lines", "map"))
    if states is not None:
        choice("states", states, ("F", "Z"))
    paths = find_pathways(sequence, T1, T2, B1, least)
    drawn = {"Z": (paths.longitudinal, paths.longitudinal_size), "F": (paths.transverse, paths.transverse_size)}
    pieces = sum(len(size) for _, size in drawn.values())
    mapped = pieces > MANY if kind is None else kind == "map"
    shown = ("F",) if mapped and states is None else tuple(drawn) if states is None else (states,)
    lines = np.concatenate([drawn[name][0] for name in shown])
    # what comes after the last readout is of no consequence
    end = paths.echoes[-1, 0] if paths.echoes.size else timeline(sequence).duration
    mapped = mapped and bool((lines[:, 0] < end).any())  # else there is nothing to draw
    ax = new_axes(width=1.25)[0] if ax is None else ax
    panel(ax, f"Phase graph{' of the first repetition' if sequence.steady else ''}", "Time (ms)", "Order k (cycles)")
    ax.grid(visible=False)
    if mapped:
        draw_state_map(ax, *drawn[shown[0]], end, least, f"$|{shown[0]}_k|$ ($M_0$ = 1)")
    else:
        for pulse_time in paths.pulses:
            ax.axvline(pulse_time, **faint(), lw=0.6, zorder=0)
        for name in shown:
            _draw_pathways(ax, name, *drawn[name], least)
        _draw_readouts(ax, paths.echoes)
        legend(ax)
    _fit(ax, lines, end)
    return ax


def _draw_pathways(
    ax: Axes, name: str, lines: npt.NDArray[np.float64], size: npt.NDArray[np.float64], least: float
) -> None:
    """Lines of one kind of state."""
    color, style = (tint(FIRST), "-") if name == "F" else (tint(SECOND), "--")
    ink = np.clip(1 - np.log10(np.maximum(size, least)) / np.log10(least), 0, 1)
    colors = [(*to_rgb(color), alpha) for alpha in 0.25 + 0.75 * ink]
    ends = lines[:, [0, 2, 1, 3]].reshape(-1, 2, 2)
    ax.add_collection(LineCollection(list(ends), colors=colors, linewidths=0.6 + 1.4 * ink, linestyles=style))
    ax.plot([], [], style, color=color, label=name)


def _draw_readouts(ax: Axes, echoes: npt.NDArray[np.float64]) -> None:
    if echoes.size:
        area = 80 * echoes[:, 1] / max(float(echoes[:, 1].max()), 1e-9)
        ax.scatter(echoes[:, 0], np.zeros(len(echoes)), area, color=tint(THIRD), zorder=3, label="readout, by signal")


def _fit(ax: Axes, lines: npt.NDArray[np.float64], end: float) -> None:
    """Axes that hold all that begins before the end, in whole orders."""
    orders = lines[lines[:, 0] < end, 2:]
    ax.set_ylim(orders.min(initial=-1.0) - 0.5, orders.max(initial=1.0) + 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    timed(ax, end)
