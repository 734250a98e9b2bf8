"""Means over seeds with their intervals, from the lines of rows.jsonl alone, as table.csv and table.md.

The interval is Student's t over the seeds' own means, at 95%: it tells how far another seed may lie off, not another
test set. It knows no bounds, so a share may reach above 1.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ssm_sense.errors import UserError
from ssm_sense.metrics.interval import CONFIDENCE, student
from ssm_sense.sweep.columns import Scalar, text_of
from ssm_sense.sweep.plan import Plan
from ssm_sense.sweep.rows import Line

_HASH = re.compile(r"^([0-9a-f]{9})[0-9a-f]{31}")


@dataclass(frozen=True)
class Mean:
    """A mean over `n` seeds, with the ends of its interval, nan for a single seed."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Group:
    """One combination of the columns, and the mean of each metric in it; those never measured are not there."""

    columns: Mapping[str, Scalar | None]
    means: Mapping[str, Mean]


def over_seeds(values: Sequence[float]) -> Mean:
    """The mean of one number a seed, with Student's interval. Raises ValueError for none."""
    if not values:
        raise ValueError("expected at least one value, got none")
    n, mean = len(values), fmean(values)
    if n == 1:
        return Mean(mean, math.nan, math.nan, 1)
    half = student((1 + CONFIDENCE) / 2, n - 1) * stdev(values) / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, n)


def summarise(plan: Plan, lines: Sequence[Line], columns: Sequence[str] | None = None) -> list[Group]:
    """The groups of a sweep in the order of its lines, those that failed left out.

    columns: those that tell groups apart, all of the grid and of `by` unless they are given. Whatever else one seed has
    in a group, from several lines of a cell's result or from several cells, counts with its mean.
    Raises UserError where a column of `by`, or every number of a metric that the figure names, is missing.
    """
    names = (*plan.columns, *plan.by) if columns is None else tuple(columns)
    groups = [
        Group(
            dict(zip(names, key, strict=True)),
            {name: over_seeds(list(seeds.values())) for name, seeds in found.items()},
        )
        for key, found in by_seed(plan, lines, names).items()
    ]
    known = list(dict.fromkeys(name for group in groups for name in group.means))
    for name in plan.figure.y:
        if groups and name not in known:
            raise UserError(f"figure: y: expected a number of the result ({', '.join(known[:20])}), got {name!r}")
    return groups


def by_seed(
    plan: Plan, lines: Sequence[Line], columns: Sequence[str]
) -> dict[tuple[Scalar | None, ...], dict[str, dict[int, float]]]:
    """Values of the columns to metric to seed to its mean. Raises UserError where a column of `by` is missing."""
    values: dict[tuple[Scalar | None, ...], dict[str, dict[int, list[float]]]] = {}
    for line in lines:
        if line["error"] is not None:
            continue
        for result in line["result"] if isinstance(line["result"], list) else [line["result"]]:
            lacking = [name for name in plan.by if name not in result]
            if lacking:
                raise UserError(f"{line['cell']}: expected a column {lacking[0]!r} in the result, for 'by' names it")
            point = {**line["grid"], **result}
            of_group = values.setdefault(tuple(point.get(name) for name in columns), {})
            for name, value in _numbers(plan, result).items():
                of_group.setdefault(name, {}).setdefault(line["seed"], []).append(value)
    return {
        key: {name: {seed: fmean(several) for seed, several in seeds.items()} for name, seeds in found.items()}
        for key, found in values.items()
    }


def _numbers(plan: Plan, result: Mapping[str, Any]) -> dict[str, float]:
    """What was measured, and the plan's means of it, each where all that it is a mean of was measured."""
    known = {
        name: float(value) for name, value in result.items() if name not in plan.by and isinstance(value, int | float)
    }
    means = {
        name: fmean(known[part] for part in parts)
        for name, parts in plan.means.items()
        if all(part in known for part in parts)
    }
    return {**known, **means}


def metrics_of(plan: Plan, groups: Sequence[Group]) -> list[str]:
    """What the readable table shows: the figure's metrics, or else all."""
    return list(plan.figure.y) or list(dict.fromkeys(name for group in groups for name in group.means))


def write_csv(path: Path, plan: Plan, groups: Sequence[Group]) -> None:
    """All means, a line each: the columns, metric, mean, low, high, seeds."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*plan.columns, *plan.by, "metric", "mean", "low", "high", "seeds"])
        for group in groups:
            for name, mean in group.means.items():
                ends = ["" if math.isnan(end) else f"{end:.6g}" for end in (mean.low, mean.high)]
                writer.writerow([*group.columns.values(), name, f"{mean.value:.6g}", *ends, mean.n])


def markdown(plan: Plan, groups: Sequence[Group], lines: Sequence[Line], compared: str = "") -> str:
    """The readable table; above it its rung, below it how to read it, what is missing and which commits it comes from.

    compared: what stands between the last two, see `compare`. A row that names no rung is of the plan's.
    """
    rungs = sorted({rung for line in lines if (rung := line.get("rung") or plan.rung) is not None})
    heading = [f"**Rung**: {escaped(', '.join(rungs))}", ""] if rungs else []
    metrics = metrics_of(plan, groups)
    labels = [plan.figure.labels.get(name, name) for name in (*plan.columns, *plan.by, *metrics)]
    table = ["| " + " | ".join(map(escaped, labels)) + " |", "|" + "---|" * len(labels)]
    for group in groups:
        shown = [show(group.means.get(name)) for name in metrics]
        table.append("| " + " | ".join(map(escaped, [*group.columns.values(), *shown])) + " |")
    failed = [line for line in lines if line["error"] is not None]
    missing = len(plan.cells) - len(lines)
    seeds = sorted({mean.n for group in groups for mean in group.means.values()})
    said = "between " + " and ".join(map(str, (seeds[0], seeds[-1]))) if len(seeds) > 1 else "".join(map(str, seeds))
    notes = [f"Mean and, in brackets, {CONFIDENCE:.0%} interval by Student's t over seeds ({said or 'no'} of them)."]
    if missing:
        notes.append(f"{missing} of {len(plan.cells)} cells were not run.")
    if failed:
        notes.append(f"{len(failed)} of {len(plan.cells)} cells failed:")
    commits = sorted({_HASH.sub(r"\1", str(line.get("commit", "unknown"))) for line in lines})
    made = f"Made by `ssm-sense sweep {(plan.folder / 'sweep.yaml').as_posix()}`, rows of commit {', '.join(commits)}."
    errors = [f"- `{line['cell']}`: {line['error'].splitlines()[0]}" for line in failed]
    said_last = [*([compared.rstrip(), ""] if compared else []), made]
    return "\n".join([*heading, *table, "", " ".join(notes), *([""] * bool(errors)), *errors, "", *said_last]) + "\n"


def short(value: float) -> str:
    """Three figures, or all of a large number's whole ones: ".873" is written 0.873, 12345.6 as 12,346."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show(mean: Mean | None) -> str:
    """A mean with its interval; nothing where there is none."""
    if mean is None:
        return ""
    return short(mean.value) if math.isnan(mean.low) else f"{short(mean.value)} [{short(mean.low)}, {short(mean.high)}]"


def escaped(value: object) -> str:
    """A value as it stands in a Markdown table."""
    text = "" if value is None else text_of(value)
    return text.replace("|", "\\|").replace("\n", " ")
