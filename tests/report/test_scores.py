"""Tables against numbers worked by hand."""

import math

import pytest

from ssm_sense.metrics.interval import stream_mean, wilson
from ssm_sense.report.boundaries import boundary_lines, boundary_sources
from ssm_sense.report.figures import count_kind
from ssm_sense.report.palette import Palette
from ssm_sense.report.rows import read
from ssm_sense.report.scores import score_groups
from ssm_sense.report.tables import failures, provenance


def test_groups_come_recall_first_then_counts_then_easy_kinds(run_folder):
    groups = score_groups(read(run_folder).rows)
    assert [(g.title, g.measure, g.questions) for g in groups] == [
        ("Recall (VSR) · 1 min", "accuracy", 8),
        ("Count (VSC) · 1 min", "MRA", 8),
        ("room now · 1 min", "accuracy", 16),
    ]


def test_one_question_a_stream_has_a_wilson_interval(run_folder):
    recall = score_groups(read(run_folder).rows)[0]
    assert recall.interval == "Wilson"
    assert [s.label for s in recall.scores] == ["ours", "rival", "blind"]
    assert recall.scores[0].estimate == (0.75, *wilson(6, 8), 8, 8)
    assert (recall.floor, recall.floor_label) == (0.25, "chance")
    assert recall.blind is recall.scores[2]


def test_several_questions_a_stream_are_resampled_by_stream(run_folder):
    easy = score_groups(read(run_folder).rows)[2]
    assert easy.interval == "bootstrap over streams"
    clips = [f"c{i}" for i in range(8) for _ in range(2)]
    assert easy.scores[0].estimate == stream_mean([1.0, 0.0] * 8, clips)
    assert (easy.scores[0].estimate.n, easy.scores[0].estimate.streams) == (16, 8)


def test_counts_stand_beside_the_best_constant(run_folder):
    counts = score_groups(read(run_folder).rows)[1]
    assert counts.scores[0].estimate.value == pytest.approx(0.6)
    assert (counts.floor, counts.floor_label) == (1.0, "always “10”")  # every truth is 10


def test_words_stand_beside_the_commonest_answer(make):
    words = [make.row(clip=f"c{i}", kind="room", options=[], truth="hall" if i else "attic") for i in range(4)]
    (group,) = score_groups(words)
    assert (group.measure, group.floor, group.floor_label) == ("accuracy", 0.75, "always “hall”")


def test_lengths_and_data_sets_are_kept_apart(make):
    rows = [make.row(clip=f"c{m}{d}", settings={"minutes": m, "dataset": d}) for m in (60, 10) for d in ("x", "y")]
    titles = [group.title for group in score_groups(rows)]
    assert titles == [f"Recall (VSR) · {d} · {m} min" for d in ("x", "y") for m in (10, 60)]
    rows = [make.row(clip=f"c{s}", duration_s=s, settings={}) for s in (600.0, 71.4, 58.0, 120.0, 601.0)]
    titles = [group.title for group in score_groups(rows)]
    assert titles == ["Recall (VSR) · 58–71 s", "Recall (VSR) · 2 min", "Recall (VSR) · 10 min"]


def test_showings_of_one_video_are_told_apart(make):
    """Ten minutes, shown three times, each begun a second after the end of the one before."""
    settings = {"benchmark": "vsi-super", "minutes": 10.0, "repeat": [0, 1, 2]}
    times = {"vsc": (600.0, 1201.0, 1802.0), "vsc-streaming": (60.0, 600.0)}
    rows = [
        make.row(kind=kind, mra=0.5, t_s=t_s, duration_s=1802.0, settings=settings)
        for kind, asked in times.items()
        for t_s in asked
    ]
    assert [(group.title, group.questions) for group in score_groups(rows)] == [
        ("Count (VSC) · 10 min", 1),
        ("Count (VSC) · 20 min", 1),
        ("Count (VSC) · 30 min", 1),
        ("Count while streaming (VSC) · 10 min", 2),
    ]


def test_benchmarks_with_videos_of_all_lengths_keep_them_together(make):
    settings = {"benchmark": "vsi-bench", "dataset": "VSI-Bench"}
    rows = [make.row(clip=f"c{s}", kind="route_planning", duration_s=s, settings=settings) for s in (40.0, 90.0, 300.0)]
    assert [(g.title, g.questions) for g in score_groups(rows)] == [("route planning · VSI-Bench", 3)]


def test_only_counts_are_drawn_as_counts(make):
    sizes = [make.row(clip=f"c{i}", kind="object_size_estimation", mra=0.5) for i in range(3)]
    assert count_kind(sizes) is None
    assert count_kind([*sizes, make.row(kind="object_counting", mra=0.5)]) == "object_counting"


def test_failed_clips_count_as_wrong_and_crashes_of_the_scorer_do_not_count(make):
    rows = [
        make.row(clip="a"),
        make.row(clip="b", prediction=None, correct=False, error="OSError: gone"),
        make.row(clip="c", correct=None, error="scorer: could not convert"),
    ]
    (group,) = score_groups(rows)
    (score,) = group.scores
    assert (score.estimate.value, score.estimate.n, score.failed, score.unscored) == (0.5, 2, 1, 1)
    assert [row["clip"] for row in failures(rows)] == ["b", "c"]


def test_two_runs_of_one_policy_are_told_apart(make):
    rows = [make.row(run, policy="ours") for run in ("seed-0", "seed-1")]
    assert {s.label for s in score_groups(rows)[0].scores} == {"ours · seed-0", "ours · seed-1"}


def test_what_was_asked_with_a_grey_frame_counts_as_blind(make):
    rows = [make.row("ours"), make.row("ours-blind", policy="ours", blind=True, correct=False)]
    (group,) = score_groups(rows)
    assert group.blind is not None
    assert group.blind.estimate.value == 0.0


def test_a_clip_without_questions_is_no_score(make):
    silent = make.row(kind=None, question=None, truth=None, correct=None, prediction=None, error="OSError: gone")
    assert score_groups([silent]) == []
    assert failures([silent]) == [silent]


def test_boundaries_of_the_file_and_of_what_was_watched(run_folder):
    sources = {s.source: s for s in boundary_sources(boundary_lines(read(run_folder)))}
    assert list(sources) == ["ours (as watched)", "rival (as watched)", "closed loop", "random"]
    assert sources["closed loop"].auroc[:1] == (0.9,)
    assert (sources["closed loop"].n_events, sources["closed loop"].streams) == (8, 4)
    watched = sources["ours (as watched)"]
    # Events .9 and .3 among 57 others, of which only the false alarm of .7 beats .3.
    assert watched.auroc.value == pytest.approx(1 - 1 / (2 * 57))
    assert watched.f1 == pytest.approx(0.5)  # one hit, one false alarm, one miss
    assert watched.n_events == 2
    assert math.isnan(watched.auroc.low)  # one stream


def test_conditions_are_kept_apart(make):
    lines = [
        {"source": "lfp", "clip": "a", "condition": c, "auroc": a, "n_events": 3}
        for c, a in (("cuts", 1.0), ("walk", 0.5))
    ]
    assert [(s.condition, s.auroc.value) for s in boundary_sources(lines)] == [("cuts", 1.0), ("walk", 0.5)]


def test_a_clip_without_events_has_no_boundaries(make, tmp_path):
    frames = [make.frame(t_s=float(t)) for t in range(5)]
    assert boundary_lines(read(make.write(tmp_path, rows=[make.row()], frames=frames))) == []


def test_provenance_joins_what_changed_within_a_run(make):
    (run,) = provenance([make.row(clip="a"), make.row(clip="b", commit="def")])
    assert run["commit"] == "abc, def"
    assert run["settings"] == "minutes 1"


def test_a_policy_keeps_its_colour():
    palette = Palette(["blind", "rival", "ours", "zoo"])
    assert palette.order == ["ours", "rival", "zoo", "blind"]
    assert palette.colour("ours") == Palette(["ours"]).colour("ours")
    assert palette.colour("blind") == Palette(["a", "blind"]).colour("blind")
    many = Palette([f"p{i:02d}" for i in range(20)])
    assert len({(many.colour(p), str(many.dash(p))) for p in many.order}) == 20
