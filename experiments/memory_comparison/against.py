"""Ours, of one training seed, against what a sweep's rows hold on the same streams, question by question.

python experiments/memory_comparison/against.py experiments/memory_comparison/{recall,budgets}/rows.jsonl
python experiments/memory_comparison/against.py experiments/memory_comparison/same_reader/{ours,rows}.jsonl 1x 4x

With words, only cells that have one of them in their grid. The difference of all questions together with its 95%
bootstrap interval over streams, p of no difference by a randomisation test over streams, and p corrected by Holm
over the lines.
"""

import sys
from pathlib import Path
from typing import Any

from ssm_sense.data.rows import read_jsonl
from ssm_sense.metrics.compare import holm, paired_difference

Credits = dict[tuple[str, str, float, int], float]
"""What each question earned: by its stream, kind, time and number among those."""


def main(ours: Path, rivals: Path, words: list[str]) -> None:
    """Print a line for each cell of the rivals' sweep: points, ours of seed 0 minus the rival."""
    us = {_streams(cell): _credits(cell) for cell in _cells(ours) if cell["grid"]["policy"] == "ours"}
    lines = []
    for cell in _cells(rivals):
        grid = cell["grid"].values()
        if "ours" in grid or (words and not set(words) & set(grid)):
            continue
        ours_here, them = us[_streams(cell)], _credits(cell)
        if them.keys() != ours_here.keys():
            expected = f"expected the {len(ours_here)} questions that ours was asked"
            raise SystemExit(f"{cell['cell']}: {expected}, got {len(them)}")
        pairs = [(credit, them[key], key[0]) for key, credit in ours_here.items()]
        lines.append((cell, paired_difference(*zip(*pairs, strict=True)), sum(them.values()) / len(them)))
    print("| rival | bytes | score | ours, points above it | p | Holm |\n|---|---|---|---|---|---|")
    for (cell, found, score), p in zip(lines, holm([found.p for _, found, _ in lines]), strict=True):
        held = max(row["nbytes"] for row in cell["result"])
        points = f"{100 * found.value:.0f} ({100 * found.low:.0f} to {100 * found.high:.0f})"
        name = " ".join(reversed(cell["grid"].values()))
        print(f"| {name} | {held:,} | {100 * score:.0f} | {points} | {found.p:.4f} | {p:.4f} |")


def _cells(rows: Path) -> list[dict[str, Any]]:
    return [cell for _, cell in read_jsonl(rows) if cell["error"] is None and cell["seed"] == 0]


def _streams(cell: dict[str, Any]) -> str | None:
    """The set that a cell watched, where its sweep has several."""
    name: str | None = cell["grid"].get("streams")
    return name


def _credits(cell: dict[str, Any]) -> Credits:
    found: Credits = {}
    for row in cell["result"]:
        number = 0
        while (key := (row["clip"], row["kind"], row["t_s"], number)) in found:
            number += 1
        found[key] = float(row["correct"] if "correct" in row else row["mra"])
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
