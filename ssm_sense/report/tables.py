"""What every table needs: CSV files, means of what is known; and the tables of runs and failures."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssm_sense.report.rows import Line


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


def write_csv(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """One CSV file; numbers that are not known are left empty."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in line.items()})


def mean(values: Iterable[float | None]) -> float:
    """The mean of the values that are known, nan if none is."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else math.nan
