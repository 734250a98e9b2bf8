"""Scores: every kind of question, every run on it, beside what needs no video."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssm_sense.metrics.interval import Estimate, proportion, stream_mean
from ssm_sense.metrics.score import best_constant
from ssm_sense.report.palette import BLIND
from ssm_sense.report.rows import Line, time_of
from ssm_sense.report.tables import mean, short_bytes

_KINDS = {"vsr": "Recall (VSR)", "vsc": "Count (VSC)", "vsc-streaming": "Count while streaming (VSC)"}
WHOLE = ("vsr", "vsc")
"""Kinds that ask about all that was seen so far."""


@dataclass(frozen=True)
class Score:
    """One run's score on one group of questions."""

    label: str
    policy: str
    run: str
    estimate: Estimate
    failed: int
    """Questions without an answer because the clip failed; they count as wrong."""
    unscored: int
    """Questions that the scorer crashed on; they count nowhere."""
    nbytes: float
    ms_per_frame: float
    ms_per_answer: float
    told_ahead: bool
    """The policy knew the questions before the stream began."""


@dataclass(frozen=True)
class Group:
    """Questions of one kind, data set and length, and what every run scored on them."""

    title: str
    measure: str
    """"accuracy" or "MRA"."""
    interval: str
    questions: int
    floor: float
    floor_label: str
    scores: list[Score]

    @property
    def blind(self) -> Score | None:
        """The score of the model that sees nothing, if it was run."""
        return next((score for score in self.scores if score.policy == BLIND), None)


def kind_title(kind: str) -> str:
    """A kind of question as people read it."""
    return _KINDS.get(kind, kind.replace("_", " "))


def series(row: Line) -> str:
    """The policy that a row counts for; what was asked with a grey frame in place of the stream counts as blind."""
    return BLIND if row.get("blind") else row["policy"]


def score_groups(rows: Sequence[Line]) -> list[Group]:
    """Every kind of question with its scores: recall, count, then the easy kinds by name; short streams first.

    Lengths are told apart: those that the runs name (`minutes` in their settings), or else durations that differ by
    more than a quarter; but those of VSI-Bench and VSI-590K are not, whose videos are of all lengths. So are data sets,
    where the settings name one (`dataset`). Questions of which nobody has a score, as where a cap cut all off, are left
    out.
    """
    groups = (_group(title, chosen) for title, chosen in titled_groups(rows))
    return [group for group in groups if group.scores]


def titled_groups(rows: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The rows of each group of `score_groups`, with its title."""
    return [
        (" · ".join(part for part in (name, length) if part), chosen)
        for name, of in by_kind(rows)
        for length, chosen in by_length(of)
    ]


def groups_of_all_lengths(rows: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The rows of each kind of question that `titled_groups` tells apart by length, all lengths together."""
    return [(f"{name} · all lengths", of) for name, of in by_kind(rows) if len(by_length(of)) > 1]


def main_endpoints(rows: Sequence[Line]) -> set[str]:
    """The title of the group that stands for each kind of question: all lengths together, or the only one."""
    alone = [row for _, of in by_kind(rows) if len(by_length(of)) == 1 for row in of]
    return {title for title, _ in (*groups_of_all_lengths(rows), *titled_groups(alone))}


def by_kind(rows: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The rows of each kind of question and data set, with both in words: recall, count, then the easy kinds."""
    kinds: dict[tuple[str, str], list[Line]] = {}
    for row in rows:
        if row["kind"] is not None:
            dataset = str(settings_of(row).get("dataset") or "")
            kinds.setdefault((row["kind"], dataset), []).append(row)
    order = list(_KINDS)
    places = sorted(kinds, key=lambda key: (order.index(key[0]) if key[0] in order else len(order), *key))
    return [
        (" · ".join(part for part in (kind_title(kind), dataset) if part), kinds[kind, dataset])
        for kind, dataset in places
    ]


def by_length(rows: list[Line]) -> list[tuple[str, list[Line]]]:
    """Rows of equally long streams, short ones first, each with that length in words."""
    if settings_of(rows[0]).get("benchmark") in ("vsi-bench", "vsi-590k"):
        return [("", rows)]
    named: dict[float, list[Line]] = {}
    others: list[Line] = []
    for row in rows:
        minutes = minutes_of(row)
        (others if minutes is None else named.setdefault(minutes, [])).append(row)
    lengths = [(minutes * 60.0, f"{minutes:g} min", chosen) for minutes, chosen in named.items()]
    similar: list[Line] = []
    for row in sorted(others, key=lambda row: row["duration_s"]):
        if similar and row["duration_s"] > 1.25 * similar[0]["duration_s"]:
            lengths.append((similar[0]["duration_s"], _span(similar), similar))
            similar = []
        similar.append(row)
    if similar:
        lengths.append((similar[0]["duration_s"], _span(similar), similar))
    return [(words, chosen) for _, words, chosen in sorted(lengths, key=lambda length: length[:2])]


def settings_of(row: Line) -> Mapping[str, Any]:
    """The settings of a row's run."""
    return row.get("settings") or {}


def budget_of(row: Line) -> int | None:
    """The bytes that a row's policy was allowed, where its run named any."""
    policy = settings_of(row).get("policy")
    budget = policy.get("budget_bytes") if isinstance(policy, dict) else None
    return budget if isinstance(budget, int) else None


def minutes_of(row: Line) -> float | None:
    """The length of stream that a question stands for, where its run names one.

    A question about the whole of what was seen, in a run that asks at several durations, stands for the time at which
    it was asked; and after several showings of one video, for so many times its length.
    """
    settings = settings_of(row)
    if settings.get("repeat") and row["kind"] in WHOLE:
        showings = round(row["t_s"] / row["duration_s"] * (1 + max(settings["repeat"])))
        if showings > 1:
            return float(settings["minutes"]) * showings
    if settings.get("ask_at") and row["kind"] in WHOLE:
        return float(row["t_s"]) / 60
    minutes = settings.get("minutes")
    return float(minutes) if isinstance(minutes, int | float) else None


def credit(row: Line) -> float | None:
    """What an answer earned, in [0, 1]: its MRA, or whether it was right; None where the scorer crashed on it."""
    if row["mra"] is not None:
        return float(row["mra"])
    return None if row["correct"] is None else float(row["correct"])


def floor_of(rows: Sequence[Line]) -> tuple[float, str]:
    """What these questions earn without a video, and how, in words."""
    return _floor(_questions(rows), _all_counts(rows))


def _labels(runs: Mapping[str, Line]) -> dict[str, str]:
    """What tells runs apart: the policy, its budget if it has several runs, or else the run's name."""
    policies = Counter(map(series, runs.values()))
    budgets = Counter((series(row), budget_of(row)) for row in runs.values())
    labels = {}
    for run, row in runs.items():
        policy, budget = series(row), budget_of(row)
        if policies[policy] == 1:
            labels[run] = policy
        elif budgets[policy, budget] == 1:
            labels[run] = policy if budget is None else f"{policy} · {short_bytes(budget)}"
        else:
            labels[run] = f"{policy} · {run}"
    return labels


def _questions(rows: Sequence[Line]) -> list[Line]:
    """A row of each question, whoever answered it."""
    return list({(row["clip"], row["question"], *row["options"], row["t_s"]): row for row in rows}.values())


def _all_counts(rows: Sequence[Line]) -> bool:
    return all(not row["options"] and _is_number(row["truth"]) for row in rows)


def _group(title: str, rows: list[Line]) -> Group:
    counts = _all_counts(rows)
    runs: dict[str, list[Line]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    labels = _labels({run: run_rows[0] for run, run_rows in runs.items()})
    independent = not counts and all(len({r["clip"] for r in run}) == len(run) for run in runs.values())
    scores = []
    for run, run_rows in runs.items():
        policy = series(run_rows[0])
        scored = [r for r in run_rows if r["correct"] is not None or r["mra"] is not None]
        if not scored:
            continue
        values = [r["mra"] if counts else float(r["correct"]) for r in scored]
        estimate = (
            proportion([bool(v) for v in values]) if independent else stream_mean(values, [r["clip"] for r in scored])
        )
        scores.append(
            Score(
                label=labels[run],
                policy=policy,
                run=run,
                estimate=estimate,
                failed=sum(r["prediction"] is None for r in scored),
                unscored=len(run_rows) - len(scored),
                nbytes=mean(r["nbytes"] for r in run_rows),
                ms_per_frame=mean(r["ms_per_frame"] for r in run_rows),
                ms_per_answer=mean(time_of(r, "answer_ms") for r in run_rows),
                told_ahead=any((r.get("traits") or {}).get("query_aware", False) for r in run_rows),
            )
        )
    asked = _questions(rows)
    floor, floor_label = _floor(asked, counts)
    return Group(
        title=title,
        measure="MRA" if counts else "accuracy",
        interval="Wilson" if independent else "bootstrap over streams",
        questions=len(asked),
        floor=floor,
        floor_label=floor_label,
        scores=sorted(scores, key=lambda s: (s.policy == BLIND, -s.estimate.value, s.label)),
    )


def _floor(questions: list[Line], counts: bool) -> tuple[float, str]:
    """What needs no video: guessing among the options, or the one answer that earns most when always given."""
    if counts:
        constant, floor = best_constant([float(q["truth"]) for q in questions])
        return floor, f"always “{constant}”"
    if all(q["options"] for q in questions):
        return sum(1 / len(q["options"]) for q in questions) / len(questions), "chance"
    truth, times = Counter(q["truth"] for q in questions).most_common(1)[0]
    return times / len(questions), f"always “{truth}”"


def _is_number(truth: str) -> bool:
    try:
        float(truth)
    except ValueError:
        return False
    return True


def score_csv(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """scores.csv: a line a run and group."""
    return [
        {
            "group": group.title,
            "measure": group.measure,
            "policy": score.policy,
            "run": score.run,
            "score": score.estimate.value,
            "low95": score.estimate.low,
            "high95": score.estimate.high,
            "n": score.estimate.n,
            "streams": score.estimate.streams,
            "interval": group.interval,
            "floor": group.floor,
            "floor_answer": group.floor_label,
            "blind": group.blind.estimate.value if group.blind else math.nan,
            "failed": score.failed,
            "unscored": score.unscored,
            "nbytes": score.nbytes,
            "ms_per_frame": score.ms_per_frame,
            "ms_per_answer": score.ms_per_answer,
            "told_ahead": score.told_ahead,
        }
        for group in groups
        for score in group.scores
    ]


def _span(rows: Sequence[Line]) -> str:
    """The lengths of streams, shortest first: "58–71 s", "10 min"."""
    low, high = rows[0]["duration_s"], rows[-1]["duration_s"]
    scale, unit = (60, "min") if low >= 120 else (1, "s")
    return f"{'–'.join(dict.fromkeys(f'{d / scale:.0f}' for d in (low, high)))} {unit}"
