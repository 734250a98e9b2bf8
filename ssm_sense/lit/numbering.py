"""Which batches are next: of data that never end, each a function of a seed and its number alone."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning import Trainer

Start = int | Callable[[], int]
"""The number of the first batch, or what tells it when drawing begins, as it does anew with every epoch."""


def numbers(start: Start, many: int | None) -> Iterator[int]:
    """So many numbers from the first on; None never ends."""
    first = start() if callable(start) else start
    return count(first) if many is None else iter(range(first, first + many))


def batches_done(trainer: "Trainer | None") -> int:
    """How many batches training has had; none without a trainer."""
    return 0 if trainer is None else trainer.fit_loop.epoch_loop.total_batch_idx + 1
