"""Tables of conversations about pictures and videos, a JSON object a line, in the form that LLaVA gave them.

    {"image": "coco/1.jpg", "conversations": [{"from": "human", "value": "<image>\\nWhat is this?"},
                                              {"from": "gpt", "value": "A bed."}]}

``image`` or ``video`` names a file below the folder of media. Of a rendered set's rows, `t_s` says at which second of
the video they are asked, and of VSI-590K's, ``question_type`` says what they ask for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ssm_sense.data.archive import is_inside
from ssm_sense.data.rows import Row, parse_line, read_jsonl, text_of
from ssm_sense.data.vsi_590k import SHUFFLED
from ssm_sense.errors import UserError

TAGS = ("<image>", "<video>")
UNTYPED = "instruction"
"""Kind of a row that has no question type."""


class Turn(NamedTuple):
    """What was said in one exchange, and of what kind the row is."""

    prompt: str
    answer: str
    kind: str


@dataclass(frozen=True)
class Medium:
    """A picture or a video, and the places of the rows about it: table, row number and offset."""

    path: str
    is_video: bool
    rows: tuple[tuple[int, int, int], ...]


class Conversations:
    """The rows of some tables by the medium that they are about, held as offsets into the files.

    Args:
        tables: JSON lines.
        types: question types to take; None takes all rows.

    Raises:
        UserError: naming table and row, for one that is no conversation; or where no row is left.
    """

    def __init__(self, tables: Sequence[Path], types: Sequence[str] | None = None) -> None:
        self.tables = list(tables)
        self.without_medium = 0
        """Rows about text alone, which a model of streams has no use for; they are left out."""
        self.left_out = 0
        """Rows about videos that do not show their frames in order, which teach nothing about streams."""
        found: dict[tuple[str, bool], list[tuple[int, int, int]]] = {}
        for i, table in enumerate(self.tables):
            for number, (offset, row) in enumerate(read_jsonl(table)):
                try:
                    turns = turns_of(row)
                    medium = medium_of(row)
                except ValueError as error:
                    raise UserError(f"{table}, row {number}: {error}") from error
                if medium is None:
                    self.without_medium += 1
                elif medium[1] and not set(SHUFFLED).isdisjoint(Path(medium[0]).parts):
                    self.left_out += 1
                elif types is None or turns[0].kind in types:
                    found.setdefault(medium, []).append((i, number, offset))
        if not found:
            names = ", ".join(str(table) for table in self.tables) or "no table"
            raise UserError(f"{names}: expected rows about pictures or videos, found none that was asked for")
        media = [Medium(path, is_video, tuple(rows)) for (path, is_video), rows in found.items()]
        self.pictures = [medium for medium in media if not medium.is_video]
        self.videos = [medium for medium in media if medium.is_video]

    def read(self, place: tuple[int, int, int]) -> tuple[list[Turn], float | None]:
        """The turns of a row, and the second at which it is asked; None is the end."""
        table, number, offset = self.tables[place[0]], *place[1:]
        with table.open("rb") as file:
            file.seek(offset)
            row = parse_line(table, number, file.readline())
        t_s = row.get("t_s")
        if t_s is not None and not (isinstance(t_s, int | float) and t_s >= 0):
            raise UserError(f"{table}, row {number}: expected seconds in column 't_s', got {t_s!r}")
        return turns_of(row), t_s


def turns_of(row: Row) -> list[Turn]:
    """Each question of a row with its answer, without the tags that stand for what is seen.

    Raises ValueError where turns of "human" and "gpt" do not alternate, or one says nothing.
    """
    turns = row.get("conversations")
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError(f"expected turns in column 'conversations', got {turns!r:.200}")
    speakers = [turn.get("from") for turn in turns]
    if len(turns) % 2 or speakers != ["human", "gpt"] * (len(turns) // 2):
        raise ValueError(f"expected 'human' and 'gpt' to alternate in column 'conversations', got {speakers!r:.200}")
    kind = str(row.get("question_type") or UNTYPED)
    said = [text_of(turn, "value") for turn in turns]
    for tag in TAGS:
        said[::2] = [asked.replace(tag, "") for asked in said[::2]]
    if not all(asked.strip() for asked in said[::2]):
        raise ValueError("expected a question beside the tag in column 'conversations'")
    return [Turn(q.strip(), a.strip(), kind) for q, a in zip(said[::2], said[1::2], strict=True)]


def medium_of(row: Row) -> tuple[str, bool] | None:
    """The file that a row is about, and whether it is a video; None where it is about none."""
    named = [name for name in ("image", "video") if row.get(name) is not None]
    if not named:
        return None
    if len(named) > 1:
        raise ValueError("expected a column 'image' or 'video', got both")
    path = text_of(row, named[0])
    if not is_inside(path):
        raise ValueError(f"expected a file inside the folder of media, got {path!r}")
    return path, named[0] == "video"
