"""`ssm-sense evaluate` over a small folder in VSI-SUPER's layout, with a memory that counts frames."""

import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ssm_sense.commands import evaluate as command
from ssm_sense.commands import report
from ssm_sense.data.features import extract
from ssm_sense.data.video import write_video
from ssm_sense.data.world.batch import jobs, render
from ssm_sense.data.world.tables import write_table
from ssm_sense.errors import UserError
from ssm_sense.evaluate import evaluate_with_workers
from ssm_sense.memory.blind import Blind, BlindMemory
from ssm_sense.memory.nosense import NoSenseAhead
from ssm_sense.memory.per_event import PerEventMemory
from ssm_sense.memory.policy import Answer, Observation
from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.metrics.score import SCORERS
from ssm_sense.stream import Session
from ssm_sense.tiny import build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision.siglip import SiglipTower


class FrameCounterMemory:
    causal, query_aware, constant_memory, needs_training = True, False, True, False
    nbytes = 8

    def reset(self):
        self.seen = 0

    def observe(self, latents, surprise, t_s):
        self.seen += 1
        return Observation(float("nan"), float("nan"), False)

    def read(self, prompt, options=()):
        return Answer("A" if options else str(self.seen))


class GreyVision(torch.nn.Module):
    grid, width, fingerprint = 1, 1, "grey"

    def encode(self, frames):
        return frames[:, :1, :1, 0].float()


OURS = {"policy_class": f"{FrameCounterMemory.__module__}.FrameCounterMemory"}


def opened(policy: str, model: str) -> Session:
    assert (policy, model) == ("model", "somewhere")
    memory = FrameCounterMemory()
    memory.reset()
    return Session(memory, GreyVision())


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "VSI-SUPER-Both"
    for i, minutes in enumerate((10, 30)):
        name = f"{minutes}mins/00000000.mp4"
        (folder / name).parent.mkdir(parents=True)
        write_video(folder / name, [np.zeros((32, 32, 3), np.uint8)] * (4 + i), 1)
        question = {"video_path": name, "question": "How many different chair(s) are there in the video?"}
        rows = [
            {"video_path": name, "question": "Which?", "options": ["A. Bed", "B. Sofa"], "answer": "A"},
            question | {"answer": "4", "split": f"{minutes}mins"},
            question | {"split": f"{minutes}mins_streaming", "query_times": [0, 2], "answers": [1, 3]},
        ]
        columns = sorted({column for row in rows for column in row})
        table = pa.Table.from_pylist([{column: row.get(column) for column in columns} for row in rows])
        pq.write_table(table, folder / f"test_{minutes}mins.parquet")
    return folder


def run(data: Path, out: Path, *flags: str) -> list[dict]:
    assert command.main(["--model", "somewhere", "--data", str(data), "--out", str(out), *flags], opened) == 0
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


def test_all_lengths_and_tasks_by_default(data, tmp_path, capsys):
    rows = run(data, tmp_path / "out")
    assert [(r["run"], r["kind"], r["t_s"], r["prediction"]) for r in rows] == [
        ("frame_counter-10min", "vsc-streaming", 0.0, "1"),
        ("frame_counter-10min", "vsc-streaming", 2.0, "3"),
        ("frame_counter-10min", "vsr", 4.0, "A"),
        ("frame_counter-10min", "vsc", 4.0, "4"),
        ("frame_counter-30min", "vsc-streaming", 0.0, "1"),
        ("frame_counter-30min", "vsc-streaming", 2.0, "3"),
        ("frame_counter-30min", "vsr", 5.0, "A"),
        ("frame_counter-30min", "vsc", 5.0, "5"),
    ]
    settings = {"benchmark": "vsi-super", "dataset": "VSI-SUPER-Both", "minutes": 10.0, "fps": 1.0, "batch_frames": 8}
    assert rows[0]["settings"] == settings | OURS
    assert rows[0]["command"].startswith("ssm-sense evaluate --model somewhere")
    assert "frame_counter-10min: 1 watched, 0 finished before, 0 failed" in capsys.readouterr().out
    assert run(data, tmp_path / "out") == rows
    assert "frame_counter-10min: 0 watched, 1 finished before, 0 failed" in capsys.readouterr().out


def test_a_run_goes_on_only_with_the_weights_and_the_questions_it_began_with(data, tmp_path):
    def weighing(weights: str):
        return lambda *_: Session(FrameCounterMemory(), GreyVision(), weights)

    flags = ["--model", "m", "--data", str(data), "--out", str(tmp_path / "out"), "--minutes", "10"]
    for _ in range(2):
        assert command.main(flags, weighing("old")) == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    assert {row["weights"] for row in rows} == {"old"}
    with pytest.raises(UserError, match="begun with weights 'old', and goes on only with the same, not 'new'"):
        command.main(flags, weighing("new"))
    table = data / "test_10mins.parquet"
    pq.write_table(pq.read_table(table).slice(1), table)
    with pytest.raises(UserError, match=f"begun with questions '{rows[0]['questions']}'"):
        command.main(flags, weighing("old"))


def test_a_video_or_latents_that_are_damaged_fail_alone(data, tmp_path, capsys, monkeypatch):
    """A missing video, and a damaged index in the cache of another."""
    table = data / "test_10mins.parquet"
    rows = pq.read_table(table).to_pylist()
    names = [f"10mins/0000000{i}.mp4" for i in range(3)]
    for name in names[1:]:
        write_video(data / name, [np.full((32, 32, 3), 9, np.uint8)] * 6, 1)
    pq.write_table(pa.Table.from_pylist([row | {"video_path": name} for name in names for row in rows]), table)
    extract(data / names[1], GreyVision(), tmp_path / "cache", dtype="float32")
    (index,) = (tmp_path / "cache").rglob("index.json")
    index.write_text("{")
    (data / names[0]).unlink()
    (data / names[2]).write_bytes((data / names[2]).read_bytes() + b"another")
    flags = ["--model", "somewhere", "--data", str(data), "--out", str(tmp_path / "out"), "--minutes", "10"]
    assert command.main([*flags, "--features", str(tmp_path / "cache")], opened) == 1
    assert "3 watched, 0 finished before, 2 failed" in capsys.readouterr().out
    found = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    errors = {name: {row["error"] for row in found if f"{row['clip']}.mp4" == name} for name in names}
    assert [len(found), errors[names[2]]] == [12, {None}]
    assert "no such file" in str(errors[names[0]])
    assert "damaged cache" in str(errors[names[1]])


def test_a_video_shown_again_is_asked_about_at_the_end_of_each_showing_named(data, tmp_path):
    flags = ["--minutes", "10", "--name", "once"]
    alone = run(data, tmp_path / "alone", *flags)
    rows = run(data, tmp_path / "again", *flags, "--repeat", "0", "2")
    assert [(r["kind"], r["t_s"], r["prediction"], r["truth"]) for r in rows[4:]] == [
        ("vsr", 14.0, "A", "A"),
        ("vsc", 14.0, "12", "4"),
    ]
    told = {"duration_s", "settings", "command", "ms_per_frame", "answer_ms", "first_pass_ms", "peak_bytes"}
    for one, other in zip(alone, rows[:4], strict=True):
        assert {k: v for k, v in other.items() if k not in told} == {k: v for k, v in one.items() if k not in told}
    assert (rows[0]["settings"]["repeat"], rows[0]["duration_s"]) == ([0, 2], 14.0)
    assert rows[0]["settings"]["dataset"] == "VSI-SUPER-Both, 10 min repeated"
    first, shown = (
        [json.loads(line) for line in (tmp_path / name / "frames.jsonl").read_text().splitlines()]
        for name in ("alone", "again")
    )
    assert [frame | {"ms": 0} for frame in shown[:4]] == [frame | {"ms": 0} for frame in first]
    assert [frame["t_s"] for frame in shown] == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]
    with pytest.raises(UserError, match="goes on only with the same"):
        run(data, tmp_path / "again", *flags, "--repeat", "2")
    extract(data / "10mins" / "00000000.mp4", GreyVision(), tmp_path / "cache")
    cached = run(data, tmp_path / "cached", *flags, "--repeat", "2", "--features", str(tmp_path / "cache"))
    assert [(r["t_s"], r["prediction"], r["vision"]) for r in cached[2:]] == [
        (14.0, "A", "cached"),
        (14.0, "12", "cached"),
    ]
    (blind,) = run(data, tmp_path / "blind", *flags, "--repeat", "2", "--task", "vsc", "--blind")
    assert (blind["t_s"], blind["prediction"]) == (14.0, "1")


def test_one_task_of_one_length(data, tmp_path):
    rows = run(data, tmp_path / "out", "--task", "vsc", "--minutes", "30", "--label", "ours", "--name", "mine")
    assert [(r["run"], r["policy"], r["kind"], r["mra"]) for r in rows] == [("mine", "ours", "vsc", 0.6)]


def test_blind_sees_one_frame_under_a_name_of_its_own(data, tmp_path):
    rows = run(data, tmp_path / "out", "--task", "vsc", "--minutes", "10", "--blind")
    assert [(r["run"], r["blind"], r["prediction"]) for r in rows] == [("frame_counter-blind-vsc-10min", True, "1")]


def test_a_failed_clip_is_the_exit_status(data, tmp_path):
    class Broken(FrameCounterMemory):
        def read(self, prompt, options=()):
            raise RuntimeError("no answer")

    flags = ["--model", "m", "--data", str(data), "--out", str(tmp_path / "out"), "--minutes", "10"]
    assert command.main(flags, lambda *_: Session(Broken(), GreyVision())) == 1


def test_a_run_of_one_task_is_not_taken_for_one_of_another(data, tmp_path):
    run(data, tmp_path / "out", "--task", "vsc", "--minutes", "10", "--name", "mine")
    with pytest.raises(UserError, match="task"):
        run(data, tmp_path / "out", "--task", "vsc-streaming", "--minutes", "10", "--name", "mine")


def test_a_cap_is_reported_and_is_the_exit_status(data, tmp_path, capsys):
    flags = ["--model", "m", "--data", str(data), "--out", str(tmp_path / "out"), "--minutes", "10"]
    assert command.main([*flags, "--max-bytes", "1"], lambda *_: Session(FrameCounterMemory(), GreyVision())) == 1
    assert "1 watched, 0 finished before, 0 failed, 1 cut off by a cap" in capsys.readouterr().out
    assert command.main([*flags, "--max-minutes", "1e-9"], lambda *_: Session(FrameCounterMemory(), GreyVision())) == 1
    assert "0 failed, 1 left when time was up; run it again to go on" in capsys.readouterr().out
    assert command.main(flags, lambda *_: Session(FrameCounterMemory(), GreyVision())) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--minutes", "60"], "lengths, in minutes: 10, 30"),
        (["--limit", "0"], "--limit: expected more than 0"),
        (["--fps", "-1"], "--fps: expected 0.0001 to 1000 frames a second, got -1"),
        (["--ask-at", "0.01"], "expected rendered streams with their truth beside them"),
        (["--ask-at", "-1"], "--ask-at: expected minutes above 0, got -1"),
        (["--ask-at", "1", "nan"], "--ask-at: expected minutes above 0, got nan"),
        (["--repeat", "1", "-2"], "--repeat: expected 0 or more, got -2"),
        (["--workers", "0"], "--workers: expected more than 0"),
        (["--draws", "2"], "--draws: expected 1, or more with --ask-at"),
        (["--max-minutes", "0"], "--max-minutes: expected more than 0"),
        (["--max-bytes", "0"], "--max-bytes: expected more than 0"),
        (["--device", "toaster"], "--device toaster: "),
        (["--name", "x"], "one length in --minutes"),
        (["--backend", "quantum"], "--backend: backend 'quantum' was demanded"),
    ],
)
def test_bad_arguments(data, tmp_path, flags, said):
    with pytest.raises(UserError, match=said):
        run(data, tmp_path / "out", *flags)


def test_a_time_that_no_video_reaches_is_refused(tmp_path):
    work = jobs("vsc", "test", 0, 0.2, 1, size=32)
    render(tmp_path, work, 1)
    write_table(tmp_path, work)
    with pytest.raises(UserError, match=r"--ask-at: expected minutes up to 0\.2, got 5"):
        run(tmp_path, tmp_path / "out", "--ask-at", "0.1", "5")


def test_a_folder_without_tables(tmp_path):
    with pytest.raises(UserError, match=r"expected test_10mins\.parquet \(VSI-SUPER\), .*; found nothing"):
        run(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="expected a folder, or a dataset's id"):
        run(tmp_path / "nowhere", tmp_path / "out")


def test_vsi_bench_by_the_same_door(tmp_path):
    folder = tmp_path / "VSI-Bench"
    (folder / "scannet").mkdir(parents=True)
    write_video(folder / "scannet" / "scene0011_00.mp4", [np.zeros((32, 32, 3), np.uint8)] * 4, 1)
    row = {"id": 0, "dataset": "scannet", "scene_name": "scene0011_00", "question": "What?"}
    number = row | {"question_type": "object_size_estimation", "options": None, "ground_truth": "5"}
    choice = row | {"question_type": "object_rel_distance", "options": ["A. bed", "B. tv"], "ground_truth": "A"}
    (folder / "test.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (number, choice)))
    rows = run(folder, tmp_path / "out", "--scorer", "official-vsi-bench")
    assert [(r["run"], r["kind"], r["prediction"], r["correct"], r["mra"]) for r in rows] == [
        ("frame_counter-vsi-bench", "object_size_estimation", "4", False, pytest.approx(0.6)),
        ("frame_counter-vsi-bench", "object_rel_distance", "A", True, None),
    ]
    settings = {"benchmark": "vsi-bench", "dataset": "VSI-Bench", "fps": 1.0, "batch_frames": 8}
    assert rows[0]["settings"] == settings | OURS
    page = tmp_path / "page.html"
    assert report.main(["--rows", str(tmp_path / "out"), "--out", str(page)]) == 0
    lines = (tmp_path / "page" / "benchmarks.csv").read_text().splitlines()
    assert [line.split(",")[2:4] for line in lines[1:]] == [
        ["object size estimation", "0.6"],
        ["object rel distance", "1.0"],
        ["average", "0.8"],
    ]
    assert "VSI-Bench" in page.read_text()
    with pytest.raises(UserError, match=r"--repeat: expected with VSI-SUPER's layout alone, and .* holds vsi-bench"):
        run(folder, tmp_path / "out", "--repeat", "1")


def test_a_task_that_nobody_asks(data, tmp_path):
    for path in data.glob("*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 1), path)
    with pytest.raises(UserError, match="expected questions of vsc"):
        run(data, tmp_path / "out", "--task", "vsc")


def test_cached_latents_give_the_rows_of_live_frames(model, tmp_path, capsys):
    """Two rendered streams of which the cache has one, watched by a model whose tower is a random SigLIP."""
    render(tmp_path / "count", work := jobs("vsc", "val", 0, 0.2, 2, size=32, dwell_s=4.0), 1)
    write_table(tmp_path / "count", work)
    tokenizer = build_tokenizer(tmp_path / "tokenizer", ["room"])
    save_siglip(new_siglip(tokenizer, hidden=12, layers=2, heads=2, image_size=32, patch_size=8), tmp_path / "siglip")
    vision = SiglipTower(str(tmp_path / "siglip"), grid=2).load()
    extract(tmp_path / "count" / "0.2mins" / "00000000.mp4", vision, tmp_path / "cache", dtype="float32")
    flags = ["--model", "random", "--data", str(tmp_path / "count")]
    for name, more in (("live", []), ("cached", ["--features", str(tmp_path / "cache")])):
        out = ["--out", str(tmp_path / name), *more]
        assert command.main([*flags, *out], lambda *_: Session(model.memory(), vision)) == 0
    said = capsys.readouterr().err
    assert "0.2mins/00000001 at 1 frames/s is not in" in said
    assert "00000000 at" not in said
    timed = {"ms", "ms_per_frame", "answer_ms", "first_pass_ms", "peak_bytes", "command", "vision"}
    near = ("surprise", "gate", "log_likelihoods")
    for file in ("frames", "rows"):
        live, cached = (
            [json.loads(line) for line in (tmp_path / name / f"{file}.jsonl").read_text().splitlines()]
            for name in ("live", "cached")
        )
        assert len(live) == len(cached) > 20
        for one, other in zip(live, cached, strict=True):
            for key in one.keys() - timed:
                assert other[key] == (pytest.approx(one[key], abs=1e-4) if key in near else one[key]), key
    seen = {row["clip"]: row["vision"] for row in cached}
    assert seen == {"0.2mins/00000000": "cached", "0.2mins/00000001": "live"}
    assert {row["vision"] for row in live} == {"live"}
    assert all(0 < row["first_pass_ms"] < row["answer_ms"] for row in live)
    assert all(min(row["flops"]["vision"], row["flops"]["memory"]) > 0 for row in live)


def test_workers_open_model_and_videos_themselves(data, tmp_path, capfd, monkeypatch):
    """Forked here, for speed, after what a spawned process is sent has made the journey."""

    def forked(task, *arguments):
        context = multiprocessing.get_context("fork")
        return evaluate_with_workers(pickle.loads(pickle.dumps(task)), *arguments, context=context)

    monkeypatch.setattr("ssm_sense.evaluate.evaluate_with_workers", forked)
    rows = run(data, tmp_path / "out", "--task", "vsc", "--workers", "2", "--features", str(tmp_path))
    said = capfd.readouterr()
    assert "frame_counter-vsc-30min: 1 watched, 0 finished before, 0 failed" in said.out
    assert "has no latents of this encoder, grey" in said.err  # said by the workers
    assert [(row["run"], row["prediction"]) for row in rows] == [
        ("frame_counter-vsc-10min", "4"),
        ("frame_counter-vsc-30min", "5"),
    ]


def test_policies_have_the_names_that_figures_use():
    names = {
        RecurrentMemory: "ours",
        BlindMemory: "blind",
        PerEventMemory: "per_event",
        NoSenseAhead: "nosense_ahead",
        FrameCounterMemory: "frame_counter",
    }
    for memory, name in names.items():
        assert command.policy_label(memory.__new__(memory)) == name


def test_the_per_event_reading_is_a_policy_of_its_own(model, language, monkeypatch):
    monkeypatch.setattr("ssm_sense.folder.load_model", lambda folder: (model, GreyVision()))
    assert isinstance(command.open_policy("model-per-event", "somewhere").memory, PerEventMemory)
    monkeypatch.setattr("ssm_sense.folder.load_model", lambda folder: (Blind(language, 32, 12), GreyVision()))
    with pytest.raises(UserError, match="expected a model with event states, got Blind"):
        command.open_policy("model-per-event", "somewhere")


def test_its_scorers_are_those_there_are():
    assert tuple(SCORERS) == command.SCORERS
