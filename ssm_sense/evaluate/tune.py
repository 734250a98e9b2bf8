"""Settings of a policy, picked on validation streams: every combination of a grid is evaluated, and one is taken.

A combination's score is the mean credit of its answers (right or wrong for choices and words, mean relative accuracy
for counts), each kind of question weighing the same. Of combinations that score the same, that wins whose counts are
nearest by |log((p + 1) / (g + 1))|, for where all counts are poor their relative accuracy is 0 alike.
"""

import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ssm_sense.data.clip import Clip
from ssm_sense.errors import UserError
from ssm_sense.evaluate.folder import Line
from ssm_sense.evaluate.run import RunInfo
from ssm_sense.evaluate.watch import evaluate
from ssm_sense.memory.policy import Policy
from ssm_sense.metrics.answer import parse_number
from ssm_sense.state import write_whole
from ssm_sense.stream import Session

MOST = 32
"""Combinations of one tuning."""
TIE = 1e-9
"""How near two scores are that count as the same."""

Settings = dict[str, Any]


class Outcome(NamedTuple):
    """What one combination of settings earned.

    score: in [0, 1]. log_ratio: mean of |log((p + 1) / (g + 1))| over counts p of a truth g; None where nothing was
    counted. n: questions. kinds: of each kind of question ``n`` and ``credit``. failed: clips; where one failed, the
    combination is not picked. paper: every setting but the budget is at its default, which is the paper's.
    """

    settings: Settings
    score: float
    log_ratio: float | None
    n: int
    kinds: dict[str, dict[str, float]]
    failed: int
    paper: bool


def combinations(grid: Any) -> list[Settings]:
    """All combinations of a grid, the last setting changing fastest; what comes twice comes once.

    grid: settings by name, each with a list of values, or a list of several such, as a YAML file holds them.

    Raises UserError for anything else, for no combination and for more than `MOST`.
    """
    blocks = grid if isinstance(grid, list) else [grid]
    if not blocks or not all(isinstance(block, dict) and block and _has_lists(block) for block in blocks):
        raise UserError(f"expected settings by name, each with a list of values, or a list of several such, got {grid}")
    n = sum(math.prod(map(len, block.values())) for block in blocks)
    if n > MOST:
        raise UserError(f"expected {MOST} combinations or fewer, got {n}")
    found: list[Settings] = []
    for block in blocks:
        crossed: list[Settings] = [{}]
        for name, values in block.items():
            crossed = [{**one, name: value} for one in crossed for value in values]
        found += [one for one in crossed if one not in found]
    return found


def _has_lists(block: Mapping[str, Any]) -> bool:
    return all(isinstance(values, list) and values for values in block.values())


def watch_all(
    session: Session,
    runs: Sequence[tuple[RunInfo, Sequence[Clip]]],
    folder: Path,
    on_clip: Callable[[], object] = lambda: None,
) -> tuple[list[Line], int]:
    """Evaluate a session on several sets of clips, all in one folder, going on where it was.

    Returns all rows, those that were there before included, and how many clips failed. on_clip: called after each.
    """

    def told(clips: Sequence[Clip]) -> Iterator[Clip]:
        for clip in clips:
            yield clip
            on_clip()

    failed = sum(evaluate(told(clips), session, folder, run, progress=False).failed for run, clips in runs)
    with open(folder / "rows.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file], failed


def outcome(settings: Settings, rows: Sequence[Line], failed: int = 0, paper: bool = False) -> Outcome:
    """What a combination earned, from the rows of its questions."""
    credits: dict[str, list[float]] = {}
    for row in rows:
        credits.setdefault(row["kind"], []).append(float(row["correct"] if row["mra"] is None else row["mra"]))
    kinds = {kind: {"n": len(some), "credit": sum(some) / len(some)} for kind, some in sorted(credits.items())}
    score = sum(kind["credit"] for kind in kinds.values()) / len(kinds)
    ratios = [_log_ratio(row["prediction"], float(row["truth"])) for row in rows if row["mra"] is not None]
    return Outcome(settings, score, sum(ratios) / len(ratios) if ratios else None, len(rows), kinds, failed, paper)


def _log_ratio(prediction: str | None, truth: float) -> float:
    """|log((p + 1) / (g + 1))|; an answer without a number, or with one below 0, counts as 0."""
    count = None if prediction is None else parse_number(prediction)
    return abs(math.log((max(count or 0.0, 0.0) + 1) / (truth + 1)))


def is_paper(memory: Policy, settings: Mapping[str, Any]) -> bool:
    """Whether all settings of a policy but its budget are at their defaults."""
    known = inspect.signature(type(memory)).parameters
    return all(known[name].default == value for name, value in settings.items() if name != "budget_bytes")


def pick(outcomes: Sequence[Outcome]) -> Outcome:
    """The best: by score, then by log ratio, then the paper's, then the first. Raises UserError where all failed."""
    left = [one for one in outcomes if not one.failed]
    if not left:
        raise UserError("every combination failed on some stream; the rows say why")
    best = max(one.score for one in left)
    left = [one for one in left if one.score >= best - TIE]
    nearest = min(one.log_ratio or 0.0 for one in left)
    left = [one for one in left if (one.log_ratio or 0.0) <= nearest + TIE]
    return next((one for one in left if one.paper), left[0])


def write(out: Path, chosen: Settings, said: Sequence[str], record: Mapping[str, Any]) -> None:
    """P.json with the record, and then `out`, P.yaml, with what was chosen below comments; each whole or not at all."""
    whole = json.dumps(record, indent=2, allow_nan=False) + "\n"
    text = "".join(f"# {line}\n" for line in said) + yaml.safe_dump(chosen, sort_keys=False)
    write_whole(out.with_suffix(".json"), lambda partial: partial.write_text(whole, encoding="utf-8"))
    write_whole(out, lambda partial: partial.write_text(text, encoding="utf-8"))
