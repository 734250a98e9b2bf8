"""The command line finds its commands without importing them, and shows people one line for what they can put right."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from ssm_sense import __version__, cli
from ssm_sense.errors import UserError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module in place of every command; its `main` returns nothing, and keeps what it was called with."""
    module = ModuleType("command")
    module.called = []
    module.main = lambda argv: module.called.append(argv)
    module.imported = []
    monkeypatch.setattr(cli, "import_module", lambda name: module.imported.append(name) or module)
    return module


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_gets_its_arguments(command: ModuleType, name: str) -> None:
    assert cli.main([name, "--x", "1"]) == 0
    assert command.imported == [f"ssm_sense.commands.{name}"]
    assert command.called == [["--x", "1"]]


@pytest.mark.parametrize("name", cli.TRAINING)
def test_training_gets_its_own_name_too(command: ModuleType, name: str) -> None:
    assert cli.main([name, "--config", "a.yaml"]) == 0
    assert command.imported == ["ssm_sense.lit.cli"]
    assert command.called == [[name, "--config", "a.yaml"]]


@pytest.mark.parametrize("module", ["ssm_sense.lit.cli", *(f"ssm_sense.commands.{name}" for name in cli.COMMANDS)])
def test_every_command_exists(module: str) -> None:
    assert find_spec(module) is not None


def test_the_status_is_the_commands(command: ModuleType) -> None:
    command.main = lambda argv: 3
    assert cli.main(["info"]) == 3


def test_a_users_error_is_one_line(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(argv: list[str]) -> int:
        raise UserError("film.mp4: no such file\n  (looked everywhere)")

    command.main = fail
    assert cli.main(["stream", "film.mp4"]) == 2
    assert capsys.readouterr() == ("", "ssm-sense: film.mp4: no such file (looked everywhere)\n")


def test_an_interrupt_is_one_line(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    command.main = interrupted
    assert cli.main(["stream", "film.mp4"]) == 130
    assert capsys.readouterr() == ("", "ssm-sense: interrupted\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "runs/a"), "ssm-sense: runs/a: Permission denied\n"),
        (FileExistsError(17, "File exists", Path("runs")), "ssm-sense: runs: File exists\n"),
        (OSError(28, "No space left on device"), "ssm-sense: No space left on device\n"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    command: ModuleType, capsys: pytest.CaptureFixture[str], error: OSError, line: str
) -> None:
    def refused(argv: list[str]) -> int:
        raise error

    command.main = refused
    assert cli.main(["evaluate"]) == 1
    assert capsys.readouterr() == ("", line)


def test_a_system_error_that_names_nothing_keeps_its_traceback(command: ModuleType) -> None:
    def broken(argv: list[str]) -> int:
        raise OSError("not a file that we know")

    command.main = broken
    with pytest.raises(OSError, match="not a file"):
        cli.main(["stream"])


def test_a_closed_pipe_ends_it_without_a_word() -> None:
    code = (
        "import sys, types\nfrom ssm_sense import cli\n"
        "def main(argv):\n    while True: print('x' * 1000)\n"
        "cli.import_module = lambda name: types.SimpleNamespace(main=main)\nsys.exit(cli.main(['info']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_a_fault_of_ours_keeps_its_traceback(command: ModuleType) -> None:
    def broken(argv: list[str]) -> int:
        raise ValueError("expected a tensor")

    command.main = broken
    with pytest.raises(ValueError, match="expected a tensor"):
        cli.main(["stream"])


@pytest.mark.parametrize(
    ("name", "hint"),
    [("evalute", "did you mean 'evaluate'?"), ("zzz", "expected one of fit, "), ("-x", "expected one")],
)
def test_an_unknown_command_is_told_what_there_is(name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"ssm-sense: no command {name!r}; ")
    assert hint in captured.err


@pytest.mark.parametrize(("argv", "status"), [(["--help"], 0), (["-h"], 0), ([], 2)])
def test_help_names_every_command(argv: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == status
    shown = capsys.readouterr()
    text = shown.out if status == 0 else shown.err
    assert text.startswith("usage: ssm-sense")
    for name, summary in {**cli.TRAINING, **cli.COMMANDS}.items():
        assert f"  {name} " in text
        assert summary in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ssm-sense {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    """It answers at once: neither torch nor Lightning nor even numpy is imported."""
    code = (
        "import sys\nfrom ssm_sense.cli import main\nassert main(['--help']) == 0\n"
        "print([m for m in ('torch', 'lightning', 'numpy', 'transformers', 'av', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_process_ends_with_the_status_and_no_traceback() -> None:
    done = subprocess.run([sys.executable, "-m", "ssm_sense.cli", "strem"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ssm-sense: no command 'strem'; did you mean 'stream'?\n"
