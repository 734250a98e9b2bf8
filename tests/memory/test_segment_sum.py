"""Counting segment by segment: which frames each question is put to, worked by hand, and what is held for it."""

import pytest
import torch

from ssm_sense.memory import segment_sum
from ssm_sense.memory.cambrian_count import CambrianCount
from ssm_sense.memory.kv_cache import token_bytes
from ssm_sense.memory.policy import Answer
from ssm_sense.memory.segment_sum import DepthSum, ShotCutSum, UniformSum

PROMPT = "how many chairs"
TOLD = [0.9, 0.1, 0.2, 0.5, 0.1, 0.6, 0.1, 0.1, 0.3]
"""Above τ = .39 at frames 3 and 5."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens that each question was put to, which are also its answer; 13 are not understood."""
    seen: list[int] = []

    def answer(language, cache, prompt, options, *settings):
        seen.append(cache.get_seq_length())
        assert settings == (16, 1.1)
        return Answer("many" if seen[-1] == 13 * 4 else f"{seen[-1]} chairs")

    monkeypatch.setattr(segment_sum, "answer_from", answer)
    return seen


def test_counts_of_segments_add_up(frame_tokens, latents, checks, asked: list[int]) -> None:
    """Segments 0–2, 3–4 and, in progress, 5–8; each frame is 4 tokens, and 3 go before the stream."""
    memory = CambrianCount(frame_tokens(begun=True), window=2)
    memory.expect([(PROMPT, ()), ("which", ["A. one"]), (PROMPT, ())])
    seen = [memory.observe(one, told, float(t)) for t, (one, told) in enumerate(zip(latents, TOLD, strict=False))]
    assert [t for t, one in enumerate(seen) if one.boundary] == [3, 5]
    assert [one.surprise for one in seen] == [1.0, *TOLD[1:]]
    assert asked == [3 + 12, 3 + 8]
    assert memory.read(PROMPT).text == str(15 + 11 + (3 + 16))
    assert memory.read(PROMPT).text == "45"
    assert asked[2:] == [19, 19]
    assert (memory.running[0].total, memory.running[0].events) == (26, 2)
    # Not announced, or with options: the segment in progress.
    assert memory.read("how many").text == memory.read(PROMPT, ["A. one"]).text == "19 chairs"
    memory.reset()
    assert memory.read(PROMPT).text == "0"


def test_an_answer_without_a_number_adds_nothing(frame_tokens, latents, checks, asked: list[int]) -> None:
    memory = UniformSum(frame_tokens(), every_s=13.0)
    memory.expect([(PROMPT, ())])
    checks.watch(memory, latents[:29])
    assert asked == [52, 52]
    assert memory.read(PROMPT).text == str(3 * 4)
    assert memory.running[0].unread == 2


def test_segments_end_when_they_are_too_long(frame_tokens, latents, checks, asked: list[int]) -> None:
    memory = CambrianCount(frame_tokens(), window=3, segment_frames=4)
    memory.expect([(PROMPT, ())])
    checks.watch(memory, latents[:11], 0, [0.0] * 11)
    assert asked == [16, 16]
    assert memory.read(PROMPT).text == str(16 + 16 + 12)


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_a_segment_is_a_plain_pass_over_its_frames(frame_tokens, latents, checks, family: str) -> None:
    """Chunks are watched by themselves, in any number of layers."""
    model = frame_tokens(family, begun=True)
    memory = UniformSum(model, every_s=4.0)
    checks.watch(memory, latents[:11])
    want = checks.plain(model, model.embed(latents[8:11]).flatten(0, 1))
    torch.testing.assert_close(checks.scores(memory), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_sensory_window_runs_on_across_cuts(frame_tokens, latents, checks) -> None:
    """Window 2, cuts at 3 and 5: frame 5's keys in the second layer depend on 3 and 4, those of a chunk on neither."""
    model = frame_tokens()

    def first_of_segment(shown: torch.Tensor, make) -> torch.Tensor:
        memory = make()
        checks.watch(memory, shown[:6], 0, TOLD[:6])
        assert memory.segment == 1
        return memory.frames[-1].keys[1]

    for make, reaching in (
        (lambda: CambrianCount(model, window=2), {3, 4}),
        (lambda: UniformSum(model, every_s=5.0), set()),
    ):
        want = first_of_segment(latents, make)
        for changed in range(5):
            other = latents.clone()
            other[changed] = latents[30]
            same = torch.allclose(first_of_segment(other, make), want, atol=1e-5)
            assert same != (changed in reaching)


@pytest.mark.parametrize(
    "policy", [lambda m, b: CambrianCount(m, budget_bytes=b), lambda m, b: UniformSum(m, budget_bytes=b)]
)
def test_bytes_stay_within_the_budget(frame_tokens, latents, checks, policy) -> None:
    model = frame_tokens(begun=True)
    frame = 4 * token_bytes(model.language) + 8
    budget = 9 * frame
    memory = policy(model, budget)
    memory.expect([("how many", ())])
    sizes = checks.watch(memory, latents, 0, [0.0] * 40)
    assert budget - frame < max(sizes) <= budget
    with pytest.raises(ValueError, match="budget_bytes: expected 2 frames"):
        policy(model, 2 * frame - 1)


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens("qwen3", begun=True)

    def ready(memory):
        memory.expect([(checks.prompt, ()), ("which", ["A. one"])])
        return memory

    checks.contract(lambda: ready(CambrianCount(model, window=2)), latents[:9], 6, TOLD)
    checks.contract(lambda: ready(UniformSum(model, every_s=4.0)), latents[:12], 6)
    checks.contract(lambda: ready(ShotCutSum(model)), latents[:9], 5)
    checks.contract(lambda: ready(DepthSum(model)), latents[:9], 5)
    memory = ready(UniformSum(model))
    with pytest.raises(ValueError, match="1 announced questions, got 0"):
        memory.load_state_dict(UniformSum(model).state_dict())
    with pytest.raises(ValueError, match="expected segment_frames and window"):
        CambrianCount(model, window=0)
