"""`ssm-sense data` at the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from ssm_sense.cli import USER_ERROR_STATUS, main
from ssm_sense.commands import bench_data
from ssm_sense.data.video import VideoFile, write_video
from ssm_sense.data.world.batch import jobs, render

ROW = {"dataset": "scannet", "scene_name": "scene0001_00", "question_type": "object_counting", "question": "How many?"}


def bench(folder: Path, scenes: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [ROW | {"scene_name": scene, "ground_truth": "3", "options": None} for scene in scenes]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "scannet").mkdir(exist_ok=True)
    write_video(folder / "scannet" / f"{scenes[0]}.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2, 1)
    return folder


def test_check_lists_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bench(tmp_path / "a", ["scene0001_00", "scene0002_00"])
    assert main(["data", "check", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "missing  scannet/scene0002_00.mp4" in out
    assert "1 files missing, for 1 questions" in out
    assert "2 files present, for 1 questions" in out
    assert "present  " not in out
    assert main(["data", "check", str(bench(tmp_path / "b", ["scene0001_01"])), "--against", str(folder), "--all"]) == 0
    out = capsys.readouterr().out
    assert "present  scannet/scene0001_01.mp4" in out
    assert "1 scenes are in both, of 1 here and 2 in" in out
    assert "shared   scannet scene0001" in out
    assert main(["data", "check", str(folder), "--against", str(tmp_path / "nowhere")]) == USER_ERROR_STATUS
    assert "nowhere: expected the tables of" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path)]) == USER_ERROR_STATUS


def test_score_by_either_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        {"kind": "vsc", "truth": "4", "prediction": "about 4"},
        {"kind": "vsc-streaming", "truth": "0", "prediction": "7"},
        {"kind": "vsr", "truth": "B", "prediction": "B.", "options": ["A. bed", "B. lamp"]},
        {"kind": "route_planning", "truth": "A", "prediction": "A", "options": ["A. left", "B. right"]},
        {"kind": "vsc", "truth": "4", "prediction": None},
    ]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"run": "ours", **answer}) + "\n" for answer in answers))
    assert main(["data", "score", str(tmp_path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in out] == [
        ["vsc", "50.00"],
        ["vsc-streaming", "0.00"],
        ["vsr", "100.00"],
        ["route_planning", "100.00"],
        ["VSI-Bench", "100.00"],
    ]
    assert main(["data", "score", str(rows), "--official"]) == 1
    out, err = capsys.readouterr()
    assert ["vsc-streaming", "100.00"] in [line.split()[1:3] for line in out.splitlines()]
    assert "row 0: the official scorer crashes" in err
    assert "row 4: the official scorer crashes" in err
    cut = {"run": "ours", "kind": "vsc", "truth": "4", "prediction": None, "error": "stopped: 10 bytes"}
    rows.write_text(json.dumps({"run": "ours", **answers[0]}) + "\n" + json.dumps(cut) + "\n")
    assert main(["data", "score", str(rows)]) == 0
    out, err = capsys.readouterr()
    assert out.split()[1:] == ["vsc", "100.00", "of", "1"]
    assert "1 rows that a cap cut off, which count nowhere" in err
    for text in (json.dumps({"run": 1}) + "\n", ""):
        rows.write_text(text)
        assert main(["data", "score", str(rows)]) == USER_ERROR_STATUS


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(tmp_path, jobs("tour", "train", 0, 0.1, 1, size=32), 1)
    assert main(["data", "export", str(tmp_path), "--stops", "1"]) == 0
    assert "vsi_590k.jsonl" in capsys.readouterr().out
    assert (tmp_path / "vsi_590k.jsonl").read_text().count("\n") > 3
    assert main(["data", "export", str(tmp_path), "--layout", "vsi-bench", "--draws", "1"]) == 0
    assert "test.jsonl" in capsys.readouterr().out
    assert main(["data", "export", str(tmp_path), "--stops", "0"]) == USER_ERROR_STATUS
    assert main(["data", "export", str(tmp_path), "--draws", "0"]) == USER_ERROR_STATUS
    assert main(["data", "export", str(tmp_path), "--seed", "-1"]) == USER_ERROR_STATUS


def test_bench_writes_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_data, "SIDES", (32,))
    monkeypatch.setattr(bench_data, "HEIGHT", 90)
    monkeypatch.setattr(bench_data, "WIDTH", 160)
    monkeypatch.setattr(bench_data, "CLIP_S", 2)
    monkeypatch.setattr(bench_data, "SHORT_HOURS", 0.01)
    monkeypatch.setattr(bench_data, "LONG_HOURS", 0.05)
    options = ["--minutes", "0.5", "--frames", "16", "--batch", "4", "--out", str(tmp_path)]
    assert main(["data", "bench", *options]) == 0
    rows = json.loads((tmp_path / "data.json").read_text())["rows"]
    assert len(rows) >= 6
    assert all(row["value"] > 0 for row in rows)
    table = (tmp_path / "data.md").read_text()
    assert "| render 32 x 32 | ours, one core |" in table
    assert capsys.readouterr().out == table
    short, long = (row["value"] for row in rows if row["unit"] == "MiB")
    assert long < 1.2 * short
    assert main(["data", "bench", "--frames", "1"]) == USER_ERROR_STATUS


def test_a_repeated_clip_is_as_long_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_data, "CLIP_S", 2)
    video = VideoFile(bench_data.repeated(tmp_path / "a.mp4", 10 / 3600, 64, 96), 2)
    assert video.duration_s == pytest.approx(10, abs=0.05)
    assert [t_s for _, t_s in video] == [i / 2 for i in range(20)]
