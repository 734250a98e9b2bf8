"""Every experiment says what it claims and how it will be judged, and its sweep can be run as it stands."""

import re
from pathlib import Path

import pytest
import torch

from ssm_sense.cli import COMMANDS, TRAINING
from ssm_sense.lit.cli import StreamCLI
from ssm_sense.lit.data import TrainingData
from ssm_sense.lit.module import StreamModule
from ssm_sense.sweep.plan import Plan, read_plan
from ssm_sense.sweep.words import fill

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "experiments").rglob("sweep.yaml"))
FOLDERS = sorted(path.parent for path in (ROOT / "experiments").glob("*/README.md"))


def plan_of(path: Path) -> Plan:
    return read_plan(path, {*COMMANDS, *TRAINING} - {"sweep"})


def test_there_are_experiments() -> None:
    assert ROOT / "experiments" / "pieces" in FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_experiment_states_its_claim_and_its_verdict_rule(folder: Path) -> None:
    text = (folder / "README.md").read_text().lower()
    for word in ("claim", "verdict"):
        assert word in text, f"{folder.name}: expected the word {word!r} in README.md"


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_sweep_can_be_planned_and_its_files_are_there(path: Path) -> None:
    plan = plan_of(path)
    for template in {template for cell in plan.cells for template in cell.commands} | set(plan.prepare):
        for word in template:
            found = re.search(r"(?:^|=)((?:configs|experiments)/[\w./-]+\.(?:yaml|py))$", word)
            assert found is None or (ROOT / found[1]).is_file(), f"{path.parent.name}: no file {found[1]}"


PIECES = [
    cell
    for cell in plan_of(ROOT / "experiments" / "pieces" / "sweep.yaml").cells
    if cell.seed == 0 and (cell.grid["size"] == "small" or cell.grid["piece"] == "full")
]


@pytest.mark.parametrize("cell", PIECES, ids=lambda cell: cell.title)
def test_every_piece_can_be_taken_out(cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (command,) = cell.commands
    words = fill(command, {"cell": [str(tmp_path)], "work": [str(tmp_path)]}, "run")[1:]
    with torch.device("meta"):
        cli = StreamCLI(
            StreamModule, TrainingData, args=list(words), run=False, seed_everything_default=0, subclass_mode_data=True
        )
    assert cli.model.model.language.width == cli.model.model.language_width
    assert cli.model.reader is not None
