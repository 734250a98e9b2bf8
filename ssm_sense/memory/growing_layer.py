"""A cache's layer that makes room ahead: what grows with every frame is not copied for every frame."""

from typing import Any, Self

from torch import Tensor
from transformers.cache_utils import DynamicLayer

_SPARE = 1024
"""Tokens of room that a layer makes at a time, at the least; also an eighth of what it holds."""


class GrowingLayer(DynamicLayer):
    """A cache's layer that writes new tokens behind the old ones, where the usual one copies all of them each time.

    A copy of it grows by concatenation like any other, so that nobody writes into the room that is shared.
    """

    def __init__(self) -> None:
        super().__init__()
        self._room: tuple[Tensor, Tensor] | None = None

    @classmethod
    def begun(cls, keys: Tensor, values: Tensor, tokens: int) -> Self:
        """One whose room (1, heads, n, width) is given, and so many tokens at its beginning are held."""
        layer = cls()
        layer._room = (keys, values)
        layer.is_initialized, layer.dtype, layer.device = True, keys.dtype, keys.device
        layer.keys, layer.values = (room[:, :, :tokens] for room in layer._room)
        return layer

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values (1, heads, n, width); returns all of them, as views."""
        before = self.get_seq_length()
        after = before + key_states.shape[2]
        if self._room is None or self._room[0].shape[2] < after:
            self._room = (self._roomier(self.keys, key_states, after), self._roomier(self.values, value_states, after))
        self.is_initialized, self.dtype, self.device = True, key_states.dtype, key_states.device
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, before:after] = new
        self.keys, self.values = (room[:, :, :after] for room in self._room)
        return self.keys, self.values

    def _roomier(self, held: Tensor | None, new: Tensor, tokens: int) -> Tensor:
        """Room for more than so many tokens, with what is held at its beginning."""
        shape = (*new.shape[:2], tokens + max(_SPARE, tokens // 8), new.shape[3])
        room = new.new_empty(shape)
        if held is not None:
            room[:, :, : held.shape[2]] = held
        return room

    def __copy__(self) -> DynamicLayer:
        """One that shares what is held, and grows by itself."""
        copied = DynamicLayer()
        for name in ("keys", "values", "dtype", "device", "is_initialized"):
            if hasattr(self, name):
                setattr(copied, name, getattr(self, name))
        return copied
