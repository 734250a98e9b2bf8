"""From sweep.yaml to cells: the product of the grid and the seeds, each with the commands that it runs.

Everything that can be wrong with the file is found here, before anything runs.
"""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssm_sense.errors import UserError
from ssm_sense.sweep.columns import Value, column_of, exceptions_of, text_of
from ssm_sense.sweep.report_plan import Comparison, FigurePlan, comparisons_of, figure_of, means_of
from ssm_sense.sweep.words import Template, fill, placeholders, split
from ssm_sense.sweep.yaml_file import read_yaml

HERE, WORK, CELL, SEED = "here", "work", "cell", "seed"
"""Placeholders of every sweep: the folder of sweep.yaml, the sweep's and the cell's scratch folder, and the seed."""
FIXED = (HERE, WORK, CELL, SEED)
KEYS = {
    "name", "rung", "prepare", "run", "grid", "except", "seeds", "limit", "resume", "result", "keep", "by", "means",
    "compare", "figure",
}  # fmt: skip
RESULTS = ("{cell}/result.json",)


@dataclass(frozen=True)
class Cell:
    """One run: `name` is unique in its sweep and changes with what it does, `commands` still hold HERE, WORK, CELL."""

    name: str
    grid: Mapping[str, str | int | float | bool]
    seed: int
    commands: tuple[Template, ...]

    @property
    def title(self) -> str:
        """For people: "facts=8 memory=bank seed=0"."""
        return " ".join(f"{column}={text_of(value)}" for column, value in {**self.grid, SEED: self.seed}.items())


@dataclass(frozen=True)
class Plan:
    """What a sweep.yaml says.

    rung: how much of the system its cells have. folder: where it stands and where rows.jsonl goes. prepare: commands
    run once before all cells. limit_s: seconds that one cell may take. resume: whether one that was interrupted or
    failed finds again what it had. results: files that hold a cell's result. keep: columns of it that are kept, all if
    empty. by: columns of a result of several lines that tell them apart. means: of columns of the result, by name.
    compare: values that all others of their column are compared with.
    """

    name: str
    rung: str | None
    folder: Path
    prepare: tuple[Template, ...]
    cells: tuple[Cell, ...]
    columns: tuple[str, ...]
    limit_s: float
    resume: bool
    results: tuple[str, ...]
    keep: tuple[str, ...]
    by: tuple[str, ...]
    means: Mapping[str, tuple[str, ...]]
    compare: tuple[Comparison, ...]
    figure: FigurePlan


def read_plan(path: Path, commands: Collection[str]) -> Plan:
    """Read a sweep.yaml. commands: the subcommands of `ssm-sense` that a sweep may run.

    Raises UserError, naming the file and what is wrong in it.
    """
    found = read_yaml(path)
    unknown = [str(key) for key in found if key not in KEYS]
    if unknown:
        raise UserError(f"{path}: unknown key {unknown[0]!r}; expected some of {', '.join(sorted(KEYS))}")
    for key in ("run", "grid", "seeds"):
        if not found.get(key):
            raise UserError(f"{path}: expected a key {key!r} that is not empty")
    run = _templates(path, found, "run", commands)
    prepare = _templates(path, found, "prepare", commands)
    if not isinstance(found["grid"], dict):
        raise UserError(f"{path}: grid: expected columns with their values, got {type(found['grid']).__name__}")
    grid = {str(name): column_of(f"{path}: grid: {name}", str(name), values) for name, values in found["grid"].items()}
    for name in grid:
        if name in FIXED or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UserError(f"{path}: grid: {name!r} cannot be the name of a column")
    seeds = _seeds(path, found["seeds"])
    _check_placeholders(path, run, prepare, grid, seeds)
    left_out = exceptions_of(f"{path}: except", found.get("except"), grid)
    results = _texts(path, found, "result") or RESULTS
    for name in placeholders([results]):
        if name not in (HERE, WORK, CELL):
            raise UserError(f"{path}: result: expected a path within {{cell}}, got {{{name}}} in it")
    by, keep = _texts(path, found, "by"), _texts(path, found, "keep")
    for name in by:
        if name in grid or name == SEED:
            raise UserError(f"{path}: by: expected columns of the result alone, got {name!r}")
    figure = figure_of(f"{path}: figure", found.get("figure"))
    for name in figure.columns:
        if name not in grid and name not in by:
            raise UserError(
                f"{path}: figure: expected a column of grid or by ({', '.join([*grid, *by])}), got {name!r}"
            )
    means = means_of(f"{path}: means", found.get("means"))
    compare = comparisons_of(f"{path}: compare", found.get("compare"), grid)
    measured = [
        *by,
        *figure.y,
        *(metric for one in compare for metric in one.margins),
        *(part for parts in means.values() for part in parts),
    ]
    for name in measured:
        if keep and name not in keep and name not in means:
            raise UserError(f"{path}: keep: expected {name!r} among it, for another key names it")
    return Plan(
        name=_name(path, found),
        rung=_rung(path, found.get("rung")),
        folder=path.parent,
        prepare=prepare,
        cells=tuple(_cells(path, run, grid, seeds, left_out)),
        columns=tuple(grid),
        limit_s=_limit_s(path, found.get("limit")),
        resume=_resume(path, found.get("resume", False)),
        results=results,
        keep=keep,
        by=by,
        means=means,
        compare=compare,
        figure=figure,
    )


def _templates(path: Path, found: dict[str, Any], key: str, commands: Collection[str]) -> tuple[Template, ...]:
    lines = found.get(key) or []
    if not isinstance(lines, list):
        raise UserError(f"{path}: {key}: expected a list of commands, got {type(lines).__name__}")
    templates = tuple(split(line, f"{path}: {key}") for line in lines)
    for template in templates:
        if template[0] not in commands:
            raise UserError(
                f"{path}: {key}: expected a command of ssm-sense that a sweep can run, got {template[0]!r}; "
                f"there are {', '.join(sorted(commands))}"
            )
    return templates


def _check_placeholders(
    path: Path,
    run: tuple[Template, ...],
    prepare: tuple[Template, ...],
    grid: Mapping[str, Mapping[str, Value]],
    seeds: list[int],
) -> None:
    """Every placeholder stands for something, and every column, and the seed, for some placeholder."""
    used = placeholders(run)
    for name in placeholders(prepare):
        if name not in (HERE, WORK):
            raise UserError(f"{path}: prepare: expected no placeholder but {{here}} and {{work}}, got {{{name}}}")
    for name in used:
        column, _, part = name.partition(".")
        if name in FIXED or (column in grid and not part):
            continue
        if column not in grid:
            raise UserError(f"{path}: run: {{{name}}} is no column of the grid, nor one of {', '.join(FIXED)}")
        lacking = [value for value, words in grid[column].items() if part not in words.parts]
        if lacking:
            raise UserError(f"{path}: grid: {column}: {lacking[0]}: expected a part {part!r}, for run has {{{name}}}")
    for column, values in grid.items():
        own = [words for value in values.values() for words in value.words_of(column).values()]
        for name in placeholders(own):
            if name not in FIXED:
                known = ", ".join(FIXED)
                raise UserError(f"{path}: grid: {column}: expected no placeholder but {known}, got {{{name}}}")
        if not any(name.partition(".")[0] == column for name in used):
            raise UserError(f"{path}: grid: {column}: expected a placeholder {{{column}}} in run, found none")
        if column in used and any(value.parts for value in values.values()):
            raise UserError(f"{path}: run: {{{column}}} has parts, so expected one of them, such as {{{column}.PART}}")
    if SEED not in used and len(seeds) > 1:
        raise UserError(f"{path}: run: expected a placeholder {{seed}}, for there are {len(seeds)} seeds")


def _cells(
    path: Path,
    run: tuple[Template, ...],
    grid: Mapping[str, Mapping[str, Value]],
    seeds: list[int],
    left_out: list[dict[str, set[str]]],
) -> list[Cell]:
    cells: list[Cell] = []
    for chosen in itertools.product(*(values.values() for values in grid.values())):
        point = dict(zip(grid, chosen, strict=True))
        if any(all(point[column].name in names for column, names in one.items()) for one in left_out):
            continue
        templates = {name: one for column, value in point.items() for name, one in value.words_of(column).items()}
        for seed in seeds:
            drawn = {SEED: [str(seed)]}
            words = {name: fill(one, drawn, f"{path}: grid: {name}") for name, one in templates.items()}
            commands = tuple(fill(template, {**words, **drawn}, f"{path}: run") for template in run)
            values = {column: value.value for column, value in point.items()}
            cells.append(Cell(_cell_name(values, seed, commands), values, seed, commands))
    if not cells:
        raise UserError(f"{path}: expected a cell, but 'except' leaves out all of them")
    return cells


def _cell_name(values: Mapping[str, Any], seed: int, commands: tuple[Template, ...]) -> str:
    """A name that can be a folder's: the coordinates as far as they go, and a digest of them and the commands."""
    digest = hashlib.sha256(json.dumps([values, seed, commands], sort_keys=True).encode()).hexdigest()[:8]
    readable = "-".join(re.sub(r"[^\w.=]+", "_", text_of(value)) for value in values.values())
    return f"{readable[:60]}-{seed}-{digest}"


def _name(path: Path, found: dict[str, Any]) -> str:
    name = found.get("name", path.resolve().parent.name)
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]*\w", name):
        raise UserError(f"{path}: name: expected letters, digits, '-', '_' and '.', got {name!r}")
    return name


def _rung(path: Path, rung: object) -> str | None:
    if rung is None or (isinstance(rung, str) and rung.strip() and len(rung.splitlines()) == 1):
        return rung
    raise UserError(f"{path}: rung: expected a line of text, such as 'tiny latents', got {rung!r}")


def _seeds(path: Path, seeds: object) -> list[int]:
    if not isinstance(seeds, list) or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise UserError(f"{path}: seeds: expected a list of whole numbers, 0 or more, got {seeds!r}")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{path}: seeds: expected no seed twice, got {seeds}")
    return seeds


def _limit_s(path: Path, limit: object) -> float:
    """Seconds that a cell may take; without a limit, infinitely many."""
    if limit is None:
        return math.inf
    minutes = limit.get("minutes") if isinstance(limit, dict) and set(limit) == {"minutes"} else None
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes < math.inf:
        raise UserError(f"{path}: limit: expected {{minutes: NUMBER}}, got {limit!r}")
    return 60.0 * minutes


def _resume(path: Path, resume: object) -> bool:
    if not isinstance(resume, bool):
        raise UserError(f"{path}: resume: expected true or false, got {resume!r}")
    return resume


def _texts(path: Path, found: dict[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts, for which one text may stand."""
    value = found.get(key) or []
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise UserError(f"{path}: {key}: expected a name, or a list of names, got {value!r}")
    if len(set(texts)) < len(texts):
        raise UserError(f"{path}: {key}: expected no name twice, got {texts}")
    return tuple(texts)
