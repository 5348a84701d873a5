"""From a program and a call to kernels at work: memory, threads, launches, gathered derivatives."""

from .job import FEW_VOXELS, LANES, AnyJob, Job, batch, bounds, fits, matches
from .plan import state_sets
from .projection import Projection, leading
from .sums import Flips, Gathered, GradientSums
from .threads import get_num_threads, one_thread, set_num_threads, spread

__all__ = [
    "FEW_VOXELS",
    "LANES",
    "AnyJob",
    "Flips",
    "Gathered",
    "GradientSums",
    "Job",
    "Projection",
    "batch",
    "bounds",
    "fits",
    "get_num_threads",
    "leading",
    "matches",
    "one_thread",
    "set_num_threads",
    "spread",
    "state_sets",
]
