"""Sequences to and from Pulseq (.seq): K. J. Layton et al., MRM 77 (2017) 1544; written and read by pypulseq.

Pulses become rectangular ones, on resonance and not selective; orders become gradients of z, crushers gradients of x;
readouts become samples of one or more points around their time. What lies between the middles of two pulses or readouts
keeps its time and its dephasing. Of that, EPG tells no order, but for diffusion and flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import GRADIENT_AREA, MOST_PULSES, RF_DURATION, count, file_path, flag, needed, scalar
from ..extras import brought
from ..names import knows_names
from ..sequence import EventSequence, Inversion, Pulse, Readout, Sequence, Shift, Spoil, Wait
from ..sequence.linear import linear
from ..sequence.timeline import number

with brought("files", "a Pulseq file"):
    import pypulseq as pp

GAMMA = 42.576  # cycles per m and mT ms/m, of protons
DEPHASING, CRUSHING = "z", "x"  # gradients that count as orders, and as ideal crushers
CRUSHER = 4.0  # orders' areas that a crusher is made of
UNIT = "epgnumba_cycles_per_m"  # definition of a file: the area of one order
USES = ("excitation", "refocusing", "preparation", "other")
STEADY_PHASE = 1e-5  # of a pulse's peak, in quadrature: what digits of a file make of a phase that stays
SLACK = 1e-3  # of an order: what digits of a file leave of it
MOST_SAMPLES = 1 << 16  # of a readout
RASTER = 1e-5  # s, of the times of blocks


@dataclass
class _Interval:
    """Between two pulses or readouts: time (ms), orders, whether all but Z_0 is crushed."""

    time: float = 0.0
    orders: int = 0
    crushed: bool = False


Anchor = Pulse | Inversion | Readout


def _read_intervals(sequence: Sequence) -> list[tuple[Anchor, _Interval]]:
    """Pulses and readouts, with their numbers, and the interval after each."""
    parameters = sequence.parameters
    first = _Interval()
    found: list[tuple[Anchor, _Interval]] = []
    for event in sequence.events():
        interval = found[-1][1] if found else first
        if isinstance(event, Spoil):
            interval.crushed = True
        elif isinstance(event, Wait):
            interval.time += number(event.duration, parameters)
        elif isinstance(event, Shift):
            interval.time += number(event.duration, parameters)
            interval.orders += event.orders
        elif isinstance(event, Pulse):
            numbers = number(event.flip, parameters), number(event.phase, parameters)
            found.append((Pulse(*numbers, event.kind), _Interval()))
        elif isinstance(event, Readout):
            found.append((Readout(number(event.phase, parameters)), _Interval()))
        else:
            if number(event.efficiency, parameters) != 1:
                raise ValueError("an inversion whose efficiency is not 1 cannot be written: Pulseq has no word for it")
            found.append((event, _Interval(crushed=True)))
    if first.time or first.orders:
        raise ValueError("a sequence that begins with a wait or a gradient cannot be written; begin with a pulse")
    return found


@knows_names
def write_pulseq(
    sequence: Sequence,
    path: str | Path,
    *,
    gradient_area: float | None = None,
    pulse_duration: float = 1.0,
    samples: int = 1,
    dwell: float = 0.01,
    repetitions: int = 1,
    round_times: bool = False,
    system: Any = None,
) -> EventSequence:
    """Write a sequence as a Pulseq file.

    Parameters
    ----------
    sequence : Sequence
        What is played. Of one that repeats to its steady state, `repetitions` are written.
    path : str or Path
        The file.
    gradient_area : float, optional
        Area of a gradient that dephases by one order, mT ms/m; by default that of the sequence (`on_scanner`), or 23.5.
    pulse_duration : float
        Of each pulse, ms.
    samples, dwell : int, float
        Of each readout; ms from sample to sample. The readout's time is their middle.
    repetitions : int
        How often a steady sequence is played.
    round_times : bool
        Whether times that are no multiples of the raster, 10 us, are rounded to it; else they are refused.
    system : pypulseq.Opts, optional
        Limits of the scanner.

    Returns
    -------
    EventSequence
        What was written, as it is read.

    Raises
    ------
    TypeError, ValueError
        If an argument is not allowed, or the sequence leaves no time for pulses, gradients or samples, saying where.

    Examples
    --------
    >>> import tempfile, epgnumba
    >>> train = epgnumba.FSE([120.0] * 4, ESP=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_pulseq(train, f"{folder}/train.seq")
    >>> abs(epgnumba.simulate(written, 1000, 80) - epgnumba.simulate(train, 1000, 80)).max().round(4)
    np.float64(0.0)
    """
    needed("sequence", sequence, Sequence)
    if any(linear(step) != linear(0.0) for step in sequence.advance):
        raise ValueError("a sequence whose phases advance from repetition to repetition cannot be written; write them")
    often = count("repetitions", repetitions, most=MOST_PULSES)
    if often > 1 and not sequence.steady:
        raise ValueError(f"repetitions={often} is not allowed: the sequence does not repeat")
    file = file_path("path", path)
    stated = sequence.gradient_area or 23.5 if gradient_area is None else gradient_area
    area = scalar("gradient_area", stated, **GRADIENT_AREA) * GAMMA
    if system is not None:
        needed("system", system, pp.Opts)
    limits = system or pp.Opts(
        max_grad=40, grad_unit="mT/m", max_slew=150, slew_unit="T/m/s", rf_dead_time=1e-4, rf_ringdown_time=3e-5,
        adc_dead_time=1e-5,
    )  # fmt: skip
    writer = _Writer(
        limits, area, scalar("pulse_duration", pulse_duration, **RF_DURATION) * 1e-3,
        count("samples", samples, most=MOST_SAMPLES),
        scalar("dwell", dwell, positive=True, maximum=1.0, unit="ms") * 1e-3, flag("round_times", round_times),
    )  # fmt: skip
    writer.play(_read_intervals(sequence) * often)
    fine, errors = writer.written.check_timing()
    if not fine:
        raise ValueError(f"the sequence breaks limits of the scanner: {errors[0]}")
    writer.written.set_definition(UNIT, area)
    writer.written.write(str(file))
    return read_pulseq(file)


@dataclass
class _Writer:
    """A Pulseq sequence that grows by blocks; times in s."""

    system: Any
    area: float
    pulse_duration: float
    samples: int
    dwell: float
    rounds: bool

    def __post_init__(self) -> None:
        self.written = pp.Sequence(self.system)

    def play(self, parts: list[tuple[Anchor, _Interval]]) -> None:
        """Anchors and intervals, one after the other."""
        blocks = [self._anchor(anchor) for anchor, _ in parts]
        for n, (anchor, interval) in enumerate(parts):
            event, middle = blocks[n]
            length = _raster(pp.calc_duration(event), up=True)
            before = blocks[n + 1][1] if n + 1 < len(parts) else 0.0
            self.written.add_block(event, pp.make_delay(length))
            if n + 1 < len(parts) or interval.time:
                self._fill(interval, interval.time * 1e-3 - (length - middle) - before, f"after {anchor}")

    def _anchor(self, anchor: Anchor) -> tuple[Any, float]:
        """A block with a pulse or samples, and when its middle is."""
        if isinstance(anchor, Readout):
            delay = max(self.system.adc_dead_time, self.dwell)
            half = self.samples * self.dwell / 2
            delay = _raster(delay + half, up=True) - half  # the middle lies on the raster of blocks
            event = pp.make_adc(
                num_samples=self.samples, dwell=self.dwell, delay=delay, phase_offset=np.deg2rad(anchor.phase),
                system=self.system,
            )  # fmt: skip
            return event, delay + half
        is_pulse = isinstance(anchor, Pulse)
        flip, phase = (anchor.flip, anchor.phase) if isinstance(anchor, Pulse) else (180.0, 0.0)
        use = (anchor.kind if anchor.kind in USES else "other") if isinstance(anchor, Pulse) else "inversion"
        if is_pulse and flip == 0:
            raise ValueError("a pulse of 0 degrees cannot be written: Pulseq has none; leave it out")
        event = pp.make_block_pulse(
            flip_angle=np.deg2rad(abs(flip)), phase_offset=np.deg2rad((phase + 180 * (flip < 0)) % 360),
            duration=self.pulse_duration, delay=self.system.rf_dead_time, system=self.system, use=use,
        )  # fmt: skip
        return event, event.delay + self.pulse_duration / 2

    def _fill(self, interval: _Interval, room: float, where: str) -> None:
        """What lies between two blocks: gradients as short as they may be, then nothing."""
        time = _raster(room)
        if not self.rounds and abs(time - room) > 1e-9:
            raise ValueError(
                f"{where}: {interval.time:g} ms leave {room * 1e3:g} ms, no multiple of 0.01 ms; "
                "round_times=True rounds"
            )
        areas = {DEPHASING: interval.orders * self.area, CRUSHING: CRUSHER * self.area * interval.crushed}
        gradients = [
            pp.make_trapezoid(channel, area=area, system=self.system) for channel, area in areas.items() if area
        ]
        least = max((pp.calc_duration(one) for one in gradients), default=0.0)
        if time < least - 1e-9 or time < -1e-9:
            raise ValueError(
                f"{where}: {interval.time:g} ms leave {room * 1e3:.3g} ms beside pulses and samples, of which "
                f"gradients take {least * 1e3:.3g} ms"
            )
        if time > 1e-9:
            self.written.add_block(*gradients, pp.make_delay(time))


def _raster(time: float, up: bool = False) -> float:
    """The closest multiple of the raster of blocks, or the next one, s."""
    steps = time / RASTER
    return float(np.ceil(steps - 1e-6) if up else np.round(steps)) * RASTER


def read_events(path: str | Path) -> list[list[Any]]:
    """What `write_pulseq` wrote, event by event: the name, then what it is made with.

    Raises
    ------
    ValueError
        If it cannot be read, or does not say what its gradients mean.
    """
    try:
        if UNIT not in Path(path).read_text(errors="replace"):
            raise ValueError(
                "it was not written by epgnumba, and nothing says which of its gradients dephase by how many cycles; "
                f"write its events as an EventSequence, or define {UNIT} in it"
            )
        sequence = pp.Sequence()
        sequence.read(str(path))
    except Exception as error:  # what a broken file raises depends on how it is broken
        raise ValueError(f"{path} cannot be read: {error}") from None
    return _Reader(float(sequence.definitions[UNIT])).read(sequence)


class _Reader:
    """Events of a Pulseq sequence."""

    def __init__(self, area: float) -> None:
        self._area = area
        self.events: list[list[Any]] = []
        self._time, self._anchored, self._cycles, self._crushed = 0.0, 0.0, 0.0, False

    def read(self, sequence: Any) -> list[list[Any]]:
        for number_, duration in sequence.block_durations.items():
            block = sequence.get_block(number_)
            if block.rf is not None:
                middle = block.rf.delay + pp.calc_rf_center(block.rf)[0]
                self._anchor(self._time + middle, _pulse(block.rf))
            if block.adc is not None:
                middle = block.adc.delay + block.adc.num_samples * block.adc.dwell / 2
                self._anchor(self._time + middle, ["Readout", float(np.rad2deg(block.adc.phase_offset))])
            self._dephase(block)
            self._time += duration
        self._end_interval(None)
        return self.events

    def _dephase(self, block: Any) -> None:
        for channel in "xyz":
            gradient = getattr(block, f"g{channel}")
            if gradient is None:
                continue
            if gradient.type != "trap" or block.rf is not None or block.adc is not None or channel == "y":
                raise ValueError(f"a gradient of {channel} is none that epgnumba wrote")
            ramps = gradient.rise_time / 2 + gradient.fall_time / 2
            cycles = gradient.amplitude * (gradient.flat_time + ramps) / self._area
            if channel == DEPHASING:
                self._cycles += cycles
            else:
                self._crushed = True

    def _anchor(self, time: float, event: list[Any]) -> None:
        self._end_interval(time if self.events else None)
        self._anchored = time
        self.events.append(event)

    def _end_interval(self, time: float | None) -> None:
        """Write what lies between the middles of two pulses or readouts; the time after the last matters to nothing."""
        orders = round(self._cycles)
        if abs(self._cycles - orders) > SLACK * max(1, abs(orders)):
            raise ValueError(f"gradients dephase by {self._cycles:.4g} cycles; a whole number is needed")
        if time is not None:
            wait = round(float(time - self._anchored) * 1e3, 9)
            self.events += [["Wait", wait]] * (wait > 0)
        self.events += [["Shift", orders]] * (orders != 0) + [["Spoil"]] * self._crushed
        self._cycles, self._crushed = 0.0, False


def _pulse(rf: Any) -> list[Any]:
    """A pulse, of any shape, by what it does on resonance; of an inversion it does not matter how.

    Raises
    ------
    ValueError
        If it is off resonance, or its phase changes: no angle says what it does.
    """
    if rf.freq_offset or getattr(rf, "freq_ppm", 0):
        raise ValueError(f"a pulse is off resonance, by {rf.freq_offset:g} Hz; pulses on resonance are read")
    if rf.use == "inversion":
        return ["Inversion"]
    peak = rf.signal[np.abs(rf.signal).argmax()]
    along = rf.signal * np.conj(peak) / max(abs(peak), np.finfo(float).tiny)
    if np.abs(along.imag).max() > STEADY_PHASE * abs(peak):
        raise ValueError(f"the phase of a pulse ({rf.use}) changes as it is played, and leaves it no flip angle")
    flip = 360 * _area(along.real, rf.t, rf.shape_dur)
    phase = float(np.rad2deg(np.angle(peak) + rf.phase_offset)) + (180 if flip < 0 else 0)
    return ["Pulse", abs(flip), phase, "other" if rf.use in ("", "undefined") else rf.use]


def _area(shape: npt.NDArray[np.float64], times: npt.NDArray[np.float64], duration: float) -> float:
    """Integral of a shape, which is sampled in the middle of steps, or joins its points by lines."""
    steps = np.diff(times)
    if len(times) == 1 or (np.ptp(steps) < 1e-9 and abs(times[0] - steps[0] / 2) < 1e-9):
        return float(shape.mean() * duration)
    return float((steps * (shape[1:] + shape[:-1]) / 2).sum())


def read_pulseq(path: str | Path) -> EventSequence:
    """The sequence that `write_pulseq` wrote, to the six digits of such files.

    Or one by others that has the definition epgnumba_cycles_per_m, the area of one order: gradients of z are whole
    orders, those of x crush, none are played beside pulses. Pulses may have any shape but a phase that changes; they
    have the flip angle that they have on resonance, and their use is their kind.

    Raises
    ------
    ValueError
        As `read_events`.
    """
    kinds = {kind.__name__: kind for kind in (Pulse, Inversion, Readout, Wait, Shift, Spoil)}
    events = [kinds[name](*arguments) for name, *arguments in read_events(file_path("path", path))]
    return EventSequence(lambda p: events)
