"""A table a benchmark: a line a policy, a column a task, and the average that the benchmark's authors publish."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ssm_sense.metrics.interval import Estimate
from ssm_sense.metrics.vsi_bench import TASKS, bench_estimate, bench_scores
from ssm_sense.report.palette import BLIND, VARIABLES, Palette
from ssm_sense.report.rows import Line
from ssm_sense.report.scores import budget_of, credit, kind_title, minutes_of, series, settings_of
from ssm_sense.report.tables import mean, short_bytes

_NAMES = {"vsi-super": "VSI-SUPER", "vsi-bench": "VSI-Bench", "vsi-590k": "VSI-590K"}
_NOTES = {
    "vsi-super": "Each task and length by itself, as VSI-SUPER is reported; it has no average over them.",
    "vsi-bench": "Average: the mean of the tasks, of which relative direction is the mean of its levels, as VSI-Bench "
    "has it; tasks that were not asked are left out.",
    "vsi-590k": "VSI-590K is made to train on and has no official score.",
}
_KINDS = ("vsr", "vsc", "vsc-streaming")


@dataclass(frozen=True)
class Entry:
    """One policy's scores in [0, 1], by column, and the official average where there is one."""

    label: str
    policy: str
    scores: dict[str, float]
    average: Estimate | None
    questions: int

    @property
    def rank(self) -> float:
        """What lines are sorted by."""
        return self.average.value if self.average else mean(self.scores.values())


@dataclass(frozen=True)
class Benchmark:
    """One benchmark and data set, with a line a policy."""

    layout: str
    title: str
    columns: list[str]
    entries: list[Entry]


def benchmarks(rows: Sequence[Line]) -> list[Benchmark]:
    """Every benchmark that the runs name (`benchmark` in their settings), data sets apart."""
    found: dict[tuple[str, str], list[Line]] = {}
    for row in rows:
        layout = settings_of(row).get("benchmark")
        if layout in _NAMES and row["kind"] is not None and credit(row) is not None:
            found.setdefault((layout, str(settings_of(row).get("dataset") or "")), []).append(row)
    order = list(_NAMES)
    return [_benchmark(*key, found[key]) for key in sorted(found, key=lambda key: (order.index(key[0]), key[1]))]


def _benchmark(layout: str, dataset: str, rows: list[Line]) -> Benchmark:
    """Runs that differ in nothing but the length of their videos, or in which tasks they asked, share a line."""
    lines: dict[str, list[Line]] = {}
    for row in rows:
        others = sorted((k, repr(v)) for k, v in settings_of(row).items() if k not in ("minutes", "task"))
        lines.setdefault(repr((series(row), row.get("config"), row.get("seed"), others)), []).append(row)
    policies = Counter(series(chosen[0]) for chosen in lines.values())
    budgets = Counter((series(chosen[0]), budget_of(chosen[0])) for chosen in lines.values())
    entries = []
    for chosen in lines.values():
        policy = series(chosen[0])
        runs = ", ".join(dict.fromkeys(row["run"] for row in chosen))
        budget = budget_of(chosen[0])
        told = runs if budget is None or budgets[policy, budget] > 1 else short_bytes(budget)
        label = policy if policies[policy] == 1 else f"{policy} · {told}"
        entries.append(_entry(layout, label, policy, chosen))
    entries.sort(key=lambda entry: (entry.policy == BLIND, -entry.rank, entry.label))
    title = _NAMES[layout] if dataset in ("", _NAMES[layout]) else f"{_NAMES[layout]} · {dataset}"
    return Benchmark(layout, title, _columns(layout, rows), entries)


def _columns(layout: str, rows: Iterable[Line]) -> list[str]:
    if layout == "vsi-bench":
        return [kind_title(task) for task in TASKS]
    if layout == "vsi-590k":
        return sorted({kind_title(row["kind"]) for row in rows})
    cells = {(_KINDS.index(row["kind"]), minutes_of(row) or 0.0): _length(row) for row in rows if row["kind"] in _KINDS}
    return list(dict.fromkeys(cells[key] for key in sorted(cells)))


def _length(row: Line) -> str:
    minutes = minutes_of(row)
    return kind_title(row["kind"]) if minutes is None else f"{kind_title(row['kind'])} {minutes:.3g} min"


def _entry(layout: str, label: str, policy: str, rows: list[Line]) -> Entry:
    credits = [credit(row) or 0.0 for row in rows]
    kinds = [row["kind"] for row in rows]
    if layout == "vsi-bench":
        scores = bench_scores(zip(kinds, credits, strict=True))
        average = bench_estimate(kinds, credits, [row["clip"] for row in rows]) if scores else None
        columns = {kind_title(task): value for task, value in scores.items() if task in TASKS}
        return Entry(label, policy, columns, average, len(rows))
    cells: dict[str, list[float]] = {}
    for row, value in zip(rows, credits, strict=True):
        name = _length(row) if layout == "vsi-super" else kind_title(row["kind"])
        cells.setdefault(name, []).append(value)
    return Entry(label, policy, {name: mean(values) for name, values in cells.items()}, None, len(rows))


def benchmark_csv(found: Sequence[Benchmark]) -> list[dict[str, Any]]:
    """benchmarks.csv: a line a score, the official average among them as task "average"."""
    lines = []
    for bench in found:
        for entry in bench.entries:
            same = {"benchmark": bench.title, "policy": entry.label}
            lines += [
                {**same, "task": task, "score": entry.scores[task], "low95": math.nan, "high95": math.nan}
                for task in bench.columns
                if task in entry.scores
            ]
            if entry.average:
                value, low, high = entry.average[:3]
                lines.append({**same, "task": "average", "score": value, "low95": low, "high95": high})
    return lines


def benchmarks_section(found: Sequence[Benchmark], palette: Palette) -> str:
    """The tables, one under the other."""
    return "<h2>Benchmarks</h2>\n" + "\n".join(_table(bench, palette) for bench in found)


def _table(bench: Benchmark, palette: Palette) -> str:
    averaged = any(entry.average for entry in bench.entries)
    names = [*(["Average", "95% interval"] if averaged else []), *bench.columns, "n"]
    head = "".join(f'<th class="head">{escape(name)}</th>' for name in names)
    body = "".join(_row(entry, bench.columns, averaged, palette) for entry in bench.entries)
    interval = " Interval: a bootstrap over streams." if averaged else ""
    return (
        f'<div class="scroll"><table class="benchmark"><thead><tr><th>Policy</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>\n"
        f'<p class="caption"><b>{escape(bench.title)}, in percent.</b> Letters and words: the share that is right; '
        f"numbers: MRA. {_NOTES[bench.layout]}{interval} n: questions.</p>"
    )


def _row(entry: Entry, columns: Sequence[str], averaged: bool, palette: Palette) -> str:
    swatch = f'<span class="swatch" style="background:var({VARIABLES[palette.colour(entry.policy)]})"></span>'
    label = escape(entry.label).replace("_", "_<wbr>")
    cells = f'<td><div class="policy">{swatch}<span>{label}</span></div></td>'
    if averaged:
        value, low, high = entry.average[:3] if entry.average else (math.nan,) * 3
        ends = "–" if math.isnan(low) else f"{100 * low:.1f} – {100 * high:.1f}"
        cells += f'<td class="score">{_percent(value)}</td><td class="range">{ends}</td>'
    cells += "".join(f"<td>{_percent(entry.scores.get(column, math.nan))}</td>" for column in columns)
    return f"<tr>{cells}<td>{entry.questions}</td></tr>"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"
