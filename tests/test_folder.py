"""The shipped model loads from the package, watches, and holds what a fresh state holds; a model is saved whole."""

import itertools
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ssm_sense.errors import UserError
from ssm_sense.folder import default, load_model, load_session, save_folder


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
