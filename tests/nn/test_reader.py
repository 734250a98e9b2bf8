"""The linear reader: each question has its own loss, unknown answers have none, and it learns what is linear."""

import pytest
import torch
import torch.nn.functional as F

from ssm_sense.nn.reader import LinearReader

GROUPS = ((2, 3, 1.0), (3, 2, 4.0))


def test_each_group_is_the_mean_over_its_known_answers() -> None:
    torch.manual_seed(0)
    reader, features = LinearReader(8, GROUPS), torch.randn(4, 5, 8)
    truth = torch.randint(0, 2, (4, 5, 5), dtype=torch.int16)
    truth[..., 1] = -1
    truth[0] = -1
    first, second = reader(features)
    assert first.shape == (4, 5, 2, 3)
    assert second.shape == (4, 5, 3, 2)
    losses = reader.losses(features, truth)
    by_hand = F.cross_entropy(first[1:, :, 0].flatten(0, 1), truth[1:, :, 0].flatten().long())
    torch.testing.assert_close(losses[0], by_hand)
    torch.testing.assert_close(reader.loss(losses), (losses[0] + 4 * losses[1]) / 5)


def test_where_nothing_is_known_there_is_no_loss() -> None:
    reader, features = LinearReader(8, GROUPS), torch.randn(2, 8, requires_grad=True)
    losses = reader.losses(features, torch.full((2, 5), -1))
    assert [float(loss.detach()) for loss in losses] == [0, 0]
    reader.loss(losses).backward()
    assert features.grad is not None
    assert not features.grad.any()


def test_it_learns_what_is_linear_and_not_what_is_absent() -> None:
    torch.manual_seed(0)
    reader, features = LinearReader(8, ((1, 2, 1.0), (1, 2, 1.0))), torch.randn(512, 8)
    truth = torch.stack([features[:, 0] > features.mean(1), torch.rand(512) > 0.5], 1).long()
    optimizer = torch.optim.Adam(reader.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        reader.loss(reader.losses(features, truth)).backward()
        optimizer.step()
    there, absent = (float(loss.detach()) for loss in reader.losses(features, truth))
    assert there < 0.25
    assert absent > 0.6


def test_a_memory_that_hands_over_nothing_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="width: expected 1 or more, got 0"):
        LinearReader(0, GROUPS)
