"""The command line: `epgnumba demo`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, or 2 for arguments that are not allowed (argparse exits with it)."""
    parser = argparse.ArgumentParser(prog="epgnumba", description="Extended phase graph simulation for MRI.")
    parser.add_argument("--version", action="version", version=f"epgnumba {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="a spin echo train, the bound on T2, its gradient, and a better train")
    demo.add_argument("-o", "--output", type=Path, default=Path("epgnumba_demo.png"), help="figure to write")
    options = parser.parse_args(arguments)
    return _demo(options.output)
