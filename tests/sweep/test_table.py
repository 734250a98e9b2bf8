"""Means over seeds, from lines alone."""

import csv
import math
from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.sweep.table import markdown, over_seeds, short, summarise, write_csv

COMMIT = "0123456789abcdef0123456789abcdef01234567+changes"


def lines(made, result, error=lambda cell: None):
    return [
        {"cell": c.name, "grid": c.grid, "seed": c.seed, "result": result(c), "error": error(c), "commit": COMMIT}
        for c in made.cells
    ]


def test_students_interval_over_three_seeds() -> None:
    mean = over_seeds([0.2, 0.3, 0.7])
    assert (mean.value, mean.n) == (pytest.approx(0.4), 3)
    assert mean.high - mean.value == pytest.approx(4.302653 * math.sqrt(0.07 / 3))
    assert mean.value - mean.low == pytest.approx(mean.high - mean.value)
    assert math.isnan(over_seeds([0.2]).low)
    with pytest.raises(ValueError, match="at least one"):
        over_seeds([])


def test_groups_are_means_over_seeds_of_each_combination(plan) -> None:
    made = plan()
    groups = summarise(made, lines(made, lambda c: {"score": c.grid["value"] * 10 + c.seed, "name": "x", "none": None}))
    assert [dict(group.columns) for group in groups] == [{"value": 1, "mode": "plain"}, {"value": 2, "mode": "plain"}]
    assert [group.means["score"].value for group in groups] == [10.5, 20.5]
    assert all(set(group.means) == {"score"} for group in groups)


def test_a_result_of_several_lines_is_told_apart_by_its_columns(plan) -> None:
    made = plan(by=["load"], figure={"x": "load", "y": "score"})
    found = lines(made, lambda c: [{"load": 4, "score": c.seed}, {"load": 8, "score": 1}, {"load": 8, "score": 2}])
    groups = summarise(made, found)
    assert [(group.columns["value"], group.columns["load"]) for group in groups] == [(1, 4), (1, 8), (2, 4), (2, 8)]
    assert [(group.means["score"].value, group.means["score"].n) for group in groups[:2]] == [(0.5, 2), (1.5, 2)]
    fewer = summarise(made, found, ["load"])
    assert [(dict(group.columns), group.means["score"].n) for group in fewer] == [({"load": 4}, 2), ({"load": 8}, 2)]


def test_what_is_named_but_not_there_is_said(plan) -> None:
    made = plan(by=["load"])
    with pytest.raises(UserError, match="expected a column 'load' in the result"):
        summarise(made, lines(made, lambda c: {"score": 1}))
    made = plan(figure={"x": "value", "y": ["score", "f1"]})
    with pytest.raises(UserError, match=r"figure: y: expected a number of the result \(score\), got 'f1'"):
        summarise(made, lines(made, lambda c: {"score": 1}))


def test_the_readable_table_says_what_is_missing(plan) -> None:
    made = plan(seeds=[0, 1, 2], figure={"labels": {"score": "a|b"}})
    found = lines(
        made,
        lambda c: {"score": 1000.4 + c.seed, "share": 0.5},
        lambda c: "broke\nhere" if (c.grid["value"], c.seed) == (2, 2) else None,
    )[1:]
    text = markdown(made, summarise(made, found), found)
    assert text.splitlines()[0] == "| value | mode | a\\|b | share |"
    assert text.splitlines()[2] == "| 1 | plain | 1,002 [996, 1,008] | 0.5 [0.5, 0.5] |"
    assert "Student's t over seeds (2 of them). 1 of 6 cells were not run. 1 of 6 cells failed:" in text
    assert f"- `{made.cells[5].name}`: broke\n" in text
    assert "rows of commit 012345678+changes.\n" in text


def test_the_readable_table_begins_with_its_rungs(plan) -> None:
    plain, made = plan(), plan(rung="tiny latents")
    found = lines(made, lambda c: {"score": 1})
    first, second, third, _ = markdown(made, summarise(made, found), found).split("\n", 3)
    assert (first, second, third) == ("**Rung**: tiny latents", "", "| value | mode | score |")
    told = [{**found[0], "rung": "latent world"}, {**found[1], "rung": None}, *found[2:]]
    assert markdown(made, [], told).startswith("**Rung**: latent world, tiny latents\n\n|")
    assert markdown(plain, [], told).startswith("**Rung**: latent world\n\n|")


def test_the_csv_file_has_a_line_a_mean(plan, tmp_path: Path) -> None:
    made = plan(seeds=[0])
    write_csv(tmp_path / "t.csv", made, summarise(made, lines(made, lambda c: {"score": c.grid["value"] / 3})))
    with open(tmp_path / "t.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["value", "mode", "metric", "mean", "low", "high", "seeds"],
            ["1", "plain", "score", "0.333333", "", "", "1"],
            ["2", "plain", "score", "0.666667", "", "", "1"],
        ]


@pytest.mark.parametrize(("value", "text"), [(0.87349, "0.873"), (12345.6, "12,346"), (0, "0"), (-2.5, "-2.5")])
def test_three_figures(value: float, text: str) -> None:
    assert short(value) == text
