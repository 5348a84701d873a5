"""The command line: `epgnumba demo`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__

FORMATS = (".png", ".pdf", ".svg")


def _demo(output: Path) -> int:
    from . import demo

    if not output.parent.is_dir():
        print(f"--output={output}: there is no folder {output.parent}", file=sys.stderr)
        return 2
    if output.is_dir() or output.suffix.lower() not in FORMATS:
        print(f"--output={output}: a file that ends in one of {FORMATS} is needed", file=sys.stderr)
        return 2
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        print(f"--output={output}: it cannot be written", file=sys.stderr)
        return 2
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


if __name__ == "__main__":
    sys.exit(main())
