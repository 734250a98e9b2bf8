"""How often a stream meets each kind of thing: what a count owes to what was seen, and what to where it was learned."""

import torch
from torch import Tensor, nn

from ssm_sense.state import State

_TRUST = 8.0
"""Places that the usual rate counts for beside those of the stream."""
_STEPS = 8
"""Of the fixed point; after five nothing moves that would be said."""
_LOW, _HIGH, _BINS = -5.0, 4.0, 16
"""Log-odds in steps of .6 in which it is kept how surely places that are forgotten held a kind."""
_EPSILON = 1e-4
_SURE = 0.98
_BEYOND = 2.0
"""How many things a place may hold beyond one: next to none of those it is learned from hold more."""


class Rates(nn.Module):
    """Corrects how many of each of K kinds places held for how often this stream meets the kind at all.

    What a perceptron says a place holds is right on average where it was trained. In a house with a tenth as many lamps
    each hint of one is a tenth as likely to be one, and a small share of a lamp in each of six hundred rooms adds up to
    more than there are. The stream's own rate r is the fixed point of

        zᵢ = σ(logit pᵢ − logit u + logit r)          r = (Σ zᵢ + c u) / (n + c)

    over its n places, with pᵢ what place i seems to hold, up to one, and u the usual rate where the perceptron was
    calibrated, which counts for c places (label shift: Saerens, Latinne & Decaestecker 2002). Where nothing can be told
    from the pᵢ, all near u, r stays there. A place holds zᵢ, and what seemed to be there beyond one, up to two.

    Of places that are forgotten it is kept how many there were in each of a few steps of log pᵢ/(1 − pᵢ): 4·(16 + 1)·K
    bytes, however many.

    Before `set` is called nothing is corrected.

    Args:
        kinds: K.
    """

    usual: Tensor
    scale: Tensor
    steps: Tensor

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(kinds))
        self.register_buffer("scale", torch.ones(kinds))
        self.register_buffer("steps", torch.linspace(_LOW, _HIGH, _BINS), persistent=False)

    @torch.no_grad()
    def set(self, held_nK: Tensor, scale_K: Tensor) -> None:
        """Learn the usual rate from what n places seemed to hold, each kind's times ``scale``.

        Kinds of a scale of 0 are left uncorrected, and so are those that no place holds.
        """
        known = scale_K > 0
        self.scale.copy_(torch.where(known, scale_K, 1.0))
        rate = (held_nK * self.scale).clamp(max=_SURE).mean(0)
        self.usual.copy_(torch.where(known & (rate > _EPSILON), rate, 0.0))

    def initial_state(self, streams: int) -> State:
        """``surely`` (B, K, bins), places forgotten, and ``beyond`` (B, K), what they held beyond one each."""
        blank = self.usual.new_zeros
        kinds = len(self.usual)
        return State({"surely": blank(streams, kinds, _BINS), "beyond": blank(streams, kinds)})

    def forget(self, held_BK: Tensor, gone_B: Tensor, state: State) -> State:
        """After a place that held so much was forgotten in the streams in which one was."""
        odds, beyond = self._odds(held_BK)
        step = (odds.unsqueeze(-1) - self.steps).abs().argmin(-1, keepdim=True)
        gone = gone_B.to(held_BK.dtype).unsqueeze(-1)
        one = torch.zeros_like(state["surely"]).scatter(-1, step, 1.0)
        return State(
            {
                "surely": state["surely"] + one * gone.unsqueeze(-1),
                "beyond": state["beyond"] + beyond * gone,
            }
        )

    def count(self, held_BMK: Tensor, there_BM: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """How many so far (B, K), and how many of them at the last of M places (B, K).

        held_BMK: what places seem to hold; there_BM: bool, which of them there are. Forgotten ones are added.
        """
        odds, beyond = (part.transpose(1, 2) for part in self._odds(held_BMK))
        there = there_BM.unsqueeze(1).to(odds)
        usual = self.usual.clamp(_EPSILON, _SURE).unsqueeze(-1)
        evidence = torch.cat([odds, self.steps.expand_as(state["surely"])], dim=-1) - torch.logit(usual)
        places = torch.cat([there.expand_as(odds), state["surely"]], dim=-1)
        number = places.sum(-1, keepdim=True) + _TRUST
        rate = usual.expand(len(places), -1, 1)
        for _ in range(_STEPS):
            held = torch.sigmoid(evidence + torch.logit(rate))
            rate = ((held * places).sum(-1, keepdim=True) + _TRUST * usual) / number
        here = (held * places)[..., odds.shape[-1] - 1] + (beyond * there)[..., -1]
        return (held * places).sum(-1) + (beyond * there).sum(-1) + state["beyond"], here

    @property
    def known(self) -> Tensor:
        """Which kinds' usual rates are known: bool (K,)."""
        return self.usual > 0

    def _odds(self, held: Tensor) -> tuple[Tensor, Tensor]:
        """The log-odds that there is one of each kind (..., K), and how many there are beyond one, up to two."""
        scaled = held * self.scale
        return torch.logit(scaled.clamp(_EPSILON, _SURE)), (scaled - 1).clamp(0, _BEYOND)
