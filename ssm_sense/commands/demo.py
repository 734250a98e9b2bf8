"""`ssm-sense demo`: from rendered house tours to a trained model, its rivals, and a report, in one go.

Every step leaves files that the next run finds, so an interrupted demo goes on where it was.
"""

import argparse
import json
import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from ssm_sense.data.clip import Clip

CONSOLE = Console(stderr=True)
RATES = "[1.0e-3, 3.0e-4]"
"""Of learning, at their peak: of what is ours and of the language model. All begin from models that have learned."""
POLICIES = ("ours", "sliding_window", "blind")


@dataclass(frozen=True)
class Videos:
    """One set of rendered videos."""

    name: str
    task: str
    split: str
    minutes: float
    count: int
    stops: int = 0
    """Moments at which the mixture is asked when the set is evaluated."""
    count_of: str = ""
    """What a count stream is asked about; "" for all that is countable."""
    needle_looks: str = "one"


SEEN_WELL = "plant,lamp,painting"
"""Of the countable things, those that the tiny vision tower tells apart: what the eye misses, no memory can count."""

TRAINING = (
    Videos("train", "tour", "train", 1.6, 160, needle_looks="varied"),
    Videos("val", "tour", "val", 1.6, 16),
)
TESTS = (
    Videos("tours", "tour", "test", 1.6, 16, stops=6),
    Videos("recall", "vsr", "test", 2, 32),
    Videos("count", "vsc", "test", 3, 32, count_of=SEEN_WELL),
    Videos("long", "vsr", "test", 10, 1, stops=8),
)
SIZE = 128


def main(argv: list[str]) -> int:
    """Run every step that is not done yet."""
    parser = argparse.ArgumentParser(prog="ssm-sense demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--configs", type=Path, default=Path("configs/tiny"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=100,
        help="training steps of each model, twice for the blind one; default: %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the rendered houses; default: %(default)s")
    arguments = parser.parse_args(argv)
    if not (arguments.configs / "ours.yaml").is_file():
        raise UserError(f"{arguments.configs}: expected the folder with the demo's ours.yaml; run from a checkout")
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["ssm-sense", "demo", *argv])
    _render(out, arguments.seed)
    _extract(out)
    for policy in POLICIES:
        _fit(out, arguments.configs, policy, arguments.steps)
    _calibrate(out)
    for policy in POLICIES:
        _evaluate(out, policy, arguments.seed, command)
    ours, siglip = model_folder(out, "ours"), _vision_folder()
    _evaluate_benchmark(out, "ours_per_event", "model-per-event", ours, arguments.seed, command)
    _evaluate_benchmark(out, "nosense", "nosense", siglip, arguments.seed, command)
    _compare_surprise(out)
    _key_frames(out)
    _report(out)
    return 0


def model_folder(out: Path, policy: str) -> Path:
    """Where a trained model of the demo lies."""
    return out / "model" if policy == "ours" else out / "rivals" / policy


def _step(text: str) -> None:
    CONSOLE.rule(f"[bold]{text}", align="left")


def _render(out: Path, seed: int) -> None:
    from ssm_sense.commands import world

    _step("Rendering house tours")
    for videos in (*TRAINING, *TESTS):
        arguments = {
            "out": out / "videos" / videos.name,
            "task": videos.task,
            "split": videos.split,
            "minutes": videos.minutes,
            "n": videos.count,
            "seed": seed,
            "size": SIZE,
            "needle-looks": videos.needle_looks,
            **({"count-of": videos.count_of} if videos.count_of else {}),
        }
        world.main(["render", *(text for key, value in arguments.items() for text in (f"--{key}", str(value)))])


def _extract(out: Path) -> None:
    from ssm_sense.commands import features

    _step("Seeing every frame once: latents of the frozen vision tower")
    folder, workers = str(out / "features"), str(os.cpu_count() or 1)
    encoder = ["--encoder", str(_vision_folder()), "--layer", "-1", "--pooling", "average", "--grid", "4"]
    features.main(
        ["extract", "--videos", str(out / "videos"), "--out", folder, "--fps", "1", "--workers", workers, *encoder]
    )


def _vision_folder() -> Path:
    from ssm_sense import tiny

    return tiny.folder() / "siglip"


def _fit(out: Path, configs: Path, policy: str, steps: int) -> None:
    folder = model_folder(out, policy)
    if (folder / "model.safetensors").is_file():
        return
    from ssm_sense.lit import cli

    beginning = _beginning(policy)
    steps = steps if "model.start" in beginning else 2 * steps
    _step(f"Training {policy}: {steps} steps")
    runs = out / "runs" / policy
    last = runs / "log" / "checkpoints" / "last.ckpt"
    overrides = {
        "trainer.max_steps": steps,
        "trainer.default_root_dir": runs,
        "trainer.logger.init_args.save_dir": runs,
        "model.lr_scheduler.init_args.total_steps": steps,
        **beginning,
        "data.features": out / "features",
        "data.train": out / "videos" / "train",
        "data.val": out / "videos" / "val",
        "vision.path": _vision_folder(),
        "folder": folder,
        **({"ckpt_path": last} if last.is_file() else {}),
    }
    flags = [f"--{key}={value}" for key, value in overrides.items()]
    cli.main(["fit", "--config", str(configs / f"{policy}.yaml"), *flags])


def _beginning(policy: str) -> dict[str, object]:
    """What training starts from: a shipped model that has learned already or, for the blind one, the language model."""
    from ssm_sense import tiny

    if policy == "blind":
        return {"model.model.init_args.language.init_args.path": tiny.folder() / "language" / "llm"}
    return {
        "model.start": tiny.folder() / ("model" if policy == "ours" else f"rivals/{policy}"),
        "model.true_events_steps": 0,
        "model.lr_scheduler.init_args.max_lr": RATES,
    }


def _calibrate(out: Path) -> None:
    """The threshold of surprise that finds the rooms of the validation tours best."""
    folder = model_folder(out, "ours")
    if (folder / "calibration.json").is_file():
        return
    from ssm_sense.commands import calibrate

    _step("Calibrating ours on validation tours")
    calibrate.main(
        ["--model", str(folder), "--videos", str(out / "videos" / "val"), "--features", str(out / "features")]
    )


def _evaluate(out: Path, policy: str, seed: int, command: str) -> None:
    from ssm_sense.evaluate import RunInfo, evaluate
    from ssm_sense.folder import load_session

    _step(f"Evaluating {policy} on unseen houses")
    folder = model_folder(out, policy)
    run = RunInfo.here(policy, policy, seed, str(folder), command=command)
    evaluate(_clips(out, TESTS), load_session(folder), out / "rows", run)


def _evaluate_benchmark(out: Path, name: str, policy: str, folder: Path, seed: int, command: str) -> None:
    """The benchmark's own tasks alone, for what is not trained by itself: NoSense, and our counts event by event."""
    from ssm_sense.commands.evaluate import TASKS
    from ssm_sense.commands.policies import open_policy
    from ssm_sense.evaluate import RunInfo, evaluate

    _step(f"Evaluating {name}, which needs no training of its own")
    clips = [
        replace(clip, questions=tuple(q for q in clip.questions if q.kind in TASKS))
        for clip in _clips(out, [videos for videos in TESTS if videos.task != "tour"])
    ]
    run = RunInfo.here(name, name, seed, str(folder), command=command)
    evaluate(clips, open_policy(policy, str(folder)), out / "rows", run)


def _clips(out: Path, sets: Sequence[Videos]) -> "list[Clip]":
    from ssm_sense.data.world.clips import rendered_clips

    return [clip for videos in sets for clip in rendered_clips(out / "videos" / videos.name, videos.stops)]


def _key_frames(out: Path) -> None:
    """Pictures of the longest video where ours found that an event began, for the report."""
    from PIL import Image

    folder = out / "rows" / "keyframes"
    (clip,) = _clips(out, TESTS[-1:])
    if (folder / clip.name).is_dir():
        return
    with open(out / "rows" / "frames.jsonl") as lines:
        frames = [frame for frame in map(json.loads, lines) if (frame["run"], frame["clip"]) == ("ours", clip.name)]
    begun = {frame["t_s"] for frame in frames if frame["boundary"]}
    partial = folder.with_name("keyframes.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for image, t_s in clip.frames:
        if t_s in begun:
            path = partial / clip.name / f"{t_s:06.1f}s.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    if partial.is_dir():
        partial.rename(folder)


def _compare_surprise(out: Path) -> None:
    """Surprise at true room changes against elsewhere, ours and the cheap ones, in houses never seen."""
    path = out / "rows" / "boundaries.jsonl"
    if path.is_file():
        return
    import torch

    from ssm_sense import boundaries
    from ssm_sense.folder import load_model
    from ssm_sense.lit.data import load_streams
    from ssm_sense.model import SsmSense
    from ssm_sense.nn.own_shift import OwnShift
    from ssm_sense.nn.sources import AdjacentDifference, EmaDistance, RandomSurprise
    from ssm_sense.nn.stateless import train_stateless
    from ssm_sense.nn.unlikeness import Unlikeness

    _step("Where is surprise? The closed loop beside cheaper sources")
    model, _ = load_model(model_folder(out, "ours"))
    assert isinstance(model, SsmSense)
    sets = {name: load_streams(out / "videos" / name, out / "features") for name in ("train", "val", "tours")}
    scaled = {name: [model.scale(stream.latents) for stream in streams] for name, streams in sets.items()}
    places, width = scaled["train"][0].shape[1:]
    shift = model.source or OwnShift()
    shift.of(model.encoder)
    sources = {
        "shift of features": shift,
        "stateless LFP": train_stateless(scaled["train"], width=model.encoder.width),
        "moving average": EmaDistance(places, width),
        "adjacent frame": AdjacentDifference(places, width),
        "random": RandomSurprise(),
    }
    if model.inventory is not None:
        sources["unlike its place"] = Unlikeness(model.inventory.places, places)
    tracks = []
    for name in ("tours", "val"):
        streams = [
            boundaries.Stream(
                f"{name}/{i}",
                latents,
                [frame.t_s for frame in stream.truth.frames],
                [event.t_s for event in stream.truth.events],
            )
            for i, (stream, latents) in enumerate(zip(sets[name], scaled[name], strict=True))
        ]
        found = boundaries.watch(sources, streams)
        found["closed loop"], model.source = [], None
        for source, stream in zip(sets[name], streams, strict=True):
            seconds = torch.tensor([stream.seconds], dtype=torch.float64)
            with torch.inference_mode():
                trace, _ = model.observe(source.latents[None], seconds, model.initial_state(1))
            found["closed loop"].append(boundaries.track(stream, trace.surprise[0], trace.predicted[0]))
        tracks.append(found)
    test, val = tracks
    rows = boundaries.compare(test, val, shortest_event_s=model.policy.shortest_event_s)
    boundaries.write_lines(boundaries.per_clip(test, rows, model.policy.shortest_event_s), path)
    boundaries.write_lines(rows, out / "surprise.jsonl")
    table = Table("source", "AUROC", "95%", "F1", "cosine error", "squared error")
    for row in sorted(rows, key=lambda row: -row.auroc):
        numbers = (row.f1, row.cosine_error, row.squared_error)
        interval = f"{row.auroc_low:.3f} to {row.auroc_high:.3f}"
        table.add_row(row.source, f"{row.auroc:.3f}", interval, *(f"{number:.3f}" for number in numbers))
    CONSOLE.print(table)


def _report(out: Path) -> None:
    from ssm_sense.commands import report

    _step("Report")
    report.main(["--rows", str(out / "rows"), "--out", str(out / "report.html"), "--title", "ssm_sense: the demo"])
