"""Commands with placeholders: `{name}` or `{name.part}` stands for words. Other braces stay as they are."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from ssm_sense.errors import UserError

PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)\}")

Template = tuple[str, ...]
"""The words of one command, after `ssm-sense`, placeholders not yet replaced."""
Words = Mapping[str, Sequence[str]]
"""What stands for each placeholder."""


def split(command: object, where: str) -> Template:
    """The words of a command as a shell would split them; a leading `ssm-sense` may be left out.

    Raises UserError, beginning with `where`, for anything that is not such a text.
    """
    if not isinstance(command, str) or not command.strip():
        raise UserError(f"{where}: expected a command such as 'fit --config FILE', got {command!r}")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"{where}: {error} in {command!r}") from error
    return tuple(words[1:] if words[0] == "ssm-sense" else words)


def placeholders(templates: Iterable[Template]) -> list[str]:
    """The names of all placeholders, in the order of their first use."""
    return list(dict.fromkeys(name for words in templates for word in words for name in PLACEHOLDER.findall(word)))


def fill(template: Template, words: Words, where: str) -> Template:
    """The words of a command with every placeholder replaced that `words` knows; others stay.

    A placeholder that is a word by itself gives way to all its words, be it none; within a word it must stand for one.
    Raises UserError where it does not.
    """
    filled: list[str] = []
    for word in template:
        whole = PLACEHOLDER.fullmatch(word)
        if whole and whole[1] in words:
            filled += words[whole[1]]
        else:
            filled.append(PLACEHOLDER.sub(lambda match, word=word: _one(match, words, word, where), word))  # type: ignore[misc]
    return tuple(filled)


def _one(match: re.Match[str], words: Words, word: str, where: str) -> str:
    chosen = words.get(match[1])
    if chosen is None:
        return match[0]
    if len(chosen) != 1:
        raise UserError(
            f"{where}: {match[0]} within {word!r} must stand for one word, got {shlex.join(chosen) or 'none'}"
        )
    return chosen[0]
