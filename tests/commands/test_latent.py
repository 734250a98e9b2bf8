"""`ssm-sense latent`: every config loads, a training goes through, and what it wrote is asked."""

import json
from pathlib import Path

import pytest
import torch

from ssm_sense import cli
from ssm_sense.commands.latent_fit import LatentCLI
from ssm_sense.lit.latent import LatentData, LatentModule
from ssm_sense.nn.latent_reader import held_bytes

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs" / "latent").glob("*.yaml"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(memory: str) -> list[str]:
    """A training of two steps, kept in a folder of that name."""
    return [
        "latent", "fit", f"--config={ROOT / 'configs' / 'latent' / memory}.yaml", "--trainer.max_steps=2",
        "--model.lr_scheduler.init_args.total_steps=2", "--data.events=12", "--data.facts=4", "--data.batch_size=2",
        "--trainer.val_check_interval=2", "--data.val_batches=1", "--folder=kept",
    ]  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_instantiates_at_matched_bytes(path: Path) -> None:
    system = LatentCLI(LatentModule, LatentData, args=[f"--config={path}"], run=False, seed_everything_default=0)
    module = system.model
    assert system.datamodule.world is module.world
    scheduled = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    assert scheduled.total_steps == system.trainer.max_steps
    with torch.inference_mode():
        state = module.model.watch(torch.zeros(1, 40, 4, module.world.width), module.model.initial_state(1))
    if path.stem != "all_frames":
        assert held_bytes(module.model, state) == pytest.approx(8_720, rel=0.02)


@pytest.mark.parametrize(
    ("memory", "held"),
    [
        ("episode", 8_720),
        ("delta", 8_720),
        ("gated_episode", 8_724),
        ("gated_delta", 8_724),
        ("surprising_bank", 8_840),
    ],
)
def test_trained_kept_and_asked(memory: str, held: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(fit(memory)) == 0
    assert f"a blank state holds {held:,} bytes" in capsys.readouterr().out
    shape = ["--model", "kept", "--streams", "5"]
    assert cli.main(["latent", "load", *shape, "--loads", "2", "4", "--events", "12", "--out", "load.json"]) == 0
    rows = json.loads(Path("load.json").read_text())
    assert [row["load"] for row in rows] == [2, 4]
    assert {row["state_bytes"] for row in rows} == {held}
    assert cli.main(["latent", "length", *shape, "--minutes", "10", "--facts", "4", "--out", "length.json"]) == 0
    assert [row["kind"] for row in json.loads(Path("length.json").read_text())] == ["same"]
    assert "load    4     10 min  recall" in capsys.readouterr().out


def test_decoys_are_put_into_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(fit("gated_delta")) == 0
    ask = ["latent", "load", "--model", "kept", "--loads", "8", "--out", "load.json"]
    recall = []
    for decoys in ([], ["--decoys", "0"], ["--decoys", "1"]):
        assert cli.main([*ask, *decoys]) == 0
        recall.append(json.loads(Path("load.json").read_text())[0]["recall"])
    assert recall[0] == recall[1] != recall[2]
    assert cli.main([*ask, "--decoys", "1.5"]) == 2
    assert "decoys: expected a share, 0 to 1, got 1.5" in capsys.readouterr().err


def test_strange_needles_are_kept_from_training_and_asked(capsys: pytest.CaptureFixture[str]) -> None:
    args = [*fit("surprising_frames"), "--data.matched=0.5"]
    assert cli.main([*args, "--model.world.strange=64"]) == 0
    ask = ["latent", "length", "--streams", "5", "--minutes", "10", "12", "--facts", "4", "--out", "length.json"]
    assert cli.main([*ask, "--model", "kept", "--kinds", "same", "strange"]) == 0
    rows = json.loads(Path("length.json").read_text())
    assert [(row["kind"], row["minutes"]) for row in rows] == [
        ("same", 10),
        ("same", 12),
        ("strange", 10),
        ("strange", 12),
    ]
    assert cli.main(args) == 0
    assert cli.main([*ask, "--model", "kept", "--kinds", "strange"]) == 2
    assert "facts: expected 0 to 0, the number of such needles, got 4" in capsys.readouterr().err


def test_what_cannot_be_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["latent", "load", "--model", "nowhere", "--out", "x.json"]) == 2
    assert "nowhere/model.ckpt: expected what `ssm-sense latent fit" in capsys.readouterr().err
    Path("damaged").mkdir()
    Path("damaged/model.ckpt").write_text("hello")
    assert cli.main(["latent", "load", "--model", "damaged", "--out", "x.json"]) == 2
    assert "damaged/model.ckpt: not what `ssm-sense latent fit` writes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["load", "--streams", "4"], "--streams: expected 5 or more, got 4"),
        (["load", "--loads", "4", "-1"], "--loads: expected 1 or more, got -1"),
        (["load", "--events", "0"], "--events: expected 1 or more, got 0"),
        (["length", "--facts", "1"], "--facts: expected 2 or more, got 1"),
        (["length", "--seed", "-1"], "--seed: expected 0 or more, got -1"),
    ],
)
def test_impossible_tests_are_refused(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["latent", *argv, "--model", "nowhere", "--out", "x.json"]) == 2
    assert said in capsys.readouterr().err
