"""VSI-Bench's layout, with its own column names."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssm_sense.data import vsi_bench
from ssm_sense.data.video import write_video
from ssm_sense.errors import UserError

COUNT: dict[str, Any] = {
    "id": 0,
    "dataset": "arkitscenes",
    "scene_name": "41069025",
    "question_type": "object_counting",
    "question": "How many table(s) are in this room?",
    "options": None,
    "ground_truth": "4",
}
CHOICE = COUNT | {
    "id": 1,
    "question_type": "object_rel_direction_hard",
    "question": "If I am standing by the stove and facing the tv, is the sofa to my front-left or back-right?",
    "options": ["A. back-right", "B. front-left"],
    "ground_truth": "B",
}
OTHER = COUNT | {"dataset": "scannet", "scene_name": "scene0011_00", "question_type": "room_size_estimation"}
OTHER |= {"ground_truth": "24.3"}


def write(folder: Path, rows: list[dict[str, Any]], suffix: str = "jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    if suffix == "jsonl":
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet")
    for row in rows:
        video = folder / row["dataset"] / f"{row['scene_name']}.mp4"
        video.parent.mkdir(exist_ok=True)
        if not video.is_file():
            write_video(video, [np.full((32, 32, 3), 90, np.uint8)] * 3, 1)
    return folder


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_every_question_of_a_video_is_asked_at_its_end(tmp_path: Path, suffix: str) -> None:
    clips = vsi_bench.read(write(tmp_path, [COUNT, OTHER, CHOICE], suffix))
    assert [clip.name for clip in clips] == ["arkitscenes/41069025", "scannet/scene0011_00"]
    count, choice = clips[0].questions
    assert (count.kind, count.answer, count.t_s) == ("object_counting", "4", 3)
    assert count.prompt == (
        "These are frames of a video.\nHow many table(s) are in this room?\n"
        "Please answer the question using a single word or phrase."
    )
    assert choice.prompt.endswith(
        "Options:\nA. back-right\nB. front-left\nAnswer with the option's letter from the given choices directly."
    )
    assert choice.answer == "B"
    assert len(list(clips[1].frames)) == 3


def test_types_can_be_chosen(tmp_path: Path) -> None:
    (clip,) = vsi_bench.read(write(tmp_path, [COUNT, OTHER, CHOICE]), types=("room_size_estimation",))
    assert [q.answer for q in clip.questions] == ["24.3"]


def test_missing_videos_are_unpacked(tmp_path: Path) -> None:
    folder = write(tmp_path, [COUNT, OTHER])
    with zipfile.ZipFile(folder / "scannet.zip", "w") as archive:
        archive.write(folder / "scannet/scene0011_00.mp4", "scannet/scene0011_00.mp4")
    (folder / "scannet/scene0011_00.mp4").unlink()
    assert len(vsi_bench.read(folder)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_type": "colour"}, "expected a question_type of VSI-Bench"),
        ({"ground_truth": "many"}, "expected a number in column 'ground_truth'"),
        ({"ground_truth": "-1"}, "0 or more"),
        ({"ground_truth": None}, "expected a number"),
        ({"scene_name": ""}, "expected a text in column 'scene_name'"),
        ({"scene_name": "../../a"}, "inside the folder"),
        ({"question_type": "route_planning"}, "expected a ground_truth among options"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write(tmp_path, [COUNT])
    (folder / "test.jsonl").write_text(json.dumps(COUNT) + "\n" + json.dumps(COUNT | change) + "\n")
    with pytest.raises(UserError, match=rf"test\.jsonl, row 1: .*{message}"):
        vsi_bench.read(folder)


def test_a_missing_video_is_named_with_its_row(tmp_path: Path) -> None:
    folder = write(tmp_path, [COUNT, OTHER])
    (folder / "scannet/scene0011_00.mp4").unlink()
    with pytest.raises(UserError, match=r"row 1: .*scene0011_00\.mp4"):
        vsi_bench.read(folder)
    with pytest.raises(UserError, match=r"expected test\.jsonl"):
        vsi_bench.read(tmp_path / "scannet")
