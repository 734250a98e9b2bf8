"""A cell's result files, flattened: nested names are joined by dots."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssm_sense.errors import UserError

Flat = dict[str, str | int | float | bool | None]


def collect(files: Sequence[Path], keep: Sequence[str] = ()) -> Flat | list[Flat]:
    """What the files hold together, a list where one of them does.

    A .json file holds an object or a list of objects, a .jsonl file an object a line, a .csv file (Lightning's
    metrics.csv) counts with the last value of each column. keep: the columns that are kept, all if there are none.

    Raises UserError for a file that is missing, is nothing of that, or names what another one names, where two of them
    hold lists, and where a column of `keep` is in none.
    """
    shared: Flat = {}
    several: list[Flat] | None = None
    for file in files:
        found = _read(file)
        if isinstance(found, dict):
            _merge(shared, _flat(found), file)
        elif several is None:
            several = [_flat(one) for one in found]
        else:
            raise UserError(f"{file}: expected one file with a list of results, this is the second")
    if several is not None:
        for one in several:
            _merge(one, shared, files[0])
    lines = [shared] if several is None else several
    if not any(lines):
        raise UserError(f"{files[0]}: expected a result, got nothing")
    for name in keep:
        if not any(name in line for line in lines):
            raise UserError(f"{files[0]}: expected {name!r} in the result, got {', '.join(list(lines[0])[:20])}")
    kept = [{name: value for name, value in line.items() if not keep or name in keep} for line in lines]
    return kept[0] if several is None else kept


def _read(file: Path) -> dict[str, Any] | list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".csv":
            return _last_values(text)
        found = (
            [json.loads(line) for line in text.splitlines() if line] if file.suffix == ".jsonl" else json.loads(text)
        )
    except FileNotFoundError as error:
        raise UserError(f"{file}: expected the commands of the cell to write it") from error
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {error}") from error
    if isinstance(found, dict) or (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
        return found
    raise UserError(f"{file}: expected an object, or a list of objects, got {type(found).__name__}")


def _last_values(text: str) -> dict[str, Any]:
    """The last value of every column of a CSV file; numbers where they are."""
    last: dict[str, Any] = {}
    for line in csv.DictReader(text.splitlines()):
        for name, value in line.items():
            if value:
                last[name] = _number(value)
    return last


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _flat(value: dict[str, Any], prefix: str = "") -> Flat:
    """One level: {"a": {"b": 1}, "c": [2, 3]} becomes {"a.b": 1, "c.0": 2, "c.1": 3}."""
    flat: Flat = {}
    for key, inside in value.items():
        if isinstance(inside, list):
            inside = {str(i): one for i, one in enumerate(inside)}
        if isinstance(inside, dict):
            flat.update(_flat(inside, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = inside
    return flat


def _merge(into: Flat, more: Flat, file: Path) -> None:
    twice = sorted(into.keys() & more.keys())
    if twice:
        raise UserError(f"{file}: {twice[0]!r} is in another result file too")
    into.update(more)
