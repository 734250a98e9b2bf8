"""`ssm-sense world`: render indoor walkthroughs with exact truth, and look at them."""

import argparse
import math
import os
import sys
from dataclasses import fields
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssm_sense.data.world.controls import (
    DECOYS,
    FEWEST_FACTS,
    NEEDLE_LOOKS,
    NEEDLES_AS,
    ORDERS,
    PANS,
    REVISITS,
    TRANSITIONS,
    Controls,
)
from ssm_sense.data.world.names import SPLITS
from ssm_sense.data.world.stream import TASKS
from ssm_sense.errors import UserError


def main(argv: list[str]) -> int:
    """Entry point; argv without the program's and the subcommand's names."""
    arguments = _parser().parse_args(argv)
    for name in ("minutes", "every", "seed"):
        value = getattr(arguments, name, 0)
        if not 0 <= value < math.inf:
            raise UserError(f"--{name} must be 0 or more; got {value:g}")
    return int(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ssm-sense world", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="render | audit | look")
    render = commands.add_parser("render", help="write videos, their truth and VSI-SUPER's tables")
    render.add_argument("--out", type=Path, required=True, help="folder to write to; finished videos in it are kept")
    render.add_argument("--task", choices=TASKS, default="tour", help="recall, count, or tours to train on")
    render.add_argument("--minutes", type=float, required=True, help="length of each video")
    render.add_argument("--n", type=int, default=1, help="number of videos")
    render.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="videos rendered at a time")
    _add_controls(render)
    render.set_defaults(run=_render)
    audit = commands.add_parser("audit", help="see how far one comes in a rendered set without looking")
    audit.add_argument("folder", type=Path, metavar="DIR", help="what `world render` wrote")
    audit.set_defaults(run=_audit)
    for command in (render, audit):
        command.add_argument("--train", type=Path, metavar="DIR", help="rendered set that blind answerers learn from")
        command.add_argument("--force", action="store_true", help="keep a set that the blind audit refuses")
    look = commands.add_parser("look", help="write a contact sheet of frames")
    look.add_argument("--contact-sheet", type=Path, required=True, help="PNG file to write")
    look.add_argument("--rows", type=int, default=4)
    look.add_argument("--columns", type=int, default=6)
    look.add_argument("--every", type=float, default=5.0, help="seconds between frames, on average")
    look.set_defaults(run=_look)
    for command in (render, look):
        command.add_argument("--seed", type=int, default=0, help="seed of the houses")
        command.add_argument("--split", choices=SPLITS, default="train", help="splits share no house, shade or pattern")
        command.add_argument("--fps", type=int, default=1, help="rendered frames per second, a divisor of 24")
        command.add_argument("--size", type=int, default=224, help="pixels a side, even")
        command.add_argument("--dwell", type=float, default=12.0, help="mean seconds in a room")
    return parser


def _add_controls(render: argparse.ArgumentParser) -> None:
    group = render.add_argument_group("controls", "each changes one thing; by default nothing is changed")
    add = group.add_argument
    add("--transition", choices=TRANSITIONS, default="walk", help="how rooms follow each other")
    add("--decoy", choices=DECOYS, default="none", help="what happens suddenly, but is no event")
    add("--revisit", type=int, choices=REVISITS, default=0, help="how often each room is seen again")
    add("--revisit-order", choices=ORDERS, default="loop", help="the same tour again, or any order (by cut or fade)")
    add("--needle", choices=NEEDLES_AS, default="object", help="standing in the room, or pasted over as many pixels")
    add("--needle-frames", type=int, default=1, metavar="N", help="how many frames a needle is there for")
    add("--needle-looks", choices=NEEDLE_LOOKS, default="one", help="the same in all streams of a split, or never")
    add("--pan", choices=PANS, default="natural", help="how fast the head turns")
    add("--rate", type=_numbers, default=(), metavar="X,Y,...", help="factors on the number of objects, part by part")
    add("--count-range", type=_range, metavar="LOW-HIGH", help="how many there are of what a count stream asks about")
    add(
        "--count-of",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        default=(),
        metavar="A,B,...",
        help="categories that a count stream may be asked about",
    )
    add(
        "--facts",
        type=int,
        default=FEWEST_FACTS,
        metavar="N",
        help="appearances of needles in a recall stream or, above 4, a tour; 4 to 128",
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 0.5,2, got {text!r}") from None


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a range such as 5-20, got {text!r}")
    return int(low), int(high)


def _controls(arguments: argparse.Namespace) -> Controls:
    return Controls(**{field.name: getattr(arguments, field.name) for field in fields(Controls)})


def _render(arguments: argparse.Namespace) -> int:
    from ssm_sense.data.world.batch import jobs, render
    from ssm_sense.data.world.tables import write_table

    for name in ("n", "workers"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be 1 or more; got {getattr(arguments, name)}")
    work = jobs(
        arguments.task, arguments.split, arguments.seed, arguments.minutes, arguments.n, arguments.fps, arguments.size,
        arguments.dwell, _controls(arguments),
    )  # fmt: skip
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task(
            f"rendering {arguments.n} x {arguments.minutes:g} min", total=sum(j.recipe.frames for j in work)
        )
        render(arguments.out, work, arguments.workers, lambda frames: bar.advance(task, frames))
    arguments.folder = arguments.out
    # Tours are for training, so it is no harm that some of what is asked of them can be guessed.
    if arguments.task != "tour" and _audit(arguments):
        return 1
    print(f"wrote {write_table(arguments.out, work)}")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    """Print and write the audit; 1 where the set is refused."""
    from ssm_sense.evaluate import audit

    truths = audit.read_truths(arguments.folder)
    learn = audit.read_truths(arguments.train) if arguments.train else None
    if learn is None and len(truths) < 2:
        print("no blind audit: it takes two videos, or --train")
        return 0
    findings = audit.audit(truths, learn)
    if not findings:
        raise UserError(f"{arguments.train}: expected videos that are asked what those of {arguments.folder} are asked")
    audit.write_audit(arguments.folder / "audit.json", findings, arguments.force)
    print(audit.table(findings))
    bad = audit.refused(findings)
    for finding in bad:
        print(f"ssm-sense: {arguments.folder}: {audit.why(finding)}", file=sys.stderr)
    if bad and not arguments.force:
        print(f"ssm-sense: {arguments.folder}: refused; --force keeps it", file=sys.stderr)
    return int(bool(bad) and not arguments.force)


def _look(arguments: argparse.Namespace) -> int:
    from ssm_sense.data.world.sheet import contact_sheet
    from ssm_sense.data.world.stream import Recipe

    count = arguments.rows * arguments.columns
    if min(arguments.rows, arguments.columns) < 1:
        raise UserError(
            f"a contact sheet needs 1 row and 1 column at least; got {arguments.rows} x {arguments.columns}"
        )
    minutes = count * arguments.every / 60
    recipe = Recipe("tour", arguments.split, arguments.seed, minutes, arguments.fps, arguments.size, arguments.dwell)
    contact_sheet(arguments.contact_sheet, recipe, arguments.rows, arguments.columns)
    print(f"wrote {arguments.contact_sheet}")
    return 0
