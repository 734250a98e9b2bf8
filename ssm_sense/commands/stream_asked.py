"""What the command line of `ssm-sense stream` asks: questions, each with its times and options."""

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssm_sense.errors import UserError

if TYPE_CHECKING:
    from ssm_sense.data.clip import Question


@dataclass
class Asked:
    """A question from the command line, to be put at the times `at`, or at the end if there are none."""

    text: str
    at: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)


class Ask(argparse.Action):
    """--ask begins a question; --at and --options add to the last one. Raises UserError if there is none."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        asked: list[Asked] = getattr(namespace, self.dest)
        if option == "--ask":
            asked.append(Asked(values))
        elif not asked:
            raise UserError(f"{option}: expected after the --ask that it belongs to")
        elif option == "--at":
            asked[-1].at.append(values)
        else:
            asked[-1].options = values


def questions(asked: Sequence[Asked]) -> "list[tuple[float, Question]]":
    """Each question with the time at which it is due, infinity for the end. Raises UserError for bad ones."""
    from ssm_sense.data.clip import Question
    from ssm_sense.timeline import parse_clock

    due = []
    for one in asked:
        if not one.text.strip():
            raise UserError("--ask: expected a question, got nothing")
        lettered = [re.match(r"[A-Z]\. .", option) is not None for option in one.options]
        if any(lettered) and not all(lettered):
            raise UserError(f"--options: expected all with a letter, such as 'A. Bed', or none; got {one.options}")
        if len(one.options) > 26:
            raise UserError(f"--options: expected at most 26, got {len(one.options)}")
        options = one.options if all(lettered) else [f"{chr(65 + i)}. {o}" for i, o in enumerate(one.options)]
        times_s = [parse_clock(text) for text in one.at] or [math.inf]
        due += [(due_s, Question(one.text, "", due_s, "asked", tuple(options))) for due_s in times_s]
    return due
