"""Reading a letter, a number or a word out of what a model says."""

import pytest

from ssm_sense.metrics.answer import parse_choice, parse_number, same_text, split_option

OPTIONS = ("A. Trash can, Bed, Chair", "B. Bed, Trash can, Chair", "C. Bed", "D. Chair, Bed, Trash can")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b.", "B"),
        (" (B) Bed, Trash can, Chair", "B"),
        ("**D**", "D"),
        ("B:Bed", "B"),
        ("D because the bed came second", "D"),
        ("The answer is B.", "B"),
        ("Answer: (d)", "D"),
        ("I would say option B", "B"),
        ("Option A", "A"),
        ("The correct option is B.", "B"),
        ("The best choice is (d)", "D"),
        ("The answer would be B.", "B"),
        ("the option is a good one", None),
        ("the answer is a bed, trash can, chair", "B"),
        ("bed, trash can, CHAIR", "B"),
        ("Chair, Bed, Trash can.", "D"),
        ("Bed", "C"),
        ("a chair", "A"),
        ("E", None),
        ("", None),
        ("I do not know", None),
        ("Trash can, Bed, Chair or Chair, Bed, Trash can", None),
    ],
)
def test_choice(text, letter):
    assert parse_choice(text, OPTIONS) == letter


def test_options_without_letters_are_lettered_by_place():
    assert split_option("Kitchen", 2) == ("C", "Kitchen")
    assert split_option("(b) Kitchen", 0) == ("B", "Kitchen")
    assert parse_choice("kitchen", ("Hall", "Kitchen")) == "B"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("12.", 12),
        (" -3 ", -3),
        ("2.5", 2.5),
        (".5", 0.5),
        ("about .75 metres", 0.75),
        ("-.5", -0.5),
        ("room.5", None),
        ("1,200 chairs", 1200),
        ("There are 12 chairs in the 3 rooms.", 12),
        ("3 + 4 = 7", 7),
        ("I saw 3 and then 4; the answer is 7", 7),
        ("Total: 9 in 2 rooms", 9),
        ("10 to 12", 10),
        ("10-12", 10),
        ("one of the rooms has 5 chairs", 5),
        ("the 3rd room has two", 2),
        ("room2", None),
        ("seven", 7),
        ("Twenty-three chairs", 23),
        ("one hundred and five", 105),
        ("two thousand three hundred", 2300),
        ("a dozen", 12),
        ("two dozen", 24),
        ("three four", 3),
        ("twenty, thirty", 20),
        ("There are no chairs.", 0),
        ("none", 0),
        ("No, there are five", 5),
        ("nan", None),
        ("inf", None),
        ("many", None),
        ("", None),
    ],
)
def test_number(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("text", "truth", "same"),
    [
        ("kitchen", "Kitchen", True),
        ("The kitchen.", "kitchen", True),
        ("Kitchen, because there is a stove", "kitchen", True),
        ("The room I saw last was a kitchen", "kitchen", True),
        ("yes, there is", "yes", True),
        ("kitchen or bathroom", "kitchen", False),
        ("bathroom", "kitchen", False),
        ("", "kitchen", False),
    ],
)
def test_same_text(text, truth, same):
    assert same_text(text, truth) is same
