"""`ssm-sense features`: see every frame of a folder of videos once, and keep the vision latents on disk."""

import argparse
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ssm_sense.errors import UserError

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

    from ssm_sense.data.decord_file import DecordFile
    from ssm_sense.data.features import extract
    from ssm_sense.data.video import VideoFile
    from ssm_sense.vision.siglip import SiglipTower

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
            failed += _report(error)
    if not lengths_s and not failed:
        raise UserError(f"{', '.join(map(str, arguments.videos))}: expected videos, found none")
    tower = SiglipTower(
        arguments.encoder, arguments.layer, arguments.pooling, arguments.grid, dtype=arguments.precision
    ).load()
    tower.to(arguments.device)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    encoded = complete = 0
    with Progress(*columns, TextColumn("frames"), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=sum(round(length_s * arguments.fps) for length_s in lengths_s.values()))
        for path in lengths_s:
            bar.update(task, description=path.name)
            try:
                encoded += extract(
                    path,
                    tower,
                    arguments.out,
                    arguments.fps,
                    arguments.store,
                    arguments.batch,
                    DecordFile if arguments.decoder == "decord" else VideoFile,
                    on_frames=lambda n: bar.advance(task, n),
                )
                complete += 1
            except UserError as error:
                failed += _report(error)
    print(f"{arguments.out}: {encoded} frames encoded; {complete} videos complete, {failed} failed")
    return 1 if failed else 0


def _videos(places: list[Path]) -> Iterator[Path]:
    """The files that are given, and the videos in the folders that are, by their suffix."""
    for place in places:
        if not place.exists():
            raise UserError(f"{place}: no such file or folder")
        if place.is_dir():
            yield from (p for p in place.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
        else:
            yield place


def _report(error: UserError) -> int:
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
    add("--encoder", required=True, metavar="DIR", help="a SigLIP checkpoint, or its hub id")
    add("--out", type=Path, required=True, metavar="DIR", help="the cache; several encoders may share it")
    add("--fps", type=float, default=1.0, help="frames to encode a second; default: %(default)g")
    add("--grid", type=int, default=8, help="spatial tokens along one side; default: %(default)s")
    add("--layer", type=int, default=-2, help="hidden state to take, from the end; default: %(default)s")
    add("--pooling", choices=("bilinear", "average"), default="bilinear", help="default: %(default)s")
    add("--precision", choices=("float32", "bfloat16", "float16"), default="float32", help="of the encoder")
    add("--store", choices=("float16", "float32"), default="float16", help="of the latents; default: %(default)s")
    add("--batch", type=int, default=32, help="frames encoded together; default: %(default)s")
    add(
        "--decoder",
        choices=("pyav", "decord"),
        default="pyav",
        help="decord is for undamaged files only; default: %(default)s",
    )
    add("--device", default="cpu", help="such as cuda; default: %(default)s")
    arguments = parser.parse_args(argv)
    for name in ("fps", "batch", "grid"):
        if not getattr(arguments, name) > 0:
            raise UserError(f"--{name}: expected more than 0, got {getattr(arguments, name)}")
    if arguments.decoder == "decord" and find_spec("decord") is None:
        raise UserError("--decoder decord: it is not installed; it has wheels for x86-64 Linux and Windows only")
    if arguments.layer >= 0:
        raise UserError(f"--layer: expected a negative number, counted from the end, got {arguments.layer}")
    return arguments
