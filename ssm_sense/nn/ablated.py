"""The model's pieces with one thing taken out of each, to see whether it earned its place."""

from torch import Tensor

from ssm_sense.nn.episode import Episode
from ssm_sense.nn.sources import StatelessLFP
from ssm_sense.nn.surprise import Decision, SurprisePolicy
from ssm_sense.state import State


class NeverReset(SurprisePolicy):
    """Events are found and written into the episode as ever, but the event state goes on through them."""

    def forward(
        self, surprise_BTS: Tensor, seconds_BT: Tensor, state: State, events_BT: Tensor | None = None
    ) -> tuple[Decision, State]:
        """As `SurprisePolicy`, with a keep of 1 everywhere."""
        decision, after = super().forward(surprise_BTS, seconds_BT, state, events_BT)
        return decision._replace(keep=decision.keep.new_ones(decision.keep.shape)), after


class NoEpisode(Episode):
    """Events are found and reset the event state as ever, but nothing of those that ended is written.

    The event in progress is pooled and read as ever, so that what is missed is the past and not the present.
    """

    def forward(self, u_BTSD: Tensor, boundary_BT: Tensor, state: State, surprise_BT: Tensor | None = None) -> State:
        """The state with the event in progress as it stands after T frames, and no other."""
        _, pool = self.pool(u_BTSD, boundary_BT, state.sub("pool"))
        return state.replace(**{f"pool.{name}": tensor for name, tensor in pool.items()})


class OpenLoopLFP(StatelessLFP):
    """Surprise from a predictor of the closed loop's architecture whose state nothing gates and nothing resets.

    What it finds surprising does not depend on what was written, so nothing has to be solved. Its encoder and head are
    its own: it predicts from the whole past where the closed loop predicts from what its gate let in.
    """

    def initial_state(self, streams: int) -> State:
        """``predicted`` (B, S, V), zeros, and the encoder's own under ``event``."""
        begun = super().initial_state(streams)
        return State.join({"predicted": begun["predicted"], "event": self.encoder.initial_state(streams)})

    def predict(self, latents_BTSV: Tensor, state: State) -> tuple[Tensor, State]:
        """From all frames so far, each weighing what the recurrence makes of it."""
        before = state.sub("event") if len(state) else self.encoder.initial_state(len(latents_BTSV))
        u, after = self.encoder(latents_BTSV, before)
        predicted = self.head(u)
        return predicted, State.join({"predicted": predicted[:, -1], "event": after})
