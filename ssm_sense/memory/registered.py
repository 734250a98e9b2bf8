"""Questions that stand while a stream runs: a running answer, and the sum of what was answered event by event.

Counting has two readings. *From the episode*: the question is put to the whole memory. *Per event*: it is put to each
event by itself when that ends, and the numbers are added, as Cambrian-S does (arXiv 2511.04670, §5). Only the first can
know a thing that it has counted before. Where a memory tells places apart, a stay in one takes an event's place.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ssm_sense.memory.policy import Answer
from ssm_sense.state import State

_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w]|\.\d)")


@runtime_checkable
class ReadsEvents(Protocol):
    """A memory that can answer from the event in progress alone, in any of its states."""

    state: State

    def read_event(self, state: State, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer as if the event in progress in ``state`` were all that was ever seen. Nothing changes."""


class Readings(NamedTuple):
    """Both readings of a registered question at one moment, the event in progress included in either."""

    episode: Answer
    per_event: int | None
    """Sum over events; None for a memory that cannot read an event by itself."""
    events: int
    """Events in that sum."""
    unread: int
    """Events whose answer held no number; they add nothing."""


class Running(NamedTuple):
    """A registered question and what stands so far; of constant size, however long the stream."""

    prompt: str
    options: tuple[str, ...] = ()
    latest: Answer | None = None
    """From the whole memory, at the last boundary; None before the first."""
    at_s: float = -float("inf")
    """When that was."""
    total: int = 0
    """Sum over the events that have ended."""
    events: int = 0
    unread: int = 0

    def ended(self, answer: Answer) -> "Running":
        """One event more, with what was answered from it alone."""
        number = whole_number(answer.text)
        unread = self.unread + (number is None)
        return self._replace(total=self.total + (number or 0), events=self.events + 1, unread=unread)

    def plain(self) -> dict[str, Any]:
        """JSON values, for `from_plain`."""
        return self._asdict()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Running":
        """What `plain` gave. Raises ValueError for anything else."""
        try:
            latest = plain["latest"]
            answer = None if latest is None else Answer(str(latest[0]), tuple(float(x) for x in latest[1]))
            counts = (int(plain["total"]), int(plain["events"]), int(plain["unread"]))
            options = tuple(str(option) for option in plain["options"])
            return cls(str(plain["prompt"]), options, answer, float(plain["at_s"]), *counts)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"expected a registered question, got {plain!r:.80}") from error


def whole_number(text: str) -> int | None:
    """The first whole number in digits; None if there is none."""
    match = _NUMBER.search(text)
    return None if match is None else int(match[0])
