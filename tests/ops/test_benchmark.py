"""The benchmark's contenders compute the same thing, and its ratios are what they say."""

import torch

from ssm_sense.ops import benchmark, selective_scan
from ssm_sense.ops.benchmark import Sizes


def test_rivals_compute_what_we_do():
    inputs = benchmark.make_inputs(Sizes(2, 16, 8))
    ours = selective_scan(*inputs)[0]
    for name, (rival, _) in benchmark._rivals(1, 1).items():
        torch.testing.assert_close(rival(*inputs), ours, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


def test_ratios_are_taken_round_by_round(monkeypatch):
    """Ours takes 1, 2, 4 s and the rival ten times that: a machine that slows down does not move the ratio."""
    pace = iter([1.0, 10.0, 2.0, 20.0, 4.0, 40.0])
    monkeypatch.setattr(benchmark, "_seconds", lambda contender: next(pace))
    (found,) = benchmark.compare("case", lambda: None, {"rival": (lambda: None, 11.0)}, rounds=3)
    assert (found.ratio, found.low, found.high) == (10.0, 10.0, 10.0)
    assert (found.ours_ms, found.rival_ms) == (2000.0, 20000.0)
    assert found.met is False
