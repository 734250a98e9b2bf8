"""A layer that grows holds what came, in order, and copies it only where its room is too small."""

import torch

from ssm_sense.memory.growing_layer import GrowingLayer


def test_it_holds_what_came_in_order_beyond_its_room() -> None:
    layer = GrowingLayer()
    for n in (1, 1100, 5):
        layer.update(torch.full((1, 2, n, 4), float(n)), torch.full((1, 2, n, 4), -float(n)))
    assert (
        layer.keys[0, 0, :, 0].tolist() == (-layer.values[0, 1, :, 3]).tolist() == [1.0] + [1100.0] * 1100 + [5.0] * 5
    )


def test_a_room_that_is_given_is_written_into_and_left_when_it_is_full() -> None:
    keys, values = torch.arange(6.0).expand(1, 1, 1, 6).mT.clone(), torch.zeros(1, 1, 6, 1)
    layer = GrowingLayer.begun(keys, values, 4)
    assert layer.get_seq_length() == 4
    new = torch.full((1, 1, 2, 1), 7.0)
    got, _ = layer.update(new, new)
    assert got.flatten().tolist() == [0, 1, 2, 3, 7, 7]
    assert got.data_ptr() == keys.data_ptr()
    got, _ = layer.update(new + 1, new + 1)
    assert got.flatten().tolist() == [0, 1, 2, 3, 7, 7, 8, 8]
    assert got.data_ptr() != keys.data_ptr()
    assert keys.flatten().tolist() == [0, 1, 2, 3, 7, 7]
    assert values.flatten().tolist() == [0, 0, 0, 0, 7, 7]
