"""VSI-Bench, from a folder laid out as its Hugging Face download is.

    test.jsonl, or test*.parquet     a row for each question
    scannet/scene0011_00.mp4         its video: {dataset}/{scene_name}.mp4; or all of a dataset in scannet.zip

Rows have `id`, `dataset`, `scene_name`, `question_type`, `question`, `options` and `ground_truth`. Source: arXiv
2412.14171.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from ssm_sense.data.archive import is_inside, unpack
from ssm_sense.data.clip import FRAMES_OF_A_VIDEO, Clip, LostFrames, Question
from ssm_sense.data.rows import Row, read_table, text_of
from ssm_sense.data.video import VideoFile
from ssm_sense.data.world.truth import events_beside
from ssm_sense.errors import UserError

CHOICES = (
    "object_rel_direction_easy",
    "object_rel_direction_medium",
    "object_rel_direction_hard",
    "object_rel_distance",
    "route_planning",
    "obj_appearance_order",
)
"""Question types that are answered by an option's letter."""
NUMBERS = ("object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation")
_OF_VSI_SUPER = re.compile(r"test_[\d.]+mins\.parquet$")


def tables(folder: Path) -> list[Path]:
    """The files that hold its rows; test_10mins.parquet and its like are VSI-SUPER's."""
    parquets = [*folder.glob("test*.parquet"), *folder.glob("data/test*.parquet")]
    return sorted([*folder.glob("test.jsonl"), *(path for path in parquets if not _OF_VSI_SUPER.match(path.name))])


def read_rows(folder: Path) -> list[tuple[str, Row]]:
    """Every row, with the words that name it in errors. Raises UserError, naming file and row, for a wrong one."""
    found = tables(folder)
    if not found:
        raise UserError(f"{folder}: expected test.jsonl or test.parquet, found neither")
    table = found[0]  # Further ones hold subsets of the same rows.
    out: list[tuple[str, Row]] = []
    for i, row in enumerate(read_table(table)):
        where = f"{table}, row {i}"
        try:
            question(row, 0.0)
            if not is_inside(video_path(row)):
                raise ValueError(f"expected a video inside the folder, got {video_path(row)!r}")
        except (ValueError, TypeError) as error:
            raise UserError(f"{where}: {error}") from error
        out.append((where, row))
    return out


def read(
    folder: Path,
    fps: float = 1.0,
    size: tuple[int, int] | None = None,
    types: tuple[str, ...] | None = None,
    keep_going: bool = False,
) -> list[Clip]:
    """A clip for each video, with all that is asked of it at its end, in the order of the rows.

    fps, size: as for `VideoFile`. types: of question, all if None. keep_going: yield what cannot be opened too, as
    clips that raise when they are watched. Videos that are missing are unpacked first.
    Raises UserError, naming file and row, for anything missing or damaged; with `keep_going` for a row that is wrong by
    itself, and where there is no video at all.
    """
    about: dict[str, list[tuple[str, Row]]] = {}
    for where, row in read_rows(folder):
        if not types or row["question_type"] in types:
            about.setdefault(video_path(row), []).append((where, row))
    clips, lost = [], []
    for path, named in about.items():
        where, first = named[0]
        archive = folder / f"{first['dataset']}.zip"
        if not (folder / path).is_file() and archive.is_file():
            unpack(archive, folder / first["dataset"])
        frames: VideoFile | LostFrames
        try:
            frames = video = VideoFile(folder / path, fps, size)
            duration_s, events = video.duration_s, events_beside(video.path)
        except UserError as error:
            lost.append(UserError(f"{where}: {error}"))
            if not keep_going:
                raise lost[0] from error
            frames, duration_s, events = LostFrames(lost[-1]), 0.0, None
        asked = tuple(question(row, duration_s) for _, row in named)
        clips.append(Clip(path.removesuffix(".mp4"), frames, fps, duration_s, asked, events))
    if lost and len(lost) == len(clips):
        raise lost[0]
    return clips


def video_path(row: Row) -> str:
    """Where a row's video lies, relative to the folder. Raises ValueError where it does not say."""
    return f"{text_of(row, 'dataset')}/{text_of(row, 'scene_name')}.mp4"


def question(row: Row, t_s: float) -> Question:
    """What a row asks; its kind is its question type. Raises ValueError for a row that does not fit together."""
    kind, text = text_of(row, "question_type"), FRAMES_OF_A_VIDEO + text_of(row, "question").strip()
    truth: Any = row.get("ground_truth")
    if kind in NUMBERS:
        try:
            number = float(truth)
        except (TypeError, ValueError):
            raise ValueError(f"expected a number in column 'ground_truth', got {truth!r}") from None
        if not 0 <= number < float("inf"):
            raise ValueError(f"expected a number of 0 or more in column 'ground_truth', got {truth!r}")
        return Question(text, str(truth), t_s, kind)
    if kind not in CHOICES:
        raise ValueError(f"expected a question_type of VSI-Bench, got {kind!r}")
    given = row.get("options")
    options = tuple(map(str, given)) if isinstance(given, list | tuple) else ()
    letters = [option.partition(".")[0] for option in options]
    if truth not in letters:
        raise ValueError(f"expected a ground_truth among {', '.join(letters) or 'options'}, got {truth!r}")
    return Question(text, truth, t_s, kind, options)


def row_of(asked: Question, number: int, video: str) -> str:
    """A line of such a table, question `number`, about the video at this path relative to the folder.

    Raises ValueError for a kind of question that is not VSI-Bench's.
    """
    path = PurePosixPath(video)
    row = {
        "id": number,
        "dataset": path.parent.as_posix(),
        "scene_name": path.stem,
        "question_type": asked.kind,
        "question": asked.text.removeprefix(FRAMES_OF_A_VIDEO),
        "options": list(asked.options) or None,
        "ground_truth": asked.answer,
    }
    question(row, asked.t_s)
    return json.dumps(row)
