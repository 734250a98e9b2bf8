"""A sweep from its plan to its rows: what is left to do is done, with a bar and a line for each cell that ends."""

import json
import math
import os
import shlex
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ssm_sense.errors import UserError
from ssm_sense.sweep.cell import Place, run_commands
from ssm_sense.sweep.columns import text_of
from ssm_sense.sweep.plan import SEED, Cell, Plan
from ssm_sense.sweep.rows import Line, SweepRows
from ssm_sense.sweep.words import fill


def chosen_cells(plan: Plan, only: Mapping[str, set[str]], limit: int | None) -> list[Cell]:
    """The cells whose columns, or seed, have one of the values named; of those the first `limit`.

    Raises UserError for a column or a value that the plan does not have, or where no cell is left.
    """
    known: dict[str, set[str]] = {}
    for cell in plan.cells:
        for name, value in _coordinates(cell).items():
            known.setdefault(name, set()).add(value)
    for name, values in only.items():
        if name not in known:
            raise UserError(f"--only: expected one of {', '.join(known)}, got {name!r}")
        for value in values - known[name]:
            raise UserError(f"--only {name}: expected some of {', '.join(sorted(known[name]))}, got {value!r}")
    cells = [cell for cell in plan.cells if all(_coordinates(cell)[name] in values for name, values in only.items())]
    if not cells:
        raise UserError("--only: no cell of the sweep has all of these values")
    return cells[:limit]


def prepare(plan: Plan, place: Place, console: Console) -> None:
    """Run the commands that go before all cells, each once for a scratch folder.

    Raises UserError with the last lines of output if one fails.
    """
    scratch = place.start / place.work
    done_file = scratch / "prepared.json"
    done: list[str] = json.loads(done_file.read_text()) if done_file.exists() else []
    for template in plan.prepare:
        words = fill(template, place.words(), "prepare")
        line = shlex.join(["ssm-sense", *words])
        if line in done:
            continue
        scratch.mkdir(parents=True, exist_ok=True)
        console.print(f"{time.strftime('%H:%M:%S')} preparing: {line}", markup=False, highlight=False, soft_wrap=True)
        run_commands([words], scratch / "prepare.txt", place, math.inf)
        done.append(line)
        partial = done_file.with_suffix(".partial")
        partial.write_text(json.dumps(done, indent=1) + "\n")
        os.replace(partial, done_file)


def run_cells(lines: Generator[Line], rows: SweepRows, plan: Plan, n_cells: int, console: Console) -> tuple[int, int]:
    """Append each line, with the plan's rung, as it comes; returns how many cells have a result and how many failed.

    lines: of `run_here` or `run_on_ray`. n_cells: how many there will be. rows.jsonl is put in order at the end, also
    after an interrupt.
    """
    titles = {cell.name: cell.title for cell in plan.cells}
    done = failed = 0
    try:
        with closing(lines), _bar(n_cells, console) as (bar, task):
            for line in lines:
                rows.append({**line, "rung": plan.rung})
                failed += line["error"] is not None
                done += line["error"] is None
                console.print(_said(line, titles[line["cell"]]), markup=False, highlight=False, soft_wrap=True)
                bar.update(task, advance=1, failed=f"{failed} failed" if failed else "")
    finally:
        rows.settle([cell.name for cell in plan.cells])
    return done, failed


@contextmanager
def _bar(n_cells: int, console: Console) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[failed]}"), console=console) as bar:
        yield bar, bar.add_task("", total=n_cells, failed="")


def _said(line: Line, title: str) -> str:
    """One line for people."""
    seconds = f" in {line['seconds']:.0f} s" if line.get("seconds") is not None else ""
    stamp = time.strftime("%H:%M:%S")
    if line["error"] is None:
        return f"{stamp} {title}: done{seconds}"
    return f"{stamp} {title}: failed{seconds}: {line['error'].splitlines()[0]}"


def _coordinates(cell: Cell) -> dict[str, str]:
    return {name: text_of(value) for name, value in {**cell.grid, SEED: cell.seed}.items()}
