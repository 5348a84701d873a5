"""The command line: `epgnumba demo`, `info`, and batch runs."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .batch import commands
from .extras import EXTRAS, lacking

FORMATS = (".png", ".pdf", ".svg")


def _obstacle(output: Path) -> str | None:
    """What is in the way of writing a figure there; None if nothing is."""
    try:
        if not output.parent.is_dir():
            return f"there is no folder {output.parent}"
        if output.is_dir() or output.suffix.lower() not in FORMATS:
            return f"a file that ends in one of {FORMATS} is needed"
        is_new = not output.exists()
        output.open("ab").close()
        if is_new:
            output.unlink()
    except OSError as error:
        return f"it cannot be written: {error.strerror}"
    return None


def _demo(output: Path) -> int:
    obstacle = _obstacle(output)
    if obstacle:
        print(f"--output={output}: {obstacle}", file=sys.stderr)
        return 2
    from . import demo

    report = demo.measure()
    print(demo.table(report))
    from .plot import save_report

    save_report(report, output)
    print(f"figure: {output.resolve()}")
    return 0


def _cache() -> str:
    """Where compiled code lies, and how much."""
    from .kernels.cache import directory

    try:
        found = directory()
    except OSError as error:
        return f"none that can be written ({error}): every process compiles anew"
    sizes = [path.stat().st_size for path in found.glob("*.nbc")]
    return f"{found}, {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"


def _vectors() -> str:
    from .kernels.processor import name, vector_bits

    bits = vector_bits()
    return f"{name()}, vectors of {'unknown width' if bits is None else f'{bits} bits, {bits // 64} doubles'}"


def _gpu() -> str:
    from .gpu.choose import device_names

    try:
        return ", ".join(device_names())
    except RuntimeError as error:
        return f"none: {error}"


def _info() -> int:
    """What there is: versions, processors, threads, where compiled code lies, devices, extras."""
    from .engine import get_num_threads

    print(f"epgnumba {__version__}, {Path(__file__).parent}")
    print(f"Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(_version(name) for name in ("numpy", "numba", "llvmlite", "scipy", "matplotlib")))
    print(f"processors {os.cpu_count()}, threads {get_num_threads()}, {_vectors()}")
    print(f"compiled code {_cache()}")
    print(f"GPU {_gpu()}")
    for extra, modules in EXTRAS.items():
        missing = lacking(extra)
        there = ", ".join(_version(name) for name in modules if name not in missing)
        told = f'lacks {", ".join(missing)}: pip install "epgnumba[{extra}]"' if missing else ""
        print(f"extra {extra}: {'; '.join(part for part in (there, told) if part)}")
    return 0


def _version(module: str) -> str:
    """A module's package and version, if that is told."""
    from importlib.metadata import PackageNotFoundError, version

    package = module.replace("_", "-")
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, or what `epgnumba simulate --help` lists."""
    parser = argparse.ArgumentParser(prog="epgnumba", description="Extended phase graph simulation for MRI.")
    parser.add_argument("--version", action="version", version=f"epgnumba {__version__}")
    kinds = parser.add_subparsers(dest="command", required=True)
    demo = kinds.add_parser("demo", help="a spin echo train, the bound on T2, its gradient, and a better train")
    demo.add_argument("-o", "--output", type=Path, default=Path("epgnumba_demo.png"), help="figure to write")
    demo.set_defaults(run=lambda options: _demo(options.output))
    kinds.add_parser("info", help="versions, threads, cache, extras").set_defaults(run=lambda options: _info())
    commands.add_parsers(kinds)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status
