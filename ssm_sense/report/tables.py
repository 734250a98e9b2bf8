"""What every table needs: CSV files, means of what is known; and the tables of runs and failures."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssm_sense.report.rows import Line, Track
from ssm_sense.state import write_whole

SHOWN = 80
"""Tables of scores and comparisons with more lines are folded away."""


def provenance(rows: Sequence[Line]) -> list[dict[str, str]]:
    """What produced each run: the fields of its rows, several values of one field side by side."""
    runs: dict[str, list[Line]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    names = ("policy", "config", "seed", "scorer", "commit", "backend", "device", "command")
    table = []
    for run, run_rows in runs.items():
        values = {
            name: ", ".join(dict.fromkeys(str(r.get(name)) for r in run_rows if r.get(name) not in (None, "")))
            for name in names
        }
        settings = dict(run_rows[0].get("settings") or {})
        values["settings"] = ", ".join(f"{k} {v}" for k, v in settings.items())
        versions = dict(run_rows[0].get("versions") or {})
        values["versions"] = ", ".join(f"{k} {v}" for k, v in versions.items())
        table.append({"run": run, **values})
    return table


def failures(rows: Sequence[Line]) -> list[Line]:
    """The first row with an error of every run and clip that has one."""
    first: dict[tuple[str, str], Line] = {}
    for row in rows:
        if row.get("error"):
            first.setdefault((row["run"], row["clip"]), row)
    return list(first.values())


def timeline_csv(track: Track) -> list[dict[str, Any]]:
    """timeline.csv: a line a frame of the clip that is shown."""
    found, events = set(track.found_s), dict(track.events or ())
    return [
        {
            "t_s": float(t_s),
            "surprise": float(track.surprise[i]),
            "gate": float(track.gate[i]),
            "found": int(t_s in found),
            "true_event": "" if track.events is None else int(t_s in events),
            "label": events.get(t_s, ""),
        }
        for i, t_s in enumerate(track.t_s.tolist())
    ]


def write_csv(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """One CSV file, whole or not at all; numbers that are not known are left empty."""

    def write(partial: Path) -> None:
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
            writer.writeheader()
            for line in lines:
                writer.writerow({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in line.items()})

    write_whole(path, write)


def mean(values: Iterable[float | None]) -> float:
    """The mean of the values that are known, nan if none is."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else math.nan


def short_bytes(value: float) -> str:
    """Bytes to three figures: "512 B", "4.19 MB" (decimal multiples)."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def short_p(p: float) -> str:
    """A p-value as the page has it, "< .001" or "0.042"; HTML."""
    return "&lt; .001" if p < 0.001 else f"{p:.3f}"
