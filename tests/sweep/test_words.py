"""Placeholders give way to words, and to nothing that they are not."""

import pytest

from ssm_sense.errors import UserError
from ssm_sense.sweep.words import fill, placeholders, split


def test_a_command_is_split_as_a_shell_would() -> None:
    assert split("ssm-sense fit --x 'a b'", "run") == ("fit", "--x", "a b")
    assert split("info", "run") == ("info",)


@pytest.mark.parametrize("command", ["", "  ", 3, None, ["fit"], "fit 'x"])
def test_what_is_no_command_is_refused(command: object) -> None:
    with pytest.raises(UserError, match=r"^run: "):
        split(command, "run")


def test_placeholders_are_names_in_braces_alone() -> None:
    template = split("fit {a} --b={b.fit} '{c: 1}' {} {0} {a} {b.c.d}", "run")
    assert placeholders([template]) == ["a", "b.fit"]


def test_a_word_by_itself_gives_way_to_any_number_of_words() -> None:
    words = {"a": ["--x", "{b}"], "none": [], "b": ["one word"]}
    assert fill(("fit", "{a}", "{none}", "--y={b}{b}", "{cell}"), words, "run") == (
        *("fit", "--x", "{b}", "--y=one wordone word", "{cell}"),
    )


@pytest.mark.parametrize(("words", "got"), [([], "none"), (["a", "b"], "a b")])
def test_within_a_word_it_must_be_one(words: list[str], got: str) -> None:
    with pytest.raises(UserError, match=rf"run: {{a}} within '--x={{a}}' must stand for one word, got {got}"):
        fill(("--x={a}",), {"a": words}, "run")
