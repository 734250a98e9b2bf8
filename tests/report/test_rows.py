"""What is read, and that damage is told by file and line."""

import json

import pytest

from ssm_sense.errors import UserError
from ssm_sense.report.rows import read


def test_missing_and_empty(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"expected rows\.jsonl"):
        read(tmp_path)
    (tmp_path / "rows.jsonl").touch()
    with pytest.raises(UserError, match=r"rows\.jsonl: expected at least one row"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ('{"run": "ours", "cl', "line 2: expected a JSON object"),
        ("[1, 2]", "line 2: expected a JSON object"),
        ("", "line 2: expected a JSON object"),
        ('{"run": "ours"}', "line 2: expected a field 'policy', found run"),
    ],
)
def test_a_damaged_line_is_named(make, tmp_path, damage, said):
    (tmp_path / "rows.jsonl").write_text(json.dumps(make.row()) + "\n" + damage + "\n")
    with pytest.raises(UserError, match=said):
        read(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("mra", "high", "'mra' to be int or float or null, got 'high'"),
        ("mra", 1.5, r"'mra' in \[0, 1\], got 1.5"),
        ("correct", 1, "'correct' to be bool or null, got 1"),
        ("duration_s", True, "'duration_s' to be int or float, got True"),
        ("clip", None, "'clip' to be str, got None"),
    ],
)
def test_a_wrong_field_is_named(make, tmp_path, field, value, said):
    make.write(tmp_path, rows=[make.row(), make.row(clip="b") | {field: value}])
    with pytest.raises(UserError, match=rf"rows\.jsonl, line 2: expected {said}"):
        read(tmp_path)


def test_a_data_set_may_ask_the_same_twice(make, tmp_path):
    make.write(tmp_path, rows=[make.row(), make.row()])
    assert len(read(tmp_path).rows) == 2


def test_the_same_question_twice_would_count_twice(make, tmp_path):
    make.write(tmp_path / "one", rows=[make.row()])
    make.write(tmp_path / "two", rows=[make.row(clip="b"), make.row()])
    with pytest.raises(UserError, match=r"two/rows\.jsonl, line 2: repeats run 'ours', clip 'a' of .*one/rows\.jsonl"):
        read(tmp_path)


def test_runs_in_folders_below_are_read_together(make, tmp_path):
    make.write(tmp_path / "one", rows=[make.row()], frames=make.walk(n=3))
    make.write(tmp_path / "two", rows=[make.row("rival")], frames=make.walk("rival", n=3))
    evidence = read(tmp_path)
    assert [row["run"] for row in evidence.rows] == ["ours", "rival"]
    assert [(track.run, len(track.t_s)) for track in evidence.tracks] == [("ours", 3), ("rival", 3)]


def test_a_track_holds_what_the_frames_say(make, tmp_path):
    frames = make.walk()
    frames[5] |= {"surprise": None, "gate": None}
    (track,) = read(make.write(tmp_path, rows=[make.row()], frames=frames)).tracks
    assert track.found_s == [20.0, 30.0]
    assert track.events == [(0.0, "hall"), (20.0, "kitchen <big>"), (40.0, "study")]
    assert track.surprise[20] == 0.9
    assert str(track.surprise[5]) == str(track.gate[5]) == "nan"


def test_events_that_nobody_knows_are_not_none(make, tmp_path):
    frames = [make.frame(t_s=float(t), true_event=None) for t in range(3)]
    assert read(make.write(tmp_path, rows=[make.row()], frames=frames)).tracks[0].events is None


def test_frames_of_a_killed_run_are_left_out(make, tmp_path):
    frames = make.walk(clip="a", n=3) + make.walk(clip="b", n=2)
    make.write(tmp_path, rows=[make.row()], frames=frames, clips=[{"run": "ours", "clip": "a"}])
    assert [track.clip for track in read(tmp_path).tracks] == ["a"]


def test_a_clip_whose_frames_stand_twice_is_refused(make, tmp_path):
    make.write(tmp_path, rows=[make.row()], frames=make.walk(n=3) + make.walk(n=3))
    with pytest.raises(UserError, match="is it there twice"):
        read(tmp_path)
