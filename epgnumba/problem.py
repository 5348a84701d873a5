"""What a call states, checked: sequence, tissue, derivatives, precision."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from . import checks, engine, transmit
from .checks import flag, shown
from .kernels.columns import (
    BOUND,
    DIFFUSION,
    FIELD,
    FRACTION,
    FRACTION_B,
    OMEGA,
    OPTIONAL,
    R1_B,
    R1_BOUND,
    R2_B,
    R2_PRIME,
    SECOND,
    SHIFT_B,
    VELOCITY,
    WAVES,
)  # fmt: skip
from .labels import PARAMETER, READOUT, Labels, read_labels
from .program.expressions import Entries
from .program.program import Program, compile_program
from .program.steady import ANY, Tissues
from .sequence.events import Pulse
from .sequence.sequence import Sequence
from .slice_profile import Given as Profile
from .slice_profile import SliceProfile, read_profile
from .tissue import Tissue, plain_numbers
from .tissue_parameters import NAMES

if TYPE_CHECKING:
    from .gpu import DeviceTissue

ComplexArray = npt.NDArray[np.complexfloating]
Diff: TypeAlias = str | tuple[str, ...] | list[str] | None


class TorchDType(Protocol):
    """What tells a torch.dtype from other types, without torch."""

    @property
    def is_floating_point(self) -> bool: ...


Precision: TypeAlias = npt.DTypeLike | TorchDType


def read_diff(
    diff: Diff, name: str = "diff", rows: tuple[str, ...] = NAMES, played: Collection[str] = ()
) -> tuple[int, ...]:
    """Codes of the tissue parameters to differentiate with respect to; `name` is what a caller calls them.

    `rows`: names of all maps, in order; `played`: of the sequence's parameters.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown or duplicate, or there is none.
    """
    if diff is None:
        return ()
    return tuple(map(rows.index, checks.read_names(name, diff, transmit.without_shared(rows), played)))


def read_dtype(dtype: Precision) -> type[np.floating]:
    """float64 or float32, NumPy's or torch's.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if dtype is np.float64:
        return np.float64
    given: Any = str(dtype).removeprefix("torch.") if type(dtype).__module__ == "torch" else dtype
    try:
        kind: np.dtype[Any] = np.dtype(object if given is None else given)  # None is NumPy's word for float64
    except (TypeError, ValueError):
        kind = np.dtype(object)
    if kind == np.float64:
        return np.float64
    if kind == np.float32:
        return np.float32
    raise ValueError(f"dtype={shown(dtype)} is not allowed: it must be float64 or float32")


ON_HOST = "leave device out, and maps in host memory"
OPTIONAL_NAMES = frozenset(NAMES[code] for code in OPTIONAL)
SWITCHES = tuple(
    NAMES[code] for code in (DIFFUSION, VELOCITY, R2_PRIME, FRACTION, FRACTION_B)
)  # what is there unless it is nothing

# A second pool's other parameters, by its fraction.
POOLS = {NAMES[own[0]]: tuple(NAMES[code] for code in own[1:]) for own in (BOUND, (*SECOND, SHIFT_B))}


def _with_pools(names: Collection[str], shifted: bool) -> tuple[int, ...]:
    """Codes of those names that are not always there; a second pool is there as a whole, or not at all.

    `shifted`: a free one turns at a frequency of its own.

    Raises
    ------
    ValueError
        If there are two.
    """
    found = {code for code in OPTIONAL if NAMES[code] in names}
    bound, free = (not found.isdisjoint(pool) for pool in (BOUND, (*SECOND, SHIFT_B)))
    if bound and free:
        raise ValueError(
            f"{NAMES[FRACTION]} and {NAMES[FRACTION_B]} cannot be there at once, nor derivatives by one pool beside "
            "the other: a second pool is bound or free"
        )
    pool = BOUND if bound else (*SECOND, *((SHIFT_B,) if shifted else ())) if free else ()
    return tuple(sorted(found.union(pool)))


@dataclass
class Problem:
    """Everything a call of a verb states, checked.

    Parameters
    ----------
    sequence : Sequence
        What is played.
    tissue : Tissue
        What it is played on.
    codes : tuple of int
        Derivatives wanted.
    single : bool
        Whether the Jacobian has no axis for them.
    profile : SliceProfile
        Flip angles across the slice.
    nstates : int or None
        Orders kept.
    dtype : type
        Precision.
    check_nstates : bool
        Whether to compare with all orders kept.
    device : int or None
        CUDA device that plays maps in host memory; None for the CPU.
    labels : Labels or None
        Names of the maps' dimensions, if they have any.
    """

    sequence: Sequence
    tissue: "Tissue | DeviceTissue"
    codes: tuple[int, ...]
    single: bool
    profile: SliceProfile
    nstates: int | None
    dtype: type[np.floating]
    check_nstates: bool = False
    device: int | None = None
    labels: Labels | None = None
    _jobs: dict[tuple[bool, bool, tuple[int, ...]], engine.AnyJob] = field(
        default_factory=dict, init=False
    )  # `replace` starts anew

    _terms: tuple[int, ...] | None = field(default=None, init=False)

    @property
    def on_device(self) -> bool:
        """Whether a CUDA device plays it."""
        return self.device is not None or not isinstance(self.tissue, Tissue)

    @property
    def complex_dtype(self) -> type[np.complexfloating]:
        return np.complex128 if self.dtype == np.float64 else np.complex64

    def job(self, free_phases: bool = False, needed: Collection[str] = ()) -> engine.AnyJob:
        """The problem bound to its program; made once, since a gradient asks again for what a signal asked for.

        `needed`: tissue parameters that matter even if they are nowhere what they are by default.
        """
        precesses = OMEGA in self.codes or "B0" in needed or self.tissue.precesses
        key = free_phases, precesses, self.terms(needed)
        if key not in self._jobs:
            program, entries = self.compile(self.sequence, *key)
            if precesses or not {VELOCITY, SHIFT_B}.isdisjoint(program.terms):
                self._check_turns(program, entries[2])
            self._jobs[key] = self._make_job(program, entries)
        return self._jobs[key]

    def terms(self, needed: Collection[str] = ()) -> tuple[int, ...]:
        """Rates that matter, of those that are not always there."""
        if self._terms is None:
            own = (*(self.names[code] for code in self.codes), *(name for name in SWITCHES if self.tissue.has(name)))
            self._terms = _with_pools(own, self.tissue.has(NAMES[SHIFT_B]))
        found = self._terms
        if not OPTIONAL_NAMES.isdisjoint(needed):
            found = _with_pools((*needed, *(NAMES[code] for code in found)), self.tissue.has(NAMES[SHIFT_B]))
        return found + tuple(range(FIELD, len(self.names))) + (WAVES,) * bool(self.profile.waves)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tissue's maps, by code."""
        return self.tissue.names

    def _make_job(self, program: Program, entries: Entries) -> engine.AnyJob:
        """On the device where the maps lie; on the one that was asked for; or on the CPU."""
        if self.on_device:
            self._check_device(program)
        if not isinstance(self.tissue, Tissue):
            from .gpu import DeviceJob

            return DeviceJob(program, entries, self.tissue, self.profile, self.codes, self.dtype)
        table = self.tissue.table(self.dtype)
        if self.device is None or not self.tissue.size:
            return engine.Job(program, entries, table, self.profile, self.codes)
        from .gpu import HostJob

        return HostJob(program, entries, table, self.profile, self.codes, self.device)

    def _check_device(self, program: Program) -> None:
        """Refuse what CUDA kernels cannot play.

        Raises
        ------
        ValueError
            Naming it.
        """
        for term, what in ((FIELD, "B1 by kind of pulse"), (WAVES, "slice_prof of waveforms")):
            if term in program.terms:
                raise ValueError(f"{what} cannot be played on a CUDA device; {ON_HOST}")

    def _check_turns(self, program: Program, durations: npt.NDArray[np.inexact]) -> None:
        """Refuse turns so many that rounding leaves nothing of the angle.

        Raises
        ------
        ValueError
            If it is more than a hundredth of a turn.
        """
        info = np.finfo(self.dtype)
        longest = float(durations[: len(program.signal.train.durations)].real.max())
        T2, _ = self._longest(program.terms, "T2", R2_B)
        alive = min(longest, -np.log(info.eps) * T2)  # ms; later nothing is left
        reach = program.signal.reach
        highest = max(o + reach.stride * (count - 1) for o, count in zip(reach.offsets, reach.counts, strict=True))
        fastest = self.tissue.largest("velocity") * program.dephasing * (highest + 1) / (2 * np.pi)  # turns per ms
        shift = self.tissue.largest("shift_b") / 1000 if SHIFT_B in program.terms else 0.0
        turning = (
            ("B0", "Hz", self.tissue.largest("B0") / 1000),
            ("velocity", "um/ms", fastest),
            ("shift_b", "Hz", shift),
        )
        for name, unit, each in turning:
            if each * alive * info.eps > 1e-2:
                raise ValueError(
                    f"{name}={self.tissue.largest(name):g} {unit} is not allowed here: over {alive:g} ms it makes "
                    f"{each * alive:.0f} turns, of which dtype={info.dtype} leaves no fraction; use float64, or "
                    "shorter waits"
                )

    @property
    def host_tissue(self) -> Tissue:
        """Its maps, for what works in host memory only.

        Raises
        ------
        TypeError
            If they lie on a device.
        """
        if not isinstance(self.tissue, Tissue):
            raise TypeError("maps lie on a CUDA device; arrays in host memory are needed here")
        return self.tissue

    def cpu_job(self, free_phases: bool = False) -> engine.Job:
        """`job`, for what only the CPU can do."""
        job = self.job(free_phases)
        assert isinstance(job, engine.Job), "no device was asked for"
        return job

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """A result in host memory."""
        return array if isinstance(self.tissue, Tissue) else self.tissue.home.to_host(array)

    def compile(
        self, sequence: Sequence, free_phases: bool, precesses: bool, terms: tuple[int, ...]
    ) -> tuple[Program, Entries]:
        """The program of this or a like sequence, for this tissue."""
        tissues = self._tissues(sequence, terms)
        return compile_program(sequence, self.nstates, free_phases, precesses, tissues, terms)

    def _tissues(self, sequence: Sequence, terms: tuple[int, ...]) -> Tissues:
        """What the way to a steady state depends on; devices play no means, nor can what depends on orders be one."""
        if not sequence.steady:
            return ANY
        on_cpu = not self.on_device
        few = on_cpu and self.tissue.size <= engine.FEW_VOXELS
        rounding = float(np.finfo(self.dtype).eps)
        longest, name = self._longest(terms, "T1", R1_BOUND, R1_B)
        if longest == np.inf and not {R1_BOUND, R1_B}.isdisjoint(terms):
            raise ValueError(f"no steady state with a second pool: {name} reaches inf")
        T2, name_of_t2 = self._longest(terms, "T2", R2_B)
        return Tissues(longest, T2, rounding, on_cpu and not terms, few, (name, name_of_t2))

    def _longest(self, terms: tuple[int, ...], first: str, *others: int) -> tuple[float, str]:
        """The longest relaxation time of all pools, ms, and which map it is of."""
        names = (first, *(NAMES[code] for code in others if code in terms))
        return max((self.tissue.longest(name), name) for name in names)

    def shape_signal(self, signal: npt.NDArray[Any]) -> Any:
        """The signal (voxel, output) as it is returned: in the shape of the maps, and named as they are."""
        shaped = self.tissue.spread(signal)
        return shaped if self.labels is None else self.labels.named(shaped, READOUT)

    def shape_jacobian(self, jacobian: npt.NDArray[Any]) -> Any:
        """The Jacobian (voxel, derivative, output) likewise."""
        shaped = self.tissue.spread(jacobian[:, 0] if self.single else jacobian)
        if self.labels is None:
            return shaped
        if self.single:
            return self.labels.named(shaped, READOUT)
        return self.labels.named(shaped, PARAMETER, READOUT, parameters=[self.names[code] for code in self.codes])


def kinds_of_pulses(sequence: Sequence) -> frozenset[str]:
    """Kinds of pulses that a sequence has; kept with what it is compiled to."""
    known = sequence.compiled
    found: frozenset[str] | None = known.get("kinds")
    if found is None:
        found = frozenset(event.kind for event in sequence.events() if isinstance(event, Pulse))
        known["kinds"] = found
    return found


def read_problem(
    sequence: Sequence,
    T1: npt.ArrayLike,
    T2: npt.ArrayLike,
    *,
    diff: Diff = None,
    slice_prof: Profile = 1.0,
    dtype: Precision = np.float64,
    device: str | None = None,
    mask: npt.ArrayLike | None = None,
    nstates: int | None = None,
    check_nstates: bool = False,
    **maps: Any,
) -> Problem:
    """Check the arguments of a verb.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
    """
    checks.needed("sequence", sequence, Sequence)
    maps = transmit.spread({"T1": T1, "T2": T2, **maps})
    fields = [name for name in maps if name not in NAMES]
    codes = read_diff(diff, rows=(*NAMES, *fields) if fields else NAMES, played=sequence.parameters)
    profile = read_profile(slice_prof)
    if fields or not profile.is_shared:
        kinds = kinds_of_pulses(sequence)
        profile.check(kinds)
        if fields:
            transmit.check_kinds(fields, kinds)
    kept = None if nstates is None else checks.count("nstates", nstates)
    precision = read_dtype(dtype)
    labels = read_labels(maps if mask is None else {**maps, "mask": mask})
    if labels is not None:
        aligned = {name: labels.values(name) for name in labels.given}
        mask = aligned.pop("mask", mask)
        maps.update(aligned)
    tissue, index = read_tissue(maps, device, mask)
    return Problem(
        sequence, tissue, codes, isinstance(diff, str), profile, kept, precision,
        flag("check_nstates", check_nstates), index, labels,
    )  # fmt: skip


def read_tissue(
    maps: dict[str, Any], device: str | None, mask: npt.ArrayLike | None = None
) -> "tuple[Tissue | DeviceTissue, int | None]":
    """Maps, checked where they lie, and the number of the CUDA device that plays those in host memory.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.
    RuntimeError
        If CUDA is needed and not available, saying what is missing.
    """
    by_kind = not maps.keys() <= set(NAMES)
    if device is None and mask is None and not by_kind:
        numbers = plain_numbers(maps)
        if numbers is not None:
            return Tissue.of_numbers(numbers), None
    if device is None and not any(hasattr(type(value), "__cuda_array_interface__") for value in maps.values()):
        return Tissue(**maps, mask=mask), None
    from .gpu import DeviceTissue, find_home, read_device

    if by_kind:
        raise ValueError(f"B1 by kind of pulse cannot be played on a CUDA device; {ON_HOST}")

    index, home = read_device(device), find_home(maps)
    if home is None:
        return Tissue(**maps, mask=mask), index
    if device is not None and index != home.index:
        raise ValueError(f"device={device!r}, but maps lie on cuda:{home.index}")
    if mask is not None:
        raise ValueError("mask is for maps in host memory; of those on a device give what counts, as T1[mask]")
    return DeviceTissue(home, maps), index
