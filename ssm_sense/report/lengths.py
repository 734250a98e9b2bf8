"""Longest streams against shortest: how much of its score each policy keeps, and whether it keeps it up to a margin.

A claim that memory lasts, such as "recall after 240 minutes is within 5 points of that after 10", is a line here.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from ssm_sense.metrics.compare import OF_DIFFERENCES, Equivalence, two_one_sided
from ssm_sense.metrics.interval import by_stream_and_seed, interval, resampled_mean, stream_weights
from ssm_sense.report.durations import OWN
from ssm_sense.report.palette import BLIND, VARIABLES, Palette
from ssm_sense.report.rows import Line
from ssm_sense.report.scores import budget_of, by_kind, by_length, credit, series
from ssm_sense.report.tables import SHOWN, mean, short_bytes, short_p


class Change(NamedTuple):
    """A score on the longest streams minus that on the shortest.

    low, high: the 95% interval, nan below five streams. equal: whether it is within the margin.
    """

    value: float
    low: float
    high: float
    equal: Equivalence


@dataclass(frozen=True)
class Lasting:
    """One policy at one budget (None where it was given none) on one kind of question, seeds together.

    Of pairs, the first is of the shortest length and the second of the longest. above: the change of
    (score − chance) / (1 − chance), where chance differs between them, else None. paired: some streams were asked at
    both lengths.
    """

    kind: str
    policy: str
    budget: int | None
    lengths: tuple[str, str]
    scores: tuple[float, float]
    chance: tuple[float, float]
    change: Change
    above: Change | None
    n: tuple[int, int]
    streams: tuple[int, int]
    paired: bool


def lasting(rows: Sequence[Line], margin: float) -> list[Lasting]:
    """Every policy and kind of question with answers at several lengths, as `scores.by_length` tells them apart."""
    found = []
    for kind, of in by_kind(rows):
        runs: dict[tuple[str, int | None], list[Line]] = {}
        for row in of:
            if credit(row) is not None:
                runs.setdefault((series(row), budget_of(row)), []).append(row)
        for (policy, budget), chosen in runs.items():
            lengths = by_length(chosen)
            if len(lengths) > 1:
                found.append(_lasting(kind, policy, budget, lengths[0], lengths[-1], margin))
    return found


def _lasting(
    kind: str,
    policy: str,
    budget: int | None,
    shortest: tuple[str, list[Line]],
    longest: tuple[str, list[Line]],
    margin: float,
) -> Lasting:
    (first, short), (last, long) = shortest, longest
    clips = [{row["clip"] for row in of} for of in (short, long)]
    chance = (mean(map(_chance, short)), mean(map(_chance, long)))
    differs = not math.isnan(sum(chance)) and not math.isclose(*chance)
    return Lasting(
        kind,
        policy,
        budget,
        (first, last),
        (mean(map(credit, short)), mean(map(credit, long))),
        chance,
        _change(short, long, lambda row: credit(row) or 0.0, lambda row: 1.0, margin),
        _change(short, long, lambda row: (credit(row) or 0.0) - _chance(row), lambda row: 1.0 - _chance(row), margin)
        if differs
        else None,
        (len(short), len(long)),
        (len(clips[0]), len(clips[1])),
        bool(clips[0] & clips[1]),
    )


def _chance(row: Line) -> float:
    """What guessing among the options earns; nan without options."""
    return 1 / len(row["options"]) if row["options"] else math.nan


def _change(
    short: Sequence[Line],
    long: Sequence[Line],
    earned: Callable[[Line], float],
    possible: Callable[[Line], float],
    margin: float,
) -> Change:
    """Of Σ earned / Σ possible. Streams that were asked at either length are drawn together where some were asked at
    both, else those of each length by themselves; seeds are drawn once for both."""
    rows = [*short, *long]
    streams, seeds = [row["clip"] for row in rows], [row.get("seed") for row in rows]
    side = np.repeat(np.eye(2), (len(short), len(long)), axis=0)
    sums, _ = by_stream_and_seed(side * np.array([[earned(row)] for row in rows]), streams, seeds)
    wholes, _ = by_stream_and_seed(side * np.array([[possible(row)] for row in rows]), streams, seeds)
    sizes = [len({row["clip"] for row in of}) for of in (short, long)]
    n_streams, fewest = len(set(streams)), min(sizes)
    if n_streams < sum(sizes):
        weights = stream_weights(n_streams)
    else:
        weights = np.concatenate([stream_weights(n, seed=i) for i, n in enumerate(sizes)], axis=1)
    before, after = sums.sum((0, 1)) / wholes.sum((0, 1))
    sampled = resampled_mean(sums, wholes, weights)
    samples = sampled[:, 1] - sampled[:, 0]
    low, high = interval(samples, fewest, within=OF_DIFFERENCES)
    return Change(float(after - before), low, high, two_one_sided(samples, fewest, margin))


def lengths_csv(found: Sequence[Lasting]) -> list[dict[str, Any]]:
    """lengths.csv: a line a policy, budget and kind; scores from 0 to 1."""
    lines = []
    for one in found:
        line: dict[str, Any] = {"kind": one.kind, "policy": one.policy}
        line["budget_bytes"] = math.nan if one.budget is None else one.budget
        for name in ("lengths", "scores", "chance", "n", "streams"):
            line |= {f"{name}_{end}": value for end, value in zip(("short", "long"), getattr(one, name), strict=True)}
        line["paired"] = one.paired
        for name, change in (("", one.change), ("above_chance_", one.above)):
            values = (math.nan,) * 6 if change is None else (*change[:3], *change.equal)
            columns = ("difference", "low95", "high95", "low90", "high90", "p_equivalence")
            line |= {f"{name}{column}": value for column, value in zip(columns, values, strict=True)}
        lines.append(line)
    return lines


def lengths_section(found: Sequence[Lasting], margin: float, palette: Palette) -> str:
    """The table, a part a kind of question; the columns above chance only where some line has them."""
    points, above = f"{100 * margin:g}", any(one.above for one in found)
    changed = f"<th>95% interval</th><th>p, ± {points}</th>"
    columns = f"<th>Difference</th>{changed}" + f"<th>Above chance</th>{changed}" * above
    several = Counter((one.kind, one.policy) for one in found)
    body = ""
    for kind in dict.fromkeys(one.kind for one in found):
        chosen = [one for one in found if one.kind == kind]
        chosen.sort(key=lambda one: (one.policy == BLIND, palette.order.index(one.policy), one.budget or 0))
        heading = f'<tr class="group"><th colspan="{7 + 3 * above}">{escape(kind)}</th></tr>'
        body += f"<tbody>{heading}"
        body += "".join(_row(one, above, several[kind, one.policy] > 1, palette) for one in chosen) + "</tbody>"
    folded = f"<details><summary>All {len(found)} lines</summary>\n"
    fold, end = (folded, "</details>\n") if len(found) > SHOWN else ("", "")
    corrected = (
        "Above chance: the same of (score − chance) / (1 − chance), where questions have more options on long streams "
        "than on short ones, or fewer, so that the scores themselves do not compare. "
    )
    return (
        f'<h2>By length</h2>\n{fold}<div class="scroll"><table><thead><tr><th>Policy</th><th>Shortest</th>'
        f"<th>Longest</th>{columns}<th>n (streams)</th></tr></thead>{body}</table></div>\n{end}"
        '<p class="caption"><b>Score on the longest streams minus that on the shortest, in points.</b> '
        "Intervals: a bootstrap over streams and training seeds (Owen 2007), paired by stream where streams were asked "
        "at both lengths, else drawn apart; none below five streams. "
        f"p, ± {points}: of a change of {points} points or more, by two one-sided tests with that bootstrap; small "
        f"where the score lasts. No line is corrected for the others. {corrected * above}"
        "n: questions on the shortest + the longest; streams of whichever has fewer.</p>"
    )


def _row(one: Lasting, above: bool, budgeted: bool, palette: Palette) -> str:
    swatch = f'<span class="swatch" style="background:var({VARIABLES[palette.colour(one.policy)]})"></span>'
    label = escape(one.policy).replace("_", "_<wbr>")
    if budgeted:
        label += f' <span class="quiet">{OWN if one.budget is None else short_bytes(one.budget)}</span>'
    ends = "".join(
        f'<td>{100 * score:.1f} <span class="quiet">{escape(length)}</span></td>'
        for length, score in zip(one.lengths, one.scores, strict=True)
    )
    cells = _cells(one.change) + (_cells(one.above) if above else "")
    return (
        f'<tr><td><div class="policy">{swatch}<span>{label}</span></div></td>{ends}{cells}'
        f"<td>{one.n[0]} + {one.n[1]} ({min(one.streams)})</td></tr>"
    )


def _cells(change: Change | None) -> str:
    if change is None:
        return "<td>–</td>" * 3
    interval = "–" if math.isnan(change.low) else f"{100 * change.low:+.1f} – {100 * change.high:+.1f}"
    return (
        f'<td class="score">{100 * change.value:+.1f}</td><td class="range">{interval}</td>'
        f"<td>{short_p(change.equal.p)}</td>"
    )
