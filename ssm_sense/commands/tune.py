"""`ssm-sense tune`: pick a policy's settings on validation streams, as `calibrate` picks those of our own memory."""

import argparse
import hashlib
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_sense.commands.asking import add_asking, asking_settings, check_asking, check_reached
from ssm_sense.commands.calibrate import SPLIT
from ssm_sense.data.decode import frame_rate
from ssm_sense.errors import UserError
from ssm_sense.memory.catalogue import CLASSES

if TYPE_CHECKING:
    from rich.console import Console

    from ssm_sense.data.clip import Clip
    from ssm_sense.data.world.truth import Truth
    from ssm_sense.evaluate import RunInfo
    from ssm_sense.evaluate.tune import Outcome
    from ssm_sense.memory.answering import AnsweringModel
    from ssm_sense.memory.policy import Policy
    from ssm_sense.vision.siglip import SiglipTower

GRIDS = Path(__file__).parents[2] / "configs" / "policies" / "tuning"
NOTHING = ("full-kv", "last-frames", "ma-lmm", "uniform-frames")
"""Policies with nothing to set but how much they hold."""

_DESCRIPTION = """\
Evaluate every combination of a grid of settings on rendered validation streams, from cached latents, and write the one
of the best score: the mean credit of its answers, each kind of question weighing the same. P.yaml is what `ssm-sense
evaluate --policy-config` takes; P.json beside it has every combination's score and what it was picked on; the folder P
has the rows, from which an interrupted tuning goes on.
"""


class _Part(NamedTuple):
    """Streams of one length in one folder, with their truth and what decides their rows."""

    name: str
    clips: "list[Clip]"
    truths: "list[Truth]"
    settings: dict[str, Any]


def main(argv: list[str], open_model: "Callable[[Path], tuple[AnsweringModel, SiglipTower]] | None" = None) -> int:
    """Tune one policy, and return 1 if a combination failed on some stream.

    open_model: reads the model folder; `ssm_sense.folder.load_model` unless another is given.
    """
    arguments = _parse(argv)
    from rich.console import Console

    from ssm_sense.commands.policies import of_frame_tokens
    from ssm_sense.evaluate.tune import is_paper, outcome, pick, watch_all, write
    from ssm_sense.folder import load_model, weights_of
    from ssm_sense.memory.catalogue import build
    from ssm_sense.stream import Session

    grid = _grid(arguments)
    loaded, vision = (open_model or load_model)(arguments.model)
    model = of_frame_tokens(loaded, str(arguments.model))
    try:
        model, vision = model.to(arguments.device), vision.to(arguments.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {arguments.device}: {error}") from error
    memories = [build(arguments.policy, model, settings) for settings in grid]  # what is wrong is named before any work
    parts = _parts(arguments, vision.fingerprint)
    weights = weights_of(arguments.model, vision)
    outcomes, commits, console = [], set(), Console(stderr=True)
    with _bar(console, len(grid) * sum(len(part.clips) for part in parts)) as advance:
        for settings, memory in zip(grid, memories, strict=True):
            runs = [(_run(arguments, argv, memory, settings, weights, part), part.clips) for part in parts]
            folder = arguments.out.with_suffix("") / _key([run for run, _ in runs], parts)
            rows, failed = watch_all(Session(memory, vision), runs, folder, partial(advance, _words(settings)))
            memory.reset()
            outcomes.append(outcome(settings, rows, failed, is_paper(memory, settings)))
            commits |= {row["commit"] for row in rows}
    chosen = pick(outcomes)
    record = _record(arguments, argv, outcomes, chosen, parts, weights) | {"commits": sorted(commits)}
    write(arguments.out, chosen.settings, _said(arguments, outcomes, chosen, parts), record)
    console.print(_table(outcomes, chosen))
    print(f"{_words(chosen.settings)}: score {chosen.score:.4f}: {arguments.out}")
    return 1 if any(one.failed for one in outcomes) else 0


def _grid(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every combination that is to be tried, the budget included."""
    import yaml

    from ssm_sense.evaluate.tune import combinations

    if arguments.grid is None and arguments.policy in NOTHING:
        raise UserError(f"--policy {arguments.policy}: nothing to tune, it has no setting but how much it holds")
    path = arguments.grid or GRIDS / f"{arguments.policy}.yaml"
    try:
        found = combinations(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--grid: {error}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if arguments.budget_bytes is None:
        return found
    if any("budget_bytes" in settings for settings in found):
        raise UserError(f"--budget-bytes: expected one place to say it, and {path} has budget_bytes too")
    return [{**settings, "budget_bytes": arguments.budget_bytes} for settings in found]


def _parts(arguments: argparse.Namespace, fingerprint: str) -> list[_Part]:
    """The streams with cached latents. Raises UserError for those of another split, and those that are not cached."""
    from ssm_sense.data.datasets import open_parts
    from ssm_sense.data.latents import CachedClips
    from ssm_sense.data.world.truth import Truth

    cached, asked = CachedClips(arguments.features, fingerprint), arguments.ask_at or ()
    found: list[_Part] = []
    for number, folder in enumerate(arguments.data):
        for part in open_parts(folder, "vsi-super", arguments.fps, ask_at=asked, draws=arguments.draws):
            truths = [Truth.load(folder / f"{clip.name}.json") for clip in part.clips]
            if others := sorted({truth.split for truth in truths} - {SPLIT}):
                raise UserError(
                    f"{folder}: expected streams of the {SPLIT} split, found some of {' and '.join(others)}; what is "
                    "picked on those must not be reported on them"
                )
            clips = []
            for clip in part.clips:
                clips.append(shown := cached(clip))
                if shown is clip:
                    where = f"{folder}/{clip.name} at {arguments.fps:g} frames/s"
                    raise UserError(f"{where}: expected its latents in {arguments.features}; extract them first")
            name = folder.resolve().name
            settings = {"benchmark": part.layout, "dataset": name, "minutes": part.minutes, "fps": arguments.fps}
            settings |= asking_settings(arguments)
            found.append(_Part(f"{number}-{name}-{part.minutes:g}min", clips, truths, settings))
    check_reached(arguments, [part.settings["minutes"] for part in found])
    return found


def _run(
    arguments: argparse.Namespace,
    argv: list[str],
    memory: "Policy",
    settings: Mapping[str, Any],
    weights: str,
    part: _Part,
) -> "RunInfo":
    """What the rows of one combination on one part say of themselves."""
    from ssm_sense.commands.policies import policy_label
    from ssm_sense.evaluate import RunInfo

    return RunInfo.here(
        name=part.name,
        policy=policy_label(memory),
        seed=0,
        config=str(arguments.model),
        device=arguments.device,
        settings={**part.settings, "policy": dict(settings)},
        command=_command(argv),
        weights=weights,
    )


def _key(runs: "Sequence[RunInfo]", parts: Sequence[_Part]) -> str:
    """Names the folder of one combination: the same for the same settings, model and questions, and for no others."""
    asked = [[(truth.seed, clip.questions) for truth, clip in zip(p.truths, p.clips, strict=True)] for p in parts]
    told = json.dumps([run.identity for run in runs], sort_keys=True) + repr(asked)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _record(
    arguments: argparse.Namespace,
    argv: list[str],
    outcomes: "Sequence[Outcome]",
    chosen: "Outcome",
    parts: Sequence[_Part],
    weights: str,
) -> dict[str, Any]:
    """What was picked, among what, on what."""
    from ssm_sense import ops

    return {
        "policy": arguments.policy,
        "chosen": chosen._asdict(),
        "combinations": [one._asdict() for one in outcomes],
        "split": SPLIT,
        "streams": {part.name: [clip.name for clip in part.clips] for part in parts},
        "seeds": {part.name: [truth.seed for truth in part.truths] for part in parts},
        "settings": [part.settings for part in parts],
        "model": str(arguments.model),
        "weights": weights,
        "backend": ops.backend(),
        "command": _command(argv),
    }


def _said(
    arguments: argparse.Namespace, outcomes: "Sequence[Outcome]", chosen: "Outcome", parts: Sequence[_Part]
) -> list[str]:
    """What the file of settings says of where they come from."""
    sets = ", ".join(dict.fromkeys(part.settings["dataset"] for part in parts))
    streams = sum(len(part.clips) for part in parts)
    return [
        f"Picked by `ssm-sense tune` for {arguments.policy}: the best of {len(outcomes)} combinations,",
        f"{chosen.score:.4f} on {chosen.n} questions of {streams} streams of the {SPLIT} split ({sets}).",
        f"{arguments.out.with_suffix('.json').name} has all of them, and the model.",
    ]


def _command(argv: list[str]) -> str:
    return shlex.join(["ssm-sense", "tune", *argv])


def _words(settings: Mapping[str, Any]) -> str:
    """Settings in a line; of objects, the class."""
    plain = {k: v["class_path"].rpartition(".")[2] if isinstance(v, dict) else v for k, v in settings.items()}
    return ", ".join(f"{name} {value}" for name, value in plain.items())


def _table(outcomes: "Sequence[Outcome]", chosen: "Outcome") -> Any:
    """Every combination in the order of the grid."""
    from rich.table import Table

    table = Table("settings", "score", "log ratio", "questions", "failed", "")
    for one in outcomes:
        ratio = "" if one.log_ratio is None else f"{one.log_ratio:.3f}"
        what = ", ".join(["picked"] * (one is chosen) + ["the paper's"] * one.paper)
        table.add_row(_words(one.settings), f"{one.score:.4f}", ratio, str(one.n), str(one.failed), what)
    return table


@contextmanager
def _bar(console: "Console", total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar over streams: yields a function that is told, after each, what watched it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("tune"), BarColumn(), MofNCompleteColumn(), TextColumn("streams"), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        task = progress.add_task("", total=total)
        yield lambda doing: progress.update(task, advance=1, description=doing)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ssm-sense tune", description=_DESCRIPTION)
    add = parser.add_argument
    add("--policy", required=True, metavar="NAME", help=f"one of {', '.join(CLASSES)}, or a class path")
    add("--model", type=Path, required=True, metavar="DIR", help="a model folder of frame tokens")
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="rendered streams of the validation split")
    add("--features", type=Path, required=True, metavar="DIR", help="cache of latents, which has all of them")
    add("--budget-bytes", type=int, metavar="N", help="what the policy may hold, in every combination")
    add("--grid", type=Path, metavar="FILE", help="values to try; default: configs/policies/tuning has the policy's")
    add_asking(add)
    add("--fps", type=float, default=1.0, help="frames to watch a second; default: %(default)g")
    add("--device", default="cpu", help="where towers, model and memory are, such as cuda; default: %(default)s")
    add("--out", type=Path, required=True, metavar="P.yaml", help="what was picked; P.json and the folder P beside it")
    arguments = parser.parse_args(argv)
    if arguments.policy not in CLASSES and "." not in arguments.policy:
        raise UserError(f"--policy: expected one of {', '.join(CLASSES)}, or a class path, got {arguments.policy!r}")
    if arguments.out.suffix not in (".yaml", ".yml"):
        raise UserError(f"--out: expected a file such as P.yaml, got {arguments.out}")
    check_asking(arguments)
    frame_rate(arguments.fps, "--fps")
    for path in (arguments.model, arguments.features, *arguments.data):
        if not path.is_dir():
            raise UserError(f"{path}: no such folder")
    return arguments
