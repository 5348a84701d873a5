"""Numbers of exchange with a second pool over every duration, a voxel a thread: worked out once, and back once.

They lie side by side by voxel: (duration and number, voxel), and derivatives by them (duration and number, thread).
"""

from ..columns import N_RATES
from ..exponents import T
from ..pools import exchange_lines
from .jit import cuda, launched
from .tangents import make_rates, make_turns
from .written import write_exchange, write_unexchange


def make_pools(shape):
    """Kernels that fill them in; and, thread by thread, go from derivatives by them to those by rates and durations."""
    real, n_sets, lanes, count = shape.real, shape.n_sets, shape.lanes, exchange_lines(shape)[-1]
    load_rates = make_rates(real, shape.kinds, shape.terms)
    _, rotation = make_turns(real)
    write, unwrite = write_exchange(shape, rotation), write_unexchange(shape, rotation)
    zero = real(0)

    @launched
    def find_exchange(tissue, durations, exchange, n_voxels):
        voxel = cuda.grid(1)
        if voxel >= n_voxels:
            return
        rates = cuda.local.array(N_RATES, real)
        seeds = cuda.local.array(n_sets, real)
        load_rates(rates, seeds, tissue, voxel)
        for duration in range(exchange.shape[0] // count):
            write(exchange, duration * count, voxel, durations[duration], rates, seeds)

    @launched
    def unfind_exchange(tissue, durations, exchange_bars, voxel_bars, duration_bars, n_voxels):
        thread = cuda.grid(1)
        if thread >= n_voxels * lanes:
            return
        rates = cuda.local.array(N_RATES, real)
        seeds = cuda.local.array(n_sets, real)
        rate_bars = cuda.local.array(N_RATES, real)
        seed_bars = cuda.local.array(n_sets, real)
        moment_bars = cuda.local.array(1, real)
        load_rates(rates, seeds, tissue, thread // lanes)
        for rate in range(N_RATES):
            rate_bars[rate] = zero
        for i in range(n_sets):
            seed_bars[i] = zero
        for duration in range(exchange_bars.shape[0] // count):
            moment_bars[T] = zero
            unwrite(
                exchange_bars, duration * count, thread, durations[duration], rates, seeds, rate_bars, seed_bars,
                moment_bars
            )  # fmt: skip
            duration_bars[duration, thread] += moment_bars[T]
        for rate in range(N_RATES):
            voxel_bars[rate, thread] += rate_bars[rate]
        for i in range(n_sets - 1):
            voxel_bars[N_RATES + i, thread] += seed_bars[i]

    return find_exchange, unfind_exchange
