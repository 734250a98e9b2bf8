"""Every policy against a chosen one: differences on the very same questions, a stream at a time."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import count
from typing import Any

from ssm_sense.errors import UserError
from ssm_sense.metrics.compare import Difference, Equivalence, equivalence, holm, paired_difference
from ssm_sense.metrics.vsi_bench import DIRECTIONS, TASKS, bench_difference
from ssm_sense.report.palette import VARIABLES, Palette
from ssm_sense.report.rows import Line, question_of
from ssm_sense.report.scores import (
    budget_of,
    credit,
    groups_of_all_lengths,
    main_endpoints,
    series,
    settings_of,
    titled_groups,
)
from ssm_sense.report.tables import SHOWN, short_p

MARGIN = 0.05
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """One run against the rival's on one group of questions.

    p, p_equal: of a main endpoint, corrected for all of them (Holm); nan of others, which have no verdict.
    """

    group: str
    policy: str
    run: str
    rival: str
    difference: Difference
    equal: Equivalence
    p: float = math.nan
    p_equal: float = math.nan

    @property
    def verdict(self) -> str:
        """ "better" or "worse" where there is a difference, "as good" where there is none of the margin, or "open".

        "" where this is no main endpoint.
        """
        if math.isnan(self.p):
            return ""
        if self.p <= LEVEL:
            return "better" if self.difference.value > 0 else "worse"
        return "as good" if self.p_equal <= LEVEL else "open"


def comparisons(rows: Sequence[Line], against: str, margin: float = MARGIN) -> list[Comparison]:
    """All other runs against those of a policy, or against a run of that name, wherever both answered.

    Of each kind of question every length is compared by itself, and all lengths together. Rows are those of
    `told_apart`, so that runs of one policy with one budget that differ in their seed are compared as one, each seed
    with the same of the other's, and one that has a single seed with every seed of the other's. Intervals draw streams
    and seeds. A run that is named is not taken together with others.

    Holm's correction is over the main endpoints, for the differences and for the equivalences each by themselves: of
    each kind of question all lengths together, or the only length, and VSI-Bench's averages; each for every other run.
    Questions on which a scorer crashed for either are left out; clips that failed count as wrong.

    Raises UserError where `against` was not run, has several runs on one group of questions, or none that others share.
    """
    groups = [(title, chosen, False) for title, chosen in (*titled_groups(rows), *groups_of_all_lengths(rows))]
    groups += [(title, chosen, True) for title, chosen in _bench_groups(rows)]
    main = main_endpoints(rows) | {title for title, _, averaged in groups if averaged}
    found: list[Comparison] = []
    known = False
    for title, chosen, averaged in groups:
        runs = _runs(chosen, against)
        rivals = [run for run in runs if against in (run.name, run.policy)]
        if not rivals:
            continue
        known = True
        if len(rivals) > 1:
            named = ", ".join(run.name for run in rivals)
            raise UserError(f"--against {against}: {title}: expected one run, got {named}; name one of them")
        for run in runs:
            pairs = [] if run is rivals[0] else _pairs(run, rivals[0])
            if pairs:
                difference, equal = _compared(pairs, margin, averaged)
                found.append(Comparison(title, run.policy, run.name, rivals[0].name, difference, equal))
    if not known:
        names = sorted({series(row) for row in rows} | {row["run"] for row in rows})
        raise UserError(f"--against {against}: expected a policy or run among {', '.join(names)}")
    if not found:
        raise UserError(f"--against {against}: no other run answered any of the same questions")
    decided = [one for one in found if one.group in main]
    ps, ps_equal = holm([one.difference.p for one in decided]), holm([one.equal.p for one in decided])
    judged = (replace(one, p=p, p_equal=equal) for one, p, equal in zip(decided, ps, ps_equal, strict=True))
    return [next(judged) if one.group in main else one for one in found]


def _compared(pairs: Sequence["_Pair"], margin: float, averaged: bool) -> tuple[Difference, Equivalence]:
    """averaged: as VSI-Bench's average weighs them."""
    mine = [credit(pair.mine) or 0.0 for pair in pairs]
    theirs = [credit(pair.theirs) or 0.0 for pair in pairs]
    clips, seeds = [pair.mine["clip"] for pair in pairs], [pair.seed for pair in pairs]
    if averaged:
        return bench_difference([pair.mine["kind"] for pair in pairs], mine, theirs, clips, margin, seeds)
    difference = paired_difference(mine, theirs, clips, seeds=seeds)
    return difference, equivalence(mine, theirs, clips, margin, seeds=seeds)


def _bench_groups(rows: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The rows behind each official average of VSI-Bench, with a title."""
    groups: dict[str, list[Line]] = {}
    for row in rows:
        if settings_of(row).get("benchmark") == "vsi-bench" and row["kind"] in (*TASKS, *DIRECTIONS):
            dataset = str(settings_of(row).get("dataset") or "")
            name = "VSI-Bench" if dataset in ("", "VSI-Bench") else f"VSI-Bench · {dataset}"
            groups.setdefault(f"{name} · average of the tasks", []).append(row)
    return sorted(groups.items())


@dataclass(frozen=True)
class _Run:
    """What one run answered, or one policy's runs of several seeds."""

    name: str
    policy: str
    answers: Mapping[Hashable, Mapping[int | None, Line]]
    """Of each question, and each seed, the scored row; a question that is asked twice is two."""
    seeds: frozenset[int | None]


@dataclass(frozen=True)
class _Pair:
    """Two answers to one question. seed: the training seed of whoever has several."""

    mine: Line
    theirs: Line
    seed: Hashable


def _runs(rows: Sequence[Line], apart: str) -> list[_Run]:
    """The runs, those of one policy and budget that differ in their seed as one, but for the one that is called so."""
    named: dict[str, list[Line]] = {}
    for row in rows:
        if credit(row) is not None:
            named.setdefault(row["run"], []).append(row)
    alike: dict[Hashable, list[str]] = {}
    for name, of in named.items():
        alike.setdefault(name if name == apart else (series(of[0]), budget_of(of[0])), []).append(name)
    found = []
    for names in alike.values():
        seeds = [named[name][0].get("seed") for name in names]
        if len(set(seeds)) == len(seeds) > 1:
            found.append(_run(" + ".join(names), [row for name in names for row in named[name]]))
        else:
            found += [_run(name, named[name]) for name in names]
    return found


def _run(name: str, rows: Sequence[Line]) -> _Run:
    answers: dict[Hashable, dict[int | None, Line]] = {}
    for row in rows:
        asked, seed = question_of(row), row.get("seed")
        question = next((*asked, time) for time in count() if seed not in answers.get((*asked, time), {}))
        answers.setdefault(question, {})[seed] = row
    return _Run(name, series(rows[0]), answers, frozenset(row.get("seed") for row in rows))


def _pairs(run: _Run, rival: _Run) -> list[_Pair]:
    """What both answered, seed by seed; the answers of a run with one seed stand beside every seed of the other's."""
    shared = [(run.answers[question], rival.answers[question]) for question in run.answers if question in rival.answers]
    if len(run.seeds) == 1:
        lone = [(next(iter(mine.values())), theirs) for mine, theirs in shared]
        return [_Pair(mine, theirs[seed], seed) for mine, theirs in lone for seed in theirs]
    if len(rival.seeds) == 1:
        lone = [(next(iter(theirs.values())), mine) for mine, theirs in shared]
        return [_Pair(mine[seed], theirs, seed) for theirs, mine in lone for seed in mine]
    return [_Pair(mine[seed], theirs[seed], seed) for mine, theirs in shared for seed in mine if seed in theirs]


def against_csv(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """against.csv: a line a comparison; scores from 0 to 1, and nothing corrected or judged but main endpoints."""
    return [
        {
            "group": one.group,
            "policy": one.policy,
            "run": one.run,
            "against": one.rival,
            "difference": one.difference.value,
            "low95": one.difference.low,
            "high95": one.difference.high,
            "p": one.difference.p,
            "p_holm": one.p,
            "low90": one.equal.low,
            "high90": one.equal.high,
            "p_equivalence": one.equal.p,
            "p_equivalence_holm": one.p_equal,
            "verdict": one.verdict,
            "n": one.difference.n,
            "streams": one.difference.streams,
        }
        for one in found
    ]


def against_section(found: Sequence[Comparison], against: str, margin: float, palette: Palette) -> str:
    """The table, a part a group of questions."""
    body = ""
    for group in dict.fromkeys(one.group for one in found):
        heading = f'<tr class="group"><th colspan="7">{escape(group)}</th></tr>'
        body += f"<tbody>{heading}{''.join(_row(one, palette) for one in found if one.group == group)}</tbody>"
    points = f"{100 * margin:g}"
    folded = f"<details><summary>All {len(found)} comparisons</summary>\n"
    fold, end = (folded, "</details>\n") if len(found) > SHOWN else ("", "")
    return (
        f"<h2>Against {escape(against)}</h2>\n{fold}"
        '<div class="scroll"><table><thead><tr><th>Policy</th><th>Difference</th><th>95% interval</th><th>p</th>'
        f"<th>p, ± {points}</th><th>Verdict</th><th>n (streams)</th></tr></thead>{body}</table></div>\n"
        f"{end}"
        f'<p class="caption"><b>Score minus that of {escape(against)} on the same questions, in points.</b> '
        "Runs of several seeds are taken together, seed by seed; what has one seed, such as the blind model, stands "
        "beside each of them. Intervals: a bootstrap over streams and, where there are several, over seeds (Owen "
        "2007). p: of no difference, by swapping the two within streams, of the seeds that were trained; "
        f"p, ± {points}: of a difference of {points} points or more, by two one-sided tests with that bootstrap. "
        f"Both are corrected (Holm) over the {sum(bool(one.verdict) for one in found)} lines with a verdict, the main "
        "endpoints: of each kind of question all lengths together, or the only length, and VSI-Bench's averages. Lines "
        "of single lengths have p as it is, uncorrected, and no verdict. Better or worse: p is .05 or less; as good: "
        f"p, ± {points} is, and p is not.</p>"
    )


def _row(one: Comparison, palette: Palette) -> str:
    value, low, high, p, n, streams = one.difference
    p, p_equal = (one.p, one.p_equal) if one.verdict else (p, one.equal.p)
    swatch = f'<span class="swatch" style="background:var({VARIABLES[palette.colour(one.policy)]})"></span>'
    label = escape(one.policy if one.run == one.policy else f"{one.policy} · {one.run}").replace("_", "_<wbr>")
    interval = "–" if math.isnan(low) else f"{100 * low:+.1f} – {100 * high:+.1f}"
    return (
        f'<tr><td><div class="policy">{swatch}<span>{label}</span></div></td>'
        f'<td class="score">{100 * value:+.1f}</td><td class="range">{interval}</td>'
        f"<td>{short_p(p)}</td><td>{short_p(p_equal)}</td><td>{one.verdict or '–'}</td>"
        f"<td>{n if n == streams else f'{n} ({streams})'}</td></tr>"
    )
