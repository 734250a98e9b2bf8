"""A supervised probe of boundaries: what latents tell to whoever was shown where events begin. A ceiling, no rival."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.nn.sources import EmaDistance, SurpriseSource
from ssm_sense.state import State


class BoundaryProbe(SurpriseSource):
    """Logistic regression on a frame, how it differs from the one before, and from a moving average of those before.

    What it is shown is, per channel and averaged over locations: the latents, the size of their step, and the size of
    their distance from the average; and the cosine distance from the average. The surprise is the probability of a
    boundary, the same at every location.

    Args:
        places: S.
        vision_width: V.
        decay: of the moving average.
    """

    def __init__(self, places: int, vision_width: int, decay: float = 0.8) -> None:
        super().__init__()
        self.average = EmaDistance(places, vision_width, decay)
        self.linear = nn.Linear(3 * vision_width + 1, 1)

    def initial_state(self, streams: int) -> State:
        """``last`` (B, S, V), ``begun`` (B,), and ``average.…``, the moving average."""
        average = self.average.initial_state(streams)
        begun = torch.zeros(streams, dtype=torch.bool, device=average["predicted"].device)
        return State.join({"last": torch.zeros_like(average["predicted"]), "begun": begun, "average": average})

    def features(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """What the regression is shown (B, T, 3·V + 1), and the state after."""
        before = torch.cat([state["last"].unsqueeze(1), latents_BTSV[:, :-1]], dim=1)
        expected, average = self.average.expect(latents_BTSV, state.sub("average"))
        away = 1 - F.cosine_similarity(expected, latents_BTSV, dim=-1).mean(-1, keepdim=True)
        shown = [latents_BTSV.mean(2), (latents_BTSV - before).abs().mean(2), (latents_BTSV - expected).abs().mean(2)]
        begun = torch.ones_like(state["begun"])
        after = State.join({"last": latents_BTSV[:, -1].clone(), "begun": begun, "average": average})
        return torch.cat([*shown, away], dim=-1), after

    def forward(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """Surprise (B, T, S), 1 at a stream's first frame, and the state after."""
        shown, after = self.features(latents_BTSV, state)
        level = torch.sigmoid(self.linear(shown).squeeze(-1))
        first = torch.where(state["begun"], level[:, 0], 1.0).unsqueeze(1)
        level = torch.cat([first, level[:, 1:]], dim=1)
        return level.unsqueeze(-1).expand(-1, -1, latents_BTSV.shape[2]), after


def train_probe(
    latents: Sequence[Tensor],
    events: Sequence[Tensor],
    steps: int = 300,
    learning_rate: float = 1e-2,
    weight_decay: float = 0.1,
) -> BoundaryProbe:
    """A probe trained on true boundaries, all frames at every step; nothing in it is random.

    A frame counts as a boundary where an event begins, and so does the one after: what is found there is in time.

    Args:
        latents: streams of standardised latents, each (T, S, V).
        events: of each stream, (T,) bool: an event begins with this frame.
    """
    if len(latents) != len(events) or any(len(x) != len(y) for x, y in zip(latents, events, strict=True)):
        raise ValueError(f"events: expected one for each frame of {len(latents)} streams, got {len(events)} streams")
    probe = BoundaryProbe(*latents[0].shape[1:])
    nn.init.zeros_(probe.linear.weight)
    nn.init.zeros_(probe.linear.bias)
    with torch.no_grad():
        shown = torch.cat([probe.features(x.float()[None], probe.initial_state(1))[0][0, 1:] for x in latents])
    true = torch.cat([(y | torch.cat([y.new_zeros(1), y[:-1]]))[1:] for y in events]).float()
    rare = (len(true) - true.sum()) / true.sum().clamp_min(1)
    optimizer = torch.optim.AdamW(probe.linear.parameters(), lr=learning_rate, weight_decay=weight_decay)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        wrong = F.binary_cross_entropy_with_logits(probe.linear(shown).squeeze(-1), true, pos_weight=rare)
        wrong.backward()
        optimizer.step()
    return probe.eval()
