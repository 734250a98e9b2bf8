"""Differences are taken within a seed, and read as what their interval allows."""

import pytest

from ssm_sense.sweep.compare import comparison, differences

COMPARE = {"column": "value", "with": 1, "margins": {"score": 0.5}}


def lines(made, result):
    return [
        {"cell": c.name, "grid": c.grid, "seed": c.seed, "result": result(c.grid["value"], c.seed), "error": None}
        for c in made.cells
    ]


def compared(made, found):
    (one,) = made.compare
    return differences(made, found, one)


@pytest.mark.parametrize(
    ("shift", "noise", "reading"),
    [(0.1, 0.05, "the same"), (2.0, 0.1, "higher"), (-2.0, 0.1, "lower"), (0.3, 1.0, "open"), (0.45, 0.01, "the same")],
)
def test_differences_are_read_by_their_intervals(plan, shift: float, noise: float, reading: str) -> None:
    made = plan(seeds=[0, 1, 2], compare=COMPARE)

    def result(value: int, seed: int) -> dict[str, float]:
        return {"score": 100 * seed + (value == 2) * (shift + noise * (seed - 1))}

    found = compared(made, lines(made, result))
    (one,) = found
    assert (one.columns, one.metric, one.reading) == ({"value": 2, "mode": "plain"}, "score", reading)
    assert one.mean.value == pytest.approx(shift)
    assert one.mean.high - one.mean.value == pytest.approx(4.302653 * noise / 3**0.5)


def test_pairs_share_their_other_columns_and_their_seed(plan) -> None:
    made = plan(grid={"mode": {"a": "ok", "b": "ok"}, "value": [1, 2]}, seeds=[0, 1], by=["load"], compare=COMPARE)
    all_lines = lines(made, lambda value, seed: [{"load": load, "score": value * load} for load in (4, 8)])
    found = compared(
        made, [line for line in all_lines if (line["grid"], line["seed"]) != ({"mode": "b", "value": 1}, 1)]
    )
    assert [(one.columns["mode"], one.columns["load"], one.mean.value, one.mean.n) for one in found] == [
        ("a", 4, 4, 2), ("a", 8, 8, 2), ("b", 4, 4, 1), ("b", 8, 8, 1),
    ]  # fmt: skip
    assert found[2].reading == "open"


def test_a_mean_of_several_metrics_is_one_too(plan) -> None:
    made = plan(means={"both": ["a", "b"]}, compare={**COMPARE, "margins": {"both": 0.1}})
    found = compared(made, lines(made, lambda value, seed: {"a": value, "b": 3 * value, "score": 0}))
    assert [one.mean.value for one in found] == [2.0]
    assert compared(made, lines(made, lambda value, seed: {"a": value})) == []


def test_it_is_told_in_a_table(plan) -> None:
    made = plan(seeds=[0, 1], compare=COMPARE, figure={"labels": {"score": "points"}})
    (one,) = made.compare
    text = comparison(made, compared(made, lines(made, lambda value, seed: {"score": value + 0.01 * seed})), one)
    assert text.splitlines()[0] == "Less value 1, seed by seed:"
    assert "| 2 | plain | points | 1 [1, 1] | higher |" in text
    assert "(±0.5 of points)" in text
    assert comparison(made, [], one) == ""
    assert plan(compare=[COMPARE, {**COMPARE, "with": 2}]).compare[1].base == "2"
