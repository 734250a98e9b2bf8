"""The columns of a grid: what each of their values is called, and which words it stands for."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from ssm_sense.errors import UserError

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Value:
    """One value of a column: its name, and its words, or for each part of it words."""

    name: str
    value: Scalar
    words: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def words_of(self, column: str) -> dict[str, tuple[str, ...]]:
        """What stands for each placeholder that the column has."""
        if self.parts:
            return {f"{column}.{part}": words for part, words in self.parts.items()}
        return {column: self.words}


def text_of(value: object) -> str:
    """A value as a plan names it: true and false as YAML writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def column_of(where: str, column: str, values: object) -> dict[str, Value]:
    """A column's values by name: a list of plain values, each a word, or a mapping of names to words.

    Raises UserError, beginning with `where`, for anything else and for a value that stands twice.
    """
    if isinstance(values, list):
        made = [Value(_name(where, value), value, (_name(where, value),)) for value in values]
    elif isinstance(values, dict):
        made = [_named(f"{where}: {name}", name, words) for name, words in values.items()]
    else:
        raise UserError(f"{where}: expected a list of values, or names with the words they stand for, got {values!r}")
    if not made:
        raise UserError(f"{where}: expected at least one value")
    names = [value.name for value in made]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: {name} stands twice")
    return dict(zip(names, made, strict=True))


def exceptions_of(where: str, found: object, grid: Mapping[str, Mapping[str, Value]]) -> list[dict[str, set[str]]]:
    """The combinations that are left out: for each some columns with the names of values.

    Raises UserError, beginning with `where`, for a column or a value that the grid does not have.
    """
    if not isinstance(found, list | None):
        raise UserError(f"{where}: expected a list, got {type(found).__name__}")
    made = []
    for one in found or []:
        if not isinstance(one, dict) or not one:
            raise UserError(
                f"{where}: expected columns with values, such as {{memory: bank, facts: [8, 16]}}, got {one!r}"
            )
        made.append({column: names_in(where, str(column), wanted, grid) for column, wanted in one.items()})
    return made


def names_in(where: str, column: str, wanted: object, grid: Mapping[str, Mapping[str, Value]]) -> set[str]:
    """The names of one or several values of a column. Raises UserError where the grid has no such column or value."""
    if column not in grid:
        raise UserError(f"{where}: expected a column of the grid ({', '.join(grid)}), got {column!r}")
    names = {_name(where, value) for value in (wanted if isinstance(wanted, list) else [wanted])}
    unknown = sorted(names - set(grid[column]))
    if unknown:
        raise UserError(f"{where}: {column}: expected one of {', '.join(grid[column])}, got {unknown[0]!r}")
    return names


def _named(where: str, name: object, words: object) -> Value:
    """The value that a line of a mapping describes."""
    text = _name(where, name)
    value = name if isinstance(name, str | int | float | bool) else text
    if isinstance(words, dict):
        parts = {str(part): _words(f"{where}: {part}", inside) for part, inside in words.items()}
        if not parts:
            raise UserError(f"{where}: expected words, or parts with words")
        return Value(text, value, (), parts)
    return Value(text, value, _words(where, words))


def _words(where: str, words: object) -> tuple[str, ...]:
    """Words that a text, split as a shell would, a number or a list stands for; none for null."""
    if words is None:
        return ()
    if isinstance(words, str):
        try:
            return tuple(shlex.split(words))
        except ValueError as error:
            raise UserError(f"{where}: {error} in {words!r}") from error
    if isinstance(words, list):
        return tuple(_name(where, word) for word in words)
    return (_name(where, words),)


def _name(where: str, value: object) -> str:
    """A plain value as a word."""
    if isinstance(value, str | int | float) and value != "" and not (isinstance(value, float) and math.isnan(value)):
        return text_of(value)
    raise UserError(f"{where}: expected a text, a number, true or false, got {value!r}")
