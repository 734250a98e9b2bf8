"""The shipped model loads from the package, watches, and holds what a fresh state holds; a model is saved whole."""

import itertools
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ssm_sense.commands.policies import open_policy
from ssm_sense.errors import UserError
from ssm_sense.folder import default, load_model, load_session, save_folder
from ssm_sense.nn.own_shift import OwnShift


def test_the_shipped_model_watches_and_answers() -> None:
    session = load_session(default())
    before = session.nbytes
    frames = torch.randint(0, 255, (6, 96, 160, 3), dtype=torch.uint8)
    reports = session.feed(frames, range(6))
    assert [report.t_s for report in reports] == [0, 1, 2, 3, 4, 5]
    assert session.nbytes == before
    assert session.ask("Which room is this?").text
    assert session.ask("Which came first?", ["A. Bed, Sofa", "B. Sofa, Bed"]).text in "AB"


def test_a_session_is_named_by_the_weights_of_its_folder(tmp_path: Path) -> None:
    shutil.copytree(default(), tmp_path / "model")
    same, weights = load_session(tmp_path / "model").weights, tmp_path / "model" / "model.safetensors"
    assert len(same) == 16
    assert same == load_session(default()).weights
    tensors = load_file(weights)
    save_file({**tensors, "policy.threshold": tensors["policy.threshold"] + 0.1}, weights)
    assert load_session(tmp_path / "model").weights != same


def test_a_session_of_another_language_model_is_refused(tmp_path: Path) -> None:
    shutil.copytree(default(), tmp_path / "model")
    weights = tmp_path / "model" / "llm" / "model.safetensors"
    save_file({name: tensor + 0.1 for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    session = load_session(default())
    session.save(tmp_path / "session")
    another = load_session(tmp_path / "model")
    with pytest.raises(UserError, match="found one of another"):
        another.load(tmp_path / "session")
    assert another.weights == open_policy("model", str(tmp_path / "model")).weights


def test_a_disk_that_is_full_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, vision = load_model(default())
    config = yaml.safe_load((default() / "config.yaml").read_text())
    kept = tmp_path / "model"

    def save() -> None:
        save_folder(kept, model, config["model"], vision, config["vision"])

    def contents() -> dict[str, bytes]:
        return {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    save()
    (kept / "notes.txt").write_text("mine")
    before = contents()
    with monkeypatch.context() as patch:
        patch.setattr("ssm_sense.folder.shutil.copytree", partial(fail, OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            save()
    assert contents() == before
    save()
    assert contents() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert load_session(kept).ask("Which room is this?").text


CHANGES = {"os.rename", "os.remove", "os.rmdir"}
"""Audit events of what changes a folder; writing a file anew is not among them, for that happens to drafts alone."""


def killed(save: Callable[[], None], step: int) -> bool:
    """Save in a process that dies before its ``step``-th change of a folder; False if there are no so many."""

    def run() -> None:
        left = itertools.count(step, -1)
        sys.addaudithook(lambda event, _: os._exit(9) if event in CHANGES and next(left) == 1 else None)
        save()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, 9)
    return process.exitcode == 9


def test_a_save_killed_at_any_moment_leaves_the_old_model_the_new_one_or_one_that_is_refused(tmp_path: Path) -> None:
    """Old and new differ in model.safetensors and llm/ alone, which a mixture of both would load without a word."""
    model, vision = load_model(default())
    config = yaml.safe_load((default() / "config.yaml").read_text())
    folders = {name: tmp_path / name / "model" for name in ("old", "new", "kept")}

    def save(folder: Path) -> None:
        save_folder(folder, model, config["model"], vision, config["vision"])

    def contents(folder: Path) -> dict[str, bytes]:
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "calibration.json"]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    save(folders["old"])
    (folders["old"] / "calibration.json").write_text("{}")
    with torch.no_grad():
        model.scale.mean += 1
        next(model.language.parameters()).add_(1)
    save(folders["new"])
    old, new = contents(folders["old"]), contents(folders["new"])
    assert {name for name in old if old[name] != new[name]} == {"model.safetensors", "llm/model.safetensors"}
    left = []
    for step in itertools.count(1):
        shutil.rmtree(folders["kept"].parent, ignore_errors=True)
        shutil.copytree(folders["old"], folders["kept"])
        if not killed(lambda: save(folders["kept"]), step):
            break
        found = contents(folders["kept"])
        left.append("old" if found == old else "new" if found == new else "refused")
        if left[-1] == "refused":
            with pytest.raises(UserError, match="not written to its end"):
                load_model(folders["kept"])
    assert left == sorted(left, key=["old", "refused", "new"].index)
    assert set(left) == {"old", "refused", "new"}
    assert contents(folders["kept"]) == new
    killed(lambda: save(folders["kept"]), left.index("refused") + 3)
    save(folders["kept"])
    assert contents(folders["kept"]) == new


def fail(error: OSError, *_: object) -> None:
    raise error


def reconfigured(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The shipped model with another config.yaml."""
    shutil.copytree(default(), folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


ENCODER = {"vision_width": 128, "width": 128, "grid": 4, "layers": 2, "heads": 4}


@pytest.mark.parametrize(
    "encoder",
    [
        "stranger.Encoder",
        "  stranger.Encoder  # in a comment's company",
        "'stranger.Encoder'",
        "class_path: stranger.Encoder",
        "ssm_sense.nn: null\nclass_path: stranger.Encoder",
        f'{{\t"class_path": "stranger.Encoder", "init_args": {ENCODER}}}',
        f'{{"class_path": "stranger\\x2eEncoder", "seen": 2001-99-99, "init_args": {ENCODER}}}',
        {
            "class_path": "ssm_sense.nn.temporal.TemporalEncoder",
            "init_args": ENCODER,
            "init_args.x": "stranger.Encoder",
        },
    ],
)
def test_a_class_of_a_stranger_is_not_imported_from_a_string_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Any
) -> None:
    (tmp_path / "stranger.py").write_text(
        "from pathlib import Path\nfrom ssm_sense.nn.temporal import TemporalEncoder\n"
        "class Encoder(TemporalEncoder): pass\n"
        "Path(__file__).with_name('imported').touch()"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stranger", raising=False)
    folder = reconfigured(tmp_path / "model", lambda config: config["model"]["init_args"].update(encoder=encoder))
    with pytest.raises(UserError, match=r"config\.yaml: expected classes of ssm_sense only"):
        load_model(folder)
    assert not (tmp_path / "imported").exists()


class Acquaintance(OwnShift):
    """Of no part of the package, and imported all the same, so that its name alone finds it."""


def test_a_class_of_others_is_not_built_by_its_name_alone(tmp_path: Path) -> None:
    folder = reconfigured(tmp_path / "model", lambda config: config["model"]["init_args"].update(source="Acquaintance"))
    with pytest.raises(UserError, match=r"expected classes of ssm_sense only, got .*Acquaintance"):
        load_model(folder)


def test_words_and_paths_that_name_no_class_are_taken_as_they_are(tmp_path: Path) -> None:
    words = ["St. Bernard", "sofa, grey", "Qwen/Qwen2.5-0.5B", "./runs/x.y", "* 3.5 m"]

    def change(config: dict[str, Any]) -> None:
        config["model"]["init_args"]["sought"] = words
        config["model"]["init_args"]["language"]["init_args"]["path"] = "Qwen/Qwen2.5-0.5B"
        config["model"]["init_args"]["source"] = "ssm_sense.nn.own_shift.OwnShift"

    model, _ = load_model(reconfigured(tmp_path / "seed: 1.0" / "model", change))
    assert list(model.sought) == words


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda config: config.update(vision=None),
            r"config\.yaml: vision: expected a class_path and init_args, got None",
        ),
        (
            lambda config: config.update(model="SsmSense"),
            r"config\.yaml: model: expected a class_path .*got 'SsmSense'",
        ),
        (lambda config: config["vision"].update(init_args=[]), r"vision: expected a class_path and init_args, got {"),
        (lambda config: config["model"]["init_args"].update(language="CausalLM"), r"model\.language: .*got 'CausalLM'"),
        (lambda config: config["model"].update(init_args={}), "cannot be built"),
        (lambda config: config["model"]["init_args"].update(window="wide"), "cannot be built.*window"),
    ],
)
def test_a_config_that_builds_nothing_is_said(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){named}"):
        load_model(reconfigured(tmp_path / "model", change))


@pytest.mark.parametrize("part", [".", "vision", "llm"])
def test_weights_that_are_cut_off_are_said(tmp_path: Path, part: str) -> None:
    shutil.copytree(default(), tmp_path / "model")
    weights = tmp_path / "model" / part / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="file not fully covered"):
        load_model(tmp_path / "model")
