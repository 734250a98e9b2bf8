"""Sightings in words: what a question's thing was seen beside, in order of time, and the option that this fits."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssm_sense.language.causal_lm import CausalLM
from ssm_sense.language.lookup import Lookup
from ssm_sense.nn.sightings import in_order, shifted

LISTED = 4
"""Sightings that are told of."""
_OPTION = re.compile(r"^([A-Z])\. (.+)$", re.MULTILINE)
_SUREST = 0.999
"""Surer no moment is: what is read wrongly may be any of them."""
_ELSEWHERE = 0.01
"""Odds that a mark was seen at none of the moments that are held of it."""
_EQUAL = 1e-6
"""Options as likely as that fit equally well."""


class SightingsWords(nn.Module):
    """Five tokens for a question about a thing that was looked for.

    Four name what it was seen beside at the surest sightings, in order of time and the fainter the less sure; where the
    question names several marks, at those alone. The fifth is the letter of the option that is likeliest to be the
    order in which its marks were seen, or the mean of equals: of the moments that are held of a mark each is the true
    one as likely as it is sure, and no two marks have the same. What is wrong with an answer reaches the sightings as
    if it lay between all options, as likely as each is. Things, marks and options are looked up by the question's own
    words, so to answer is to copy. A question that names nothing that was looked for gets tokens that say nothing.

    Args:
        sought: X words. marks: Y words.
        language_width: Q.
    """

    def __init__(self, sought: Sequence[str], marks: Sequence[str], language_width: int) -> None:
        super().__init__()
        self.sought, self.marks = tuple(sought), tuple(marks)
        self.slot = nn.Parameter(torch.randn(LISTED + 1, language_width) * 0.02)
        self.said = nn.Parameter(torch.eye(language_width).repeat(LISTED + 1, 1, 1))

    def forward(
        self, sightings_n2XYM: Tensor, prompts: Sequence[str], language: CausalLM, moved_X: Tensor | None = None
    ) -> Tensor:
        """What `Sightings.read` gives, and a question to each, to tokens (n, 5, Q).

        moved_X: by how much calibration moved each thing's logits. Names are as faint as the language model learned to
        read them; which option is likeliest is told by what is calibrated.
        """
        sought, marks = Lookup(self.sought, language), Lookup(self.marks, language)
        asked = {prompt: _Asked(prompt, sought, marks) for prompt in set(prompts)}
        names = language.embed_words(self.marks)
        rows = []
        for (sure, when), prompt in zip(sightings_n2XYM, prompts, strict=True):
            about = asked[prompt]
            seen, at = sure[about.thing].to(names), when[about.thing]
            surest = seen[:, 0] if moved_X is None else shifted(seen[:, 0], -moved_X[about.thing].to(seen))
            shown = in_order(surest * about.marks.to(seen), at[:, 0], LISTED)
            told = torch.zeros(LISTED, len(names), dtype=names.dtype, device=names.device)
            told = told.index_put((torch.arange(len(shown), device=told.device), shown), surest[shown])
            letter = names.new_zeros(1, names.shape[1])
            if about.letters:
                letter = _best(fits(about.options, seen, at))[None] @ language.embed_words(about.letters)
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


def fits(options: Sequence[Sequence[int]], sure_YM: Tensor, when_YM: Tensor) -> Tensor:
    """How likely each option, marks one after the other, is the order in which they were seen, one of them being it.

    sure_YM, when_YM: of one thing, what `Sightings.read` gives.
    """
    likely = torch.stack([_in_that_order(sure_YM[list(marks)], when_YM[list(marks)]) for marks in options]) + _EQUAL
    return likely / likely.sum()


def _in_that_order(sure_nM: Tensor, when_nM: Tensor) -> Tensor:
    """How likely n marks, each seen once, were seen one after the other, no two of them at one moment.

    Each was at one of its moments, as likely as those are sure, or else at any of the others', as likely as they are.
    What is seen at a moment is one thing beside one mark: for it to be beside none of these it must be none of them.
    """
    times, sure = when_nM.flatten(), sure_nM.flatten()
    claimed = (times == times[:, None]).to(sure) @ sure
    odds = sure_nM / (1 - claimed.clamp_max(_SUREST)).view_as(sure_nM)
    known = odds / (odds.sum(1, keepdim=True) + _ELSEWHERE)
    own = torch.block_diag(*known)
    anywhere = own.sum(0) / own.sum().clamp_min(_EQUAL)
    at = own + (1 - known.sum(1, keepdim=True)) * anywhere
    before = (times > times[:, None]).to(at)
    so_far = at[0]
    for later in at[1:]:
        so_far = later * (so_far @ before)
    return so_far.sum()
