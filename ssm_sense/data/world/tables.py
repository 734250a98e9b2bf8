"""The tables beside rendered videos: VSI-SUPER's parquet files, and an index of tours to train on."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssm_sense.data.world.batch import Job
from ssm_sense.data.world.film import truth_path
from ssm_sense.data.world.questions import (
    count_text,
    counted_category,
    query_times,
    recall_question,
    streaming_questions,
)
from ssm_sense.data.world.truth import Truth

_TEXTS = pa.list_(pa.string())
_NUMBERS = pa.list_(pa.int64())
RECALL = pa.schema(
    [
        ("video_path", pa.string()),
        ("question", pa.string()),
        ("options", _TEXTS),
        ("answer", pa.string()),
        ("type", pa.string()),
    ]
)
COUNT = pa.schema(
    [
        ("video_path", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("split", pa.string()),
        ("query_times", _NUMBERS),
        ("answers", _NUMBERS),
    ]
)


def write_table(folder: Path, work: list[Job]) -> Path:
    """Write the table of rendered videos, all of one task and length, and return its path.

    test_{minutes}mins.parquet as in VSI-SUPER, Recall or Count; index_{minutes}mins.json for tours.
    """
    truths = [(job.name, Truth.load(truth_path(folder / job.name))) for job in work]
    task, length = work[0].recipe.task, f"{work[0].recipe.minutes:g}mins"
    if task == "tour":
        index = json.dumps([_entry(name, truth) for name, truth in truths], indent=1)
        return _write(folder / f"index_{length}.json", lambda draft: draft.write_text(index))
    rows = [row for name, truth in truths for row in (_recall if task == "vsr" else _count)(name, truth, length)]
    table = pa.Table.from_pylist(rows, schema=RECALL if task == "vsr" else COUNT)
    return _write(folder / f"test_{length}.parquet", lambda draft: pq.write_table(table, draft))


def _entry(name: str, truth: Truth) -> dict[str, Any]:
    return {
        "video": name,
        "truth": truth_path(Path(name)).as_posix(),
        "split": truth.split,
        "seed": truth.seed,
        "duration_s": truth.duration_s,
    }


def _recall(name: str, truth: Truth, length: str) -> list[dict[str, Any]]:
    question = recall_question(truth)
    return [
        {
            "video_path": name,
            "question": question.text,
            "options": list(question.options),
            "answer": question.answer,
            "type": length,
        }
    ]


def _count(name: str, truth: Truth, length: str) -> list[dict[str, Any]]:
    """Two rows: asked at the end, and asked ten times on the way."""
    category = counted_category(truth)
    final = str(len(truth.counted(category, truth.duration_s)))
    answers = [int(question.answer) for question in streaming_questions(truth, category)]
    both = {"video_path": name, "question": count_text(category), "answer": final}
    return [
        {**both, "split": length, "query_times": [], "answers": []},
        {**both, "split": f"{length}_streaming", "query_times": list(query_times(truth)), "answers": answers},
    ]


def _write(path: Path, write: Callable[[Path], object]) -> Path:
    draft = path.with_name(path.name + ".part")
    write(draft)
    os.replace(draft, path)
    return path
