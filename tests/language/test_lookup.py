"""Things are found in a text by their own words, alone or several, and not where none stands."""

import pytest
import torch

from ssm_sense.language.lookup import Lookup

THINGS = ("chair", "kitchen", "red bathroom")


@pytest.mark.parametrize(("text", "about"), [("how many kitchen", 1), ("the chair", 0), ("red bathroom holds", 2)])
def test_one(language, text, about):
    named = Lookup(THINGS, language).one(text)
    assert int(named.argmax()) == about
    assert 0.8 < named[about] <= 1
    assert named.sum() < 1.001


def test_several_or_none(language):
    lookup = Lookup(THINGS, language)
    assert lookup.several("which chair holds the red bathroom").tolist() == [True, False, True]
    assert not lookup.several("which holds how many").any()
    assert lookup.one("which holds how many").sum() < 0.1


def test_a_thing_of_two_words_needs_both(language):
    alike = Lookup(THINGS, language).likeness("the red chair")
    torch.testing.assert_close(alike[0], torch.tensor(1.0))
    assert alike[2] < 0.9


def test_the_likest_is_always_one(language):
    lookup = Lookup(THINGS, language)
    assert [lookup.likest(text) for text in ("red bathroom", "kitchen", "kitchen")] == [2, 1, 1]
