"""Tables and the figure of `ssm-sense splices measure`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ssm_sense.commands.splices_measures import AIM, CONDITIONS, NEEDLES, reading, verdict
from ssm_sense.metrics.moments import Drawn
from ssm_sense.report.figures import STYLE
from ssm_sense.report.palette import EVENT, MUTED, RULE, Palette

Measured = Mapping[tuple[str, str], Mapping[tuple[str, str], Drawn]]
"""(detector, training) to (condition, measure) to what was found."""

RIVALS = ("EMA", "depth", "depth (standard)", "stateless LFP")
"""Of whom the best has to be beaten by `AIM` on walks."""
OURS = ("closed loop", "closed loop, shift", "closed loop, shift with state", "open loop", "open loop, shift")
_COLUMNS = (
    ("walk", "auroc event", "event, walked"),
    ("cut", "auroc event", "event, cut"),
    ("jump", "auroc decoy", "jump"),
    ("flash", "auroc decoy", "flash"),
    ("exposure", "auroc decoy", "exposure"),
    ("cutjump", "auroc event over decoy", "cut over jump"),
    ("jump", "auroc event over decoy", "walk over jump"),
)
_MARKS = (("walk", "o"), ("cut", "D"), ("none", "s"))


def write(folder: Path, measured: Measured) -> None:
    """results.md, differences.jsonl, surprise.png and .svg into a folder."""
    (folder / "results.md").write_text(table(measured))
    lines = differences(measured)
    (folder / "differences.jsonl").write_text("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))
    with rc_context(STYLE):
        figure = draw(measured)
        for suffix in ("png", "svg"):
            metadata = {"Date": None} if suffix == "svg" else None
            figure.savefig(folder / f"surprise.{suffix}", dpi=160, metadata=metadata, facecolor="#fefefd")


def table(measured: Measured) -> str:
    """What each detector finds, and by what numbers; then F1 by condition, and needles."""
    parts = ["AUROC with 95% intervals. `walk` is trained on walks, `cut` on cuts, `none` is not trained.\n"]
    heads = ["detector", "trained", *(title for *_, title in _COLUMNS), "finds"]
    rows = [
        [name, train, *(_cell(found, condition, measure) for condition, measure, _ in _COLUMNS), verdict(found)]
        for (name, train), found in _ordered(measured)
    ]
    parts.append(_markdown(heads, rows))
    parts.append("\nF1 within 2 s, τ picked on the condition's own validation streams, and on walks:\n")
    heads = ["detector", "trained", *CONDITIONS, "a minute, walk"]
    rows = []
    for (name, train), found in _ordered(measured):
        pairs = [f"{_value(found, c, 'f1 tuned')} / {_value(found, c, 'f1 transferred')}" for c in CONDITIONS]
        rows.append([name, train, *pairs, _value(found, "walk", "a minute tuned", 1)])
    parts.append(_markdown(heads, rows))
    parts.append("\nShare of decoys with a boundary in the 2 s after, and of moments elsewhere, τ from walks:\n")
    answered, calm = "decoys answered transferred", "elsewhere answered transferred"
    decoys = [c for c in CONDITIONS if any((c, answered) in found for found in measured.values())]
    rows = []
    for (name, train), found in _ordered(measured):
        rows.append([name, train, *(f"{_value(found, c, answered)} / {_value(found, c, calm)}" for c in decoys)])
    parts.append(_markdown(["detector", "trained", *decoys], rows))
    parts.append("\nAUROC of the frame in which a needle appears, against elsewhere:\n")
    needles = [n for n in NEEDLES if any((n, "auroc needle") in found for found in measured.values())]
    rows = [
        [name, train, *(_cell(found, needle, "auroc needle") for needle in needles)]
        for (name, train), found in _ordered(measured)
    ]
    parts.append(_markdown(["detector", "trained", *needles], rows))
    parts.append("\nDifferences, paired by stream:\n")
    rows = [
        [str(d["what"]), f"{_signed(d['value'])} ({_signed(d['low'])} to {_signed(d['high'])})", str(d["reading"])]
        for d in differences(measured)
    ]
    parts.append(_markdown(["difference", "value", "reading"], rows))
    return "\n".join(parts)


def differences(measured: Measured) -> list[dict[str, str | float]]:
    """The paired differences that the verdict rule asks for, with their readings."""
    found: list[tuple[str, Drawn, str | None]] = []
    rivals = {name: _of(measured, name)["walk", "f1 tuned"] for name in RIVALS if _has(measured, name)}
    if rivals:
        best = max(rivals, key=lambda name: rivals[name].value)
        for name in (*OURS, "stateless LFP, shift", "shipped model, unlike its place"):
            if _has(measured, name):
                gain = _of(measured, name)["walk", "f1 tuned"] - rivals[best]
                reached = gain.value >= AIM and gain.estimate.low > 0
                found.append((f"F1 in walk: {name} - {best}", gain, "aim reached" if reached else "aim not reached"))
    for name, other in (
        ("closed loop", "stateless LFP"),
        ("closed loop", "open loop"),
        ("closed loop, shift with state", "closed loop, shift"),
        ("closed loop, shift", "stateless LFP, shift"),
        ("open loop", "stateless LFP"),
        ("open loop, shift", "stateless LFP, shift"),
    ):
        if _has(measured, name) and _has(measured, other):
            for measure in ("f1 tuned", "auroc event"):
                difference = _of(measured, name)["walk", measure] - _of(measured, other)["walk", measure]
                found.append((f"{measure.split()[0]} in walk: {name} - {other}", difference, None))
    for name in dict.fromkeys(name for name, _ in measured):
        if {(name, "walk"), (name, "cut")} <= set(measured):
            taught = measured[name, "cut"]["jump", "auroc decoy"] - measured[name, "walk"]["jump", "auroc decoy"]
            found.append((f"decoys in jump, {name}: trained on cut - on walk", taught, None))
        one = _of(measured, name)
        for frames in ("1", "6"):
            keys = (f"paste{frames}", "auroc needle"), (f"object{frames}", "auroc needle")
            if set(keys) <= set(one):
                found.append((f"needles, {frames} frames, {name}: paste - object", one[keys[0]] - one[keys[1]], None))
        for decoy in ("jump", "flash", "exposure"):
            if (decoy, "auroc decoy") in one:
                lead = one["walk", "auroc event"] - one[decoy, "auroc decoy"]
                found.append((f"{name}: walked events - {decoy}", lead, None))
    return [_line(what, drawn, told or reading(drawn)) for what, drawn, told in found]


def draw(measured: Measured) -> Figure:
    """AUROC of each detector, a panel a column of the table; filled where trained on walks, hollow on cuts."""
    names = list(dict.fromkeys(name for (name, _), _ in _ordered(measured)))
    palette = Palette(names)
    figure = Figure(figsize=(12.0, 0.27 * len(names) + 1.3), layout="constrained")
    panels = figure.subplots(1, len(_COLUMNS), sharey=True)
    for panel, (condition, measure, title) in zip(panels, _COLUMNS, strict=True):
        for (name, train), found in measured.items():
            if (condition, measure) not in found or not np.isfinite(found[condition, measure].value):
                continue
            estimate = found[condition, measure].estimate
            y = names.index(name) + (0.2 if train == "cut" else 0.0)
            colour = palette.colour(name)
            panel.hlines(y, estimate.low, estimate.high, color=colour, linewidth=1.0)
            fill = "none" if train == "cut" else colour
            panel.plot(estimate.value, y, dict(_MARKS)[train], ms=4, mfc=fill, mec=colour, mew=0.9, clip_on=False)
        panel.axvline(0.5, color=EVENT, linewidth=0.8)
        panel.set_title(title, loc="left")
        panel.set(xlim=(0, 1), xticks=[0, 0.5, 1])
        panel.grid(axis="y", color=RULE, linewidth=0.4, alpha=0.6)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.supxlabel("AUROC of surprise (discs: trained on walks, hollow: on cuts, squares: untrained)", color=MUTED)
    return figure


def _ordered(measured: Measured) -> list[tuple[tuple[str, str], Mapping[tuple[str, str], Drawn]]]:
    """Best at walked events first; each detector's trainings together."""
    best = {name: _of(measured, name)["walk", "auroc event"].value for name, _ in measured}
    return sorted(measured.items(), key=lambda item: (-best[item[0][0]], item[0][0], item[0][1] == "cut"))


def _of(measured: Measured, name: str) -> Mapping[tuple[str, str], Drawn]:
    """Of a detector, trained on walks where it is trained."""
    return (
        measured[name, "walk"] if (name, "walk") in measured else next(v for k, v in measured.items() if k[0] == name)
    )


def _has(measured: Measured, name: str) -> bool:
    return any(detector == name for detector, _ in measured)


def _line(what: str, drawn: Drawn, told: str) -> dict[str, str | float]:
    estimate = drawn.estimate
    return {
        "what": what,
        "value": round(estimate.value, 4),
        "low": round(float(np.nan_to_num(estimate.low)), 4),
        "high": round(float(np.nan_to_num(estimate.high)), 4),
        "streams": estimate.streams,
        "reading": told,
    }


def _cell(found: Mapping[tuple[str, str], Drawn], condition: str, measure: str) -> str:
    if (condition, measure) not in found or not np.isfinite(found[condition, measure].value):
        return ""
    estimate = found[condition, measure].estimate
    return f"{_short(estimate.value)} ({_short(estimate.low)} to {_short(estimate.high)})"


def _value(found: Mapping[tuple[str, str], Drawn], condition: str, measure: str, digits: int = 2) -> str:
    if (condition, measure) not in found or not np.isfinite(found[condition, measure].value):
        return ""
    return _short(found[condition, measure].value, digits)


def _short(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".removeprefix("0") if 0 <= value < 1 else f"{value:.{digits}f}"


def _signed(value: str | float) -> str:
    return f"{float(value):+.2f}".replace("0.", ".")


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"
