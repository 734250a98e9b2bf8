"""`ssm-sense evaluate`: run a memory policy over VSI-SUPER, VSI-Bench, VSI-590K, or a rendered world laid out so."""

import argparse
import hashlib
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_sense.commands.asking import add_asking, asking_settings, check_asking, check_reached
from ssm_sense.commands.policies import POLICIES, open_policy, policy_label, policy_settings
from ssm_sense.data.decode import frame_rate
from ssm_sense.errors import UserError
from ssm_sense.memory.catalogue import CLASSES, NOSENSE, OURS

if TYPE_CHECKING:
    from ssm_sense.data.clip import Clip
    from ssm_sense.data.datasets import Clips, Part
    from ssm_sense.memory.policy import Policy
    from ssm_sense.stream import Session

TASKS = ("vsr", "vsc", "vsc-streaming")
LAYOUTS = ("vsi-super", "vsi-bench", "vsi-590k")
SCORERS = ("robust-2", "official", "official-streaming", "official-vsi-bench")

_DESCRIPTION = """\
Watch every video once, ask each question when the stream reaches its time, and write rows.jsonl (a line a question),
frames.jsonl (a line a frame) and clips.jsonl (what is finished). Run again, it goes on where it was: finished clips
are skipped, failed ones tried anew. `ssm-sense report --rows DIR` turns the rows into a page.
"""
_EXAMPLE = """\
examples:
  ssm-sense evaluate --model demo/model --data VSI-SUPER-Recall --minutes 10 --out runs/recall
  ssm-sense evaluate --model demo/model --data VSI-Bench --task object_rel_distance --out runs/bench
  ssm-sense evaluate --policy nosense --model google/siglip2-so400m-patch14-384 \\
      --data VSI-SUPER-Recall --minutes 10 --out runs/recall
"""


def main(argv: list[str], open_session: "Callable[[str, str], Session] | None" = None) -> int:
    """Evaluate, and return 1 if any clip failed, or was not watched to its end.

    open_session: makes the session of a policy and a model, as `open_policy` does.
    """
    arguments = _parse(argv)
    import torch

    from ssm_sense import ops
    from ssm_sense.data.hub import dataset_folder
    from ssm_sense.evaluate import Cap, RunInfo, Task, evaluate, evaluate_with_workers
    from ssm_sense.evaluate.cost import vision_flops
    from ssm_sense.evaluate.workers import threads_each

    if arguments.backend is not None:
        try:
            ops.require(arguments.backend)
        except RuntimeError as error:
            raise UserError(f"--backend: {error}") from error
    arguments.data = str(folder := dataset_folder(named := arguments.data))
    try:
        torch.empty(1, device=arguments.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {arguments.device}: {error}") from error
    parts = _parts(arguments)
    check_reached(arguments, [part.minutes for part in parts])
    if arguments.repeat and parts[0].minutes is None:
        raise UserError(f"--repeat: expected with VSI-SUPER's layout alone, and {folder} holds {parts[0].layout}")
    if arguments.name and len(parts) > 1:
        raise UserError("--name: expected with one length in --minutes, since each is a run of its own")
    chosen = policy_settings(arguments.policy_config, arguments.budget_bytes)
    opened = open_session or partial(open_policy, settings=chosen, device=arguments.device)
    session = opened(arguments.policy, arguments.model)
    label = arguments.label or policy_label(session.memory)
    if arguments.workers > 1:
        torch.set_num_threads(threads_each(arguments.workers))  # which the rows name
    flops = {"vision": vision_flops(session)}
    unfinished = 0
    for number, part in enumerate(parts):
        run = RunInfo.here(
            name=arguments.name or _run_name(arguments, label, part),
            policy=label,
            seed=arguments.seed,
            config=arguments.model,
            device=_device(session),
            settings={
                **_settings(arguments, part, named, folder),
                **_policy_settings(arguments.policy, chosen, session.memory),
            },
            blind=arguments.blind,
            scorer=arguments.scorer,
            command=shlex.join(["ssm-sense", "evaluate", *argv]),
            flops=flops,
            weights=session.weights,
            questions=_digest(part.table),
        )
        cap = Cap.from_now(arguments.max_minutes, arguments.max_bytes)
        if arguments.workers > 1:
            open_clips = partial(_clips, arguments, number)
            opening = partial(opened, arguments.policy, arguments.model)
            task = Task(opening, open_clips, run, arguments.batch_frames, torch.get_num_threads(), cap)
            summary = evaluate_with_workers(task, len(part.clips), arguments.out, arguments.workers)
        else:
            shown = part.clips.map(_shown(arguments, session))
            summary = evaluate(shown, session, arguments.out, run, arguments.batch_frames, cap=cap)
        left = len(part.clips) - summary.watched - summary.skipped
        capped = f", {summary.stopped} cut off by a cap" if summary.stopped else ""
        capped += f", {left} left when time was up; run it again to go on" if left else ""
        print(
            f"{run.name}: {summary.watched} watched, {summary.skipped} finished before, {summary.failed} failed{capped}"
        )
        unfinished += summary.failed + summary.stopped + left
    print(arguments.out / "rows.jsonl")
    return 1 if unfinished else 0


def _run_name(arguments: argparse.Namespace, label: str, part: "Part") -> str:
    """Policy, tasks and length, or the layout where there are no lengths."""
    what = part.layout if part.minutes is None else f"{part.minutes:g}min"
    return "-".join([label, *(["blind"] if arguments.blind else []), *(arguments.task or []), what])


def _settings(arguments: argparse.Namespace, part: "Part", named: str, folder: Path) -> dict[str, Any]:
    """What decides the rows besides policy, seed and scorer. named: the folder as it was typed, or its hub id."""
    dataset = folder.resolve().name if Path(named).is_dir() else Path(named).name
    return {
        "benchmark": part.layout,
        "dataset": f"{dataset}, {part.minutes:g} min repeated" if arguments.repeat else dataset,
        **({} if part.minutes is None else {"minutes": part.minutes}),
        **({"task": sorted(arguments.task)} if arguments.task else {}),
        **asking_settings(arguments),
        **({"repeat": sorted(set(arguments.repeat))} if arguments.repeat else {}),
        "fps": arguments.fps,
        "batch_frames": arguments.batch_frames,
    }


def _policy_settings(policy: str, chosen: Mapping[str, Any], memory: "Policy") -> dict[str, Any]:
    """The policy's class and, where it takes settings, all of them, those at their defaults included."""
    from ssm_sense.memory.catalogue import all_settings

    taken = all_settings(policy, chosen) if policy in (*CLASSES, *OURS, *NOSENSE) or "." in policy else {}
    named = {"policy_class": f"{type(memory).__module__}.{type(memory).__qualname__}"}
    return {**named, **({"policy": taken} if taken else {})}


def _digest(table: Path) -> str:
    """16 hexadecimal digits that name a table of questions by its bytes."""
    with table.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _parts(arguments: argparse.Namespace) -> "list[Part]":
    """What there is to watch."""
    from ssm_sense.data.datasets import open_parts

    return open_parts(
        Path(arguments.data),
        arguments.layout,
        arguments.fps,
        arguments.minutes or (),
        arguments.task or (),
        arguments.limit,
        arguments.ask_at or (),
        arguments.draws,
    )


def _clips(arguments: argparse.Namespace, number: int, session: "Session") -> "Clips":
    """The clips of one part, as a worker sees them."""
    return _parts(arguments)[number].clips.map(_shown(arguments, session))


def _shown(arguments: argparse.Namespace, session: "Session") -> "Callable[[Clip], Clip]":
    """What a clip is shown as, and how often."""
    from ssm_sense.data.repeat import repeated

    look, again = _look(arguments, session), arguments.repeat
    if not again:
        return look
    return lambda clip: look(repeated(clip, again)) if arguments.blind else repeated(look(clip), again)


def _look(arguments: argparse.Namespace, session: "Session") -> "Callable[[Clip], Clip]":
    """What a clip is shown as: a grey frame, cached latents where they are there, or its frames.

    Says on stderr which clips are not in the cache.
    """
    from ssm_sense.data.latents import CachedClips
    from ssm_sense.evaluate import blind

    if arguments.blind:
        return blind
    if arguments.features is None:
        return lambda clip: clip
    fingerprint = session.vision.fingerprint
    return CachedClips(arguments.features, fingerprint, lambda why: print(f"ssm-sense: {why}", file=sys.stderr))


def _device(session: "Session") -> str:
    """Where the vision tower's weights are."""
    return str(next((parameter.device for parameter in session.vision.parameters()), "cpu"))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ssm-sense evaluate",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", required=True, metavar="DIR", help="a model folder; for NoSense a SigLIP checkpoint or hub id")
    add("--data", required=True, metavar="DIR", help="VSI-SUPER, VSI-Bench, VSI-590K or a rendered set; or its hub id")
    add("--layout", choices=LAYOUTS, help="default: what the folder's tables tell")
    add("--out", type=Path, required=True, metavar="DIR", help="where the rows go; several runs may share it")
    add(
        "--policy",
        metavar="NAME",
        default="model",
        help=f"one of {', '.join(POLICIES)}, or a class path; default: what the model folder holds",
    )
    add("--policy-config", type=Path, metavar="FILE", help="its settings, as in configs/policies; default: its paper's")
    add("--budget-bytes", type=int, metavar="N", help="what the policy may hold, in place of its file's budget_bytes")
    add("--task", nargs="+", metavar="KIND", help="kinds of question, such as vsr; default: all, in one pass a video")
    add("--minutes", type=float, nargs="+", metavar="M", help="lengths of VSI-SUPER's videos; default: all there are")
    add_asking(add)
    add("--repeat", type=int, nargs="+", metavar="N", help="ask once a video was shown N times more; 0: at its end")
    add("--fps", type=float, default=1.0, help="frames to watch a second; default: %(default)g")
    add("--features", type=Path, metavar="DIR", help="cache of latents; videos that it lacks are watched live")
    add("--scorer", choices=SCORERS, default=SCORERS[0], help="the official ones crash on prose; default: %(default)s")
    add("--blind", action="store_true", help="show one grey frame in place of each video")
    add("--limit", type=int, metavar="N", help="only the first N videos, of each length")
    add("--label", help="what rows and figures call the policy; default: its own name")
    add("--name", help="of the run, unique in its folder; default: policy, tasks and length")
    add("--seed", type=int, default=0, help="default: %(default)s")
    add("--batch-frames", type=int, default=8, metavar="N", help="frames encoded together; default: %(default)s")
    add("--workers", type=int, default=1, metavar="N", help="videos at a time, each with a model; default: %(default)s")
    add("--device", default="cpu", help="where towers, model and memory are, such as cuda; default: %(default)s")
    add("--max-minutes", type=float, metavar="M", help="stop each run after so long; the same command goes on")
    add("--max-bytes", type=int, metavar="N", help="give up a video at which the policy holds more than so many")
    add("--backend", metavar="NAME", help="demand this implementation of the recurrence, such as native")
    arguments = parser.parse_args(argv)
    if arguments.policy not in POLICIES and "." not in arguments.policy:
        raise UserError(f"--policy: expected one of {', '.join(POLICIES)}, or a class path, got {arguments.policy!r}")
    check_asking(arguments)
    for times in arguments.repeat or ():
        if times < 0:
            raise UserError(f"--repeat: expected 0 or more, got {times}")
    frame_rate(arguments.fps, "--fps")
    for name in ("batch_frames", "limit", "workers", "max_minutes", "max_bytes"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name.replace('_', '-')}: expected more than 0, got {value}")
    return arguments
