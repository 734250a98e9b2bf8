"""Provenance of a row."""

from ssm_sense.evaluate.run import RunInfo


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
