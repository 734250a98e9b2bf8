"""A tally in words: of running counts, a language model reads the one that its question is about."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM

MOST = 99
"""The highest number that is told apart."""
_ALIKE, _SHARP = 0.8, 0.05
"""Cosine from which on a word of the question counts as a concept's, and how sharply."""


class TallyWords(nn.Module):
    """Two tokens for a question: how many there were so far of what it names, and how many there are here.

    Which of K counts that is, is looked up by the question's own words, in the language model's embeddings: nothing of
    it has to be learned, and K may be large, for the language model reads two tokens however many are kept. Numbers
    enter as its own words for them, between two of them in proportion, so that to answer is to copy, and what is wrong
    with an answer reaches the count. A question that names none of the concepts gets two tokens that say nothing.

    Args:
        concepts: K words, such as "lamp".
        language_width: Q.
    """

    def __init__(self, concepts: Sequence[str], language_width: int) -> None:
        super().__init__()
        self.concepts = tuple(concepts)
        self.so_far, self.here = (nn.Linear(language_width, language_width, bias=False) for _ in range(2))
        self.slot = nn.Parameter(torch.randn(2, language_width) * 0.02)
        nn.init.eye_(self.so_far.weight)
        with torch.no_grad():
            # Apart from the other number from the start: the same words turned round.
            self.here.weight.copy_(-torch.eye(language_width))

    def forward(self, tally_n2K: Tensor, prompts: Sequence[str], language: CausalLM) -> Tensor:
        """Counts so far and counts here, (n, 2, K), and a question to each, to tokens (n, 2, Q)."""
        pieces = self._pieces(language)
        once = {prompt: self._named(prompt, language, pieces) for prompt in set(prompts)}
        named = torch.stack([once[prompt] for prompt in prompts]).to(tally_n2K)
        named_at_all = named.sum(1, keepdim=True)
        asked = torch.einsum("njk,nk->nj", tally_n2K, named) / named_at_all.clamp_min(1e-6)
        numbers = language.embed_words([str(number) for number in range(MOST + 1)])
        counts = asked.clamp(0, MOST)
        low = counts.detach().floor().clamp_max(MOST - 1)
        share = (counts - low).unsqueeze(-1).to(numbers.dtype)
        # Not by indexing, whose gradient adds up in an order of its own on several threads.
        below, above = F.embedding(low.long(), numbers), F.embedding(low.long() + 1, numbers)
        near = below * (1 - share) + above * share
        said = torch.stack([self.so_far(near[:, 0]), self.here(near[:, 1])], dim=1)
        return self.slot + said * named_at_all.unsqueeze(2).to(said.dtype)

    def named(self, prompt: str, language: CausalLM) -> Tensor:
        """How much a question is about each of the concepts: (K,), at most 1 in sum, and 0 where it names none."""
        return self._named(prompt, language, self._pieces(language))

    @torch.no_grad()
    def _pieces(self, language: CausalLM) -> list[Tensor]:
        """Of each concept's tokens (n, Q) the directions."""
        return [F.normalize(language.embed_pieces(concept).float(), dim=1) for concept in self.concepts]

    @torch.no_grad()
    def _named(self, prompt: str, language: CausalLM, pieces: Sequence[Tensor]) -> Tensor:
        words = F.normalize(language.embed_prompt(prompt)[0].float(), dim=1)
        scores = torch.stack([(piece @ words.T).amax(1).mean() for piece in pieces])
        return torch.softmax(scores / _SHARP, 0) * torch.sigmoid((scores.amax() - _ALIKE) / _SHARP)
