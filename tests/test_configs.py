"""Every training config under configs/ loads, offline, into the system that it describes.

Settings of policies, configs/policies, are loaded by tests/memory/test_catalogue.py, grids of them by
tests/commands/test_tune.py, and those of the latent world, configs/latent, by tests/commands/test_latent.py.
"""

import inspect
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml

from ssm_sense.language.gguf import SMOLLM2
from ssm_sense.lit.cli import StreamCLI
from ssm_sense.lit.data import StreamData, TrainingData
from ssm_sense.lit.instruction import InstructionData
from ssm_sense.lit.module import StreamModule
from ssm_sense.lit.parts import train_only

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "configs" / "train"
LARGE = sorted((TRAIN / "qwen2.5").glob("stage*.yaml"))
SIZES = sorted((TRAIN / "qwen2.5" / "size").glob("*.yaml"))
OVER_ANY = sorted((TRAIN / "with").glob("*.yaml"))
POLICIES = (ROOT / "configs" / "policies").rglob("*.yaml")
LATENT = (ROOT / "configs" / "latent").glob("*.yaml")
WHOLE = sorted(set((ROOT / "configs").rglob("*.yaml")) - {*SIZES, *OVER_ANY, *POLICIES, *LATENT})
WIDTHS = {"0.5B": 896, "1.5B": 1536, "3B": 2048, "7B": 3584}
"""Q of Qwen2.5, by its name on the hub."""
RECIPE = {1: 512, 2: 256, 3: 256, 4: 256}
"""Streams a step of Cambrian-S's stages."""


@cache
def load(*paths: Path) -> StreamCLI:
    """The system that one config describes, or several, the later over the earlier; its weights have no values."""
    args = [f"--config={path}" for path in paths]
    with torch.device("meta"):
        return StreamCLI(
            StreamModule, TrainingData, args=args, run=False, seed_everything_default=0, subclass_mode_data=True
        )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_there_are_configs() -> None:
    assert len(WHOLE) >= 11
    assert len(LARGE) == len(SIZES) == 4


@pytest.mark.parametrize("path", WHOLE, ids=lambda p: str(p.relative_to(ROOT)))
def test_config_instantiates(path: Path) -> None:
    cli = load(path)
    assert sum(p.numel() for p in cli.model.parameters()) > 0 or cli.model.model.language_width > 0
    # The groups that training makes; the language model's own weights are not loaded here.
    rates = cli.model.rates or {}
    language = cli.model.model.language
    language.weight = torch.nn.Parameter(torch.zeros(1))
    groups = (
        train_only(cli.model.model, rates) if rates else [{"params": [p]} for p in (language.weight, torch.zeros(1))]
    )
    optimizer = cli.model.optimizer(groups)
    assert [group["lr"] for group in optimizer.param_groups] == list(rates.values()) or not rates
    assert cli.model.lr_scheduler is None or cli.model.lr_scheduler(optimizer).total_steps == cli.trainer.max_steps


@pytest.mark.parametrize(("stage", "size"), zip(LARGE, SIZES, strict=True), ids=lambda path: path.stem)
def test_sizes_lie_over_stages(stage: Path, size: Path) -> None:
    model, plain = load(stage, size).model.model, load(stage).model.model
    assert model.language.path.endswith(f"{size.stem.upper()}-Instruct")
    assert model.language_width == WIDTHS[size.stem.upper()]
    assert model.language.gradient_checkpointing
    assert model.encoder.width == plain.encoder.width


@pytest.mark.parametrize("stage", [LARGE[2], TRAIN / "tiny" / "stage2_pictures.yaml"], ids=["large", "tiny"])
def test_what_lies_over_any_stage_changes_what_it_says(stage: Path) -> None:
    assert {path.stem for path in OVER_ANY} == {"closed_loop", "ddp", "lora", "smollm2"}
    plain, over = load(stage), load(stage, *OVER_ANY)
    before, after = plain.model.model.language, over.model.model.language
    assert before.lora is None
    assert after.lora.rank == 64
    assert after.gradient_checkpointing == before.gradient_checkpointing
    assert (after.path, over.model.model.language_width) == (SMOLLM2, 576)
    assert plain.model.model.source is not None
    assert over.model.model.source is None
    assert over.model.model.window == 32
    assert type(over.trainer.strategy).__name__ == "DDPStrategy"
    assert over.model.rates == plain.model.rates


@pytest.mark.parametrize("family", ["tiny", "qwen2.5"])
def test_each_stage_starts_where_the_one_before_ends(family: str) -> None:
    ended = None
    for path in sorted((TRAIN / family).glob("stage*.yaml")):
        cli = load(path)
        assert cli.model.start == ended
        ended = cli.config.folder


def test_large_stages_have_the_recipes_batches_rates_and_frames() -> None:
    for number, path in enumerate(LARGE, 1):
        cli = load(path)
        assert isinstance(cli.datamodule, InstructionData)
        shape, rates = cli.datamodule.shape, cli.model.rates
        assert shape["batch_size"] * cli.trainer.accumulate_grad_batches == RECIPE[number]
        assert shape["questions"] == 1
        assert rates.get("frame_connector", rates.get("*_connector")) == (1e-3 if number == 1 else 1e-5)
        assert rates.get("language") == (None if number == 1 else 1e-5)
        assert number < 3 or shape["frames"] == {3: 64, 4: 128}[number]


def test_kinds_of_data_share_their_defaults() -> None:
    """Where a config names another kind than the default, the command line carries over what both kinds know."""
    streams, instruction = (inspect.signature(kind).parameters for kind in (StreamData, InstructionData))
    for name in streams.keys() & instruction.keys() - {"train"}:
        assert streams[name].default == instruction[name].default, name


@pytest.mark.parametrize("path", WHOLE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_last_checkpoint_keeps_its_name_wherever_a_run_goes_on(path: Path) -> None:
    """Otherwise a run that was moved goes on in last-v1.ckpt, and last.ckpt stays what it was."""
    callbacks = (yaml.safe_load(path.read_text()).get("trainer") or {}).get("callbacks") or []
    for one in callbacks:
        settings = one.get("init_args") or {}
        assert not settings.get("save_last") or settings["enable_version_counter"] is False
