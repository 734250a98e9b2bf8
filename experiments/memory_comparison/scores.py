"""Scores of every policy at each length and on the way, mean over seeds, with a 95% bootstrap over streams and seeds.

python experiments/memory_comparison/scores.py experiments/memory_comparison/count/rows.jsonl
"""

import sys
from collections import defaultdict
from pathlib import Path

from ssm_sense.data.rows import read_jsonl
from ssm_sense.metrics.interval import stream_mean


def main(rows: Path) -> None:
    """Print each policy's score in percent at each minute of `vsr` or `vsc`, of all of those, and on the way."""
    scores: dict[tuple[str, str], list[tuple[float, str, int]]] = defaultdict(list)
    for _, cell in read_jsonl(rows):
        name = " ".join(cell["grid"].values())
        for row in cell["result"]:
            credit = float(row["correct"] if "correct" in row else row["mra"])
            columns = ["on the way"] if row["kind"] == "vsc-streaming" else [f"{row['t_s'] / 60:.0f} min", "all"]
            for column in columns:
                scores[name, column].append((credit, row["clip"], cell["seed"]))
    columns = sorted(
        {column for _, column in scores}, key=lambda column: (not column[0].isdigit(), len(column), column)
    )
    print("|", " | ".join(["policy", *columns]), "|\n" + "|---" * (1 + len(columns)) + "|")
    for name in dict.fromkeys(name for name, _ in scores):
        shown = []
        for column in columns:
            credits, clips, seeds = zip(*scores[name, column], strict=True)
            one = stream_mean(credits, clips, seeds=seeds)
            shown.append(f"{100 * one.value:.0f} ({100 * one.low:.0f} to {100 * one.high:.0f})")
        print("|", " | ".join([name, *shown]), "|")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
