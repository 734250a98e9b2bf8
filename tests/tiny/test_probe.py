"""The probe of single things: average precision by hand, and a table of the shipped tower's."""

import pytest
import torch

from ssm_sense.tiny import probe


def test_average_precision_is_the_mean_precision_at_hits() -> None:
    scores, truth = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([True, False, True, False])
    assert probe.average_precision(scores, truth) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_the_command_prints_things_best_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["--houses", "1", "--per-room", "6"]) == 0
    lines = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    found = {name.strip(): float(value) for name, value in lines}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found["window"] > 0.8
    assert len(found) > 3
