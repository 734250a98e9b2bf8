"""One text for each thing and each kind of room, in words that the tokenizer has."""

import pytest

from ssm_sense.data.world.names import ROOM_KINDS
from ssm_sense.tiny.statements import TEXTS, THINGS, statement
from ssm_sense.tiny.tokenizer import words_of
from ssm_sense.tiny.train_vision import TEXT_LENGTH, vocabulary


@pytest.mark.parametrize(
    ("name", "text"),
    [("chair", "a chair"), ("armchair", "an armchair"), ("living room", "a living room")],
)
def test_an_article_goes_before_a_name(name, text):
    assert statement(name) == text


def test_texts_are_things_then_rooms_all_different():
    assert len(TEXTS) == len(set(TEXTS)) == len(THINGS) + len(ROOM_KINDS)
    assert TEXTS[len(THINGS) - 1] == "a snowman"
    assert TEXTS[len(THINGS)] == statement(ROOM_KINDS[0])


def test_the_tokenizer_knows_all_texts_and_they_fit():
    known = {word for entry in vocabulary() for word in words_of(entry)}
    for text in TEXTS:
        assert set(words_of(text)) <= known
        assert len(words_of(text)) < TEXT_LENGTH
