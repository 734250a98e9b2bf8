"""Several cells at a time, and an end at any moment."""

import time

import pytest

from ssm_sense.sweep.local import run_here


@pytest.mark.parametrize("workers", [1, 3])
def test_every_cell_gives_a_line(plan, place, workers: int) -> None:
    made = plan(grid={"value": [1, 2], "mode": {"plain": "ok", "broken": "fail"}}, seeds=[0])
    begun = []
    lines = list(run_here(made.cells, place(made), workers, begun.append))
    assert sorted((line["grid"]["value"], line["grid"]["mode"]) for line in lines) == [
        (1, "broken"), (1, "plain"), (2, "broken"), (2, "plain"),
    ]  # fmt: skip
    assert {line["grid"]["mode"] for line in lines if line["error"]} == {"broken"}
    assert len(begun) == 4


def test_closing_it_ends_what_runs_and_begins_nothing_more(plan, place, folder) -> None:
    made = plan(grid={"value": [1], "mode": {"plain": "ok", "a": "sleep", "b": "sleep", "c": "sleep"}}, seeds=[0])
    begun = []
    lines = run_here(made.cells, place(made), 2, begun.append)
    assert next(lines)["grid"]["mode"] == "plain"
    start = time.monotonic()
    lines.close()
    assert time.monotonic() - start < 30
    assert len(begun) <= 3
