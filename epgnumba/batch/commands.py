"""The commands that run what a file describes. Exit codes are what a batch script acts on."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..extras import lacking

if TYPE_CHECKING:
    from .plan import Plan

DONE, NOT_ALLOWED, NOT_THERE, FAILED, INCOMPLETE, INTERRUPTED = 0, 2, 3, 4, 5, 130
CODES = """exit codes: 0 done; 2 the description or an argument is not allowed, nothing has started; 3 something that
is needed is not there (an extra, the store); 4 it failed on the way (run again to go on); 5 the store is
incomplete or damaged (run again to mend it); 130 interrupted"""
ABOUT = {
    "simulate": "signals and derivatives of tissues",
    "dictionary": "a dictionary of signals, whole or compressed",
    "design": "protocols, optimised for each point of a sweep",
    "fit": "maps from data",
}
COMMANDS = tuple(ABOUT)


def _obstacle(command: str) -> str | None:
    """Why a command cannot be run here at all."""
    if sys.version_info < (3, 11):
        return "Python 3.11 or newer is needed"
    if missing := lacking("batch"):
        return f'{", ".join(missing)} is needed: pip install "epgnumba[batch]"'
    if command == "fit" and find_spec("epgnumba.estimate") is None:
        return "epgnumba.estimate is needed, which this version lacks"
    return None


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to those of the command line."""
    for name in COMMANDS:
        parser = commands.add_parser(name, help=ABOUT[name], epilog=CODES)
        parser.add_argument("file", type=Path, help="the run, described in TOML; `epgnumba init` writes an example")
        parser.add_argument("--dry-run", action="store_true", help="say sizes, memory and time, and stop")
        parser.add_argument("--workers", type=int, help="number of workers, by default one for each processor")
        parser.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="a Dask scheduler that runs: tcp://host:port, or its .json file",
        )
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--prepare", action="store_true", help="make the store, and stop: before a job array")
        mode.add_argument("--finish", action="store_true", help="check that all is there, and say so in the store")
        mode.add_argument("--array-index", type=int, metavar="I", help="compute the share of this index, from 0 on")
        parser.add_argument(
            "--array-count", type=int, metavar="N", help="how many shares there are; also with --prepare"
        )
        parser.set_defaults(run=run)
    init = commands.add_parser("init", help="write an example of a run's description")
    init.add_argument("kind", choices=COMMANDS)
    init.add_argument("-o", "--output", type=Path, help="file to write, by default KIND.toml")
    init.set_defaults(run=_init)
    bench = commands.add_parser("bench", help="measure how fast a run's rows are computed, without writing any")
    bench.add_argument("file", type=Path, help="a dictionary, described in TOML")
    bench.set_defaults(run=_bench)


def _init(options: argparse.Namespace) -> int:
    path = options.output or Path(f"{options.kind}.toml")
    text = resources.files(__package__).joinpath("examples", f"{options.kind}.toml").read_text()
    try:
        with path.open("x") as file:
            file.write(text)
    except OSError as error:
        print(f"{path} cannot be written: {error.strerror}", file=sys.stderr)
        return NOT_ALLOWED
    print(f"{path}: edit it, then: epgnumba {options.kind} {path}")
    return DONE


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> int:
    """Run a description; returns the exit code."""
    if obstacle := _obstacle(options.command):
        _say(f"epgnumba {options.command}: {obstacle}")
        return NOT_THERE
    from .plan import make_plan
    from .store import StoreError

    try:
        share = _share(options)
        plan = make_plan(
            options.command, options.file, options.workers, options.scheduler, options.array_count or 1
        )  # fmt: skip
    except ValueError as error:
        _say(str(error))
        return NOT_ALLOWED
    except ImportError as error:
        _say(str(error))
        return NOT_THERE
    except (RuntimeError, MemoryError) as error:  # a device is not there, or has no room
        _say(str(error))
        return NOT_THERE
    try:
        if options.dry_run:
            print(report(plan))
            return DONE
        return _work(plan, options, share)
    except StoreError as error:
        _say(str(error))
        return INCOMPLETE if options.finish else NOT_THERE if not plan.path.exists() else FAILED
    except KeyboardInterrupt:
        _say("interrupted; run again to go on")
        return INTERRUPTED
    except Exception as error:  # whatever stopped it, what is done is kept
        _say(f"{type(error).__name__}: {error}\nwhat is done is kept in {plan.path}; run again to go on")
        return FAILED


def _share(options: argparse.Namespace) -> slice:
    """Which shards an index of a job array has: every `array_count`-th.

    Raises
    ------
    ValueError
        If it is none.
    """
    index, count = options.array_index, options.array_count
    if index is None and (count is None or (options.prepare and count >= 1)):
        return slice(None)
    if index is None or count is None or not 0 <= index < count:
        raise ValueError(
            f"--array-index={index} --array-count={count} is not allowed: an index from 0 on below the count is needed"
        )
    return slice(index, None, count)


def _work(plan: Plan, options: argparse.Namespace, share: slice) -> int:
    """Make the store, compute what is missing in a share of it, finish it: as far as was asked for."""
    from .engines import run_shards
    from .results import write_netcdf, write_nifti

    part = options.array_index is not None
    store = plan.store(make=not (part or options.finish))
    if options.prepare:
        _say(f"{plan.path} is made: {store.shards} shards")
        return DONE
    engine, output = plan.description.engine, plan.description.output
    if not options.finish:
        shards = list(range(store.shards))[share]
        count = run_shards(
            store, shards, kind=engine.kind, workers=plan.workers, memory=plan.allowed, scheduler=engine.scheduler
        )
        _say(f"{count} shards computed, {len(shards) - count} were done before")
    if part:
        return DONE
    store.finish()
    folder = options.file.resolve().parent
    if output.netcdf:
        write_netcdf(store, folder / output.netcdf)
    if output.nifti:
        write_nifti(store, folder / output.nifti)
    _say(f"{plan.path} is complete")
    return DONE


def report(plan: Plan) -> str:
    """What a run is going to take."""
    rows, bytes_ = plan.rows.count, plan.row_bytes * plan.rows.count
    lines = [
        f"{rows} rows ({plan.rows.name}s) in {-(-rows // plan.shard_rows)} shards of {plan.shard_rows}",
        *(
            f"  {each.name}: {rows} x {' x '.join(map(str, each.dims.values())) or 1} {each.dtype}, "
            f"{each.row_bytes * rows / 1e6:.3g} MB"
            for each in plan.work.variables
        ),
        f"{bytes_ / 1e6:.3g} MB before compression, to {plan.path}",
        f"memory: {plan.memory / 1e9:.2f} GB at most, {plan.workers} workers",
        f"time: about {plan.seconds():.3g} s, once compiled",
    ]
    return "\n".join(lines)


def _bench(options: argparse.Namespace) -> int:
    """Measure rows per second."""
    if obstacle := _obstacle("bench"):
        _say(f"epgnumba bench: {obstacle}")
        return NOT_THERE
    from .plan import make_plan

    try:
        plan = make_plan("dictionary", options.file, workers=1)
    except ValueError as error:
        _say(str(error))
        return NOT_ALLOWED
    print(json.dumps({"rows": plan.rows.count, "rows_per_second_and_worker": plan.rows.count / plan.seconds()}))
    return DONE
