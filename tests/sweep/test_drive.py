"""What is left to do is done once, lines are kept as they come, and the file ends in the plan's order."""

import io
import json
import subprocess
import sys
import time

import pytest
from rich.console import Console

from ssm_sense.errors import UserError
from ssm_sense.sweep.drive import chosen_cells, prepare, run_cells
from ssm_sense.sweep.local import run_here
from ssm_sense.sweep.rows import SweepRows


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def test_cells_are_chosen_by_their_columns(plan) -> None:
    made = plan(grid={"value": [1, 2.5, "x"], "mode": {"plain": "ok", "on": "ok"}})
    assert len(chosen_cells(made, {}, None)) == 12
    chosen = chosen_cells(made, {"value": {"2.5", "x"}, "seed": {"1"}}, 3)
    assert [cell.title for cell in chosen] == [
        "value=2.5 mode=plain seed=1", "value=2.5 mode=on seed=1", "value=x mode=plain seed=1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"size": {"1"}}, "--only: expected one of value, mode, seed, got 'size'"),
        ({"value": {"9"}}, "--only value: expected some of 1, 2, got '9'"),
    ],
)
def test_what_cannot_be_chosen_is_said(plan, only, message) -> None:
    with pytest.raises(UserError, match=message):
        chosen_cells(plan(), only, None)


def test_a_combination_that_was_left_out_cannot_be_chosen(plan) -> None:
    made = plan(grid={"value": [1, 2], "mode": {"a": "ok", "b": "ok"}}, **{"except": [{"value": 1, "mode": "a"}]})
    with pytest.raises(UserError, match="no cell of the sweep has all of these values"):
        chosen_cells(made, {"value": {"1"}, "mode": {"a"}}, None)


def test_lines_are_kept_as_they_come_and_end_in_order(plan, place, folder, console) -> None:
    made = plan()
    lines = [{**line, "seconds": 61.4} for line in run_here(made.cells, place(made), 1)]
    seen = []

    def backwards():
        for line in (*reversed(lines[1:]), {**lines[0], "error": "broke\nhere", "seconds": None}):
            yield line
            seen.append(len((folder / "rows.jsonl").read_text().splitlines()))

    assert run_cells(backwards(), SweepRows(folder), made, 4, console) == (3, 1)
    assert seen == [1, 2, 3, 4]
    assert [json.loads(line)["cell"] for line in (folder / "rows.jsonl").read_text().splitlines()] == [
        cell.name for cell in made.cells
    ]
    said = console.file.getvalue()
    assert "value=2 mode=plain seed=1: done in 61 s" in said
    assert "value=1 mode=plain seed=0: failed: broke\n" in said


def test_every_line_names_the_rung(plan, place, folder, console) -> None:
    made = plan(rung="tiny latents", grid={"value": [1], "mode": {"plain": "ok", "bad": "fail"}}, seeds=[0])
    assert run_cells(run_here(made.cells, place(made), 1), SweepRows(folder), made, 2, console) == (1, 1)
    assert [line["rung"] for line in SweepRows(folder).of([cell.name for cell in made.cells])] == ["tiny latents"] * 2


def test_an_interrupt_keeps_what_is_finished_and_ends_the_cells(plan, place, folder, console) -> None:
    made = plan()
    ended = []

    def interrupted():
        try:
            yield from list(run_here(made.cells[1:2], place(made), 1))
            raise KeyboardInterrupt
        finally:
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_cells(interrupted(), SweepRows(folder), made, 4, console)
    assert ended == [True]
    assert SweepRows(folder).finished == {made.cells[1].name}


DRIVER = """
import sys
from pathlib import Path
from rich.console import Console
from ssm_sense.sweep.cell import Place
from ssm_sense.sweep.drive import run_cells
from ssm_sense.sweep.local import run_here
from ssm_sense.sweep.plan import read_plan
from ssm_sense.sweep.rows import SweepRows

plan, rows = read_plan(Path("sweep.yaml"), {"info"}), SweepRows(Path())
place = Place(Path(), Path("work"), Path.cwd(), plan.results, (), plan.limit_s, 1, "program")
left = [cell for cell in plan.cells if cell.name not in rows.finished]
print(len(left), run_cells(run_here(left, place, 1), rows, plan, len(left), Console(stderr=True)))
"""


def test_after_a_kill_it_goes_on_where_it_was(plan, folder) -> None:
    made = plan(grid={"value": [1], "mode": {"plain": "ok", "slow": "wait"}})
    command = [sys.executable, "-c", DRIVER]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as killed:
        end = time.monotonic() + 30
        begun = folder / "work" / "cells" / made.cells[2].name / "log.txt"
        while not (begun.exists() and "wait" in begun.read_text().splitlines()[-1]):
            assert time.monotonic() < end
            time.sleep(0.02)
        killed.kill()
    assert SweepRows(folder).finished == {cell.name for cell in made.cells[:2]}
    first = (folder / "rows.jsonl").read_text()
    (folder / "go").touch()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "2 (2, 0)\n"
    assert (folder / "rows.jsonl").read_text().startswith(first)
    assert SweepRows(folder).finished == {cell.name for cell in made.cells}


def test_preparations_run_once_and_go_on_where_they_failed(plan, place, folder, console) -> None:
    steps = ["info {work} 1 0 ok", "info {work} 2 0 MODE"]
    made = plan(prepare=[step.replace("MODE", "fail") for step in steps])
    with pytest.raises(UserError, match=r"(?s)ended with status 1\n.*film\.mp4"):
        prepare(made, place(made), console)
    result = folder / "work" / "result.json"
    assert json.loads(result.read_text())["score"] == 1
    result.unlink()
    made = plan(prepare=[step.replace("MODE", "ok") for step in steps])
    prepare(made, place(made), console)
    assert json.loads(result.read_text())["score"] == 2
    assert console.file.getvalue().count("preparing: ssm-sense info work 1 0 ok\n") == 1
    result.unlink()
    prepare(made, place(made), console)
    assert not result.exists()
