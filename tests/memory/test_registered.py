"""What stands of a registered question: numbers add up, and every field survives JSON."""

import json

import pytest

from ssm_sense.memory.policy import Answer
from ssm_sense.memory.registered import Running, whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", 4),
        ("There are 12 chairs.", 12),
        ("3, or 4", 3),
        ("007", 7),
        ("3rd", None),
        ("2.5", None),
        ("many", None),
        ("", None),
    ],
)
def test_the_first_whole_number_counts(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_numbers_of_events_add_up_and_others_are_counted_apart() -> None:
    one = Running("how many chairs")
    for text in ("2", "no idea", "3"):
        one = one.ended(Answer(text))
    assert (one.total, one.events, one.unread) == (5, 3, 1)


def test_json_and_back() -> None:
    fresh = Running("which", ("A. bed", "B. sofa"))
    later = fresh._replace(latest=Answer("A", (-0.5, -float("inf"))), at_s=3.25, total=7, events=2, unread=1)
    for one in (fresh, later):
        assert Running.from_plain(json.loads(json.dumps(one.plain()))) == one
    with pytest.raises(ValueError, match="expected a registered question"):
        Running.from_plain({"prompt": "which"})
