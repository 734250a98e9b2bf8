"""VSI-SUPER's layout: every question at its time, and one clear error for whatever is wrong."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssm_sense.data import vsi_super
from ssm_sense.data.clip import Event
from ssm_sense.data.video import write_video
from ssm_sense.data.world.camera import Pose
from ssm_sense.data.world.truth import SCHEMA, CountingRule, FrameTruth, RoomTruth, Truth
from ssm_sense.errors import UserError

RECALL: dict[str, Any] = {
    "video_path": "10mins/00000000.mp4",
    "question": "These are frames of a video.\nWhich of the following correctly represents the order in which "
    "the Pikachu appeared in the video?",
    "options": ["A. Sofa, Bed", "B. Bed, Sofa"],
    "answer": "B",
    "type": "10mins",
}
COUNT: dict[str, Any] = {
    "video_path": "10mins/00000000.mp4",
    "question": "How many different chair(s) are there in the video?",
    "answer": "12",
    "split": "10mins",
    "query_times": [],
    "answers": [],
}
STREAMING = COUNT | {"split": "10mins_streaming", "query_times": [2, 5], "answers": [1, 3]}


def dataset(folder: Path, rows: list[dict[str, Any]], seconds: int = 6) -> Path:
    """A folder with a table of these rows, and the videos that they name, each of a grey of its own."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "test_10mins.parquet")
    for i, name in enumerate(sorted({row["video_path"] for row in rows})):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / name, [np.full((32, 32, 3), 40 * i, np.uint8)] * seconds, 1)
    return folder


def test_recall(tmp_path: Path) -> None:
    other = RECALL | {"video_path": "10mins/00000001.mp4", "answer": "A"}
    clips = vsi_super.read(dataset(tmp_path, [RECALL, other]), 10)
    assert [clip.name for clip in clips] == ["10mins/00000000", "10mins/00000001"]
    assert [clip.questions[0].answer for clip in clips] == ["B", "A"]
    for i, clip in enumerate(clips):
        assert (clip.fps, clip.duration_s, clip.events) == (1.0, 6.0, None)
        frames = list(clip.frames)
        assert [t_s for _, t_s in frames] == [0, 1, 2, 3, 4, 5]
        assert np.abs(frames[3][0].astype(int) - 40 * i).max() <= 2
        assert len(list(clip.frames)) == 6
    (question,) = clips[0].questions
    assert (question.kind, question.t_s) == ("vsr", 6.0)
    assert question.prompt == (
        "These are frames of a video.\nWhich of the following correctly represents the order in which the Pikachu "
        "appeared in the video?\nOptions:\nA. Sofa, Bed\nB. Bed, Sofa\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_count_regular_and_streaming_share_the_pass_over_their_video(tmp_path: Path) -> None:
    (clip,) = vsi_super.read(dataset(tmp_path, [COUNT, STREAMING]), 10, fps=2)
    assert clip.fps == 2
    assert len(list(clip.frames)) == 12
    assert [(q.kind, q.t_s, q.answer) for q in clip.questions] == [
        ("vsc", 6.0, "12"),
        ("vsc-streaming", 2.0, "1"),
        ("vsc-streaming", 5.0, "3"),
    ]
    assert {q.prompt for q in clip.questions} == {
        "These are frames of a video.\nHow many different chair(s) are there in the video?\n"
        "Please answer the question using a single word or phrase."
    }


@pytest.mark.parametrize(("late_s", "fps"), [(0.1, 4), (1, 4), (1, 1), (4, 0.25)])
def test_what_is_asked_a_moment_after_the_end_is_asked_at_the_end(tmp_path: Path, late_s: float, fps: float) -> None:
    (clip,) = vsi_super.read(dataset(tmp_path, [STREAMING | {"query_times": [2.0, 6 + late_s]}]), 10, fps)
    assert [(q.t_s, q.answer) for q in clip.questions] == [(2.0, "1"), (6.0, "3")]
    dataset(tmp_path, [STREAMING | {"query_times": [2.0, 6 + max(1, 1 / fps) + 0.1]}])
    with pytest.raises(UserError, match=r"row 0: expected query_times within the 6 s"):
        vsi_super.read(tmp_path, 10, fps)


@pytest.mark.parametrize("answer", [7, 7.0, "7", "7.0"])
def test_counts_are_whole_numbers_however_they_are_stored(tmp_path: Path, answer: Any) -> None:
    (clip,) = vsi_super.read(dataset(tmp_path, [COUNT | {"answer": answer}]), 10)
    assert clip.questions[0].answer == "7"


def test_frames_come_at_the_size_asked_for(tmp_path: Path) -> None:
    (clip,) = vsi_super.read(dataset(tmp_path, [RECALL]), 10, size=(16, 24))
    assert {frame.shape for frame, _ in clip.frames} == {(16, 24, 3)}


def test_events_come_from_the_truth_beside_the_video(tmp_path: Path) -> None:
    dataset(tmp_path, [RECALL])
    pose = Pose(0.0, 0.0, 1.5, 0.0, 0.0)
    frames = tuple(FrameTruth(float(t), t // 4, pose, {}) for t in range(6))
    rooms = (RoomTruth(0, "kitchen"), RoomTruth(1, "study"))
    truth = Truth(SCHEMA, "vsr", "test", 0, 1, 32, CountingRule(), rooms, (), (), frames)
    truth.save(tmp_path / "10mins" / "00000000.json")
    (clip,) = vsi_super.read(tmp_path, 10)
    assert clip.events == (Event(4.0, "study"),)


def test_lengths(tmp_path: Path) -> None:
    for name in ("test_120mins.parquet", "test_10mins.parquet", "test_0.5mins.parquet", "test_manymins.parquet"):
        (tmp_path / name).touch()
    assert vsi_super.lengths(tmp_path) == [0.5, 10, 120]
    with pytest.raises(UserError, match=r"test_30mins\.parquet: no such file .*: 0\.5, 10, 120"):
        vsi_super.read(tmp_path, 30)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (RECALL | {"answer": "C"}, "expected an answer among A, B, got 'C'"),
        (RECALL | {"answer": None}, "expected an answer among A, B, got None"),
        (RECALL | {"question": " "}, "expected a text in column 'question', got ' '"),
        (RECALL | {"video_path": None}, "expected a text in column 'video_path', got None"),
        (RECALL | {"video_path": "../secret.mp4"}, "expected a video inside the folder"),
        (RECALL | {"video_path": "/etc/secret.mp4"}, "expected a video inside the folder"),
        (COUNT | {"answer": "many"}, "many"),
        (COUNT | {"answer": "3.5"}, "expected a whole number for an answer, got '3.5'"),
        (COUNT | {"answer": None}, "expected a whole number for an answer, got None"),
        (STREAMING | {"answers": [1]}, "expected as many answers as query_times, got 1 and 2"),
        (STREAMING | {"query_times": [], "answers": []}, "expected as many answers as query_times, got 0 and 0"),
        (STREAMING | {"query_times": [2, 9]}, "within the 6 s"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = dict.fromkeys(row) | (RECALL if "options" in row else COUNT)
    dataset(tmp_path, [good])
    pq.write_table(pa.Table.from_pylist([good, row]), tmp_path / "test_10mins.parquet")
    with pytest.raises(UserError) as raised:
        vsi_super.read(tmp_path, 10)
    assert f"{tmp_path / 'test_10mins.parquet'}, row 1: " in str(raised.value)
    assert message in str(raised.value)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    table = dataset(tmp_path, [RECALL]) / "test_10mins.parquet"
    table.write_bytes(table.read_bytes()[:100])
    with pytest.raises(UserError, match=r"test_10mins\.parquet: not a table"):
        vsi_super.read(tmp_path, 10)
    pq.write_table(pa.table({"video_path": pa.array([], pa.string())}), table)
    with pytest.raises(UserError, match="found no row"):
        vsi_super.read(tmp_path, 10)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_a_video_that_cannot_be_read_is_named_with_its_row(tmp_path: Path, damage: str) -> None:
    rows = [RECALL | {"video_path": f"10mins/{i}.mp4"} for i in range(3)]
    video = dataset(tmp_path, rows) / "10mins" / "2.mp4"
    if damage == "missing":
        video.unlink()
    else:
        video.write_bytes(video.read_bytes()[:200] if damage == "cut" else b"")
    with pytest.raises(UserError, match=r"test_10mins\.parquet, row 2: .*10mins/2\.mp4: "):
        vsi_super.read(tmp_path, 10)


@pytest.mark.parametrize("prefix", ["10mins/", ""])
def test_missing_videos_are_unpacked_once(tmp_path: Path, prefix: str) -> None:
    rows = [RECALL | {"video_path": f"10mins/{i}.mp4"} for i in range(3)]
    dataset(tmp_path, rows)
    with zipfile.ZipFile(tmp_path / "10mins.zip", "w") as archive:
        for i in range(3):
            archive.write(tmp_path / f"10mins/{i}.mp4", f"{prefix}{i}.mp4")
        archive.writestr("__MACOSX/notes.txt", "not a video")
    (tmp_path / "10mins/0.mp4").unlink()
    (tmp_path / "10mins/2.mp4").unlink()
    kept = (tmp_path / "10mins/1.mp4").stat()
    assert len(vsi_super.read(tmp_path, 10)) == 3
    assert (tmp_path / "10mins/1.mp4").stat() == kept
    assert sorted(path.name for path in (tmp_path / "10mins").iterdir()) == ["0.mp4", "1.mp4", "2.mp4"]
    assert not (tmp_path / "__MACOSX").exists()
    (tmp_path / "10mins.zip").unlink()
    assert len(vsi_super.read(tmp_path, 10)) == 3


@pytest.mark.parametrize("name", ["../evil.mp4", "10mins/../../evil.mp4", "/evil.mp4", "..\\evil.mp4", "C:\\evil.mp4"])
def test_an_archive_never_writes_outside_its_folder(tmp_path: Path, name: str) -> None:
    folder = dataset(tmp_path / "data", [RECALL])
    video = folder / RECALL["video_path"]
    with zipfile.ZipFile(folder / "10mins.zip", "w") as archive:
        archive.write(video, RECALL["video_path"])
        archive.writestr(name, "evil")
    video.unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"10mins\.zip: holds paths outside"):
        vsi_super.read(folder, 10)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", ["not an archive", "content"])
def test_a_damaged_archive_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    folder = dataset(tmp_path, [RECALL])
    video, archive = folder / RECALL["video_path"], folder / "10mins.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(video, RECALL["video_path"])
    content = bytearray(archive.read_bytes())
    content[100:120] = bytes(20)
    archive.write_bytes(b"PK" if damage == "not an archive" else content)
    video.unlink()
    with pytest.raises(UserError, match=r"10mins\.zip: cannot be unpacked"):
        vsi_super.read(folder, 10)
    assert not list((folder / "10mins").glob("*"))


@pytest.mark.parametrize("damage", ["missing", "cut", "truth", "late"])
def test_what_cannot_be_watched_is_a_clip_that_raises_when_it_is(tmp_path: Path, damage: str) -> None:
    """With all its questions, of the length that the table states."""
    path = "10mins/1.mp4"
    late = STREAMING | {"query_times": [2, 9 if damage == "late" else 5]}
    rows = [RECALL | {"video_path": f"10mins/{i}.mp4"} for i in range(3)]
    blank = {"options": None, "answer": None, "split": None, "query_times": None, "answers": None, "type": None}
    rows = [blank | row for row in (*rows, late | {"video_path": path, "answer": None})]
    video = dataset(tmp_path, rows) / path
    if damage == "missing":
        video.unlink()
    elif damage == "cut":
        video.write_bytes(video.read_bytes()[:200])
    elif damage == "truth":
        video.with_suffix(".json").write_text("{")
    with pytest.raises(UserError, match="row"):
        vsi_super.read(tmp_path, 10)
    first, lost, last = vsi_super.read(tmp_path, 10, keep_going=True)
    assert [len(list(clip.frames)) for clip in (first, last)] == [6, 6]
    assert (lost.name, lost.duration_s, lost.events) == ("10mins/1", 600.0, None)
    asked = [(q.kind, q.t_s, q.answer) for q in lost.questions]
    second = 9.0 if damage == "late" else 5.0
    assert asked == [("vsr", 600.0, "B"), ("vsc-streaming", 2.0, "1"), ("vsc-streaming", second, "3")]
    number, said = (3, "within the 6 s") if damage == "late" else (1, "")
    for _ in range(2):
        with pytest.raises(UserError, match=rf"test_10mins\.parquet, row {number}: .*{said}"):
            list(lost.frames)


def test_a_set_without_any_video_or_with_a_wrong_row_is_refused_all_the_same(tmp_path: Path) -> None:
    rows = [RECALL | {"video_path": f"10mins/{i}.mp4"} for i in range(2)]
    dataset(tmp_path, rows)
    for i in range(2):
        (tmp_path / f"10mins/{i}.mp4").unlink()
    with pytest.raises(UserError, match=r"row 0: .*10mins/0\.mp4: no such file"):
        vsi_super.read(tmp_path, 10, keep_going=True)
    dataset(tmp_path, [*rows, rows[0] | {"answer": "C"}])
    with pytest.raises(UserError, match="row 2: expected an answer among A, B, got 'C'"):
        vsi_super.read(tmp_path, 10, keep_going=True)
