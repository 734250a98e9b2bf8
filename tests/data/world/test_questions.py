"""VSI-SUPER's wording to the letter, and answers that a second look at the frames confirms."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ssm_sense.data.world.names import COUNTABLE
from ssm_sense.data.world.questions import (
    count_question,
    counted_category,
    order_question,
    query_times,
    questions,
    recall_question,
)
from ssm_sense.data.world.stream import Recipe, compose, truth_of
from ssm_sense.data.world.truth import NeedleTruth, Truth
from ssm_sense.errors import UserError


def shows(*landmarks: str) -> list[NeedleTruth]:
    return [NeedleTruth(10 * n, 10.0 * n, "snowman", name, n, 0, 900) for n, name in enumerate(landmarks)]


def test_recall_is_worded_as_in_vsi_super() -> None:
    question = order_question(shows("bed", "washing machine", "sofa", "rug"), 60.0, np.random.default_rng(0))
    assert question.text == (
        "These are frames of a video.\nWhich of the following correctly represents the order in which the snowman "
        "appeared in the video?"
    )
    lines = question.prompt.split("\n")
    assert lines[:3] == [*question.text.split("\n"), "Options:"]
    assert lines[-1] == "Answer with the option's letter from the given choices directly."
    assert [line[:3] for line in lines[3:7]] == ["A. ", "B. ", "C. ", "D. "]
    right = next(option for option in question.options if option.startswith(question.answer))
    assert right[3:] == "Bed, Washing machine, Sofa, Rug"
    orders = [option[3:].split(", ") for option in question.options]
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_letters_of_answers_are_uniform() -> None:
    rng = np.random.default_rng(1)
    letters = Counter(order_question(shows("bed", "crib", "sofa", "rug"), 60.0, rng).answer for _ in range(2000))
    assert sorted(letters) == ["A", "B", "C", "D"]
    assert all(430 < count < 570 for count in letters.values())


@pytest.mark.parametrize("landmarks", [("bed",), ("bed", "bed"), ("a", "b", "c", "d", "e")])
def test_order_needs_different_landmarks(landmarks: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="2 to 4 different landmarks"):
        order_question(shows(*landmarks), 1.0, np.random.default_rng(0))


def test_recall_question_of_a_stream() -> None:
    stream = compose(Recipe("vsr", "test", 1, minutes=2, size=64))
    blind = truth_of(stream, [{} for _ in stream.shots])
    (question,) = questions(blind)
    assert question == recall_question(blind)
    assert question.t_s == 120
    assert question.kind == "vsr"
    right = next(option for option in question.options if option.startswith(question.answer))
    assert right[3:].lower().split(", ") == [a.landmark.category for a in stream.needles]
    with pytest.raises(ValueError, match="4 appearances"):
        recall_question(replace(blind, needles=blind.needles[:3]))


def test_count_is_worded_as_in_vsi_super(truth: Truth) -> None:
    question = count_question(truth, "chair", 60.0)
    assert question.prompt == (
        "These are frames of a video.\nHow many different chair(s) are there in the video?\n"
        "Please answer the question using a single word or phrase."
    )
    seen = set()
    for frame in truth.frames[:61]:
        seen |= {i for i, px in frame.visible.items() if px >= truth.rule.pixels and truth.by_id[i].category == "chair"}
    assert question.answer == str(len(seen))


def test_count_questions_of_a_stream(truth: Truth) -> None:
    *streaming, final = questions(replace(truth, task="vsc"))
    category = counted_category(truth)
    assert category in COUNTABLE
    assert [q.kind for q in streaming] == ["vsc-streaming"] * 10
    assert final.kind == "vsc"
    assert [q.t_s for q in streaming] == [float(t) for t in query_times(truth)]
    answers = [int(q.answer) for q in streaming]
    assert answers == sorted(answers)
    assert answers[-1] == int(final.answer) > 0
    # Asked at the last whole second, when every frame has been shown.
    assert truth.frame_at(streaming[-1].t_s) == len(truth.frames) - 1
    assert questions(truth) == ()


def test_nothing_to_count_is_a_clear_error(truth: Truth) -> None:
    empty = replace(truth, objects=tuple(replace(item, counted_s=None) for item in truth.objects))
    with pytest.raises(UserError, match="none of the objects to be counted is seen"):
        counted_category(empty)
    with pytest.raises(ValueError, match="needs as many seconds"):
        query_times(replace(truth, frames=truth.frames[:9]))
