"""Ours, of one training seed, against what another sweep's rows hold on the same streams, question by question.

python experiments/memory_comparison/against.py experiments/memory_comparison/{recall,budgets}/rows.jsonl

The difference of all questions together with its 95% bootstrap interval over streams, p of no difference by a
randomisation test over streams, and p corrected by Holm over the lines.
"""

import sys
from pathlib import Path
from typing import Any

from ssm_sense.data.rows import read_jsonl
from ssm_sense.metrics.compare import holm, paired_difference

Credits = dict[tuple[str, float, int], float]
"""What each question earned: by its stream, its time and its number among those of that time."""


def main(ours: Path, rivals: Path) -> None:
    """Print a line for each cell of the rivals' sweep: points, ours of seed 0 minus the rival."""
    cells = [cell for _, cell in read_jsonl(rivals) if cell["error"] is None]
    (us,) = (_credits(cell) for _, cell in read_jsonl(ours) if cell["grid"] == {"policy": "ours"} and cell["seed"] == 0)
    lines = []
    for cell in cells:
        them = _credits(cell)
        if them.keys() != us.keys():
            raise SystemExit(f"{cell['cell']}: expected the {len(us)} questions that ours was asked, got {len(them)}")
        pairs = [(us[key], them[key], key[0]) for key in us]
        lines.append((cell, paired_difference(*zip(*pairs, strict=True)), sum(them.values()) / len(them)))
    print("| rival | bytes | right | ours, points above it | p | Holm |\n|---|---|---|---|---|---|")
    for (cell, found, right), p in zip(lines, holm([found.p for _, found, _ in lines]), strict=True):
        held = max(row["nbytes"] for row in cell["result"])
        points = f"{100 * found.value:.0f} ({100 * found.low:.0f} to {100 * found.high:.0f})"
        name = " ".join(reversed(cell["grid"].values()))
        print(f"| {name} | {held:,} | {100 * right:.0f} | {points} | {found.p:.4f} | {p:.4f} |")


def _credits(cell: dict[str, Any]) -> Credits:
    found: Credits = {}
    for row in cell["result"]:
        number = 0
        while (key := (row["clip"], row["t_s"], number)) in found:
            number += 1
        found[key] = float(row["correct"])
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
