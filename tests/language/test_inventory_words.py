"""What an inventory says of the thing that a question names is looked up by its words, and handed over in words."""

import pytest
import torch

from ssm_sense.language import inventory_words
from ssm_sense.language.inventory_words import MOST, InventoryWords
from ssm_sense.language.lookup import Lookup

CONCEPTS = ("chair", "kitchen", "red bathroom")
ANSWERS = ("user", "beds")


@pytest.fixture
def words(monkeypatch):
    """It says no and yes by words that the tests' language models know."""
    monkeypatch.setattr(inventory_words, "_ANSWERS", ANSWERS)
    torch.manual_seed(0)
    return InventoryWords(CONCEPTS, 32)


@pytest.mark.parametrize(
    ("prompt", "about"), [("how many kitchen are there", 1), ("how many chair", 0), ("how many red bathroom", 2)]
)
def test_the_question_says_which(words, language, prompt, about):
    named = Lookup(CONCEPTS, language).one(prompt)
    assert int(named.argmax()) == about
    assert named[about] > 0.8


def test_a_question_that_names_none_is_told_nothing(words, language):
    inventory = torch.tensor([[[3.0, 1.0, 7.0], [1.0, 0.0, 2.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]])
    assert Lookup(CONCEPTS, language).one("which holds").sum() < 0.1
    said = words(inventory, ["which holds"], language) - words.slot
    heard = words(inventory, ["how many kitchen"], language) - words.slot
    assert said.norm() < 0.2 * heard.norm()


@torch.no_grad()
def test_counts_are_spelled_as_the_nearest_number_and_likelihoods_lie_between_no_and_yes(words, language):
    def said(count: float, likely: float = 0.0) -> torch.Tensor:
        inventory = torch.tensor([count, count, likely, likely]).view(1, 4, 1).expand(1, 4, 3)
        return (words(inventory, ["how many kitchen"], language) - words.slot)[0]

    share = Lookup(CONCEPTS, language).one("how many kitchen").sum()
    no, yes = (language.embed_words([word])[0] for word in ANSWERS)
    for number in (0, 4, 12, 21, 40, MOST):
        digits = language.embed_spelled([str(number)])[0]
        for told in (number - 0.4, number, number + 0.4):
            torch.testing.assert_close(said(told)[:2], share * digits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said(12.0)[2:4], -said(12.0)[:2])
    assert not torch.allclose(said(12.0), said(21.0), atol=0.01)
    assert not torch.allclose(said(4.0), said(40.0), atol=0.01)
    torch.testing.assert_close(said(1e6), said(float(MOST)))
    torch.testing.assert_close(said(0.0, 1.0)[4], share * yes, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said(0.0, 0.25)[4], share * (0.75 * no + 0.25 * yes), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said(0.0, 0.25)[5], -said(0.0, 0.25)[4])


def test_what_is_wrong_with_an_answer_reaches_the_inventory(words, language):
    inventory = torch.full((2, 4, 3), 0.5, requires_grad=True)
    words(inventory, ["how many kitchen", "how many chair"], language).square().sum().backward()
    assert inventory.grad is not None
    assert (inventory.grad[0, :, 1].abs() > inventory.grad[0, :, 0].abs()).all()
    assert (inventory.grad[1, :, 0].abs() > inventory.grad[1, :, 1].abs()).all()
