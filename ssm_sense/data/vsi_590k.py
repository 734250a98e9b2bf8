"""VSI-590K, from a folder laid out as its Hugging Face download is.

    vsi_590k.jsonl                   a row for each question
    scannet/…/scene0000_00.mp4       what the rows call `video`, or `image`; or all of a source in scannet.tar.gz

Rows have `conversations` (a question from "human", an answer from "gpt"), `question_type`, and `video` or `image`.
Source: arXiv 2511.04670.

The frames of its s3dis videos are out of order (reported to its authors), which makes them useless to whoever watches
a stream: they are left out unless asked for.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ssm_sense.data.archive import is_inside, unpack_missing
from ssm_sense.data.clip import Clip, Frame, LostFrames, Question
from ssm_sense.data.picture import read_picture
from ssm_sense.data.rows import Row, parse_line, read_jsonl, text_of
from ssm_sense.data.video import VideoFile
from ssm_sense.data.world.truth import events_beside
from ssm_sense.errors import UserError

TABLE = "vsi_590k.jsonl"
SHUFFLED = ("s3dis",)
"""Sources whose videos do not show their frames in order."""
MEDIA_TAGS = ("<image>", "<video>")
_OPTION = re.compile(r"^\(?([A-Z])[.):]\s*\S")
_INSTRUCTIONS = re.compile(r"^(Options:|Answer with the option|Please answer the question)")


class VSI590K:
    """The clips of VSI-590K, one for each video and image, made as they are asked for.

    folder: where vsi_590k.jsonl and the media are. fps, size: as for `VideoFile`. types: of question, all if None.
    sources: such as "scannet", all if None. images: whether to yield them, as streams of one frame. keep_shuffled:
    yield videos of which the order of frames is known to be wrong. keep_going: yield what cannot be opened too, as
    clips that raise when they are watched.

    Reading takes one pass over the table, which keeps an offset a row, and unpacks what is asked for and missing; media
    are opened when their clip is reached.
    Raises UserError, naming file and row, for a row that is wrong, and when its turn comes for a medium that is not
    there; and naming the archive for one that cannot be unpacked.
    """

    def __init__(
        self,
        folder: Path,
        fps: float = 1.0,
        size: tuple[int, int] | None = None,
        types: tuple[str, ...] | None = None,
        sources: tuple[str, ...] | None = None,
        images: bool = True,
        keep_shuffled: bool = False,
        keep_going: bool = False,
    ) -> None:
        self.folder, self.fps, self.size, self.keep_going = folder, fps, size, keep_going
        self.table = folder / TABLE
        self.types: Counter[str] = Counter()
        """How many questions of each type there are among those that are yielded."""
        self.left_out = 0
        """How many questions were left out because their video's frames are out of order."""
        found: dict[str, list[tuple[int, int]]] = {}
        for number, (offset, row) in enumerate(read_jsonl(self.table)):
            medium = self._checked(number, row)
            source = medium.partition("/")[0]
            if (types and row["question_type"] not in types) or (sources and source not in sources):
                continue
            if not images and not _is_video(row):
                continue
            if _is_video(row) and source in SHUFFLED and not keep_shuffled:
                self.left_out += 1
                continue
            self.types[row["question_type"]] += 1
            found.setdefault(medium, []).append((number, offset))
        if not found and not self.left_out:
            raise UserError(f"{self.table}: expected questions, found no row that was asked for")
        unpack_missing(folder, found)
        self._media = list(found.items())

    def __len__(self) -> int:
        return len(self._media)

    def __iter__(self) -> Iterator[Clip]:
        return (self.clip(i) for i in range(len(self)))

    def clip(self, place: int) -> Clip:
        """The clip of the video or image at this place, in the order in which the rows first name them."""
        medium, places = self._media[place]
        rows = []
        with self.table.open("rb") as file:
            for number, offset in places:
                file.seek(offset)
                rows.append(parse_line(self.table, number, file.readline()))
        try:
            return self._clip(medium, rows)
        except UserError as error:
            named = UserError(f"{self.table}, row {places[0][0]}: {error}")
            if not self.keep_going:
                raise named from error
            asked = tuple(question(row, 0.0) for row in rows)
            return Clip(str(Path(medium).with_suffix("")), LostFrames(named), self.fps, 0.0, asked)

    def _checked(self, number: int, row: Row) -> str:
        """The medium of a row, which is sound."""
        try:
            conversation(row)
            text_of(row, "question_type")
            medium = medium_of(row)
            if not is_inside(medium):
                raise ValueError(f"expected a file inside the folder, got {medium!r}")
            return medium
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.table}, row {number}: {error}") from error

    def _clip(self, medium: str, rows: list[dict[str, Any]]) -> Clip:
        path = self.folder / medium
        frames: Iterable[Frame]
        if _is_video(rows[0]):
            video = VideoFile(path, self.fps, self.size)
            frames, duration_s, events = video, video.duration_s, events_beside(path)
        else:
            frames, duration_s, events = _Still(path), 0.0, None
        asked = (question(row, _asked_s(row, duration_s)) for row in rows)
        return Clip(str(Path(medium).with_suffix("")), frames, self.fps, duration_s, tuple(asked), events)


def _asked_s(row: Row, duration_s: float) -> float:
    """When a question is asked: at the end, unless a row of a rendered set says otherwise in the column `t_s`."""
    t_s = row.get("t_s", duration_s)
    if not isinstance(t_s, int | float) or not 0 <= t_s <= duration_s:
        raise UserError(f"expected column 't_s' within the {duration_s:g} s of the video, got {t_s!r}")
    return float(t_s)


class _Still:
    """A picture as a stream of one frame."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UserError(f"{path}: no such file")

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        yield read_picture(self.path), 0.0


def _is_video(row: Row) -> bool:
    """Whether a row's medium is a video; tables with both columns leave one of them empty."""
    return row.get("video") is not None


def medium_of(row: Row) -> str:
    """The path of a row's video or image, relative to the folder. Raises ValueError unless it has just one."""
    found = [name for name in ("video", "image") if row.get(name) is not None]
    if len(found) != 1:
        raise ValueError(f"expected a column 'video' or 'image', got {', '.join(found) or 'neither'}")
    return text_of(row, found[0])


def conversation(row: Row) -> tuple[str, str]:
    """What a row asks and answers. Raises ValueError where it is no question with its answer."""
    turns = row.get("conversations")
    if not isinstance(turns, list) or len(turns) < 2 or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError(f"expected a question and an answer in column 'conversations', got {turns!r:.200}")
    if [turn.get("from") for turn in turns[:2]] != ["human", "gpt"]:
        raise ValueError("expected turns from 'human' and 'gpt' in column 'conversations'")
    return text_of(turns[0], "value"), text_of(turns[1], "value")


def question(row: Row, t_s: float) -> Question:
    """What a row asks, without the tag that stands for its frames; its kind is its question type."""
    asked, answer = conversation(row)
    for tag in MEDIA_TAGS:
        asked = asked.replace(tag, "")
    lines = [line.strip() for line in asked.strip().splitlines()]
    options = tuple(line for line in lines if _OPTION.match(line))
    letters = [_OPTION.match(option) for option in options]
    stated = [match[1] for match in letters if match]
    # Fewer than two such lines, or letters out of order, are sentences of the question itself.
    if len(options) < 2 or stated != [chr(ord("A") + i) for i in range(len(stated))]:
        options = ()
    kept = [line for line in lines if line and line not in options and not _INSTRUCTIONS.match(line)]
    letter = _OPTION.match(f"{answer.strip()} .") if len(answer.strip()) > 1 else None
    if options:
        answer = letter[1] if letter else answer.strip().rstrip(".")
    return Question("\n".join(kept), answer.strip(), t_s, text_of(row, "question_type"), options)


def row_of(asked: Question, medium: str) -> str:
    """A line of such a table: what is asked of a video, as its prompt would ask it."""
    turns = [{"from": "human", "value": f"<image>\n{asked.prompt}"}, {"from": "gpt", "value": asked.answer}]
    return json.dumps({"conversations": turns, "question_type": asked.kind, "video": medium})
