"""`ssm-sense features`: see every frame of a folder of videos once, and keep the vision latents on disk."""

import argparse
import multiprocessing
import os
import queue
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ssm_sense.data.decode import frame_rate
from ssm_sense.errors import UserError
from ssm_sense.processes import end_with_parent, start

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

    from ssm_sense.vision.tower import VisionTower

Outcome = int | str | None
"""Of a video: how many frames were encoded, or why it failed; None while it is being worked at."""
Tell = Callable[[Path, int, Outcome], None]
"""(video, how many more of its frames are there, outcome)."""

VIDEO_SUFFIXES = (
    *(".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".webm", ".wmv", ".3gp"),
)


def main(argv: list[str]) -> int:
    """Extract what is not there yet, and return 1 if any video could not be read."""
    arguments = _parse(argv)
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ssm_sense.data.video import VideoFile

    try:
        torch.empty(1, device=arguments.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {arguments.device}: {error}") from error
    failed = 0
    lengths_s: dict[Path, float] = {}
    for path in sorted(set(_videos(arguments.videos))):
        try:
            lengths_s[path] = VideoFile(path, arguments.fps).duration_s
        except UserError as error:
            failed += _report(str(error))
    if not lengths_s and not failed:
        raise UserError(f"{', '.join(map(str, arguments.videos))}: expected videos, found none")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done: list[int] = []
    with Progress(*columns, TextColumn("frames"), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=sum(round(length_s * arguments.fps) for length_s in lengths_s.values()))

        def tell(path: Path, frames: int, outcome: Outcome) -> None:
            nonlocal failed
            bar.update(task, description=path.name, advance=frames)
            if isinstance(outcome, str):
                failed += _report(outcome)
            elif outcome is not None:
                done.append(outcome)

        if min(arguments.workers, len(lengths_s)) > 1:
            _with_workers(arguments, list(lengths_s), tell)
        else:
            _extract(arguments, lengths_s, tell)
    print(f"{arguments.out}: {sum(done)} frames encoded; {len(done)} videos complete, {failed} failed")
    return 1 if failed else 0


def _extract(arguments: argparse.Namespace, paths: Iterable[Path], tell: Tell) -> None:
    """Extract videos with one encoder."""
    from ssm_sense.data.decord_file import DecordFile
    from ssm_sense.data.features import extract
    from ssm_sense.data.video import VideoFile
    from ssm_sense.vision.siglip import SiglipTower
    from ssm_sense.vision.siglip_text import SiglipTextTower

    tower: VisionTower
    if arguments.pooled:
        tower = SiglipTextTower(arguments.encoder, dtype=arguments.precision).load()
    else:
        tower = SiglipTower(
            arguments.encoder, arguments.layer, arguments.pooling, arguments.grid, dtype=arguments.precision
        ).load()
    tower.to(arguments.device)
    open_video = DecordFile if arguments.decoder == "decord" else VideoFile
    for path in paths:
        on_frames = partial(_tell_of_frames, tell, path)
        try:
            encoded = extract(
                path, tower, arguments.out, arguments.fps, arguments.store, arguments.batch, open_video, on_frames
            )
            tell(path, 0, encoded)
        except UserError as error:
            tell(path, 0, str(error))


def _tell_of_frames(tell: Tell, path: Path, frames: int) -> None:
    tell(path, frames, None)


def _with_workers(arguments: argparse.Namespace, paths: list[Path], tell: Tell) -> None:
    """Extract several videos at a time, each worker with an encoder of its own.

    Raises RuntimeError if a worker dies; what it had finished is kept, and the same command goes on from there.
    """
    context = multiprocessing.get_context("spawn")  # neither torch's threads nor CUDA survive a fork
    todo: Queue[Path | None] = context.Queue()
    told: Queue[tuple[Path, int, Outcome]] = context.Queue()
    workers = min(arguments.workers, len(paths))
    for item in (*paths, *[None] * workers):
        todo.put(item)
    threads = max(1, (os.cpu_count() or workers) // workers)
    crew = [context.Process(target=_work, args=(arguments, todo, told, threads), daemon=True) for _ in range(workers)]
    start(crew)
    left = len(paths)
    try:
        while left:
            try:
                path, frames, outcome = told.get(timeout=1.0)
            except queue.Empty:
                dead = next((process.exitcode for process in crew if process.exitcode), None)
                if dead is not None:
                    raise RuntimeError(f"a worker ended with status {dead}; run it again to go on") from None
                continue
            left -= outcome is not None
            tell(path, frames, outcome)
    finally:
        for process in crew:
            process.terminate()
            process.join()


def _work(
    arguments: argparse.Namespace,
    todo: "Queue[Path | None]",
    told: "Queue[tuple[Path, int, Outcome]]",
    threads: int,
) -> None:
    """A worker: one video after the other until there are none."""
    import torch

    end_with_parent()  # an interrupt reaches the parent alone, which ends its workers
    torch.set_num_threads(threads)
    _extract(arguments, iter(todo.get, None), lambda path, frames, outcome: told.put((path, frames, outcome)))


def _videos(places: list[Path]) -> Iterator[Path]:
    """The files that are given, and the videos in the folders that are, by their suffix.

    Hidden files are none of them: such as those that a killed rendering has left half-written.
    """
    for place in places:
        if not place.exists():
            raise UserError(f"{place}: no such file or folder")
        if place.is_dir():
            for path in place.rglob("*"):
                if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file():
                    yield path
        else:
            yield place


def _report(error: str) -> int:
    """Tell of one video that failed; the others go on."""
    print(f"ssm-sense: {error}", file=sys.stderr)
    return 1


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ssm-sense features", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="extract")
    extract = commands.add_parser(
        "extract",
        help="encode videos into a cache of latents",
        description="Encode videos into a cache of latents. Run again, it goes on where it was; what is there stays.",
    )
    add = extract.add_argument
    add("--videos", type=Path, nargs="+", required=True, metavar="PATH", help="files, or folders to search for them")
    tower = extract.add_mutually_exclusive_group(required=True)
    tower.add_argument("--encoder", metavar="DIR", help="a SigLIP checkpoint, or its hub id")
    tower.add_argument("--model", type=Path, metavar="DIR", help="a model folder: its own tower, with its own settings")
    add("--out", type=Path, required=True, metavar="DIR", help="the cache; several encoders may share it")
    add("--fps", type=float, default=1.0, help="frames to encode a second; default: %(default)g")
    add("--grid", type=int, default=8, help="spatial tokens along one side; default: %(default)s")
    add("--layer", type=int, default=-2, help="hidden state to take, from the end; default: %(default)s")
    add("--pooling", choices=("bilinear", "average"), default="bilinear", help="default: %(default)s")
    add("--pooled", action="store_true", help="one pooled embedding a frame, as NoSense watches, and no grid of tokens")
    add("--precision", choices=("float32", "bfloat16", "float16"), default="float32", help="of the encoder")
    add("--store", choices=("float16", "float32"), default="float16", help="of the latents; default: %(default)s")
    add("--batch", type=int, default=32, help="frames encoded together; default: %(default)s")
    add(
        "--decoder",
        choices=("pyav", "decord"),
        default="pyav",
        help="decord is for undamaged files only; default: %(default)s",
    )
    add("--workers", type=int, default=1, help="videos at a time, each with an encoder; default: %(default)s")
    add("--device", default="cpu", help="such as cuda; default: %(default)s")
    arguments = parser.parse_args(argv)
    frame_rate(arguments.fps, "--fps")
    for name in ("batch", "grid", "workers"):
        if not getattr(arguments, name) > 0:
            raise UserError(f"--{name}: expected more than 0, got {getattr(arguments, name)}")
    if arguments.decoder == "decord" and find_spec("decord") is None:
        raise UserError("--decoder decord: it is not installed; it has wheels for x86-64 Linux and Windows only")
    if arguments.model is not None:
        _take_tower(arguments)
    if arguments.layer >= 0:
        raise UserError(f"--layer: expected a negative number, counted from the end, got {arguments.layer}")
    return arguments


def _take_tower(arguments: argparse.Namespace) -> None:
    """Let a model's config.yaml say which tower to use, and how. Raises UserError where it does not."""
    import yaml

    path = arguments.model / "config.yaml"
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))["vision"]["init_args"]
        settings = {"layer": -2, "pooling": "bilinear", "grid": 8, "dtype": "float32"} | dict(told)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{arguments.model}: expected a model folder with a config.yaml ({error!r})") from error
    arguments.encoder = str(arguments.model / "vision")
    arguments.layer, arguments.pooling, arguments.grid = (settings[name] for name in ("layer", "pooling", "grid"))
    arguments.precision = settings["dtype"]
