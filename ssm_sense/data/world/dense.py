"""What is true at every frame of a stream, as numbers that a linear reader can be taught.

A question in words teaches one answer at a time. Beside it stand here the easy and the hard questions of the mixture,
all of them at once: what is in view, what was seen in this room and so far, how many, which room came before, where the
needles were. They are answered in classes, and unknown where the mixture would not ask.
"""

from typing import NamedTuple

import numpy as np

from ssm_sense.data.world.names import CATEGORIES, COUNTABLE, NEEDLES, ROOM_KINDS
from ssm_sense.data.world.truth import Truth

MOST = 31
"""The highest number told apart; what is more counts as that."""
UNKNOWN = -1


class Group(NamedTuple):
    """Questions of one kind: how many, how many answers each has, and what their mean loss weighs."""

    name: str
    questions: int
    answers: int
    weight: float


GROUPS = (
    Group("room_now", 1, len(ROOM_KINDS), 1.0),
    Group("room_before", 1, len(ROOM_KINDS), 1.0),
    Group("rooms_so_far", 1, MOST + 1, 1.0),
    Group("visible", len(CATEGORIES), 2, 4.0),
    Group("seen_here", len(CATEGORIES), 2, 4.0),
    Group("seen_so_far", len(CATEGORIES), 2, 4.0),
    Group("count_here", len(COUNTABLE), MOST + 1, 2.0),
    Group("count_so_far", len(COUNTABLE), MOST + 1, 2.0),
    Group("needle_room", len(NEEDLES), len(ROOM_KINDS), 0.5),
    Group("needle_beside", len(NEEDLES), len(CATEGORIES), 0.5),
)
"""Yes-or-no questions weigh more because nearly all of their answers are no."""


def dense_truth(truth: Truth) -> np.ndarray:
    """The answers of all `GROUPS`, side by side, at each of T frames: int16 (T, questions).

    `UNKNOWN` stands where there is none.

    Objects that have shown fewer pixels than the counting rule asks for are neither seen nor unseen.
    """
    answers = {group.name: np.full((len(truth.frames), group.questions), UNKNOWN, np.int16) for group in GROUPS}
    _rooms(truth, answers)
    _seen(truth, answers)
    _counted(truth, answers)
    _needles(truth, answers)
    return np.concatenate([answers[group.name] for group in GROUPS], axis=1)


def inventory_truth(truth: Truth) -> np.ndarray:
    """Of `CATEGORIES`, the rows of `nn.inventory`: how many counted so far, and of those here; seen here; in view.

    int16 (T, 4, categories) at each of T frames, `UNKNOWN` where the mixture would not ask.
    """
    seen = {group.name: np.full((len(truth.frames), group.questions), UNKNOWN, np.int16) for group in GROUPS}
    _seen(truth, seen)
    return np.concatenate([_counts(truth), np.stack([seen["seen_here"], seen["visible"]], axis=1)], axis=1)


def beside_truth(truth: Truth) -> np.ndarray:
    """Of each of `NEEDLES` 0 where it is not in view, else 1 + the place in `CATEGORIES` of what it is beside.

    int16 (T, needles) at each of T frames; `UNKNOWN` where less of it shows than when it appeared.
    """
    beside = np.zeros((len(truth.frames), len(NEEDLES)), np.int16)
    for number, needle in enumerate(truth.needles):
        place, landmark = NEEDLES.index(needle.needle), 1 + CATEGORIES.index(needle.landmark)
        for frame, pixels in truth.shown[number] if truth.shown else ((needle.frame, needle.pixels),):
            beside[frame, place] = landmark if pixels >= needle.pixels / 2 else UNKNOWN
    return beside


def sightings_truth(truth: Truth, frame: int) -> np.ndarray:
    """Of each of `NEEDLES` and of `CATEGORIES` whether it was seen beside that up to a frame, and when last.

    float64 (2, needles, categories), all 0 where it was not.
    """
    seen = np.zeros((2, len(NEEDLES), len(CATEGORIES)))
    for needle in truth.needles:
        if needle.frame <= frame:
            seen[:, NEEDLES.index(needle.needle), CATEGORIES.index(needle.landmark)] = 1.0, needle.t_s
    return seen


def _counts(truth: Truth) -> np.ndarray:
    """How many things of each of `CATEGORIES` have counted so far, and how many of those are in this room."""
    times = np.array([frame.t_s for frame in truth.frames])
    rooms = np.array([frame.room for frame in truth.frames])
    counts = np.zeros((len(times), 2, len(CATEGORIES)), np.int16)
    for thing in truth.objects:
        if thing.counted_s is not None and thing.category in CATEGORIES:
            now = times + 1e-6 >= thing.counted_s
            counts[:, :, CATEGORIES.index(thing.category)] += np.stack([now, now & (rooms == thing.room)], axis=1)
    return counts


def _rooms(truth: Truth, answers: dict[str, np.ndarray]) -> None:
    visited: set[int] = set()
    for number, (start, room) in enumerate(truth.visits):
        visited.add(room)
        answers["room_now"][start:] = ROOM_KINDS.index(truth.kinds[room])
        answers["rooms_so_far"][start:] = min(len(visited), MOST)
        if number:
            answers["room_before"][start:] = ROOM_KINDS.index(truth.kinds[truth.visits[number - 1][1]])


def _seen(truth: Truth, answers: dict[str, np.ndarray]) -> None:
    """2 is clear, 1 glimpsed, 0 neither, until the end of the function."""
    starts = {start for start, _ in truth.visits}
    here, ever = np.zeros(len(CATEGORIES), int), np.zeros(len(CATEGORIES), int)
    for t, frame in enumerate(truth.frames):
        now = np.zeros(len(CATEGORIES), int)
        inside = np.zeros(len(CATEGORIES), int)
        for item, pixels in frame.visible.items():
            thing = truth.by_id[item]
            place, clear = CATEGORIES.index(thing.category), pixels >= truth.rule.pixels
            now[place] = max(now[place], 2 if clear else 1)
            inside[place] = max(inside[place], 2 if clear and thing.room == frame.room else 1)
        here = inside if t in starts else np.maximum(here, inside)
        ever = np.maximum(ever, now)
        for name, level in (("visible", now), ("seen_here", here), ("seen_so_far", ever)):
            answers[name][t] = np.array([0, UNKNOWN, 1])[level]


def _counted(truth: Truth, answers: dict[str, np.ndarray]) -> None:
    counts = np.minimum(_counts(truth)[..., [CATEGORIES.index(category) for category in COUNTABLE]], MOST)
    answers["count_so_far"][:], answers["count_here"][:] = counts[:, 0], counts[:, 1]


def _needles(truth: Truth, answers: dict[str, np.ndarray]) -> None:
    for needle in truth.needles:
        place = NEEDLES.index(needle.needle)
        answers["needle_room"][needle.frame :, place] = ROOM_KINDS.index(truth.kinds[needle.room])
        answers["needle_beside"][needle.frame :, place] = CATEGORIES.index(needle.landmark)
