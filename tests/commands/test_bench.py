"""`ssm-sense bench ops` writes every number with its conditions, and a table that says what was missed."""

import json

import pytest

from ssm_sense import ops
from ssm_sense.commands import bench
from ssm_sense.errors import UserError


def test_it_writes_numbers_and_a_table(tmp_path, capsys):
    argv = ["ops", "--out", str(tmp_path), "--rounds", "1", "--batch", "1", "--length", "3", "--channels", "16"]
    argv += ["--train-batch", "1", "--train-frames", "8"]
    assert bench.main(argv) == 0
    written = json.loads((tmp_path / "ops.json").read_text())
    assert written["conditions"]["backend"] == ops.backend()
    assert written["conditions"]["command"] == " ".join(["ssm-sense", "bench", *argv])
    assert {"forward", "forward + backward", "200 steps, batch 1, the recurrence alone", "training step, whole"} <= {
        row["case"] for row in written["rows"]
    }
    assert all(row["ours_ms"] > 0 and row["rival_ms"] > 0 for row in written["rows"])
    table = (tmp_path / "ops.md").read_text()
    assert capsys.readouterr().out == table
    assert table.count("\n|") == len(written["rows"]) + 2


def test_a_training_step_has_four_questions_frames():
    with pytest.raises(UserError, match="--train-frames must be at least 4, got 3"):
        bench.main(["ops", "--train-frames", "3"])


@pytest.mark.parametrize("what", ["ops", "cost"])
def test_a_device_that_is_not_there_is_a_users_error(what, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="--device cuda: torch finds no such device here"):
        bench.main([what, "--device", "cuda"])


@pytest.mark.parametrize("option", ["--rounds", "--threads", "--batch", "--length", "--channels", "--train-batch"])
def test_a_number_below_one_is_a_users_error(option):
    with pytest.raises(UserError, match=f"{option} must be at least 1, got 0"):
        bench.main(["ops", option, "0"])
