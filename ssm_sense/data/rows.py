"""Rows of the tables that datasets come with: parquet, or a JSON object a line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssm_sense.errors import UserError

Row = Mapping[str, Any]
LONGEST_LINE_BYTES = 16 << 20
_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, ValueError, MemoryError)


def read_table(table: Path) -> list[dict[str, Any]]:
    """All rows of a .parquet or .jsonl file. Raises UserError, naming the file and where known the row."""
    if not table.is_file():
        raise UserError(f"{table}: no such file")
    if table.suffix == ".jsonl":
        rows = [row for _, row in read_jsonl(table)]
    else:
        try:
            rows = pq.read_table(table).to_pylist()
        except _DAMAGE as error:
            raise UserError(f"{table}: not a table that can be read: {error}") from error
    if not rows:
        raise UserError(f"{table}: expected questions, found no row")
    return rows


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The offset and the object of every line, one at a time. Raises UserError, naming file and row (from 0)."""
    try:
        with path.open("rb") as file:
            offset = number = 0
            while line := file.readline(LONGEST_LINE_BYTES):
                if line.strip():
                    yield offset, parse_line(path, number, line)
                offset, number = offset + len(line), number + 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """One line of a jsonl file. Raises UserError where it is no JSON object."""
    if len(line) >= LONGEST_LINE_BYTES:
        raise UserError(f"{path}, row {number}: expected at most {LONGEST_LINE_BYTES:,} bytes")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}, row {number}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UserError(f"{path}, row {number}: expected an object, got {type(row).__name__}")
    return row


def text_of(row: Row, column: str) -> str:
    """A text that a row must have. Raises ValueError where it has none."""
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text in column {column!r}, got {value!r}")
    return value
