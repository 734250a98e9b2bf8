"""Videos on disk: whole or not there, never rendered twice, in the layout that VSI-SUPER's readers expect."""

import json
import os
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from ssm_sense.data.world import film
from ssm_sense.data.world.batch import jobs, render
from ssm_sense.data.world.film import finished, shoot, truth_path
from ssm_sense.data.world.questions import questions
from ssm_sense.data.world.sheet import contact_sheet
from ssm_sense.data.world.stream import Recipe, compose, pictures
from ssm_sense.data.world.tables import write_table
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError

RECIPE = Recipe("tour", "val", seed=1, minutes=0.2, size=64)


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_video_shows_the_pictures(tmp_path: Path) -> None:
    video = tmp_path / "deep" / "0.mp4"
    ticks: list[int] = []
    truth = shoot(RECIPE, video, lambda: ticks.append(1))
    frames = decoded(video)
    assert len(frames) == len(truth.frames) == len(ticks) == 12
    for frame, picture in zip(frames, pictures(compose(RECIPE)), strict=True):
        assert np.abs(frame.astype(int) - picture.image).mean() < 6
    assert Truth.load(truth_path(video)) == truth
    assert finished(video, RECIPE)
    assert sorted(p.name for p in video.parent.iterdir()) == ["0.json", "0.mp4"]


def test_an_interrupted_video_leaves_nothing(tmp_path: Path) -> None:
    class Interrupt(Exception):
        pass

    def stop() -> None:
        raise Interrupt

    with pytest.raises(Interrupt):
        shoot(RECIPE, tmp_path / "0.mp4", stop)
    assert list(tmp_path.iterdir()) == []
    assert not finished(tmp_path / "0.mp4", RECIPE)


def test_without_its_truth_a_video_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / "0.mp4").write_bytes(b"half")
    assert not finished(tmp_path / "0.mp4", RECIPE)


def test_another_stream_in_its_place_is_an_error(tmp_path: Path) -> None:
    shoot(RECIPE, tmp_path / "0.mp4")
    for change in ({"seed": 2}, {"task": "vsc"}, {"minutes": 0.3}, {"size": 32}, {"split": "test"}, {"dwell_s": 9.0}):
        with pytest.raises(UserError, match="holds another stream"):
            finished(tmp_path / "0.mp4", replace(RECIPE, **change))


def test_a_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    work = jobs("vsr", "test", seed=2, minutes=0.75, count=2, size=32)
    assert len({job.recipe.seed for job in work}) == 2
    kept = tmp_path / work[0].name
    shoot(work[0].recipe, kept)
    made_ns = kept.stat().st_mtime_ns
    told: list[int] = []
    render(tmp_path, work, workers=2, progress=told.append)
    assert told[0] == 45
    assert sum(told) == 90
    assert kept.stat().st_mtime_ns == made_ns
    assert finished(tmp_path / work[1].name, work[1].recipe)

    table = write_table(tmp_path, work)
    assert table.name == "test_0.75mins.parquet"
    rows = pq.read_table(table).to_pylist()
    assert list(rows[0]) == ["video_path", "question", "options", "answer", "type"]
    for row, job in zip(rows, work, strict=True):
        (question,) = questions(Truth.load(truth_path(tmp_path / job.name)))
        assert row["video_path"] == job.name
        assert (tmp_path / row["video_path"]).exists()
        assert (row["question"], tuple(row["options"]), row["answer"]) == (
            question.text,
            question.options,
            question.answer,
        )
        assert row["type"] == "0.75mins"


def test_count_table(tmp_path: Path) -> None:
    work = jobs("vsc", "test", seed=3, minutes=0.5, count=1, size=32)
    shoot(work[0].recipe, tmp_path / work[0].name)
    rows = pq.read_table(write_table(tmp_path, work)).to_pylist()
    assert list(rows[0]) == ["video_path", "question", "answer", "split", "query_times", "answers"]
    assert [row["split"] for row in rows] == ["0.5mins", "0.5mins_streaming"]
    assert rows[0]["query_times"] == rows[0]["answers"] == []
    assert rows[1]["query_times"] == sorted(set(rows[1]["query_times"]))
    assert len(rows[1]["query_times"]) == len(rows[1]["answers"]) == 10
    assert rows[1]["query_times"][-1] == 29
    assert str(rows[1]["answers"][-1]) == rows[1]["answer"] == rows[0]["answer"]
    assert rows[0]["question"].startswith("How many different ")
    assert rows[0]["question"].endswith("(s) are there in the video?")


def test_index_of_tours(tmp_path: Path) -> None:
    work = jobs("tour", "val", seed=0, minutes=0.1, count=2, size=32)
    for job in work:
        shoot(job.recipe, tmp_path / job.name)
    index = json.loads(write_table(tmp_path, work).read_text())
    assert [entry["video"] for entry in index] == ["0.1mins/00000000.mp4", "0.1mins/00000001.mp4"]
    for entry, job in zip(index, work, strict=True):
        truth = Truth.load(tmp_path / entry["truth"])
        assert (truth.seed, truth.split, truth.duration_s) == (job.recipe.seed, "val", 6.0)


def test_a_contact_sheet_holds_its_tiles(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "sheets" / "sheet.png"
    contact_sheet(path, Recipe("tour", "train", seed=3, minutes=0.5, size=64), rows=2, columns=3)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (2 * (64 + 34 + 4) - 4, 3 * 68 - 4, 3)
    for row in range(2):
        for column in range(3):
            tile = sheet[row * 102 : row * 102 + 64, column * 68 : column * 68 + 64]
            assert tile.std() > 10


def test_rendering_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, ssm_sense.data.world.film, ssm_sense.data.world.batch; print('torch' in sys.modules)"
    root = Path(film.__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
