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
from ssm_sense.memory.kv_cache import FrameTokens, fit, only, shaped
from ssm_sense.memory.policy import Answer, Observation


class MaLmm:
    """Streams one video through a model of frame tokens, with a compressed bank.

    Args:
        model: in eval mode, with its language model loaded.
        length: entries of the bank; in the paper 20 for long videos, 10 for questions about short ones.
        budget_bytes: of tokens, weights and likenesses; if given, it sets `length`.
    """

    causal: ClassVar[bool] = True
    query_aware: ClassVar[bool] = False
    constant_memory: ClassVar[bool] = True
    needs_training: ClassVar[bool] = False

    def __init__(self, model: FrameTokens, length: int = 20, budget_bytes: int | None = None) -> None:
        if budget_bytes is not None:
            length = fit(budget_bytes, frame_bytes(model) + 8 * model.frame_tokens, "entries")
        if length < 1:
            raise ValueError(f"length: expected at least 1, got {length}")
        self.model, self.length = model, length
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self.reader = FrameReader(self.model)
        self.bank = stacked(self.model, [])
        self.weights = torch.zeros(0, self.model.frame_tokens, dtype=torch.int32)
        self.alike = alike(self.bank)

    @torch.inference_mode()
    def observe(self, latents: Tensor, surprise: float | None, t_s: float) -> Observation:
        """Append one frame, and merge at each place if that is one too many."""
        self.reader.forget()
        frame = tokens_of(self.model, latents)
        if len(self.bank) < self.length:
            one = torch.ones(1, self.model.frame_tokens, dtype=torch.int32, device=frame.device)
            self.bank = torch.cat([self.bank.to(frame), frame[None]])
            self.weights = torch.cat([self.weights.to(frame.device), one])
            self.alike = torch.cat([self.alike.to(frame.device), alike(self.bank[-2:])])
        else:
            merge(self.bank, self.weights, self.alike, frame)
        return Observation(float("nan"), 1.0, False)

    @torch.inference_mode()
    def read(self, prompt: str, options: Sequence[str] = ()) -> Answer:
        """Answer from the bank."""
        return self.reader.answer(list(self.bank), prompt, options)

    def state_dict(self) -> Mapping[str, Tensor]:
        """``bank`` (n, F, Q), ``weights`` (n, F), int32, and ``alike`` (n − 1, F), cosines of neighbours."""
        return {"bank": self.bank.clone(), "weights": self.weights.clone(), "alike": self.alike.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; raises ValueError for one of another policy or model."""
        only(state, "bank", "weights", "alike")
        bank = stacked(self.model, unstacked(self.model, state, "bank"))
        parts = {"weights": tuple(bank.shape[:2]), "alike": (max(0, len(bank) - 1), self.model.frame_tokens)}
        shaped(state, parts)
        self.bank = bank
        self.weights, self.alike = (state[name].to(bank.device, copy=True) for name in parts)
        self.reader.forget()

    @property
    def nbytes(self) -> int:
        """Of tokens, their weights, and how alike neighbours are."""
        return self.bank.nbytes + self.weights.nbytes + self.alike.nbytes


def alike(bank: Tensor) -> Tensor:
    """Cosines (n − 1, F), float32, of the neighbours in a bank (n, F, Q)."""
    return F.cosine_similarity(bank[:-1].float(), bank[1:].float(), dim=-1)


def merge(bank: Tensor, weights: Tensor, alike_n1F: Tensor, frame: Tensor) -> None:
    """Put one frame (F, Q) more into a full bank, all in place: see above. Of equal pairs the oldest is merged.

    Args:
        bank: (n, F, Q).
        weights: (n, F), frames that each entry stands for.
        alike_n1F: (n − 1, F), `alike` of the bank, before and after.
        frame: of weight 1.
    """
    together = torch.cat([alike_n1F, alike(torch.stack([bank[-1], frame]))])
    for place, left in enumerate(together.argmax(0).tolist()):
        column, counts, cosines = bank[:, place], weights[:, place], alike_n1F[:, place]
        last = left == len(bank) - 1
        right, more = (frame[place], 1) if last else (column[left + 1], int(counts[left + 1]))
        whole = int(counts[left]) + more
        column[left] = (column[left].float() * int(counts[left]) + right.float() * more) / whole
        counts[left] = whole
        if not last:
            for held, new in ((column, frame[place]), (counts, 1)):
                held[left + 1 : -1] = held[left + 2 :].clone()
                held[-1] = new
            cosines[left:-1] = cosines[left + 1 :].clone()
            cosines[-1:] = together[-1:, place]
        around = slice(max(0, left - 1), left + 2)
        cosines[around.start : left + 1] = alike(column[around])
