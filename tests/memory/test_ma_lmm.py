"""MA-LMM's bank: what is merged at which place, worked by hand."""

from itertools import pairwise

import pytest
import torch

from ssm_sense.memory.ma_lmm import MaLmm, alike, merge


def test_each_place_merges_its_own_most_similar_neighbours_by_weight() -> None:
    x, y, z = torch.eye(3)
    near = torch.tensor([0.8, 0.6, 0.0])
    # Place 0: y and y are the same. Place 1: near and x have a cosine of .8, near and y one of .6.
    bank = torch.stack([torch.stack(pair) for pair in ((x, x), (y, near), (y, y))])
    weights = torch.tensor([[1, 3], [2, 1], [4, 1]], dtype=torch.int32)
    cosines = alike(bank)
    torch.testing.assert_close(cosines, torch.tensor([[0.0, 0.8], [1.0, 0.6]]))
    merge(bank, weights, cosines, torch.stack((z, z)))
    torch.testing.assert_close(bank[:, 0], torch.stack([x, y, z]))
    torch.testing.assert_close(bank[:, 1], torch.stack([(3 * x + near) / 4, y, z]))
    assert weights.tolist() == [[1, 4], [6, 1], [1, 1]]
    torch.testing.assert_close(cosines, alike(bank))
    # Once more, in a bank of two: all are at right angles but one pair at place 1; of equals, the oldest.
    bank, weights, cosines = bank[:2].clone(), weights[:2].clone(), cosines[:1].clone()
    merge(bank, weights, cosines, torch.stack((z, z)))
    torch.testing.assert_close(bank[:, 0], torch.stack([(x + 6 * y) / 7, z]))
    torch.testing.assert_close(bank[:, 1], torch.stack([(3 * x + near + y) / 5, z]))
    assert weights.tolist() == [[7, 5], [1, 1]]
    assert weights.dtype == torch.int32


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_a_long_bank_is_what_merging_all_of_it_anew_each_time_would_give(length: int) -> None:
    torch.manual_seed(0)
    bank, weights = torch.randn(length, 3, 8), torch.ones(length, 3, dtype=torch.int32)
    cosines = alike(bank)
    for _ in range(60):
        frame = torch.randn(3, 8)
        columns = []
        for place in range(3):
            held, counts = [*bank[:, place].clone(), frame[place]], [*weights[:, place].tolist(), 1]
            likest = [float(torch.cosine_similarity(one, other, 0)) for one, other in pairwise(held)]
            i = likest.index(max(likest))
            held[i : i + 2] = [(held[i] * counts[i] + held[i + 1] * counts[i + 1]) / (counts[i] + counts[i + 1])]
            counts[i : i + 2] = [counts[i] + counts[i + 1]]
            columns.append((torch.stack(held), counts))
        merge(bank, weights, cosines, frame)
        torch.testing.assert_close(bank, torch.stack([held for held, _ in columns], 1))
        assert weights.T.tolist() == [counts for _, counts in columns]
        torch.testing.assert_close(cosines, alike(bank))


@torch.no_grad()
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_frame_by_frame(frame_tokens, latents, checks, family: str) -> None:
    """Looks a a b c c c in a bank of 3: a's are merged when c comes, then c's."""
    model = frame_tokens(family, begun=True)
    memory = MaLmm(model, length=3)
    weights = []
    for t, i in enumerate([0, 0, 1, 2, 2, 2]):
        memory.observe(latents[i], None, float(t))
        weights.append(memory.weights[:, 0].tolist())
        assert (memory.weights == memory.weights[:, :1]).all()
    assert weights == [[1], [1, 1], [1, 1, 1], [2, 1, 1], [2, 1, 2], [2, 1, 3]]
    want = checks.plain(model, model.embed(latents[:3]).flatten(0, 1))
    torch.testing.assert_close(checks.scores(memory), want, atol=1e-4, rtol=1e-4)


def test_no_frame_is_lost_and_bytes_fill_the_budget(frame_tokens, latents, checks) -> None:
    model = frame_tokens()
    each, likeness = 4 * 32 * 4 + 4 * 4, 4 * 4
    memory = MaLmm(model, budget_bytes=9 * (each + likeness) + 7)
    sizes = checks.watch(memory, latents)
    assert sizes == [n * each + (n - 1) * likeness for n in range(1, 10)] + [9 * each + 8 * likeness] * 31
    assert memory.weights.sum(0).tolist() == [40] * 4
    whole = (memory.bank * memory.weights[..., None]).sum(0)
    torch.testing.assert_close(whole, model.embed(latents).sum(0), atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="1 entries"):
        MaLmm(model, budget_bytes=each + likeness - 1)
    with pytest.raises(ValueError, match="length: expected at least 1"):
        MaLmm(model, length=0)


def test_what_every_policy_must_do(frame_tokens, latents, checks) -> None:
    model = frame_tokens()
    checks.contract(lambda: MaLmm(model, length=4), latents[:16], 9)
    with pytest.raises(ValueError, match=r"weights: expected \(3, 4\), got \(2, 4\)"):
        MaLmm(model).load_state_dict({"bank": torch.zeros(3, 4, 32), "weights": torch.zeros(2, 4)})
    with pytest.raises(ValueError, match=r"alike: expected \(2, 4\), got nothing"):
        MaLmm(model).load_state_dict({"bank": torch.zeros(3, 4, 32), "weights": torch.zeros(3, 4)})
