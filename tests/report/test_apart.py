"""Seeds of one policy stand in one line; two policies that are called the same do not."""

import pytest

from ssm_sense.report import build
from ssm_sense.report.against import comparisons
from ssm_sense.report.apart import told_apart
from ssm_sense.report.benchmarks import benchmarks
from ssm_sense.report.durations import topics
from ssm_sense.report.lengths import lasting


def asked(make, run, right, seed=0, minutes=(1,), settings=None, **fields):
    """Eight clips a length, all right or all wrong."""
    return [
        make.row(
            run,
            clip=f"{m}mins/c{i}",
            t_s=60.0 * m,
            duration_s=60.0 * m,
            correct=right,
            seed=seed,
            settings={"minutes": m, **(settings or {})},
            **{"policy": "window"} | fields,
        )
        for m in minutes
        for i in range(8)
    ]


def of(frames):
    return {"policy": {"frames": frames, "budget_bytes": 100}}


def test_seeds_budgets_and_lengths_are_one_policy(make):
    rows = [
        *(row for seed in range(3) for row in asked(make, f"w-{seed}", True, seed, settings=of(8))),
        *asked(make, "w-10min", False, 0, minutes=(10,), settings=of(8)),
        *asked(make, "w-count", False, 0, settings={**of(8), "dataset": "count", "ask_at": [1]}),
        *asked(make, "w-old", False, 3),  # says nothing of its settings, as rows once did
        *asked(make, "w-large", False, 0, settings={"policy": {"frames": 64, "budget_bytes": 800}}),
    ]
    assert told_apart(rows) == rows


def test_settings_scorers_rates_and_models_are_told_apart(make):
    for one, other in (
        ({"settings": of(8)}, {"settings": of(64)}),
        ({"settings": {"fps": 1.0}}, {"settings": {"fps": 2.0}}),
        ({"scorer": "robust-2"}, {"scorer": "official"}),
        ({"config": "a"}, {"config": "b"}),  # the same seed and the same questions: two models
    ):
        rows = [*asked(make, "w8", True, **one), *asked(make, "w64", False, **other)]
        assert {row["run"]: row["policy"] for row in told_apart(rows)} == {"w8": "window · w8", "w64": "window · w64"}
    seeds = [*asked(make, "w8", True, settings=of(8)), *asked(make, "w64", False, seed=1, settings=of(64))]
    (one, other) = comparisons(told_apart([*seeds, *asked(make, "ours", True, policy="ours")]), "ours")
    assert {one.run: one.difference.value, other.run: other.difference.value} == {"w8": 0.0, "w64": -1.0}


def test_two_models_that_were_blinded_are_not_one(make):
    rows = [
        *asked(make, "a-blind", True, policy="ours", blind=True),
        *asked(make, "b-blind", False, policy="storm", blind=True),
    ]
    (topic,) = topics(told_apart(rows))
    assert {point.policy: point.estimate.value for point in topic.overall} == {
        "blind · a-blind": 1.0,
        "blind · b-blind": 0.0,
    }
    assert told_apart(rows[:8]) == rows[:8]


def test_no_line_pools_them(make, tmp_path):
    settings = {"benchmark": "vsi-super", "dataset": "d"}
    rows = [
        *asked(make, "w8", False, minutes=(10, 30), settings={**settings, **of(8)}),
        *asked(make, "w64", True, minutes=(10, 30), settings={**settings, **of(64)}),
    ]
    apart = told_apart(rows)
    (topic,) = topics(apart)
    assert sorted((point.policy, point.estimate.value, point.estimate.n) for point in topic.overall) == [
        ("window · w64", 1.0, 16),
        ("window · w8", 0.0, 16),
    ]
    assert [(line.policy, line.scores) for line in lasting(apart, 0.05)] == [
        ("window · w8", (0.0, 0.0)),
        ("window · w64", (1.0, 1.0)),
    ]
    (bench,) = benchmarks(apart)
    assert {entry.label: set(entry.scores.values()) for entry in bench.entries} == {
        "window · w64": {1.0},
        "window · w8": {0.0},
    }
    build(make.write(tmp_path / "run", rows=rows), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.index("window · w8") > 0


@pytest.mark.parametrize("kind", ["vsr", "vsc"])
def test_where_nobody_has_a_score_the_page_says_what_failed(make, tmp_path, kind):
    cut = {"correct": None, "mra": None, "prediction": None, "error": "stopped: 10 bytes"}
    folder = make.write(tmp_path / "run", rows=[make.row(kind=kind, **cut)])
    build(folder, tmp_path / "page.html")
    assert "stopped: 10 bytes" in (tmp_path / "page.html").read_text()
    assert not (tmp_path / "page" / "scores.csv").exists()
