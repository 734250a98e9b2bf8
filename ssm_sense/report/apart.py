"""Which runs may stand in one line: training seeds of one policy, and not two policies that are called the same."""

from collections.abc import Sequence
from typing import Any

from ssm_sense.report.rows import Line, question_of
from ssm_sense.report.scores import budget_of, series, settings_of

_OF_THE_DATA = ("minutes", "dataset", "benchmark", "task", "ask_at", "draws", "repeat", "batch_frames", "policy_class")
"""Settings in which runs of one policy may differ, and those that say nothing of what it answers."""


def told_apart(rows: Sequence[Line]) -> list[Line]:
    """The rows, with ``policy`` followed by a run's name wherever runs of that name are not to be taken together.

    Runs of one policy and budget go together if they agree in its settings, the frame rate, the scorer and, where they
    are blind, in what was blinded. What only one of them names, as older rows do not, separates nothing. Of those that
    agree, each stands for itself if two with the same seed answered the same question: then they are no seeds of one
    another, but two models.
    """
    series_of: dict[tuple[str, int | None], dict[str, list[Line]]] = {}
    for row in rows:
        series_of.setdefault((series(row), budget_of(row)), {}).setdefault(row["run"], []).append(row)
    names: dict[tuple[str, str, int | None], str] = {}
    for (policy, budget), runs in series_of.items():
        clusters = [part for cluster in _agreeing(runs) for part in _seeds_of_one(cluster, runs)]
        if len(clusters) > 1:
            names |= {(policy, run, budget): f"{policy} · {cluster[0]}" for cluster in clusters for run in cluster}
    found = []
    for row in rows:
        name = names.get((series(row), row["run"], budget_of(row)))
        # A line of its own is no longer what every other is set against, as blind models are.
        found.append(row if name is None else {**row, "policy": name, "blind": False})
    return found


def _agreeing(runs: dict[str, list[Line]]) -> list[list[str]]:
    """Names of runs that agree in all that both say, in order of appearance."""
    clusters: list[tuple[dict[str, Any], list[str]]] = []
    for run, rows in runs.items():
        said = _identity(rows[0])
        for known, names in clusters:
            if all(known.get(key, value) == value for key, value in said.items()):
                known.update(said)
                names.append(run)
                break
        else:
            clusters.append((said, [run]))
    return [names for _, names in clusters]


def _identity(row: Line) -> dict[str, Any]:
    """What decides the answers besides weights, seed, data and budget, as far as the row says it."""
    settings = {name: value for name, value in settings_of(row).items() if name not in _OF_THE_DATA}
    policy = settings.pop("policy", None)
    own = policy if isinstance(policy, dict) else {}
    said = {f"policy.{name}": value for name, value in own.items() if name != "budget_bytes"} | settings
    said |= {"policy": row["policy"]}
    return said | ({"scorer": row["scorer"]} if row.get("scorer") else {})


def _seeds_of_one(cluster: list[str], runs: dict[str, list[Line]]) -> list[list[str]]:
    """The runs together, or each by itself if two of the same seed answered the same question."""
    asked: dict[tuple[Any, ...], str] = {}
    for run in cluster:
        for row in runs[run]:
            question = (settings_of(row).get("dataset"), row.get("seed"), *question_of(row))
            if asked.setdefault(question, run) != run:
                return [[run] for run in cluster]
    return [cluster]
