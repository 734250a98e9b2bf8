"""Whether a frame and an answer cost at a stream's end what they cost at its beginning, and whether what is held grows.

python experiments/memory_comparison/flatness.py runs/sweeps/memory_comparison_recall/cells

Medians of milliseconds: of frames, in the last tenth of all streams over the first, ten minutes of it at most; of
answers, at the last time that is asked at over the first. Reads every frames.jsonl and rows.jsonl below the folder.
"""

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from ssm_sense.data.rows import read_jsonl
from ssm_sense.report.rows import time_of

_MOST_FIRST_S = 600.0


def main(folder: Path) -> None:
    """Print a line for each run, by its name in the rows."""
    print("| run | ms a frame, first | last | times | ms an answer, first | last | times | bytes, fewest to most |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sorted(folder.rglob("rows.jsonl")):
        frames, answers = defaultdict(list), defaultdict(list)
        held: set[int] = set()
        lengths: dict[str, float] = {}
        name = ""
        for _, row in read_jsonl(path):
            if row.get("error") is None:
                name, lengths[row["clip"]] = row["run"], row["duration_s"]
                answer_ms = time_of(row, "answer_ms")
                answers[row["t_s"]] += [] if answer_ms is None else [answer_ms]
        for _, frame in read_jsonl(path.with_name("frames.jsonl")):
            length = lengths.get(frame["clip"])
            if length is None:
                continue
            held.add(frame["nbytes"])
            if frame["t_s"] < min(_MOST_FIRST_S, length / 10):
                frames["first"].append(frame["ms"])
            elif frame["t_s"] >= 0.9 * length:
                frames["last"].append(frame["ms"])
        if frames["first"] and frames["last"] and answers:
            a, b = median(frames["first"]), median(frames["last"])
            c, d = (median(answers[t]) for t in (min(answers), max(answers)))
            numbers = f"{a:.2f} | {b:.2f} | {b / a:.2f} | {c:.1f} | {d:.1f} | {d / c:.2f}"
            print(f"| {name} | {numbers} | {min(held):,} to {max(held):,} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
