"""A rendered set in VSI-590K's layout: vsi_590k.jsonl beside the videos, to train on with whatever reads that."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssm_sense.data.clip import Question
from ssm_sense.data.vsi_590k import TABLE, row_of
from ssm_sense.data.world.bench import bench_questions
from ssm_sense.data.world.film import truth_path
from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError


def export(folder: Path, stops: int, seed: int = 0) -> dict[str, int]:
    """Write the table of all rendered videos below a folder; return how many questions of each type it holds.

    stops: moments of each video, evenly spread up to its last frame, at which one question of each kind of the
    easy-to-hard mixture is asked; one that is asked before the end says so in the column `t_s`, which is ours. At the
    end come VSI-Bench's types as well. Raises UserError where there is no rendered video.
    """
    videos = [path for path in sorted(folder.rglob("*.mp4")) if truth_path(path).is_file()]
    if not videos:
        raise UserError(f"{folder}: expected rendered videos with their truth, found none")
    counts: Counter[str] = Counter()
    draft = folder / f"{TABLE}.part"
    with draft.open("w", encoding="utf-8") as file:
        for video in videos:
            truth = Truth.load(truth_path(video))
            name = video.relative_to(folder).as_posix()
            for question in _asked(truth, stops, seed):
                row = json.loads(row_of(question, name))
                if question.t_s < truth.frames[-1].t_s:
                    row["t_s"] = question.t_s
                file.write(json.dumps(row) + "\n")
                counts[question.kind] += 1
    os.replace(draft, folder / TABLE)
    return dict(counts)


def _asked(truth: Truth, stops: int, seed: int) -> Iterator[Question]:
    rng = np.random.default_rng((seed, truth.seed, 2))
    last = len(truth.frames) - 1
    for i in range(stops):
        yield from mixture(truth, truth.frames[round(last * (i + 1) / stops)].t_s, rng)
    yield from bench_questions(truth, rng)
