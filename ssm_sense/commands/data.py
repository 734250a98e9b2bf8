"""`ssm-sense data`: what a dataset holds, what answers to it earn, and rendered sets in other layouts."""

import argparse
import json
import os
import platform
import shlex
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from ssm_sense.errors import UserError


def main(argv: list[str]) -> int:
    """Entry point; argv without the program's and the subcommand's names."""
    arguments = _parser().parse_args(argv)
    arguments.command = shlex.join(["ssm-sense", "data", *argv])
    return int(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ssm-sense data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="check | score | export | lmms-log | bench")
    check = commands.add_parser("check", help="say what is there, missing and damaged, file by file")
    check.add_argument("folder", metavar="DIR", help="VSI-SUPER, VSI-590K or VSI-Bench: a folder, or its hub id")
    check.add_argument("--deep", action="store_true", help="decode every video to its end")
    check.add_argument("--against", type=Path, metavar="DIR", help="report the scenes shared with this dataset")
    check.add_argument("--all", action="store_true", help="list the files that are there as well")
    check.set_defaults(run=_check)
    score = commands.add_parser("score", help="score the answers of a run anew")
    score.add_argument("rows", type=Path, metavar="ROWS", help="rows.jsonl of `ssm-sense evaluate`, or its folder")
    score.add_argument("--official", action="store_true", help="by the benchmarks' own scorers, faults included")
    score.set_defaults(run=_score)
    export = commands.add_parser("export", help="write a rendered set's table as VSI-590K or VSI-Bench has it")
    export.add_argument("folder", type=Path, metavar="DIR", help="what `ssm-sense world render` wrote")
    export.add_argument("--layout", choices=("vsi-590k", "vsi-bench"), default="vsi-590k", help="default: %(default)s")
    export.add_argument("--stops", type=int, default=6, help="for vsi-590k: moments of each video to ask about")
    export.add_argument("--draws", type=int, default=3, help="for vsi-bench: most questions of a type and video")
    export.add_argument("--seed", type=int, default=0, help="of the questions")
    export.set_defaults(run=_export)
    log = commands.add_parser("lmms-log", help="write a run's answers as lmms-eval's model from_log reads them")
    log.add_argument("rows", type=Path, metavar="ROWS", help="rows.jsonl of `ssm-sense evaluate`, or its folder")
    log.add_argument("--data", type=Path, required=True, metavar="DIR", help="the VSI-Bench or VSI-SUPER it answered")
    log.add_argument("--layout", choices=("vsi-super", "vsi-bench"), help="default: what the folder's tables tell")
    log.add_argument("--task", default="vsibench", help="its name in lmms-eval; default: %(default)s")
    log.add_argument("--run", dest="named", help="of several in the rows")
    log.add_argument("--minutes", type=float, metavar="M", help="for VSI-SUPER: of which table")
    log.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .json file in the folder of logs")
    log.set_defaults(run=_log)
    bench = commands.add_parser("bench", help="measure rendering, decoding, encoding and memory on this machine")
    bench.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of data.json and data.md")
    bench.add_argument("--minutes", type=float, default=60.0, help="of 720p to decode; figures are for an hour")
    bench.add_argument("--frames", type=int, default=600, help="rendered, and encoded, for each figure")
    bench.add_argument("--batch", type=int, default=32, help="frames encoded together")
    bench.add_argument("--device", default="cpu", help="of the encoder")
    bench.add_argument("--encoder", metavar="DIR", help="a SigLIP checkpoint to measure as well, or its hub id")
    bench.set_defaults(run=_bench)
    return parser


def _check(arguments: argparse.Namespace) -> int:
    """0 where all is there, 1 where something is missing or damaged."""
    from ssm_sense.data.check import STATES, check, scenes_of
    from ssm_sense.data.hub import dataset_folder

    folder = dataset_folder(arguments.folder)
    files: Counter[str] = Counter()
    questions: Counter[str] = Counter()
    for found in check(folder, arguments.deep):
        files[found.state] += 1
        questions[found.state] += found.questions
        if arguments.all or found.state in ("missing", "damaged"):
            print(" ".join(f"{found.state:<8} {found.name} {found.detail}".split("\n")).rstrip())
    for state in STATES:
        if files[state]:
            print(f"{files[state]} files {state}, for {questions[state]} questions")
    if arguments.against:
        ours, theirs = scenes_of(folder), scenes_of(arguments.against)
        both = sorted(ours & theirs)
        print(f"{len(both)} scenes are in both, of {len(ours)} here and {len(theirs)} in {arguments.against}")
        for family, place in both:
            print(f"shared   {family} {place}")
    return int(files["missing"] + files["damaged"] > 0)


def _score(arguments: argparse.Namespace) -> int:
    """Print what each kind of question earns, in points of 100; 1 where the official scorer crashes."""
    from ssm_sense.data.rows import read_jsonl
    from ssm_sense.metrics.score import STOPPED, official, official_streaming, official_vsi_bench, robust
    from ssm_sense.metrics.vsi_bench import DIRECTIONS, TASKS, bench_scores

    path = arguments.rows / "rows.jsonl" if arguments.rows.is_dir() else arguments.rows
    bench = {*TASKS, *DIRECTIONS}
    credits: dict[str, list[tuple[str, float]]] = defaultdict(list)
    crashes: Counter[str] = Counter()
    stopped = 0
    for number, (_, row) in enumerate(read_jsonl(path)):
        if str(row.get("error") or "").startswith(STOPPED):
            stopped += 1
            continue
        run, kind, truth, prediction, options = _answer(path, number, row)
        if not arguments.official:
            scorer = robust
        elif kind in bench:
            scorer = official_vsi_bench
        else:
            scorer = official_streaming if kind == "vsc-streaming" else official
        try:
            credits[run].append((kind, scorer(prediction, truth, options).value))
        except (ValueError, ZeroDivisionError) as error:
            crashes[run] += 1
            print(f"ssm-sense: {path}, row {number}: the official scorer crashes: {error}", file=sys.stderr)
    if stopped:
        print(f"ssm-sense: {path}: {stopped} rows that a cap cut off, which count nowhere", file=sys.stderr)
    elif not credits and not crashes:
        raise UserError(f"{path}: expected at least one row, found none")
    for run, of in credits.items():
        kinds: dict[str, list[float]] = defaultdict(list)
        for kind, credit in of:
            kinds[kind].append(credit)
        for kind, values in kinds.items():
            print(f"{run}  {kind:<30} {100 * sum(values) / len(values):6.2f}  of {len(values)}")
        if overall := bench_scores(of).get("overall"):
            print(f"{run}  {'VSI-Bench':<30} {100 * overall:6.2f}")
    return int(bool(crashes))


def _answer(path: Path, number: int, row: dict[str, Any]) -> tuple[str, str, str, str | None, list[str]]:
    """What a row says, checked."""
    texts = [row.get(name) for name in ("run", "kind", "truth")]
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"{path}, row {number}: expected texts in 'run', 'kind' and 'truth', got {texts}")
    prediction, options = row.get("prediction"), row.get("options") or []
    if not isinstance(prediction, str | None) or not isinstance(options, list):
        raise UserError(f"{path}, row {number}: expected a text in 'prediction' and a list in 'options'")
    return str(texts[0]), str(texts[1]), str(texts[2]), prediction, [str(option) for option in options]


def _export(arguments: argparse.Namespace) -> int:
    from ssm_sense.data.vsi_590k import TABLE
    from ssm_sense.data.world.export import BENCH_TABLE, export, export_bench

    for name, least in (("stops", 1), ("draws", 1), ("seed", 0)):
        if getattr(arguments, name) < least:
            raise UserError(f"--{name}: expected {least} or more, got {getattr(arguments, name)}")
    if arguments.layout == "vsi-bench":
        table, counts = BENCH_TABLE, export_bench(arguments.folder, arguments.draws, arguments.seed)
    else:
        table, counts = TABLE, export(arguments.folder, arguments.stops, arguments.seed)
    print(f"wrote {arguments.folder / table}: {json.dumps(counts)}")
    return 0


def _log(arguments: argparse.Namespace) -> int:
    from ssm_sense.data.lmms_log import lmms_log
    from ssm_sense.data.rows import read_jsonl

    if arguments.out.suffix != ".json":
        raise UserError(f"--out: expected a name that ends in .json, which from_log looks for, got {arguments.out}")
    path = arguments.rows / "rows.jsonl" if arguments.rows.is_dir() else arguments.rows
    rows = [row for _, row in read_jsonl(path) if arguments.named in (None, row.get("run"))]
    log, unanswered = lmms_log(rows, arguments.data, arguments.task, arguments.minutes, arguments.layout)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {arguments.out}: {len(log['logs'])} answers, {unanswered} of them empty")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from ssm_sense.commands import bench_data
    from ssm_sense.provenance import commit_of

    for name, least in (("minutes", 1 / 6), ("frames", 16), ("batch", 1)):
        if getattr(arguments, name) < least:
            raise UserError(f"--{name}: expected {least:g} or more, got {getattr(arguments, name)}")
    conditions = {
        "command": arguments.command,
        "commit": commit_of(Path(__file__)),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_before": bench_data.load(),
    }
    rows = bench_data.measure(arguments.minutes, arguments.frames, arguments.batch, arguments.device, arguments.encoder)
    conditions["load_after"] = bench_data.load()
    print(bench_data.write(arguments.out, rows, conditions), end="")
    return 0
