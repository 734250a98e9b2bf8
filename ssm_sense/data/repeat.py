"""A film shown again and again, with nothing new to count in it (VSC-Repeat, arXiv 2511.16655)."""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from ssm_sense.data.clip import Clip, Frame

_EPSILON_S = 1e-6
_ON_THE_WAY = "vsc-streaming"


class Showings:
    """The same frames so many times, each time begun `period_s` later; what lies beyond that is left out.

    frames: a clip's, begun anew for each showing.
    """

    def __init__(self, frames: Iterable[Frame], times: int, period_s: float) -> None:
        self.frames, self.times, self.period_s = frames, times, period_s

    def __iter__(self) -> Iterator[Frame]:
        for showing in range(self.times):
            for frame, t_s in self.frames:
                if t_s > self.period_s - _EPSILON_S:
                    break
                yield frame, t_s + showing * self.period_s


def repeated(clip: Clip, again: Collection[int]) -> Clip:
    """A clip that is shown again max(again) times, with its events; truths stay as they are.

    again: after how many more showings what is asked at the clip's end is asked; 0 is at the end of the first. What is
    asked on the way, and every streaming count, is asked in the first showing. A showing begins with the first frame
    that is due after the end of the one before, so that what is asked there has not seen it.

    Raises ValueError for no number, or one below 0.
    """
    if not again or min(again) < 0:
        raise ValueError(f"expected numbers of at least 0, got {list(again)}")
    period_s = (math.floor(clip.duration_s * clip.fps + _EPSILON_S) + 1) / clip.fps
    starts_s = [showing * period_s for showing in range(max(again) + 1)]
    last = [q.kind != _ON_THE_WAY and q.t_s >= clip.duration_s - _EPSILON_S for q in clip.questions]
    before = [question for question, is_last in zip(clip.questions, last, strict=True) if not is_last]
    at_end = [question for question, is_last in zip(clip.questions, last, strict=True) if is_last]
    asked = [replace(one, t_s=one.t_s + starts_s[showing]) for showing in sorted(set(again)) for one in at_end]
    events = clip.events and tuple(replace(one, t_s=one.t_s + start_s) for start_s in starts_s for one in clip.events)
    return replace(
        clip,
        frames=Showings(clip.frames, len(starts_s), period_s),
        duration_s=clip.duration_s + starts_s[-1],
        questions=(*before, *asked),
        events=events,
    )
