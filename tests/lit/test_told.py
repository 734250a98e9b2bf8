"""What streams are told is true, or made up with the answer; the rest of the batch is told nothing."""

import numpy as np
import pytest
import torch

from ssm_sense.data.clip import Question
from ssm_sense.data.world.dense import UNKNOWN, inventory_truth, sightings_truth
from ssm_sense.data.world.mixture import mixture
from ssm_sense.data.world.names import CATEGORIES, NEEDLES
from ssm_sense.data.world.truth import Truth
from ssm_sense.language.query import Query
from ssm_sense.lit.told import tell
from ssm_sense.tiny.sketch import draw_sketch


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    return [draw_sketch("train", seed, minutes=1.6).truth for seed in (11, 12)]


def asked_of(truths: list[Truth], kinds: set[str]) -> tuple[list[Query], list[Question]]:
    """Questions of these kinds, of both streams, at four moments."""
    rng = np.random.default_rng(0)
    pairs = [
        (Query(b, frame, question.prompt, question.answer), question)
        for b, truth in enumerate(truths)
        for frame in (40, 60, 80, 95)
        for question in mixture(truth, truth.frames[frame].t_s, rng)
        if question.kind in kinds
    ]
    return [query for query, _ in pairs], [question for _, question in pairs]


def inventories(truths: list[Truth]) -> torch.Tensor:
    return torch.from_numpy(np.stack([inventory_truth(truth) for truth in truths]))


def test_the_first_streams_are_told_the_truth(truths: list[Truth]) -> None:
    queries, asked = asked_of(truths, {"needle_where", "count_here", "order", "vsr"})
    before, inventory = list(queries), inventories(truths)
    told, sightings = tell(queries, asked, inventory, truths[:1], 0.0, np.random.default_rng(0))
    assert queries == before
    assert torch.equal(told[0], inventory[0])
    assert (told[1] == UNKNOWN).all()
    for query, table in zip(queries, sightings, strict=True):
        true = torch.from_numpy(sightings_truth(truths[0], query.frame))
        assert torch.equal(table, true) if query.stream == 0 else (table == UNKNOWN).all()


def test_orders_are_made_up_and_the_answer_is_the_option_that_was_told(truths: list[Truth]) -> None:
    queries, asked = asked_of(truths, {"order", "vsr"})
    before = list(queries)
    _, sightings = tell(queries, asked, inventories(truths), truths, 1.0, np.random.default_rng(0))
    changed = 0
    for old, new, question, table in zip(before, queries, asked, sightings, strict=True):
        if not question.options:
            assert new == old
            continue
        changed += new.answer != old.answer
        told = question.options["ABCD".index(new.answer)][3:].lower().split(", ")
        (needle,) = (i for i, name in enumerate(NEEDLES) if name in question.text)
        sure, when = table[:, needle, [CATEGORIES.index(mark) for mark in told]]
        assert (sure >= 0.4).all()
        assert (when.diff() > 0).all()
        assert when[-1] <= question.t_s
    assert changed > 2


def test_counts_are_made_up_and_the_answer_is_what_was_told(truths: list[Truth]) -> None:
    queries, asked = asked_of(truths, {"count_here", "count_so_far"})
    numbers = []
    for seed in range(200):
        made = list(queries)
        told, _ = tell(made, asked, inventories(truths), truths, 1.0, np.random.default_rng(seed))
        for query, question in zip(made, asked, strict=True):
            (kind,) = (i for i, name in enumerate(CATEGORIES) if f" {name}(s) " in query.prompt)
            row = ("count_so_far", "count_here").index(question.kind)
            assert int(query.answer) == told[query.stream, query.frame, row, kind]
            numbers.append(int(query.answer))
    assert set(numbers) == set(range(100))
    assert 0.5 < np.mean(np.array(numbers) < 50) < 0.85, "small ones more often, great ones often enough"
