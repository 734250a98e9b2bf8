"""A question put to one stream of a batch at one frame, with the answer to learn."""

from typing import NamedTuple


class Query(NamedTuple):
    """Asked right after ``frame`` (0-based) of stream ``stream`` was seen."""

    stream: int
    frame: int
    prompt: str
    answer: str
