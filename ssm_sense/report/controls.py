"""A table of controls: how every policy fares where one thing about the streams is different.

Each data set is a condition, such as walks, cuts, decoys or rooms that come back; rendered sets differ in one control
(`ssm-sense world render`). Below the policies stands what needs no video.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ssm_sense.metrics.interval import Estimate
from ssm_sense.report.durations import OWN, Topic
from ssm_sense.report.palette import BLIND, VARIABLES, Palette
from ssm_sense.report.tables import short_bytes


@dataclass(frozen=True)
class Control:
    """One measure over several conditions. scores: by policy and budget, then by condition."""

    measure: str
    conditions: list[str]
    scores: dict[tuple[str, int | None], dict[str, Estimate]]
    floors: dict[str, float]


def controls(found: Sequence[Topic]) -> list[Control]:
    """A table a measure that was taken on several data sets, all lengths of stream together."""
    tables = []
    for measure in dict.fromkeys(topic.measure for topic in found):
        chosen = [topic for topic in found if topic.measure == measure]
        if len(chosen) < 2:
            continue
        scores: dict[tuple[str, int | None], dict[str, Estimate]] = {}
        for topic in chosen:
            for point in topic.overall:
                scores.setdefault((point.policy, point.budget), {})[topic.name] = point.estimate
        floors = {topic.name: topic.floor for topic in chosen}
        tables.append(Control(measure, [topic.name for topic in chosen], scores, floors))
    return tables


def control_csv(found: Sequence[Control]) -> list[dict[str, Any]]:
    """controls.csv: a line a policy, budget and condition."""
    return [
        {
            "measure": control.measure,
            "condition": condition,
            "policy": policy,
            "budget_bytes": "" if budget is None else budget,
            "score": estimate.value,
            "low95": estimate.low,
            "high95": estimate.high,
            "n": estimate.n,
            "streams": estimate.streams,
            "floor": control.floors[condition],
        }
        for control in found
        for (policy, budget), by_condition in control.scores.items()
        for condition, estimate in by_condition.items()
    ]


def controls_section(found: Sequence[Control], palette: Palette) -> str:
    """The tables, one under the other; the best of each condition is bold."""
    return "<h2>Controls</h2>\n" + "\n".join(_table(control, palette) for control in found)


def _table(control: Control, palette: Palette) -> str:
    several = Counter(policy for policy, _ in control.scores)
    best = {
        condition: max(by[condition].value for by in control.scores.values() if condition in by)
        for condition in control.conditions
    }
    order = sorted(
        control.scores, key=lambda key: (key[0] == BLIND, palette.order.index(key[0]), key[1] is not None, key[1] or 0)
    )
    body = ""
    for policy, budget in order:
        name = escape(policy).replace("_", "_<wbr>")
        if several[policy] > 1:
            name += f' <span class="quiet">{OWN if budget is None else short_bytes(budget)}</span>'
        swatch = f'<span class="swatch" style="background:var({VARIABLES[palette.colour(policy)]})"></span>'
        cells = ""
        for condition in control.conditions:
            estimate = control.scores[policy, budget].get(condition)
            strong = estimate is not None and estimate.value == best[condition]
            text = "–" if estimate is None else f"{100 * estimate.value:.1f}"
            cells += f'<td class="score">{text}</td>' if strong else f"<td>{text}</td>"
        body += f'<tr><td><div class="policy">{swatch}<span>{name}</span></div></td>{cells}</tr>'
    floors = "".join(f"<td>{100 * control.floors[condition]:.1f}</td>" for condition in control.conditions)
    head = "".join(f'<th class="head">{escape(condition)}</th>' for condition in control.conditions)
    return (
        f'<div class="scroll"><table class="benchmark"><thead><tr><th>Policy</th>{head}</tr></thead><tbody>{body}'
        f'<tr><td class="quiet">needs no video</td>{floors}</tr></tbody></table></div>\n'
        f'<p class="caption"><b>{control.measure[0].upper()}{control.measure[1:]} under each condition, in percent, '
        "all lengths together.</b> Bold: the best of the condition. A policy that is good where something is spliced "
        "in, and not where the same thing stands in the room, has found the splice. Intervals are in controls.csv.</p>"
    )
