"""The closed loop: the surprise of a window's frames, where gates that surprise sets decide what is predicted."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssm_sense.nn.lfp import LFPHead, surprise
from ssm_sense.nn.surprise import SurprisePolicy
from ssm_sense.nn.temporal import TemporalEncoder
from ssm_sense.state import State


@dataclass(frozen=True)
class ClosedLoop:
    """What is written at a frame hangs on how surprising it is, and that on what was written at the frame before.

    rescans: cap on the iterations of the fixed point; with 0 every stream is solved frame by frame.
    tolerance: largest change of a gate that counts as settled.
    """

    encoder: TemporalEncoder
    head: LFPHead
    policy: SurprisePolicy
    rescans: int
    tolerance: float

    def solve(self, x: Tensor, seconds: Tensor, state: State, events: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The surprise of every frame of a window, by rescanning until the gates that it sets reproduce it.

        The gate at t depends on the prediction made at t−1 only, so n rescans make the first n + 1 frames exact and
        a window of one frame needs none. Streams that have not settled by then are solved frame by frame.

        Args:
            x: standardised latents (B, T, S, V). seconds: (B, T).
            state: the model's, with ``event``, ``policy`` and ``predicted``.
            events: true boundaries (B, T) in place of found ones.

        Returns:
            The surprise (B, T, S), and of the last rescan the largest change of a gate or a keep, and the number of
            boundaries that changed, 0 where the surprise is exact.
        """
        state = state.detach()
        policy_state, event_state = state.sub("policy"), state.sub("event")
        first = self._surprise(state["predicted"].unsqueeze(1), x[:, :1], policy_state)
        zero = x.new_zeros(())
        if x.shape[1] == 1:
            return first, zero, zero
        if self.rescans == 0:
            return self._in_order(x, seconds, events, state), zero, zero
        gate: Tensor | None = None
        keep: Tensor | None = None
        boundary = torch.zeros_like(seconds, dtype=torch.bool)
        change = moved = x.new_full((x.shape[0],), torch.inf)
        wrong = first
        for _ in range(min(self.rescans, x.shape[1])):
            u, _ = self.encoder(x[:, :-1], event_state, *(None if g is None else g[:, :-1] for g in (gate, keep)))
            wrong = torch.cat([first, surprise(self.head(u), x[:, 1:])], dim=1)
            decision, _ = self.policy(wrong, seconds, policy_state, events)
            change = torch.maximum(_changed(decision.gate, gate), _changed(decision.keep, keep))
            moved = (decision.boundary != boundary).sum(1).to(change.dtype)
            gate, keep, boundary = decision
            if bool(((change <= self.tolerance) & (moved == 0)).all()):
                break
        unsettled = torch.nonzero((change > self.tolerance) | (moved > 0)).squeeze(1)
        if len(unsettled):
            true = None if events is None else events[unsettled]
            exact = self._in_order(x[unsettled], seconds[unsettled], true, state.select(unsettled))
            wrong = wrong.index_copy(0, unsettled, exact)
        return wrong, change.max(), moved.sum()

    def _in_order(self, x: Tensor, seconds: Tensor, events: Tensor | None, state: State) -> Tensor:
        """The same by the exact sequential form, frame by frame."""
        event_state, policy_state, predicted = state.sub("event"), state.sub("policy"), state["predicted"]
        found = []
        for t in range(x.shape[1]):
            now = slice(t, t + 1)
            wrong = self._surprise(predicted.unsqueeze(1), x[:, now], policy_state)
            true = None if events is None else events[:, now]
            decision, policy_state = self.policy(wrong, seconds[:, now], policy_state, true)
            u, event_state = self.encoder(x[:, now], event_state, decision.gate, decision.keep)
            predicted = self.head(u[:, 0])
            found.append(wrong)
        return torch.cat(found, dim=1)

    def _surprise(self, predicted: Tensor, actual: Tensor, policy_state: State) -> Tensor:
        """Surprise of single frames (B, 1, S), 1 by definition where the stream has only begun."""
        wrong = surprise(predicted, actual)
        return torch.where(policy_state["started"][:, None, None], wrong, 1.0)


def _changed(now: Tensor, before: Tensor | None) -> Tensor:
    """How far anything of a stream moved at most, (B,); before the first rescan all were 1."""
    return (now - (1.0 if before is None else before)).abs().flatten(1).amax(1)
