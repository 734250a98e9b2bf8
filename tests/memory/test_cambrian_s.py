"""Cambrian-S's memory, frame by frame as worked by hand, and read as a plain pass over what it kept."""

import pytest
import torch

from ssm_sense.memory.cambrian_s import CambrianS
from ssm_sense.memory.consolidation import Drop, DropMerge, ForgetOldest, Held
from ssm_sense.memory.kv_cache import token_bytes
from ssm_sense.nn.sources import AdjacentDifference, RandomSurprise

TOLD = [0.0, 0.2, 0.8, 0.6, 0.1, 0.9, 0.3, 0.55, 0.4, 0.7]
"""Of frames 0 to 9; the first counts as 1 whatever it is told."""


def shown(frames: list[Held]) -> list[tuple[float, int]]:
    return [(round(frame.surprise, 6), frame.kv.tokens) for frame in frames]


def test_keep_merge_and_drop_step_by_step(frame_tokens, latents) -> None:
    """Window 2, τ .5, 4 tokens a frame, 1 when pooled, budget 10: frames are told apart by their surprise."""
    memory = CambrianS(frame_tokens(), window=2, threshold=0.5, budget_tokens=10)
    steps = []
    for t, told in enumerate(TOLD):
        seen = memory.observe(latents[t], told, float(t))
        assert (seen.surprise, seen.boundary) == (told if t else 1.0, False)
        steps.append((shown(memory.sensory), shown(memory.memory)))
    assert steps == [
        ([(1.0, 4)], []),
        ([(1.0, 4), (0.2, 4)], []),
        # Frame 0 leaves the window whole.
        ([(0.2, 4), (0.8, 4)], [(1.0, 4)]),
        # Frame 1 did not surprise and is pooled.
        ([(0.8, 4), (0.6, 4)], [(1.0, 4), (0.2, 1)]),
        ([(0.6, 4), (0.1, 4)], [(1.0, 4), (0.2, 1), (0.8, 4)]),
        # Frame 3 makes 13 tokens. 2 and 3 merge to .7: 9. Frame 1 is dropped all the same, and 0 merges with them.
        ([(0.1, 4), (0.9, 4)], [(0.85, 4)]),
        ([(0.9, 4), (0.3, 4)], [(0.85, 4), (0.1, 1)]),
        ([(0.3, 4), (0.55, 4)], [(0.85, 4), (0.1, 1), (0.9, 4)]),
        # Frame 6 makes exactly 10, which is not over the budget.
        ([(0.55, 4), (0.4, 4)], [(0.85, 4), (0.1, 1), (0.9, 4), (0.3, 1)]),
        # Frame 7 makes 14. No two surprising frames are neighbours; .1 is dropped, and what it parted merges: 9 tokens.
        ([(0.4, 4), (0.7, 4)], [(0.875, 4), (0.3, 1), (0.55, 4)]),
    ]


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_pooled_and_merged_frames_are_means_of_keys_before_rotation(frame_tokens, latents, family: str) -> None:
    model = frame_tokens(family, begun=True)
    pooling = CambrianS(model, window=1, threshold=0.5)
    whole = CambrianS(model, window=1, threshold=0.5, pool=1)
    for t, told in enumerate(TOLD[:6]):
        for memory in (pooling, whole):
            memory.observe(latents[t], told, float(t))
    assert shown(pooling.memory) == [(1.0, 4), (0.2, 1), (0.8, 4), (0.6, 4), (0.1, 1)]
    for one, other in zip(pooling.memory, whole.memory, strict=True):
        for part in ("keys", "values"):
            kept, full = getattr(one.kv, part), getattr(other.kv, part)
            torch.testing.assert_close(kept, full if one.kv.tokens == 4 else full.mean(2, keepdim=True))
    # 2 and 3 merge, then 4 goes, the least surprising, then 1, and 0 merges with them.
    merged = DropMerge()(pooling.memory, 9, 0.5)
    full = [frame.kv.keys for frame in whole.memory]
    assert shown(merged) == [(0.85, 4)]
    torch.testing.assert_close(merged[0].kv.keys, full[0] / 2 + full[2] / 4 + full[3] / 4)


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_in_one_layer_it_is_a_plain_pass_over_what_was_kept(frame_tokens, latents, checks, family: str) -> None:
    """Whole frames, dropped only: 0 and the four most surprising of the rest remain, the window's among them."""
    model = frame_tokens(family, layers=1, begun=True)
    memory = CambrianS(model, window=2, threshold=0.5, pool=1, consolidation=Drop(), budget_tokens=3 + 23)
    checks.watch(memory, latents[:10], 0, TOLD)
    # Budget for frames 23: six make 24, one goes, and 20 is under it. Long-term 0 2 3 5 7, then 8 and 9 come.
    assert [s for s, _ in shown(memory.memory)] == [1.0, 0.8, 0.6, 0.9, 0.55]
    want = checks.plain(model, model.embed(latents[[0, 2, 3, 5, 9]]).flatten(0, 1))
    torch.testing.assert_close(checks.scores(memory), want, atol=1e-4, rtol=1e-4)
    assert [s for s, _ in shown(memory.memory)] == [1.0, 0.8, 0.6, 0.9, 0.55]
    everything = CambrianS(model, window=2, threshold=0.0, top_k=1)
    checks.watch(everything, latents[:10], 0, TOLD)
    want = checks.plain(model, model.embed(latents[:10]).flatten(0, 1))
    torch.testing.assert_close(checks.scores(everything), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_frame_attends_to_the_window_before_it(frame_tokens, latents, checks) -> None:
    model = frame_tokens()

    def last_keys(shown: torch.Tensor) -> torch.Tensor:
        memory = CambrianS(model, window=3)
        checks.watch(memory, shown)
        return memory.sensory[-1].kv.keys[1]

    want = last_keys(latents[:9])
    for changed, reached in ((0, False), (4, False), (5, True), (6, True), (7, True)):
        other = latents[:9].clone()
        other[changed] = latents[30]
        assert torch.allclose(last_keys(other), want, atol=1e-5) != reached


@torch.no_grad()
def test_a_question_sees_the_frames_it_is_about(frame_tokens, latents, checks) -> None:
    model = frame_tokens("qwen3", begun=True)
    few, all_of_it = (CambrianS(model, RandomSurprise(), window=4, threshold=0.5, top_k=k) for k in (2, 100))
    for memory in (few, all_of_it):
        checks.watch(memory, latents)
    plain = CambrianS(model, RandomSurprise(), window=4, threshold=0.5, top_k=1)
    checks.watch(plain, latents)
    torch.testing.assert_close(checks.scores(all_of_it), checks.scores(plain), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(checks.scores(few), checks.scores(plain), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("rule", [Drop(), DropMerge(), ForgetOldest()])
def test_bytes_stay_within_the_budget_all_the_time(frame_tokens, latents, checks, rule) -> None:
    model = frame_tokens(begun=True)
    frame = 4 * token_bytes(model.language) + 16
    budget = 14 * frame
    memory = CambrianS(model, RandomSurprise(), threshold=0.5, consolidation=rule, budget_bytes=budget)
    assert memory.window == 7
    sizes = checks.watch(memory, latents.repeat(3, 1, 1))
    assert max(sizes) <= budget
    assert max(sizes[40:]) > budget - 2 * frame
    with pytest.raises(ValueError, match="budget_bytes for 2 frames"):
        CambrianS(model, budget_bytes=2 * frame - 1)
    with pytest.raises(ValueError, match="pool: expected 1 to 2"):
        CambrianS(model, pool=3)


def test_surprise_is_told_or_found(frame_tokens, latents) -> None:
    """Without a source, a frame like the one before does not surprise; with one, it is the source's."""
    model = frame_tokens()
    default, injected = CambrianS(model), CambrianS(model, AdjacentDifference(9, 12))
    shown_twice = latents.repeat_interleave(2, 0)[:6]
    for memory in (default, injected):
        found = [memory.observe(one, None, float(t)).surprise for t, one in enumerate(shown_twice)]
        assert found[0] == 1.0
        assert found[1::2] == pytest.approx([0.0] * 3, abs=1e-6)
        assert min(found[2::2]) > 0.5
    assert CambrianS(model).observe(latents[0], 0.3, 0.0).surprise == 1.0


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens("llama", begun=True)
    checks.contract(lambda: CambrianS(model, window=3, threshold=0.9, budget_tokens=30, top_k=4), latents[:20], 13)
    checks.contract(lambda: CambrianS(model, window=2, threshold=0.5, budget_tokens=20), latents[:10], 7, TOLD)
    memory = CambrianS(model)
    with pytest.raises(ValueError, match=r"got also event\.0"):
        memory.load_state_dict({"event.0": torch.ones(1)})
    checks.watch(memory, latents[:3])
    state = dict(memory.state_dict())
    state["sensory.surprise"] = torch.zeros(2)
    with pytest.raises(ValueError, match=r"sensory\.surprise: expected one for each of 3 frames"):
        memory.load_state_dict(state)
