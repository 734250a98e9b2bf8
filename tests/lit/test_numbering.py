"""Batches go on from epoch to epoch."""

from itertools import islice

from ssm_sense.lit.numbering import numbers


def test_numbers_begin_where_training_is_when_drawing_begins() -> None:
    done: list[int] = []
    epochs = []
    for _ in range(3):
        epochs.append(list(islice(numbers(done.__len__, None), 4)))
        done += epochs[-1]
    assert epochs == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert list(numbers(5, 2)) == [5, 6]
