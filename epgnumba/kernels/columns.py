"""Names of the columns of a program's integer tables: what the compiler writes and the kernels read.

A *block* holds the states after one pulse: for each plane (in phase, in quadrature) the three components P, M, W,
each a run of rows (orders) of ``lanes`` numbers. All offsets count array elements, so the kernels never multiply.
"""

VECTOR = 16  # elements that one inner iteration handles; rows are rounded up to it
QUAD = 4  # directions that signals are multiplied with side by side
GROUP = 8  # units of voxels whose gradients are summed before they are written

(
    ROWS,  # elements in the rows that this pulse acts on
    VECTORS,  # the same, in vectors, rounded up
    SRC_TAPE,  # where the block before the pulse starts on the tape (row 0 of its first component)
    DST_TAPE,  # where the block after it starts
    SRC_PAIR,  # the same two in the pair of alternating blocks that serves when nothing is recorded
    DST_PAIR,
    SRC_SIZE,  # elements from one component of the source block to the next
    DST_SIZE,
    SRC_ROWS,  # elements in the rows of the source block
    SRC_VECTORS,  # the same, in vectors, rounded up
    SRC_LOW,  # elements of room below them
    DST_LOW,
    SHIFT_P,  # where row 0 of this pulse lies in the source component, from its row 0
    SHIFT_M,
    SHIFT_W,
    NO_F,  # 1: no transverse state arrives (after a crusher)
    NO_W,  # 1: no longitudinal state that arrives can matter
    FILL_P,  # elements above the rows of the block after this pulse that the next one takes to be zero
    FILL_M,
    FILL_W,
    FILL_LOW,  # the same below, beyond the rows that are folded in
    FOLD_INTO_M,  # 0: orders leave M for P through zero (dephasing); 1: the other way
    FOLD_FROM,  # first row that does, counted in elements
    FOLD_ROWS,  # how many rows do
    SWAP,  # real programs, phase step of 90 degrees: 1 negates P, 2 negates M after this pulse, 0 neither
    PLANE,  # real programs: 0 in phase with the pulse, 1 in quadrature
    NEXT_PLANE,
    DURATION,  # index of the time since the pulse before
    RECOVERY,  # 1: Z_0 recovers into this pulse
    READ_BEGIN,  # the readouts that follow the pulse
    READ_END,
    INVERT,  # 1: no pulse but an inversion, which only Z_0 enters and leaves
    MOMENT_1,  # index of the first moment of dephasing over that time, seen from its end; and of the second
    MOMENT_2,
    ORDER,  # of row 0
) = range(35)
N_STEP = 35

(
    READ_COMPONENT,  # 0: P, 1: M (conjugated), of all pools; 2: Z_0, 3: that of a second pool; 4, 5: P of one of two
    READ_OFFSET,  # where the order that is read lies, from row 0 of the block
    READ_DURATION,  # index of the time since the pulse
    READ_OUT,  # which output it is
    READ_MOMENT_1,  # as of steps
    READ_MOMENT_2,
    READ_OUT_OF_PHASE,  # index of the time for which what is read has been out of phase, signed
) = range(7)
N_READ = 7

(SEGMENT_BEGIN, SEGMENT_END, SEGMENT_CHECKPOINT) = range(3)  # checkpointed stretches of the train
N_SEGMENT = 3

(
    N_STEPS,
    N_SEGMENTS,
    LANES,
    PLANES,  # 1: a real program; 2: a complex one
    PRECESSES,  # 1: off-resonance turns the states (complex programs only)
    BOUNDARY,  # numbers that say where a repetition starts: 0 (no repetition), 1 (Z_0), 3 (Z_0, Re F_0, Im F_0); then
    # as many of a second pool, or its Z_0
    TANGENTS,
    N_OUT,
    PAIR,  # where the starting block lies, of the pair of alternating blocks
    TAPE,  # and on the tape
    ROOM,  # where what nobody reads may be written
    ARENA,  # elements of a set of states
    PAIR_ARENA,  # elements of a set of adjoints
    N_DURATIONS,
    N_POSITIONS,  # of the slice profile, each with values of its own, VALUES_STRIDE apart
    N_CODES,  # derivatives wanted
    STEPS_AT,  # where the tables of this part begin, in the array of integers
    READS_AT,
    SEGMENTS_AT,
    CODES_AT,  # what follows the sizes: codes of the derivatives wanted, then the state set of each,
    SETS_AT,
    KINDS_AT,  # then the code of each tangent
    FLIPS_AT,  # in the array of values
    TURNS_AT,
    DURATIONS_AT,
    VALUES_STRIDE,
    ROUNDING_AT,  # what tells rounding
    RATES_AT,  # in the room of a thread
    SEEDS_AT,
    DECAY_AT,
    SCRATCH_AT,
    BOUNDARY_AT,
    TRIG_AT,
    AMPLITUDES_AT,
    AMPLITUDES_BAR_AT,
    SPACE_AT,
    ADJOINT_AT,
    FLIP_SUMS_AT,  # in a group's row of gathered derivatives
    TURN_SUMS_AT,
    DURATION_SUMS_AT,
    FACTOR_SUMS_AT,
    SUMS_WIDTH,  # numbers in such a row
    SEED_BARS_AT,  # in the derivatives that belong to a lane, behind those by rates
    START_BARS_AT,
    DECAY_LINES,  # lines for each of what a duration leaves
    TRIG_LINES,  # lines for the cosines of all pulses
    INVERTS,  # 1: there are inversions
    STRIDE,  # orders from a row to the next
    DEPHASING_AT,  # in the array of values: dephasing of an order, radians per um
    POWERS_AT,  # of each pulse flip angle over the root of its duration, which saturates a bound pool
    POWER_SUMS_AT,  # in a group's row of gathered derivatives
    LOAD,  # addresses of the loops, in the order of `shape.LOOPS`
    PLAY,
    WRITE,
    REWIND,
    UNLOAD,
    MEMBERS,  # of the ensemble that a steady state is the mean of; 0: there is none
    MEMBERS_AT,  # in the array of values, behind those of all positions: how each member turns (see `ensemble`)
    MEMBER_WIDTH,  # turns of a member
    N_ORDERS,  # different gradients between a pulse and a readout of it
    ORDERS_AT,  # what follows KINDS: those orders, then which of them each output has
    ORDER_OF_AT,
    TURNED_AT,  # in the room of a thread: phase steps of the member at hand,
    MEAN_AT,  # mean amplitudes, or derivatives with respect to them,
    STARTS_AT,  # mean starts, and derivatives with respect to them
    POOLS_AT,  # in the room of a thread: exchange over every duration
    POOL_BARS_AT,  # in the derivatives that belong to a lane
    CHUNK,  # rows whose factors by order are made one from another (see `algebra.Factors`)
) = range(68)
N_SIZE = 68

SIGNAL, END = 0, 1  # the parts of a program: what readouts depend on; what the end of a repetition does
# Rows of the tissue table, of a block's rates, and codes of the derivatives. OMEGA is off-resonance in radians per ms.
(
    R1, R2, B1, OMEGA, INVERSION, M0, DIFFUSION, VELOCITY, R2_PRIME, FRACTION, EXCHANGE, R1_BOUND, SATURATION,
    FRACTION_B, EXCHANGE_B, R1_B, R2_B, SHIFT_B
) = range(18)  # fmt: skip
N_RATES = N_TISSUE = 18
ALWAYS = R1, R2, B1, OMEGA, INVERSION  # rates of every problem
BOUND = FRACTION, EXCHANGE, R1_BOUND, SATURATION  # of those with a bound pool, all of them
SECOND = FRACTION_B, EXCHANGE_B, R1_B, R2_B  # of those with a second free pool, all of them
OPTIONAL = DIFFUSION, VELOCITY, R2_PRIME, *BOUND, *SECOND, SHIFT_B  # of problems whose shape has them
TIME = -1  # among rates that numbers depend on: an interval's time, or a pulse's angle
HZ = 0.006283185307179586  # radians per ms
PI = 3.141592653589793
FAINTEST = 1e-150  # square of a derivative that a bound is made of: the bound's own square must not overflow
# Behind two vectors of whatever is needed: the Z_0 that recovery aims at, 1 or (for the homogeneous part of a map) 0;
# a 1 in the precision at hand. Length of it all, in lines of VECTOR.
EQUILIBRIUM, ONE = 2 * VECTOR, 2 * VECTOR + 1
SCRATCH = 3
# What tells rounding (see `program.rounding`): how long after a pulse the first readout comes (ms); how large a
# derivative by off-resonance that is nothing may look beside M0, and beside the signal.
EARLIEST, OF_STATES, OF_SIGNAL = range(3)
N_ROUNDING = 3
N_DECAY = 4  # numbers per duration and lane: e1, e2, cosine and sine of what precession adds
