"""`ssm-sense bench cost` writes what it measured and with what, and a table to read."""

import json

import pytest
from transformers import Qwen2Config, SiglipVisionConfig

from ssm_sense.commands import bench
from ssm_sense.errors import UserError
from ssm_sense.evaluate import random_weights


@pytest.fixture
def small(monkeypatch):
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    language = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    monkeypatch.setattr(random_weights, "SO400M", SiglipVisionConfig(**vision, image_size=112, patch_size=14))
    qwen = Qwen2Config(**language, num_key_value_heads=2, vocab_size=300)
    monkeypatch.setattr(random_weights, "QWEN", {"0.5b": qwen, "7b": qwen})


def test_it_writes_costs_by_length_and_operations_by_size(small, tmp_path, capsys):
    argv = ["cost", "--minutes", "0", "0.5", "--rounds", "1", "--out", str(tmp_path)]
    assert bench.main(argv) == 0
    written = json.loads((tmp_path / "cost.json").read_text())
    assert written["conditions"]["command"] == " ".join(["ssm-sense", "bench", *argv])
    assert written["conditions"]["weights"] == "random"
    assert [(row["frames"], row["policy"]) for row in written["rows"]] == [
        (frames, policy) for frames in (0, 30) for policy in ("ours", "full-kv", "cambrian-s")
    ]
    assert written["vision_ms"] > 0
    assert [one["size"] for one in written["flops"]] == ["0.5b", "7b"]
    text = (tmp_path / "cost.md").read_text()
    assert capsys.readouterr().out == text
    assert text.count("\n|") == 6 + 2 + 2 + 2


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--rounds", "0"], "--rounds and --threads must be at least 1"),
        (["--threads", "0"], "--rounds and --threads must be at least 1"),
        (["--minutes", "10", "-1"], "--minutes must be at least 0, got -1"),
        (["--minutes", "10", "nan"], "--minutes must be at least 0, got nan"),
    ],
)
def test_numbers_that_make_no_sense_are_the_users_errors(argv, why):
    with pytest.raises(UserError, match=why):
        bench.main(["cost", *argv])
