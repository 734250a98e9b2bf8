"""MovieChat: which frames are merged when, worked by hand."""

import pytest
import torch

from ssm_sense.memory.movie_chat import MovieChat


def direction(angle: float, length: float = 1.0) -> torch.Tensor:
    """Tokens (2, 2) that all point the same way."""
    turned = torch.tensor([angle, angle])
    return length * torch.stack([turned.cos(), turned.sin()], 1)


def test_the_most_similar_neighbours_become_their_mean(frame_tokens) -> None:
    memory = MovieChat(frame_tokens())
    frames = [direction(a) for a in (0.0, 0.5, 0.9, 1.2, 2.5)]
    # .9 and 1.2 lie nearest, and point to 1.05 together; then 0 and .5, which is less than from .5 to 1.05.
    three = memory._merged(frames, 3)
    torch.testing.assert_close(
        torch.stack(three),
        torch.stack([(a + b) / 2 for a, b in ((frames[0], frames[1]), (frames[2], frames[3]), (frames[4], frames[4]))]),
    )
    two = memory._merged(frames, 2)
    torch.testing.assert_close(two[0], (three[0] + three[1]) / 2)
    assert memory._merged(frames, 5) == frames


def test_dot_products_prefer_long_tokens_and_cosines_do_not(frame_tokens) -> None:
    frames = [direction(0.0), direction(0.1), direction(1.0, 5.0), direction(1.5, 5.0)]
    for cosine, first in ((True, 0), (False, 2)):
        merged = MovieChat(frame_tokens(), cosine=cosine)._merged(frames, 3)
        torch.testing.assert_close(merged[first], (frames[first] + frames[first + 1]) / 2)


def test_of_equal_pairs_the_oldest(frame_tokens) -> None:
    frames = [torch.eye(2)[[i, i]] for i in (0, 0, 1, 1)]
    merged = MovieChat(frame_tokens())._merged(frames, 3)
    torch.testing.assert_close(torch.stack(merged), torch.stack([frames[0], frames[2], frames[3]]))


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_fragments_step_by_step(frame_tokens, latents, checks, family: str) -> None:
    """Three looks, each shown again and again: what is left of a buffer of 5 is known beforehand."""
    model = frame_tokens(family, begun=True)
    memory = MovieChat(model, short=5, merged=2, long=6)
    a, b, c = latents[:3]
    look = {name: model.embed(one) for name, one in zip("abc", (a, b, c), strict=True)}
    sizes = []
    for t, one in enumerate([a, a, a, b, b, b, b, c, c]):
        memory.observe(one, None, float(t))
        sizes.append((len(memory.memory), len(memory.buffer)))
    # Fragments are of 3 frames. The first, a a a, becomes a a; with b b b these become a b; with b c c, a b c, and then
    # b joins the neighbour that is more like it.
    assert sizes == [(0, 1), (0, 2), (2, 2), (2, 3), (2, 4), (4, 2), (4, 3), (4, 4), (6, 2)]
    near = [float(torch.nn.functional.cosine_similarity(look["b"], look[n], dim=-1).mean()) for n in "ac"]
    ab, bc = (look["a"] + look["b"]) / 2, (look["b"] + look["c"]) / 2
    later = [ab, look["c"]] if near[0] >= near[1] else [look["a"], bc]
    want = [look["a"], look["a"], look["a"], look["b"], *later, *later]
    torch.testing.assert_close(checks.scores(memory), checks.plain(model, torch.cat(want)), atol=1e-4, rtol=1e-4)


def test_long_term_memory_and_bytes_are_bounded(frame_tokens, latents, checks) -> None:
    model = frame_tokens()
    each = 4 * 32 * 4
    memory = MovieChat(model, budget_bytes=50 * each)
    assert (memory.short, memory.long) == (18, 32)
    sizes = checks.watch(memory, latents.repeat(12, 1, 1))
    assert len(memory.memory) == 32
    assert 48 * each <= max(sizes) <= 50 * each
    small = MovieChat(model, budget_bytes=11 * each)
    assert (small.short, small.long) == (5, 6)
    assert max(checks.watch(small, latents)) <= 11 * each
    with pytest.raises(ValueError, match="6 frames"):
        MovieChat(model, budget_bytes=5 * each)
    with pytest.raises(ValueError, match="1 <= merged < short"):
        MovieChat(model, short=2)


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens()
    checks.contract(lambda: MovieChat(model, short=5, long=4), latents[:20], 12)
    with pytest.raises(ValueError, match=r"buffer: expected frames \(n, 4, 32\), got nothing"):
        MovieChat(model).load_state_dict({"memory": torch.zeros(0, 4, 32)})
