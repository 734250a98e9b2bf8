"""The dense truth says what the questions in words say, of the same frames."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ssm_sense.data.world.dense import (
    GROUPS,
    MOST,
    UNKNOWN,
    beside_truth,
    dense_truth,
    inventory_truth,
    sightings_truth,
)
from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.names import CATEGORIES, COUNTABLE, NEEDLES, ROOM_KINDS
from ssm_sense.data.world.truth import Truth
from ssm_sense.tiny.sketch import draw_sketch


@cache
def tour(seed: int) -> tuple[Truth, dict[str, np.ndarray]]:
    truth = draw_sketch("train", seed, minutes=1.0).truth
    ends = np.cumsum([group.questions for group in GROUPS])[:-1]
    return truth, dict(zip([group.name for group in GROUPS], np.split(dense_truth(truth), ends, axis=1), strict=True))


def in_words(answers: dict[str, np.ndarray], frame: int, prompt: str) -> str | None:
    """What the dense truth answers to a question of the mixture; None where it does not cover it."""
    yes_no = {"Is there": "visible", "Have you seen": "seen_here"}
    for start, name in yes_no.items():
        if prompt.startswith(start):
            (category,) = re.findall(r" an? (.+?)(?: in view| in this room)", prompt)
            return {1: "yes", 0: "no"}.get(int(answers[name][frame, CATEGORIES.index(category)]))
    if found := re.search(r"How many different (.+)\(s\) are (in this room|there)", prompt):
        name = "count_here" if found[2] == "in this room" else "count_so_far"
        return str(answers[name][frame, COUNTABLE.index(found[1])])
    if prompt.startswith("Which room is this?"):
        return ROOM_KINDS[answers["room_now"][frame, 0]]
    if prompt.startswith("Which room were we in before this one?"):
        return ROOM_KINDS[answers["room_before"][frame, 0]]
    if prompt.startswith("How many rooms have we seen so far?"):
        return str(answers["rooms_so_far"][frame, 0])
    if found := re.search(r"(room|object) (?:did|is) the (.+?) (?:appear last|now)", prompt):
        name, words = ("needle_room", ROOM_KINDS) if found[1] == "room" else ("needle_beside", CATEGORIES)
        return words[answers[name][frame, NEEDLES.index(found[2])]]
    return None


@pytest.mark.parametrize("seed", [11, 12])
def test_it_agrees_with_the_mixture(seed: int) -> None:
    truth, answers = tour(seed)
    rng, compared = np.random.default_rng(0), dict.fromkeys(("visible", "seen_here", "count_here", "count_so_far"), 0)
    compared |= dict.fromkeys(("room_now", "rooms_so_far", "needle_where"), 0)
    for frame in range(len(truth.frames)):
        for question in mixture(truth, truth.frames[frame].t_s, rng):
            found = in_words(answers, frame, question.prompt)
            if found is not None:
                assert found == question.answer, (frame, question)
                compared[question.kind] += 1
    assert min(compared.values()) > 20, compared


def test_shapes_and_ranges() -> None:
    truth, answers = tour(11)
    for group in GROUPS:
        part = answers[group.name]
        assert part.shape == (len(truth.frames), group.questions)
        assert part.dtype == np.int16
        assert part.min() >= UNKNOWN
        assert part.max() < group.answers
    assert (answers["room_before"][: truth.visits[1][0]] == UNKNOWN).all()
    assert (np.diff(answers["count_so_far"], axis=0) >= 0).all()
    assert answers["count_so_far"].max() <= MOST


@pytest.mark.parametrize("seed", [3, 4])
def test_the_inventory_is_what_the_truth_counts_and_what_was_seen(seed: int) -> None:
    truth, answers = tour(seed)
    inventory = inventory_truth(truth)
    for frame in (0, 17, len(truth.frames) - 1):
        for place, category in enumerate(CATEGORIES):
            counted = truth.counted(category, truth.frames[frame].t_s)
            here = [thing for thing in counted if thing.room == truth.frames[frame].room]
            assert list(inventory[frame, :2, place]) == [len(counted), len(here)]
    places = [CATEGORIES.index(category) for category in COUNTABLE]
    np.testing.assert_array_equal(np.minimum(inventory[:, 0, places], MOST), answers["count_so_far"])
    np.testing.assert_array_equal(np.minimum(inventory[:, 1, places], MOST), answers["count_here"])
    np.testing.assert_array_equal(inventory[:, 2], answers["seen_here"])
    np.testing.assert_array_equal(inventory[:, 3], answers["visible"])


@pytest.mark.parametrize("seed", [11, 12])
def test_needles_are_beside_their_landmarks_where_they_stand_and_nowhere_else(seed: int) -> None:
    truth, answers = tour(seed)
    beside = beside_truth(truth)
    assert truth.needles
    for needle in truth.needles:
        assert beside[needle.frame, NEEDLES.index(needle.needle)] == 1 + CATEGORIES.index(needle.landmark)
    assert (beside > 0).sum() == len(truth.needles)
    last = len(truth.frames) - 1
    sure, when = sightings_truth(truth, last)
    assert sure.sum() == len({(needle.needle, needle.landmark) for needle in truth.needles})
    for place in range(len(NEEDLES)):
        if sure[place].any():
            assert when[place].argmax() == answers["needle_beside"][last, place]
    first = truth.needles[0]
    assert sightings_truth(truth, first.frame).sum() == 1 + first.t_s
    assert not sightings_truth(truth, first.frame - 1).any()


def test_of_a_needle_that_stays_frames_that_show_little_of_it_are_unknown() -> None:
    truth, _ = tour(11)
    needle = truth.needles[0]
    shown = ((needle.frame, needle.pixels), (needle.frame + 1, needle.pixels // 3))
    others = tuple(((other.frame, other.pixels),) for other in truth.needles[1:])
    beside = beside_truth(replace(truth, shown=(shown, *others)))[:, NEEDLES.index(needle.needle)]
    assert beside[needle.frame] > 0
    assert beside[needle.frame + 1] == UNKNOWN
