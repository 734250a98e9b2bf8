"""Logs of VSI-SUPER for lmms-eval, whose tasks number the rows of their own split alone."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssm_sense.data.lmms_log import lmms_log
from ssm_sense.errors import UserError

TEXT = "How many different chair(s) are there in the video?"
PROMPT = f"These are frames of a video.\n{TEXT}"
VIDEOS = ("10mins/00000000.mp4", "10mins/00000001.mp4")


@pytest.fixture
def count(tmp_path: Path) -> Path:
    """Of each of two videos a count at the end, 30, and three on the way, in the order of VSI-SUPER-Count."""
    both = [{"video_path": video, "question": TEXT, "answer": "30"} for video in VIDEOS]
    rows: list[dict[str, Any]] = []
    for row in both:
        rows.append(row | {"split": "10mins_streaming", "query_times": [60, 120, 600], "answers": [3, 8, 30]})
        rows.append(row | {"split": "10mins", "query_times": [], "answers": []})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test_10mins.parquet")
    return tmp_path


def answered(prediction: str | None, t_s: float, kind: str = "vsc-streaming", video: str = VIDEOS[0]) -> dict[str, Any]:
    """A row of rows.jsonl."""
    asked = {"kind": kind, "clip": video.removesuffix(".mp4"), "question": PROMPT, "options": [], "t_s": t_s}
    return {"run": "ours", **asked, "prediction": prediction}


def responses(log: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["doc_id"], one["resps"][0][0]) for one in log["logs"]]


ROWS = [answered("3", 60.0), answered("7", 120.0), answered("29", 600.0), answered("30", 600.0, "vsc")]


def test_a_count_at_the_end_is_not_one_from_the_way_there(count: Path) -> None:
    log, unanswered = lmms_log(ROWS, count, "vsisuper_count_10mins", 10)
    assert responses(log) == [(0, "30"), (1, "")]
    assert unanswered == 1


def test_streaming_answers_are_a_list_in_the_order_of_the_queries(count: Path) -> None:
    rows = [*ROWS, answered("about 2", 60.0, video=VIDEOS[1]), answered(None, 120.0, video=VIDEOS[1])]
    log, unanswered = lmms_log(reversed(rows), count, "vsisuper_count_streaming_10mins", 10)
    assert [(place, json.loads(text)) for place, text in responses(log)] == [
        (0, [3, 7, 29]),
        (1, ["about 2", None, None]),
    ]
    assert unanswered == 0
    assert lmms_log(ROWS, count, "vsisuper_count_streaming_10mins", 10)[1] == 1


def test_of_what_was_asked_more_than_once_the_latest_counts(count: Path) -> None:
    asked = [answered(text, t_s, "vsc") for text, t_s in (("4", 60.0), ("30", 600.0), ("9", 120.0))]
    assert responses(lmms_log(asked, count, "vsisuper_count_10mins", 10)[0])[0] == (0, "30")


def test_rows_of_another_kind_answer_nothing(count: Path) -> None:
    with pytest.raises(UserError, match="got none that is about its questions"):
        lmms_log(ROWS[:3], count, "vsisuper_count_10mins", 10)
    with pytest.raises(UserError, match="--minutes: expected one of 10, got 30"):
        lmms_log(ROWS, count, "vsisuper_count_10mins", 30)
