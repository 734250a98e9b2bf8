"""`ssm-sense splices`: does surprise find events or splices? Train detectors, watch every condition, measure."""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ssm_sense.commands.splices_detectors import Clip, Levels

TRAINED_ON = ("walk", "cut")
STEPS = "steps"
"""Under which a file of `watch` says with how many its detectors were trained, 0 for each with its own number."""
_ENCODER = str(Path(__file__).parents[1] / "tiny/weights/siglip")

_DESCRIPTION = """\
Render streams with and without events and splices, watch them with many detectors, and measure what their surprise
stands at. experiments/splices says what for.
"""


def main(argv: list[str]) -> int:
    """Entry point; argv without the program's and the subcommand's names."""
    arguments = _parse(argv)
    return int(arguments.run(arguments))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ssm-sense splices", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="render | watch | measure")
    render = commands.add_parser("render", help="render every condition and cache its latents: videos and features")
    render.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder; what is there is kept")
    render.add_argument("--workers", type=int, default=1, help="videos rendered at a time")
    render.add_argument("--encoder", default=_ENCODER, metavar="DIR", help="SigLIP folder or hub id; default: tiny")
    render.add_argument("--grid", type=int, default=4, metavar="N", help="places along one side; default: %(default)s")
    render.set_defaults(run=_render)
    watch = commands.add_parser("watch", help="train detectors and write the surprise of every test stream")
    measure = commands.add_parser("measure", help="measure what was watched: rows, table, figure, verdicts")
    for command in (watch, measure):
        add = command.add_argument
        add("--videos", type=Path, required=True, metavar="DIR", help="rendered streams, SPLIT/CONDITION")
        add("--features", type=Path, required=True, metavar="DIR", help="cache of their latents")
        add("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    watch.add_argument("--families", nargs="+", metavar="NAME", help="families of detectors; default: all")
    watch.add_argument("--train", nargs="+", choices=TRAINED_ON, default=TRAINED_ON, help="condition to train on")
    watch.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2), help="of weights and draws")
    watch.add_argument("--steps", type=int, metavar="N", help="of training; default: each family's own")
    watch.set_defaults(run=_watch)
    measure.add_argument("--watched", type=Path, nargs="+", required=True, metavar="DIR", help="what `watch` wrote")
    measure.add_argument("--resamples", type=int, default=10_000, metavar="N", help="of the streams")
    measure.set_defaults(run=_measure)
    arguments = parser.parse_args(argv)
    for name, least in (("workers", 1), ("grid", 1), ("steps", 1), ("resamples", 1), ("seeds", 0)):
        value = getattr(arguments, name, None)
        if value is not None and min(value if name == "seeds" else [value]) < least:
            raise UserError(f"--{name}: expected {least} or more, got {value}")
    return arguments


def _render(arguments: argparse.Namespace) -> int:
    from ssm_sense.commands.splices_render import render

    render(arguments.out, workers=arguments.workers, encoder=arguments.encoder, grid=arguments.grid)
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    import numpy as np
    from rich.console import Console

    from ssm_sense.commands.splices_detectors import FAMILIES, SEEDLESS, UNTRAINED
    from ssm_sense.provenance import commit_of
    from ssm_sense.state import write_whole

    unknown = sorted(set(arguments.families or ()) - set(FAMILIES))
    if unknown:
        raise UserError(f"--families: expected some of {', '.join(FAMILIES)}, got {', '.join(unknown)}")
    console = Console(stderr=True)
    clips = load_clips(arguments.videos, arguments.features)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for train, name, seed in _cells(arguments, list(FAMILIES)):
        path = arguments.out / f"{name}-{'none' if name in UNTRAINED else train}-{seed}.npz"
        if name in SEEDLESS and seed != arguments.seeds[0]:
            continue
        if path.exists():
            _check_steps(path, arguments.steps)
            continue
        for need in ("train", train), ("val", train):
            if need not in clips:
                raise UserError(f"{arguments.videos}: expected {'/'.join(need)}, to train {name} on, found none")
        begun = time.perf_counter()
        try:
            detectors = FAMILIES[name](clips["train", train], clips["val", train], seed, arguments.steps)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
        surprise: dict[str, Any] = {
            f"{detector}|{split}|{condition}": np.stack(detect(clips[split, condition]))
            for detector, detect in detectors.items()
            for split, condition in clips
            if split != "train"
        }
        made = {"commit": np.array(commit_of(Path(__file__))), STEPS: np.array(arguments.steps or 0)}
        write_whole(path, partial(_save, {**made, **surprise}))
        console.print(f"{path.name}: {', '.join(detectors)}, {time.perf_counter() - begun:.0f} s")
    return 0


def _save(arrays: "Mapping[str, np.ndarray]", path: Path) -> None:
    """Under that very name, to which numpy would add its own ending."""
    import numpy as np

    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _check_steps(path: Path, steps: int | None) -> None:
    """Raise UserError for a file that was made with other steps; one that does not say is taken as it is."""
    import numpy as np

    with np.load(path) as file:
        made = int(file[STEPS]) if STEPS in file.files else steps or 0
    if made != (steps or 0):
        asked, there = (f"--steps {n}" if n else "no --steps" for n in (steps, made))
        raise UserError(f"{path}: expected one made with {asked}, got one made with {there}; choose another --out")


def _cells(arguments: argparse.Namespace, families: Sequence[str]) -> list[tuple[str, str, int]]:
    """(condition to train on, family, seed) in the order in which they are run."""
    return list(product(arguments.train, arguments.families or families, arguments.seeds))


def _measure(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from ssm_sense.commands.splices_measures import measure, rows_of
    from ssm_sense.commands.splices_report import write

    clips = load_clips(arguments.videos, arguments.features, latents=False)
    cells = read_cells(arguments.watched)
    measured = {(cell.detector, cell.train): measure(cell, clips, arguments.resamples) for cell in cells}
    rows = [row for cell in cells for row in rows_of(cell, measured[cell.detector, cell.train])]
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "measures.jsonl").write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
    write(arguments.out, measured)
    Console(stderr=True).print(f"{arguments.out}: {len(rows)} measures, their differences, results.md and figure")
    return 0


def load_clips(videos: Path, features: Path, latents: bool = True) -> "dict[tuple[str, str], list[Clip]]":
    """Every (split, condition) below a folder with its clips, without latents where they are not wanted.

    Raises UserError where there are none, or a condition's streams are not equally long.
    """
    import torch

    from ssm_sense.commands.splices_detectors import Clip
    from ssm_sense.data.latents import LatentSource
    from ssm_sense.data.world.truth import Truth

    source = LatentSource(features)
    clips: dict[tuple[str, str], list[Clip]] = {}
    for path in sorted(videos.rglob("*.json")):
        video = path.with_suffix(".mp4")
        if not video.is_file():
            continue
        truth = Truth.load(path)
        split, condition = path.relative_to(videos).parts[:2]
        seen = source.load(video, float(truth.fps))[0] if latents else torch.zeros(0)
        seconds = torch.tensor([frame.t_s for frame in truth.frames], dtype=torch.float64)
        clips.setdefault((split, condition), []).append(Clip(seen, seconds, moments_of(truth)))
    if not clips:
        raise UserError(f"{videos}: expected SPLIT/CONDITION with rendered videos and their truth, found none")
    for (split, condition), group in clips.items():
        if len({len(clip.seconds) for clip in group}) > 1:
            raise UserError(f"{videos / split / condition}: expected streams of one length, found several")
    return clips


def moments_of(truth: Any) -> Mapping[str, Sequence[float]]:
    """Seconds of a rendered stream's events, decoys, needles, and splices: its cuts, jumps, flashes and steps."""
    events, decoys = [e.t_s for e in truth.events], [d.t_s for d in truth.decoys]
    cuts = events if truth.controls.transition == "cut" else []
    return {"event": events, "decoy": decoys, "needle": [n.t_s for n in truth.needles], "splice": [*cuts, *decoys]}


def read_cells(folders: Sequence[Path]) -> list[Any]:
    """What `watch` wrote, a `Cell` for every detector and training. Raises UserError where there is nothing."""
    import numpy as np

    from ssm_sense.commands.splices_measures import Cell

    found: dict[tuple[str, str], list[dict[tuple[str, str], Levels]]] = {}
    for path in sorted((path for folder in folders for path in folder.glob("*-*-*.npz")), key=lambda path: path.name):
        train = path.stem.split("-")[-2]
        by: dict[str, dict[tuple[str, str], Levels]] = {}
        with np.load(path) as file:
            for key in file.files:
                if key not in ("commit", STEPS):
                    detector, split, condition = key.split("|")
                    by.setdefault(detector, {})[split, condition] = list(file[key])
        for detector, levels in by.items():
            found.setdefault((detector, train), []).append(levels)
    if not found:
        names = ", ".join(map(str, folders))
        raise UserError(f"{names}: expected files that `ssm-sense splices watch` wrote, found none")
    return [Cell(detector, train, _different(seeds)) for (detector, train), seeds in found.items()]


def _different(seeds: "list[dict[tuple[str, str], Levels]]") -> "list[dict[tuple[str, str], Levels]]":
    """The first alone, where no seed makes a difference."""
    import numpy as np

    same = all(np.array_equal(seeds[0][key], other[key]) for other in seeds[1:] for key in seeds[0])
    return seeds[:1] if same else seeds
