"""From a folder of rows to a page and the files beside it."""

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ssm_sense.errors import UserError
from ssm_sense.report import figures, keyframes, page, svg, tables
from ssm_sense.report.against import MARGIN, against_csv, against_section, comparisons
from ssm_sense.report.apart import told_apart
from ssm_sense.report.benchmarks import benchmark_csv, benchmarks, benchmarks_section
from ssm_sense.report.boundaries import boundary_csv, boundary_lines, boundary_sources
from ssm_sense.report.controls import control_csv, controls, controls_section
from ssm_sense.report.cost_figure import cost, course_csv, courses
from ssm_sense.report.costs import cost_csv, costs, costs_section
from ssm_sense.report.durations import (
    Topic,
    against_bytes,
    bytes_caption,
    duration_caption,
    duration_csv,
    durations,
    topics,
)
from ssm_sense.report.lengths import lasting, lengths_csv, lengths_section
from ssm_sense.report.palette import FIRST, Palette
from ssm_sense.report.rows import Evidence, Track, read
from ssm_sense.report.scores import kind_title, score_csv, score_groups, series
from ssm_sense.report.tables import timeline_csv
from ssm_sense.state import write_whole


def build(
    rows: Path,
    out: Path,
    title: str = "Streaming memory, evaluated",
    clip: str | None = None,
    against: str | None = None,
    margin: float = MARGIN,
) -> list[Path]:
    """Write the page at `out`, and tables and figures into a folder beside it, named like it without its ending.

    rows: a folder that holds rows.jsonl, or whose folders do. clip: the one whose surprise is shown; by default the
    one with the most true events. against: the policy, or run, that all others are compared with, question by
    question. margin: of equivalence to it, and between lengths, a share of the full score. Returns every file written.

    Raises UserError for files that are missing, empty or damaged, a clip that was not watched, a rival that was not
    run, or an `out` that is no .html file or is named like a folder of rows.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: expected a name that ends in .html")
    evidence = read(rows)
    apart = told_apart(evidence.rows)
    named = (
        *map(series, evidence.rows),
        *map(series, apart),
        *(evidence.policy(track.run) for track in evidence.tracks),
    )
    palette = Palette(named)
    groups = score_groups(evidence.rows)
    sources = boundary_sources(boundary_lines(evidence))
    folder = out.with_suffix("")
    if (folder / "rows.jsonl").exists():
        raise UserError(f"{out}: its tables and figures would go among the rows in {folder}; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    sections: list[str] = []
    drawn: dict[str, Callable[[float], Figure]] = {}
    found = topics(apart)
    sections += _topic_sections(found, palette, drawn)
    if drawn:
        tables.write_csv(folder / "durations.csv", duration_csv(found))
    conditions = controls(found)
    if conditions:
        tables.write_csv(folder / "controls.csv", control_csv(conditions))
        sections.append(controls_section(conditions, palette))
    if groups:
        tables.write_csv(folder / "scores.csv", score_csv(groups))
        sections.append(page.scores_section(groups, palette))
    kept = lasting(apart, margin)
    if kept:
        tables.write_csv(folder / "lengths.csv", lengths_csv(kept))
        sections.append(lengths_section(kept, margin, palette))
    benches = benchmarks(apart)
    if benches:
        tables.write_csv(folder / "benchmarks.csv", benchmark_csv(benches))
        sections.append(benchmarks_section(benches, palette))
    command = ["ssm-sense", "report", "--rows", str(rows), "--out", str(out)]
    if against is not None:
        compared = comparisons(apart, against, margin)
        command += ["--against", against]
        tables.write_csv(folder / "against.csv", against_csv(compared))
        sections.append(against_section(compared, against, margin, palette))
    if kept or against is not None:
        command += ["--margin", f"{100 * margin:g}"]
    track = _shown(evidence, clip)
    if track is not None:
        policy = evidence.policy(track.run)
        tables.write_csv(folder / "timeline.csv", timeline_csv(track))
        drawn["timeline"] = partial(figures.timeline, track, palette.colour(policy))
        facts = figures.timeline_facts(track)
        picture = svg.inline(drawn["timeline"], "timeline", f"Surprise over time in clip {track.clip}")
        strip = keyframes.find(rows, track.clip)
        sections.append(page.timeline_section(track, policy, facts, picture, strip))
    if sources:
        tables.write_csv(folder / "boundaries.csv", boundary_csv(sources))
        sections.append(page.boundaries_section(sources))
    watched = [track for track in evidence.tracks if len(track.t_s) > 1 and np.isfinite(track.ms).any()]
    if watched:
        spent_s = courses(watched, evidence.rows, evidence.policy)
        tables.write_csv(folder / "cost.csv", course_csv(spent_s))
        drawn["cost"] = partial(cost, spent_s, palette)
        sections.append(_cost_section(drawn["cost"], watched))
    spent = costs(evidence.rows)
    if spent:
        tables.write_csv(folder / "costs.csv", cost_csv(spent))
        sections.append(costs_section(spent, palette))
    kind = figures.count_kind(evidence.rows)
    if kind is not None:
        answered = figures.counted(evidence.rows)
        tables.write_csv(folder / "counts.csv", [count._asdict() for count in answered])
        drawn["counts"] = partial(figures.counts, evidence.rows, palette)
        panels = len({(count.policy, count.dataset) for count in answered})
        sections.append(_counts_section(drawn["counts"], kind, panels))
    failed = tables.failures(evidence.rows)
    if failed:
        sections.append(page.failures_section(failed))
    sections.append(page.provenance_section(tables.provenance(evidence.rows), shlex.join(command)))
    for name, draw in drawn.items():
        svg.save(draw, folder / name)
    html = page.document(title, _facts(evidence), sections)
    write_whole(out, lambda unfinished: unfinished.write_text(html, encoding="utf-8"))
    return [out, *sorted(folder.iterdir())]


def _shown(evidence: Evidence, clip: str | None) -> Track | None:
    """The track to show: of the clip asked for or the one with most true events, our own model's if it was run."""
    surprised = [track for track in evidence.tracks if np.isfinite(track.surprise[1:]).any()]
    if clip is not None:
        surprised = [track for track in surprised if track.clip == clip]
        if not surprised:
            known = ", ".join(sorted({track.clip for track in evidence.tracks})[:5]) or "none"
            raise UserError(f"{evidence.folder}: no frames with surprise of clip {clip!r}; there are {known}")
    return max(
        surprised,
        key=lambda track: (evidence.policy(track.run) == FIRST, len(track.events or ()), len(track.t_s)),
        default=None,
    )


def _topic_sections(found: Sequence[Topic], palette: Palette, drawn: dict[str, Callable[[float], Figure]]) -> list[str]:
    """The figures of scores against length and against bytes, where there are several, and their sections."""
    sections = []
    for i, topic in enumerate(found):
        parts = []
        if len(topic.floors) > 1:
            drawn[f"duration-{i}"] = partial(durations, topic, palette)
            parts.append((f"duration-{i}", duration_caption(topic)))
        if len({point.nbytes for point in topic.overall if point.nbytes > 0}) > 1:
            drawn[f"bytes-{i}"] = partial(against_bytes, topic, palette)
            parts.append((f"bytes-{i}", bytes_caption(topic)))
        for place, (name, caption) in enumerate(parts):
            picture = svg.inline(drawn[name], name, f"{topic.measure} of {topic.name}")
            sections.append(page.figure_section("" if place else topic.name, picture, caption))
    return sections


def _cost_section(draw: Callable[[float], Figure], tracks: Sequence[Track]) -> str:
    streams = len({track.clip for track in tracks})
    caption = (
        "<b>What a policy holds, and what a frame and an answer cost, as the stream goes on.</b> Bytes of everything "
        "kept of the stream, milliseconds for each frame, vision included unless latents were cached, and for an "
        f"answer; median over {_many(streams, 'stream')}. Of a policy with several budgets, the one at which it held "
        "least. A memory that does not grow is a level line."
    )
    return page.figure_section("Cost against length", svg.inline(draw, "cost", "Bytes and time a frame"), caption)


def _counts_section(draw: Callable[[float], Figure], kind: str, panels: int) -> str:
    beyond = panels - figures.PANELS
    left = f" {_many(beyond, 'more panel')} had no room; counts.csv has what they would show." * (beyond > 0)
    caption = (
        "<b>Answered against true counts, a panel a policy and data set, with its MRA: "
        f"{escape(kind_title(kind))}, all lengths together.</b> Of a policy with several budgets, the one at which it "
        "held least. The line earns full credit, the shaded wedge some, what lies outside none. Triangles at the "
        "upper edge stand for answers beyond it; answers without a number are not drawn and earn nothing."
        f"{left}"
    )
    return page.figure_section("Counts", svg.inline(draw, "counts", "Answered against true counts"), caption)


def _facts(evidence: Evidence) -> str:
    """The line under the title: how much there is."""
    runs = {row["run"] for row in evidence.rows}
    policies = {series(row) for row in evidence.rows}
    streams = {(row["clip"], row["duration_s"]) for row in evidence.rows}
    hours = sum(duration_s for _, duration_s in streams) / 3600
    answers = sum(row["kind"] is not None for row in evidence.rows)
    length = f"{hours:.1f} hours" if hours >= 1 else _many(round(60 * hours), "minute")
    return (
        f"{_many(len(policies), 'policy', 'policies')} in {_many(len(runs), 'run')} on {_many(len(streams), 'stream')} "
        f"({length} of video), {_many(answers, 'question')} asked in all."
    )


def _many(n: int, one: str, several: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else several or one + 's'}"
