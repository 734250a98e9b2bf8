"""Differences to one value of a column, seed by seed, and how they read against a margin.

What two cells of one seed share, such as the order of the data, cancels in their difference. The interval is Student's
t over the seeds' differences, and it is not corrected for how many of them there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssm_sense.sweep.columns import Scalar, text_of
from ssm_sense.sweep.plan import Plan
from ssm_sense.sweep.report_plan import Comparison
from ssm_sense.sweep.rows import Line
from ssm_sense.sweep.table import Mean, by_seed, escaped, over_seeds, short, show


@dataclass(frozen=True)
class Difference:
    """One combination of the columns less the one compared with, in one metric."""

    columns: Mapping[str, Scalar | None]
    metric: str
    mean: Mean
    margin: float

    @property
    def reading(self) -> str:
        """ "the same" within the margin, "higher", "lower", or "open", where the interval says none of it.

        A single seed leaves everything open.
        """
        low, high = self.mean.low, self.mean.high
        if -self.margin < low and high < self.margin:
            return "the same"
        return "higher" if low > 0 else "lower" if high < 0 else "open"


def differences(plan: Plan, lines: Sequence[Line], compare: Comparison) -> list[Difference]:
    """All that is compared, in the order of the lines; pairs of which one is missing are left out."""
    names = (*plan.columns, *plan.by)
    place = names.index(compare.column)
    values = by_seed(plan, lines, names)
    bases = {_without(key, place): metrics for key, metrics in values.items() if text_of(key[place]) == compare.base}
    found = []
    for key, metrics in values.items():
        base = bases.get(_without(key, place), {})
        for metric, margin in compare.margins.items() if text_of(key[place]) != compare.base else ():
            ours, theirs = metrics.get(metric, {}), base.get(metric, {})
            paired = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
            if paired:
                found.append(Difference(dict(zip(names, key, strict=True)), metric, over_seeds(paired), margin))
    return found


def comparison(plan: Plan, found: Sequence[Difference], compare: Comparison) -> str:
    """Differences as a table in Markdown, with how to read them; empty where there are none."""
    if not found:
        return ""
    names = (*plan.columns, *plan.by)
    labels = [plan.figure.labels.get(name, name) for name in names]
    table = [
        f"Less {compare.column} {compare.base}, seed by seed:",
        "",
        "| " + " | ".join(map(escaped, [*labels, "metric", "difference", "reading"])) + " |",
        "|" + "---|" * (len(labels) + 3),
    ]
    for one in found:
        metric = plan.figure.labels.get(one.metric, one.metric)
        cells = [*one.columns.values(), metric, show(one.mean), one.reading]
        table.append("| " + " | ".join(map(escaped, cells)) + " |")
    margins = ", ".join(
        f"±{short(margin)} of {plan.figure.labels.get(metric, metric)}" for metric, margin in compare.margins.items()
    )
    note = (
        f'"The same" lies within the margin ({margins}) with its whole interval; otherwise "higher" and "lower" have 0 '
        f"outside it, and what is left is open. Of {len(found)} intervals at 95%, one in twenty misses by chance."
    )
    return "\n".join([*table, "", note, ""])


def _without(key: tuple[Scalar | None, ...], place: int) -> tuple[Scalar | None, ...]:
    return (*key[:place], *key[place + 1 :])
