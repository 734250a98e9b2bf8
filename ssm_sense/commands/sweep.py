"""`ssm-sense sweep`: run a grid of commands, several at a time, and report means over seeds."""

import argparse
import math
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from ssm_sense.sweep.cell import Place
    from ssm_sense.sweep.plan import Cell, Plan
    from ssm_sense.sweep.rows import SweepRows

_DESCRIPTION = """\
Run every cell of a sweep.yaml that has no result yet: the product of its grid and its seeds. Beside the file appear
rows.jsonl, a line a cell, then table.csv, table.md and a figure a metric as PNG and SVG. Cells that are finished are
skipped, those that failed or were interrupted run anew; Ctrl-C leaves whole rows. The file: docs/sweeps.md.
"""
_EXAMPLE = """\
example:
  ssm-sense sweep experiments/load/sweep.yaml --dry-run
  ssm-sense sweep experiments/load/sweep.yaml --only memory=episode,delta --only seed=0 --workers 2
  ssm-sense sweep experiments/load/sweep.yaml --report
"""


def main(argv: list[str]) -> int:
    """Run what is left of a sweep and write its report; return 1 if cells failed."""
    arguments = _parse(argv)
    from ssm_sense.cli import COMMANDS, TRAINING
    from ssm_sense.lock import alone_in
    from ssm_sense.sweep.drive import chosen_cells
    from ssm_sense.sweep.plan import read_plan
    from ssm_sense.sweep.rows import SweepRows

    plan = read_plan(arguments.sweep, {*COMMANDS, *TRAINING} - {"sweep"})
    cells = chosen_cells(plan, _only(arguments.only), arguments.limit)
    place = _place(arguments, plan)
    if arguments.dry_run:
        _show(plan, cells, place, SweepRows(plan.folder))
        return 0
    if arguments.report:
        _report(plan, SweepRows(plan.folder))
        return 0
    with alone_in(plan.folder, place.work):
        rows = SweepRows(plan.folder)
        failed = _run(arguments, plan, cells, place, rows)
        _report(plan, rows)
    return 1 if failed else 0


def _run(arguments: argparse.Namespace, plan: "Plan", cells: "list[Cell]", place: "Place", rows: "SweepRows") -> int:
    """Run the cells that are not finished and return how many failed."""
    from rich.console import Console

    from ssm_sense.sweep.cluster import run_on_ray
    from ssm_sense.sweep.drive import prepare, run_cells
    from ssm_sense.sweep.local import run_here

    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    left = [cell for cell in cells if cell.name not in rows.finished]
    console.print(f"{plan.name}: {len(cells)} cells, {len(cells) - len(left)} of them finished before", highlight=False)
    if not left:
        return 0
    prepare(plan, place, console)
    if arguments.ray is None:
        lines = run_here(left, place, arguments.workers)
    else:
        lines = run_on_ray(left, place, arguments.ray, arguments.workers, arguments.cpus, arguments.gpus)
    done, failed = run_cells(lines, rows, plan, len(left), console)
    console.print(f"{plan.name}: {done} done, {failed} failed; logs in {place.work / 'cells'}", highlight=False)
    return failed


def _report(plan: "Plan", rows: "SweepRows") -> None:
    """Write tables and figures from the rows, and name them."""
    from ssm_sense.report import svg
    from ssm_sense.sweep.compare import comparison, differences
    from ssm_sense.sweep.figure import drawings
    from ssm_sense.sweep.table import markdown, summarise, write_csv

    names = [cell.name for cell in plan.cells]
    lines = rows.of(names)
    if not lines:
        raise UserError(f"{rows.path}: expected a row of the sweep, found none")
    if others := rows.others(names):
        print(f"ssm-sense: {rows.path}: {others} rows are of commands that sweep.yaml no longer has", file=sys.stderr)
    groups = summarise(plan, lines)
    write_csv(plan.folder / "table.csv", plan, groups)
    compared = "\n".join(comparison(plan, differences(plan, lines, one), one) for one in plan.compare)
    (plan.folder / "table.md").write_text(markdown(plan, groups, lines, compared), encoding="utf-8")
    drawn = drawings(plan.figure, summarise(plan, lines, plan.figure.columns))
    for name, draw in drawn.items():
        svg.save(draw, plan.folder / name)
    for name in ("rows.jsonl", "table.csv", "table.md", *(f"{name}.{end}" for name in drawn for end in ("png", "svg"))):
        print(plan.folder / name)


def _show(plan: "Plan", cells: "list[Cell]", place: "Place", rows: "SweepRows") -> None:
    """Print what would be run."""
    import shlex

    from ssm_sense.sweep.words import fill

    for template in plan.prepare:
        print("prepare:", shlex.join(["ssm-sense", *fill(template, place.words(), "prepare")]))
    for cell in cells:
        print(f"{cell.title}{': finished' if cell.name in rows.finished else ''}")
        for template in cell.commands:
            print("   ", shlex.join(["ssm-sense", *fill(template, place.words(cell.name), "run")]))
    left = sum(cell.name not in rows.finished for cell in cells)
    print(f"{len(cells)} of {len(plan.cells)} cells, {left} to run")


def _place(arguments: argparse.Namespace, plan: "Plan") -> "Place":
    from ssm_sense.sweep.cell import Place

    return Place(
        here=plan.folder,
        work=arguments.work or Path("runs") / "sweeps" / plan.name,
        start=Path.cwd(),
        results=plan.results,
        keep=plan.keep,
        limit_s=plan.limit_s,
        threads=max(1, int(arguments.cpus)),
        resume=plan.resume,
    )


def _only(pairs: list[str]) -> dict[str, set[str]]:
    """Column to values from "column=value,value"; a column named twice has all values of both."""
    only: dict[str, set[str]] = {}
    for pair in pairs:
        column, sign, values = pair.partition("=")
        if not sign or not column or not all(values.split(",")):
            raise UserError(f"--only: expected COLUMN=VALUE, got {pair!r}")
        only.setdefault(column, set()).update(values.split(","))
    return only


def _interrupt(number: int, frame: FrameType | None) -> None:
    """What a plain `kill` does: the same as Ctrl-C."""
    raise KeyboardInterrupt


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ssm-sense sweep",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sweep", type=Path, metavar="FILE", help="a sweep.yaml")
    add("--workers", type=int, default=1, metavar="N", help="cells at a time; default: %(default)s")
    add("--cpus", type=float, default=1, metavar="N", help="of one cell: threads, and CPUs on Ray; default: 1")
    add("--gpus", type=float, default=0, metavar="N", help="of one cell on Ray, such as .5; default: 0")
    add(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="run cells as Ray tasks: on a cluster (auto, HOST:PORT), or on a Ray of this machine's own",
    )
    add("--only", action="append", default=[], metavar="COLUMN=VALUE[,VALUE]", help="only such cells; may be repeated")
    add("--limit", type=int, metavar="N", help="only the first N of them")
    add("--work", type=Path, metavar="DIR", help="scratch folder, logs among it; default: runs/sweeps/NAME")
    add("--dry-run", action="store_true", help="print cells and commands, and run nothing")
    add("--report", action="store_true", help="write table and figures from the rows that are there, and run nothing")
    arguments = parser.parse_args(argv)
    if arguments.sweep.is_dir():
        arguments.sweep = arguments.sweep / "sweep.yaml"
    for name in ("workers", "cpus", "limit"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"--{name}: expected more than 0, got {value}")
    if not 0 <= arguments.gpus < math.inf:
        raise UserError(f"--gpus: expected 0 or more, got {arguments.gpus:g}")
    return arguments
