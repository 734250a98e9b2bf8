"""Which of K things a text names: their words are looked up among its own, in the language model's embeddings."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.language.causal_lm import CausalLM

ALIKE, SHARP = 0.8, 0.05
"""Cosine from which on a word of a text counts as a thing's, and how sharply."""


class Lookup:
    """Nothing of it is learned, and K may be large, for what is read of the things does not grow with their number.

    Args:
        names: K things, each of one word or more.
        language: whose words they are; loaded.
    """

    @torch.no_grad()
    def __init__(self, names: Sequence[str], language: CausalLM) -> None:
        self.language = language
        pieces = [language.embed_pieces(name).float() for name in names]
        self._pieces = F.normalize(torch.cat(pieces), dim=1)
        owner = torch.cat([torch.full((len(piece),), k) for k, piece in enumerate(pieces)])
        shares = F.one_hot(owner, len(pieces)).float()
        self._shares = (shares / shares.sum(0)).T.to(self._pieces)
        self._likest: dict[str, int] = {}

    @torch.no_grad()
    def likeness(self, text: str) -> Tensor:
        """Of each thing (K,) how like its words are to the likest of the text: mean cosine, 1 where they are."""
        words = F.normalize(self.language.embed_prompt(text)[0].float(), dim=1)
        return self._shares @ (self._pieces @ words.T).amax(1)

    def one(self, text: str) -> Tensor:
        """How much a text is about each thing (K,): at most 1 in sum, and 0 where it names none."""
        alike = self.likeness(text)
        return torch.softmax(alike / SHARP, 0) * torch.sigmoid((alike.amax() - ALIKE) / SHARP)

    def several(self, text: str) -> Tensor:
        """Which things a text names, however many: bool (K,)."""
        return self.likeness(text) > ALIKE

    def likest(self, text: str) -> int:
        """The place of the thing that a text is likest to."""
        if text not in self._likest:
            self._likest[text] = int(self.likeness(text).argmax())
        return self._likest[text]
