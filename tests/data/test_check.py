"""What is there, missing and damaged, file by file."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssm_sense.data import hub
from ssm_sense.data.check import check, scenes, scenes_of
from ssm_sense.data.video import write_video
from ssm_sense.errors import UserError

COUNT: dict[str, Any] = {"question": "How many?", "answer": "1", "split": "10mins", "query_times": [], "answers": []}


def video(path: Path, seconds: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [np.full((32, 32, 3), 90, np.uint8)] * seconds, 1)


def states(folder: Path, deep: bool = False) -> dict[str, str]:
    return {found.name: found.state for found in check(folder, deep)}


def test_vsi_super(tmp_path: Path) -> None:
    names = [f"10mins/0000000{i}.mp4" for i in range(4)]
    pq.write_table(
        pa.Table.from_pylist([COUNT | {"video_path": name} for name in names]), tmp_path / "test_10mins.parquet"
    )
    (tmp_path / "test_30mins.parquet").write_bytes(b"PAR1")
    video(tmp_path / names[0])
    video(tmp_path / names[1])
    (tmp_path / names[1]).write_bytes((tmp_path / names[1]).read_bytes()[:100])
    with zipfile.ZipFile(tmp_path / "10mins.zip", "w") as archive:
        archive.writestr("00000002.mp4", b"packed")
    assert states(tmp_path) == {
        "test_10mins.parquet": "present",
        "test_30mins.parquet": "damaged",
        "10mins.zip": "present",
        names[0]: "present",
        names[1]: "damaged",
        names[2]: "packed",
        names[3]: "missing",
    }


def test_a_deep_check_reads_to_the_end(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([COUNT | {"video_path": "a.mkv"}]), tmp_path / "test_10mins.parquet")
    rng = np.random.default_rng(0)
    write_video(tmp_path / "a.mkv", [rng.integers(0, 255, (32, 32, 3)).astype(np.uint8) for _ in range(60)], 1)
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.mp4", b"b" * 500)
    (tmp_path / "b.zip").write_bytes((tmp_path / "b.zip").read_bytes().replace(b"b" * 500, b"b" * 499 + b"c"))
    assert states(tmp_path) == {"test_10mins.parquet": "present", "b.zip": "present", "a.mkv": "present"}
    assert states(tmp_path, deep=True) == {"test_10mins.parquet": "present", "b.zip": "damaged", "a.mkv": "damaged"}


def test_vsi_590k_and_the_scenes_it_shares(tmp_path: Path) -> None:
    train, bench = tmp_path / "train", tmp_path / "bench"
    media = ["scannet/videos/scene0011_01.mp4", "s3dis/area.mp4", "scannetppv2/0a5c013435.mp4", "adt/x.mp4"]
    turns = [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "2"}]
    video(train / media[1])
    rows = [{"conversations": turns, "question_type": "count", "video": name} for name in media]
    (train / "vsi_590k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert states(train) == {
        "vsi_590k.jsonl": "present",
        media[0]: "missing",
        media[1]: "shuffled",
        media[2]: "missing",
        media[3]: "missing",
    }
    bench.mkdir()
    asked = {"question_type": "object_counting", "question": "How many?", "ground_truth": "2", "options": None}
    places = [("scannet", "scene0011_00"), ("scannetpp", "0a5c013435"), ("arkitscenes", "41069025")]
    lines = [json.dumps(asked | {"dataset": d, "scene_name": s}) + "\n" for d, s in places]
    (bench / "test.jsonl").write_text("".join(lines))
    assert scenes_of(train) & scenes_of(bench) == {("scannet", "scene0011"), ("scannetpp", "0a5c013435")}


def test_scenes_of_media() -> None:
    assert scenes(["arkitscenes/train/41069025/1.jpg", "ytb/abc.mp4", "scannet/scene0707_00.mp4"]) == {
        ("arkitscenes", "41069025"),
        ("scannet", "scene0707"),
    }


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the tables of"):
        list(check(tmp_path))


def test_a_dataset_by_folder_or_by_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def download(place: str, repo_type: str, allow_patterns: list[str] | None) -> str:
        fetched.append((place, repo_type, allow_patterns))
        if place == "no/where":
            raise OSError("offline")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert hub.dataset_folder(str(tmp_path)) == tmp_path
    assert fetched == []
    assert hub.dataset_folder("nyu-visionx/VSI-Bench", ["*.parquet"]) == tmp_path
    assert fetched == [("nyu-visionx/VSI-Bench", "dataset", ["*.parquet"])]
    with pytest.raises(UserError, match="not to be had from the hub: offline"):
        hub.dataset_folder("no/where")
    with pytest.raises(UserError, match="expected a folder, or"):
        hub.dataset_folder("/no/such/folder")
