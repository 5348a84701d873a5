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


def _info() -> int:
    """What there is: versions, processors, threads, where compiled code lies, extras."""
    from importlib.metadata import version

    from .engine import get_num_threads
    from .kernels.cache import directory

    try:
        cache = str(directory())
    except OSError as error:
        cache = f"none that can be written ({error}): every process compiles anew"
    print(f"epgnumba {__version__}, {Path(__file__).parent}")
    print(f"Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite", "scipy")))
    print(f"processors {os.cpu_count()}, threads {get_num_threads()}")
    print(f"compiled code {cache}")
    for extra in EXTRAS:
        missing = lacking(extra)
        print(f"extra {extra}: {'lacks ' + ', '.join(missing) if missing else 'there'}")
    return 0


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
