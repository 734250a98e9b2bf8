"""Paired differences to a chosen policy."""

import csv
import math

import pytest

from ssm_sense.commands import report as command
from ssm_sense.errors import UserError
from ssm_sense.metrics.compare import holm, paired_difference
from ssm_sense.report.against import against_csv, against_section, comparisons
from ssm_sense.report.palette import Palette


def recall(make, run, rights, **fields):
    return [make.row(run, clip=f"c{i}", correct=right, **fields) for i, right in enumerate(rights)]


def test_differences_are_of_the_same_questions(make):
    rows = [
        *recall(make, "ours", [True] * 8 + [False] * 2),
        *recall(make, "rival", [True] * 2 + [False] * 8),
        *recall(make, "zoo", [True] * 2 + [False] * 8 + [True] * 9),  # nine that the rival was never asked
    ]
    ours, zoo = comparisons(rows, "rival")
    assert (ours.group, ours.policy, ours.run, ours.rival) == ("Recall (VSR) · 1 min", "ours", "ours", "rival")
    want = paired_difference([1.0] * 8 + [0.0] * 2, [1.0] * 2 + [0.0] * 8, range(10))
    assert ours.difference == want
    assert ours.difference.p == pytest.approx(2 / 64)
    assert (zoo.difference.value, zoo.difference.p, zoo.difference.n) == (0.0, 1.0, 10)
    assert [ours.p, zoo.p] == holm([2 / 64, 1.0])
    assert (ours.verdict, zoo.verdict) == ("open", "open")  # .0625 after Holm's correction; ten streams show too little


def test_verdicts(make):
    rows = [*recall(make, "ours", [True] * 12), *recall(make, "rival", [False] * 12)]
    assert [one.verdict for one in comparisons(rows, "rival")] == ["better"]
    assert [one.verdict for one in comparisons(rows, "ours")] == ["worse"]
    alike = [*recall(make, "ours", [True, False] * 30), *recall(make, "rival", [True, False] * 30)]
    assert [one.verdict for one in comparisons(alike, "rival")] == ["as good"]
    few = [*recall(make, "ours", [True] * 3), *recall(make, "rival", [False] * 3)]
    assert [one.verdict for one in comparisons(few, "rival")] == ["open"]


def test_counts_are_compared_by_their_mra_and_crashes_left_out(make):
    rows = [make.row(run, kind="vsc", clip=f"c{i}", mra=mra) for run, mra in (("a", 0.6), ("b", 0.4)) for i in range(6)]
    rows[0] |= {"mra": None, "correct": None, "error": "scorer: could not convert"}
    (one,) = comparisons(rows, "b")
    assert one.difference.value == pytest.approx(0.2)
    assert one.difference.n == 5


def test_a_policy_or_a_run_may_be_named(make):
    rows = [
        *recall(make, "ours-0", [True] * 6, policy="ours"),
        *recall(make, "ours-1", [True] * 6, policy="ours"),
        *recall(make, "rival", [False] * 6),
    ]
    assert [one.run for one in comparisons(rows, "ours-1")] == ["ours-0", "rival"]
    assert [one.run for one in comparisons(rows, "rival")] == ["ours-0", "ours-1"]
    with pytest.raises(UserError, match=r"1 min: expected one run, got ours-0, ours-1; name one"):
        comparisons(rows, "ours")
    with pytest.raises(UserError, match="expected a policy or run among ours, ours-0, ours-1, rival"):
        comparisons(rows, "nobody")
    with pytest.raises(UserError, match="no other run answered any of the same questions"):
        comparisons(rows[-6:], "rival")


def test_all_lengths_are_compared_together_too(make):
    rows = [
        row
        for run, rights in (("ours", [True] * 6), ("rival", [True] * 3 + [False] * 3))
        for minutes in (1, 10)
        for row in recall(make, run, rights, settings={"minutes": minutes}, t_s=60.0 * minutes)
    ]
    found = {one.group: one for one in comparisons(rows, "rival")}
    assert list(found) == ["Recall (VSR) · 1 min", "Recall (VSR) · 10 min", "Recall (VSR) · all lengths"]
    whole = found["Recall (VSR) · all lengths"].difference
    assert (whole.n, whole.streams) == (12, 6)
    assert whole == paired_difference([1.0] * 12, ([1.0] * 3 + [0.0] * 3) * 2, [*range(6)] * 2)


def test_what_is_corrected_and_judged_are_the_main_endpoints(make):
    """Recall has two lengths, which decide together; the count has one."""
    rows = []
    for run, right in (("ours", True), ("rival", False)):
        for minutes in (1, 10):
            rows += recall(make, run, [right] * 6, settings={"minutes": minutes}, t_s=60.0 * minutes)
        rows += [make.row(run, kind="vsc", clip=f"c{i}", mra=0.9 if right else 0.1) for i in range(6)]
    found = {one.group: one for one in comparisons(rows, "rival")}
    single, count = found["Recall (VSR) · 1 min"], found["Count (VSC) · 1 min"]
    assert single.difference.p == 2 / 64
    assert math.isnan(single.p)
    assert math.isnan(single.p_equal)
    assert single.verdict == found["Recall (VSR) · 10 min"].verdict == ""
    assert [count.p, found["Recall (VSR) · all lengths"].p] == [2 * 2 / 64] * 2, "of two endpoints, not of four lines"
    lines = {line["group"]: line for line in against_csv([single, count])}
    assert lines["Recall (VSR) · 1 min"]["verdict"] == ""
    assert math.isnan(lines["Recall (VSR) · 1 min"]["p_holm"])
    text = against_section([*found.values()], "rival", 0.05, Palette(["ours", "rival"]))
    assert "<td>0.031</td><td>1.000</td><td>–</td>" in text
    assert "<td>0.062</td><td>1.000</td><td>open</td>" in text
    assert "over the 2 lines with a verdict" in text


def test_seeds_of_a_policy_are_compared_together_each_with_its_like(make):
    answers = {"ours": {0: [True] * 6, 1: [False] * 6}, "rival": {0: [False] * 6, 1: [False] * 6, 2: [True] * 6}}
    rows = [
        row
        for policy, seeds in answers.items()
        for seed, rights in seeds.items()
        for row in recall(make, f"{policy}-{seed}", rights, policy=policy, seed=seed)
    ]
    (one,) = comparisons(rows, "rival")
    assert (one.policy, one.run, one.rival) == ("ours", "ours-0 + ours-1", "rival-0 + rival-1 + rival-2")
    assert (one.difference.value, one.difference.n, one.difference.streams) == (0.5, 12, 6)
    blind = recall(make, "blind", [False] * 6)
    differences = {one.run: one.difference for one in comparisons([*rows, *blind], "ours") if one.policy == "blind"}
    assert (differences["blind"].value, differences["blind"].n) == (-0.5, 12), "beside every seed"
    assert (differences["blind"].low, differences["blind"].high) == (-1.0, 0.0), "seeds are drawn"
    back = {one.policy: one.difference.value for one in comparisons([*rows, *blind], "blind")}
    assert back == {"ours": 0.5, "rival": pytest.approx(1 / 3)}
    named = {one.run: one.difference.value for one in comparisons(rows, "ours-1")}
    assert named == {"ours-0": 1.0, "rival-0 + rival-1 + rival-2": pytest.approx(1 / 3)}
    budget = {"minutes": 1, "policy": {"budget_bytes": 5}}
    wide = recall(make, "wide", [True] * 6, policy="rival", settings=budget, seed=1)
    assert [one.run for one in comparisons([*rows, *wide], "ours")] == ["rival-0 + rival-1 + rival-2", "wide"]


def test_the_average_of_vsi_bench_is_compared_too(make):
    settings = {"benchmark": "vsi-bench", "dataset": "tours"}
    rows = [
        make.row(run, clip=f"c{i}", kind=kind, correct=right, settings=settings)
        for run, right in (("ours", True), ("rival", False))
        for kind, n in (("route_planning", 2), ("object_rel_distance", 6))
        for i in range(n)
    ]
    found = {one.group: one for one in comparisons([*rows, rows[0]], "rival")}
    assert len(found) == 3
    average = found["VSI-Bench · tours · average of the tasks"]
    assert average.difference.value == 1.0
    assert average.difference.p == pytest.approx(2 / 64)
    assert average.difference.n == 8


def test_the_command_writes_section_and_csv(run_folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    flags = ["--rows", str(run_folder), "--out", str(page), "--against", "rival", "--margin", "10"]
    assert command.main(flags) == 0
    assert str(tmp_path / "page" / "against.csv") in capsys.readouterr().out
    with open(tmp_path / "page" / "against.csv") as file:
        lines = list(csv.DictReader(file))
    assert [(line["group"], line["policy"]) for line in lines[:2]] == [
        ("Recall (VSR) · 1 min", "ours"),
        ("Recall (VSR) · 1 min", "blind"),
    ]
    assert float(lines[0]["difference"]) == 0.25
    text = page.read_text()
    assert "<h2>Against rival</h2>" in text
    assert "+25.0" in text
    assert "--against rival --margin 10" in text
    with pytest.raises(UserError, match="--margin: expected points between 0 and 100, got 0"):
        command.main([*flags[:-1], "0"])
