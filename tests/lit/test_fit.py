"""Training through the command line: it fits, resumes to the same losses, and leaves a folder that streams."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from ssm_sense.data.features import extract
from ssm_sense.data.world.batch import jobs, render
from ssm_sense.data.world.clips import rendered_clips
from ssm_sense.data.world.mixture import vocabulary
from ssm_sense.errors import UserError
from ssm_sense.folder import load_model, load_session
from ssm_sense.lit import cli
from ssm_sense.lit.data import StreamBatches, load_streams
from ssm_sense.lit.module import StreamModule
from ssm_sense.tiny import build_language, build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision.siglip import SiglipTower

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
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
    vision = SiglipTower(str(folder / "siglip"), grid=2).load()
    for video in sorted((folder / "videos").rglob("*.mp4")):
        extract(video, vision, folder / "features")
    return folder


def fit(work: Path, run: Path, steps: int, policy: str = "ours", more: Sequence[str] = ()) -> list[float]:
    """Train with a shipped config cut down in size; the logged training losses of every step."""
    small = {
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
    }[policy]
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
    cli.main(
        [
            "fit",
            f"--config={ROOT / 'configs' / 'tiny' / policy}.yaml",
            *(f"--{key}={value}" for key, value in flags.items()),
            *(f"--model.model.init_args.{setting}" for setting in small),
            *callbacks,
            *more,
        ]
    )
    rows = [row for log in sorted((run / "log").glob("metrics*.csv")) for row in csv.DictReader(log.open())]
    return [float(row["train/loss"]) for row in rows if row.get("train/loss")]


def test_resuming_gives_the_losses_of_an_uninterrupted_run(work: Path, tmp_path: Path) -> None:
    whole = fit(work, tmp_path / "whole", steps=6)
    fit(work, tmp_path / "half", steps=3)
    last = tmp_path / "half" / "checkpoints" / "last.ckpt"
    resumed = fit(work, tmp_path / "rest", steps=6, more=[f"--ckpt_path={last}"])
    assert len(whole) == 6
    assert resumed == whole[3:]


@pytest.mark.parametrize("policy", ["ours", "sliding_window", "blind"])
def test_a_trained_folder_streams_and_answers(work: Path, tmp_path: Path, policy: str) -> None:
    fit(work, tmp_path, steps=2, policy=policy)
    session = load_session(tmp_path / "model")
    clip = rendered_clips(work / "videos", stops=2)[0]
    for frame, t_s in clip.frames:
        session.feed(torch.from_numpy(frame)[None], [t_s])
    assert session.frames == 24
    assert all(isinstance(session.ask(question).text, str) for question in clip.questions)
    choice = next((q for q in clip.questions if q.options), None)
    assert choice is None or session.ask(choice).text in "ABCD"


def test_the_folder_holds_what_was_trained(work: Path, tmp_path: Path) -> None:
    """Folder and Lightning checkpoint carry the same weights, and both load by themselves."""
    fit(work, tmp_path, steps=3)
    model, vision = load_model(tmp_path / "model")
    module = StreamModule.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    for name, tensor in module.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert vision.grid == 2
    assert model.scale.scale.min() > 0
    assert not torch.equal(model.scale.mean, torch.zeros_like(model.scale.mean))


def test_a_folder_from_a_stranger_runs_no_code_of_its_own(work: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "model: {class_path: subprocess.Popen, init_args: {args: [touch, owned]}}\nvision: {class_path: x}\n"
    )
    with pytest.raises(UserError, match="expected classes of ssm_sense only"):
        load_model(tmp_path)
    (tmp_path / "config.yaml").write_text("just text")
    with pytest.raises(UserError, match="expected the keys model and vision"):
        load_model(tmp_path)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_model(tmp_path / "missing")


def test_batches_are_a_function_of_seed_and_number(work: Path) -> None:
    streams = load_streams(work / "videos", work / "features")
    first = StreamBatches(streams, 2, 20, 3, 4, seed=1)
    later = StreamBatches(streams, 2, 20, 3, 4, seed=1, start=5, count=2)
    batches = list(later)
    assert len(batches) == 2
    again = first.batch(5)
    assert again.queries == batches[0].queries
    assert torch.equal(again.latents, batches[0].latents)
    assert again.queries != batches[1].queries
    assert {query.frame for query in again.queries} >= {19}
    for query, kind in zip(again.queries, again.kinds, strict=True):
        assert query.prompt
        assert query.answer
        assert kind


def test_too_few_or_too_short_streams_are_named(work: Path) -> None:
    streams = load_streams(work / "videos", work / "features")
    with pytest.raises(UserError, match="batch_size"):
        StreamBatches(streams, 9, 20, 3, 4, seed=1)
    with pytest.raises(UserError, match="frames"):
        StreamBatches(streams, 2, 96, 3, 4, seed=1)
