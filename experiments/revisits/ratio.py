"""What is left of a score as a film is repeated, with a 95% bootstrap interval over streams.

python experiments/revisits/ratio.py experiments/revisits/repeat/rows.jsonl [POLICY ...]
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from ssm_sense.data.rows import read_jsonl
from ssm_sense.metrics.interval import percentiles, stream_mean, stream_weights

FIRST_S = 600.0


def main(rows: Path, *policies: str) -> None:
    """Print, for each policy and time of `vsc` questions, its MRA, what it answers, what is true, and the ratio."""
    scores: dict[tuple[str, float], dict[str, list[tuple[float, float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for _, cell in read_jsonl(rows):
        policy = cell["grid"]["policy"]
        for row in cell["result"] if not policies or policy in policies else ():
            if row["kind"] == "vsc":
                answer = float(row["prediction"]) if row["prediction"].strip().isdigit() else 0.0
                scores[policy, row["t_s"]][row["clip"]].append((row["mra"], answer, float(row["truth"])))
    print("| policy | minutes | MRA | answers | truth | share left |\n|---|---|---|---|---|---|")
    for (policy, t_s), clips in sorted(scores.items()):
        names = sorted(clips)
        of = {t: np.array([np.mean([x[0] for x in scores[policy, t][name]]) for name in names]) for t in (t_s, FIRST_S)}
        mean = stream_mean(of[t_s].tolist(), names)
        weights = stream_weights(len(names))
        first = weights @ of[FIRST_S]
        ratio = np.divide(weights @ of[t_s], first, out=np.full(len(first), np.nan), where=first > 0)
        left = f"{of[t_s].mean() / of[FIRST_S].mean():.2f}" if of[FIRST_S].any() else "–"
        if np.isfinite(ratio).all():
            left += " ({:.2f} to {:.2f})".format(*percentiles(ratio, len(names)))
        every = [x for name in names for x in clips[name]]
        answers, truth = (np.mean([x[i] for x in every]) for i in (1, 2))
        shown = f"{mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f})"
        print(f"| {policy} | {t_s / 60:.0f} | {shown} | {answers:.1f} | {truth:.1f} | {left} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
