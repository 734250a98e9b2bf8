"""An inventory in words: of what is known of many kinds, a language model reads what its question is about."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.lookup import Lookup
from ssm_sense.nn.inventory import COUNTS, ROWS

MOST = 99
"""The highest number that is told apart."""
_DIGITS = 2
_ANSWERS = ("no", "yes")


class InventoryWords(nn.Module):
    """Six tokens for a question about a thing: how many so far, how many here, was it seen here, is it in view.

    Which of K kinds that is, is looked up by the question's own words, in the language model's embeddings: nothing of
    it has to be learned, and K may be large, for the language model reads six tokens however many are kept. Counts
    enter as it spells the nearest number itself, a digit a token, and what is likely between its "no" and its "yes", so
    that to answer is to copy. What is wrong with an answer reaches the inventory as if a count lay between two numbers
    in proportion. A question that names none of the concepts gets tokens that say nothing.

    Each of a number's digits has a token of its own: in their mean 12 and 21 are one to a tokenizer that has a single
    "1", and told means of digits the tiny language model had not learned to copy but small numbers.

    Args:
        concepts: K words, such as "lamp".
        language_width: Q.
    """

    def __init__(self, concepts: Sequence[str], language_width: int) -> None:
        super().__init__()
        self.concepts = tuple(concepts)
        self.slot = nn.Parameter(torch.randn(_DIGITS * COUNTS + len(ROWS) - COUNTS, language_width) * 0.02)
        # Of two numbers, and of two answers, the second is apart from the first from the start: turned round.
        signs = [(-1) ** row for row in range(len(ROWS)) for _ in range(_DIGITS if row < COUNTS else 1)]
        self.said = nn.Parameter(torch.stack([torch.eye(language_width) * sign for sign in signs]))

    def forward(self, inventory_n4K: Tensor, prompts: Sequence[str], language: CausalLM) -> Tensor:
        """The inventory's `ROWS` (n, 4, K), and a question to each, to tokens (n, 6, Q)."""
        concepts = Lookup(self.concepts, language)
        once = {prompt: concepts.one(prompt) for prompt in set(prompts)}
        named = torch.stack([once[prompt] for prompt in prompts]).to(inventory_n4K)
        named_at_all = named.sum(1, keepdim=True)
        asked = torch.einsum("njk,nk->nj", inventory_n4K, named) / named_at_all.clamp_min(1e-6)
        numbers = language.embed_spelled([str(number) for number in range(MOST + 1)]).flatten(1)
        digits = _nearest(asked[:, :COUNTS], numbers).unflatten(2, (_DIGITS, -1)).flatten(1, 2)
        words = [digits, _between(asked[:, COUNTS:], language.embed_words(_ANSWERS))]
        said = torch.einsum("njq,jqp->njp", torch.cat(words, dim=1), self.said)
        return self.slot + said * named_at_all.unsqueeze(2).to(self.slot.dtype)


def _nearest(x: Tensor, words: Tensor) -> Tensor:
    """As `_between`, but to the nearer of the two, which learns as if it lay between them."""
    between = _between(x, words)
    nearest = F.embedding(x.detach().clamp(0, len(words) - 1).round().long(), words)
    return nearest + (between - between.detach())


def _between(x: Tensor, words: Tensor) -> Tensor:
    """x of any shape, from 0 to one less than there are words (n, Q), to what lies so far between two of them."""
    x = x.clamp(0, len(words) - 1)
    low = x.detach().floor().clamp_max(len(words) - 2)
    share = (x - low).unsqueeze(-1).to(words.dtype)
    # Not by indexing, whose gradient adds up in an order of its own on several threads.
    below, above = F.embedding(low.long(), words), F.embedding(low.long() + 1, words)
    return below * (1 - share) + above * share
