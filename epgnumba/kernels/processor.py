"""The processor that kernels are compiled for."""

import llvmlite.binding as llvm

WIDTHS = {"avx512f": 512, "avx": 256, "sse2": 128, "neon": 128}  # bits, by feature, the widest first


def name():
    """As compilers call it."""
    return llvm.get_host_cpu_name()


def vector_bits():
    """How wide its vectors are; None where that is not told."""
    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know such processors
        return None
    return next((bits for feature, bits in WIDTHS.items() if features.get(feature)), None)
