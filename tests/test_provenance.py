"""Commits are those of code: what sweeps write, and texts, are no change of it."""

import subprocess
from pathlib import Path

import pytest

from ssm_sense.provenance import commit_of, package_versions

WRITTEN = ("rows.jsonl", "table.csv", "f1.svg")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit of code and of a sweep with a row."""
    for folder in ("sweep", "experiments/a/b", "other/a/b"):
        (tmp_path / folder).mkdir(parents=True)
    own = ("code.py", "README.md", "sweep/sweep.yaml", "sweep/rows.jsonl", "sweep/f1.png")
    for name in (*own, *(f"{top}/a/b/{file}" for top in ("experiments", "other") for file in (*WRITTEN, "sweep.yaml"))):
        (tmp_path / name).write_text("1")
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm one"):
        subprocess.run(["git", "-C", str(tmp_path), *words.split()], check=True)
    return tmp_path


def test_what_a_sweep_writes_is_no_change(repository: Path) -> None:
    code, sweep = repository / "code.py", repository / "sweep"
    clean = commit_of(code, sweep)
    assert len(clean) == 40
    for name in ("README.md", "sweep/rows.jsonl", "sweep/f1.png"):
        (repository / name).write_text("2")
    assert commit_of(code, sweep) == clean
    assert commit_of(code, repository / "beside") == clean
    assert commit_of(code, repository / "deeper" / "other") == f"{clean}+changes"
    (sweep / "sweep.yaml").write_text("2")
    assert commit_of(code, sweep) == f"{clean}+changes"


def test_code_that_differs_is_a_change_for_whoever_asks(repository: Path) -> None:
    code = repository / "code.py"
    clean = commit_of(code)
    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    assert clean == head.stdout.strip()
    (repository / "experiments/a/b/rows.jsonl").write_text("2")
    assert commit_of(code) == clean
    (repository / "sweep/rows.jsonl").write_text("2")
    assert commit_of(code) == f"{clean}+changes", "no sweep is known to have written it"
    (repository / "sweep/rows.jsonl").write_text("1")
    code.write_text("2")
    assert commit_of(code) == commit_of(code, repository / "sweep") == f"{clean}+changes"


@pytest.mark.parametrize("name", WRITTEN)
def test_what_sweeps_write_below_experiments_is_no_change(repository: Path, name: str) -> None:
    code, sweep = repository / "code.py", repository / "sweep"
    clean = commit_of(code, sweep)
    (repository / "experiments/a/b" / name).write_text("2")
    assert commit_of(code, sweep) == clean
    assert commit_of(code, repository / "experiments" / "c") == clean
    (repository / "other/a/b" / name).write_text("2")
    assert commit_of(code, sweep) == f"{clean}+changes"


def test_settings_below_experiments_are_a_change(repository: Path) -> None:
    code, sweep = repository / "code.py", repository / "sweep"
    (repository / "experiments/a/b/sweep.yaml").write_text("2")
    assert commit_of(code, sweep).endswith("+changes")


def test_what_is_not_tracked_is_unknown(repository: Path, tmp_path_factory) -> None:
    (repository / "new.py").touch()
    assert commit_of(repository / "new.py", repository) == "unknown"
    assert commit_of(tmp_path_factory.mktemp("none") / "a.py", repository) == "unknown"


def test_versions_are_of_what_decides_a_number() -> None:
    assert {"python", "torch", "ssm-sense"} <= set(package_versions())
