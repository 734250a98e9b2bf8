"""What every dataset yields: frames, the questions asked of them, and the events they are known to hold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

Frame = tuple[np.ndarray, float]
"""One frame and its time in seconds since the start of the stream.

The frame is uint8 RGB of shape (H, W, 3), or what a vision tower made of it: latents float32 of shape (S, V).
"""

FRAMES_OF_A_VIDEO = "These are frames of a video.\n"
"""How VSI-Bench and VSI-SUPER begin every prompt."""
OPTION_INSTRUCTION = "Answer with the option's letter from the given choices directly."
WORD_INSTRUCTION = "Please answer the question using a single word or phrase."


@dataclass(frozen=True)
class Question:
    """A question asked of a stream at one moment.

    text: the question as its dataset words it.
    answer: the truth; the letter alone where there are options.
    t_s: the moment at which it is asked; only frames up to then may be used.
    kind: what is asked for, such as "vsr" (recall), "vsc" (count), or an easy kind of the rendered world.
    options: such as "A. Trash can, Bed, Chair, Basket"; empty for an open question.
    """

    text: str
    answer: str
    t_s: float
    kind: str
    options: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """The whole text that the language model reads, worded as in VSI-SUPER."""
        if self.options:
            return "\n".join((self.text, "Options:", *self.options, OPTION_INSTRUCTION))
        return f"{self.text}\n{WORD_INSTRUCTION}"


@dataclass(frozen=True)
class Event:
    """A true event boundary: at `t_s` seconds, what `label` names begins (a room entered, say)."""

    t_s: float
    label: str


@dataclass(frozen=True)
class Clip:
    """One stream to watch, with what is asked of it.

    name: unique within its dataset.
    frames: lazy, and fresh at every iteration: pictures or latents with their seconds, in order of time.
    fps: frames per second at which `frames` comes, not that of the file behind it.
    duration_s: length of the stream.
    events: the true boundaries; None where nobody knows them, which is not the same as none.
    """

    name: str
    frames: Iterable[Frame]
    fps: float
    duration_s: float
    questions: tuple[Question, ...] = ()
    events: tuple[Event, ...] | None = None


class LostFrames:
    """The frames of a video that cannot be watched: whoever asks for them is told why, by this error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __iter__(self) -> Iterator[Frame]:
        raise self.error
