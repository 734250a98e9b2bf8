"""What every seed of a sweep measured, a table a metric: one line for each value of a column, one column for each cell.

python experiments/by_seed.py experiments/length/longer/rows.jsonl minutes recall change

A metric with an interval of its own (METRIC_low, METRIC_high) is shown with it.
"""

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from ssm_sense.data.rows import read_jsonl


def main(rows: Path, column: str, metrics: list[str]) -> None:
    """Print seeds in their order, separated by slashes; lines of another kind than "same" are left out."""
    found: dict[tuple[Any, str], dict[int, dict[str, Any]]] = defaultdict(dict)
    for _, cell in read_jsonl(rows):
        if cell["error"] is None:
            for line in cell["result"]:
                if column not in line:
                    raise SystemExit(f"expected one of the columns {', '.join(line)}, got {column}")
                if line.get("kind", "same") == "same":
                    found[line[column], " ".join(map(str, cell["grid"].values()))][cell["seed"]] = line
    cells = list(dict.fromkeys(cell for _, cell in found))
    for metric in metrics:
        print(f"\n{metric}\n\n| {column} | {' | '.join(cells)} |\n|{'---|' * (1 + len(cells))}")
        for value in sorted({value for value, _ in found}):
            shown = (
                " / ".join(_shown(line, metric) for _, line in sorted(found[value, cell].items())) for cell in cells
            )
            print(f"| {value} | {' | '.join(shown)} |")


def _shown(line: dict[str, Any], metric: str) -> str:
    if line.get(metric) is None:
        return "–"
    low, high = line.get(f"{metric}_low"), line.get(f"{metric}_high")
    return f"{line[metric]:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
