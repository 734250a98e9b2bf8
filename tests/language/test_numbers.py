"""A number is answered by its expectation, whichever way the tokenizer spells it, and nothing else is."""

import pytest
import torch

from ssm_sense.language import numbers
from ssm_sense.language.numbers import MOST, NUMBERS, begins_number, expected_number

PROMPT = "how many beds are there"


@pytest.fixture
def prefix():
    return torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_the_mean_is_over_how_likely_each_is_the_whole_answer(language, prefix):
    logits, cache = language.ask(prefix, PROMPT)
    before = cache.get_seq_length()
    found = expected_number(language, logits, cache)
    likely = language.score(prefix, PROMPT, NUMBERS).double().softmax(0)
    assert found == pytest.approx(float((likely * torch.arange(MOST + 1)).sum()), rel=1e-3)
    assert 0 < found < MOST
    assert cache.get_seq_length() == before, "it can still be asked"


@torch.no_grad()
def test_of_numbers_that_are_tokens_the_logits_say_all(language, prefix, monkeypatch):
    ids = {number: [place, language.layout.end] for place, number in enumerate(NUMBERS[:9])}
    monkeypatch.setattr(language.layout, "answer", ids.__getitem__)
    monkeypatch.setattr(numbers, "NUMBERS", NUMBERS[:9])
    logits, _ = language.ask(prefix, PROMPT)
    likely = logits[0, :9].double().softmax(0)
    assert expected_number(language, logits, None) == pytest.approx(float((likely * torch.arange(9)).sum()))


@torch.no_grad()
@pytest.mark.parametrize("begins", [True, False])
def test_only_what_begins_as_a_number_is_expected(language, prefix, monkeypatch, begins):
    greedy = language.generate(prefix, PROMPT)
    monkeypatch.setattr("ssm_sense.language.causal_lm.begins_number", lambda *_: begins)
    monkeypatch.setattr("ssm_sense.language.causal_lm.expected_number", lambda *_: 2.6)
    assert language.generate(prefix, PROMPT) == greedy, "it was not asked for"
    language.expect_numbers = True
    assert language.generate(prefix, PROMPT) == ("3" if begins else greedy)


def test_a_number_begins_with_its_first_token(language):
    tokens = len(language.layout.tokenizer)
    twelve, kitchen = (
        torch.nn.functional.one_hot(torch.tensor([language.layout.answer(text)[0]]), tokens).float()
        for text in ("12", "kitchen")
    )
    assert begins_number(language, twelve)
    assert not begins_number(language, kitchen)
