"""A number as the expectation over all that a language model holds possible, in place of the one it holds likeliest."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import Cache

if TYPE_CHECKING:
    from ssm_sense.language.causal_lm import CausalLM

MOST = 99
"""The highest number that is told apart."""
NUMBERS = tuple(str(number) for number in range(MOST + 1))
_AT_ONCE = 10
"""Numbers of several tokens scored in one batch, each with a copy of the cache."""


def begins_number(language: "CausalLM", logits: Tensor) -> bool:
    """Whether the likeliest first token of an answer, by its logits (1, vocabulary), is one of a number."""
    assert language.layout is not None
    return language.layout.text([int(logits[0].argmax())]).isdecimal()


def expected_number(language: "CausalLM", logits: Tensor, cache: Cache, position: int | None = None) -> float:
    """The mean of 0 to `MOST`, weighed by how likely each is the whole answer.

    Where each is one token of the vocabulary its logits say all; else they are scored behind copies of the cache.

    Args:
        logits, cache, position: as for `CausalLM.score_after`; the cache stays as it is.
    """
    assert language.layout is not None
    ids = [language.layout.answer(number)[:-1] for number in NUMBERS]
    if all(len(one) == 1 for one in ids):
        scores = logits[0, torch.tensor([token for (token,) in ids], device=logits.device)]
    else:
        parts = [NUMBERS[i : i + _AT_ONCE] for i in range(0, len(NUMBERS), _AT_ONCE)]
        scores = torch.cat([language.score_after(logits, copy.deepcopy(cache), part, position) for part in parts])
    likely = torch.softmax(scores.double(), 0)
    return float(likely @ torch.arange(len(NUMBERS), dtype=torch.float64, device=likely.device))
