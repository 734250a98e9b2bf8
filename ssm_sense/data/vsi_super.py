"""VSI-SUPER Recall and Count, from a folder laid out as their Hugging Face downloads are.

    test_10mins.parquet     a row for each question
    10mins/00000000.mp4     what the rows call `video_path`; or all of them in 10mins.zip

Rows have `video_path`, `question`, `answer`, and for Recall `options`, for Count `split`, `query_times`, `answers`.
`ssm-sense world render` writes the same layout, with each video's truth beside it. Source: arXiv 2511.04670.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssm_sense.data.archive import is_inside, unpack
from ssm_sense.data.clip import FRAMES_OF_A_VIDEO, Clip, LostFrames, Question
from ssm_sense.data.rows import Row, read_table
from ssm_sense.data.video import VideoFile
from ssm_sense.data.world.truth import events_beside
from ssm_sense.errors import UserError

LATE_S = 1.0
"""What is asked so soon after the end, or a frame after it, is asked at the end: lengths of videos are rounded."""


def lengths(folder: Path) -> list[float]:
    """The lengths of video, in minutes, for which a folder has questions."""
    names = [path.name.removeprefix("test_").removesuffix("mins.parquet") for path in folder.glob("test_*mins.parquet")]
    return sorted(float(name) for name in names if name.replace(".", "", 1).isdigit())


def table_of(folder: Path, minutes: float) -> Path:
    """The file of questions about videos of one length."""
    return folder / f"test_{minutes:g}mins.parquet"


def read(
    folder: Path, minutes: float, fps: float = 1.0, size: tuple[int, int] | None = None, keep_going: bool = False
) -> list[Clip]:
    """The clips of one length, each with all the questions about its video, in the order of the rows.

    Questions are of kind "vsr" or "vsc", asked at the end, or "vsc-streaming", asked on the way as well.
    fps, size: as for `VideoFile`. keep_going: yield what cannot be opened too, or is asked about well after its end, as
    clips that raise when they are watched; of the length that the table states.
    Every video is opened here, but decoded only when its frames are asked for. Videos that are missing are unpacked
    from their archive first.

    Raises UserError, naming file and row, for anything missing or damaged; with `keep_going` for a row that is wrong by
    itself, and where there is no video at all.
    """
    name, table = f"{minutes:g}mins", table_of(folder, minutes)
    rows = _rows(table)
    if any(not (folder / row["video_path"]).is_file() for row in rows) and (folder / f"{name}.zip").is_file():
        unpack(folder / f"{name}.zip", folder / name)
    about: dict[str, list[tuple[str, Row]]] = {}
    for i, row in enumerate(rows):
        about.setdefault(row["video_path"], []).append((f"{table}, row {i}", row))
    nominal_s = 60.0 * minutes
    stated = {path: _asked(named, nominal_s) for path, named in about.items()}
    clips, lost = [], []
    for path, named in about.items():
        try:
            clips.append(_clip(folder, path, named, fps, size))
        except UserError as error:
            if not keep_going:
                raise
            lost.append(error)
            clips.append(Clip(path.removesuffix(".mp4"), LostFrames(error), fps, nominal_s, stated[path]))
    if len(lost) == len(clips):
        raise lost[0]
    return clips


def _clip(folder: Path, path: str, named: list[tuple[str, Row]], fps: float, size: tuple[int, int] | None) -> Clip:
    """The clip of a video that the rows are about, each with the words that name it in errors."""
    try:
        video = VideoFile(folder / path, fps, size)
        events = events_beside(video.path)
    except UserError as error:
        raise UserError(f"{named[0][0]}: {error}") from error
    questions = _asked(named, video.duration_s, video.duration_s, max(LATE_S, 1 / fps))
    return Clip(path.removesuffix(".mp4"), video, fps, video.duration_s, questions, events)


def _asked(
    named: list[tuple[str, Row]], duration_s: float, end_s: float = math.inf, late_s: float = 0.0
) -> tuple[Question, ...]:
    """What rows ask about one video, at `end_s` what they ask up to `late_s` seconds after it.

    Raises UserError, naming the row, for a wrong one, such as one that asks later still.
    """
    questions: list[Question] = []
    for where, row in named:
        try:
            asked = _questions(row, duration_s)
            late = [question.t_s for question in asked if not 0 <= question.t_s <= end_s + late_s]
            if late:
                raise ValueError(f"expected query_times within the {end_s:g} s of the video, got {late}")
            questions += [replace(question, t_s=min(question.t_s, end_s)) for question in asked]
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{where}: {error}") from error
    return tuple(questions)


def _rows(table: Path) -> list[Row]:
    """The rows of a table, each known to name a video inside its folder and to ask something."""
    if not table.is_file():
        has = ", ".join(f"{m:g}" for m in lengths(table.parent)) or "none"
        raise UserError(f"{table}: no such file (its folder has lengths, in minutes: {has})")
    rows: list[Row] = [*read_table(table)]
    for i, row in enumerate(rows):
        for column in ("video_path", "question"):
            if not isinstance(row.get(column), str) or not row[column].strip():
                raise UserError(f"{table}, row {i}: expected a text in column {column!r}, got {row.get(column)!r}")
        if not is_inside(row["video_path"]):
            raise UserError(f"{table}, row {i}: expected a video inside the folder, got {row['video_path']!r}")
    return rows


def _questions(row: Row, duration_s: float) -> list[Question]:
    """What one row asks. Raises ValueError for a row that does not fit together."""
    text = row["question"].strip()
    if row.get("options"):
        options = tuple(str(option) for option in row["options"])
        letters = [option.partition(".")[0] for option in options]
        if row.get("answer") not in letters:
            raise ValueError(f"expected an answer among {', '.join(letters)}, got {row.get('answer')!r}")
        return [Question(text, row["answer"], duration_s, "vsr", options)]
    # The rows of Recall bring it along, those of Count do not.
    text = FRAMES_OF_A_VIDEO + text.removeprefix(FRAMES_OF_A_VIDEO)
    if not str(row.get("split")).endswith("_streaming"):
        return [Question(text, _number(row.get("answer")), duration_s, "vsc")]
    times, answers = row.get("query_times") or [], row.get("answers") or []
    if not times or len(times) != len(answers):
        raise ValueError(f"expected as many answers as query_times, got {len(answers)} and {len(times)}")
    return [
        Question(text, _number(answer), float(t_s), "vsc-streaming") for t_s, answer in zip(times, answers, strict=True)
    ]


def _number(answer: Any) -> str:
    """An answer to a counting question, such as "12". Raises ValueError for anything else."""
    number = float(answer) if isinstance(answer, int | float | str) else -1.0
    if number < 0 or not number.is_integer():
        raise ValueError(f"expected a whole number for an answer, got {answer!r}")
    return str(int(number))
