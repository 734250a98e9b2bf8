"""Warm-up and cosine, the same share of every group's own rate."""

import pytest
import torch

from ssm_sense.lit.schedule import WarmupCosine


def test_rates_rise_fall_and_keep_their_ratio() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1e-3, 1e-5)]
    optimizer = torch.optim.AdamW(groups)
    schedule = WarmupCosine(optimizer, total_steps=100, warmup=0.1)
    seen = []
    for _ in range(100):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    first = torch.tensor(seen)[:, 0]
    assert first[0] == pytest.approx(1e-4)
    assert first[9] == pytest.approx(1e-3)
    assert first[10:].diff().max() < 0
    assert first[55] == pytest.approx(5e-4)
    assert first[-1] < 1e-6
    torch.testing.assert_close(torch.tensor(seen)[:, 1], first / 100)


def test_bad_lengths_are_named() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    for bad in ({"total_steps": 0}, {"total_steps": 5, "warmup": 1.0}):
        with pytest.raises(ValueError, match=r"total_steps of 1 or more and a warmup in \[0, 1\)"):
            WarmupCosine(optimizer, **bad)
