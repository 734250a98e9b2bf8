"""Mistakes of who trains are told in a line, before anything is trained."""

from pathlib import Path

import pytest

from ssm_sense import cli

ROOT = Path(__file__).parents[2]
LATENT = ["latent", "fit", f"--config={ROOT / 'configs' / 'latent' / 'delta.yaml'}"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, a file in a folder's place, and what is no checkpoint."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("hello")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--folder", "file/model"], "--folder file/model: expected a folder that can be written to"),
        (["--folder", "file"], "--folder file: expected a folder that can be written to"),
        (["--ckpt_path", "nowhere"], "--ckpt_path nowhere: expected a checkpoint, but there is no such file"),
        (["--ckpt_path", "file"], "--ckpt_path file: expected a whole checkpoint"),
        (["--trainer.max_steps", "-5"], "`max_steps` must be a non-negative integer"),
    ],
)
def test_told_in_a_line(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*LATENT, *options]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ssm-sense: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert [path.name for path in Path().iterdir()] == ["file"]


@pytest.mark.parametrize("command", [["fit"], ["latent", "fit"]])
def test_an_unknown_option_comes_with_one_line_of_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--config", "nowhere.yaml"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: ssm-sense {' '.join(command)} --config FILE [--OPTION VALUE ...]\n")
    assert "nowhere.yaml" in error
    assert error.count("\n") <= 4
