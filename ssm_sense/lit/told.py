"""What streams are told in training in place of what the model found, so that it learns to read what it finds.

Some of it is made up, and the answer with it: the language model is then to say what it was told. Streams that can be
trained on hold few things, and few orders of them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ssm_sense.data.clip import Question
from ssm_sense.data.world.dense import UNKNOWN, sightings_truth
from ssm_sense.data.world.names import CATEGORIES, COUNTABLE, NEEDLES
from ssm_sense.data.world.truth import Truth
from ssm_sense.language.query import Query

_COUNTS = {"count_so_far": 0, "count_here": 1}
"""Kinds of questions that ask for a count, and the inventory's row that has it."""
_FAINTEST = 0.4
"""How sure the least sure of the sightings is that are made up."""


def tell(
    queries: list[Query],
    asked: Sequence[Question],
    inventory: Tensor,
    truths: Sequence[Truth],
    made_up: float,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """The inventory (B, T, 4, categories) and the sightings (queries, 2, needles, categories) that streams are told.

    Those of the first streams, as many as there are truths, are told; `UNKNOWN` stands for the others.

    Args:
        queries: changed in place where their answer is made up.
        asked: the question behind each. inventory: the true one.
        made_up: share of the counts and orders asked of those streams that are made up: orders of any of the options,
            and counts from 0 to 99, half of them evenly, the other half as often below 10 as above.
    """
    told = inventory.clone()
    told[len(truths) :] = UNKNOWN
    sightings = torch.full((len(queries), 2, len(NEEDLES), len(CATEGORIES)), UNKNOWN, dtype=torch.float64)
    for i, (query, question) in enumerate(zip(queries, asked, strict=True)):
        if query.stream >= len(truths):
            continue
        sightings[i] = torch.from_numpy(sightings_truth(truths[query.stream], query.frame))
        if question.kind in _COUNTS and rng.random() < made_up:
            queries[i] = _some_count(query, _COUNTS[question.kind], told, rng)
        elif question.options and rng.random() < made_up:
            queries[i] = _some_order(query, question, sightings[i], rng)
    return told, sightings


def _some_count(query: Query, row: int, told: Tensor, rng: np.random.Generator) -> Query:
    """A query for a count, answered by a number that is told in that row in place of the truth."""
    category = next(c for c in COUNTABLE if f" {c}(s) " in query.prompt)
    number = int(100 ** rng.random()) - 1 if rng.random() < 0.5 else int(rng.integers(100))
    told[query.stream, query.frame, row, CATEGORIES.index(category)] = number
    return query._replace(answer=str(number))


def _some_order(query: Query, question: Question, sightings: Tensor, rng: np.random.Generator) -> Query:
    """A query for an order, answered by one of its options that is told in place of the truth."""
    option = question.options[int(rng.integers(len(question.options)))]
    needle = next(place for place, name in enumerate(NEEDLES) if f" {name} " in question.text)
    for mark, t_s in zip(option[3:].split(","), np.sort(rng.random(option.count(",") + 1)), strict=True):
        seen = torch.tensor([rng.uniform(_FAINTEST, 1.0), t_s * question.t_s], dtype=torch.float64)
        sightings[:, needle, CATEGORIES.index(mark.strip().lower())] = seen
    return query._replace(answer=option[0])
