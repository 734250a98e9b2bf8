"""`ssm-sense bench cost`: a frame and an answer at real size with random weights, ours and two rivals.

Writes cost.json and cost.md: milliseconds and bytes against the length of the stream, and the multiplications of a
frame for every size of Qwen2.5.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_sense.commands.bench import check_device, load, machine
from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from ssm_sense.evaluate.real_size import Cost, Flops


def main(argv: list[str]) -> int:
    """Measure, print the table and write both files."""
    args = _parse(argv)
    import torch

    from ssm_sense import tiny
    from ssm_sense.evaluate.random_weights import QWEN, SO400M
    from ssm_sense.evaluate.real_size import Rig, clock, costs, flops, vision_ms
    from ssm_sense.pretrained import load_tokenizer

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    conditions = machine(["cost", *argv], args.device)
    torch.manual_seed(0)
    rig = Rig(SO400M, QWEN[args.size], load_tokenizer(tiny.folder() / "tokenizer"), args.precision, args.device)
    counted = list(flops(rig, QWEN))
    seeing_ms = vision_ms(rig, args.rounds)
    found = costs(rig, [round(60 * minutes) for minutes in args.minutes], args.rounds, _tell)
    conditions |= {
        "vision": "SigLIP 2 so400m-patch14-384",
        "language": f"Qwen2.5-{args.size}",
        "weights": "random",
        "precision": args.precision,
        "rounds": args.rounds,
        "clock": "processor time" if clock(rig.device) is time.process_time else "time on the wall",
        "load_after": load(),
    }
    written = {
        "conditions": conditions,
        "vision_ms": seeing_ms,
        "rows": [cost._asdict() for cost in found],
        "flops": [
            {**one._asdict(), "memory_ratio": one.memory_ratio, "frame_ratio": one.frame_ratio} for one in counted
        ],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "cost.json").write_text(json.dumps(written, indent=2) + "\n")
    text = table(conditions, seeing_ms, found, counted)
    (args.out / "cost.md").write_text(text)
    print(text, end="")
    return 0


def _tell(cost: "Cost") -> None:
    """Long lengths take minutes, so each is told of as it comes."""
    print(f"{cost.frames} frames: {cost.policy} {cost.frame_ms:.0f} ms, {cost.answer_ms:.0f} ms", file=sys.stderr)


def table(conditions: dict[str, Any], seeing_ms: float, found: "list[Cost]", counted: "list[Flops]") -> str:
    """Both tables as markdown, under what they were measured with."""
    where = "{backend}, {threads} threads, {device}, torch {torch}, commit {commit}, load {load_before} to {load_after}"
    what = "{vision} and {language}, {weights} weights, {precision}, median of {rounds}, {clock}"
    lines = [
        f"`{conditions['command']}`: {where.format(**conditions)}",
        "",
        f"{what.format(**conditions)}. A frame is 64 tokens. Long streams were not watched: their caches are filled "
        f"with random keys and values. Seeing a frame takes {seeing_ms:.0f} ms and is left out of ms/frame.",
        "",
        "| stream | policy | ms/frame | frames/s, seeing included | ms/answer | bytes held |",
        "|---" * 6 + "|",
    ]
    for cost in found:
        rate = 1e3 / (seeing_ms + cost.frame_ms)
        lines.append(
            f"| {cost.frames / 60:g} min | {cost.policy} | {cost.frame_ms:.0f} | {rate:.3g} | {cost.answer_ms:.0f} "
            f"| {cost.nbytes / 1e6:.1f} MB |"
        )
    lines += [
        "",
        "Floating-point operations of a frame, counted from shapes alone; the larger models were not run. Prefill: the "
        "frame's tokens through the language model with nothing before them; each frame that a cache holds adds to it.",
        "",
        "| language model | seeing | ours | prefill | prefill / ours | the whole frame, seeing included |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| Qwen2.5-{one.size} | {one.vision / 1e9:.0f} G | {one.ours / 1e9:.2f} G | {one.prefill / 1e9:.0f} G "
        f"| {one.memory_ratio:.0f} | {one.frame_ratio:.2f} |"
        for one in counted
    ]
    return "\n".join(lines) + "\n"


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ssm-sense bench cost", description=__doc__)
    add = parser.add_argument
    add("--size", choices=("0.5b", "1.5b", "3b", "7b"), default="0.5b", help="of Qwen2.5; default: %(default)s")
    add("--minutes", type=float, nargs="+", default=[0, 10, 30], metavar="M", help="of stream, at a frame a second")
    add("--rounds", type=int, default=3, help="rounds in which everyone runs once, after one to warm up")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of both towers")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="default: %(default)s")
    add("--threads", type=int, help="default: torch's")
    add("--out", type=Path, default=Path("runs/bench"), help="folder of the two files")
    args = parser.parse_args(argv)
    if args.rounds < 1 or (args.threads is not None and args.threads < 1):
        raise UserError("--rounds and --threads must be at least 1")
    for minutes in args.minutes:
        if not 0 <= minutes < math.inf:
            raise UserError(f"--minutes must be at least 0, got {minutes:g}")
    check_device(args.device)
    return args
