"""`--policy`: rivals over a folder that holds a model of frame tokens, by name and with settings."""

from pathlib import Path

import pytest
import torch

from ssm_sense.commands import evaluate as command
from ssm_sense.errors import UserError
from ssm_sense.memory.blind import Blind
from ssm_sense.memory.last_frames import LastFrames
from ssm_sense.memory.rekv import ReKV
from ssm_sense.memory.sliding_window import SlidingWindow

TOWER = torch.nn.Identity()
REQUIRED = ["--model", "m", "--data", "d", "--out", "o"]


@pytest.fixture
def folder(language, monkeypatch: pytest.MonkeyPatch) -> str:
    model = SlidingWindow(language, 32, vision_width=12, places=9).eval()
    monkeypatch.setattr("ssm_sense.folder.load_model", lambda folder: (model, TOWER))
    return "somewhere"


def test_a_policy_is_opened_by_name_or_class_path_with_its_settings(folder: str) -> None:
    session = command.open_policy("last-frames", folder, {"frames": 6})
    assert isinstance(session.memory, LastFrames)
    assert (session.memory.frames, session.vision) == (6, TOWER)
    path = "ssm_sense.memory.last_frames.LastFrames"
    assert command.open_policy(path, folder).memory.frames == 4
    assert command.policy_label(ReKV.__new__(ReKV)) == "rekv"


def test_settings_come_from_a_file_and_the_budget_from_the_command_line(tmp_path: Path) -> None:
    def settings(*flags: str) -> dict:
        parsed = command._parse([*REQUIRED, *flags])
        return command.policy_settings(parsed.policy_config, parsed.budget_bytes)

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
    with pytest.raises(UserError, match=r"--policy model: expected no settings.*got budget_bytes"):
        command.open_policy("model", folder, {"budget_bytes": 9})
    monkeypatch.setattr("ssm_sense.folder.load_model", lambda folder: (Blind(language, 32, 12), "tower"))
    with pytest.raises(UserError, match=r"expected a model of frame tokens.*got Blind"):
        command.open_policy("last-frames", folder)
