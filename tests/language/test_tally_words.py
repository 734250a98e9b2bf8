"""The tally of what a question names is looked up by its words and handed over as numbers in words."""

import pytest
import torch

from ssm_sense.language.tally_words import MOST, TallyWords

CONCEPTS = ("chair", "kitchen", "red bathroom")


@pytest.fixture
def words():
    torch.manual_seed(0)
    return TallyWords(CONCEPTS, 32)


@pytest.mark.parametrize(
    ("prompt", "about"), [("how many kitchen are there", 1), ("how many chair", 0), ("how many red bathroom", 2)]
)
def test_the_question_says_which(words, language, prompt, about):
    named = words.named(prompt, language)
    assert int(named.argmax()) == about
    assert named[about] > 0.8


def test_a_question_that_names_none_is_told_nothing(words, language):
    tally = torch.tensor([[[3.0, 1.0, 7.0], [1.0, 0.0, 2.0]]])
    assert words.named("which holds", language).sum() < 0.1
    said = words(tally, ["which holds"], language) - words.slot
    heard = words(tally, ["how many kitchen"], language) - words.slot
    assert said.norm() < 0.2 * heard.norm()


@torch.no_grad()
def test_numbers_are_words_and_what_lies_between(words, language):
    def said(number: float) -> torch.Tensor:
        tally = torch.full((1, 2, 3), number)
        return (words(tally, ["how many kitchen"], language) - words.slot)[0]

    share = words.named("how many kitchen", language).sum()
    number = language.embed_words(["4"])[0]
    torch.testing.assert_close(said(4.0)[0], share * number, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said(4.0)[1], -said(4.0)[0])
    torch.testing.assert_close(said(4.25), 0.75 * said(4.0) + 0.25 * said(5.0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said(1e6), said(float(MOST)))


def test_what_is_wrong_with_an_answer_reaches_the_count(words, language):
    tally = torch.full((2, 2, 3), 2.5, requires_grad=True)
    words(tally, ["how many kitchen", "how many chair"], language).square().sum().backward()
    assert tally.grad is not None
    assert tally.grad[0, 0, 1].abs() > tally.grad[0, 0, 0].abs()
    assert tally.grad[1, 0, 0].abs() > tally.grad[1, 0, 1].abs()
