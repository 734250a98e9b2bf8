"""One int8 vector a frame: what is held, to the byte, and that streaming reads what training read."""

import pytest
import torch

from ssm_sense.language.query import Query
from ssm_sense.memory.pooled_bank import PooledBank, PooledBankMemory, dequantise, quantise


@pytest.fixture
def make(frame_tokens):
    def bank(family: str = "qwen2") -> PooledBank:
        language = frame_tokens(family, begun=True).language
        torch.manual_seed(3)
        model = PooledBank(language, 32, vision_width=12, width=16, probes=3, heads=2).eval()
        torch.nn.init.normal_(model.connector.straight.weight, std=0.5)
        return model

    return bank


def test_quantised_by_hand() -> None:
    vectors, scales = quantise(torch.tensor([[1.27, -0.635, 0.014], [0.0, 0.0, 0.0], [-254.0, 1.0, 3.0]]))
    # A half rounds to even, as everywhere.
    assert vectors.tolist() == [[127, -64, 1], [0, 0, 0], [-127, 0, 2]]
    assert vectors.dtype == torch.int8
    torch.testing.assert_close(scales, torch.tensor([0.01, 1e-12 / 127, 2.0]))
    x = torch.randn(50, 12)
    assert ((dequantise(*quantise(x)) - x).abs() <= quantise(x)[1][:, None] / 2 + 1e-6).all()


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_streaming_equals_training(make, latents, checks, family: str) -> None:
    model = make(family)
    streams = torch.stack([latents, latents.flip(0)])
    queries = [Query(1, 6, checks.prompt, "B"), Query(0, 11, "which room is this", "kitchen"), Query(1, 39, "no", "A")]
    trained = model.losses(streams, torch.arange(40.0).repeat(2, 1), queries)["per_query"]
    memory = PooledBankMemory(model)
    checks.watch(memory, streams[1, :7])
    # Per-token mean of "B" and the end of the answer.
    torch.testing.assert_close(-checks.scores(memory)[1] / 2, trained[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_later_frames_are_not_seen_and_order_and_question_are(make, latents, checks) -> None:
    model = make()

    def loss(frames: torch.Tensor, prompt: str = "how many chairs") -> float:
        return float(model.losses(frames[None], torch.arange(40.0)[None], [Query(0, 9, prompt, "A")])["loss"])

    want = loss(latents)
    assert loss(torch.cat([latents[:10], latents[:30]])) == pytest.approx(want, abs=1e-6)
    assert abs(loss(torch.cat([latents[:10].flip(0), latents[10:]])) - want) > 1e-5
    entries = torch.randn(2, 5, 12)[:1].expand(2, -1, -1)
    seen = model.tokens(entries, torch.arange(4, -1, -1).expand(2, -1), ["how many chairs", "which room"])
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)


def test_it_learns_what_was_seen_once(make, checks) -> None:
    """Whether the first of ten frames was one look or another."""
    torch.manual_seed(0)
    model = make().train()
    looks = torch.randn(2, 9, 12)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(80):
        first = torch.randint(2, (8,))
        clips = torch.cat([looks[first][:, None], torch.randn(8, 9, 9, 12)], dim=1)
        queries = [Query(b, 9, "which room", "yes" if one else "no") for b, one in enumerate(first.tolist())]
        loss = model.losses(clips, torch.arange(10.0).repeat(8, 1), queries)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # Guessing between the two costs ln 2 for the word and nothing for the end of the answer: .35 a token.
    assert sum(losses[-10:]) / 10 < 0.1


def test_bytes_and_what_every_policy_must_do(make, latents, checks) -> None:
    model = make()
    memory = PooledBankMemory(model)
    assert checks.watch(memory, latents) == [n * (12 + 4) for n in range(1, 41)]
    checks.contract(model.memory, latents[:12], 7)
    with pytest.raises(ValueError, match=r"expected int8 vectors \(n, 12\)"):
        memory.load_state_dict({"vectors": torch.zeros(3, 11, dtype=torch.int8), "scales": torch.zeros(3)})
    with pytest.raises(ValueError, match="heads: expected a divisor"):
        PooledBank(model.language, 32, 12, width=16, heads=3)
