"""Places are known again by what their frames have in common; nothing is taken for another before that is learned."""

import pytest
import torch

from ssm_sense.nn.places import Places

WIDTH, ROOMS = 8, 6


def places() -> Places:
    torch.manual_seed(0)
    return Places(WIDTH, width=4, kinds=2, kept=3)


def tours(streams: int, frames: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (B, T, V) and rooms (B, T): rooms look alike but for some of the features, which also drift."""
    looks = torch.randn(streams, ROOMS, WIDTH)
    looks[..., WIDTH // 2 :] = 0
    order = torch.stack([torch.randperm(ROOMS)[: frames // 8] for _ in range(streams)])
    rooms = order.repeat_interleave(8, 1)
    drift = torch.randn(streams, frames // 8, WIDTH).repeat_interleave(8, 1)
    drift[..., : WIDTH // 2] = 0
    return looks[torch.arange(streams)[:, None], rooms] + 2 * drift + 0.2 * torch.randn(streams, frames, WIDTH), rooms


@torch.no_grad()
def test_nothing_is_known_again_before_it_is_learned() -> None:
    made = places()
    sums = torch.randn(1, 5, WIDTH)
    _, state = made.leave(
        *(torch.ones(1), torch.zeros(1, 3), torch.zeros(1, 4), sums[:, 0], torch.ones(1)),
        torch.ones(1, 2),
        made.initial_state(1),
    )
    assert not made.recognise(sums, state).any()
    assert float(torch.sigmoid(made.alike(sums, sums).max())) < 0.2


def test_it_learns_which_parts_of_a_stream_are_of_one_room() -> None:
    made = places()
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2)
    for _ in range(150):
        loss = made.loss(*tours(16))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        x, _ = tours(1)
        first, again = x[0, :5].sum(0), x[0, 5:8].sum(0)
        others = x[0, 8:].unflatten(0, (-1, 8)).sum(1)
        assert torch.sigmoid(made.alike(first[None], again[None])) > 0.8
        assert (torch.sigmoid(made.alike(first[None], others)) < 0.5).all()
    assert float(loss.detach()) < 0.1


@torch.no_grad()
def test_the_loss_counts_every_pair_of_parts_once() -> None:
    made = places()
    x, rooms = torch.randn(1, 24, WIDTH), torch.tensor([[3] * 14 + [5] * 10])
    parts = [x[0, :10].sum(0), x[0, 10:14].sum(0), x[0, 14:20].sum(0), x[0, 20:].sum(0)]
    logits = made.alike(torch.stack(parts), torch.stack(parts))
    same = {(0, 1), (2, 3)}
    wrong = [
        torch.nn.functional.binary_cross_entropy_with_logits(logits[i, j], torch.tensor(float((i, j) in same)))
        for i in range(4)
        for j in range(i + 1, 4)
    ]
    torch.testing.assert_close(made.loss(x, rooms), torch.stack(wrong).mean())
    uneven = made.loss(torch.cat([x, x]), torch.cat([rooms, torch.full((1, 24), 1)]))
    assert uneven.isfinite(), "streams of three and of four parts"


def test_places_there_must_be() -> None:
    with pytest.raises(ValueError, match="kept: expected 1 or more, got 0"):
        Places(WIDTH, 4, 2, 0)
