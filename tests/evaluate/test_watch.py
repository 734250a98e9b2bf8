"""One pass over a clip: what is fed when, what is asked when, and what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssm_sense.data.clip import Clip, Question
from ssm_sense.errors import UserError
from ssm_sense.evaluate import RunInfo, Summary, blind, evaluate
from ssm_sense.lock import alone_in


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def watch(clips, session, run, out, **settings):
    return evaluate(clips, session, out, run, progress=False, **settings)


@pytest.mark.parametrize("batch_frames", [1, 3, 8, 100])
def test_a_question_sees_the_frames_up_to_its_time_and_none_after(clip, session, run, tmp_path, batch_frames):
    watch([clip("a", [10] * 9, 8.5, 0.0, 3.0, 3.9, -1.0, 100.0)], session, run, tmp_path, batch_frames=batch_frames)
    rows = lines(tmp_path / "rows.jsonl")
    assert [(row["t_s"], row["prediction"]) for row in rows] == [
        (-1.0, "0"),
        (0.0, "1"),
        (3.0, "4"),
        (3.9, "4"),
        (8.5, "9"),
        (100.0, "9"),
    ]
    assert [row["seen_s"] for row in rows] == [None, 0.0, 3.0, 3.0, 8.0, 8.0]


def test_frames_are_fed_in_batches_as_they_are_decoded(clip, session, run, tmp_path):
    alive = []

    def decode():
        for i in range(10):
            alive.append(i)
            assert len(session.memory.seen) >= i - 4  # never more than a batch ahead of what was fed
            yield np.zeros((4, 4, 3), dtype=np.uint8), float(i)

    watch([Clip("a", decode(), 1.0, 10.0, (Question("?", "3", 5.0, "vsc"),))], session, run, tmp_path, batch_frames=4)
    assert session.vision.batches == [4, 2, 4]
    assert alive == list(range(10))


def test_a_row_has_score_cost_and_provenance(clip, session, run, tmp_path):
    assert watch([clip("a", [10] * 6, 2.0, answer="6")], session, run, tmp_path) == Summary(1, 0, 0)
    (row,) = lines(tmp_path / "rows.jsonl")
    assert row["mra"] == 0.1
    assert row["correct"] is False
    assert row["truth"] == "6"
    assert row["nbytes"] == 64
    assert row["bytes"] == {"state": 64, "kv": 0, "host": 0}
    assert row["ms_per_frame"] > 0
    assert row["answer_ms"] >= 0
    assert row["first_pass_ms"] is None  # this memory has no language model
    assert row["peak_bytes"] > 50_000_000
    assert row["flops"] == {}
    assert row["error"] is None
    expected = {"run": "ours", "policy": "ours", "settings": {"window": 4}, "seed": 0, "config": "model"}
    expected |= {"commit": "abc", "backend": "torch", "device": "cpu", "scorer": "robust-2", "blind": False}
    expected |= {"weights": "", "questions": ""}
    assert expected.items() <= row.items()


def test_a_row_says_whether_it_was_asked_first_of_its_frames(clip, session, run, tmp_path):
    asked = tuple(Question(f"{t}?", "3", t, "vsc") for t in (1.0, 1.0, 2.0, 9.0))
    watch([Clip("a", clip("a", [10] * 4).frames, 1.0, 4.0, asked)], session, run, tmp_path)
    assert [row["first_asked"] for row in lines(tmp_path / "rows.jsonl")] == [True, False, True, True]


def test_options_keep_their_likelihoods_as_strict_json(session, run, tmp_path, clip):
    question = Question("Which?", "B", 1.0, "vsr", ("A. Bed", "B. Chair"))
    watch([Clip("a", clip("a", [1, 2]).frames, 1.0, 2.0, (question,))], session, run, tmp_path)
    (row,) = lines(tmp_path / "rows.jsonl")
    assert (row["correct"], row["mra"], row["prediction"]) == (True, None, "B")
    assert row["log_likelihoods"] == [-1.5, None]
    assert "Infinity" not in (tmp_path / "rows.jsonl").read_text()


def test_frames_carry_the_true_events(clip, session, run, tmp_path):
    events = ((2.4, "bedroom"), (0.0, "hall"), (4.0, "kitchen"))
    watch([clip("a", [10, 10, 10, 60, 10], events=events)], session, run, tmp_path)
    frames = lines(tmp_path / "frames.jsonl")
    assert [frame["event"] for frame in frames] == ["hall", None, None, "bedroom", "kitchen"]
    assert [frame["true_event"] for frame in frames] == [True, False, False, True, True]
    assert [frame["boundary"] for frame in frames] == [False, False, False, True, False]
    assert frames[3]["surprise"] == 0.6
    assert frames[3]["gate"] is None  # this memory has none
    assert (frames[3]["run"], frames[3]["clip"], frames[3]["nbytes"]) == ("ours", "a", 64)


def test_unknown_events_are_not_the_same_as_none(session, run, tmp_path, clip):
    watch([Clip("a", clip("a", [1, 2]).frames, 1.0, 2.0)], session, run, tmp_path)
    assert [frame["true_event"] for frame in lines(tmp_path / "frames.jsonl")] == [None, None]


def test_every_clip_begins_with_an_empty_memory(clip, session, run, tmp_path):
    watch([clip("a", [10] * 5, 9.0), clip("b", [10] * 3, 9.0)], session, run, tmp_path)
    assert [row["prediction"] for row in lines(tmp_path / "rows.jsonl")] == ["5", "3"]


def test_a_clip_that_fails_is_a_row_and_the_run_goes_on(clip, session, run, tmp_path):
    broken = clip("broken", [10, 10, 255, 10], 1.0, 3.0)
    summary = watch([broken, clip("whole", [10] * 4, 3.0)], session, run, tmp_path, batch_frames=1)
    assert summary == Summary(watched=2, skipped=0, failed=1)
    early, late, whole = lines(tmp_path / "rows.jsonl")
    assert (early["prediction"], early["error"]) == ("2", None)
    assert (late["prediction"], late["correct"], late["mra"]) == (None, False, 0.0)
    assert late["error"] == "RuntimeError: white-out"
    assert (whole["clip"], whole["mra"], whole["error"]) == ("whole", 1.0, None)


def test_a_file_that_cannot_be_opened_fails_its_own_clip(session, run, tmp_path):
    def missing():
        raise FileNotFoundError("10mins/00000003.mp4")
        yield

    clips = [Clip("a", missing(), 1.0, 60.0, (Question("?", "3", 9.0, "vsc"),)), Clip("b", missing(), 1.0, 60.0)]
    assert watch(clips, session, run, tmp_path).failed == 2
    asked, silent = lines(tmp_path / "rows.jsonl")
    assert asked["error"] == silent["error"] == "FileNotFoundError: 10mins/00000003.mp4"
    assert asked["mra"] == 0.0
    assert (silent["question"], silent["mra"], silent["correct"]) == (None, None, None)


def test_the_official_scorers_crash_is_an_error_without_a_score(clip, session, tmp_path):
    run = RunInfo("o", "ours", 0, "model", "abc", "torch", "cpu", scorer="official")
    watch([clip("a", [10] * 4, 3.0, answer="0")], session, run, tmp_path)
    (row,) = lines(tmp_path / "rows.jsonl")
    assert (row["correct"], row["mra"]) == (None, None)
    assert row["error"].startswith("scorer: ")


def test_blind_keeps_the_questions_and_shows_one_grey_frame(clip, session, run, tmp_path):
    watch([blind(clip("a", [10] * 9, 3.0, 8.0))], session, run, tmp_path)
    assert [row["prediction"] for row in lines(tmp_path / "rows.jsonl")] == ["1", "1"]
    assert session.memory.seen == [128.0]


def test_a_policy_that_must_know_its_questions_is_told_them_before_the_first_frame(clip, session, run, tmp_path):
    told = []

    class Ahead(type(session.memory)):
        query_aware = True

        def expect(self, questions):
            self.reset()
            told.append(([prompt.splitlines()[0] for prompt, _ in questions], len(self.seen)))

    session.memory = Ahead()
    watch([clip("a", [10] * 3, 1.0), clip("b", [10] * 3)], session, run, tmp_path)
    assert told == [(["How many frames?"], 0), ([], 0)]
    (row,) = lines(tmp_path / "rows.jsonl")
    assert row["traits"] == {
        "causal": True,
        "query_aware": True,
        "constant_memory": True,
        "needs_training": False,
    }


def test_a_clip_may_yield_latents_instead_of_pictures(clip, session, run, tmp_path):
    latents = [(np.full((1, 1), float(i), np.float32), float(i)) for i in range(3)]
    watch([replace(clip("a", [], 5.0), frames=latents)], session, run, tmp_path)
    assert session.memory.seen == [0.0, 1.0, 2.0]
    assert session.vision.batches == []
    (row,) = lines(tmp_path / "rows.jsonl")
    assert (row["prediction"], row["vision"]) == ("3", "cached")


def test_a_clips_draws_do_not_depend_on_what_was_watched_before(clip, session, run, tmp_path):
    drawn = {}

    class Drawing(type(session.memory)):
        def read(self, prompt, options=()):
            drawn.setdefault(len(self.seen), []).append(torch.rand(()).item())
            return super().read(prompt, options)

    session.memory = Drawing()
    clips = [clip("a", [10] * 2, 9.0), clip("b", [10] * 3, 9.0)]
    watch(clips, session, run, tmp_path / "forth")
    watch(clips[::-1], session, run, tmp_path / "back")
    assert drawn[2] == [drawn[2][0]] * 2 != drawn[3]
    assert drawn[3] == [drawn[3][0]] * 2


def test_of_two_runs_in_one_folder_the_second_is_refused_and_changes_nothing(clip, session, run, tmp_path):
    watch([clip("a", [10] * 4, 3.0)], session, run, tmp_path)
    rows = lines(tmp_path / "rows.jsonl")
    with alone_in(tmp_path), pytest.raises(UserError, match="another process works there"):
        watch([clip("a", [10] * 4, 3.0)], session, replace(run, name="other"), tmp_path)
    assert lines(tmp_path / "rows.jsonl") == rows


def test_it_fails_at_the_door(clip, session, run, tmp_path):
    with pytest.raises(ValueError, match="different names"):
        watch([clip("a", [10]), clip("a", [10])], session, run, tmp_path / "twice")
    with pytest.raises(ValueError, match="scorer among"):
        watch([], session, RunInfo("x", "x", 0, "", "", "", "", scorer="lenient"), tmp_path)
    with pytest.raises(ValueError, match="1 or more frames"):
        watch([], session, run, tmp_path, batch_frames=0)


@pytest.mark.parametrize("cached", [False, True])
def test_multiplications_are_those_of_a_memory_at_the_end_of_the_clip(clip, session, run, tmp_path, cached):
    class Growing(type(session.memory)):
        """A product with each frame that it holds."""

        def observe(self, latents, surprise, t_s):
            seen = super().observe(latents, surprise, t_s)
            torch.zeros(len(self.seen), 1) @ latents
            return seen

    session.memory = Growing()
    latents = [(np.full((1, 1), 10.0, np.float32), float(i)) for i in range(7)]
    clips = [
        replace(clip("long", [10] * 7, 1.0, 6.0), **({"frames": latents} if cached else {})),
        clip("short", [10] * 3, 2.0),
        clip("broken", [10, 255], 1.0),
    ]
    watch(clips, session, replace(run, flops={"vision": 5}), tmp_path)
    found = [(row["clip"], row["prediction"], row["flops"]) for row in lines(tmp_path / "rows.jsonl")]
    assert found == [
        ("long", "2", {"vision": 5, "memory": 2 * 8}),
        ("long", "7", {"vision": 5, "memory": 2 * 8}),
        ("short", "3", {"vision": 5, "memory": 2 * 4}),
        ("broken", None, {"vision": 5}),
    ]
    assert len(lines(tmp_path / "frames.jsonl")) == 7 + 3  # the frame that is counted is none of the stream's
