"""`ssm-sense calibrate`: pick τ, the gate's centre and usual rates on validation streams, or how sure sightings are."""

import argparse
import math
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from ssm_sense.data.world.truth import Truth
    from ssm_sense.evaluate.calibrate import Calibration, Watched
    from ssm_sense.memory.answering import AnsweringModel
    from ssm_sense.model import SsmSense
    from ssm_sense.vision.siglip import SiglipTower

SPLIT = "val"
"""The split that values may be picked on; truth files name theirs."""
TOLERANCE_S = 2.0
_SURENESS = "sightings.moved"

_DESCRIPTION = """\
Watch rendered validation streams in the closed loop with a bounded number of thresholds, take the one whose boundaries
have the best F1 at the stated tolerance, and with --writes also move the gate's centre until that share of all frames
and places is written. With them, the inventory learns how unlike a place a frame must be to end the stay there, by the
same F1, and how often each kind of thing is met, which its counts in other houses are set against. All is stored in the
model folder: one setting for streams of any length. calibration.json says what it was picked on.

How sure sightings are depends on how rare things are, which on tours is not as on other streams: --only-sightings makes
them as sure as things are in view on these videos, and leaves the rest as it is.
"""


def main(argv: list[str], open_model: "Callable[[Path], tuple[AnsweringModel, SiglipTower]] | None" = None) -> int:
    """Calibrate one model folder.

    open_model: reads it; `ssm_sense.folder.load_model` unless another is given.
    """
    arguments = _parse(argv)
    from rich.console import Console

    from ssm_sense.evaluate.calibrate import PASSES, calibrate
    from ssm_sense.evaluate.sureness import learn_sureness
    from ssm_sense.folder import load_model, read_calibration
    from ssm_sense.model import SsmSense

    console = Console(stderr=True)
    videos = _videos(arguments.videos, arguments.any_split)
    model, vision = (open_model or load_model)(arguments.model)
    if not isinstance(model, SsmSense):
        raise UserError(f"{arguments.model}: expected a model with a surprise policy, got {type(model).__name__}")
    if arguments.only_sightings and model.sightings is None:
        raise UserError(f"{arguments.model}: --only-sightings expects a model that seeks something")
    streams = _streams(videos, vision, arguments.features, console)
    frames = sum(len(stream.seconds) for stream in streams)
    basis, before = _basis(arguments, argv, videos, frames), read_calibration(arguments.model) or {}
    if arguments.only_sightings:
        with _bar(console, "sightings", frames) as advance:
            moved = learn_sureness(model, streams, lambda looked: advance(looked, ""))
        record = before | {"sightings": {"moved": moved, **basis}}
        return _store(arguments, {_SURENESS: model.state_dict()[_SURENESS]}, record, _told(moved))
    with _bar(console, "closed loop", frames * PASSES) as advance:

        def tell(watched: int, passed: int) -> None:
            advance(watched, f"pass {passed + 1} of at most {PASSES}")

        try:
            found = calibrate(model, streams, arguments.tolerance, arguments.writes, tell)
        except ValueError as error:
            raise UserError(str(error)) from error
    values, learned = _values(model, found, streams, arguments.tolerance)
    learned |= {"sightings": before["sightings"]} if "sightings" in before else {}
    console.print(_table(found))
    told = f"threshold {found.chosen.threshold:.4f}, centre {found.chosen.centre:.4f}"
    return _store(arguments, values, _record(arguments, videos, found) | basis | learned, told)


def _store(arguments: argparse.Namespace, values: "dict[str, Tensor]", record: dict[str, Any], told: str) -> int:
    from ssm_sense.folder import store_calibration

    if not arguments.dry_run:
        store_calibration(arguments.model, values, record)
    print(f"{told}: {'nothing was written' if arguments.dry_run else arguments.model / 'calibration.json'}")
    return 0


def _told(moved: dict[str, float]) -> str:
    return ", ".join(f"{name} {by:+.2f}" for name, by in moved.items()) or "none of what is sought is there"


def _values(
    model: "SsmSense", found: "Calibration", streams: "list[Watched]", tolerance_s: float
) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """What is stored, by the names of the model's tensors; and for the record how stays end, and usual rates."""
    from ssm_sense.evaluate.rates import learn_rates
    from ssm_sense.evaluate.stays import learn_stays

    model.policy.threshold.fill_(found.chosen.threshold)
    model.policy.centre.data.fill_(found.chosen.centre)
    names, learned = ["policy.threshold", "policy.centre"], {}
    if model.inventory is not None:
        before, stays = learn_stays(model, streams, tolerance_s)
        learned = {"stays": {**stays._asdict(), "before": before._asdict()}, "rates": learn_rates(model, streams)}
        names += ["inventory.places.unlike", "inventory.rates.usual", "inventory.rates.scale"]
    return {name: model.state_dict()[name] for name in names}, learned


def _videos(folder: Path, any_split: bool) -> "list[tuple[Path, Truth]]":
    """Every rendered video of a folder with its truth. Raises UserError for none, and for those of another split."""
    from ssm_sense.data.world.truth import Truth

    paths = [path for path in sorted(folder.rglob("*.json")) if path.with_suffix(".mp4").is_file()]
    videos = [(path.with_suffix(".mp4"), Truth.load(path)) for path in paths]
    if not videos:
        raise UserError(f"{folder}: expected rendered videos with their truth, found none")
    others = sorted({truth.split for _, truth in videos} - {SPLIT})
    if others and not any_split:
        raise UserError(
            f"{folder}: expected videos of the {SPLIT} split, found some of {' and '.join(others)}; what is picked on "
            "those must not be reported on them (--any-split takes them all the same)"
        )
    return videos


def _streams(
    videos: "list[tuple[Path, Truth]]", vision: "SiglipTower", features: Path | None, console: "Console"
) -> "list[Watched]":
    """The latents of every video, from the cache or, without one, from the model's own tower."""
    import tempfile

    import torch

    from ssm_sense.data.features import Features, extract
    from ssm_sense.data.world.dense import beside_truth, inventory_truth
    from ssm_sense.data.world.names import CATEGORIES, NEEDLES
    from ssm_sense.evaluate.calibrate import Watched

    with tempfile.TemporaryDirectory() as scratch:
        folder = features or Path(scratch)
        if features is None:
            with _bar(console, "vision", sum(len(truth.frames) for _, truth in videos)) as advance:
                for video, truth in videos:
                    extract(video, vision, folder, float(truth.fps), on_frames=lambda n: advance(n, ""))
        cache = Features(folder, vision.fingerprint)
        streams = []
        for video, truth in videos:
            latents, seconds = cache.load(video, float(truth.fps))
            if len(latents) != len(truth.frames):
                raise UserError(f"{video}: expected {len(truth.frames)} cached frames, got {len(latents)}")
            counts = dict(zip(CATEGORIES, inventory_truth(truth)[-1, 0].tolist(), strict=True))
            shown = dict(zip(NEEDLES, torch.from_numpy(beside_truth(truth)).unbind(1), strict=True))
            streams.append(Watched(latents, seconds, [event.t_s for event in truth.events], counts, shown))
    return streams


def _record(arguments: argparse.Namespace, videos: "list[tuple[Path, Truth]]", found: "Calibration") -> dict[str, Any]:
    """What was picked, and how good it was."""
    return {
        **found.chosen._asdict(),
        "tolerance_s": arguments.tolerance,
        "writes": arguments.writes,
        "before": found.passes[0]._asdict(),
        "passes": len(found.passes),
        "events": sum(len(truth.events) for _, truth in videos),
    }


def _basis(
    arguments: argparse.Namespace, argv: list[str], videos: "list[tuple[Path, Truth]]", frames: int
) -> dict[str, Any]:
    """What it was picked on, and how."""
    from ssm_sense import ops
    from ssm_sense.provenance import commit_of

    return {
        "dataset": arguments.videos.resolve().name,
        "split": sorted({truth.split for _, truth in videos}),
        "streams": [video.relative_to(arguments.videos).as_posix() for video, _ in videos],
        "seeds": [truth.seed for _, truth in videos],
        "frames": frames,
        "commit": commit_of(Path(__file__)),
        "backend": ops.backend(),
        "command": shlex.join(["ssm-sense", "calibrate", *argv]),
    }


def _table(found: "Calibration") -> Any:
    """The chosen values beside those that the model came with."""
    from rich.table import Table

    table = Table("", "threshold", "centre", "F1", "precision", "recall", "writes", "boundaries a minute")
    for name, one in (("before", found.passes[0]), ("now", found.chosen)):
        rates = (one.f1, one.precision, one.recall, one.share)
        table.add_row(
            name, f"{one.threshold:.4f}", f"{one.centre:.4f}", *(f"{x:.3f}" for x in rates), f"{one.per_minute:.2f}"
        )
    return table


@contextmanager
def _bar(console: "Console", title: str, total: int) -> Iterator[Any]:
    """A progress bar over frames: yields a function (frames since, what is being done)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        task = progress.add_task("", total=total)
        yield lambda n, doing: progress.update(task, advance=n, description=doing)
        progress.update(task, total=progress.tasks[0].completed, description="")  # fewer passes may have been enough


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ssm-sense calibrate", description=_DESCRIPTION)
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="DIR", help="a model folder; its weights file is written anew")
    add("--videos", type=Path, required=True, metavar="DIR", help="validation videos, rendered with their truth")
    add("--features", type=Path, metavar="DIR", help="cache of their latents; default: the model's tower sees them now")
    add("--tolerance", type=float, metavar="S", help=f"seconds that count as at a boundary; default: {TOLERANCE_S:g}")
    add("--writes", type=float, metavar="SHARE", help="share of frames and places to write; default: leave the centre")
    add("--only-sightings", action="store_true", help="calibrate nothing but how sure sightings are")
    add("--any-split", action="store_true", help="take videos of the training or test split too")
    add("--dry-run", action="store_true", help="show what would be stored, and store nothing")
    arguments = parser.parse_args(argv)
    if arguments.only_sightings and (arguments.tolerance, arguments.writes) != (None, None):
        raise UserError("--only-sightings: expected neither --tolerance nor --writes, which calibrate something else")
    arguments.tolerance = TOLERANCE_S if arguments.tolerance is None else arguments.tolerance
    if not (math.isfinite(arguments.tolerance) and arguments.tolerance >= 0):
        raise UserError(f"--tolerance: expected seconds, 0 or more, got {arguments.tolerance}")
    if arguments.writes is not None and not 0 < arguments.writes < 1:
        raise UserError(f"--writes: expected a share between 0 and 1, got {arguments.writes}")
    for path in (arguments.model, arguments.videos):
        if not path.is_dir():
            raise UserError(f"{path}: no such folder")
    return arguments
