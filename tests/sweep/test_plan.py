"""A sweep.yaml becomes cells, or an error that says what to put right."""

import math
import textwrap
from pathlib import Path

import pytest

from ssm_sense.errors import UserError
from ssm_sense.sweep.plan import read_plan


def test_cells_are_the_product_of_grid_and_seeds(plan) -> None:
    made = plan(grid={"value": [1, 2.5], "mode": {"plain": "ok", "two": ["fail", "b c"], "none": None}})
    assert [(cell.grid["value"], cell.grid["mode"], cell.seed) for cell in made.cells] == [
        (value, mode, seed) for value in (1, 2.5) for mode in ("plain", "two", "none") for seed in (0, 1)
    ]
    assert made.cells[3].commands == (("info", "{cell}", "1", "1", "fail", "b c"),)
    assert made.cells[10].commands == (("info", "{cell}", "2.5", "0"),)
    assert made.cells[3].title == "value=1 mode=two seed=1"
    assert len({cell.name for cell in made.cells}) == 12


def test_what_a_file_need_not_say(plan, folder) -> None:
    made = plan(name=None)
    assert (made.name, made.folder, made.columns) == (folder.name, folder, ("value", "mode"))
    assert (made.limit_s, made.results, made.keep, made.by) == (math.inf, ("{cell}/result.json",), (), ())
    assert plan(limit={"minutes": 0.5}).limit_s == 30
    assert not made.resume
    assert plan(resume=True).resume


def test_a_cells_name_changes_with_what_it_does_and_with_nothing_else(plan) -> None:
    names = [cell.name for cell in plan().cells]
    assert [cell.name for cell in plan(rung="tiny model").cells] == names
    assert [cell.name for cell in plan(limit={"minutes": 1}, grid={"value": [0, 1, 2], "mode": {"plain": "ok"}}).cells][
        2:
    ] == names
    assert set(names).isdisjoint(cell.name for cell in plan(run=["info {cell} {value} {seed} {mode} more"]).cells)


def test_parts_go_to_different_commands(plan) -> None:
    made = plan(
        run=["fit {seed} {memory.fit}", "info {memory.ask}"],
        grid={"memory": {"bank": {"fit": "--a 1", "ask": []}, "none": {"fit": None, "ask": 3}}},
        seeds=[7],
    )
    assert [cell.commands for cell in made.cells] == [
        (("fit", "7", "--a", "1"), ("info",)),
        (("fit", "7"), ("info", "3")),
    ]


def test_a_values_words_may_name_the_seed(plan) -> None:
    made = plan(
        run=["fit {value} {seed}", "info {mode.ask}"],
        grid={"value": {"a": "--seed={seed} {cell}", "b": []}, "mode": {"c": {"ask": ["{seed}", "x{seed}"]}}},
        seeds=[7, 8],
    )
    assert [cell.commands for cell in made.cells] == [
        (("fit", "--seed=7", "{cell}", "7"), ("info", "7", "x7")),
        (("fit", "--seed=8", "{cell}", "8"), ("info", "8", "x8")),
        (("fit", "7"), ("info", "7", "x7")),
        (("fit", "8"), ("info", "8", "x8")),
    ]


def test_combinations_are_left_out(plan) -> None:
    grid = {"value": [1, 2, 3], "mode": {"a": "ok", "b": "ok"}}
    made = plan(grid=grid, seeds=[0], **{"except": [{"mode": "a", "value": [2, 3]}, {"value": 1, "mode": ["b"]}]})
    assert [(cell.grid["value"], cell.grid["mode"]) for cell in made.cells] == [(1, "a"), (2, "b"), (3, "b")]
    with pytest.raises(UserError, match="leaves out all of them"):
        plan(**{"except": [{"value": [1, 2]}]})


GRID = {"value": [1], "mode": {"plain": "ok"}}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"girds": 1}, "unknown key 'girds'"),
        ({"seeds": None}, "expected a key 'seeds'"),
        ({"seeds": [0, 0]}, "no seed twice"),
        ({"seeds": 3}, "seeds: expected a list of whole numbers"),
        ({"seeds": [0.5]}, "seeds: expected a list of whole numbers"),
        ({"run": "info"}, "run: expected a list of commands, got str"),
        ({"run": ["sweep {cell}"]}, "a sweep can run, got 'sweep'"),
        ({"run": ["info {value} {seed} {mode} {size}"]}, "{size} is no column of the grid"),
        ({"run": ["info {value} {seed}"]}, "grid: mode: expected a placeholder {mode}"),
        ({"run": ["info {value} {mode}"]}, "expected a placeholder {seed}, for there are 2 seeds"),
        ({"run": ["info {value} {seed} {mode.a}"]}, "expected a part 'a'"),
        (
            {"run": ["info {value} {seed} --x={mode}"], "grid": {**GRID, "mode": {"a": "b c"}}},
            "must stand for one word",
        ),
        ({"grid": {**GRID, "mode": {"a": {"x": 1}}}}, "expected one of them, such as {mode.PART}"),
        ({"grid": {**GRID, "mode": {"a": {}}}}, "mode: a: expected words, or parts"),
        ({"grid": {**GRID, "mode": {"a": "it's"}}}, "No closing quotation"),
        ({"grid": {**GRID, "mode": {"a": "{value}"}}}, "mode: expected no placeholder but here, work, cell, seed, got"),
        ({"rung": ["a"]}, "rung: expected a line of text, such as 'tiny latents', got ['a']"),
        ({"rung": ""}, "rung: expected a line of text"),
        ({"rung": 1}, "rung: expected a line of text"),
        ({"grid": {**GRID, "value": [1, "1"]}}, "grid: value: 1 stands twice"),
        ({"grid": {**GRID, "value": []}}, "grid: value: expected at least one value"),
        ({"grid": {**GRID, "value": 3}}, "grid: value: expected a list of values"),
        ({"grid": {**GRID, "value": [None]}}, "grid: value: expected a text, a number"),
        ({"grid": {**GRID, "seed": [1]}}, "'seed' cannot be the name of a column"),
        ({"grid": {**GRID, "a-b": [1]}}, "'a-b' cannot be the name of a column"),
        ({"grid": [1]}, "grid: expected columns with their values, got list"),
        ({"prepare": ["info {value}"]}, "prepare: expected no placeholder but {here} and {work}, got {value}"),
        ({"except": [{"size": 1}]}, "except: expected a column of the grid (value, mode), got 'size'"),
        ({"except": [{"value": 9}]}, "except: value: expected one of 1, 2, got '9'"),
        ({"except": {"value": 1}}, "except: expected a list, got dict"),
        ({"except": ["value"]}, "except: expected columns with values"),
        ({"resume": "no"}, "resume: expected true or false, got 'no'"),
        ({"limit": 20}, "limit: expected {minutes: NUMBER}, got 20"),
        ({"limit": {"minutes": 0}}, "limit: expected {minutes: NUMBER}"),
        ({"name": "a/b"}, "name: expected letters"),
        ({"result": ["{value}/a.json"]}, "result: expected a path within {cell}, got {value}"),
        ({"keep": [1]}, "keep: expected a name, or a list of names"),
        ({"by": ["a", "a"]}, "by: expected no name twice"),
        ({"by": ["value"]}, "by: expected columns of the result alone, got 'value'"),
        ({"keep": ["a"], "by": ["b"]}, "keep: expected 'b' among it"),
        ({"means": []}, "means: expected names with lists of columns"),
        ({"means": {"a": []}}, "means: a: expected a list of other columns"),
        ({"means": {"a": ["a", "b"]}}, "means: a: expected a list of other columns"),
        ({"means": {"a": ["b"]}, "keep": ["c"]}, "keep: expected 'b' among it"),
        ({"compare": {"column": "value"}}, "compare: expected {column: NAME, with: VALUE, margins"),
        ({"compare": {"column": "a", "with": 1, "margins": {"s": 1}}}, "compare: expected a column of the grid"),
        ({"compare": {"column": "value", "with": 9, "margins": {"s": 1}}}, "compare: value: expected one of 1, 2, got"),
        ({"compare": {"column": "value", "with": 1, "margins": {}}}, "compare: margins: expected metrics"),
        ({"compare": {"column": "value", "with": 1, "margins": {"s": -1}}}, "margins: s: expected a number, 0 or more"),
        ({"figure": []}, "figure: expected a mapping, got list"),
        ({"figure": {"z": 1}}, "figure: unknown key 'z'"),
        ({"figure": {"x": "size", "y": "score"}}, "figure: expected a column of grid or by (value, mode), got 'size'"),
        ({"figure": {"x": "value"}}, "figure: expected a list y"),
        ({"figure": {"lines": "value", "y": "a"}}, "figure: expected a column for x"),
        ({"figure": {"x": "value", "lines": "value", "y": "a"}}, "figure: expected different columns"),
        ({"figure": {"x": ["value"]}}, "figure: x: expected the name of a column"),
        ({"figure": {"y": [1]}}, "figure: y: expected a name, or a list"),
        ({"figure": {"log": "z"}}, "figure: log: expected some of x, y, got z"),
        ({"figure": {"labels": {"a": 1}}}, "figure: labels: expected columns with texts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_before_anything_runs(plan, keys, message) -> None:
    with pytest.raises(UserError, match=r"sweep\.yaml: ") as caught:
        plan(**keys)
    assert message in str(caught.value)


def test_the_manuals_example_is_a_sweep(folder) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    block = manual[manual.index("    name: load") : manual.index("\nOnly `run`")]
    (folder / "sweep.yaml").write_text(textwrap.dedent(block))
    made = read_plan(folder / "sweep.yaml", {"world", "fit", "evaluate"})
    assert len(made.cells) == 3 * (2 * 3 - 2)
    assert made.cells[0].commands[0][:3] == ("fit", "--config", "configs/tiny/ours.yaml")
    assert (made.figure.labels, made.rung) == ({"mra": "accuracy"}, "tiny model")
