"""A table a benchmark, with the averages that their authors publish."""

import pytest

from ssm_sense.report import build
from ssm_sense.report.benchmarks import benchmarks

BENCH = {"benchmark": "vsi-bench", "dataset": "VSI-Bench", "fps": 1.0}
SUPER = {"benchmark": "vsi-super", "dataset": "recall"}


def bench(make, run, clip, kind, correct):
    return make.row(run, clip=clip, kind=kind, correct=correct, settings=BENCH)


def test_vsi_bench_is_the_mean_of_tasks_and_direction_the_mean_of_levels(make):
    rows = [
        *(bench(make, "ours", f"c{i}", "object_rel_direction_easy", i < 4) for i in range(8)),  # .5
        *(bench(make, "ours", f"c{i}", "object_rel_direction_hard", i < 2) for i in range(2)),  # 1
        *(bench(make, "ours", f"c{i}", "route_planning", False) for i in range(6)),  # 0
        make.row("ours", clip="c0", kind="object_counting", mra=0.6, settings=BENCH),
    ]
    (table,) = benchmarks(rows)
    assert table.title == "VSI-Bench"
    assert len(table.columns) == 8
    (entry,) = table.entries
    assert entry.scores == pytest.approx({"object rel direction": 0.75, "route planning": 0.0, "object counting": 0.6})
    assert entry.average is not None
    assert entry.average.value == pytest.approx(0.45)
    assert (entry.average.n, entry.average.streams) == (17, 8)
    assert 0 <= entry.average.low < 0.45 < entry.average.high <= 1


def test_vsi_super_keeps_lengths_apart_and_joins_a_policys_runs(make):
    rows = [
        make.row(
            f"{policy}-{minutes}min", policy=policy, correct=policy == "ours", settings=SUPER | {"minutes": minutes}
        )
        for policy in ("rival", "ours")
        for minutes in (30, 10)
    ]
    (table,) = benchmarks(rows)
    assert table.title == "VSI-SUPER · recall"
    assert table.columns == ["Recall (VSR) 10 min", "Recall (VSR) 30 min"]
    assert [(entry.label, list(entry.scores.values())) for entry in table.entries] == [
        ("ours", [1.0, 1.0]),
        ("rival", [0.0, 0.0]),
    ]
    assert table.entries[0].average is None


def test_a_question_asked_at_a_duration_stands_for_it(make):
    settings = SUPER | {"minutes": 60, "ask_at": [10, 60]}
    rows = [make.row(t_s=t_s, settings=settings) for t_s in (600.0, 3600.0)]
    rows += [make.row(t_s=100.0, kind="vsc-streaming", mra=0.5, settings=settings)]
    (table,) = benchmarks(rows)
    assert table.columns == ["Recall (VSR) 10 min", "Recall (VSR) 60 min", "Count while streaming (VSC) 60 min"]


def test_data_sets_seeds_and_crashes(make):
    settings = {"benchmark": "vsi-590k", "dataset": "tours"}
    rows = [
        make.row("a", policy="ours", kind="object_count", mra=0.3, settings=settings),
        make.row("b", policy="ours", kind="object_count", mra=0.5, settings=settings, seed=1),
        make.row("b", policy="ours", kind="x", correct=None, settings=settings, seed=1),
        make.row("c", settings={}),
    ]
    (table,) = benchmarks(rows)
    assert (table.title, table.columns) == ("VSI-590K · tours", ["object count"])
    assert [entry.label for entry in table.entries] == ["ours · b", "ours · a"]


def test_the_page_and_its_csv_have_them(make, tmp_path):
    rows = [bench(make, run, f"c{i}", "route_planning", i < 5) for run in ("ours", "blind") for i in range(10)]
    build(make.write(tmp_path, rows=rows), tmp_path / "page.html")
    lines = (tmp_path / "page" / "benchmarks.csv").read_text().splitlines()
    assert lines[1] == "VSI-Bench,ours,route planning,0.5,,"
    benchmark, policy, task, score, low, high = lines[2].split(",")
    assert (benchmark, policy, task, score) == ("VSI-Bench", "ours", "average", "0.5")
    assert 0.05 < float(low) < 0.3 < 0.7 < float(high) < 0.95
    assert "VSI-Bench, in percent." in (tmp_path / "page.html").read_text()
