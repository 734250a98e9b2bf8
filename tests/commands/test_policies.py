"""`--policy`: rivals over a folder that holds a model of frame tokens, by name and with settings."""

from pathlib import Path

import pytest
import torch

from ssm_sense.commands import evaluate as command
from ssm_sense.commands import policies
from ssm_sense.errors import UserError
from ssm_sense.memory.blind import Blind
from ssm_sense.memory.kept_frames import KeptFrames
from ssm_sense.memory.last_frames import LastFrames
from ssm_sense.memory.nosense import NoSense, NoSenseAhead
from ssm_sense.memory.rekv import ReKV
from ssm_sense.memory.sliding_window import SlidingWindow
from ssm_sense.tiny import build_tokenizer, new_siglip, save_siglip

TOWER = torch.nn.Identity()
TOWER.fingerprint = "nothing"
REQUIRED = ["--model", "m", "--data", "d", "--out", "o"]


@pytest.fixture
def folder(language, monkeypatch: pytest.MonkeyPatch) -> str:
    model = SlidingWindow(language, 32, vision_width=12, places=9).eval()
    monkeypatch.setattr("ssm_sense.folder.load_model", lambda folder: (model, TOWER))
    return "somewhere"


def test_a_policy_is_opened_by_name_or_class_path_with_its_settings(folder: str) -> None:
    session = policies.open_policy("last-frames", folder, {"frames": 6})
    assert isinstance(session.memory, LastFrames)
    assert (session.memory.frames, session.vision) == (6, TOWER)
    path = "ssm_sense.memory.last_frames.LastFrames"
    assert policies.open_policy(path, folder).memory.frames == 4
    assert policies.policy_label(ReKV.__new__(ReKV)) == "rekv"


def test_kept_frames_are_read_by_ours_and_by_no_other(folder: str, model, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--policy kept-frames: expected a model with event states, got SlidingWindow"):
        policies.open_policy("kept-frames", folder)
    monkeypatch.setattr("ssm_sense.folder.load_model", lambda folder: (model, TOWER))
    memory = policies.open_policy("kept-frames", folder, {"keep": "last", "frames": 6}).memory
    assert isinstance(memory, KeptFrames)
    assert (memory.keep, memory.frames, memory.model) == ("last", 6, model)
    assert isinstance(policies.open_policy("ssm_sense.memory.kept_frames.KeptFrames", folder).memory, KeptFrames)
    with pytest.raises(UserError, match=r"policy kept-frames: .*keep"):
        policies.open_policy("kept-frames", folder, {"keep": "first"})


def test_settings_come_from_a_file_and_the_budget_from_the_command_line(tmp_path: Path) -> None:
    def settings(*flags: str) -> dict:
        parsed = command._parse([*REQUIRED, *flags])
        return policies.policy_settings(parsed.policy_config, parsed.budget_bytes)

    file = tmp_path / "mine.yaml"
    file.write_text("frames: 6\nbudget_bytes: null\n")
    assert settings() == {}
    assert settings("--policy-config", str(file)) == {"frames": 6, "budget_bytes": None}
    assert settings("--policy-config", str(file), "--budget-bytes", "99") == {"frames": 6, "budget_bytes": 99}
    assert settings("--budget-bytes", "99") == {"budget_bytes": 99}
    file.write_text("- 6")
    with pytest.raises(UserError, match="expected settings by name, got list"):
        settings("--policy-config", str(file))
    with pytest.raises(UserError, match=r"--policy-config: .*No such file"):
        settings("--policy-config", str(tmp_path / "none.yaml"))


def test_what_is_wrong_is_named(folder: str, language, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--policy: expected one of model, .*got 'oracle'"):
        command._parse([*REQUIRED, "--policy", "oracle"])
    for policy in ("model", "model-per-event"):
        with pytest.raises(UserError, match=rf"--policy {policy}: expected no settings.*got budget_bytes"):
            policies.open_policy(policy, folder, {"budget_bytes": 9})
    monkeypatch.setattr("ssm_sense.folder.load_model", lambda folder: (Blind(language, 32, 12), "tower"))
    with pytest.raises(UserError, match=r"expected a model of frame tokens.*got Blind"):
        policies.open_policy("last-frames", folder)


def test_a_run_says_all_settings_of_its_policy_and_its_class(folder: str) -> None:
    memory = policies.open_policy("last-frames", folder).memory
    named = {"policy_class": "ssm_sense.memory.last_frames.LastFrames"}
    for policy in ("last-frames", named["policy_class"]):
        assert command._policy_settings(policy, {}, memory) == named | {"policy": {"frames": 4, "budget_bytes": None}}
        chosen = command._policy_settings(policy, {"budget_bytes": 9}, memory)
        assert chosen == named | {"policy": {"frames": 4, "budget_bytes": 9}}
    assert command._policy_settings("model", {}, memory) == named


def test_a_session_is_named_by_model_language_model_and_tower(folder: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("model.safetensors", "llm/model.safetensors", "config.yaml")]
    (tmp_path / "llm").mkdir()
    for file in files:
        file.write_text("before")
    found = [policies.open_policy(policy, str(tmp_path)).weights for policy in ("model", "last-frames")]
    assert found == ["8aa6e11f224df532"] * 2  # committed rows hold such names
    for file in files:
        file.write_text(f"after {file.name}")
        found.append(policies.open_policy("model", str(tmp_path)).weights)
    TOWER.fingerprint = "another"
    found.append(policies.open_policy("model", str(tmp_path)).weights)
    TOWER.fingerprint = "nothing"
    assert len(set(found)) == 1 + 4


@pytest.mark.parametrize(("name", "policy"), [("nosense", NoSense), ("nosense-ahead", NoSenseAhead)])
def test_nosense_takes_settings(tmp_path: Path, name: str, policy: type) -> None:
    tokenizer = build_tokenizer(tmp_path / "tokenizer", ["a photo of chair"])
    save_siglip(new_siglip(tokenizer, hidden=12, layers=1, heads=2, image_size=32, patch_size=16), tmp_path / "siglip")
    siglip = str(tmp_path / "siglip")
    session = policies.open_policy(name, siglip, {"in_view": 0.2, "object_templates": ["one {object}"]})
    assert isinstance(session.memory, policy)
    assert (session.memory.reader.in_view, session.memory.reader.object_templates) == (0.2, ["one {object}"])
    assert session.weights == session.vision.fingerprint
    assert policies.open_policy(name, siglip).memory.reader.in_view == 0.5
    assert command._policy_settings(name, {"in_view": 0.2}, session.memory)["policy"]["in_view"] == 0.2
    for settings, said in [
        ({"in_view": 2.0}, rf"policy {name}: in_view: expected a probability"),
        ({"in_view": "much"}, "in_view"),
        ({"budget_bytes": 9}, "budget_bytes"),
    ]:
        with pytest.raises(UserError, match=said):
            policies.open_policy(name, siglip, settings)
