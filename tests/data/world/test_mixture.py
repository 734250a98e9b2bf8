"""Every answer of the training mixture, found a second time by a plain search through the frames."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from ssm_sense.data.clip import FRAMES_OF_A_VIDEO, Question
from ssm_sense.data.world.captions import caption
from ssm_sense.data.world.mixture import KINDS, mixture, split_words, vocabulary
from ssm_sense.data.world.names import CATEGORIES, NUMBERS, plural
from ssm_sense.data.world.truth import Truth

ROUNDS = 8


@pytest.fixture(scope="module")
def asked(truth: Truth) -> list[Question]:
    rng = np.random.default_rng(5)
    return [q for _ in range(ROUNDS) for t in range(len(truth.frames)) for q in mixture(truth, float(t), rng)]


def clear(truth: Truth, frame: int) -> set[int]:
    return {item for item, pixels in truth.frames[frame].visible.items() if pixels >= truth.rule.pixels}


def stay(truth: Truth, frame: int) -> range:
    start = frame
    while start and truth.frames[start - 1].room == truth.frames[frame].room:
        start -= 1
    return range(start, frame + 1)


def expected(truth: Truth, q: Question) -> str:
    """The answer, from the question's words alone."""
    frame, text = int(q.t_s), q.text.removeprefix(FRAMES_OF_A_VIDEO)
    room = truth.frames[frame].room
    past = [needle for needle in truth.needles if needle.frame <= frame]
    if text == "Which room is this?":
        return truth.kinds[room]
    if found := re.fullmatch(r"Is there an? (.+) in view\?", text):
        return "yes" if any(truth.by_id[i].category == found[1] for i in clear(truth, frame)) else "no"
    if found := re.fullmatch(r"Have you seen an? (.+) in this room so far\?", text):
        items = {i for n in stay(truth, frame) for i in clear(truth, n)}
        return (
            "yes" if any(truth.by_id[i].category == found[1] and truth.by_id[i].room == room for i in items) else "no"
        )
    if found := re.fullmatch(r"How many different (.+)\(s\) are in this room so far\?", text):
        items = {i for n in range(frame + 1) for i in clear(truth, n)}
        return str(sum(truth.by_id[i].category == found[1] and truth.by_id[i].room == room for i in items))
    if found := re.search(r"How many different (.+)\(s\) are there in the video\?$", text):
        items = {i for n in range(frame + 1) for i in clear(truth, n)}
        return str(sum(truth.by_id[i].category == found[1] for i in items))
    if text == "How many rooms have we seen so far?":
        return str(len({truth.frames[n].room for n in range(frame + 1)}))
    if text == "Which room were we in before this one?":
        return truth.kinds[truth.frames[stay(truth, frame)[0] - 1].room]
    if found := re.fullmatch(r"Beside which object is the (.+) now\?", text):
        return next(n.landmark for n in past if n.frame == frame and n.needle == found[1])
    if found := re.fullmatch(r"In which room did the (.+) appear last\?", text):
        return truth.kinds[[n.room for n in past if n.needle == found[1]][-1]]
    if found := re.fullmatch(r"Beside which object did the (.+) appear last\?", text):
        return [n.landmark for n in past if n.needle == found[1]][-1]
    if found := re.fullmatch(r"Beside which did the (.+) appear first, the (.+) or the (.+)\?", text):
        return next(n.landmark for n in past if n.needle == found[1] and n.landmark in (found[2], found[3]))
    found = re.search(r"the order in which the (.+) appeared in the video\?$", text)
    assert found, f"a question that nobody knows: {text}"
    order = [n.landmark.capitalize() for n in past if n.needle == found[1]]
    right = [o[0] for o in q.options if [x for x in order if x in o[3:].split(", ")] == o[3:].split(", ")]
    assert len(right) == 1
    return right[0]


def test_every_answer_is_true(truth: Truth, asked: list[Question]) -> None:
    for question in asked:
        assert question.answer == expected(truth, question), question


def test_every_kind_comes_up(asked: list[Question]) -> None:
    kinds = Counter(question.kind for question in asked)
    assert set(kinds) == set(KINDS)
    assert kinds["room_now"] == kinds["count_so_far"] == ROUNDS * 120


def test_every_kind_is_asked_with_and_without_the_line_of_benchmarks(asked: list[Question]) -> None:
    for kind in KINDS:
        shares = [question.text.startswith(FRAMES_OF_A_VIDEO) for question in asked if question.kind == kind]
        assert 0.3 < np.mean(shares) < 0.7, kind


def test_yes_and_no_are_balanced(asked: list[Question]) -> None:
    for kind in ("visible", "seen_here"):
        answers = Counter(question.answer for question in asked if question.kind == kind)
        share = answers["yes"] / answers.total()
        assert 0.42 < share < 0.58, f"{kind}: {answers}"


def test_no_letter_gives_an_order_away(asked: list[Question]) -> None:
    letters = Counter(q.answer for q in asked if q.options and len(q.options) == 4)
    assert max(letters.values()) / letters.total() < 0.4


def test_counts_vary(asked: list[Question]) -> None:
    by_kind = defaultdict(set)
    for question in asked:
        by_kind[question.kind].add(question.answer)
    assert len(by_kind["count_here"]) >= 4
    assert len(by_kind["count_so_far"]) >= 10
    assert len(by_kind["needle_where"]) >= 8


def test_the_vocabulary_is_closed(truth: Truth, asked: list[Question]) -> None:
    known = set(vocabulary())
    assert vocabulary() == sorted(known)
    rng = np.random.default_rng(0)
    texts = [f"{q.prompt} {q.answer}" for q in asked]
    texts += [caption(truth, n, rng) for n in range(len(truth.frames)) for _ in range(5)]
    for text in texts:
        assert set(split_words(text)) <= known, text
    assert {str(n) for n in range(100)} <= known
    assert {"a", "b", "c", "d", "yes", "no", "?", "kitchen", "chairs", "bookshelves"} <= known


def test_split_words() -> None:
    assert split_words("A. Bed, 12 chair(s)?\nYes") == ["a", ".", "bed", ",", "12", "chair", "(", "s", ")", "?", "yes"]


def test_captions_say_what_is_seen(truth: Truth) -> None:
    rng = np.random.default_rng(2)
    names = {**{c: c for c in CATEGORIES}, **{plural(c): c for c in CATEGORIES}}
    words = sorted(names, key=len, reverse=True)
    told = Counter()
    for n, frame in enumerate(truth.frames):
        text = caption(truth, n, rng)
        room, _, rest = text.partition(" with ")
        assert room.split(" ", 1)[1] == truth.kinds[frame.room]
        for phrase in filter(None, re.split(r", | and ", rest)):
            name = next(word for word in words if phrase.endswith(word))
            count, *colour = phrase.removesuffix(name).split()
            number = 1 if count in ("a", "an") else NUMBERS.index(count) if count in NUMBERS else int(count)
            seen = [truth.by_id[i] for i in clear(truth, n)]
            fits = [o for o in seen if o.category == names[name] and (not colour or o.colour == colour[0])]
            assert len(fits) == number, f"{text!r}: {phrase!r}"
            told[bool(colour)] += 1
    assert told[True] > 50
    assert told[False] > 50
