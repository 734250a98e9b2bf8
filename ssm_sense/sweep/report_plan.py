"""What sweep.yaml says about the report: figures, means of several metrics, comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ssm_sense.errors import UserError
from ssm_sense.sweep.columns import Value, names_in

AXES = ("x", "y")


@dataclass(frozen=True)
class FigurePlan:
    """One figure for each metric in `y`, against the column `x`.

    x, lines, panels: columns of the grid, or of `by`; without x no figure is drawn. lines: a line, or a row of
    points, for each of its values. panels: a panel for each. y: columns of the result; they also make the table, which
    without them has all numbers. log: axes with a logarithmic scale. labels: what columns are called in figures.
    """

    x: str | None = None
    lines: str | None = None
    panels: str | None = None
    y: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that place a mean: x, lines and panels, as far as they are named."""
        return tuple(name for name in (self.x, self.lines, self.panels) if name is not None)


def figure_of(where: str, found: object) -> FigurePlan:
    """Read the key `figure`. Raises UserError, beginning with `where`, for anything unknown."""
    if found is None:
        return FigurePlan()
    if not isinstance(found, dict):
        raise UserError(f"{where}: expected a mapping, got {type(found).__name__}")
    known = ("x", "lines", "panels", "y", "log", "labels")
    for key in found:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}; expected some of {', '.join(known)}")
    single: dict[str, Any] = {key: found.get(key) for key in ("x", "lines", "panels")}
    for key, value in single.items():
        if value is not None and not isinstance(value, str):
            raise UserError(f"{where}: {key}: expected the name of a column, got {value!r}")
    several = {key: _names(f"{where}: {key}", found.get(key)) for key in ("y", "log")}
    if not set(several["log"]) <= set(AXES):
        raise UserError(f"{where}: log: expected some of x, y, got {', '.join(several['log'])}")
    labels = found.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(text, str) for pair in labels.items() for text in pair):
        raise UserError(f"{where}: labels: expected columns with texts, got {labels!r}")
    made = FigurePlan(**single, y=several["y"], log=several["log"], labels=labels)
    if len(set(made.columns)) < len(made.columns):
        raise UserError(f"{where}: expected different columns, got {', '.join(made.columns)}")
    if made.x is None and len(made.columns) > 0:
        raise UserError(f"{where}: expected a column for x beside {', '.join(made.columns)}")
    if made.x is not None and not made.y:
        raise UserError(f"{where}: expected a list y of what is drawn against {made.x}")
    return made


@dataclass(frozen=True)
class Comparison:
    """All other values of a column are compared with one of them, in each of the metrics that has a margin."""

    column: str
    base: str
    margins: Mapping[str, float]


def comparisons_of(where: str, found: object, grid: Mapping[str, Mapping[str, Value]]) -> tuple[Comparison, ...]:
    """Read the key `compare`, one or a list. Raises UserError, beginning with `where`, for what is not in the grid."""
    if found is None:
        return ()
    return tuple(_comparison(where, one, grid) for one in (found if isinstance(found, list) else [found]))


def _comparison(where: str, found: object, grid: Mapping[str, Mapping[str, Value]]) -> Comparison:
    if not isinstance(found, dict) or set(found) != {"column", "with", "margins"}:
        raise UserError(f"{where}: expected {{column: NAME, with: VALUE, margins: {{METRIC: NUMBER}}}}, got {found!r}")
    (base,) = names_in(where, str(found["column"]), [found["with"]], grid)
    margins = found["margins"]
    if not isinstance(margins, dict) or not margins:
        raise UserError(f"{where}: margins: expected metrics with numbers, got {margins!r}")
    for metric, margin in margins.items():
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not margin >= 0:
            raise UserError(f"{where}: margins: {metric}: expected a number, 0 or more, got {margin!r}")
    return Comparison(str(found["column"]), base, {str(metric): float(margin) for metric, margin in margins.items()})


def means_of(where: str, found: object) -> dict[str, tuple[str, ...]]:
    """Read the key `means`. Raises UserError, beginning with `where`, for anything but names with lists of names."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"{where}: expected names with lists of columns, got {found!r}")
    means = {str(name): _names(f"{where}: {name}", parts) for name, parts in found.items()}
    for name, parts in means.items():
        if not parts or name in parts:
            raise UserError(f"{where}: {name}: expected a list of other columns, got {list(parts)}")
    return means


def _names(where: str, value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{where}: expected a name, or a list of names, got {value!r}")
    return tuple(dict.fromkeys(names))
