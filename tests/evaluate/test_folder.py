"""A run that is killed, resumed or mixed up: nothing half-written counts, nothing finished is lost."""

import json
from dataclasses import replace

import pytest

from ssm_sense.errors import UserError
from ssm_sense.evaluate import RunInfo, Summary, evaluate


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Killed(BaseException):
    """What no handler of ours may swallow."""


def killed_after(clips, n_frames):
    """The clips, the last of which dies in the middle of its frames."""
    *whole, last = clips

    def dying():
        for i, frame in enumerate(last.frames):
            if i == n_frames:
                raise Killed
            yield frame

    return [*whole, type(last)(last.name, dying(), last.fps, last.duration_s, last.questions, last.events)]


def without_times(path):
    timed = {"ms", "ms_per_frame", "answer_ms", "wall_s", "peak_bytes"}
    return [{k: v for k, v in line.items() if k not in timed} for line in lines(path)]


def test_a_killed_run_resumed_writes_what_an_unbroken_one_writes(clip, session, run, tmp_path):
    clips = [clip(name, [10] * 9, 1.0, 5.0, 8.0) for name in "abc"]
    evaluate(clips, session, tmp_path / "unbroken", run, progress=False)
    broken = tmp_path / "broken"
    with pytest.raises(Killed):
        evaluate(killed_after(clips[:2], 7), session, broken, run, batch_frames=2, progress=False)
    assert len(lines(broken / "frames.jsonl")) > 9  # half a clip lies there
    for name in ("rows", "frames", "clips"):  # and a line torn in the middle
        with open(broken / f"{name}.jsonl", "a") as file:
            file.write('{"run": "ours", "cl')
    assert evaluate(clips, session, broken, run, progress=False) == Summary(watched=2, skipped=1, failed=0)
    for name in ("rows", "frames", "clips"):
        assert without_times(broken / f"{name}.jsonl") == without_times(tmp_path / "unbroken" / f"{name}.jsonl")


def test_rows_without_their_clips_line_are_dropped(clip, session, run, tmp_path):
    evaluate([clip("a", [10] * 3, 2.0), clip("b", [10] * 3, 2.0)], session, tmp_path, run, progress=False)
    ledger = tmp_path / "clips.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:1]))  # killed before the last line
    again = evaluate([clip("a", [10] * 3, 2.0), clip("b", [10] * 3, 2.0)], session, tmp_path, run, progress=False)
    assert again == Summary(watched=1, skipped=1, failed=0)
    assert [row["clip"] for row in lines(tmp_path / "rows.jsonl")] == ["a", "b"]
    assert [frame["clip"] for frame in lines(tmp_path / "frames.jsonl")] == ["a"] * 3 + ["b"] * 3


def test_a_finished_run_is_left_untouched(clip, session, run, tmp_path):
    clips = [clip("a", [10] * 3, 2.0)]
    evaluate(clips, session, tmp_path, run, progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert evaluate(clips, session, tmp_path, run, progress=False) == Summary(watched=0, skipped=1, failed=0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_clip_that_failed_is_tried_again(clip, session, run, tmp_path):
    evaluate([clip("a", [10, 255], 1.0), clip("b", [10], 1.0)], session, tmp_path, run, progress=False)
    assert [row["error"] is None for row in lines(tmp_path / "rows.jsonl")] == [False, True]
    mended = [clip("a", [10, 20], 1.0), clip("b", [10], 1.0)]
    assert evaluate(mended, session, tmp_path, run, progress=False) == Summary(watched=1, skipped=1, failed=0)
    rows = lines(tmp_path / "rows.jsonl")
    assert [(row["clip"], row["error"]) for row in rows] == [("b", None), ("a", None)]
    assert [frame["clip"] for frame in lines(tmp_path / "frames.jsonl")] == ["b", "a", "a"]


def test_runs_share_a_folder(clip, session, run, tmp_path):
    other = RunInfo("rival", "uniform", 1, "model", "abc", "torch", "cpu")
    evaluate([clip("a", [10, 255], 1.0)], session, tmp_path, other, progress=False)
    evaluate([clip("a", [10], 1.0)], session, tmp_path, run, progress=False)
    rows = lines(tmp_path / "rows.jsonl")
    assert [(row["run"], row["error"] is None) for row in rows] == [("rival", False), ("ours", True)]
    assert [entry["run"] for entry in lines(tmp_path / "clips.jsonl")] == ["rival", "ours"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "seed 0"),
        ({"settings": {"window": 5}}, "begun with settings window 4, and goes on only with the same, not 5"),
        ({"settings": {"window": 4, "fps": 1}}, "begun with settings fps None"),
        ({"settings": {}}, "begun with settings window 4, and goes on only with the same, not None"),
        ({"scorer": "official"}, "scorer"),
        ({"weights": "new"}, "begun with weights 'old', and goes on only with the same, not 'new'"),
        ({"questions": "new"}, "begun with questions 'old'"),
    ],
)
def test_a_run_goes_on_only_as_it_began(clip, session, run, tmp_path, changed, named):
    run = replace(run, weights="old", questions="old")
    evaluate([clip("a", [10], 1.0)], session, tmp_path, run, progress=False)
    with pytest.raises(UserError, match=named):
        evaluate([clip("a", [10], 1.0)], session, tmp_path, replace(run, **changed), progress=False)


def test_settings_survive_json_when_compared(clip, session, tmp_path):
    run = RunInfo("a", "a", 0, "m", "c", "torch", "cpu", {"shape": (1, 2)})
    evaluate([clip("a", [10], 1.0)], session, tmp_path, run, progress=False)
    assert evaluate([clip("a", [10], 1.0)], session, tmp_path, run, progress=False).skipped == 1


@pytest.mark.parametrize("name", ["rows", "frames", "clips"])
def test_damage_is_named_by_file_and_line(clip, session, run, tmp_path, name):
    evaluate([clip("a", [10, 20], 0.0, 1.0), clip("b", [10], 0.0)], session, tmp_path, run, progress=False)
    path = tmp_path / f"{name}.jsonl"
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0], "{not json", *text[1:]]) + "\n")
    with pytest.raises(UserError, match=rf"{name}\.jsonl, line 2"):
        evaluate([], session, tmp_path, run, progress=False)
