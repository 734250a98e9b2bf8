"""MA-LMM: a bank of fixed length in which, place by place, the most similar neighbours in time are merged.

Memory-bank compression of MA-LMM (arXiv 2404.05726): when the bank has one frame too many, at each place by itself the
two neighbouring entries of largest cosine become their mean, weighted by how many frames each stands for. An entry's
places may so stand for different moments.

The bank holds tokens for the language model. The paper has two kinds of bank, of visual features and of a Q-Former's
queries, and adds a learned embedding of the frame's number before; here there is no Q-Former, and order is the only
sign of time.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.memory.frame_list import FrameReader, frame_bytes, stacked, tokens_of, unstacked
from ssm_sense.memory.kv_cache import FrameTokens, fit, only
from ssm_sense.memory.policy import Answer, Observation


class MaLmm:
    """Streams one video through a model of frame tokens, with a compressed bank.

    Args:
        model: in eval mode, with its language model loaded.
        length: entries of the bank; in the paper 20 for long videos, 10 for questions about short ones.
        budget_bytes: of tokens and weights; if given, it sets `length`.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(self, model: FrameTokens, length: int = 20, budget_bytes: int | None = None) -> None:
        if budget_bytes is not None:
            length = fit(budget_bytes, frame_bytes(model) + 4 * model.frame_tokens, "entries")
        if length < 1:
            raise ValueError(f"length: expected at least 1, got {length}")
        self.model, self.length = model, length
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.reader = FrameReader(self.model)
        self.bank = stacked(self.model, [])
        self.weights = torch.zeros(0, self.model.frame_tokens, dtype=torch.int32)

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Append one frame, and merge at each place if that is one too many."""
        self.reader.forget()
        frame = tokens_of(self.model, latents)
        one = self.weights.new_ones(1, self.model.frame_tokens, device=frame.device)
        self.bank = torch.cat([self.bank.to(frame), frame[None]])
        self.weights = torch.cat([self.weights.to(frame.device), one])
        if len(self.bank) > self.length:
            self.bank, self.weights = compress(self.bank, self.weights)
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the bank."""
        return self.reader.answer(list(self.bank), prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``bank`` (n, F, Q) and ``weights`` (n, F), int32."""
        return {"bank": self.bank, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or model."""
        only(state, "bank", "weights")
        bank = stacked(self.model, unstacked(self.model, state, "bank"))
        weights = state.get("weights", torch.zeros(0))
        if weights.shape != bank.shape[:2]:
            raise ValueError(f"weights: expected {tuple(bank.shape[:2])}, got {tuple(weights.shape)}")
        self.bank, self.weights = bank, weights.to(bank.device, copy=True)
        self.reader.forget()

    @property
    def nbytes(self) -> int:
        """Of tokens and weights."""
        return self.bank.nbytes + self.weights.nbytes


def compress(bank: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """A bank (n, F, Q) with weights (n, F), shorter by one entry: see above. Of equal pairs the oldest is merged."""
    alike = F.cosine_similarity(bank[:-1].float(), bank[1:].float(), dim=-1)
    into = alike.argmax(0)
    entry = torch.arange(len(bank) - 1, device=bank.device)[:, None]
    left, right = (entry + (entry > into)), (entry + 1)
    places = torch.arange(bank.shape[1], device=bank.device)
    both = (entry == into)[..., None]
    a, b = weights[left, places][..., None], weights[right, places][..., None]
    kept, next_one = bank[left, places], bank[right, places]
    mean = ((kept.float() * a + next_one.float() * b) / (a + b)).to(bank.dtype)
    return torch.where(both, mean, kept), torch.where(both, a + b, a)[..., 0]
