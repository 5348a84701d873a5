"""Kernels about voxels one by one, and sums over them."""

import math

from ..columns import EARLIEST, FRACTION_B, M0, N_RATES, OF_SIGNAL, OF_STATES, R2, R2_B
from ..load import TIMES
from .jit import SIMULATED, cuda, helper, launched, on_device

SUM_THREADS = 8 if SIMULATED else 256  # of a block that sums; a power of two


def make_fold(apply):
    """A function that brings together what the threads of a block have, in the first of them."""
    apply = helper(apply)

    @on_device
    def fold(values, thread):
        half = SUM_THREADS // 2
        cuda.syncthreads()
        while half > 0:
            if thread < half:
                values[thread] = apply(values[thread], values[thread + half])
            cuda.syncthreads()
            half //= 2

    return fold


def make_voxels(real, kinds, planes, lanes, codes, sets):
    """Kernels that go from derivatives by results to those by amplitudes, and from those by rates to the tissue's."""
    zero, two = real(0), real(2)
    n_codes, n_kinds = len(codes), len(kinds)
    n_sets = n_kinds + 1
    kinds, codes, sets = (*kinds, -1), (*codes, -1), (*sets, 0)
    timed = tuple(kind in TIMES for kind in kinds)

    @launched
    def load_bars(
        signal_bar, jacobian_bar, amplitudes, factors, tissue, weight, bars, factor_bars, tissue_bar, first, n_voxels,
        wanted
    ):  # fmt: skip
        """From derivatives by signal and Jacobian (of voxels from `first` on) to those by amplitudes, M0 and phases."""
        voxel = cuda.grid(1)
        if voxel >= n_voxels:
            return
        m0 = tissue[M0, voxel]
        m0_bar = zero
        for out in range(factors.shape[0]):
            fr, fi = factors[out, 0], factors[out, 1]
            factor_bar = zero
            for a in range(n_sets * planes):
                bars[a, out, voxel] = zero
            for k in range(-1, n_codes):
                i = sets[k] if k >= 0 else 0
                by_m0 = k < 0 or codes[k] != M0
                scale = weight * m0 if by_m0 else weight
                if k < 0:
                    re, im = signal_bar[out, first + voxel, 0], signal_bar[out, first + voxel, 1]
                else:
                    re, im = jacobian_bar[k, out, first + voxel, 0], jacobian_bar[k, out, first + voxel, 1]
                along, across = re * fr + im * fi, im * fr - re * fi
                for plane in range(planes):
                    a = i * planes + plane
                    amplitude = amplitudes[a, out, voxel]
                    bars[a, out, voxel] += scale * along
                    factor_bar += scale * across * amplitude
                    if by_m0:
                        m0_bar += weight * along * amplitude
                    along, across = across, -along
            if wanted:
                factor_bars[out, voxel] += factor_bar
        tissue_bar[M0, first + voxel] += m0_bar

    @launched
    def gather_tissue(voxel_bars, tissue, tissue_bar, first, n_voxels):
        """From derivatives by a position's rates and seeds to those by the tissue's."""
        voxel = cuda.grid(1)
        if voxel >= n_voxels:
            return
        for lane in range(lanes):
            thread = voxel * lanes + lane
            for rate in range(N_RATES):
                tissue_bar[rate, first + voxel] += voxel_bars[rate, thread]
            for i in range(n_kinds):
                bar = voxel_bars[N_RATES + i, thread]
                if timed[i]:
                    tissue_bar[kinds[i], first + voxel] -= two * tissue[kinds[i], voxel] * bar

    return load_bars, gather_tissue


def make_rounding(real, k):
    """The kernel that zeroes derivatives, number `k`, which are nothing but rounding (see `kernels.rounding`)."""
    zero = real(0)

    @launched
    def hide_rounding(signal, jacobian, tissue, rounding, first, n_voxels):
        voxel = cuda.grid(1)
        if voxel >= n_voxels:
            return
        size = largest = zero
        for out in range(signal.shape[0]):
            for part in range(2):
                size = max(size, abs(signal[out, first + voxel, part]))
                largest = max(largest, abs(jacobian[k, out, first + voxel, part]))
        slowest = tissue[R2, voxel]
        if tissue[FRACTION_B, voxel] != zero:
            slowest = min(slowest, tissue[R2_B, voxel])
        states = abs(tissue[M0, voxel]) * math.exp(-rounding[EARLIEST] * slowest)
        if largest <= min(rounding[OF_STATES] * states, rounding[OF_SIGNAL] * size):
            for out in range(signal.shape[0]):
                for part in range(2):
                    jacobian[k, out, first + voxel, part] = zero

    return hide_rounding


def make_maps(real, given):
    """Kernels on maps of type `given`: a row of the tissue table, and what range a map has."""
    one = real(1)
    lowest, highest = make_fold(lambda a, b: min(a, b)), make_fold(lambda a, b: max(a, b))

    @launched
    def fill_row(values, code, inverse, scale, table, first, n_voxels):
        """A rate of a map, which may hold one number for all, from `first` on: `scale` times it, or its `inverse`."""
        voxel = cuda.grid(1)
        if voxel >= n_voxels:
            return
        value = real(values[first + voxel if values.shape[0] > 1 else 0])
        table[code, voxel] = scale * (one / value if inverse else value)

    @launched
    def find_range(values, ranges):
        """Smallest and largest of what each block sees, and whether (1) there is NaN among it."""
        thread, block = cuda.threadIdx.x, cuda.blockIdx.x
        low = cuda.shared.array(SUM_THREADS, given)
        high = cuda.shared.array(SUM_THREADS, given)
        bad = cuda.shared.array(SUM_THREADS, given)
        first = values[0]
        low[thread], high[thread], bad[thread] = first, first, given(0)
        for k in range(cuda.grid(1), values.shape[0], cuda.gridsize(1)):
            value = values[k]
            if value != value:
                bad[thread] = given(1)
            low[thread] = min(low[thread], value)
            high[thread] = max(high[thread], value)
        lowest(low, thread)
        highest(high, thread)
        highest(bad, thread)
        if thread == 0:
            ranges[block, 0], ranges[block, 1], ranges[block, 2] = low[0], high[0], bad[0]

    return fill_row, find_range


def make_sums(real):
    """The kernel that sums the rows of a table, a block each, in the same order whatever else happens; and fillings."""
    zero, one, add = real(0), real(1), make_fold(lambda a, b: a + b)

    @launched
    def fill_zero(values):
        k = cuda.grid(1)
        if k < values.shape[0]:
            values[k] = zero

    @launched
    def clear_voxels(table, first, n_voxels):
        """Zeros in the columns of some voxels."""
        voxel = cuda.grid(1)
        if voxel < n_voxels:
            for row in range(table.shape[0]):
                table[row, first + voxel] = zero

    @launched
    def fill_unit(start, number, n_voxels):
        """One for a number of the states in every voxel (number, set, voxel), zero for all else."""
        voxel = cuda.grid(1)
        if voxel < n_voxels:
            for r in range(start.shape[0]):
                for i in range(start.shape[1]):
                    start[r, i, voxel] = one if r == number and i == 0 else zero

    @launched
    def sum_rows(table, sums, n):
        """Add sums over the first `n` columns."""
        partial = cuda.shared.array(SUM_THREADS, real)
        thread, row = cuda.threadIdx.x, cuda.blockIdx.x
        total = zero
        for k in range(thread, n, SUM_THREADS):
            total += table[row, k]
        partial[thread] = total
        add(partial, thread)
        if thread == 0:
            sums[row] += partial[0]

    return sum_rows, fill_zero, fill_unit, clear_voxels
