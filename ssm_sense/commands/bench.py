"""`ssm-sense bench`: how fast things run here, against their rivals in the same run.

`ssm-sense bench ops` times the recurrence and writes ops.json, every number with what is needed to get it again, and
ops.md, a table to read; with `--device cuda`, ops-cuda.json and ops-cuda.md. `ssm-sense bench data` is
`ssm-sense data bench`: rendering, decoding and encoding. `ssm-sense bench cost` measures a frame and an answer at real
size, with random weights.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from ssm_sense.ops.benchmark import Comparison


def main(argv: list[str]) -> int:
    """Run the benchmark, print its table and write both files."""
    if argv[:1] == ["data"]:
        from ssm_sense.commands import data

        return data.main(["bench", *argv[1:]])
    if argv[:1] == ["cost"]:
        from ssm_sense.commands import bench_cost

        return bench_cost.main(argv[1:])
    parser = argparse.ArgumentParser(prog="ssm-sense bench", description=__doc__)
    parser.add_argument("what", choices=["ops", "data", "cost"], help="the selective scan; video; memory at real size")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of the two files")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="sizes are fixed on cuda")
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds in which every contender runs once; default: %(default)s"
    )
    parser.add_argument("--threads", type=int, default=None, help="threads to run on (default: torch's)")
    parser.add_argument("--batch", type=int, default=64, help="streams of the whole sequences; default: %(default)s")
    parser.add_argument("--length", type=int, default=256, help="their length; default: %(default)s")
    parser.add_argument("--channels", type=int, default=256, help="their channels; default: %(default)s")
    parser.add_argument(
        "--train-batch", type=int, default=8, help="streams of the tiny model's training step; default: %(default)s"
    )
    parser.add_argument("--train-frames", type=int, default=96, help="their frames; default: %(default)s")
    args = parser.parse_args(argv)
    least = {"rounds": 1, "batch": 1, "length": 1, "channels": 1, "train_batch": 1, "train_frames": 4}
    for name, low in least.items():
        if getattr(args, name) < low:
            raise UserError(f"--{name.replace('_', '-')} must be at least {low}, got {getattr(args, name)}")
    if args.threads is not None and args.threads < 1:
        raise UserError(f"--threads must be at least 1, got {args.threads}")
    check_device(args.device)

    import torch

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    conditions = machine(argv, args.device)
    found, more = _on_cuda(args) if args.device == "cuda" else _on_cpu(args)
    conditions |= {**more, "load_after": load()}
    name = "ops" if args.device == "cpu" else f"ops-{args.device}"
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [comparison.row() for comparison in found]
    (args.out / f"{name}.json").write_text(json.dumps({"conditions": conditions, "rows": rows}, indent=2) + "\n")
    table = _table(conditions, rows)
    (args.out / f"{name}.md").write_text(table)
    print(table, end="")
    if args.device == "cpu" and not any("mambapy" in str(row["rival"]) for row in rows):
        print('mambapy is not installed, so it is missing above: pip install "ssm-sense[bench]"', file=sys.stderr)
    return 0


def check_device(device: str) -> None:
    """Raise UserError for "cuda" where there is none."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no such device here")


def machine(argv: list[str], device: str) -> dict[str, object]:
    """What a benchmark's numbers were measured on: command (``argv`` follows `ssm-sense bench`), code, machine."""
    import torch

    from ssm_sense.evaluate.run import describe_device
    from ssm_sense.ops import backend
    from ssm_sense.provenance import commit_of

    where = f"{_processor()}, {os.cpu_count()} cores"
    return {
        "command": " ".join(["ssm-sense", "bench", *argv]),
        "commit": commit_of(Path(__file__)),
        "backend": backend(device),
        "device": where if device == "cpu" else f"{describe_device(torch.device(device))}, {where}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load_before": load(),
    }


def _on_cpu(args: argparse.Namespace) -> "tuple[list[Comparison], dict[str, object]]":
    from ssm_sense.commands.bench_training import training_step
    from ssm_sense.ops import benchmark

    sizes = benchmark.Sizes(args.batch, args.length, args.channels)
    found = benchmark.whole_sequence(sizes, args.rounds)
    found += benchmark.lean_against_native(sizes, args.rounds)
    for batch, calls in ((1, 200), (64, 20)):
        for whole in (False, True):
            found += benchmark.streaming_step(benchmark.Sizes(batch, 1, 512), 5 * args.rounds, calls, whole)
    found += training_step(args.train_batch, args.train_frames, args.rounds)
    return found, {
        "sizes": {"batch": args.batch, "length": args.length, "channels": args.channels, "n": sizes.n},
        "training": {"batch": args.train_batch, "frames": args.train_frames},
    }


def _on_cuda(args: argparse.Namespace) -> "tuple[list[Comparison], dict[str, object]]":
    from ssm_sense.ops import benchmark_cuda

    return benchmark_cuda.comparisons(args.rounds), benchmark_cuda.conditions()


def _table(conditions: Mapping[str, object], rows: list[dict[str, object]]) -> str:
    """The rows as markdown, under a line that says where they come from."""
    where = "{backend}, {threads} threads, {device}, torch {torch}, commit {commit}, load {load_before} to {load_after}"
    lines = [f"`{conditions['command']}`: {where.format(**conditions)}", ""]
    lines += ["| case | against | ours ms | theirs ms | theirs / ours | quartiles | target |", "|---" * 7 + "|"]
    for row in rows:
        target = "" if row["target"] is None else f"{row['target']:.3g} {'met' if row['met'] else 'MISSED'}"
        lines.append(
            f"| {row['case']} | {row['rival']} | {row['ours_ms']:.2f} | {row['rival_ms']:.2f} | {row['ratio']:.2f} "
            f"| {row['low']:.2f} to {row['high']:.2f} | {target} |"
        )
    return "\n".join(lines) + "\n"


def load() -> float | None:
    """Processes that wanted a core over the last minute; above the number of cores, absolute times mean little."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def _processor() -> str:
    """The processor's model, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()
