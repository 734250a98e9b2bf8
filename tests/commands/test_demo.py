"""The demo in small: every step runs, a second run does nothing again, an interrupted one goes on."""

import json
from pathlib import Path

import pytest

from ssm_sense.commands import demo
from ssm_sense.commands.demo import Videos
from ssm_sense.lit import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a demo of a few seconds of video, trained for two steps."""
    monkeypatch.setattr(
        demo, "TRAINING", (Videos("train", "tour", "train", 0.3, 2), Videos("val", "tour", "val", 0.3, 2))
    )
    tests = (Videos("tours", "tour", "test", 0.3, 2, stops=2), Videos("long", "vsc", "test", 0.5, 1, stops=2))
    monkeypatch.setattr(demo, "TESTS", tests)
    configs = tmp_path / "configs"
    configs.mkdir()
    for policy in demo.POLICIES:
        text = (ROOT / "configs" / "tiny" / f"{policy}.yaml").read_text()
        for long, short in (
            ("frames: 96", "frames: 18"),
            ("batch_size: 8", "batch_size: 2"),
            ("every_n_train_steps: 50", "every_n_train_steps: 1"),
        ):
            assert long in text
            text = text.replace(long, short)
        text = text.replace("    - class_path: lightning.pytorch.callbacks.RichProgressBar\n", "")
        (configs / f"{policy}.yaml").write_text(text)
    return ["--out", str(tmp_path / "demo"), "--configs", str(configs), "--steps", "2"]


def test_it_leaves_a_report_and_reuses_what_is_there(small: list[str], tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "demo"
    real, fitted = cli.main, []

    def fit(argv: list[str]) -> int:
        fitted.append(argv)
        if len(fitted) == 2:
            real(
                [argument.replace("max_steps=2", "max_steps=1") for argument in argv] + [f"--folder={tmp_path / 'cut'}"]
            )
            raise KeyboardInterrupt
        return real(argv)

    monkeypatch.setattr(cli, "main", fit)
    with pytest.raises(KeyboardInterrupt):
        demo.main(small)
    trained = (out / "model" / "config.yaml").stat().st_mtime_ns
    assert demo.main(small) == 0
    assert len(fitted) == 4, "expected ours, an interruption, and then the two rivals alone"
    assert [any(argument.startswith("--ckpt_path=") for argument in argv) for argv in fitted] == [0, 0, 1, 0]
    assert (out / "model" / "config.yaml").stat().st_mtime_ns == trained
    calibrated = (out / "model" / "calibration.json").stat().st_mtime_ns
    rows = [json.loads(line) for line in (out / "rows" / "rows.jsonl").open()]
    assert {row["policy"] for row in rows} == {*demo.POLICIES, "ours_per_event", "nosense"}
    assert not [row["error"] for row in rows if row["error"]]
    kinds = {row["kind"] for row in rows if row["policy"] == "ours"}
    assert {"room_now", "visible", "count_here", "vsc", "vsc-streaming"} <= kinds
    sources = {json.loads(line)["source"] for line in (out / "surprise.jsonl").open()}
    rivals = {"stateless LFP", "moving average", "adjacent frame", "random"}
    assert sources == {"shift of features", "closed loop", "unlike its place", *rivals}
    page = (out / "report.html").read_text()
    assert "sliding_window" in page
    assert "nosense" in page
    assert demo.main(small) == 0
    assert len(fitted) == 4
    assert (out / "model" / "calibration.json").stat().st_mtime_ns == calibrated
    assert [json.loads(line) for line in (out / "rows" / "rows.jsonl").open()] == rows
