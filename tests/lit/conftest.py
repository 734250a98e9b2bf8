"""Rendered tours with their latents, and the command line as it trains on them, cut down in size."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from ssm_sense.data.features import extract
from ssm_sense.data.world.batch import jobs, render
from ssm_sense.data.world.mixture import vocabulary
from ssm_sense.lit import cli
from ssm_sense.tiny import build_language, build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision.siglip import SiglipTower

ROOT = Path(__file__).parents[2]
SMALL = {
    "ours": [
        "encoder.init_args.vision_width=32",
        "encoder.init_args.width=16",
        "encoder.init_args.grid=2",
        "head.init_args.width=16",
        "head.init_args.vision_width=32",
        "episode.init_args.width=16",
        "language_width=32",
    ],
    "sliding_window": ["vision_width=32", "places=4", "language_width=32", "window=8"],
    "blind": ["vision_width=32", "language_width=32"],
}


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered tours with their truth, a random vision tower, its latents, a random language model."""
    folder = tmp_path_factory.mktemp("fit")
    render(folder / "videos", jobs("tour", "train", 0, 0.4, 3, 1, 32, 6.0), 1, lambda frames: None)
    words = vocabulary()
    build_language(folder / "language", words, hidden=32, layers=1, heads=2)
    tower = new_siglip(
        build_tokenizer(folder / "words", words), hidden=32, layers=2, heads=2, image_size=32, patch_size=8
    )
    save_siglip(tower, folder / "siglip")
    vision = SiglipTower(str(folder / "siglip"), layer=-1, pooling="average", grid=2).load()
    for video in sorted((folder / "videos").rglob("*.mp4")):
        extract(video, vision, folder / "features")
    return folder


class Arguments(Protocol):
    def __call__(self, run: Path, steps: int, policy: str = "ours", more: Sequence[str] = ()) -> list[str]: ...


class Fit(Protocol):
    def __call__(self, run: Path, steps: int, policy: str = "ours", more: Sequence[str] = ()) -> list[float]: ...


@pytest.fixture
def arguments(work: Path) -> Arguments:
    """What to call `ssm-sense` with to train a shipped config, cut down in size."""

    def build(run: Path, steps: int, policy: str = "ours", more: Sequence[str] = ()) -> list[str]:
        flags = {
            "trainer.max_steps": steps,
            "trainer.val_check_interval": 3,
            "trainer.log_every_n_steps": 1,
            "trainer.enable_progress_bar": "false",
            "trainer.enable_model_summary": "false",
            "trainer.default_root_dir": run,
            "trainer.logger.init_args.save_dir": run,
            "model.true_events_steps": 2,
            "model.model.init_args.language.init_args.path": work / "language" / "llm",
            "data.features": work / "features",
            "data.train": work / "videos",
            "data.val": work / "videos",
            "data.batch_size": 2,
            "data.frames": 20,
            "data.stops": 2,
            "data.val_batches": 1,
            "vision.path": work / "siglip",
            "vision.grid": 2,
            "folder": run / "model",
        }
        callbacks = [
            "--trainer.callbacks=lightning.pytorch.callbacks.ModelCheckpoint",
            f"--trainer.callbacks.dirpath={run / 'checkpoints'}",
            "--trainer.callbacks.save_last=true",
            "--trainer.callbacks.every_n_train_steps=3",
        ]
        return [
            "fit",
            f"--config={ROOT / 'configs' / 'tiny' / policy}.yaml",
            *(f"--{key}={value}" for key, value in flags.items()),
            *(f"--model.model.init_args.{setting}" for setting in SMALL[policy]),
            *callbacks,
            *more,
        ]

    return build


@pytest.fixture
def losses() -> Callable[[Path], list[float]]:
    """The logged training losses of every step of a run."""

    def read(run: Path) -> list[float]:
        rows = [row for log in sorted((run / "log").glob("metrics*.csv")) for row in csv.DictReader(log.open())]
        return [float(row["train/loss"]) for row in rows if row.get("train/loss")]

    return read


@pytest.fixture
def fit(arguments: Arguments, losses: Callable[[Path], list[float]]) -> Fit:
    """Train, and return the losses."""

    def run_it(run: Path, steps: int, policy: str = "ours", more: Sequence[str] = ()) -> list[float]:
        cli.main(arguments(run, steps, policy, more))
        return losses(run)

    return run_it
