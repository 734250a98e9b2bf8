"""Every experiment says what it claims and how it will be judged, and its sweep can be run as it stands."""

import argparse
import importlib
import json
import re
import runpy
from pathlib import Path

import pytest
import torch

from ssm_sense import tiny
from ssm_sense.cli import COMMANDS, TRAINING
from ssm_sense.commands.latent_fit import LatentCLI
from ssm_sense.data.features import extract
from ssm_sense.data.world.film import shoot
from ssm_sense.data.world.stream import Recipe
from ssm_sense.folder import load_model
from ssm_sense.lit.cli import StreamCLI
from ssm_sense.lit.data import TrainingData
from ssm_sense.lit.latent import LatentData, LatentModule
from ssm_sense.lit.module import StreamModule
from ssm_sense.sweep.plan import Plan, read_plan
from ssm_sense.sweep.rows import SweepRows
from ssm_sense.sweep.words import fill

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "experiments").rglob("sweep.yaml"))
LARGE = sorted((ROOT / "experiments").glob("*/large/sweep.yaml"))
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


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_rows_are_of_cells_that_there_are(path: Path) -> None:
    assert SweepRows(path.parent).others([cell.name for cell in plan_of(path).cells]) == 0


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_sweep_names_its_rung(path: Path) -> None:
    assert plan_of(path).rung


def test_larger_versions_share_no_scratch_folder_with_others() -> None:
    assert {path.parent.parent.name for path in LARGE} == {"load", "length", "splices", "revisits"}
    names = [plan_of(path).name for path in SWEEPS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.parent.parent.name)
def test_commands_of_a_larger_version_are_taken(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their trainings are built, on no device; of all others the words are read."""
    monkeypatch.chdir(ROOT)
    plan = plan_of(path)
    stands_for = {"here": [str(path.parent)], "work": [str(tmp_path)], "cell": [str(tmp_path / "cell")]}
    cells = [cell for cell in plan.cells if cell.seed == 0]
    for template in (*plan.prepare, *(template for cell in cells for template in cell.commands)):
        words = list(fill(template, stands_for, "run"))
        if words[:2] == ["latent", "fit"]:
            latent = LatentCLI(LatentModule, LatentData, args=words[2:], run=False, seed_everything_default=0)
            scheduled = latent.model.configure_optimizers()["lr_scheduler"]["scheduler"]
            assert scheduled.total_steps == latent.trainer.max_steps
        elif words[0] == "fit":
            check_whole_model(words[1:])
        else:
            check_words(words)


def check_whole_model(words: list[str]) -> None:
    with torch.device("meta"):
        cli = StreamCLI(
            StreamModule, TrainingData, args=words, run=False, seed_everything_default=0, subclass_mode_data=True
        )
    vision, language = cli.config["vision"]["init_args"], cli.model.model.language
    assert (vision["path"], vision["dtype"]) == ("google/siglip2-so400m-patch14-384", "bfloat16")
    assert (language.path, cli.model.model.language_width) == ("Qwen/Qwen2.5-0.5B", 896)
    assert cli.model.model.scale.mean.shape == (1152,)
    assert cli.config["model"]["lr_scheduler"]["init_args"]["total_steps"] == cli.trainer.max_steps


def check_words(words: list[str]) -> None:
    """The command's own parser takes them; what it parses is dropped."""
    with pytest.MonkeyPatch.context() as patch:
        parse = argparse.ArgumentParser.parse_args

        def stop(parser: argparse.ArgumentParser, *arguments: object) -> None:
            parse(parser, *arguments)  # type: ignore[call-overload]
            raise StopIteration

        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(StopIteration):
            importlib.import_module(f"ssm_sense.commands.{words[0]}").main(words[1:])


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


def test_what_a_frame_costs_late_is_set_against_what_it_cost_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100 s of frames that take 2 ms in the first tenth, 3 in the last anything between; a lost clip is left out."""
    frames = [
        {"clip": "a", "t_s": t, "nbytes": 40 + (t > 0), "ms": 2.0 if t < 10 else 3.0 if t >= 90 else 100.0}
        for t in range(100)
    ]
    rows = [
        {"run": "ours", "clip": "a", "duration_s": 100.0, "t_s": 50.0, "answer_ms": 10.0},
        {"run": "ours", "clip": "a", "duration_s": 100.0, "t_s": 100.0, "answer_ms": 11.0},
        {"run": "ours", "clip": "b", "error": "lost"},
    ]
    for name, lines in (("frames", frames), ("rows", rows)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    runpy.run_path(str(ROOT / "experiments/memory_comparison/flatness.py"))["main"](tmp_path)
    assert "| ours | 2.00 | 3.00 | 1.50 | 10.0 | 11.0 | 1.10 | 40 to 41 |" in capsys.readouterr().out


def test_each_seed_of_a_sweep_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cell(memory: str, seed: int, error: str | None = None) -> dict:
        lines = [{"load": load, "recall": seed + load / 10, "recall_low": 0.0, "recall_high": 3.0} for load in (4, 8)]
        other = {"load": 4, "kind": "strange", "recall": 9.0}
        return {"grid": {"memory": memory}, "seed": seed, "error": error, "result": [*lines, other]}

    rows = [cell("bank", 1), cell("bank", 0), cell("delta", 0), cell("delta", 1, "lost")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    show = runpy.run_path(str(ROOT / "experiments/by_seed.py"))["main"]
    show(tmp_path / "rows.jsonl", "load", ["recall", "change"])
    shown = capsys.readouterr().out
    assert "| load | bank | delta |" in shown
    assert "| 4 | 0.400 [0.000, 3.000] / 1.400 [0.000, 3.000] | 0.400 [0.000, 3.000] |" in shown
    assert shown.count("| 8 | – / – | – |") == 1
    with pytest.raises(SystemExit, match=r"expected one of the columns load, recall, .*, got facts"):
        show(tmp_path / "rows.jsonl", "facts", ["recall"])


def test_sightings_are_counted_by_how_sure_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a tour of half a minute, with the model that ships."""
    truth = shoot(Recipe("tour", "val", 3, 0.5, size=128), tmp_path / "tour.mp4")
    assert len({needle.frame for needle in truth.needles}) == 2
    model = tiny.folder() / "model"
    extract(tmp_path / "tour.mp4", load_model(model)[1], tmp_path / "features", 1.0)
    script = ROOT / "experiments/memory_comparison/reliability.py"
    runpy.run_path(str(script))["main"](model, tmp_path, tmp_path / "features")
    told = capsys.readouterr().out
    (learned, calibrated) = re.findall(r"(\d+) found, 2 there", told)
    assert int(calibrated) <= int(learned)
    frames = [int(number) for number in re.findall(r"\d \| (\d+) \| ", told)]
    assert len(frames) == 10
    assert 2 <= sum(frames[:5]) <= 30 * 5
