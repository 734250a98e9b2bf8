"""What a grid says, what a combination earns, and which one is taken."""

import math
from typing import Any

import pytest

from ssm_sense.errors import UserError
from ssm_sense.evaluate import RunInfo
from ssm_sense.evaluate.tune import MOST, Outcome, combinations, is_paper, outcome, pick, watch_all


def row(kind: str, prediction: str | None, truth: str, correct: bool, mra: float | None = None) -> dict[str, Any]:
    return {"kind": kind, "prediction": prediction, "truth": truth, "correct": correct, "mra": mra}


def earned(score: float, log_ratio: float | None = None, failed: int = 0, paper: bool = False) -> Outcome:
    return Outcome({}, score, log_ratio, 1, {}, failed, paper)


def test_a_grid_is_crossed_and_several_are_joined() -> None:
    one = {"a": [1, 2], "b": [None, {"class_path": "x.Y"}]}
    crossed = [{"a": a, "b": b} for a in (1, 2) for b in one["b"]]
    assert combinations(one) == crossed
    assert combinations([one, {"a": [2, 3], "b": [None]}]) == [*crossed, {"a": 3, "b": None}]


@pytest.mark.parametrize("grid", [None, [], {}, [{}], {"a": []}, {"a": 1}, "a", [["a"]], [{"a": [1]}, {}]])
def test_an_empty_grid_and_what_is_none_is_refused(grid: Any) -> None:
    with pytest.raises(UserError, match="expected settings by name, each with a list of values"):
        combinations(grid)


def test_a_grid_is_no_larger_than_can_be_tried() -> None:
    assert len(combinations({"a": [*range(MOST)]})) == MOST
    with pytest.raises(UserError, match=f"expected {MOST} combinations or fewer, got {10**12}"):
        combinations({name: [*range(1000)] for name in "abcd"})


def test_each_kind_of_question_weighs_the_same() -> None:
    rows = [row("vsr", "A", "A", True)] + [row("vsc", "3", "6", False, 0.1)] * 3 + [row("vsc", None, "1", False, 0.5)]
    found = outcome({"a": 1}, rows, failed=2, paper=True)
    assert found.score == pytest.approx((1 + 0.2) / 2)
    assert found.kinds == {"vsc": {"n": 4, "credit": pytest.approx(0.2)}, "vsr": {"n": 1, "credit": 1.0}}
    assert found.log_ratio == pytest.approx((3 * math.log(7 / 4) + math.log(2)) / 4), "no answer counts as 0"
    assert (found.settings, found.n, found.failed, found.paper) == ({"a": 1}, 5, 2, True)
    assert outcome({}, rows[:1]).log_ratio is None
    assert outcome({}, [row("vsc", "-4", "0", False, 0.0)]).log_ratio == 0


def test_ties_go_to_the_nearest_counts_then_to_the_paper_then_to_the_first() -> None:
    low, near, far = earned(0.4, 0.0, paper=True), earned(0.5, 1.0), earned(0.5, 2.0, paper=True)
    assert pick([low, far, near]) is near
    also = earned(0.5 + 1e-12, 1.0 + 1e-12, paper=True)
    assert pick([low, near, also, far]) is also
    assert pick([earned(0.5 + 1e-6, 9.0), near])[1] > near.score
    first, second = earned(0.5), earned(0.5)
    assert pick([low._replace(log_ratio=None), first, second]) is first


def test_what_failed_is_not_picked() -> None:
    assert pick([earned(1.0, failed=1), sound := earned(0.0)]) is sound
    with pytest.raises(UserError, match="every combination failed"):
        pick([earned(1.0, failed=1)])


def test_the_papers_settings_are_the_defaults_whatever_the_budget() -> None:
    class Policy:
        def __init__(self, model: object, a: int = 3, b: object = None, budget_bytes: int | None = None) -> None: ...

    policy: Any = Policy(None)
    assert is_paper(policy, {"a": 3, "b": None, "budget_bytes": 9})
    assert not is_paper(policy, {"a": 4})


def test_sets_of_clips_share_a_folder_and_are_watched_once(session, run, clip, tmp_path) -> None:
    other = RunInfo("other", "ours", 0, "model", "abc", "torch", "cpu")
    sets = [(run, [clip("a", [1, 2, 3, 4], 4.0)]), (other, [clip("a", [1, 2], 2.0), clip("b", [1, 255], 2.0)])]
    told: list[int] = []
    rows, failed = watch_all(session, sets, tmp_path, lambda: told.append(1))
    assert ([(one["run"], one["prediction"]) for one in rows], failed, len(told)) == (
        [("ours", "4"), ("other", "2"), ("other", None)],
        1,
        3,
    )
    session.vision.batches.clear()
    again, failed = watch_all(session, sets, tmp_path)
    assert (again[:2], failed) == (rows[:2], 1)
    assert session.vision.batches == [2], "only what failed is tried anew"
