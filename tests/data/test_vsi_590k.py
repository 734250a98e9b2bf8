"""VSI-590K's layout: videos and pictures, letters and numbers, and the videos that are out of order."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssm_sense.data.clip import Question
from ssm_sense.data.video import write_video
from ssm_sense.data.vsi_590k import TABLE, VSI590K, question, row_of
from ssm_sense.errors import UserError


def row(asked: str, answer: str, kind: str, **medium: str) -> dict[str, Any]:
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    return {"conversations": turns, "question_type": kind, **medium}


COUNT = row("<image>\nHow many chair(s) are in this room?", "4", "object_count", video="scannet/scene0001_00.mp4")
CHOICE = row(
    "<image>\nThese are frames of a video.\nWhich is closest to the sofa?\nOptions:\nA. bed\nB. lamp\n"
    "Answer with the option's letter from the given choices directly.",
    "B",
    "relative_distance_object",
    video="scannet/scene0001_00.mp4",
)
PICTURE = row("<image>\nWhich is nearer?", "The bed.", "relative_distance_camera", image="hypersim/ai_001/0.jpg")
SHUFFLED = row("<image>\nHow many doors?", "2", "object_count", video="s3dis/area_1.mp4")


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    (folder / TABLE).write_text("".join(json.dumps(r) + "\n" for r in rows))
    for r in rows:
        path = folder / (r.get("video") or r.get("image") or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        if r.get("video") and not path.exists():
            write_video(path, [np.full((32, 32, 3), 90, np.uint8)] * 3, 1)
        elif r.get("image"):
            Image.new("RGB", (48, 32), (10, 200, 30)).save(path)
    return folder


def test_videos_and_pictures(tmp_path: Path) -> None:
    data = VSI590K(write(tmp_path, [COUNT, PICTURE, CHOICE]))
    assert len(data) == 2
    assert data.types == {"object_count": 1, "relative_distance_object": 1, "relative_distance_camera": 1}
    video, picture = data
    assert video.name == "scannet/scene0001_00"
    count, choice = video.questions
    assert (count.text, count.answer, count.t_s) == ("How many chair(s) are in this room?", "4", 3)
    assert choice.options == ("A. bed", "B. lamp")
    assert (choice.answer, choice.text) == ("B", "These are frames of a video.\nWhich is closest to the sofa?")
    assert len(list(video.frames)) == 3
    assert picture.questions[0].answer == "The bed."
    ((frame, t_s),) = picture.frames
    assert frame.shape == (32, 48, 3)
    assert t_s == 0
    assert frame[0, 0, 1] > 150


def test_a_column_that_is_empty_is_not_there(tmp_path: Path) -> None:
    shuffled = row("<image>\nHow many doors?", "2", "object_count", image="s3dis/area_1.jpg")
    folder = write(tmp_path, [COUNT | {"image": None}, PICTURE | {"video": None}, shuffled | {"video": None}])
    video, *pictures = VSI590K(folder)
    assert len(list(video.frames)) == 3
    assert [len(list(picture.frames)) for picture in pictures] == [1, 1]
    assert VSI590K(folder).left_out == 0
    assert len(VSI590K(folder, images=False)) == 1


def test_media_that_are_missing_are_unpacked(tmp_path: Path) -> None:
    folder = write(tmp_path, [COUNT, PICTURE, SHUFFLED])
    for source in ("scannet", "hypersim", "s3dis"):
        with tarfile.open(folder / f"{source}.tar.gz", "w:gz") as archive:
            archive.add(folder / source, source)
        shutil.rmtree(folder / source)
    assert [len(list(clip.frames)) for clip in VSI590K(folder)] == [3, 1]
    assert not (folder / "s3dis").exists()
    for source in ("scannet", "hypersim", "s3dis"):
        (folder / f"{source}.tar.gz").write_bytes(b"no archive, and nobody looks")
    assert len(list(VSI590K(folder))) == 2


def test_videos_out_of_order_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, [COUNT, SHUFFLED])
    data = VSI590K(folder)
    assert (len(data), data.left_out) == (1, 1)
    assert len(VSI590K(folder, keep_shuffled=True)) == 2


def test_what_is_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, [COUNT, PICTURE, CHOICE])
    assert [clip.name for clip in VSI590K(folder, sources=("hypersim",))] == ["hypersim/ai_001/0"]
    assert len(VSI590K(folder, images=False)) == 1
    assert VSI590K(folder, types=("object_count",)).types == {"object_count": 1}
    with pytest.raises(UserError, match="found no row that was asked for"):
        VSI590K(folder, sources=("adt",))


@pytest.mark.parametrize(
    "asked",
    [
        Question("How many?", "3", 2.0, "object_counting"),
        Question("Which is first?\nThink of all.", "B", 2.0, "order", ("A. Bed, Chair", "B. Chair, Bed")),
    ],
)
def test_a_row_that_we_write_reads_the_same(asked: Question) -> None:
    assert question(json.loads(row_of(asked, "a.mp4")), 2.0) == asked


def test_an_answer_that_repeats_its_option_is_its_letter() -> None:
    told = row("<image>\nWhich?\nA. bed\nB. lamp", "B. lamp", "x", video="a.mp4")
    assert question(told, 0).answer == "B"
    prose = row("<image>\nI. am asking", "yes", "x", video="a.mp4")
    assert question(prose, 0).options == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object, got list"),
        ("[" * 100_000, "not JSON"),
        (json.dumps(COUNT | {"image": "a.jpg"}), "got video, image"),
        (json.dumps({k: v for k, v in COUNT.items() if k != "video"}), "got neither"),
        (json.dumps(COUNT | {"video": "/etc/passwd"}), "inside the folder"),
        (json.dumps(COUNT | {"video": 7}), "expected a text in column 'video'"),
        (json.dumps(COUNT | {"conversations": [1, 2]}), "expected a question and an answer"),
        (json.dumps(COUNT | {"conversations": COUNT["conversations"][::-1]}), "from 'human' and 'gpt'"),
        (json.dumps(COUNT | {"question_type": None}), "expected a text in column 'question_type'"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, [COUNT])
    with (tmp_path / TABLE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=rf"{TABLE}, row 1: .*{message}"):
        VSI590K(tmp_path)


def test_a_missing_medium_is_named_with_its_row(tmp_path: Path) -> None:
    folder = write(tmp_path, [COUNT, PICTURE])
    (folder / "hypersim/ai_001/0.jpg").unlink()
    with pytest.raises(UserError, match=r"row 1: .*0\.jpg: no such file"):
        list(VSI590K(folder))
    (folder / "hypersim/ai_001/0.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"0\.jpg: not a picture"):
        [list(clip.frames) for clip in VSI590K(folder)]
    with pytest.raises(UserError, match="cannot be read"):
        VSI590K(tmp_path / "hypersim")
