"""rows.jsonl holds whole lines, the last of a cell counts, and a settled file is in the plan's order."""

import json
import math
from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.sweep.rows import SweepRows


def line(cell: str, error: str | None = None, **more) -> dict:
    return {"cell": cell, "grid": {"a": 1}, "seed": 0, "result": {"x": 1.0}, "error": error, **more}


def test_lines_that_were_appended_are_read_again(tmp_path: Path) -> None:
    rows = SweepRows(tmp_path)
    rows.append(line("a", result={"x": math.nan, "y": [math.inf, 1]}))
    rows.append(line("b", "broke"))
    again = SweepRows(tmp_path)
    assert again.finished == rows.finished == {"a"}
    assert [one["cell"] for one in again.of(["c", "b", "a"])] == ["b", "a"]
    assert again.of(["a"])[0]["result"] == {"x": None, "y": [None, 1]}
    assert again.others(["a"]) == 1


def test_the_last_line_of_a_cell_counts_and_the_others_go_when_settled(tmp_path: Path) -> None:
    rows = SweepRows(tmp_path)
    for one in (line("old"), line("b", "broke"), line("b"), line("a")):
        rows.append(one)
    assert len(rows.path.read_text().splitlines()) == 4
    rows.settle(["a", "b", "c"])
    assert [json.loads(text)["cell"] for text in rows.path.read_text().splitlines()] == ["a", "b", "old"]
    assert SweepRows(tmp_path).finished == {"a", "b", "old"}
    before = rows.path.stat().st_ino
    rows.settle(["a", "b", "c"])
    assert rows.path.stat().st_ino == before


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_torn_end_is_dropped_at_the_next_line(tmp_path: Path, cut: int) -> None:
    rows = SweepRows(tmp_path)
    rows.append(line("a"))
    rows.append(line("b"))
    rows.path.write_bytes(rows.path.read_bytes()[:-cut])
    again = SweepRows(tmp_path)
    assert again.finished == {"a"}
    again.append(line("c"))
    assert [json.loads(text)["cell"] for text in rows.path.read_text().splitlines()] == ["a", "c"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"cell": "a"}', '{"cell": 1, "grid": 2, "seed": 0, "result": 0, "error": 0}']
)
def test_damage_before_the_end_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(line("a")) + "\n" + text + "\n")
    with pytest.raises(UserError, match=r"rows\.jsonl, line 2: expected "):
        SweepRows(tmp_path)
