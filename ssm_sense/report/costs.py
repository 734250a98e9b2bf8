"""What every run cost: bytes, milliseconds and multiplications, as far as its rows say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ssm_sense.report.palette import BLIND, VARIABLES, Palette
from ssm_sense.report.rows import Line, time_of
from ssm_sense.report.scores import series
from ssm_sense.report.tables import mean, short_bytes


@dataclass(frozen=True)
class Cost:
    """One run; nan for what its rows do not say.

    held, peak, peak_cuda: the most bytes of any row. frame_ms: of frames that were seen; watch_ms: of those whose
    latents were cached. flops: of a frame, in vision and memory, the most of any row.
    """

    run: str
    policy: str
    held: float
    peak: float
    peak_cuda: float
    frame_ms: float
    watch_ms: float
    answer_ms: float
    first_pass_ms: float
    vision_flops: float
    memory_flops: float


def costs(rows: Sequence[Line]) -> list[Cost]:
    """A line a run whose rows say more of cost than the score table shows."""
    runs: dict[str, list[Line]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    return [_cost(run, of) for run, of in runs.items() if any(row.get("peak_bytes") for row in of)]


def _cost(run: str, rows: list[Line]) -> Cost:
    cached = [row for row in rows if row.get("vision") == "cached"]
    live = [row for row in rows if row.get("vision") != "cached"]
    flops = [row.get("flops") or {} for row in rows]
    return Cost(
        run,
        series(rows[0]),
        _most(row["nbytes"] for row in rows),
        _most(row.get("peak_bytes") for row in rows),
        _most(row.get("peak_cuda_bytes") for row in rows),
        mean(row["ms_per_frame"] for row in live),
        mean(row["ms_per_frame"] for row in cached),
        mean(time_of(row, "answer_ms") for row in rows),
        mean(time_of(row, "first_pass_ms") for row in rows),
        _most(one.get("vision") for one in flops),
        _most(one.get("memory") for one in flops),
    )


def _most(values: Any) -> float:
    return max((float(value) for value in values if value is not None), default=math.nan)


def cost_csv(found: Sequence[Cost]) -> list[dict[str, Any]]:
    """costs.csv: a line a run."""
    return [dict(vars(cost)) for cost in found]


def costs_section(found: Sequence[Cost], palette: Palette) -> str:
    """The table; columns of which no run says anything are left out."""
    columns = [
        ("Held", "held", short_bytes),
        ("Peak, process", "peak", short_bytes),
        ("Peak, GPU", "peak_cuda", short_bytes),
        ("ms/frame", "frame_ms", _short),
        ("ms/frame, cached", "watch_ms", _short),
        ("ms/answer", "answer_ms", _short),
        ("ms to first pass", "first_pass_ms", _short),
        ("GFLOP/frame, vision", "vision_flops", _giga),
        ("GFLOP/frame, memory", "memory_flops", _giga),
    ]
    shown = [column for column in columns if any(not math.isnan(getattr(cost, column[1])) for cost in found)]
    head = "".join(f'<th class="head">{escape(title)}</th>' for title, _, _ in shown)
    body = ""
    for cost in sorted(found, key=lambda cost: (cost.policy == BLIND, cost.policy, cost.run)):
        swatch = f'<span class="swatch" style="background:var({VARIABLES[palette.colour(cost.policy)]})"></span>'
        label = escape(cost.run).replace("_", "_<wbr>")
        values = [(getattr(cost, name), words) for _, name, words in shown]
        cells = "".join(f"<td>{'–' if math.isnan(value) else words(value)}</td>" for value, words in values)
        body += f'<tr><td><div class="policy">{swatch}<span>{label}</span></div></td>{cells}</tr>'
    return (
        "<h2>Cost</h2>\n"
        f'<div class="scroll"><table><thead><tr><th>Run</th>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'
        '<p class="caption"><b>What each run held and took.</b> Held: the most bytes of the stream in memory when '
        "asked. Peak: the most that the process had resident, weights included. First pass: of the language model, "
        "after a question. GFLOP: of a frame, in memory at a stream's end; matrix products, convolutions and attention "
        "only.</p>"
    )


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _giga(value: float) -> str:
    return f"{value / 1e9:.3g}"
