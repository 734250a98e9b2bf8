"""Frames held as the tokens that the language model would see: what policies share that keep no cache."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.memory.kv_cache import FrameTokens, answer_from, fork
from ssm_sense.memory.policy import Answer


def tokens_of(model: FrameTokens, latents: Tensor) -> Tensor:
    """A frame's tokens (F, Q), in the language model's precision, for its latents (S, V)."""
    return model.embed(latents).to(_dtype(model.language))


class FrameReader:
    """Answers from frames (F, Q), one after the other, which are read once for all that is asked until one changes.

    The keys and values that this makes are working memory, as activations are: they are let go with the next frame and
    are not counted.
    """

    def __init__(self, model: FrameTokens) -> None:
        self.model = model
        self._read: DynamicCache | None = None

    def forget(self) -> None:
        """Read anew when next asked: the frames are others now."""
        self._read = None

    def answer(self, frames: Sequence[Tensor], prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the frames, which are the same as before unless `forget` was called since."""
        language = self.model.language
        if self._read is None:
            self._read = language.read(stacked(self.model, frames).flatten(0, 1)[None])
        return answer_from(language, fork(self._read), prompt, options)


def frame_bytes(model: FrameTokens) -> int:
    """Bytes of one frame's tokens."""
    return model.frame_tokens * model.language.width * _dtype(model.language).itemsize


def stacked(model: FrameTokens, frames: Sequence[Tensor]) -> Tensor:
    """Frames (n, F, Q), also when there are none."""
    if frames:
        return torch.stack(list(frames))
    return torch.zeros(0, model.frame_tokens, model.language.width, dtype=_dtype(model.language))


def unstacked(model: FrameTokens, state: Mapping[str, Tensor], name: str) -> list[Tensor]:
    """What `stacked` was given. Raises ValueError for anything else."""
    expected = (model.frame_tokens, model.language.width)
    found = state.get(name)
    if found is None or found.shape[1:] != expected:
        came = "nothing" if found is None else str(tuple(found.shape))
        raise ValueError(f"{name}: expected frames (n, {expected[0]}, {expected[1]}), got {came}")
    # Each a copy of its own, so that one that goes takes its bytes with it.
    return [frame.to(model.scale.mean.device, copy=True) for frame in found]


def least_missed(seconds: Sequence[float]) -> int:
    """Of three or more frames at these times the one whose neighbours are nearest to each other."""
    spans = [after - before for before, after in zip(seconds, seconds[2:], strict=False)]
    return 1 + spans.index(min(spans))


def _dtype(language: CausalLM) -> torch.dtype:
    if language.lm is None:
        raise RuntimeError("expected a loaded language model, call load() first")
    return language.lm.dtype
