"""STORM's recipe: pooled as worked by hand, blind to nothing in the clip, and read in a stream as in training."""

import pytest
import torch

from ssm_sense.language.query import Query
from ssm_sense.memory.storm import BothWays, Storm, StormMemory, sample


@pytest.fixture
def make(frame_tokens):
    def storm(family: str = "qwen2", **settings) -> Storm:
        language = frame_tokens(family, begun=True).language
        torch.manual_seed(4)
        model = Storm(language, 32, vision_width=12, places=9, **settings).eval()
        torch.nn.init.normal_(model.connector.straight.weight, std=0.5)
        return model

    return storm


def test_which_frames_are_taken() -> None:
    assert sample(5, None).tolist() == sample(5, 5).tolist() == sample(5, 8).tolist() == [0, 1, 2, 3, 4]
    assert sample(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert sample(11, 4).tolist() == [0, 3, 7, 10]


@torch.no_grad()
def test_both_ways_is_one_way_plus_its_mirror_image() -> None:
    torch.manual_seed(0)
    block, x = BothWays(8, 4), torch.randn(2, 11, 8)
    late = x.clone()
    late[:, 7] += 1
    changed = (block(late) - block(x)).abs().amax((0, 2)) > 1e-6
    assert changed.all()
    block.backwards.out_proj.weight.zero_()
    assert ((block(late) - block(x)).abs().amax((0, 2)) > 1e-6).tolist() == [False] * 7 + [True] * 4
    forwards = block(x) - x
    mirrored = BothWays(8, 4)
    mirrored.load_state_dict(block.state_dict())
    mirrored.backwards, mirrored.forwards = block.forwards, block.backwards
    torch.testing.assert_close((mirrored(x.flip(1)) - x.flip(1)).flip(1), forwards)


@torch.no_grad()
def test_frames_are_averaged_by_fours_after_mixing(make, latents) -> None:
    model = make(layers=0)
    held = model.held(latents[:10])[None]
    frames = held[0]
    want = torch.cat([frames[:4].mean(0), frames[4:8].mean(0), frames[8:].mean(0)])
    torch.testing.assert_close(model.tokens(held)[0], want)
    few = make(layers=0, frames=4, pool_frames=2)
    frames = few.held(latents[[0, 3, 6, 9]])
    torch.testing.assert_close(few.tokens(held)[0], torch.cat([frames[:2].mean(0), frames[2:].mean(0)]))


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_streaming_equals_training(make, latents, checks, family: str) -> None:
    model = make(family, layers=2)
    streams = torch.stack([latents, latents.flip(0)])
    queries = [
        Query(1, 6, checks.prompt, "B"),
        Query(0, 11, "which room is this", "kitchen"),
        Query(0, 6, "no", "A"),
        Query(1, 6, "which", "yes"),
    ]
    trained = model.losses(streams, torch.arange(40.0).repeat(2, 1), queries)["per_query"]
    memory = StormMemory(model)
    checks.watch(memory, streams[1, :7])
    torch.testing.assert_close(-checks.scores(memory)[1] / 2, trained[0], atol=1e-4, rtol=1e-4)
    alone = [model.losses(streams, torch.zeros(2, 40), [query])["loss"] for query in queries]
    torch.testing.assert_close(trained, torch.stack(alone), atol=1e-4, rtol=1e-4)


def test_every_part_learns(make, latents, checks) -> None:
    model = make(layers=1).train()
    model.losses(latents[None], torch.arange(40.0)[None], [Query(0, 20, checks.prompt, "B")])["loss"].backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in without if "embed_tokens" not in name and "lm_head" not in name] == []


def test_bytes_and_what_every_policy_must_do(make, latents, checks) -> None:
    model = make()
    memory = StormMemory(model)
    assert checks.watch(memory, latents) == [n * 4 * 4 * 32 for n in range(1, 41)]
    assert not memory.causal
    checks.contract(model.memory, latents[:12], 7)
    with pytest.raises(ValueError, match=r"expected frames \(n, 4, 32\)"):
        memory.load_state_dict({"frames": torch.zeros(3, 9, 32)})
    with pytest.raises(ValueError, match="pool_frames and frames of at least 1"):
        make(frames=0)
