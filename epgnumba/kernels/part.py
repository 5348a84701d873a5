"""A part of a program at work, as Numba's drivers see it: pointers, and its loops."""

from collections import namedtuple

from . import columns as col
from .columns import END, SIGNAL
from .jit import at, kernel
from .lanes import call_loop

# What a call plays: tables of integers, sizes (a row for each part, then codes, sets and kinds), values (flips and what
# else the program refers to) and complex factors of the outputs for each slice position, tissue (one number per row and
# voxel, to whole blocks of lanes), voxels. Few arrays with much in each: every one that Python passes costs 0.1 us.
Call = namedtuple("Call", "tables sizes values tissue factors n_voxels")

# The same as kernels see it, at one position; `stride`: numbers from one row of the tissue to the next. And of an
# ensemble (see `ensemble`) its members, the gradients before readouts, which of those an output has, phase steps, mean
# amplitudes and starts, and where the latter lie in the room.
Given = namedtuple(
    "Given",
    "tables values tissue rounding codes sets factors n_voxels stride "
    "members orders order_of phases mean starts starts_at",
)

# A part: where its row of sizes is, and what in a thread's room others than loops look at.
Part = namedtuple("Part", "sizes room kinds turns rates scratch amplitudes amplitude_bars boundary")

# Derivatives gathered: pointers to a group's row of sums, and to a thread's room for those of a lane.
Bars = namedtuple("Bars", "sums lane turns factors start")


@kernel
def last_part(call):
    """END, where the sequence repeats and there is one; else SIGNAL again."""
    return END if call.sizes[col.BOUNDARY] > 0 else SIGNAL


@kernel
def select_call(call, room, position):
    """Pointers to what all parts share, at a slice position."""
    sizes = call.sizes
    values = at(call.values, position * sizes[col.VALUES_STRIDE])
    return Given(
        at(call.tables, 0),
        values,
        at(call.tissue, 0),
        at(values, sizes[col.ROUNDING_AT]),
        at(sizes, sizes[col.CODES_AT]),
        at(sizes, sizes[col.SETS_AT]),
        at(call.factors, position * sizes[col.N_OUT]),
        call.n_voxels,
        call.tissue.shape[1],
        at(call.values, sizes[col.MEMBERS_AT]),
        at(sizes, sizes[col.ORDERS_AT]),
        at(sizes, sizes[col.ORDER_OF_AT]),
        at(values, at(sizes, last_part(call) * col.N_SIZE)[col.TURNS_AT]),
        at(room, sizes[col.MEAN_AT]),
        at(room, sizes[col.STARTS_AT]),
        sizes[col.STARTS_AT],
    )


@kernel
def select(call, given, room, part):
    """Pointers to what one part of a program plays, in the room of a thread."""
    sizes = at(call.sizes, part * col.N_SIZE)
    return Part(
        sizes,
        at(room, 0),
        at(call.sizes, sizes[col.KINDS_AT]),
        at(room, sizes[col.TURNED_AT]) if sizes[col.TURNED_AT] > 0 else at(given.values, sizes[col.TURNS_AT]),
        at(room, sizes[col.RATES_AT]),
        at(room, sizes[col.SCRATCH_AT]),
        at(room, sizes[col.AMPLITUDES_AT]),
        at(room, sizes[col.AMPLITUDES_BAR_AT]),
        at(room, sizes[col.BOUNDARY_AT]),
    )


@kernel
def select_all(call, room, position):
    """What `select_call` and `select` give of a slice position: shared pointers, and both parts (END may be SIGNAL)."""
    given = select_call(call, room, position)
    return given, select(call, given, room, SIGNAL), select(call, given, room, last_part(call))


@kernel
def select_bars(part, sums, lane, row):
    """Pointers to the derivatives of one part and group of voxels; `lane` is a thread's own."""
    sizes = part.sizes
    base = row * sizes[col.SUMS_WIDTH]
    return Bars(
        at(sums, base),
        at(lane, 0),
        at(sums, base + sizes[col.TURN_SUMS_AT]),
        at(sums, base + sizes[col.FACTOR_SUMS_AT]),
        at(lane, sizes[col.START_BARS_AT]),
    )


@kernel
def group_bars(call, part, sums, lane, voxel, position):
    """Pointers to the derivatives of the group that a voxel lies in at a slice position, for both parts."""
    unit, positions = col.GROUP * part.sizes[col.LANES], part.sizes[col.N_POSITIONS]
    group, n_groups = voxel // unit, -(-call.n_voxels // unit)
    return (
        select_bars(part, sums, lane, (SIGNAL * n_groups + group) * positions + position),
        select_bars(part, sums, lane, (last_part(call) * n_groups + group) * positions + position),
    )


@kernel
def load(part, given, voxel, flips):
    """Rates and decay of a block of lanes; `flips`: 1: flip angles too, 2: only those."""
    call_loop(
        part.sizes[col.LOAD],
        (
            given.tables, part.sizes, given.values, given.tissue, part.room, voxel, given.stride, flips
        ),
    )  # fmt: skip


@kernel
def play(part, given, start, keep, only):
    """Play a part from where `start` lies in the room; see `forward.play`."""
    call_loop(part.sizes[col.PLAY], (given.tables, part.sizes, given.values, part.room, start, keep, only))


@kernel
def rewind(part, given, bars, start, timing, turning):
    """Undo a part after a `play` that kept its states, segment by segment, each played again if there are several."""
    count = part.sizes[col.N_SEGMENTS]
    for k in range(count - 1, -1, -1):
        if count > 1:
            play(part, given, start, 1, k)
        call_loop(
            part.sizes[col.REWIND],
            (
                given.tables, part.sizes, given.values, part.room, bars.lane, bars.sums, k, timing, turning
            ),
        )  # fmt: skip


@kernel
def unload(part, given, bars, tissue_bar, voxel):
    """Derivatives by the rates of a block of lanes to those of its voxels; see `load.unload`."""
    call_loop(
        part.sizes[col.UNLOAD],
        (
            given.tables, part.sizes, given.values, part.room, bars.lane, bars.sums, at(tissue_bar, 0), voxel,
            given.stride,
        ),
    )  # fmt: skip


@kernel
def clear(x, count):
    """Zero the first numbers of what a pointer points to."""
    for i in range(count):
        x[i] = 0


@kernel
def same_flips(part, given, voxel):
    """Whether a block of lanes has the flip angles, and the inversions, that are loaded already."""
    lanes, rates = part.sizes[col.LANES], part.rates
    for j in range(lanes):
        b1 = given.tissue[col.B1 * given.stride + voxel + j]
        inversion = given.tissue[col.INVERSION * given.stride + voxel + j]
        if rates[col.B1 * lanes + j] != b1 or rates[col.INVERSION * lanes + j] != inversion:
            return False
        for rate in range(col.FIELD, col.FIELD + part.sizes[col.FIELDS]):
            if rates[rate * lanes + j] != given.tissue[rate * given.stride + voxel + j]:
                return False
    return True
