"""rows.jsonl of a sweep: a line a cell, appended whole, whatever ends the sweep.

The last line of a cell is the one that counts; a torn line at the end of the file does not. When a sweep ends, the
lines are put in the order of the plan and those that a later one replaced are dropped. One sweep at a time may write,
and it reads within its lock.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssm_sense.errors import UserError
from ssm_sense.strict_json import json_line

Line = dict[str, Any]
NAMES = ("cell", "grid", "seed", "result", "error")


class SweepRows:
    """The lines of a sweep so far. Raises UserError if rows.jsonl is damaged elsewhere than at its end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rows.jsonl"
        self._lines: dict[str, Line] = {}
        self._torn = False
        if self.path.exists():
            try:
                text = self.path.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                raise UserError(f"{self.path}: cannot be read: {error.strerror}") from error
            *whole, last = text.split("\n")
            self._torn = bool(last)
            for number, one in enumerate(whole, start=1):
                if one:
                    line = _parse(one, self.path, number)
                    self._lines[line["cell"]] = line

    @property
    def finished(self) -> set[str]:
        """Cells that have a result."""
        return {name for name, line in self._lines.items() if line["error"] is None}

    def of(self, cells: Sequence[str]) -> list[Line]:
        """The lines of those of the cells that were run, in the cells' order."""
        return [self._lines[name] for name in cells if name in self._lines]

    def others(self, cells: Sequence[str]) -> int:
        """How many lines are of none of the cells: what they ran, sweep.yaml no longer says."""
        return len(self._lines.keys() - set(cells))

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a cell's line and force it to disk."""
        if self._torn:
            self._replace("".join(map(json_line, self._lines.values())))
            self._torn = False
        text = json_line(line)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._lines[str(line["cell"])] = json.loads(text)

    def settle(self, cells: Sequence[str]) -> None:
        """Put the lines in the order of the cells, others last, in one step; an unchanged file is left untouched."""
        order = [*(name for name in cells if name in self._lines), *(name for name in self._lines if name not in cells)]
        text = "".join(json_line(self._lines[name]) for name in order)
        if self.path.exists() and self.path.read_text(encoding="utf-8", errors="replace") != text:
            self._replace(text)

    def _replace(self, text: str) -> None:
        partial = self.path.with_name(f".{self.path.name}.partial")
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path)


def _parse(text: str, path: Path, number: int) -> Line:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: expected a JSON object, got {text[:60]!r}") from error
    if not (isinstance(line, dict) and all(name in line for name in NAMES) and isinstance(line["grid"], dict)):
        raise UserError(f"{path}, line {number}: expected an object with {', '.join(NAMES)}, got {text[:60]!r}")
    return line
