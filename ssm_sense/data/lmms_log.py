"""Answers of a run as lmms-eval's model `from_log` reads them, so that its tasks score what was answered here.

lmms-eval knows a question by its place among those of its task; ours are found there by kind, video, text and options.
Source of the format: lmms-eval 0.7.3, `models/simple/from_log.py` and `tasks/vsisuper`.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ssm_sense.data import vsi_bench, vsi_super
from ssm_sense.data.clip import FRAMES_OF_A_VIDEO
from ssm_sense.data.datasets import layout_of
from ssm_sense.data.rows import Row, read_table
from ssm_sense.errors import UserError

STREAMING = "vsc-streaming"
Key = tuple[str, str, str, tuple[str, ...], float | None]
"""Kind, clip, text and options, and of what is asked on the way the second."""


def lmms_log(
    rows: Iterable[Row], folder: Path, task: str, minutes: float | None = None, layout: str | None = None
) -> tuple[dict[str, Any], int]:
    """The log of one run, and how many of the task's questions it leaves without an answer, which are logged as empty.

    rows: of rows.jsonl, of one run; of what was asked more than once, the latest counts. folder: VSI-Bench or
    VSI-SUPER. task: what lmms-eval calls the task; one of streaming counts by its name has those questions alone, whose
    answers are a JSON list each, and any other task none of them. minutes: of VSI-SUPER, which table. layout: which of
    the two, where the folder has the tables of several.

    Raises UserError for a folder that is neither, rows of several runs, and rows that are about none of its questions.
    """
    asked = _asked(folder, task, minutes, layout or layout_of(folder))
    places: dict[Key, list[tuple[int, int]]] = {}
    for number, keys in enumerate(asked):
        for query, key in enumerate(keys):
            places.setdefault(key, []).append((number, query))
    answers: dict[tuple[int, int], str | None] = {}
    runs = set()
    for row in sorted(rows, key=lambda row: -float(row.get("t_s") or 0.0)):
        key = _key(row)
        if places.get(key):
            runs.add(str(row.get("run")))
            answers[places[key].pop(0)] = row.get("prediction")
    if len(runs) != 1:
        found = ", ".join(sorted(runs)) or "none that is about its questions"
        raise UserError(f"{folder}: expected the rows of one run, got {found}")
    log = {
        "args": {"model": runs.pop(), "model_args": "", "limit": None},
        "model_configs": {"task": task},
        "time": time.strftime("%m%d_%H%M"),
        "logs": [
            {"doc_id": number, "resps": [[_response(keys, [answers.get((number, i)) for i in range(len(keys))])]]}
            for number, keys in enumerate(asked)
        ],
    }
    return log, len(asked) - len({number for number, _ in answers})


def _key(row: Row) -> Key:
    kind = str(row.get("kind"))
    t_s = float(row.get("t_s") or 0.0) if kind == STREAMING else None
    return kind, str(row.get("clip")), str(row.get("question")), tuple(row.get("options") or ()), t_s


def _response(keys: list[Key], answers: list[str | None]) -> str:
    """One answer as it is, and several as a JSON list, in the order of the queries; "" where there is none."""
    if not any(answers):
        return ""
    if keys[0][0] != STREAMING:
        return str(answers[0])
    return json.dumps([_number(answer) for answer in answers])


def _number(answer: str | None) -> int | str | None:
    """A count as a number; what is none stays as it is, and lmms-eval gives nothing for it."""
    return int(answer) if answer is not None and answer.strip().isdecimal() else answer


def _asked(folder: Path, task: str, minutes: float | None, layout: str) -> list[list[Key]]:
    """What each question of a task is found by: one key each, or one a query of a streaming count."""
    if layout == "vsi-bench":
        asked: list[list[Key]] = []
        for _, row in vsi_bench.read_rows(folder):
            question = vsi_bench.question(row, 0.0)
            clip = vsi_bench.video_path(row).removesuffix(".mp4")
            asked.append([(question.kind, clip, question.text, question.options, None)])
        return asked
    if layout != "vsi-super":
        raise UserError(f"{folder}: expected VSI-Bench or VSI-SUPER, got {layout}")
    lengths = vsi_super.lengths(folder)
    if minutes not in lengths:
        raise UserError(f"--minutes: expected one of {', '.join(f'{m:g}' for m in lengths)}, got {minutes}")
    rows = read_table(vsi_super.table_of(folder, minutes))
    # lmms-eval numbers the rows of a task's split alone.
    return [_keys(row) for row in rows if _is_streaming(row) == ("streaming" in task)]


def _is_streaming(row: Row) -> bool:
    return str(row.get("split")).endswith("_streaming")


def _keys(row: Row) -> list[Key]:
    """Of a row of VSI-SUPER."""
    clip, text = str(row["video_path"]).removesuffix(".mp4"), str(row["question"]).strip()
    options = tuple(map(str, row.get("options") or ()))
    if options:
        return [("vsr", clip, text, options, None)]
    text = FRAMES_OF_A_VIDEO + text.removeprefix(FRAMES_OF_A_VIDEO)
    if not _is_streaming(row):
        return [("vsc", clip, text, (), None)]
    return [(STREAMING, clip, text, (), float(t_s)) for t_s in row.get("query_times") or ()]
