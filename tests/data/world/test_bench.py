"""VSI-Bench's questions about rendered streams, checked by counting and measuring again."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from ssm_sense.data.clip import Question
from ssm_sense.data.vsi_590k import VSI590K
from ssm_sense.data.world.batch import jobs, render
from ssm_sense.data.world.bench import bench_questions, gap_m, scene_of, turn_deg
from ssm_sense.data.world.export import export
from ssm_sense.data.world.furnish import Piece
from ssm_sense.data.world.renderer import Renderer
from ssm_sense.data.world.stream import Recipe, compose, truth_of
from ssm_sense.data.world.truth import Truth
from ssm_sense.errors import UserError

Asked = dict[str, list[tuple[Truth, Question]]]


@pytest.fixture(scope="module")
def asked() -> Asked:
    """Questions about some short streams, of each kind, with their truths."""
    found: Asked = {}
    for seed in range(12):
        stream = compose(Recipe("vsc", "train", seed, 0.5, size=32))
        renderer = Renderer(stream.house, 32)
        truth = truth_of(stream, [renderer.visible(*shot) for shot in stream.shots])
        for draw in range(4):
            for question in bench_questions(truth, np.random.default_rng(draw)):
                found.setdefault(question.kind, []).append((truth, question))
    return found


def right(question: Question) -> str:
    return question.options["ABCD".index(question.answer)][3:]


def test_all_types_but_route_planning_come_up(asked: Asked) -> None:
    assert set(asked) == {
        "object_counting",
        "object_abs_distance",
        "object_size_estimation",
        "room_size_estimation",
        "object_rel_distance",
        "object_rel_direction_easy",
        "object_rel_direction_medium",
        "object_rel_direction_hard",
        "obj_appearance_order",
    }


def test_letters_of_answers_are_spread(asked: Asked) -> None:
    for kind, pairs in asked.items():
        questions = [question for _, question in pairs]
        if questions[0].options:
            letters = [q.answer for q in questions]
            assert len(set(letters)) == len(questions[0].options), kind
            assert all(len(set(q.options)) == len(q.options) for q in questions)


def test_counts_and_orders_are_those_of_the_truth(asked: Asked) -> None:
    for truth, question in asked["object_counting"]:
        category = re.search(r"How many (.+)\(s\)", question.text)[1]
        assert int(question.answer) == len(truth.counted(category, truth.duration_s)) >= 2
    for truth, question in asked["obj_appearance_order"]:
        first = [truth_first(truth, name) for name in right(question).split(", ")]
        assert first == sorted(set(first))
        assert len(question.options) == 4


def truth_first(truth: Truth, category: str) -> float:
    return min(o.counted_s for o in truth.objects if o.category == category and o.counted_s is not None)


def named(truth: Truth) -> dict[str, Piece]:
    """The pieces that can be asked about, by category."""
    pieces = scene_of(truth).pieces
    assert len({piece.category for piece in pieces}) == len(pieces)
    return {piece.category: piece for piece in pieces}


def test_sizes_and_distances(asked: Asked) -> None:
    for truth, question in asked["object_abs_distance"]:
        pieces = named(truth)
        a, b = re.search(r"between the (.+) and the (.+) \(in", question.text).groups()
        assert float(question.answer) == pytest.approx(gap_m(pieces[a], pieces[b]), abs=0.051)
        assert pieces[a].room == pieces[b].room
    for _, question in asked["object_size_estimation"]:
        assert 5 <= int(question.answer) <= 400
    for truth, question in asked["room_size_estimation"]:
        assert 6 * len(truth.rooms) < float(question.answer) < 33 * len(truth.rooms)
    for truth, question in asked["object_rel_distance"]:
        pieces = named(truth)
        anchor = pieces[re.search(r"closest to the (.+)\?", question.text)[1]]
        gaps = {option[3:]: gap_m(anchor, pieces[option[3:]]) for option in question.options}
        assert min(gaps, key=lambda name: gaps[name]) == right(question)


def test_directions(asked: Asked) -> None:
    for level in ("easy", "medium", "hard"):
        for truth, question in asked[f"object_rel_direction_{level}"]:
            a, b, c = re.search(r"by the (.+) and facing the (.+), is the (.+) to (?:the|my)", question.text).groups()
            pieces = named(truth)
            turn = turn_deg(pieces[a], pieces[b], pieces[c])
            answer = right(question)
            if "left" in answer or "right" in answer:
                assert ("left" in answer) == (turn > 0)
            if answer == "back":
                assert abs(turn) > 135
            elif level == "medium":
                assert abs(turn) < 135
            if level == "hard":
                assert ("front" in answer) == (abs(turn) < 90)


def test_turns_are_to_the_left() -> None:
    def at(x: float, y: float):
        return type("P", (), {"spot": type("S", (), {"x": x, "y": y})})

    assert turn_deg(at(0, 0), at(1, 0), at(0, 1)) == pytest.approx(90)
    assert turn_deg(at(0, 0), at(1, 0), at(1, -1)) == pytest.approx(-45)
    assert math.isclose(abs(turn_deg(at(0, 0), at(1, 0), at(-1, 0))), 180)


def test_an_exported_set_reads_as_vsi_590k(tmp_path: Path) -> None:
    render(tmp_path, jobs("tour", "train", 0, 0.5, 2, size=32), 1)
    counts = export(tmp_path, stops=3)
    data = VSI590K(tmp_path)
    assert dict(data.types) == counts
    assert counts["room_now"] == 6
    assert counts["room_size_estimation"] == 2
    clips = list(data)
    assert [clip.name for clip in clips] == ["0.5mins/00000000", "0.5mins/00000001"]
    for clip in clips:
        assert len(list(clip.frames)) == 30
        asked = {q.t_s for q in clip.questions if q.kind == "room_now"}
        assert asked == {10.0, 19.0, 30.0}
    with pytest.raises(UserError, match="expected rendered videos"):
        export(tmp_path / "none", 1)
