"""The page: sections of tables and figures around what was measured, one file that asks nobody for anything."""

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from ssm_sense.metrics.interval import Estimate
from ssm_sense.report.boundaries import DRAWS, TOLERANCE_S, Source
from ssm_sense.report.figures import TimelineFacts
from ssm_sense.report.keyframes import KeyFrame
from ssm_sense.report.palette import VARIABLES, Palette
from ssm_sense.report.rows import Line, Track
from ssm_sense.report.scores import Group, Score
from ssm_sense.report.tables import SHOWN, short_bytes


def document(title: str, facts: str, sections: Sequence[str]) -> str:
    """The whole HTML file."""
    style = files("ssm_sense.report").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="facts">{escape(facts)}</p>\n'
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def scores_section(groups: Sequence[Group], palette: Palette) -> str:
    """The headline table: every run on every kind of question."""
    body = "".join(_group_rows(group, palette) for group in groups)
    intervals = sorted({group.interval for group in groups})
    methods = {
        "Wilson": "Wilson, where every stream has one question",
        "bootstrap over streams": "a bootstrap over streams, since the questions of one stream are not independent",
    }
    how = ", and ".join(methods[name] for name in intervals)
    measures = {
        "accuracy": "Accuracy is the share of right answers.",
        "MRA": "MRA, mean relative accuracy, is the mean over θ = .50, .55, …, .95 of whether a count is off by at "
        "most a share 1 − θ of the truth.",
    }
    said = " ".join(measures[name] for name in sorted({group.measure for group in groups}))
    notes = []
    if any(score.told_ahead for group in groups for score in group.scores):
        notes.append("† is told the questions before the stream begins.")
    if any(score.failed for group in groups for score in group.scores):
        notes.append("Questions left without an answer by a clip that failed count as wrong.")
    if any(score.unscored for group in groups for score in group.scores):
        notes.append("Questions on which the official scorer crashed, or that a cap cut off, are left out of n.")
    count = sum(len(group.scores) for group in groups)
    hide, end = (f"<details><summary>All {count} scores</summary>\n", "</details>\n") if count > SHOWN else ("", "")
    return (
        "<h2>Scores</h2>\n"
        "<p>Each stream was watched once, from its first frame to its last, and each question asked when the stream "
        f"reached its time.</p>\n{hide}"
        '<div class="scroll"><table class="scores"><thead><tr><th>Policy</th><th>Score</th><th>95% interval</th>'
        '<th class="plot wide-only"><div class="ends"><span>0</span><span>50</span><span>100</span></div></th>'
        '<th class="size">n (streams)</th><th class="wide-only">Memory</th><th class="wide-only">ms/frame</th>'
        f"</tr></thead>{body}</table></div>\n{end}"
        f'<p class="caption"><b>Score of every policy on every kind of question, in percent.</b> {said} '
        "Beside each kind stands what needs no video, guessing among the options or always giving the one answer "
        "that earns most on these very questions, and the blind model, which is asked without seeing"
        '<span class="wide-only"> (dashed and dotted lines)</span>. '
        f"Memory: mean bytes held when asked. Intervals: {how}. {' '.join(notes)}</p>"
    )


def _group_rows(group: Group, palette: Palette) -> str:
    floor = f"{group.floor_label} {100 * group.floor:.1f}"
    blind = f" · blind {100 * group.blind.estimate.value:.1f}" if group.blind else ""
    heading = (
        f'<tr class="group"><th colspan="7">{escape(group.title)} <span>· {group.measure} · '
        f"{escape(floor)}{blind}</span></th></tr>"
    )
    return f"<tbody>{heading}{''.join(_score_row(score, group, palette) for score in group.scores)}</tbody>"


def _score_row(score: Score, group: Group, palette: Palette) -> str:
    variable = VARIABLES[palette.colour(score.policy)]
    estimate = score.estimate
    told = " †" if score.told_ahead else ""
    remarks = [f"{n} {word}" for n, word in ((score.failed, "failed"), (score.unscored, "unscored")) if n]
    remark = f' <span class="quiet">({", ".join(remarks)})</span>' if remarks else ""
    blind = group.blind.estimate.value if group.blind else math.nan
    label = escape(score.label).replace("_", "_<wbr>")
    swatch = f'<span class="swatch" style="background:var({variable})"></span>'
    return (
        f'<tr><td><div class="policy">{swatch}<span>{label}{told}{remark}</span></div></td>'
        f'<td class="score">{100 * estimate.value:.1f}</td><td class="range">{_interval(estimate, 100, 1)}</td>'
        f'<td class="plot wide-only">{_range(estimate, variable, group.floor, blind)}</td>'
        f"<td>{_size(estimate)}</td>"
        f'<td class="wide-only">{"–" if math.isnan(score.nbytes) else short_bytes(score.nbytes)}</td>'
        f'<td class="wide-only">{_number(score.ms_per_frame, 1)}</td></tr>'
    )


def _range(estimate: Estimate, variable: str, floor: float, blind: float = math.nan) -> str:
    """A dot with its interval on a scale from 0 to 1, with the floor and the blind model's score."""
    marks = ['<line x1="0" x2="100%" y1="50%" y2="50%" stroke="var(--rule)" stroke-width="1"/>']
    for at, dash in ((floor, "4 3"), (blind, "1 3")):
        if not math.isnan(at):
            marks.append(
                f'<line x1="{100 * at:.2f}%" x2="{100 * at:.2f}%" y1="-30%" y2="130%" stroke="var(--muted)" '
                f'stroke-width="1.1" stroke-dasharray="{dash}"/>'
            )
    if not math.isnan(estimate.low):
        marks.append(
            f'<line x1="{100 * estimate.low:.2f}%" x2="{100 * estimate.high:.2f}%" y1="50%" y2="50%" '
            f'stroke="var({variable})" stroke-width="2.2" stroke-linecap="round"/>'
        )
    marks.append(f'<circle cx="{100 * estimate.value:.2f}%" cy="50%" r="4.2" fill="var({variable})"/>')
    return f'<svg class="range" aria-hidden="true">{"".join(marks)}</svg>'


def timeline_section(track: Track, policy: str, facts: TimelineFacts, svg: str, frames: Sequence[KeyFrame]) -> str:
    """Surprise over time of one clip, with its key frames."""
    true = (
        f" Grey lines: the {facts.true} true changes. Triangles: the {facts.found} events found, filled where one "
        f"lies within {TOLERANCE_S:g} s of a true change ({facts.hits})."
        if track.events is not None
        else f" Triangles: the {facts.found} events found; the true ones are not known."
    )
    thinned = f" Each point is the largest of {facts.frames_a_point} frames." if facts.frames_a_point > 1 else ""
    pictures = "".join(
        f'<div><img src="{frame.data_uri()}" alt="frame at {frame.t_s:g} s">{_moment(frame.t_s)}'
        f"{_place(track, frame.t_s)}</div>"
        for frame in frames
    )
    columns = len(frames) if len(frames) <= 6 else -(-len(frames) // 2)
    strip = f'<div class="frames" style="--columns:{columns}">{pictures}</div>\n' if pictures else ""
    pointer = " Pictures: key frames and their times." if pictures else ""
    return (
        f"<h2>Surprise over time</h2>\n<figure>{svg}\n{strip}<figcaption><b>Surprise in clip {escape(track.clip)}, "
        f"watched by {escape(policy)}.</b> Surprise is one minus the mean cosine between the latents predicted for a "
        f"frame and those seen; the first frame, which nothing predicted, is left out.{true}{thinned} Gate: the share "
        f"of a frame that is written to memory.{pointer}</figcaption></figure>"
    )


def boundaries_section(sources: Sequence[Source]) -> str:
    """The table of surprise sources."""
    conditions = list(dict.fromkeys(source.condition for source in sources))
    body = ""
    for condition in conditions:
        chosen = [source for source in sources if source.condition == condition]
        heading = f'<tr class="group"><th colspan="13">{escape(condition)}</th></tr>' if condition else ""
        body += f"<tbody>{heading}{''.join(map(_source_row, chosen))}</tbody>"
    return (
        "<h2>Surprise at true event boundaries</h2>\n"
        '<div class="scroll"><table class="boundaries"><thead><tr><th>Source of surprise</th><th>AUROC</th>'
        '<th>95% interval</th><th class="plot wide-only"><div class="ends"><span>0</span><span>.5</span>'
        "<span>1</span></div></th>"
        "<th>AP</th><th>F1</th><th>even</th><th>random</th><th>F1<sub>.05</sub></th><th>delay</th><th>per min</th>"
        "<th>error</th><th>events</th>"
        f"</tr></thead>{body}</table></div>\n"
        '<p class="caption"><b>How well surprise tells the frames at which an event begins from all others.</b> AUROC: '
        "the chance that a boundary is more surprising than a frame elsewhere of the same stream (.5, dashed, is "
        f"chance); AP: average precision. F1: found against true boundaries, one to one within {TOLERANCE_S:g} s "
        "unless the row was measured otherwise; even, random: F1 of as many boundaries, equally spaced and drawn at "
        f"random (mean of {DRAWS} draws); F1<sub>.05</sub>: within .05 of the stream's length (GEBD); delay: "
        "median seconds from boundary to detection; per min: boundaries found a minute; error: the source's own "
        "prediction error. Means over streams; intervals: a bootstrap over streams. "
        "A source that finds splices well need not find events: compare them on streams without cuts.</p>"
    )


def _source_row(source: Source) -> str:
    shares = (source.ap, source.f1, source.f1_uniform, source.f1_random, source.f1_relative)
    cells = [*((share, 3) for share in shares), (source.delay_s, 1), (source.per_minute, 2)]
    plot = "" if math.isnan(source.auroc.value) else _range(source.auroc, "--ink", 0.5)
    return (
        f'<tr><td>{escape(source.source)}</td><td class="score">{_number(source.auroc.value, 3)}</td>'
        f'<td class="range">{_interval(source.auroc, 1, 3)}</td>'
        f'<td class="plot wide-only">{plot}</td>'
        + "".join(f"<td>{_number(value, digits)}</td>" for value, digits in cells)
        + f"<td>{_number(source.prediction_error, 3)}</td><td>{source.n_events} ({source.streams})</td></tr>"
    )


def figure_section(heading: str, svg: str, caption: str) -> str:
    """One figure under its heading, if it has one; `caption` is HTML."""
    title = f"<h2>{escape(heading)}</h2>\n" if heading else ""
    return f"{title}<figure>{svg}\n<figcaption>{caption}</figcaption></figure>"


def failures_section(failed: Sequence[Line]) -> str:
    """What went wrong."""
    body = "".join(
        f'<tr><td class="wrap">{escape(row["run"])}</td><td class="wrap">{escape(row["clip"])}</td>'
        f'<td class="wrap">{escape(row["error"])}</td></tr>'
        for row in failed
    )
    return (
        '<h2>Failures</h2>\n<div class="scroll"><table><thead><tr><th>Run</th><th class="left">Clip</th>'
        f'<th class="left">Error</th></tr></thead><tbody>{body}</tbody></table></div>'
    )


def provenance_section(runs: Sequence[dict[str, str]], command: str) -> str:
    """What produced the rows, and this page: what all runs share, then what each has of its own."""
    shared = {k: v for k, v in runs[0].items() if v and k != "command" and all(run[k] == v for run in runs)}
    own = [k for k in runs[0] if k not in shared and k != "command" and any(run[k] for run in runs)]
    head = "".join(f'<th class="left">{escape(name)}</th>' for name in own)
    body = "".join(f"<tr>{''.join(_own_cell(run[name]) for name in own)}</tr>" for run in runs)
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'
    commands = "".join(f"<p><code>{escape(run['command'])}</code></p>" for run in runs if run["command"])
    typed = f"<details><summary>The commands that made the rows</summary>{commands}</details>\n" if commands else ""
    return (
        "<h2>Where the numbers come from</h2>\n"
        f"{_definitions({'page': command, **shared})}{table if own else ''}{typed}"
    )


def _own_cell(value: str) -> str:
    return f'<td class="{"wrap" if len(value) > 24 else "left"}">{escape(value)}</td>'


def _definitions(values: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in values.items()) + "</dl>\n"


def _interval(estimate: Estimate, scale: float, digits: int) -> str:
    if math.isnan(estimate.low):
        return "–"
    return f"{scale * estimate.low:.{digits}f} – {scale * estimate.high:.{digits}f}"


def _size(estimate: Estimate) -> str:
    """How many questions, and of how many streams where those are fewer."""
    return str(estimate.n) if estimate.n == estimate.streams else f"{estimate.n} ({estimate.streams})"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _moment(t_s: float) -> str:
    minutes, seconds = divmod(t_s, 60)
    return f"{minutes:.0f}:{seconds:04.1f}" if t_s >= 60 else f"{t_s:.1f} s"


def _place(track: Track, t_s: float) -> str:
    """The label of the event that a moment belongs to."""
    labels = [label for start, label in track.events or [] if start <= t_s + 1e-6]
    return f" · {escape(labels[-1])}" if labels and labels[-1] else ""
