"""A rendered set in other layouts: the table of VSI-590K or VSI-Bench beside the videos, for whatever reads those."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ssm_sense.data import vsi_590k, vsi_bench
from ssm_sense.data.clip import Question
from ssm_sense.data.world.bench import bench_questions
from ssm_sense.data.world.film import truth_path
from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError

BENCH_TABLE = "test.jsonl"


def export(folder: Path, stops: int, seed: int = 0) -> dict[str, int]:
    """Write VSI-590K's table of all rendered videos below a folder; return how many questions of each type it holds.

    stops: moments of each video, evenly spread up to its last frame, at which one question of each kind of the
    easy-to-hard mixture is asked; one that is asked before the end says so in the column `t_s`, which is ours. At the
    end come VSI-Bench's types as well. Raises UserError where there is no rendered video.
    """

    def rows() -> Iterator[tuple[str, str]]:
        for name, truth in videos:
            for question in _asked(truth, stops, seed):
                row = json.loads(vsi_590k.row_of(question, name))
                if question.t_s < truth.frames[-1].t_s:
                    row["t_s"] = question.t_s
                yield question.kind, json.dumps(row)

    videos = _videos(folder)
    return _write(folder / vsi_590k.TABLE, rows())


def export_bench(folder: Path, draws: int, seed: int = 0) -> dict[str, int]:
    """Write VSI-Bench's table of all rendered videos below a folder; return how many questions of each type it holds.

    draws: the most questions of each type about a video, no two of them alike. All of VSI-Bench's types come up but
    route planning. Raises UserError where there is no rendered video.
    """

    def rows() -> Iterator[tuple[str, str]]:
        number = 0
        for name, truth in videos:
            rng = np.random.default_rng((seed, truth.seed, 3))
            asked = [question for _ in range(draws) for question in bench_questions(truth, rng)]
            for question in {(question.kind, question.text): question for question in asked}.values():
                yield question.kind, vsi_bench.row_of(question, number, name)
                number += 1

    videos = _videos(folder)
    return _write(folder / BENCH_TABLE, rows())


def _write(table: Path, rows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Write lines, each given with its type, to a table that appears when it is whole; return how many of each type."""
    counts: Counter[str] = Counter()
    draft = table.with_name(f"{table.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        for kind, line in rows:
            file.write(line + "\n")
            counts[kind] += 1
    os.replace(draft, table)
    return dict(counts)


def _videos(folder: Path) -> list[tuple[str, Truth]]:
    """The path, relative to the folder, and the truth of each rendered video below it."""
    videos = [path for path in sorted(folder.rglob("*.mp4")) if truth_path(path).is_file()]
    if not videos:
        raise UserError(f"{folder}: expected rendered videos with their truth, found none")
    return [(video.relative_to(folder).as_posix(), Truth.load(truth_path(video))) for video in videos]


def _asked(truth: Truth, stops: int, seed: int) -> Iterator[Question]:
    rng = np.random.default_rng((seed, truth.seed, 2))
    last = len(truth.frames) - 1
    for i in range(stops):
        yield from mixture(truth, truth.frames[round(last * (i + 1) / stops)].t_s, rng)
    yield from bench_questions(truth, rng)
