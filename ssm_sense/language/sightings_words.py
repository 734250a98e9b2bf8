"""Sightings in words: what a question's thing was seen beside, in order of time, and the option that this fits."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.lookup import Lookup
from ssm_sense.nn.sightings import in_order

LISTED = 4
"""Sightings that are told of."""
_OPTION = re.compile(r"^([A-Z])\. (.+)$", re.MULTILINE)
_SUREST = 0.98
"""Of an order, however sure both sightings: what is read wrongly may be any of them."""
_EQUAL = 1e-6
"""Options as likely as that fit equally well."""


class SightingsWords(nn.Module):
    """Five tokens for a question about a thing that was looked for.

    Four name what it was seen beside at the surest sightings, in order of time and the fainter the less sure; where the
    question names several marks, at those alone. The fifth is the letter of the option that fits best the order in
    which its marks were seen, or the mean of equals; what is wrong with an answer reaches the sightings as if it lay
    between all of them, as likely as each fits. Things, marks and options are looked up by the question's own words, so
    to answer is to copy. A question that names nothing that was looked for gets tokens that say nothing.

    Args:
        sought: X words. marks: Y words.
        language_width: Q.
    """

    def __init__(self, sought: Sequence[str], marks: Sequence[str], language_width: int) -> None:
        super().__init__()
        self.sought, self.marks = tuple(sought), tuple(marks)
        self.slot = nn.Parameter(torch.randn(LISTED + 1, language_width) * 0.02)
        self.said = nn.Parameter(torch.eye(language_width).repeat(LISTED + 1, 1, 1))

    def forward(self, sightings_n2XY: Tensor, prompts: Sequence[str], language: CausalLM) -> Tensor:
        """What `Sightings.read` gives, and a question to each, to tokens (n, 5, Q)."""
        sought, marks = Lookup(self.sought, language), Lookup(self.marks, language)
        asked = {prompt: _Asked(prompt, sought, marks) for prompt in set(prompts)}
        names = language.embed_words(self.marks)
        rows = []
        for (sure, when), prompt in zip(sightings_n2XY, prompts, strict=True):
            about = asked[prompt]
            seen, at = sure[about.thing].to(names), when[about.thing]
            shown = in_order(seen * about.marks.to(seen), at, LISTED)
            told = torch.zeros(LISTED, len(names), dtype=names.dtype, device=names.device)
            told = told.index_put((torch.arange(len(shown), device=told.device), shown), seen[shown])
            letter = names.new_zeros(1, names.shape[1])
            if about.letters:
                letter = _best(_fits(about.options, seen, at))[None] @ language.embed_words(about.letters)
            rows.append(about.named.to(seen) * torch.cat([told @ names, letter]))
        return self.slot + torch.einsum("njq,jqp->njp", torch.stack(rows), self.said)


class _Asked:
    """What a question is about: a thing, how surely it names one, the marks that matter, and those of each option."""

    def __init__(self, prompt: str, sought: Lookup, marks: Lookup) -> None:
        named = sought.one(prompt)
        self.thing, self.named = int(named.argmax()), named.amax()
        several = marks.several(prompt)
        self.marks = several if int(several.sum()) > 1 else torch.ones_like(several)
        options = _OPTION.findall(prompt)
        self.letters = [letter for letter, _ in options]
        self.options = [[marks.likest(part) for part in text.split(",")] for _, text in options]


def _best(likely: Tensor) -> Tensor:
    """All of it to the likeliest, in equal parts where there are several, with the gradient of what it was."""
    best = (likely >= likely.amax() - _EQUAL).to(likely)
    return likely + (best / best.sum() - likely).detach()


def _fits(options: Sequence[Sequence[int]], sure_Y: Tensor, when_Y: Tensor) -> Tensor:
    """How likely each option is the order in which its marks were seen, one of them being it."""
    logits = []
    for marks in options:
        sure, when = sure_Y[list(marks)], when_Y[list(marks)]
        right = torch.sign(when - when[:, None]).to(sure)
        pairs = 0.5 + 0.5 * right * (sure * sure[:, None]).clamp_max(_SUREST)
        logits.append(pairs.log().triu(1).sum())
    return torch.softmax(torch.stack(logits), 0)
