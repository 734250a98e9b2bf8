"""Reading a run's files, and saying which line is wrong when one is.

Files are looked for in the folder and everywhere below it, so that one report can cover several runs:

    rows.jsonl        a line a question: run, policy, clip, kind, truth, prediction, correct, mra, cost, provenance
    frames.jsonl      a line a frame: run, clip, t_s, surprise, gate, boundary, nbytes, ms, true_event, event
    clips.jsonl       a line a finished clip: run, clip; frames of clips without one are those of a killed run
    boundaries.jsonl  a line a source of surprise and clip: source, clip, n_events, auroc, ap, f1, prediction_error,
                      and, where measured, f1_relative, delay_s, per_minute, tolerance_s, condition
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ssm_sense.errors import UserError

Line = dict[str, Any]

_NUMBER = (int, float)
_MAYBE_NUMBER = (int, float, type(None))
_MAYBE_TEXT = (str, type(None))

_ROW_FIELDS: dict[str, tuple[type, ...]] = {
    "run": (str,),
    "policy": (str,),
    "clip": (str,),
    "duration_s": _NUMBER,
    "kind": _MAYBE_TEXT,
    "question": _MAYBE_TEXT,
    "options": (list,),
    "truth": _MAYBE_TEXT,
    "prediction": _MAYBE_TEXT,
    "t_s": _MAYBE_NUMBER,
    "correct": (bool, type(None)),
    "mra": _MAYBE_NUMBER,
    "nbytes": _MAYBE_NUMBER,
    "ms_per_frame": _MAYBE_NUMBER,
}
_FRAME_FIELDS: dict[str, tuple[type, ...]] = {
    "run": (str,),
    "clip": (str,),
    "t_s": _NUMBER,
    "surprise": _MAYBE_NUMBER,
    "gate": _MAYBE_NUMBER,
    "boundary": (bool, type(None)),
    "nbytes": _MAYBE_NUMBER,
    "ms": _MAYBE_NUMBER,
    "true_event": (bool, type(None)),
}
_BOUNDARY_FIELDS: dict[str, tuple[type, ...]] = {
    "source": (str,),
    "clip": (str,),
    "auroc": _MAYBE_NUMBER,
    "n_events": (int,),
}
_CLIP_FIELDS: dict[str, tuple[type, ...]] = {"run": (str,), "clip": (str,)}

_SHARES = {"mra", "auroc"}
_SHOWN = 60


@dataclass
class Track:
    """One clip as one run watched it: a value a frame, nan where there is none."""

    run: str
    clip: str
    t_s: np.ndarray
    surprise: np.ndarray
    gate: np.ndarray
    nbytes: np.ndarray
    ms: np.ndarray
    found_s: list[float]
    events: list[tuple[float, str]] | None
    """True events, those at the first frame included; None where nobody knows them."""


@dataclass
class Evidence:
    """All that a report is made from."""

    folder: Path
    rows: list[Line]
    tracks: list[Track] = field(default_factory=list)
    boundaries: list[Line] = field(default_factory=list)

    def policy(self, run: str) -> str:
        """The policy of a run; the run's own name if it was asked nothing."""
        return self._policies.get(run, run)

    @cached_property
    def _policies(self) -> dict[str, str]:
        return {row["run"]: row["policy"] for row in self.rows}


def question_of(row: Line) -> tuple[Any, ...]:
    """What a row asks, and when; a data set may ask the same twice."""
    return (row["clip"], row["kind"], row["question"], *row["options"], row["t_s"])


def time_of(row: Line, name: str) -> float | None:
    """How long an answer took, "answer_ms" or "first_pass_ms"; None where that is not known.

    Nor where something else was asked since the newest frame: what a policy read for that, it may have kept.
    """
    return row.get(name) if row.get("first_asked", True) else None


def read(folder: Path) -> Evidence:
    """Read all files in and below a folder.

    Raises UserError for a folder without rows.jsonl, files without rows, a line that is damaged or lacks a field,
    and a question that stands in two files for one run.
    """
    if not folder.is_dir():
        found = "this is a file" if folder.is_file() else "there is no such folder"
        raise UserError(f"{folder}: expected a folder with rows.jsonl in it or below it, but {found}")
    files = sorted(folder.rglob("rows.jsonl"))
    if not files:
        raise UserError(f"{folder}: expected rows.jsonl in it or below it, as `ssm-sense evaluate` writes it")
    rows: list[Line] = []
    places: dict[tuple[Any, ...], tuple[Path, int]] = {}
    for file in files:
        for number, row in _lines(file, _ROW_FIELDS):
            key = (row["run"], *question_of(row))
            first, line = places.setdefault(key, (file, number))
            if first != file:  # in one file, it is the data set that asks twice
                raise UserError(
                    f"{file}, line {number}: repeats run {row['run']!r}, clip {row['clip']!r} of {first}, line {line}"
                )
            rows.append(row)
    if not rows:
        raise UserError(f"{files[0]}: expected at least one row, found none; did the evaluation finish a clip?")
    evidence = Evidence(folder, rows)
    for file in sorted(folder.rglob("frames.jsonl")):
        evidence.tracks += _tracks(file)
    for file in sorted(folder.rglob("boundaries.jsonl")):
        evidence.boundaries += [line for _, line in _lines(file, _BOUNDARY_FIELDS)]
    return evidence


def _tracks(file: Path) -> Iterator[Track]:
    """The clips of one frames.jsonl, those of a killed run left out."""
    ledger = file.with_name("clips.jsonl")
    finished = {(c["run"], c["clip"]) for _, c in _lines(ledger, _CLIP_FIELDS)} if ledger.exists() else None
    columns: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for _, frame in _lines(file, _FRAME_FIELDS):
        values = (*(frame[name] for name in _FRAME_FIELDS if name not in ("run", "clip")), frame.get("event"))
        columns.setdefault((frame["run"], frame["clip"]), []).append(values)
    for (run, clip), frames in columns.items():
        if finished is not None and (run, clip) not in finished:
            continue
        t_s, surprise, gate, boundary, nbytes, ms, true_event, label = zip(*frames, strict=True)
        if any(later <= sooner for sooner, later in pairwise(t_s)):
            raise UserError(f"{file}: expected increasing t_s in run {run!r}, clip {clip!r}; is it there twice?")
        known = any(event is not None for event in true_event)
        events = [(t, name or "") for t, true, name in zip(t_s, true_event, label, strict=True) if true]
        yield Track(
            run=run,
            clip=clip,
            t_s=np.array(t_s, dtype=float),
            surprise=np.array(surprise, dtype=float),
            gate=np.array(gate, dtype=float),
            nbytes=np.array(nbytes, dtype=float),
            ms=np.array(ms, dtype=float),
            found_s=[t for t, found in zip(t_s, boundary, strict=True) if found],
            events=events if known else None,
        )


def _lines(file: Path, fields: Mapping[str, tuple[type, ...]]) -> Iterator[tuple[int, Line]]:
    """The lines of a file with their numbers, each checked."""
    with open(file, encoding="utf-8") as stream:
        for number, text in enumerate(stream, start=1):
            place = f"{file}, line {number}"
            try:
                line = json.loads(text)
            except json.JSONDecodeError as error:
                raise UserError(f"{place}: expected a JSON object, got {text.strip()[:_SHOWN]!r}") from error
            if not isinstance(line, dict):
                raise UserError(f"{place}: expected a JSON object, got {text.strip()[:_SHOWN]!r}")
            for name, types in fields.items():
                if name not in line:
                    raise UserError(f"{place}: expected a field {name!r}, found {', '.join(line) or 'none'}")
                value = line[name]
                if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                    wanted = " or ".join("null" if t is type(None) else t.__name__ for t in types)
                    raise UserError(f"{place}: expected {name!r} to be {wanted}, got {value!r}")
                if name in _SHARES and isinstance(value, int | float) and not 0 <= value <= 1:
                    raise UserError(f"{place}: expected {name!r} in [0, 1], got {value!r}")
            yield number, line
