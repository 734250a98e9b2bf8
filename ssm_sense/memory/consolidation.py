"""What a surprise-ordered memory gives up when it is over its budget, as the released code of Cambrian-S does it.

Cambrian-S (arXiv 2511.04670, §5). Three things of the released code that one would not guess are kept. It begins when
more than the budget is held, but does not end until less than that is. Merging alone never ends it: at least one frame
is dropped. And after a drop, the two frames that it brought together are merged if both are surprising.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ssm_sense.memory.kv_cache import KeyValues


@dataclass(frozen=True)
class Held:
    """A frame in memory."""

    kv: KeyValues
    surprise: float

    def merged(self, other: "Held") -> "Held":
        """The mean of two frames of one length, and of their surprise."""
        keys, values = (self.kv.keys + other.kv.keys) / 2, (self.kv.values + other.kv.values) / 2
        return Held(KeyValues(keys, values), (self.surprise + other.surprise) / 2)


def tokens(frames: Sequence[Held]) -> int:
    """Of all frames together."""
    return sum(frame.kv.tokens for frame in frames)


class Consolidation(Protocol):
    """Brings frames, in order of time, under a budget."""

    def __call__(self, frames: Sequence[Held], budget_tokens: int, threshold: float) -> list[Held]:
        """What is left of more frames than the budget allows.

        Args:
            frames: of more than `budget_tokens` tokens.
            budget_tokens: what is left holds fewer.
            threshold: τ, the surprise from which on a frame counts as surprising.
        """


class Drop:
    """The least surprising frame goes, of equals the oldest, until it is enough."""

    def __call__(self, frames: Sequence[Held], budget_tokens: int, threshold: float) -> list[Held]:
        """See `Consolidation`."""
        left = list(frames)
        while left:
            del left[_least(left)]
            if tokens(left) < budget_tokens:
                break
        return left


class DropMerge:
    """First all neighbours that are both surprising become their mean, then frames are dropped as by `Drop`.

    A run of surprising frames becomes one, of which the last has half the weight.
    """

    def __call__(self, frames: Sequence[Held], budget_tokens: int, threshold: float) -> list[Held]:
        """See `Consolidation`."""
        left: list[Held] = []
        for frame in frames:
            if left and left[-1].surprise >= threshold and frame.surprise >= threshold:
                left[-1] = left[-1].merged(frame)
            else:
                left.append(frame)
        while left:
            gone = _least(left)
            del left[gone]
            if 0 < gone < len(left) and min(left[gone - 1].surprise, left[gone].surprise) >= threshold:
                left[gone - 1 : gone + 1] = [left[gone - 1].merged(left[gone])]
            if tokens(left) < budget_tokens:
                break
        return left


class ForgetOldest:
    """The oldest frame goes, whatever its surprise: the paper's plainest alternative."""

    def __call__(self, frames: Sequence[Held], budget_tokens: int, threshold: float) -> list[Held]:
        """See `Consolidation`."""
        left = list(frames)
        while left:
            del left[0]
            if tokens(left) < budget_tokens:
                break
        return left


def _least(frames: Sequence[Held]) -> int:
    return min(range(len(frames)), key=lambda i: frames[i].surprise)
