"""Provenance of a row."""

import subprocess

from ssm_sense.evaluate.run import RunInfo, commit_of


def test_commit_is_that_of_a_tracked_file(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    file = tmp_path / "code.py"
    file.write_text("x = 1\n")
    assert commit_of(file) == "unknown"  # no repository
    git("init", "-q")
    assert commit_of(file) == "unknown"  # a repository that does not track it
    git("add", "code.py")
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD")
    assert commit_of(file) == head
    file.write_text("x = 2\n")
    assert commit_of(file) == head + "+changes"


def test_here_looks_up_the_machine():
    run = RunInfo.here("r", "ours", 3, "model", "cpu", {"a": 1})
    assert run.device.startswith("cpu (")
    assert run.backend
    assert {"python", "torch", "ssm-sense"} <= run.versions.keys()
    assert run.columns["run"] == "r"
    assert "name" not in run.columns
    assert run.identity.keys() == {"run", "policy", "settings", "blind", "config", "seed", "scorer"}


def test_digests_are_part_of_the_identity_where_they_are_known():
    run = RunInfo("r", "ours", 3, "model", "c", "b", "cpu", weights="ab", questions="cd")
    assert (run.identity["weights"], run.identity["questions"]) == ("ab", "cd")
    assert (run.columns["weights"], run.columns["questions"]) == ("ab", "cd")
