"""Costs at real size, measured here on towers small enough for a test."""

import pytest
import torch
from transformers import Qwen2Config, SiglipVisionConfig

from ssm_sense import tiny
from ssm_sense.evaluate import random_weights, real_size
from ssm_sense.memory.kv_cache import token_bytes
from ssm_sense.pretrained import load_tokenizer

VISION = SiglipVisionConfig(
    hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=112, patch_size=14
)
QWEN = Qwen2Config(
    vocab_size=300,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)


@pytest.fixture(scope="module")
def rig() -> real_size.Rig:
    torch.manual_seed(0)
    return real_size.Rig(VISION, QWEN, load_tokenizer(tiny.folder() / "tokenizer"), width=32, layers=2)


def test_full_kv_grows_by_a_frame_at_a_time_and_the_others_do_not_outgrow_theirs(rig):
    told = []
    found = {(c.policy, c.frames): c for c in real_size.costs(rig, [0, 2000, 3000], rounds=1, told=told.append)}
    assert list(found.values()) == told
    assert {name for name, _ in found} == {"ours", "full-kv", "cambrian-s"}
    frame = 64 * token_bytes(rig.language)
    # One to warm up, and one that counts.
    assert [found["full-kv", n].nbytes for n in (0, 2000, 3000)] == [frame * (n + 2) for n in (0, 2000, 3000)]
    assert len({found["ours", n].nbytes for n in (0, 2000, 3000)}) == 1
    cambrian = rig.policies(0)["cambrian-s"]
    held = [found["cambrian-s", n].nbytes for n in (2000, 3000)]
    budget = (cambrian.window * 64 + cambrian.budget_tokens) * token_bytes(rig.language)
    assert all(0.97 * budget < nbytes < 1.01 * budget for nbytes in held)
    assert all(cost.frame_ms > 0 and cost.answer_ms > 0 for cost in told)


def test_the_tower_is_cut_as_the_real_one_and_gives_a_grid_of_latents(rig):
    assert len(rig.vision.model.encoder.layers) == 2
    assert rig.vision.encode(rig.picture).shape == (1, 64, 32)
    assert real_size.vision_ms(rig, 1) > 0


def test_flops_of_a_model_are_counted_without_its_weights(rig):
    counted = next(iter(real_size.flops(rig, {"small": QWEN})))
    layer = (
        32 * (32 + 32) + 2 * 32 * 16 + 3 * 32 * 64
    )  # weights of queries, output, keys, values, and what follows them
    attention = 2 * 64 * 64 * 32
    assert counted.prefill == 2 * QWEN.num_hidden_layers * (64 * layer + attention)
    assert counted.memory_ratio == counted.prefill / counted.ours
    assert counted.frame_ratio == pytest.approx((counted.vision + counted.prefill) / (counted.vision + counted.ours))


def test_the_sizes_are_those_of_qwen():
    parameters = {}
    for size, config in random_weights.QWEN.items():
        with torch.device("meta"):
            model = real_size.AutoModelForCausalLM.from_config(config)
        parameters[size] = round(sum(p.numel() for p in model.parameters()) / 1e9, 2)
    # As their model cards state them: 0.49B, 1.54B, 3.09B and 7.6B.
    assert parameters == {"0.5b": 0.49, "1.5b": 1.54, "3b": 3.09, "7b": 7.62}
