"""`ssm-sense world` at the command line."""

from pathlib import Path

import pytest

from ssm_sense.cli import USER_ERROR_STATUS, main
from ssm_sense.data import vsi_super
from ssm_sense.data.world.controls import Controls
from ssm_sense.data.world.truth import Truth
from ssm_sense.evaluate import audit


def test_render_then_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["world", "render", "--out", str(tmp_path), "--task", "vsc", "--minutes", "0.25", "--size", "32"]
    assert main([*arguments, "--split", "test", "--workers", "1"]) == 0
    assert f"wrote {tmp_path / 'test_0.25mins.parquet'}" in capsys.readouterr().out.replace("\n", "")
    (clip,) = vsi_super.read(tmp_path, 0.25)
    assert clip.duration_s == 15
    assert len(list(clip.frames)) == 15
    assert {question.kind for question in clip.questions} == {"vsc", "vsc-streaming"}
    assert clip.events is not None


def test_look(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    shape = ["--rows", "1", "--columns", "2", "--size", "32"]
    assert main(["world", "look", "--contact-sheet", str(sheet), *shape]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "1", "--n", "0"], "--n must be 1 or more"),
        (["--minutes", "1", "--workers", "0"], "--workers must be 1 or more"),
        (["--minutes", "1", "--seed", "-1"], "--seed must be 0 or more"),
        (["--minutes", "1", "--fps", "5"], "fps must divide 24"),
        (["--minutes", "0"], "hold no frame"),
        (["--minutes", "nan"], "--minutes must be 0 or more; got nan"),
        (["--minutes", "inf"], "--minutes must be 0 or more; got inf"),
        (["--minutes", "1", "--size", "63"], "even number of pixels"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["world", "render", "--out", str(tmp_path / "out"), *arguments]) == USER_ERROR_STATUS
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    arguments = ["world", "render", "--out", str(blocked), "--minutes", "0.05", "--size", "32"]
    assert main(arguments) == USER_ERROR_STATUS
    assert "cannot be written" in capsys.readouterr().err


def test_an_error_in_a_worker_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["world", "render", "--out", str(tmp_path), "--task", "vsr", "--minutes", "0.05", "--size", "32"]
    assert main(arguments) == USER_ERROR_STATUS
    assert "ask for more minutes" in capsys.readouterr().err
    assert list(tmp_path.rglob("*.mp4")) == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--rows", "0"], "1 row and 1 column at least"),
        (["--every", "nan"], "--every must be 0 or more; got nan"),
        (["--seed", "-1"], "--seed must be 0 or more; got -1"),
    ],
)
def test_an_impossible_contact_sheet_is_an_error(
    option: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["world", "look", "--contact-sheet", str(tmp_path / "a.png"), *option]) == USER_ERROR_STATUS
    assert message in capsys.readouterr().err


def test_an_audit_that_learns_from_other_questions_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds nothing, which must not be written over what was found before, nor pass the set."""
    monkeypatch.setattr(audit, "read_truths", lambda folder: [])
    monkeypatch.setattr(audit, "audit", lambda truths, learn: [])
    (tmp_path / "audit.json").write_text("what was found before")
    assert main(["world", "audit", str(tmp_path), "--train", "tours"]) == USER_ERROR_STATUS
    assert "tours: expected videos that are asked what those of" in capsys.readouterr().err
    assert (tmp_path / "audit.json").read_text() == "what was found before"


def test_controls_reach_the_truth(tmp_path: Path) -> None:
    arguments = ["--task", "vsc", "--minutes", "1", "--size", "32", "--workers", "1", "--transition", "cut"]
    asked = ["--decoy", "flash", "--revisit", "1", "--pan", "slow", "--rate", "1,2", "--count-range", "5-9"]
    assert main(["world", "render", "--out", str(tmp_path), *arguments, *asked]) == 0
    controls = Truth.load(tmp_path / "1mins" / "00000000.json").controls
    expected = Controls("cut", "flash", 1, pan="slow", rate=(1.0, 2.0), count_range=(5, 9))
    assert controls == expected


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--rate", "a,b"], "expected numbers such as 0.5,2, got 'a,b'"),
        (["--count-range", "5"], "expected a range such as 5-20, got '5'"),
        (["--revisit", "3"], "invalid choice"),
    ],
)
def test_wrong_controls_are_told(option: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["world", "render", "--out", "nowhere", "--minutes", "1", *option])
    assert message in capsys.readouterr().err
