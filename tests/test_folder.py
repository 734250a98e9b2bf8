"""The shipped model loads from the package, watches, and holds what a fresh state holds; a model is saved whole."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

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


def fail(error: OSError, *_: object) -> None:
    raise error
