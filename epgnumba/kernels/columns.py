"""Names of the columns of a program's integer tables: what the compiler writes and the kernels read.

A *block* holds the states after one pulse: for each plane (in phase, in quadrature) the three components P, M, W,
each a run of rows (orders) of ``lanes`` numbers. All offsets count array elements, so the kernels never multiply.
"""

VECTOR = 16  # elements that one inner iteration handles; rows are rounded up to it
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
) = range(31)
N_STEP = 31

(
    READ_COMPONENT,  # 0: P, 1: M (conjugated), 2: Z_0
    READ_OFFSET,  # where the order that is read lies, from row 0 of the block
    READ_DURATION,  # index of the time since the pulse
    READ_OUT,  # which output it is
) = range(4)
N_READ = 4

(SEGMENT_BEGIN, SEGMENT_END, SEGMENT_CHECKPOINT) = range(3)  # checkpointed stretches of the train
N_SEGMENT = 3

(
    N_STEPS,
    N_SEGMENTS,
    LANES,
    PLANES,  # 1: a real program; 2: a complex one
    TANGENTS,
    N_OUT,
    PAIR,  # where the starting block lies, of the pair of alternating blocks
    TAPE,  # and on the tape
    ROOM,  # where turned components lie
    ROOM_SIZE,  # elements of each of the four
    ARENA,  # elements of a set of states
    PAIR_ARENA,  # elements of a set of adjoints
    AMPLITUDES,  # where this part's amplitudes begin
    N_DURATIONS,
    N_SETS_Z,  # numbers in a row of `z`
    N_POSITIONS,  # of the slice profile
    N_CODES,  # derivatives wanted
    REPEATS,  # 1: the sequence repeats, and has an END part
) = range(18)
N_SIZE = 18

SIGNAL, END = 0, 1  # the parts of a program: what readouts depend on; what Z_0 at the end depends on
R1, R2, B1 = range(3)  # rows of a block's rates, and of a tangent's seeds
RELAXING, FLIPPING = 0, 1  # kinds of tangent: it changes the decay, it changes the flip angles
