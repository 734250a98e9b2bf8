"""Answers of a run as lmms-eval's model `from_log` reads them, so that its tasks score what was answered here.

lmms-eval knows a question by its place in its task's table; ours are found there by video, text and options. Source of
the format: lmms-eval 0.7.3, `models/simple/from_log.py`.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ssm_sense.data import vsi_bench, vsi_super
from ssm_sense.data.datasets import layout_of
from ssm_sense.data.rows import Row, read_table
from ssm_sense.errors import UserError

Key = tuple[str, str, tuple[str, ...]]


def lmms_log(
    rows: Iterable[Row], folder: Path, task: str, minutes: float | None = None, layout: str | None = None
) -> tuple[dict[str, Any], int]:
    """The log of one run, and how many of the table's questions it leaves without an answer, which are logged as empty.

    rows: of rows.jsonl, of one run. folder: VSI-Bench or VSI-SUPER. task: what lmms-eval calls the task of that table.
    minutes: of VSI-SUPER, which table. layout: which of the two, where the folder has the tables of several.

    Raises UserError for a folder that is neither, rows of several runs, and rows that are about none of its questions.
    """
    places = _places(folder, minutes, layout or layout_of(folder))
    total = sum(map(len, places.values()))
    answers: dict[int, str] = {}
    runs = set()
    for row in rows:
        key = (str(row.get("clip")), str(row.get("question")), tuple(row.get("options") or ()))
        if places.get(key):
            runs.add(str(row.get("run")))
            answers[places[key].pop(0)] = row.get("prediction") or ""
    if len(runs) != 1:
        found = ", ".join(sorted(runs)) or "none that is about its questions"
        raise UserError(f"{folder}: expected the rows of one run, got {found}")
    log = {
        "args": {"model": runs.pop(), "model_args": "", "limit": None},
        "model_configs": {"task": task},
        "time": time.strftime("%m%d_%H%M"),
        "logs": [{"doc_id": place, "resps": [[answers.get(place, "")]]} for place in range(total)],
    }
    return log, total - len(answers)


def _places(folder: Path, minutes: float | None, layout: str) -> dict[Key, list[int]]:
    """Where each question stands in the table; one that is asked twice stands in two places."""
    found: dict[Key, list[int]] = {}
    if layout == "vsi-bench":
        for i, (_, row) in enumerate(vsi_bench.read_rows(folder)):
            asked = vsi_bench.question(row, 0.0)
            clip = vsi_bench.video_path(row).removesuffix(".mp4")
            found.setdefault((clip, asked.text, asked.options), []).append(i)
        return found
    if layout != "vsi-super":
        raise UserError(f"{folder}: expected VSI-Bench or VSI-SUPER, got {layout}")
    lengths = vsi_super.lengths(folder)
    if minutes not in lengths:
        raise UserError(f"--minutes: expected one of {', '.join(f'{m:g}' for m in lengths)}, got {minutes}")
    for i, row in enumerate(read_table(folder / f"test_{minutes:g}mins.parquet")):
        options = tuple(map(str, row.get("options") or ()))
        text = str(row["question"]).strip()
        if not options:
            text = vsi_super.FRAMES_OF_A_VIDEO + text.removeprefix(vsi_super.FRAMES_OF_A_VIDEO)
        found.setdefault((str(row["video_path"]).removesuffix(".mp4"), text, options), []).append(i)
    return found
